"""Theorem 9: residual steps that do not sum lead to a real projection.

(a) X finite-dimensional (any norm), D closed convex, ``N : D -> D`` non-expansive, Fix N not empty, ``0 <= h_i <= h <
1``, ``sum d(T_i, (1 - h_i) I + h_i N) < inf``. If ``sum h_i = inf`` the family is tail-stable, every limit lies in Fix
N and every ``R_{inf,n}`` is a non-expansive retraction onto Fix N. If ``sum h_i < inf`` (and h < 1/2) the family is
tail-stable too, but each ``R_{inf,n}`` is injective: *sum h_i decides*, although the blocks converge to the identity in
both cases.

Part (b), for the flow of a dissipative field, stands in :mod:`lipop.limit.theorems.theorem_9_flow`.
"""

from __future__ import annotations

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.evidence import fixed_points_exist, nonexpansive
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown, violated
from lipop.limit.invariance import maps_into
from lipop.limit.law_evidence import limit_of, stated, summable
from lipop.limit.laws import Law, Uniform
from lipop.limit.products import eventual_sign
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import (
    depth_symbol,
    domain_kept,
    from_depth,
    infinite,
    law_bounds,
    symbol_constant,
    tail_rate,
)
from lipop.limit.theorems.theorem_2 import uniform

RETRACTION = "tail-stable; S_inf x lies in Fix N, and R_(inf,n) is a non-expansive retraction onto Fix N"
INJECTIVE = "tail-stable; but each R_(inf,n) is injective: a retraction onto Fix N only if Fix N = D"
UNDECIDED = "the sum of h_i decides between a retraction onto Fix N and an injective limit"


def theorem_9(
    arch: Architecture,
    map: Operator,
    steps: Law,
    deviation: Law | None = None,
    steps_origin: str = "declared",
    origin: str = "declared",
) -> Conclusion:
    """Apply theorem 9 (a).

    Parameters
    ----------
    arch : Architecture
        On a convex D.
    map : Operator
        N.
    steps : Law
        ``h_i`` itself, for i >= its start.
    deviation : Uniform, optional
        ``d(T_i, (1 - h_i) I + h_i N)``; 0 by default, which declares that the blocks are exactly these.
    steps_origin, origin : str
        ``derived`` where the steps, or the deviations, follow from how the blocks are built.

    Returns
    -------
    Conclusion
        Rates: ``projected``, ``|S_inf x - R_{inf,n} S_n x|``; for deviation 0 in l2 ``fixed``, ``|N x_n - x_n|``, and
        for ``Lip N < 1`` ``error``, ``|S_n x - p|``, in both of which the radius bounds ``|S_m x - p|``, p the fixed
        point and m the last block before the law.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.core.algebra import relax
    >>> from lipop.operators.linear import Linear
    >>> k, N = sympy.Symbol("k"), Linear(np.array([[0.0, -1.0], [1.0, 0.0]]))
    >>> for h, step in ((1 / (2 * k), lambda i: 1 / (2 * i)), (1 / (3 * k**2), lambda i: 1 / (3 * i**2))):
    ...     arch = Architecture.by_rule(lambda i: relax(N, step(i)))
    ...     print(theorem_9(arch, N, Law(h)).statement)
    tail-stable; S_inf x lies in Fix N, and R_(inf,n) is a non-expansive retraction onto Fix N
    tail-stable; but each R_(inf,n) is injective: a retraction onto Fix N only if Fix N = D
    """
    law = Uniform(0, start=steps.start) if deviation is None else deviation
    lipschitz = nonexpansive(map, arch.on, "Lip N <= 1")
    common = (
        infinite(arch),
        domain_kept(arch),
        keeps(map, arch.on, "N maps D into D"),
        convex(arch.on),
        lipschitz,
        fixed_points_exist(map, arch.on),
        uniform(law),
        summable(law, origin, "deviation"),
    )
    summed = steps.summable
    top = 0.5 if summed else 1.0
    sized = steps_below(steps, top, steps_origin)
    if summed is None:
        missing = unknown("the sum of h_i is known to be finite or infinite", str(steps.reason))
        return Conclusion("theorem 9", (*common, sized, missing), UNDECIDED)
    name = "the sum of h_i is finite" if summed else "the sum of h_i is infinite"
    hypotheses = (*common, sized, stated(name, steps_origin, "step", steps, str(steps.reason)))
    statement = INJECTIVE if summed else RETRACTION
    if not all(h.holds for h in hypotheses) or lipschitz.bound is None:
        return Conclusion("theorem 9", hypotheses, statement)
    rates = {
        "projected": tail_rate(
            r"|S_\infty x - R_{\infty,n} S_n x|", law_bounds(arch, law, "deviation", origin, hypotheses)
        )
    }
    if law.expr == 0 and not summed:
        rates |= _exact_steps(arch, steps, steps_origin, lipschitz.bound, hypotheses)
    return Conclusion("theorem 9", hypotheses, statement, True, True, None, rates)


