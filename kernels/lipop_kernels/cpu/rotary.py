"""Rotary position embedding: pairs of coordinates turn by the angles of their token."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import result, rotary_operands
from lipop_kernels.cpu._lazy import loops


def rotate(x: Any, cos: Any, sin: Any, inverse: bool = False, *, out: np.ndarray | None = None) -> np.ndarray:
    """Turn the pairs ``(x[j], x[j + d/2])`` of every token: ``(a, b) -> (a c - b s, a s + b c)``.

    The inverse turns by the opposite angle, which is also the transpose.

    Parameters
    ----------
    x : (..., T, d) array
        d even; float64 or float32.
    cos, sin : (T, d/2) arrays
        Of the type of x.
    inverse : bool
    out : array, optional
        Receives the result; it may not share memory with an input.

    Returns
    -------
    array like x
        Within ``g_2 (|a| |c| + |b| |s|) + 2 e`` (with ``|a| |s| + |b| |c|`` in the second half), ``g_2 = 2 u / (1 - 2
        u)``, u the unit roundoff and e the smallest positive number of the type (no overflow). NaN and infinity stay
        within their pairs.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> quarter = np.zeros((1, 1)), np.ones((1, 1))
    >>> rotate(np.array([[1.0, 2.0]]), *quarter), rotate(np.array([[1.0, 2.0]]), *quarter, inverse=True)
    (array([[-2.,  1.]]), array([[ 2., -1.]]))
    """
    x, cos, sin = rotary_operands(x, cos, sin)
    y = result(out, x.shape, x.dtype, x=x, cos=cos, sin=sin)
    if not y.size:
        return y
    whole = y.flags.c_contiguous and y.flags.aligned
    target = y if whole else np.empty(y.shape, y.dtype)
    rows, written = (np.ascontiguousarray(a).reshape(-1, x.shape[-1]) for a in (x, target))
    c, s = np.ascontiguousarray(cos), np.ascontiguousarray(sin)
    numba = loops("rows_numba")
    loop = numba.compiled("rotate", x.dtype.char, 2, 2, 2, 1, 2)
    sign = np.array([-1.0 if inverse else 1.0], x.dtype)
    single = len(rows) == len(c)  # else parts begin with the first token

    def some_rows(part: slice) -> None:
        angles = (c[part], s[part]) if single else (c, s)
        loop(rows[part], *angles, sign, written[part])

    numba.over_rows(some_rows, len(rows), 2 * y.nbytes, 1 if single else len(c))
    if not whole:
        y[...] = target
    return y
