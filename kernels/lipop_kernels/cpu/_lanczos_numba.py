"""The compiled Lanczos loop for a largest eigenvalue: Gram-Schmidt, the top of the tridiagonal matrix, the stop rule.

Nothing here needs a proof: the caller evaluates the quotient of the vector that comes out.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FLAGS = {"reassoc", "contract", "nsz"}
"""Sums in any order and fused products: the error bounds that rest on them hold for every order of summation."""

BREAKDOWN = 8 * 2.0**-53
"""A remainder below this part of the product is rounding: the Krylov space is invariant."""


@njit(fastmath=FLAGS, cache=True)
def _dot(a, x, zero):
    s = zero
    for j in range(x.size):
        s += a[j] * x[j]
    return s


@njit(fastmath=FLAGS, cache=True)
def _dots(A, i, x, s, zero):
    """s = rows i .. i + 3 of A times x: x is loaded once for all four."""
    a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
    s0 = s1 = s2 = s3 = zero
    for j in range(x.size):
        v = x[j]
        s0 += a0[j] * v
        s1 += a1[j] * v
        s2 += a2[j] * v
        s3 += a3[j] * v
    s[0], s[1], s[2], s[3] = s0, s1, s2, s3


@njit(fastmath=FLAGS, cache=True)
def _add_rows(A, i, s, y):
    """y += the combination s of rows i .. i + 3 of A."""
    a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
    s0, s1, s2, s3 = s[0], s[1], s[2], s[3]
    for j in range(y.size):
        y[j] += (s0 * a0[j] + s1 * a1[j]) + (s2 * a2[j] + s3 * a3[j])


@njit(fastmath=FLAGS, cache=True)
def _add_row(a, s, y):
    for j in range(y.size):
        y[j] += s * a[j]


@njit(cache=True)
def _gram(A, x, y, zero):
    """y = A^T (A x), four rows at a time."""
    m, s = A.shape[0], np.empty(4, dtype=y.dtype)
    y[:] = 0
    for i in range(0, m - 3, 4):
        _dots(A, i, x, s, zero)
        _add_rows(A, i, s, y)
    for i in range(m - m % 4, m):
        _add_row(A[i], _dot(A[i], x, zero), y)


@njit(cache=True)
def _project(V, k, w, h):
    """Remove from w its parts along the first k rows of V, and add the coefficients to h."""
    c, zero = np.empty(k), np.float64(0.0)
    for i in range(0, k - 3, 4):
        _dots(V, i, w, c[i : i + 4], zero)
    for i in range(k - k % 4, k):
        c[i] = _dot(V[i], w, zero)
    h[:k] += c
    c = -c
    for i in range(0, k - 3, 4):
        _add_rows(V, i, c[i : i + 4], w)
    for i in range(k - k % 4, k):
        _add_row(V[i], c[i], w)


@njit(cache=True)
def advance(V, k, w):
    """(alpha, beta) of step k, ``w = B V[k]`` overwritten; two passes of Gram-Schmidt; ``V[k + 1]`` is written."""
    size = math.sqrt(_dot(w, w, np.float64(0.0)))
    h = np.zeros(k + 1)
    _project(V, k + 1, w, h)
    _project(V, k + 1, w, h)
    beta = math.sqrt(_dot(w, w, np.float64(0.0)))
    if k + 1 >= w.size or beta <= BREAKDOWN * size:
        return h[k], 0.0
    V[k + 1] = w / beta
    return h[k], beta


@njit(cache=True)
def _last_pivot(t, a, b, k):
    """(whether the first k - 1 pivots of ``t I - T`` are positive, the last pivot, its derivative in t)."""
    d, slope = t - a[0], 1.0
    for i in range(1, k):
        if d <= 0.0:
            return False, d, slope
        ratio = b[i - 1] / d
        slope = 1.0 + ratio * ratio * slope
        d = t - a[i] - ratio * b[i - 1]
    return True, d, slope


@njit(cache=True)
def _count_above(t, a, b, k):
    """How many eigenvalues of T exceed t (Sturm)."""
    count, d = 0, 1.0
    for i in range(k):
        off = b[i - 1] / d * b[i - 1] if i else 0.0
        d = t - a[i] - off
        if d == 0.0:
            d = 1e-300
        if d < 0.0:
            count += 1
    return count


@njit(cache=True)
def ritz_top(a, b, k, low, guess):
    """(largest eigenvalue of T_k, last entry of its unit eigenvector): Newton on the last pivot, kept in a bracket.

    Beyond the largest eigenvalue of T_{k-1} the last pivot is increasing and concave, and at its zero its derivative is
    the inverse square of the eigenvector's last entry.
    """
    high = a[0] + (b[0] if k > 1 else 0.0)
    for i in range(1, k):
        high = max(high, a[i] + b[i - 1] + (b[i] if i < k - 1 else 0.0))
    low = min(low, high)
    width = 2.0**-52 * max(abs(low), abs(high))
    t, slope = min(guess, high), 1.0
    for _ in range(200):
        first, d, slope = _last_pivot(t, a, b, k)
        step = t
        if first and d >= 0.0:
            high = t
        else:
            low = t
        if first:
            step = t - d / slope
            if abs(step - t) <= width:
                break
        if high - low <= width:
            break
        t = step if low < step < high else 0.5 * (low + high)
    return t, 1.0 / math.sqrt(slope)


@njit(cache=True)
def _second(a, b, k, low, top):
    """An upper bound of the second eigenvalue of T_k, close enough for its distance to ``top``."""
    high = top
    for _ in range(60):
        if high - low <= 0.1 * (top - high) or high - low <= 2.0**-50 * abs(top):
            break
        middle = 0.5 * (low + high)
        if _count_above(middle, a, b, k) >= 2:
            low = middle
        else:
            high = middle
    return low, high


@njit(cache=True)
def tested(a, b, k, state, history):
    """The stop rule after k steps: the estimate of the error of the largest Ritz value.

    ``state`` keeps (largest, second, residual, number of tests) from one test to the next; both values only grow. It
    starts as (a[0], 0, b[0], 0), B being semidefinite.
    """
    top, last = ritz_top(a, b, k, state[0], state[0] + state[2])
    residual = b[k - 1] * last
    low, high = _second(a, b, k, min(state[1], top), top) if k > 1 else (0.0, top)
    gap = top - high
    history[int(state[3])] = top
    state[0], state[1], state[2] = top, low, residual
    state[3] += 1
    return min(residual, residual * (residual / gap)) if gap > 0.0 else residual


@njit(cache=True)
def ritz_vector(a, b, k, top):
    """The unit eigenvector of T_k for its largest eigenvalue, by inverse iteration from just above it."""
    d, s, reach = np.empty(k), np.ones(k), 2.0**-51 * max(abs(top), 1e-300)
    positive = False
    while not positive:
        t, positive = top + reach, True
        for i in range(k):
            d[i] = t - a[i] - (b[i - 1] / d[i - 1] * b[i - 1] if i else 0.0)
            if d[i] <= 0.0:
                positive = False
                break
        reach *= 2.0
    for _ in range(3):
        for i in range(1, k):
            s[i] += b[i - 1] / d[i - 1] * s[i - 1]
        for i in range(k):
            s[i] /= d[i]
        for i in range(k - 2, -1, -1):
            s[i] += b[i] / d[i] * s[i + 1]
        s /= np.abs(s).max()
        s /= math.sqrt((s * s).sum())
    return s


@njit(cache=True)
def due(k, beta, limit):
    """Whether the stop rule is evaluated after k steps."""
    return beta == 0.0 or k == limit or (k > 1 and k % max(1, k // 12) == 0)


@njit(cache=True, nogil=True)
def lanczos_serial(A, V, a, b, history, state, tol, zero):
    """The whole loop on ``A^T A`` in one thread: (steps, error estimate); steps is 0 where a product is not finite."""
    limit, n = a.size, A.shape[1]
    x, y, w = np.empty(n, dtype=zero.dtype), np.empty(n, dtype=zero.dtype), np.empty(n)
    estimate = math.inf
    for k in range(limit):
        for j in range(n):
            x[j] = V[k, j]
        _gram(A, x, y, zero[0])
        for j in range(n):
            w[j] = y[j]
        a[k], b[k] = advance(V, k, w)
        if not (abs(a[k]) < math.inf and b[k] < math.inf):
            return 0, math.inf
        if k == 0:
            state[0], state[2] = a[0], b[0]
        if due(k + 1, b[k], limit):
            estimate = tested(a, b, k + 1, state, history)
            if (estimate <= tol * state[0] and k > 0) or b[k] == 0.0:
                return k + 1, estimate
    return limit, estimate


@njit(fastmath=FLAGS, cache=True, nogil=True)
def image_squares(A, v):
    """The sums of squares of ``A v`` and of ``|A| |v|``, in float64; four rows at a time."""
    size, squares, majorants = np.abs(v), np.float64(0.0), np.float64(0.0)
    m = A.shape[0]
    for i in range(0, m - 3, 4):
        a0, a1, a2, a3 = A[i], A[i + 1], A[i + 2], A[i + 3]
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.float64(0.0)
        for j in range(v.size):
            x, y = v[j], size[j]
            e0, e1 = np.float64(a0[j]), np.float64(a1[j])
            e2, e3 = np.float64(a2[j]), np.float64(a3[j])
            s0 += e0 * x
            s1 += e1 * x
            s2 += e2 * x
            s3 += e3 * x
            t0 += abs(e0) * y
            t1 += abs(e1) * y
            t2 += abs(e2) * y
            t3 += abs(e3) * y
        squares += (s0 * s0 + s1 * s1) + (s2 * s2 + s3 * s3)
        majorants += (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3)
    for i in range(m - m % 4, m):
        row = A[i]
        s, t = np.float64(0.0), np.float64(0.0)
        for j in range(v.size):
            e = np.float64(row[j])
            s += e * v[j]
            t += abs(e) * size[j]
        squares += s * s
        majorants += t * t
    return squares, majorants
