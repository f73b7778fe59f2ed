"""What a domain D contains and how far out it reaches."""

from __future__ import annotations

import math

import numpy as np

from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall, as_ball
from lipop.core.rounding import inflate
from lipop.core.space import norm


def has_interior(on: Region) -> bool:
    """Whether D contains a ball, so that affine maps that agree on D are equal."""
    if isinstance(on, Everywhere):
        return True
    if isinstance(on, Ball):
        return on.radius > 0
    if isinstance(on, TokenBall):
        return on.rho_F > 0 and bool((on.rho_token > 0).all())
    if isinstance(on, Box):
        return bool((on.low < on.high).all())
    return isinstance(on, Shell) and on.inner < on.outer


def size_of(on: Region, kind: str) -> float:
    """A bound of ``|x|`` on D in the given norm (infinite where D is not bounded or not known to be)."""
    if isinstance(on, Ball) and on.norm == kind:
        return float(inflate(norm(on.center, kind) + on.radius, on.center.size + 4))
    if isinstance(on, Box):
        reach = np.maximum(np.abs(on.low), np.abs(on.high))
        return float(inflate(norm(reach, kind), on.low.size + 4))
    if isinstance(on, Cloud):
        return float(inflate(max(norm(p, kind) for p in on.points), on.points[0].size + 4))
    ball = as_ball(on)
    if ball is None:
        return math.inf
    factor = {"l1": math.sqrt(ball.center.size)}.get(kind, 1.0)
    return float(inflate((norm(ball.center) + ball.radius) * factor, ball.center.size + 6))


__all__ = ["has_interior", "size_of"]
