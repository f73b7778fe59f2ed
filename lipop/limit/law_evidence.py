"""Evidence about laws: whether they sum, whether they vanish, and limits of formulas."""

from __future__ import annotations

from typing import Any

from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown, violated
from lipop.limit.law_bounds import assumption


def summable(law: Any, origin: str | None, what: str) -> Hypothesis:
    """``sum law(i) < inf``, as the law decides it; conditional where the law itself is declared."""
    name = f"sum of the {what} law < inf"
    if law is None:
        return unknown(name, f"no {what} law is given, and none can be derived")
    if law.values is not None:
        return unknown(name, f"{law!r} says nothing about layers behind {law.last}")
    if law.summable is True:
        return stated(name, origin, what, law, str(law.reason))
    if law.summable is False:
        return violated(name, f"{law!r}: {law.reason}")
    return unknown(name, f"{law!r}: {law.reason}")


def vanishing(law: Any, origin: str | None, what: str) -> Hypothesis:
    """``law(i) -> 0``."""
    name = f"{what} law -> 0"
    if law is None:
        return unknown(name, f"no {what} law is given, and none can be derived")
    if law.values is not None:
        return unknown(name, f"{law!r} says nothing about layers behind {law.last}")
    if law.summable is True:
        return stated(name, origin, what, law, f"{law!r} is summable")
    limit = limit_of(law.expr, law.index)
    if limit == 0:
        return stated(name, origin, what, law, f"{law!r} tends to 0")
    if limit is None:
        return unknown(name, f"the limit of {law.expr} is not known")
    return violated(name, f"{law!r} tends to {limit}")


def stated(name: str, origin: str | None, what: str, law: Any, reason: str) -> Hypothesis:
    """A hypothesis that holds for a law: proved where it is derived, conditional where it is declared."""
    if origin == "derived":
        return proved(name, reason)
    return declared(name, assumption(law, what), reason)


def limit_of(expr: Any, index: Any) -> Any | None:
    """The limit of an expression as its index grows, where SymPy finds a number or an infinity; None otherwise."""
    import sympy

    if index is None or index not in expr.free_symbols:
        return expr
    n = sympy.Symbol("n", positive=True, integer=True)
    found = limit_at_infinity(expr.xreplace({index: n}), n)
    return None if found is None or found.free_symbols else found


def limit_at_infinity(expr: Any, symbol: Any) -> Any | None:
    """The limit of an expression as a symbol grows, by Gruntz's algorithm; None where SymPy finds none, or where its
    answers are not to be relied on (Mod, floor, Piecewise and the like).

    >>> import sympy
    >>> n = sympy.Symbol("n", positive=True)
    >>> limit_at_infinity((n + 1) / n, n), limit_at_infinity(sympy.Mod(n, 2), n)
    (1, None)
    """
    import sympy

    if symbol not in expr.free_symbols:
        return expr
    if not all(isinstance(part, _reliable()) for part in sympy.preorder_traversal(expr)):
        return None
    try:
        found = sympy.limit(expr, symbol, sympy.oo)
    except (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):  # whatever SymPy gives up with
        return None
    lost = found.has(sympy.AccumBounds, sympy.nan, sympy.zoo, sympy.Limit) or symbol in found.free_symbols
    return None if lost else found


def _reliable() -> tuple[type, ...]:
    """What a formula may consist of whose limit is asked of SymPy."""
    import sympy

    arithmetic = (sympy.Symbol, sympy.Number, sympy.NumberSymbol, sympy.Add, sympy.Mul, sympy.Pow, sympy.Abs)
    functions = (sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.sinh, sympy.cosh, sympy.tanh, sympy.atan)
    return (*arithmetic, *functions, sympy.factorial, sympy.gamma, sympy.loggamma, sympy.binomial)


__all__ = ["limit_at_infinity", "limit_of", "stated", "summable", "vanishing"]
