"""Proved upper bounds of ``|A|_2`` and of the largest eigenvalue of a symmetric part, by Cholesky factorisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._common import blocks, checked_slack, exponent_of, gamma, rescaled, scaled_up, stored, sum_up, up
from lipop_kernels.cpu._cholesky import (
    defect,
    finite_exponent,
    first_proved,
    first_value,
    proves_gram,
    symmetric_upper,
    symmetrised,
)
from lipop_kernels.cpu._products import NARROW, one_blas_thread


def spectral_norm_upper(
    A: Any, rtol: float = 1e-3, error: float = 0.0, *, dtype: str | None = None, start: float | None = None
) -> float:
    """A float that is proved to be at least ``|A|_2 + error``.

    Let A be m x n with n <= m (else take ``A^T``), rescaled by a power of two to largest entry in [1/2, 1), ``u =
    2**-53`` and ``g_k = k u / (1 - k u)``. The computed Gram matrix G satisfies ``|G - A^T A|_2 <= g_m |A|_F^2`` in
    every order of summation. Let

        ``c >= g_{n+1} / (1 - g_{n+1}) n s^2 + g_m |A|_F^2 + 8 u s^2 + n (m + n) 1e-300``.

    *Claim.* If the Cholesky factorisation of ``M = fl((s^2 - c) I - G)`` runs to its end, then ``|A|_2 <= s``.

    *Proof.* The computed factor R satisfies ``R^T R = M + D``, ``|D| <= g_{n+1} |R|^T |R|`` (Higham 2002, theorem
    10.3). So ``lambda_min(M) >= -|D|_2 >= -g_{n+1} |R|_F^2``, and ``|R|_F^2 = trace(M + D)`` gives ``|R|_F^2 <=
    trace(M) / (1 - g_{n+1})`` (Rump 2006). Each diagonal entry of M is at most s^2, so ``trace(M) <= n s^2``; s^2, s^2
    - c and the subtraction cost at most ``8 u s^2``. Hence ``(s^2 - c) I - A^T A >= -c I``, which is ``A^T A <= s^2
    I``. The last term of c exceeds every underflow (entries are at most 1, and ``s >= 1/2``). QED

    The first s is a Lanczos (or eigenvalue) estimate from below times ``1 + rtol``, or plus 4 times the rounding terms
    where that is more; on failure the slack doubles. An estimate that is too small therefore costs time or tightness,
    never truth.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``; its entries count as exact.
    rtol : float
        Relative slack aimed at (about ``n^2 u`` can be reached: 1e-8 up to n of about 5000).
    error : float
        Added to the bound: a bound of ``|A_true - A|_2`` where A itself is approximate.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    start : float, optional
        An estimate of ``|A|_2`` from below, such as the first value of ``spectral_norm``; saves the Lanczos run.

    Returns
    -------
    float
        ``>= |A|_2 + error`` (infinity where that overflows); ``error`` itself for a zero matrix.

    Raises
    ------
    ValueError
        If an entry is not finite, a shape or type is wrong, or ``rtol``, ``error`` or ``start`` is out of range.

    Notes
    -----
    It rests on IEEE double arithmetic, rounding to nearest, and on a BLAS and LAPACK that obey the standard error
    model: conventional (not Strassen) products; triangular solves by substitution, where multiplying by reciprocals of
    diagonal entries is covered.

    References
    ----------
    S. M. Rump, Verification of positive definiteness, BIT 46 (2006). N. J. Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed. (2002), chapters 3 and 10.

    Examples
    --------
    >>> bound = spectral_norm_upper(np.diag([3.0, 4.0]), rtol=1e-9)
    >>> 4.0 <= bound <= 4.0 * (1 + 1e-8)
    True
    """
    A, kind = stored(A, dtype)
    checked_slack(rtol, error)
    exponent = exponent_of(A, kind)
    if start is not None and not (start >= 0 and math.isfinite(start)):
        raise ValueError(f"start is {start!r}; expected an estimate of the norm: a finite number >= 0")
    if exponent is None:
        return float(error)
    m, n = max(A.shape), min(A.shape)
    estimate = math.ldexp(start, -exponent) if start else 0.0
    with one_blas_thread(n <= NARROW):
        s = _upper(_gram(A, kind, exponent), m, rtol, estimate if 0.25 < estimate < 2.0 * n * m else None)
    return sum_up(scaled_up(s, exponent), float(error))


def _upper(G: np.ndarray, m: int, rtol: float, low: float | None) -> float:
    """A proved bound of ``|A|_2`` from the computed Gram matrix of an A with m rows and largest entry in [1/2, 1)."""
    n = len(G)
    if low is None:
        with one_blas_thread():
            low = math.sqrt(first_value(G, rtol / 4).value)
    c = defect(n, n * low * low) + gamma(m) * float(np.trace(G)) + 8 * 2.0**-53 * low * low
    work = np.empty_like(G)
    frobenius = up(math.sqrt(up(float(np.trace(G)) * (1.0 + gamma(m + n + 2)))) + 1e-140)
    return first_proved(lambda s: proves_gram(G, s, m, work), low, max(rtol * low, 4 * c / low), frobenius)


def _gram(A: np.ndarray, kind: str, exponent: int) -> np.ndarray:
    """The Gram matrix of the smaller side of ``2**-exponent A``, in float64; the long side is read block by block."""
    tall = A if A.shape[0] >= A.shape[1] else A.T
    G = np.zeros((tall.shape[1], tall.shape[1]))
    for _, block in blocks(tall, kind):
        b = rescaled(block, exponent)
        G += b.T @ b
    return G


def symmetric_max(S: Any, rtol: float = 1e-3, error: float = 0.0) -> float:
    """A float that is proved to be at least ``lambda_max((S + S^T) / 2) + error``; it may be negative.

    With ``H = fl((S + S^T) / 2)``, whose rounding is at most ``u |H|_F``, the Cholesky factorisation of ``fl((s - c) I
    - H)`` runs to its end for a c that covers this rounding, ``g_{n+1} / (1 - g_{n+1}) trace`` and the rounding of the
    diagonal: then ``H_true <= s I``, by the proof in ``spectral_norm_upper``.

    Parameters
    ----------
    S : (n, n) array
        float64 or float32; its entries count as exact.
    rtol : float
        Slack aimed at, relative to (an estimate of) ``|(S + S^T) / 2|_2``, not to the eigenvalue, which may be near 0.
    error : float
        Added to the bound: a bound of ``|S_true - S|_2``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If S is not square, an entry is not finite, or ``rtol`` or ``error`` is out of range.

    Examples
    --------
    >>> bound = symmetric_max(np.array([[-2.0, 1.0], [-1.0, -3.0]]), rtol=1e-9)
    >>> -2.0 <= bound <= -2.0 + 1e-8
    True
    """
    S, _ = stored(S)
    if S.shape[0] != S.shape[1]:
        raise ValueError(f"S has shape {S.shape}; expected a square matrix")
    checked_slack(rtol, error)
    exponent = finite_exponent(S, "S")
    if exponent is None:
        return float(error)
    H, rounding = symmetrised(rescaled(S.astype(np.float64), exponent))
    with one_blas_thread():
        top = first_value(H, rtol / 4)
    with one_blas_thread(len(H) <= NARROW):
        bound = symmetric_upper(H, rounding, rtol, top)
    return sum_up(scaled_up(bound, exponent), float(error))
