"""The rules of the calculus: how bounds of parts give bounds of combinations. Each formula stands once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound, Claim
from lipop.core.digest import array_digest
from lipop.core.region import Ball, Everywhere, Shell, TokenBall
from lipop.core.rule import Accepts, covers, norms_of, parts_digest, rule, same_operator, universal

# ---- composition ---------------------------------------------------------------------------------------------------


def _locates(image: Bound, inner: Claim, outer: Claim) -> bool:
    """Whether an image premise shows that the inner factor maps its region into the outer claim's."""
    region = outer.region
    if image.claim.quantity == "token_norm":
        return (
            image.claim.operator == inner.operator
            and image.claim.side == UPPER
            and covers(image.claim, inner.region)
            and isinstance(region, Shell)
            and region.inner == 0
            and region.outer >= image.value
            and region.tokens in (None, getattr(inner.region, "tokens", None))
        )
    return (
        image.claim.operator == inner.operator
        and image.claim.side == UPPER
        and covers(image.claim, inner.region)
        and isinstance(region, Ball)
        and array_digest(region.center) == image.params.get("center")
        and region.norm == image.claim.norm_out
        and region.radius >= image.value
    )


def _compose_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if (claim.quantity, claim.side) not in (("lip", UPPER), ("expansion", LOWER)):
        return "it bounds Lip from above and expansion from below"
    groups = [[str(f) for f in g] for g in params["groups"]]
    lips, images = premises[: len(groups)], premises[len(groups) :]
    if (
        not lips
        or any(b.claim.quantity != claim.quantity for b in lips)
        or any(b.claim.quantity not in ("image", "token_norm") for b in images)
    ):
        return "premises are the factors' constants, innermost first, then the images between them"
    if any(b.claim.side != claim.side for b in lips):
        return "a premise bounds from the other side"
    if claim.operator != parts_digest("compose", [f for g in groups for f in g]) or len(groups) != len(lips):
        return "the factors are not those of the claim's operator"
    named = [g[0] if len(g) == 1 else parts_digest("compose", g) for g in groups]
    if named != [b.claim.operator for b in reversed(lips)]:
        return "a premise speaks about another factor"
    if not covers(lips[0].claim, claim.region):
        return "the innermost premise holds on a region that does not contain the claim's"
    if lips[0].claim.norm_in != claim.norm_in or lips[-1].claim.norm_out != claim.norm_out:
        return "the norms at the ends differ"
    for inner, outer in pairwise(lips):
        if inner.claim.norm_out != outer.claim.norm_in:
            return "two factors meet in different norms"
        if isinstance(outer.claim.region, Everywhere):
            continue
        if not any(_locates(image, inner.claim, outer.claim) for image in images):
            return "an outer factor's region is not shown to contain the image of the inner one"
    return None


@rule("compose@1", reference="Lip(f o g; K) <= Lip(f; g(K)) Lip(g; K)", accepts=_compose_accepts)
def compose(*values: Any, groups: list[list[str]]) -> Any:
    """Product of the constants of the factors, or groups of linear factors multiplied out (outermost first in
    ``groups``); the premises that follow the constants only locate images."""
    out = values[0]
    for v in values[1 : len(groups)]:
        out = out * v
    return out


def _image_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] != ["lip", "distance"] or claim.quantity != "image":
        return "premises are a Lipschitz constant on the ball and the forward error at its centre"
    if claim.side != UPPER or any(p.claim.side != UPPER for p in premises):
        return "premises and claim must bound from above"
    lip, forward = (p.claim for p in premises)
    if lip.operator != claim.operator or forward.operator != claim.operator:
        return "a premise speaks about another operator"
    ball, point = claim.region, forward.region
    if not isinstance(ball, Ball) or not isinstance(point, Ball) or point.radius != 0:
        return "the region must be a ball, the forward error at its centre"
    if array_digest(point.center) != array_digest(ball.center) or not covers(lip, ball):
        return "the premises do not fit the ball"
    if params.get("radius") != ball.radius or premises[1].params.get("center") != params.get("center"):
        return "the radius or the centre is not the ball's"
    same = norms_of(lip) == norms_of(forward) == norms_of(claim) and ball.norm == claim.norm_in
    return None if same else "the norms differ"


