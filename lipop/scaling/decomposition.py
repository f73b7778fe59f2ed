"""Error = optimisation + architecture + sample, each part a bound with its proof; the rules behind them.

By the triangle inequality ``|f_NPK - f| <= |f_NPK - f_NP| + |f_NP - f_N| + |f_N - f|``: not trained to the end, not
deep enough, not enough data. A contraction bounds the first two (``Lip(A)^K`` of the training map A, see
:mod:`lipop.scaling.descent`, and ``Lip(T)^P`` of the architecture's block T; a rate of :mod:`lipop.limit` may stand for
the latter); the third falls like ``N^(-1/2)``.

Sample means. For N independent vectors with norms at most R the mean is within ``R (1 + sqrt(2 log(1/d))) / sqrt N`` of
its expectation with probability 1 - d. Proof: the expected distance is at most ``R / sqrt N`` (its square is a
variance), and replacing one vector moves it by ``2 R / N`` at most (McDiarmid 1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.digest import digest
from lipop.core.rounding import float_up, workprec
from lipop.core.rule import covers, derive, leaf, leaf_rule, parts_digest, rule
from lipop.errors import DomainError, ProofError

# ---- rules ---------------------------------------------------------------------------------------------------------


def _contraction_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] != ["lip"] or premises[0].claim.side != UPPER:
        return "the premise is a Lipschitz constant from above"
    p = premises[0].claim
    if (claim.quantity, claim.side) != ("distance", UPPER) or not covers(p, claim.region):
        return "it bounds a distance on the premise's region"
    same = claim.operator == parts_digest("iterate", [p.operator]) and claim.norm_in == p.norm_in == p.norm_out
    return None if same and int(params["n"]) >= 0 else "the claim is not about iterates of the premise's map"


@rule(
    "scaling.contraction@1",
    reference="|T^n x - x*| <= Lip(T)^n |x - x*| for T x* = x*, seen through a map with constant c",
    accepts=_contraction_accepts,
)
def _contraction(lip: Any, n: int, radius: Any, factor: Any) -> Any:
    """C q^n r."""
    return factor * lip**n * radius


def _scaled_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if len(premises) != 1 or premises[0].claim.quantity != "distance" or premises[0].claim.side != UPPER:
        return "the premise is a distance from above"
    named = claim.operator == parts_digest("seen", [premises[0].claim.operator])
    return (
        None
        if (claim.quantity, claim.side) == ("distance", UPPER) and named
        else "it bounds the image of that distance"
    )


@rule("scaling.seen@1", reference="a map with constant c moves distances by c at most", accepts=_scaled_accepts)
def _seen(distance: Any, factor: Any) -> Any:
    """C d."""
    return factor * distance


def _sum_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if len(premises) != 3 or any((p.claim.quantity, p.claim.side) != ("distance", UPPER) for p in premises):
        return "premises are the three parts, distances from above"
    if claim.operator != parts_digest("performance", [p.claim.operator for p in premises]):
        return "the parts are not those of the claim"
    return None if (claim.quantity, claim.side) == ("distance", UPPER) else "it bounds a distance from above"


@rule(
    "scaling.decomposition@1",
    reference="|f_NPK - f| <= |f_NPK - f_NP| + |f_NP - f_N| + |f_N - f| (triangle inequality)",
    accepts=_sum_accepts,
)
def _sum(optimisation: Any, architecture: Any, sample: Any) -> Any:
    """The sum of the parts."""
    return optimisation + architecture + sample


MEAN = leaf_rule(
    "scaling.mean@1",
    reference="N independent vectors of norm at most R: distance of the mean from its expectation (McDiarmid 1989)",
    grid=44,
    quantity="distance",
    side=UPPER,
    strength="probable",
    params={"seed": int, "delta": float},
)


# ---- parts ---------------------------------------------------------------------------------------------------------


def contraction(lip: Bound, n: int, radius: float, factor: float = 1.0) -> Bound:
    """``factor Lip(T)^n radius``: the distance of the n-th iterate from the fixed point, seen through a map with that
    constant.

    Parameters
    ----------
    lip : Bound
        On a region that T maps into itself.
    n : int
        Iterations.
    radius : float
        A bound of ``|x - x*|``.
    factor : float

    Examples
    --------
    >>> import numpy as np
    >>> import lipop as lo
    >>> contraction(lo.Affine(np.diag([0.5, 0.25]), np.zeros(2)).lip(), 3, 8.0).status
    'PROVED'
    """
    p = lip.claim
    claim = Claim("distance", UPPER, parts_digest("iterate", [p.operator]), p.region, p.norm_in, p.norm_out)
    return derive("scaling.contraction@1", claim, (lip,), n=int(n), radius=float(radius), factor=float(factor))


@dataclass(frozen=True)
class Sample:
    """N independent vectors of norm at most R, drawn with one seed."""

    count: int
    radius: float
    seed: int

    def __post_init__(self) -> None:
        if self.count < 1 or not (math.isfinite(self.radius) and self.radius >= 0):
            raise DomainError(f"a sample has at least one vector and a finite radius, found {self!r}")

    @property
    def digest(self) -> str:
        """sha256 of the sample's description."""
        return digest("lipop", "sample", str(self.count), self.radius.hex(), str(self.seed))

    def mean(self, delta: float) -> Bound:
        """How far the mean is from its expectation, with probability ``1 - delta``.

        Examples
        --------
        >>> Sample(400, 1.0, seed=0).mean(0.01).status
        'PROBABLE(0.01)'
        """
        if not 0 < delta < 1:
            raise DomainError(f"delta is a probability in (0, 1), found {delta!r}")
        claim = Claim("distance", UPPER, self.digest)
        return leaf(MEAN, claim, self._value(delta), self, seed=self.seed, delta=float(delta))

    def _value(self, delta: float) -> float:
        import flint

        with workprec():
            return float_up(self.radius * (1 + (-2 * flint.arb(delta).log()).sqrt()) / flint.arb(self.count).sqrt())

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Evaluate the formula again."""
        if rule != MEAN or params["seed"] != self.seed:
            raise ProofError(f"a sample cannot redo rule {rule} for another seed")
        return self._value(float(params["delta"]))


def seen(distance: Bound, factor: float) -> Bound:
    """``factor`` times a distance."""
    p = distance.claim
    claim = Claim("distance", UPPER, parts_digest("seen", [p.operator]), p.region, p.norm_in, p.norm_out)
    return derive("scaling.seen@1", claim, (distance,), factor=float(factor))


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The three parts of an error, each a bound for every K, P or N.

    Parameters
    ----------
    optimisation, architecture, sample : callable
        ``optimisation(K)``, ``architecture(P)`` and ``sample(N)`` give Bounds of distances.

    Examples
    --------
    >>> import numpy as np
    >>> import lipop as lo
    >>> A, T = (lo.Affine(np.array([[q]]), np.zeros(1)) for q in (0.5, 0.25))
    >>> parts = Decomposition(
    ...     lambda K: contraction(A.lip(), K, 1.0),
    ...     lambda P: contraction(T.lip(), P, 1.0),
    ...     lambda N: Sample(N, 1.0, seed=0).mean(0.05),
    ... )
    >>> round(parts(N=10**6, P=4, K=8).value, 5), parts(N=10**6, P=4, K=8).status
    (0.01126, 'PROBABLE(0.05)')
    """

    optimisation: Callable[[int], Bound]
    architecture: Callable[[int], Bound]
    sample: Callable[[int], Bound]

    def parts(self, N: int, P: int, K: int) -> dict[str, Bound]:
        """The three bounds by name."""
        return {"optimisation": self.optimisation(K), "architecture": self.architecture(P), "sample": self.sample(N)}

    def __call__(self, N: int, P: int, K: int) -> Bound:
        """The bound of the whole error, with its proof."""
        premises = tuple(self.parts(N, P, K).values())
        claim = Claim("distance", UPPER, parts_digest("performance", [p.claim.operator for p in premises]))
        return derive("scaling.decomposition@1", claim, premises)


__all__ = ["Decomposition", "Sample", "contraction", "seen"]
