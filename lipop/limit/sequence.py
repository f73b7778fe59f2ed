"""Sequences given by a formula: a SymPy expression of one index, evaluated at integers in ball arithmetic.

SymPy supplies the tree of the expression and nothing else: every number comes from python-flint, so that a value is a
ball that contains the true one. Nothing is read from text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache, reduce
from typing import Any

import numpy as np

from lipop.errors import DomainError

Term = Callable[[Any], Any]


def as_expression(value: Any, what: str) -> Any:
    """A finite real number or a SymPy expression as a SymPy expression whose floats are exact rationals.

    Raises
    ------
    DomainError
        For text, NaN, infinities, complex numbers, relations and anything else.

    Examples
    --------
    >>> as_expression(0.5, "a law")
    1/2
    """
    import sympy

    if isinstance(value, bool | str):
        raise DomainError(f"{what} must be a number or a SymPy expression, found {value!r} (text is never evaluated)")
    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    if isinstance(value, int | float | np.floating | np.integer):
        if not math.isfinite(value):
            raise DomainError(f"{what} must be finite, found {value!r}")
        return sympy.Integer(int(value)) if float(value).is_integer() else sympy.Rational(float(value))
    if not isinstance(value, sympy.Expr):
        raise DomainError(f"{what} must be a number or a SymPy expression, found a {type(value).__name__}")
    if value.has(sympy.I):
        raise DomainError(f"{what} must be real, found {value}")
    if value.has(sympy.nan, sympy.oo, sympy.zoo, -sympy.oo):
        raise DomainError(f"{what} is undefined, found {value}")
    floats = {f: sympy.Rational(f) for f in value.atoms(sympy.Float)}
    return value.xreplace(floats)


def index_of(expr: Any, index: Any, what: str) -> Any:
    """The symbol that the expression is a sequence in: the one stated, or the only one it has (None: a constant).

    Raises
    ------
    DomainError
        If the expression has another symbol or, without ``index``, several.
    """
    import sympy

    if index is not None and not isinstance(index, sympy.Symbol):
        raise DomainError(f"the index of {what} must be a SymPy symbol, found {index!r}")
    symbols = sorted(expr.free_symbols, key=str)
    if index is None and len(symbols) > 1:
        raise DomainError(
            f"{what} = {expr} has the symbols {symbols}: say which is the index, and give the others values"
        )
    if index is not None and any(s != index for s in symbols):
        raise DomainError(f"{what} = {expr} must be a function of the index {index}, found the symbols {symbols}")
    return index if index is not None else (symbols[0] if symbols else None)


@cache
def positive_index() -> Any:
    """The symbol i of a positive integer, by which any index is replaced (so that ``|(-1)^i|`` is 1)."""
    import sympy

    return sympy.Symbol("i", positive=True, integer=True)


def ball_function(expr: Any, index: Any) -> Term:
    """The expression as a function of balls (call it within ``workprec``); a value that is not real or not finite is a
    ball that is not finite.

    Raises
    ------
    DomainError
        If the expression uses a function that has no rule here.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> float(ball_function(1 / k**2, k)(4))
    0.0625
    """
    import flint

    i = positive_index()
    term = _compile(expr if index is None else expr.xreplace({index: i}), i)
    return lambda i: flint.arb(term(flint.arb(i)))


def integer_power(x: Any, n: int) -> Any:
    """``x^n`` of a ball that may contain zero or negative numbers, n any integer (``arb`` itself gives NaN there)."""
    import flint

    if x > 0:
        return x**n
    if n < 0:
        return 1 / integer_power(x, -n)
    if n % 2 == 0:
        x = abs(x)
    out, square = flint.arb(1), x
    while n:
        out = out * square if n % 2 else out
        n //= 2
        square = square * square if n else square
    return out


def _compile(expr: Any, index: Any) -> Term:
    import flint
    import sympy

    if expr == index:
        return lambda x: x
    if expr.is_Rational:
        value = flint.fmpq(int(expr.p), int(expr.q))
        return lambda x: flint.arb(value)
    constants = {sympy.pi: flint.arb.pi, sympy.E: flint.arb.const_e, sympy.EulerGamma: flint.arb.const_euler}
    if expr in constants:
        constant = constants[expr]
        return lambda x: constant()
    if isinstance(expr, sympy.Piecewise):
        return _piecewise(expr, index)
    if isinstance(expr, sympy.Pow):
        return _power(expr.base, expr.exp, index)
    if isinstance(expr, sympy.binomial):
        return _compile(expr.rewrite(sympy.factorial), index)
    parts = [_compile(a, index) for a in expr.args]
    if isinstance(expr, sympy.Mod):
        top, bottom = parts
        return lambda x: top(x) - bottom(x) * (top(x) / bottom(x)).floor()
    if isinstance(expr, sympy.harmonic) and len(parts) == 1:
        return lambda x: (parts[0](x) + 1).digamma() + flint.arb.const_euler()
    if isinstance(expr, sympy.Add):
        return lambda x: reduce(lambda a, b: a + b, [p(x) for p in parts])
    if isinstance(expr, sympy.Mul):
        return lambda x: reduce(lambda a, b: a * b, [p(x) for p in parts])
    if isinstance(expr, sympy.Max):
        return lambda x: reduce(lambda a, b: a.max(b), [p(x) for p in parts])
    if isinstance(expr, sympy.Min):
        return lambda x: reduce(lambda a, b: a.min(b), [p(x) for p in parts])
    names = {
        sympy.exp: "exp", sympy.log: "log", sympy.sin: "sin", sympy.cos: "cos", sympy.tan: "tan", sympy.sinh: "sinh",
        sympy.cosh: "cosh", sympy.tanh: "tanh", sympy.atan: "atan", sympy.asinh: "asinh", sympy.Abs: "__abs__",
        sympy.factorial: "_factorial", sympy.gamma: "gamma", sympy.loggamma: "lgamma", sympy.floor: "floor",
        sympy.ceiling: "ceil", sympy.sign: "sgn", sympy.erf: "erf", sympy.erfc: "erfc", sympy.zeta: "zeta",
    }  # fmt: skip
    name = names.get(expr.func)
    if name is None or len(parts) != 1:
        raise DomainError(f"{expr.func.__name__} has no rule for balls; write the sequence with elementary functions")
    inner = parts[0]
    if name == "_factorial":
        return lambda x: (inner(x) + 1).gamma()
    return lambda x: getattr(inner(x), name)()


def _power(base: Any, exponent: Any, index: Any) -> Term:
    """b^e: integer and half-integer exponents exactly, e^x as exp, negative bases to integer values of e."""
    import sympy

    if base == sympy.E:
        inner = _compile(exponent, index)
        return lambda x: inner(x).exp()
    b = _compile(base, index)
    if exponent.is_Integer:
        n = int(exponent)
        return lambda x: integer_power(b(x), n)
    e = _compile(exponent, index)

    def value(x: Any) -> Any:
        low, high = b(x), e(x)
        if high.is_integer():
            n = high.unique_fmpz()
            if n is not None:
                return integer_power(low, int(n))
        return low**high

    return value


def _piecewise(expr: Any, index: Any) -> Term:
    branches = [(_compile(value, index), _condition(condition, index)) for value, condition in expr.args]

    def value(x: Any) -> Any:
        for branch, holds in branches:
            if holds(x):
                return branch(x)
        raise DomainError(f"{expr} has no value at {index} = {x.str(10)}")

    return value


def _condition(condition: Any, index: Any) -> Callable[[Any], bool]:
    """A condition on the index as a function that is true or false with certainty."""
    import sympy
    from sympy.core.relational import Eq, Ge, Gt, Le, Lt, Ne

    if condition == True or condition == False:  # noqa: E712  # SymPy truth values
        truth = bool(condition)
        return lambda x: truth
    if isinstance(condition, sympy.And | sympy.Or):
        parts = [_condition(c, index) for c in condition.args]
        every = isinstance(condition, sympy.And)
        return lambda x: all(p(x) for p in parts) if every else any(p(x) for p in parts)
    if isinstance(condition, sympy.Not):
        inner = _condition(condition.args[0], index)
        return lambda x: not inner(x)
    if not isinstance(condition, Eq | Ne | Lt | Le | Gt | Ge):
        raise DomainError(f"the condition {condition} is not a comparison")
    relation: Any = condition
    gap = _compile(relation.lhs - relation.rhs, index)

    def holds(x: Any) -> bool:
        d = gap(x)
        side = 1 if d > 0 else (-1 if d < 0 else (0 if d == 0 else None))
        if side is None:
            raise DomainError(f"the condition {condition} is not decided at {index} = {x.str(10)}")
        wanted = {Eq: (0,), Ne: (-1, 1), Lt: (-1,), Le: (-1, 0), Gt: (1,), Ge: (0, 1)}
        return side in wanted[type(condition)]

    return holds
