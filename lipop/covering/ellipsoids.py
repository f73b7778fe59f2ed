"""Ellipsoids in l2: what a linear map makes of a ball.

Axes below the scale cost nothing but their own length in quadrature: the first k axes are covered at the radius that
remains, ``r = sqrt(e^2 - a_{k+1}^2)``. With ``t = r/2`` two inclusions bound the volume of ``E_k + t B``: it lies in
``(1 + t / a_k) E_k``, and in the ellipsoid with axes ``sqrt(2 (a_i^2 + t^2))``, since ``(a_i p_i + t q_i)^2 <= (a_i^2 +
t^2)(p_i^2 + q_i^2)``. (``prod (1 + 2 a_i / e)`` does not follow from volumes.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.rule import derive, rule
from lipop.covering.claims import TotallyBounded, of_set, scale, set_digest, size
from lipop.errors import DomainError


def ellipsoid_upper(axes: Sequence[Any], kept: int, eps: Any) -> Any:
    """The entropy bound with the first ``kept`` of the falling semi-axes covered; numbers, balls or symbols."""
    if kept == 0:
        return 0 * eps
    a_ = [a + 0 * eps for a in axes]  # in the arithmetic of eps
    rest = a_[kept] if kept < len(a_) else 0 * eps
    t = formula.sqrt(eps**2 - rest**2) / 2
    scaled, rounded = 0 * eps, 0 * eps
    for a in a_[:kept]:
        scaled = scaled + formula.log(a / t + a / a_[kept - 1])
        rounded = rounded + formula.log(2 * (1 + (a / t) ** 2)) / 2
    return formula.minimum(scaled, rounded)


def ellipsoid_lower(axes: Sequence[Any], eps: Any) -> Any:
    """``sum log(a_i / e)`` over the axes above e, and ``log(k + 1)`` for the number k of these."""
    total, above = 0 * eps, 0 * eps
    for a in axes:
        ratio = formula.maximum(a / eps, 1)
        total = total + formula.log(ratio)
        above = above + formula.minimum(formula.ceiling(ratio) - 1, 1)
    return formula.maximum(total, formula.log(1 + above))


def axes_kept(axes: Sequence[float], eps: float) -> int:
    """How many axes to cover for the smallest bound (found in float64; any number is valid whose next axis is below
    eps).

    >>> axes_kept([3.0, 1.0, 1e-3], 0.5)
    2
    """
    a = np.asarray(axes, dtype=np.float64)
    if a[0] <= eps:
        return 0
    first = int(np.count_nonzero(a >= eps))
    positive = int(np.count_nonzero(a > 0))
    k = np.arange(first, max(first, positive) + 1)
    rest = np.where(k < len(a), np.append(a, 0.0)[k], 0.0)
    t = np.sqrt(np.maximum(eps**2 - rest**2, 0)) / 2
    with np.errstate(divide="ignore", over="ignore"):
        values = [
            min(np.log(a[:n] / s + a[:n] / a[n - 1]).sum(), np.log(2 * (1 + (a[:n] / s) ** 2)).sum() / 2)
            for n, s in zip(k, t, strict=True)
        ]
    return int(k[int(np.argmin(values))])


def kept_fits(axes: Sequence[float], kept: int, eps: float) -> str | None:
    """None if the first axis that is left out is below eps, or none is left out; else what is wrong."""
    if not isinstance(kept, int) or not 0 <= kept <= len(axes) or list(axes) != sorted(axes, reverse=True):
        return "the axes must fall, and as many be kept as there are at most"
    if kept == 0:
        return None if axes[0] <= eps else "an axis that is left out is longer than the radius"
    if not axes[kept - 1] > 0:
        return "an axis that is kept has length 0"
    return None if kept == len(axes) or axes[kept] < eps else "an axis that is left out is not shorter than the radius"


@rule(
    "entropy.ellipsoid.upper@1",
    reference="volumes of E_k + (r/2) B, r^2 = e^2 - a_{k+1}^2, from two inclusions; axes from the (k+1)st on left out",
    accepts=of_set("ellipsoid", UPPER, "axes", check=lambda p: kept_fits(p["axes"], p["kept"], p["eps"])),
)
def upper(axes: list[float], kept: int, eps: Any, metric: str) -> Any:
    """The bound for k = kept."""
    return ellipsoid_upper(axes, kept, eps)


@rule(
    "entropy.ellipsoid.lower@1",
    reference=(
        "volume of the section by the axes above e, onto which balls project; and k + 1 balls for k such axes "
        "(Lusternik and Schnirelmann)"
    ),
    accepts=of_set("ellipsoid", LOWER, "axes"),
)
def lower(axes: list[float], eps: Any, metric: str) -> Any:
    """Sum of log(a_i / e)."""
    return ellipsoid_lower(axes, eps)


@dataclass(frozen=True)
class Ellipsoid(TotallyBounded):
    """``{x : sum (x_i / a_i)^2 <= 1}`` in l2; axes of length 0 are allowed.

    Parameters
    ----------
    axes : sequence of float
        The semi-axes, in any order.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> print(Ellipsoid((1.0, 0.5, 1e-3)).entropy(0.1))
    3.91202 <= entropy <= 5.48903 (proved | proved)
    """

    axes: tuple[float, ...]
    metric: str = "l2"

    def __post_init__(self) -> None:
        axes = sorted((size(a, "a semi-axis") for a in self.axes), reverse=True)
        if not axes or self.metric != "l2":
            raise DomainError(f"an ellipsoid needs semi-axes, and the metric l2; found {len(axes)}, {self.metric!r}")
        object.__setattr__(self, "axes", tuple(axes))

    @property
    def digest(self) -> str:
        return set_digest("ellipsoid", axes=list(self.axes))

    def _facts(self, eps: float) -> Mapping[str, Any]:
        return {"axes": list(self.axes), "eps": scale(eps), "metric": self.metric}

    def upper(self, eps: float) -> Bound:
        kept = axes_kept(self.axes, scale(eps))
        return derive("entropy.ellipsoid.upper@1", self.claim(eps), **self._facts(eps), kept=kept)

    def lower(self, eps: float) -> Bound:
        return derive("entropy.ellipsoid.lower@1", self.claim(eps, LOWER), **self._facts(eps))


__all__ = ["Ellipsoid", "axes_kept", "ellipsoid_lower", "ellipsoid_upper", "kept_fits"]
