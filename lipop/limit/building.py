"""How architectures are put together: checks of blocks, domain and laws, and rules made from other rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lipop.core.algebra import Residual, Scale, residual
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rounding import workprec
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError
from lipop.limit.laws import Growth, Law, Uniform
from lipop.limit.sequence import as_expression, ball_function, index_of

Rule = Callable[[int], Operator]
LAWS = ("deviation", "lip", "expansion")


def fits(op: Any, space: Space, what: str) -> Operator:
    """The operator, if it maps the space into itself, in its norm.

    Raises
    ------
    DomainError, ShapeError
    """
    if not isinstance(op, Operator):
        raise DomainError(f"{what} must be an Operator, found a {type(op).__name__}")
    for side, found in (("takes", op.domain), ("gives", op.codomain)):
        if not found.meets(space) or found.norm != space.norm:
            raise ShapeError(
                f"{what} {side} points of {found.shape} in {found.norm}, the architecture is on {space.shape} in "
                f"{space.norm}"
            )
    return op


def fields(
    rule: Rule, on: Region | None, limit: Operator | None, laws: Mapping[str, Any], index: Any, start: int, name: str
) -> dict[str, Any]:
    """The fields of an architecture: declared laws are checked, laws that are not given are derived from the rule."""
    from lipop.limit.derived import derived

    if not callable(rule):
        raise DomainError(f"the rule must be a function i -> Operator, found a {type(rule).__name__}")
    if isinstance(start, bool) or not isinstance(start, int | np.integer) or start < 1:
        raise DomainError(f"start is the first layer of which the laws speak, 1, 2, ...; found {start!r}")
    first = rule(1)
    if not isinstance(first, Operator):
        raise DomainError(f"the rule must give Operators, rule(1) is a {type(first).__name__}")
    space = first.domain
    fits(first, space, "block 1")
    on = first._region(on)  # pyright: ignore[reportPrivateUsage]
    if limit is not None:
        fits(limit, space, "the limit operator")
    made = {key: declared_law(laws.get(key), key, index, start) for key in LAWS}
    origins = {key: "declared" for key, law in made.items() if law is not None}
    known = derived(rule, on, int(start))
    if made["deviation"] is None and known.deviation is not None and limit in (None, known.limit):
        made["deviation"], origins["deviation"] = known.deviation, "derived"
    limit = known.limit if limit is None else limit
    for key in ("lip", "expansion"):
        if made[key] is None and getattr(known, key) is not None:
            made[key], origins[key] = getattr(known, key), "derived"
    if made["deviation"] is not None and limit is None:
        raise DomainError("a deviation law compares with a limit operator: say limit=")
    for op, what in ((first, "block 1"), (limit, "the limit operator")):
        stays_in(op, on, what)
    return {
        "rule": rule, "space": space, "on": on, "limit": limit, "start": int(start), "origins": origins, "name": name,
        **made,
    }  # fmt: skip


def stays_in(op: Operator | None, on: Region, what: str) -> None:
    """Refuse a map that sends a sampled point of D out of D.

    Raises
    ------
    DomainError
    """
    from lipop.limit.invariance import leaves

    x = None if op is None else leaves(op, on)
    if x is not None and op is not None:
        shown = np.array2string(np.asarray(x).ravel()[:4], precision=4)
        raise DomainError(f"{what} does not map the domain {on!r} into itself: it sends {shown} out of it")


def declared_law(value: Any, what: str, index: Any, start: int) -> Law | None:
    """A declared law from what the user gives: a law, an expression, a number, or a sequence.

    Raises
    ------
    DomainError
        If it is malformed, negative, not real, or in another index.
    """
    if value is None:
        return None
    kind = Uniform if what == "deviation" else Law
    law = value if isinstance(value, Law) else kind(value, index, start)
    if what == "deviation" and not isinstance(law, Uniform | Growth):
        raise DomainError(f"a deviation law is Uniform or Growth, found {law!r}")
    if index is not None and law.index is not None and law.index != index:
        raise DomainError(f"{law!r} is a sequence in {law.index}, the architecture's index is {index}")
    return (law if law.start == start else law.starting(start)).checked()


# ---- rules from other rules ----------------------------------------------------------------------------------------


def shifted_rule(rule: Rule, m: int) -> Rule:
    """The rule without its first m blocks, of the same kind where it shows its formulas."""
    from lipop.limit.combination import Combination
    from lipop.limit.structure import AffineRule, Cycle, ResidualRule

    if m == 0:
        return rule
    if isinstance(rule, Combination | Cycle):
        return rule.shifted(m)
    if isinstance(rule, AffineRule):
        moved = {rule.index: rule.index + m}
        return AffineRule(rule.A.xreplace(moved), list(rule.b.xreplace(moved)), rule.index, rule.norm)
    if isinstance(rule, ResidualRule):
        steps = rule.steps if rule.index is None else rule.steps.xreplace({rule.index: rule.index + m})
        return ResidualRule(rule.field, steps, rule.index)
    return lambda i: rule(i + m)


def residual_rule(branch: Operator | Rule, h: Any, index: Any, norm: Operator | None, place: str) -> Rule:
    """``i -> x + h(i) F_i(x)``, with a normalisation before the branch (pre) or after the sum (post)."""
    from lipop.limit.structure import Cycle, ResidualRule

    if place not in ("pre", "post"):
        raise DomainError(
            f"a normalisation stands 'pre' (before the branch) or 'post' (after the sum), found {place!r}"
        )
    steps = as_expression(h, "a step size")
    index = index_of(steps, index, "the step size")
    pre, post = (norm, None) if place == "pre" else (None, norm)
    if isinstance(branch, Operator) and post is None:
        field = branch if pre is None else branch @ pre
        constant = index is None or not steps.has(index)
        return Cycle([_step(field, float(steps))]) if constant else ResidualRule(field, steps, index)
    sizes = ball_function(steps, index)

    def rule(i: int) -> Operator:
        f = branch if isinstance(branch, Operator) else branch(i)
        with workprec():
            size = sizes(i)
            if not size.is_finite():
                raise DomainError(f"the step size {steps} is not a finite real number at layer {i}")
        block: Operator = _step(f if pre is None else f @ pre, float(size.mid()))
        return block if post is None else post @ block

    return rule


def _step(field: Operator, h: float) -> Residual:
    return residual(field if h == 1 else Scale(field, h))


__all__ = ["LAWS", "Rule", "declared_law", "fields", "fits", "residual_rule", "shifted_rule", "stays_in"]
