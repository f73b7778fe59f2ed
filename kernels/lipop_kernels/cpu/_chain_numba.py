"""The compiled loop over heads of ``chain``."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import from_dtype, njit, types

from lipop_kernels.cpu import _tiles
from lipop_kernels.cpu._storage import FLAGS

_image = njit(fastmath=FLAGS)(_tiles.image)
_adjoint = njit(fastmath=FLAGS)(_tiles.adjoint)


def _chain(stacks, flipped, X, Y):
    """Y[h] = X[h] P^T P, P the chain of head h; ``flipped`` says of which factors the transposes are stored."""
    heads, b, n = X.shape
    k, size = len(stacks), n
    for i in range(k):
        size = max(size, stacks[i].shape[1], stacks[i].shape[2])
    here, there = np.empty(b * size, dtype=X.dtype), np.empty(b * size, dtype=X.dtype)
    for h in range(heads):
        here[: b * n] = X[h].reshape(b * n)
        length = n
        for step in range(2 * k):
            i = k - 1 - step if step < k else step - k
            A = stacks[i][h]
            by_rows = (step < k) != flipped[i]
            new = A.shape[0] if by_rows else A.shape[1]
            v, w = here[: b * length], there[: b * new]
            w[:] = 0
            if by_rows:
                _image(A, v.reshape(b, 1, length), w.reshape(b, new))
            else:
                _adjoint(A, v.reshape(b, length), w.reshape(b, 1, new))
            here, there, length = there, here, new
        Y[h] = here[: b * n].reshape(b, n)


@lru_cache(maxsize=64)
def chain(storage: np.dtype, work: np.dtype, k: int) -> Callable[..., Any]:
    """``_chain`` for k stacks of one storage."""
    stack = types.Array(from_dtype(storage), 3, "A", readonly=True, aligned=False)
    number = from_dtype(work)
    arguments = (
        types.UniTuple(stack, k),
        types.Array(types.boolean, 1, "C"),
        types.Array(number, 3, "C", readonly=True, aligned=False),
        types.Array(number, 3, "C"),
    )
    return njit(types.void(*arguments), fastmath=FLAGS, cache=True, nogil=True)(_chain)
