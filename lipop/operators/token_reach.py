"""What a region says about every token: the ball around its centre that contains it, and a box where there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.region import Ball, Box, Region, TokenBall, as_ball, token_radii
from lipop.core.rounding import gamma, inflate


@dataclass(frozen=True, eq=False)
class TokenReach:
    """Every token i of every point of the region lies within ``rho[i]`` of ``center[i]`` (l2), and in the box.

    Attributes
    ----------
    center : (T, d) array
    rho : (T,) array
    box : pair of (T, d) arrays or None
    """

    center: np.ndarray
    rho: np.ndarray
    box: tuple[np.ndarray, np.ndarray] | None = None


def token_reach(on: Region, tokens: bool) -> TokenReach | None:
    """The reach of a ball, a token ball, a box or a cloud; None for other regions. A vector counts as one token.

    Examples
    --------
    >>> token_reach(Ball(np.zeros((2, 4)), 1.0, "linf"), tokens=True).rho.round(6).tolist()
    [2.0, 2.0]
    """
    box = None
    if isinstance(on, Ball) and on.norm == "linf":
        center = on.center.reshape(-1, on.center.shape[-1])
        rho = np.full(len(center), float(inflate(on.radius * math.sqrt(center.shape[1]), 2)))
        box = np.nextafter(center - on.radius, -np.inf), np.nextafter(center + on.radius, np.inf)
        return TokenReach(center, rho, box)
    ball = token_radii(on) if tokens else as_ball(on)
    if ball is None:
        return None
    center = ball.center.reshape(-1, ball.center.shape[-1])
    rho = ball.rho_token if isinstance(ball, TokenBall) else np.full(len(center), ball.radius)
    if isinstance(on, Box):
        box = on.low.reshape(center.shape), on.high.reshape(center.shape)
    return TokenReach(center, rho, box)


def least_norm(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(T,) lower bounds of ``|x|`` on boxes (T, d), exact up to rounding.

    >>> float(least_norm(np.array([[3.0, -1.0]]), np.array([[4.0, 1.0]]))[0]) > 3 - 1e-12
    True
    """
    return Enclosed.exact(np.maximum(np.maximum(low, -high), 0.0)).norm_down()


def least_spread(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(T,) lower bounds of ``|x - mean(x)|`` on boxes (T, d), exact up to rounding.

    ``|x - mean(x)|^2 = min_c |x - c|^2``, so the least value is a convex problem h in c alone, and
    ``h(c') >= h(c) + h'(c)(c' - c)`` turns any c into a bound; bisection makes the slope vanish.

    >>> float(least_spread(np.array([[0.0, 2.0]]), np.array([[1.0, 3.0]]))[0]) > 0.5**0.5 - 1e-12
    True
    """
    d = low.shape[1]
    start, stop = low.min(axis=1), high.max(axis=1)
    a, b = start, stop
    for _ in range(80):
        c = (0.5 * (a + b))[:, None]
        right = (np.maximum(c - high, 0.0) - np.maximum(low - c, 0.0)).sum(axis=1) > 0
        a, b = np.where(right, a, c[:, 0]), np.where(right, c[:, 0], b)
    c = b[:, None]
    over, under = np.maximum(c - high, 0.0), np.maximum(low - c, 0.0)
    slope = 2 * (np.abs((over - under).sum(axis=1)) + 2 * gamma(d + 4) * (over + under).sum(axis=1))
    value = (over**2 + under**2).sum(axis=1) * (1 - 2 * gamma(d + 6))
    least = np.maximum(np.nextafter(value - inflate(slope * (stop - start), 6), -np.inf), 0.0)
    return np.sqrt(least) * (1 - 2 * gamma(4))


__all__ = ["TokenReach", "least_norm", "least_spread", "token_reach"]
