"""A generated architecture with what is known of it by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from lipop.core.operator import Operator
from lipop.core.space import norm
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.laws import Growth, Uniform
from lipop.testing.laws import LAWS
from lipop.testing.maps import isometry, linear
from lipop.testing.pushes import Pushed, unit


@dataclass(frozen=True, eq=False, repr=False)
class Specimen:
    """An architecture for a theorem.

    Attributes
    ----------
    text : str
        What it is, for people: hypothesis prints it when a test fails.
    architecture : Architecture
    point, other : array
        Two different points.
    reference : callable
        ``i -> R_i``, the block from which block i deviates by at most ``eps(i)``; constant where there is a limit
        operator.
    law : str
        The deviation law's name in :data:`lipop.testing.laws.LAWS`.
    scale : float
        What it is multiplied with.
    heads : int
        The number of blocks before the laws begin (K0).
    facts : mapping
        Constants that hold by construction, by the theorem's names: ``L``, ``q``, ``C``, ``fixed`` ...
    """

    text: str
    architecture: Architecture
    point: np.ndarray
    other: np.ndarray
    reference: Callable[[int], Operator]
    law: str = "k**-2"
    scale: float = 1.0
    heads: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def eps(self, count: int) -> np.ndarray:
        """(count + 1,) the deviations of the blocks 1, ..., count, at their indices (0 at index 0)."""
        return np.concatenate([[0.0], self.scale * LAWS[self.law].values(count)])

    @property
    def limit(self) -> Operator:
        """T, where all references are one map.

        Raises
        ------
        DomainError
            If they are not.
        """
        if self.architecture.limit is None:
            raise DomainError(f"{self!r} has no limit operator")
        return self.architecture.limit

    def norm(self, x: np.ndarray) -> float:
        """In the architecture's norm."""
        return norm(x, self.architecture.space.norm)

    def orbit(self, depth: int, x: np.ndarray | None = None, m: int = 0) -> np.ndarray:
        """``S_{m,m} x, ..., S_{depth,m} x`` along the first axis."""
        out = [self.point if x is None else x]
        for i in range(m + 1, depth + 1):
            out.append(self.architecture.block(i)(out[-1]))
        return np.array(out)

    def referred(self, x: np.ndarray, depth: int, m: int) -> np.ndarray:
        """``R_{depth,m} x``."""
        for i in range(m + 1, depth + 1):
            x = self.reference(i)(x)
        return x

    def __repr__(self) -> str:
        return f"<{self.text}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # what hypothesis prints of a failure


def near(
    text: str,
    reference: Callable[[int], Operator],
    *,
    law: str,
    scale: float = 1.0,
    push: str = "constant",
    heads: int = 0,
    seed: int = 0,
    limit: Operator | None = None,
    direction: np.ndarray | None = None,
    growth: bool = False,
    **facts: Any,
) -> Specimen:
    """An architecture whose blocks are pushed off reference blocks by a law, after some expansive ones.

    Parameters
    ----------
    reference : callable
        ``i -> R_i``.
    law, scale, push
        Names in :mod:`lipop.testing.laws` and :mod:`lipop.testing.pushes`.
    heads : int
        How many blocks double an isometry before the law begins.
    limit : Operator, optional
        T, where all references are one map.
    direction : array, optional
        Of norm at most 1, instead of a random one.
    growth : bool
        Push by the law times ``1 + |x|``; the points are then of sizes up to 10^4.
    """
    rng = np.random.default_rng(seed)
    space = reference(heads + 1).domain
    shape = tuple(int(n or 1) for n in space.shape)
    way = unit(rng, shape, space.norm) if direction is None else direction
    values = scale * LAWS[law].values(LONGEST)
    head = 2.0 * isometry(rng, shape[0], space.norm) if len(shape) == 1 else 2.0 * reference(heads + 1)

    def rule(i: int) -> Operator:
        if i <= heads:
            return head
        sign = -1.0 if push == "alternating" and i % 2 else 1.0
        size = float(values[i - 1]) if i <= LONGEST else scale * LAWS[law].value(float(i))
        return Pushed(reference(i), size, sign * way, push, growth)

    declared = None if limit is None else _declared(law, scale, heads + 1, growth)
    arch = Architecture.by_rule(rule, limit=limit, deviation=declared, start=heads + 1, name=text)
    reach = 10.0 ** rng.uniform(0, 4) if growth else 2.0
    point, other = reach * rng.standard_normal((2, *shape))
    return Specimen(text, arch, point, other, reference, law, scale, heads, facts)


LONGEST = 4096
"""Up to this layer the values of a law are kept."""


@cache
def _declared(law: str, scale: float, start: int, growth: bool) -> Uniform | Growth:
    import sympy

    k = sympy.Symbol("k", positive=True, integer=True)
    return (Growth if growth else Uniform)(LAWS[law].expr(k, scale), k, start)


def scalar(values: Callable[[int], float], n: int = 1, norm: str = "l2") -> Callable[[int], Operator]:
    """``i -> values(i) I`` on n coordinates."""
    return lambda i: linear(values(i) * np.eye(n), norm)


__all__ = ["LONGEST", "Specimen", "near", "scalar"]
