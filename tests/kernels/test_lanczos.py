"""Lower bounds are true and tight, whatever the start, the scale, the storage and the layout."""

import math

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from lipop_kernels import cpu, ref, spectral_norm, spectral_norm_probable, spectral_norm_upper
from lipop_kernels.cpu import _lanczos_numba as compiled
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


@pytest.mark.parametrize("n", [40, 90, 400])
def test_large_adversarial_matrices(n, spectrum, count):
    """Above the orders that are decomposed whole: true against a proved upper bound, and close to it."""
    for seed in range(count(2, 6, 60)):
        rng = np.random.default_rng([n, seed])
        matrices = (
            (1e-6, spectrum(rng, n + 7, 1.0 - 1e-9 * np.arange(n))),  # no stop rule sees through a cluster like this
            (2e-8, spectrum(rng, n + 7, np.ones(n))),
            (2e-8, spectrum(rng, n + 7, 10.0 ** -np.linspace(0, 20, n))),
            (2e-8, np.outer(rng.standard_normal(n), rng.standard_normal(n + 3))),
            (2e-8, np.eye(n) + 1e-12 * rng.standard_normal((n, n))),
            (2e-8, np.ones((n, n)) * 1e-170),
            (2e-8, rng.standard_normal((n, n)) * 1e160),
            (2e-8, rng.standard_normal((n, n)) * 10.0 ** -np.linspace(0, 30, n)),
            (2e-8, np.where(rng.random((n, n)) < 0.5, 1e200, 1e-200) * rng.standard_normal((n, n))),
            (2e-8, rng.integers(-900, 900, (n, n)) * 5e-324),
        )
        for slack, A in matrices:
            for matrix in (A, np.asfortranarray(A), A.T):
                sigma, v, _ = spectral_norm(matrix, 1e-8, rng=seed)
                upper = spectral_norm_upper(matrix, rtol=1e-8)
                assert sigma <= upper <= sigma * (1 + slack + 1e-8) + 1e-320
                assert v.shape == (matrix.shape[1],)


def test_layouts_and_storages_give_one_value():
    """Read-only, strided, Fortran-ordered, wide: the same matrix, the same norm."""
    rng = np.random.default_rng(0)
    for shape in ((70, 70), (40, 700), (900, 40), (1100, 1200)):
        A = rng.standard_normal(shape).astype(np.float32)
        expected = spectral_norm(A, 1e-7)[0]
        frozen = A.copy()
        frozen.flags.writeable = False
        spread = np.zeros((2 * shape[0], 3 * shape[1]), dtype=np.float32)[::2, ::3]
        spread[...] = A
        for other in (frozen, spread, np.asfortranarray(A), A.astype(np.float64), A[::-1]):
            sigma, v, info = spectral_norm(other, 1e-7)
            assert sigma == pytest.approx(expected, rel=3e-7)
            assert np.linalg.norm(other.astype(np.float64) @ v) >= sigma
            assert info["converged"]
        assert spectral_norm(aslinearoperator(A.astype(np.float64)), 1e-7)[0] == pytest.approx(expected, rel=3e-7)
        for bits, name in ((A.astype(np.float16).view(np.uint16), "f16"), (_bf16(A), "bf16")):
            values = bits.view(np.float16).astype(float) if name == "f16" else _from_bf16(bits)
            assert spectral_norm(bits, 1e-7, dtype=name)[0] == pytest.approx(spectral_norm(values, 1e-7)[0], rel=3e-7)


def _bf16(A):
    return (A.view(np.uint32) >> 16).astype(np.uint16)


def _from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(float)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(5, 4), (80, 70), (1100, 1000)])
def test_entries_that_are_not_finite_are_named(value, shape):
    A = np.ones(shape, dtype=np.float32)
    A[shape[0] // 2, shape[1] - 1] = value
    for matrix, place in ((A, (shape[0] // 2, shape[1] - 1)), (A.T, (shape[1] - 1, shape[0] // 2))):
        with pytest.raises(ValueError, match=rf"\[{place[0]}, {place[1]}\] is {value}"):
            spectral_norm(matrix)


def test_top_of_tridiagonal_matrices(count):
    """The compiled Newton iteration and inverse iteration against LAPACK: graded, decoupled and flat ones too."""
    rng = np.random.default_rng(0)
    for i in range(count(200, 1000)):
        k = int(rng.integers(1, 40))
        a, b = rng.random(k) * 10.0 ** rng.uniform(-6, 0, k), rng.random(k) * 10.0 ** rng.uniform(-12, 0, k)
        if i % 3 == 0:
            a, b = np.full(k, 0.5), np.where(rng.random(k) < 0.2, 1e-15, b)
        T = np.diag(a) + np.diag(b[: k - 1], 1) + np.diag(b[: k - 1], -1)
        values, vectors = np.linalg.eigh(T)
        top, last = compiled.ritz_top(a, b, k, 0.0, 0.0)
        assert top == pytest.approx(values[-1], rel=1e-13)
        s = compiled.ritz_vector(a, b, k, top)
        assert np.linalg.norm(s) == pytest.approx(1.0, rel=1e-13)
        assert np.linalg.norm(T @ s - top * s) <= 1e-13
        if k > 1 and values[-1] - values[-2] > 1e-3:
            assert last >= abs(vectors[-1, -1]) * 0.98 - 1e-5  # the residual is not taken for too small
            if abs(vectors[-1, -1]) > 1e-3:
                assert last == pytest.approx(abs(vectors[-1, -1]), rel=1e-3)


def test_cpu_agrees_with_ref():
    rng = np.random.default_rng(0)
    for n in (1, 2, 6, 20):
        S = rng.standard_normal((n, n))
        S = S + S.T
        a, b = (package.spectral_norm(S)[0] for package in (cpu, ref))
        assert b * (1 - 1e-12) <= a <= b * (1 + 1e-15)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    A = np.eye(70)
    bad = A.copy()
    bad[1, 2] = np.nan
    for call, match in [
        (lambda: package.spectral_norm(bad), r"\[1, 2\]"),
        (lambda: package.spectral_norm(A, tol=0.0), "tol"),
        (lambda: package.spectral_norm(A, maxiter=0), "maxiter"),
        (lambda: package.spectral_norm(Product(bad)), "finite"),
        (lambda: package.spectral_norm(np.zeros((0, 3))), "shape"),
        (lambda: package.spectral_norm(np.ones(3)), "shape"),
        (lambda: package.spectral_norm(np.eye(70, dtype=np.int32)), "int32"),
        (lambda: package.spectral_norm(np.eye(70, dtype=complex)), "complex"),
        (lambda: package.spectral_norm(np.eye(70).view(np.uint16)), "uint16"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
