"""``A^T (A x)`` by its definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._common import decoded, stored


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)`` with sums in long double, rounded to the wider of float32 and the types of A and x.

    Parameters, result and exceptions as in ``lipop_kernels.gram_matvec``.

    Examples
    --------
    >>> gram_matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    A, kind = stored(A, dtype)
    x = np.asarray(x)
    if x.ndim not in (1, 2) or x.shape[0] != A.shape[1] or x.dtype not in (np.float64, np.float32):
        raise ValueError(f"x is {x.shape} {x.dtype}; expected ({A.shape[1]},) or ({A.shape[1]}, b), float64 or float32")
    work = np.float64 if kind == "f64" or x.dtype == np.float64 else np.float32
    if out is not None and (out.shape != x.shape or out.dtype != work):
        raise ValueError(f"out is {out.shape} {out.dtype}; expected {x.shape} {np.dtype(work)}")
    long = decoded(A, kind).astype(np.longdouble)
    y = (long.T @ (long @ x.astype(np.longdouble))).astype(work)
    if out is None:
        return y
    out[...] = y
    return out
