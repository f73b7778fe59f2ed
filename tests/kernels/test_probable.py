"""The probable upper bound covers as often as it says, and with as few products as it should."""

import math

import flint
import numpy as np
import pytest
from scipy.stats import binom

from lipop_kernels import cpu, lanczos_upper, ref, spectral_norm, spectral_norm_probable, spectral_norm_upper
from lipop_kernels._common import workprec
from lipop_kernels.cpu import probable
from lipop_kernels.cpu._krylov import overlap, proves_growth


class Product:
    """A square matrix known by its products only, which are counted."""

    def __init__(self, apply, adjoint, shape):
        self.apply, self.adjoint, self.shape, self.products = apply, adjoint, shape, 0

    def matvec(self, v):
        self.products += 1
        return self.apply(v)

    def rmatvec(self, u):
        return self.adjoint(u)


def like_gaussian(m, n, seed):
    """A bidiagonal matrix whose singular values are distributed as those of an m x n Gaussian matrix, m >= n.

    Householder reflections leave entries that are independent and chi-distributed (Golub-Kahan, Silverstein 1985). A
    Lanczos run from a start that is uniform on the sphere depends on the singular values only.
    """
    rng = np.random.default_rng(seed)
    main = np.sqrt(rng.chisquare(m - np.arange(n)))
    above = np.sqrt(rng.chisquare(n - 1.0 - np.arange(n - 1)))
    return Product(
        lambda v: main * v + np.append(above * v[1:], 0.0), lambda u: main * u + np.append(0.0, above * u[:-1]), (n, n)
    )


def diagonal(values):
    return Product(lambda v: values * v, lambda u: values * u, (len(values), len(values)))


@pytest.mark.parametrize(
    ("m", "n", "most"),
    [(768, 768, 70), (1024, 1024, 70), (3072, 768, 70), (4096, 4096, 85), (14336, 4096, 85), (14336, 14336, 90)],
)
def test_products_on_gaussian_spectra(m, n, most, count):
    """One per cent with 1 - 1e-9: at most 70 products at a thousand columns.

    They grow with the order: on the limiting spectrum p_k gains ``arccosh(1.04) = 0.28`` in each step, so ``log(1/d) =
    25.3`` at 14336 takes about ``(25.3 - 1.3) / 0.28 = 85`` of them; small matrices have fewer because single
    eigenvalues converge before.
    """
    for seed in range(count(1, 3, 10)):
        A = like_gaussian(m, n, seed)
        bound = spectral_norm_probable(A, delta=1e-9, rtol=1e-2, rng=seed)
        assert bound.upper <= bound.lower * 1.01
        assert bound.steps <= most
        assert A.products <= most + 1  # the quotient of the last vector takes one
        assert bound.lower <= math.sqrt(m) + math.sqrt(n) + 3.0
        assert bound.upper >= math.sqrt(m) + math.sqrt(n) - 3.0  # the edge of the spectrum, within its fluctuation


def test_the_bidiagonal_model_is_like_a_gaussian_matrix():
    norms = [
        [np.linalg.svd(np.stack([like_gaussian(30, 20, s).apply(e) for e in np.eye(20)]), compute_uv=False)[0], s]
        for s in range(200)
    ]
    plain = [np.linalg.norm(np.random.default_rng(s).standard_normal((30, 20)), 2) for s in range(200)]
    assert np.mean([x for x, _ in norms]) == pytest.approx(np.mean(plain), abs=5 * 0.6 / math.sqrt(100))


@pytest.mark.parametrize("n", [768, 4096, 14336])
@pytest.mark.parametrize("power", [0.5, 0.7, 1.0, 1.5])
def test_products_on_decaying_spectra(n, power, count):
    """One per cent with 1 - 1e-9 in at most 15 products."""
    values = np.arange(1.0, n + 1) ** -power
    for seed in range(count(2, 5, 30)):
        A = diagonal(values)
        bound = spectral_norm_probable(A, delta=1e-9, rtol=1e-2, rng=seed)
        assert bound.steps <= 15
        assert A.products <= 16
        assert bound.lower <= 1.0 <= bound.upper <= bound.lower * 1.01


