"""What a survey reads a matrix with: the sums of its squares, and ``A^T (A x)`` in short sums of float32."""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit

from lipop_kernels.cpu._storage import FLAGS, contiguous, merged, packed, parts_of, product, split, update
from lipop_kernels.cpu._threads import each_part

WIDTH = 1024  # products of a row with x that are summed in float32 before they are added in float64
TILES = 64  # tiles of four rows that are summed in float32, likewise
SERIAL = 2**21  # bytes up to which one thread is faster


# ---- squares ----


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _squares(A, out):
    for i in range(A.shape[0]):
        row, s = A[i], 0.0
        for j in range(row.size):
            v = np.float64(row[j])
            s += v * v
        out[i] = s


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _squares_of_bfloat16(A, out):
    for i in range(A.shape[0]):
        row, s = A[i], 0.0
        for j in range(row.size):
            v = np.float64(np.uint32(np.uint32(row[j]) << np.uint32(16)).view(np.float32))
            s += v * v
        out[i] = s


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _squares_by_table(A, table, out):
    for i in range(A.shape[0]):
        row, s = A[i], 0.0
        for j in range(row.size):
            s += table[row[j]]
        out[i] = s


def squares(A: np.ndarray, kind: str) -> np.ndarray:
    """(m,) float64: the sum of the squares of each row of a contiguous A, any order of float64 additions."""
    A = A.view()
    A.flags.writeable = False  # one compiled version serves all arrays
    out = np.empty(len(A))
    if kind == "f16":
        with np.errstate(invalid="ignore"):  # of NaN, whose square is NaN
            table = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64) ** 2
        one = lambda rows: _squares_by_table(A[rows], table, out[rows])  # noqa: E731
    else:
        loop = _squares_of_bfloat16 if kind == "bf16" else _squares
        one = lambda rows: loop(A[rows], out[rows])  # noqa: E731
    each_part(len(A), lambda _, rows: one(rows)) if A.nbytes > SERIAL else one(slice(None))
    return out


# ---- products ----


@njit(fastmath=FLAGS, cache=True)
def _dots(a0, a1, a2, a3, x0, x1):
    s0 = s1 = s2 = s3 = np.float32(0)
    for j in range(x0.size):
        s0 += product(a0[j], x0, x1, j)
        s1 += product(a1[j], x0, x1, j)
        s2 += product(a2[j], x0, x1, j)
        s3 += product(a3[j], x0, x1, j)
    return s0, s1, s2, s3


@njit(fastmath=FLAGS, cache=True)
def _add(a0, a1, a2, a3, s, y0, y1):
    for j in range(y0.size):
        update(y0, y1, j, s, (a0[j], a1[j], a2[j], a3[j]))


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _gram_short(A, x, y, width, tiles):
    """y (float64) += A^T (A x): A packed, four rows at a time; x and y in the parts of A's storage."""
    m, n = A.shape
    part = np.zeros(x.shape, np.float32)
    last = x.shape[0] - 1
    x0, x1, p0, p1 = x[0], x[last], part[0], part[last]
    for i in range(0, m, 4):
        a0, a1 = contiguous(A[i]), contiguous(A[min(i + 1, m - 1)])
        a2, a3 = contiguous(A[min(i + 2, m - 1)]), contiguous(A[min(i + 3, m - 1)])
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(0, n, width):
            e = min(n, j + width)
            t0, t1, t2, t3 = _dots(a0[j:e], a1[j:e], a2[j:e], a3[j:e], x0[j:e], x1[j:e])
            s0 += t0
            s1 += t1
            s2 += t2
            s3 += t3
        left = m - i  # the last tile may repeat its last row: with weight zero
        s1, s2, s3 = s1 if left > 1 else 0.0, s2 if left > 2 else 0.0, s3 if left > 3 else 0.0
        _add(a0, a1, a2, a3, (np.float32(s0), np.float32(s1), np.float32(s2), np.float32(s3)), p0, p1)
        if (i // 4) % tiles == tiles - 1 or i + 4 >= m:
            for k in range(part.shape[0]):
                for j in range(n):
                    y[k, j] += part[k, j]
            part[:] = 0


def gram_short(A: np.ndarray, kind: str, x: np.ndarray) -> np.ndarray:
    """``A^T (A x)`` for contiguous A (m, n) and a vector x, which is rounded to float32; as float64.

    With ``u = 2**-24`` and ``w = min(n, WIDTH)`` the error is at most ``g_{w + TILES + 16} |A|^T |A| |x|`` entrywise,
    in any order within a short sum: w products and their sum; its rounding to float32; four products and their sum,
    added TILES times; the rounding of x. What is added in float64 is covered by the 16.
    """
    P = packed(A.view(), kind)
    P.flags.writeable = False
    parts, short = parts_of(P), split(x[None], parts_of(P), np.dtype(np.float32))[0]
    threads = get_num_threads() if A.nbytes > SERIAL else 1
    partial = np.zeros((threads, *short.shape))
    if threads == 1:
        _gram_short(P, short, partial[0], WIDTH // parts, TILES)
    else:
        each_part(len(P), lambda t, rows: _gram_short(P[rows], short, partial[t], WIDTH // parts, TILES), step=4)
    return merged(partial.sum(axis=0)[None])[0]
