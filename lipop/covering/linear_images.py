"""Images of l2 balls under affine maps: ellipsoids whose axes are certified singular values.

Singular values that fall make this far better than the dimension. With a computed ``U diag(s) V^T``, ``|U^T U - I|_F <=
a`` and ``|V^T V - I|_F <= b``, the product's singular values lie within ``s_i max(a, b)`` of s_i, and those of the
matrix within the Frobenius norm of the difference of these (Weyl). The error of all is one leaf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound, Claim, Witness
from lipop.core.enclosure import Enclosed, frobenius_up
from lipop.core.operator import Operator
from lipop.core.rounding import inflate
from lipop.core.rule import derive, leaf, leaf_rule, rule
from lipop.covering.claims import TotallyBounded, exact, scale, scaled, set_digest, size
from lipop.covering.ellipsoids import axes_kept, ellipsoid_lower, ellipsoid_upper
from lipop.errors import DomainError, ProofError
from lipop.limit.affine import affine_parts

SINGULAR = leaf_rule(
    "singular.weyl@1",
    reference="Weyl: a computed decomposition, its residual and its departure from orthogonality enclosed",
    grid=20,
    quantity="singular",
    side=UPPER,
    params={"values": list},
)


def _linear(side: str) -> Any:
    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if len(premises) != 1 or premises[0].rule != SINGULAR or premises[0].params["values"] != params["values"]:
            return "the premise says how far singular values are from those stated"
        values, kept = params["values"], params.get("kept", 0)
        if values != sorted(values, reverse=True) or not 0 <= kept <= len(values):
            return "the values must fall, and as many be kept as there are at most"
        if side == UPPER and kept < len(values):
            left = exact(params["radius"]) * (exact(values[kept]) + exact(premises[0].value))
            if left > exact(params["eps"]) or (kept > 0 and left == exact(params["eps"])):
                return "an axis that is left out is not shorter than the radius"
        return scaled(claim, side, linear_digest(premises[0].claim.operator, params["radius"]), params)

    return accepts


def linear_digest(operator: str, radius: float) -> str:
    """The name of the image of a ball of this radius under an affine map."""
    return set_digest("linear_image", operator=operator, radius=radius)


@rule(
    "entropy.linear_image.upper@1",
    reference="the image lies in an ellipsoid with axes R (s_i + error); volumes, as for ellipsoids",
    accepts=_linear(UPPER),
)
def upper(error: Any, values: list[float], kept: int, radius: Any, eps: Any) -> Any:
    """The ellipsoid's bound for k = kept."""
    return ellipsoid_upper([radius * (s + error) for s in values], kept, eps)


@rule(
    "entropy.linear_image.lower@1",
    reference="the image is isometric to an ellipsoid with axes R (s_i - error) or more; volumes, as for ellipsoids",
    accepts=_linear(LOWER),
)
def lower(error: Any, values: list[float], radius: Any, eps: Any) -> Any:
    """The ellipsoid's bound from below."""
    return ellipsoid_lower([radius * formula.maximum(s - error, 0) for s in values], eps)


@dataclass(frozen=True, eq=False)
class LinearImage(TotallyBounded):
    """``T(ball of radius R)`` in l2, T affine on vectors.

    Parameters
    ----------
    operator : Operator
    radius : float
        The centre does not matter.

    Raises
    ------
    DomainError
        If the operator is not affine by its construction, or measures in another norm than l2.

    Examples
    --------
    >>> from lipop.operators import Affine
    >>> flat = LinearImage(Affine(np.diag([1.0, 0.5, 1e-9])), 1.0)
    >>> print(flat.entropy(0.1))
    3.91202 <= entropy <= 5.48894 (proved | proved)
    """

    operator: Operator
    radius: float
    metric: str = "l2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", size(self.radius, "the radius of a ball"))
        norms = {self.operator.domain.norm, self.operator.codomain.norm, self.metric}
        parts = affine_parts(self.operator) if norms == {"l2"} else None
        if parts is None:
            raise DomainError(f"{self.operator!r} is not known to be affine on vectors in l2; use Image")
        values, error = singular_values(parts[0])
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_error", error)

    @property
    def digest(self) -> str:
        return linear_digest(self.operator.digest, self.radius)

    @property
    def singular(self) -> Bound:
        """How far the singular values are from those computed, at most."""
        claim = Claim("singular", UPPER, self.operator.digest)
        return leaf(SINGULAR, claim, self.__dict__["_error"], _Values(self.operator), values=self.__dict__["_values"])

    def upper(self, eps: float) -> Bound:
        eps, error = scale(eps), self.singular
        values = list(error.params["values"])
        axes = [self.radius * (s + error.value) * (1 + 1e-15) for s in values]
        facts = {"values": values, "kept": axes_kept(axes, eps), "radius": self.radius, "eps": eps}
        return derive("entropy.linear_image.upper@1", self.claim(eps), (error,), **facts)

    def lower(self, eps: float) -> Bound:
        eps, error = scale(eps), self.singular
        facts = {"values": list(error.params["values"]), "radius": self.radius, "eps": eps}
        return derive("entropy.linear_image.lower@1", self.claim(eps, LOWER), (error,), **facts)


@dataclass(frozen=True, eq=False)
class _Values:
    """An affine map as the subject of a leaf about its singular values."""

    operator: Operator

    @property
    def digest(self) -> str:
        return self.operator.digest

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        parts = affine_parts(self.operator)
        if rule != SINGULAR or parts is None:
            raise ProofError(f"{self.operator!r} cannot redo rule {rule}")
        values, error = singular_values(parts[0])
        stated = list(params["values"])
        if len(stated) != len(values):
            return math.inf
        return error if stated == values else error + float(np.abs(np.array(stated) - values).max()) * (1 + 1e-15)


def singular_values(M: Enclosed) -> tuple[list[float], float]:
    """Computed singular values, falling, and a bound of how far each is from the true one.

    >>> values, error = singular_values(Enclosed.exact(np.diag([3.0, 1.0])))
    >>> values, error < 1e-12
    ([3.0, 1.0], True)
    """
    u, s, vt = np.linalg.svd(M.mid, full_matrices=False)
    k = len(s)
    U, V = Enclosed.exact(u), Enclosed.exact(vt.T)
    residual = M - (U * s) @ V.T
    skew = max(_size(U.T @ U - np.eye(k)), _size(V.T @ V - np.eye(k)))
    if not skew < 1:
        return [float(x) for x in s], math.inf
    return [float(x) for x in s], float(inflate(float(s[0]) * skew + _size(residual), 4))


def _size(x: Enclosed) -> float:
    return float(frobenius_up(x.magnitude))


__all__ = ["LinearImage", "singular_values"]
