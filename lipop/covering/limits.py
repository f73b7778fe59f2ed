"""Classes of deep compositions and their limits: entropy that does not grow with the depth.

Blocks are non-expansive maps of D into itself with one deviation law eps_i from one non-expansive T, and ``|T_i(x;
theta) - T_i(x; theta')| <= G |theta - theta'|`` for parameters in a ball of radius R in dimension p. After n blocks,
every member (of any depth, or the limit) is within ``tau_n`` of a map of the first n blocks alone, whose parameters
move it by at most ``G sum |theta_i - theta_i'|``. So ``log N(e) <= p n log(1 + 2 n G R / (e - tau_n))`` for every n
with ``tau_n < e``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.rule import derive, rule
from lipop.covering.balls import beyond
from lipop.covering.claims import TotallyBounded, best, count, of_set, scale, scaled, set_digest, size
from lipop.limit.capacity import LimitClass
from lipop.limit.law_bounds import LawBounds, assumption
from lipop.limit.laws import Law


@rule(
    "entropy.parameters.upper@1",
    reference="a cover of the ball of parameters with radius e/G, by volumes",
    accepts=of_set("parameters", UPPER, "dimension", "radius", "gain"),
)
def parameters_upper(dimension: int, radius: Any, gain: Any, eps: Any, metric: str) -> Any:
    """``p log(1 + 2 G R/e)``, and 0 for ``G R <= e``."""
    ratio = gain * radius / eps
    return dimension * formula.log(1 + 2 * ratio) * beyond(ratio)


@dataclass(frozen=True)
class ParametricClass(TotallyBounded):
    """Functions ``f(.; theta)`` with ``|f(x; theta) - f(x; theta')| <= G |theta - theta'|``, in the sup norm, theta
    in a ball.

    One theta shared by all layers (tied weights): G is then the sum over the layers of their gains times the Lipschitz
    constants behind them, ``G_1 / (1 - q)`` for q-contractions of any depth.

    Parameters
    ----------
    dimension : int
    radius, gain : float
        R and G.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> round(ParametricClass(10, 1.0, 2.0).upper(0.1).value, 3)
    37.136
    """

    dimension: int
    radius: float
    gain: float
    metric: str = "sup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", count(self.dimension, "the number of parameters"))
        object.__setattr__(self, "radius", size(self.radius, "the radius of the parameters"))
        object.__setattr__(self, "gain", size(self.gain, "the gain"))

    def _set(self) -> dict[str, Any]:
        return {"dimension": self.dimension, "radius": self.radius, "gain": self.gain}

    @property
    def digest(self) -> str:
        return set_digest("parameters", **self._set())

    def upper(self, eps: float) -> Bound:
        facts = {**self._set(), "eps": scale(eps), "metric": self.metric}
        return derive("entropy.parameters.upper@1", self.claim(eps), **facts)


_FACTS = ("depth", "dimension", "radius", "gain")


def _limit(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if len(premises) != 1 or premises[0].rule.replace(".declared@", "@") != "law.tail@1":
        return "the premise is a tail of the deviation law"
    tail = premises[0]
    if tail.params["n"] != params["n"] or not tail.value < params["eps"]:
        return "the tail is that behind another block, or not below the radius"
    of = set_digest("limit", law=tail.claim.operator, **{f: params[f] for f in _FACTS})
    return scaled(claim, UPPER, of, params)


@rule(
    "entropy.limit.upper@1",
    reference="members of any depth are within tau_n of maps of n blocks (theorem 2); their parameters covered",
    accepts=_limit,
)
def limit_upper(tail: Any, n: int, depth: int, dimension: int, radius: Any, gain: Any, eps: Any, metric: str) -> Any:
    """``p n log(1 + 2 n G R / (e - tau_n))``."""
    return dimension * n * formula.log(1 + 2 * n * gain * radius / (eps - tail))


@rule(
    "entropy.depth.upper@1",
    reference="the parameters of all blocks covered; non-expansive blocks add their differences",
    accepts=of_set(
        "limit", UPPER, "law", *_FACTS, check=lambda p: None if p["depth"] >= 1 else "the depth is infinite"
    ),
)
def depth_upper(law: str, depth: int, dimension: int, radius: Any, gain: Any, eps: Any, metric: str) -> Any:
    """``p P log(1 + 2 P G R / e)``."""
    return dimension * depth * formula.log(1 + 2 * depth * gain * radius / eps)


@dataclass(frozen=True, eq=False)
class LimitFunctions(TotallyBounded):
    """Compositions of non-expansive blocks with one deviation law, of depth P or infinite, in the sup norm over D.

    Parameters
    ----------
    deviation : Law
        eps_i, the same for every member; it must sum. Bounds are conditional on it.
    dimension : int
        p, the parameters of a block.
    radius, gain : float
        R and G.
    depth : int, optional
        P; None: the limits.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> deep = LimitFunctions(Law(k**-3), 10, 1.0, 1.0, depth=1000)
    >>> deeper = LimitFunctions(Law(k**-3), 10, 1.0, 1.0, depth=10**6)
    >>> deep.upper(0.01).value == deeper.upper(0.01).value < 900
    True
    """

    deviation: Law
    dimension: int
    radius: float
    gain: float
    depth: int | None = None
    metric: str = "sup"

    def __post_init__(self) -> None:
        LimitClass(self.deviation, self.dimension, self.radius, self.gain)  # its checks
        if self.depth is not None:
            object.__setattr__(self, "depth", count(self.depth, "the depth"))

    @property
    def _law(self) -> LawBounds:
        return LawBounds(self.deviation, "deviation", (assumption(self.deviation, "deviation"),))

    def _set(self) -> dict[str, Any]:
        numbers = {"dimension": self.dimension, "radius": float(self.radius), "gain": float(self.gain)}
        return {"depth": self.depth or 0, **numbers}

    @property
    def digest(self) -> str:
        return set_digest("limit", law=self._law.digest, **self._set())

    def upper(self, eps: float) -> Bound:
        eps = scale(eps)
        facts = {**self._set(), "eps": eps, "metric": self.metric}
        claim, found = self.claim(eps), []
        members = LimitClass(self.deviation, self.dimension, self.radius, self.gain)
        starts = {0} if self.deviation.start <= 1 and self.deviation.tail(0) < eps else set[int]()
        for share in (0.9, 0.5, 0.25, 0.1):
            starts.add(members.truncation(2 * share * eps))
        for n in sorted(starts):
            if self.depth is None or n < self.depth:
                found.append(derive("entropy.limit.upper@1", claim, (self._law.tail(n),), **facts, n=n))
        if self.depth is not None:
            found.append(derive("entropy.depth.upper@1", claim, law=self._law.digest, **facts))
        return best(*found)


__all__ = ["LimitFunctions", "ParametricClass"]
