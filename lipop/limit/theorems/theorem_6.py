"""Theorem 6: a family inherits tail-stability from a reference family that it comes summably close to.

Let ``R_i : D -> D`` have ``Lip(R_{n,m}) <= C`` for all n >= m, and ``sum eps_i < inf``, ``eps_i = d(T_i, R_i)``. Then
``(T_i)`` is tail-stable iff ``(R_i)`` is, and then ``|S_inf - R_{inf,n} S_n| <= C tau_n``. The T_i need not be
continuous. Theorem 2 is the case ``R_i = T``.
"""

from __future__ import annotations

from typing import Any

from lipop.core.bound import Bound
from lipop.errors import ShapeError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.evidence import lip_upper
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown
from lipop.limit.law_bounds import LawBounds
from lipop.limit.law_evidence import summable
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import (
    depth_symbol,
    domain_kept,
    from_depth,
    infinite,
    law_bounds,
    symbol_tail,
    tail_rate,
)
from lipop.limit.theorems.theorem_1 import lip_rate
from lipop.limit.theorems.theorem_2 import uniform

STATEMENT = "tail-stable if and only if the reference family is; then |S_inf x - R_(inf,n) S_n x| <= C tau_n"


def theorem_6(
    arch: Architecture, reference: Architecture, deviation: Law | None = None, origin: str = "declared"
) -> Conclusion:
    """Apply theorem 6.

    Parameters
    ----------
    arch : Architecture
    reference : Architecture
        The family ``(R_i)`` on the same domain: with a law for Lip(R_i) whose product is finite, or a non-expansive map
        over and over.
    deviation : Uniform
        ``d(T_i, R_i)`` for i >= its start.
    origin : str
        ``declared``, or ``derived`` if the law follows from how the two families are built.

    Returns
    -------
    Conclusion
        Rate ``projected``: ``|S_inf x - R_{inf,n} S_n x|``.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.limit.laws import Uniform
    >>> from lipop.operators.linear import Affine
    >>> k, swap = sympy.Symbol("k"), Affine(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> arch = Architecture.by_rule(lambda i: Affine(swap.A, np.ones(2) / i**2))
    >>> theorem_6(arch, Architecture.tied(swap), Uniform(2 / k**2)).tail_stable
    False
    """
    from lipop.limit.verdicts import verdict

    if not reference.space.meets(arch.space) or reference.space.norm != arch.space.norm:
        raise ShapeError(f"the reference family is on {reference.space}, the architecture on {arch.space}")
    law = deviation
    if reference.on.digest != arch.on.digest:
        same = unknown("both families live on one D", f"D is {arch.on!r}, the reference's is {reference.on!r}")
        return Conclusion("theorem 6", (same,), STATEMENT)
    constant, stable = powers_bounded(reference), verdict(reference)
    hypotheses = (infinite(arch), domain_kept(arch), constant[0])
    if law is None:
        return Conclusion("theorem 6", (*hypotheses, unknown("a deviation law", "none is given")), STATEMENT)
    hypotheses = (*hypotheses, uniform(law), summable(law, origin, "deviation"))
    if stable.tail_stable is False:
        return Conclusion(
            "theorem 6",
            (*hypotheses, settled("the reference family is not tail-stable", stable.reason, stable.assumptions)),
            f"not tail-stable, because the reference family is not: {stable.reason}",
            tail_stable=False,
        )
    if stable.tail_stable is None:
        missing = unknown("the reference family is tail-stable, or is not", stable.reason)
        return Conclusion("theorem 6", (*hypotheses, missing), STATEMENT)
    hypotheses = (*hypotheses, settled("the reference family is tail-stable", stable.reason, stable.assumptions))
    if constant[1] is None or not all(h.holds for h in hypotheses):
        return Conclusion("theorem 6", hypotheses, STATEMENT)
    rate = _projected(reference, law_bounds(arch, law, "deviation", origin, hypotheses))
    return Conclusion("theorem 6", hypotheses, STATEMENT, True, True, None, {"projected": rate})


def _projected(reference: Architecture, law: LawBounds) -> Rate:
    """``C_n tau_n``, C_n the product of the reference constants above 1 behind block n + 1; ``tau_n`` for C = 1."""
    what = r"|S_\infty x - R_{\infty,n} S_n x|"
    products = lip_rate(reference)
    if products is None:
        return tail_rate(what, law)

    def at(n: int, radius: float | None) -> Bound:
        from_depth(law.law, n, law.law.start - 1)
        return conclude("limit.reference@1", "distance", (products.bound(n + 1), law.tail(n)), n=n)

    def symbolic() -> Any:
        n = depth_symbol()
        return products.expr.subs(n, n + 1) * symbol_tail(law.law)

    return Rate(what, at, symbolic)


def settled(name: str, reason: str, assumptions: frozenset[str]) -> Hypothesis:
    """A hypothesis that a verdict settled, conditional on what the verdict assumes."""
    if not assumptions:
        return proved(name, reason)
    first, *rest = sorted(assumptions)
    out = declared(name, first, reason)
    return Hypothesis(name, out.evidence, reason, assumes=frozenset((first, *rest)))


def powers_bounded(reference: Architecture) -> tuple[Hypothesis, Bound | None]:
    """``Lip(R_{n,m}) <= C`` for all n >= m, and C as a bound."""
    name = "Lip(R_(n,m)) <= C for all n >= m"
    if reference.limit is not None and reference.deviation is not None and reference.deviation.expr == 0:
        bound = lip_upper(reference.limit, reference.on)
        if reference.origin("deviation") == "derived" and bound.value <= 1:
            return proved(name, "C = 1: one non-expansive map over and over", bound), bound
    rate = lip_rate(reference)
    if rate is None or reference.lip is None:
        return unknown(name, "no law for Lip(R_i) with a finite product is given"), None
    bound = rate.bound(reference.lip.start - 1)
    return proved(name, f"C = {bound.value:.6g}, the product of the constants above 1", bound), bound


__all__ = ["powers_bounded", "settled", "theorem_6"]
