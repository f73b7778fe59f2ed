"""Theorem 1: blocks that come summably close to a projection have a limit, uniformly.

Let ``T o T = T``, ``L = Lip(T) < inf`` and ``sum eps_i < inf``. Then ``S_{n,m}`` converges uniformly on D for every m,
``T S_inf = S_inf``, and (a) ``|S_n - T S_n| <= (1+L) eps_n``, (b) ``|S_inf - T S_n| <= L tau_n``, (c) ``|S_inf - S_n|
<= (1+L) eps_n + L tau_n``, (d) ``Lip(S_inf) <= liminf Lip(S_n)``. All three are attained.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate, Rates
from lipop.limit.evidence import finite_lip, idempotent
from lipop.limit.exact import homogeneous
from lipop.limit.law_bounds import LawBounds
from lipop.limit.law_evidence import summable
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import (
    Given,
    depth_symbol,
    domain_kept,
    from_depth,
    given,
    grown,
    infinite,
    law_bounds,
    no_law,
    symbol_constant,
    symbol_tail,
    symbol_value,
    tail_rate,
)
from lipop.operators.projection import Projection

STATEMENT = "S_(n,m) converges uniformly on D for every m (on bounded sets, for a growth law), and T S_inf = S_inf"


def theorem_1(arch: Architecture, limit: Operator | None = None, deviation: Law | None = None) -> Conclusion:
    """Apply theorem 1.

    Parameters
    ----------
    arch : Architecture
    limit : Operator, optional
        The projection T; the architecture's limit map by default.
    deviation : Uniform or Growth, optional
        ``|T_i x - T x|`` for i >= its start; the architecture's law by default. A law given here is declared.

    Returns
    -------
    Conclusion
        Rates ``idempotency`` (a), ``projected`` (b), ``error`` (c), and, with a law for Lip(T_i), ``lip`` (d): at m, a
        bound of ``Lip(S_{inf,m})``. For a growth law the radius bounds ``|S_m x|``, m the last block before the law.

    Examples
    --------
    >>> import sympy
    >>> from lipop.limit.laws import Uniform
    >>> from lipop.operators.linear import Affine
    >>> k, P = sympy.Symbol("k"), Affine(np.diag([1.0, 0.0]))
    >>> arch = Architecture.by_rule(lambda i: Affine(P.A, [0.0, 1 / i**2]), limit=P, deviation=Uniform(1 / k**2))
    >>> c = theorem_1(arch)
    >>> c.status, c.rates["error"].expr, round(c.rate(10), 4)
    ('CONDITIONAL(deviation: Uniform(k**(-2)))', sqrt(Sum(k**(-2), (k, n + 1, oo))**2 + n**(-4)), 0.0957)
    """
    facts = given(arch, limit, deviation)
    if facts is None:
        return Conclusion("theorem 1", (infinite(arch), no_law("deviation")), STATEMENT)
    T, law = facts.limit, facts.law
    lipschitz = finite_lip(T, arch.on)
    hypotheses = (
        infinite(arch),
        domain_kept(arch),
        idempotent(T, arch.on),
        lipschitz,
        summable(law, facts.origin, "deviation"),
    )
    if not all(h.holds for h in hypotheses) or lipschitz.bound is None:
        return Conclusion("theorem 1", hypotheses, STATEMENT)
    return Conclusion(
        "theorem 1", hypotheses, STATEMENT, True, True, T, _rates(facts, lipschitz.bound, facts.bounds(hypotheses))
    )


def _rates(facts: Given, lip: Bound, bounds: LawBounds) -> Rates:
    law = facts.law
    L = symbol_constant(lip)

    def idempotency(n: int, radius: float | None) -> Bound:
        return conclude("limit.idempotency@1", "distance", (lip, bounds.value(n)), n=n)

    name, formula = _error(facts.limit, L, law)

    def error(n: int, radius: float | None) -> Bound:
        return conclude(name, "distance", (lip, bounds.value(n), bounds.tail(n)), n=n)

    rates = {
        "error": Rate(r"|S_\infty x - S_n x|", error, lambda: formula),
        "projected": tail_rate(r"|S_\infty x - T S_n x|", bounds, lip),
        "idempotency": Rate(r"|S_n x - T S_n x|", idempotency, lambda: (1 + L) * symbol_value(law)),
    }
    if facts.grows:
        rates = {key: grown(rate, lambda r: orbit_size(facts.limit, lip, bounds, r)) for key, rate in rates.items()}
    return Rates(rates, {"lip": lambda: lip_rate(facts.arch)})


def _error(T: Operator, L: Any, law: Law) -> tuple[str, Any]:
    """The rule for (c), and its formula: sharper for orthogonal projections and for nearest-point maps."""
    import sympy

    value, tail = symbol_value(law), symbol_tail(law)
    if orthogonal(T):
        return "limit.error.orthogonal@1", sympy.sqrt(value**2 + tail**2)
    if nearest_point(T):
        return "limit.error.nearest@1", value + L * tail
    return "limit.error@1", (1 + L) * value + L * tail


def orthogonal(T: Operator) -> bool:
    """Whether T is an orthogonal projection onto an affine subspace, in l2: stored exactly or by construction."""
    if T.domain.norm != "l2":
        return False
    if getattr(T, "orthogonal", False) is True:
        return True
    m = homogeneous(T)
    if m is None or m * m != m:
        return False
    n = m.nrows() - 1
    return all(m[i, j] == m[j, i] for i in range(n) for j in range(i))


def nearest_point(T: Operator) -> bool:
    """Whether ``|x - T x|`` is the distance of x from the range of T, by construction."""
    return isinstance(T, Projection)


def orbit_size(T: Operator, lip: Bound, bounds: LawBounds, radius: float) -> Bound:
    """A bound of ``1 + |S_{k,m} x|`` for every k >= m and ``|x| <= radius``, m the last block before the law."""
    n = bounds.law.start
    premises = (lip, bounds.value(n), bounds.factors(n, lip.value))
    return conclude("limit.size@1", "distance", premises, n=n, radius=radius, origin=value_at_zero(T))


def value_at_zero(T: Operator) -> float:
    """A bound of ``|T 0|``, rounded up (infinite without a rigorous forward pass)."""
    from lipop.core.rounding import inflate
    from lipop.core.space import norm

    zero = np.zeros([3 if n is None else n for n in T.domain.shape])
    forward = T.forward_bound(zero)
    if forward is None:
        return math.inf
    return float(inflate(norm(T(zero), T.codomain.norm) + forward.value, zero.size + 4))


def lip_rate(arch: Architecture) -> Rate | None:
    """(d): at m, the product of the blocks' constants above 1 behind block m; None if it is not finite."""
    import sympy

    law = arch.lip
    if law is None or law.expr is None:
        return None
    try:
        excess = Law(_excess(law), law.index, law.start)
    except DomainError:
        return None
    if excess.summable is not True:
        return None
    bounds = law_bounds(arch, excess, "lip", arch.origin("lip") or "declared")

    def at(n: int, radius: float | None) -> Bound:
        from_depth(law, n, law.start - 1)
        return conclude("limit.residual.lip@1", "lip", (bounds.above(n),), n=n)

    def symbolic() -> Any:
        i = sympy.Symbol("i", integer=True, positive=True)
        term = law.expr if law.index is None else law.expr.xreplace({law.index: i})
        return sympy.Product(sympy.Max(term, 1), (i, depth_symbol() + 1, sympy.oo))

    return Rate(r"\mathrm{Lip}(S_{\infty,n})", at, symbolic)


def _excess(law: Law) -> Any:
    """``max(a(i) - 1, 0)``, without the maximum where the sign is known for every i."""
    import sympy

    gap = sympy.together(law.expr - 1)
    if law.index is not None:
        n = sympy.Symbol("n", integer=True, positive=True)
        gap_from = gap.xreplace({law.index: n + law.start - 1})
        if gap_from.is_nonnegative:
            return gap
        if gap_from.is_nonpositive:
            return sympy.Integer(0)
    return sympy.Max(gap, 0)


__all__ = ["lip_rate", "nearest_point", "orbit_size", "orthogonal", "theorem_1", "value_at_zero"]
