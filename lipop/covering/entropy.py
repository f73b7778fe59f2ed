"""``log_covering_number``: the metric entropy of regions, sets and classes, from both sides."""

from __future__ import annotations

from lipop.core.bound import LOWER, UPPER, Bracket
from lipop.core.region import Ball, Box, Cloud, Region
from lipop.covering.balls import NormBall
from lipop.covering.boxes import BoxSet
from lipop.covering.claims import TotallyBounded, scale
from lipop.covering.empirical import empirical_cover
from lipop.errors import RegionError


def log_covering_number(K: Region | TotallyBounded, eps: float, metric: str | None = None) -> Bracket:
    """The logarithm of the number of closed balls of radius eps that K needs, in nats.

    Parameters
    ----------
    K : Region or TotallyBounded
        A ball, a box or a cloud (in l2); or a set or class of this package.
    eps : float
        Positive, in the unit of the metric.
    metric : str, optional
        For regions: the norm of the covering balls; the region's own by default (``l2`` for a box).

    Returns
    -------
    Bracket
        Both bounds proved. Half-widths of a box that are no floats are rounded: its two bounds are then about the box
        inside and the box around it.

    Raises
    ------
    DomainError
        If eps is not positive and finite, or the metric is not known for K.
    RegionError
        If the region is unbounded or has no rule.

    Examples
    --------
    >>> import numpy as np
    >>> print(log_covering_number(Ball(np.zeros(3), 1.0), 0.5))
    2.07944 <= entropy <= 4.82832 (proved | proved)
    >>> print(log_covering_number(Box(np.zeros(2), np.ones(2)), 0.25, metric="linf"))
    1.38629 <= entropy <= 1.3863 (proved | proved)
    """
    eps = scale(eps)
    if isinstance(K, TotallyBounded):
        if metric not in (None, K.metric):
            raise RegionError(f"{type(K).__name__} is covered in {K.metric} here, not in {metric!r}")
        return K.entropy(eps)
    if isinstance(K, Ball):
        return NormBall(K.center.size, K.radius, K.norm, metric or K.norm).entropy(eps)
    if isinstance(K, Box):
        name = metric or "l2"
        return Bracket(BoxSet.of(K, name, LOWER).lower(eps), BoxSet.of(K, name, UPPER).upper(eps))
    if isinstance(K, Cloud) and metric in (None, "l2"):
        return empirical_cover(K.points.reshape(len(K.points), -1)).entropy(eps)
    raise RegionError(
        f"the entropy of {K!r} in {metric or 'its norm'} is not known here: give a ball, a box or a cloud"
    )


__all__ = ["log_covering_number"]
