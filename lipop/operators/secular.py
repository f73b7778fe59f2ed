"""Certified spectral norms of a diagonal matrix behind a projection-like factor, by the secular equation in O(d).

Inertia decides (Haynsworth 1968): with ``D = mu^2 - G^2`` nonsingular and ``V`` of rank at most two, ``D + V V^T`` has
``neg(D) + pos(I + V^T D^{-1} V) - rank`` negative eigenvalues. Where that number is zero (the 2 x 2 matrix is evaluated
with its rounding) ``mu^2`` is certified to be at least every eigenvalue of ``G^2 - V V^T``.
"""

from __future__ import annotations

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.rounding import UNIT, gamma, inflate

_STEPS = 120  # bisection steps at most; geometric first, so that ill-scaled gains cost a few more
_WIDTH = 2.0**-42  # relative width at which bisection stops
_CHUNK = 2**16  # entries worked on at a time (the cache)


def secular_norm(g: np.ndarray, q: Enclosed | None, centred: bool) -> np.ndarray:
    """Upper bounds of the root of the largest eigenvalue of ``G (I - [11^T/d] - q q^T/d) G``, for every row of ``q``.

    Parameters
    ----------
    g : (d,) array
        The diagonal of G, exact.
    q : Enclosed of shape (T, d) or None
        The true matrix in brackets must be positive semidefinite.
    centred : bool
        Whether ``11^T/d`` is taken off.

    Returns
    -------
    (T,) array, or (1,) if ``q`` is None
        At most ``max|g|``; within 2**-42 of the truth, plus rounding times the conditioning of the secular equation.

    Examples
    --------
    >>> float(secular_norm(np.ones(4), None, True)[0])
    1.0
    >>> abs(float(secular_norm(np.array([2.0, 0.0]), None, True)[0]) - 2**0.5) < 1e-12
    True
    """
    a = np.abs(np.asarray(g, dtype=np.float64))
    if q is None:
        return _bisect(a, None, centred)
    rows = max(1, _CHUNK // len(a))
    return np.concatenate([_bisect(a, q[i : i + rows], centred) for i in range(0, q.shape[0], rows)])


def _bisect(a: np.ndarray, q: Enclosed | None, centred: bool) -> np.ndarray:
    rows = 1 if q is None else q.shape[0]
    columns = int(centred) + (q is not None)
    ordered = np.sort(a)[::-1]
    high = np.full(rows, ordered[0])
    low = np.full(rows, ordered[columns] if columns < len(a) else 0.0)  # interlacing
    for _ in range(_STEPS):
        open_ = high - low > _WIDTH * high
        if not open_.any():
            break
        wide = (low > 0) & (high > 2 * low)
        mid = np.where(wide, np.sqrt(low) * np.sqrt(high), 0.5 * (low + high))
        open_ &= (mid > low) & (mid < high)
        good = _bounds(mid, a, q, centred) & open_
        high = np.where(good, mid, high)
        low = np.where(good, low, np.maximum(low, mid))
    return high


def _bounds(mu: np.ndarray, a: np.ndarray, q: Enclosed | None, centred: bool) -> np.ndarray:
    """(T,) whether ``mu`` is certainly an upper bound."""
    d = len(a)
    gap = mu[:, None] - a
    negative = (gap < 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        weight = (a / gap) * (a / (mu[:, None] + a)) / d  # relative error of a few ulps, whatever the scales
        size = np.abs(weight)
        ones = _entry(weight, size, None, None, 1.0) if centred else None
        if q is None:
            below = ones is not None and ones[0] + ones[1] < 0
            return np.asarray((negative == 0) | ((negative == 1) & below))
        last = _entry(weight, size, q, q, 1.0)
        if ones is None:
            return (negative == 0) | ((negative == 1) & (last[0] + last[1] < 0))
        cross = _entry(weight, size, None, q, 0.0)
        (x, ex), (y, ey), (z, ez) = ones, last, cross
        det = x * y - z * z
        slack = np.abs(x) * ey + np.abs(y) * ex + ex * ey + 2 * np.abs(z) * ez + ez * ez
        slack = slack + 4 * UNIT * (np.abs(x * y) + z * z)
        slack = inflate(slack, 16)
        x_below, y_below = x + ex < 0, y + ey < 0
        one = x_below | y_below | (det + slack < 0)
        two = x_below & y_below & (det - slack > 0)
    return (negative == 0) | ((negative == 1) & one) | ((negative == 2) & two & (d >= 2))


def _entry(
    weight: np.ndarray, size: np.ndarray, p: Enclosed | None, q: Enclosed | None, start: float
) -> tuple[np.ndarray, np.ndarray]:
    """One entry of ``I + V^T D^{-1} V`` and a bound of its error."""
    d = weight.shape[1]
    value, top, moved = weight, size, np.zeros(1)
    if q is not None and p is None:
        value, top, moved = weight * q.mid, size * (np.abs(q.mid) + q.err), size * q.err
    elif q is not None:
        m = np.abs(q.mid)
        value, top, moved = weight * q.mid * q.mid, size * (m + q.err) ** 2, size * (2 * m + q.err) * q.err
    error = gamma(d + 16) * (start + top.sum(axis=1)) + np.broadcast_to(moved, weight.shape).sum(axis=1)
    return start + value.sum(axis=1), inflate(error, d + 16)


__all__ = ["secular_norm"]
