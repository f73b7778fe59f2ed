"""Brackets whose upper end holds with a stated probability over a random start: for operators given by products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipop_kernels._common import (
    HALF,
    UNIT,
    LanczosBound,
    blocks,
    down,
    exponent_of,
    gamma,
    norm_up,
    rescaled,
    scaled_down,
    scaled_up,
    stored,
    up,
)
from lipop_kernels.cpu._basis import basis
from lipop_kernels.cpu._krylov import growth_root, log_growth, overlap, recurrence, tridiagonal_top
from lipop_kernels.cpu._products import one_blas_thread, operator_shape, times_transpose
from lipop_kernels.cpu.gram import gram_matvec

Product = Callable[[np.ndarray], np.ndarray]

UNDERFLOW = 1e-150
"""Vectors shorter than this have squares that underflow: the recurrence takes them for zero."""


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
    """A bracket of the largest eigenvalue of a symmetric operator; its upper end holds with probability ``1 - delta``.

    Lanczos from v_1 uniform on the unit sphere gives ``v_{k+1} = p_k(B) v_1``, a unit vector. Let x be a unit
    eigenvector of the largest eigenvalue L. Then ``p_k(L) <v_1, x> = <v_{k+1}, x>``, so ``|p_k(L)| |<v_1, x>| <= 1``.
    With probability at least ``1 - delta``, ``|<v_1, x>| >= d``, d the delta-quantile (a property of v_1 and B alone,
    so one event serves every k). p_k increases beyond the largest Ritz value, hence L is at most the root there of
    ``p_k(t) = 1/d``. B may be indefinite.

    Parameters
    ----------
    apply : callable
        ``v -> B v`` for float64 arrays of ``shape``.
    shape : int or tuple of int
        Of the vectors; the inner product is the sum over all entries.
    steps : int, optional
        Exactly so many steps (fewer only where the space becomes invariant): the same seed then gives the same bound.
        Default: until ``upper - lower <= rtol |lower|``, at most ``max_steps``.
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
        ``lower``: the Rayleigh quotient of ``vector``, minus ``product_error`` and the rounding of the inner products
        (true for every start). ``upper``: the root, plus ``sqrt(k) (product_error + slip) + o |T|``.

    Raises
    ------
    ValueError
        If a parameter is out of range, or a product is not finite or has another shape.

    Notes
    -----
    Covered: d is enclosed by the incomplete beta function in ball arithmetic and rounded down, and ``p_k(t) >= 1/d`` is
    decided by ball arithmetic for the computed coefficients. The computed vectors satisfy ``B V = V T + beta v_{k+1}
    e^T + F`` with ``|F| <= sqrt(k) (product_error + slip)``, where slip is measured at each step, and ``o = |V^T V -
    I|`` is measured at the end. Vectors of more than a million entries lie in a temporary file, in float32 but for v_1,
    and slip includes what that changes. Assumed: that such a perturbed run bounds L as an exact one does for an
    operator within |F| of B (there is one: Kahan), and that the generator's normal variates are independent and normal.
    So the result is a probable bound, never a proof.

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
        if w.shape != shape or not math.isfinite(float(np.linalg.norm(w))):
            raise ValueError(f"apply returned shape {w.shape}; expected {shape} and finite entries (below 1e150)")
        return w.reshape(-1)

    V = basis(min(limit, n), n)
    start = np.random.default_rng(rng).standard_normal(n)
    start /= np.linalg.norm(start)
    V.put(0, start)
    target, worst, k = -math.log(overlap(n, delta)), 0.0, 0
    alphas, betas = np.zeros(V.limit), np.zeros(V.limit)
    for k, (alpha, beta, slip) in enumerate(recurrence(product, V), start=1):
        alphas[k - 1], betas[k - 1], worst = alpha, beta, max(worst, slip)
        if steps is None and beta > 0 and k % max(1, k // 32) == 0:
            top = float(tridiagonal_top(alphas[:k], betas[:k], 1)[0][-1])
            if log_growth(top + 0.9 * rtol * abs(top), alphas[:k], betas[:k]) >= target:
                break
    alphas, betas = alphas[:k], betas[:k]
    values, s = tridiagonal_top(alphas, betas, 1)
    root = float(values[-1]) if betas[-1] == 0 else growth_root(alphas, betas, overlap(n, delta))
    size = float(np.abs(alphas).max() + 2 * betas.max())
    loss = float(np.linalg.norm(V.gram(k) - np.eye(k))) + 4 * k * UNIT
    upper = root + up(math.sqrt(k) * (product_error + worst + UNDERFLOW) + loss * size + 8 * k * UNIT * size, 8)
    vector = V.combined(s)
    vector /= np.linalg.norm(vector)
    lower = _rayleigh_down(product, vector, product_error)
    return LanczosBound(lower, max(upper, lower), vector.reshape(shape), k, alphas, betas)


def _rayleigh_down(product: Product, v: np.ndarray, product_error: float) -> float:
    """``<v, B v> / <v, v>``, rounded down, for v of nearly unit length."""
    w = product(v)
    g = gamma(v.size + 2)
    square = float(v @ v)
    value = float(v @ w) - up(g * norm_up(w) * norm_up(v), 8) - up(product_error * norm_up(v) ** 2, 6) - UNDERFLOW**2
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
    """A bracket of ``|A|_2``; the upper end holds with probability ``1 - delta``: ``lanczos_upper`` on ``A^T A``.

    For matrices too large for a square matrix of the smaller side, and for matvec objects; ``spectral_norm_upper``
    proves its value.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
        float64, float32, or uint16 with ``dtype``; sums are in float64.
    delta, rtol, rng, steps, max_steps
        As in ``lanczos_upper``; ``rtol`` is the gap of the norm.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    product_error : float, optional
        A bound of the error of a product with ``A^T A`` (``A A^T`` where A has fewer rows) for unit vectors. Default:
        the a-priori bound ``(g_m + g_n + g_m g_n) |A|_F^2`` for an array, 0 for an object.

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
        m, n = operator_shape(A)
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
    with one_blas_thread():
        result = lanczos_upper(lambda x: gram_matvec(T, x, dtype=storage), T.shape[1], product_error=error, **options)
    return _rooted(result, times_transpose(A, kind, exponent, result.vector) if flip else result.vector, shift)


def _rooted(square: LanczosBound, v: np.ndarray, shift: int) -> LanczosBound:
    """The bracket of the norm from that of its square."""
    size = float(np.linalg.norm(v))
    return square._replace(
        lower=scaled_down(down(math.sqrt(max(square.lower, 0.0))), shift),
        upper=scaled_up(up(math.sqrt(max(square.upper, 0.0))), shift),
        vector=v / size if size > 0 else v,
    )
