"""Deviations ``d(A, B) = sup_{x in D} |A x - B x|`` between two operators, bracketed.

From above: for affine maps by the matrix of the difference; for nearest-point maps of one kind by how far their sets
are shifted; at points by enclosing both values; for composed, added,
scaled, relaxed and residual maps with common parts by the calculus; otherwise from the centre of a ball by both
Lipschitz constants. From below: by points found by ascent. The quantity of the bounds is ``distance``, and their
operator the pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Relax, Residual, Scale, Sum
from lipop.core.bound import LOWER, UPPER, Bound, Bracket, Claim, Witness
from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.region import Ball, Cloud, Everywhere, Region
from lipop.core.rule import derive, leaf, leaf_rule, least, unknown
from lipop.core.space import norm
from lipop.errors import DomainError, LipopError, NormMismatch, ProofError, ShapeError
from lipop.limit import deviation_rules as rules
from lipop.limit.affine import affine_parts, enclosing_ball, matrix_norm, row_reach, vector_norm
from lipop.limit.shifts import shift

AFFINE = leaf_rule(
    "between.affine@1",
    reference="|(M - N) c + v - w| + |M - N| r on a ball around c, M and N the matrices, rounding included",
    grid=40,
    quantity="distance",
    side=UPPER,
)
SHIFTED = leaf_rule(
    "between.shifted@1",
    reference="two nearest-point maps of one kind with other parameters, on the whole space: lemmas of limit/shifts.py",
    grid=40,
    quantity="distance",
    side=UPPER,
)
POINTS = leaf_rule(
    "between.points@1",
    reference="the largest |A x - B x| over finitely many points, both values enclosed",
    grid=40,
    quantity="distance",
    side=UPPER,
)
POINT = leaf_rule(
    "between.point@1",
    reference="|A x - B x| at a point of D, less the rounding of both values",
    grid=36,
    quantity="distance",
    side=LOWER,
    witness="vector",
)
POINT_FLOAT = leaf_rule(
    "between.point.float@1",
    reference="|A x - B x| at a point of D, evaluated in float64 without a rounding bound",
    grid=36,
    quantity="distance",
    side=LOWER,
    strength="witnessed",
    witness="vector",
)


@dataclass(frozen=True, eq=False)
class Between:
    """The pair (A, B) as the subject of proofs about ``sup_{x in D} |A x - B x|``."""

    a: Operator
    b: Operator

    def __post_init__(self) -> None:
        for side in ("domain", "codomain"):
            s, t = getattr(self.a, side), getattr(self.b, side)
            if not s.meets(t):
                raise ShapeError(f"{self.a!r} and {self.b!r} cannot be compared: their {side}s differ")
            if s.norm != t.norm:
                raise NormMismatch(
                    f"{self.a!r} and {self.b!r} cannot be compared: they measure in {s.norm} and {t.norm}"
                )

    @property
    def digest(self) -> str:
        """sha256 of both digests."""
        return rules.between(self.a.digest, self.b.digest)

    def claim(self, on: Region, side: str = UPPER) -> Claim:
        """The claim about the pair on a region."""
        return Claim("distance", side, self.digest, on, self.a.domain.norm, self.a.codomain.norm)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo the certificate of a leaf about this pair."""
        if (claim.norm_in, claim.norm_out) != (self.a.domain.norm, self.a.codomain.norm):
            raise ProofError("the claim is in other norms than the pair's")
        if rule == AFFINE:
            return self.affine(claim.region)
        if rule == SHIFTED:
            return shift(self.a, self.b)
        if rule == POINTS:
            return self.largest(claim.region)
        if rule in (POINT, POINT_FLOAT) and witness is not None:
            if not claim.region.contains(witness.arrays["v"]):
                return -math.inf
            return self.at(witness.arrays["v"])[0]
        raise ProofError(f"a pair of operators cannot redo rule {rule}")

    def affine(self, on: Region) -> float:
        """The bound for affine maps (infinite where they are not, or D is not bounded and their matrices differ)."""
        p, q = affine_parts(self.a), affine_parts(self.b)
        kind = self.a.codomain.norm
        if p is None or q is None or kind != self.a.domain.norm or kind not in ("l1", "l2", "linf"):
            return math.inf
        M, v = p[0] - q[0], p[1] - q[1]
        if not np.any(p[0].err) and not np.any(q[0].err) and np.array_equal(p[0].mid, q[0].mid):
            return vector_norm(v, kind)
        rows = row_reach(M, on) if kind == "linf" else None
        ball = enclosing_ball(on, kind)
        if ball is None:
            return math.inf
        center = (Enclosed.exact(ball.center).reshape(1, -1) @ M.T).reshape(-1) + v
        if rows is not None:
            return float((center.magnitude + rows).max()) * (1 + 1e-15)
        return (vector_norm(center, kind) + matrix_norm(M, kind) * ball.radius) * (1 + 1e-15)

    def largest(self, on: Region) -> float:
        """The largest deviation over a cloud, or at the centre of a ball of radius zero."""
        points = _points(on)
        if points is None:
            return math.inf
        kind = self.a.codomain.norm
        return max(_size_up(self.a.enclose(x) - self.b.enclose(x), kind) for x in map(Enclosed.exact, points))

    def at(self, x: np.ndarray) -> tuple[float, bool]:
        """``|A x - B x|`` at a point: from below with the rounding of both values, or in float64 (and False)."""
        x = np.asarray(x, dtype=np.float64)
        kind = self.a.codomain.norm
        try:
            y = self.a.enclose(Enclosed.exact(x)) - self.b.enclose(Enclosed.exact(x))
        except DomainError:
            return norm(self.a(x) - self.b(x), kind), False
        least_size = np.maximum(np.abs(y.mid) - y.err, 0.0)
        return norm(least_size, kind) * (1 - 2.0**-40), True


