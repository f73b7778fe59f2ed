"""Lower ends of deviations: points of D, found by ascent, at which two operators lie far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipop.certify.witness import project, starts
from lipop.core.bound import LOWER, Bound, Witness
from lipop.core.norms import seed_of
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, as_ball
from lipop.core.rule import leaf, unknown
from lipop.core.space import norm
from lipop.errors import LipopError

if TYPE_CHECKING:
    from lipop.limit.deviations import Between

STEPS = {"quick": (6, 40), "tight": (16, 300), "exhaustive": (32, 1000)}
"""Starts, and steps from each."""


def lower(pair: Between, on: Region, *, effort: str = "quick", seed: int = 0) -> Bound:
    """The largest ``|A x - B x|`` met at points of D, from random starts and corners, with that point as the witness.

    Every step moves along a random direction and keeps what is larger; on unbounded regions it stays where it starts.
    """
    from lipop.limit.deviations import POINT, POINT_FLOAT

    rng = np.random.default_rng(seed_of(pair.digest, f"deviation:{on.digest}", seed))
    count, steps = STEPS[effort]
    best, where = -1.0, None
    try:
        points = list(on.points) if isinstance(on, Cloud) else starts(pair.a, on, rng, count) + corners(pair, on, rng)
    except LipopError:
        points = []
    for x in points:
        x, value = _climb(pair, x, on, 0 if isinstance(on, Cloud) else steps, rng)
        if value > best and on.contains(x):
            best, where = value, x
    if where is None:
        return unknown(pair.claim(on, LOWER), f"no point of {on!r} could be evaluated")
    raw, rounded = pair.at(where)
    witness = Witness("vector", {"v": where})
    return leaf(POINT if rounded else POINT_FLOAT, pair.claim(on, LOWER), raw, pair, witness=witness)


def _climb(pair: Between, x: np.ndarray, on: Region, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    kind = pair.a.codomain.norm

    def value(p: np.ndarray) -> float:
        return norm(pair.a(p) - pair.b(p), kind)

    best = value(x)
    if isinstance(on, Everywhere):
        return x, best
    ball = as_ball(on)
    reach = ball.radius if ball is not None else 1.0
    step = reach
    for _ in range(steps):
        h = rng.standard_normal(x.shape)
        h *= step / max(float(np.linalg.norm(h)), 1e-300)
        for trial in (inside(x + h, on), inside(x - h, on)):
            found = value(trial)
            if found > best:
                x, best, step = trial, found, min(1.5 * step, reach)
                break
        else:
            step *= 0.8
    return x, best


def inside(x: np.ndarray, on: Region) -> np.ndarray:
    """A point of D near x: the nearest for l2 balls and boxes; for balls of other norms on the ray from the centre."""
    if isinstance(on, Ball) and on.norm != "l2":
        h = x - on.center
        size = norm(h, on.norm)
        return x if size <= on.radius else on.center + h * (on.radius / size * (1 - 1e-15))
    return project(x, on)


def corners(pair: Between, on: Region, rng: np.random.Generator) -> list[np.ndarray]:
    """Points on the boundary: along the largest direction of the difference of derivatives, axes, and random signs."""
    if isinstance(on, Everywhere | Shell):
        return []
    ball = on if isinstance(on, Ball) else as_ball(on)
    if ball is None or ball.radius == 0:
        return []
    shape = ball.center.shape
    directions = [rng.choice([-1.0, 1.0], size=shape) for _ in range(4)]
    try:
        J, K = pair.a.derivative(ball.center), pair.b.derivative(ball.center)
        v = rng.standard_normal(shape)
        for _ in range(60):
            w = J.matvec(v) - K.matvec(v)
            v = J.rmatvec(w) - K.rmatvec(w)
            size = float(np.linalg.norm(v))
            if size == 0:
                break
            v = v / size
        directions += [v, -v]
        if ball.center.size <= 64:
            w = [J.matvec(e) - K.matvec(e) for e in np.eye(ball.center.size).reshape(-1, *shape)]
            rows = np.array([u.ravel() for u in w]).T
            top = rows[int(np.abs(rows).sum(axis=1).argmax())].reshape(shape)  # linf: the signs of the largest row
            directions += [np.sign(top), -np.sign(top)]
    except LipopError:
        pass
    if ball.center.size <= 64:
        axes = np.eye(ball.center.size).reshape(-1, *shape)
        directions += [*axes, *-axes]
    far = 4 * ball.radius if isinstance(on, Box) else ball.radius
    sized = [d / max(norm(d, ball.norm), 1e-300) for d in directions]
    if isinstance(on, Box):
        return [inside(ball.center + far * np.sign(d) * (np.abs(d) > 0), on) for d in directions]
    return [inside(ball.center + far * d, on) for d in sized]
