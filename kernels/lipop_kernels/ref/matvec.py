"""``A x`` and ``A^T y`` by their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import columns, matrix, result, sums
from lipop_kernels._common import decoded


def matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A x`` with sums in long double, rounded to the wider of float32 and the types of A and x.

    Parameters, result and exceptions as in ``lipop_kernels.matvec``.

    Examples
    --------
    >>> matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 1.])
    """
    A, kind = matrix(A, dtype)
    x = columns(x, A.shape[1], "x", A.shape)
    w = result(out, (A.shape[0], *x.shape[1:]), sums((kind,), x), A=A, x=x)
    w[...] = decoded(A, kind).astype(np.longdouble) @ x.astype(np.longdouble)
    return w


def rmatvec(A: Any, y: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T y`` with sums in long double, rounded to the wider of float32 and the types of A and y.

    Parameters, result and exceptions as in ``lipop_kernels.rmatvec``.

    Examples
    --------
    >>> rmatvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([1., 3.])
    """
    A, kind = matrix(A, dtype)
    y = columns(y, A.shape[0], "y", A.shape)
    v = result(out, (A.shape[1], *y.shape[1:]), sums((kind,), y), A=A, y=y)
    v[...] = decoded(A, kind).astype(np.longdouble).T @ y.astype(np.longdouble)
    return v