def _points(on: Region) -> list[np.ndarray] | None:
    if isinstance(on, Cloud):
        return list(on.points)
    return [on.center] if isinstance(on, Ball) and on.radius == 0 else None


def _size_up(y: Enclosed, kind: str) -> float:
    size = y.magnitude
    if kind == "2inf":
        return max(vector_norm(Enclosed.exact(row), "l2") for row in size)
    return vector_norm(Enclosed.exact(size), kind)


def deviation(a: Operator, b: Operator, on: Region | None = None, *, effort: str = "quick", seed: int = 0) -> Bracket:
    """Bracket ``sup_{x in D} |A x - B x|``.

    Parameters
    ----------
    a, b : Operator
        On one domain, in the same norms.
    on : Region, optional
        D; the whole space by default, where the deviation is finite only if both differ by a bounded map.
    effort : str
        ``quick`` or ``tight``: how long the ascent of the lower end runs.
    seed : int
        Of the ascent.

    Returns
    -------
    Bracket
        Upper end PROVED, or infinite with the reason; lower end with the point that witnesses it.

    Raises
    ------
    ShapeError, NormMismatch
        If the two cannot be compared.

    Examples
    --------
    >>> from lipop.operators.linear import Affine
    >>> T = Affine(np.eye(2))
    >>> d = deviation(T, Affine(1.25 * np.eye(2)), on=Ball(np.zeros(2), 2.0))
    >>> round(d.lower.value, 6), round(d.upper.value, 6), d.upper.status
    (0.5, 0.5, 'PROVED')
    """
    from lipop.limit.deviation_ascent import lower

    on = a._region(on)  # pyright: ignore[reportPrivateUsage]
    pair = Between(a, b)
    return Bracket(lower(pair, on, effort=effort, seed=seed), upper(a, b, on))


def upper(a: Operator, b: Operator, on: Region) -> Bound:
    """The best upper bound of ``sup_{x in D} |A x - B x|`` at hand (unknown, with the reason, where there is none)."""
    pair = Between(a, b)
    claim = pair.claim(on)
    if a.digest == b.digest:
        return derive(rules.SAME, claim, (), operator=a.digest)
    ways = _affine(pair, on), _shifted(pair, on), _at_points(pair, on), _by_parts(a, b, on), _by_ball(pair, on)
    found = [f for f in ways if f is not None]
    known = [f for f in found if f.known and math.isfinite(f.value)]
    if known:
        return least(*known)
    if isinstance(on, Everywhere) and affine_parts(a) is not None and affine_parts(b) is not None:
        return unknown(claim, "the linear parts differ: |Ax - Bx| is not bounded on the whole space")
    reasons = [str(f.params.get("reason", "")) for f in found if not f.known]
    where = "the whole space" if isinstance(on, Everywhere) else repr(on)
    return unknown(claim, next((r for r in reasons if r), f"no rule bounds |Ax - Bx| for {a!r} and {b!r} on {where}"))


def _affine(pair: Between, on: Region) -> Bound | None:
    raw = pair.affine(on)
    return leaf(AFFINE, pair.claim(on), raw, pair) if math.isfinite(raw) else None


def _shifted(pair: Between, on: Region) -> Bound | None:
    raw = shift(pair.a, pair.b)
    return leaf(SHIFTED, pair.claim(on), raw, pair) if math.isfinite(raw) else None


