"""The rates of the theorems as rules: each formula stands once, for the value, the check and the LaTeX.

A bound speaks about every family of blocks whose laws and limit map have the digests that the claim's operator is made
of: it needs nothing else about the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound, Claim
from lipop.core.rule import Accepts, covers, derive, parts_digest, rule


def family(premises: tuple[Bound, ...]) -> str:
    """The digest of the class of families that the premises describe."""
    parts = dict.fromkeys(p.claim.operator for p in premises)
    return parts_digest("family", list(parts))


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


def _premises(quantity: str, *wanted: str, side: str = UPPER) -> Accepts:
    """Premises by quantity and, behind a colon, by rule (without version): ``lip``, ``distance:law.tail``."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if (claim.quantity, claim.side) != (quantity, side):
            return f"it gives {side} bounds of {quantity}"
        if len(premises) != len(wanted):
            return f"{len(wanted)} premises are needed, found {len(premises)}"
        if claim.operator != family(premises):
            return "the premises do not describe the claim's family"
        for p, want in zip(premises, wanted, strict=True):
            kind, _, name = want.partition(":")
            found = p.rule.replace(".declared@", "@").partition("@")[0]
            if p.claim.quantity != kind or (name and found != name):
                return f"a premise on {want} is needed, found {p.claim.quantity} by {p.rule}"
            if name.startswith("law.") and p.params["n"] != params["n"]:
                return f"the premise {want} is about depth {p.params['n']}, not {params['n']}"
            if not covers(p.claim, claim.region):
                return f"the premise {want} holds on a region that does not contain the claim's"
            if (p.claim.norm_in, p.claim.norm_out) != (claim.norm_in, claim.norm_out):
                return f"the premise {want} holds in other norms"
        return None

    return accepts


# ---- theorem 1 -----------------------------------------------------------------------------------------------------


@rule(
    "limit.idempotency@1",
    reference="theorem 1 (a): |S_n x - T S_n x| <= (1 + L) eps_n, T idempotent",
    accepts=_premises("distance", "lip", "distance:law.value"),
)
def idempotency(lip: Any, eps: Any, n: int) -> Any:
    """(1 + L) eps_n."""
    return (1 + lip) * eps


@rule(
    "limit.projected@1",
    reference="theorem 1 (b): |S_inf x - T S_n x| <= L tau_n, T idempotent",
    accepts=_premises("distance", "lip", "distance:law.tail"),
)
def projected(lip: Any, tail: Any, n: int) -> Any:
    """L tau_n."""
    return lip * tail


@rule(
    "limit.error@1",
    reference="theorem 1 (c): |S_inf x - S_n x| <= (1 + L) eps_n + L tau_n, T idempotent",
    accepts=_premises("distance", "lip", "distance:law.value", "distance:law.tail"),
)
def error(lip: Any, eps: Any, tail: Any, n: int) -> Any:
    """(1 + L) eps_n + L tau_n."""
    return (1 + lip) * eps + lip * tail


@rule(
    "limit.error.nearest@1",
    reference="theorem 1, T a nearest-point map: |S_n x - T S_n x| <= eps_n, so the error is eps_n + L tau_n at most",
    accepts=_premises("distance", "lip", "distance:law.value", "distance:law.tail"),
)
def error_nearest(lip: Any, eps: Any, tail: Any, n: int) -> Any:
    """eps_n + L tau_n."""
    return eps + lip * tail


