"""Token embedding: rows of a table, looked up by id, or mixed by weights (soft lookup p -> p^T E)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import UNIT, gamma, inflate
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError, TokenError
from lipop.operators.linear import _tensor  # pyright: ignore[reportPrivateUsage]

_BLOCK = 1024  # rows of one tile of the pairwise distances


@dataclass(frozen=True, eq=False, repr=False)
class Simplex(Region):
    """Points whose every token is a probability vector: entries not negative, sum one.

    >>> Simplex().contains(np.array([0.25, 0.75])), Simplex().contains(np.array([0.5, 0.75]))
    (True, False)
    """

    kind: ClassVar[str] = "simplex"
    convex = True

    def contains(self, x: np.ndarray) -> bool:
        x = np.asarray(x, dtype=np.float64)
        return bool((x >= 0).all() and (np.abs(x.sum(axis=-1) - 1) <= 1e-12).all())

    def points(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """``n`` points of the given shape, uniform on the simplex."""
        e = rng.standard_exponential((n, *shape))
        return e / e.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(Operator):
    """``p -> p^T E`` (+ position rows); ``lookup(ids)`` gives the rows themselves, exactly.

    Parameters
    ----------
    table : (V, d) array
    positions : (P, d) array or None
        Added to token i, row i; then the domain is token arrays.
    tokens : bool
        Whether the domain is ``(None, V)`` instead of ``(V,)``.
    norm_in : str
        ``l2``, or ``l1`` on vectors. The output is in l2.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    On the whole space the map is linear with norm ``|E|`` (l1: the largest row). On :class:`Simplex` differences sum to
    zero, so the constants are smaller, and exact: ``|E - mean row|`` in l2, half the table's diameter
    ``max |e_a - e_b|`` from l1 (the extreme points of the zero-sum l1 ball are ``(delta_a - delta_b)/2``). A hard
    lookup has the diameter itself as its constant for the discrete metric, and the diameter over sqrt(2) for one-hot
    vectors in l2.

    Examples
    --------
    >>> E = Embedding(np.array([[0.0, 0.0], [3.0, 4.0]]), norm_in="l1")
    >>> E.lookup([1, 0]).tolist(), round(E.lip(Simplex()).value, 6), round(E.lip().value, 6)
    ([[3.0, 4.0], [0.0, 0.0]], 2.5, 5.0)
    """

    table: np.ndarray
    positions: np.ndarray | None = None
    tokens: bool = False
    norm_in: str = "l2"
    tokenwise = True

    def __post_init__(self) -> None:
        table = _tensor(self.table, "the embedding table")
        if table.ndim != 2 or 0 in table.shape:
            raise ShapeError(f"an embedding needs a (vocabulary, d) table, found shape {table.shape}")
        object.__setattr__(self, "table", table)
        if self.positions is not None:
            rows = _tensor(self.positions, "the position table")
            if rows.ndim != 2 or rows.shape[1] != table.shape[1] or len(rows) == 0:
                raise ShapeError(f"the position table has shape {rows.shape}, expected (positions, {table.shape[1]})")
            object.__setattr__(self, "positions", rows)
            object.__setattr__(self, "tokens", True)
        if self.norm_in not in ("l1", "l2") or (self.norm_in == "l1" and self.tokens):
            raise DomainError(
                f"Embedding acts from l2, or on vectors from l1; found {self.norm_in!r}, tokens={self.tokens}"
            )

    @property
    def domain(self) -> Space:
        v = len(self.table)
        return Space((None, v) if self.tokens else (v,), self.norm_in)

    @property
    def codomain(self) -> Space:
        d = self.table.shape[1]
        return Space((None, d) if self.tokens else (d,))

    # ---- the values ----

    def lookup(self, ids: Any) -> np.ndarray:
        """(T, d) rows of the table, plus position rows, in the table's dtype.

        Raises
        ------
        TokenError
            If there are no ids, one is no integer or outside the vocabulary, or there are more than positions.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1 or len(ids) == 0:
            raise TokenError(f"a lookup needs a non-empty list of token ids, found shape {ids.shape}")
        if ids.dtype.kind not in "iu":
            raise TokenError(f"token ids must be integers, found {ids.dtype}")
        bad = np.flatnonzero((ids < 0) | (ids >= len(self.table)))
        if len(bad):
            raise TokenError(f"token {int(ids[bad[0]])} at {int(bad[0])} is outside 0..{len(self.table) - 1}")
        rows = self.table[ids]
        return rows if self.positions is None else rows + self._rows(len(ids)).astype(rows.dtype, copy=False)

    def _rows(self, tokens: int) -> np.ndarray:
        assert self.positions is not None
        if tokens > len(self.positions):
            raise TokenError(f"{tokens} tokens, but the position table has {len(self.positions)} rows")
        return self.positions[:tokens]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = x @ self.table.astype(x.dtype, copy=False)
        return y if self.positions is None else y + self._rows(len(x)).astype(x.dtype, copy=False)

    def enclose(self, x: Enclosed) -> Enclosed:
        e = Enclosed.exact(self.table)
        y = x @ e if x.mid.ndim > 1 else (x.reshape(1, -1) @ e).reshape(-1)
        return y if self.positions is None else y + np.asarray(self._rows(x.shape[0]), dtype=np.float64)

    # ---- constants ----

    def _centred(self) -> Enclosed:
        e = Enclosed.exact(self.table)
        return e - e.mean(0, keepdims=True)

    def diameter(self) -> float:
        """``max |e_a - e_b|`` over all pairs of rows, rounded up; tiles that cannot hold the maximum are skipped."""
        c = self._centred()
        return float(inflate(_diameter(c.mid) + 2 * Enclosed.exact(c.radius).norm_up().max(), 2))

    def _lip(self, on: Region) -> float:
        simplex = isinstance(on, Simplex)
        if self.norm_in == "l1":
            return 0.5 * self.diameter() if simplex else float(Enclosed.exact(self.table).norm_up().max())
        m = Matrix.of(self._centred()) if simplex else Matrix(np.asarray(self.table, dtype=np.float64))
        return m._upper(1e-8)  # pyright: ignore[reportPrivateUsage]

    def _smoothness(self, on: Region) -> float:
        return 0.0

    def _deviation(self, ball: Ball | TokenBall) -> float:
        return 0.0

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        e = np.asarray(self.table, dtype=np.float64)
        top = float(inflate(np.linalg.norm(e), e.size + 4))
        shape = (*x.shape[:-1], e.shape[1])
        error = gamma(sum(e.shape)) * top
        return LinearOperator(x.shape, shape, lambda h: h @ e, lambda u: u @ e.T, majorant=top, product_error=error)


def _diameter(c: np.ndarray) -> float:
    """The largest distance of two rows, rounded up: ``|a|^2 + |b|^2 - 2 a.b`` tile by tile, long rows first."""
    size = Enclosed.exact(c).norm_up()
    order = np.argsort(-size)
    c, size = c[order], size[order]
    square = np.einsum("ij,ij->i", c, c)
    slack = 2 * gamma(c.shape[1] + 8)
    best = 0.0
    for i in range(0, len(c), _BLOCK):
        if 2 * size[i] <= best:
            break
        for j in range(i, len(c), _BLOCK):
            if size[i] + size[j] <= best:
                break
            a, b = slice(i, i + _BLOCK), slice(j, j + _BLOCK)
            distance = square[a, None] + square[b] - 2 * (c[a] @ c[b].T)
            error = slack * (size[a, None] + size[b]) ** 2
            best = max(best, math.sqrt(float((distance + error).max())) * (1 + 8 * UNIT))
    return best


__all__ = ["Embedding", "Simplex"]
