"""Projections onto subspaces and affine subspaces: orthogonal onto a range or a solution set, and oblique ones.

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
from lipop.operators.projection import FixedPoints, Projection
from lipop.operators.projection_basis import BITS, Basis, balls, floats, frobenius, integers, orthonormal


class _Orthogonal(_Linear, Projection):
    """``x - V (V^T x - c)`` or ``V V^T x``: what the two orthogonal projections share."""

    keeps: ClassVar[bool]  # whether the range of the basis is kept, or taken away

    @property
    def basis(self) -> Basis:
        """An orthonormal basis of the range of M, or of the row space of A."""
        raise NotImplementedError

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


@dataclass(frozen=True, eq=False, repr=False)
class SubspaceProjection(_Orthogonal):
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
    keeps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "M", _stored(self.M, "the matrix whose range is the subspace"))
        _ = self.basis

    @cached_property
    def basis(self) -> Basis:  # pyright: ignore[reportIncompatibleVariableOverride]
        return orthonormal(self.M, "the matrix whose range is the subspace")

    @property
    def bounded(self) -> bool:
        return self.dimension == 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        v = self.basis.columns.astype(x.dtype, copy=False)
        return (x @ v) @ v.T

    def enclose(self, x: Enclosed) -> Enclosed:
        y = _factors(x, self.basis.columns, self.basis.columns)
        return Enclosed(y.mid, y.err + float(inflate(self.basis.error * dot_up(x.magnitude), 4)))

    def holds(self, x: np.ndarray) -> bool:
        return self.dimension == len(x) or not np.any(x)


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
        a = _stored(self.A, "the matrix of the equations")
        b = _stored(self.b, "the right side")
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


@dataclass(frozen=True, eq=False, repr=False)
class ObliqueProjection(_Linear):
    """The projection onto the range of V along the orthogonal complement of the range of U: ``V (U^T V)^{-1} U^T``.

    Parameters
    ----------
    V, U : (n, k) arrays
        Each of full rank, and no vector of the range of V orthogonal to all of U.

    Raises
    ------
    ShapeError, NonFiniteError
    DomainError
        If the two subspaces are not complementary.

    Notes
    -----
    Its l2 norm is the inverse cosine of the largest angle between the ranges of V and U, at least 1, and 1 only if they
    are equal: then the projection is orthogonal. It is idempotent, and not averaged otherwise.

    Examples
    --------
    >>> P = ObliqueProjection(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))
    >>> P(np.array([2.0, 3.0])).round(12).tolist(), round(P.lip().value, 6)
    ([5.0, 0.0], 1.414214)
    """

    V: np.ndarray
    U: np.ndarray
    idempotent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        v, u = _stored(self.V, "the matrix V"), _stored(self.U, "the matrix U")
        if v.ndim != 2 or v.shape != u.shape or 0 in v.shape:
            raise ShapeError(f"an oblique projection needs V and U of one shape (n, k), found {v.shape} and {u.shape}")
        object.__setattr__(self, "V", v)
        object.__setattr__(self, "U", u)
        _ = self._sides

    @cached_property
    def _sides(self) -> tuple[np.ndarray, np.ndarray, float]:
        basis, other = orthonormal(self.V, "the matrix V"), orthonormal(self.U, "the matrix U")
        if basis.rank < self.V.shape[1] or other.rank < self.U.shape[1]:
            raise DomainError("the columns of V, and those of U, must be independent")
        return _dual(basis, other)

    @property
    def domain(self) -> Space:
        return Space((len(self.V),))

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def fixed_points(self) -> FixedPoints:
        """The range of V."""
        return FixedPoints(SubspaceProjection(self.V))

    @property
    def error(self) -> float:
        """Bound of the Frobenius distance between the product of the stored factors and the exact projection."""
        return self._sides[2]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        left, right, _ = self._sides
        return (x @ right.astype(x.dtype, copy=False)) @ left.T.astype(x.dtype, copy=False)

    def enclose(self, x: Enclosed) -> Enclosed:
        left, right, error = self._sides
        y = _factors(x, right, left)
        return Enclosed(y.mid, y.err + float(inflate(error * dot_up(x.magnitude), 4)))

    def _matrix(self) -> Matrix:
        left, right, error = self._sides
        p = Enclosed.exact(left) @ right.T
        return Matrix(p.mid, float(inflate(dot_up(p.radius) + error, 4)))

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        left, right, _ = self._sides
        top = float(inflate(dot_up(left) * dot_up(right), 4))
        return LinearOperator(
            x.shape,
            x.shape,
            lambda h: left @ (right.T @ h),
            lambda w: right @ (left.T @ w),
            majorant=top,
            product_error=gamma(2 * sum(left.shape) + 8) * top,
        )

    def _deviation(self, ball: TokenBall | Ball) -> float:
        return self.error


def _dual(basis: Basis, other: Basis) -> tuple[np.ndarray, np.ndarray, float]:
    """L and R in float64 with ``P = L R^T`` but for a stated Frobenius error: L the basis, ``R = U (L^T U)^{-1}``."""
    with workprec(BITS):
        cross = basis.exact.transpose() * other.exact
        try:
            right = other.exact * cross.inv()
        except ZeroDivisionError as e:
            raise DomainError(
                "the range of V and the complement of the range of U are not complementary: U^T V is not invertible"
            ) from e
        stored = floats(right)
        columns = basis.columns
        gap = frobenius(right - balls(stored))
        error = float_up(gap * frobenius(basis.exact) + basis.drift * (frobenius(right) + gap))
    return columns, stored, error


def _factors(x: Enclosed, right: np.ndarray, left: np.ndarray) -> Enclosed:
    """``left (right^T x)``."""
    if right.shape[1] == 0:
        return Enclosed.exact(np.zeros(len(left)))
    return ((x.reshape(1, -1) @ right) @ left.T).reshape(-1)


def _stored(x: Any, what: str) -> np.ndarray:
    return _tensor(np.array(x, dtype=np.float64), what)


__all__ = ["AffineProjection", "HyperplaneProjection", "ObliqueProjection", "SubspaceProjection"]
