"""The largest singular value from below, and from above with a probability: Lanczos with two passes of Gram-Schmidt."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from lipop_kernels._common import (
    HALF,
    UNIT,
    LanczosBound,
    blocks,
    decoded,
    down,
    exponent_of,
    gamma,
    norm_down,
    norm_up,
    rescaled,
    scaled_down,
    scaled_up,
    stored,
    up,
)
from lipop_kernels.cpu._krylov import extreme_ritz, growth_root, log_growth, overlap, recurrence, tridiagonal_top
from lipop_kernels.cpu.gram import SMALL, gram_matvec

DENSE = 64  # up to this many rows or columns an SVD is at least as fast
Product = Callable[[np.ndarray], np.ndarray]


def spectral_norm(
    A: Any, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> tuple[float, np.ndarray, dict[str, Any]]:
    """The spectral norm ``|A|_2`` from below: a true lower bound within about ``tol``, and its direction.

    Lanczos on ``A^T A`` (on ``A A^T`` where A has fewer rows than columns) with two passes of Gram-Schmidt, from a random start. It stops
    when the residual r of the largest Ritz value t says that t is accurate: ``min(r, r^2 / gap) <= tol t``, gap to the second Ritz
    value. That test can be deceived (a start almost orthogonal to the top vector); the returned number cannot: it is ``|A v| / |v|``
    for the returned v, evaluated in float64 and rounded down.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
        float64, float32, or uint16 with ``dtype``.
    tol : float
        Relative accuracy aimed at. Products are in float32 for a matrix stored in 32 or 16 bits and ``tol >= 1e-6``, else in float64.
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
        ``iterations``, ``residual`` (relative to the Ritz value), ``converged``, ``history`` (estimates of sigma, one for each test) and
        ``rounding_covered``: False for a matvec object, whose products have an error that is not known here.

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


def _times_transpose(A: np.ndarray, kind: str, exponent: int, u: np.ndarray) -> np.ndarray:
    """``2**-exponent A^T u`` in float64."""
    return np.sum([rescaled(b, exponent).T @ u[i : i + len(b)] for i, b in blocks(A, kind)], axis=0)


