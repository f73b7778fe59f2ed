"""Nearest-point maps of one kind with other parameters: how far apart they can be, on the whole space.

Lemmas (P, P' the two maps):

- boxes, soft thresholds: ``min(max(x, l), h)`` moves by at most the largest move of an end, coordinate by coordinate;
- halfspaces with one normal a: the difference is a multiple of a, at most ``|beta - beta'|/|a|_2^2`` times it;
- balls in l2 and l1 balls: ``I - P`` is non-expansive in l2, which pays ``|c - c'|`` for the centres; with one centre
  the points lie on one ray (or, coordinate by coordinate, are ordered), which pays ``|r - r'|``;
- simplices: a larger total enlarges every coordinate, so the l1 distance is the difference of the totals.
"""

from __future__ import annotations

import math

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.limit.affine import vector_norm
from lipop.operators import BoxProjection, HalfspaceProjection
from lipop.operators.projection_radial import RadialRetraction
from lipop.operators.projection_simplex import L1BallProjection, SimplexProjection
from lipop.operators.proximal import SoftThreshold


def shift(a: Operator, b: Operator) -> float:
    """An upper bound of ``sup |A x - B x|`` over the whole space (infinite where no lemma applies).

    >>> shift(SoftThreshold(np.array([1.0, 0.5])), SoftThreshold(np.array([1.0, 0.75]))) >= 0.25
    True
    """
    kind = a.domain.norm
    if a.domain != b.domain or kind not in ("l1", "l2", "linf"):
        return math.inf
    if isinstance(a, BoxProjection) and isinstance(b, BoxProjection):
        return _size(np.maximum(_moved(a.low, b.low), _moved(a.high, b.high)), kind)
    if isinstance(a, SoftThreshold) and isinstance(b, SoftThreshold):
        return _size(_moved(a.t, b.t), kind)
    if isinstance(a, HalfspaceProjection) and isinstance(b, HalfspaceProjection) and np.array_equal(a.a, b.a):
        length = float(np.linalg.norm(a.a)) * (1 - 1e-12)
        return _size(np.abs(a.a), kind) / length * float(_moved(a.beta, b.beta)) / length * (1 + 1e-12)
    if kind != "l2":
        return math.inf
    if isinstance(a, SimplexProjection) and isinstance(b, SimplexProjection):
        return float(_moved(a.total, b.total))
    balls = RadialRetraction, L1BallProjection
    for ball in balls:
        if isinstance(a, ball) and isinstance(b, ball):
            return (_size(_moved(a.center, b.center), "l2") + float(_moved(a.radius, b.radius))) * (1 + 1e-15)
    return math.inf


def _moved(p: np.ndarray | float, q: np.ndarray | float) -> np.ndarray:
    """``|p - q|`` rounded up; two equal infinities have not moved."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(p - q)
    return np.where(p == q, 0.0, np.nextafter(gap, np.inf))


def _size(moved: np.ndarray, kind: str) -> float:
    if not bool(np.isfinite(moved).all()):
        return math.inf
    return vector_norm(Enclosed.exact(moved), kind)


__all__ = ["shift"]
