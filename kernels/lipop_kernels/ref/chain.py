"""``(F1 ... Fk)^T (F1 ... Fk) x`` by its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lipop_kernels._checks import chain_operands, result
from lipop_kernels._common import decoded


def chain_gram_matvec(
    factors: Sequence[Any], x: Any, *, dtype: str | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """``P^T (P x)`` for ``P = F1 ... Fk`` with sums in long double, rounded once.

    Parameters, result and exceptions as in ``lipop_kernels.chain_gram_matvec``.

    Examples
    --------
    >>> chain_gram_matvec([np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[2.0], [1.0]])], np.array([1.0]))
    array([17.])
    """
    matrices, kinds, x, work = chain_operands(factors, x, dtype)
    y = result(out, x.shape, work, x=x, **{f"factors[{i}]": F for i, F in enumerate(matrices)})
    long = [decoded(F, kind).astype(np.longdouble) for F, kind in zip(matrices, kinds, strict=True)]
    vectors = x.ndim == matrices[0].ndim - 1
    v = x.astype(np.longdouble)[..., None] if vectors else x.astype(np.longdouble)
    for F in reversed(long):
        v = F @ v
    for F in long:
        v = F.swapaxes(-2, -1) @ v
    y[...] = v[..., 0] if vectors else v
    return y
