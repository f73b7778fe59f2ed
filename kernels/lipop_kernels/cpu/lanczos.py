"""The largest singular value from below, and from above with a probability: Lanczos with two passes of Gram-Schmidt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._common import (
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
from lipop_kernels.cpu._products import image, operator_shape, times_transpose
from lipop_kernels.cpu._top import SERIAL, compiled_view, rows_first, top_ritz

DENSE = 32  # up to this many rows or columns an eigendecomposition is at least as fast
SAFE = {np.float64: (1e-120, 1e120), np.float32: (1e-16, 1e16)}  # of a squared norm: no product over- or underflows


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
    if min(A.shape) <= DENSE:
        exponent = exponent_of(A, kind)
        top = None if exponent is None else _dense_top(A, kind, exponent)
    else:
        top = _lanczos_top(A, kind, tol, rng, maxiter)
    if top is None:
        return 0.0, np.eye(1, A.shape[1])[0], _info(0, 0.0, True, [0.0])
    v, exponent, info = top
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


def _dense_top(A: np.ndarray, kind: str, exponent: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """The top right singular vector through the Gram matrix of the smaller side; the exponent; info."""
    scaled = (rescaled(b, exponent) for _, b in blocks(A, kind))
    if A.shape[0] >= A.shape[1]:
        values, vectors = np.linalg.eigh(sum(b.T @ b for b in scaled))
        v = vectors[:, -1]
    else:
        T = np.concatenate(list(scaled))
        values, vectors = np.linalg.eigh(T @ T.T)
        v = times_transpose(A, kind, exponent, vectors[:, -1])
        v /= np.linalg.norm(v)
    return v, exponent, _info(0, 0.0, True, [_unscaled(values[-1], exponent)])


def _lanczos_top(
    A: np.ndarray, kind: str, tol: float, rng: Any, maxiter: int | None
) -> tuple[np.ndarray, int, dict[str, Any]] | None:
    """(vector, power of two taken out of A, info); None for a zero matrix.

    A is multiplied as it is; only where the first quotient is far from 1, or a product is not finite, are the entries
    looked through and rescaled.
    """
    work: Any = np.float64 if kind == "f64" or tol < 1e-6 else np.float32
    near, shift, exponent = SAFE[work], 0, 0
    T, flip = rows_first(A)
    ritz = top_ritz(T, kind, work, tol, rng, maxiter)
    if ritz is None or not near[0] < ritz.square < near[1]:
        found = exponent_of(A, kind)
        if found is None:
            return None
        shift = exponent = found
        T = rescaled(decoded(T, kind).astype(np.float64, copy=False), shift)
        ritz = top_ritz(T, "f64", np.float64, tol, rng, maxiter)
        assert ritz is not None, "entries are at most 1"
    v = ritz.vector
    if flip:
        v = times_transpose(A, kind, exponent, v)
        v /= np.linalg.norm(v)
    history = [_unscaled(t, shift) for t in ritz.history]
    return v, exponent, _info(ritz.steps, ritz.residual, ritz.converged, history)


def _unscaled(square: float, exponent: int) -> float:
    return float(np.ldexp(math.sqrt(max(float(square), 0.0)), exponent))


def _quotient_down(A: np.ndarray, kind: str, exponent: int, v: np.ndarray) -> float:
    """``|A v| / |v|``, rounded down; ``2**-exponent A`` has a norm whose square neither overflows nor vanishes.

    Each norm is within ``1 -+ g_{k+2}``, k its length, of the root of the computed sum of squares, but for underflows
    below 1e-150.
    """
    m, n = A.shape
    squares, majorants = _image_squares(A, kind, exponent, v)
    g, long = gamma(n + 1), gamma(m + 2)
    size = down(math.sqrt(squares) * (1.0 - long)) - 1e-150
    slack = up(g / (1.0 - g) * math.sqrt(majorants) * (1.0 + long)) + 1e-150
    length = up(math.sqrt(float(v @ v)) * (1.0 + gamma(n + 2))) + 1e-150
    return scaled_down(max(0.0, down(max(0.0, size - slack) / length)), exponent)


def _image_squares(A: np.ndarray, kind: str, exponent: int, v: np.ndarray) -> tuple[float, float]:
    """The sums of squares of ``A v`` and ``|A| |v|`` for ``2**-exponent A``."""
    if min(A.shape) > DENSE and A.nbytes <= SERIAL and A.flags.c_contiguous and abs(exponent) < 100:
        from lipop_kernels.cpu._lanczos_numba import image_squares

        return image_squares(compiled_view(A, kind), rescaled(v, exponent))
    w, majorant = image(A, kind, exponent, v)
    return float(w @ w), float(majorant @ majorant)


def _operator_norm(A: Any, tol: float, rng: Any, maxiter: int | None) -> tuple[float, np.ndarray, dict[str, Any]]:
    m, n = operator_shape(A)
    flip = m < n
    first, second = (A.rmatvec, A.matvec) if flip else (A.matvec, A.rmatvec)

    def product(x: np.ndarray) -> np.ndarray:
        w = np.ravel(np.asarray(second(first(x)), dtype=np.float64))
        if w.shape != x.shape:
            raise ValueError(f"matvec and rmatvec lead from {x.shape} to {w.shape}; expected {x.shape}: A is {m} x {n}")
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
