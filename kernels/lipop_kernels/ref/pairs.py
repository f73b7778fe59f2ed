"""Pairs of points in rational arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._records import FarthestPoints, PairRatio, points
from lipop_kernels.ref._exact import fraction, fractions


def max_pairwise_ratio(X: Any, Y: Any, rtol: float = 1e-9) -> PairRatio:
    """The largest ratio of distances over all pairs; squares of ratios are compared as rationals.

    Parameters, result and exceptions as in ``lipop_kernels.max_pairwise_ratio``; ``value`` and ``upper`` are the two
    floats around the exact ratio.

    Examples
    --------
    >>> max_pairwise_ratio(np.array([[0.0], [1.0], [3.0]]), np.array([[0.0], [2.0], [3.0]]))
    PairRatio(value=2.0, i=0, j=1, upper=2.0)
    """
    X, Y = points(X, "X"), points(Y, "Y")
    if len(X) != len(Y) or len(X) < 2:
        raise ValueError(f"X has {len(X)} rows and Y has {len(Y)}; expected the same number, at least two")
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    P, Q = fractions(X), fractions(Y)
    best, pair = fraction(0.0), (0, 1)
    for i in range(len(P)):
        for j in range(i + 1, len(P)):
            x, y = _square_of_distance(P[i], P[j]), _square_of_distance(Q[i], Q[j])
            if x == 0 and y != 0:
                return PairRatio(math.inf, i, j, math.inf)
            if x != 0 and y / x > best:
                best, pair = y / x, (i, j)
    return PairRatio(_root(best, below=True), *pair, _root(best, below=False))


def farthest_points(X: Any, k: int, start: int = 0) -> FarthestPoints:
    """The farthest-point traversal with exact comparisons; the first of several farthest points is taken.

    Parameters, result and exceptions as in ``lipop_kernels.farthest_points``.

    Examples
    --------
    >>> farthest_points(np.array([[0.0], [1.0], [5.0], [6.0]]), 3).radii.tolist()
    [6.0, 1.0, 1.0]
    """
    X = points(X, "X")
    n = len(X)
    for name, value, low, high in (("k", k, 1, n), ("start", start, 0, n - 1)):
        if not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; expected an integer between {low} and {high}: X has {n} points")
    P, where = fractions(X), int(start)
    best: list[Any] = [None] * n
    assignment, indices = np.zeros(n, dtype=np.int64), np.zeros(k, dtype=np.int64)
    separations, radii = np.full(k, math.inf), np.zeros(k)
    for t in range(k):
        indices[t] = where
        if t:
            separations[t] = _root(best[where], below=True)
        for i in range(n):
            square = _square_of_distance(P[i], P[where])
            if best[i] is None or square < best[i]:
                best[i], assignment[i] = square, t
        where = max(range(n), key=lambda i: (best[i], -i))
        radii[t] = _root(best[where], below=False)
    return FarthestPoints(indices, separations, radii, assignment)


def _square_of_distance(p: list[Any], q: list[Any]) -> Any:
    """``|p - q|^2``, exact."""
    return sum(((a - b) ** 2 for a, b in zip(p, q, strict=True)), start=fraction(0.0))


def _root(square: Any, *, below: bool) -> float:
    """The largest float not above the root of a rational (``below``), or the smallest one not below it."""
    if square == 0:
        return 0.0
    p, q = int(square.p), int(square.q)
    shift = max(0, (130 + q.bit_length() - p.bit_length()) // 2)
    whole = math.isqrt((p << 2 * shift) // q)  # the root times 2**shift, to 60 bits at least
    excess = max(0, whole.bit_length() - 64)
    try:
        s = math.ldexp(float(whole >> excess), excess - shift)
    except OverflowError:
        s = 1.7976931348623157e308
    while fraction(s) ** 2 > square:
        s = math.nextafter(s, 0.0)
    while math.nextafter(s, math.inf) < math.inf and fraction(math.nextafter(s, math.inf)) ** 2 <= square:
        s = math.nextafter(s, math.inf)
    return s if below or fraction(s) ** 2 == square else math.nextafter(s, math.inf)
