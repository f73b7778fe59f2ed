"""What a theorem gives: rates, each a bound with its proof and a formula, and conclusions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.bound import Bound
from lipop.errors import DomainError
from lipop.limit.hypothesis import PROVED, UNKNOWN, Hypothesis


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


__all__ = ["Conclusion", "Rate", "Rates"]
