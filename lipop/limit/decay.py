"""Deviation laws with exact tails, for families whose distances are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.errors import DomainError
from lipop.limit.sequence import as_expression


@dataclass(frozen=True)
class Decay:
    """``i^-s`` or ``r^i``, with exact tails.

    Parameters
    ----------
    kind : str
        ``power`` (s > 1) or ``geometric`` (0 < r < 1).
    rate : float
        s or r.

    Raises
    ------
    DomainError
        If it does not sum.

    Examples
    --------
    >>> round(float(Decay("power", 2.0).tail(0)), 6), float(Decay("geometric", 0.5).tail(3))
    (1.644934, 0.125)
    """

    kind: str
    rate: float

    def __post_init__(self) -> None:
        if not ((self.kind == "power" and self.rate > 1) or (self.kind == "geometric" and 0 < self.rate < 1)):
            raise DomainError(f"power needs s > 1, geometric 0 < r < 1; found {self.kind} {self.rate}")

    @property
    def expr(self) -> Any:
        """The SymPy expression in the symbol i."""
        import sympy

        i, rate = sympy.Symbol("i"), as_expression(self.rate, "a rate")
        return i**-rate if self.kind == "power" else rate**i

    def value(self, i: int) -> Any:
        """eps_i as a ball."""
        import flint

        rate = flint.arb(self.rate)
        return flint.arb(i) ** -rate if self.kind == "power" else rate**i

    def tail(self, n: int) -> Any:
        """tau_n as a ball."""
        import flint

        rate = flint.arb(self.rate)
        return rate.zeta(n + 1) if self.kind == "power" else rate ** (n + 1) / (1 - rate)

    def squares(self, n: int) -> Any:
        """The tail of the squares as a ball."""
        import flint

        rate = flint.arb(self.rate)
        return (2 * rate).zeta(n + 1) if self.kind == "power" else rate ** (2 * n + 2) / (1 - rate**2)


__all__ = ["Decay"]
