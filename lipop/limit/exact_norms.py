"""Norms at 1 and symmetric parts at 0: decided in rational arithmetic for small affine maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lipop.core.bound import UPPER, Claim
from lipop.core.operator import Operator
from lipop.core.rule import leaf_rule
from lipop.limit.exact import homogeneous


def _exact_ball(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    return 1.0 if isinstance(subject, Operator) and exactly_nonexpansive(subject) else math.inf


NONEXPANSIVE = leaf_rule(
    "lip.exact@1",
    reference="an affine map with stored matrix A: |A| <= 1 decided in rational arithmetic (l2: I - A^T A >= 0)",
    grid=53,
    quantity="lip",
    side=UPPER,
    procedure=_exact_ball,
)


def exactly_nonexpansive(op: Operator) -> bool | None:
    """Whether the matrix of an affine map has norm at most 1, in exact arithmetic (None: not decided here).

    >>> import numpy as np
    >>> from lipop.operators.linear import Linear
    >>> exactly_nonexpansive(Linear(np.full((2, 2), 0.5)))
    True
    """
    import flint

    m = homogeneous(op)
    if m is None or op.domain.norm != op.codomain.norm:
        return None
    n = m.nrows() - 1
    a = [[m[i, j] for j in range(n)] for i in range(n)]
    if op.domain.norm == "linf":
        return all(sum(abs(v) for v in row) <= 1 for row in a)
    if op.domain.norm == "l1":
        return all(sum(abs(row[j]) for row in a) <= 1 for j in range(n))
    if op.domain.norm != "l2":
        return None
    gram = [[(i == j) - sum(a[k][i] * a[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
    return _semidefinite([[flint.fmpq(v) for v in row] for row in gram])


def exactly_dissipative(op: Operator) -> bool | None:
    """Whether ``<A x, x> <= 0`` for the matrix of an affine map, in exact arithmetic (None: not decided here).

    >>> import numpy as np
    >>> from lipop.operators.linear import Linear
    >>> exactly_dissipative(Linear(np.array([[0.0, 1.0], [-1.0, 0.0]])))
    True
    """
    m = homogeneous(op)
    if m is None:
        return None
    n = m.nrows() - 1
    return _semidefinite([[-(m[i, j] + m[j, i]) for j in range(n)] for i in range(n)])


def _semidefinite(g: list[list[Any]]) -> bool:
    """Whether a symmetric rational matrix is positive semidefinite (elimination without pivoting)."""
    n = len(g)
    for k in range(n):
        if g[k][k] < 0:
            return False
        if g[k][k] == 0:
            if any(g[k][j] != 0 for j in range(k + 1, n)):
                return False
            continue
        for i in range(k + 1, n):
            c = g[i][k] / g[k][k]
            if c != 0:
                for j in range(k, n):
                    g[i][j] -= c * g[k][j]
    return True


__all__ = ["NONEXPANSIVE", "exactly_dissipative", "exactly_nonexpansive"]
