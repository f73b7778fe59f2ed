"""Whether blocks map the domain into itself: proved by images or by convexity, refuted by a sampled point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.algebra import Identity, Relax
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Everywhere, Region
from lipop.core.rounding import dot_up
from lipop.core.space import norm
from lipop.errors import LipopError

if TYPE_CHECKING:
    from lipop.limit.architecture import Architecture
    from lipop.limit.hypothesis import Hypothesis

NAME = "T_i maps D into D"
SLACK = 1e-9  # how far, relative to its size, a value must lie outside to count as outside


def leaves(op: Operator, on: Region) -> np.ndarray | None:
    """A sampled point of D whose value lies outside D by more than rounding (None: none was found)."""
    from lipop.limit.evidence import sample

    if isinstance(on, Everywhere):
        return None
    points = sample(op, on, 12)
    for x in () if points is None else points:
        try:
            if not _near(op(x), on) and on.contains(x):
                return x
        except LipopError:
            return None
    return None


def _near(y: np.ndarray, on: Region) -> bool:
    """Whether a value lies in D or at it, up to rounding."""
    if not bool(np.isfinite(y).all()):
        return False
    if isinstance(on, Ball):
        return norm(y - on.center, on.norm) <= on.radius + SLACK * (1 + on.radius + norm(on.center, on.norm))
    if isinstance(on, Box):
        slack = SLACK * (1 + np.abs(on.low) + np.abs(on.high))
        return bool(((y >= on.low - slack) & (y <= on.high + slack)).all())
    return on.contains(y)


def maps_into(op: Operator, on: Region) -> bool:
    """Whether ``op(D)`` is proved to lie in D: by the ball that holds the image, or as a convex combination."""
    if isinstance(on, Everywhere) or isinstance(op, Identity):
        return True
    if isinstance(op, Relax) and on.convex and 0 <= op.alpha <= 1:
        return maps_into(op.inner, on)
    try:
        image = op.image(on)
    except LipopError:
        return False
    return on.encloses(image) or _holds(on, image)


def _holds(on: Region, image: Region) -> bool:
    """Whether a ball or box certainly contains a ball."""
    if not isinstance(image, Ball):
        return False
    if isinstance(on, Box):
        reach = image.radius * (1 + 1e-12)  # no coordinate moves further, in any of the norms
        return bool(((image.center - reach >= on.low) & (image.center + reach <= on.high)).all())
    if isinstance(on, Ball) and on.norm == image.norm == "l2" and on.center.shape == image.center.shape:
        return (dot_up(image.center - on.center) + image.radius) * (1 + 1e-12) <= on.radius
    return False


def keeps_domain(arch: Architecture) -> Hypothesis | None:
    """What is known about ``T_i(D)`` in D: a hypothesis with its evidence (None: only the user says so)."""
    from lipop.limit.combination import Combination
    from lipop.limit.hypothesis import proved, violated
    from lipop.limit.structure import Cycle

    if isinstance(arch.on, Everywhere):
        return proved(NAME, "D is the whole space")
    rule = arch.rule
    every: Iterable[int] | None = None
    if arch.length is not None and arch.length <= 256:
        every = range(1, arch.length + 1)
    elif isinstance(rule, Cycle):
        every = range(1, len(rule.head) + len(rule.cycle) + 1)
    for i in every or (1, 2, 3, 5, 10, 20, 50):
        if arch.length is not None and i > arch.length:
            break
        try:
            x = leaves(arch.block(i), arch.on)
        except ArithmeticError:
            break  # a function that overflows for deep layers
        if x is not None:
            return violated(NAME, f"block {i} maps a point of D out of it", (i, x))
    if every is not None and all(maps_into(arch.block(i), arch.on) for i in every):
        return proved(NAME, "the image of D under each block lies in D")
    if isinstance(rule, Combination) and arch.on.convex and _convex_steps(rule, arch.on):
        return proved(NAME, "every block is a convex combination of maps of the convex set D into itself")
    return None


def _convex_steps(rule: object, on: Region) -> bool:
    """Whether the coefficients of a combination are non-negative and add up to 1, as formulas, and its operators map
    D into D."""
    import sympy

    from lipop.limit.combination import Combination
    from lipop.limit.derived import nonnegative

    if not isinstance(rule, Combination):
        return False
    total = sympy.simplify(sympy.Add(*(c for c, _ in rule.terms)))
    signs = all(nonnegative(c, rule.index) for c, _ in rule.terms)
    return total == 1 and signs and all(maps_into(op, on) for _, op in rule.terms)


__all__ = ["NAME", "keeps_domain", "leaves", "maps_into"]
