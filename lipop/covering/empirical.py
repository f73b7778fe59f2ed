"""Covering numbers of point clouds: packings and covers at all scales from one farthest-point traversal.

The first t centres of Gonzalez's traversal cover the cloud at radius ``r_t`` and are pairwise at least ``r_{t-1}``
apart, so ``packing(2 eps) <= N(eps) <= cover(eps)`` at every scale. Distances are l2, and counts hold exactly: radii
are rounded up and separations down. For the set that the cloud is drawn from, the lower bound alone holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.bound import LOWER, UPPER, Bound, Claim, Witness
from lipop.core.digest import array_digest
from lipop.core.rounding import float_down, float_up, workprec
from lipop.core.rule import leaf, leaf_rule
from lipop.covering.claims import TotallyBounded, at, scale, set_digest
from lipop.errors import DomainError, NonFiniteError, ProofError, ShapeError

COVER = leaf_rule(
    "entropy.cloud.cover@1",
    reference="centres of a farthest-point traversal (Gonzalez 1985) from the stated point; every distance rounded up",
    grid=44,
    quantity="entropy",
    side=UPPER,
    params={"eps": float, "centers": int, "start": int},
)
PACKING = leaf_rule(
    "entropy.cloud.packing@1",
    reference="centres of a farthest-point traversal at distances, rounded down, above 2 eps: no ball holds two",
    grid=44,
    quantity="entropy",
    side=LOWER,
    params={"eps": float, "centers": int, "start": int},
)


@dataclass(frozen=True, eq=False)
class EmpiricalCover(TotallyBounded):
    """A finite cloud in l2 with the centres of its traversal.

    Parameters
    ----------
    points : (n, d) array
    centers : int
        How many centres were taken.
    start : int
        The first of them.
    found : FarthestPoints
        What the kernel returned.
    """

    points: np.ndarray
    centers: int
    start: int
    found: Any = field(repr=False)
    metric: str = "l2"

    @property
    def digest(self) -> str:
        return set_digest("cloud", points=array_digest(self.points))

    def counts(self, eps: float) -> tuple[int, int]:
        """``packing(2 eps) <= N(eps) <= cover(eps)``."""
        return self.found.covering(scale(eps))

    def upper(self, eps: float) -> Bound:
        return self._leaf(COVER, eps, UPPER)

    def lower(self, eps: float) -> Bound:
        return self._leaf(PACKING, eps, LOWER)

    def curve(self, scales: Sequence[float] | None = None) -> np.ndarray:
        """Scales with both counts, as the rows (eps, packing, cover) of an array.

        Parameters
        ----------
        scales : sequence of float, optional
            All radii of the traversal by default, from large to small.
        """
        chosen = [float(r) for r in self.found.radii if r > 0] if scales is None else [scale(e) for e in scales]
        return np.array([[e, *self.counts(e)] for e in chosen]).reshape(-1, 3)

    def dimension(self, fine: float, coarse: float) -> tuple[float, float]:
        """The box dimension between two scales, ``log(N(fine) / N(coarse)) / log(coarse / fine)``, from both sides.

        Raises
        ------
        DomainError
            If not ``0 < fine < coarse``.
        """
        fine, coarse = scale(fine), scale(coarse)
        if not fine < coarse:
            raise DomainError(f"the fine scale must be below the coarse one, found {fine} and {coarse}")
        import flint

        (f0, f1), (c0, c1) = self.counts(fine), self.counts(coarse)
        with workprec():
            span = (flint.arb(coarse) / flint.arb(fine)).log()
            low = float_down((flint.arb(f0) / c1).log() / span)
            return max(0.0, low), float_up((flint.arb(f1) / c0).log() / span)

    def _leaf(self, rule: str, eps: float, side: str) -> Bound:
        eps = scale(eps)
        raw = _log(self.counts(eps)[side == UPPER], side)
        return leaf(rule, self.claim(eps, side), raw, _At(self, eps), eps=eps, centers=self.centers, start=self.start)


@dataclass(frozen=True, eq=False)
class _At:
    """A cloud at a scale, as the subject of leaves."""

    cloud: EmpiricalCover
    eps: float

    @property
    def digest(self) -> str:
        return at(self.cloud.digest, self.eps)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        if rule not in (COVER, PACKING) or params["eps"] != self.eps:
            raise ProofError(f"a cloud at the scale {self.eps} cannot redo rule {rule}")
        again = empirical_cover(self.cloud.points, int(params["centers"]), int(params["start"]))
        return _log(again.counts(self.eps)[rule == COVER], claim.side)


def _log(n: int, side: str) -> float:
    import flint

    with workprec():
        value = flint.arb(n).log()
        return float_up(value) if side == UPPER else float_down(value)


def empirical_cover(points: Any, centers: int | None = None, start: int = 0) -> EmpiricalCover:
    """Traverse a cloud: certified brackets of its covering numbers at all scales.

    Parameters
    ----------
    points : (n, d) array
        float64 or float32.
    centers : int, optional
        How many centres to take, at most n (at most 2048 by default): each reads the cloud once. Below the last radius
        the cover falls back on one ball a point.
    start : int
        The first centre.

    Raises
    ------
    ShapeError
        If the points are no (n, d) array.
    NonFiniteError
        If an entry is NaN or infinite.
    DomainError
        If ``centers`` or ``start`` is out of range.

    Examples
    --------
    >>> cloud = empirical_cover(np.array([[0.0], [1.0], [5.0], [6.0]]))
    >>> cloud.counts(1.5), cloud.counts(0.4)
    ((2, 2), (4, 4))
    >>> print(cloud.entropy(1.5))
    0.693147 <= entropy <= 0.693148 (proved | proved)
    """
    from lipop_kernels import farthest_points

    X = points if isinstance(points, np.ndarray) else np.asarray(points, dtype=np.float64)
    if X.ndim != 2 or 0 in X.shape:
        raise ShapeError(f"a cloud needs points as the rows of an (n, d) array, found shape {X.shape}")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if not bool(np.isfinite(X).all()):
        row, column = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
        raise NonFiniteError(f"points[{row}, {column}] is {X[row, column]}; every entry of a cloud must be finite")
    k = min(len(X), 2048) if centers is None else centers
    for name, value, least, most in (("centers", k, 1, len(X)), ("start", start, 0, len(X) - 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
            raise DomainError(
                f"{name} is {value!r}; expected an integer from {least} to {most}: there are {len(X)} points"
            )
    return EmpiricalCover(X, int(k), int(start), farthest_points(X, int(k), int(start)))


__all__ = ["EmpiricalCover", "empirical_cover"]
