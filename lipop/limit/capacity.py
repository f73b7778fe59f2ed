"""How rich the class of limits is, and how the limit depends on the parameters.

Block i has parameters ``theta_i`` in a ball of radius R in dimension p, and ``|T_i(x; theta) - T_i(x; theta')| <= G_i
|theta - theta'|`` on D, which every block maps into itself. Then ``|S_P(x; theta) - S_P(x; theta')| <= sum_i
(prod_{j>i} Lip T_j) G_i |theta_i - theta_i'|``: with Lip <= 1 additive in depth, not exponential. Together with a
truncation bound that is the same for the whole class this bounds covering numbers independently of the depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lipop.core.rounding import float_up, workprec
from lipop.errors import DomainError
from lipop.limit.laws import Law


def parameter_lipschitz(lips: Sequence[float], gains: Sequence[float]) -> list[float]:
    """The constant of ``S_P`` in the parameters of each block: ``G_i prod_{j>i} Lip T_j``, rounded up.

    Parameters
    ----------
    lips : sequence of float
        Upper bounds of Lip T_1, ..., Lip T_P on D.
    gains : sequence of float
        G_1, ..., G_P.

    Returns
    -------
    list of float

    Raises
    ------
    DomainError
        If the lengths differ, or a number is negative.

    Examples
    --------
    >>> parameter_lipschitz([1.0, 2.0, 1.0], [1.0, 1.0, 3.0])
    [2.0, 1.0, 3.0]
    """
    import flint

    if len(lips) != len(gains):
        raise DomainError(f"one gain for each block is needed, found {len(gains)} for {len(lips)}")
    if any(not v >= 0 for v in (*lips, *gains)):
        raise DomainError("Lipschitz constants and gains must not be negative")
    out: list[float] = []
    with workprec():
        behind = flint.arb(1)
        for lip, gain in zip(reversed(lips), reversed(gains), strict=True):
            out.append(float_up(behind * flint.arb(gain)))
            behind *= flint.arb(lip)
    return out[::-1]


@dataclass(frozen=True, eq=False)
class LimitClass:
    """The limits ``S_inf(.; theta)`` of a class of non-expansive blocks with one deviation law.

    Parameters
    ----------
    deviation : Law
        ``eps_i``, the same for every member; it must sum.
    dimension : int
        p, the parameters of one block.
    radius : float
        R.
    gain : float
        ``G >= G_i`` for every i.

    Raises
    ------
    DomainError
        If a number is out of range or the law is not known to sum.

    Notes
    -----
    The members share one non-expansive T. After ``n(e)`` blocks, the first n with ``tau_n <= e/2``, the output ``Q S_n
    x`` is within e/2 of the limit (theorem 2) for every member. A cover of each block's parameters with radius ``e / (2
    n G)`` moves it by at most e/2 more. So ``log N(e) <= p n log(1 + 4 n G R / e)``, independent of the depth.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> c = LimitClass(Law(k**-3), 10, 1.0, 1.0)
    >>> c.truncation(0.01), round(c.log_covering_number(0.01), 1)
    (10, 829.4)
    """

    deviation: Law
    dimension: int
    radius: float
    gain: float

    def __post_init__(self) -> None:
        if self.dimension < 1 or not (self.radius > 0 and self.gain > 0):
            raise DomainError("a class needs p >= 1, R > 0 and G > 0")
        if self.deviation.summable is not True:
            raise DomainError(f"{self.deviation!r} is not known to sum: {self.deviation.reason}")

    def truncation(self, e: float, most: int = 2**30) -> int:
        """The first n with ``tau_n <= e/2``, proved.

        Raises
        ------
        DomainError
            If e is not positive, or n would exceed ``most``.
        """
        if not e > 0:
            raise DomainError(f"a radius of a cover must be positive, found {e!r}")
        tail, low = self.deviation.tail, self.deviation.start
        high = low
        while tail(high) > e / 2:
            low, high = high + 1, 2 * high
            if high > most:
                raise DomainError(f"the deviations sum too slowly for a cover of radius {e:g}: more than {most} blocks")
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if tail(middle) <= e / 2 else (middle + 1, high)
        return high

    def log_covering_number(self, e: float) -> float:
        """An upper bound of ``log N(e)`` in the sup norm over D, in nats, rounded up."""
        import flint

        n = self.truncation(e)
        with workprec():
            size = 1 + 4 * n * flint.arb(self.gain) * flint.arb(self.radius) / flint.arb(e)
            return float_up(self.dimension * n * size.log())

    def modulus(self, distance: float, most: int = 2**24) -> tuple[float, int]:
        """How far two limits can be apart whose parameters differ by at most ``distance`` in every block: the smallest
        ``2 tau_n + n G distance`` over n, rounded up, and that n.

        Both limits are within tau_n of their projected outputs, which differ by n G distance at most; the limit is
        therefore a continuous function of the parameters, uniformly on D.

        Examples
        --------
        >>> import sympy
        >>> k = sympy.Symbol("k")
        >>> value, n = LimitClass(Law(2 ** (-k)), 1, 1.0, 1.0).modulus(1e-3)
        >>> round(value, 5), n
        (0.01195, 10)
        """
        if not distance >= 0:
            raise DomainError(f"a distance must not be negative, found {distance!r}")
        if distance == 0:
            return 0.0, 0
        import flint

        best, at, n = math.inf, 0, self.deviation.start
        while n <= most:
            with workprec():
                spread = float_up(n * flint.arb(self.gain) * flint.arb(distance))
                total = float_up(2 * flint.arb(self.deviation.tail(n)) + flint.arb(spread))
            if spread >= best:
                break
            if total < best:
                best, at = total, n
            n = n + 1 if n < 64 else n + n // 64
        return best, at


def entropy_exponent(s: float) -> float:
    """``1 / (s - 1)``: for ``eps_i = c i^-s``, ``log N(e)`` grows like ``e^(-1/(s-1))`` up to logarithms.

    >>> entropy_exponent(2.0)
    1.0
    """
    if not s > 1:
        raise DomainError(f"the deviations must sum: s > 1, found {s!r}")
    return 1 / (s - 1)


def generalization_exponent(s: float) -> tuple[float, str]:
    """The exponent a of the uniform deviation ``N^-a`` that Dudley's integral gives for ``eps_i = c i^-s``, and why.

    The integral of ``sqrt(log N(e))`` converges at 0 iff ``1/(2(s-1)) < 1``, that is s > 3/2; then a = 1/2. For ``1 < s
    < 3/2`` the truncated integral gives a = s - 1 up to logarithms.

    Examples
    --------
    >>> generalization_exponent(2.0)[0], generalization_exponent(1.25)[0]
    (0.5, 0.25)
    """
    if not s > 1:
        raise DomainError(f"the deviations must sum: s > 1, found {s!r}")
    if s > 1.5:
        return 0.5, "Dudley's integral converges (s > 3/2)"
    if s == 1.5:
        return 0.5, "Dudley's integral diverges logarithmically (s = 3/2): a = 1/2 up to logarithms"
    return s - 1, "Dudley's integral diverges (s < 3/2); truncated, it gives s - 1 up to logarithms"


def truncation_formula(c: Any, s: Any, e: Any) -> Any:
    """``(2 c / ((s - 1) e))^(1/(s - 1))``, the leading term of ``n(e)`` for ``eps_i = c i^-s``, on numbers or symbols.

    >>> truncation_formula(1.0, 3.0, 0.01)
    10.0
    """
    return (2 * c / ((s - 1) * e)) ** (1 / (s - 1))


__all__ = [
    "LimitClass",
    "entropy_exponent",
    "generalization_exponent",
    "parameter_lipschitz",
    "truncation_formula",
]
