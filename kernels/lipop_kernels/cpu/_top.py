"""The loop of ``spectral_norm`` on stored matrices: one compiled call for small ones, parallel products for large."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lipop_kernels._common import HALF, decoded
from lipop_kernels.cpu.gram import gram_matvec

SERIAL = 2**22  # bytes of A up to which one thread is faster
WIDE = 8  # a matrix with more than so many times as many columns as rows is transposed


class TopRitz(NamedTuple):
    """The largest Ritz value of ``T^T T``, its vector and how it was reached."""

    square: float
    vector: np.ndarray
    residual: float
    steps: int
    converged: bool
    history: list[float]


def rows_first(A: np.ndarray) -> tuple[np.ndarray, bool]:
    """A, or its transpose (flag True), with contiguous rows that are not many times longer than its columns.

    Where both have contiguous rows only as a copy, a moderately wide matrix is taken as it is: its vectors are longer
    than need be, which costs less than the copy.
    """
    m, n = A.shape
    if A.flags.c_contiguous and n <= WIDE * m:
        return A, False
    if A.flags.f_contiguous and m <= WIDE * n:
        return A.T, True
    return (np.ascontiguousarray(A.T), True) if m < n else (np.ascontiguousarray(A), False)


def top_ritz(T: np.ndarray, kind: str, work: Any, tol: float, rng: Any, maxiter: int | None) -> TopRitz | None:
    """Lanczos on ``T^T T``, sums of products in the type ``work``; None where a product is not finite."""
    from lipop_kernels.cpu import _lanczos_numba as compiled

    n = T.shape[1]
    limit = min(n, 300 if maxiter is None else maxiter)
    V, a, b, history, state = np.empty((limit + 1, n)), np.empty(limit), np.empty(limit), np.empty(limit), np.zeros(4)
    V[0] = _start(n, rng) if isinstance(rng, int) else _random(n, rng)
    if T.nbytes <= SERIAL:
        k, estimate = compiled.lanczos_serial(
            compiled_view(T, kind), V, a, b, history, state, tol, np.zeros(1, dtype=work)
        )
    else:
        k, estimate = _lanczos_parallel(T, kind if kind in HALF else None, work, V, (a, b, history, state), tol)
    if k == 0:
        return None
    s = compiled.ritz_vector(a, b, k, state[0])
    vector = s @ V[:k]
    converged = bool(estimate <= tol * state[0])
    return TopRitz(
        float(state[0]),
        vector,
        state[2] / state[0] if state[0] > 0 else 0.0,
        k,
        converged,
        history[: int(state[3])].tolist(),
    )


def _random(n: int, rng: Any) -> np.ndarray:
    """A unit vector, uniform on the sphere."""
    v = np.random.default_rng(rng).standard_normal(n)
    return v / math.sqrt(float(v @ v))


@lru_cache(maxsize=16)
def _start(n: int, seed: int) -> np.ndarray:
    """The same for a seed, kept: for small matrices the generator takes longer than the rest."""
    v = _random(n, seed)
    v.flags.writeable = False
    return v


def compiled_view(A: np.ndarray, kind: str) -> np.ndarray:
    """The values of stored entries, native and not writeable: one compiled version serves all arrays."""
    values = decoded(A, kind)
    view = values.astype(values.dtype.newbyteorder("="), copy=False).view()
    view.flags.writeable = False
    return view


def _lanczos_parallel(
    T: np.ndarray, storage: str | None, work: Any, V: np.ndarray, arrays: tuple[np.ndarray, ...], tol: float
) -> tuple[int, float]:
    """The loop of ``lanczos_serial`` with products in all threads."""
    from lipop_kernels.cpu import _lanczos_numba as compiled

    a, b, history, state = arrays
    estimate = math.inf
    for k in range(len(a)):
        w = gram_matvec(T, V[k].astype(work), dtype=storage).astype(np.float64, copy=False)
        a[k], b[k] = compiled.advance(V, k, w)
        if not (math.isfinite(a[k]) and math.isfinite(b[k])):
            return 0, math.inf
        if k == 0:
            state[0], state[2] = a[0], b[0]
        if compiled.due(k + 1, b[k], len(a)):
            estimate = compiled.tested(a, b, k + 1, state, history)
            if (estimate <= tol * state[0] and k > 0) or b[k] == 0.0:
                return k + 1, estimate
    return len(a), estimate
