"""The compiled loops of ``gram_matvec``: uint16 stands for bfloat16 and int16 for float16 here, so that the type says how to decode.

``reassoc`` and ``contract`` let the sums be vectorised: the error bound holds for every order of summation. NaN and infinity keep
their meaning (no other fast-math flag). A row is a slice, because indexing with an offset hinders vectorisation.
"""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange, types
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


@njit(fastmath=FLAGS, cache=True, parallel=True, nogil=True)
def _gram(A, X, partial, zero):
    threads, m = partial.shape[0], A.shape[0]
    for t in prange(threads):
        stop = (t + 1) * m // threads
        s = np.empty(8, dtype=X.dtype)
        for i in range(t * m // threads, stop, 8):
            if i + 8 <= stop:
                for c in range(X.shape[0]):
                    for k in range(8):
                        s[k] = _dot(A[i + k], X[c], zero)
                    _add_rows(A[i : i + 8], s, partial[t, c])
            else:
                for k in range(i, stop):
                    for c in range(X.shape[0]):
                        _add_row(A[k], _dot(A[k], X[c], zero), partial[t, c])


def one_pass(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    """``X A^T A`` for contiguous A (m, n) and X (b, n); sums in the type of X."""
    A = A.view()
    A.flags.writeable = False  # one compiled version for arrays that may and may not be written
    partial = np.zeros((get_num_threads(), *X.shape), dtype=X.dtype)
    _gram(A, X, partial, X.dtype.type(0))
    return partial.sum(axis=0)
