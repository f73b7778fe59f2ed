"""Singular values from below against exact inertia; the stable rank; the moments of the density."""

import math

import flint
import numpy as np
import pytest

from lipop_kernels import cpu, ref, spectrum_density, stable_rank, top_singular_values
from lipop_kernels.cpu import spectrum
from lipop_kernels.ref._exact import fraction, gram
from lipop_kernels.ref.spectrum import _eigenvalues_above


class Product:
    """A matrix known by its products only."""

    def __init__(self, A):
        self.A, self.shape = A, A.shape

    def matvec(self, v):
        return self.A @ v

    def rmatvec(self, u):
        return self.A.T @ u


@pytest.fixture(params=["dense", "krylov"])
def route(request, monkeypatch):
    """Small matrices are decomposed whole; with the limit at 0 they take the block Lanczos run."""
    if request.param == "krylov":
        monkeypatch.setattr(spectrum, "DENSE", 0)
    return request.param


def test_inertia_agrees_with_ball_arithmetic():
    rng = np.random.default_rng(0)
    for n in (1, 2, 4, 6):
        S = rng.integers(-3, 4, (n, n)).astype(float)
        S = S + S.T
        M = [[fraction(x) for x in row] for row in S]
        values = np.linalg.eigvalsh(S)
        for t in (-4.5, -0.25, 0.0, 1.0, 7.125):
            if np.abs(values - t).min() > 1e-9:
                assert _eigenvalues_above(M, fraction(t)) == (values > t).sum()
    hollow = [[fraction(x) for x in row] for row in ([0, 1, 0], [1, 0, 0], [0, 0, 0])]
    assert _eigenvalues_above(hollow, fraction(0.0)) == 1
    assert _eigenvalues_above(hollow, flint.fmpq(-2)) == 3


def test_values_hold_exactly(route, cases, count):
    """For each i at least i singular values reach ``lower[i - 1]``; decided in rationals."""
    for label, A in cases(count(54, 162, 1500), seed=31):
        k = min(A.shape)
        top = top_singular_values(A, k, tol=1e-8)
        values = A.astype(np.float64) if A.shape[0] >= A.shape[1] else A.T.astype(np.float64)
        G, lower = gram(values), top.lower
        assert bool((np.diff(lower) <= 0).all()), label
        for i, s in enumerate(lower.tolist()):
            if s > 0:
                below = fraction(math.nextafter(s, 0.0)) ** 2
                assert _eigenvalues_above(G, below) > i, (label, i)
        exact = np.linalg.svd(np.ldexp(values, -math.frexp(np.abs(values).max())[1]), compute_uv=False)
        scale = math.frexp(np.abs(values).max())[1]
        if lower[0] > 1e-290 and math.isfinite(lower[0]):
            assert bool((np.ldexp(lower, -scale) >= exact - 1e-12 * exact[0]).all()), label


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (900, 150), (150, 1500)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_krylov_accuracy(shape, dtype):
    rng = np.random.default_rng(shape)
    gaussian = rng.standard_normal(shape).astype(dtype)
    decaying = (gaussian * np.arange(1.0, shape[1] + 1) ** -0.7).astype(dtype)
    for A in (gaussian, decaying, np.asfortranarray(decaying)):
        exact = np.linalg.svd(A.astype(np.float64), compute_uv=False)[:12]
        top = top_singular_values(A, 12, tol=1e-7)
        assert top.converged
        assert top.rounding_covered
        assert 0 < top.steps < min(shape)
        assert bool((top.lower <= exact * (1 + 1e-14)).all())
        assert bool((top.lower >= exact * (1 - 1e-6)).all())
        assert bool((top.lower + top.errors >= exact * (1 - 1e-12)).all())  # the estimates cover what is missing here
    product = top_singular_values(Product(gaussian.astype(np.float64)), 12, tol=1e-7)
    np.testing.assert_allclose(product.lower, top_singular_values(gaussian, 12, tol=1e-7).lower, rtol=1e-6)
    assert not product.rounding_covered


