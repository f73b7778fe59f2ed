"""Architectures: sequences of blocks ``T_1, T_2, ...`` on one domain, finite or given by a rule.

``S(n, m) = T_n o ... o T_{m+1}`` is the partial composition; the limit architecture at m is ``lim_n S(n, m)``. What is
known of all blocks at once stands in laws: how far ``T_i`` is from a limit operator T (``deviation``), its Lipschitz
constant (``lip``), its lower Lipschitz constant (``expansion``). A law is *declared* by the user or *derived* from how
the rule is built; only what is derived proves anything about infinitely many blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core.algebra import Identity
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.core.space import Space
from lipop.errors import DomainError
from lipop.limit.building import LAWS, Rule, fields, fits, residual_rule, shifted_rule
from lipop.limit.laws import Law

if TYPE_CHECKING:
    from lipop.limit.contradiction import Contradiction
    from lipop.limit.hypothesis import Hypothesis
    from lipop.limit.truncation import LimitValue


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
    >>> from lipop.limit.laws import Uniform
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
        """Infinitely many blocks ``rule(1), rule(2), ...``.

        Parameters
        ----------
        rule : callable
            ``rule(i)`` is the block ``T_i``, i >= 1. A Python function proves nothing: laws given with it are declared.
            Laws that are not given are derived where the rule shows its formulas (AffineRule, Combination,
            ResidualRule, Cycle; see :mod:`lipop.limit.derived`).
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
            If a block or T does not map the space, or D, into itself, or a law is malformed.
        """
        return _built(rule, on, limit, {"deviation": deviation, "lip": lip, "expansion": expansion}, index, start, name)

    @staticmethod
    def finite(
        operators: Sequence[Operator],
        on: Region | None = None,
        limit: Operator | None = None,
        deviation: Any = None,
        lip: Any = None,
        expansion: Any = None,
        name: str = "",
    ) -> Architecture:
        """Finitely many blocks, the first one applied first; laws may be sequences of one number per block."""
        blocks = tuple(operators)
        if not blocks:
            raise DomainError("an architecture needs at least one block")
        for i, block in enumerate(blocks, 1):
            fits(block, blocks[0].domain, f"block {i}")
        laws = {"deviation": deviation, "lip": lip, "expansion": expansion}
        base = _built(lambda i: blocks[i - 1], on, limit, laws, None, 1, name)
        return dataclasses.replace(base, length=len(blocks))

    @staticmethod
    def tied(block: Operator, on: Region | None = None, name: str = "") -> Architecture:
        """The same block over and over (tied weights): its own limit operator, with deviation 0."""
        return Architecture.periodic([block], on, name)

    @staticmethod
    def periodic(blocks: Sequence[Operator], on: Region | None = None, name: str = "") -> Architecture:
        """``blocks[0], blocks[1], ...``, again and again."""
        from lipop.limit.structure import Cycle

        for i, block in enumerate(blocks, 1):
            fits(block, blocks[0].domain, f"block {i}")
        return _built(Cycle(blocks), on, None, {}, None, 1, name)

    @staticmethod
    def residual(
        branch: Operator | Rule,
        h: Any = 1,
        index: Any = None,
        on: Region | None = None,
        norm: Operator | None = None,
        place: str = "pre",
        name: str = "",
        **declared: Any,
    ) -> Architecture:
        """Residual blocks ``x + h(i) F_i(x)``, with a normalisation before the branch or after the sum.

        Parameters
        ----------
        branch : Operator or callable
            F, the same in every block, or ``i -> F_i``. Laws are derived for one F (without a norm after the sum).
        h : number or SymPy expression
            The step sizes.
        index : SymPy symbol or None
            The layer in ``h``.
        norm : Operator or None
            A normalisation N.
        place : str
            ``pre``: ``x + h(i) F_i(N x)``; ``post``: ``N(x + h(i) F_i(x))``.
        **declared
            ``limit``, ``deviation``, ``lip``, ``expansion``, ``start`` as in :meth:`by_rule`.

        Examples
        --------
        >>> import sympy
        >>> from lipop.operators.activation import tanh
        >>> i = sympy.Symbol("i")
        >>> arch = Architecture.residual(tanh(2), h=1 / i**2)
        >>> arch.limit, arch.deviation, arch.origin("deviation")
        (Identity(2 -> 2), Growth(i**(-2)), 'derived')
        """
        rule = residual_rule(branch, h, index, norm, place)
        laws = {key: declared.pop(key, None) for key in LAWS}
        return _built(rule, on, declared.pop("limit", None), laws, index, name=name, **declared)

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
        return fits(self.rule(int(i)), self.space, f"block {i}")

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
        apply = getattr(self.rule, "apply", None)
        for i in range(m + 1, n + 1):
            x = self.block(i)(x) if apply is None else apply(i, x)
        return x

    def limit_at(self, x: np.ndarray, tol: float, m: int = 0) -> LimitValue:
        """``S_{inf,m} x`` to within ``tol``: value, depth, and the certified error (see
        :func:`lipop.limit.truncation.limit_at`)."""
        from lipop.limit.truncation import limit_at

        return limit_at(self, x, tol, m)

    def truncate(self, n: int) -> Architecture:
        """The first n blocks."""
        if n < 1 or (self.length is not None and n > self.length):
            raise DomainError(f"an architecture of {self.length or 'infinitely many'} blocks has no first {n}")
        return dataclasses.replace(self, length=n)

    def shift(self, m: int) -> Architecture:
        """Without the first m blocks: block i of the result is block i + m."""
        if m < 0 or (self.length is not None and m >= self.length):
            raise DomainError(f"an architecture of {self.length or 'infinitely many'} blocks has none after {m}")
        return dataclasses.replace(
            self,
            rule=shifted_rule(self.rule, m),
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

    def contradiction(self, law: str) -> Contradiction | None:
        """A sampled block that breaks a declared law, with the point (None: none was found; what is derived is not
        sampled)."""
        from lipop.limit.contradiction import contradiction

        return contradiction(self, law) if self.origin(law) == "declared" else None

    @cached_property
    def keeps_domain(self) -> Hypothesis | None:
        """Whether the blocks map D into D: proved, refuted by a point, or None (the user says so)."""
        from lipop.limit.invariance import keeps_domain

        return keeps_domain(self)

    def __repr__(self) -> str:
        size = "infinite" if self.length is None else f"{self.length} blocks"
        return f"Architecture({self.name + ', ' if self.name else ''}{size}, {self.space.shape} in {self.space.norm})"


def _built(
    rule: Rule,
    on: Region | None,
    limit: Operator | None,
    laws: Mapping[str, Any],
    index: Any,
    start: int = 1,
    name: str = "",
) -> Architecture:
    return Architecture(**fields(rule, on, limit, laws, index, start, name))


__all__ = ["LAWS", "Architecture", "Rule"]
