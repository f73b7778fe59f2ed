"""What a theorem rests on and what it gives: Hypothesis (with its evidence), Rate, Conclusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, eq=False)
class Rate:
    """A bound of a distance for every depth, as a number with its proof and as a formula.

    Parameters
    ----------
    bounds : str
        What it bounds, in LaTeX.
    at : callable
        ``at(n, radius)`` gives the Bound; ``radius`` bounds ``|x|`` and is None where the bound is uniform on D.
    symbolic : callable
        Gives the SymPy expression in the depth n.
    uniform : bool
        Whether no radius is needed.
    lower : bool
        Whether it bounds from below (and rounds down).
    """

    bounds: str
    at: Callable[[int, float | None], Bound]
    symbolic: Callable[[], Any]
    uniform: bool = True
    lower: bool = False

    def bound(self, n: int, radius: float | None = None) -> Bound:
        """The bound at depth n, with its proof.

        Parameters
        ----------
        n : int
            The depth, at least the first index of the blocks.
        radius : float, optional
            A bound of ``|x|``; needed where D is not bounded and the rate is not uniform.

        Raises
        ------
        DomainError
            If n is no depth, or a radius is needed and missing, negative or not finite.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise DomainError(f"a depth is an int >= 0, found {n!r}")
        if radius is not None and not (math.isfinite(radius) and radius >= 0):
            raise DomainError(f"a radius is finite and not negative, found {radius!r}")
        if radius is None and not self.uniform:
            raise DomainError("this rate depends on the point: give radius=, a bound of |x|")
        return self.at(int(n), None if radius is None else float(radius))

    def __call__(self, n: int, radius: float | None = None) -> float:
        """The bound at depth n as a float, rounded outward."""
        return self.bound(n, radius).value

    @property
    def expr(self) -> Any:
        """The SymPy expression, a function of the symbol n."""
        return self.symbolic()

    def latex(self) -> str:
        """``what <= formula`` in LaTeX."""
        import sympy

        return f"{self.bounds} {self.relation} {sympy.latex(self.expr)}"

    @property
    def relation(self) -> str:
        """The sign between what is bounded and the bound, in LaTeX."""
        return "\\ge" if self.lower else "\\le"


class Rates(Mapping[str, Rate]):
    """Rates by name, some of which are looked for only when they are asked for.

    Parameters
    ----------
    ready : mapping of str to Rate
    later : mapping of str to callable
        Each gives a Rate, or None where there is none.

    Examples
    --------
    >>> rates = Rates({}, {"lip": lambda: None})
    >>> list(rates), "lip" in rates
    ([], False)
    """

    def __init__(self, ready: Mapping[str, Rate], later: Mapping[str, Callable[[], Rate | None]] | None = None) -> None:
        self._ready, self._later = dict(ready), dict(later or {})

    def __getitem__(self, name: str) -> Rate:
        if name in self._later:
            found = self._later.pop(name)()
            if found is not None:
                self._ready[name] = found
        return self._ready[name]

    def __iter__(self) -> Iterator[str]:
        for name in list(self._later):
            self.get(name)
        return iter(self._ready)

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(frozen=True, eq=False)
class Conclusion:
    """What a theorem says about one architecture.

    Parameters
    ----------
    theorem : str
        ``theorem 1`` and so on.
    hypotheses : tuple of Hypothesis
    statement : str
        What follows, in words, if all of them hold.
    exists : bool or None
        Whether ``S_{n,0} x`` converges for every x in D; None where the theorem does not say.
    tail_stable : bool or None
        The same for every m.
    limit : Operator or None
        A map Q with ``Q S_inf = S_inf`` for every limit.
    rates : mapping of str to Rate
        ``error`` bounds ``|S_inf x - S_n x|``; the others are named by the theorem.
    witness : optional
        What shows that a limit does not exist.
    """

    theorem: str
    hypotheses: tuple[Hypothesis, ...]
    statement: str
    exists: bool | None = None
    tail_stable: bool | None = None
    limit: Any = None
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    witness: Any = None

    @property
    def holds(self) -> bool:
        """Whether every hypothesis is proved or declared."""
        return all(h.holds for h in self.hypotheses)

    @property
    def missing(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that fail or that nothing decides."""
        return tuple(h for h in self.hypotheses if not h.holds)

    @property
    def assumptions(self) -> frozenset[str]:
        """The declared laws on which it rests."""
        return frozenset().union(*(h.assumes for h in self.hypotheses))

    @property
    def status(self) -> str:
        """``PROVED``, ``CONDITIONAL(...)``, ``VIOLATED`` (a hypothesis fails) or ``UNKNOWN``."""
        if any(h.violated for h in self.hypotheses):
            return "VIOLATED"
        if not self.holds:
            return UNKNOWN
        return f"CONDITIONAL({', '.join(sorted(self.assumptions))})" if self.assumptions else PROVED

    @property
    def rate(self) -> Rate | None:
        """The bound of ``|S_inf x - S_n x|``, where the theorem gives one."""
        return self.rates.get("error") if self.holds else None

    def explain(self, n: int | None = None, radius: float | None = None) -> str:
        """Theorem, hypotheses with their evidence, and (at a depth n) every rate with its proof."""
        lines = [f"{self.theorem} [{self.status}]: {self.statement}"]
        for h in self.hypotheses:
            lines.append(f"  {h}")
            if h.bound is not None:
                lines += ["    " + line for line in h.bound.explain().splitlines()]
        if n is not None and self.holds:
            for name, rate in self.rates.items():
                if rate.uniform or radius is not None:
                    lines.append(f"  {name} at n = {n}:")
                    lines += ["    " + line for line in rate.bound(n, radius).explain().splitlines()]
        return "\n".join(lines)

    def latex(self) -> str:
        """The rates as an ``align*`` environment."""
        rows = [rate.latex().replace(rate.relation, "&" + rate.relation, 1) for rate in self.rates.values()]
        return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"

    def __str__(self) -> str:
        return f"{self.theorem} [{self.status}]: {self.statement}"

    def require(self) -> Conclusion:
        """Itself, if every hypothesis holds.

        Raises
        ------
        DomainError
            Naming the hypotheses that do not.
        """
        if not self.holds:
            raise DomainError(f"{self.theorem} does not apply: " + "; ".join(map(str, self.missing)))
        return self


__all__ = [
    "CONDITIONAL",
    "PROVED",
    "UNKNOWN",
    "WITNESSED",
    "Conclusion",
    "Hypothesis",
    "Orbits",
    "Rate",
    "Rates",
    "declared",
    "proved",
    "rests_on",
    "unknown",
    "violated",
]
