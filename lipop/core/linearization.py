"""Linear operators given by their products, and linearisations: the primitive from which local bounds follow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.bound import Bound, Claim
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import UNIT, gamma
from lipop.core.rule import derive, parts_digest
from lipop.errors import ShapeError

Product = Callable[[np.ndarray], np.ndarray]


class LinearOperator:
    """A linear map on arrays, given by ``matvec`` and ``rmatvec`` (its adjoint); l2 norms of all entries.

    Parameters
    ----------
    shape_in, shape_out : tuple of int
        Array shapes; ``shape`` is the flat ``(m, n)`` of SciPy, and products take flat or shaped vectors.
    matvec, rmatvec : callable
        On shaped arrays.
    majorant : float
        An upper bound of the operator norm (crude is fine; infinite if unknown).
    product_error : float
        Bound of ``|fl(J v) - J v|`` for unit ``v``, both ways (infinite if unknown).

    Examples
    --------
    >>> J = LinearOperator.from_matrix(np.array([[3.0, 0.0], [0.0, 4.0]]))
    >>> J.matvec(np.array([1.0, 1.0])).tolist(), (J.H @ J).to_dense().tolist()
    ([3.0, 4.0], [[9.0, 0.0], [0.0, 16.0]])
    """

    __array_ufunc__ = None

    def __init__(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        matvec: Product,
        rmatvec: Product,
        *,
        majorant: float = math.inf,
        product_error: float = math.inf,
    ) -> None:
        self.shape_in, self.shape_out = tuple(shape_in), tuple(shape_out)
        self.shape = (math.prod(self.shape_out), math.prod(self.shape_in))
        self.dtype = np.dtype(np.float64)
        self._mv, self._rmv = matvec, rmatvec
        self.majorant, self.product_error = majorant, product_error

    @staticmethod
    def identity(shape: tuple[int, ...]) -> LinearOperator:
        """The identity on arrays of a shape."""
        return LinearOperator(shape, shape, lambda v: v, lambda v: v, majorant=1.0, product_error=0.0)

    @staticmethod
    def from_matrix(a: np.ndarray) -> LinearOperator:
        """A dense matrix acting on vectors."""
        a = np.asarray(a, dtype=np.float64)
        m, n = a.shape
        size = float(np.linalg.norm(a)) * (1 + gamma(a.size + 4))
        return LinearOperator(
            (n,), (m,), lambda v: a @ v, lambda u: a.T @ u, majorant=size, product_error=gamma(m + n) * size
        )

    @staticmethod
    def diagonal(d: np.ndarray) -> LinearOperator:
        """Entrywise product with ``d``."""
        d = np.asarray(d, dtype=np.float64)
        top = float(np.abs(d).max(initial=0.0))
        return LinearOperator(
            d.shape, d.shape, lambda v: d * v, lambda v: d * v, majorant=top, product_error=2 * UNIT * top
        )

    def _apply(self, f: Product, v: np.ndarray, shape: tuple[int, ...], out: tuple[int, ...]) -> np.ndarray:
        v = np.asarray(v)
        if v.shape == shape:
            return f(v)
        if v.size == math.prod(shape) and v.ndim <= 2 and max(v.shape, default=0) == v.size:
            return f(v.reshape(shape)).reshape(v.shape if v.size == math.prod(out) else (-1, *(1,) * (v.ndim - 1)))
        raise ShapeError(f"a linear operator on {shape} cannot be applied to an array of shape {v.shape}")

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """``J v``; ``v`` shaped like the input, or flat (then the result is flat)."""
        return self._apply(self._mv, v, self.shape_in, self.shape_out)

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """``J^T u``."""
        return self._apply(self._rmv, u, self.shape_out, self.shape_in)

    @property
    def H(self) -> LinearOperator:
        """The adjoint."""
        return LinearOperator(
            self.shape_out, self.shape_in, self._rmv, self._mv, majorant=self.majorant, product_error=self.product_error
        )

    T = H

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, LinearOperator):
            if self.shape_in != other.shape_out:
                raise ShapeError(f"cannot compose linear operators: {self.shape_in} is not {other.shape_out}")
            a, b = self, other
            return LinearOperator(
                b.shape_in,
                a.shape_out,
                lambda v: a._mv(b._mv(v)),
                lambda u: b._rmv(a._rmv(u)),
                majorant=_times(a.majorant, b.majorant),
                product_error=_times(a.majorant, b.product_error)
                + _times(a.product_error, b.majorant + b.product_error),
            )
        return self.matvec(other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        if (self.shape_in, self.shape_out) != (other.shape_in, other.shape_out):
            raise ShapeError(f"cannot add linear operators of shapes {self.shape} and {other.shape}")
        a, b = self, other
        size = a.majorant + b.majorant
        return LinearOperator(
            a.shape_in,
            a.shape_out,
            lambda v: a._mv(v) + b._mv(v),
            lambda u: a._rmv(u) + b._rmv(u),
            majorant=size,
            product_error=a.product_error + b.product_error + 2 * UNIT * size,
        )

    def __rmul__(self, c: float) -> LinearOperator:
        a, size = self, abs(c) * self.majorant
        return LinearOperator(
            a.shape_in,
            a.shape_out,
            lambda v: c * a._mv(v),
            lambda u: c * a._rmv(u),
            majorant=size,
            product_error=abs(c) * a.product_error + 2 * UNIT * size,
        )

    def to_dense(self) -> np.ndarray:
        """The (m, n) matrix, column by column."""
        m, n = self.shape
        out = np.empty((m, n))
        unit = np.zeros(n)
        for j in range(n):
            unit[j] = 1.0
            out[:, j] = self._mv(unit.reshape(self.shape_in)).ravel()
            unit[j] = 0.0
        return out

    def __repr__(self) -> str:
        return f"LinearOperator({self.shape_in} -> {self.shape_out})"


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b * (1 + 4 * UNIT)


@dataclass(frozen=True, eq=False)
class Deviation:
    """How far the derivative moves on the ball: ``sup |D(x)|`` as a bound, and behind a left factor."""

    bound: Bound

    def norm(self, left: Bound | None = None) -> Bound:
        """``sup |D|``, or ``sup |left . D|`` for a left factor whose norm is bounded by ``left``."""
        if left is None:
            return self.bound
        claim = Claim(
            "deviation",
            "upper",
            parts_digest("left", [left.claim.operator, self.bound.claim.operator]),
            self.bound.claim.region,
        )
        return derive("deviation.left@1", claim, (left, self.bound))


@dataclass(frozen=True, eq=False)
class Linearization:
    """For all x in ``ball``: ``DT(x) = J + D(x)``, and ``deviation`` bounds ``sup |D(x)|``.

    ``J`` is exact as stored (its products round, see ``product_error``); that its stored factors differ from the true
    derivative at the centre by rounding is part of the deviation. ``image`` contains ``T(ball)``; it is worked out
    when asked for.
    """

    ball: Ball | TokenBall
    locate: Callable[[], Region]
    J: LinearOperator
    deviation: Deviation

    @property
    def image(self) -> Region:
        """A region that contains T(ball)."""
        return self.locate()
