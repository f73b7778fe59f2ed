"""A map given by a user's own functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core import leaves as rules
from lipop.core.bound import Bound, Claim, Witness
from lipop.core.digest import digest, hexed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rule import derive, find_rule, leaf
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError

Value = Callable[[np.ndarray], np.ndarray]
Product = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class FunctionOperator(Operator):
    """A map made of plain functions on arrays.

    Its code cannot be inspected: a stated constant is ESTIMATED and lower bounds are WITNESSED. A constant with a
    theorem behind it comes as a registered rule of :mod:`lipop.core.rule` (no premises, see ``rule.about("lip")``).

    Parameters
    ----------
    domain, codomain : Space, int or shape
    function : callable
        ``function(x)``; the result is cast to x's dtype.
    jvp, vjp : callable or None
        ``jvp(x, v)`` = DT(x) v and ``vjp(x, u)`` = DT(x)^T u; both or neither.
    lip : float or None
        A Lipschitz constant that the user states, on the whole domain and in its norms.
    name : str
        Stands for the functions in digests and reports: change it whenever they change.
    rule : str or None
        The ``name@version`` of a rule that gives the constant instead, on every region.
    params : mapping
        The rule's parameters, numbers and strings.

    Raises
    ------
    DomainError
        If the name is empty, only one of jvp and vjp is given, ``lip`` is not a finite number >= 0, both ``lip`` and
        ``rule`` are given, or the rule is not registered.

    Examples
    --------
    >>> def product(x, v):
    ...     return np.cos(x) * v
    >>> f = FunctionOperator(Space(2), Space(2), np.sin, product, product, 1.0, name="sin")
    >>> f.lip().value, f.lip().status, f.derivative(np.zeros(2)).matvec(np.ones(2)).tolist()
    (1.0, 'ESTIMATED', [1.0, 1.0])
    """

    domain: Space
    codomain: Space
    function: Value
    jvp: Product | None = None
    vjp: Product | None = None
    stated: float | None = field(default=None, init=False)
    name: str = field(kw_only=True)
    rule: str | None = field(default=None, kw_only=True)
    params: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __init__(
        self,
        domain: Space | int | tuple[int | None, ...],
        codomain: Space | int | tuple[int | None, ...],
        function: Value,
        jvp: Product | None = None,
        vjp: Product | None = None,
        lip: float | None = None,
        *,
        name: str,
        rule: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise DomainError(f"a function operator needs a name for its digest, found {name!r}")
        if not callable(function):
            raise DomainError(f"{name}: function must be callable, found {type(function).__name__}")
        if (jvp is None) != (vjp is None):
            raise DomainError(f"{name}: give both jvp and vjp, or neither")
        if lip is not None and not (math.isfinite(lip) and lip >= 0):
            raise DomainError(f"{name}: a stated Lipschitz constant must be finite and >= 0, found {lip!r}")
        if rule is not None and (lip is not None or find_rule(rule) is None):
            raise DomainError(f"{name}: give a registered rule and no lip beside it, found rule={rule!r}, lip={lip!r}")
        values = (
            *(s if isinstance(s, Space) else Space(s) for s in (domain, codomain)),  # pyright: ignore[reportArgumentType]  # a space takes ints
            function,
            jvp,
            vjp,
            None if lip is None else float(lip),
            name,
            rule,
            dict(params or {}),
        )
        keys = ("domain", "codomain", "function", "jvp", "vjp", "stated", "name", "rule", "params")
        for key, value in zip(keys, values, strict=True):
            object.__setattr__(self, key, value)

    def _make_digest(self) -> str:
        spaces = [[list(s.shape), s.norm] for s in (self.domain, self.codomain)]
        constant = [None if self.stated is None else self.stated.hex(), self.rule, hexed(dict(self.params))]
        return digest("lipop", "FunctionOperator", self.name, spaces, constant)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        return self._checked(self.function(x), x.dtype, self.codomain, "function")

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        jvp, vjp = self.jvp, self.vjp
        if jvp is None or vjp is None:
            raise DomainError(f"{self.name} has no derivative: give jvp and vjp")
        kind = np.dtype(np.float64)
        return LinearOperator(
            x.shape,
            self(x).shape,
            lambda v: self._checked(jvp(x, v), kind, self.codomain, "jvp"),
            lambda u: self._checked(vjp(x, u), kind, self.domain, "vjp"),
        )

    def _checked(self, y: np.ndarray, dtype: np.dtype[Any], space: Space, what: str) -> np.ndarray:
        y = np.asarray(y)
        if not space.admits(y.shape):
            raise ShapeError(f"{what} of {self.name} returned shape {y.shape}, expected {space.shape}")
        return y.astype(dtype, copy=False) if dtype.kind == "f" else y

    def lip(self, on: Region | None = None) -> Bound:
        """The rule's bound, or the stated constant as an ESTIMATED one; unknown if there is neither."""
        claim = self.claim("lip", self._region(on))
        if self.rule is not None:
            return derive(self.rule, claim, **self.params)
        return super().lip(on) if self.stated is None else leaf(rules.LIP_CLAIMED, claim, self.stated, self)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        if rule == rules.LIP_CLAIMED and self.stated is not None:
            return self.stated
        return super().reprove(rule, claim, params, witness)


__all__ = ["FunctionOperator"]
