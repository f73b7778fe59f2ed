"""The answer about ``lim T^n``: whether it exists, the projection, the rates, and what proves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.limit.conclusion import Rate
from lipop.limit.hypothesis import Hypothesis
from lipop.limit.projection_gaps import PowerGap
from lipop.limit.projection_rates import error_from

NAME = "T^n x converges for every x"


@dataclass(frozen=True, eq=False)
class ProjectionLimit:
    """What became of ``T^n``.

    Parameters
    ----------
    T : Operator
    evidence : Hypothesis
        Whether ``T^n x`` converges for every x: proved, conditional, violated (it diverges for some x), or unknown.
    Q : Operator or None
        The limit as an operator; ``error`` says how far it may be from the true one.
    rates : mapping of str to Rate
        ``error`` bounds ``|T^n x - Qx|``, its radius ``|x - Qx|``; ``residual`` bounds ``|T^{n+1} x - T^n x|``, its
        radius the distance of x from a fixed point.
    error : float
        Bound of ``|Q'x - Qx| / max(1, |x|)`` for the operator Q' that is given (0: it is the limit itself; infinite:
        its values come from an iteration without a bound).
    """

    T: Operator
    evidence: Hypothesis
    Q: Operator | None = None
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    error: float = 0.0

    @property
    def exists(self) -> bool | None:
        """True, False, or None where nothing decides."""
        return True if self.evidence.holds else (False if self.evidence.violated else None)

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.evidence.reason

    @property
    def rate(self) -> Rate | None:
        """The bound of ``|T^n x - Qx|``, where there is one."""
        return self.rates.get("error")

    @property
    def proof(self) -> Bound | None:
        """The bound behind the rate after one step, with its proof; or behind the evidence."""
        return self.evidence.bound if self.rate is None else self.rate.bound(1, 1.0)

    def __str__(self) -> str:
        return str(self.evidence)


def gap_rate(T: Operator, symbolic: Any) -> Rate:
    """The rate that :class:`lipop.limit.projection_gaps.PowerGap` certifies at every depth."""
    return Rate(r"|T^n x - Qx|", lambda n, r: error_from(PowerGap(T, n).bound(), r or 0.0), symbolic, uniform=False)


def depth_symbols() -> tuple[Any, Any]:
    """The SymPy symbols n (the depth) and r (the radius)."""
    import sympy

    return sympy.Symbol("n", positive=True, integer=True), sympy.Symbol("r", nonnegative=True)


def exactly(value: float) -> Any:
    """A float as the rational number that it is."""
    import sympy

    return sympy.Rational(*value.as_integer_ratio())


__all__ = ["NAME", "ProjectionLimit", "depth_symbols", "exactly", "gap_rate"]
