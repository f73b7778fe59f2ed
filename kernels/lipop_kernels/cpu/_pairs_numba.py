"""The compiled loops over pairs of points: sums in float64, in any order, whatever the storage."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FLAGS = {"reassoc", "contract", "nsz"}


@njit(fastmath=FLAGS, cache=True, nogil=True)
def nearer(X, c, number, best, assignment):
    """``best[i] = min(best[i], |X_i - c|^2)``, the assignment where it falls; (largest, first row that has it).

    One read of X; four rows at a time, so that c is loaded once for all of them.
    """
    n, top, where = X.shape[0], -1.0, 0
    found = np.empty(4)
    for i in range(0, n, 4):
        rows = min(4, n - i)
        if rows == 4:
            a0, a1, a2, a3 = X[i], X[i + 1], X[i + 2], X[i + 3]
            s0 = s1 = s2 = s3 = np.float64(0.0)
            for j in range(c.size):
                v = c[j]
                e0, e1 = np.float64(a0[j]) - v, np.float64(a1[j]) - v
                e2, e3 = np.float64(a2[j]) - v, np.float64(a3[j]) - v
                s0 += e0 * e0
                s1 += e1 * e1
                s2 += e2 * e2
                s3 += e3 * e3
            found[0], found[1], found[2], found[3] = s0, s1, s2, s3
        else:
            for r in range(rows):
                row, s = X[i + r], np.float64(0.0)
                for j in range(c.size):
                    e = np.float64(row[j]) - c[j]
                    s += e * e
                found[r] = s
        for r in range(rows):
            if found[r] < best[i + r]:
                best[i + r] = found[r]
                assignment[i + r] = number
            if best[i + r] > top:
                top, where = best[i + r], i + r
    return top, where


@njit(cache=True, nogil=True)
def _distance(a, b):
    """(r, e) with ``|a - b| = r 2**e`` up to rounding, whatever the scale; r is 0 only for equal points."""
    half, peak = 1.0, 0.0
    for j in range(a.size):
        peak = max(peak, abs(a[j] - b[j]))
    if peak == 0.0:
        return 0.0, 0
    if peak == math.inf:
        half, peak = 0.5, 0.0
        for j in range(a.size):
            peak = max(peak, abs(0.5 * a[j] - 0.5 * b[j]))
    e = math.frexp(peak)[1]
    first, second = math.ldexp(1.0, -(e // 2)), math.ldexp(1.0, -(e - e // 2))
    s = 0.0
    for j in range(a.size):
        t = (half * a[j] - half * b[j]) * first * second
        s += t * t
    return math.sqrt(s), (e if half == 1.0 else e + 1)


@njit(cache=True, nogil=True)
def _tried(X, Y, i, j, best):
    """Compare the ratio of a pair with ``best``: (mantissa, exponent, i, j); an infinite mantissa ends the search."""
    x, ex = _distance(X[i], X[j])
    y, ey = _distance(Y[i], Y[j])
    if y == 0.0:
        return False
    if x == 0.0:
        best[0], best[1], best[2], best[3] = math.inf, 0.0, i, j
        return True
    m, e = math.frexp(y / x)
    e += ey - ex
    if best[0] > 0.0 and (e < best[1] or (e == best[1] and m <= best[0])):
        return False
    best[0], best[1], best[2], best[3] = m, e, i, j
    return True


@njit(cache=True, nogil=True)
def _threshold(best, shift, factor):
    """The square of the best ratio in the unit of the screened points, times a factor; at most 1e300."""
    if best[0] == 0.0:
        return 0.0
    e = min(max(best[1] + shift, -500.0), 490.0)
    return min(math.ldexp(best[0], int(e)) ** 2 * factor, 1e300)


@njit(fastmath=FLAGS, cache=True, nogil=True)
def _above(gx, gy, ax, ay, bx, by, cx, cy, t):
    """How many pairs of a row may have a squared ratio above t."""
    count = 0
    for j in range(gx.size):
        x, y = ax + bx[j], ay + by[j]
        count += ((y - 2.0 * gy[j]) + cy * y) > t * ((x - 2.0 * gx[j]) - cx * x)
    return count


@njit(cache=True, nogil=True)
def screened(GX, GY, ax, ay, bx, by, errors, X, Y, start, best, shift, factor):
    """Try every pair of a block whose squared ratio may exceed the best one times ``factor``.

    GX and GY are products of centred points, ``ax .. by`` their squared norms; squared distances from them are within
    ``errors`` times the sum of the two squared norms, plus ``errors[2]``. X and Y are the points themselves.
    """
    cx, cy, tiny = errors[0], errors[1], errors[2]
    for r in range(GX.shape[0]):
        i = start[0] + r
        first = max(0, i + 1 - start[1])
        t = _threshold(best, shift, factor)
        gx, gy, px, py = GX[r, first:], GY[r, first:], bx[first:], by[first:]
        if _above(gx, gy, ax[r] - tiny, ay[r] + tiny, px, py, cx, cy, t) == 0:
            continue
        likely, high = -1, -1.0
        for j in range(gx.size):
            x, y = ax[r] + px[j], ay[r] + py[j]
            dx, dy = x - 2.0 * gx[j], y - 2.0 * gy[j]
            if dx > 2.0 * cx * x and dy > high * dx:
                likely, high = j, dy / dx
        if likely >= 0:
            _tried(X, Y, i, start[1] + first + likely, best)
            t = _threshold(best, shift, factor)
        for j in range(gx.size):
            x, y = ax[r] + px[j], ay[r] + py[j]
            if (y - 2.0 * gy[j]) + cy * y + tiny > t * ((x - 2.0 * gx[j]) - cx * x - tiny) and _tried(
                X, Y, i, start[1] + first + j, best
            ):
                if best[0] == math.inf:
                    return
                t = _threshold(best, shift, factor)