@pytest.mark.parametrize(
    "values",
    [
        np.ones(200),
        np.r_[np.full(7, 3.0), np.full(150, 1.0)],
        np.r_[np.full(5, 2.0), np.zeros(195)],
        np.r_[2.0, np.zeros(199)],
        1.0 - 1e-11 * np.arange(200),
        10.0 ** -np.linspace(0, 40, 200),
    ],
    ids=["flat", "two levels", "rank five", "rank one", "cluster", "graded"],
)
def test_equal_and_vanishing_values(values):
    """Equal singular values are found as often as they occur; a single start vector would see one of them."""
    A = np.zeros((230, len(values)))
    A[: len(values)] = np.diag(values)
    for matrix in (A, A.T, A * 2.0**600, A * 2.0**-600):
        scale = matrix.max() / values.max()
        top = top_singular_values(matrix, 9)
        expected = np.sort(values)[::-1][:9] * scale
        assert bool((top.lower <= expected).all())
        np.testing.assert_allclose(top.lower, expected, rtol=2e-6, atol=1e-11 * scale)


def test_few_steps_give_true_bounds():
    A = np.random.default_rng(0).standard_normal((400, 300))
    exact = np.linalg.svd(A, compute_uv=False)[:5]
    for maxiter in (5, 8, 16, 32):
        top = top_singular_values(A, 5, maxiter=maxiter)
        assert not top.converged
        assert top.steps <= maxiter + 3
        assert bool((top.lower <= exact).all())
    assert bool((top.lower > 0.9 * exact).all())
    assert top_singular_values(A, 300).lower[-1] == pytest.approx(np.linalg.svd(A, compute_uv=False)[-1], rel=1e-9)
    assert top_singular_values(np.zeros((4, 3)), 2).lower.tolist() == [0.0, 0.0]


def test_stable_rank_holds_exactly(cases, count):
    for label, A in cases(count(36, 108, 1500), seed=32):
        lower, upper = stable_rank(A, rtol=1e-8)
        low, high = ref.stable_rank(A)
        assert lower <= high * (1 + 1e-15), label
        assert upper >= low * (1 - 1e-15), label
        assert 1.0 <= lower <= upper <= min(A.shape), label
        assert upper <= lower * (1 + 3e-8), label


def test_stable_rank_of_larger_matrices():
    rng = np.random.default_rng(0)
    for A in (rng.standard_normal((500, 300)), rng.standard_normal((90, 800)).astype(np.float32)):
        values = np.linalg.svd(A.astype(np.float64), compute_uv=False)
        exact = float((values**2).sum() / values[0] ** 2)
        lower, upper = stable_rank(A)
        assert lower <= exact * (1 + 1e-13)
        assert exact * (1 - 1e-13) <= upper <= lower * (1 + 2e-6)
    assert stable_rank(np.eye(200))[1] == 200.0
    assert stable_rank(np.ones((200, 300)), 1e-12)[0] == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("shape", [(300, 200), (120, 260), (60, 60)])
@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_moments_of_the_density(shape, decay):
    """``sum w sigma^2j`` against ``trace / n``: within five standard deviations, which are known for uniform probes."""
    A = np.random.default_rng(shape).standard_normal(shape) * np.arange(1.0, shape[1] + 1) ** -decay
    squares = np.linalg.svd(A, compute_uv=False) ** 2
    n, probes = min(shape), 6
    found = spectrum_density(A, probes=probes, steps=12, rng=1)
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    for j in range(1, 24):
        spread = math.sqrt(2.0 / ((n + 2) * probes)) * float(np.std(squares**j))
        moment = float(found.weights @ found.nodes ** (2 * j))
        assert abs(moment - float(np.mean(squares**j))) <= 5 * spread, j
    for p in range(probes):
        assert found.weights[found.probe == p].sum() == pytest.approx(1 / probes, abs=1e-12)


def test_quadratures_are_exact_for_polynomials():
    """Each probe's moments below twice the steps are ``v^T (A^T A)^j v``, whatever v."""
    A = np.random.default_rng(0).standard_normal((50, 40))
    found, steps = spectrum_density(A, probes=2, steps=5, rng=3), 5
    starts = np.random.default_rng(3).standard_normal((2, 40))
    for p, start in enumerate(starts):
        v = start / np.linalg.norm(start)
        w, mine = v, found.probe == p
        for j in range(2 * steps):
            exact = float(v @ w)
            assert 2 * float(found.weights[mine] @ found.nodes[mine] ** (2 * j)) == pytest.approx(exact, rel=1e-10)
            w = A.T @ (A @ w)


