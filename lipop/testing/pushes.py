"""A map pushed off another one by a stated distance: how generated blocks deviate from their limit operator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rounding import inflate
from lipop.core.space import Space, norm

PUSHES = ("constant", "alternating", "wave", "jump")


@dataclass(frozen=True, eq=False, repr=False)
class Pushed(Operator):
    """``x -> T x + e u(x)`` with ``|u(x)| <= 1`` (``growth``: ``|u(x)| <= 1 + |x|``).

    Parameters
    ----------
    base : Operator
        T, of a space into itself.
    size : float
        e.
    direction : array
        Of norm at most 1; ``u(x)`` is a multiple of it.
    kind : str
        ``constant``: the direction; ``wave``: its multiple by the cosine of the sum of the coordinates; ``jump``: its
        sign is that of the first coordinate of x, so that the map is not continuous.
    growth : bool
        Multiply by ``1 + |x|``.

    Examples
    --------
    >>> from lipop.core.algebra import Identity
    >>> Pushed(Identity(Space(2)), 0.5, np.array([0.0, 1.0]))(np.ones(2)).tolist()
    [1.0, 1.5]
    """

    base: Operator
    size: float
    direction: np.ndarray
    kind: str = "constant"
    growth: bool = False

    @property
    def domain(self) -> Space:
        return self.base.domain

    @property
    def codomain(self) -> Space:
        return self.base.codomain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        factor = self.size
        if self.kind == "wave":
            factor *= math.cos(float(x.sum()))
        elif self.kind == "jump":
            factor *= 1.0 if x.flat[0] >= 0 else -1.0
        if self.growth:
            factor *= 1.0 + norm(x, self.domain.norm)
        return self.base(x) + factor * self.direction

    def _lip(self, on: Region) -> float | None:
        if self.kind not in ("constant", "alternating") or self.growth:
            return None
        return float(inflate(self.base.lip(on).value, 1))


def unit(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """A direction of norm at most 1 (a few units in the last place below), with no zero coordinate."""
    v = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 1.0, shape)
    return v / norm(v, kind) * (1 - 2.0**-48)


__all__ = ["PUSHES", "Pushed", "unit"]
