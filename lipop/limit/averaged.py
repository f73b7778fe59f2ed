"""The calculus of averaged maps: ``T = (1 - a) I + a N`` with N non-expansive, and how a passes through combinations.

In a Hilbert space T is a-averaged iff ``|Tx - Ty|^2 + ((1 - a)/a) |(x - Tx) - (y - Ty)|^2 <= |x - y|^2``. 1/2 is firm
non-expansiveness, 0 is only the identity, and 1, which the rules carry along, says no more than non-expansive. No rule
that knows only the constants of the parts can be better than those in :mod:`lipop.limit.averaged_rules`, which the
tests show by rotations.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lipop.core.algebra import Power, Relax, Residual, Restriction, Scale, Sum
from lipop.core.bound import Bound, Claim
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.core.region import Everywhere
from lipop.core.rule import derive, leaf, norms_of, unknown
from lipop.limit.averaged_rules import EXACT, OWN, QUANTITY, exact_averagedness, own_averagedness
from lipop.limit.exact_norms import NONEXPANSIVE, exactly_nonexpansive


def averagedness(op: Operator) -> Bound:
    """The least a <= 1 at which the rules show that T is a-averaged, on the whole space, as a bound with its proof.

    Parameters
    ----------
    op : Operator
        Projections, proximal maps, contractions and small affine maps know their constant; compositions (``@``),
        powers, sums with weights, scalings, relaxations and residual maps get theirs from their parts.

    Returns
    -------
    Bound
        At 1 T is known to be non-expansive, no more; unknown (infinite, with the reason) where not even that is shown.

    Examples
    --------
    >>> import lipop as lo
    >>> P, Q = lo.orthant_projection(2), lo.SimplexProjection(2)
    >>> a = averagedness(P @ Q)
    >>> round(a.value, 12), a.status
    (0.666666666667, 'PROVED')
    >>> averagedness(0.5 * P + 0.5 * Q).value, round(averagedness(lo.relax(P @ Q, 0.75)).value, 12)
    (0.5, 0.5)
    """
    claim = op.claim(QUANTITY, Everywhere())
    if not op.domain.meets(op.codomain) or op.domain.norm != op.codomain.norm:
        return unknown(claim, "an averaged map has equal domain and codomain")
    found = [b for b in (_own(op, claim), _combined(op, claim), _general(op, claim)) if b is not None and b.value <= 1]
    if not found:
        return unknown(claim, f"no rule shows that {op!r} is averaged, or non-expansive")
    return min(found, key=lambda b: b.value)


def _own(op: Operator, claim: Claim) -> Bound | None:
    if isinstance(op, Relax | Restriction):
        return None  # their parts know more
    value = own_averagedness(op, claim, {})
    return leaf(OWN, claim, value, op) if value <= 1 else None


def _general(op: Operator, claim: Claim) -> Bound | None:
    """By exact arithmetic where the map is affine, otherwise from a Lipschitz constant of at most 1."""
    value = exact_averagedness(op)
    if value <= 1:
        return leaf(EXACT, claim, value, op)
    lip = op.lip()
    if not (lip.known and lip.value <= 1) and exactly_nonexpansive(op):
        lip = leaf(NONEXPANSIVE, op.claim("lip", Everywhere()), 1.0, op)
    return derive("averaged.contraction@1", claim, (lip,)) if lip.known and lip.value <= 1 else None


def _combined(op: Operator, claim: Claim) -> Bound | None:
    if isinstance(op, Composition):
        return _from_parts("averaged.compose", claim, op.factors, fallback=True)
    if isinstance(op, Power):
        return _from_parts("averaged.power", claim, (op.inner,), n=op.n)
    if isinstance(op, Relax) and op.alpha >= 0:
        return _from_parts("averaged.relax", claim, (op.inner,), alpha=op.alpha)
    if isinstance(op, Restriction):
        return _from_parts("averaged.restrict", claim, (op.inner,), region=op.region.digest)
    if isinstance(op, Sum | Scale):
        return _weighted_sum(op, claim)
    if isinstance(op, Residual):
        return _residual(op, claim)
    return None


def _from_parts(
    name: str, claim: Claim, parts: tuple[Operator, ...], fallback: bool = False, **params: Any
) -> Bound | None:
    """One of the rules above, if every part is averaged."""
    known = tuple(averagedness(p) for p in parts)
    if not all(b.known for b in known):
        return None
    if name == "averaged.compose" and any(b.value >= 1 for b in known):
        return None  # a product of non-expansive maps, which its Lipschitz constant says already
    if norms_of(claim) != ("l2", "l2") and name in ("averaged.compose", "averaged.power"):
        if not fallback:
            return None
        name = "averaged.compose.normed"
    return derive(f"{name}@1", claim, known, **params)


def _weighted_sum(op: Sum | Scale, claim: Claim) -> Bound | None:
    terms = op.terms if isinstance(op, Sum) else (op,)
    weights = [t.c if isinstance(t, Scale) else 1.0 for t in terms]
    parts = tuple(t.inner if isinstance(t, Scale) else t for t in terms)
    if min(weights) < 0 or sum(map(Fraction, weights)) > 1 or (len(terms) == 1 and weights[0] == 1.0):
        return None
    return _from_parts("averaged.combine", claim, parts, weights=weights, terms=len(terms))


def _residual(op: Residual, claim: Claim) -> Bound | None:
    if norms_of(claim) != ("l2", "l2"):
        return None
    pull, lip = op.branch.dahlquist(), op.branch.lip()
    if not (pull.known and lip.known and pull.value < 0):
        return None
    return derive("averaged.residual@1", claim, (pull, lip))


__all__ = ["averagedness"]
