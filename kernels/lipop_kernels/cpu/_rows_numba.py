"""The compiled row kernels: a reduction along the row, then one sweep that writes, while the row is in the cache.

Sums may be taken in any order (``reassoc``); what is written is evaluated as it stands, but for fused multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import from_dtype, njit, types

from lipop_kernels.cpu._lazy import SMALL
from lipop_kernels.cpu._storage import FLAGS
from lipop_kernels.cpu._threads import each_part

EXACT = {"contract"}


@njit(fastmath=FLAGS)
def _dot(p, v):
    s = p.dtype.type(0)
    for j in range(p.size):
        s += p[j] * v[j]
    return s


@njit(fastmath=FLAGS)
def _weighted(z, g, v):
    s = z.dtype.type(0)
    for j in range(z.size):
        s += z[j] * (g[j] * v[j])
    return s


@njit(fastmath=EXACT)
def _softmax_row(p, v, d, out):
    for j in range(p.size):
        out[j] = p[j] * (v[j] - d)


@njit(fastmath=EXACT)
def _scaled_row(z, g, v, mean, along, scale, after, out):
    for j in range(z.size):
        out[j] = after[j] * (scale * ((g[j] * v[j] - mean) - z[j] * along))


def softmax(P, V, out):
    """Each row p (v - <p, v>)."""
    for i in range(P.shape[0]):
        _softmax_row(P[i], V[i], _dot(P[i], V[i]), out[i])


def rms_norm(Z, scale, before, after, V, out):
    """Each row after * scale (w - z <z, w> / n) with w = before * v."""
    n = Z.dtype.type(Z.shape[1])
    for i in range(Z.shape[0]):
        along = _weighted(Z[i], before, V[i]) / n
        _scaled_row(Z[i], before, V[i], Z.dtype.type(0), along, scale[i], after, out[i])


def layer_norm(Z, scale, before, after, V, out):
    """Each row after * scale (w - mean(w) - z <z, w> / n) with w = before * v."""
    n = Z.dtype.type(Z.shape[1])
    for i in range(Z.shape[0]):
        mean, along = _dot(before, V[i]) / n, _weighted(Z[i], before, V[i]) / n
        _scaled_row(Z[i], before, V[i], mean, along, scale[i], after, out[i])


@njit(fastmath=EXACT)
def _turned(x, c, s, sign, out):
    h = c.size
    a, b, first, second = x[:h], x[h:], out[:h], out[h:]
    for j in range(h):
        t = sign * s[j]
        first[j] = a[j] * c[j] - b[j] * t
        second[j] = a[j] * t + b[j] * c[j]


def rotate(X, cos, sin, sign, out):
    """Row i of X by the angles of row i mod tokens."""
    tokens = cos.shape[0]
    for i in range(X.shape[0]):
        _turned(X[i], cos[i % tokens], sin[i % tokens], sign[0], out[i])


@lru_cache(maxsize=64)
def compiled(name: str, code: str, *ranks: int) -> Callable[..., Any]:
    """A function of this file for contiguous arrays of one type; the last one is written."""
    number = from_dtype(np.dtype(code))
    inputs = [types.Array(number, r, "C", readonly=True, aligned=False) for r in ranks[:-1]]
    signature = types.void(*inputs, types.Array(number, ranks[-1], "C"))
    return njit(signature, cache=True, nogil=True)(globals()[name])


def over_rows(work: Callable[[slice], None], rows: int, nbytes: int, step: int = 1) -> None:
    """Run ``work`` on all rows; if there are many bytes, on parts in threads that begin at multiples of ``step``."""
    if nbytes < SMALL:
        work(slice(0, rows))
    else:
        each_part(rows, lambda _, part: work(part), step)
