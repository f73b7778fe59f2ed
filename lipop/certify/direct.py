"""The two direct strategies: the operator's own rule, and its linearisation at a centre."""

from __future__ import annotations

import math

from lipop.core.bound import Bound, Claim
from lipop.core.norms import derivative_norm
from lipop.core.operator import Operator
from lipop.core.region import Region, TokenBall, as_ball
from lipop.core.rule import derive
from lipop.errors import DomainError


def own_rule(op: Operator, on: Region, effort: str, seed: int, deadline: float = math.inf) -> Bound | None:
    """The operator's own rule: products of parts, closed forms."""
    bound = op.lip(on)
    return bound if bound.known else None


def linearize(op: Operator, on: Region, effort: str, seed: int, deadline: float = math.inf) -> Bound | None:
    """|J| at the centre plus the deviation on the ball."""
    if op.domain.norm != "l2" or op.codomain.norm != "l2":
        return None
    ball = on if isinstance(on, TokenBall) else as_ball(on)
    if ball is None:
        return None
    try:
        near = op.linearize(ball)
    except DomainError:
        return None
    deviation = near.deviation.norm()
    if not deviation.known:
        return None
    rtol = {"quick": 1e-3, "tight": 1e-4, "exhaustive": 1e-4}[effort]
    at = None
    if effort == "exhaustive":
        from lipop.certify.exhaustive import proved_norm

        at = proved_norm(op, ball.center, seed=seed)
    if at is None:
        at = derivative_norm(op, ball.center, J=near.J, rtol=rtol, seed=seed)
    return derive("linearize@1", Claim("lip", "upper", op.digest, on), (at, deviation))


__all__ = ["linearize", "own_rule"]
