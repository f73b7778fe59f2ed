"""Rules whose blocks are linear combinations with coefficients that are formulas: ``T_i = sum_j c_j(i) F_j``.

Scalar multiples ``c(i) A``, perturbations ``P + e(i) B``, residual blocks ``x + h(i) F(x)`` and relaxations
``(1 - a(i)) x + a(i) N x`` are of this kind; what the formulas say holds for every layer, so that laws of such
architectures are derived, not declared (:mod:`lipop.limit.derived`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Relax, Residual, Scale, Sum
from lipop.core.operator import Operator
from lipop.core.rounding import workprec
from lipop.errors import DomainError
from lipop.limit.defined import require_defined
from lipop.limit.sequence import as_expression, ball_function, index_of


@dataclass(frozen=True, eq=False)
class Combination:
    """``T_i x = sum_j c_j(i) F_j(x)``.

    Parameters
    ----------
    terms : sequence of (coefficient, Operator)
        A coefficient is a number or a SymPy expression of the index; the operators share domain and codomain.
    index : SymPy symbol or None
        By default the only symbol of the coefficients.

    Raises
    ------
    DomainError
        If a coefficient is not a real formula of the index.
    ShapeError, NormMismatch
        If the operators cannot be added.

    Notes
    -----
    The rule stands for the exact coefficients; :meth:`__call__` and :meth:`apply` round them to float64.

    Examples
    --------
    >>> import sympy
    >>> from lipop.operators.linear import Affine
    >>> i, F = sympy.Symbol("i"), Affine(np.array([[2.0]]))
    >>> rule = Combination([(1, Identity(F.domain)), (1 / i, F)])
    >>> rule(4)(np.array([1.0])).tolist()
    [1.5]
    """

    terms: tuple[tuple[Any, Operator], ...]
    index: Any = None

    def __init__(self, terms: Sequence[tuple[Any, Operator]], index: Any = None) -> None:
        made: list[tuple[Any, Operator]] = []
        for c, op in terms:
            if not isinstance(op, Operator):
                raise DomainError(f"a term of a combination is (coefficient, Operator), found a {type(op).__name__}")
            made.append((as_expression(c, "a coefficient"), op))
        if not made:
            raise DomainError("a combination needs at least one term")
        Sum.of(*(op for _, op in made))
        import sympy

        index = index_of(sympy.Tuple(*(c for c, _ in made)), index, "the coefficients")
        for c, _ in made:
            require_defined(c, index, "a coefficient")
        object.__setattr__(self, "terms", tuple(made))
        object.__setattr__(self, "index", index)

    @cached_property
    def _values(self) -> list[Any]:
        return [ball_function(c, self.index) for c, _ in self.terms]

    def coefficients(self, i: int) -> list[float]:
        """The coefficients of block i, rounded to float64.

        Raises
        ------
        DomainError
            If one is not a finite real number.
        """
        with workprec():
            values = [f(i) for f in self._values]
        for (c, _), v in zip(self.terms, values, strict=True):
            if not v.is_finite():
                raise DomainError(f"the coefficient {c} is not a finite real number at layer {i}")
        return [float(v.mid()) for v in values]

    def __call__(self, i: int) -> Operator:
        """The block ``T_i`` (as a residual map or a relaxation where it is one)."""
        numbers = self.coefficients(i)
        parts = [(c, op) for c, (_, op) in zip(numbers, self.terms, strict=True) if c != 0]
        if not parts:
            return Scale(self.terms[0][1], 0.0)
        scaled = [op if c == 1 else Scale(op, c) for c, op in parts]
        for k, (c, op) in enumerate(parts):
            rest = scaled[:k] + scaled[k + 1 :]
            if not isinstance(op, Identity) or not rest:
                continue
            if len(rest) == 1 and self._relaxes:
                other = parts[1 - k]
                return other[1] if other[0] == 1 else Relax(other[1], other[0])
            if c == 1:
                return Residual(rest[0] if len(rest) == 1 else Sum.of(*rest))
        return scaled[0] if len(scaled) == 1 else Sum.of(*scaled)

    @cached_property
    def _relaxes(self) -> bool:
        """Whether the two coefficients add up to 1, as formulas."""
        import sympy

        return len(self.terms) == 2 and sympy.simplify(self.terms[0][0] + self.terms[1][0] - 1) == 0

    def apply(self, i: int, x: np.ndarray) -> np.ndarray:
        """``T_i x`` in the memory of x and two more arrays (one, for a single operator besides the identity)."""
        out: np.ndarray | None = None
        same = 0.0
        for c, (_, op) in zip(self.coefficients(i), self.terms, strict=True):
            if isinstance(op, Identity):
                same += c
            elif c != 0:
                y = op(x)
                if y is x or y.base is not None or not y.flags.writeable:
                    y = y.copy()
                y *= y.dtype.type(c)
                out = y if out is None else np.add(out, y, out=out)
        if out is None:
            return x * x.dtype.type(same)
        if same == 0:
            return out
        return np.add(out, x if same == 1 else x * x.dtype.type(same), out=out)

    def shifted(self, m: int) -> Combination:
        """The rule without its first m blocks."""
        if self.index is None:
            return self
        moved = {self.index: self.index + m}
        return Combination([(c.xreplace(moved), op) for c, op in self.terms], self.index)

    def __repr__(self) -> str:
        return "Combination(" + " + ".join(f"({c}) {op!r}" for c, op in self.terms) + ")"


__all__ = ["Combination"]
