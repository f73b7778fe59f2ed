"""Alternating projections onto subspaces: the limit, the Friedrichs angle, and the rate that it gives.

For subspaces A, B of a Hilbert space, ``(P_A P_B)^n`` tends to the projection Q onto ``A n B`` (von Neumann), and
``|(P_A P_B)^n - Q| = c^(2n-1)`` with c the cosine of the Friedrichs angle, ``c = |P_A P_B - Q|`` (Kayalar and Weinert
1988). The angle of two subspaces is that of their complements, so affine subspaces with a common point have the rate of
their equations' row spaces. More than two factors: ``|(P_1 ... P_m)^n - Q| <= |P_1 ... P_m - Q|^n``.

Whether the angle is positive hangs on the dimension of the intersection, which no rounding can decide: it is decided in
exact arithmetic, from the matrices as stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lipop.core.bound import LOWER, UPPER, Bound, Bracket, Claim, Witness
from lipop.core.enclosure import Enclosed
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.rounding import workprec
from lipop.core.rule import derive, leaf, parts_digest
from lipop.errors import DomainError, ProofError, ShapeError
from lipop.limit.projection_rates import ANGLE_LOWER, ANGLE_UPPER, PRODUCT, gap_digest, subspaces_digest
from lipop.limit.spectral import spectral_norm
from lipop.operators.projection_basis import BITS, common
from lipop.operators.projection_linear import AffineProjection, IntersectionProjection, SubspaceProjection

Subspace = SubspaceProjection | AffineProjection


def intersection(parts: Sequence[Operator]) -> AffineProjection | IntersectionProjection:
    """The projection onto the intersection of subspaces (all by their ranges), or of affine subspaces (all by their
    equations).

    Raises
    ------
    ShapeError
        If the kinds are mixed or the spaces differ.
    DomainError
        If affine subspaces have no common point (decided exactly).

    Examples
    --------
    >>> A = AffineProjection(np.array([[1.0, 0.0]]), np.array([1.0]))
    >>> B = AffineProjection(np.array([[1.0, 1.0]]), np.array([3.0]))
    >>> intersection([A, B])(np.zeros(2)).round(12).tolist()
    [1.0, 2.0]
    """
    subspaces = [p for p in parts if isinstance(p, SubspaceProjection)]
    affine = [p for p in parts if isinstance(p, AffineProjection)]
    if not parts or len({p.domain for p in parts}) > 1 or max(len(subspaces), len(affine)) < len(parts):
        raise ShapeError("an intersection needs subspaces of one space, all given by ranges or all by equations")
    if subspaces:
        return IntersectionProjection(tuple(subspaces))
    return AffineProjection(np.concatenate([p.A for p in affine]), np.concatenate([p.b for p in affine]))


@dataclass(frozen=True, eq=False)
class SubspacePair:
    """Two subspaces, and the angle between them.

    Parameters
    ----------
    first, second : SubspaceProjection or AffineProjection
        Both by ranges or both by equations.

    Examples
    --------
    >>> line = lambda t: SubspaceProjection(np.array([[np.cos(t)], [np.sin(t)]]))
    >>> c = SubspacePair(line(0.0), line(np.pi / 3)).cosine()
    >>> c.lower.value <= 0.5 <= c.upper.value, c.ratio < 1 + 1e-8, c.upper.status
    (True, True, 'PROVED')
    """

    first: Subspace
    second: Subspace

    def __post_init__(self) -> None:
        if type(self.first) is not type(self.second) or self.first.domain != self.second.domain:
            raise ShapeError("a pair needs two subspaces of one space, both given by ranges or both by equations")

    @property
    def digest(self) -> str:
        """From the digests of the two projections."""
        return subspaces_digest("pair", [self.first.digest, self.second.digest])

    def cosine(self) -> Bracket:
        """The cosine of the Friedrichs angle, between two proved ends: below 1 in finite dimension."""
        lower = Claim("op_norm", LOWER, self.digest)
        upper = Claim("op_norm", UPPER, self.digest)
        return Bracket(
            leaf(ANGLE_LOWER, lower, self._end(ANGLE_LOWER), self),
            leaf(ANGLE_UPPER, upper, self._end(ANGLE_UPPER), self),
        )

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo an end of the bracket."""
        if rule not in (ANGLE_LOWER, ANGLE_UPPER):
            raise ProofError(f"a pair of subspaces cannot redo rule {rule}")
        return self._end(rule)

    def _end(self, rule: str) -> float:
        return self._ends[0 if rule == ANGLE_LOWER else 1]

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The norm of ``B_1^T (I - Q) B_2`` in orthonormal bases."""
        a, b = self.first.basis, self.second.basis
        if not (a.rank and b.rank):
            return 0.0, 0.0
        shared = common([a, b], [_spanning(self.first), _spanning(self.second)])
        with workprec(BITS):
            cross = a.exact.transpose() * b.exact
            if shared.rank:
                cross = cross - (a.exact.transpose() * shared.exact) * (shared.exact.transpose() * b.exact)
            # the bases are orthonormal to within 2^-90, so that the norm is known to within 2^-87
            low, high = spectral_norm(cross, 2.0**-87)
        return min(low, 1.0), min(high, 1.0)


def _spanning(p: Subspace) -> np.ndarray:
    """A stored matrix whose range is the subspace, or the complement of an affine subspace's directions."""
    return np.asarray(p.M if isinstance(p, SubspaceProjection) else p.A.T)


