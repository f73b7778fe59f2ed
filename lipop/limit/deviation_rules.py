"""The calculus of deviations: how ``sup |A x - B x|`` of parts gives that of combinations. Each formula stands once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core import formula
from lipop.core.algebra import Identity
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.digest import array_digest
from lipop.core.region import Ball, Everywhere
from lipop.core.rule import covers, derive, parts_digest, rule, unknown
from lipop.core.space import Space


def between(a: str, b: str) -> str:
    """The digest of a pair of operators, from theirs."""
    return parts_digest("between", [a, b])


def applied(name: str, claim: Claim, premises: list[Bound], **params: Any) -> Bound:
    """A rule over premises that must all be known."""
    lost = next((p for p in premises if not p.known), None)
    return (
        derive(name, claim, tuple(premises), **params) if lost is None else unknown(claim, str(lost.params["reason"]))
    )


def _upper(claim: Claim, premises: tuple[Bound, ...], *quantities: str) -> str | None:
    if (claim.quantity, claim.side) != ("distance", UPPER):
        return "it bounds distances from above"
    if tuple(p.claim.quantity for p in premises) != quantities:
        return f"its premises are {quantities}"
    return None if all(p.claim.side == UPPER for p in premises) else "a premise bounds from below"


def _same(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _upper(claim, premises)
    a = str(params["operator"])
    return reason or (None if claim.operator == between(a, a) else "the two operators differ")


SAME, BALL, PARTS, STEP, COEFFICIENT, OUTER, CHAIN = (
    f"between.{name}@1" for name in ("same", "ball", "parts", "step", "coefficient", "outer", "chain")
)


@rule(SAME, reference="two operators with one digest are one map", accepts=_same)
def same(operator: str) -> Any:
    """Zero."""
    import flint

    return flint.arb(0)


def _ball(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _upper(claim, premises, "distance", "lip", "lip")
    if reason is not None:
        return reason
    at, p, q = (b.claim for b in premises)
    if not at.operator == claim.operator == between(p.operator, q.operator):
        return "a premise speaks about another pair"
    if len({(c.norm_in, c.norm_out) for c in (claim, at, p, q)}) > 1 or claim.norm_in != claim.norm_out:
        return "the norms differ"
    point, ball = at.region, p.region
    if not isinstance(point, Ball) or point.radius != 0 or not isinstance(ball, Ball) or ball.norm != claim.norm_in:
        return "the deviation is known at the centre of a ball, the Lipschitz constants on it"
    if array_digest(point.center) != array_digest(ball.center) or q.region.digest != ball.digest:
        return "the ball has another centre"
    if params["radius"] != ball.radius or not ball.encloses(claim.region):
        return "the ball does not contain the claim's region, or has another radius"
    return None


@rule(BALL, reference="|Ax - Bx| <= |Ac - Bc| + (Lip A + Lip B)|x - c|", accepts=_ball)
def ball(at: Any, p: Any, q: Any, radius: Any, a: str, b: str) -> Any:
    """Deviation at the centre plus both constants times the radius."""
    return at + (p + q) * radius


def _meet(claim: Claim, premises: tuple[Bound, ...], operators: list[str]) -> str | None:
    """Whether premises about pairs are about these, in the claim's norms, on regions that contain the claim's."""
    for p, operator in zip((b.claim for b in premises), operators, strict=True):
        if p.operator != operator:
            return "a premise speaks about another pair"
        if (p.norm_in, p.norm_out) != (claim.norm_in, claim.norm_out) or not covers(p, claim.region):
            return "a premise holds in other norms or on a smaller region"
    return None


def _parts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    pairs = [[str(d) for d in pair] for pair in params["pairs"]]
    reason = _upper(claim, premises, *("distance",) * len(pairs))
    if reason is not None:
        return reason
    kind, c = str(params["kind"]), params["c"]
    if (kind in ("sum", "residual") and c != 1.0) or kind not in ("sum", "residual", "scale", "relax"):
        return "it is about sums and residuals (c = 1), scalings and relaxations"
    if not pairs or (len(pairs) > 1 and kind != "sum"):
        return "the number of parts does not fit"
    extra = [c.hex()] if kind in ("scale", "relax") else []
    a, b = (parts_digest(kind, [*extra, *(pair[k] for pair in pairs)]) for k in (0, 1))
    if claim.operator != between(a, b):
        return "the parts are not those of the claim's operators"
    return _meet(claim, premises, [between(*pair) for pair in pairs])


@rule(
    PARTS,
    reference="d(sum A_j, sum B_j) <= sum d(A_j, B_j); d(I + F, I + G) = d(F, G); d(cA, cB) = |c| d(A, B); the same for"
    " (1 - c) I + c A",
    accepts=_parts,
)
def parts(*values: Any, pairs: list[list[str]], kind: str, c: Any) -> Any:
    """``|c|`` times the sum of the parts' deviations."""
    out = values[0]
    for v in values[1:]:
        out = out + v
    return formula.absolute(c) * out


