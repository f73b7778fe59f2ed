"""Enclosures at infinity of particular functions: trigonometric, hyperbolic, factorials, Max, Min, Piecewise, rounding.

Near zero ``f(v)/v`` lies between stated ends (Taylor's theorem with remainder); a bounded function far out lies in its
range; a factorial follows Stirling's formula with Robbins' remainder, ``0 < theta < 1/(12 z)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lipop.limit.asymptotic import Asymptotic, constant
from lipop.limit.scale import Scale, Undecided

if TYPE_CHECKING:
    from lipop.limit.asymptotic import Enclosing


def enclose(at: Enclosing, expr: Any) -> Asymptotic:
    """The enclosure of one function's value.

    Raises
    ------
    Undecided
        If the function has no rule here.
    """
    import flint
    import sympy

    if isinstance(expr, sympy.Max | sympy.Min):
        return _extreme(at, expr)
    if isinstance(expr, sympy.Piecewise):
        return _piecewise(at, expr)
    if isinstance(expr, sympy.factorial | sympy.gamma | sympy.loggamma):
        return _gamma(at, expr)
    if isinstance(expr, sympy.harmonic) and len(expr.args) == 1 and expr.args[0] == at.index:
        half = Asymptotic(flint.arb(0).union(flint.arb(1)) / 2, Scale(power=-1))  # 0 < H(x) - log x - gamma < 1/(2x)
        return at.added([Asymptotic(flint.arb(1), Scale(log=1)), constant(flint.arb.const_euler()), half])
    if len(expr.args) == 1:
        v = at.signed(expr.args[0])
        if isinstance(expr, sympy.floor):
            return at.added([v, constant(flint.arb(-1).union(flint.arb(0)))])
        if isinstance(expr, sympy.ceiling):
            return at.added([v, constant(flint.arb(0).union(flint.arb(1)))])
        if isinstance(expr, sympy.sign):
            s = 1 if v.factor > 0 else (-1 if v.factor < 0 else None)
            return constant(flint.arb(-1).union(flint.arb(1)) if s is None else flint.arb(s))
        if isinstance(expr, sympy.cos):
            one = flint.arb(1)
            if v.fades:
                reach = v.values(at.M).abs_upper()
                return constant((1 - reach * reach / 2).union(one))
            return constant((-one).union(one))
        known = _odd(at, expr, v)
        if known is not None:
            return known
    raise Undecided(f"{expr.func.__name__} has no rule at infinity")


def _odd(at: Enclosing, expr: Any, v: Asymptotic) -> Asymptotic | None:
    """An increasing odd function with slope 1 at zero (erf: 2/sqrt(pi)), or the sine."""
    import flint
    import sympy

    one = flint.arb(1)
    if v.fades:
        reach = v.values(at.M).abs_upper()
        cube = reach * reach
        ends = {
            sympy.sin: (1 - cube / 6, one),
            sympy.tan: (one, reach.tan() / reach if reach < 1 else None),
            sympy.atan: (1 - cube / 3, one),
            sympy.tanh: (1 - cube / 3, one),
            sympy.sinh: (one, reach.sinh() / reach if reach > 0 else one),
            sympy.asinh: (1 - cube / 6, one),
            sympy.erf: ((1 - cube / 3) * 2 / flint.arb.pi().sqrt(), 2 / flint.arb.pi().sqrt()),
        }.get(expr.func)
        if ends is None or ends[1] is None:
            return None
        return v * constant(ends[0].union(ends[1]))
    tops = {sympy.sin: one, sympy.atan: flint.arb.pi() / 2, sympy.tanh: one, sympy.erf: one}
    top = tops.get(expr.func)
    if top is None:
        return None
    if v.factor > 0 and v.scale.order >= 0 and expr.func is not sympy.sin:
        least = v.factor.lower() * (v.scale.at(at.M) if v.scale.order > 0 else 1)
        if v.scale.order == 0 or (v.scale ** sympy.Integer(-1)).decreases(at.M):
            value = {sympy.atan: least.atan, sympy.tanh: least.tanh, sympy.erf: least.erf}[expr.func]()
            return constant(value.union(top))
    return constant((-top).union(top))


def _gamma(at: Enclosing, expr: Any) -> Asymptotic:
    """``log Gamma(z) = (z - 1/2) log z - z + log(2 pi)/2 + theta``."""
    import flint
    import sympy

    z = expr.args[0] + (1 if isinstance(expr, sympy.factorial) else 0)
    value = at.signed(z)
    if not (value.factor > 0 and value.scale.order > 0):
        raise Undecided(f"{expr} is known at infinity for an argument that grows")
    theta = Asymptotic(1 / (12 * value.factor), value.scale ** sympy.Integer(-1)).values(at.M)
    main = (z - sympy.Rational(1, 2)) * sympy.log(z) - z
    if isinstance(expr, sympy.loggamma):
        rest = constant((2 * flint.arb.pi()).log() / 2 + flint.arb(0).union(theta))
        return at.added([at.signed(sympy.expand(main)), rest])
    root = (2 * flint.arb.pi()).sqrt()
    return at.exponential(main) * constant(root * flint.arb(0).union(theta).exp())


def _extreme(at: Enclosing, expr: Any) -> Asymptotic:
    """Max or Min of several: on the largest (smallest) scale, with the factors of all measured on it."""
    import sympy

    parts = [at.signed(a) for a in expr.args]
    largest = isinstance(expr, sympy.Max)
    lead = parts[0].scale
    for p in parts[1:]:
        if (p.scale / lead).order == (1 if largest else -1) and (largest or p.factor > 0):
            lead = p.scale
    factors: list[Any] = []
    for p in parts:
        ratio = p.scale / lead
        if ratio.order <= 0:
            factors.append(Asymptotic(p.factor, ratio).values(at.M))
        elif p.factor > 0 and (ratio ** sympy.Integer(-1)).decreases(at.M):
            factors.append(p.factor.lower() * ratio.at(at.M))  # it only grows from here: no smaller for the Min
        else:
            raise Undecided(f"{expr} is not decided")
    out = factors[0]
    for f in factors[1:]:
        out = out.max(f) if largest else out.min(f)
    return Asymptotic(out, lead)


def _piecewise(at: Enclosing, expr: Any) -> Asymptotic:
    """The branch that is decided from M on; else a common bound of all branches, from above only."""
    import flint

    open_branches: list[Any] = []
    for value, condition in expr.args:
        holds = _holds(at, condition)
        if holds is False:
            continue
        open_branches.append(value)
        if holds is True:
            break
    if not open_branches:
        raise Undecided(f"no branch of {expr} is known to hold")
    if len(open_branches) == 1:
        return at.signed(open_branches[0])
    parts = [at.magnitude(b) for b in open_branches]
    total = at.added(parts)
    top = total.factor.abs_upper()
    return Asymptotic((-top).union(top) if not total.factor.is_zero() else flint.arb(0), total.scale)


def _holds(at: Enclosing, condition: Any) -> bool | None:
    """Whether a condition holds for all i >= M (True), for none (False), or neither is known."""
    import sympy
    from sympy.core.relational import Eq, Ge, Gt, Le, Lt, Ne

    if condition == True or condition == False:  # noqa: E712  # SymPy truth values
        return bool(condition)
    if isinstance(condition, sympy.And | sympy.Or):
        parts = [_holds(at, c) for c in condition.args]
        stop = isinstance(condition, sympy.Or)
        if stop in parts:
            return stop
        return None if None in parts else not stop
    if isinstance(condition, sympy.Not):
        inner = _holds(at, condition.args[0])
        return None if inner is None else not inner
    if not isinstance(condition, Eq | Ne | Lt | Le | Gt | Ge):
        return None
    relation: Any = condition
    try:
        gap = at.signed(sympy.expand(relation.lhs - relation.rhs)).factor
    except Undecided:
        return None
    if not (gap > 0 or gap < 0):
        return None
    return (
        bool(gap > 0)
        if isinstance(condition, Gt | Ge)
        else (bool(gap < 0) if isinstance(condition, Lt | Le) else isinstance(condition, Ne))
    )
