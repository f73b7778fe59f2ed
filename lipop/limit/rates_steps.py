"""The rates of theorems 8 to 10 as rules: residual steps and pre-norm stacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound, Claim
from lipop.core.rule import covers, rule
from lipop.limit.rate_claims import family, wants


@rule(
    "limit.flow@1",
    reference="theorem 9 (b): |S_inf x - Q S_n x| <= (Lambda B / 2) sum over i > n of h_i^2",
    accepts=wants("distance", "lip", "distance:law.tail"),
)
def flow(lip: Any, squares: Any, n: int, size: Any) -> Any:
    """Lambda B / 2 times the tail of the squared steps."""
    return lip * size * squares / 2


@rule(
    "limit.steps@1",
    reference="theorem 9 (a), Lip N = q < 1: |S_n x - p| <= exp(-(1 - q) sum over i <= n of h_i) |x - p|",
    accepts=lambda c, p, q: _steps_accepts(c, p, q),
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


def _steps_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    rules = [p.rule.replace(".declared", "").partition("@")[0] for p in premises]
    if len(premises) != 2 or premises[0].claim.quantity != "lip" or rules[1] != "law.sum":
        return "premises are Lip N and the sum of the steps, from below"
    if premises[0].claim.side != UPPER or not premises[0].value < 1:
        return "Lip N must be bounded by a number below 1"
    if premises[1].params["n"] != params["n"] or not covers(premises[0].claim, claim.region):
        return "the sum is about another depth, or Lip N holds on a smaller region"
    same = (claim.quantity, claim.side, claim.operator) == ("distance", UPPER, family(premises))
    return None if same else "it bounds a distance of the premises' family from above"


@rule(
    "limit.residual@1",
    reference="theorem 8: |S_inf x - S_n x| <= (P_n - 1) |S_n x - x0| + P_n sum over i > n of beta_i",
    accepts=wants("distance", "lip:law.product", "distance:law.tail"),
)
def residual(excess: Any, offsets: Any, n: int, radius: Any) -> Any:
    """(P_n - 1) r + P_n b, from P_n - 1."""
    return excess * radius + (1 + excess) * offsets


@rule(
    "limit.residual.reach@1",
    reference="theorem 8: |S_n x - x0| <= P_m (|x - x0| + sum over i > m of beta_i) for every n",
    accepts=wants("distance", "lip:law.product", "distance:law.tail"),
)
def reach(excess: Any, offsets: Any, n: int, radius: Any) -> Any:
    """P_m (r + b), from P_m - 1."""
    return (1 + excess) * (radius + offsets)


@rule(
    "limit.residual.error@1",
    reference="theorem 8, with |S_n x - x0| bounded by P_m (|x - x0| + sum over i > m of beta_i)",
    accepts=wants("distance", "lip:law.product", "distance:law.tail", "distance:limit.residual.reach"),
)
def residual_error(excess: Any, offsets: Any, reached: Any, n: int) -> Any:
    """(P_n - 1) r + P_n b, r a bound of |S_n x - x0| for every n; from P_n - 1."""
    return excess * reached + (1 + excess) * offsets


@rule(
    "limit.residual.lip@1",
    reference="theorem 8, and theorem 1 (d): Lip(S_inf,m) <= product over i > m of (1 + delta_i)",
    accepts=wants("lip", "lip:law.product"),
)
def residual_lip(excess: Any, n: int) -> Any:
    """P_m, from P_m - 1."""
    return 1 + excess


@rule(
    "limit.residual.expansion@1",
    reference="theorem 8: expansion(S_inf,m) >= product over i > m of (1 - delta_i)_+",
    accepts=wants("expansion", "expansion:law.shrink", side=LOWER),
)
def residual_expansion(product: Any, n: int) -> Any:
    """The product of (1 - delta_i)_+."""
    return 1 * product


@rule(
    "limit.prenorm.growth@1",
    reference="theorem 10: |S_n x - S_n y| <= product over i <= n of (1 + c_i / r_{i-1}) |x - y|",
    accepts=wants("lip", "lip:law.partial"),
)
def prenorm_growth(product: Any, n: int) -> Any:
    """The product of 1 + c_i / r_{i-1}."""
    return 1 * product


@rule(
    "limit.prenorm.shrink@1",
    reference="theorem 10: |S_n x - S_n y| >= product over i <= n of (1 - c_i / r_{i-1})_+ |x - y|",
    accepts=wants("expansion", "expansion:law.remain", side=LOWER),
)
def prenorm_shrink(product: Any, n: int) -> Any:
    """The product of (1 - c_i / r_{i-1})_+."""
    return 1 * product


@rule(
    "limit.prenorm.readout@1",
    reference="theorem 10: the normalised output has constant (max|g| sqrt d / r_n) times the product",
    accepts=wants("lip", "lip:law.partial"),
)
def prenorm_readout(product: Any, n: int, gain: Any, norm: Any) -> Any:
    """gain / r_n times the product; gain stands for max|g| sqrt d, norm for r_n from below."""
    return gain / norm * product