def zero_of(operator: str) -> str:
    """The digest of 0 times an operator."""
    return parts_digest("scale", [(0.0).hex(), operator])


def _identity(params: Mapping[str, Any]) -> str:
    shape = tuple(None if n is None else int(n) for n in params["shape"])
    return Identity(Space(shape, str(params["norm"]))).digest


def _step(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason, branch = _upper(claim, premises, "distance"), str(params["branch"])
    if reason is not None:
        return reason
    if claim.operator != between(parts_digest("residual", [branch]), _identity(params)):
        return "the pair is not a residual map and the identity"
    return _meet(claim, premises, [between(branch, zero_of(branch))])


@rule(STEP, reference="d(I + F, I) = sup |F x|", accepts=_step)
def step(size: Any, branch: str, shape: list[Any], norm: str) -> Any:
    """The size of the branch."""
    return size


def _coefficient(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason, inner = _upper(claim, premises, "distance"), str(params["inner"])
    if reason is not None:
        return reason
    kind = str(params["kind"])
    if kind not in ("scale", "relax"):
        return "it is about scalings and relaxations"
    pair = between(*(parts_digest(kind, [params[k].hex(), inner]) for k in ("c", "d")))
    other = zero_of(inner) if kind == "scale" else _identity(params)
    return "the pair has other parts" if claim.operator != pair else _meet(claim, premises, [between(inner, other)])


@rule(
    COEFFICIENT,
    reference="d(cA, dA) = |c - d| sup |A x|; d((1-c) I + cA, (1-d) I + dA) = |c - d| d(A, I)",
    accepts=_coefficient,
)
def coefficient(size: Any, c: Any, d: Any, inner: str, kind: str, shape: list[Any], norm: str) -> Any:
    """``|c - d|`` times the size."""
    return formula.absolute(c - d) * size


def _named(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else parts_digest("compose", digests)


def _outer(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    chained = len(premises) == 4
    quantities = ("lip", "distance", "image", "distance") if chained else ("lip", "distance")
    reason = _upper(claim, premises, *quantities)
    if reason is not None:
        return reason
    f, g = (str(d) for d in params["outer"])
    a, b = ([str(d) for d in params[k]] for k in ("a", "b"))
    lip, moved = premises[0].claim, premises[1].claim
    if claim.operator != between(parts_digest("compose", [f, *a]), parts_digest("compose", [g, *b])):
        return "the factors are not those of the claim's operators"
    if lip.operator != f or not isinstance(lip.region, Everywhere) or moved.operator != between(_named(a), _named(b)):
        return "a premise speaks about another factor, or the outer constant holds on a region only"
    if not covers(moved, claim.region) or claim.norm_in != moved.norm_in or lip.norm_in != moved.norm_out:
        return "the inner deviation holds on a smaller region, or norms do not meet"
    if lip.norm_out != claim.norm_out:
        return "the outer norms differ"
    if not chained:
        return None if f == g else "the outer factors differ"
    return _swapped(claim, premises[2], premises[3].claim, _named(b), between(f, g))


def _swapped(claim: Claim, image: Bound, swapped: Claim, inner: str, pair: str) -> str | None:
    region = swapped.region
    if image.claim.operator != inner or swapped.operator != pair or not covers(image.claim, claim.region):
        return "the image or the outer deviation is about something else"
    if not isinstance(region, Ball) or array_digest(region.center) != image.params.get("center"):
        return "the outer deviation must hold on the ball of the image"
    if region.radius < image.value or region.norm != image.claim.norm_out or swapped.norm_in != region.norm:
        return "the outer deviation holds on a smaller ball, or in another norm"
    return None if swapped.norm_out == claim.norm_out else "the outer norms differ"


@rule(OUTER, reference="|f(ax) - f(bx)| <= Lip(f) |ax - bx|", accepts=_outer)
def outer(lip: Any, moved: Any, **named: list[str]) -> Any:
    """Product."""
    return lip * moved


@rule(CHAIN, reference="|f(ax) - g(bx)| <= Lip(f) |ax - bx| + |f(bx) - g(bx)|, bx in the image of b", accepts=_outer)
def chain(lip: Any, moved: Any, image: Any, swapped: Any, **named: list[str]) -> Any:
    """Product plus the outer deviation; the image premise only locates it."""
    return lip * moved + swapped
