"""Rotary position embedding by its definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import result, rotary_operands


def rotate(x: Any, cos: Any, sin: Any, inverse: bool = False, *, out: np.ndarray | None = None) -> np.ndarray:
    """Turn the pairs ``(x[j], x[j + d/2])`` of every token, in long double, rounded once.

    Parameters, result and exceptions as in ``lipop_kernels.rotate``.

    Examples
    --------
    >>> rotate(np.array([[1.0, 2.0]]), np.zeros((1, 1)), np.ones((1, 1)))
    array([[-2.,  1.]])
    """
    x, cos, sin = rotary_operands(x, cos, sin)
    y = result(out, x.shape, x.dtype, x=x, cos=cos, sin=sin)
    half = x.shape[-1] // 2
    a, b = (part.astype(np.longdouble) for part in (x[..., :half], x[..., half:]))
    c, s = cos.astype(np.longdouble), (-sin if inverse else sin).astype(np.longdouble)
    y[..., :half], y[..., half:] = a * c - b * s, a * s + b * c
    return y
