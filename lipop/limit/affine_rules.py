"""Affine blocks whose entries are formulas: arguments about all layers at once.

Absorption: on the ranges of the blocks, all of them act as one map. Coordinates: the recurrence falls apart into small
ones. Nearness: the entries tend to those of one map, summably (theorem 6 in growth form) or, where that map's powers
forget the start, at any speed (theorem 3 in an adapted norm).
"""

from __future__ import annotations

from typing import Any

from lipop.core.algebra import Identity
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.combination import Combination
from lipop.limit.decision import Decision
from lipop.limit.domains import has_interior
from lipop.limit.exact import column_basis, homogeneous, homogeneous_of, joined
from lipop.limit.exact_powers import powers
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Law
from lipop.limit.products import eventual_sign
from lipop.limit.recurrences import rotation, scalar
from lipop.limit.structure import AffineRule, ResidualRule
from lipop.limit.theorems.theorem_2 import identity_like

LARGEST = 12
"""Coordinates up to which formulas as entries are worked with."""


def affine_rule(arch: Architecture) -> Decision | None:
    """Decide an architecture of affine blocks given by formulas (None: not of this kind, or not decided).

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> d = affine_rule(Architecture.by_rule(AffineRule([[1, i], [0, 0]], None, i)))
    >>> d.exists, d.argument
    (True, 'absorption')
    """
    rule = entries(arch.rule, arch.space.norm)
    if rule is None or rule.size > LARGEST:
        return None
    found = absorbed(rule) or coordinates(rule) or near(rule)
    if found is None or has_interior(arch.on):
        return found
    exists, stable = found.exists or None, found.tail_stable or None  # one point of D may be the exception
    return Decision(exists, stable, found.argument, found.reason, found.start) if exists or stable else None


def entries(rule: Any, kind: str) -> AffineRule | None:
    """The blocks of a rule as affine maps whose entries are formulas: as given, or a combination of small affine maps
    (None: not of this kind)."""
    if isinstance(rule, AffineRule):
        return rule
    if isinstance(rule, ResidualRule):
        rule = Combination([(1, Identity(rule.field.domain)), (rule.steps, rule.field)], rule.index)
    if not isinstance(rule, Combination) or rule.index is None:
        return None
    import sympy

    first = rule.terms[0][1].domain
    if len(first.shape) != 1 or first.width > LARGEST:
        return None
    n = first.width
    a, b = sympy.zeros(n, n), sympy.zeros(n, 1)
    for c, op in rule.terms:
        m = homogeneous(op)
        if m is None:
            return None
        a += c * sympy.Matrix(n, n, [_sympy(m[r, k]) for r in range(n) for k in range(n)])
        b += c * sympy.Matrix(n, 1, [_sympy(m[r, n]) for r in range(n)])
    try:
        return AffineRule(a.applyfunc(sympy.cancel), list(b.applyfunc(sympy.cancel)), rule.index, kind)
    except DomainError:
        return None


def _sympy(q: Any) -> Any:
    import sympy

    return sympy.Rational(int(q.p), int(q.q))


# ---- absorption ----------------------------------------------------------------------------------------------------


def absorbed(rule: AffineRule) -> Decision | None:
    """With ``M(i) = C_0 + sum f_k(i) C_k``: if every C_k, k >= 1, vanishes on the ranges of all C's, then ``S_{n,m} =
    C_0^(n-m-1) M(m+1)``."""
    parts = coefficients(rule)
    if parts is None or len(parts) == 1:
        return None
    base, others = parts[0], parts[1:]
    hull = column_basis(joined(*parts))
    if any((c * hull).rank() > 0 for c in others):
        return None
    found = powers(base, hull)
    if found.converges:
        reason = f"on the ranges of the blocks all of them act as one map, whose powers converge: {found.reason}"
        return Decision(True, True, "absorption", reason)
    return None


def coefficients(rule: AffineRule) -> list[Any] | None:
    """``[C_0, C_1, ...]`` with ``M(i) = C_0 + sum f_k(i) C_k``, rational; the f_k are the different terms that depend
    on i. None where a coefficient is not rational."""
    import sympy

    m = rule.homogeneous()
    n = m.rows
    terms: dict[Any, dict[tuple[int, int], Any]] = {sympy.S.One: {}}
    for r in range(n):
        for c in range(n):
            for t in sympy.Add.make_args(sympy.expand(m[r, c])):
                number, f = t.as_independent(rule.index, as_Add=False)
                if not number.is_Rational:
                    return None
                if number != 0:
                    terms.setdefault(f, {})[r, c] = number
    return [_rational_matrix(n, entries) for entries in terms.values()]


def _rational_matrix(n: int, entries: dict[tuple[int, int], Any]) -> Any:
    import flint

    values = [entries.get((r, c), 0) for r in range(n) for c in range(n)]
    return flint.fmpq_mat(n, n, [flint.fmpq(int(v.p), int(v.q)) if v != 0 else flint.fmpq(0) for v in values])