def _dense_top(A: np.ndarray, kind: str, exponent: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The top right singular vector through the Gram matrix of the smaller side (64 rows or columns at most)."""
    scaled = (rescaled(b, exponent) for _, b in blocks(A, kind))
    if A.shape[0] >= A.shape[1]:
        values, vectors = np.linalg.eigh(sum(b.T @ b for b in scaled))
        v = vectors[:, -1]
    else:
        T = np.concatenate(list(scaled))
        values, vectors = np.linalg.eigh(T @ T.T)
        v = _times_transpose(A, kind, exponent, vectors[:, -1])
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

    with quiet_blas(T.nbytes):
        ritz = extreme_ritz(product, T.shape[1], tol, rng, maxiter)
    v = ritz.vector
    if flip:
        v = _times_transpose(A, kind, exponent, v)
        v /= np.linalg.norm(v)
    history = [_unscaled(t, shift) for t in ritz.history]
    return v, _info(ritz.steps, ritz.residual, ritz.converged, history)


def _unscaled(square: float, exponent: int) -> float:
    return float(np.ldexp(math.sqrt(max(float(square), 0.0)), exponent))


def quiet_blas(nbytes: int) -> Any:
    """One BLAS thread around a loop that runs the parallel kernel: idle BLAS threads spin, and would take its cores."""
    if nbytes < SMALL:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")


def _quotient_down(A: np.ndarray, kind: str, exponent: int, v: np.ndarray) -> float:
    """``|A v| / |v|``, rounded down."""
    w, majorant = np.empty(A.shape[0]), np.empty(A.shape[0])
    for i, block in blocks(A, kind):
        b = rescaled(block, exponent)
        w[i : i + len(b)] = b @ v
        majorant[i : i + len(b)] = np.abs(b) @ np.abs(v)
    g = gamma(A.shape[1] + 1)
    slack = up(g * norm_up(majorant) / (1.0 - g)) + 1e-150
    return scaled_down(max(0.0, down(max(0.0, down(norm_down(w)) - slack) / norm_up(v))), exponent)


def _operator_norm(A: Any, tol: float, rng: Any, maxiter: int | None) -> tuple[float, np.ndarray, dict[str, Any]]:
    m, n = A.shape
    flip = m < n
    first, second = (A.rmatvec, A.matvec) if flip else (A.matvec, A.rmatvec)
    ritz = extreme_ritz(lambda x: np.ravel(second(first(x))), min(m, n), tol, rng, maxiter)
    v = np.ravel(A.rmatvec(ritz.vector)) if flip else ritz.vector
    size = float(np.linalg.norm(v))
    if not math.isfinite(size):
        raise ValueError("a product with A has entries that are not finite")
    history = [_unscaled(t, 0) for t in ritz.history]
    info = _info(ritz.steps, ritz.residual, ritz.converged, history, covered=False)
    if size == 0.0:
        return 0.0, np.eye(1, n)[0], info
    v = v / size
    return max(0.0, down(norm_down(np.asarray(A.matvec(v), dtype=np.float64)) / norm_up(v))), v, info


def lanczos_upper(
    apply: Product,
    shape: int | tuple[int, ...],
    *,
    steps: int | None = None,
    delta: float = 1e-9,
    rtol: float = 1e-3,
    rng: Any = 0,
    product_error: float = 0.0,
    max_steps: int = 200,
) -> LanczosBound:
    """A bracket of the largest eigenvalue of a symmetric operator B; the upper end holds with probability ``1 - delta``.

    Lanczos from v_1 uniform on the unit sphere gives ``v_{k+1} = p_k(B) v_1``, a unit vector. Let x be a unit eigenvector of the largest
    eigenvalue L. Then ``p_k(L) <v_1, x> = <v_{k+1}, x>``, so ``|p_k(L)| |<v_1, x>| <= 1``. With probability at least ``1 - delta``,
    ``|<v_1, x>| >= d``, d the delta-quantile (a property of v_1 and B alone, so one event serves every k). p_k increases beyond the
    largest Ritz value, hence L is at most the root there of ``p_k(t) = 1/d``. B may be indefinite.

    Parameters
    ----------
    apply : callable
        ``v -> B v`` for float64 arrays of ``shape``.
    shape : int or tuple of int
        Of the vectors; the inner product is the sum over all entries.
    steps : int, optional
        Exactly so many steps (fewer only where the space becomes invariant): the same seed then gives the same bound. Default: until
        ``upper - lower <= rtol |lower|``, at most ``max_steps``.
    delta : float
        Failure probability over the choice of v_1.
    rtol : float
        Relative gap at which to stop.
    rng : Generator or seed
        The start vector.
    product_error : float
        A bound of ``|fl(B v) - B v|`` for unit v.
    max_steps : int
        Most steps where ``steps`` is None.

    Returns
    -------
    LanczosBound
        ``lower``: the Rayleigh quotient of ``vector``, minus ``product_error`` and the rounding of the inner products (true for every
        start). ``upper``: the root, plus ``sqrt(k) (product_error + slip) + o |T|``.

    Raises
    ------
    ValueError
        If a parameter is out of range, or a product is not finite or has another shape.

    Notes
    -----
    Covered: d is enclosed by the incomplete beta function in ball arithmetic and rounded down, and ``p_k(t) >= 1/d`` is decided by ball
    arithmetic for the computed coefficients. The computed vectors satisfy ``B V = V T + beta v_{k+1} e^T + F`` with
    ``|F| <= sqrt(k) (product_error + slip)``, where slip is measured at each step, and ``o = |V^T V - I|`` is measured at the end.
    Assumed: that such a perturbed run bounds L as an exact one does for an operator within |F| of B (there is one: Kahan), and that the
    generator's normal variates are independent and normal. So the result is a probable bound, never a proof.

    References
    ----------
    M. E. Hochstenbach, Probabilistic upper bounds for the matrix two-norm, J. Sci. Comput. 57 (2013).

    Examples
    --------
    >>> scale = np.arange(1.0, 51.0)
    >>> bound = lanczos_upper(lambda v: scale * v, (50,))
    >>> bound.lower <= 50.0 <= bound.upper <= bound.lower * 1.001
    True
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n = math.prod(shape)
    limit = max_steps if steps is None else steps
    if n < 1 or limit < 1:
        raise ValueError(f"shape is {shape} and the number of steps {limit}; expected both to be positive")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta is {delta!r}; expected a probability between 0 and 1")
    if not (product_error >= 0 and math.isfinite(product_error)):
        raise ValueError(f"product_error is {product_error!r}; expected a finite number >= 0")

    def product(v: np.ndarray) -> np.ndarray:
        w = np.asarray(apply(v.reshape(shape)), dtype=np.float64)
        if w.shape != shape or not math.isfinite(float(w.sum())):
            raise ValueError(f"apply returned an array of shape {w.shape}; expected {shape} and finite entries")
        return w.reshape(-1)

    V = np.empty((min(limit, n) + 1, n))
    start = np.random.default_rng(rng).standard_normal(n)
    V[0] = start / np.linalg.norm(start)
    target, worst, k = -math.log(overlap(n, delta)), 0.0, 0
    alphas, betas = np.zeros(len(V) - 1), np.zeros(len(V) - 1)
    for k, (alpha, beta, slip) in enumerate(recurrence(product, V), start=1):
        alphas[k - 1], betas[k - 1], worst = alpha, beta, max(worst, slip)
        if steps is None and beta > 0 and k % max(1, k // 16) == 0:
            top = float(tridiagonal_top(alphas[:k], betas[:k], 1)[0][-1])
            if log_growth(top + 0.9 * rtol * abs(top), alphas[:k], betas[:k]) >= target:
                break
    alphas, betas = alphas[:k], betas[:k]
    values, s = tridiagonal_top(alphas, betas, 1)
    root = float(values[-1]) if betas[-1] == 0 else growth_root(alphas, betas, overlap(n, delta))
    size = float(np.abs(alphas).max() + 2 * betas.max())
    loss = float(np.linalg.norm(V[:k] @ V[:k].T - np.eye(k))) + 4 * k * UNIT
    upper = root + up(math.sqrt(k) * (product_error + worst) + loss * size + 8 * k * UNIT * size, 8)
    vector = s @ V[:k]
    vector /= np.linalg.norm(vector)
    lower = _rayleigh_down(product, vector, product_error)
    return LanczosBound(lower, max(upper, lower), vector.reshape(shape), k, alphas, betas)


def _rayleigh_down(product: Product, v: np.ndarray, product_error: float) -> float:
    """``<v, B v> / <v, v>``, rounded down, for v of nearly unit length."""
    w = product(v)
    g = gamma(v.size + 2)
    square = float(v @ v)
    value = float(v @ w) - up(g * norm_up(w) * norm_up(v), 8) - up(product_error * norm_up(v) ** 2, 6)
    quotient = value / square
    return quotient - up(abs(quotient) * (2 * g + 4 * UNIT), 4)


def spectral_norm_probable(
    A: Any,
    delta: float = 1e-9,
    rtol: float = 1e-2,
    *,
    rng: Any = 0,
    dtype: str | None = None,
    steps: int | None = None,
    max_steps: int = 200,
    product_error: float | None = None,
) -> LanczosBound:
    """A bracket of ``|A|_2``; the upper end holds with probability ``1 - delta``: ``lanczos_upper`` on ``A^T A`` of the smaller side.

    For matrices too large for a square matrix of the smaller side, and for matvec objects; ``spectral_norm_upper`` proves its value.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
        float64, float32, or uint16 with ``dtype``; sums are in float64.
    delta, rtol, rng, steps, max_steps
        As in ``lanczos_upper``; ``rtol`` is the gap of the norm.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    product_error : float, optional
        A bound of the error of a product with ``A^T A`` (``A A^T`` where A has fewer rows) for unit vectors. Default: the a-priori bound
        ``(g_m + g_n + g_m g_n) |A|_F^2`` for an array, 0 for an object.

    Returns
    -------
    LanczosBound
        Of the norm; ``vector`` (n,) is the right singular direction; ``alphas`` and ``betas`` belong to ``A^T A``.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> bound = spectral_norm_probable(np.diag(np.arange(1.0, 101.0)), rtol=1e-3)
    >>> bound.lower <= 100.0 <= bound.upper <= bound.lower * 1.001
    True
    """
    options = {"steps": steps, "delta": delta, "rtol": 2 * rtol, "rng": rng, "max_steps": max_steps}
    if hasattr(A, "matvec") and hasattr(A, "rmatvec"):
        m, n = A.shape
        flip = m < n
        first, second = (A.rmatvec, A.matvec) if flip else (A.matvec, A.rmatvec)
        error = 0.0 if product_error is None else product_error
        result = lanczos_upper(lambda x: second(first(x)), min(m, n), product_error=error, **options)
        v = np.ravel(A.rmatvec(result.vector)) if flip else result.vector
        return _rooted(result, v, 0)
    A, kind = stored(A, dtype)
    exponent = exponent_of(A, kind)
    if exponent is None:
        return LanczosBound(0.0, 0.0, np.eye(1, A.shape[1])[0], 0, np.zeros(0), np.zeros(0))
    flip = A.shape[0] < A.shape[1]
    T, storage = np.ascontiguousarray(A.T if flip else A), kind if kind in HALF else None
    shift = exponent if abs(exponent) > 400 else 0
    if shift:
        T = rescaled(T.astype(np.float64, copy=False), shift)
    if product_error is None:
        square = sum(norm_up(rescaled(b, shift)) ** 2 for _, b in blocks(A, kind))
        error = up((gamma(T.shape[0]) + gamma(T.shape[1])) * square * (1 + 1e-9), 8) + 1e-290
    else:
        error = product_error if not shift else scaled_up(product_error, -2 * shift)
    with quiet_blas(T.nbytes):
        result = lanczos_upper(lambda x: gram_matvec(T, x, dtype=storage), T.shape[1], product_error=error, **options)
    return _rooted(result, _times_transpose(A, kind, exponent, result.vector) if flip else result.vector, shift)


def _rooted(square: LanczosBound, v: np.ndarray, shift: int) -> LanczosBound:
    """The bracket of the norm from that of its square."""
    size = float(np.linalg.norm(v))
    return square._replace(
        lower=scaled_down(down(math.sqrt(max(square.lower, 0.0))), shift),
        upper=scaled_up(up(math.sqrt(max(square.upper, 0.0))), shift),
        vector=v / size if size > 0 else v,
    )
