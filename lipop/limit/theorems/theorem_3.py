"""Theorem 3: near a contraction the deviations need not sum, only vanish; the limit is a constant map.

Let ``Lip(T) = q < 1``, ``T x* = x*`` and ``eps_i -> 0``. Then ``|S_n x - x*| <= q^n |x - x*| + sum_{k<=n} q^(n-k)
eps_k``, which tends to 0. Attained by ``T_i x = q x + eps_i`` on x >= 0.
"""

from __future__ import annotations

import math
from typing import Any

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.core.region import Everywhere
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.domains import size_of
from lipop.limit.evidence import contraction
from lipop.limit.law_bounds import LawBounds
from lipop.limit.law_evidence import vanishing
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import (
    Given,
    depth_symbol,
    domain_kept,
    given,
    infinite,
    no_law,
    symbol_constant,
)
from lipop.limit.theorems.theorem_1 import value_at_zero

STATEMENT = "S_(n,m) x converges to the fixed point x* of T, for every m and x: the limit is constant"


def theorem_3(arch: Architecture, limit: Operator | None = None, deviation: Law | None = None) -> Conclusion:
    """Apply theorem 3.

    Parameters
    ----------
    arch : Architecture
    limit : Operator, optional
        The contraction T; the architecture's limit map by default.
    deviation : Uniform or Growth, optional
        The architecture's law by default. Under a growth law the limit exists too (from the block on at which ``q +
        eps_i < 1``); no rate is given then.

    Returns
    -------
    Conclusion
        Rate ``error``: ``|S_n x - x*|``; the radius bounds ``|S_m x|``, m the last block before the law, and is not
        needed where D is bounded.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.limit.laws import Uniform
    >>> from lipop.operators.linear import Affine
    >>> k = sympy.Symbol("k")
    >>> T = Affine(np.array([[0.5]]))
    >>> arch = Architecture.by_rule(lambda i: Affine(T.A, [1 / i]), limit=T, deviation=Uniform(1 / k))
    >>> round(theorem_3(arch).rate(20, radius=1.0), 4)
    0.106
    """
    facts = given(arch, limit, deviation)
    if facts is None:
        return Conclusion("theorem 3", (infinite(arch), no_law("deviation")), STATEMENT)
    T, law = facts.limit, facts.law
    shrinks = contraction(T, arch.on)
    hypotheses = (infinite(arch), domain_kept(arch), shrinks, vanishing(law, facts.origin, "deviation"))
    if not all(h.holds for h in hypotheses) or shrinks.bound is None:
        return Conclusion("theorem 3", hypotheses, STATEMENT)
    rates = {} if facts.grows else {"error": _error(facts, shrinks.bound, facts.bounds(hypotheses))}
    return Conclusion("theorem 3", hypotheses, STATEMENT, True, True, None, rates)


def _error(facts: Given, lip: Bound, bounds: LawBounds) -> Rate:
    law = facts.law
    size = size_of(facts.on, facts.arch.space.norm)
    bounded = math.isfinite(size)

    def at(n: int, radius: float | None) -> Bound:
        first = law.start
        if n < first - 1:
            raise DomainError(f"{law!r} gives bounds from depth {first - 1} on, found n = {n}")
        reach = attractor(facts.limit, lip, facts.on, size)
        distance = min(2 * size, (size if radius is None else radius) + reach)
        premises = (lip, bounds.discounted(n, lip.value, first))
        return conclude("limit.contraction@1", "distance", premises, n=n, first=first, radius=distance)

    return Rate(r"|S_n x - x^*|", at, lambda: _symbolic(law, lip), uniform=bounded)


def attractor(T: Operator, lip: Bound, on: Any, size: float) -> float:
    """A bound of ``|x*|``: ``|T 0| / (1 - q)`` on the whole space, the size of D elsewhere."""
    if not isinstance(on, Everywhere):
        return size
    import flint

    from lipop.core.rounding import float_up, workprec

    at_zero = value_at_zero(T)
    if not math.isfinite(at_zero):
        return math.inf
    with workprec():
        return float_up(flint.arb(at_zero) / (1 - flint.arb(lip.value)))


def _symbolic(law: Law, lip: Bound) -> Any:
    import sympy

    n, k, r = depth_symbol(), sympy.Symbol("k", integer=True, positive=True), sympy.Symbol("r", nonnegative=True)
    q = symbol_constant(lip)
    if law.expr is None:
        term = sympy.Function("epsilon")(k)
    else:
        term = law.expr if law.index is None else law.expr.xreplace({law.index: k})
    return q ** (n + 1 - law.start) * r + sympy.Sum(q ** (n - k) * term, (k, law.start, n))


__all__ = ["attractor", "theorem_3"]
