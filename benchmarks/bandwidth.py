"""The read bandwidth of the machine: the reference for kernels that are bound by memory."""

from __future__ import annotations

import statistics
import time

import numba
import numpy as np

READ = "read once"  # the name of `psum` among contenders


SERIAL = 2**21  # bytes up to which starting threads costs more than it gains


@numba.njit(cache=True)
def _sum(words: np.ndarray) -> np.uint64:
    s = np.uint64(0)
    for i in range(words.size):
        s += words[i]
    return s


@numba.njit(parallel=True, cache=True)
def _parallel_sum(words: np.ndarray, parts: int) -> np.uint64:
    sums = np.zeros(parts * 8, np.uint64)  # one cache line each
    step = (words.size + parts - 1) // parts
    for p in numba.prange(parts):
        sums[8 * p] = _sum(words[p * step : min((p + 1) * step, words.size)])
    return sums.sum()


def psum(A: np.ndarray) -> float:
    """Read an array once, a large one with all Numba threads: the reference for kernels that are bound by memory.

    It returns the sum of the array's 64-bit words modulo 2^64, which is the same in any order.
    """
    if not (A.flags.c_contiguous or A.flags.f_contiguous):
        raise ValueError(f"psum reads contiguous arrays; this one has strides {A.strides}")
    flat = A.ravel(order="K").view(np.uint8)
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    return float(_sum(words) if words.nbytes <= SERIAL else _parallel_sum(words, numba.get_num_threads()))


def read_bandwidth(nbytes: int, repeats: int = 7) -> float:
    """Bytes per second that `psum` reads of an array of this size, median; small ones stay in the cache."""
    A = np.ones(max(1, nbytes // 8), np.uint64)
    seconds = []
    for _ in range(repeats + 1):  # the first round warms up
        start = time.perf_counter()
        psum(A)
        seconds.append(time.perf_counter() - start)
    return A.nbytes / statistics.median(seconds[1:])
