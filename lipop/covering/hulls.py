"""Convex hulls and norm-bounded linear classes: Maurey's lemma.

If f is a convex combination of M vectors of norm at most b in a Hilbert space, the mean of k independent draws from it
has expected squared error at most ``b^2 / k``, so one of the ``C(M + k - 1, k)`` multisets of k vectors is within ``b /
sqrt(k)``: ``log N(e) <= log C(M + k - 1, k)`` with ``k = ceil(b^2 / e^2)``. A symmetric hull of ``+-V_j`` contains 0,
and therefore smaller multiples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lipop.core import formula
from lipop.core.bound import UPPER, Bound
from lipop.core.rule import derive, rule
from lipop.covering.balls import beyond
from lipop.covering.claims import TotallyBounded, count, of_set, scale, set_digest, size
from lipop.covering.simplices import log_multisets
from lipop.errors import DomainError


def maurey(atoms: Any, reach: Any, eps: Any) -> Any:
    """``log C(M + k - 1, k)`` with ``k = ceil((b/e)^2)``, and 0 for ``b <= e``; numbers, balls or symbols."""
    k = formula.maximum(formula.ceiling((reach / eps) ** 2), 1)
    return log_multisets(atoms, k) * beyond(reach / eps)


@rule(
    "entropy.hull.upper@1",
    reference="Maurey (Pisier 1981): means of k vertices, k = ceil(b^2/e^2), counted as multisets",
    accepts=of_set("hull", UPPER, "atoms", "reach"),
)
def hull_upper(atoms: int, reach: Any, eps: Any, metric: str) -> Any:
    """Maurey's bound with M atoms of norm at most b."""
    return maurey(atoms, reach, eps)


@dataclass(frozen=True)
class Hull(TotallyBounded):
    """The convex hull of at most M vectors of norm at most b in a Hilbert space.

    Parameters
    ----------
    atoms : int
        M.
    reach : float
        b.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> round(Hull(10, 1.0).upper(0.5).value, 4)  # log C(13, 4)
    6.5723
    """

    atoms: int
    reach: float
    metric: str = "l2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "atoms", count(self.atoms, "the number of vectors"))
        object.__setattr__(self, "reach", size(self.reach, "the norm of the vectors"))
        if self.metric != "l2":
            raise DomainError(f"Maurey's lemma needs a Hilbert norm, found {self.metric!r}")

    @property
    def digest(self) -> str:
        return set_digest("hull", atoms=self.atoms, reach=self.reach)

    def upper(self, eps: float) -> Bound:
        facts = {"atoms": self.atoms, "reach": self.reach, "eps": scale(eps), "metric": self.metric}
        return derive("entropy.hull.upper@1", self.claim(eps), **facts)


# ---- linear functions on a sample ----------------------------------------------------------------------------------


def _linear(params: Mapping[str, Any]) -> str | None:
    return None if params["weights"] in ("l1", "l2") else "weights are bounded in l1 or l2"


@rule(
    "entropy.linear.upper@1",
    reference=(
        "Zhang 2002, theorem 3, with multisets: on a sample the class lies in the hull of 2 d vectors of norm a b "
        "(sum |w_j| c_j <= a b for the columns' norms c_j); and w in the ball of radius a at radius e/b"
    ),
    accepts=of_set("linear", UPPER, "dimension", "weight", "data", "weights", check=_linear),
)
def linear_upper(dimension: int, weight: Any, data: Any, weights: str, eps: Any, metric: str) -> Any:
    """Maurey's bound with 2 d atoms of norm a b; for l2 weights also ``d log(1 + 2 a b/e)``."""
    reach = weight * data
    value = maurey(2 * dimension, reach, eps)
    if weights == "l2":
        value = formula.minimum(value, dimension * formula.log(1 + 2 * reach / eps))
    return value


@rule(
    "entropy.linear.sup@1",
    reference="Zhang 2002, theorem 4 with p = q = 2 (quoted): l2 weights, the largest difference over n points",
    accepts=of_set(
        "linear.sup", UPPER, "weight", "data", "samples", check=lambda p: None if p["samples"] >= 1 else "no points"
    ),
)
def linear_sup(weight: Any, data: Any, samples: int, eps: Any, metric: str) -> Any:
    """``36 (a b/e)^2 log(2 ceil(4 a b/e + 2) n + 1)``, and 0 for ``a b <= e``."""
    ratio = weight * data / eps
    return 36 * ratio**2 * formula.log(2 * formula.ceiling(4 * ratio + 2) * samples + 1) * beyond(ratio)


