"""The scale of growth: ``x^p (log x)^t (log log x)^u exp(sum_j c_j x^(r_j) (log x)^(s_j))``, ordered at infinity.

Whether such a function sums is decided by its exponents (Bertrand's test), and its tails are bounded by comparison
with integrals and geometric series. Exponents are exact SymPy numbers; values are balls (call within ``workprec``).

Notes
-----
With ``w(x) = x g'(x)/g(x)`` and ``w <= -kappa`` on ``[M, inf)``:

- g decreases there if kappa >= 0, so ``int_{M+1} g <= sum_{k>M} g(k) <= int_M g`` (integral test);
- ``g(x) <= g(M) (x/M)^-kappa``, so ``int_M g <= g(M) M / (kappa - 1)`` if kappa > 1 (Karamata);
- if ``g'/g <= -lambda`` there, ``sum_{k>M} g(k) <= g(M+1) / (1 - exp(-lambda))`` (ratio test).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from lipop.limit.sequence import ball_function

LEAST = 16  # values are taken at x >= 16 only, where log log x > 1


class Undecided(Exception):
    """A step that needs a sign, a bound or a function that is not known here; the message says which."""


@lru_cache(maxsize=4096)
def _number(expr: Any) -> Any:
    return ball_function(expr, None)


def ball(expr: Any) -> Any:
    """An exact SymPy number as a ball at the current precision."""
    return _number(expr)(0)


@lru_cache(maxsize=4096)
def sign(expr: Any) -> int:
    """The sign of an exact real number: -1, 0 or 1.

    Raises
    ------
    Undecided
        If it is too close to zero for the precision and SymPy does not simplify it to zero.
    """
    import sympy

    if expr.is_Rational:
        return (expr.p > 0) - (expr.p < 0)
    value = ball(expr)
    if value > 0:
        return 1
    if value < 0:
        return -1
    if sympy.simplify(sympy.expand_log(expr, force=True)) == 0:
        return 0
    raise Undecided(f"the sign of {expr} is not decided")


@dataclass(frozen=True)
class Scale:
    """One function of the scale; ``exps`` holds ``(r, s, c)`` with ``r > 0``, or ``r = 0`` and ``s > 1``, largest
    first.

    >>> import sympy
    >>> Scale(power=sympy.Integer(-2)).sums()
    True
    """

    power: Any = 0
    log: Any = 0
    loglog: Any = 0
    exps: tuple[tuple[Any, Any, Any], ...] = ()

    def __post_init__(self) -> None:
        import sympy

        for name in ("power", "log", "loglog"):
            object.__setattr__(self, name, sympy.S(getattr(self, name)))

    @staticmethod
    def exponential(terms: list[tuple[Any, Any, Any]]) -> Scale:
        """``exp(sum c x^r (log x)^s)``; terms with equal exponents are added up."""
        found: list[tuple[Any, Any, Any]] = []
        for r, s, c in terms:
            for k, (r2, s2, c2) in enumerate(found):
                if sign(r - r2) == 0 and sign(s - s2) == 0:
                    found[k] = (r2, s2, c2 + c)
                    break
            else:
                found.append((r, s, c))
        kept = [t for t in found if sign(t[2]) != 0]
        ordered: list[tuple[Any, Any, Any]] = []
        for t in kept:  # insertion: exact numbers have no order of their own
            place = next((k for k, o in enumerate(ordered) if _before(t, o)), len(ordered))
            ordered.insert(place, t)
        return Scale(exps=tuple(ordered))

    def __mul__(self, other: Scale) -> Scale:
        return Scale(
            self.power + other.power,
            self.log + other.log,
            self.loglog + other.loglog,
            Scale.exponential([*self.exps, *other.exps]).exps if self.exps and other.exps else self.exps + other.exps,
        )

    def __pow__(self, p: Any) -> Scale:
        if sign(p) == 0:
            return Scale()
        return Scale(self.power * p, self.log * p, self.loglog * p, tuple((r, s, c * p) for r, s, c in self.exps))

    def __truediv__(self, other: Scale) -> Scale:
        import sympy

        return self * other ** sympy.Integer(-1)

    @cached_property
    def order(self) -> int:
        """1 if it grows without bound, -1 if it tends to zero, 0 if it is the constant 1."""
        if self.exps:
            return sign(self.exps[0][2])
        return next((s for s in (sign(self.power), sign(self.log), sign(self.loglog)) if s), 0)

    def sums(self) -> bool:
        """Whether the sum over the integers converges (Bertrand's test)."""
        if self.exps:
            return self.order < 0
        for exponent in (self.power, self.log, self.loglog):
            s = sign(exponent + 1)
            if s:
                return s < 0
        return False

    def at(self, x: int) -> Any:
        """The value at x >= 16, as a ball."""
        import flint

        y = flint.arb(x)
        y1 = y.log()
        out = y ** ball(self.power) * y1 ** ball(self.log)
        if self.loglog != 0:
            out *= y1.log() ** ball(self.loglog)
        for r, s, c in self.exps:
            out *= (ball(c) * y ** ball(r) * y1 ** ball(s)).exp()
        return out

    # ---- x g'/g on [M, inf) ----

    def slope(self, M: int, by_x: bool = False) -> Any:
        """An upper bound of ``x g'(x)/g(x)`` (or of ``g'(x)/g(x)``) over x >= M, as a ball."""
        import flint

        L = flint.arb(M).log()
        rest = ball(self.power)
        for exponent, size in ((self.log, L), (self.loglog, L * L.log())):
            if sign(exponent) > 0:
                rest += ball(exponent) / size
        lead = self._steepness(M, by_x)
        if not by_x:
            return rest + lead
        return lead + (rest.max(flint.arb(0)) / M)

    def _steepness(self, M: int, by_x: bool) -> Any:
        """The same for the exponential factor alone: the leading term, less what the others can make up for."""
        import flint
        import sympy

        if not self.exps:
            return flint.arb(0)
        r0, s0, c0 = self.exps[0]
        if sign(c0) > 0:
            return flint.arb("inf")
        inverse = flint.arb(0).union(1 / flint.arb(M).log())
        bracket = ball(r0) + ball(s0) * inverse
        shift = sympy.Integer(1) if by_x else sympy.Integer(0)
        factor = flint.arb(1)
        if sign(r0) == 0:  # c log^s x: its slope is c s log^(s-1) x
            lead = Scale(power=-shift, log=s0 - 1)
            size = ball(s0)
            if any(sign(c) > 0 for _, _, c in self.exps[1:]):
                raise Undecided("several powers of log x in one exponent, of both signs")
        else:
            lead, size = Scale(power=r0 - shift, log=s0), bracket.lower()
            for r, s, c in self.exps[1:]:
                if sign(c) < 0:
                    if not (ball(r) + ball(s) * inverse).lower() >= 0:
                        raise Undecided("a term of an exponent is not yet monotone")
                else:
                    ratio = Scale(power=r - r0, log=s - s0)
                    if not ratio.slope(M) <= 0:
                        raise Undecided("the terms of an exponent are not yet in order")
                    part = (ball(r) + ball(s) * inverse) / bracket
                    factor -= abs(ball(c) / ball(c0)) * ratio.at(M) * part.abs_upper()
        if not (factor > 0 and size > 0):
            return flint.arb("inf")
        if lead.order < 0:  # the steepness itself fades: no bound from below but zero
            return flint.arb(0)
        if lead.order > 0 and not _grows(lead, M):
            raise Undecided("the leading term of an exponent is not yet increasing")
        return ball(c0) * lead.at(M) * size * factor

    def decreases(self, M: int) -> bool:
        """Whether it is proved to decrease on ``[M, inf)``."""
        return bool(self.slope(M) <= 0)

    # ---- tails ----

    def tail(self, M: int) -> tuple[Any, Any]:
        """A lower and an upper bound of ``sum_{k > M} g(k)``, as balls.

        Raises
        ------
        Undecided
            If no bound applies from M on.
        """
        import flint

        if not self.sums() or not self.decreases(M):
            raise Undecided(f"no tail bound applies from {M} on")
        p, t, u = self.power, self.log, self.loglog
        if not self.exps and t == 0 and u == 0:
            whole = ball(-p).zeta(flint.arb(M + 1))
            return whole, whole
        area = self._area(M)
        if area is not None:
            return (area - self.at(M)).max(flint.arb(0)), area
        bounds = []
        kappa = -self.slope(M)
        if kappa > 1:
            bounds.append(self.at(M) * M / (kappa - 1))
        if self.exps:
            fall = -self.slope(M, by_x=True)
            if fall > 0:
                bounds.append(self.at(M + 1) / (1 - (-fall.lower()).exp()))
        if not bounds:
            raise Undecided(f"no tail bound applies from {M} on")
        return self.at(M + 1), min(bounds, key=lambda b: float(b.upper()))

    def _area(self, M: int) -> Any | None:
        """``int_M^inf g``, where it has a closed form (the incomplete Gamma function)."""
        import flint

        L = flint.arb(M).log()
        p, t, u = self.power, self.log, self.loglog
        if not self.exps:
            if sign(p + 1) < 0 and u == 0:
                return _gamma_tail(ball(t + 1), ball(-p - 1), L)
            if sign(p + 1) == 0 and sign(t + 1) < 0:
                return _gamma_tail(ball(u + 1), ball(-t - 1), L.log())
            if sign(p + 1) == 0 and sign(t + 1) == 0:
                return L.log() ** ball(u + 1) / ball(-u - 1)
            return None
        r, s, c = self.exps[0]
        if len(self.exps) > 1 or s != 0 or t != 0 or u != 0 or sign(r - 1) >= 0:
            return None
        out = _gamma_tail(ball((p + 1) / r), ball(-c), flint.arb(M) ** ball(r))
        return None if out is None else out / ball(r)


def describe(g: Scale) -> tuple[str, str]:
    """The function in words, and the test by which it sums or does not."""
    import sympy

    i = sympy.Symbol("i", positive=True)
    L = sympy.log(i)
    shown = i**g.power * L**g.log * sympy.log(L) ** g.loglog
    shown *= sympy.exp(sum(c * i**r * L**s for r, s, c in g.exps))
    if g.exps:
        geometric = len(g.exps) == 1 and g.exps[0][:2] == (1, 0)
        name = f"geometric, ratio {sympy.exp(g.exps[0][2])}" if geometric else "the exponential decides"
        return str(shown), f"{name}: it {'sums' if g.sums() else 'does not sum'}"
    for name, exponent in (("i", g.power), ("log i", g.log), ("log log i", g.loglog)):
        if sign(exponent + 1):
            side = "<" if sign(exponent + 1) < 0 else ">"
            sums = "sums" if g.sums() else "does not sum"
            return str(shown), f"integral test: the exponent {exponent} of {name} is {side} -1, it {sums}"
    return str(shown), "integral test: 1/(i log i log log i) does not sum"


def _gamma_tail(a: Any, b: Any, y: Any) -> Any | None:
    """``int_y^inf z^(a-1) exp(-b z) dz = Gamma(a, b y) / b^a``."""
    out = (b * y).gamma_upper(a) / b**a
    return out if out.is_finite() else None


def _grows(g: Scale, M: int) -> bool:
    """Whether g without exponentials increases on ``[M, inf)``."""
    import sympy

    return (g ** sympy.Integer(-1)).decreases(M)


def _before(a: tuple[Any, Any, Any], b: tuple[Any, Any, Any]) -> bool:
    first = sign(a[0] - b[0])
    return first > 0 or (first == 0 and sign(a[1] - b[1]) > 0)


__all__ = ["LEAST", "Scale", "Undecided", "ball", "describe", "sign"]
