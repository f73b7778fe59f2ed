"""``A^T (A x)`` reading A once."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import columns, matrix, result, stored_in, sums
from lipop_kernels.cpu._lazy import SMALL, loops

__all__ = ["SMALL", "gram_matvec"]


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)``, with A read from memory once.

    Rows adjacent in memory (any stride between them): four at a time are multiplied with x, and the result is updated
    with the four before them, which are still in the cache. Columns adjacent: panels of rows that fit into the cache.
    Neither: blocks of rows are copied. Each thread has its own result. Several right-hand sides share every read. The
    sums are in the wider of float32 and the types of A and x: a float32 (or 16-bit) matrix with a float64 x is
    accumulated in float64. No copy of A is made; a memory-mapped A is read once too (a row longer than the cache is
    read a second time from memory).

    Parameters
    ----------
    A : (m, n) array
        float64, float32, float16, or uint16 with ``dtype``; any strides, read-only or not.
    x : (n,) or (n, b) array
        float64 or float32.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result (shape of x, type of the sums); it may not share memory with A or x.

    Returns
    -------
    y : array of the shape of x
        ``|y - A^T A x| <= (g_n + g_m + g_n g_m) |A|^T |A| |x| + e (m + 1 + n |A|^T 1)`` entrywise, ``g_k = k u / (1 - k
        u)``, u the unit roundoff and e the smallest positive number of the type of the sums (no overflow). The same
        for every call with the same number of threads. NaN and infinity propagate.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> gram_matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    apply = loops("apply")
    if dtype is None and (y := apply.quick("gram", A, x)) is not None:
        return y if out is None else stored_in(out, y, A=A, x=x)
    A, kind = matrix(A, dtype)
    x = columns(x, A.shape[1], "x", A.shape)
    work = sums((kind,), x)
    y = result(out, x.shape, work, A=A, x=x)
    if x.size:
        apply.store(y, apply.gram(A, kind, apply.as_rows(x, work)))
    return y