@rule("image.ball@1", reference="T(Ball(c, r)) lies in Ball(c', L r + |T c - c'|)", accepts=_image_accepts)
def image_ball(lip: Any, forward: Any, radius: Any, center: str) -> Any:
    """Radius of a ball around the computed value that contains the image."""
    return lip * radius + forward


# ---- sums, scalings, residuals -------------------------------------------------------------------------------------


def _parts_accepts(kind: str, *quantities: str) -> Accepts:
    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if claim.side != UPPER or claim.quantity not in quantities:
            return f"it bounds {' or '.join(quantities)} from above"
        if claim.operator != parts_digest(kind, [p.claim.operator for p in premises]):
            return "the parts are not those of the claim's operator"
        for p in premises:
            if p.claim.quantity != claim.quantity or p.claim.side != claim.side:
                return "a premise bounds something else"
            if not covers(p.claim, claim.region):
                return "a premise holds on a region that does not contain the claim's"
            if norms_of(p.claim) != norms_of(claim):
                return "a premise holds in other norms"
        return None

    return accepts


def _one_premise(claim: Claim, premises: tuple[Bound, ...]) -> str | None:
    """One premise on the claim's quantity, side and norms, about every pair of its region."""
    if len(premises) != 1 or premises[0].claim.quantity != claim.quantity or premises[0].claim.side != claim.side:
        return "one premise on the same quantity is needed"
    if not universal(claim):
        return f"it gives no {claim.side} bound of {claim.quantity}"
    return None if norms_of(premises[0].claim) == norms_of(claim) else "the premise holds in other norms"


def _unroll_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _one_premise(claim, premises)
    if reason is not None:
        return reason
    n, inner = int(params["n"]), [str(f) for f in params["inner"]]
    base = inner[0] if len(inner) == 1 else parts_digest("compose", inner)
    if claim.operator != parts_digest("power", [str(n), base]):
        return "the claim is not about this power"
    if premises[0].claim.operator != parts_digest("compose", inner * n):
        return "the premise is not about the composition written out"
    return None if covers(premises[0].claim, claim.region) else "the premise holds on a smaller region"


@rule("unroll@1", reference="T^n is T o ... o T", accepts=_unroll_accepts)
def unroll(value: Any, n: int, inner: list[str]) -> Any:
    """The constant of the composition written out; ``inner`` names T's factors."""
    return value


def _restrict_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _one_premise(claim, premises)
    if reason is not None:
        return reason
    p = premises[0].claim
    if claim.operator != parts_digest("restrict", [params["region"], p.operator]):
        return "the premise speaks about another operator"
    return (
        None
        if covers(p, claim.region) or p.region.digest == params["region"]
        else "the premise holds on a smaller region"
    )


@rule("restrict@1", reference="on a region only that region's pairs count", accepts=_restrict_accepts)
def restrict(value: Any, region: str) -> Any:
    """The constant of the unrestricted map."""
    return value


@rule(
    "smoothness.residual@1",
    reference="the identity has a constant derivative",
    accepts=lambda c, p, q: (
        _residual_accepts("smoothness")(c, p, q) if c.quantity == "smoothness" else "it bounds smoothness"
    ),
)
def smoothness_residual(smoothness: Any) -> Any:
    """The branch's smoothness."""
    return smoothness


@rule(
    "sum@1",
    reference="Lip(f + g) <= Lip f + Lip g; Dahlquist constants and smoothness add as well",
    accepts=_parts_accepts("sum", "lip", "dahlquist", "smoothness", "deviation"),
)
def total(*values: Any) -> Any:
    """Sum of the parts' constants."""
    out = values[0]
    for v in values[1:]:
        out = out + v
    return out