def test_products_on_a_stored_matrix(spectrum):
    rng = np.random.default_rng(0)
    decaying = spectrum(rng, 400, np.arange(1.0, 301.0) ** -0.5)
    assert spectral_norm_probable(decaying).steps <= 15
    assert spectral_norm_probable(decaying.astype(np.float32).T).steps <= 15
    assert spectral_norm_probable(rng.standard_normal((400, 300))).steps <= 70


@pytest.mark.parametrize("n", [2, 3, 10, 1000, 30_000])
@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-9, 1e-15])
def test_overlap_quantile(n, delta):
    """Against the integral of the density, in ball arithmetic: below delta, and not much below."""
    with workprec(160):
        half = flint.arb(1) / 2
        scale = (flint.arb(n) / 2).gamma() / ((flint.arb(n - 1) / 2).gamma() * flint.arb.pi().sqrt())
        if n > 2:
            power = half * (n - 3)
            density = lambda z, _: (1 - z * z) ** flint.acb(power)  # noqa: E731 - the integrand
            for d, sure in ((overlap(n, delta), True), (overlap(n, delta) * (1 + 1e-9), False)):
                tail = 2 * scale * flint.acb.integral(density, 0, d).real
                assert bool(tail <= flint.arb(delta) * (1 + flint.arb(2) ** -100)) is sure
        else:
            exact = (flint.arb.pi() * flint.arb(delta) / 2).sin()
            assert exact * (1 - flint.arb(1e-9)) <= flint.arb(overlap(2, delta)) <= exact
    assert overlap(1, delta) == 1.0


def failures_of(B, steps, delta, runs):
    """In how many of the runs the upper end lies below the largest eigenvalue."""
    top = float(np.linalg.eigvalsh(B)[-1])
    bounds = [lanczos_upper(lambda v: B @ v, len(B), steps=steps, delta=delta, rng=seed) for seed in range(runs)]
    assert all(b.lower <= top + 1e-14 for b in bounds)
    return sum(b.upper < top - 1e-14 for b in bounds)


@pytest.mark.parametrize("name", ["gap", "cluster", "indefinite", "negative"])
def test_coverage(name, count):
    """With delta = 0.05 the bound fails in at most the binomial number of runs."""
    n, runs, delta = 12, count(400, 2000, 10_000), 0.05
    values = {
        "gap": np.r_[1.0, np.linspace(0.5, 0.0, n - 1)],
        "cluster": 1.0 - 1e-3 * np.arange(n),
        "indefinite": np.linspace(-2.0, 1.0, n),
        "negative": -np.linspace(1.0, 3.0, n),
    }[name]
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((n, n)))[0]
    B = (Q * values) @ Q.T
    assert failures_of((B + B.T) / 2, 3, delta, runs) <= binom.ppf(1 - 1e-6, runs, delta)


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e-160, 1e-140])
def test_upper_ends_hold_where_squares_underflow(scale):
    values = scale * np.arange(1.0, 61.0)
    for seed in range(20):
        bound = lanczos_upper(lambda v: values * v, 60, rng=seed)
        assert bound.lower <= values[-1] <= bound.upper


def test_coverage_is_attained(monkeypatch, count):
    """For ``B = x x^T`` and one step the failure probability is delta (up to d^2): so the count is binomial.

    So a quantile d twice as large is noticed.
    """
    n, runs, delta = 12, count(1000, 2000, 10_000), 0.05
    B = np.outer(np.ones(n), np.ones(n)) / n
    low, high = binom.ppf([1e-6, 1 - 1e-6], runs, delta)
    assert low <= failures_of(B, 1, delta, runs) <= high
    monkeypatch.setattr(probable, "overlap", lambda n, delta: 2 * overlap(n, delta))
    assert failures_of(B, 1, delta, runs) > high


