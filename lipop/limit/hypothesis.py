"""What a theorem rests on and what it gives: Hypothesis (with its evidence), Rate, Conclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.bound import Bound
from lipop.errors import DomainError

PROVED, CONDITIONAL, WITNESSED, UNKNOWN = "PROVED", "CONDITIONAL", "WITNESSED", "UNKNOWN"


@dataclass(frozen=True, eq=False)
class Orbits:
    """Points whose orbits show that a limit does not exist, or that a law is broken.

    Parameters
    ----------
    kind : str
        ``two subsequences`` (one orbit at depths that stay apart), ``diverging pair`` (two orbits that part) or
        ``unbounded orbit``.
    points : tuple of array
        Where the orbits start.
    depths : tuple of int
    values : tuple of array
        ``S_n x`` at these depths, computed in float64: all depths of the first point, then of the next.
    start : int
        The m of ``S_{n,m}``.
    """

    kind: str
    points: tuple[np.ndarray, ...]
    depths: tuple[int, ...]
    values: tuple[np.ndarray, ...]
    start: int = 0

    def __str__(self) -> str:
        depths = ", ".join(map(str, self.depths))
        return f"{self.kind}: {len(self.points)} orbit(s) of S_(n,{self.start}), at depths {depths}"


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One hypothesis of a theorem, and what speaks for it.

    Parameters
    ----------
    name : str
        A short name, as ``T o T = T``.
    evidence : str
        ``PROVED``; ``CONDITIONAL``: the user declared it; ``WITNESSED``: it is violated, and the witness (or the
        reason) shows it; ``UNKNOWN``.
    reason : str
        Why, in words.
    bound : Bound, optional
        The number behind it, with its proof.
    witness : optional
        What shows the violation.
    assumes : frozenset of str
        The declared laws on which a conditional hypothesis rests.
    """

    name: str
    evidence: str
    reason: str
    bound: Bound | None = None
    witness: Any = None
    assumes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.evidence not in (PROVED, CONDITIONAL, WITNESSED, UNKNOWN):
            raise DomainError(f"hypothesis {self.name!r}: there is no evidence {self.evidence!r}")
        if (self.evidence == CONDITIONAL) != bool(self.assumes):
            raise DomainError(f"hypothesis {self.name!r}: what is declared is conditional and names its law")

    @property
    def holds(self) -> bool:
        """Whether a theorem may use it."""
        return self.evidence in (PROVED, CONDITIONAL)

    @property
    def violated(self) -> bool:
        """Whether it is known to fail."""
        return self.evidence == WITNESSED

    def __str__(self) -> str:
        return f"{self.name}  [{self.evidence}] {self.reason}"


def proved(name: str, reason: str, bound: Bound | None = None) -> Hypothesis:
    """A hypothesis with a proof; one whose bound rests on more than a proof (declared laws, a stated constant, chance)
    is conditional on that."""
    assumes = frozenset[str]() if bound is None else rests_on(bound)
    return Hypothesis(name, CONDITIONAL if assumes else PROVED, reason, bound, assumes=assumes)


def rests_on(bound: Bound) -> frozenset[str]:
    """What a bound assumes: declared laws by name; a stated constant or a random trial in words.

    >>> from lipop.operators.function import FunctionOperator
    >>> sorted(rests_on(FunctionOperator(1, 1, abs, lip=1.0, name="size").lip()))
    ['lip <= 1 (estimated)']
    """
    found = bound.evidence
    weak = not (found.proven and found.rounded) or bool(found.trials)
    return found.assumes | ({str(bound)} if weak else set())


def declared(name: str, law: str, reason: str) -> Hypothesis:
    """A hypothesis that the user stated; ``law`` is its name among the assumptions."""
    return Hypothesis(name, CONDITIONAL, reason, assumes=frozenset({law}))


def violated(name: str, reason: str, witness: Any = None, bound: Bound | None = None) -> Hypothesis:
    """A hypothesis that fails."""
    return Hypothesis(name, WITNESSED, reason, bound, witness)


def unknown(name: str, reason: str) -> Hypothesis:
    """A hypothesis that nothing decides."""
    return Hypothesis(name, UNKNOWN, reason)


__all__ = [
    "CONDITIONAL",
    "PROVED",
    "UNKNOWN",
    "WITNESSED",
    "Hypothesis",
    "Orbits",
    "declared",
    "proved",
    "rests_on",
    "unknown",
    "violated",
]