def _scale_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _one_premise(claim, premises)
    if reason is not None:
        return reason
    p = premises[0].claim
    if claim.operator != parts_digest("scale", [params["c"].hex(), p.operator]):
        return "the part is not that of the claim's operator"
    if claim.quantity not in ("lip", "expansion", "dahlquist", "smoothness", "deviation"):
        return f"it says nothing about {claim.quantity}"
    if claim.quantity == "dahlquist" and params["c"] < 0:
        return "a Dahlquist constant scales with c >= 0 only"
    return None if covers(p, claim.region) else "the premise holds on a smaller region"


@rule(
    "scale@1",
    reference="Lip(c f) = |c| Lip f; expansion and, for c >= 0, the Dahlquist constant as well",
    accepts=_scale_accepts,
)
def scale(value: Any, c: Any) -> Any:
    """|c| times the constant."""
    return formula.absolute(c) * value


def _residual_accepts(*quantities: str) -> Accepts:
    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if [p.claim.quantity for p in premises] != list(quantities):
            return f"premises on {quantities} are needed"
        if not universal(claim):
            return f"it gives no {claim.side} bound of {claim.quantity}"
        for p in premises:
            if claim.operator != parts_digest("residual", [p.claim.operator]):
                return "a premise speaks about another branch"
            if norms_of(p.claim) != norms_of(claim):
                return "a premise holds in other norms"
            if p.claim.side != UPPER or not covers(p.claim, claim.region):
                return "a premise holds on a region that does not contain the claim's"
        if claim.norm_in != claim.norm_out or ("dahlquist" in quantities and claim.norm_in != "l2"):
            return "the rule holds in one norm (with a Dahlquist constant: in l2)"
        return None

    return accepts


@rule(
    "residual.sum@1",
    reference="Lip(I + F) <= 1 + Lip F",
    accepts=lambda c, p, q: _residual_accepts("lip")(c, p, q) if c.quantity == "lip" else "it bounds Lip",
)
def residual_sum(lip: Any) -> Any:
    """1 + L."""
    return 1 + lip


@rule(
    "residual@1",
    reference=(
        "|x - y + Fx - Fy|^2 <= (1 + 2 a + L^2)|x - y|^2, a the Dahlquist constant and L the Lipschitz "
        "constant of F (expand the square)"
    ),
    accepts=lambda c, p, q: _residual_accepts("dahlquist", "lip")(c, p, q) if c.quantity == "lip" else "it bounds Lip",
)
def residual(dahlquist: Any, lip: Any) -> Any:
    """sqrt(1 + 2 a + L^2)."""
    return formula.sqrt(1 + 2 * dahlquist + lip**2)


@rule(
    "residual.dahlquist@1",
    reference="<x - y + Fx - Fy, x - y> <= (1 + a)|x - y|^2",
    accepts=lambda c, p, q: (
        _residual_accepts("dahlquist")(c, p, q) if c.quantity == "dahlquist" else "it bounds Dahlquist constants"
    ),
)
def residual_dahlquist(dahlquist: Any) -> Any:
    """1 + a."""
    return 1 + dahlquist


@rule(
    "residual.expansion@1",
    reference="|x - y + Fx - Fy| >= (1 - Lip F)|x - y|",
    accepts=lambda c, p, q: (
        _residual_accepts("lip")(c, p, q)
        if (c.quantity, c.side) == ("expansion", LOWER)
        else "it bounds expansion from below"
    ),
)
def residual_expansion(lip: Any) -> Any:
    """max(1 - L, 0)."""
    return formula.maximum(1 - lip, 0 * lip)


