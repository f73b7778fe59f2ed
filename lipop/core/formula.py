"""Functions that a rule's formula may use: one spelling for balls (``arb``), SymPy symbols and floats."""

from __future__ import annotations

import math
from typing import Any


def _is_arb(x: Any) -> bool:
    return type(x).__module__.startswith("flint")


def _is_float(x: Any) -> bool:
    return isinstance(x, int | float)


def sqrt(x: Any) -> Any:
    """Square root; a ball that dips below zero by rounding only is cut at zero."""
    if _is_arb(x):
        return x.nonnegative_part().sqrt() if x.upper() >= 0 else x.sqrt()
    if _is_float(x):
        return math.sqrt(x)
    import sympy

    return sympy.sqrt(x)


def exp(x: Any) -> Any:
    """Exponential."""
    if _is_arb(x):
        return x.exp()
    if _is_float(x):
        return math.exp(x)
    import sympy

    return sympy.exp(x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    if _is_arb(x):
        return x.log()
    if _is_float(x):
        return math.log(x)
    import sympy

    return sympy.log(x)


def log_gamma(x: Any) -> Any:
    """Logarithm of the gamma function at positive numbers."""
    if _is_arb(x):
        return x.lgamma()
    if _is_float(x):
        return math.lgamma(x)
    import sympy

    return sympy.loggamma(x)


def ceiling(x: Any) -> Any:
    """The least integer that is not smaller; a ball that meets an integer gives all values it may have."""
    if _is_arb(x):
        return x.ceil()
    if _is_float(x):
        return math.ceil(x)
    import sympy

    return sympy.ceiling(x)


def maximum(*xs: Any) -> Any:
    """The largest of the arguments."""
    if any(_is_arb(x) for x in xs):
        import flint

        out = flint.arb(xs[0])
        for x in xs[1:]:
            out = out.max(flint.arb(x))
        return out
    if all(_is_float(x) for x in xs):
        return max(xs)
    import sympy

    return sympy.Max(*xs)


def minimum(*xs: Any) -> Any:
    """The smallest of the arguments."""
    if any(_is_arb(x) for x in xs):
        import flint

        out = flint.arb(xs[0])
        for x in xs[1:]:
            out = out.min(flint.arb(x))
        return out
    if all(_is_float(x) for x in xs):
        return min(xs)
    import sympy

    return sympy.Min(*xs)


def absolute(x: Any) -> Any:
    """Absolute value."""
    return abs(x)


def pi(like: Any) -> Any:
    """The constant pi in the arithmetic of ``like``."""
    if _is_arb(like):
        import flint

        return flint.arb.pi()
    if _is_float(like):
        return math.pi
    import sympy

    return sympy.pi
