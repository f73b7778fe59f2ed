"""How fast powers of a map tend to their limit: certificates and formulas, each standing once.

A *gap* of depth n is the map ``T^n - Q`` for one T whose powers converge to Q; a bound of its ``lip`` bounds
``|T^n x - Qx| / |x - Qx|`` for every x. Sources stand with the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound, Claim
from lipop.core.rule import Accepts, derive, leaf_rule, norms_of, parts_digest, rule

GAP = leaf_rule(
    "power.gap@1",
    reference=(
        "T^n - Q itself: 0 for an idempotent T; (1 - c)^n for T = (1 - c) I + c P, P a nearest-point map (0 <= c <= 1)"
        " or a linear projection (0 <= c <= 2); otherwise the norm of (A - Q)^n, A and Q rational, in ball arithmetic;"
        " for large A the power in enclosed float64"
    ),
    grid=53,
    quantity="lip",
    side=UPPER,
)
PRODUCT = leaf_rule(
    "power.product@1",
    reference="P_1 ... P_m - Q for orthogonal projections, Q onto the intersection, multiplied out (l2)",
    grid=30,
    quantity="op_norm",
    side=UPPER,
)
ANGLE_UPPER = leaf_rule(
    "angle.upper@1",
    reference="cosine of the Friedrichs angle: |P_1 P_2 - Q| in orthonormal bases, elimination in ball arithmetic",
    grid=53,
    quantity="op_norm",
    side=UPPER,
)
ANGLE_LOWER = leaf_rule(
    "angle.lower@1",
    reference="cosine of the Friedrichs angle from below: the same elimination meets a negative pivot",
    grid=53,
    quantity="op_norm",
    side=LOWER,
)


def gap_digest(T: str, n: int) -> str:
    """The digest of ``T^n - Q``, from that of T."""
    return parts_digest("power gap", [T, str(n)])


# ---- formulas ------------------------------------------------------------------------------------------------------


def _gap_from(quantity: str, made: Callable[[str, Mapping[str, Any]], str | None]) -> Accepts:
    """One premise, from which a gap of depth n follows; ``made(premise's operator, params)`` is the digest of T, or
    None where the premise is about something else."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if (claim.quantity, claim.side) != ("lip", UPPER):
            return "it bounds a gap from above"
        if len(premises) != 1 or (premises[0].claim.quantity, premises[0].claim.side) != (quantity, UPPER):
            return f"one premise on {quantity} is needed"
        if norms_of(premises[0].claim) != norms_of(claim) or premises[0].claim.region.kind != "everywhere":
            return "the premise holds on the whole space, in the claim's norms"
        if not (isinstance(params["n"], int) and params["n"] >= 1):
            return "the depth is at least 1"
        T = made(premises[0].claim.operator, params)
        same = T is not None and claim.operator == gap_digest(T, params["n"])
        return None if same else "the premise is about another operator than the gap"

    return accepts


def subspaces_digest(kind: str, factors: list[str]) -> str:
    """The digest of what stands between subspaces: of a pair (its angle), of a product (less its limit)."""
    return parts_digest(f"subspace {kind}", factors)


def _product_of(premise: str, kind: str, factors: list[str]) -> str | None:
    return parts_digest("compose", factors) if premise == subspaces_digest(kind, factors) else None


@rule(
    "power.contraction@1",
    reference="Banach: |T^n x - x*| <= q^n |x - x*|, q = Lip T < 1",
    accepts=_gap_from("lip", lambda premise, q: premise),
)
def contraction(lip: Any, n: int) -> Any:
    """q^n."""
    return lip**n


@rule(
    "alternating.pair@1",
    reference="Kayalar and Weinert 1988: |(P_1 P_2)^n - Q| = c^(2n - 1), c the cosine of the Friedrichs angle",
    accepts=_gap_from("op_norm", lambda premise, q: _product_of(premise, "pair", q["factors"])),
)
def alternating(cosine: Any, n: int, factors: list[str]) -> Any:
    """c^(2n - 1)."""
    return cosine ** (2 * n - 1)


@rule(
    "alternating.product@1",
    reference="projections fix their common vectors: (P_1 ... P_m)^n - Q = (P_1 ... P_m - Q)^n (Halperin 1962)",
    accepts=_gap_from("op_norm", lambda premise, q: _product_of(premise, "product", q["factors"])),
)
def product(norm: Any, n: int, factors: list[str]) -> Any:
    """p^n."""
    return norm**n


def _error_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [(p.claim.quantity, p.claim.side) for p in premises] != [("lip", UPPER)]:
        return "the premise bounds a gap"
    if (claim.quantity, claim.side, claim.operator) != ("distance", UPPER, premises[0].claim.operator):
        return "it bounds a distance of the premise's gap from above"
    return None if norms_of(claim) == norms_of(premises[0].claim) else "the norms differ"


@rule("power.error@1", reference="|T^n x - Qx| <= (gap) |x - Qx|", accepts=_error_accepts)
def power_error(gap: Any, radius: Any) -> Any:
    """gap times r."""
    return gap * radius


def error_from(gap: Bound, radius: float) -> Bound:
    """``|T^n x - Qx|`` for ``|x - Qx| <= radius``, from a bound of the gap."""
    c = gap.claim
    claim = Claim("distance", UPPER, c.operator, norm_in=c.norm_in, norm_out=c.norm_out)
    return derive("power.error@1", claim, (gap,), radius=float(radius))


__all__ = [
    "ANGLE_LOWER",
    "ANGLE_UPPER",
    "GAP",
    "PRODUCT",
    "error_from",
    "gap_digest",
    "subspaces_digest",
]
