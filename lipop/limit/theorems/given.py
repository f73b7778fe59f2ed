"""What the theorems are given: an architecture, a limit map, a law; and the hypotheses that several of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Rate
from lipop.limit.domains import size_of
from lipop.limit.hypothesis import Hypothesis, declared, proved, violated
from lipop.limit.law_bounds import LawBounds, assumption
from lipop.limit.laws import Growth, Law, Uniform
from lipop.limit.rates import conclude
from lipop.limit.sequence import as_expression
from lipop.limit.structure import Cycle


@dataclass(frozen=True, eq=False)
class Given:
    """The limit map T and the deviation law of an architecture, with what claims about them need.

    Parameters
    ----------
    arch : Architecture
    limit : Operator
    law : Law
        On a bounded D a growth law is turned into a uniform one.
    origin : str
        ``derived`` or ``declared``.
    """

    arch: Architecture
    limit: Operator
    law: Law
    origin: str

    @property
    def on(self) -> Region:
        """The domain D."""
        return self.arch.on

    @property
    def grows(self) -> bool:
        """Whether the deviations are bounded relative to ``1 + |x|`` only."""
        return isinstance(self.law, Growth)

    def bounds(self, hypotheses: tuple[Hypothesis, ...]) -> LawBounds:
        """The law's numbers as leaves of proofs, for a theorem with these hypotheses."""
        return law_bounds(self.arch, self.law, "deviation", self.origin, hypotheses)


def law_bounds(
    arch: Architecture, law: Law, name: str, origin: str, hypotheses: tuple[Hypothesis, ...] = ()
) -> LawBounds:
    """A law of the architecture, on its domain and in its norm, with all that the user declares: the law, the invariant
    domain, and what the hypotheses of the theorem assume."""
    stated = set() if origin == "derived" else {assumption(law, name)}
    stated |= domain_kept(arch).assumes | frozenset().union(*(h.assumes for h in hypotheses))
    return LawBounds(law, name, tuple(sorted(stated)), arch.on, arch.space.norm)


def given(arch: Architecture, limit: Operator | None = None, deviation: Law | None = None) -> Given | None:
    """The limit map and the deviation law: the arguments where they are given, else the architecture's own.

    Returns
    -------
    Given or None
        None if there is no law, or no map that it compares with.

    Raises
    ------
    DomainError
        If a limit map is given without a law although the architecture's law compares with another map.
    """
    if limit is not None or deviation is not None:
        return _given(arch, limit, deviation)
    kept = arch.__dict__.get("_given")
    if kept is None:
        kept = (_given(arch, None, None),)
        object.__setattr__(arch, "_given", kept)  # laws are decided once for all theorems
    return kept[0]


def _given(arch: Architecture, limit: Operator | None, deviation: Law | None) -> Given | None:
    law, origin = deviation, "declared"
    if law is None or law is arch.deviation:
        law, origin = arch.deviation, arch.origin("deviation") or "declared"
        if limit is not None and arch.limit is not None and limit != arch.limit:
            raise DomainError("the architecture's deviation law compares with another map: give deviation= with limit=")
    limit = arch.limit if limit is None else limit
    if law is None and isinstance(arch.rule, Cycle) and len(arch.rule.cycle) == 1:  # behind a head
        block = arch.rule.cycle[0]
        if limit in (None, block):
            limit, law, origin = block, Uniform(0, start=len(arch.rule.head) + 1), "derived"
    if law is None or limit is None:
        return None
    if isinstance(law, Growth) and law.values is None:
        size = size_of(arch.on, arch.space.norm)
        if size < float("inf"):
            law = Uniform(law.expr * (1 + as_expression(size, "the size of D")), law.index, law.start)
    return Given(arch, limit, law, origin)


def infinite(arch: Architecture) -> Hypothesis:
    """There are infinitely many blocks."""
    name = "infinitely many blocks"
    if arch.length is not None:
        return violated(name, f"there are {arch.length}: a finite stack has a last value, and no limit to speak of")
    return proved(name, "by rule")


def domain_kept(arch: Architecture) -> Hypothesis:
    """Every block maps D into D."""
    name = "T_i maps D into D"
    if isinstance(arch.on, Everywhere):
        return proved(name, "D is the whole space")
    kept = getattr(arch, "keeps_domain", None)
    if isinstance(kept, Hypothesis):
        return kept
    return declared(name, f"domain: {arch.on!r}", "D is stated to be invariant")


def no_law(what: str) -> Hypothesis:
    """The hypothesis that fails where no law is given."""
    from lipop.limit.hypothesis import unknown

    return unknown(f"a {what} law", f"no {what} law is given, and none is derived")


# ---- rates ---------------------------------------------------------------------------------------------------------


def depth_symbol() -> Any:
    """The SymPy symbol of the depth in every rate."""
    import sympy

    return sympy.Symbol("n", integer=True, nonnegative=True)


def symbol_value(law: Law) -> Any:
    """The law at depth n, in SymPy."""
    import sympy

    n = depth_symbol()
    if law.expr is None:
        return sympy.Function("epsilon")(n)
    return law.expr if law.index is None else law.expr.xreplace({law.index: n})


def symbol_tail(law: Law) -> Any:
    """The sum of the law over k > n, in SymPy."""
    import sympy

    n, k = depth_symbol(), sympy.Symbol("k", integer=True, positive=True)
    if law.expr is None:
        return sympy.Function("tau")(n)
    if law.expr == 0:
        return sympy.Integer(0)
    term = law.expr if law.index is None else law.expr.xreplace({law.index: k})
    return sympy.Sum(term, (k, n + 1, sympy.oo))


def symbol_constant(bound: Bound) -> Any:
    """A constant of a rate as SymPy shows it: an integer where it is one."""
    import sympy

    value = bound.value
    return sympy.Integer(int(value)) if float(value).is_integer() else sympy.Float(value, 12)


def from_depth(law: Law, n: int, first: int) -> None:
    """Refuse a depth about which the law says nothing.

    Raises
    ------
    DomainError
        If n is below ``first``.
    """
    if n < first:
        raise DomainError(f"{law!r} gives bounds from depth {first} on, found n = {n}")


def tail_rate(what: str, law: LawBounds, constant: Bound | None = None) -> Rate:
    """``tau_n``, or a constant times ``tau_n``."""

    def at(n: int, radius: float | None) -> Bound:
        from_depth(law.law, n, law.law.start - 1)
        if constant is None:
            return conclude("limit.tail@1", "distance", (law.tail(n),), n=n)
        return conclude("limit.projected@1", "distance", (constant, law.tail(n)), n=n)

    def symbolic() -> Any:
        return symbol_tail(law.law) * (1 if constant is None else symbol_constant(constant))

    return Rate(what, at, symbolic)


def grown(rate: Rate, size: Callable[[float], Bound], symbol: str = "M") -> Rate:
    """The growth form of a rate: multiplied by a bound of ``1 + |S_k x|``, which a radius gives."""

    def at(n: int, radius: float | None) -> Bound:
        assert radius is not None  # Rate asks for it where it is not uniform
        return conclude("limit.scaled@1", "distance", (rate.at(n, None), size(radius)))

    def symbolic() -> Any:
        import sympy

        return sympy.Symbol(symbol, positive=True) * rate.symbolic()

    return Rate(rate.bounds, at, symbolic, uniform=False)


__all__ = [
    "Given",
    "depth_symbol",
    "domain_kept",
    "from_depth",
    "given",
    "grown",
    "infinite",
    "law_bounds",
    "no_law",
    "symbol_constant",
    "symbol_tail",
    "symbol_value",
    "tail_rate",
]
