"""Maps that act on every coordinate by itself, non-decreasing, with slopes 0 and 1 where there is a derivative."""

from __future__ import annotations

import numpy as np

from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Region, TokenBall, as_ball
from lipop.core.space import Space


class Coordinatewise(Operator):
    """What such maps share: in l1, l2, linf and 2inf the constants are extreme slopes.

    A subclass gives ``slopes(low, high)``, the least and the largest slope of every coordinate on an interval, and
    ``slope(x)``, the derivative as stored.
    """

    @property
    def codomain(self) -> Space:
        return self.domain

    def slopes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest slope of every coordinate between two ends (an end may be infinite)."""
        raise NotImplementedError

    def slope(self, x: np.ndarray) -> np.ndarray:
        """The slope of every coordinate at a point: 0 or 1."""
        raise NotImplementedError

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return LinearOperator.diagonal(self.slope(x))

    def _extremes(self, on: Region) -> tuple[np.ndarray, np.ndarray]:
        return self.slopes(*_interval(on, self.domain))

    def _deviation(self, ball: TokenBall | Ball) -> float:
        low, high = self._extremes(ball)
        stored = self.slope(ball.center)
        return float(np.maximum(high - stored, stored - low).max())

    def _lip(self, on: Region) -> float:
        return float(self._extremes(on)[1].max())

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return float(self._extremes(on)[0].min())

    def _smoothness(self, on: Region) -> float | None:
        low, high = self._extremes(on)
        return 0.0 if bool((low == high).all()) else None


def _interval(on: Region, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """An interval for every coordinate of the points of a region, rounded outward."""
    if isinstance(on, Box):
        return on.low, on.high
    if isinstance(on, Cloud):
        return on.points.min(axis=0), on.points.max(axis=0)
    ball = on if isinstance(on, Ball | TokenBall) else as_ball(on)
    if ball is None:
        shape = tuple(1 if n is None else n for n in space.shape)
        return np.full(shape, -np.inf), np.full(shape, np.inf)
    reach = ball.rho_token[:, None] if isinstance(ball, TokenBall) else np.asarray(ball.radius)
    if not np.any(reach):
        return ball.center, ball.center
    return np.nextafter(ball.center - reach, -np.inf), np.nextafter(ball.center + reach, np.inf)


__all__ = ["Coordinatewise"]
