"""Many small matrices at once: proved bounds of largest eigenvalues and brackets of norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._common import (
    UNIT,
    checked_slack,
    down,
    gamma,
    norm_down,
    norm_up,
    rescaled,
    scaled_down,
    scaled_up,
    sum_up,
    up,
)
from lipop_kernels.cpu._cholesky import finite_exponent, first_value, symmetric_upper, symmetrised
from lipop_kernels.cpu._products import NARROW, one_blas_thread

EIGH = 40  # up to this order a verified eigendecomposition of the whole stack is faster than factorisations one by one


def psd_max_batched(G: Any, error: Any, rtol: float = 1e-2) -> np.ndarray:
    """Proved upper bounds of ``lambda_max`` of each true matrix of a stack, known within ``error``.

    Orders up to 40: eigenvalues L and vectors V of ``H = fl((G + G^T) / 2)`` are computed for the whole stack. Then ``H
    = V L V^T + E`` and ``lambda_max(H) <= max(L, 0) (1 + |V^T V - I|_F) + |E|_F``, the residuals evaluated in float64
    with their rounding added. Larger orders: a few Lanczos steps, then the verified factorisation of ``symmetric_max``
    for each matrix.

    Parameters
    ----------
    G : (B, n, n) array
        float64 or float32.
    error : float or (B,) array
        Bounds of ``|G_true - G|_F``, G_true symmetric (positive semidefinite in its uses, which the proof does not
        need).
    rtol : float
        Slack aimed at, relative to ``|G|_2``.

    Returns
    -------
    (B,) float64 array

    Raises
    ------
    ValueError
        For a wrong shape, an entry that is not finite, or ``rtol`` or ``error`` out of range.

    Examples
    --------
    >>> bounds = psd_max_batched(np.stack([np.eye(3), np.diag([1.0, 2.0, 5.0])]), 0.0)
    >>> bool((bounds >= [1.0, 5.0]).all() and (bounds <= [1.01, 5.05]).all())
    True
    """
    G = _stack(G, "G")
    if G.shape[1] != G.shape[2]:
        raise ValueError(f"G has shape {G.shape}; expected a stack of square matrices")
    checked_slack(rtol, error)
    errors = np.broadcast_to(np.asarray(error, dtype=np.float64), (len(G),))
    H, exponents = _rescaled_stack(G, "G")
    if G.shape[1] <= EIGH:
        bounds = _eigen_upper(*_symmetric_parts(H))[0]
    else:
        with one_blas_thread(G.shape[1] <= NARROW):
            bounds = np.array([_symmetric_upper(h, rtol) for h in H])
    return np.array([sum_up(scaled_up(b, e), d) for b, e, d in zip(bounds, exponents, errors.tolist(), strict=True)])


def batched_spectral_norms(A: Any, *, rtol: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """Certified brackets of ``|A_b|_2`` for a stack of matrices.

    ``|fl(A^T A) - A^T A|_F <= g_m |A|_F^2`` on the smaller side, so the upper end is the root of ``psd_max_batched``
    with that error; the lower end is ``|A v| / |v|`` for the computed top vector, rounded down.

    Parameters
    ----------
    A : (B, m, n) array
        float64 or float32; entries count as exact.
    rtol : float
        Relative slack of the upper end aimed at.

    Returns
    -------
    lower, upper : (B,) float64 arrays

    Raises
    ------
    ValueError
        For a wrong shape, an entry that is not finite, or ``rtol`` out of range.

    Examples
    --------
    >>> lower, upper = batched_spectral_norms(np.stack([np.eye(3), np.diag([1.0, 2.0, 5.0])]))
    >>> bool((lower <= [1.0, 5.0]).all() and ([1.0, 5.0] <= upper).all() and (upper <= lower * 1.00001).all())
    True
    """
    A = _stack(A, "A")
    checked_slack(rtol, 0.0)
    T, exponents = _rescaled_stack(A if A.shape[1] >= A.shape[2] else A.swapaxes(1, 2), "A")
    m, n = T.shape[1:]
    if n <= EIGH:
        G = T.swapaxes(1, 2) @ T
        H, rounding = _symmetric_parts(G)
        trace = np.trace(G, axis1=1, axis2=2)
        squares, tops = _eigen_upper(H, rounding + up(gamma(m) * trace * (1 + gamma(m + n + 2))) + m * n * 1e-300)
    else:
        squares, tops = np.empty(len(T)), np.empty((len(T), n))
        with one_blas_thread(n <= NARROW):
            for b, t in enumerate(T):
                squares[b], tops[b] = _gram_upper(t, rtol)
    lower = [scaled_down(_quotient_down(t, v), e) for t, v, e in zip(T, tops, exponents, strict=True)]
    upper = [scaled_up(up(float(np.sqrt(s))), e) if s > 0 else 0.0 for s, e in zip(squares, exponents, strict=True)]
    return np.array(lower), np.array(upper)


def _stack(A: Any, name: str) -> np.ndarray:
    A = np.asarray(A)
    if A.ndim != 3 or 0 in A.shape[1:]:
        raise ValueError(
            f"{name} has shape {A.shape}; expected a stack (B, m, n) of matrices with at least one row and column"
        )
    if A.dtype not in (np.float64, np.float32):
        raise ValueError(f"{name} has dtype {A.dtype}; expected float64 or float32")
    return A


def _rescaled_stack(A: np.ndarray, name: str) -> tuple[np.ndarray, list[int]]:
    """The stack in float64, each matrix rescaled to largest entry in [1/2, 1); the exponents (0 for zero matrices)."""
    exponents = [finite_exponent(a, f"{name}[{b}]") or 0 for b, a in enumerate(A)]
    T = A.astype(np.float64)
    for t, e in zip(T, exponents, strict=True):
        t[...] = rescaled(t, e)
    return T, exponents


def _symmetric_parts(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``fl((G + G^T) / 2)`` of each matrix and bounds (B,) of its rounding."""
    H = 0.5 * (G + G.swapaxes(1, 2))
    return H, up(UNIT * _frobenius_up(H), 8) + G.shape[1] * 1e-300