# ---- coordinates ---------------------------------------------------------------------------------------------------


def coordinates(rule: AffineRule) -> Decision | None:
    """Decide every group of coupled coordinates by itself, where there are several groups or only one coordinate."""
    groups = coupled(rule)
    plane = len(groups) == 1 and rule.size == 2
    if len(groups) == 1 and rule.size > 1 and not plane:
        return None
    found = [_group(rule, g) for g in groups]
    bad = next((d for d in found if d is not None and d.exists is False), None)
    if bad is not None:
        return Decision(False, False, bad.argument, bad.reason, bad.start)
    if any(d is None for d in found):
        return None
    decided = [d for d in found if d is not None]
    exists = None if any(d.exists is None for d in decided) else True
    unstable = next((d for d in decided if d.tail_stable is False), None)
    shown = unstable or decided[0]
    reason = "; ".join(dict.fromkeys(d.reason for d in decided))
    return Decision(exists, unstable is None, shown.argument, reason, shown.start)


def coupled(rule: AffineRule) -> list[list[int]]:
    """The coordinates in groups that no block mixes."""
    n = rule.size
    groups = [{k} for k in range(n)]
    for r in range(n):
        for c in range(n):
            if rule.A[r, c] != 0:
                one = next(g for g in groups if r in g)
                two = next(g for g in groups if c in g)
                if one is not two:
                    groups.remove(two)
                    one |= two
    return [sorted(g) for g in groups]


def _group(rule: AffineRule, group: list[int]) -> Decision | None:
    a = rule.A.extract(group, group)
    b = rule.b.extract(group, [0])
    if len(group) == 1:
        return scalar(a[0, 0], b[0, 0], rule.index)
    if len(group) == 2 and not any(b) and a[0, 0] == a[1, 1] and a[0, 1] == -a[1, 0]:
        turned = rotation(a[0, 0], a[1, 0], rule.index)
        if turned is not None:
            return turned
    return near(AffineRule(a, list(b), rule.index, rule.norm))


# ---- nearness ------------------------------------------------------------------------------------------------------


def near(rule: AffineRule) -> Decision | None:
    """Blocks whose entries tend to those of one map T.

    If the linear part of T has powers that tend to 0, every orbit tends to the fixed point of T, at whatever speed. If
    the differences sum, and the powers of T are bounded, the family is tail-stable iff these powers converge.
    """
    m = rule.homogeneous()
    limits = [limit_of(e, rule.index) for e in m]
    if any(v is None or not v.is_Rational for v in limits):
        return None
    T = homogeneous_of([[limits[r * m.cols + c] for c in range(m.cols)] for r in range(m.rows)])
    linear = homogeneous_of([[limits[r * m.cols + c] for c in range(m.cols - 1)] for r in range(m.rows - 1)])
    start = powers(linear)
    if start.converges and start.applied(identity_like(linear)).rank() == 0:
        reason = "the blocks tend to a map whose linear part has powers that tend to 0 (theorem 3 in an adapted norm)"
        return Decision(True, True, "nearness", reason)
    why = _summable(m, limits, rule.index)
    if why is None:
        return None
    found = powers(T)
    if found.converges:
        reason = f"the entries tend summably ({why}) to those of a map whose powers converge: {found.reason}"
        return Decision(True, True, "nearness", reason)
    if not found.bounded:
        return None
    reason = f"the entries tend summably ({why}) to those of a map whose powers do not converge: {found.reason}"
    exists = False if _invertible(rule) else None
    return Decision(exists, False, "nearness", reason)


def _summable(m: Any, limits: list[Any], index: Any) -> str | None:
    """Why every entry tends summably to its limit (None: not known to)."""
    import sympy

    whys: list[str] = []
    for e, to in zip(m, limits, strict=True):
        gap: Any = sympy.together(e - to)
        if gap == 0:
            continue
        sign = eventual_sign(gap, index, 1)
        try:
            law = Law(sympy.Abs(gap) if sign is None else sign * gap, index)
        except DomainError:
            return None
        if law.summable is not True:
            return None
        whys.append(law.reason)
    return "; ".join(dict.fromkeys(whys)) or "they are constant"


def _invertible(rule: AffineRule) -> bool:
    """Whether every block is onto, so that the orbits that begin later are orbits from the beginning."""
    import sympy

    n = sympy.Symbol("n", integer=True, positive=True)
    det = sympy.simplify(rule.A.det())
    if not det.has(rule.index):
        return bool(det != 0)
    return bool(det.xreplace({rule.index: n}).is_nonzero)


__all__ = ["absorbed", "affine_rule", "coefficients", "coordinates", "coupled", "near"]
