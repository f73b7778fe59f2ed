"""Stored entries in compiled loops, and how the loops are compiled.

The type of an array says how its entries are read: uint16 a bfloat16, uint32 two bfloat16 side by side, int16 a
float16; float32 and float64 are what they are. Two bfloat16 at once need no widening: the low one is shifted up, the
high one is masked, and a vector that they meet is stored as its even entries, then its odd ones (``parts`` is 2).

``reassoc`` and ``contract`` let sums be vectorised: the error bounds hold for every order of summation. NaN and
infinity keep their meaning (no other fast-math flag).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, njit, types
from numba.core.imputils import impl_ret_borrowed
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload, register_jitable

FLAGS = {"reassoc", "contract", "nsz"}


# ---- arrays ----


def packed(A: np.ndarray, kind: str) -> np.ndarray:
    """A view with adjacent entries along the last axis, whose type says how they are read."""
    if kind == "bf16":
        return A.view(np.uint32) if A.shape[-1] % 2 == 0 else A
    return A.view(np.int16) if kind == "f16" else A


def parts_of(P: np.ndarray) -> int:
    """How many entries an element of a packed array holds."""
    return 2 if P.dtype == np.uint32 else 1


def split(X: np.ndarray, parts: int, work: np.dtype) -> np.ndarray:
    """Rows of vectors (b, n) as (b, parts, n / parts) in the type of the sums, contiguous; copied only if need be."""
    b, n = X.shape
    if parts == 1:
        return np.ascontiguousarray(X, dtype=work).reshape(b, 1, n)
    return np.ascontiguousarray(X.reshape(b, n // parts, parts).swapaxes(1, 2), dtype=work)


def merged(Y: np.ndarray) -> np.ndarray:
    """The inverse of ``split``."""
    return Y.swapaxes(1, 2).reshape(len(Y), -1)


# ---- compilation ----


@lru_cache(maxsize=256)
def compiled(function: Callable[..., Any], storage: np.dtype, work: np.dtype, *ranks: int) -> Callable[..., Any]:
    """``function(A, ...)`` compiled on first use (then cached on disk) for A of this storage and arrays of ``work``.

    One version takes every A, read-only, unaligned and with any strides between rows. ``ranks`` are the dimensions of
    the further arguments; the last one is written.
    """
    A = types.Array(from_dtype(storage), 2, "A", readonly=True, aligned=False)
    others = [types.Array(from_dtype(work), r, "C", readonly=True, aligned=False) for r in ranks[:-1]]
    written = types.Array(from_dtype(work), ranks[-1], "C")
    return njit(types.void(A, *others, written), fastmath=FLAGS, cache=True, nogil=True)(function)


def _contiguous(_context, row):
    """The row, whose entries the caller knows to be adjacent, with that in its type: its loops are vectorised."""
    adjacent = row.copy(layout="C")

    def generate(context, builder, _signature, args):
        return impl_ret_borrowed(context, builder, adjacent, args[0])

    return adjacent(row), generate


contiguous: Any = intrinsic(_contiguous)


# ---- entries ----


def value(v):
    """A stored entry as a float (compiled below)."""
    raise NotImplementedError("only compiled code calls this")


def product(w, x0, x1, j):
    """What element j of a row adds to its product with x, whose parts are x0 and x1 (compiled below)."""
    raise NotImplementedError("only compiled code calls this")


def update(y0, y1, j, s, w):
    """Add s[0] w[0] + ... + s[3] w[3] to element j of y, whose parts are y0 and y1 (compiled below)."""
    raise NotImplementedError("only compiled code calls this")


def update_by_one(y0, y1, j, s, w):
    """Add s w to element j of y (compiled below)."""
    raise NotImplementedError("only compiled code calls this")


@overload(value)
def _compile_value(v):
    if v == types.uint16:
        return lambda v: np.uint32(np.uint32(v) << np.uint32(16)).view(np.float32)
    if v == types.int16:
        return _hardware_half if _converts_halves() else _half
    return lambda v: v


def _converts_halves() -> bool:
    """Whether the processor that code is made for converts float16."""
    target: Any = cpu_target.target_context
    return "+f16c" in str(target.codegen().magic_tuple())


@register_jitable(fastmath=FLAGS)
def _low(w):
    return np.uint32(w << np.uint32(16)).view(np.float32)


@register_jitable(fastmath=FLAGS)
def _high(w):
    return np.uint32(w & np.uint32(0xFFFF0000)).view(np.float32)


@overload(product, jit_options={"fastmath": FLAGS})
def _compile_product(w, x0, x1, j):
    if w == types.uint32:
        return lambda w, x0, x1, j: _low(w) * x0[j] + _high(w) * x1[j]
    return lambda w, x0, x1, j: value(w) * x0[j]


@overload(update, jit_options={"fastmath": FLAGS})
def _compile_update(y0, y1, j, s, w):
    if w[0] == types.uint32:

        def both(y0, y1, j, s, w):
            y0[j] += (s[0] * _low(w[0]) + s[1] * _low(w[1])) + (s[2] * _low(w[2]) + s[3] * _low(w[3]))
            y1[j] += (s[0] * _high(w[0]) + s[1] * _high(w[1])) + (s[2] * _high(w[2]) + s[3] * _high(w[3]))

        return both

    def one(y0, y1, j, s, w):
        y0[j] += (s[0] * value(w[0]) + s[1] * value(w[1])) + (s[2] * value(w[2]) + s[3] * value(w[3]))

    return one


@overload(update_by_one, jit_options={"fastmath": FLAGS})
def _compile_update_by_one(y0, y1, j, s, w):
    if w == types.uint32:

        def both(y0, y1, j, s, w):
            y0[j] += s * _low(w)
            y1[j] += s * _high(w)

        return both

    def one(y0, y1, j, s, w):
        y0[j] += s * value(w)

    return one


def _extend(_context, bits):
    """The processor's conversion of float16 to float32."""

    def generate(_target, builder, _signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(bits), generate


_extended: Any = intrinsic(_extend)


@register_jitable
def _hardware_half(v):
    return _extended(v)


@register_jitable
def _half(v):
    """float16 by bits: exponent and fraction into place, then the exponent's origin (exact, subnormals too)."""
    bits = np.uint32(np.uint16(v))
    magnitude = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32) * np.float32(2.0**112)
    special = np.uint32(((bits & np.uint32(0x7FFF)) << np.uint32(13)) | np.uint32(0x7F800000)).view(np.float32)
    magnitude = special if (bits & np.uint32(0x7C00)) == np.uint32(0x7C00) else magnitude
    return -magnitude if bits & np.uint32(0x8000) else magnitude
