"""The read bandwidth of the machine: the reference for kernels that are bound by memory."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numba
import numpy as np

READ = "read once"  # the name of `psum` among contenders


SERIAL = 2**21  # bytes up to which starting threads costs more than it gains


@numba.njit(cache=True, nogil=True)
def _sum(words: np.ndarray) -> np.uint64:
    s = np.uint64(0)
    for i in range(words.size):
        s += words[i]
    return s


def psum(A: np.ndarray) -> float:
    """Read an array once, a large one with all Numba threads: the reference for kernels that are bound by memory.

    The threads are a pool that sleeps between calls: Numba's own wait actively, and took ten times as long in turns
    with others'. It returns the sum of the array's 64-bit words modulo 2^64, which is the same in any order.
    """
    if not (A.flags.c_contiguous or A.flags.f_contiguous):
        raise ValueError(f"psum reads contiguous arrays; this one has strides {A.strides}")
    flat = A.ravel(order="K").view(np.uint8)
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    threads = 1 if words.nbytes <= SERIAL else numba.get_num_threads()
    step = -(-words.size // threads)
    others = [_pool(threads).submit(_sum, words[i * step : (i + 1) * step]) for i in range(1, threads)]
    return float((int(_sum(words[:step])) + sum(int(o.result()) for o in others)) % 2**64)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads - 1))


def read_bandwidth(nbytes: int, repeats: int = 7) -> float:
    """Bytes per second that `psum` reads of an array of this size, median; small ones stay in the cache."""
    A = np.ones(max(1, nbytes // 8), np.uint64)
    seconds = []
    for _ in range(repeats + 1):  # the first round warms up
        start = time.perf_counter()
        psum(A)
        seconds.append(time.perf_counter() - start)
    return A.nbytes / statistics.median(seconds[1:])
