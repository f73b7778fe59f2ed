"""The rates of the theorems as rules: each formula stands once, for the value, the check and the LaTeX.

A bound speaks about every family of blocks whose laws and limit map have the digests that the claim's operator is made
of: it needs nothing else about the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.rule import covers, derive, rule
from lipop.limit import rates_steps  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its rules register themselves
from lipop.limit.rate_claims import family, wants


def conclude(name: str, quantity: str, premises: tuple[Bound, ...], side: str = UPPER, **params: Any) -> Bound:
    """A bound by one of the rules here, about the class of families that its premises describe.

    Parameters
    ----------
    name : str
    quantity : str
        ``distance``, ``lip`` or ``expansion``.
    premises : tuple of Bound
    side : str
    **params
        The depth ``n``, and what else the rule takes.
    """
    last = premises[-1].claim
    claim = Claim(quantity, side, family(premises), last.region, last.norm_in, last.norm_out)
    return derive(name, claim, premises, **params)


# ---- theorem 1 -----------------------------------------------------------------------------------------------------


@rule(
    "limit.idempotency@1",
    reference="theorem 1 (a): |S_n x - T S_n x| <= (1 + L) eps_n, T idempotent",
    accepts=wants("distance", "lip", "distance:law.value"),
)
def idempotency(lip: Any, eps: Any, n: int) -> Any:
    """(1 + L) eps_n."""
    return (1 + lip) * eps


@rule(
    "limit.projected@1",
    reference="theorem 1 (b): |S_inf x - T S_n x| <= L tau_n, T idempotent",
    accepts=wants("distance", "lip", "distance:law.tail"),
)
def projected(lip: Any, tail: Any, n: int) -> Any:
    """L tau_n."""
    return lip * tail


@rule(
    "limit.error@1",
    reference="theorem 1 (c): |S_inf x - S_n x| <= (1 + L) eps_n + L tau_n, T idempotent",
    accepts=wants("distance", "lip", "distance:law.value", "distance:law.tail"),
)
def error(lip: Any, eps: Any, tail: Any, n: int) -> Any:
    """(1 + L) eps_n + L tau_n."""
    return (1 + lip) * eps + lip * tail


@rule(
    "limit.error.nearest@1",
    reference="theorem 1, T a nearest-point map: |S_n x - T S_n x| <= eps_n, so the error is eps_n + L tau_n at most",
    accepts=wants("distance", "lip", "distance:law.value", "distance:law.tail"),
)
def error_nearest(lip: Any, eps: Any, tail: Any, n: int) -> Any:
    """eps_n + L tau_n."""
    return eps + lip * tail


@rule(
    "limit.error.orthogonal@1",
    reference="theorem 1, T linear and orthogonal: S_n x - T S_n x and S_inf x - T S_n x are orthogonal",
    accepts=wants("distance", "lip", "distance:law.value", "distance:law.tail"),
)
def error_orthogonal(lip: Any, eps: Any, tail: Any, n: int) -> Any:
    """sqrt(eps_n^2 + tau_n^2)."""
    return formula.sqrt(eps**2 + tail**2)


@rule(
    "limit.size@1",
    reference=(
        "growth form: M_{n+1} <= (1 + eps_{n+1} + (1 + L) eps_n) M_n for the running maximum M of 1 + |S_k x|, k > m, "
        "and M_{m+1} <= max(1 + r, 1 + L r + |T 0| + eps_{m+1} (1 + r))"
    ),
    accepts=wants("distance", "lip", "distance:law.value", "lip:law.factors"),
)
def size(lip: Any, eps: Any, factors: Any, n: int, radius: Any, origin: Any) -> Any:
    """A bound of 1 + |S_{k,m} x| for every k >= m; n is m + 1, ``origin`` bounds |T 0| and ``radius`` |x|."""
    first = 1 + lip * radius + origin + eps * (1 + radius)
    return formula.maximum(1 + radius, first) * factors


@rule(
    "limit.scaled@1",
    reference="growth form: the bounded form on the orbit, every eps multiplied by the bound of 1 + |S_k x|",
    accepts=lambda c, p, q: _scaled_accepts(c, p),
)
def scaled(distance: Any, largest: Any) -> Any:
    """The bounded form's distance times the running maximum."""
    return distance * largest


def _scaled_accepts(claim: Claim, premises: tuple[Bound, ...]) -> str | None:
    if [p.rule for p in premises][1:] != ["limit.size@1"] or premises[0].claim.quantity != "distance":
        return "premises are a distance in bounded form and a bound of the orbit's size"
    if (claim.quantity, claim.side, claim.operator) != ("distance", UPPER, family(premises)):
        return "it bounds a distance of the premises' family from above"
    if any(p.claim.side != UPPER or not covers(p.claim, claim.region) for p in premises):
        return "the premises must bound from above, on a region that contains the claim's"
    law = {p.claim.operator for q in premises for p in q.premises}
    return None if len(law) <= 2 else "the premises speak about different laws"


# ---- theorems 2, 6, 9 ----------------------------------------------------------------------------------------------


@rule(
    "limit.tail@1",
    reference="theorems 2, 6 (C = 1) and 9 (a): |S_inf x - Q S_n x| <= tau_n",
    accepts=wants("distance", "distance:law.tail"),
)
def tail(tail: Any, n: int) -> Any:
    """tau_n."""
    return 1 * tail


def _reference_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = wants("distance", "lip:limit.residual.lip", "distance:law.tail")(claim, premises, params)
    if reason is None and premises[0].params["n"] != params["n"] + 1:
        return "the constant is that of the reference compositions behind block n + 1"
    return reason


@rule(
    "limit.reference@1",
    reference="theorem 6: |S_inf x - R_inf,n S_n x| <= C tau_n, C bounding Lip(R_j,k) for all j >= k > n",
    accepts=_reference_accepts,
)
def reference(constant: Any, tail: Any, n: int) -> Any:
    """C tau_n."""
    return constant * tail


# ---- theorem 3 -----------------------------------------------------------------------------------------------------


def _contraction_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = wants("distance", "lip", "distance:law.discounted")(claim, premises, params)
    if reason is None and premises[1].params["q"] != premises[0].value:
        return "the discounted sum takes another factor than Lip T"
    if reason is None and premises[1].params["first"] != params["first"]:
        return "the discounted sum begins at another block"
    return reason


@rule(
    "limit.contraction@1",
    reference="theorem 3: |S_n x - x*| <= q^n |x - x*| + sum over k <= n of q^(n-k) eps_k",
    accepts=_contraction_accepts,
)
def contraction(lip: Any, discounted: Any, n: int, first: int, radius: Any) -> Any:
    """q^(number of blocks) r + s."""
    return lip ** (n + 1 - first) * radius + discounted


# ---- theorem 8 -----------------------------------------------------------------------------------------------------


# ---- theorem 10 ----------------------------------------------------------------------------------------------------


__all__ = ["conclude"]
