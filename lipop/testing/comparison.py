"""One bound against one measurement, and what all comparisons share.

The blocks after the last depth N are taken to be the reference blocks, so that limits are ``T S_N x`` and tails are
sums that end at N: the theorems hold for that architecture exactly, and all their numbers are at hand. Slack is what
the theory page allows for rounding: ``1e-12 (1 + max |S_k x|)(1 + L)^2``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lipop.testing.specimen import Specimen

DEPTH = 40


@dataclass(frozen=True)
class Comparison:
    """One inequality ``measured <= bound``.

    Attributes
    ----------
    claim : str
        The theorem's number and part.
    n : int
        The depth.
    measured, bound : float
    slack : float
        What rounding may add.
    """

    claim: str
    n: int
    measured: float
    bound: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the bound is not exceeded."""
        return self.measured <= self.bound + self.slack

    @property
    def tightness(self) -> float:
        """Measured over bound, where rounding is small beside both."""
        return self.measured / self.bound if self.bound > 1e4 * self.slack else 0.0


def depths(spec: Specimen, last: int = DEPTH, m: int = 0) -> list[int]:
    """The depths at which rates are compared: soon after the laws begin, in the middle, at the end."""
    first = max(spec.heads, m) + 1
    return sorted({first, first + 1, first + 2, (first + last) // 2, last - 1, last})


def slack(orbit: Iterable[np.ndarray], spec: Specimen, L: float = 1.0) -> float:
    """``1e-12 (1 + max |S_k x|)(1 + L)^2``."""
    return 1e-12 * (1 + max(spec.norm(x) for x in orbit)) * (1 + L) ** 2


def tails(e: np.ndarray, last: int = DEPTH) -> list[float]:
    """tau_n of the tail that is run."""
    return [math.fsum(e[n + 1 : last + 1]) for n in range(last + 1)]


def pairs(spec: Specimen, last: int = DEPTH) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The two orbits, and the distance of the pair by depth."""
    one, other = spec.orbit(last), spec.orbit(last, spec.other)
    return one, other, [spec.norm(x - y) for x, y in zip(one, other, strict=True)]


__all__ = ["DEPTH", "Comparison", "depths", "pairs", "slack", "tails"]
