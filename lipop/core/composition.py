"""Composition: the product rule on images, neighbouring linear factors multiplied out, chains linearised as wholes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core import leaves as rules
from lipop.core.bound import LOWER, Bound
from lipop.core.digest import array_digest
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import Deviation, Linearization, LinearOperator
from lipop.core.norms import derivative_norm
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere, Region, Shell, TokenBall, as_ball
from lipop.core.rule import derive, leaf, parts_digest, unknown
from lipop.core.space import Space
from lipop.errors import NormMismatch, ShapeError

COARSE = 2e-2  # relative slack of derivative norms that multiply deviations


class Combined(Operator):
    """An operator whose digest comes from its parts, so that rules can recognise it."""

    def _kind(self) -> tuple[str, list[str]]:
        raise NotImplementedError

    def _make_digest(self) -> str:
        kind, parts = self._kind()
        return parts_digest(kind, parts)


@dataclass(frozen=True, eq=False, repr=False)
class Composition(Combined):
    """``factors[0] o factors[1] o ...``; compositions among the factors are flattened, so that composing is
    associative."""

    factors: tuple[Operator, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(g for f in self.factors for g in f.unfolded))

    @property
    def unfolded(self) -> tuple[Operator, ...]:
        return self.factors

    def _kind(self) -> tuple[str, list[str]]:
        return "compose", [f.digest for f in self.factors]

    @property
    def domain(self) -> Space:
        return self.factors[-1].domain

    @property
    def codomain(self) -> Space:
        return self.factors[0].codomain

    @property
    def tokenwise(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(f.tokenwise for f in self.factors)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        for f in reversed(self.factors):
            x = f(x)
        return x

    def enclose(self, x: Enclosed) -> Enclosed:
        for f in reversed(self.factors):
            x = f.enclose(x)
        return x

    @property
    def _outer(self) -> tuple[Operator, ...] | None:
        """The outer factors, if they are all token-wise with a view for the chain rules."""
        return self.factors[:-1] if all(f.chains for f in self.factors[:-1]) else None

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        if self._outer is not None:
            known = self.factors[-1].chain_jacobian(self, self._outer, x, False)
            if known is not None:
                return known
        J: LinearOperator | None = None
        for f in reversed(self.factors):
            K = f.derivative(x)
            J = K if J is None else K @ J
            x = f(x)
        assert J is not None
        return J

    def linearize(self, ball: Ball | TokenBall) -> Linearization:
        """Token-wise factors after attention as one chain (operators.chain); otherwise the pairwise product rule."""
        if self._outer is not None:
            known = self.factors[-1].chain_linearize(self, self._outer, ball, False)
            if known is not None:
                return known
        inner: Operator = self.factors[-1]
        g = inner.linearize(ball)
        for i in reversed(range(len(self.factors) - 1)):
            g = _extend(self.factors[i], inner, g)
            inner = Composition(self.factors[i:])
        return g

    def lip(self, on: Region | None = None) -> Bound:
        """Product of the factors' constants on the images, neighbouring linear factors multiplied out first."""
        on = self._region(on)
        groups = self._groups()
        bounds: list[Bound] = []
        images: list[Bound] = []
        region = on
        for op, _ in reversed(groups):
            bounds.append(op.lip(region))
            if len(bounds) < len(groups):
                region = _locate(op, region, images)
        bad = next((b for b in bounds if not b.known), None)
        if bad is not None:
            return unknown(self.claim("lip", on), str(bad.params["reason"]))
        return derive("compose@1", self.claim("lip", on), (*bounds, *images), groups=[g for _, g in groups])

    def expansion(self, on: Region | None = None) -> Bound:
        """Product of the factors' lower Lipschitz constants on the whole space."""
        on = self._region(on)
        groups = self._groups()
        parts = tuple(op.expansion() for op, _ in reversed(groups))
        return derive("compose@1", self.claim("expansion", on, LOWER), parts, groups=[g for _, g in groups])

    def _groups(self) -> list[tuple[Operator, list[str]]]:
        """The factors, neighbouring linear ones multiplied out, each with the digests of the factors it stands for."""
        out: list[tuple[Operator, list[str]]] = []
        for f in self.factors:
            fused = out[-1][0].fuse(f) if out else None
            if fused is None:
                out.append((f, [f.digest]))
            else:
                out[-1] = (fused, [*out[-1][1], f.digest])
        return out

    def __repr__(self) -> str:
        return " @ ".join(repr(f) for f in self.factors)