def keeps(op: Operator, on: Region, name: str) -> Hypothesis:
    """One map sends D into D: proved by its image, else declared."""
    if maps_into(op, on):
        return proved(name, "the image of D lies in D")
    return declared(name, f"domain: {name}, D = {on!r}", "stated")


def convex(on: Region) -> Hypothesis:
    """D is convex."""
    name = "D is convex"
    return proved(name, repr(on)) if on.convex else unknown(name, f"{on!r} is not known to be")


def steps_below(steps: Law, top: float, origin: str) -> Hypothesis:
    """``0 <= h_i <= h < top`` for every i >= start: the limit is below, and the finitely many values that may not be
    are evaluated."""
    name = f"h_i <= h < {top:g}"
    if steps.values is not None:
        good = max(steps.values) < top
        return stated(name, origin, "step", steps, "by layers") if good else violated(name, f"{max(steps.values)}")
    limit = limit_of(steps.expr, steps.index)
    if limit is None or (limit < top) != True:  # noqa: E712  # SymPy's own truth values
        return unknown(name, f"the limit of {steps.expr} is {limit}") if limit is None else violated(name, f"{limit}")
    early = [i for i in range(steps.start, steps.start + 64) if not steps.at(i) < top]
    if early:
        return violated(name, f"h_{early[0]} = {steps.at(early[0]):.6g}: let the law start later")
    import sympy

    if not _never_negative(steps):
        return unknown(name, f"whether {steps.expr} >= 0 for every i is not decided")
    slack = sympy.Rational(top) - steps.expr
    if steps.index is None or eventual_sign(slack, steps.index, steps.start, strictly_from_there=True) == 1:
        return stated(name, origin, "step", steps, f"{steps.expr} < {top:g}")
    if eventual_sign(steps.expr.subs(steps.index, steps.index + 1) - steps.expr, steps.index, steps.start, True) == -1:
        return stated(name, origin, "step", steps, f"{steps.expr} decreases, and begins below {top:g}")
    return unknown(name, f"whether {steps.expr} < {top:g} for every i is not decided")


def _never_negative(steps: Law) -> bool:
    """Whether ``h_i >= 0`` for every i >= start: early values one by one, later ones by the sign of the formula."""
    import sympy

    if steps.index is None:
        return True  # a law's number was looked at when it was made
    n = sympy.Symbol("n", integer=True, positive=True)
    if steps.expr.xreplace({steps.index: n + steps.start - 1}).is_nonnegative:
        return True
    early = steps.checked()
    return eventual_sign(early.expr, early.index, early.start + 64, strictly_from_there=True) == 1


def _exact_steps(
    arch: Architecture, steps: Law, origin: str, lip: Bound, hypotheses: tuple[Hypothesis, ...]
) -> dict[str, Rate]:
    import sympy

    out: dict[str, Rate] = {}
    n, i, r = depth_symbol(), sympy.Symbol("i", integer=True, positive=True), sympy.Symbol("r", nonnegative=True)
    term = sympy.Function("h")(i) if steps.expr is None else steps.expr.subs(steps.index or i, i)
    if arch.space.norm == "l2" and steps.expr is not None:
        both = law_bounds(
            arch, Law(steps.expr * (1 - steps.expr), steps.index, steps.start), "step", origin, hypotheses
        )

        def fixed(depth: int, radius: float | None) -> Bound:
            from_depth(steps, depth, steps.start)
            return conclude(
                "limit.residual.fixed@1", "distance", (both.total(depth, steps.start),), n=depth, radius=radius
            )

        formula = r / sympy.sqrt(sympy.Sum(term * (1 - term), (i, steps.start, n)))
        out["fixed"] = Rate(r"|N S_n x - S_n x|", fixed, lambda: formula, uniform=False)
    if lip.value < 1:
        plain = law_bounds(arch, steps, "step", origin, hypotheses)

        def error(depth: int, radius: float | None) -> Bound:
            from_depth(steps, depth, steps.start - 1)
            premises = (lip, plain.total(depth, steps.start))
            return conclude("limit.steps@1", "distance", premises, n=depth, radius=radius)

        shrunk = sympy.exp(-(1 - symbol_constant(lip)) * sympy.Sum(term, (i, steps.start, n))) * r
        out["error"] = Rate(r"|S_n x - p|", error, lambda: shrunk, uniform=False)
    return out


__all__ = ["convex", "keeps", "steps_below", "theorem_9"]
