"""The limit at a point, from finitely many blocks: the depth that the rates of the theorems certify for a tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core.bound import Bound
from lipop.core.rounding import inflate
from lipop.core.space import norm
from lipop.errors import DomainError, RegionError

if TYPE_CHECKING:
    from lipop.limit.architecture import Architecture

DEEPEST = 2**20
"""Blocks up to which a depth is looked for."""


@dataclass(frozen=True, eq=False)
class LimitValue:
    """An approximation of ``S_{inf,m} x``.

    Parameters
    ----------
    value : array
        ``S_{n,m} x``, or its projection ``T S_{n,m} x`` where that is closer.
    depth : int
        n.
    error : Bound
        ``|S_{inf,m} x - value|`` in exact arithmetic, at most; its status says on which declared laws it rests. The
        float64 rounding of the n blocks, of relative size about n u, is not in it.
    """

    value: np.ndarray
    depth: int
    error: Bound

    def __iter__(self) -> Any:
        return iter((self.value, self.depth, self.error))


def limit_at(arch: Architecture, x: np.ndarray, tol: float, m: int = 0, deepest: int = DEEPEST) -> LimitValue:
    """``S_{inf,m} x`` to within ``tol``.

    Raises
    ------
    DomainError
        If no theorem gives a rate (its missing hypotheses are named), the tolerance is not positive, or it needs more
        than ``deepest`` blocks.
    RegionError
        If x lies outside D.
    """
    if not tol > 0:
        raise DomainError(f"a tolerance is positive, found {tol!r}")
    if arch.length is not None:
        raise DomainError(f"{arch!r} is finite: its value is arch(x), and it has no limit to approximate")
    x = arch.space.check(np.asarray(x, dtype=np.float64))
    if not arch.on.contains(x):
        raise RegionError(f"the point lies outside the domain {arch.on!r}")
    later = arch.shift(m)
    head = later.start - 1
    y = later(x, depth=head)
    radius = float(inflate(norm(y, arch.space.norm), y.size + 4))
    found: tuple[int, Any, Bound] | None = None
    missing: list[str] = []
    for conclusion in _conclusions(later):
        if not conclusion.holds:
            missing.append(f"{conclusion.theorem}: " + "; ".join(str(h) for h in conclusion.missing))
            continue
        for name in ("error", "projected"):
            rate = conclusion.rates.get(name)
            if rate is None or (name == "projected" and conclusion.limit is None):
                continue
            n = _depth(rate, later.start, tol, radius, deepest)
            if n is not None and (found is None or n < found[0]):
                found = n, conclusion.limit if name == "projected" else None, rate.bound(n, radius)
    if found is None:
        if len(missing) == 3:
            raise DomainError(f"no theorem gives a rate for {arch!r}: " + " | ".join(missing))
        raise DomainError(f"the tolerance {tol:.3g} needs more than {deepest} blocks; say a larger one, or deepest=")
    n, project, error = found
    y = later(y, depth=n, m=head)
    return LimitValue(y if project is None else project(y), n + m, error)


def _conclusions(arch: Architecture) -> tuple[Any, ...]:
    from lipop.limit.theorems.theorem_1 import theorem_1
    from lipop.limit.theorems.theorem_2 import theorem_2
    from lipop.limit.theorems.theorem_3 import theorem_3

    return theorem_1(arch), theorem_2(arch), theorem_3(arch)


def _depth(rate: Any, first: int, tol: float, radius: float, deepest: int) -> int | None:
    """The least depth that doubling and halving find with a certified error of at most ``tol``."""
    low, high = first - 1, first
    while not rate.bound(high, radius).value <= tol:
        if high >= deepest:
            return None
        low, high = high, min(2 * high, deepest)
    while high - low > 1:
        middle = (low + high) // 2
        if rate.bound(middle, radius).value <= tol:
            high = middle
        else:
            low = middle
    return high


__all__ = ["DEEPEST", "LimitValue", "limit_at"]
