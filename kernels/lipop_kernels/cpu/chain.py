"""``(F1 ... Fk)^T (F1 ... Fk) x`` without forming the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipop_kernels._checks import chain_operands, result
from lipop_kernels.cpu._lazy import SMALL, loops


def chain_gram_matvec(
    factors: Sequence[Any], x: Any, *, dtype: str | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """``P^T (P x)`` for ``P = F1 F2 ... Fk``, which is not formed: the factors are applied one after the other.

    The first factor is read once, the others twice (there and back). With stacks of factors, one for each head, a
    head's factors go there and back while they are in the cache, and the heads are shared out among the threads.

    Parameters
    ----------
    factors : sequence of (m_i, n_i) arrays or of (heads, m_i, n_i) arrays
        ``n_i == m_{i+1}``; storage as in ``gram_matvec``. Transposes are views, and stay so: ``[W_Q.T, W_K]``.
    x : (n_k,) or (n_k, b) array; with stacks (heads, n_k) or (heads, n_k, b)
        float64 or float32.
    dtype : {"bf16", "f16"}, optional
        What the bits of uint16 factors mean.
    out : array, optional
        Receives the result; it may not share memory with a factor or x.

    Returns
    -------
    y : array of the shape of x
        ``|y - P^T P x| <= g_K |Fk|^T ... |F1|^T |F1| ... |Fk| |x|`` entrywise, K the sum of all m_i + n_i, ``g_k =
        k u / (1 - k u)``, u the unit roundoff of the type of the sums: the widest of float32 and the types of factors
        and x. Each of the 2k products adds e times its length where it underflows, e the smallest positive number, and
        this passes through the absolute factors that follow (no overflow). The same for every call with the same
        number of threads. NaN and infinity propagate.

    Raises
    ------
    ValueError
        If there is no factor, shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> chain_gram_matvec([np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[2.0], [1.0]])], np.array([1.0]))
    array([17.])
    """
    matrices, kinds, x, work = chain_operands(factors, x, dtype)
    inputs = {f"factors[{i}]": F for i, F in enumerate(matrices)}
    y = result(out, x.shape, work, x=x, **inputs)
    if not x.size:
        return y
    if matrices[0].ndim == 2:
        _one(matrices, kinds, x, y)
    elif len(set(kinds)) > 1 or _few_large(matrices):
        for h in range(len(x)):
            _one([F[h] for F in matrices], kinds, x[h], y[h])
    else:
        _heads(matrices, kinds[0], x, y)
    return y


def _one(factors: list[np.ndarray], kinds: list[str], x: np.ndarray, y: np.ndarray) -> None:
    apply = loops("apply")
    v = apply.as_rows(x, y.dtype)
    for F, kind in zip(factors[:0:-1], kinds[:0:-1], strict=True):
        v = apply.image(F, kind, v)
    v = apply.gram(factors[0], kinds[0], v)
    for F, kind in zip(factors[1:], kinds[1:], strict=True):
        v = apply.image(F.T, kind, v)
    apply.store(y, v)


def _few_large(stacks: list[np.ndarray]) -> bool:
    """Whether the threads are better used within a head than on several heads."""
    return len(stacks[0]) < 4 and max(F[0].nbytes for F in stacks) >= SMALL


def _heads(stacks: list[np.ndarray], kind: str, x: np.ndarray, y: np.ndarray) -> None:
    stored, flipped = zip(*map(_adjacent, stacks), strict=True)
    packed = tuple(S.view(np.int16) if kind == "f16" else S for S in stored)
    loop = loops("chain_numba").chain(packed[0].dtype, y.dtype, len(packed))
    flips = np.array(flipped)
    X = np.ascontiguousarray(x[:, None] if x.ndim == 2 else x.swapaxes(1, 2), dtype=y.dtype)
    Y = np.empty_like(X)

    def some(_: int, part: slice) -> None:
        loop(tuple(S[part] for S in packed), flips, X[part], Y[part])

    if sum(S.nbytes for S in stacks) < SMALL:
        some(0, slice(0, len(X)))
    else:
        loops("threads").each_part(len(X), some)
    y[...] = Y[:, 0] if x.ndim == 2 else Y.swapaxes(1, 2)


def _adjacent(S: np.ndarray) -> tuple[np.ndarray, bool]:
    """The stack or its transposes, with adjacent rows (copied only if neither has them), and whether transposed."""
    if S.strides[2] == S.itemsize:
        return S, False
    if S.strides[1] == S.itemsize:
        return S.swapaxes(1, 2), True
    return np.ascontiguousarray(S), False
