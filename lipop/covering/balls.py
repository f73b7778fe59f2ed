"""Balls of finite dimension, in their own norm and in others.

Volumes: points of K at pairwise distances above eps have disjoint open balls of radius eps/2 inside ``K + (eps/2) B``,
so ``N(K, eps) <= vol(K + (eps/2) B) / vol((eps/2) B)``; and N balls of radius eps that cover K have at least its
volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.rule import derive, rule
from lipop.core.space import norm_name
from lipop.covering.claims import TotallyBounded, count, of_set, scale, set_digest, size
from lipop.errors import DomainError

_ORDER = {"l1": 1, "l2": 2, "linf": 3}


def log_unit_volume(norm: str, d: int, like: Any) -> Any:
    """The logarithm of the volume of the unit ball of l1, l2 or linf in dimension d, in the arithmetic of ``like``.

    >>> round(log_unit_volume("l1", 3, 1.0), 6)  # 4/3
    0.287682
    """
    n = d + 0 * like
    if norm == "linf":
        return d * formula.log(2 + 0 * like)
    if norm == "l1":
        return d * formula.log(2 + 0 * like) - formula.log_gamma(n + 1)
    return d * formula.log(formula.pi(like)) / 2 - formula.log_gamma(n / 2 + 1)


def stretch(norm: str, metric: str, d: int, like: Any) -> Any:
    """The largest ``metric`` norm of a vector of ``norm`` 1 in dimension d.

    >>> stretch("linf", "l2", 4, 1.0)
    2.0
    """
    if _ORDER[metric] >= _ORDER[norm]:
        return 1 + 0 * like
    return d + 0 * like if (norm, metric) == ("linf", "l1") else formula.sqrt(d + 0 * like)


def beyond(ratio: Any) -> Any:
    """1 where the ratio is above 1, and 0 elsewhere: a set inside one ball needs no more."""
    return formula.minimum(formula.maximum(formula.ceiling(ratio) - 1, 0), 1)


def _norms(params: Mapping[str, Any]) -> str | None:
    known = params["norm"] == params["metric"] or {params["norm"], params["metric"]} <= set(_ORDER)
    return None if known and params["dimension"] >= 1 else "the two norms are not compared here"


@rule(
    "entropy.ball.upper@1",
    reference=(
        "volumes: N <= vol(K + (e/2) B) / vol((e/2) B), with K in the metric's ball of radius c R, or (e/2) B in the "
        "norm's ball of radius c' e/2; in linf, the cubes of a grid"
    ),
    accepts=of_set("ball", UPPER, "dimension", "radius", "norm", check=_norms),
)
def ball_upper(dimension: int, radius: Any, norm: str, metric: str, eps: Any) -> Any:
    """The smaller of ``d log(1 + 2 c R/e)`` and ``d log(c' + 2 R/e) + log vol(B_norm) - log vol(B_metric)``; 0 for ``c
    R <= e``; ``d log ceil(c R/e)`` in linf."""
    d = dimension
    reach = radius if norm == metric else radius * stretch(norm, metric, d, radius)
    if metric == "linf" or d == 1:
        return d * formula.log(formula.maximum(formula.ceiling(reach / eps), 1))
    value = d * formula.log(1 + 2 * reach / eps)
    if norm != metric:
        volumes = log_unit_volume(norm, d, radius) - log_unit_volume(metric, d, radius)
        value = formula.minimum(value, d * formula.log(stretch(metric, norm, d, radius) + 2 * radius / eps) + volumes)
    return value * beyond(reach / eps)


@rule(
    "entropy.ball.lower@1",
    reference=(
        "volumes: N vol(e B) >= vol(K); for R > e, d + 1 balls (Lusternik and Schnirelmann: of d closed sets that "
        "cover a sphere one has two antipodes); in linf, points of a grid with distances above 2 e"
    ),
    accepts=of_set("ball", LOWER, "dimension", "radius", "norm", check=_norms),
)
def ball_lower(dimension: int, radius: Any, norm: str, metric: str, eps: Any) -> Any:
    """``d log(R/e) + log vol(B_norm) - log vol(B_metric)``, at least 0; ``d log ceil(R/e)`` in linf."""
    d, ratio = dimension, radius / eps
    if d == 1 or norm == metric == "linf":
        return d * formula.log(formula.maximum(formula.ceiling(ratio), 1))
    if norm == metric:
        return formula.maximum(d * formula.log(formula.maximum(ratio, 1)), formula.log(1 + d * beyond(ratio)))
    volumes = log_unit_volume(norm, d, radius) - log_unit_volume(metric, d, radius)
    return d * formula.log(formula.maximum(ratio * formula.exp(volumes / d), 1))


@dataclass(frozen=True)
class NormBall(TotallyBounded):
    """The ball ``|x| <= R`` of a d-dimensional space; also of a d-dimensional subspace of a larger l2 space.

    Parameters
    ----------
    dimension : int
    radius : float
    norm : str
        ``l1``, ``l2`` (F), ``linf`` or ``2inf``.
    metric : str, optional
        The norm of the covering balls: the same by default; l1, l2 and linf may be mixed.

    Raises
    ------
    DomainError

    Notes
    -----
    In l2 the centres of a cover may be projected onto a subspace that holds the set, so the dimension of the space
    around it does not count.

    Examples
    --------
    >>> disc = NormBall(2, 1.0)
    >>> print(disc.entropy(0.5))
    1.38629 <= entropy <= 3.21888 (proved | proved)
    """

    dimension: int
    radius: float
    norm: str = "l2"
    metric: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", count(self.dimension, "the dimension of a ball"))
        object.__setattr__(self, "radius", size(self.radius, "the radius of a ball"))
        object.__setattr__(self, "norm", norm_name(self.norm))
        object.__setattr__(self, "metric", norm_name(self.metric or self.norm))
        if self.norm != self.metric and not {self.norm, self.metric} <= set(_ORDER):
            raise DomainError(f"a ball in {self.norm} has no entropy bound in {self.metric} here; use {self.norm}")

    @property
    def digest(self) -> str:
        return set_digest("ball", dimension=self.dimension, radius=self.radius, norm=self.norm)

    def _facts(self, eps: float) -> dict[str, Any]:
        ball = {"dimension": self.dimension, "radius": self.radius, "norm": self.norm}
        return {**ball, "metric": self.metric, "eps": scale(eps)}

    def upper(self, eps: float) -> Bound:
        return derive("entropy.ball.upper@1", self.claim(eps), **self._facts(eps))

    def lower(self, eps: float) -> Bound:
        return derive("entropy.ball.lower@1", self.claim(eps, LOWER), **self._facts(eps))


__all__ = ["NormBall", "beyond", "log_unit_volume", "stretch"]
