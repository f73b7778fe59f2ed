"""What the product kernels of every device ask of their arguments, and the messages where an argument does not fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lipop_kernels._common import stored

FLOATS = {"d": "f64", "f": "f32"}  # codes of the native types
F64, F32 = np.dtype(np.float64), np.dtype(np.float32)


def matrix(A: Any, dtype: str | None) -> tuple[np.ndarray, str]:
    """A stored matrix and its storage, as ``stored`` gives them."""
    if type(A) is np.ndarray and A.ndim == 2 and dtype is None and A.size and A.dtype.isnative:
        kind = FLOATS.get(A.dtype.char)
        if kind is not None:
            return A, kind
    return stored(A, dtype)


def floats(x: Any, name: str) -> np.ndarray:
    """An array of float64 or float32."""
    x = np.asarray(x)
    if x.dtype.char not in FLOATS or not x.dtype.isnative:
        raise ValueError(f"{name} has dtype {x.dtype}; expected float64 or float32")
    return x


def columns(x: Any, length: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One vector or the columns of a matrix to be multiplied: shape (length,) or (length, b)."""
    x = floats(x, name)
    if x.ndim not in (1, 2) or x.shape[0] != length:
        raise ValueError(
            f"{name} has shape {x.shape}; expected ({length},) or ({length}, b), since A has shape {shape}"
        )
    return x


def sums(kinds: Any, x: np.ndarray) -> np.dtype:
    """The type of the sums: the wider of float32 and the types of the matrices and of x."""
    return F64 if x.dtype == F64 or "f64" in kinds else F32


def alike(x: Any, like: np.ndarray, name: str, of: str) -> np.ndarray:
    """An array with the shape and type of another argument."""
    x = floats(x, name)
    if x.shape != like.shape or x.dtype != like.dtype:
        raise ValueError(f"{name} is {x.shape} {x.dtype}; expected {like.shape} {like.dtype}, as {of} is")
    return x


def result(out: Any, shape: tuple[int, ...], dtype: np.dtype, **inputs: Any) -> np.ndarray:
    """The array for the result: a new one, or ``out`` if it fits, can be written and shares no memory with an input."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise ValueError(f"out is a {type(out).__name__}; expected a NumPy array {shape} {dtype}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out is {out.shape} {out.dtype}; expected {shape} {dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; expected an array that can be written")
    for name, array in inputs.items():
        if isinstance(array, np.ndarray) and _overlap(out, array):
            raise ValueError(f"out shares memory with {name}; expected an array of its own")
    if 0 in out.strides and out.size > 1 and any(s == 0 < n - 1 for s, n in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"out has strides {out.strides}: several entries share memory; expected an ordinary array")
    return out


def stored_in(out: Any, y: np.ndarray, /, **inputs: Any) -> np.ndarray:
    """``out``, checked as by ``result``, with the values of y."""
    out = result(out, y.shape, y.dtype, **inputs)
    out[...] = y
    return out


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10**4)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:  # strides that would take long to decide
        return True


def chain_operands(factors: Any, x: Any, dtype: str | None) -> tuple[list[np.ndarray], list[str], np.ndarray, np.dtype]:
    """The factors of a chain with their storages, x, and the type of the sums."""
    if not isinstance(factors, list | tuple) or len(factors) == 0:
        raise ValueError("factors must be a list or tuple of at least one matrix, or of at least one stack of matrices")
    matrices, kinds = [], []
    for i, F in enumerate(map(np.asarray, factors)):
        if F.ndim not in (2, 3) or 0 in F.shape:
            raise ValueError(f"factors[{i}] has shape {F.shape}; expected (m, n) or (heads, m, n), nothing empty")
        half = F.dtype.itemsize == 2  # dtype says what uint16 means, and nothing of the other factors
        kind = stored(F if F.ndim == 2 else F[0], dtype if half else None)[1]
        matrices.append(F.view(np.uint16) if half else F)
        kinds.append(kind)
    shapes = [F.shape for F in matrices]
    for i, (left, right) in enumerate(pairwise(shapes)):
        if left[:-2] != right[:-2] or left[-1] != right[-2]:
            raise ValueError(f"factors[{i}] and factors[{i + 1}] have shapes {left} and {right}, which do not multiply")
    x = floats(x, "x")
    lead = (*shapes[-1][:-2], shapes[-1][-1])
    if x.shape[: len(lead)] != lead or x.ndim > len(lead) + 1:
        raise ValueError(
            f"x has shape {x.shape}; expected {lead} or one more axis, since the last factor is {shapes[-1]}"
        )
    return matrices, kinds, x, sums(kinds, x)


def row_operands(x: Any, name: str) -> np.ndarray:
    """An array of rows: at least one axis, the last one not empty."""
    x = floats(x, name)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{name} has shape {x.shape}; expected rows (..., n) with n >= 1")
    return x


def rotary_operands(x: Any, cos: Any, sin: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens (..., T, d) with d even, and two tables (T, d / 2) of the same type."""
    x = floats(x, "x")
    if x.ndim < 2 or x.shape[-1] == 0 or x.shape[-1] % 2:
        raise ValueError(f"x has shape {x.shape}; expected (..., tokens, d) with d even and positive")
    tables = [floats(t, name) for t, name in ((cos, "cos"), (sin, "sin"))]
    shape = (x.shape[-2], x.shape[-1] // 2)
    for t, name in zip(tables, ("cos", "sin"), strict=True):
        if t.shape != shape or t.dtype != x.dtype:
            raise ValueError(
                f"{name} is {t.shape} {t.dtype}; expected {shape} {x.dtype}, since x is {x.shape} {x.dtype}"
            )
    return x, tables[0], tables[1]
