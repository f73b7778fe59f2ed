"""Lower bounds are true and tight; the probable upper bound covers as often as it says."""

import math

import flint
import numpy as np
import pytest
from scipy.stats import binom

from lipop_kernels import cpu, lanczos_upper, ref, spectral_norm, spectral_norm_probable, spectral_norm_upper
from lipop_kernels._common import workprec
from lipop_kernels.cpu import probable
from lipop_kernels.cpu._krylov import overlap, proves_growth
from lipop_kernels.ref._exact import norm_at_most


class Product:
    """A matrix known by its products only."""

    def __init__(self, A):
        self.A, self.shape = A, A.shape

    def matvec(self, v):
        return self.A @ v

    def rmatvec(self, u):
        return self.A.T @ u


def test_lower_bounds_are_true_and_attained(cases, count):
    """sigma is not above the norm and within 1e-11 of it, decided in rationals."""
    for label, A in cases(count(72, 360), seed=11):
        sigma, v, info = spectral_norm(A)
        values = A.astype(np.float64)
        assert v.shape == (A.shape[1],)
        assert abs(np.linalg.norm(v) - 1) < 1e-12, label
        assert info["rounding_covered"] is True
        if not math.isfinite(sigma * 1.01):
            continue
        # sigma > |A| would make this true: |A| <= the float just below sigma
        assert sigma == 0 or not norm_at_most(values, math.nextafter(sigma, 0.0)), label
        if sigma > 1e-290:
            assert norm_at_most(values, sigma * (1 + 1e-11)), label


@pytest.mark.parametrize(("m", "n"), [(200, 90), (90, 200), (1100, 700), (700, 1100)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_lanczos_accuracy(m, n, dtype):
    rng = np.random.default_rng(m)
    A = rng.standard_normal((m, n)).astype(dtype)
    exact = float(np.linalg.norm(A.astype(np.float64), 2))
    for tol in (1e-4, 1e-9):
        sigma, v, info = spectral_norm(A, tol=tol)
        assert exact * (1 - tol) <= sigma <= exact * (1 + 1e-13)
        assert info["converged"]
        assert info["iterations"] <= 80
        assert len(info["history"]) >= 1
        assert abs(info["history"][-1] / exact - 1) < 2 * tol + 2e-6
        assert np.linalg.norm(A.astype(np.float64) @ v) >= sigma


def test_scales_storages_and_objects():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((150, 100))
    sigma = spectral_norm(A, 1e-9)[0]
    for scale in (2.0**500, 2.0**-500, 2.0**-900):
        assert spectral_norm(A * scale, 1e-9)[0] == pytest.approx(sigma * scale, rel=1e-8)
        bracket = spectral_norm_probable(A * scale)
        assert bracket.lower <= sigma * scale * (1 + 1e-9)
        assert bracket.upper >= sigma * scale
        assert bracket.upper <= bracket.lower * 1.02
    half = A.astype(np.float16)
    assert spectral_norm(half.view(np.uint16), dtype="f16", tol=1e-9)[0] == pytest.approx(
        spectral_norm(half.astype(np.float64), tol=1e-9)[0], rel=1e-8
    )
    for matrix in (A, A.T):
        found, v, info = spectral_norm(Product(matrix), 1e-9)
        assert found == pytest.approx(sigma, rel=1e-8)
        assert info["rounding_covered"] is False
        assert np.linalg.norm(matrix @ v) == pytest.approx(found, rel=1e-10)
        assert spectral_norm_probable(Product(matrix)).lower <= sigma * (1 + 1e-8)
    assert spectral_norm(np.zeros((4, 3)))[0] == 0.0
    assert spectral_norm(Product(np.zeros((80, 70))))[0] == 0.0


def test_a_start_near_the_second_vector_cannot_deceive_the_bracket():
    """Few iterations from a bad start: the lower bound is low but true, and the certificate is not below the norm."""
    A = np.diag(np.r_[1.0, np.full(199, 1.0 - 1e-3)])
    sigma, _, info = spectral_norm(A, tol=1e-1, maxiter=1)
    assert sigma <= 1.0
    assert info["iterations"] == 1
    assert 1.0 <= spectral_norm_upper(A, rtol=1e-8, start=sigma) <= 1.01


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
        a, b = (package.spectral_norm(S)[0] for package in (cpu, ref))
        assert b * (1 - 1e-12) <= a <= b * (1 + 1e-15)


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
    A = np.eye(70)
    bad = A.copy()
    bad[1, 2] = np.nan
    for call, match in [
        (lambda: package.spectral_norm(bad), r"\[1, 2\]"),
        (lambda: package.spectral_norm_probable(bad), r"\[1, 2\]"),
        (lambda: package.spectral_norm(A, tol=0.0), "tol"),
        (lambda: package.spectral_norm(A, maxiter=0), "maxiter"),
        (lambda: package.spectral_norm(Product(bad)), "finite"),
        (lambda: package.lanczos_upper(lambda v: v, 3, delta=0.0), "delta"),
        (lambda: package.lanczos_upper(lambda v: v, 3, steps=0), "steps"),
        (lambda: package.lanczos_upper(lambda v: v, 3, product_error=np.inf), "error"),
        (lambda: package.lanczos_upper(lambda v: v[:2], 3), r"\(2,\)"),
        (lambda: package.lanczos_upper(lambda v: v * np.nan, 3), "finite"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
