"""Theorems 8 and 9 for rules ``x + h(i) F(x)`` whose field and steps are known for every layer."""

from __future__ import annotations

import math
from typing import Any

from lipop.core.algebra import Identity, residual
from lipop.core.operator import Operator
from lipop.core.region import Everywhere
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.combination import Combination
from lipop.limit.conclusion import Conclusion
from lipop.limit.evidence import lip_upper
from lipop.limit.laws import Law, Uniform
from lipop.limit.sequence import as_expression
from lipop.limit.structure import ResidualRule
from lipop.limit.theorems.theorem_1 import value_at_zero
from lipop.limit.theorems.theorem_8 import theorem_8
from lipop.limit.theorems.theorem_9 import theorem_9
from lipop.limit.theorems.theorem_9_flow import theorem_9_flow


def residual_conclusions(arch: Architecture) -> tuple[Conclusion, ...]:
    """What theorems 8 and 9 say where the rule shows its field and steps; nothing for other rules.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.operators.linear import Linear
    >>> i = sympy.Symbol("i")
    >>> arch = Architecture.by_rule(ResidualRule(Linear(-np.eye(2)), 1 / (i + 1), i))
    >>> [c.status for c in residual_conclusions(arch)]
    ['VIOLATED', 'PROVED', 'UNKNOWN']
    """
    parts = field_and_steps(arch)
    if parts is None:
        return ()
    field, N, steps = parts
    out: list[Conclusion] = []
    if isinstance(arch.on, Everywhere):
        delta, beta = branch_laws(field, steps)
        out.append(theorem_8(arch, delta, beta, "derived"))
    out.append(theorem_9(arch, N, steps, Uniform(0), "derived", "derived"))
    if arch.space.norm == "l2":
        out.append(theorem_9_flow(arch, field, steps, origin="derived"))
    return tuple(out)


def field_and_steps(arch: Architecture) -> tuple[Operator, Operator, Law] | None:
    """F, N and the law of the steps, ``T_i = I + h_i F = (1 - h_i) I + h_i N``, where the rule shows them and the steps
    are not negative."""
    rule = arch.rule
    if isinstance(rule, ResidualRule):
        return _with_steps(rule.field, residual(rule.field), rule.steps, rule.index)
    if not isinstance(rule, Combination) or len(rule.terms) != 2:
        return None
    k = next((k for k, (_, op) in enumerate(rule.terms) if isinstance(op, Identity)), None)
    if k is None:
        return None
    import sympy

    (c, one), (h, op) = rule.terms[k], rule.terms[1 - k]
    if c == 1:
        return _with_steps(op, residual(op), h, rule.index)
    return _with_steps(op - one, op, h, rule.index) if sympy.simplify(c + h - 1) == 0 else None


def _with_steps(field: Operator, N: Operator, steps: Any, index: Any) -> tuple[Operator, Operator, Law] | None:
    try:
        return field, N, Law(steps, index).checked()
    except DomainError:
        return None


def branch_laws(field: Operator, steps: Law) -> tuple[Law | None, Law | None]:
    """``h_i Lip F`` and ``h_i |F 0|`` (None where a constant has no finite bound)."""
    lip = lip_upper(field, Everywhere()).value
    return _scaled(steps, lip, "Lip F"), _scaled(steps, value_at_zero(field), "|F 0|")


def _scaled(steps: Law, c: Any, what: str) -> Law | None:
    return steps.scaled(as_expression(c, what)) if math.isfinite(c) else None


__all__ = ["branch_laws", "field_and_steps", "residual_conclusions"]