def _relax_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = "it bounds Lip" if claim.quantity != "lip" else _one_premise(claim, premises)
    if reason is not None:
        return reason
    p = premises[0].claim
    if claim.operator != parts_digest("relax", [params["alpha"].hex(), p.operator]):
        return "the premise speaks about another operator"
    if claim.norm_in != claim.norm_out:
        return "the rule holds in one norm"
    return None if covers(p, claim.region) else "the premise holds on a smaller region"


@rule("relax@1", reference="Lip((1 - a) I + a T) <= |1 - a| + |a| Lip T", accepts=_relax_accepts)
def relaxed(lip: Any, alpha: Any) -> Any:
    """|1 - alpha| + |alpha| L."""
    return formula.absolute(1 - alpha) + formula.absolute(alpha) * lip


def _power_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if (claim.quantity, claim.side) not in (("lip", UPPER), ("expansion", LOWER)) or claim.norm_in != claim.norm_out:
        return "it bounds Lip from above and expansion from below, in one norm"
    reason = _one_premise(claim, premises)
    if reason is not None:
        return reason
    p = premises[0].claim
    if claim.operator != parts_digest("power", [str(params["n"]), p.operator]):
        return "the premise speaks about another operator"
    return (
        None
        if isinstance(p.region, Everywhere)
        else "the premise must hold everywhere (a region need not map into itself)"
    )


@rule("power@1", reference="Lip(T^n) <= Lip(T)^n on the whole space", accepts=_power_accepts)
def power(value: Any, n: int) -> Any:
    """L^n."""
    return value**n


# ---- linearisation -------------------------------------------------------------------------------------------------


def _linearize_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    at_center = {"lip": "op_norm", "dahlquist": "dahlquist"}.get(claim.quantity)
    if at_center is None:
        return "it bounds Lip or the Dahlquist constant"
    if [p.claim.quantity for p in premises] != [at_center, "deviation"]:
        return "premises are the derivative at the centre and the deviation on the ball"
    at, dev = (p.claim for p in premises)
    if (
        at.operator != claim.operator
        or dev.operator != claim.operator
        or claim.side != UPPER
        or at.side != UPPER
        or dev.side != UPPER
    ):
        return "a premise speaks about another operator or side"
    point, ball = at.region, dev.region
    if not isinstance(point, Ball) or point.radius != 0 or not isinstance(ball, Ball | TokenBall):
        return "the derivative must be taken at a point and the deviation on a ball"
    if array_digest(point.center) != array_digest(ball.center) or not ball.encloses(claim.region):
        return "the ball does not contain the claim's region or has another centre"
    return None if {*norms_of(at), *norms_of(dev), *norms_of(claim)} == {"l2"} else "derivative norms here are l2"


@rule(
    "linearize@1",
    reference=(
        "mean value inequality on a convex ball: Lip <= |J| + sup |DT(x) - J|; the same with the largest "
        "eigenvalue of sym J for Dahlquist constants"
    ),
    accepts=_linearize_accepts,
)
def linearize(at: Any, deviation: Any) -> Any:
    """Derivative at the centre plus deviation."""
    return at + deviation


def _left_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] != ["op_norm", "deviation"] or claim.quantity != "deviation":
        return "premises are the norm of the left factor and the deviation"
    if claim.side != UPPER or any(p.claim.side != UPPER for p in premises):
        return "premises and claim must bound from above"
    if claim.operator != parts_digest("left", [p.claim.operator for p in premises]):
        return "the factors are not those of the claim"
    return None if covers(premises[1].claim, claim.region) else "the deviation holds on a smaller region"


@rule("deviation.left@1", reference="|A D| <= |A||D|", accepts=_left_accepts)
def deviation_left(norm: Any, deviation: Any) -> Any:
    """Product."""
    return norm * deviation


