"""Proved upper bounds against exact rational arithmetic; claims that are false must be refused."""

import math
import tracemalloc
from fractions import Fraction

import flint
import numpy as np
import pytest

from lipop_kernels import _common, cpu, ref, spectral_norm, spectral_norm_upper, symmetric_max
from lipop_kernels._common import exponent_of, rescaled, stored
from lipop_kernels.cpu._cholesky import factorises, proves_gram, proves_symmetric, symmetrised
from lipop_kernels.cpu.verified import _gram
from lipop_kernels.ref._exact import at_most, fraction, gram, norm_at_most, symmetric_part


def proves(A, s):
    """The test inside ``spectral_norm_upper``: does it accept ``|A|_2 <= s``?"""
    A, kind = stored(A)
    exponent = exponent_of(A, kind)
    G = _gram(A, kind, exponent)
    return proves_gram(G, math.ldexp(s, -exponent), max(A.shape), np.empty_like(G))


def exact_norm(A):
    """The smallest float that is at least |A|_2 (rational bisection)."""
    return ref.spectral_norm_upper(A, rtol=1e-17)


def test_the_exact_decision_agrees_with_ball_arithmetic():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        A = rng.standard_normal((n + 1, n))
        G = flint.fmpq_mat(n, n, [x for row in gram(A) for x in row])
        top = max(e.real for e in flint.acb_mat(flint.arb_mat(G)).eig()).sqrt()
        s = exact_norm(A)
        assert flint.arb(s) >= top.lower()
        assert flint.arb(math.nextafter(s, 0.0)) <= top.upper()


def test_upper_bounds_hold_exactly(cases, count):
    """cpu's value, checked without rounding; and its slack is what was asked for."""
    for label, A in cases(count(90, 360), seed=1):
        rtol = (1e-3, 1e-6, 1e-8, 1e-12)[len(label) % 4]
        upper = spectral_norm_upper(A, rtol=rtol)
        if math.isinf(upper):
            assert "largest" in label, label
            continue
        values = A.astype(np.float64)
        assert norm_at_most(values, upper), label
        loose = upper / (1 + 1.1 * rtol + 1e-12) - 1e-300
        assert not (upper > 1e-290 and norm_at_most(values, loose)), label


def test_false_claims_are_refused(cases, count):
    """The factorisation never proves a float below the norm, however close."""
    tried = 0
    for label, A in cases(count(60, 300), seed=2):
        values = A.astype(np.float64)
        exponent = exponent_of(values, "f64")
        norm = exact_norm(rescaled(values, exponent))  # rescaled: exact unless an entry underflows
        for claim in (norm * (1 - 1e-9), norm * (1 - 1e-12), norm * (1 - 1e-14), math.nextafter(norm, 0.0), norm / 2):
            if not norm_at_most(rescaled(values, exponent), claim):
                assert not proves(rescaled(values, exponent), claim), (label, claim)
                tried += 1
    assert tried > count(60, 300) * 3