def _frobenius_up(X: np.ndarray) -> np.ndarray:
    """(B,) upper bounds of the Frobenius norms."""
    return up(np.sqrt((X * X).sum(axis=(1, 2))) * (1.0 + gamma(X.shape[1] * X.shape[2] + 2))) + 1e-160


def _eigen_upper(H: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (B,) of ``lambda_max(H')`` for symmetric H' within ``error`` of H, and the computed top vectors (B, n).

    Rounding of the residual ``H - (V L) V^T``: ``g_{n+2} |V|_F^2 max|L|`` from the product, and u times its entries
    from the subtraction; of ``V^T V - I``: ``g_{n+1} |V|_F^2``.
    """
    n = H.shape[1]
    L, V = np.linalg.eigh(H)
    Vt = V.swapaxes(1, 2)
    size = _frobenius_up(V) ** 2
    peak = np.abs(L).max(axis=1)
    product = (V * L[:, None, :]) @ Vt
    residual = _frobenius_up(H - product) * (1 + 2 * UNIT) + gamma(n + 3) * size * peak + n * n * 1e-300
    defect = _frobenius_up(Vt @ V - np.eye(n)) * (1 + 2 * UNIT) + gamma(n + 2) * size
    bounds = up(np.maximum(L[:, -1], 0.0) * (1.0 + defect) + residual + error, 8)
    return np.where(H.any(axis=(1, 2)), bounds, 0.0), V[:, :, -1]


def _symmetric_upper(S: np.ndarray, rtol: float) -> float:
    """A proved bound of the largest eigenvalue of the symmetric part of S."""
    H, rounding = symmetrised(S)
    return symmetric_upper(H, rounding, rtol, first_value(H, rtol / 4)) if H.any() else 0.0


def _gram_upper(T: np.ndarray, rtol: float) -> tuple[float, np.ndarray]:
    """A proved bound of ``|T|_2^2`` for m x n with n <= m, and the computed top vector."""
    m, n = T.shape
    if not T.any():
        return 0.0, np.eye(1, n)[0]
    G = T.T @ T
    H, rounding = symmetrised(G)
    error = rounding + up(gamma(m) * float(np.trace(G)) * (1 + gamma(m + n + 2)), 8) + m * n * 1e-300
    top = first_value(H, rtol / 4)
    return symmetric_upper(H, error, rtol, top), top.vector


def _quotient_down(T: np.ndarray, v: np.ndarray) -> float:
    """``|T v| / |v|``, rounded down (entries at most 1)."""
    g = gamma(T.shape[1] + 1)
    slack = up(g * norm_up(np.abs(T) @ np.abs(v)) / (1.0 - g)) + 1e-150
    return max(0.0, down(max(0.0, down(norm_down(T @ v)) - slack) / norm_up(v)))
