"""Laws that follow from how a rule is built: the limit operator, deviations, Lipschitz and expansion constants.

Only rules whose formulas hold for every layer give laws: affine maps with entries that are formulas, combinations with
coefficients that are formulas (residual blocks among them), and cycles. A Python function ``i -> T_i`` proves nothing
about layers that were not asked for, whatever it returns for some.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Scale, Sum
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere, Region
from lipop.errors import DomainError
from lipop.limit.affine import affine_parts
from lipop.limit.affine_laws import absolute, affine_deviation
from lipop.limit.combination import Combination
from lipop.limit.deviations import upper
from lipop.limit.evidence import lip_upper
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Growth, Law, Uniform
from lipop.limit.sequence import as_expression
from lipop.limit.structure import AffineRule, Cycle, ResidualRule


@dataclass(frozen=True, eq=False)
class Derived:
    """What a rule proves about all its blocks (None: nothing)."""

    limit: Operator | None = None
    deviation: Law | None = None
    lip: Law | None = None
    expansion: Law | None = None


def derived(rule: Callable[[int], Operator], on: Region, start: int = 1) -> Derived:
    """The laws of a rule on D, from layer ``start`` on.

    Parameters
    ----------
    rule : AffineRule, Combination, ResidualRule, Cycle, or any function (which proves nothing)
    on : Region
    start : int

    Examples
    --------
    >>> import sympy
    >>> from lipop.operators.linear import Affine
    >>> i = sympy.Symbol("i")
    >>> P, B = Affine(np.diag([1.0, 0.0])), Affine(np.array([[0.0, 0.0], [1.0, 0.0]]))
    >>> found = derived(Combination([(1, P), (1 / i**2, B)]), Ball(np.zeros(2), 3.0))
    >>> round(found.deviation.at(2), 6), found.deviation.summable, found.limit == P
    (0.75, True, True)
    """
    if isinstance(rule, Cycle):
        return _of_cycle(rule, on, start)
    if isinstance(rule, AffineRule):
        return _of_affine(rule, start)
    if isinstance(rule, ResidualRule):
        rule = Combination([(1, Identity(rule.field.domain)), (rule.steps, rule.field)], rule.index)
    return _of_combination(rule, on, start) if isinstance(rule, Combination) else Derived()


def _of_cycle(rule: Cycle, on: Region, start: int) -> Derived:
    """Repeated blocks: the constants of the worst one; a single one is its own limit."""
    blocks = (*rule.head[start - 1 :], *rule.cycle)
    lips = [_proved_lip(b, on) for b in blocks]
    grows = [b.expansion(on).value for b in blocks]
    lip = _law(Law, max(v for v in lips if v is not None), None, start) if None not in lips else None
    expansion = _law(Law, min(grows), None, start) if min(grows) > 0 else None
    if len(rule.cycle) > 1 or len(rule.head) >= start:
        return Derived(lip=lip, expansion=expansion)
    return Derived(rule.cycle[0], Uniform(0, None, start), lip, expansion)


def _of_affine(rule: AffineRule, start: int) -> Derived:
    found = affine_deviation(rule)
    limit, law = found if found is not None else (None, None)
    law = None if law is None else _law(type(law), law.expr, law.index, start)
    return Derived(limit if law is not None else None, law, _law(Law, _affine_lip(rule), rule.index, start))


def _affine_lip(rule: AffineRule) -> Any | None:
    """The norm of A(i): exact in l1 and linf; in l2 for ``c(i) A`` and diagonal matrices, else Frobenius."""
    import sympy

    n = rule.size
    size = [[absolute(rule.A[r, c], rule.index) for c in range(n)] for r in range(n)]
    if rule.norm in ("l1", "linf"):
        rows = size if rule.norm == "linf" else [list(c) for c in zip(*size, strict=True)]
        return _largest([sympy.Add(*row) for row in rows])
    if all(size[r][c] == 0 for r in range(n) for c in range(n) if r != c):
        return _largest([size[r][r] for r in range(n)])
    first = next(e for e in rule.A if e != 0)
    ratios = [sympy.simplify(e / first) for e in rule.A]
    if all(_stored(q) is not None for q in ratios):
        from lipop.operators.linear import Affine

        lip = _proved_lip(Affine(np.array([_stored(q) for q in ratios]).reshape(n, n)), Everywhere())
        return None if lip is None else absolute(first, rule.index) * as_expression(lip, "a norm")
    return sympy.sqrt(sympy.Add(*(e**2 for e in rule.A)))


def _largest(sizes: list[Any]) -> Any:
    import sympy

    different = list(dict.fromkeys(sizes))
    return different[0] if len(different) == 1 else sympy.Max(*different)


# ---- combinations --------------------------------------------------------------------------------------------------


def _of_combination(rule: Combination, on: Region, start: int) -> Derived:
    index = rule.index
    lip = _law(Law, _combined_lip(rule, on), index, start)
    expansion = _law(Law, _combined_expansion(rule, on), index, start)
    limits = [_stored(limit_of(c, index)) for c, _ in rule.terms]
    if any(v is None for v in limits):  # no limit, or none that float64 holds: the stored T would be another map
        return Derived(lip=lip, expansion=expansion)
    numbers = [float(v) for v in limits if v is not None]
    limit = Combination([(v, op) for v, (_, op) in zip(numbers, rule.terms, strict=True)])(1)
    gaps = [(c - as_expression(v, "a limit"), op) for v, (c, op) in zip(numbers, rule.terms, strict=True)]
    law = _gap_law([(g, op) for g, op in gaps if g != 0], on, index, start)
    return Derived(limit if law is not None else None, law, lip, expansion)


def _gap_law(gaps: list[tuple[Any, Operator]], on: Region, index: Any, start: int) -> Law | None:
    """``sum |g_j(i)| sup |F_j x|``, proportional gaps joined in one operator; relative to ``1 + |x|`` where D is not
    bounded."""
    import sympy

    if not gaps:
        return Uniform(0, index, start)
    total: Any = sympy.Integer(0)
    grows = False
    for g, op in _joined(gaps):
        size = _size(op, on)
        if size is None:
            size, grows = _relative_size(op), True
        if size is None:
            return None
        total += absolute(g, index) * as_expression(size, "a size")
    return _law(Growth if grows else Uniform, total, index, start)


def _joined(gaps: list[tuple[Any, Operator]]) -> list[tuple[Any, Operator]]:
    """Gaps that are constant multiples of the first one as one gap: ``g (sum r_j F_j)``."""
    import sympy

    first = gaps[0][0]
    ratios = [sympy.Integer(1) if g == first else _stored(sympy.simplify(g / first)) for g, _ in gaps]
    together = [(float(r), op) for r, (_, op) in zip(ratios, gaps, strict=True) if r is not None]
    apart = [gap for r, gap in zip(ratios, gaps, strict=True) if r is None]
    parts = [op if r == 1 else Scale(op, r) for r, op in together]
    return [(first, parts[0] if len(parts) == 1 else Sum.of(*parts)), *apart]


def _size(op: Operator, on: Region) -> float | None:
    """A proved upper bound of ``sup_D |F x|``."""
    if isinstance(op, Sum) and len(op.terms) == 2:  # r (N - I) is measured against the identity
        flat = [t.inner if isinstance(t, Scale) else t for t in op.terms]
        scale = [t.c if isinstance(t, Scale) else 1.0 for t in op.terms]
        if scale[0] == -scale[1] and any(isinstance(t, Identity) for t in flat):
            found = upper(flat[0], flat[1], on)
            return _proved(found.value * abs(scale[0]) * (1 + 1e-15), found.status)
    found = upper(op, Scale(op, 0.0), on)
    return _proved(found.value, found.status)


def _relative_size(op: Operator) -> float | None:
    """``max(|F 0|, Lip F)``, by which ``|F x| <= size (1 + |x|)``."""
    lip = _proved_lip(op, Everywhere())
    if lip is None or op.domain.any_tokens:
        return None
    zero = Ball(np.zeros([n or 1 for n in op.domain.shape]), 0.0, op.domain.norm)
    found = upper(op, Scale(op, 0.0), zero)
    at_zero = _proved(found.value, found.status)
    return None if at_zero is None else max(at_zero, lip)


def _combined_lip(rule: Combination, on: Region) -> Any | None:
    """``sum |c_j| Lip F_j``; for ``I + h F`` with h >= 0 in l2 also ``sqrt(1 + 2 h a + h^2 L^2)``, a the Dahlquist
    constant of F."""
    import sympy

    lips = [_proved_lip(op, on) for _, op in rule.terms]
    if any(v is None for v in lips):
        return None
    diagonal = _diagonal(rule) if len(rule.terms) > 1 else None
    if diagonal is not None:
        return _largest([absolute(e, rule.index) for e in diagonal])
    sizes = [absolute(c, rule.index) for c, _ in rule.terms]
    total = sympy.Add(*(s * as_expression(v, "a constant") for s, v in zip(sizes, lips, strict=True)))
    k = next((k for k, (c, op) in enumerate(rule.terms) if isinstance(op, Identity) and c == 1), None)
    if k is None or len(rule.terms) != 2 or rule.terms[0][1].domain.norm != "l2":
        return total
    h, field = rule.terms[1 - k]
    one_sided = field.dahlquist(on)
    known = one_sided.known and one_sided.status == "PROVED" and nonnegative(h, rule.index)
    if not known or one_sided.value >= (1 - 1e-6) * (lips[1 - k] or 0.0):
        return total
    a, L = (as_expression(v, "a constant") for v in (one_sided.value, lips[1 - k]))
    return sympy.sqrt(sympy.factor(1 + 2 * h * a + h**2 * L**2))


def _diagonal(rule: Combination) -> list[Any] | None:
    """The different entries of ``sum c_j(i) D_j``, if every operator is affine with a diagonal matrix, stored exactly:
    their largest absolute value is Lip in every norm."""
    columns: list[tuple[Any, np.ndarray]] = []
    for c, op in rule.terms:
        parts = affine_parts(op)
        if parts is None or np.any(parts[0].err):
            return None
        M = parts[0].mid
        if M.shape[0] != M.shape[1] or np.any(M[~np.eye(len(M), dtype=bool)]):
            return None
        columns.append((c, np.diag(M)))
    rows = sorted({tuple(float(v) for v in row) for row in zip(*(d for _, d in columns), strict=True)})
    if len(rows) > 6:
        return None
    return [sum(c * as_expression(v, "an entry") for (c, _), v in zip(columns, row, strict=True)) for row in rows]


def _combined_expansion(rule: Combination, on: Region) -> Any | None:
    """``|c| expansion(F)`` of a single term; ``|c_0| - sum |c_j| Lip F_j`` beside the identity."""
    import sympy

    if len(rule.terms) == 1:
        c, op = rule.terms[0]
        value = op.expansion(on).value
        return absolute(c, rule.index) * as_expression(value, "a constant") if value > 0 else None
    k = next((k for k, (_, op) in enumerate(rule.terms) if isinstance(op, Identity)), None)
    lips = [_proved_lip(op, on) for _, op in rule.terms]
    if k is None or any(v is None for v in lips):
        return None
    sizes = [absolute(c, rule.index) for c, _ in rule.terms]
    rest = [s * as_expression(v, "a constant") for s, v in zip(sizes, lips, strict=True)]
    gap = sympy.together(sizes[k] - sympy.Add(*(r for j, r in enumerate(rest) if j != k)))
    return gap if nonnegative(gap, rule.index) else sympy.Max(0, gap)


# ---- helpers -------------------------------------------------------------------------------------------------------


def nonnegative(expr: Any, index: Any) -> bool:
    """Whether an expression is known to be at least 0 for every index >= 1.

    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> nonnegative(1 - 1 / i, i), nonnegative(1 - 2 / i, i)
    (True, False)
    """
    import sympy

    expr = sympy.together(expr)
    return bool(absolute(expr, index) == expr)


def _stored(v: Any) -> float | None:
    """The float64 equal to an exact number, where there is one."""
    if v is None or not v.is_Rational:
        return None
    try:
        value = float(v)
    except OverflowError:
        return None
    num, den = value.as_integer_ratio()
    return value if num * int(v.q) == den * int(v.p) else None


def _proved_lip(op: Operator, on: Region) -> float | None:
    bound = lip_upper(op, on)
    return _proved(bound.value, bound.status)


def _proved(value: float, status: str) -> float | None:
    return value if status == "PROVED" and math.isfinite(value) else None


def _law(kind: type[Law], expr: Any | None, index: Any, start: int) -> Law | None:
    """The law, unless there is none or it is refused (undefined or negative at some layer)."""
    if expr is None:
        return None
    try:
        return kind(_tidy(expr, index), index, start).checked()
    except DomainError:
        return None


def _tidy(expr: Any, index: Any) -> Any:
    """A rational function over one denominator, common factors cancelled (``i/(i+1) + 1/(i+1)`` is 1)."""
    import sympy

    expr = sympy.S(expr)
    return sympy.cancel(sympy.together(expr)) if index is not None and expr.is_rational_function(index) else expr


__all__ = ["Derived", "derived", "nonnegative"]
