"""Deviation laws for generated architectures: geometric, power and logarithmic, on both sides of summability."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DeviationLaw:
    """A positive sequence that decreases to zero, as floats and as a SymPy expression.

    Attributes
    ----------
    name : str
        The formula in k, as it is read.
    summable : bool
        Whether it sums over k = 1, 2, ...
    value : callable
        k -> float.
    expression : callable
        A SymPy symbol -> the expression.

    Examples
    --------
    >>> LAWS["k**-2"].values(3).round(3).tolist(), LAWS["1/k"].summable
    ([1.0, 0.25, 0.111], False)
    """

    name: str
    summable: bool
    value: Callable[[float], float]
    expression: Callable[[Any], Any]

    def values(self, count: int) -> np.ndarray:
        """(count,) the values at k = 1, ..., count."""
        return _values(self.name, count)

    def tail(self, n: int, last: int) -> float:
        """The sum over n < k <= last."""
        return math.fsum(self.values(last)[n:])

    def expr(self, index: Any, scale: float = 1.0) -> Any:
        """``scale`` times the law, as a SymPy expression of the symbol ``index``; scales are binary fractions."""
        import sympy

        return sympy.Rational(scale) * self.expression(index)


def _log(x: Any) -> Any:
    import sympy

    return sympy.log(x)


def _third(p: int, q: int) -> Any:
    import sympy

    return sympy.Rational(p, q)


_ALL = (
    DeviationLaw("2**-k", True, lambda k: 2.0**-k, lambda k: 2**-k),
    DeviationLaw("k**-2", True, lambda k: k**-2.0, lambda k: k**-2),
    DeviationLaw("(9/10)**k", True, lambda k: 0.9**k, lambda k: _third(9, 10) ** k),
    DeviationLaw("k**(-3/2)", True, lambda k: k**-1.5, lambda k: k ** _third(-3, 2)),
    DeviationLaw("k**(-6/5)", True, lambda k: k**-1.2, lambda k: k ** _third(-6, 5)),
    DeviationLaw(
        "1/((k+1)*log(k+1)**2)",
        True,
        lambda k: 1 / ((k + 1) * math.log(k + 1) ** 2),
        lambda k: 1 / ((k + 1) * _log(k + 1) ** 2),
    ),
    DeviationLaw("1/k", False, lambda k: 1.0 / k, lambda k: 1 / k),
    DeviationLaw("1/sqrt(k)", False, lambda k: k**-0.5, lambda k: k ** _third(-1, 2)),
    DeviationLaw(
        "1/((k+1)*log(k+1))",
        False,
        lambda k: 1 / ((k + 1) * math.log(k + 1)),
        lambda k: 1 / ((k + 1) * _log(k + 1)),
    ),
    DeviationLaw("1/log(k+1)", False, lambda k: 1 / math.log(k + 1), lambda k: 1 / _log(k + 1)),
)
LAWS = {law.name: law for law in _ALL}
SUMMABLE = tuple(law.name for law in _ALL if law.summable)
DIVERGENT = tuple(law.name for law in _ALL if not law.summable)


@cache
def _values(name: str, count: int) -> np.ndarray:
    value = LAWS[name].value
    out = np.array([value(float(k)) for k in range(1, count + 1)])
    out.flags.writeable = False
    return out


__all__ = ["DIVERGENT", "LAWS", "SUMMABLE", "DeviationLaw"]
