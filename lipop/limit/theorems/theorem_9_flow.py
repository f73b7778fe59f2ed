"""Theorem 9 (b): steps along a dissipative field follow its flow.

Hilbert space, ``T_i x = x + h_i F(x)``, ``<Fx - Fy, x - y> <= 0``, ``Lip F <= Lambda``, ``|F| <= B`` on D, which the
flow of F and the T_i leave invariant; ``sum h_i = inf``, ``sum h_i^2 < inf``. Tail-stable iff the flow ``phi_t x``
converges for every x; then ``Q = lim phi_t`` is a non-expansive retraction onto {F = 0} and ``|S_inf x - Q S_n x| <=
(Lambda B / 2) sum_{i>n} h_i^2``.
"""

from __future__ import annotations

import math
from typing import Any

from lipop.core.algebra import residual
from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.core.rounding import inflate
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.domains import size_of
from lipop.limit.evidence import fixed_points_exist, nonexpansive
from lipop.limit.exact_norms import exactly_dissipative
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown, violated
from lipop.limit.law_evidence import stated, summable
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import domain_kept, from_depth, infinite, law_bounds, symbol_constant, symbol_tail
from lipop.limit.theorems.theorem_1 import value_at_zero

FLOW = "tail-stable if and only if the flow of F converges for every x; then |S_inf x - Q S_n x| <= (L B / 2) sum h_i^2"


def theorem_9_flow(
    arch: Architecture,
    field: Operator,
    steps: Law,
    size: float | None = None,
    flow: Hypothesis | None = None,
    origin: str = "declared",
) -> Conclusion:
    """Apply theorem 9 (b).

    Parameters
    ----------
    arch : Architecture
        ``T_i x = x + h_i F(x)`` in l2, on a D that the flow of F and the T_i leave invariant.
    field : Operator
        F.
    steps : Law
        ``h_i`` itself.
    size : float, optional
        ``B >= |F|`` on D, which the user declares; by default computed on a bounded D.
    flow : Hypothesis, optional
        That the flow of F converges for every x. By default it is proved where ``F = N - I`` with N non-expansive and
        Fix N not empty.
    origin : str
        ``derived`` where the steps follow from how the blocks are built.

    Returns
    -------
    Conclusion
        Rate ``projected``: ``|S_inf x - Q S_n x|`` with ``Q = lim phi_t``.

    Raises
    ------
    DomainError
        If a declared size is negative or not finite.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.core.region import Ball
    >>> from lipop.operators.linear import Linear
    >>> k, F = sympy.Symbol("k"), Linear(np.diag([-1.0, 0.0]))
    >>> arch = Architecture.by_rule(lambda i: Linear(np.diag([1 - 0.5 / i, 1.0])), on=Ball(np.zeros(2), 1.0))
    >>> c = theorem_9_flow(arch, F, Law(1 / (2 * k)))
    >>> c.holds, round(c.rates["projected"](10), 5)
    (True, 0.0119)
    """
    sized, top = field_size(field, arch, size)
    squares = Law(steps.expr**2, steps.index, steps.start)
    dissipative, lip = field.dahlquist(arch.on), field.lip(arch.on)
    if flow is None:
        flow = _gradient_flow(residual(field), arch.on)
    hypotheses = (
        infinite(arch),
        domain_kept(arch),
        flow_kept(arch.on),
        hilbert(arch),
        _at_most_zero(field, dissipative),
        proved("Lip F < inf", f"Lip F <= {lip.value:.6g}", lip)
        if lip.known
        else unknown("Lip F < inf", "no rule gives a bound"),
        sized,
        _divergent(steps, origin),
        summable(squares, origin, "squared step"),
        flow,
    )
    if not all(h.holds for h in hypotheses):
        return Conclusion("theorem 9", hypotheses, FLOW)
    tail = law_bounds(arch, squares, "squared step", origin, hypotheses)

    def at(n: int, radius: float | None) -> Bound:
        from_depth(squares, n, squares.start - 1)
        return conclude("limit.flow@1", "distance", (lip, tail.tail(n)), n=n, size=top)

    def symbolic() -> Any:
        return symbol_constant(lip) * top / 2 * symbol_tail(squares)

    rates = {"projected": Rate(r"|S_\infty x - Q S_n x|", at, symbolic)}
    return Conclusion("theorem 9", hypotheses, FLOW, True, True, None, rates)


def field_size(field: Operator, arch: Architecture, size: float | None) -> tuple[Hypothesis, float]:
    """``|F| <= B`` on D, and B: declared, or ``|F 0| + Lip(F) sup |x|`` on a bounded D."""
    name = "|F| <= B on D"
    if size is not None:
        if not (math.isfinite(size) and size >= 0):
            raise DomainError(f"B must be finite and not negative, found {size!r}")
        return declared(name, f"size: |F| <= {size:g}", "stated"), float(size)
    lip = field.lip()
    top = float(inflate(value_at_zero(field) + lip.value * size_of(arch.on, arch.space.norm), 4))
    if math.isfinite(top):
        return proved(name, f"B = |F 0| + Lip(F) sup |x| = {top:.6g}", lip), top
    return unknown(name, "D is not bounded: give size="), math.inf


def flow_kept(on: Region) -> Hypothesis:
    """The flow of F leaves D invariant."""
    name = "the flow of F maps D into D"
    if isinstance(on, Everywhere):
        return proved(name, "D is the whole space")
    return declared(name, f"domain: the flow leaves {on!r} invariant", "stated")


def hilbert(arch: Architecture) -> Hypothesis:
    """The norm is l2."""
    name = "X is a Hilbert space"
    return proved(name, "l2") if arch.space.norm == "l2" else violated(name, f"the norm is {arch.space.norm}")


def _at_most_zero(field: Operator, bound: Bound) -> Hypothesis:
    name = "dahlquist(F) <= 0"
    if bound.known and bound.value <= 0:
        return proved(name, f"dahlquist(F) <= {bound.value:.6g}", bound)
    if exactly_dissipative(field):
        return proved(name, "-(A + A^T)/2 is positive semidefinite, in exact arithmetic")
    return unknown(name, f"the best bound at hand is {bound.value:.6g}")


def _divergent(steps: Law, origin: str) -> Hypothesis:
    name = "the sum of h_i is infinite"
    if steps.summable is False:
        return stated(name, origin, "step", steps, str(steps.reason))
    return violated(name, str(steps.reason)) if steps.summable else unknown(name, str(steps.reason))


def _gradient_flow(N: Operator, on: Region) -> Hypothesis:
    """The flow of N - I converges where N is non-expansive with a fixed point."""
    name = "the flow of F converges for every x"
    shrinks, fixed = nonexpansive(N, on), fixed_points_exist(N, on)
    if shrinks.holds and fixed.holds:
        return proved(name, f"F = N - I with N non-expansive, and {fixed.reason} (Bruck 1975)", shrinks.bound)
    return unknown(name, "give flow=: it is known here only for F = N - I, N non-expansive with a fixed point")


__all__ = ["field_size", "hilbert", "theorem_9_flow"]