@rule(
    "limit.error.orthogonal@1",
    reference="theorem 1, T linear and orthogonal: S_n x - T S_n x and S_inf x - T S_n x are orthogonal",
    accepts=_premises("distance", "lip", "distance:law.value", "distance:law.tail"),
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
    accepts=_premises("distance", "lip", "distance:law.value", "lip:law.factors"),
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
    law = {p.claim.operator for q in premises for p in q.premises}
    return None if len(law) <= 2 else "the premises speak about different laws"


# ---- theorems 2, 6, 9 ----------------------------------------------------------------------------------------------


@rule(
    "limit.tail@1",
    reference="theorems 2, 6 (C = 1) and 9 (a): |S_inf x - Q S_n x| <= tau_n",
    accepts=_premises("distance", "distance:law.tail"),
)
def tail(tail: Any, n: int) -> Any:
    """tau_n."""
    return 1 * tail


def _reference_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _premises("distance", "lip:limit.residual.lip", "distance:law.tail")(claim, premises, params)
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


@rule(
    "limit.flow@1",
    reference="theorem 9 (b): |S_inf x - Q S_n x| <= (Lambda B / 2) sum over i > n of h_i^2",
    accepts=_premises("distance", "lip", "distance:law.tail"),
)
def flow(lip: Any, squares: Any, n: int, size: Any) -> Any:
    """Lambda B / 2 times the tail of the squared steps."""
    return lip * size * squares / 2


@rule(
    "limit.steps@1",
    reference="theorem 9 (a), Lip N = q < 1: |S_n x - p| <= exp(-(1 - q) sum over i <= n of h_i) |x - p|",
    accepts=lambda c, p, q: _steps_accepts(c, p),
)
def steps(lip: Any, total: Any, n: int, radius: Any) -> Any:
    """exp(-(1 - q) s) r."""
    return formula.exp(-(1 - lip) * total) * radius


@rule(
    "limit.residual.fixed@1",
    reference="theorem 9 (a), Hilbert: |N x_n - x_n| <= |x_0 - p| / sqrt(sum over i <= n of h_i (1 - h_i))",
    accepts=lambda c, p, q: (
        None
        if [b.rule.partition("@")[0].replace(".declared", "") for b in p] == ["law.sum"]
        and (c.quantity, c.side, c.operator) == ("distance", UPPER, family(p))
        and p[0].params["n"] == q["n"]
        else "the premise is the sum of h_i (1 - h_i) up to n, from below"
    ),
)
def fixed_residual(total: Any, n: int, radius: Any) -> Any:
    """r / sqrt(s)."""
    return radius / formula.sqrt(total)


def _steps_accepts(claim: Claim, premises: tuple[Bound, ...]) -> str | None:
    rules = [p.rule.replace(".declared", "").partition("@")[0] for p in premises]
    if len(premises) != 2 or premises[0].claim.quantity != "lip" or rules[1] != "law.sum":
        return "premises are Lip N and the sum of the steps, from below"
    if premises[0].claim.side != UPPER or not premises[0].value < 1:
        return "Lip N must be bounded by a number below 1"
    same = (claim.quantity, claim.side, claim.operator) == ("distance", UPPER, family(premises))
    return None if same else "it bounds a distance of the premises' family from above"


# ---- theorem 3 -----------------------------------------------------------------------------------------------------


def _contraction_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    reason = _premises("distance", "lip", "distance:law.discounted")(claim, premises, params)
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


@rule(
    "limit.residual@1",
    reference="theorem 8: |S_inf x - S_n x| <= (P_n - 1) |S_n x - x0| + P_n sum over i > n of beta_i",
    accepts=_premises("distance", "lip:law.product", "distance:law.tail"),
)
def residual(excess: Any, offsets: Any, n: int, radius: Any) -> Any:
    """(P_n - 1) r + P_n b, from P_n - 1."""
    return excess * radius + (1 + excess) * offsets


@rule(
    "limit.residual.reach@1",
    reference="theorem 8: |S_n x - x0| <= P_m (|x - x0| + sum over i > m of beta_i) for every n",
    accepts=_premises("distance", "lip:law.product", "distance:law.tail"),
)
def reach(excess: Any, offsets: Any, n: int, radius: Any) -> Any:
    """P_m (r + b), from P_m - 1."""
    return (1 + excess) * (radius + offsets)


@rule(
    "limit.residual.error@1",
    reference="theorem 8, with |S_n x - x0| bounded by P_m (|x - x0| + sum over i > m of beta_i)",
    accepts=_premises("distance", "lip:law.product", "distance:law.tail", "distance:limit.residual.reach"),
)
def residual_error(excess: Any, offsets: Any, reached: Any, n: int) -> Any:
    """(P_n - 1) r + P_n b, r a bound of |S_n x - x0| for every n; from P_n - 1."""
    return excess * reached + (1 + excess) * offsets


@rule(
    "limit.residual.lip@1",
    reference="theorem 8, and theorem 1 (d): Lip(S_inf,m) <= product over i > m of (1 + delta_i)",
    accepts=_premises("lip", "lip:law.product"),
)
def residual_lip(excess: Any, n: int) -> Any:
    """P_m, from P_m - 1."""
    return 1 + excess


@rule(
    "limit.residual.expansion@1",
    reference="theorem 8: expansion(S_inf,m) >= product over i > m of (1 - delta_i)_+",
    accepts=_premises("expansion", "expansion:law.shrink", side=LOWER),
)
def residual_expansion(product: Any, n: int) -> Any:
    """The product of (1 - delta_i)_+."""
    return 1 * product


# ---- theorem 10 ----------------------------------------------------------------------------------------------------


@rule(
    "limit.prenorm.growth@1",
    reference="theorem 10: |S_n x - S_n y| <= product over i <= n of (1 + c_i / r_{i-1}) |x - y|",
    accepts=_premises("lip", "lip:law.partial"),
)
def prenorm_growth(product: Any, n: int) -> Any:
    """The product of 1 + c_i / r_{i-1}."""
    return 1 * product


@rule(
    "limit.prenorm.shrink@1",
    reference="theorem 10: |S_n x - S_n y| >= product over i <= n of (1 - c_i / r_{i-1})_+ |x - y|",
    accepts=_premises("expansion", "expansion:law.remain", side=LOWER),
)
def prenorm_shrink(product: Any, n: int) -> Any:
    """The product of (1 - c_i / r_{i-1})_+."""
    return 1 * product


@rule(
    "limit.prenorm.readout@1",
    reference="theorem 10: the normalised output has constant (max|g| sqrt d / r_n) times the product",
    accepts=_premises("lip", "lip:law.partial"),
)
def prenorm_readout(product: Any, n: int, gain: Any, norm: Any) -> Any:
    """gain / r_n times the product; gain stands for max|g| sqrt d, norm for r_n from below."""
    return gain / norm * product


__all__ = ["conclude", "family"]
