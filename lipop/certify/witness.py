"""Lower ends: directions and pairs of points found by ascent, each a witness that anyone can evaluate."""

from __future__ import annotations

import numpy as np

from lipop.core.bound import Bound, Claim
from lipop.core.norms import direction_bound, pair_bound, seed_of, top_direction
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall, as_ball
from lipop.core.rule import unknown
from lipop.errors import DomainError


def starts(op: Operator, on: Region, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Points of the region to start an ascent from: its centre first, where it has one."""
    if isinstance(on, Everywhere | Shell):
        shape = tuple(3 if n is None else n for n in op.domain.shape)
        if isinstance(on, Shell):
            return list(on.points(rng, count, shape))
        scales = [0.0, 0.1, 1.0, 3.0, 10.0]
        return [scales[i % len(scales)] * rng.standard_normal(shape) for i in range(count)]
    if isinstance(on, Cloud):
        return list(on.points[:count])
    ball = as_ball(on)
    first = [] if ball is None else [np.array(ball.center)]
    return first + list(on.sample(rng, count - len(first)))


def project(x: np.ndarray, on: Region) -> np.ndarray:
    """The point moved into the region (nearest point for balls and boxes, radially for shells)."""
    if isinstance(on, Ball) and on.norm == "l2":
        h = x - on.center
        size = float(np.linalg.norm(h))
        return x if size <= on.radius else on.center + h * (on.radius / size * (1 - 1e-15))
    if isinstance(on, TokenBall):
        h = x - on.center
        size = np.sqrt((h * h).sum(axis=1, keepdims=True))
        h = h * np.minimum(1.0, on.rho_token[:, None] / np.where(size > 0, size, 1.0))
        total = float(np.linalg.norm(h))
        return on.center + h * min(1.0, on.rho_F / total if total > 0 else 1.0) * (1 - 1e-15)
    if isinstance(on, Box):
        return np.clip(x, on.low, on.high)
    if isinstance(on, Shell):
        size = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        target = np.clip(size, on.inner, on.outer)
        return x * np.where(size > 0, target / np.where(size > 0, size, 1.0), 1.0)
    return x


def ascend(op: Operator, x: np.ndarray, on: Region, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Climb ``|DT(x) v|``: v by a few power steps, x along the numerical gradient of the gain in a random subspace.

    Returns the best point, direction and gain met.
    """
    rng = np.random.default_rng(seed)

    def gain(p: np.ndarray) -> tuple[float, np.ndarray]:
        J = op.derivative(p)
        v = top_direction(J, seed=seed, rtol=1e-3)
        return float(np.linalg.norm(J.matvec(v)) / np.linalg.norm(v)), v

    best, v = gain(x)
    ball = as_ball(on)
    reach = 1.0 if ball is None else max(ball.radius, 1e-12)
    if isinstance(on, Shell):
        reach = on.inner + 0.5
    step = 0.5 * reach
    for _ in range(steps):
        h = rng.standard_normal(x.shape)
        h *= step / float(np.linalg.norm(h))
        trial = project(x + h, on)
        value, w = gain(trial)
        if value <= best:
            trial = project(x - h, on)
            value, w = gain(trial)
        if value > best:
            x, best, v = trial, value, w
            step = min(step * 1.3, reach)
        else:
            step *= 0.8
    return x, v, best


def pairs(op: Operator, on: Region, points: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """The pair with the largest ratio among the given points."""
    from lipop.core.space import norm

    values = [op(p) for p in points]
    best, found = 0.0, None
    for i, x in enumerate(points):
        for j in range(i):
            gap = norm(x - points[j], op.domain.norm)
            if gap == 0 or not (on.contains(x) and on.contains(points[j])):
                continue
            ratio = norm(values[i] - values[j], op.codomain.norm) / gap
            if ratio > best:
                best, found = ratio, (x, points[j])
    return found


def lower(op: Operator, on: Region, *, effort: str = "quick", seed: int = 0) -> Bound:
    """The best lower bound of Lip on the region that ascent and pairs find (unknown, which is zero, if neither finds
    any: a single point)."""
    rng = np.random.default_rng(seed_of(op.digest, f"witness:{on.digest}", seed))
    count, steps = {"quick": (3, 4), "tight": (8, 30), "exhaustive": (16, 80)}[effort]
    found: list[Bound] = []
    points = starts(op, on, rng, count)
    if not isinstance(on, Cloud):
        for i, x in enumerate(points):
            try:
                x, v, _ = ascend(op, x, on, steps, int(rng.integers(2**31)) + i)
            except DomainError:
                break
            if on.contains(x) and on.reaches(v):
                found.append(direction_bound(op, x, v, on=on))
    best = pairs(op, on, list(on.points) if isinstance(on, Cloud) else points)
    if best is not None:
        found.append(pair_bound(op, *best, on))
    if not found:
        claim = Claim("lip", "lower", op.digest, on, op.domain.norm, op.codomain.norm)
        return unknown(claim, f"no two points of {on!r}, and no direction, could be evaluated")
    strong = [b for b in found if b.status == "PROVED"]
    top = max(found, key=lambda b: b.value)
    proved = max(strong, key=lambda b: b.value) if strong else top
    return proved if proved.value >= top.value * (1 - 1e-9) else top
