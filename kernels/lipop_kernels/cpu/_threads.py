"""The worker threads of the kernels: as many as ``numba.get_num_threads()`` says, in a pool of our own.

Numba's own parallel layers may not be entered by several threads at once (workqueue) or wait actively (OpenMP); these
threads sleep, and any number of callers may share them: no work of theirs waits for other work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from numba import get_num_threads


def each_part(m: int, work: Callable[[int, slice], None], step: int = 1) -> None:
    """Run ``work(t, part)`` on as many equal parts of range(m) as there are threads; this thread takes the first.

    Parts begin at multiples of ``step``. The parts depend on m and the number of threads only, so sums over parts do
    too.
    """
    threads = get_num_threads()
    ends = [min(m, (t * m // threads + step - 1) // step * step) for t in range(threads)] + [m]
    others = [
        _pool(os.getpid(), threads).submit(work, t, slice(ends[t], ends[t + 1]))
        for t in range(1, threads)
        if ends[t] < ends[t + 1]
    ]
    try:
        work(0, slice(ends[0], ends[1]))
    finally:  # nobody writes into the caller's arrays once it has gone on
        for other in others:
            other.exception()
    for other in others:
        other.result()


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The worker threads of this process (a forked child makes its own)."""
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="lipop_kernels")
