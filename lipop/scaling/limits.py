"""Limits of functions of several growing variables: iterated limits, and the joint limit where an argument decides it.

The joint limit L exists if for every e > 0 all values with all variables large enough are within e of L. Facts used:

1. If L exists and the inner limits of an iterated limit exist, that iterated limit is L. So two iterated limits that
   differ show that L does not exist; so do two paths to infinity with different limits.
2. A function that does not increase in any variable tends to its infimum, and so does every iterated limit (monotone
   net). The same holds with "decrease" and the supremum.
3. A product of functions of one variable each, all with finite limits, tends to the product of the limits; it tends to
   0 if one factor does and the others are bounded. Sums of such terms tend to the sums (convergence is uniform: each
   variable enters through a function of its own).

Limits in one variable are SymPy's (Gruntz's algorithm), of formulas made of functions for which they can be relied on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lipop.limit.law_evidence import limit_at_infinity

EXISTS, DOES_NOT_EXIST, UNDECIDED = "EXISTS", "DOES_NOT_EXIST", "UNDECIDED"
PATHS = (1, 2, 3)
"""Exponents of the paths ``t^a`` that are tried."""


@dataclass(frozen=True, eq=False)
class Iterated:
    """One iterated limit.

    Parameters
    ----------
    order : tuple of str
        The variables, innermost limit first.
    value : SymPy number, float or None
        None where it is not known, or does not exist.
    status : str
        ``DECIDED``, ``ESTIMATED`` (from finitely many values) or ``UNDECIDED``.
    interval : tuple of float or None
        Around an estimate.
    reason : str
    """

    order: tuple[str, ...]
    value: Any
    status: str
    interval: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Joint:
    """Whether the joint limit exists.

    Parameters
    ----------
    answer : str
        ``EXISTS``, ``DOES_NOT_EXIST`` or ``UNDECIDED``.
    value : SymPy number, float or None
    reason : str
        The argument.
    assumes : frozenset of str
        What the user declared.
    """

    answer: str
    value: Any
    reason: str
    assumes: frozenset[str] = frozenset()


def iterated(expr: Any, symbols: Sequence[Any]) -> Iterated:
    """The limit in the first symbol, then the next, and so on.

    Examples
    --------
    >>> import sympy
    >>> N, P = sympy.symbols("N P", positive=True)
    >>> [iterated(N / (N + P), order).value for order in ((N, P), (P, N))]
    [1, 0]
    """
    names = tuple(s.name for s in symbols)
    value = expr
    for symbol in symbols:
        value = limit_at_infinity(value, symbol)
        if value is None:
            return Iterated(names, None, UNDECIDED, None, f"no limit in {symbol.name} was found")
    return Iterated(names, value, "DECIDED", None, "limits one after another")


def joint(expr: Any, symbols: Sequence[Any]) -> Joint:
    """Decide the joint limit of an expression in positive symbols.

    Examples
    --------
    >>> import sympy
    >>> N, P = sympy.symbols("N P", positive=True)
    >>> [joint(e, (N, P)).answer for e in (1 + 2**-P + N ** (-1 / sympy.S(2)), N / (N + P), N * P / (N**2 + P**2))]
    ['EXISTS', 'DOES_NOT_EXIST', 'DOES_NOT_EXIST']
    """
    found = [iterated(expr, order) for order in itertools.permutations(symbols)]
    known = [f for f in found if f.value is not None and f.value.is_finite]
    for one, other in itertools.combinations([f for f in found if f.value is not None], 2):
        if _differ(one.value, other.value):
            text = (
                f"the iterated limits in the orders {_order(one)} and {_order(other)} are {one.value} and {other.value}"
            )
            return Joint(DOES_NOT_EXIST, None, text)
    separate = _by_factors(expr, symbols)
    if separate is not None:
        return Joint(EXISTS, separate, "a sum of products of functions of one variable each, with finite limits")
    signs = _monotone(expr, symbols)
    if signs is not None and known:
        return Joint(
            EXISTS, known[0].value, f"the function is {signs} in every variable, and an iterated limit is finite"
        )
    return _by_paths(expr, symbols) or Joint(UNDECIDED, None, "no argument applies")


def _order(found: Iterated) -> str:
    return ", ".join(found.order)


def _differ(a: Any, b: Any) -> bool:
    """Whether two limits are surely different."""
    if a.is_infinite or b.is_infinite:
        return bool(a != b) and not (a.free_symbols | b.free_symbols)
    return (a - b).equals(0) is False


def _by_factors(expr: Any, symbols: Sequence[Any]) -> Any | None:
    import sympy

    for form in (expr, sympy.expand(expr)):
        terms = sympy.Add.make_args(form)
        values = [v for v in (_term(t, symbols) for t in terms) if v is not None]
        if len(values) == len(terms):
            return sympy.simplify(sympy.Add(*values))
    return None


def _term(term: Any, symbols: Sequence[Any]) -> Any | None:
    """The limit of a product of functions of one variable each; None where the argument does not apply."""
    import sympy

    parts: Any = sympy.separatevars(term, symbols=list(symbols), dict=True)
    if parts is None:
        return None
    limits = {s: limit_at_infinity(parts[s], s) for s in symbols}
    bounded = all(
        (v is not None and v.is_finite) or isinstance(parts[s], sympy.sin | sympy.cos | sympy.tanh | sympy.atan)
        for s, v in limits.items()
    )
    if not bounded:
        return None
    if any(v is not None and v.is_zero for v in limits.values()):
        return sympy.S.Zero
    return None if None in limits.values() else parts["coeff"] * sympy.prod(list(limits.values()))


def _monotone(expr: Any, symbols: Sequence[Any]) -> str | None:
    """``non-increasing`` or ``non-decreasing`` where the signs of all partial derivatives show it."""
    import sympy

    def signs(slope: Any) -> tuple[bool, bool]:
        forms = (slope, sympy.factor(slope), sympy.together(slope), sympy.simplify(slope))
        return any(f.is_nonpositive is True for f in forms), any(f.is_nonnegative is True for f in forms)

    if any(not s.is_positive for s in symbols):
        return None
    found = [signs(expr.diff(s)) for s in symbols]
    if all(down for down, _ in found):
        return "non-increasing"
    return "non-decreasing" if all(up for _, up in found) else None


def _by_paths(expr: Any, symbols: Sequence[Any]) -> Joint | None:
    """Two paths ``t^a`` with different limits; None where none are found."""
    import sympy

    t = sympy.Symbol("t", positive=True)
    found: list[tuple[str, Any]] = []
    for powers in itertools.product(PATHS, repeat=len(symbols)):
        value = limit_at_infinity(expr.xreplace({s: t**a for s, a in zip(symbols, powers, strict=True)}), t)
        if value is None:
            continue
        name = ", ".join(f"{s.name} = t^{a}" for s, a in zip(symbols, powers, strict=True))
        for other, before in found:
            if _differ(value, before):
                return Joint(DOES_NOT_EXIST, None, f"along {other} the limit is {before}, along {name} it is {value}")
        found.append((name, value))
    return None


__all__ = ["DOES_NOT_EXIST", "EXISTS", "UNDECIDED", "Iterated", "Joint", "iterated", "joint"]
