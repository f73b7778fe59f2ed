"""The compiled loops: uint16 stands for bfloat16 and int16 for float16 here, so that the type says how to decode.

``reassoc`` and ``contract`` let the sums be vectorised: the error bound holds for every order of summation. NaN and
infinity keep their meaning (no other fast-math flag). A row is a slice, because indexing with an offset hinders
vectorisation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numba import get_num_threads, njit, types
from numba.extending import overload, register_jitable

FLAGS = {"reassoc", "contract", "nsz"}


def _value(v):
    """A stored entry as a float (compiled below)."""
    raise NotImplementedError("only compiled code calls this")


@overload(_value)
def _compile_value(v):
    if v == types.uint16:  # bfloat16: the upper half of a float32
        return lambda v: np.uint32(np.uint32(v) << np.uint32(16)).view(np.float32)
    if v == types.int16:
        return _half
    return lambda v: v


@register_jitable
def _half(v):
    """float16: shift exponent and fraction into place, then move the exponent's origin (exact, subnormals too)."""
    bits = np.uint32(np.uint16(v))
    magnitude = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32) * np.float32(2.0**112)
    special = np.uint32(((bits & np.uint32(0x7FFF)) << np.uint32(13)) | np.uint32(0x7F800000)).view(np.float32)
    magnitude = special if (bits & np.uint32(0x7C00)) == np.uint32(0x7C00) else magnitude
    return -magnitude if bits & np.uint32(0x8000) else magnitude


@njit(fastmath=FLAGS, cache=True)
def _dot(a, x, zero):
    s = zero
    for j in range(x.size):
        s += _value(a[j]) * x[j]
    return s


@njit(fastmath=FLAGS, cache=True)
def _dots(A, x, s, zero):
    """s = A x for a tile A of eight rows: x is loaded once for all of them."""
    a0, a1, a2, a3, a4, a5, a6, a7 = A[0], A[1], A[2], A[3], A[4], A[5], A[6], A[7]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
    for j in range(x.size):
        v = x[j]
        s0 += _value(a0[j]) * v
        s1 += _value(a1[j]) * v
        s2 += _value(a2[j]) * v
        s3 += _value(a3[j]) * v
        s4 += _value(a4[j]) * v
        s5 += _value(a5[j]) * v
        s6 += _value(a6[j]) * v
        s7 += _value(a7[j]) * v
    s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s0, s1, s2, s3, s4, s5, s6, s7


@njit(fastmath=FLAGS, cache=True)
def _add_rows(A, s, y):
    """y += A^T s for a tile A of eight rows."""
    a0, a1, a2, a3, a4, a5, a6, a7 = A[0], A[1], A[2], A[3], A[4], A[5], A[6], A[7]
    s0, s1, s2, s3, s4, s5, s6, s7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
    for j in range(y.size):
        left = (s0 * _value(a0[j]) + s1 * _value(a1[j])) + (s2 * _value(a2[j]) + s3 * _value(a3[j]))
        right = (s4 * _value(a4[j]) + s5 * _value(a5[j])) + (s6 * _value(a6[j]) + s7 * _value(a7[j]))
        y[j] += left + right


@njit(fastmath=FLAGS, cache=True)
def _add_row(a, s, y):
    for j in range(y.size):
        y[j] += s * _value(a[j])


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _gram(A, X, Y, zero):
    """Y += X A^T A, eight rows of A at a time."""
    s, m = np.empty(8, dtype=X.dtype), A.shape[0]
    for i in range(0, m - 7, 8):
        for c in range(X.shape[0]):
            _dots(A[i : i + 8], X[c], s, zero)
            _add_rows(A[i : i + 8], s, Y[c])
    for k in range(m - m % 8, m):
        for c in range(X.shape[0]):
            _add_row(A[k], _dot(A[k], X[c], zero), Y[c])


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _image(A, v, scale, w, majorant):
    for i in range(A.shape[0]):
        row = A[i]
        s, t = np.float64(0.0), np.float64(0.0)
        for j in range(row.size):
            term = np.float64(_value(row[j])) * scale * v[j]
            s += term
            t += abs(term)
        w[i], majorant[i] = s, t


def one_pass(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    """``X A^T A`` for contiguous A (m, n) and X (b, n); sums in the type of X."""
    A = _read_only(A)
    partial = np.zeros((get_num_threads(), *X.shape), dtype=X.dtype)
    _each_part(len(A), lambda t, rows: _gram(A[rows], X, partial[t], X.dtype.type(0)))
    return partial.sum(axis=0)


def image(A: np.ndarray, v: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """``scale A v`` and ``scale |A| |v|`` in float64, for contiguous A (m, n), v (n,) and a power of two."""
    A = _read_only(A)
    w, majorant = np.empty(A.shape[0]), np.empty(A.shape[0])
    _each_part(len(A), lambda t, rows: _image(A[rows], v, scale, w[rows], majorant[rows]))
    return w, majorant


def _read_only(A: np.ndarray) -> np.ndarray:
    """A view that cannot be written: one compiled version serves all arrays."""
    A = A.view()
    A.flags.writeable = False
    return A


def _each_part(m: int, work: Callable[[int, slice], None]) -> None:
    """Run ``work(t, rows)`` on as many equal parts of m rows as there are threads; this thread takes the first."""
    threads = get_num_threads()
    parts = [slice(t * m // threads, (t + 1) * m // threads) for t in range(threads)]
    others = [_pool(os.getpid(), threads).submit(work, t, parts[t]) for t in range(1, threads)]
    work(0, parts[0])
    for other in others:
        other.result()


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The worker threads of this process (a forked child makes its own)."""
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="lipop_kernels")
