"""``lim T^n``: whether the powers of one map converge, to which projection, and how fast.

If ``T^n x`` converges for every x, the limit map Q satisfies ``TQ = Q = QQ``: a projection onto Fix T, orthogonal
whenever T is linear and non-expansive in a Hilbert space. The cases that are decided here, first to last:

1. T is a projection itself: Q = T.
2. Relaxed projections, ``T = (1 - c) I + c P``: Q = P, rate ``|1 - c|^n``.
3. Products of projections onto (affine) subspaces: von Neumann and Halperin; two factors at the exact rate of Kayalar
   and Weinert.
4. Affine maps with stored matrices: exact arithmetic decides whether 1 is at most a semisimple eigenvalue and all
   others lie inside the unit disc; any other eigenvalue of modulus 1 or more is a proof that the powers diverge.
5. Contractions: Q is constant (Banach).
6. Averaged maps with a fixed point in finite dimension: Krasnoselskii, Mann, Ishikawa. Distances have no rate there;
   residuals have (:mod:`lipop.limit.averaged_rates`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Relax
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.core.region import Everywhere
from lipop.core.rule import derive
from lipop.errors import DomainError, ShapeError
from lipop.limit.alternating import SubspacePair, SubspaceProduct, alternating_gap, intersection
from lipop.limit.averaged import averagedness
from lipop.limit.averaged_rates import residual_rate
from lipop.limit.conclusion import Rate
from lipop.limit.evidence import fixed_points_exist, idempotent, lip_upper
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown, violated
from lipop.limit.iterated import IteratedLimit, certainly_fixes, fixed_point
from lipop.limit.projection_gaps import PowerGap, relaxation_factor
from lipop.limit.projection_rates import error_from, gap_digest
from lipop.limit.projections_affine import affine_limit
from lipop.limit.projections_answer import NAME, ProjectionLimit, depth_symbols, exactly, gap_rate
from lipop.operators.projection import BoxProjection, Projection
from lipop.operators.projection_linear import AffineProjection, SubspaceProjection


def limit_projection(T: Operator, point: np.ndarray | None = None) -> ProjectionLimit:
    """Decide whether ``T^n x`` converges for every x of the whole space, to which Q, and how fast.

    Parameters
    ----------
    T : Operator
        From a space into itself.
    point : array, optional
        A fixed point of T, for averaged maps whose fixed points nothing else shows. It is taken on trust (the answer is
        conditional on it) unless every part of T certainly fixes it.

    Returns
    -------
    ProjectionLimit

    Raises
    ------
    ShapeError
        If domain and codomain differ.
    DomainError
        If the point is certainly not fixed.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> limit = limit_projection(Linear(np.array([[1.0, 0.0], [0.5, 0.5]])))
    >>> limit.Q.A.tolist(), round(limit.rate(10, 1.0), 8)
    ([[1.0, 0.0], [1.0, 0.0]], 0.00138107)
    >>> print(limit_projection(Linear(-np.eye(2))))
    T^n x converges for every x  [WITNESSED] it has the eigenvalue -1, not inside the unit disc and not 1
    """
    if T.domain.norm != T.codomain.norm or not T.domain.meets(T.codomain):
        raise ShapeError(f"powers need equal domain and codomain, {T!r} has not")
    for route in (_idempotent, _relaxed, _subspaces, affine_limit, _contraction):
        found = route(T)
        if found is not None:
            return found
    return _averaged(T, point)


# ---- the cases -----------------------------------------------------------------------------------------------------


def _idempotent(T: Operator) -> ProjectionLimit | None:
    if isinstance(T, Identity) or getattr(T, "idempotent", False) is True:
        once = idempotent(T, Everywhere(), NAME)
        rate = gap_rate(T, lambda: 0 * depth_symbols()[0])
        return ProjectionLimit(
            T, proved(NAME, f"T o T = T: {once.reason}"), T, {} if isinstance(T, Identity) else {"error": rate}
        )
    return None


def _relaxed(T: Operator) -> ProjectionLimit | None:
    factor = relaxation_factor(T)
    if factor is None or not isinstance(T, Relax):
        return None
    if T.alpha == 0:
        return ProjectionLimit(T, proved(NAME, "T is the identity"), Identity(T.domain))
    if T.alpha == 2:
        return ProjectionLimit(T, _reflection(T.inner))

    def symbolic() -> Any:
        n, r = depth_symbols()
        return abs(1 - exactly(T.alpha)) ** n * r

    rate = gap_rate(T, symbolic)
    return ProjectionLimit(T, proved(NAME, "points move along the line to their projection"), T.inner, {"error": rate})


def _reflection(P: Operator) -> Hypothesis:
    if getattr(P, "dimension", None) == P.domain.width:
        return proved(NAME, "T is the identity")
    return violated(NAME, "T is a reflection: every point that is not fixed comes back after two steps")


def _subspaces(T: Operator) -> ProjectionLimit | None:
    factors = T.unfolded
    if not isinstance(T, Composition) or not (
        all(isinstance(f, SubspaceProjection) for f in factors) or all(isinstance(f, AffineProjection) for f in factors)
    ):
        return None
    parts: tuple[Any, ...] = factors
    try:
        Q = intersection(parts)
    except DomainError as e:
        return ProjectionLimit(T, unknown(NAME, f"no common point of the subspaces: {e}"))
    two = len(parts) == 2

    def symbolic() -> Any:
        n, r = depth_symbols()
        if two:
            return exactly(SubspacePair(*parts).cosine().upper.value) ** (2 * n - 1) * r
        return exactly(SubspaceProduct(parts).bound().value) ** n * r

    rate = Rate(r"|T^n x - Qx|", lambda n, r: error_from(_product_gap(T, parts, n), r or 0.0), symbolic, uniform=False)
    who = "von Neumann, with the rate of Kayalar and Weinert" if two else "Halperin"
    return ProjectionLimit(T, proved(NAME, f"alternating projections onto subspaces ({who})"), Q, {"error": rate})


def _product_gap(T: Operator, parts: tuple[Any, ...], n: int) -> Bound:
    return alternating_gap(parts, n) if n else PowerGap(T, 0).bound()


def _contraction(T: Operator) -> ProjectionLimit | None:
    lip = lip_upper(T, Everywhere())
    if not (lip.known and lip.value < 1):
        return None
    norms = (T.domain.norm, T.codomain.norm)

    def at(n: int, radius: float | None) -> Bound:
        if n == 0:
            return error_from(PowerGap(T, 0).bound(), radius or 0.0)
        claim = Claim("lip", UPPER, gap_digest(T.digest, n), Everywhere(), *norms)
        return error_from(derive("power.contraction@1", claim, (lip,), n=n), radius or 0.0)

    def symbolic() -> Any:
        n, r = depth_symbols()
        return exactly(lip.value) ** n * r

    rate = Rate(r"|T^n x - Qx|", at, symbolic, uniform=False)
    found = None if T.domain.any_tokens else fixed_point(T, lip.value)
    Q = None if found is None else BoxProjection(found[0], found[0], T.domain.norm)
    evidence = proved(NAME, f"T is a contraction, Lip T <= {lip.value:.9g} (Banach): the limit is constant", lip)
    return ProjectionLimit(T, evidence, Q, {"error": rate}, math.inf if found is None else found[1])


def _averaged(T: Operator, point: np.ndarray | None) -> ProjectionLimit:
    a = averagedness(T)
    if not (a.known and a.value < 1):
        return ProjectionLimit(T, unknown(NAME, "T is not known to be idempotent, affine, contractive or averaged"))
    fixed = _has_fixed_point(T, point)
    if not fixed.holds:
        return ProjectionLimit(T, unknown(NAME, f"T is {a.value:.6g}-averaged, but {fixed.reason}"))
    reason = f"T is {a.value:.6g}-averaged and has a fixed point: {fixed.reason} (Krasnoselskii, Mann, Ishikawa)"
    evidence = Hypothesis(NAME, fixed.evidence, reason, a, assumes=fixed.assumes)
    return ProjectionLimit(T, evidence, IteratedLimit(T), {"residual": residual_rate(T)}, math.inf)


def _has_fixed_point(T: Operator, point: np.ndarray | None) -> Hypothesis:
    name = "Fix T is not empty"
    outer = T.unfolded[0]
    if isinstance(outer, Projection) and outer.bounded:
        return proved(name, "T maps a compact convex set into itself (Brouwer)")
    if point is not None:
        point = np.asarray(point, dtype=np.float64)
        T.domain.check(point, "the fixed point")
        if certainly_fixes(T, point):
            return proved(name, "every part of T fixes the point given")
        y = T(point)
        if float(np.abs(y - point).max()) > 1e-6 * (1 + float(np.abs(point).max())):
            raise DomainError("the point given is not fixed: T moves it by more than rounding does")
        return declared(name, "fixed point", "the point given is fixed to rounding")
    elif not T.domain.any_tokens and certainly_fixes(T, np.zeros([n or 1 for n in T.domain.shape])):
        return proved(name, "every part of T fixes 0")
    return fixed_points_exist(T, Everywhere(), name)


__all__ = ["limit_projection"]