def friedrichs(first: Subspace, second: Subspace) -> Bracket:
    """The cosine of the Friedrichs angle between two (affine) subspaces, bracketed and proved.

    >>> e = np.eye(3)
    >>> friedrichs(SubspaceProjection(e[:, :2]), SubspaceProjection(e[:, 1:])).upper.value < 1e-20
    True
    """
    return SubspacePair(first, second).cosine()


@dataclass(frozen=True, eq=False)
class SubspaceProduct:
    """``P_1 ... P_m - Q``: a product of orthogonal projections less the projection onto the intersection.

    Parameters
    ----------
    factors : tuple of SubspaceProjection, or of AffineProjection
    """

    factors: tuple[Subspace, ...]

    @property
    def digest(self) -> str:
        """From the digests of the factors."""
        return subspaces_digest("product", [p.digest for p in self.factors])

    def bound(self) -> Bound:
        """A proved upper bound of its norm."""
        return leaf(PRODUCT, Claim("op_norm", UPPER, self.digest), self.value(), self)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo the bound."""
        if rule != PRODUCT:
            raise ProofError(f"a product of projections cannot redo rule {rule}")
        return self.value()

    def value(self) -> float:
        """The norm of the matrices multiplied out, with all errors."""
        factors = [*self.factors, intersection(self.factors)]
        stored = [p._matrix() for p in factors]  # pyright: ignore[reportPrivateUsage]
        parts = [Enclosed(m.mid, np.full((1, 1), m.error)) for m in stored]
        x = parts[0]
        for p in parts[1:-1]:
            x = x @ p
        return Matrix.of(x - parts[-1])._upper(1e-9)  # pyright: ignore[reportPrivateUsage]


def alternating_gap(factors: Sequence[Subspace], n: int) -> Bound:
    """``|(P_1 ... P_m)^n x - Qx| <= value |x - Qx|``, Q the projection onto the intersection.

    Parameters
    ----------
    factors : sequence of SubspaceProjection, or of AffineProjection
        Two of them get the exact rate ``c^(2n-1)``.
    n : int
        At least 1.

    Examples
    --------
    >>> line = lambda t: SubspaceProjection(np.array([[np.cos(t)], [np.sin(t)]]))
    >>> round(alternating_gap([line(0.0), line(np.pi / 3)], 3).value, 8)
    0.03125
    """
    if n < 1:
        raise DomainError(f"the number of rounds is at least 1, found {n}")
    names = [p.digest for p in factors]
    claim = Claim("lip", UPPER, gap_digest(parts_digest("compose", names), n))
    if len(factors) == 2:
        premise = SubspacePair(*factors).cosine().upper
        return derive("alternating.pair@1", claim, (premise,), n=n, factors=names)
    premise = SubspaceProduct(tuple(factors)).bound()
    return derive("alternating.product@1", claim, (premise,), n=n, factors=names)


__all__ = ["SubspacePair", "SubspaceProduct", "alternating_gap", "friedrichs", "intersection"]
