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

from lipop_kernels._checks import FLOATS
from lipop_kernels.cpu import _tiles
from lipop_kernels.cpu._lazy import SMALL
from lipop_kernels.cpu._storage import compiled, merged, packed, parts_of, split
from lipop_kernels.cpu._threads import each_part

FEW = 16  # rows for each thread below which a wide matrix is divided by columns
NARROW = 256  # columns for each thread below which a tall matrix is divided by rows
PANEL = 2**21  # bytes of a panel of rows of a matrix with adjacent columns: it must stay in a cache
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
    """``gram``, ``image`` or ``adjoint`` of a small ordinary matrix and a vector of its type; None for anything else.

    The checks and loops for all cases cost more than a small product.
    """
    if not (
        type(A) is type(x) is np.ndarray
        and A.dtype is x.dtype
        and A.dtype.char in FLOATS
        and A.ndim == 2
        and x.ndim == 1
        and 0 < A.nbytes < SMALL
        and A.shape[1] > 1
        and x.size == A.shape[name != "adjoint"]
        and A.flags.c_contiguous
        and x.flags.c_contiguous
    ):
        return None
    loop = _quick_loop(name, A.dtype.char)
    if name == "image":
        y = np.zeros((1, len(A)), A.dtype)
        loop(A, x[None, None], y)
        return y[0]
    y = np.zeros((1, 1, A.shape[1]), A.dtype)
    loop(A, x[None] if name == "adjoint" else x[None, None], y)
    return y[0, 0]


@lru_cache(maxsize=8)
def _quick_loop(name: str, code: str) -> Callable[..., Any]:
    ranks = {"image": (3, 2), "adjoint": (2, 3), "gram": (3, 3)}[name]
    return compiled(getattr(_tiles, name), np.dtype(code), np.dtype(code), *ranks)


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
