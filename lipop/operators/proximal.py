"""Proximal maps of norms: soft threshold (l1) and group shrinkage (sum of l2 norms).

``prox(x) = argmin |y - x|^2 / 2 + f(y)`` of a convex f is firmly non-expansive, and its derivative, where there is one,
is symmetric with ``0 <= D <= I`` (Moreau 1965). Its fixed points are the minimisers of f.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lipop.core.algebra import Identity
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, Shell, TokenBall, as_ball, token_radii
from lipop.core.rounding import UNIT, float_up, gamma, inflate, workprec
from lipop.core.space import Space
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection import BoxProjection, FixedPoints
from lipop.operators.projection_coordinates import Coordinatewise


@dataclass(frozen=True, eq=False, repr=False)
class SoftThreshold(Coordinatewise):
    """Shrink every coordinate towards zero by t: the proximal map of ``sum t_i |x_i|``.

    Parameters
    ----------
    t : array
        The thresholds, of the shape of a point, at least 0.
    norm : str

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    Coordinate by coordinate the map is non-decreasing with slopes 0 and 1: in each of the four norms Lip is the largest
    slope that a coordinate meets on the region, and the map is (1/2)-averaged.

    Examples
    --------
    >>> T = SoftThreshold(np.array([1.0, 0.5]))
    >>> T(np.array([3.0, -0.25])).tolist(), T.lip().value, T.lip(Ball(np.zeros(2), 0.4)).value
    ([2.0, 0.0], 1.0, 0.0)
    """

    t: np.ndarray
    norm: str = "l2"
    averagedness: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        t = np.array(self.t, dtype=np.float64)
        if t.ndim == 0 or t.size == 0:
            raise ShapeError("the thresholds must be an array of the shape of a point")
        if not np.isfinite(t).all():
            raise NonFiniteError("every threshold must be finite")
        if bool((t < 0).any()):
            raise DomainError(f"a threshold must be at least 0, found {float(t.min())}")
        t.flags.writeable = False
        object.__setattr__(self, "t", t)

    @property
    def domain(self) -> Space:
        return Space(self.t.shape, self.norm)

    @property
    def idempotent(self) -> bool:
        """Whether all thresholds are 0."""
        return not self.t.any()

    @property
    def fixed_points(self) -> FixedPoints:
        """Zero in every coordinate that has a threshold."""
        end = np.where(self.t > 0, 0.0, np.inf)
        return FixedPoints(BoxProjection(-end, end))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        t = self.t.astype(x.dtype, copy=False)
        return x - np.clip(x, -t, t)

    def enclose(self, x: Enclosed) -> Enclosed:
        return x.monotone(self, ulps=1)  # one rounding, in the subtraction

    def slopes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outside = (low > self.t) | (high < -self.t) | (self.t == 0)
        inside = (low > -self.t) & (high < self.t)
        return np.where(outside, 1.0, 0.0), np.where(inside, 0.0, 1.0)

    def slope(self, x: np.ndarray) -> np.ndarray:
        return ((np.abs(x) > self.t) | (self.t == 0)).astype(np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class GroupShrinkage(Operator):
    """Shrink every token's l2 norm by t: the proximal map of ``t sum |x_g|``.

    Parameters
    ----------
    n : int
        Width of a group.
    t : float
        At least 0.
    tokens : bool
        Whether the domain is ``(None, n)``, a group for every token, instead of one group ``(n,)``.

    Raises
    ------
    ShapeError, DomainError

    Notes
    -----
    At norm s > t the derivative of a group is ``(1 - t/s) I + (t/s) u u^T``: 1 along the group, ``1 - t/s`` across.
    Hence Lip is 1 on every region that some group leaves the ball of radius t, 0 on others; where all groups stay at
    norms of at least s > t, on a convex region, the expansion is ``1 - t/s`` (1 for n = 1). There ``t x/|x|``, which is
    subtracted, has the smoothness ``2 t / (sqrt(3) s^2)`` of a radial retraction.

    Examples
    --------
    >>> T = GroupShrinkage(2, 1.0)
    >>> T(np.array([3.0, 4.0])).round(12).tolist(), T.lip().value
    ([2.4, 3.2], 1.0)
    """

    n: int
    t: float
    tokens: bool = False
    tokenwise = True
    averagedness: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.n, int | np.integer) or isinstance(self.n, bool) or self.n < 1:
            raise ShapeError(f"a group needs a width n >= 1, found {self.n!r}")
        t = float(self.t)
        if not 0 <= t < math.inf:
            raise DomainError(f"the threshold must be finite and at least 0, found {t}")
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "t", t)

    @property
    def domain(self) -> Space:
        return Space((None, self.n) if self.tokens else (self.n,))

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def idempotent(self) -> bool:
        """Whether the threshold is 0."""
        return self.t == 0

    @property
    def fixed_points(self) -> FixedPoints:
        """Zero, or everything if the threshold is 0."""
        return FixedPoints(Identity(self.domain) if self.t == 0 else 0.0 * Identity(self.domain), exact=True)

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        size = _sizes(x)
        t = x.dtype.type(self.t)
        far = size > t
        return np.where(far, x * ((size - t) / np.where(far, size, 1)), 0)

    def enclose(self, x: Enclosed) -> Enclosed:
        low, high = x.norm_down()[..., None], x.norm_up()[..., None]
        least, most = _kept(low, self.t, False), _kept(high, self.t, True)
        return x * Enclosed.interval(least, most)

    # ---- the derivative ----

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        size = _sizes(x)
        far = size > self.t
        u = np.where(far, x / np.where(far, size, 1), 0)
        ratio = np.where(far, self.t / np.where(far, size, 1), 0)
        keep = np.where(far, 1 - ratio, 0)

        def product(v: np.ndarray) -> np.ndarray:
            return keep * v + ratio * u * (u * v).sum(axis=-1, keepdims=True)

        rounding = gamma(4 * self.n + 32)
        return LinearOperator(x.shape, x.shape, product, product, majorant=1 + rounding, product_error=rounding)

    def _gap(self, on: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Between which norms every group stays on the region, and how far it moves; None where nothing is known."""
        if isinstance(on, Shell):
            return np.asarray(on.inner), np.asarray(on.outer), np.asarray(math.inf)
        if self.tokens:
            ball = token_radii(on)
            if ball is None:
                return None
            center, rho = ball.center, ball.rho_token
        else:
            around = as_ball(on)
            if around is None:
                return None
            center, rho = around.center, np.asarray(around.radius)
        x = Enclosed.exact(center)
        return x.norm_down() - rho * (1 + 4 * UNIT), x.norm_up() + rho * (1 + 4 * UNIT), rho

    def _deviation(self, ball: TokenBall | Ball) -> float:
        gap, rounding = self._gap(ball), gamma(4 * self.n + 40)
        if gap is None:
            return 1.0 + rounding
        low, high, rho = np.broadcast_arrays(*gap)
        worst = 0.0
        for s, top, r in zip(low.ravel(), high.ravel(), rho.ravel(), strict=True):
            if top <= self.t or self.t == 0:
                continue
            moved = min(self.t / s, r * self._curvature(float(s))) if s > self.t else 1.0
            worst = max(worst, float(moved))
        return float(inflate(worst + rounding, 8))

    def _curvature(self, s: float) -> float:
        """``2 t / (sqrt(3) s^2)``, rounded up."""
        import flint

        with workprec():
            return float_up(2 * flint.arb(self.t) / (flint.arb(3).sqrt() * flint.arb(s) ** 2))

    # ---- the bounds ----

    def _lip(self, on: Region) -> float:
        gap = self._gap(on)
        return 0.0 if gap is not None and self.t > 0 and bool((gap[1] <= self.t).all()) else 1.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        if self.t == 0:
            return 1.0
        gap = self._gap(on)
        if gap is None or isinstance(on, Shell) or not bool((gap[0] > self.t).all()):
            return 0.0
        return 1.0 if self.n == 1 else max(0.0, (1 - self.t / float(gap[0].min())) - 4 * UNIT)

    def _smoothness(self, on: Region) -> float | None:
        gap = self._gap(on)
        if self.t == 0 or (gap is not None and bool((gap[1] <= self.t).all())):
            return 0.0
        if gap is None or isinstance(on, Shell) or not bool((gap[0] > self.t).all()):
            return None
        return self._curvature(float(gap[0].min()))


def _sizes(x: np.ndarray) -> np.ndarray:
    """The l2 norms along the last axis (kept), without overflow."""
    top = np.abs(x).max(axis=-1, keepdims=True)
    scale = np.where(top > 0, top, 1)
    return scale * np.sqrt(((x / scale) ** 2).sum(axis=-1, keepdims=True))


def _kept(size: np.ndarray, t: float, up: bool) -> np.ndarray:
    """``max(0, 1 - t/s)`` rounded up or down."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(size > t, (size - t) / np.where(size > 0, size, 1.0), 0.0)
    return np.minimum(share * (1 + (4 * UNIT if up else -4 * UNIT)), 1.0)


__all__ = ["GroupShrinkage", "SoftThreshold"]
