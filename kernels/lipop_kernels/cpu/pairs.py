"""Pairs of points: the largest ratio of distances, and the farthest-point traversal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._common import TINY, down, gamma, scaled_down, scaled_up, up
from lipop_kernels._records import FarthestPoints, PairRatio, points

BLOCK = 512  # points on each side of a block of pairs
SMALL = 2**20  # bytes of X up to which one thread is faster


def max_pairwise_ratio(X: Any, Y: Any, rtol: float = 1e-9) -> PairRatio:
    """The largest ``|Y_i - Y_j| / |X_i - X_j|`` over all pairs, with the pair that has it: l2 distances of rows.

    Products of centred points screen all pairs; those whose ratio may exceed the best one by ``rtol`` are evaluated
    from the differences. In the screening a squared distance is ``s_i + s_j - 2 <x_i, x_j>``; with the rounding of the
    centring it is within ``(2 g_{d+5} + 4 u) (s_i + s_j)`` of the true one (``|x_i| |x_j| <= (s_i + s_j) / 2``), so a
    pair that is skipped has at most ``1 + rtol`` times the ratio of the best one.

    Parameters
    ----------
    X : (n, d) array
        float64 or float32; entries count as exact.
    Y : (n, e) array
        float64 or float32, as many rows.
    rtol : float
        How much larger, relatively, the true maximum may be; finer than about 1e-12 every close call is evaluated.

    Returns
    -------
    PairRatio
        ``value <= |Y_i - Y_j| / |X_i - X_j| <= max <= upper <= value (1 + rtol) (1 + 4 g_k)``, ``k = max(d, e) + 8``;
        rounded outwards. Equal X with different Y give infinity; pairs that are equal in both do not count, and where
        no pair counts the ratio is 0.

    Raises
    ------
    ValueError
        For a wrong shape or type, fewer than two points, an entry that is not finite, or ``rtol`` out of range.

    Examples
    --------
    >>> found = max_pairwise_ratio(np.array([[0.0], [1.0], [3.0]]), np.array([[0.0], [2.0], [3.0]]))
    >>> (found.i, found.j), 2.0 * (1 - 1e-12) < found.value <= 2.0 <= found.upper
    ((0, 1), True)
    """
    X, Y = points(X, "X"), points(Y, "Y")
    if len(X) != len(Y) or len(X) < 2:
        raise ValueError(f"X has {len(X)} rows and Y has {len(Y)}; expected the same number, at least two")
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    X, Y = _float64(X), _float64(Y)
    best = np.zeros(4)
    if bool((Y[0] != Y).any()):
        _search(X, Y, (1.0 + rtol) ** 2 * (1.0 + 1e-15), best)
    m, e, i, j = float(best[0]), int(best[1]), int(best[2]), int(best[3])
    if m == 0.0:
        return PairRatio(0.0, 0, 1, 0.0)
    if m == math.inf:
        return PairRatio(math.inf, i, j, math.inf)
    g = gamma(max(X.shape[1], Y.shape[1]) + 8)
    return PairRatio(
        scaled_down(down(m * (1.0 - g)), e), i, j, scaled_up(up(m * (1.0 + g) * (1.0 + rtol) * (1.0 + 1e-15)), e)
    )


def _float64(X: np.ndarray) -> np.ndarray:
    """Contiguous native float64 that compiled code takes as one type."""
    view = np.ascontiguousarray(X, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _search(X: np.ndarray, Y: np.ndarray, factor: float, best: np.ndarray) -> None:
    """Find the best pair, block by block."""
    from lipop_kernels.cpu._pairs_numba import screened

    (P, ex), (Q, ey) = _centred(X), _centred(Y)
    p, q = np.einsum("ij,ij->i", P, P), np.einsum("ij,ij->i", Q, Q)
    errors = np.array([2.5 * gamma(X.shape[1] + 8), 2.5 * gamma(Y.shape[1] + 8), max(X.shape[1], Y.shape[1]) * TINY])
    n = len(X)
    for i in range(0, n, BLOCK):
        rows = slice(i, min(n, i + BLOCK))
        for j in range(i, n, BLOCK):
            columns, start = slice(j, min(n, j + BLOCK)), np.array([i, j])
            GX, GY = P[rows] @ P[columns].T, Q[rows] @ Q[columns].T
            screened(
                GX, GY, p[rows], q[rows], p[columns], q[columns], errors, X, Y, start, best, float(ex - ey), factor
            )
            if best[0] == math.inf:
                return


def _centred(X: np.ndarray) -> tuple[np.ndarray, int]:
    """Points around their mean, largest entry of X about 1, and the power of two that was taken out."""
    peak = max(float(X.max()), -float(X.min()))
    exponent = math.frexp(peak)[1] if peak > 0 else 0
    P = np.ldexp(X, -exponent)
    P -= P.mean(axis=0)
    return P, exponent


def farthest_points(X: Any, k: int, start: int = 0) -> FarthestPoints:
    """Gonzalez's traversal: each centre is the point farthest from those before it; packings and covers at all scales.

    The first t centres are a cover with radius ``radii[t - 1]``, at most twice the best one, and a packing with
    distance ``separations[t - 1]``: in exact arithmetic ``separations[t] = radii[t - 1]``. Each step reads X once; sums
    are in float64, also for float32.

    Parameters
    ----------
    X : (n, d) array
        float64 or float32; entries count as exact. Rows that are not contiguous are copied.
    k : int
        The number of centres, at most n. Once every point is a centre or equals one, centres repeat.
    start : int
        The first centre.

    Returns
    -------
    FarthestPoints
        Computed squared distances are within ``1 -+ g_{d+3}`` of the true ones (Higham 2002, section 3.1); radii are
        rounded up and separations down by that, so both hold whatever the order in which centres were taken.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or k or start out of range.

    References
    ----------
    T. F. Gonzalez, Clustering to minimize the maximum intercluster distance, Theoret. Comput. Sci. 38 (1985).

    Examples
    --------
    >>> found = farthest_points(np.array([[0.0], [1.0], [5.0], [6.0]]), 3)
    >>> found.indices.tolist(), found.radii.round(9).tolist(), found.assignment.tolist()
    ([0, 3, 1], [6.0, 1.0, 1.0], [0, 2, 1, 1])
    >>> found.covering(1.5)
    (2, 2)
    """
    X = points(X, "X")
    n, d = X.shape
    for name, value, low, high in (("k", k, 1, n), ("start", start, 0, n - 1)):
        if not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; expected an integer between {low} and {high}: X has {n} points")
    given, (X, exponent) = X, _distances_fit(X)
    best, assignment = np.full(n, math.inf), np.zeros(n, dtype=np.int64)
    indices, before, after = np.zeros(k, dtype=np.int64), np.full(k, math.inf), np.zeros(k)
    where = int(start)
    for t in range(k):
        indices[t], before[t] = where, best[where]
        after[t], where = _nearer(X, where, t, best, assignment)
    g, rest = gamma(d + 4), math.sqrt(d * TINY)
    separations = np.maximum(0.0, down(np.sqrt(before) * (1.0 - g)) - rest)
    radii = up(np.sqrt(after) * (1.0 + g)) + rest
    if after[-1] == 0.0 and bool((given[indices[assignment]] == given).all()):
        radii[after == 0.0] = 0.0
    return FarthestPoints(
        indices,
        np.array([scaled_down(float(s), exponent) if s < math.inf else s for s in separations]),
        np.array([scaled_up(float(r), exponent) for r in radii]),
        assignment,
    )


def _distances_fit(X: np.ndarray) -> tuple[np.ndarray, int]:
    """Contiguous points, rescaled where squares of their differences might overflow; the power of two taken out."""
    peak = max(float(X.max()), -float(X.min()))
    exponent = 0 if peak == 0.0 or 1e-100 < peak < 1e100 else math.frexp(peak)[1]
    view = np.ascontiguousarray(np.ldexp(X, -exponent) if exponent else X).view()
    view = view.astype(view.dtype.newbyteorder("="), copy=False)
    view.flags.writeable = False
    return view, exponent


def _nearer(X: np.ndarray, where: int, number: int, best: np.ndarray, assignment: np.ndarray) -> tuple[float, int]:
    """Take the point ``where`` as a centre: the largest squared distance left, and the first point that has it."""
    from lipop_kernels.cpu._pairs_numba import nearer

    c = X[where].astype(np.float64)
    if X.nbytes <= SMALL:
        return nearer(X, c, number, best, assignment)
    from lipop_kernels.cpu._threads import each_part

    found: list[tuple[float, int]] = []

    def part(_: int, rows: slice) -> None:
        top, first = nearer(X[rows], c, number, best[rows], assignment[rows])
        found.append((top, -(rows.start + first)))

    each_part(len(X), part, 4)
    top, first = max(found)
    return top, -first
