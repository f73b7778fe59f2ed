"""The nearest point of a halfspace."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.region import Ball, Region, TokenBall, as_ball
from lipop.core.rounding import UNIT, dot_up, gamma
from lipop.core.space import Space
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection import Projection, end_points


@dataclass(frozen=True, eq=False, repr=False)
class HalfspaceProjection(Projection):
    """The nearest point with ``a . x <= beta``: ``x - a max(0, a . x - beta) / |a|^2``.

    Parameters
    ----------
    a : (n,) array
        Not zero.
    beta : float

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    The derivative is I inside and ``I - a a^T/|a|^2`` outside, of norm 1 unless n = 1. Outside the expansion is 0,
    inside it is 1.

    Examples
    --------
    >>> P = HalfspaceProjection(np.array([1.0, 1.0]), 1.0)
    >>> P(np.array([2.0, 1.0])).tolist(), P.lip().value
    ([1.0, 0.0], 1.0)
    """

    a: np.ndarray
    beta: float

    def __post_init__(self) -> None:
        a = end_points(self.a, "the normal vector")
        beta = float(self.beta)
        if a.ndim != 1 or a.size == 0:
            raise ShapeError(f"a halfspace needs a vector as normal, found shape {a.shape}")
        if not (np.isfinite(a).all() and math.isfinite(beta)):
            raise NonFiniteError("a halfspace needs a finite normal vector and a finite offset")
        if not 1e-140 < float(np.abs(a).max()) < 1e140:
            raise DomainError("the normal vector of a halfspace must not be zero, nor leave the range of float64")
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "beta", beta)

    @property
    def domain(self) -> Space:
        return Space((len(self.a),))

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        a = self.a.astype(x.dtype, copy=False)
        excess = np.maximum(x @ a - x.dtype.type(self.beta), 0)
        return x - excess[..., None] / (a @ a) * a

    def enclose(self, x: Enclosed) -> Enclosed:
        a = Enclosed.exact(self.a)
        step = self._excess(x).monotone(lambda t: np.maximum(t, 0.0), ulps=0) / (a * a).sum(0, keepdims=True)
        return x - step * a

    def _excess(self, x: Enclosed) -> Enclosed:
        """``a . x - beta``."""
        return (x.reshape(1, -1) @ Enclosed.exact(self.a).reshape(-1, 1) - self.beta).reshape(1)

    def _side(self, on: Region) -> int:
        """-1 if the region certainly lies inside, 1 if outside, 0 if it may do neither."""
        ball = as_ball(on)
        if ball is None:
            return 0
        t, reach = self._excess(Enclosed.exact(ball.center)), dot_up(self.a) * ball.radius * (1 + 4 * UNIT)
        return -1 if t.high[0] < -reach else int(t.low[0] > reach)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        if float(x @ self.a) <= self.beta:
            return LinearOperator.identity(x.shape)
        a, square = self.a, float(self.a @ self.a)

        def product(v: np.ndarray) -> np.ndarray:
            return v - a * (float(a @ v) / square)

        return LinearOperator(
            x.shape, x.shape, product, product, majorant=1 + gamma(4 * len(a)), product_error=gamma(4 * len(a) + 16)
        )

    def _deviation(self, ball: TokenBall | Ball) -> float:
        side = self._side(ball)
        return 0.0 if side < 0 else float(side == 0) + gamma(4 * len(self.a) + 8)

    def _lip(self, on: Region) -> float:
        return 0.0 if len(self.a) == 1 and self._side(on) > 0 else 1.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 1.0 if self._side(on) < 0 else 0.0

    def _smoothness(self, on: Region) -> float | None:
        return 0.0 if self._side(on) else None

    def holds(self, x: np.ndarray) -> bool:
        return bool(self._excess(Enclosed.exact(x)).high[0] <= 0)

    def depth(self, x: np.ndarray) -> float:
        room = -float(self._excess(Enclosed.exact(x)).high[0])
        return max(0.0, room / dot_up(self.a) * (1 - 4 * UNIT))


__all__ = ["HalfspaceProjection"]
