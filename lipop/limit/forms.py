"""Forms of an expression that an enclosure at infinity can read: exponents term by term, differences without
cancellation.

Every function returns an expression that is equal to its argument at every large integer index.
"""

from __future__ import annotations

from typing import Any


def exponent_terms(exponent: Any, index: Any) -> list[tuple[Any, Any, Any, bool, Any]]:
    """The exponent as a sum of ``c x^r (log x)^s`` (or ``c log log x``, where the fourth entry is True), and of
    ``c rest`` where a term has another form (rest None otherwise).

    >>> import sympy
    >>> i = sympy.Symbol("i", positive=True, integer=True)
    >>> exponent_terms(-2 * i, i)
    [(-2, 1, 0, False, None)]
    """
    import sympy

    exponent = sympy.expand(sympy.expand_log(exponent, force=True), log=False)
    split = {a: _split_log(a.args[0], index) for a in exponent.atoms(sympy.log) if a.args[0] != index}
    exponent = sympy.expand(exponent.xreplace({a: b for a, b in split.items() if b is not None}), log=False)
    return [_term(t, index) for t in sympy.Add.make_args(exponent)]


def _split_log(argument: Any, index: Any) -> Any | None:
    """``log P(x) = log(lead) + d log x + log(P(x) / (lead x^d))`` for a rational function P."""
    import sympy

    if not argument.has(index) or not argument.is_rational_function(index):
        return None
    top, bottom = (sympy.Poly(p, index) for p in sympy.fraction(sympy.together(argument)))
    lead = top.LC() / bottom.LC()
    d = top.degree() - bottom.degree()
    if not lead.is_number or lead.is_positive is not True:
        return None
    rest = sympy.cancel(argument / (lead * index**d))
    return sympy.log(lead) + d * sympy.log(index) + (sympy.log(rest) if rest != 1 else 0)


def _term(term: Any, index: Any) -> tuple[Any, Any, Any, bool, Any]:
    import sympy

    c, rest = term.as_independent(index, as_Add=False)
    r = s = sympy.S.Zero
    if rest == sympy.log(sympy.log(index)):
        return c, r, s, True, None
    for factor in sympy.Mul.make_args(rest):
        base, e = factor.as_base_exp()
        if e.has(index):
            return c, r, s, False, rest
        if base == index:
            r += e
        elif base == sympy.log(index):
            s += e
        elif factor != 1:
            return c, r, s, False, rest
    return c, r, s, False, None


def less_one(expr: Any, index: Any) -> Any:
    """``expr - 1``, over a common denominator where it is rational."""
    import sympy

    out: Any = sympy.together(expr - 1)
    return sympy.cancel(out) if out.is_rational_function(index) else out


def without_cancellation(total: Any, index: Any) -> list[Any]:
    """Other forms of a sum whose leading terms cancel: over a common denominator, with logarithms combined, and
    ``1 - cos v`` as ``2 sin(v/2)^2``."""
    import sympy

    forms: list[Any] = []
    joined: Any = sympy.together(total)
    forms.append(sympy.cancel(joined) if joined.is_rational_function(index) else joined)
    if total.has(sympy.log):
        combined = sympy.logcombine(total, force=True)
        logs = {a: sympy.log(_ratio(a.args[0], index)) for a in combined.atoms(sympy.log)}
        forms.append(combined.xreplace(logs))
    if total.has(sympy.cos):
        halves = {a: 1 - 2 * sympy.sin(a.args[0] / 2) ** 2 for a in total.atoms(sympy.cos)}
        forms.append(sympy.expand(total.xreplace(halves)))
    forms.append(sympy.expand(total))
    return [f for k, f in enumerate(forms) if f != total and f not in forms[:k]]


def _ratio(expr: Any, index: Any) -> Any:
    import sympy

    return sympy.cancel(expr) if expr.is_rational_function(index) else sympy.powsimp(expr)


def log_ratio(a: Any, b: Any, index: Any) -> Any | None:
    """``log(a/b)`` for two products of powers, equal powers joined (None for other forms).

    >>> import sympy
    >>> i = sympy.Symbol("i", positive=True, integer=True)
    >>> log_ratio(sympy.sqrt(i + 1), sympy.sqrt(i), i)
    log((i + 1)/i)/2
    """
    import sympy

    by_power: dict[Any, Any] = {}
    out: Any = sympy.S.Zero
    sides: tuple[tuple[Any, int], ...] = ((a, 1), (b, -1))
    for product, side in sides:
        factors: Any = sympy.Mul.make_args(product)
        for factor in factors:
            if isinstance(factor, sympy.exp):
                exponent: Any = factor.args[0]
                out += side * exponent
                continue
            base, e = factor.as_base_exp()
            if e.has(index):
                if not base.is_number or base.is_positive is not True:
                    return None
                out += side * e * sympy.log(base)
            else:
                by_power[e] = by_power.get(e, sympy.S.One) * base**side
    for e, base in by_power.items():
        ratio = _ratio(sympy.together(base), index)
        if ratio.is_number and ratio.is_positive is not True:
            return None
        out += e * sympy.log(ratio)
    return out


__all__ = ["exponent_terms", "less_one", "log_ratio", "without_cancellation"]
