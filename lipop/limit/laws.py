"""Laws: what is said about all blocks of an architecture at once, by one sequence.

``Uniform(e)`` says ``|T_i x - T x| <= e(i)`` on the domain, ``Growth(e)`` says ``|T_i x - T x| <= e(i) (1 + |x|)``, a
plain ``Law`` bounds a constant of each block (Lip, expansion). A law is a SymPy expression of one index, a number, or,
for finitely many layers, a sequence of numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from lipop.core.digest import digest
from lipop.core.rounding import float_down, float_up, workprec
from lipop.errors import DomainError
from lipop.limit.sequence import Term, as_expression, ball_function, index_of
from lipop.limit.series import Series

_FIRST = 64  # layers from the start on that are evaluated before a law is used
_FAR = range(2**20, 2**20 + 4)  # indices at which a law for infinitely many layers must be defined, wherever it starts


@dataclass(frozen=True, eq=False, repr=False)
class Law:
    """A sequence of non-negative numbers ``e(i)``, i >= start.

    Parameters
    ----------
    expr : SymPy expression, number, or sequence of numbers
        Text is refused. Floats count as the exact rational numbers that they are. A sequence holds the values of the
        layers ``start, start + 1, ...`` and says nothing about later ones.
    index : SymPy symbol or None
        The layer in ``expr``; by default its only symbol.
    start : int
        The first layer of which the law speaks (at least 1).

    Raises
    ------
    DomainError
        If the expression is not real, is negative, has another symbol, or is undefined far out.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> law = Law(1 / k**2)
    >>> law.at(2), law.summable, round(law.tail(9), 4)
    (0.25, True, 0.1052)
    """

    expr: Any
    index: Any = None
    start: int = 1
    values: tuple[float, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.start, bool) or not isinstance(self.start, int | np.integer) or self.start < 1:
            raise DomainError(f"a law starts at a layer 1, 2, ..., found start={self.start!r}")
        object.__setattr__(self, "start", int(self.start))
        if isinstance(self.expr, np.ndarray | Sequence) and not isinstance(self.expr, str):
            values = tuple(float(v) for v in self.expr)
            if not values or any(not (math.isfinite(v) and v >= 0) for v in values):
                raise DomainError(f"a law by layers needs finite values >= 0, at least one; found {list(self.expr)}")
            object.__setattr__(self, "values", values)
            object.__setattr__(self, "expr", None)
            return
        expr = as_expression(self.expr, "a law")
        index = index_of(expr, self.index, "a law")
        object.__setattr__(self, "expr", expr)
        object.__setattr__(self, "index", index)
        for i in _FAR:
            self.exact(i)

    # ---- the sequence ----

    @property
    def last(self) -> float:
        """The last layer of which the law speaks (infinity for a formula)."""
        return math.inf if self.values is None else self.start + len(self.values) - 1

    def exact(self, i: int) -> Any:
        """e(i) as a ball (128 bits).

        Raises
        ------
        DomainError
            If i lies outside the layers of the law, or the value there is not a real number >= 0.
        """
        import flint

        if not self.start <= i <= self.last:
            raise DomainError(f"{self!r} speaks about the layers {self.start} to {self.last}, not about layer {i}")
        with workprec():
            if self.values is not None:
                return flint.arb(self.values[i - self.start])
            value = self._term(i)
            if not value.is_finite():
                raise DomainError(f"{self!r} is not a real number at {self._name} = {i}: it is {self._shown(i)}")
            if value < 0:
                raise DomainError(f"{self!r} is negative at {self._name} = {i}: {float(value):.6g}; a law is >= 0")
            return value

    def at(self, i: int) -> float:
        """e(i), rounded up."""
        with workprec():
            return max(0.0, float_up(self.exact(i)))

    def below(self, i: int) -> float:
        """e(i), rounded down (not below zero)."""
        with workprec():
            return max(0.0, float_down(self.exact(i)))

    def checked(self) -> Self:
        """Itself, its first layers evaluated.

        Raises
        ------
        DomainError
            If it is negative or not a real number at one of the first layers.
        """
        for i in range(self.start, int(min(self.last + 1, self.start + _FIRST))):
            self.exact(i)
        return self

    # ---- its sum ----

    @property
    def summable(self) -> bool | None:
        """Whether ``sum_i e(i)`` is finite: True, False, or None where that is not decided."""
        return True if self.values is not None else self._series.convergent

    @property
    def reason(self) -> str:
        """Why :attr:`summable` says what it says."""
        return "finitely many layers" if self.values is not None else self._series.reason

    def tail(self, n: int) -> float:
        """``tau(n) = sum_{k > n} e(k)``, rounded up, the layers before ``start`` left out; infinite where the sum
        diverges or is not known to converge."""
        if self.values is None:
            return self._series.tail(n)
        rest = self.values[max(0, n - self.start + 1) :]
        with workprec():
            import flint

            return float_up(sum((flint.arb(v) for v in rest), flint.arb(0)))

    # ---- other laws from it ----

    def starting(self, start: int) -> Law:
        """The same law from a later layer on (or, for a formula, from any layer)."""
        if self.values is None:
            return dataclasses.replace(self, start=start)
        if not self.start <= start <= self.last:
            raise DomainError(f"{self!r} does not speak about layer {start}")
        return type(self)(self.values[start - self.start :], self.index, start)

    def shifted(self, m: int) -> Law:
        """The law of the architecture without its first m layers: e'(i) = e(i + m)."""
        if self.values is not None:
            later = self.starting(max(self.start, m + 1))
            return type(self)(later.values, self.index, max(1, self.start - m))
        expr = self.expr if self.index is None else self.expr.xreplace({self.index: self.index + m})
        return type(self)(expr, self.index, max(1, self.start - m))

    def scaled(self, c: Any) -> Law:
        """The law times a number >= 0."""
        if self.values is not None:
            return type(self)(
                [math.nextafter(v * float(c), math.inf) if v else 0.0 for v in self.values], None, self.start
            )
        return type(self)(self.expr * as_expression(c, "a factor"), self.index, self.start)

    @cached_property
    def _term(self) -> Term:
        return ball_function(self.expr, self.index)

    @cached_property
    def _series(self) -> Series:
        return Series(self.expr, self.index, self.start)

    @property
    def _name(self) -> str:
        return "layer" if self.index is None else str(self.index)

    def _shown(self, i: int) -> Any:
        return self.expr if self.index is None else self.expr.subs(self.index, i)

    @property
    def digest(self) -> str:
        """sha256 of the kind, the formula or the values, and the start."""
        import sympy

        what = [v.hex() for v in self.values] if self.values is not None else sympy.srepr(self.expr)
        return digest("lipop", type(self).__name__, what, str(self.index), self.start)

    def __repr__(self) -> str:
        shown = list(self.values) if self.values is not None else self.expr
        return (
            f"{type(self).__name__}({shown})"
            if self.start == 1
            else f"{type(self).__name__}({shown}, start={self.start})"
        )


class Uniform(Law):
    """The deviation law ``|T_i x - T x| <= e(i)`` for every x in the domain.

    >>> Uniform([0.5, 0.25]).tail(0)
    0.75
    """


class Growth(Law):
    """The deviation law ``|T_i x - T x| <= e(i) (1 + |x|)``, for unbounded domains.

    >>> Growth(0).summable
    True
    """


__all__ = ["Growth", "Law", "Uniform"]
