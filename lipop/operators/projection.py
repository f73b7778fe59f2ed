"""Nearest-point maps of closed convex sets in l2: what they share; boxes.

The nearest-point map P of a closed convex set C is characterised by ``<x - Px, z - Px> <= 0`` for all z in C. Adding
this for two points gives ``|Px - Py|^2 <= <Px - Py, x - y>``: P is firmly non-expansive, that is (1/2)-averaged, its
Lipschitz constant is at most 1, and its derivative, where there is one, is symmetric with ``0 <= DP <= I`` (Bauschke
and Combettes, Convex Analysis and Monotone Operator Theory in Hilbert Spaces, 2nd ed. 2017, propositions 4.16 and
24.13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.space import Space, norm
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection_coordinates import Coordinatewise

SLACK = 1e-12  # `contains` forgives rounding of this relative size, as regions do


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """``Fix T = {x : T x = x}``, known by the nearest-point map onto it.

    Parameters
    ----------
    nearest : Operator
        The nearest-point map (l2) onto the fixed points.
    exact : bool
        Whether its float64 values are exact (the identity, zero).

    Examples
    --------
    >>> fix = BoxProjection(np.zeros(2), np.ones(2)).fixed_points
    >>> fix.contains(np.array([0.5, 1.0])), fix.contains(np.array([0.5, 2.0]))
    (True, False)
    >>> low, high = fix.distance(np.array([0.5, 2.0]))
    >>> low <= 1.0 <= high, high - low < 1e-14
    (True, True)
    """

    nearest: Operator
    exact: bool = False

    def distance(self, x: np.ndarray) -> tuple[float, float]:
        """Two floats between which the l2 distance from x to the set lies.

        Raises
        ------
        DomainError
            If the nearest-point map has no rigorous forward pass.
        """
        x = np.asarray(x, dtype=np.float64)
        self.nearest.domain.check(x)
        gap = (self.nearest.enclose(Enclosed.exact(x)) - x).reshape(-1)
        return float(gap.norm_down()), float(gap.norm_up())

    def contains(self, x: np.ndarray) -> bool:
        """Whether x lies in the set (rounding of relative size 1e-12 is forgiven)."""
        x = np.asarray(x, dtype=np.float64)
        y = self.nearest(x)
        return norm(x - y) <= SLACK * (norm(x) + norm(y))

    def holds(self, x: np.ndarray) -> bool:
        """Whether x certainly lies in the set, rounding considered (False: not known)."""
        x = np.asarray(x, dtype=np.float64)
        if self.exact:
            return np.array_equal(self.nearest(x), x)
        return isinstance(self.nearest, Projection) and self.nearest.holds(x)


class Projection(Operator):
    """What all nearest-point maps share.

    Attributes
    ----------
    averagedness : float
        1/2: ``P = (I + N)/2`` with N non-expansive.
    idempotent : bool
        ``P P = P``.
    bounded : bool
        Whether the set is bounded.
    fixed_points : FixedPoints
        The set itself.
    """

    averagedness: ClassVar[float] = 0.5
    idempotent: ClassVar[bool] = True

    @property
    def bounded(self) -> bool:
        """Whether the set is certainly bounded."""
        return False

    @property
    def fixed_points(self) -> FixedPoints:
        """The set onto which the map projects."""
        return FixedPoints(self)

    def holds(self, x: np.ndarray) -> bool:
        """Whether x certainly lies in the set, rounding considered (False: not known)."""
        return self.depth(x) > 0

    def depth(self, x: np.ndarray) -> float:
        """The radius of an l2 ball around x that certainly lies in the set, rounded down; 0 where none is known."""
        return 0.0


@dataclass(frozen=True, eq=False, repr=False)
class BoxProjection(Coordinatewise, Projection):
    """Clip every coordinate to an interval: the nearest point of a box, also in l1, linf and 2inf.

    Parameters
    ----------
    low, high : array
        Of the shape of a point; infinite ends leave a side open. ``low == high`` everywhere is a constant map.
    norm : str

    Raises
    ------
    ShapeError, NonFiniteError, DomainError
        If the shapes differ, an end is NaN, or an interval is empty.

    Notes
    -----
    Coordinate by coordinate the map is non-decreasing with slopes 0 and 1, so in each of the four norms Lip is the
    largest slope that a coordinate meets on the region, the expansion the smallest one, and ``2P - I`` has slopes -1
    and 1: P is (1/2)-averaged.

    Examples
    --------
    >>> from lipop.core.region import Ball
    >>> P = BoxProjection(np.zeros(2), np.ones(2))
    >>> P(np.array([0.5, -3.0])).tolist(), P.lip().value, P.lip(Ball(np.array([5.0, 5.0]), 1.0)).value
    ([0.5, 0.0], 1.0, 0.0)
    """

    low: np.ndarray
    high: np.ndarray
    norm: str = "l2"

    def __post_init__(self) -> None:
        low, high = end_points(self.low, "the low end"), end_points(self.high, "the high end")
        if low.shape != high.shape or low.ndim == 0 or low.size == 0:
            raise ShapeError(f"a box needs two ends of one shape, found {low.shape} and {high.shape}")
        bad = ~(low <= high) | (low == np.inf) | (high == -np.inf)
        if bool(bad.any()):
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            raise DomainError(f"the interval [{low[at]}, {high[at]}] at index {at} is empty; a box needs low <= high")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def domain(self) -> Space:
        return Space(self.low.shape, self.norm)

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.low.astype(x.dtype, copy=False), self.high.astype(x.dtype, copy=False))

    def enclose(self, x: Enclosed) -> Enclosed:
        return x.monotone(self, ulps=0)

    def slopes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        constant = self.low == self.high
        inside = (low > self.low) & (high < self.high) & ~constant
        outside = (high < self.low) | (low > self.high) | constant
        return np.where(inside, 1.0, 0.0), np.where(outside, 0.0, 1.0)

    def slope(self, x: np.ndarray) -> np.ndarray:
        return ((x > self.low) & (x < self.high)).astype(np.float64)

    def holds(self, x: np.ndarray) -> bool:
        return bool(((x >= self.low) & (x <= self.high)).all())

    def depth(self, x: np.ndarray) -> float:
        return max(0.0, math.nextafter(float(np.minimum(x - self.low, self.high - x).min()), -math.inf))


def orthant_projection(n: int | tuple[int, ...], norm: str = "l2") -> BoxProjection:
    """The nearest point with no negative coordinate.

    >>> orthant_projection(3)(np.array([1.0, -2.0, 0.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    return BoxProjection(np.zeros(n), np.full(n, np.inf), norm)


def end_points(x: Any, what: str) -> np.ndarray:
    """A read-only copy in float64, which may hold infinities but no NaN."""
    x = np.array(x, dtype=np.float64)
    if bool(np.isnan(x).any()):
        at = tuple(int(i) for i in np.argwhere(np.isnan(x))[0])
        raise NonFiniteError(f"{what} holds NaN at index {at}")
    x.flags.writeable = False
    return x


__all__ = ["BoxProjection", "FixedPoints", "Projection", "end_points", "orthant_projection"]