@dataclass(frozen=True)
class LinearFunctions(TotallyBounded):
    """``{x -> w . x : |w| <= a}`` on any sample with ``|x_i| <= b`` in the dual norm.

    Parameters
    ----------
    dimension : int
    weight : float
        a.
    data : float
        b: in l2 for l2 weights, in linf for l1 weights.
    weights : str
        ``l1`` or ``l2``.
    samples : int, optional
        The number of points: the metric is then the largest difference over them (l2 weights only); the root mean
        square over the sample (``L2``) otherwise.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> wide = LinearFunctions(10**6, 1.0, 1.0)
    >>> round(wide.upper(0.5).value, 2)
    54.86
    """

    dimension: int
    weight: float
    data: float
    weights: str = "l2"
    samples: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", count(self.dimension, "the number of coordinates"))
        object.__setattr__(self, "weight", size(self.weight, "the bound of the weights"))
        object.__setattr__(self, "data", size(self.data, "the bound of the data"))
        if self.weights not in ("l1", "l2") or (self.samples is not None and self.weights != "l2"):
            raise DomainError(f"weights are bounded in l1 or l2, and in l2 for the sup norm; found {self.weights!r}")

    @property
    def metric(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """``L2``, or ``sup`` over the points."""
        return "L2" if self.samples is None else "sup"

    def _set(self) -> dict[str, Any]:
        if self.samples is not None:
            return {"weight": self.weight, "data": self.data, "samples": self.samples}
        return {"dimension": self.dimension, "weight": self.weight, "data": self.data, "weights": self.weights}

    @property
    def digest(self) -> str:
        return set_digest("linear" if self.samples is None else "linear.sup", **self._set())

    def upper(self, eps: float) -> Bound:
        facts = {**self._set(), "eps": scale(eps), "metric": self.metric}
        return derive(
            "entropy.linear.upper@1" if self.samples is None else "entropy.linear.sup@1", self.claim(eps), **facts
        )


# ---- matrix products -----------------------------------------------------------------------------------------------


@rule(
    "entropy.products.upper@1",
    reference="Bartlett, Foster, Telgarsky 2017, lemma 3.2 (p = q = 2, s = 1), with multisets: 2 d m atoms of norm a b",
    accepts=of_set("products", UPPER, "inputs", "outputs", "group", "data"),
)
def products_upper(inputs: int, outputs: int, group: Any, data: Any, eps: Any, metric: str) -> Any:
    """Maurey's bound with 2 d m atoms of norm a b."""
    return maurey(2 * inputs * outputs, group * data, eps)


@dataclass(frozen=True)
class MatrixProducts(TotallyBounded):
    """``{X A : |A|_{2,1} <= a}`` in the Frobenius norm, ``|X|_F <= b``, A (d, m); ``|A|_{2,1}`` sums the l2 norms of
    A's columns.

    Parameters
    ----------
    inputs, outputs : int
        d and m.
    group, data : float
        a and b.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> import math
    >>> MatrixProducts(8, 4, 1.0, 1.0).upper(0.5).value <= 4 * math.log(2 * 8 * 4)
    True
    """

    inputs: int
    outputs: int
    group: float
    data: float
    metric: str = "l2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", count(self.inputs, "the number of rows"))
        object.__setattr__(self, "outputs", count(self.outputs, "the number of columns"))
        object.__setattr__(self, "group", size(self.group, "the (2,1) norm"))
        object.__setattr__(self, "data", size(self.data, "the norm of the data"))

    def _set(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "outputs": self.outputs, "group": self.group, "data": self.data}

    @property
    def digest(self) -> str:
        return set_digest("products", **self._set())

    def upper(self, eps: float) -> Bound:
        facts = {**self._set(), "eps": scale(eps), "metric": self.metric}
        return derive("entropy.products.upper@1", self.claim(eps), **facts)


__all__ = ["Hull", "LinearFunctions", "MatrixProducts", "maurey"]
