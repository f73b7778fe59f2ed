"""The error of an architecture as a function of its depth P, and where a power law in depth comes from.

Worst case over all families with deviations ``eps_i``: contractive, ``q^P r + sum_{k<=P} q^(P-k) eps_k``; critical (L =
1), ``2 eps_P + tau_P``, and ``tau_P`` after the output is projected. Both are attained. With ``eps_i ~ c i^-s`` these
are ``c/(1-q) P^-s`` and ``c/(s-1) P^(1-s)``: criticality costs one power of P, and summability. Either is exponential
if and only if ``eps_i`` is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.core.rounding import float_up, workprec
from lipop.errors import DomainError
from lipop.limit.law_bounds import LawBounds
from lipop.limit.laws import Law

CONTRACTIVE, CRITICAL = "contractive", "critical"


@dataclass(frozen=True, eq=False)
class DepthError:
    """The worst-case error over the families with given deviations.

    Parameters
    ----------
    deviation : Law
        ``eps_i``.
    q : float
        ``Lip(T)``: below 1 contractive, 1 critical.

    Raises
    ------
    DomainError
        If q does not lie in [0, 1].

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> critical, contractive = (DepthError(Law(k**-3), q) for q in (1.0, 0.5))
    >>> [(e.regime, round(e(100, radius=1.0), 8), round(e.power_law(100), 8)) for e in (critical, contractive)]
    [('critical', 5.15e-05, 5e-05), ('contractive', 2.06e-06, 2e-06)]
    """

    deviation: Law
    q: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 1:
            raise DomainError(f"Lip(T) must lie in [0, 1], found {self.q!r}")

    @property
    def regime(self) -> str:
        """``contractive`` or ``critical``."""
        return CRITICAL if self.q == 1 else CONTRACTIVE

    def __call__(self, depth: int, radius: float = 0.0) -> float:
        """The worst-case error at depth P, rounded up.

        Parameters
        ----------
        depth : int
        radius : float
            A bound of ``|x - x*|`` (contractive only).
        """
        import flint

        law = self.deviation
        if self.regime == CRITICAL:
            with workprec():
                return float_up(2 * law.exact(depth) + flint.arb(law.tail(depth)))
        sum_up = LawBounds(law, "deviation").discounted(depth, self.q, law.start).value
        with workprec():
            return float_up(flint.arb(self.q) ** (depth + 1 - law.start) * flint.arb(radius) + flint.arb(sum_up))

    def projected(self, depth: int) -> float:
        """The critical error after the output is projected, ``tau_P``, rounded up.

        Raises
        ------
        DomainError
            In the contractive regime, where the limit is a constant.
        """
        if self.regime != CRITICAL:
            raise DomainError("projecting the output is for the critical regime; a contraction's limit is constant")
        return self.deviation.tail(depth)

    def power_law(self, depth: int) -> float:
        """The leading term for ``eps_i ~ c i^-s`` (a float, not a bound).

        Raises
        ------
        DomainError
            If the law is no power, or does not sum where it must.
        """
        c, s = leading_power(self.deviation)
        if self.regime == CRITICAL:
            if not s > 1:
                raise DomainError(f"in the critical regime the deviations must sum: s > 1, found s = {s}")
            return float(c / (s - 1) * depth ** (1 - s))
        return float(c / (1 - self.q) * depth ** (-s))


def leading_power(law: Law) -> tuple[Any, Any]:
    """``(c, s)`` with ``eps_i ~ c i^-s``, as SymPy numbers.

    Raises
    ------
    DomainError
        If the law has no such leading term.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> leading_power(Law((2 * k + 1) / k**3))
    (2, 2)
    """
    import sympy

    from lipop.limit.law_evidence import limit_of

    if law.index is None or law.expr is None:
        raise DomainError(f"{law!r} is no power of the layer")
    i = law.index
    s = limit_of(sympy.together(-i * law.expr.diff(i) / law.expr), i)
    if s is None or not s.is_finite or (s > 0) != True:  # noqa: E712  # SymPy's own truth values
        raise DomainError(f"{law!r} has no leading power of the layer")
    c = limit_of(sympy.simplify(law.expr * i**s), i)
    if c is None or not c.is_finite or c == 0:
        raise DomainError(f"{law!r} is no power times a constant")
    return c, s


def crossover_depth(q: float, s: float) -> float:
    """The depth ``(s - 1) / (1 - q)`` at which the two power laws meet.

    Up to it a contraction with q near 1 behaves like the critical regime, ``c/(s-1) P^(1-s)``; behind it like ``c/(1-q)
    P^-s``.

    Parameters
    ----------
    q : float
        In [0, 1).
    s : float
        Above 1.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> round(crossover_depth(0.99, 2.0), 6)
    100.0
    """
    if not 0 <= q < 1:
        raise DomainError(f"the contraction factor must lie in [0, 1), found {q!r}")
    if not s > 1:
        raise DomainError(f"the critical regime needs s > 1, found {s!r}")
    return (s - 1) / (1 - q)


def first_depth(error: DepthError, tolerance: float, radius: float = 0.0, most: int = 2**24) -> int:
    """The smallest depth at which the worst-case error is proved to be at most the tolerance (by bisection; the error
    must fall from the law's start on, as it does for a decreasing law).

    Raises
    ------
    DomainError
        If no depth up to ``most`` does.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> first_depth(DepthError(Law(2 ** (-k))), 1e-3)
    12
    """
    low = high = error.deviation.start
    while error(high, radius) > tolerance:
        low, high = high + 1, 2 * high
        if high > most:
            raise DomainError(f"no depth up to {most} brings the error below {tolerance:g}")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle, radius) <= tolerance else (middle + 1, high)
    return high


__all__ = ["CONTRACTIVE", "CRITICAL", "DepthError", "crossover_depth", "first_depth", "leading_power"]
