"""Architectures: sequences of blocks ``T_1, T_2, ...`` on one domain, finite or given by a rule.

``S(n, m) = T_n o ... o T_{m+1}`` is the partial composition; the limit architecture at m is ``lim_n S(n, m)``. What is
known of all blocks at once stands in laws: how far ``T_i`` is from a limit operator T (``deviation``), its Lipschitz
constant (``lip``), its lower Lipschitz constant (``expansion``). A law is *declared* by the user or *derived* from how
the rule is built; only what is derived proves anything about infinitely many blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.algebra import Identity
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError
from lipop.limit.laws import Growth, Law, Uniform

Rule = Callable[[int], Operator]
LAWS = ("deviation", "lip", "expansion")


@dataclass(frozen=True, eq=False, repr=False)
class Architecture:
    """A sequence of blocks on a domain; use the constructors :meth:`by_rule`, :meth:`finite`, :meth:`tied`,
    :meth:`periodic`, :meth:`residual`.

    Attributes
    ----------
    rule : callable
        ``i -> T_i`` for i = 1, 2, ...
    space : Space
        Shape and norm of the points.
    on : Region
        The domain D, which every block maps into itself; the whole space by default.
    limit : Operator or None
        The operator T that the deviation law compares with.
    deviation : Uniform, Growth or None
    lip, expansion : Law or None
        Bounds of the blocks' Lipschitz constants from above and of their lower Lipschitz constants from below.
    start : int
        The first block of which the laws speak (K0 + 1: blocks before it are arbitrary).
    length : int or None
        The number of blocks; None for infinitely many.

    Examples
    --------
    >>> import sympy
    >>> from lipop.operators.linear import Affine
    >>> k = sympy.Symbol("k")
    >>> P = Affine(np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> arch = Architecture.by_rule(
    ...     lambda i: Affine(P.A, np.array([0.0, 1 / i**2])), limit=P, deviation=Uniform(1 / k**2), index=k
    ... )
    >>> arch(np.array([2.0, 3.0]), depth=10).tolist(), arch.origin("deviation")
    ([2.0, 0.01], 'declared')
    """

    rule: Rule
    space: Space
    on: Region = field(default_factory=Everywhere)
    limit: Operator | None = None
    deviation: Law | None = None
    lip: Law | None = None
    expansion: Law | None = None
    start: int = 1
    length: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    # ---- constructors ----

    @staticmethod
    def by_rule(
        rule: Rule,
        on: Region | None = None,
        limit: Operator | None = None,
        deviation: Any = None,
        index: Any = None,
        lip: Any = None,
        expansion: Any = None,
        start: int = 1,
        name: str = "",
    ) -> Architecture:
        """Infinitely many blocks ``rule(1), rule(2), ...`` with declared laws.

        Parameters
        ----------
        rule : callable
            ``rule(i)`` is the block ``T_i``, i >= 1. A Python function proves nothing: laws given with it are declared.
        on : Region or None
            The domain D (None: the whole space).
        limit : Operator or None
            T.
        deviation : Uniform, Growth, SymPy expression or None
            ``|T_i x - T x| <= e(i)`` on D for i >= start; an expression stands for Uniform.
        index : SymPy symbol or None
            The layer in the laws.
        lip, expansion : number, SymPy expression, Law or None
        start : int
            The first block of which the laws speak.

        Raises
        ------
        DomainError, ShapeError, RegionError
            If a block or T does not map the space into itself, or a law is malformed.
        """
        return _checked(rule, on, limit, deviation, index, lip, expansion, start, name)

    @staticmethod
    def finite(operators: Sequence[Operator], on: Region | None = None, limit: Operator | None = None) -> Architecture:
        """Finitely many blocks, the first one applied first."""
        blocks = tuple(operators)
        if not blocks:
            raise DomainError("an architecture needs at least one block")
        for i, block in enumerate(blocks, 1):
            _fits(block, blocks[0].domain, f"block {i}")
        base = _checked(lambda i: blocks[i - 1], on, limit, None, None, None, None, 1, "")
        return dataclasses.replace(base, length=len(blocks))

    @staticmethod
    def tied(block: Operator, on: Region | None = None) -> Architecture:
        """The same block over and over: its own limit operator, with deviation 0 (derived)."""
        base = _checked(lambda i: block, on, block, Uniform(0), None, None, None, 1, "")
        return dataclasses.replace(base, origins={"deviation": "derived"})

    @staticmethod
    def periodic(blocks: Sequence[Operator], on: Region | None = None) -> Architecture:
        """``blocks[0], blocks[1], ...``, again and again."""
        blocks = tuple(blocks)
        if not blocks:
            raise DomainError("an architecture needs at least one block")
        for i, block in enumerate(blocks, 1):
            _fits(block, blocks[0].domain, f"block {i}")
        return _checked(lambda i: blocks[(i - 1) % len(blocks)], on, None, None, None, None, None, 1, "")

    # ---- blocks and compositions ----

    def block(self, i: int) -> Operator:
        """The block ``T_i``, i >= 1.

        Raises
        ------
        DomainError
            If there is no such block.
        """
        if isinstance(i, bool) or not isinstance(i, int | np.integer) or i < 1 or (self.length and i > self.length):
            raise DomainError(f"blocks are counted 1, 2, ..., {self.length or '...'}; found {i!r}")
        return _fits(self.rule(int(i)), self.space, f"block {i}")

    def S(self, n: int, m: int = 0) -> Operator:
        """``T_n o ... o T_{m+1}`` as an operator (the identity for n = m)."""
        if not 0 <= m <= n:
            raise DomainError(f"S(n, m) needs 0 <= m <= n, found n={n}, m={m}")
        if n == m:
            return Identity(self.space)
        return Composition(tuple(self.block(i) for i in range(n, m, -1))) if n > m + 1 else self.block(n)

    def __call__(self, x: np.ndarray, depth: int | None = None, m: int = 0) -> np.ndarray:
        """``S(depth, m) x``, block by block: no more than one block and three arrays of x's size at a time.

        Raises
        ------
        DomainError
            If an infinite architecture gets no depth.
        """
        n = self.length if depth is None else depth
        if n is None:
            raise DomainError("an architecture by rule has no last block: say depth=")
        if not 0 <= m <= n:
            raise DomainError(f"S(n, m) needs 0 <= m <= n, found n={n}, m={m}")
        x = self.space.check(np.asarray(x))
        for i in range(m + 1, n + 1):
            x = self.block(i)(x)
        return x

    def truncate(self, n: int) -> Architecture:
        """The first n blocks."""
        if n < 1 or (self.length is not None and n > self.length):
            raise DomainError(f"an architecture of {self.length or 'infinitely many'} blocks has no first {n}")
        return dataclasses.replace(self, length=n)

    def shift(self, m: int) -> Architecture:
        """Without the first m blocks: block i of the result is block i + m."""
        if m < 0 or (self.length is not None and m >= self.length):
            raise DomainError(f"an architecture of {self.length or 'infinitely many'} blocks has none after {m}")
        rule = self.rule
        return dataclasses.replace(
            self,
            rule=lambda i: rule(i + m),
            start=max(1, self.start - m),
            length=None if self.length is None else self.length - m,
            deviation=None if self.deviation is None else self.deviation.shifted(m),
            lip=None if self.lip is None else self.lip.shifted(m),
            expansion=None if self.expansion is None else self.expansion.shifted(m),
        )

    # ---- laws ----

    def origin(self, law: str) -> str | None:
        """``"derived"`` (a theorem about how the rule is built gives the law), ``"declared"`` (the user says so), or
        None (there is no such law)."""
        if law not in LAWS:
            raise DomainError(f"an architecture has the laws {LAWS}, not {law!r}")
        return None if getattr(self, law) is None else self.origins.get(law, "declared")

    def __repr__(self) -> str:
        size = "infinite" if self.length is None else f"{self.length} blocks"
        return f"Architecture({self.name + ', ' if self.name else ''}{size}, {self.space.shape} in {self.space.norm})"


def _fits(op: Operator, space: Space, what: str) -> Operator:
    """The operator, if it maps the space into itself, in its norm."""
    if not isinstance(op, Operator):
        raise DomainError(f"{what} must be an Operator, found a {type(op).__name__}")
    for side, found in (("takes", op.domain), ("gives", op.codomain)):
        if not found.meets(space) or found.norm != space.norm:
            raise ShapeError(
                f"{what} {side} points of {found.shape} in {found.norm}, the architecture is on {space.shape} in "
                f"{space.norm}"
            )
    return op


def _checked(
    rule: Rule, on: Region | None, limit: Operator | None, deviation: Any, index: Any, lip: Any, expansion: Any,
    start: int, name: str,
) -> Architecture:  # fmt: skip
    if not callable(rule):
        raise DomainError(f"the rule must be a function i -> Operator, found a {type(rule).__name__}")
    first = rule(1)
    if not isinstance(first, Operator):
        raise DomainError(f"the rule must give Operators, rule(1) is a {type(first).__name__}")
    space = first.domain
    _fits(first, space, "block 1")
    if limit is not None:
        _fits(limit, space, "the limit operator")
    if deviation is not None and limit is None:
        raise DomainError("a deviation law compares with a limit operator: say limit=")
    laws = (
        _law(deviation, Uniform, index, start, "deviation"),
        _law(lip, Law, index, start, "lip"),
        _law(expansion, Law, index, start, "expansion"),
    )
    origins = {key: "declared" for key, law in zip(LAWS, laws, strict=True) if law is not None}
    on = first._region(on)  # pyright: ignore[reportPrivateUsage]
    return Architecture(rule, space, on, limit, *laws, start=start, origins=origins, name=name)


def _law(value: Any, kind: type[Law], index: Any, start: int, what: str) -> Law | None:
    if value is None:
        return None
    law = value if isinstance(value, Law) else kind(value, index, start)
    if what == "deviation" and not isinstance(law, Uniform | Growth):
        raise DomainError(f"a deviation law is Uniform or Growth, found {law!r}")
    if index is not None and law.index is not None and law.index != index:
        raise DomainError(f"{law!r} is a sequence in {law.index}, the architecture's index is {index}")
    law = law if law.start == start else law.starting(start)
    for i in range(start, min(start + 64, int(min(law.last, start + 64)))):
        law.exact(i)  # negative, complex and undefined values are refused here
    return law


__all__ = ["LAWS", "Architecture", "Rule"]
