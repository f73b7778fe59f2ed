"""Series of absolute values: whether they converge is decided, with a reason, and their tails are bounded.

The terms are enclosed between multiples of one function of the scale of growth from some index on
(:mod:`lipop.limit.asymptotic`); that function sums or not by Bertrand's test, and its tail is bounded by an integral, a
ratio or a Hurwitz zeta value (:mod:`lipop.limit.scale`). Where no rule encloses the terms, SymPy is asked. The answer
is True, False or None: never a guess from finitely many terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from lipop.core.rounding import float_up, workprec
from lipop.limit.asymptotic import Asymptotic, Enclosing
from lipop.limit.scale import LEAST, Undecided, ball, describe, sign
from lipop.limit.sequence import as_expression, ball_function, index_of, positive_index

_TRIED = tuple(LEAST * 4**k for k in range(6))  # indices from which an enclosure is looked for
_SLOW = ("sin", "cos", "tan", "floor", "ceiling", "Max", "Min", "Piecewise", "Mod")  # SymPy's tests run on and on
_SLACK = 1e-3  # relative slack of a tail at which no more terms are added one by one
_TERMS = 2**12, 2**15  # terms added one by one for a tighter tail, and for any tail at all


@dataclass(frozen=True, eq=False)
class Series:
    """``sum_{i >= start} |a(i)|`` for a sequence given by a SymPy expression.

    Parameters
    ----------
    expr : SymPy expression or number
    index : SymPy symbol or None
        By default the expression's only symbol (None: a constant).
    start : int
        The first index, at least 1.

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
    >>> s = Series(1 / (k * sympy.log(k + 1) ** 2), k)
    >>> s.convergent, Series(1 / (k * sympy.log(k + 1)), k).convergent
    (True, False)
    >>> round(Series(1 / k**2, k).tail(10), 6), round(Series(k / 2**k, k).tail(0), 4)
    (0.095166, 2.0)
    """

    expr: Any
    index: Any = None
    start: int = 1
    convergent: bool | None = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        expr = as_expression(self.expr, "a series")
        object.__setattr__(self, "expr", expr)
        object.__setattr__(self, "index", index_of(expr, self.index, "a series"))
        with workprec():
            answer, reason = self._decide()
        object.__setattr__(self, "convergent", answer)
        object.__setattr__(self, "reason", reason)

    # ---- the decision ----

    @cached_property
    def _forms(self) -> list[Any]:
        """The expression in a positive integer symbol, in the forms that enclosures are tried on."""
        import sympy

        i = positive_index()
        expr = self.expr if self.index is None else self.expr.xreplace({self.index: i})
        if expr.has(sympy.binomial):
            expr = expr.rewrite(sympy.factorial)
        expr = expr.doit(deep=False) if isinstance(expr, sympy.Abs) else expr
        found = [expr, sympy.together(expr), sympy.expand(expr)]
        return [f for k, f in enumerate(found) if f not in found[:k]]

    def _decide(self) -> tuple[bool | None, str]:
        why = ""
        for M in _TRIED:
            for form in self._forms:
                try:
                    found = Enclosing(positive_index(), M).magnitude(form)
                    answer = self._judge(found)
                    if answer is None:  # a lower bound of a is an upper bound of 1/a
                        found = self._inverted(Enclosing(positive_index(), M).magnitude(1 / form))
                        answer = None if self._judge(found) else False
                except Undecided as e:
                    why = why or str(e)
                    continue
                if answer is not None:
                    object.__setattr__(self, "_from", (M, form))
                    return answer, self._told(answer, found, M)
        return self._asked(why)

    @staticmethod
    def _inverted(found: Asymptotic) -> Asymptotic:
        """A lower bound of a from an upper bound of 1/a."""
        import sympy

        top = found.factor.abs_upper()
        if not (top > 0 and top.is_finite()):
            raise Undecided("the terms have no bound from below")
        return Asymptotic(1 / top, found.scale ** sympy.Integer(-1))

    def _judge(self, found: Asymptotic) -> bool | None:
        if not found.factor.is_finite():
            return None
        if found.factor == 0 or (found.scale.sums() and found.factor.is_finite()):
            return True
        return False if found.factor > 0 else None

    def _told(self, answer: bool, found: Asymptotic, M: int) -> str:
        if found.factor == 0:
            return f"the terms are 0 from i = {M} on"
        shown, test = describe(found.scale)
        side, end = ("<=", found.factor.upper()) if answer else (">=", found.factor.lower())
        return f"|a(i)| {side} {float(end):.4g} {shown} for i >= {M}; {test}"

    def _asked(self, why: str) -> tuple[bool | None, str]:
        """SymPy's answer, where it has one."""
        import sympy

        i = positive_index()
        a = self._forms[0]
        nested = any(x.args[0].has(sympy.log) for x in a.atoms(sympy.log))
        if nested or a.has(sympy.Add, *(getattr(sympy, name) for name in _SLOW)):
            return None, why
        try:
            total: Any = sympy.Sum(sympy.Abs(a), (i, self.start, sympy.oo))
            answer = total.is_convergent()
        except (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):
            answer = None
        if answer == True or answer == False:  # noqa: E712  # SymPy truth values
            return bool(answer), "SymPy's tests of convergence"
        return None, why or f"no comparison is known for {self.expr}"

    # ---- tails ----

    def tail(self, n: int) -> float:
        """An upper bound of ``sum_{i > n} |a(i)|`` (i >= start), rounded up; infinite where the series is not known to
        converge, or has no tail bound here."""
        if not self.convergent:
            return math.inf
        n = max(int(n), self.start - 1)
        known = self._tails.get(n)
        if known is None:
            with workprec():
                value = self._closed(n)
                known = float_up(self._summed(n) if value is None else value)
            self._tails[n] = known
        return known

    @cached_property
    def _tails(self) -> dict[int, float]:
        return {}

    @cached_property
    def _term(self) -> Any:
        """``|a(i)|``, remembered."""
        value = ball_function(self.expr, self.index)
        return lru_cache(maxsize=2**14)(lambda i: abs(value(i)))

    def _closed(self, n: int) -> Any | None:
        """``c (i + a)^-s`` by the Hurwitz zeta function, ``c q^i`` as a geometric series."""
        import flint
        import sympy

        i = positive_index()
        c, rest = self._forms[0].as_independent(i, as_Add=False)
        base, e = rest.as_base_exp()
        if not e.has(i) and sign(e) < 0 and (base == i or (base.is_polynomial(i) and sympy.degree(base, i) == 1)):
            slope = base.coeff(i, 1)
            a = ball(base.coeff(i, 0) / slope)
            if sign(slope) > 0 and a + n + 1 > 0:
                return abs(ball(c)) * ball(slope) ** ball(e) * ball(-e).zeta(a + n + 1)
        if base.is_number and e.is_polynomial(i) and sympy.degree(e, i) == 1:
            ratio = ball(sympy.Abs(base)) ** ball(e.coeff(i, 1))
            if ratio < 1:
                return self._term(n + 1) / (1 - ratio)
        return None if rest.has(i) else flint.arb(0)

    def _summed(self, n: int) -> Any:
        """Terms one by one, then the bound of the rest, until the slack is small."""
        import flint

        home: tuple[int, Any] | None = self.__dict__.get("_from")
        if home is None:
            return flint.arb("inf")
        first, form = home
        total, done, M = flint.arb(0), n, max(n, first)
        while True:
            for k in range(done + 1, M + 1):
                total += self._term(k)
            done = M
            low, high = self._rest(M, form)
            tight = high - low <= _SLACK * (total + low)
            if high.is_finite() and (tight or M - n >= _TERMS[0]):
                return total + high
            if M - n >= _TERMS[1]:
                return flint.arb("inf")
            M = n + max(2 * (M - n), 32)

    def _rest(self, M: int, form: Any) -> tuple[Any, Any]:
        import flint

        try:
            found = Enclosing(positive_index(), M).magnitude(form)
            if found.factor == 0:
                return flint.arb(0), flint.arb(0)
            low, high = found.scale.tail(M)
        except Undecided:
            return flint.arb(0), flint.arb("inf")
        return found.factor.abs_lower() * low, found.factor.abs_upper() * high


__all__ = ["Series"]