def _at_points(pair: Between, on: Region) -> Bound | None:
    try:
        raw = pair.largest(on)
    except LipopError:
        return None
    return leaf(POINTS, pair.claim(on), raw, pair) if math.isfinite(raw) else None


def _by_ball(pair: Between, on: Region) -> Bound | None:
    """From the centre of a ball, by both Lipschitz constants."""
    kind = pair.a.domain.norm
    ball = enclosing_ball(on, kind)
    if ball is None or not ball.encloses(on):
        return None
    at = _at_points(pair, Ball(ball.center, 0.0, kind))
    lips = pair.a.lip(ball), pair.b.lip(ball)
    if at is None or not all(b.known for b in lips):
        return None
    a, b = pair.a.digest, pair.b.digest
    return derive(rules.BALL, pair.claim(on), (at, *lips), radius=ball.radius, a=a, b=b)


def _by_parts(a: Operator, b: Operator, on: Region) -> Bound | None:
    """Maps built alike from parts: the calculus of deviations."""
    claim = Between(a, b).claim(on)
    space: dict[str, Any] = {"shape": list(a.domain.shape), "norm": a.domain.norm}
    if isinstance(a, Residual) and isinstance(b, Identity):
        size = upper(a.branch, Scale(a.branch, 0.0), on)
        return rules.applied(
            rules.STEP, claim, [size], branch=a.branch.digest, **{**space, "shape": list(b.domain.shape)}
        )
    pair = _coefficients(a, b)
    if pair is not None:
        kind, c, d, inner = pair
        size = upper(inner, Scale(inner, 0.0) if kind == "scale" else Identity(a.domain), on)
        return rules.applied(rules.COEFFICIENT, claim, [size], c=c, d=d, inner=inner.digest, kind=kind, **space)
    matched = _matched(a, b)
    if matched is not None:
        kind, c, pairs = matched
        params = {"pairs": [[s.digest, t.digest] for s, t in pairs], "kind": kind, "c": c}
        return rules.applied(rules.PARTS, claim, [upper(s, t, on) for s, t in pairs], **params)
    f, g = a.unfolded, b.unfolded
    if len(f) > 1 and len(f) == len(g):
        return _composed(f, g, on, claim)
    return None


def _coefficients(a: Operator, b: Operator) -> tuple[str, float, float, Operator] | None:
    """Two scalings, or two relaxations, of one map: the kind, both coefficients, and the map."""
    if isinstance(a, Scale) and isinstance(b, Scale) and a.inner == b.inner:
        return "scale", a.c, b.c, a.inner
    if isinstance(a, Relax) and isinstance(b, Relax) and a.inner == b.inner:
        return "relax", a.alpha, b.alpha, a.inner
    return None


def _matched(a: Operator, b: Operator) -> tuple[str, float, list[tuple[Operator, Operator]]] | None:
    """Two maps of one kind with one coefficient: the kind, the coefficient, and their parts in pairs."""
    if isinstance(a, Residual) and isinstance(b, Residual):
        return "residual", 1.0, [(a.branch, b.branch)]
    if isinstance(a, Scale) and isinstance(b, Scale) and a.c == b.c:
        return "scale", a.c, [(a.inner, b.inner)]
    if isinstance(a, Relax) and isinstance(b, Relax) and a.alpha == b.alpha:
        return "relax", a.alpha, [(a.inner, b.inner)]
    if isinstance(a, Sum) and isinstance(b, Sum) and len(a.terms) == len(b.terms):
        return "sum", 1.0, list(zip(a.terms, b.terms, strict=True))
    return None


def _composed(f: tuple[Operator, ...], g: tuple[Operator, ...], on: Region, claim: Claim) -> Bound | None:
    """``f o a`` against ``g o b``: Lip(f) d(a, b), and d(f, g) on the image of b where f and g differ."""
    from lipop.core.composition import Composition

    inner = [x[1] if len(x) == 2 else Composition(x[1:]) for x in (f, g)]
    stretch, moved = f[0].lip(), upper(inner[0], inner[1], on)
    params: dict[str, Any] = {
        "outer": [f[0].digest, g[0].digest],
        "a": [x.digest for x in f[1:]],
        "b": [x.digest for x in g[1:]],
    }
    if f[0].digest == g[0].digest:
        return rules.applied(rules.OUTER, claim, [stretch, moved], **params)
    located = inner[1].image_bound(on)
    if located is None or not math.isfinite(located[0].value):
        return None
    image, center = located
    swapped = upper(f[0], g[0], Ball(center, image.value, f[0].domain.norm))
    return rules.applied(rules.CHAIN, claim, [stretch, moved, image, swapped], **params)


__all__ = ["Between", "deviation", "upper"]
