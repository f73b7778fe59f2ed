"""Series of absolute values: whether they converge is decided, with a reason, and their tails are bounded.

The answer is True, False or None (undecided): never a guess from finitely many terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lipop.core.rounding import float_up, workprec
from lipop.limit.sequence import ball_function


@dataclass(frozen=True, eq=False)
class Series:
    """``sum_{i >= start} |a(i)|`` for a sequence given by a SymPy expression.

    Attributes
    ----------
    convergent : True, False or None
        Whether the sum is finite; None where that is not decided.
    reason : str
        The comparison behind the answer.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> s = Series(1 / k**2, k)
    >>> s.convergent, round(s.tail(10), 4)
    (True, 0.0952)
    """

    expr: Any
    index: Any
    start: int = 1
    convergent: bool | None = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        answer, reason = self._decide()
        object.__setattr__(self, "convergent", answer)
        object.__setattr__(self, "reason", reason)

    def _decide(self) -> tuple[bool | None, str]:
        kind, size = self._power_or_geometric()
        if kind == "zero":
            return True, "every term is 0"
        if kind == "constant":
            return False, "the terms are a constant that is not 0"
        if kind == "power":
            return bool(size > 1), f"p-series with p = {size}"
        if kind == "geometric":
            return bool(size < 1), f"geometric with ratio {size}"
        return None, f"no comparison is known for {self.expr}"

    def _power_or_geometric(self) -> tuple[str, Any]:
        import sympy

        if self.expr.is_zero:
            return "zero", None
        if self.index is None or not self.expr.has(self.index):
            return "constant", None
        i = sympy.Symbol("i", positive=True, integer=True)
        _, rest = self.expr.xreplace({self.index: i}).as_independent(i)
        base, exponent = rest.as_base_exp()
        if base == i and exponent.is_Rational:
            return "power", -exponent
        if base.is_Rational and base > 0 and exponent in (i, -i):
            return "geometric", base if exponent == i else 1 / base
        return "", None

    def tail(self, n: int) -> float:
        """An upper bound of ``sum_{i > n} |a(i)|``, rounded up; infinite where the series is not known to converge."""
        if not self.convergent:
            return math.inf
        import flint
        import sympy

        kind, size = self._power_or_geometric()
        n = max(n, self.start - 1)
        with workprec():
            if kind == "zero":
                return 0.0
            first = abs(ball_function(self.expr, self.index)(n + 1))
            if kind == "geometric":
                return float_up(first / (1 - flint.arb(flint.fmpq(int(size.p), int(size.q)))))
            p: Any = sympy.Rational(size)
            c = first * flint.arb(n + 1) ** flint.arb(flint.fmpq(int(p.p), int(p.q)))
            return float_up(c * flint.arb(flint.fmpq(int(p.p), int(p.q))).zeta(flint.arb(n + 1)))
