"""Products of stored matrices with vectors: which compiled loop, on which threads, for which layout.

A matrix whose rows are adjacent in memory (any stride between them) goes through the loops as it is; one whose columns
are adjacent goes through as its transpose; of any other, blocks of rows are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numba import get_num_threads

from lipop_kernels._checks import F32, F64
from lipop_kernels.cpu import _tiles
from lipop_kernels.cpu._lazy import SMALL
from lipop_kernels.cpu._storage import compiled, merged, packed, parts_of, split
from lipop_kernels.cpu._threads import each_part

TINY = 2**13  # entries up to which BLAS works in one thread
FEW = 16  # rows for each thread below which a wide matrix is divided by columns
NARROW = 256  # columns for each thread below which a tall matrix is divided by rows
PANEL = 2**23  # bytes of a panel of rows of a matrix with adjacent columns: short columns cost more than a larger cache
PAGES = 2**16  # bytes of a column in such a panel where the matrix is memory-mapped: whole pages are used at once
COPY = 2**17  # entries copied at a time from a matrix with neither rows nor columns adjacent


def as_rows(x: np.ndarray, work: np.dtype) -> np.ndarray:
    """One vector (n,) or several (n, b) as rows (b, n) in the type of the sums."""
    return (x.reshape(1, -1) if x.ndim == 1 else x.T).astype(work, copy=False)


def store(y: np.ndarray, Y: np.ndarray) -> None:
    """The inverse of ``as_rows``, into y."""
    y[...] = Y[0] if y.ndim == 1 else Y.T


def rows_adjacent(A: np.ndarray) -> bool:
    """Whether the loops should run along the rows of A."""
    m, n = A.shape
    by_rows, by_columns = A.strides[1] == A.itemsize or n == 1, A.strides[0] == A.itemsize or m == 1
    return by_rows and not (by_columns and m > n)


def columns_adjacent(A: np.ndarray) -> bool:
    """Whether the loops should run along the columns of A."""
    return rows_adjacent(A.T)


def blocks_of_rows(A: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Copies of blocks of rows of A, with adjacent entries."""
    step = max(4, COPY // A.shape[1] // 4 * 4)
    for i in range(0, A.shape[0], step):
        part = slice(i, min(i + step, A.shape[0]))
        yield part, np.ascontiguousarray(A[part])


def quick(name: str, A: Any, x: Any) -> np.ndarray | None:
    """``gram``, ``image`` or ``adjoint`` of a small ordinary matrix; None for anything else.

    What holds for all cases costs more than a small product. BLAS multiplies tiny matrices in one thread.
    """
    if not (type(A) is type(x) is np.ndarray and A.ndim == 2):
        return None
    storage, rows = A.dtype, x.shape[:1]
    if not (storage is F32 or storage is F64) or rows != A.shape[name != "adjoint" :][:1] or not 0 < A.nbytes < SMALL:
        return None
    if x.ndim == 1 and x.dtype is storage and A.flags.c_contiguous and x.flags.c_contiguous and A.shape[1] > 1:
        y = np.empty(A.shape[name != "image"], storage)
        _quick_loop(name, storage.char)(A, x, y)
        return y
    if A.size > TINY or x.ndim > 2 or not (x.dtype is F32 or x.dtype is F64):
        return None
    return A @ x if name == "image" else A.T @ (x if name == "adjoint" else A @ x)


@lru_cache(maxsize=8)
def _quick_loop(name: str, code: str) -> Callable[..., Any]:
    """The compiled function behind Numba's choice by types, which ``quick`` has made."""
    loop: Any = compiled(getattr(_tiles, f"{name}_of_one"), np.dtype(code), np.dtype(code), 1, 1)
    return loop.overloads[loop.signatures[0]].entry_point


def image(A: np.ndarray, kind: str, X: np.ndarray) -> np.ndarray:
    """``X A^T`` (b, m): A times each row of X (b, n), in the type of X."""
    W = np.zeros((len(X), A.shape[0]), X.dtype)
    if rows_adjacent(A):
        _image(packed(A, kind), X, W)
        return W
    if columns_adjacent(A):
        return _adjoint(packed(A.T, kind), X)
    for part, block in blocks_of_rows(A):
        W[:, part] = image(block, kind, X)
    return W


def gram(A: np.ndarray, kind: str, X: np.ndarray) -> np.ndarray:
    """``X A^T A`` (b, n): A^T A times each row of X (b, n), in the type of X."""
    if rows_adjacent(A):
        if _threads(A) > 1 and A.shape[0] < FEW * get_num_threads():
            return image(A.T, kind, image(A, kind, X))
        return _gram_of_rows(packed(A, kind), X)
    if columns_adjacent(A):
        return _gram_of_columns(packed(A.T, kind), X, _mapped(A))
    Y = np.zeros_like(X)
    for _, block in blocks_of_rows(A):
        Y += gram(block, kind, X)
    return Y


def _threads(A: np.ndarray) -> int:
    return get_num_threads() if A.nbytes >= SMALL else 1


def _image(P: np.ndarray, X: np.ndarray, W: np.ndarray) -> None:
    """W += X P^T for a packed matrix."""
    loop = compiled(_tiles.image, P.dtype, X.dtype, 3, 2)
    x = split(X, parts_of(P), X.dtype)
    threads = _threads(P)
    if threads == 1:
        loop(P, x, W)
    elif len(P) >= FEW * threads:

        def some_rows(_: int, part: slice) -> None:
            w = np.zeros((len(X), part.stop - part.start), X.dtype)
            loop(P[part], x, w)
            W[:, part] = w

        each_part(len(P), some_rows, step=4)
    else:
        partial = np.zeros((threads, *W.shape), X.dtype)
        each_part(
            P.shape[1], lambda t, part: loop(P[:, part], np.ascontiguousarray(x[:, :, part]), partial[t]), step=16
        )
        W += partial.sum(axis=0)


def _adjoint(P: np.ndarray, U: np.ndarray) -> np.ndarray:
    """``U P`` (b, columns) for a packed matrix and U (b, rows)."""
    loop = compiled(_tiles.adjoint, P.dtype, U.dtype, 2, 3)
    U = np.ascontiguousarray(U)
    parts, threads = parts_of(P), _threads(P)
    shape = (len(U), parts, P.shape[1])
    if threads == 1:
        y = np.zeros(shape, U.dtype)
        loop(P, U, y)
    elif P.shape[1] >= NARROW * threads:
        y = np.empty(shape, U.dtype)

        def some_columns(_: int, part: slice) -> None:
            z = np.zeros((len(U), parts, part.stop - part.start), U.dtype)
            loop(P[:, part], U, z)
            y[:, :, part] = z

        each_part(P.shape[1], some_columns, step=16)
    else:
        y = _summed(len(P), shape, U.dtype, lambda part, z: loop(P[part], np.ascontiguousarray(U[:, part]), z))
    return merged(y)


def _gram_of_rows(P: np.ndarray, X: np.ndarray) -> np.ndarray:
    loop = compiled(_tiles.gram if len(X) == 1 else _tiles.gram_of_several, P.dtype, X.dtype, 3, 3)
    x = split(X, parts_of(P), X.dtype)
    if _threads(P) == 1:
        y = np.zeros_like(x)
        loop(P, x, y)
    else:
        y = _summed(len(P), x.shape, X.dtype, lambda part, z: loop(P[part], x, z))
    return merged(y)


def _gram_of_columns(P: np.ndarray, X: np.ndarray, mapped: bool) -> np.ndarray:
    """``X P P^T`` for a packed P = A^T: panels of P are read once for both products."""
    add, dot = compiled(_tiles.adjoint, P.dtype, X.dtype, 2, 3), compiled(_tiles.image, P.dtype, X.dtype, 3, 2)
    X = np.ascontiguousarray(X)
    n, m = P.shape
    width = max(128, PANEL // (n * P.itemsize), PAGES // P.itemsize if mapped else 0) // 16 * 16
    w_shape = (len(X), parts_of(P))

    def some_rows(part: slice, y: np.ndarray) -> None:
        for i in range(part.start, part.stop, width):
            panel = P[:, i : min(i + width, part.stop)]
            w = np.zeros((*w_shape, panel.shape[1]), X.dtype)
            add(panel, X, w)
            dot(panel, w, y)

    if _threads(P) == 1:
        y = np.zeros_like(X)
        some_rows(slice(0, m), y)
        return y
    return _summed(m, X.shape, X.dtype, some_rows, step=16)


def _summed(
    m: int, shape: tuple[int, ...], dtype: np.dtype, work: Callable[[slice, np.ndarray], None], step: int = 4
) -> np.ndarray:
    """The sum over threads of what ``work(part of range(m), zeros)`` adds to its own array."""
    partial = np.zeros((get_num_threads(), *shape), dtype)
    each_part(m, lambda t, part: work(part, partial[t]), step)
    return partial.sum(axis=0)


def _mapped(A: np.ndarray) -> bool:
    """Whether the memory of A is a file."""
    base: object = A
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False
