"""Totally bounded sets, and how their metric entropies are claimed.

``N(K, eps)`` is the least number of closed balls of radius eps that cover K; their centres need not lie in K. ``M(K,
d)`` is the largest number of points of K with pairwise distances above d. Always ``M(K, 2 eps) <= N(K, eps) <= M(K,
eps)``. The entropy is ``log N`` in nats.

A claim about an entropy names the set and the scale together: its operator is :func:`at` of the two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound, Bracket, Claim
from lipop.core.digest import digest, hexed
from lipop.core.rule import Accepts, derive, rule
from lipop.errors import DomainError

Check = Callable[[Mapping[str, Any]], str | None]


def set_digest(kind: str, **facts: Any) -> str:
    """The name of a set or class in proofs: sha256 of its kind and of the numbers that define it."""
    return digest("lipop", "set", kind, hexed(facts))


def at(of: str, eps: float) -> str:
    """The name of a set at a scale."""
    return digest("lipop", "entropy", of, float(eps).hex())


def scale(eps: float) -> float:
    """The radius of a cover, as a float.

    Raises
    ------
    DomainError
        If it is not positive and finite.

    Examples
    --------
    >>> scale(1)
    1.0
    """
    try:
        value = float(eps)
    except (TypeError, ValueError) as e:
        raise DomainError(f"the radius of a cover must be a number, found {eps!r}") from e
    if not 0 < value < math.inf:
        raise DomainError(f"the radius eps of a cover must be positive and finite, found {eps!r}")
    return value


def size(value: float, what: str) -> float:
    """A radius or a width as a float.

    Raises
    ------
    DomainError
        If it is negative or not finite.
    """
    out = float(value)
    if not 0 <= out < math.inf:
        raise DomainError(f"{what} must be finite and not negative, found {value!r}")
    return out


def count(value: int, what: str) -> int:
    """A dimension or a number of points as an int.

    Raises
    ------
    DomainError
        If it is not a positive integer.
    """
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise DomainError(f"{what} must be a positive integer, found {value!r}")
    return int(value)


class TotallyBounded(ABC):
    """A set, or a class of functions, that finitely many balls of any radius cover.

    Attributes
    ----------
    metric : str
        The norm in which balls are measured: ``l1``, ``l2``, ``linf``, ``2inf`` of points; for functions ``sup`` (over
        the domain) or ``L2`` (root mean square over a sample).
    digest : str
        What determines the set.
    """

    metric: str

    @property
    @abstractmethod
    def digest(self) -> str: ...

    @abstractmethod
    def upper(self, eps: float) -> Bound:
        """``log N(eps)`` from above."""

    def lower(self, eps: float) -> Bound:
        """``log N(eps)`` from below; zero where no theorem gives more."""
        return derive("entropy.one@1", self.claim(scale(eps), LOWER))

    def entropy(self, eps: float) -> Bracket:
        """``log N(eps)`` from both sides, in nats."""
        return Bracket(self.lower(eps), self.upper(eps))

    def claim(self, eps: float, side: str = UPPER) -> Claim:
        """What a bound of the entropy at this scale states."""
        return Claim("entropy", side, at(self.digest, eps), norm_in=self.metric, norm_out=self.metric)


def of_set(kind: str, side: str, *facts: str, check: Check | None = None) -> Accepts:
    """No premises: the parameters of the formula hold the facts that the claim's set is made of, and the scale.

    Parameters
    ----------
    kind : str
    side : str
    *facts : str
        Names of parameters that, with the kind, give the set's digest.
    check : callable, optional
        ``check(params)`` says what else is wrong with the parameters, or None.
    """

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if premises:
            return "this rule takes no premises"
        reason = scaled(claim, side, set_digest(kind, **{f: params[f] for f in facts}), params)
        return reason if reason or check is None else check(params)

    return accepts


def scaled(claim: Claim, side: str, of: str, params: Mapping[str, Any]) -> str | None:
    """None if the claim is about the entropy of that set at the scale among the parameters, or what is wrong."""
    if (claim.quantity, claim.side) != ("entropy", side):
        return f"it gives {side} bounds of entropy"
    if not isinstance(params["eps"], float) or not 0 < params["eps"] < math.inf:
        return "the scale is not a positive float"
    if claim.operator != at(of, params["eps"]):
        return "the parameters are not those of the claim's set and scale"
    if ("metric" in params and params["metric"] != claim.norm_out) or claim.norm_in != claim.norm_out:
        return "the claim is in another metric"
    return None


def exact(x: float) -> Fraction:
    """A float as the rational number that it is."""
    return Fraction(x)


def _one(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if premises or (claim.quantity, claim.side) != ("entropy", LOWER):
        return "it bounds entropies from below, without premises"
    return None


@rule("entropy.one@1", reference="a set that is not empty needs at least one ball: log N >= 0", accepts=_one)
def one() -> Any:
    """Zero."""
    return 0


def best(*bounds: Bound) -> Bound:
    """The tightest of bounds of one side of the same entropy."""
    return (min if bounds[0].claim.side == UPPER else max)(bounds, key=lambda b: b.value)


__all__ = ["TotallyBounded", "at", "best", "count", "exact", "of_set", "scale", "scaled", "set_digest", "size"]
