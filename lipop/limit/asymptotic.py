"""Enclosures at infinity: ``a(i) = c(i) g(i)`` for every integer i >= M, with c(i) in one ball and g in the scale.

The rules follow the tree of the expression; each holds for all i >= M, not only in the limit, so that an upper end
bounds a tail and a positive lower end proves divergence. What no rule covers raises :class:`Undecided`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lipop.core.rounding import float_up
from lipop.limit import forms
from lipop.limit.scale import Scale, Undecided, ball, sign
from lipop.limit.sequence import integer_power


@dataclass(frozen=True)
class Asymptotic:
    """``factor`` (a ball) times ``scale``, for every index from some M on."""

    factor: Any
    scale: Scale

    def __mul__(self, other: Asymptotic) -> Asymptotic:
        return Asymptotic(self.factor * other.factor, self.scale * other.scale)

    @property
    def fades(self) -> bool:
        """Whether it tends to zero."""
        return bool(self.factor == 0) or self.scale.order < 0

    def values(self, M: int) -> Any:
        """A ball that contains every value, i >= M.

        Raises
        ------
        Undecided
            If it is not bounded, or not yet monotone at M.
        """
        import flint

        order = self.scale.order
        if order == 0 or self.factor == 0:
            return self.factor
        if order > 0 or not self.scale.decreases(M):
            raise Undecided(f"a quantity is not known to decrease from {M} on")
        return self.factor * flint.arb(0).union(self.scale.at(M))


def constant(value: Any) -> Asymptotic:
    """A ball that contains every value."""
    return Asymptotic(value, Scale())


class Enclosing:
    """Encloses expressions of one positive integer index from M >= 16 on (call within ``workprec``).

    Parameters
    ----------
    index : SymPy symbol
    M : int

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i", positive=True, integer=True)
    >>> a = Enclosing(i, 1000).magnitude((-1) ** i * (i + 1) / i**3)
    >>> a.scale.power, bool(a.factor > 0.999), bool(a.factor <= 1.01)
    (-2, True, True)
    """

    def __init__(self, index: Any, M: int) -> None:
        self.index, self.M = index, M
        self._cancelling: list[Any] = []

    def magnitude(self, expr: Any) -> Asymptotic:
        """``|a(i)|``.

        Raises
        ------
        Undecided
            If no rule applies from M on.
        """
        import sympy

        if isinstance(expr, sympy.Mul):
            return self._product(map(self.magnitude, expr.args))
        if isinstance(expr, sympy.Abs):
            return self.magnitude(expr.args[0])
        if isinstance(expr, sympy.Pow):
            base, e = expr.args
            if base.is_number and e.has(self.index) and sign(base):
                return self.exponential(e * sympy.log(sympy.Abs(base)))
            if not e.has(self.index) and sign(e) > 0:
                return self._power(self.magnitude(base), e)
        value = self.signed(expr)
        return Asymptotic(abs(value.factor), value.scale)

    def signed(self, expr: Any) -> Asymptotic:
        """``a(i)`` (raises as :meth:`magnitude` does)."""
        import flint
        import sympy

        if not expr.has(self.index):
            return constant(ball(expr))
        if expr == self.index:
            return Asymptotic(flint.arb(1), Scale(power=1))
        if isinstance(expr, sympy.Add):
            return self._sum(expr)
        if isinstance(expr, sympy.Mul):
            return self._product(map(self.signed, expr.args))
        if isinstance(expr, sympy.exp):
            return self.exponential(expr.args[0])
        if isinstance(expr, sympy.Pow):
            return self._pow(expr.base, expr.exp)
        if isinstance(expr, sympy.log):
            return self._log(expr.args[0])
        if isinstance(expr, sympy.Abs):
            return self.magnitude(expr.args[0])
        from lipop.limit.asymptotic_functions import enclose

        return enclose(self, expr)

    # ---- products and powers ----

    def _product(self, parts: Iterable[Asymptotic]) -> Asymptotic:
        import flint

        out = constant(flint.arb(1))
        for p in parts:
            out = out * p
        return out

    def _power(self, value: Asymptotic, p: Any) -> Asymptotic:
        """value^p for a constant p; a base that touches zero has no lower end."""
        import flint

        if p.is_Integer and (int(p) >= 0 or not value.factor.contains(0)):
            return Asymptotic(integer_power(value.factor, int(p)), value.scale**p)
        if value.factor > 0:
            return Asymptotic(value.factor ** ball(p), value.scale**p)
        if sign(p) > 0:
            return Asymptotic(flint.arb(0).union(value.factor.abs_upper() ** ball(p)), value.scale**p)
        raise Undecided("a base is not bounded away from zero")

    def _pow(self, base: Any, exponent: Any) -> Asymptotic:
        import flint
        import sympy

        if not exponent.has(self.index):
            return self._power(self.signed(base), exponent)
        if base.is_number and sign(base) < 0:
            size = self.exponential(exponent * sympy.log(-base))
            return Asymptotic(size.factor * flint.arb(-1).union(flint.arb(1)), size.scale)
        if not self.signed(base).factor > 0:
            raise Undecided(f"the base {base} is not known to be positive")
        return self.exponential(exponent * sympy.log(base))

    def exponential(self, exponent: Any) -> Asymptotic:
        """exp of a sum: terms of the scale go to the scale, bounded ones to the factor."""
        import flint
        import sympy

        power, log = sympy.S.Zero, sympy.S.Zero
        exps: list[tuple[Any, Any, Any]] = []
        factor = flint.arb(1)
        for c, r, s, twice, rest in forms.exponent_terms(exponent, self.index):
            if rest is not None:
                value = self.signed(rest)
                value = Asymptotic(ball(c) * value.factor, value.scale)
                if value.scale.order <= 0:
                    factor *= value.values(self.M).exp()
                    continue
                c, r, s = self._exponent_above(value)
                factor *= flint.arb(0).union(flint.arb(1))  # from above only
            if twice:
                log += c
            elif sign(r) < 0 or (sign(r) == 0 and sign(s) <= 0):
                factor *= Asymptotic(ball(c), Scale(power=r, log=s)).values(self.M).exp()
            elif sign(r) > 0 or sign(s - 1) > 0:
                exps.append((r, s, c))
            elif sign(s - 1) == 0:
                power += c
            else:  # exp(c log^s), 0 < s < 1, lies between 1 and x^d for every d: from above only
                if sign(c) > 0:
                    power += sympy.Rational(float_up(ball(c) * flint.arb(self.M).log() ** ball(s - 1)))
                factor *= flint.arb(0).union(flint.arb(1))
        return Asymptotic(factor, Scale(power, log) * Scale.exponential(exps))

    def _exponent_above(self, value: Asymptotic) -> tuple[Any, Any, Any]:
        """``c x^r (log x)^s`` that is at least the value from M on; a negative value may lose a growing log log."""
        import flint
        import sympy

        factor, g = value.factor.upper(), value.scale
        if g.loglog != 0 and factor < 0 and sign(g.loglog) > 0:
            factor *= flint.arb(self.M).log().log() ** ball(g.loglog)
            g = Scale(g.power, g.log, 0, g.exps)
        if g.exps or g.loglog != 0:
            raise Undecided("an exponent is not in the scale")
        return sympy.Rational(float_up(factor)), g.power, g.log

    # ---- sums and logarithms ----

    def added(self, parts: list[Asymptotic]) -> Asymptotic:
        """The sum: the largest scale, times the factors of all parts with their ratios to it."""
        import flint

        parts = [p for p in parts if not p.factor.is_zero()]
        if not parts:
            return constant(flint.arb(0))
        lead = parts[0].scale
        for p in parts[1:]:
            lead = p.scale if (p.scale / lead).order > 0 else lead
        total = flint.arb(0)
        for p in parts:
            total += Asymptotic(p.factor, p.scale / lead).values(self.M)
        return Asymptotic(total, lead)

    def _sum(self, expr: Any) -> Asymptotic:
        plain = self.added([self.signed(a) for a in expr.args])
        if not plain.factor.contains(0) or expr in self._cancelling:
            return plain
        self._cancelling.append(expr)
        try:
            return self._cancelled(expr) or plain
        finally:
            self._cancelling.pop()

    def _cancelled(self, expr: Any) -> Asymptotic | None:
        """A sum whose largest terms cancel, in another form; two terms also as ``b expm1(log(a/b))``."""
        for other in forms.without_cancellation(expr, self.index):
            try:
                value = self.signed(other)
            except Undecided:
                continue
            if not value.factor.contains(0):
                return value
        if len(expr.args) != 2:
            return None
        v = forms.log_ratio(expr.args[0], -expr.args[1], self.index)
        if v is None:
            return None
        small = self.signed(v)
        if not small.fades:
            return None
        growth = _quotient(small.values(self.M), lambda x: x.expm1())  # increases
        return self.signed(-expr.args[1]) * small * constant(growth)

    def _log(self, argument: Any) -> Asymptotic:
        """log f: near f = 1 as ``(f-1) log(1+v)/v``, else the logarithm of the enclosure, term by term."""
        value = self.signed(argument)
        if value.scale.order == 0:
            small = forms.less_one(argument, self.index)
            if small.has(self.index):
                v = self.signed(small)
                if v.fades and v.values(self.M) > -1:
                    return v * constant(_quotient(v.values(self.M), lambda x: x.log1p()))  # decreases
        if not value.factor > 0 or value.scale.loglog != 0:
            raise Undecided(f"log({argument}) is not in the scale")
        g = value.scale
        terms = [constant(value.factor.log())]
        terms += [Asymptotic(ball(c), Scale(r, s)) for r, s, c in g.exps]
        terms += [Asymptotic(ball(g.power), Scale(log=1)), Asymptotic(ball(g.log), Scale(loglog=1))]
        return self.added(terms)


def _quotient(v: Any, f: Any) -> Any:
    """A ball that contains ``f(x)/x`` for x in the ball v, for a monotone quotient that is 1 at zero."""
    import flint

    def at(x: Any) -> Any:
        return flint.arb(1) if x == 0 else f(x) / x

    return at(v.lower()).union(at(v.upper()))


__all__ = ["Asymptotic", "Enclosing", "constant"]
