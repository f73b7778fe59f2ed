"""Theorem 8: residual blocks whose branches sum never forget.

``T_i = I + F_i`` on the whole space, ``delta_i = Lip(F_i)``, ``beta_i = |F_i(x0)|``, ``sum (delta_i + beta_i) < inf``.
Then the family is tail-stable, ``prod (1 - delta_i)_+ <= expansion(S_{inf,m})`` and ``Lip(S_{inf,m}) <= prod (1 +
delta_i)``, products over i > m, and ``|S_inf x - S_n x| <= (P_n - 1) |S_n x - x0| + P_n sum_{i>n} beta_i``. If every
delta_i < 1, S_inf is a bi-Lipschitz homeomorphism: nothing collapses.
"""

from __future__ import annotations

from typing import Any

from lipop.core.algebra import Identity
from lipop.core.bound import Bound
from lipop.core.region import Everywhere
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.hypothesis import Hypothesis, proved, unknown
from lipop.limit.law_bounds import LawBounds
from lipop.limit.law_evidence import summable
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import depth_symbol, from_depth, infinite, law_bounds, symbol_tail

STATEMENT = (
    "tail-stable; Lip(S_(inf,m)) and expansion(S_(inf,m)) lie between the products of 1 -+ delta_i; S_(inf,m) -> I"
)


def theorem_8(
    arch: Architecture, branch_lip: Law | None = None, branch_at: Law | None = None, origin: str = "declared"
) -> Conclusion:
    """Apply theorem 8.

    Parameters
    ----------
    arch : Architecture
        Residual blocks ``x + F_i(x)`` on the whole space.
    branch_lip : Law
        ``delta_i >= Lip(F_i)``, for i >= its start.
    branch_at : Law
        ``beta_i >= |F_i(x0)|`` at one point x0, for i >= its start (the same start).
    origin : str
        ``declared``, or ``derived`` if both laws follow from how the blocks are built.

    Returns
    -------
    Conclusion
        Rates: ``posterior``, ``|S_inf x - S_n x|`` where the radius bounds ``|S_n x - x0|``; ``error``, where it bounds
        ``|S_m x - x0|``, m the last block before the laws; ``lip`` and ``expansion`` of ``S_{inf,n}`` (the second from
        below).

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.operators.linear import Affine
    >>> k = sympy.Symbol("k")
    >>> arch = Architecture.by_rule(lambda i: Affine((1 + 2.0**-i) * np.eye(1)))
    >>> c = theorem_8(arch, Law(2 ** (-k)), Law(0))
    >>> round(c.rates["lip"](0), 6), round(c.rates["expansion"](0), 6), round(c.rates["posterior"](3, 1.0), 6)
    (2.384231, 0.288788, 0.130302)
    """
    delta, beta = branch_lip, branch_at
    name = "a law for Lip(F_i) and for |F_i(x0)|"
    hypotheses = (infinite(arch), whole_space(arch))
    if delta is None or beta is None:
        return Conclusion("theorem 8", (*hypotheses, unknown(name, "both are needed")), STATEMENT)
    hypotheses = (
        *hypotheses,
        summable(delta, origin, "branch Lip"),
        summable(beta, origin, "branch offset"),
    )
    if not all(h.holds for h in hypotheses):
        return Conclusion("theorem 8", hypotheses, STATEMENT)
    limit = Identity(arch.space)
    rates = _rates(
        law_bounds(arch, delta, "branch Lip", origin, hypotheses),
        law_bounds(arch, beta, "branch offset", origin, hypotheses),
    )
    return Conclusion("theorem 8", hypotheses, STATEMENT, True, True, limit, rates)


def whole_space(arch: Architecture) -> Hypothesis:
    """D is the whole space."""
    name = "D is the whole space"
    if isinstance(arch.on, Everywhere):
        return proved(name, "it is")
    return unknown(name, f"D is {arch.on!r}: ask about the whole space, or use theorem 6 with R_i = I")


def _rates(delta: LawBounds, beta: LawBounds) -> dict[str, Rate]:
    first = max(delta.law.start, beta.law.start)

    def posterior(n: int, radius: float | None) -> Bound:
        from_depth(delta.law, n, first - 1)
        return conclude("limit.residual@1", "distance", (delta.above(n), beta.tail(n)), n=n, radius=radius)

    def error(n: int, radius: float | None) -> Bound:
        from_depth(delta.law, n, first - 1)
        begin = (delta.above(first - 1), beta.tail(first - 1))
        reached = conclude("limit.residual.reach@1", "distance", begin, n=first - 1, radius=radius)
        return conclude("limit.residual.error@1", "distance", (delta.above(n), beta.tail(n), reached), n=n)

    def lip(n: int, radius: float | None) -> Bound:
        from_depth(delta.law, n, first - 1)
        return conclude("limit.residual.lip@1", "lip", (delta.above(n),), n=n)

    def expansion(n: int, radius: float | None) -> Bound:
        from_depth(delta.law, n, first - 1)
        return conclude("limit.residual.expansion@1", "expansion", (delta.below(n),), "lower", n=n)

    def formula(reached: str) -> Any:
        import sympy

        product, r = symbol_product(delta.law, 1), sympy.Symbol(reached, nonnegative=True)
        return (product - 1) * r + product * symbol_tail(beta.law)

    below = Rate(r"\mathrm{expansion}(S_{\infty,n})", expansion, lambda: symbol_product(delta.law, -1), lower=True)
    return {
        "error": Rate(r"|S_\infty x - S_n x|", error, lambda: formula("r_m"), uniform=False),
        "posterior": Rate(r"|S_\infty x - S_n x|", posterior, lambda: formula("r_n"), uniform=False),
        "lip": Rate(r"\mathrm{Lip}(S_{\infty,n})", lip, lambda: symbol_product(delta.law, 1)),
        "expansion": below,
    }


def symbol_product(law: Law, sign: int) -> Any:
    """The product of ``1 + law`` or of ``max(1 - law, 0)`` over k > n, in SymPy."""
    import sympy

    n, k = depth_symbol(), sympy.Symbol("k", integer=True, positive=True)
    if law.expr is None:
        return sympy.Function("P" if sign > 0 else "p")(n)
    term = law.expr if law.index is None else law.expr.xreplace({law.index: k})
    factor = 1 + term if sign > 0 else sympy.Max(1 - term, 0)
    return sympy.Product(factor, (k, n + 1, sympy.oo))


__all__ = ["symbol_product", "theorem_8", "whole_space"]
