"""Oblique projections: onto one subspace, along another one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.matrices import Matrix
from lipop.core.region import Ball, TokenBall
from lipop.core.rounding import dot_up, float_up, gamma, inflate, workprec
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError
from lipop.operators.linear import _Linear  # pyright: ignore[reportPrivateUsage]
from lipop.operators.projection import FixedPoints
from lipop.operators.projection_basis import BITS, Basis, balls, floats, frobenius, orthonormal
from lipop.operators.projection_linear import SubspaceProjection, stored_array, through


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
        v, u = stored_array(self.V, "the matrix V"), stored_array(self.U, "the matrix U")
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
    def dimension(self) -> int:
        """Dimension of the range."""
        return self.V.shape[1]

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
        y = through(x, right, left)
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


__all__ = ["ObliqueProjection"]
