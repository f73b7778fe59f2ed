"""Lipschitz functions on an interval: Kolmogorov and Tikhomirov's count, which is exact.

``{f on [0, A] : f(0) = 0, Lip f <= L}`` in the sup norm has ``N(e) = 2^(ceil(L A/e) - 1)``. From above: flat on the
first interval of length e/L, then slopes +-L, each sign chosen by where f is at the interval's end; the distance is
monotone on an interval and at most e at both ends. From below: sign choices on ``ceil(L A/e) - 1`` intervals, each
longer than e/L; where two choices differ first, the functions come more than 2 e apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.rule import derive, rule
from lipop.covering.claims import TotallyBounded, of_set, scale, set_digest, size


def _count(length: Any, lip: Any, eps: Any) -> Any:
    return formula.log(2 + 0 * eps) * formula.maximum(formula.ceiling(lip * length / eps) - 1, 0)


@rule(
    "entropy.paths.upper@1",
    reference="Kolmogorov and Tikhomirov 1959, section 2: broken lines with slopes +-L, signs chosen at interval ends",
    accepts=of_set("paths", UPPER, "length", "lip"),
)
def upper(length: Any, lip: Any, eps: Any, metric: str) -> Any:
    """``(ceil(L A/e) - 1) log 2``."""
    return _count(length, lip, eps)


@rule(
    "entropy.paths.lower@1",
    reference="Kolmogorov and Tikhomirov 1959, section 2: broken lines that come more than 2 e apart",
    accepts=of_set("paths", LOWER, "length", "lip"),
)
def lower(length: Any, lip: Any, eps: Any, metric: str) -> Any:
    """``(ceil(L A/e) - 1) log 2``."""
    return _count(length, lip, eps)


@dataclass(frozen=True)
class LipschitzPaths(TotallyBounded):
    """``{f : [0, A] -> R, f(0) = 0, Lip f <= L}`` in the sup norm.

    Parameters
    ----------
    length, lip : float
        A and L.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> print(LipschitzPaths(1.0, 1.0).entropy(0.25))  # 2^3
    2.07944 <= entropy <= 2.07945 (proved | proved)
    """

    length: float
    lip: float
    metric: str = "sup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", size(self.length, "the length of an interval"))
        object.__setattr__(self, "lip", size(self.lip, "a Lipschitz constant"))

    def _facts(self, eps: float) -> dict[str, Any]:
        return {"length": self.length, "lip": self.lip, "eps": scale(eps), "metric": self.metric}

    @property
    def digest(self) -> str:
        return set_digest("paths", length=self.length, lip=self.lip)

    def upper(self, eps: float) -> Bound:
        return derive("entropy.paths.upper@1", self.claim(eps), **self._facts(eps))

    def lower(self, eps: float) -> Bound:
        return derive("entropy.paths.lower@1", self.claim(eps, LOWER), **self._facts(eps))


__all__ = ["LipschitzPaths"]
