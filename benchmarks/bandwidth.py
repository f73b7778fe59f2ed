"""The read bandwidth of the machine: the reference for kernels that are bound by memory."""

from __future__ import annotations

import statistics
import time

import numba
import numpy as np

READ = "read once"  # the name of `psum` among contenders


@numba.njit(parallel=True, cache=True)
def _sum_words(words: np.ndarray, parts: int) -> int:
    sums = np.zeros(parts * 8, np.uint64)  # one cache line each
    step = (words.size + parts - 1) // parts
    for p in numba.prange(parts):
        part = words[p * step : min((p + 1) * step, words.size)]
        s = np.uint64(0)
        for i in range(part.size):
            s += part[i]
        sums[8 * p] = s
    return sums.sum()


def psum(A: np.ndarray) -> float:
    """Read an array once with all Numba threads: the sum of its 64-bit words modulo 2^64, which any order gives alike.

    The time it takes is the reference for memory-bound kernels.
    """
    if not (A.flags.c_contiguous or A.flags.f_contiguous):
        raise ValueError(f"psum reads contiguous arrays; this one has strides {A.strides}")
    flat = A.ravel(order="K").view(np.uint8)
    return float(_sum_words(flat[: flat.size // 8 * 8].view(np.uint64), numba.get_num_threads()))


def read_bandwidth(nbytes: int, repeats: int = 7) -> float:
    """Bytes per second that `psum` reads of an array of this size, median; small ones stay in the cache."""
    A = np.ones(max(1, nbytes // 8), np.uint64)
    seconds = []
    for _ in range(repeats + 1):  # the first round warms up
        start = time.perf_counter()
        psum(A)
        seconds.append(time.perf_counter() - start)
    return A.nbytes / statistics.median(seconds[1:])
