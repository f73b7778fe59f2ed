"""Numbers that a law gives, as leaves of proofs: values, tails, products and discounted sums of a sequence.

A sequence is a law (a function of the layer index) that is either derived from the blocks, which makes a leaf PROVED,
or declared by the user for infinitely many layers, which makes it CONDITIONAL on that law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound, Claim, Witness
from lipop.core.digest import digest
from lipop.core.region import Everywhere, Region
from lipop.core.rounding import float_down, float_up, workprec
from lipop.core.rule import leaf, leaf_rule
from lipop.errors import ProofError
from lipop.limit.laws import Law

HORIZON = 256
"""Factors of an infinite product that are multiplied out before the rest is bounded by its sum."""


def _pair(name: str, quantity: str, side: str, reference: str, params: Mapping[str, type]) -> tuple[str, str]:
    """The leaf rule for derived laws and its twin for declared ones."""
    derived = leaf_rule(f"{name}@1", reference=reference, grid=44, quantity=quantity, side=side, params=params)
    stated = leaf_rule(
        f"{name}.declared@1",
        reference=reference + ", for a law that the user declares",
        grid=44,
        quantity=quantity,
        side=side,
        strength="declared",
        params={**params, "assumes": list},
    )
    return derived, stated


DEPTH: dict[str, type] = {"n": int}
VALUE = _pair("law.value", "distance", UPPER, "the law at n, in ball arithmetic", DEPTH)
TAIL = _pair(
    "law.tail", "distance", UPPER, "the sum of the law over k > n: first terms, then a bound of the rest", DEPTH
)
DISCOUNTED = _pair(
    "law.discounted",
    "distance",
    UPPER,
    "sum over k <= n of q^(n-k) times the law at k, in ball arithmetic",
    {**DEPTH, "q": float, "first": int},
)
SUM = _pair(
    "law.sum", "distance", LOWER, "the sum of the law over m < k <= n, in ball arithmetic", {**DEPTH, "first": int}
)
ABOVE = _pair(
    "law.product",
    "lip",
    UPPER,
    "the product of 1 + law over k > n, less 1: first factors, then exp of the tail",
    DEPTH,
)
BELOW = _pair(
    "law.shrink",
    "expansion",
    LOWER,
    "the product of max(1 - law, 0) over k > n: first factors, then 1 - tail (Weierstrass)",
    DEPTH,
)
PARTIAL = _pair(
    "law.partial", "lip", UPPER, "the product of 1 + law over m < k <= n, in ball arithmetic", {**DEPTH, "first": int}
)
REMAIN = _pair(
    "law.remain",
    "expansion",
    LOWER,
    "the product of max(1 - law, 0) over m < k <= n, in ball arithmetic",
    {**DEPTH, "first": int},
)
FACTORS = _pair(
    "law.factors",
    "lip",
    UPPER,
    "the product over k >= n of 1 + law(k+1) + (1+L) law(k): first factors, then exp of the tails",
    {**DEPTH, "lip": float},
)


def assumption(law: Law, name: str) -> str:
    """The name of a declared law among the assumptions.

    >>> assumption(Law(0.5), "deviation")
    'deviation: Law(1/2)'
    """
    return f"{name}: {law!r}"


@dataclass(frozen=True, eq=False)
class LawBounds:
    """A law with what a claim about it needs.

    Parameters
    ----------
    law : Law
    name : str
        What the law is about, as ``deviation``.
    assumes : tuple of str
        The names of the hypotheses that the user declares: the law itself, an invariant domain. None: it is proved.
    region : Region
        The domain D.
    norm : str
    """

    law: Law
    name: str
    assumes: tuple[str, ...] = ()
    region: Region = field(default_factory=Everywhere)
    norm: str = "l2"

    @property
    def digest(self) -> str:
        """sha256 of the law and of what it is about."""
        return digest("lipop", "law", self.name, self.law.digest)

    def _leaf(self, rules: tuple[str, str], quantity: str, side: str, raw: float, **params: Any) -> Bound:
        claim = Claim(quantity, side, self.digest, self.region, self.norm, self.norm)
        if self.assumes:
            params["assumes"] = list(self.assumes)
        return leaf(rules[bool(self.assumes)], claim, raw, self, **params)

    def value(self, n: int) -> Bound:
        """The law at n, from above."""
        return self._leaf(VALUE, "distance", UPPER, self.law.at(n), n=n)

    def tail(self, n: int) -> Bound:
        """The sum over k > n, from above (infinite where it diverges or is unknown)."""
        return self._leaf(TAIL, "distance", UPPER, self.law.tail(n), n=n)

    def discounted(self, n: int, q: float, first: int) -> Bound:
        """The sum over ``first <= k <= n`` of ``q^(n-k) law(k)``, from above."""
        return self._leaf(DISCOUNTED, "distance", UPPER, self._discounted(n, q, first), n=n, q=q, first=first)

    def total(self, n: int, first: int) -> Bound:
        """The sum over ``first <= k <= n``, from below."""
        return self._leaf(SUM, "distance", LOWER, self._total(n, first), n=n, first=first)

    def above(self, n: int) -> Bound:
        """The product of ``1 + law(k)`` over k > n, less 1 (which keeps digits where it is small), from above."""
        return self._leaf(ABOVE, "lip", UPPER, self._above(n), n=n)

    def partial(self, n: int, first: int) -> Bound:
        """The product of ``1 + law(k)`` over ``first <= k <= n``, from above."""
        return self._leaf(PARTIAL, "lip", UPPER, self._partial(n, first), n=n, first=first)

    def remain(self, n: int, first: int) -> Bound:
        """The product of ``max(1 - law(k), 0)`` over ``first <= k <= n``, from below."""
        return self._leaf(REMAIN, "expansion", LOWER, self._remain(n, first), n=n, first=first)

    def below(self, n: int) -> Bound:
        """The product of ``max(1 - law(k), 0)`` over k > n, from below."""
        return self._leaf(BELOW, "expansion", LOWER, self._below(n), n=n)

    def factors(self, n: int, lip: float) -> Bound:
        """The product of ``1 + law(k+1) + (1+L) law(k)`` over k >= n, from above."""
        return self._leaf(FACTORS, "lip", UPPER, self._factors(n, lip), n=n, lip=lip)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Evaluate the law again."""
        n = int(params["n"])
        redo: dict[str, Callable[[], float]] = {
            VALUE[0]: lambda: self.law.at(n),
            TAIL[0]: lambda: self.law.tail(n),
            DISCOUNTED[0]: lambda: self._discounted(n, float(params["q"]), int(params["first"])),
            SUM[0]: lambda: self._total(n, int(params["first"])),
            PARTIAL[0]: lambda: self._partial(n, int(params["first"])),
            REMAIN[0]: lambda: self._remain(n, int(params["first"])),
            ABOVE[0]: lambda: self._above(n),
            BELOW[0]: lambda: self._below(n),
            FACTORS[0]: lambda: self._factors(n, float(params["lip"])),
        }
        known = redo.get(rule.replace(".declared@", "@"))
        if known is None or rule.endswith(".declared@1") != bool(self.assumes):
            raise ProofError(f"the law {self.name!r} cannot redo rule {rule}")
        return known()

    # ---- the values ----

    def _discounted(self, n: int, q: float, first: int) -> float:
        import flint

        with workprec():
            out, ratio = flint.arb(0), flint.arb(q)
            for k in range(first, n + 1):
                out = out * ratio + self.law.exact(k)
            return float_up(out)

    def _total(self, n: int, first: int) -> float:
        import flint

        with workprec():
            return float_down(sum((self.law.exact(k) for k in range(first, n + 1)), flint.arb(0)))

    def _partial(self, n: int, first: int) -> float:
        import flint

        with workprec():
            out = flint.arb(1)
            for k in range(first, n + 1):
                out *= 1 + self.law.exact(k)
            return float_up(out)

    def _remain(self, n: int, first: int) -> float:
        import flint

        with workprec():
            out = flint.arb(1)
            for k in range(first, n + 1):
                factor = 1 - self.law.exact(k)
                if not factor > 0:
                    return 0.0
                out *= factor
            return max(0.0, float_down(out))

    def _above(self, n: int) -> float:
        import flint

        rest = self.law.tail(n + HORIZON)
        if not math.isfinite(rest):
            return math.inf
        with workprec():
            out = flint.arb(rest).exp()
            for k in range(n + 1, n + HORIZON + 1):
                out *= 1 + self.law.exact(k)
            return float_up(out - 1)

    def _below(self, n: int) -> float:
        import flint

        rest = self.law.tail(n + HORIZON)
        if not rest < 1:
            return 0.0
        with workprec():
            out = 1 - flint.arb(rest)
            for k in range(n + 1, n + HORIZON + 1):
                factor = 1 - self.law.exact(k)
                if not factor > 0:
                    return 0.0
                out *= factor
            return max(0.0, float_down(out))

    def _factors(self, n: int, lip: float) -> float:
        import flint

        end = n + HORIZON
        last, before = self.law.tail(end), self.law.tail(end - 1)
        if not math.isfinite(before) or not math.isfinite(lip):
            return math.inf
        with workprec():
            L = flint.arb(lip)
            out = (flint.arb(last) + (1 + L) * flint.arb(before)).exp()
            value = self.law.exact(n)
            for k in range(n, end):
                after = self.law.exact(k + 1)
                out *= 1 + after + (1 + L) * value
                value = after
            return float_up(out)


__all__ = ["LawBounds", "assumption"]
