"""Work shared out among threads: many small products, each on one BLAS thread.

BLAS splits a 384 x 384 product badly among threads, and its idle workers spin; one product a thread is several times
faster.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

A = TypeVar("A")
B = TypeVar("B")


def cores() -> int:
    """How many threads may run: the cores that this process may use, or fewer if OPENBLAS_NUM_THREADS says so."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OPENBLAS_NUM_THREADS", "")
    return min(free, int(asked)) if asked.isdigit() and int(asked) > 0 else free


@lru_cache(maxsize=1)
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


_worker = threading.local()  # .busy: this thread works for a call of each already


def each(f: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """``[f(x) for x in items]`` on all cores, BLAS on one thread for each item; the order is kept.

    Nested calls run in their caller's thread.

    >>> each(lambda n: n * n, range(4))
    [0, 1, 4, 9]
    """
    todo = list(items)
    if getattr(_worker, "busy", False):
        return [f(x) for x in todo]
    with _controller().limit(limits=1, user_api="blas"):
        if len(todo) < 2 or cores() == 1:
            return [f(x) for x in todo]
        with ThreadPoolExecutor(cores(), initializer=lambda: setattr(_worker, "busy", True)) as pool:
            return list(pool.map(f, todo))


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` for stacks of matrices (one of them may hold a single matrix), the matrices shared out among the
    cores."""
    count = max(len(a), len(b))
    if count < 4 or a.shape[-1] * a.shape[-2] * b.shape[-1] * count < 5e6:
        return a @ b
    out = np.empty((count, a.shape[-2], b.shape[-1]), dtype=np.result_type(a, b))

    def one(i: int) -> None:
        np.matmul(a[i if len(a) > 1 else 0], b[i if len(b) > 1 else 0], out=out[i])

    each(one, range(count))
    return out
