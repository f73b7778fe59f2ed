"""Elementwise activations: their constants on a region are suprema of f' and f'' over the coordinates' intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.rounding import UNIT
from lipop.core.space import Space
from lipop.errors import DomainError
from lipop.operators import activation_rules as rule
from lipop.operators.activation_rules import Range
from lipop.operators.token_factor import TokenFactor
from lipop.operators.token_views import activation_factor

Shape = Space | int | tuple[int | None, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Operator):
    """``x -> f(x)`` entry by entry, in one norm (l1, l2, linf or 2inf) on both sides.

    Parameters
    ----------
    space : Space, int or shape
    name : str
        relu, leaky_relu, gelu, gelu_tanh, quick_gelu, silu, sigmoid, tanh, softplus, elu, mish, hardswish or
        squared_relu.
    param : float or None
        The slope of leaky_relu, alpha of elu (default 1).

    Raises
    ------
    DomainError
        If the name is unknown or the parameter does not fit it.

    Notes
    -----
    The derivative is diagonal, and every operator norm here takes the largest entry of a diagonal. On a region whose
    coordinates run over intervals I_k, Lip <= max_k sup |f'| on I_k; on the whole space, balls and boxes it is
    attained: let coordinate k move alone. The Dahlquist constant is max_k sup f', the expansion min_k inf |f'| where
    f' keeps its sign on I_k, the smoothness max_k sup |f''|. Between critical points f' is monotone: the suprema are
    exact up to rounding.

    Examples
    --------
    >>> f = Activation(Space(3), "silu")
    >>> round(f.lip().value, 6), f.lip().status
    (1.099839, 'PROVED')
    >>> f.lip(Ball(np.full(3, -5.0), 1.0)).value < 0.1
    True
    """

    tokenwise = True

    space: Space
    name: str
    param: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", self.space if isinstance(self.space, Space) else Space(self.space))
        object.__setattr__(self, "param", rule.parameter(self.name, self.param))

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def codomain(self) -> Space:
        return self.space

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        return rule.evaluate(self.name, 0, x if x.dtype.kind == "f" else x.astype(np.float64), self.param)

    def enclose(self, x: Enclosed) -> Enclosed:
        return rule.enclose_value(self.name, x, self.param)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return LinearOperator.diagonal(self._slope(x))

    def _slope(self, x: np.ndarray) -> np.ndarray:
        return rule.evaluate(self.name, 1, np.asarray(x, dtype=np.float64), self.param)

    def _range(self, level: int, on: Region, closed: bool = True) -> Range | None:
        intervals = coordinate_intervals(on)
        if intervals is None:
            return None
        return rule.level_range(self.name, level, *intervals, self.param, closed=closed)

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        """The largest distance of f' on the coordinate's interval from the stored f' at the centre."""
        slopes = self._range(1, ball)
        if slopes is None:
            return None
        center = self._slope(ball.center)
        gap = np.maximum(slopes[1] - center, center - slopes[0])
        return float(gap.max()) * (1 + 4 * UNIT)

    @property
    def chains(self) -> bool:
        return self.domain.any_tokens and len(self.domain.shape) == 2 and self.domain.norm == "l2"

    def token_factor(self, x: Enclosed) -> TokenFactor:
        return activation_factor(self.name, self.param, x, x)

    def _lip(self, on: Region) -> float | None:
        slopes = self._range(1, on, closed=False)
        return None if slopes is None else rule.sup_abs(*slopes)

    def _dahlquist(self, on: Region) -> float | None:
        slopes = self._range(1, on, closed=False)
        return None if slopes is None else float(slopes[1].max())

    def _expansion(self, on: Region) -> float | None:
        slopes = self._range(1, on, closed=False)
        return None if slopes is None else max(0.0, float(np.maximum(slopes[0], -slopes[1]).min()))

    def _smoothness(self, on: Region) -> float | None:
        curvatures = self._range(2, on, closed=False)
        return None if curvatures is None else rule.sup_abs(*curvatures)


def coordinate_intervals(on: Region) -> Range | None:
    """Ends, rounded outward, of intervals that hold every coordinate of a convex set around the region (None: unknown).

    >>> low, high = coordinate_intervals(Ball(np.zeros(2), 1.0))
    >>> bool((low <= -1.0).all() and (high >= 1.0).all())
    True
    """
    if isinstance(on, Everywhere):
        return np.full(1, -np.inf), np.full(1, np.inf)
    if isinstance(on, Box):
        return on.low, on.high
    if isinstance(on, Cloud):
        return on.points.min(axis=0), on.points.max(axis=0)
    if isinstance(on, Shell):
        return np.full(1, -on.outer), np.full(1, on.outer)
    if isinstance(on, Ball | TokenBall):
        reach = np.asarray(on.radius) if isinstance(on, Ball) else on.rho_token[:, None]
        low, high = np.nextafter(on.center - reach, -np.inf), np.nextafter(on.center + reach, np.inf)
        return np.where(reach == 0, on.center, low), np.where(reach == 0, on.center, high)
    return None


def _named(name: str, space: Shape, param: float | None = None) -> Activation:
    return Activation(space if isinstance(space, Space) else Space(space), name, param)  # pyright: ignore[reportArgumentType]


def gelu(space: Shape, approximate: str = "none") -> Activation:
    """x Phi(x), or with ``approximate="tanh"`` its tanh form.

    >>> round(gelu(2).lip().value, 6), round(gelu(2, "tanh").lip().value, 6)
    (1.128904, 1.128993)
    """
    if approximate not in ("none", "tanh"):
        raise DomainError(f"gelu: approximate must be 'none' or 'tanh', found {approximate!r}")
    return _named("gelu" if approximate == "none" else "gelu_tanh", space)


def leaky_relu(space: Shape, slope: float = 0.01) -> Activation:
    """x for x > 0, slope x otherwise."""
    return _named("leaky_relu", space, slope)


def elu(space: Shape, alpha: float = 1.0) -> Activation:
    """x for x > 0, alpha (e^x - 1) otherwise."""
    return _named("elu", space, alpha)


def relu(space: Shape) -> Activation:
    """max(x, 0)."""
    return _named("relu", space)


def quick_gelu(space: Shape) -> Activation:
    """x sigmoid(1.702 x)."""
    return _named("quick_gelu", space)


def silu(space: Shape) -> Activation:
    """x sigmoid(x), also called swish."""
    return _named("silu", space)


def sigmoid(space: Shape) -> Activation:
    """1 / (1 + e^-x)."""
    return _named("sigmoid", space)


def tanh(space: Shape) -> Activation:
    """tanh x."""
    return _named("tanh", space)


def softplus(space: Shape) -> Activation:
    """log(1 + e^x)."""
    return _named("softplus", space)


def mish(space: Shape) -> Activation:
    """x tanh(softplus(x))."""
    return _named("mish", space)


def hardswish(space: Shape) -> Activation:
    """x min(max(x + 3, 0), 6) / 6."""
    return _named("hardswish", space)


def squared_relu(space: Shape) -> Activation:
    """max(x, 0)^2: Lipschitz on bounded regions only."""
    return _named("squared_relu", space)


__all__ = [
    "Activation",
    "coordinate_intervals",
    "elu",
    "gelu",
    "hardswish",
    "leaky_relu",
    "mish",
    "quick_gelu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "squared_relu",
    "tanh",
]
