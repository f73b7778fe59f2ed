"""The sum of the squares of a stored matrix, row by row, in one read.

``reassoc`` and ``contract`` let the sums be vectorised: their error bound holds for every order of summation.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import get_num_threads, njit

FLAGS = {"reassoc", "contract"}


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
    threads = get_num_threads()
    ends = [t * len(A) // threads for t in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, map(slice, ends[:-1], ends[1:])))
    return out