def test_false_claims_are_refused_for_larger_matrices(spectrum, count):
    """Up to 150 columns: a matrix with integer entries in a known position has a known norm."""
    rng = np.random.default_rng(3)
    for _ in range(count(12, 60, 500)):
        n = int(rng.integers(20, 150))
        H = np.kron(
            np.eye(n // 4), np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=float)
        )
        A = H[rng.permutation(len(H))][:, rng.permutation(len(H))] * 2.0 ** int(rng.integers(-40, 40))
        norm = 2 * float(np.abs(A).max())  # H^T H = 4 I
        assert not proves(A, norm * (1 - 1e-13))
        assert not proves(A, math.nextafter(norm, 0.0))
        assert norm <= spectral_norm_upper(A, rtol=1e-9) <= norm * (1 + 2e-9)


def test_a_bound_without_the_rounding_terms_would_be_false(cases, count):
    """Plain Cholesky of ``s^2 I - A^T A`` accepts claims below the norm; the verified test does not."""
    accepted = 0
    for label, A in cases(count(150, 300), seed=9, largest=4):
        if not 1e-100 < float(np.abs(A).max()) < 1e100:
            continue
        values = A.astype(np.float64) if A.shape[0] >= A.shape[1] else A.T.astype(np.float64)
        s = math.nextafter(exact_norm(values), 0.0)
        M = s * s * np.eye(values.shape[1]) - values.T @ values
        if not norm_at_most(values, s) and factorises(M):
            accepted += 1
            assert not proves(values, s), label
    assert accepted > 0


@pytest.mark.parametrize(("m", "n"), [(300, 200), (200, 300), (90, 65)])
def test_tight_and_above_the_lower_bound(m, n, spectrum):
    rng = np.random.default_rng(m)
    for A in (rng.standard_normal((m, n)), spectrum(rng, max(m, n), np.arange(1.0, min(m, n) + 1) ** -0.5)):
        lower, _, _ = spectral_norm(A, tol=1e-10)
        upper = spectral_norm_upper(A, rtol=1e-8)
        assert lower <= upper <= lower * (1 + 1.2e-8)
        assert not proves(A, lower * (1 - 1e-9))


@pytest.mark.parametrize("shape", [(200_000, 6), (6, 200_000)])
def test_a_long_side_is_read_in_blocks(shape, monkeypatch):
    """Tall or wide, memory is bounded by the block, not by the long side."""
    monkeypatch.setattr(_common, "BLOCK", 2**14)
    A = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    expected = np.linalg.norm(A.astype(np.float64), 2)
    spectral_norm_upper(A[:9, :9])  # loads the libraries
    tracemalloc.start()
    upper = spectral_norm_upper(A, rtol=1e-8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert expected * (1 - 1e-12) <= upper <= expected * (1 + 2e-8)
    assert peak < A.nbytes / 4


def test_start_error_and_zero():
    A = np.random.default_rng(0).standard_normal((40, 30))
    plain = spectral_norm_upper(A, rtol=1e-6)
    for start in (1e-9, 1.0, plain / 2, plain, 1e9):  # wrong estimates cost tightness, never truth
        assert spectral_norm(A, 1e-12)[0] <= spectral_norm_upper(A, rtol=1e-6, start=start)
    assert spectral_norm_upper(A, rtol=1e-6, start=spectral_norm(A, 1e-9)[0]) <= plain * (1 + 1e-9)
    assert Fraction(spectral_norm_upper(A, rtol=1e-6, error=0.1)) >= Fraction(plain) + Fraction(0.1)
    assert spectral_norm_upper(np.zeros((3, 2)), error=0.25) == 0.25
    assert spectral_norm_upper(np.zeros((3, 2))) == 0.0
    assert symmetric_max(np.zeros((2, 2)), error=0.5) == 0.5


def test_half_precision_storage():
    A = np.random.default_rng(0).standard_normal((50, 20)).astype(np.float16)
    upper = spectral_norm_upper(A.view(np.uint16), dtype="f16")
    assert upper == spectral_norm_upper(A.astype(np.float64))
    bits = (A.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    values = (bits.astype(np.uint32) << 16).view(np.float32)
    assert spectral_norm_upper(bits, dtype="bf16") == spectral_norm_upper(values.astype(np.float64))


def test_symmetric_max_holds_exactly(cases, count):
    for label, A in cases(count(54, 306), seed=4):
        k = min(A.shape)
        S = A[:k, :k].astype(np.float64)
        rtol = (1e-3, 1e-8)[len(label) % 2]
        bound = symmetric_max(S, rtol=rtol)
        if math.isinf(bound):
            assert "largest" in label, label
            continue
        H = symmetric_part(S)
        assert at_most(H, fraction(bound)), label
        scale = max(abs(h) for row in H for h in row)
        slack = flint.fmpq(3 * k) * fraction(rtol + 1e-13) * scale + fraction(1e-300)
        assert scale == 0 or not at_most(H, fraction(bound) - slack), label


def test_false_symmetric_claims_are_refused(cases, count):
    for label, A in cases(count(54, 306), seed=5):
        k = min(A.shape)
        S = A[:k, :k].astype(np.float64)
        if not S.any():
            continue
        S = rescaled(S, exponent_of(S, "f64"))
        top = ref.symmetric_max(S, rtol=1e-17)
        H, rounding = symmetrised(S)
        for claim in (top - 1e-9, top - 1e-13, math.nextafter(top, -math.inf)):
            if not at_most(symmetric_part(S), fraction(claim)):
                assert not proves_symmetric(H, claim, rounding, np.empty_like(H)), (label, claim)


def test_symmetric_max_negative_and_large():
    rng = np.random.default_rng(0)
    S = rng.standard_normal((120, 120))
    top = float(np.linalg.eigvalsh((S + S.T) / 2)[-1])
    shifted = symmetric_max(S - 30 * np.eye(120), rtol=1e-9)
    assert top - 30 - 1e-12 <= shifted <= top - 30 + 1e-7
    assert shifted < 0
    assert symmetric_max(S - S.T, rtol=1e-9) <= 1e-6
    assert Fraction(symmetric_max(S, error=2.0)) >= Fraction(symmetric_max(S)) + 2


def test_cpu_agrees_with_ref(cases):
    for label, A in cases(36, seed=6, largest=5):
        a, b = cpu.spectral_norm_upper(A, rtol=1e-9), ref.spectral_norm_upper(A, rtol=1e-9)
        assert a == b or abs(a - b) <= 3e-9 * max(a, b) + 1e-300, label


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    A = np.eye(3)
    for value in (np.nan, np.inf, -np.inf):
        bad = A.copy()
        bad[1, 2] = value
        with pytest.raises(ValueError, match=r"\[1, 2\]"):
            package.spectral_norm_upper(bad)
        with pytest.raises(ValueError, match=r"\[1, 2\]"):
            package.symmetric_max(bad)
        with pytest.raises(ValueError, match="error"):
            package.spectral_norm_upper(A, error=value)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        package.spectral_norm_upper(np.array([[0, 0x7F80]], dtype=np.uint16), dtype="bf16")
    for call, match in [
        (lambda: package.spectral_norm_upper(A, rtol=0.0), "rtol"),
        (lambda: package.spectral_norm_upper(A, error=-1.0), "error"),
        (lambda: package.spectral_norm_upper(A, start=np.nan), "start"),
        (lambda: package.spectral_norm_upper(A[None]), "shape"),
        (lambda: package.spectral_norm_upper(A[:0]), "shape"),
        (lambda: package.spectral_norm_upper(A.astype(int)), "int64"),
        (lambda: package.symmetric_max(A[:0, :0]), "shape"),
        (lambda: package.symmetric_max(A[:2]), "square"),
        (lambda: package.symmetric_max(A, rtol=np.nan), "rtol"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
