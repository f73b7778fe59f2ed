"""Dykstra's algorithm: the nearest point of an intersection of convex sets, with a certificate that it is near.

Boyle and Dykstra 1986. In turn, ``y_i = P_i(x + e_i)`` and ``e_i <- x + e_i - y_i``; x tends to the nearest point p of
``C = C_1 n ... n C_m`` to the start x_0. Each increment e_i is a normal of C_i at y_i, and ``x_0 = x + sum e_i``. For z
in C therefore ``<x_0 - x, z - x> <= eta := sum <e_i, y_i - x>``, from which

- ``|x_0 - z|^2 >= |x_0 - x|^2 - 2 eta`` for every z in C: the distance of C from below;
- with a point x' of C at hand, ``|x - p|^2 <= eta + |x_0 - x'| |x - x'|``, since p is nearest. Such a point lies on the
  way from x to an inner point s of C: if a ball of radius r around s lies in C, and every C_i meets the ball of radius
  delta around x, then ``x' = x + t (s - x)``, ``t = delta/(delta + r)``.

All of it holds for the computed numbers: forward errors of the projections and the rounding of the sums enter. As eta
is known to about 1e-16, the certified error cannot fall much below 1e-8 times the size of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.rounding import dot_up, inflate
from lipop.errors import DomainError, ShapeError
from lipop.operators.projection import Projection


@dataclass(frozen=True, eq=False)
class NearestPoint:
    """A point near the nearest one of an intersection, and what is proved about it.

    Parameters
    ----------
    point : array
        x, not quite in every set.
    infeasibility : float
        A bound of the distance from x to the set of the sets from which it is farthest.
    gap : float
        A bound of eta.
    distance : (float, float)
        Between these lies the distance from the start to the intersection (the upper end is infinite without an inner
        point).
    error : float
        A bound of ``|x - p|``, p the nearest point (infinite without an inner point).
    rounds : int
    """

    point: np.ndarray
    infeasibility: float
    gap: float
    distance: tuple[float, float]
    error: float
    rounds: int


def dykstra(
    sets: Sequence[Projection],
    x: np.ndarray,
    tolerance: float = 1e-6,
    inside: np.ndarray | None = None,
    rounds: int = 10_000,
) -> NearestPoint:
    """The point of an intersection of convex sets next to x.

    Parameters
    ----------
    sets : sequence of Projection
        Nearest-point maps in l2 with rigorous forward passes.
    x : array
    tolerance : float
        The iteration ends when the certified error is at most this; without an inner point, when a round moves x by no
        more than this and no set is farther than this.
    inside : array, optional
        A point around which a ball lies in every set (``depth`` of the projections shows it).
    rounds : int
        The most rounds that are made.

    Returns
    -------
    NearestPoint
        Also if ``rounds`` ran out: what it states is proved either way.

    Raises
    ------
    ShapeError, DomainError
        If the sets are in different spaces, or the inner point is not certainly inside.

    Examples
    --------
    >>> import lipop as lo
    >>> sets = [lo.BallProjection(np.zeros(2), 1.0), lo.HalfspaceProjection(np.array([1.0, 1.0]), 0.0)]
    >>> near = dykstra(sets, np.array([3.0, 1.0]), inside=np.array([-0.3, -0.3]))
    >>> near.point.round(6).tolist(), near.error < 1e-6
    ([0.707107, -0.707107], True)
    """
    x = np.asarray(x, dtype=np.float64)
    _checked(sets, x)
    room = _room(sets, inside)
    start, increments = x, [np.zeros_like(x) for _ in sets]
    best: NearestPoint | None = None
    check = 1
    for k in range(1, rounds + 1):
        before = x
        pulled = []
        for i, P in enumerate(sets):
            z = x + increments[i]
            x = P(z)
            increments[i] = z - x
            pulled.append(z)
        moved = float(np.abs(x - before).max())
        if k in (check, rounds) or moved <= 0.1 * tolerance:
            near = _certified(sets, start, x, pulled, increments, inside, room, k)
            best = near if best is None or near.error <= best.error else best
            if near.error <= tolerance or (inside is None and max(moved, near.infeasibility) <= tolerance):
                return near
            check = max(check, k + 1, int(1.3 * k))
            if moved == 0.0:
                break
    assert best is not None
    return best


def _checked(sets: Sequence[Projection], x: np.ndarray) -> None:
    if not sets:
        raise ShapeError("an intersection needs at least one set")
    for P in sets:
        if P.domain.norm != "l2" or not P.domain.admits(x.shape):
            raise ShapeError(f"{P!r} is not a nearest-point map in l2 on arrays of shape {x.shape}")


def _room(sets: Sequence[Projection], inside: np.ndarray | None) -> float:
    """The radius of a ball around the inner point that lies in every set (0 without one)."""
    if inside is None:
        return 0.0
    depths = [P.depth(np.asarray(inside, dtype=np.float64)) for P in sets]
    if min(depths) <= 0:
        bad = sets[int(np.argmin(depths))]
        raise DomainError(f"the point inside= is not certainly an inner point of the set of {bad!r}")
    return min(depths)


def _certified(
    sets: Sequence[Projection],
    start: np.ndarray,
    x: np.ndarray,
    pulled: list[np.ndarray],
    increments: list[np.ndarray],
    inside: np.ndarray | None,
    room: float,
    rounds: int,
) -> NearestPoint:
    """What the last round proves."""
    here = Enclosed.exact(x)
    eta = Enclosed.exact(np.zeros(1))
    drift = Enclosed.exact(start) - here
    slip, delta = 0.0, 0.0
    for P, z, e in zip(sets, pulled, increments, strict=True):
        y = P.enclose(Enclosed.exact(z))  # the true projection of z
        normal = Enclosed.exact(z) - y  # a normal of the set at y, exactly
        eta = eta + (normal * (y - here)).reshape(-1).sum(0, keepdims=True)
        drift = drift - e
        slip += dot_up((normal - e).magnitude)
        delta = max(delta, dot_up((P.enclose(here) - here).magnitude))
    gap = max(0.0, float(eta.high[0]))
    # <x_0 - x, z - x> <= eta + rho |z - x|, with rho what rounding put between x_0 - x and the sum of the normals
    rho = float(inflate(dot_up(drift.magnitude) + slip, 8))
    away = Enclosed.exact(start) - here
    low = float(away.reshape(-1).norm_down())
    error, top = math.inf, math.inf
    if inside is not None:
        t = delta / (delta + room)
        inner = Enclosed.exact(np.asarray(inside, dtype=np.float64))
        feasible = float(inflate(t * dot_up((inner - here).magnitude), 8))
        top = float(inflate(float(away.reshape(-1).norm_up()) + feasible, 4))
        square = gap + float(inflate(top * feasible, 4))
        error = float(inflate((rho + math.sqrt(rho * rho + 4 * square)) / 2, 12))
    # |x_0 - z|^2 >= |x_0 - x|^2 + |z - x|^2 - 2 eta - 2 rho |z - x| >= |x_0 - x|^2 - 2 eta - rho^2
    least = low * low * (1 - 1e-15) - float(inflate(2 * gap + rho * rho, 6))
    bottom = math.sqrt(least) * (1 - 1e-15) if least > 0 else 0.0
    return NearestPoint(x, delta, gap, (bottom, top), error, rounds)


__all__ = ["NearestPoint", "dykstra"]
