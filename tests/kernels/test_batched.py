"""Stacks: brackets that hold exactly, for both routes (eigendecomposition and factorisation)."""

import math

import numpy as np
import pytest

from lipop_kernels import batched_spectral_norms, cpu, psd_max_batched, ref
from lipop_kernels.cpu import batched
from lipop_kernels.ref._exact import at_most, fraction, norm_at_most, symmetric_part


@pytest.fixture(params=["eigen", "cholesky"])
def route(request, monkeypatch):
    """Small stacks take the eigendecomposition; with the limit at 0 they take the factorisation."""
    if request.param == "cholesky":
        monkeypatch.setattr(batched, "EIGH", 0)
    return request.param


def test_brackets_hold_exactly(route, cases, count):
    for label, A in cases(count(54, 306), seed=21):
        lower, upper = batched_spectral_norms(A[None], rtol=1e-8)
        values = A.astype(np.float64)
        if math.isfinite(upper[0]):
            assert norm_at_most(values, float(upper[0])), label
        assert lower[0] == 0 or not norm_at_most(values, math.nextafter(float(lower[0]), 0.0)), label
        if lower[0] > 1e-290 and math.isfinite(upper[0]):
            assert upper[0] <= lower[0] * (1 + 2e-8), label


def test_psd_bounds_hold_exactly(route, cases, count):
    for label, A in cases(count(54, 306), seed=22):
        values = A.astype(np.float64)
        values = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
        G = values.T @ values
        error = 1e-9 * float(np.linalg.norm(G))
        bound = float(psd_max_batched(G[None], error, rtol=1e-3)[0])
        assert at_most(symmetric_part(G), fraction(bound) - fraction(error)), label
        assert bound <= (float(np.linalg.eigvalsh(G)[-1]) + error) * (1 + 2e-3) + 1e-290, label


def test_an_adversarial_error_is_covered():
    """The true matrix is G plus the worst perturbation of norm ``error``."""
    rng = np.random.default_rng(0)
    for n in (5, 30, 60):
        A = rng.standard_normal((8, n, n))
        G = A.swapaxes(1, 2) @ A
        top = np.linalg.eigh(G)[1][:, :, -1]
        errors = 0.1 * np.arange(8.0)
        worst = G + errors[:, None, None] * top[:, :, None] * top[:, None, :]
        bounds = psd_max_batched(G, errors, rtol=1e-10)
        assert bool((bounds >= np.linalg.eigvalsh(worst)[:, -1] * (1 - 1e-13)).all())
        skew = rng.standard_normal((8, n, n))
        np.testing.assert_allclose(psd_max_batched(G + 1e-3 * (skew - skew.swapaxes(1, 2)), errors, rtol=1e-10), bounds)


@pytest.mark.parametrize("shape", [(6, 50, 45), (6, 45, 50), (4, 100, 20), (3, 384, 64), (5, 1, 7), (5, 7, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_against_numpy(shape, dtype):
    A = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    lower, upper = batched_spectral_norms(A, rtol=1e-7)
    exact = np.linalg.norm(A.astype(np.float64), 2, axis=(1, 2))
    assert bool((lower <= exact * (1 + 1e-14)).all())
    assert bool((exact * (1 - 1e-14) <= upper).all())
    assert bool((upper <= lower * (1 + 3e-7)).all())


def test_mixed_scales_zeros_and_empty_stacks():
    A = np.random.default_rng(0).standard_normal((4, 50, 45)) * np.array([1e150, 0.0, 1e-150, 1e-300])[:, None, None]
    lower, upper = batched_spectral_norms(A)
    assert lower[1] == upper[1] == 0.0
    assert bool((upper[[0, 2, 3]] <= lower[[0, 2, 3]] * 1.00001).all())
    assert [a.shape for a in batched_spectral_norms(A[:0])] == [(0,), (0,)]
    assert psd_max_batched(np.zeros((2, 50, 50)), [0.0, 1.0]).tolist() == [0.0, 1.0]
    assert psd_max_batched(np.zeros((2, 3, 3)), [0.0, 1.0]).tolist() == [0.0, 1.0]
    assert [a.tolist() for a in batched_spectral_norms(np.zeros((1, 3, 2)))] == [[0.0], [0.0]]
    assert psd_max_batched(np.zeros((0, 3, 3)), 0.0).shape == (0,)


def test_cpu_agrees_with_ref(route):
    A = np.random.default_rng(0).standard_normal((5, 4, 3))
    for a, b in zip(cpu.batched_spectral_norms(A), ref.batched_spectral_norms(A), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-6)
    G = A.swapaxes(1, 2) @ A
    np.testing.assert_allclose(cpu.psd_max_batched(G, 0.5), ref.psd_max_batched(G, 0.5), rtol=3e-2)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    G = np.stack([np.eye(3)] * 2)
    bad = G.copy()
    bad[1, 0, 2] = np.inf
    for call, match in [
        (lambda: package.psd_max_batched(bad, 0.0), "inf"),
        (lambda: package.batched_spectral_norms(bad), "inf"),
        (lambda: package.psd_max_batched(G, -1.0), "error"),
        (lambda: package.psd_max_batched(G, [0.0, np.nan]), "error"),
        (lambda: package.psd_max_batched(G, 0.0, rtol=0.0), "rtol"),
        (lambda: package.psd_max_batched(G[:, :2], 0.0), "square"),
        (lambda: package.batched_spectral_norms(G[0]), "stack"),
        (lambda: package.batched_spectral_norms(G.astype(int)), "int64"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
