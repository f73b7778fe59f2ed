"""``A^T (A x)`` by its definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import columns, matrix, result, sums
from lipop_kernels._common import decoded


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)`` with sums in long double, rounded to the wider of float32 and the types of A and x.

    Parameters, result and exceptions as in ``lipop_kernels.gram_matvec``.

    Examples
    --------
    >>> gram_matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    A, kind = matrix(A, dtype)
    x = columns(x, A.shape[1], "x", A.shape)
    y = result(out, x.shape, sums((kind,), x), A=A, x=x)
    long = decoded(A, kind).astype(np.longdouble)
    y[...] = long.T @ (long @ x.astype(np.longdouble))
    return y
