"""The largest singular value from below, and from above with a probability: Lanczos with two passes of Gram-Schmidt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipop_kernels._common import (
    HALF,
    blocks,
    decoded,
    down,
    exponent_of,
    gamma,
    norm_down,
    norm_up,
    rescaled,
    scaled_down,
    stored,
    up,
)
from lipop_kernels.cpu._krylov import extreme_ritz
from lipop_kernels.cpu._products import image, one_blas_thread, times_transpose
from lipop_kernels.cpu.gram import gram_matvec

DENSE = 64  # up to this many rows or columns an SVD is at least as fast
Product = Callable[[np.ndarray], np.ndarray]


def spectral_norm(
    A: Any, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> tuple[float, np.ndarray, dict[str, Any]]:
    """The spectral norm ``|A|_2`` from below: a true lower bound within about ``tol``, and its direction.

    Lanczos on ``A^T A`` (on ``A A^T`` where A has fewer rows than columns) with two passes of Gram-Schmidt, from a
    random start. It stops when the residual r of the largest Ritz value t says that t is accurate: ``min(r, r^2 / gap)
    <= tol t``, gap to the second Ritz value. That test can be deceived (a start almost orthogonal to the top vector);
    the returned number cannot: it is ``|A v| / |v|`` for the returned v, evaluated in float64 and rounded down.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
        float64, float32, or uint16 with ``dtype``.
    tol : float
        Relative accuracy aimed at. Products are in float32 for a matrix stored in 32 or 16 bits and ``tol >= 1e-6``,
        else in float64.
    rng : Generator or seed
        The start vector.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    maxiter : int, optional
        At most so many applications of ``A^T A`` (default 300).

    Returns
    -------
    sigma : float
        ``<= |A|_2``. For an array all rounding is covered: with ``w = fl(A v)``,
        ``|A v| >= |w| - g_n | |A| |v| |`` (Higham 2002, section 3.5), each term rounded to the safe side.
    v : (n,) float64 array
        A unit vector (up to rounding) with ``|A v| / |v| >= sigma``.
    info : dict
        ``iterations``, ``residual`` (relative to the Ritz value), ``converged``, ``history`` (estimates of sigma, one
        for each test) and ``rounding_covered``: False for a matvec object, whose products have an error that is not
        known here.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or ``tol`` or ``maxiter`` that are not positive.

    Examples
    --------
    >>> sigma, v, info = spectral_norm(np.diag([3.0, 4.0]))
    >>> 4.0 * (1 - 1e-12) < sigma <= 4.0, info["rounding_covered"]
    (True, True)
    """
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}; expected a positive number")
    if maxiter is not None and maxiter < 1:
        raise ValueError(f"maxiter is {maxiter!r}; expected at least 1")
    if hasattr(A, "matvec") and hasattr(A, "rmatvec"):
        return _operator_norm(A, tol, rng, maxiter)
    A, kind = stored(A, dtype)
    exponent = exponent_of(A, kind)
    if exponent is None:
        return 0.0, np.eye(1, A.shape[1])[0], _info(0, 0.0, True, [0.0])
    if min(A.shape) <= DENSE:
        v, info = _dense_top(A, kind, exponent)
    else:
        v, info = _lanczos_top(A, kind, exponent, tol, rng, maxiter)
    return _quotient_down(A, kind, exponent, v), v, info


def _info(
    iterations: int, residual: float, converged: bool, history: list[float], covered: bool = True
) -> dict[str, Any]:
    return {
        "iterations": iterations,
        "residual": residual,
        "converged": converged,
        "history": history,
        "rounding_covered": covered,
    }


def _dense_top(A: np.ndarray, kind: str, exponent: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The top right singular vector through the Gram matrix of the smaller side (64 rows or columns at most)."""
    scaled = (rescaled(b, exponent) for _, b in blocks(A, kind))
    if A.shape[0] >= A.shape[1]:
        values, vectors = np.linalg.eigh(sum(b.T @ b for b in scaled))
        v = vectors[:, -1]
    else:
        T = np.concatenate(list(scaled))
        values, vectors = np.linalg.eigh(T @ T.T)
        v = times_transpose(A, kind, exponent, vectors[:, -1])
        v /= np.linalg.norm(v)
    return v, _info(0, 0.0, True, [_unscaled(values[-1], exponent)])


def _lanczos_top(
    A: np.ndarray, kind: str, exponent: int, tol: float, rng: Any, maxiter: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    flip = A.shape[0] < A.shape[1]
    T, code = np.ascontiguousarray(A.T if flip else A), kind
    work: Any = np.float64 if kind == "f64" or tol < 1e-6 else np.float32
    shift = exponent if abs(exponent) > (400 if work is np.float64 else 25) else 0
    if shift:  # else products of entries neither overflow nor vanish
        T, code, work = rescaled(decoded(T, kind).astype(np.float64, copy=False), shift), "f64", np.float64
    storage = code if code in HALF else None

    def product(x: np.ndarray) -> np.ndarray:
        return gram_matvec(T, x.astype(work, copy=False), dtype=storage).astype(np.float64, copy=False)

    with one_blas_thread():
        ritz = extreme_ritz(product, T.shape[1], tol, rng, maxiter)
    v = ritz.vector
    if flip:
        v = times_transpose(A, kind, exponent, v)
        v /= np.linalg.norm(v)
    history = [_unscaled(t, shift) for t in ritz.history]
    return v, _info(ritz.steps, ritz.residual, ritz.converged, history)


def _unscaled(square: float, exponent: int) -> float:
    return float(np.ldexp(math.sqrt(max(float(square), 0.0)), exponent))


def _quotient_down(A: np.ndarray, kind: str, exponent: int, v: np.ndarray) -> float:
    """``|A v| / |v|``, rounded down."""
    w, majorant = image(A, kind, exponent, v)
    g = gamma(A.shape[1] + 1)
    slack = up(g * norm_up(majorant) / (1.0 - g)) + 1e-150
    return scaled_down(max(0.0, down(max(0.0, down(norm_down(w)) - slack) / norm_up(v))), exponent)


def _operator_norm(A: Any, tol: float, rng: Any, maxiter: int | None) -> tuple[float, np.ndarray, dict[str, Any]]:
    m, n = A.shape
    flip = m < n
    first, second = (A.rmatvec, A.matvec) if flip else (A.matvec, A.rmatvec)

    def product(x: np.ndarray) -> np.ndarray:
        w = np.ravel(np.asarray(second(first(x)), dtype=np.float64))
        if not math.isfinite(float(np.linalg.norm(w))):
            raise ValueError("a product with A has entries that are not finite (rescale an operator above 1e75)")
        return w

    ritz = extreme_ritz(product, min(m, n), tol, rng, maxiter)
    v = np.ravel(A.rmatvec(ritz.vector)) if flip else ritz.vector
    size = float(np.linalg.norm(v))
    history = [_unscaled(t, 0) for t in ritz.history]
    info = _info(ritz.steps, ritz.residual, ritz.converged, history, covered=False)
    if size == 0.0:
        return 0.0, np.eye(1, n)[0], info
    v = v / size
    return max(0.0, down(norm_down(np.asarray(A.matvec(v), dtype=np.float64)) / norm_up(v))), v, info