def test_density_of_a_known_spectrum():
    """Two clusters of singular values and zeros: their shares are read off the density."""
    values = np.r_[np.full(150, 10.0), np.full(100, 0.1), np.zeros(50)]
    found = spectrum_density(np.diag(values), probes=30, steps=10)
    assert found.null == pytest.approx(1 / 6, abs=0.05)

    def inside(a, b):
        return float(np.trapezoid(np.where((a < found.grid) & (found.grid < b), found.density, 0.0), found.grid))

    assert inside(0.5, 1.5) == pytest.approx(1 / 2, abs=0.06)
    assert inside(-1.5, -0.5) == pytest.approx(1 / 3, abs=0.06)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1.0 - found.null, abs=1e-3)
    A = np.ones((70, 9)) + np.eye(70, 9)
    tall, wide = (spectrum_density(B, steps=8) for B in (A, A.T))
    np.testing.assert_allclose(tall.nodes, wide.nodes, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("exponent", [-900, -300, 300, 900])
def test_scales(exponent):
    A = np.random.default_rng(0).standard_normal((200, 160))
    B = np.ldexp(A, exponent)
    one, two = spectrum_density(A, probes=2, steps=6), spectrum_density(B, probes=2, steps=6)
    np.testing.assert_allclose(np.ldexp(two.nodes, -exponent), one.nodes, rtol=1e-9)
    np.testing.assert_allclose(two.grid - exponent * math.log10(2), one.grid, atol=1e-9)
    np.testing.assert_allclose(
        np.ldexp(top_singular_values(B, 4).lower, -exponent), top_singular_values(A, 4).lower, rtol=1e-6
    )
    assert stable_rank(B) == pytest.approx(stable_rank(A), rel=2e-6)


def test_cpu_agrees_with_ref(cases):
    rng = np.random.default_rng(0)
    for shape in ((6, 4), (4, 6), (5, 5), (3, 1)):
        A = rng.standard_normal(shape)
        a, b = (package.top_singular_values(A, min(shape)).lower for package in (cpu, ref))
        np.testing.assert_allclose(a, b, rtol=1e-10)
        a, b = (package.stable_rank(A) for package in (cpu, ref))
        np.testing.assert_allclose(a, b, rtol=3e-6)
        a, b = (package.spectrum_density(A, probes=3, steps=2, rng=5) for package in (cpu, ref))
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
        a, b = (package.top_singular_values(Product(A), 1) for package in (cpu, ref))
        assert a.lower[0] == pytest.approx(b.lower[0], rel=1e-9)
        assert not a.rounding_covered
        assert not b.rounding_covered


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    A = np.eye(6)
    bad = A.copy()
    bad[1, 2] = np.nan
    for call, match in [
        (lambda: package.top_singular_values(bad, 2), r"\[1, 2\]"),
        (lambda: package.top_singular_values(A, 0), "k is 0"),
        (lambda: package.top_singular_values(A, 7), "k is 7"),
        (lambda: package.top_singular_values(A, 2, tol=0.0), "tol"),
        (lambda: package.top_singular_values(A, 3, maxiter=2), "maxiter"),
        (lambda: package.top_singular_values(A[0], 1), "shape"),
        (lambda: package.top_singular_values(A.astype(int), 1), "int64"),
        (lambda: package.stable_rank(bad), r"\[1, 2\]"),
        (lambda: package.stable_rank(np.zeros((3, 3))), "zeros"),
        (lambda: package.stable_rank(A, rtol=-1.0), "rtol"),
        (lambda: package.spectrum_density(bad), r"\[1, 2\]"),
        (lambda: package.spectrum_density(np.zeros((3, 3))), "zeros"),
        (lambda: package.spectrum_density(A, probes=0), "probes"),
        (lambda: package.spectrum_density(A, steps=0), "steps"),
        (lambda: package.spectrum_density(A, points=0), "points"),
        (lambda: package.spectrum_density(A, bandwidth=0.0), "bandwidth"),
        (lambda: package.spectrum_density(np.zeros((0, 3))), "shape"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
    frozen = A.copy()
    frozen.flags.writeable = False
    assert package.top_singular_values(frozen[::2, ::2], 2).lower == pytest.approx([1.0, 1.0])
