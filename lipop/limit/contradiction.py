"""Declared laws against sampled blocks: a law that a block breaks at a point is wrong, whatever the others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.space import norm
from lipop.errors import LipopError
from lipop.limit.laws import Growth

if TYPE_CHECKING:
    from lipop.core.operator import Operator
    from lipop.limit.architecture import Architecture

SLACK, ROUNDING = 1e-9, 1e-12
"""What a measured value may exceed a law by: relative to the law, and to the size of the values (float64 rounding)."""
POINTS = 12


@dataclass(frozen=True, eq=False)
class Contradiction:
    """A block that breaks a declared law.

    Parameters
    ----------
    law : str
        ``deviation``, ``lip`` or ``expansion``.
    layer : int
    points : tuple of array
        The point x (deviation), or the pair x, y.
    measured, declared : float
        ``|T_i x - T x|`` or ``|T_i x - T_i y| / |x - y|``, and what the law says about it.
    """

    law: str
    layer: int
    points: tuple[np.ndarray, ...]
    measured: float
    declared: float

    def __str__(self) -> str:
        side = "at least" if self.law == "expansion" else "at most"
        return (
            f"the {self.law} law says {side} {self.declared:.6g} for block {self.layer}, "
            f"but {self.measured:.6g} is measured at a point"
        )


def contradiction(arch: Architecture, law: str, layers: tuple[int, ...] | None = None) -> Contradiction | None:
    """A sampled block that breaks a law, or None: nothing was found, which proves nothing.

    Parameters
    ----------
    arch : Architecture
    law : str
        ``deviation``, ``lip`` or ``expansion``.
    layers : tuple of int, optional
        The blocks to sample; by default the first three of which the law speaks, and seven later ones.
    """
    stated = getattr(arch, law)
    if stated is None:
        return None
    last = min(stated.last, arch.length or stated.last)
    chosen = layers or [arch.start + k for k in (0, 1, 2, 4, 9, 19, 49, 99, 299, 999)]
    for i in chosen:
        if i > last:
            break
        try:
            block = arch.block(i)
            found = (_deviation if law == "deviation" else _ratio)(arch, law, i, block)
        except (LipopError, ArithmeticError):
            continue  # a block that cannot be built or evaluated this deep shows nothing about the law
        if found is not None:
            return found
    return None


def sampled(arch: Architecture, block: Operator) -> list[np.ndarray]:
    """Points of D: random ones, and such that lie further out."""
    from lipop.core.region import Everywhere
    from lipop.limit.evidence import sample

    points = sample(block, arch.on, POINTS)
    out = [] if points is None else list(points)
    if isinstance(arch.on, Everywhere) and out:
        out += [np.zeros_like(out[0]), 100.0 * out[0], -100.0 * out[1]]
    return [x for x in out if arch.on.contains(x)]


def _deviation(arch: Architecture, law: str, i: int, block: Operator) -> Contradiction | None:
    stated, limit, kind = arch.deviation, arch.limit, arch.space.norm
    if stated is None or limit is None:
        return None
    allowed = stated.at(i)
    for x in sampled(arch, block):
        y, z = block(x), limit(x)
        size = norm(x, kind)
        declared = allowed * (1 + size) if isinstance(stated, Growth) else allowed
        measured = norm(y - z, kind)
        if measured > declared * (1 + SLACK) + ROUNDING * (1 + size + norm(z, kind)):
            return Contradiction(law, i, (x,), measured, declared)
    return None


def _ratio(arch: Architecture, law: str, i: int, block: Operator) -> Contradiction | None:
    stated, kind = getattr(arch, law), arch.space.norm
    declared = stated.at(i) if law == "lip" else stated.below(i)
    points = sampled(arch, block)
    values = [block(x) for x in points]
    for j in range(len(points)):
        for k in range(max(0, j - 2), j):
            x, y = points[j], points[k]
            gap = norm(x - y, kind)
            if gap == 0:
                continue
            measured = norm(values[j] - values[k], kind) / gap
            rounding = ROUNDING * (1 + norm(values[j], kind) + norm(values[k], kind)) / gap
            above = measured > declared * (1 + SLACK) + rounding
            below = measured < declared * (1 - SLACK) - rounding
            if above if law == "lip" else below:
                return Contradiction(law, i, (x, y), measured, declared)
    return None


__all__ = ["Contradiction", "contradiction", "sampled"]
