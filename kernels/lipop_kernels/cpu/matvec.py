"""``A x`` and ``A^T y`` for every storage."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import columns, matrix, result, stored_in, sums
from lipop_kernels.cpu._lazy import loops


def matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A x``: A is read once and decoded in registers; no copy of A is made, whatever its strides.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, float16, or uint16 with ``dtype``; any strides, read-only or not.
    x : (n,) or (n, b) array
        float64 or float32.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result; it may not share memory with A or x.

    Returns
    -------
    w : (m,) or (m, b) array
        ``|w - A x| <= g_n |A| |x| + e n`` entrywise, ``g_k = k u / (1 - k u)``, u the unit roundoff and e the smallest
        positive number of the type of the sums, which is the wider of float32 and the types of A and x (no overflow).
        The same for every call with the same number of threads. NaN and infinity propagate.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 1.])
    """
    apply = loops("apply")
    if dtype is None and (w := apply.quick("image", A, x)) is not None:
        return w if out is None else stored_in(out, w, A=A, x=x)
    A, kind = matrix(A, dtype)
    x = columns(x, A.shape[1], "x", A.shape)
    work = sums((kind,), x)
    w = result(out, (A.shape[0], *x.shape[1:]), work, A=A, x=x)
    if x.size:
        apply.store(w, apply.image(A, kind, apply.as_rows(x, work)))
    return w


def rmatvec(A: Any, y: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T y``: A is read once and decoded in registers; no copy of A is made, whatever its strides.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, float16, or uint16 with ``dtype``; any strides, read-only or not.
    y : (m,) or (m, b) array
        float64 or float32.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result; it may not share memory with A or y.

    Returns
    -------
    v : (n,) or (n, b) array
        ``|v - A^T y| <= g_m |A|^T |y| + e m`` entrywise, with the types and symbols of ``matvec``.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> rmatvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([1., 3.])
    """
    apply = loops("apply")
    if dtype is None and (v := apply.quick("adjoint", A, y)) is not None:
        return v if out is None else stored_in(out, v, A=A, y=y)
    A, kind = matrix(A, dtype)
    y = columns(y, A.shape[0], "y", A.shape)
    work = sums((kind,), y)
    v = result(out, (A.shape[1], *y.shape[1:]), work, A=A, y=y)
    if y.size:
        apply.store(v, apply.image(A.T, kind, apply.as_rows(y, work)))
    return v
