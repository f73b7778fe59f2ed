"""The nearest points of the simplex and of the l1 ball: subtract one threshold, cut at zero.

``max(x - tau, 0)`` with tau such that the coordinates sum to s is the nearest point of ``{y >= 0, sum y = s}``; sorting
finds tau (Held, Wolfe and Crowder 1974; Duchi and others 2008). On the l1 ball the same is done to ``|x|``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.region import Ball, Region, TokenBall, as_ball
from lipop.core.rounding import UNIT, dot_up, gamma, inflate
from lipop.core.space import Space
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection import Projection


def threshold(x: np.ndarray, total: float) -> np.ndarray:
    """The tau with ``sum max(x - tau, 0) = total`` along the last axis (kept).

    >>> threshold(np.array([3.0, 1.0]), 1.0).tolist()
    [2.0]
    """
    ordered = -np.sort(-x, axis=-1)
    means = (np.cumsum(ordered, axis=-1) - x.dtype.type(total)) / np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    count = np.maximum((ordered > means).sum(axis=-1, keepdims=True), 1)
    return np.take_along_axis(means, count - 1, axis=-1)


def threshold_range(low: np.ndarray, high: np.ndarray, total: float) -> tuple[float, float]:
    """Two floats between which the threshold of every point between two vectors lies.

    tau grows with every coordinate, so the ends are those of the two vectors; each is moved outward until a sum in
    known rounding shows that it is one.
    """
    n = len(low)
    step = gamma(4 * n + 16) * (float(np.abs(high).max() + np.abs(low).max()) + total) + 1e-300
    down, up = float(threshold(low, total)[0]) - step, float(threshold(high, total)[0]) + step
    grow = step
    while math.nextafter(_mass(low, down) * (1 - gamma(n + 4)), -math.inf) < total:
        down, grow = down - grow, 2 * grow
    grow = step
    while float(inflate(_mass(high, up), n + 4)) > total and up < high.max():
        up, grow = up + grow, 2 * grow
    return down, up


def _mass(x: np.ndarray, tau: float) -> float:
    """``sum max(x - tau, 0)``; each difference is rounded once, relative to itself."""
    return float(np.maximum(x - tau, 0.0).sum())


@dataclass(frozen=True, eq=False, repr=False)
class SimplexProjection(Projection):
    """The nearest point with non-negative coordinates that sum to ``total``.

    Parameters
    ----------
    n : int
    total : float
        Positive.

    Raises
    ------
    ShapeError, DomainError

    Notes
    -----
    With S the positive coordinates of the image the derivative is ``I_S - 1 1^T/|S|``: a projection, of norm 1 unless
    ``|S| = 1``. Moving x by r in linf moves tau by at most r, so S stays as it is while ``|x_i - tau| > 2 r`` for all
    i. The map is constant along (1, ..., 1): its expansion is 0.

    Examples
    --------
    >>> P = SimplexProjection(3)
    >>> P(np.array([2.0, 1.5, -1.0])).tolist(), P.lip().value
    ([0.75, 0.25, 0.0], 1.0)
    """

    n: int
    total: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.n, int | np.integer) or isinstance(self.n, bool) or self.n < 1:
            raise ShapeError(f"a simplex needs a number of coordinates n >= 1, found {self.n!r}")
        total = float(self.total)
        if not 0 < total < math.inf:
            raise DomainError(f"the coordinates of a simplex must have a positive, finite sum, found {total}")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "total", total)

    @property
    def domain(self) -> Space:
        return Space((self.n,))

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def bounded(self) -> bool:
        return True

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(x - threshold(x, self.total), 0)

    def enclose(self, x: Enclosed) -> Enclosed:
        down, up = threshold_range(x.low, x.high, self.total)
        low, high = np.maximum(x.low - up, 0.0), np.maximum(x.high - down, 0.0)
        return Enclosed.interval(low * (1 - 2 * UNIT), high * (1 + 2 * UNIT))

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return face_operator((x > threshold(x, self.total)).astype(np.float64))

    def _stable(self, on: Region) -> int:
        """The number of positive coordinates of the image, if it is the same face all over the region, else 0."""
        ball = as_ball(on)
        if ball is None:
            return 0
        x = ball.center
        down, up = threshold_range(x, x, self.total)
        reach = inflate(2 * ball.radius, 4)
        clear = (x - up > reach) | (down - x > reach)
        return int((x > up).sum()) if bool(clear.all()) else 0

    def _deviation(self, ball: TokenBall | Ball) -> float:
        return 4 * UNIT if self._stable(ball) else 1.0 + 4 * UNIT

    def _lip(self, on: Region) -> float:
        return 0.0 if self.n == 1 or self._stable(on) == 1 else 1.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 0.0

    def _smoothness(self, on: Region) -> float | None:
        return 0.0 if self._stable(on) else None

    def holds(self, x: np.ndarray) -> bool:
        return bool((x >= 0).all()) and sum(map(Fraction, x.tolist())) == Fraction(self.total)


@dataclass(frozen=True, eq=False, repr=False)
class L1BallProjection(Projection):
    """The nearest point (in l2) of the l1 ball ``sum |x_i - c_i| <= radius``.

    Parameters
    ----------
    center : (n,) array
    radius : float
        Not negative.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    Outside the ball ``x - c`` is soft-thresholded at the tau for which the l1 norm becomes the radius; the derivative
    there is ``I_S - s s^T/|S|`` with S the coordinates that stay and s their signs.

    Examples
    --------
    >>> P = L1BallProjection(np.zeros(3), 1.0)
    >>> P(np.array([2.0, -1.5, 0.1])).tolist(), P.lip().value
    ([0.75, -0.25, 0.0], 1.0)
    """

    center: np.ndarray
    radius: float

    def __post_init__(self) -> None:
        center, radius = np.array(self.center, dtype=np.float64), float(self.radius)
        if center.ndim != 1 or center.size == 0:
            raise ShapeError(f"the centre of an l1 ball must be a vector, found shape {center.shape}")
        if not np.isfinite(center).all():
            raise NonFiniteError("the centre of an l1 ball must be finite")
        if not 0 <= radius < math.inf:
            raise DomainError(f"the radius of an l1 ball must be finite and at least 0, found {radius}")
        center.flags.writeable = False
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "radius", radius)

    @property
    def domain(self) -> Space:
        return Space((len(self.center),))

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def bounded(self) -> bool:
        return True

    def __call__(self, x: np.ndarray) -> np.ndarray:
        c = self.center.astype(x.dtype, copy=False)
        h = x - c
        size = np.abs(h)
        far = size.sum(axis=-1, keepdims=True) > self.radius
        return np.where(far, c + np.sign(h) * np.maximum(size - threshold(size, self.radius), 0), x)

    def enclose(self, x: Enclosed) -> Enclosed:
        h = x - self.center
        if self._sums(h)[0]:
            return x
        least = np.maximum(np.abs(h.mid) - h.radius, 0.0)
        down, up = threshold_range(least, h.magnitude, self.radius)
        down, up = max(down, 0.0), max(up, 0.0)
        low, high = _shrunk(h.low, down, up)[0], _shrunk(h.high, down, up)[1]
        return Enclosed.interval(low, high) + self.center

    def _sums(self, h: Enclosed) -> tuple[bool, bool]:
        """Whether the l1 norm is certainly at most the radius, and whether it is certainly larger."""
        least = np.maximum(np.abs(h.mid) - h.radius, 0.0).sum() * (1 - gamma(h.mid.size + 4))
        return float(inflate(h.magnitude.sum(), h.mid.size + 4)) <= self.radius, bool(least > self.radius)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        h = x - self.center
        size = np.abs(h)
        if float(size.sum()) <= self.radius:
            return LinearOperator.identity(x.shape)
        return face_operator(np.sign(h) * (size > threshold(size, self.radius)))

    def _stable(self, on: Region) -> tuple[bool, int]:
        """Whether the region certainly lies inside, and otherwise the number of coordinates that stay (0: it
        changes)."""
        ball = as_ball(on)
        if ball is None:
            return False, 0
        h = Enclosed.exact(ball.center) - self.center
        wide = float(inflate(math.sqrt(h.mid.size) * ball.radius, 4))
        moved = Enclosed(h.mid, h.radius + wide / h.mid.size) if ball.radius else h
        inside, outside = self._sums(moved)
        if inside or not outside or self.radius == 0:
            return inside, 0
        least = np.maximum(np.abs(h.mid) - h.radius, 0.0)
        down, up = threshold_range(least, h.magnitude, self.radius)
        reach = float(inflate(2 * ball.radius, 4))
        clear = (least - up > reach) | (down - h.magnitude > reach)
        return False, int((least > up).sum()) if bool(clear.all()) else 0

    def _deviation(self, ball: TokenBall | Ball) -> float:
        inside, kept = self._stable(ball)
        return 0.0 if inside else (4 * UNIT if kept else 1.0 + 4 * UNIT)

    def _lip(self, on: Region) -> float:
        inside, kept = self._stable(on)
        return 0.0 if self.radius == 0 or (kept == 1 and not inside) else 1.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 1.0 if self._stable(on)[0] else 0.0

    def _smoothness(self, on: Region) -> float | None:
        inside, kept = self._stable(on)
        return 0.0 if inside or kept else None

    def holds(self, x: np.ndarray) -> bool:
        return self._sums(Enclosed.exact(x) - self.center)[0]

    def depth(self, x: np.ndarray) -> float:
        h = Enclosed.exact(x) - self.center
        room = self.radius - float(inflate(h.magnitude.sum(), h.mid.size + 4))
        return max(0.0, room / dot_up(np.ones(h.mid.size)) * (1 - 4 * UNIT))


def face_operator(s: np.ndarray) -> LinearOperator:
    """``diag(|s|) - s s^T / |S|`` for signs s that are -1, 0 or 1."""
    kept, count = np.abs(s), max(1.0, float(np.abs(s).sum()))

    def product(v: np.ndarray) -> np.ndarray:
        return kept * v - s * (float(s @ v) / count)

    return LinearOperator(
        s.shape, s.shape, product, product, majorant=1.0 + 4 * UNIT, product_error=gamma(2 * len(s) + 16)
    )


def _shrunk(t: np.ndarray, down: float, up: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of ``sign(t) max(|t| - tau, 0)`` for tau between two floats, rounded outward."""
    near = np.sign(t) * np.maximum(np.abs(t) - up, 0.0) * (1 - 2 * UNIT)
    far = np.sign(t) * np.maximum(np.abs(t) - down, 0.0) * (1 + 2 * UNIT)
    return np.minimum(near, far), np.maximum(near, far)


__all__ = ["L1BallProjection", "SimplexProjection", "face_operator", "threshold"]
