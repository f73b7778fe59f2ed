"""Orthogonal projections onto subspaces: the range of a matrix, an intersection of ranges, a solution set.

Each is the exact projection of the stored matrices. Its float64 value comes from an orthonormal basis that ball
arithmetic made (:mod:`lipop.operators.projection_basis`), so that it is idempotent to rounding whatever the condition
number, and its distance from the exact projection is part of every enclosure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.matrices import Matrix
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import dot_up, float_up, gamma, inflate, workprec
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError
from lipop.operators.linear import _Linear, _tensor  # pyright: ignore[reportPrivateUsage]
from lipop.operators.projection import Projection
from lipop.operators.projection_basis import BITS, Basis, balls, common, floats, frobenius, integers, orthonormal


class _Orthogonal(_Linear, Projection):
    """``x - V (V^T x - c)`` or ``V V^T x``: what the two orthogonal projections share."""

    keeps: ClassVar[bool]  # whether the range of the basis is kept, or taken away
    orthogonal: ClassVar[bool] = True

    @property
    def basis(self) -> Basis:
        """An orthonormal basis of the range of M, or of the row space of A."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """Without the basis, whose balls do not pickle: it is made again when asked for."""
        return {k: v for k, v in self.__dict__.items() if k not in ("basis", "_shift")}

    @property
    def domain(self) -> Space:
        return Space((len(self.basis.columns),))

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def dimension(self) -> int:
        """Dimension of the (affine) subspace."""
        n, k = self.basis.columns.shape
        return k if self.keeps else n - k

    def _matrix(self) -> Matrix:
        v, n = self.basis.columns, len(self.basis.columns)
        p = v @ v.T if self.keeps else np.eye(n) - v @ v.T
        rounding = gamma(v.shape[1] + 4) * (dot_up(v) ** 2 + math.sqrt(n))
        # a difference of two projections has rank at most 2 min(k, n - k)
        spread = math.sqrt(2 * max(1, min(v.shape[1], n)))
        return Matrix(p, float(inflate(rounding + self.basis.error * spread, 8)))

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        v = self.basis.columns
        n, k = v.shape
        error = gamma(2 * (n + k) + 8) * (2.0 + k)

        def product(h: np.ndarray) -> np.ndarray:
            part = v @ (v.T @ h)
            return part if self.keeps else h - part

        return LinearOperator(x.shape, x.shape, product, product, majorant=1.0 + 1e-12, product_error=error)

    def _deviation(self, ball: TokenBall | Ball) -> float:
        return self.basis.error

    def _lip(self, on: Region) -> float:
        return 1.0 if self.dimension else 0.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 1.0 if self.dimension == len(self.basis.columns) else 0.0


class _Range(_Orthogonal):
    """``V V^T x``."""

    keeps: ClassVar[bool] = True

    @property
    def bounded(self) -> bool:
        return self.dimension == 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        v = self.basis.columns.astype(x.dtype, copy=False)
        return (x @ v) @ v.T

    def enclose(self, x: Enclosed) -> Enclosed:
        y = through(x, self.basis.columns, self.basis.columns)
        return Enclosed(y.mid, y.err + float(inflate(self.basis.error * dot_up(x.magnitude), 4)))


@dataclass(frozen=True, eq=False, repr=False)
class SubspaceProjection(_Range):
    """The orthogonal projection onto the range of a matrix.

    Parameters
    ----------
    M : (n, m) array
        Its columns span the subspace; they may be dependent.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    Lip is 1 (0 onto the zero space), the expansion 0 unless the subspace is everything.

    Examples
    --------
    >>> P = SubspaceProjection(np.array([[1.0], [1.0]]))
    >>> P(np.array([2.0, 0.0])).round(12).tolist(), P.dimension, P.lip().value
    ([1.0, 1.0], 1, 1.0)
    """

    M: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "M", stored_array(self.M, "the matrix whose range is the subspace"))
        _ = self.basis

    @cached_property
    def basis(self) -> Basis:  # pyright: ignore[reportIncompatibleVariableOverride]
        return orthonormal(self.M, "the matrix whose range is the subspace")

    def holds(self, x: np.ndarray) -> bool:
        return integers(np.concatenate([self.M, np.asarray(x)[:, None]], axis=1)).rank() == self.dimension


@dataclass(frozen=True, eq=False, repr=False)
class IntersectionProjection(_Range):
    """The orthogonal projection onto the intersection of subspaces, its dimension decided in exact arithmetic.

    Parameters
    ----------
    parts : tuple of SubspaceProjection

    Raises
    ------
    ShapeError

    Examples
    --------
    >>> A, B = SubspaceProjection(np.eye(3)[:, :2]), SubspaceProjection(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    >>> P = IntersectionProjection((A, B))
    >>> P.dimension, P(np.array([2.0, 0.0, 5.0])).round(12).tolist()
    (1, [1.0, 1.0, 0.0])
    """

    parts: tuple[SubspaceProjection, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts or len({p.domain for p in self.parts}) > 1:
            raise ShapeError("an intersection needs subspaces of one space, at least one")
        _ = self.basis

    @cached_property
    def basis(self) -> Basis:  # pyright: ignore[reportIncompatibleVariableOverride]
        return common([p.basis for p in self.parts], [p.M for p in self.parts])

    def holds(self, x: np.ndarray) -> bool:
        return all(p.holds(x) for p in self.parts)


@dataclass(frozen=True, eq=False, repr=False)
class AffineProjection(_Orthogonal):
    """The nearest point of the affine subspace ``A x = b``.

    Parameters
    ----------
    A : (m, n) array
        Rows may be dependent.
    b : (m,) array

    Raises
    ------
    ShapeError, NonFiniteError
    DomainError
        If no x solves ``A x = b`` (decided exactly where rows are dependent).

    Notes
    -----
    With V an orthonormal basis of the row space, the map is ``x - V (V^T x - c)``, ``c = V^T p`` for any solution p.

    Examples
    --------
    >>> P = AffineProjection(np.array([[1.0, 1.0]]), np.array([3.0]))
    >>> P(np.array([3.0, 1.0])).round(12).tolist(), P.dimension, P.lip().value
    ([2.5, 0.5], 1, 1.0)
    """

    A: np.ndarray
    b: np.ndarray
    keeps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        a = stored_array(self.A, "the matrix of the equations")
        b = stored_array(self.b, "the right side")
        if a.ndim != 2 or b.shape != a.shape[:1]:
            raise ShapeError(f"A x = b needs an (m, n) matrix and m numbers, found shapes {a.shape} and {b.shape}")
        object.__setattr__(self, "A", a)
        object.__setattr__(self, "b", b)
        if self.basis.rank < len(a):
            both = np.concatenate([a, b[:, None]], axis=1).T
            if integers(both).rank() > self.basis.rank:
                raise DomainError("no x solves A x = b: the equations contradict each other")

    @cached_property
    def basis(self) -> Basis:  # pyright: ignore[reportIncompatibleVariableOverride]
        return orthonormal(self.A.T, "the matrix of the equations (transposed)")

    @cached_property
    def _shift(self) -> tuple[np.ndarray, float]:
        """c, and how far ``V c`` may be from the point of the subspace next to the origin."""
        basis, b = self.basis, np.asarray(self.b)
        if basis.rank == 0:
            return np.zeros(0), 0.0
        with workprec(BITS):
            exact = basis.change.transpose() * balls(b[list(basis.pivots)][:, None])
            c = floats(exact)
            gap = frobenius(basis.exact * exact - balls(basis.columns) * balls(c))
            # the exact point is B (B^T B)^{-1} S^T b; the Gram matrix is I to within 2^-90
            return c[:, 0], float_up(gap + frobenius(exact) * 2.0**-88)

    @property
    def bounded(self) -> bool:
        return self.dimension == 0

    @property
    def point(self) -> np.ndarray:
        """The point of the subspace next to the origin, in float64."""
        return self.basis.columns @ self._shift[0]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        v, c = self.basis.columns.astype(x.dtype, copy=False), self._shift[0].astype(x.dtype, copy=False)
        return x - (x @ v - c) @ v.T

    def enclose(self, x: Enclosed) -> Enclosed:
        v, (c, slip) = self.basis.columns, self._shift
        if self.basis.rank == 0:
            return x
        across = (x.reshape(1, -1) @ v - c) @ v.T
        y = x - across.reshape(-1)
        return Enclosed(y.mid, y.err + float(inflate(self.basis.error * dot_up(x.magnitude) + slip, 6)))

    def holds(self, x: np.ndarray) -> bool:
        exact = balls(np.asarray(self.A)) * balls(np.asarray(x)[:, None]) - balls(np.asarray(self.b)[:, None])
        return all(v == 0 for v in exact.entries())


def HyperplaneProjection(a: Any, beta: float) -> AffineProjection:
    """The nearest point with ``a . x = beta``.

    >>> HyperplaneProjection(np.array([0.0, 2.0]), 2.0)(np.array([5.0, 7.0])).tolist()
    [5.0, 1.0]
    """
    a = np.asarray(a, dtype=np.float64)
    if a.ndim != 1 or not a.any():
        raise DomainError("a hyperplane needs a vector other than zero as normal")
    return AffineProjection(a[None, :], np.array([float(beta)]))


def through(x: Enclosed, right: np.ndarray, left: np.ndarray) -> Enclosed:
    """``left (right^T x)``."""
    if right.shape[1] == 0:
        return Enclosed.exact(np.zeros(len(left)))
    return ((x.reshape(1, -1) @ right) @ left.T).reshape(-1)


def stored_array(x: Any, what: str) -> np.ndarray:
    """A read-only copy in float64, refused if an entry is not finite."""
    return _tensor(np.array(x, dtype=np.float64), what)


__all__ = ["AffineProjection", "HyperplaneProjection", "IntersectionProjection", "SubspaceProjection"]
