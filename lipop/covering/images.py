"""Images of sets under Lipschitz maps.

``N(T(K), L e) <= N(K, e)`` if T is L-Lipschitz on the whole space, or on a closed convex set that contains K in l2 (the
centres of a cover may be projected onto it); in general centres move into K at twice the radius. If T expands by at
least m on K, ``N(T(K), e) >= M(T(K), 2 e) >= M(K, 2 e/m) >= N(K, 2 e/m)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound, Claim
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere
from lipop.core.rule import derive, rule, unknown
from lipop.covering.balls import NormBall
from lipop.covering.claims import TotallyBounded, at, exact, scale, scaled, set_digest
from lipop.errors import DomainError


def _covers_ball(premise: Claim, of: str) -> bool:
    """Whether the operator's constant holds on the ball that was covered."""
    region = premise.region
    if isinstance(region, Everywhere):
        return True
    if not isinstance(region, Ball) or region.norm != premise.norm_in:
        return False
    return set_digest("ball", dimension=region.center.size, radius=region.radius, norm=region.norm) == of


def _factor(premise: Claim) -> int:
    return 1 if isinstance(premise.region, Everywhere) or premise.norm_in == "l2" else 2


def _image(side: str) -> Any:
    quantity = "lip" if side == UPPER else "expansion"

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if [(p.claim.quantity, p.claim.side) for p in premises] != [(quantity, side), ("entropy", side)]:
            return f"premises are {quantity} of the map and the entropy of the ball"
        constant, ball = premises
        of, inner, eps = params["ball"], params["inner"], params["eps"]
        if ball.claim.operator != at(of, inner) or ball.claim.norm_out != constant.claim.norm_in:
            return "the second premise is not the ball's entropy at the scale inside, in the map's norm"
        if not _covers_ball(constant.claim, of) or constant.claim.norm_out != claim.norm_out:
            return "the first premise does not hold on the ball, or in another norm"
        if side == UPPER and exact(constant.value) * _factor(constant.claim) * exact(inner) > exact(eps):
            return "the scale inside is too large"
        if side == LOWER and exact(constant.value) * exact(inner) < 2 * exact(eps):
            return "the scale inside is too small"
        return scaled(claim, side, image_digest(constant.claim.operator, constant.claim.region.digest, of), params)

    return accepts


def image_digest(operator: str, region: str, of: str) -> str:
    """The name of the image of a ball."""
    return set_digest("image", operator=operator, region=region, of=of)


@rule(
    "entropy.image.upper@1",
    reference="N(T(K), L e) <= N(K, e), T Lipschitz around K; twice the radius where centres must first move into K",
    accepts=_image(UPPER),
)
def image_upper(lip: Any, entropy: Any, ball: str, inner: Any, eps: Any) -> Any:
    """The entropy of the ball at the scale inside."""
    return 1 * entropy


@rule(
    "entropy.image.lower@1",
    reference="N(T(K), e) >= M(T(K), 2 e) >= M(K, 2 e/m) >= N(K, 2 e/m), m the expansion of T on K",
    accepts=_image(LOWER),
)
def image_lower(expansion: Any, entropy: Any, ball: str, inner: Any, eps: Any) -> Any:
    """The entropy of the ball at the scale inside."""
    return 1 * entropy


@dataclass(frozen=True, eq=False)
class Image(TotallyBounded):
    """``T(ball)``, in the norm of T's codomain.

    Parameters
    ----------
    operator : Operator
    ball : Ball
        In the norm of T's domain.

    Raises
    ------
    DomainError
        If the ball does not lie in T's domain, or is in another norm.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators import Diagonal
    >>> K = Image(Diagonal(np.array([2.0, 2.0])), Ball(np.zeros(2), 1.0))
    >>> print(K.entropy(0.5))
    1.38629 <= entropy <= 4.39445 (proved | proved)
    """

    operator: Operator
    ball: Ball

    def __post_init__(self) -> None:
        domain = self.operator.domain
        if not domain.admits(self.ball.center.shape) or domain.norm != self.ball.norm:
            raise DomainError(f"{self.ball!r} is no ball of the domain {domain!r} of {self.operator!r}")

    @property
    def metric(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The norm of T's codomain."""
        return self.operator.codomain.norm

    @property
    def digest(self) -> str:
        return image_digest(self.operator.digest, self.ball.digest, self._set.digest)

    @property
    def _set(self) -> NormBall:
        return NormBall(self.ball.center.size, self.ball.radius, self.ball.norm)

    def upper(self, eps: float) -> Bound:
        eps = scale(eps)
        lip = self.operator.lip(self.ball)
        if not lip.known or lip.claim.region.digest != self.ball.digest:
            return unknown(self.claim(eps), f"{self.operator!r} has no Lipschitz constant on {self.ball!r}")
        inner = eps / (lip.value * _factor(lip.claim)) if lip.value > 0 else max(eps, self.ball.radius, 1.0)
        while exact(lip.value) * _factor(lip.claim) * exact(inner) > exact(eps):
            inner = math.nextafter(inner, 0.0)
        premises = (lip, self._set.upper(inner))
        return derive("entropy.image.upper@1", self.claim(eps), premises, ball=self._set.digest, inner=inner, eps=eps)

    def lower(self, eps: float) -> Bound:
        eps = scale(eps)
        expansion = self.operator.expansion(self.ball)
        if not expansion.value > 0 or 2 * eps / expansion.value == math.inf:
            return super().lower(eps)
        inner = 2 * eps / expansion.value
        while exact(expansion.value) * exact(inner) < 2 * exact(eps):
            inner = math.nextafter(inner, math.inf)
        premises = (expansion, self._set.lower(inner))
        claim = self.claim(eps, LOWER)
        return derive("entropy.image.lower@1", claim, premises, ball=self._set.digest, inner=inner, eps=eps)


__all__ = ["Image"]
