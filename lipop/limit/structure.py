"""Rules whose blocks are known for every layer at once: cycles, and affine maps with entries that are formulas.

A Python function ``i -> T_i`` says nothing about blocks that were not asked for. These rules do, and what is concluded
from them is proved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.algebra import residual
from lipop.core.operator import Operator
from lipop.core.rounding import workprec
from lipop.errors import DomainError, ShapeError
from lipop.limit.defined import require_defined
from lipop.limit.sequence import as_expression, ball_function
from lipop.operators.linear import Affine


@dataclass(frozen=True, eq=False)
class Cycle:
    """``head[0], ..., head[-1]``, then ``cycle[0], ..., cycle[-1]`` again and again.

    Parameters
    ----------
    cycle : sequence of Operator
    head : sequence of Operator

    Raises
    ------
    DomainError
        If there is nothing to repeat.

    Examples
    --------
    >>> rule = Cycle([Affine(5 * np.eye(1))], head=[Affine(np.zeros((1, 1)))])
    >>> [float(rule(i).A[0, 0]) for i in (1, 2, 3)]
    [0.0, 5.0, 5.0]
    """

    cycle: Sequence[Operator]
    head: Sequence[Operator] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cycle", tuple(self.cycle))
        object.__setattr__(self, "head", tuple(self.head))
        if not self.cycle:
            raise DomainError("a cycle needs at least one block")

    def __call__(self, i: int) -> Operator:
        """The block ``T_i``, i >= 1."""
        k = len(self.head)
        return self.head[i - 1] if i <= k else self.cycle[(i - 1 - k) % len(self.cycle)]

    def shifted(self, m: int) -> Cycle:
        """The rule without its first m blocks."""
        if m <= len(self.head):
            return Cycle(self.cycle, self.head[m:])
        k = (m - len(self.head)) % len(self.cycle)
        return Cycle((*self.cycle[k:], *self.cycle[:k]))


@dataclass(frozen=True, eq=False)
class AffineRule:
    """``T_i x = A(i) x + b(i)`` with entries that are formulas of i.

    Parameters
    ----------
    A : SymPy matrix or nested sequence, (n, n)
    b : SymPy matrix or sequence, (n,), or None
    index : SymPy symbol
    norm : str
        The norm of the space.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DomainError
        If an entry is not a real formula of the index, or undefined at one of the first layers.

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> AffineRule([[1]], [1 / i], i)(4)(np.array([1.0])).tolist()
    [1.25]
    """

    A: Any
    b: Any
    index: Any
    norm: str = "l2"

    def __init__(self, A: Any, b: Any, index: Any, norm: str = "l2") -> None:
        import sympy

        if not isinstance(index, sympy.Symbol):
            raise DomainError(f"the index must be a SymPy symbol, found {index!r}")
        rows = [list(A.row(r)) for r in range(A.rows)] if isinstance(A, sympy.MatrixBase) else [list(r) for r in A]
        n = len(rows)
        if n == 0 or any(len(r) != n for r in rows):
            raise ShapeError(f"the matrix of a block is square, found rows of {[len(r) for r in rows]} entries")
        offset = [0] * n if b is None else list(b)
        if len(offset) != n:
            raise ShapeError(f"the offset of a block on {n} numbers has {n} entries, found {len(offset)}")
        entries = [as_expression(e, "an entry of a block") for row in (*rows, offset) for e in row]
        for e in entries:
            if e.free_symbols - {index}:
                raise DomainError(f"the entry {e} has symbols other than the index {index}")
            require_defined(e, index, "an entry of a block")
        for key, value in (
            ("A", sympy.ImmutableMatrix(n, n, entries[: n * n])),
            ("b", sympy.ImmutableMatrix(n, 1, entries[n * n :])),
            ("index", index),
            ("norm", norm),
            ("_terms", tuple(ball_function(e, index) for e in entries)),
        ):
            object.__setattr__(self, key, value)
        for i in range(1, 9):
            self(i)

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return self.A.rows

    def __call__(self, i: int) -> Affine:
        """The block ``T_i``, its entries rounded to float64.

        Raises
        ------
        DomainError
            If an entry is not a finite real number.
        """
        with workprec():
            values = [term(i) for term in self._terms]  # pyright: ignore[reportAttributeAccessIssue]
            if not all(v.is_finite() for v in values):
                raise DomainError(f"block {i} of {self!r} has an entry that is not a finite real number")
            numbers = [float(v.mid()) for v in values]
        n = self.size
        b = np.array(numbers[n * n :])
        a = np.array(numbers[: n * n]).reshape(n, n)
        return Affine(a, b if b.any() else None, norm_in=self.norm, norm_out=self.norm)

    def homogeneous(self) -> Any:
        """``[[A, b], [0, 1]]`` as a SymPy matrix."""
        import sympy

        n = self.size
        return sympy.Matrix(sympy.BlockMatrix([[self.A, self.b], [sympy.zeros(1, n), sympy.ones(1, 1)]]))

    def __repr__(self) -> str:
        return f"AffineRule(A = {self.A.tolist()}, b = {list(self.b)})"


@dataclass(frozen=True, eq=False)
class ResidualRule:
    """``T_i x = x + h(i) F(x)`` for one field F and steps given by a formula.

    Parameters
    ----------
    field : Operator
        F.
    steps : SymPy expression
    index : SymPy symbol

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> ResidualRule(Affine(-np.eye(1)), 1 / i, i)(2)(np.array([1.0])).tolist()
    [0.5]
    """

    field: Operator
    steps: Any
    index: Any

    def __post_init__(self) -> None:
        steps = as_expression(self.steps, "a step")
        if steps.free_symbols - {self.index}:
            raise DomainError(f"the step {steps} has symbols other than the index {self.index}")
        require_defined(steps, self.index, "a step")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "_term", ball_function(steps, self.index))

    def __call__(self, i: int) -> Operator:
        """The block ``T_i``, its step rounded to float64."""
        with workprec():
            h = self._term(i)  # pyright: ignore[reportAttributeAccessIssue]
            if not h.is_finite():
                raise DomainError(f"the step {self.steps} is not a finite real number at {self.index} = {i}")
            return residual(float(h.mid()) * self.field)


__all__ = ["AffineRule", "Cycle", "ResidualRule"]
