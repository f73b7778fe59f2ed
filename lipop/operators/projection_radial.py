"""The radial retraction onto a ball: x -> c + (x - c) min(1, R / |x - c|), in l2 the nearest-point map.

In a Hilbert space its constant is 1. In any normed space it is at most 2 (Dunkl and Williams 1964; Thele 1974), and in
l1, linf and 2inf, beyond one dimension (one token), it is 2: see the pairs in the notes of :class:`RadialRetraction`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.region import Ball, Region, Shell, TokenBall, as_ball
from lipop.core.rounding import UNIT, float_up, gamma, inflate, workprec
from lipop.core.space import Space, norm_name
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection import BoxProjection, FixedPoints, Projection
from lipop.operators.projection_simplex import L1BallProjection


@dataclass(frozen=True, eq=False, repr=False)
class RadialRetraction(Projection):
    """Pull every point along its ray into the ball ``|x - center| <= radius``.

    Parameters
    ----------
    center : array
    radius : float
        Not negative.
    norm : str
        Of the ball and of both spaces.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    At distance s > R from the centre the derivative is ``(R/s)(I - u g^T)``, u the direction and g the norm's gradient.

    - l2: ``I - u u^T`` is a projection, so Lip on the points at distance s or more is exactly R/s, and 1 on regions
      that meet the ball. Differentiating once more, ``|D^2 T[h, h]|^2 = (R/s^2)^2 b^2 (4 - 3 b^2)`` with b the part of
      the unit vector h across u; its largest value, at ``b^2 = 2/3``, gives the smoothness ``2 R / (sqrt(3) s^2)``.
    - Other norms: 2 R/s, and 2 on regions that meet the ball. For linf take ``x = (R, R)`` and ``y = (R+t, R-t)``: the
      images differ by ``2 R t/(R+t)``, the points by t. For l1 take ``x = (R, 0)`` and ``y = (R, t)``. As t -> 0 both
      ratios tend to 2.

    In l2 the map is (1/2)-averaged; elsewhere it has no averagedness.

    Examples
    --------
    >>> T = RadialRetraction(np.zeros(2), 1.0)
    >>> T(np.array([3.0, 4.0])).round(3).tolist(), T.lip().value, RadialRetraction(np.zeros(2), 1.0, "linf").lip().value
    ([0.6, 0.8], 1.0, 2.0)
    """

    center: np.ndarray
    radius: float
    norm: str = "l2"

    def __post_init__(self) -> None:
        center, radius = np.array(self.center, dtype=np.float64), float(self.radius)
        if center.ndim == 0 or center.size == 0:
            raise ShapeError("the centre of a radial retraction must be an array")
        if not np.isfinite(center).all():
            raise NonFiniteError("the centre of a radial retraction must be finite")
        if not (0 <= radius < math.inf):
            raise DomainError(f"the radius of a radial retraction must be finite and at least 0, found {radius}")
        center.flags.writeable = False
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "radius", radius)
        object.__setattr__(self, "norm", norm_name(self.norm))

    @property
    def domain(self) -> Space:
        return Space(self.center.shape, self.norm)

    @property
    def codomain(self) -> Space:
        return self.domain

    @property
    def euclidean(self) -> bool:
        """Whether the norm is a Hilbert norm: l2, one coordinate, or one token in 2inf."""
        one_token = self.norm == "2inf" and self.center.size == self.center.shape[-1]
        return self.norm == "l2" or self.center.size == 1 or one_token

    @property
    def averagedness(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """1/2 in a Hilbert norm, None elsewhere."""
        return 0.5 if self.euclidean else None

    @property
    def bounded(self) -> bool:
        return True

    @property
    def fixed_points(self) -> FixedPoints:
        """The ball.

        Raises
        ------
        DomainError
            In 2inf with several tokens: no nearest-point map onto that ball is at hand.
        """
        return FixedPoints(self if self.euclidean else BallProjection(self.center, self.radius, self.norm))

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        c, radius = self.center.astype(x.dtype, copy=False), x.dtype.type(self.radius)
        h = x - c
        size = _size(h, self.norm, c.ndim)
        far = size > radius
        return np.where(far, c + h * (radius / np.where(far, size, 1)), x)

    def enclose(self, x: Enclosed) -> Enclosed:
        h = x - self.center
        low, high = _range(h, self.norm)
        if high <= self.radius:
            return x
        shrink = Enclosed.interval(
            np.asarray(min(1.0, self.radius / high * (1 - 4 * UNIT))),
            np.asarray(min(1.0, self.radius / low * (1 + 4 * UNIT)) if low > 0 else 1.0),
        ).reshape(*(1,) * h.mid.ndim)
        return h * shrink + self.center

    # ---- the derivative ----

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        h = x - self.center
        size = float(_size(h, self.norm, h.ndim).ravel()[0])
        if size <= self.radius:
            return LinearOperator.identity(x.shape)
        k, u, g = self.radius / size, h / size, _gradient(h, self.norm)
        top = float(inflate(k * (1 + np.linalg.norm(u) * np.linalg.norm(g)), u.size + 8))
        return LinearOperator(
            x.shape,
            x.shape,
            lambda v: k * (v - u * float((g * v).sum())),
            lambda w: k * (w - g * float((u * w).sum())),
            majorant=top,
            product_error=gamma(2 * u.size + 16) * top,
        )

    def _gap(self, on: Region) -> tuple[float, float]:
        """Between which distances from the centre the region lies."""
        ball = on if isinstance(on, Ball) and on.norm == self.norm else None
        if self.norm == "l2" and ball is None:
            ball = as_ball(on)
        if ball is None:
            if isinstance(on, Shell) and self.norm == "l2" and self.center.ndim == 1 and not self.center.any():
                return on.inner, on.outer
            return 0.0, math.inf
        low, high = _range(Enclosed.exact(ball.center) - self.center, self.norm)
        return (low - ball.radius) * (1 - 4 * UNIT), (high + ball.radius) * (1 + 4 * UNIT)

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        if self.norm != "l2":
            return None
        low, high = self._gap(ball)
        if high <= self.radius:
            return 0.0
        rounding = gamma(4 * self.center.size + 32)
        if low <= self.radius:
            return 1.0 + rounding
        rho = ball.rho_F if isinstance(ball, TokenBall) else ball.radius
        return float(inflate(min(self.radius / low, rho * self._curvature(low)) + rounding, 8))

    def _curvature(self, s: float) -> float:
        """``2 R / (sqrt(3) s^2)``, rounded up."""
        import flint

        with workprec():
            return float_up(2 * flint.arb(self.radius) / (flint.arb(3).sqrt() * flint.arb(s) ** 2))

    # ---- the bounds ----

    def _lip(self, on: Region) -> float:
        low, high = self._gap(on)
        if self.radius == 0 or (self.center.size == 1 and low > self.radius):
            return 0.0
        if high <= self.radius:
            return 1.0
        factor = min(1.0, self.radius / low * (1 + 4 * UNIT)) if low > 0 else 1.0
        return factor if self.euclidean else 2.0 * factor

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 1.0 if self._gap(on)[1] <= self.radius else 0.0

    def _smoothness(self, on: Region) -> float | None:
        low, high = self._gap(on)
        if high <= self.radius:
            return 0.0
        smooth = self.norm == "l2" and low > self.radius  # other norms have kinks outside of the ball
        return self._curvature(low) if smooth else None

    def holds(self, x: np.ndarray) -> bool:
        return _range(Enclosed.exact(x) - self.center, self.norm)[1] <= self.radius

    def depth(self, x: np.ndarray) -> float:
        room = self.radius - _range(Enclosed.exact(x) - self.center, self.norm)[1]
        factor = math.sqrt(self.center.size) if self.norm == "l1" else 1.0
        return max(0.0, room / factor * (1 - 8 * UNIT))


def BallProjection(center: Any, radius: float, norm: str = "l2") -> Projection:
    """The nearest point (in l2) of the ball ``|x - center| <= radius`` in l2, l1 or linf.

    >>> BallProjection(np.zeros(2), 1.0, "l1")(np.array([1.0, 1.0])).tolist()
    [0.5, 0.5]

    Raises
    ------
    DomainError
        For another norm.
    """
    name, center = norm_name(norm), np.asarray(center, dtype=np.float64)
    if name == "l2":
        return RadialRetraction(center, radius)
    if name == "l1":
        return L1BallProjection(center, radius)
    if name == "linf":
        return BoxProjection(center - radius, center + radius)
    raise DomainError(f"balls onto which points are projected are in l2, l1 or linf, not in {norm}")


def _size(h: np.ndarray, name: str, axes: int) -> np.ndarray:
    """The norm over the last axes, kept as axes of length one."""
    last = tuple(range(-axes, 0))
    if name == "l1":
        return np.abs(h).sum(axis=last, keepdims=True)
    if name == "linf":
        return np.abs(h).max(axis=last, keepdims=True)
    top = np.abs(h).max(axis=last, keepdims=True)
    scale = np.where(top > 0, top, 1)
    square = ((h / scale) ** 2).sum(axis=-1, keepdims=True)
    return scale * np.sqrt(
        square.sum(axis=last, keepdims=True) if name == "l2" else square.max(axis=last, keepdims=True)
    )


def _range(h: Enclosed, name: str) -> tuple[float, float]:
    """Two floats between which the norm lies."""
    if name == "l2":
        flat = h.reshape(-1)
        return float(flat.norm_down()), float(flat.norm_up())
    if name == "2inf":
        return float(h.norm_down().max()), float(h.norm_up().max())
    least = np.maximum(np.abs(h.mid) - h.radius, 0.0)
    if name == "linf":
        return float(np.nextafter(least.max(), -math.inf)), float(h.magnitude.max())
    return float(least.sum() * (1 - gamma(h.mid.size + 4))), float(inflate(h.magnitude.sum(), h.mid.size + 4))


def _gradient(h: np.ndarray, name: str) -> np.ndarray:
    """The gradient of the norm at h (one of them, where it has several)."""
    if name == "l1":
        return np.sign(h)
    if name == "l2":
        return h / float(_size(h, "l2", h.ndim).ravel()[0])
    out = np.zeros_like(h)
    if name == "linf":
        at = np.unravel_index(int(np.abs(h).argmax()), h.shape)
        out[at] = np.sign(h[at])
        return out
    at = int(np.square(h).reshape(-1, h.shape[-1]).sum(axis=1).argmax())
    rows, target = h.reshape(-1, h.shape[-1]), out.reshape(-1, h.shape[-1])
    target[at] = rows[at] / np.linalg.norm(rows[at])
    return out


__all__ = ["BallProjection", "RadialRetraction"]