def _deviation_compose_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] != ["op_norm", "deviation", "op_norm", "deviation", "image"]:
        return "premises are norm and deviation of the outer, then of the inner factor, and the inner image"
    if any(p.claim.side != UPPER for p in premises) or (claim.quantity, claim.side) != ("deviation", UPPER):
        return "premises and claim must bound from above"
    f_norm, f_dev, g_norm, g_dev, g_image = (p.claim for p in premises)
    point = f_norm.region
    if (
        not isinstance(point, Ball)
        or point.radius != 0
        or not isinstance(g_norm.region, Ball)
        or g_norm.region.radius != 0
    ):
        return "derivative norms are taken at a point"
    if f_norm.operator != f_dev.operator or not g_norm.operator == g_dev.operator == g_image.operator:
        return "norm and deviation of a factor belong together"
    inner = [str(d) for d in params["inner"]]
    if claim.operator != parts_digest("compose", [f_norm.operator, *inner]):
        return "the factors are not those of the claim's operator"
    if g_norm.operator != (inner[0] if len(inner) == 1 else parts_digest("compose", inner)):
        return "the inner factors are not those of the premises"
    if not (covers(g_dev, claim.region) and covers(g_image, claim.region)):
        return "an inner premise holds on a smaller region"
    outer = f_dev.region
    if not isinstance(outer, Ball) or outer.norm != "l2" or outer.radius < premises[4].value:
        return "the outer deviation must hold on a ball that contains the inner image"
    if not array_digest(outer.center) == array_digest(point.center) == premises[4].params.get("center"):
        return "the outer ball has another centre than the inner image"
    inner_ball = g_dev.region
    if not isinstance(inner_ball, Ball | TokenBall):
        return "the inner deviation holds on a ball"
    if array_digest(inner_ball.center) != array_digest(g_norm.region.center):
        return "norm and deviation of the inner factor have different centres"
    return None if {n for p in premises for n in norms_of(p.claim)} == {"l2"} else "derivative norms here are l2"


@rule(
    "deviation.compose@1",
    reference="D(f o g) - JK = (Df - J) Dg + J (Dg - K): at most |J| dev(g) + dev(f) (|K| + dev(g))",
    accepts=_deviation_compose_accepts,
)
def deviation_compose(f_norm: Any, f_dev: Any, g_norm: Any, g_dev: Any, g_image: Any, inner: list[str]) -> Any:
    """|J| dev(g) + dev(f) (|K| + dev(g)); the image premise only locates the outer ball."""
    return f_norm * g_dev + f_dev * (g_norm + g_dev)


def _deviation_parts_accepts(kind: str, least: int) -> Accepts:
    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if (claim.quantity, claim.side) != ("deviation", UPPER) or len(premises) < least:
            return "it bounds deviations from above"
        extra = [params["c"].hex()] if kind == "scale" else []
        if claim.operator != parts_digest(kind, [*extra, *(p.claim.operator for p in premises)]):
            return "the parts are not those of the claim's operator"
        good = all(
            p.claim.quantity == "deviation" and p.claim.side == UPPER and covers(p.claim, claim.region)
            for p in premises
        )
        return None if good else "a premise is not a deviation on a region that contains the claim's"

    return accepts


@rule("deviation.residual@1", reference="D(I + F) moves as DF does", accepts=_deviation_parts_accepts("residual", 1))
def deviation_residual(deviation: Any) -> Any:
    """The branch's deviation."""
    return deviation


@rule(
    "dahlquist.lip@1",
    reference="<Tx - Ty, x - y> <= Lip |x - y|^2 (Cauchy-Schwarz)",
    accepts=same_operator("lip", gives="dahlquist"),
)
def dahlquist_of_lip(lip: Any) -> Any:
    """The Lipschitz constant itself."""
    return lip


@rule(
    "expansion.trivial@1",
    reference="a lower Lipschitz constant is never negative",
    accepts=lambda claim, premises, params: (
        None if (claim.quantity, claim.side) == ("expansion", LOWER) and not premises else "it gives expansion >= 0"
    ),
)
def expansion_trivial() -> Any:
    """0."""
    import flint

    return flint.arb(0)
