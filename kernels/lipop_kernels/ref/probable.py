"""The a-posteriori Lanczos bound by its definition: recurrence in long double, polynomial in ball arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipop_kernels._common import LanczosBound, workprec
from lipop_kernels.ref._exact import finite


def lanczos_upper(
    apply: Callable[[np.ndarray], np.ndarray],
    shape: int | tuple[int, ...],
    *,
    steps: int | None = None,
    delta: float = 1e-9,
    rtol: float = 1e-3,
    rng: Any = 0,
    product_error: float = 0.0,
    max_steps: int = 200,
) -> LanczosBound:
    """A bracket of the largest eigenvalue of a symmetric operator; the upper end holds with probability ``1 - delta``.

    The theorem stands in ``lipop_kernels.cpu``; here each step tries the bound, and the first that meets ``rtol`` is
    kept. Parameters, result and exceptions as in ``lipop_kernels.lanczos_upper``.

    Examples
    --------
    >>> scale = np.arange(1.0, 9.0)
    >>> bound = lanczos_upper(lambda v: scale * v, (8,))
    >>> bound.lower <= 8.0 <= bound.upper <= 8.01
    True
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    n, limit = math.prod(shape), max_steps if steps is None else steps
    if n < 1 or limit < 1 or not 0.0 < delta < 1.0 or not (product_error >= 0 and math.isfinite(product_error)):
        raise ValueError(
            f"shape {shape}, steps {limit}, delta {delta}, product_error {product_error}: expected positive sizes, "
            "0 < delta < 1 and a finite error >= 0"
        )

    def product(v: np.ndarray) -> np.ndarray:
        w = np.asarray(apply(np.asarray(v, dtype=np.float64).reshape(shape)), dtype=np.float64)
        if w.shape != shape or not np.isfinite(w).all():
            raise ValueError(f"apply returned an array of shape {w.shape}; expected {shape} and finite entries")
        return w.reshape(-1).astype(np.longdouble)

    start = np.random.default_rng(rng).standard_normal(n).astype(np.longdouble)
    V, alphas, betas = [start / np.sqrt((start**2).sum())], [], []
    d = _overlap(n, delta)
    upper, scale, vector = math.inf, 0.0, np.zeros(n)
    for k in range(1, min(limit, n) + 1):
        w = product(V[-1])
        size = float(np.sqrt((w**2).sum()))
        alphas.append(float(V[-1] @ w))
        for _ in range(2):
            for v in V:
                w = w - (v @ w) * v
        beta = float(np.sqrt((w**2).sum()))
        betas.append(0.0 if k == n or beta <= 1e-15 * size else beta)
        T = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
        values, vectors = np.linalg.eigh(T)
        top, vector = float(values[-1]), np.asarray(vectors[:, -1] @ np.stack(V), dtype=np.float64)
        scale = float(np.abs(values).max())
        upper = top if betas[-1] == 0.0 else _root(alphas, betas, d, top, scale)
        if betas[-1] == 0.0 or (steps is None and upper - top <= 0.9 * rtol * abs(top)):
            break
        V.append(w / np.longdouble(beta))
    k = len(alphas)
    upper = upper + math.sqrt(k) * product_error * (1 + 1e-12) + 64 * k * 2.0**-53 * scale
    w = product(vector)
    square = vector.astype(np.longdouble) @ vector.astype(np.longdouble)
    lower = float(vector.astype(np.longdouble) @ w / square)
    lower -= product_error * (1 + 1e-12) + 4 * n * 2.0**-63 * float(np.sqrt((w**2).sum())) + 2.0**-52 * abs(lower)
    vector = (vector / np.linalg.norm(vector)).reshape(shape)
    return LanczosBound(lower, max(upper, lower), vector, k, np.array(alphas), np.array(betas))


def _overlap(n: int, delta: float) -> float:
    """d with ``I_{d^2}(1/2, (n-1)/2) <= delta``, by bisection in ball arithmetic."""
    if n == 1:
        return 1.0
    import flint

    low, high = 0.0, 1.0
    with workprec(192):
        while high - low > 1e-12 * high:
            d = 0.5 * (low + high)
            tail = (flint.arb(d) ** 2).beta_lower(flint.arb(1) / 2, flint.arb(n - 1) / 2, regularized=True)
            low, high = (d, high) if tail <= flint.arb(delta) else (low, d)
    return low


def _root(alphas: list[float], betas: list[float], d: float, top: float, scale: float) -> float:
    """A float t beyond every Ritz value with ``p_k(t) >= 1/d``, close to the smallest one."""
    import flint

    def holds(t: float) -> bool:
        p, q, before = flint.arb(1), flint.arb(0), flint.arb(0)
        for alpha, beta in zip(alphas, betas, strict=True):
            p, q, before = ((flint.arb(t) - alpha) * p - before * q) / flint.arb(beta), p, flint.arb(beta)
            if not p > 0:
                return False
        return bool(p * flint.arb(d) >= 1)

    low, high, width = top, top, 2.0**-50 * scale
    with workprec(256 + 4 * len(alphas)):
        while not holds(high):
            low, high, width = high, high + width, 2 * width
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if holds(middle) else (middle, high)
    return high


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
    """A bracket of ``|A|_2``: ``lanczos_upper`` on ``A^T A``, or ``A A^T`` where A has fewer rows.

    A matvec object is first written as a matrix; the entries of A should be far from the ends of the float64 range.
    Parameters, result and exceptions as in ``lipop_kernels.spectral_norm_probable``.

    Examples
    --------
    >>> bound = spectral_norm_probable(np.diag([1.0, 2.0, 3.0]))
    >>> bound.lower <= 3.0 <= bound.upper <= 3.03
    True
    """
    matrix = A if not hasattr(A, "matvec") else np.stack([A.matvec(e) for e in np.eye(A.shape[1])], axis=1)
    values = finite(matrix, dtype)
    if not values.any():
        return LanczosBound(0.0, 0.0, np.eye(1, values.shape[1])[0], 0, np.zeros(0), np.zeros(0))
    T = (values if values.shape[0] >= values.shape[1] else values.T).astype(np.longdouble)
    error = 2.0**-50 * float((T**2).sum()) if product_error is None else product_error
    options = {"steps": steps, "delta": delta, "rtol": 2 * rtol, "rng": rng, "max_steps": max_steps}
    square = lanczos_upper(lambda v: T.T @ (T @ v), T.shape[1], product_error=error, **options)
    v = square.vector if values.shape[0] >= values.shape[1] else values.T @ square.vector
    lower, upper = math.sqrt(max(square.lower, 0.0)), math.sqrt(max(square.upper, 0.0))
    return square._replace(
        lower=math.nextafter(lower, 0.0), upper=math.nextafter(upper, math.inf), vector=v / np.linalg.norm(v)
    )