def _locate(op: Operator, region: Region, images: list[Bound]) -> Region:
    """The image of a region as a ball (of every token, where the region is no ball), its proof appended; the whole
    space where no proof is at hand."""
    if isinstance(region, Everywhere | Shell):
        size = op.token_norm(region)
        if not size.known:
            return Everywhere()
        images.append(size)
        return Shell(0.0, size.value, region.tokens if isinstance(region, Shell) else None)
    located = op.image_bound(region)
    if located is None or not math.isfinite(located[0].value):
        return Everywhere()
    bound, center = located
    images.append(bound)
    return Ball(center, bound.value, op.codomain.norm)


def _extend(f: Operator, inner: Operator, g: Linearization) -> Linearization:
    """The linearisation of ``f o inner`` from that of ``inner``, by the product rule."""
    whole = compose(f, inner)
    claim = whole.claim("deviation", g.ball)
    center = inner(g.ball.center)
    inner_norm, moved = derivative_norm(inner, g.ball.center, J=g.J, rtol=COARSE), g.deviation.norm()
    located = _linear_image(inner, g, inner_norm, moved) or _own_image(inner, g)
    if located is None:
        lost = unknown(claim, f"the image of {inner!r} is not known")
        return Linearization(g.ball, Everywhere, f.derivative(center) @ g.J, Deviation(lost))
    outer = f.linearize(Ball(center, located.value))
    parts = (derivative_norm(f, center, J=outer.J, rtol=COARSE), outer.deviation.norm(), inner_norm, moved)
    lost = next((b for b in parts if not b.known), None)
    digests = [h.digest for h in inner.unfolded]
    bound = (
        derive("deviation.compose@1", claim, (*parts, located), inner=digests)
        if lost is None
        else unknown(claim, str(lost.params["reason"]))
    )
    return Linearization(g.ball, outer.locate, outer.J @ g.J, Deviation(bound))


def _linear_image(inner: Operator, g: Linearization, at: Bound, moved: Bound) -> Bound | None:
    """The radius ``(|J| + deviation) r`` around the computed value, r the ball's."""
    ball = g.ball
    forward = inner.forward_bound(ball.center)
    if not (isinstance(ball, Ball) and ball.norm == "l2" and forward is not None and at.known and moved.known):
        return None
    lip = derive("linearize@1", inner.claim("lip", ball), (at, moved))
    center = array_digest(inner(ball.center))
    return derive("image.ball@1", inner.claim("image", ball), (lip, forward), radius=ball.radius, center=center)


def _own_image(inner: Operator, g: Linearization) -> Bound | None:
    """The operator's own image, if it is a ball around the computed value."""
    region, center = as_ball(g.image), array_digest(inner(g.ball.center))
    if region is None or array_digest(region.center) != center:
        return None
    return leaf(rules.IMAGE_OWN, inner.claim("image", g.ball), region.radius, inner, center=center)


def compose(outer: Operator, inner: Operator) -> Composition:
    """``outer o inner``, flattened.

    Raises
    ------
    ShapeError, NormMismatch
        If the spaces do not meet.
    """
    if not outer.domain.meets(inner.codomain):
        raise ShapeError(
            f"cannot compose: {outer!r} takes {outer.domain.shape}, {inner!r} gives {inner.codomain.shape}"
        )
    if outer.domain.norm != inner.codomain.norm:
        raise NormMismatch(
            f"cannot compose: {outer!r} measures in {outer.domain.norm}, {inner!r} gives "
            f"{inner.codomain.norm}; put a NormChange between"
        )
    return Composition((outer, inner))
