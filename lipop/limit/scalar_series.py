"""Whether ``sum b(i)`` converges, for terms of any sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.errors import DomainError
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Law
from lipop.limit.products import eventual_sign, nonnegative_from


@dataclass(frozen=True)
class Sum:
    """What is known of a series.

    Parameters
    ----------
    converges : bool or None
    absolutely : bool or None
    reason : str
    """

    converges: bool | None
    absolutely: bool | None
    reason: str


def series(expr: Any, index: Any, start: int = 1) -> Sum:
    """Decide ``sum_{i >= start} b(i)``.

    Parameters
    ----------
    expr : SymPy expression
    index : SymPy symbol
    start : int

    Returns
    -------
    Sum

    Notes
    -----
    Absolute convergence by the law of ``|b|``; terms of one sign from some index on by the same law; ``(-1)^i c(i)``
    with c decreasing to 0 from some index on by Leibniz; terms that do not tend to 0 diverge.

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> series((-1) ** i / i, i).converges, series(1 / i, i).converges, series(1 / i**2, i).absolutely
    (True, False, True)
    """
    import sympy

    if expr == 0:
        return Sum(True, True, "every term is 0")
    plain, alternating = without_sign(expr, index)
    sign = eventual_sign(plain, index, start)
    size = sympy.Abs(plain) if sign is None else sign * plain
    summable, why = _law(size, index, start)
    if summable is True:
        return Sum(True, True, f"absolutely: {why}")
    limit = limit_of(plain, index)
    if limit is not None and limit.is_zero is False:
        return Sum(False, False, f"the terms do not tend to 0: {expr}")
    if sign in (1, -1) and not alternating and summable is False:
        return Sum(False, False, f"the terms have one sign from some index on, and do not sum: {why}")
    if sign in (1, -1) and alternating and limit == 0 and _falls(sign * plain, index, start):
        return Sum(True, False if summable is False else None, "alternating, of sizes that decrease to 0 (Leibniz)")
    return Sum(None, None, f"whether {expr} sums is not decided: {why}")


def _falls(size: Any, index: Any, start: int) -> bool:
    """Whether sizes decrease from some index on: by their differences, or by the derivative of the formula."""
    if eventual_sign(size.subs(index, index + 1) - size, index, start) == -1:
        return True
    import sympy

    slope = sympy.diff(size, index)
    return not slope.has(sympy.Derivative) and eventual_sign(slope, index, start) == -1


def without_sign(expr: Any, index: Any) -> tuple[Any, bool]:
    """The expression without a factor ``(-1)^(i + c)``, up to a constant sign; and whether there was one.

    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> without_sign((-1) ** (i + 1) / i, i)
    (1/i, True)
    """
    import sympy

    rest, alternating = [], False
    for factor in sympy.Mul.make_args(sympy.powsimp(sympy.factor_terms(expr))):
        base, e = factor.as_base_exp()
        if base == -1 and e.has(index) and (e - index).is_Integer:
            alternating = not alternating
        elif base.is_negative and base.is_Rational and e == index:
            alternating = not alternating
            rest.append((-base) ** e)
        else:
            rest.append(factor)
    return sympy.Mul(*rest), alternating


def _law(size: Any, index: Any, start: int) -> tuple[bool | None, str]:
    try:
        law = Law(size, index, nonnegative_from(size, index, start))
        return law.summable, law.reason
    except DomainError as e:
        return None, str(e)


__all__ = ["Sum", "series", "without_sign"]