def test_any_shape_steps_and_stopping():
    values = np.random.default_rng(0).standard_normal((16, 10))
    free = lanczos_upper(lambda v: values * v, (16, 10), rtol=1e-4)
    assert free.vector.shape == (16, 10)
    assert free.lower <= values.max() <= free.upper <= free.lower * (1 + 1e-4)
    again = lanczos_upper(lambda v: values * v, (16, 10), steps=free.steps)
    assert again.upper == free.upper
    np.testing.assert_array_equal(again.alphas, free.alphas)
    assert lanczos_upper(lambda v: values * v, (16, 10), max_steps=5).steps == 5
    looser = lanczos_upper(lambda v: values * v, (16, 10), steps=free.steps, product_error=0.1)
    assert looser.upper >= free.upper + 0.1
    assert looser.lower <= free.lower - 0.1
    assert proves_growth(free.upper, free.alphas, free.betas, overlap(160, 1e-9))


def test_invariant_spaces():
    assert lanczos_upper(lambda v: 3.0 * v, (50,)).upper == pytest.approx(3.0, rel=1e-13)
    assert lanczos_upper(lambda v: 0.0 * v, (50,)).upper == pytest.approx(0.0, abs=1e-13)
    one = lanczos_upper(lambda v: -2.0 * v, 1)
    assert one.lower <= -2.0 <= one.upper <= -2.0 + 1e-13
    two = np.r_[np.zeros(30), np.full(30, 5.0)]
    bound = lanczos_upper(lambda v: two * v, 60)
    assert bound.lower <= 5.0 <= bound.upper <= 5.0 * (1 + 1e-12)


def test_cpu_agrees_with_ref():
    rng = np.random.default_rng(0)
    for n in (1, 2, 6, 20):
        S = rng.standard_normal((n, n))
        S = S + S.T
        options = {"steps": min(n, 5), "delta": 1e-6, "rng": n}
        a, b = (package.lanczos_upper(lambda v, S=S: S @ v, n, **options) for package in (cpu, ref))
        assert a.steps == b.steps
        np.testing.assert_allclose(a.alphas, b.alphas, atol=1e-10)
        assert a.upper == pytest.approx(b.upper, rel=1e-12, abs=1e-12 + 1e-5 * abs(b.upper - b.lower))
        assert a.lower == pytest.approx(b.lower, rel=1e-9, abs=1e-12)
        a, b = (package.spectral_norm_probable(S, rtol=1e-3) for package in (cpu, ref))
        assert max(a.lower, b.lower) <= min(a.upper, b.upper) <= max(a.upper, b.upper) <= 1.003 * min(a.lower, b.lower)


def test_probable_norm_of_stored_matrices(spectrum):
    rng = np.random.default_rng(0)
    A = spectrum(rng, 300, np.arange(1.0, 201.0) ** -0.5).astype(np.float32)
    for matrix in (A, A.T):
        bound = spectral_norm_probable(matrix, rtol=1e-4)
        assert spectral_norm(matrix, 1e-10)[0] <= bound.upper
        assert bound.lower <= spectral_norm_upper(matrix, rtol=1e-9)
        assert bound.upper <= bound.lower * (1 + 1.1e-4)
        assert np.linalg.norm(matrix.astype(np.float64) @ bound.vector) >= bound.lower
    assert spectral_norm_probable(np.zeros((3, 4))).upper == 0.0


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    bad = np.eye(70)
    bad[1, 2] = np.nan
    for call, match in [
        (lambda: package.spectral_norm_probable(bad), r"\[1, 2\]"),
        (lambda: package.spectral_norm_probable(np.eye(3), delta=1.0), "delta"),
        (lambda: package.spectral_norm_probable(np.zeros((0, 3))), "shape"),
        (lambda: package.spectral_norm_probable(np.eye(3, dtype=int)), "int64"),
        (lambda: package.lanczos_upper(lambda v: v, 3, delta=0.0), "delta"),
        (lambda: package.lanczos_upper(lambda v: v, 3, steps=0), "steps"),
        (lambda: package.lanczos_upper(lambda v: v, 3, product_error=np.inf), "error"),
        (lambda: package.lanczos_upper(lambda v: v[:2], 3), r"\(2,\)"),
        (lambda: package.lanczos_upper(lambda v: v * np.nan, 3), "finite"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()


def test_an_operator_without_a_proper_shape_is_refused():
    for shape in ((3,), (0, 3), (3, 2.5)):
        with pytest.raises(ValueError, match="shape"):
            spectral_norm_probable(Product(lambda v: v, lambda u: u, shape))
