"""Norms of ``A diag(d) B`` with d known up to intervals, token by token: the interval-centre bound.

If ``|d_k - c_k| <= r_k`` then ``|A diag(d) B| <= |A diag(c) B| + |A diag(sqrt r)| |diag(sqrt r) B|``: write
``d - c = sqrt(r) t sqrt(r)`` with ``|t_k| <= 1``.
"""

from __future__ import annotations

import math

import numpy as np

from lipop.core.enclosure import Enclosed, Stack
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.rounding import UNIT, inflate
from lipop.operators.activation_rules import Range
from lipop.operators.token_norms import SLACK, norms, scaled

CHUNK = 2**22  # entries of stacked matrices at a time
TIGHT = 1e-6  # relative slack of the norms


def chunks(tokens: int, size: int) -> list[slice]:
    """Slices of tokens whose matrices of ``size`` entries fit into one stack."""
    step = max(1, CHUNK // size)
    return [slice(i, i + step) for i in range(0, tokens, step)]


def center_radius(low: np.ndarray, high: np.ndarray) -> Range:
    """Stored centres and radii, rounded up, of intervals.

    >>> c, r = center_radius(np.array([0.0]), np.array([1.0]))
    >>> float(c[0]), bool(r[0] >= 0.5)
    (0.5, True)
    """
    center = 0.5 * low + 0.5 * high
    return center, radius_around(center, low, high)


def radius_around(center: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Largest distances from ``center`` to points of the intervals, rounded up (exactly zero stays)."""
    gap = np.maximum(high - center, center - low)
    return np.maximum(gap, 0.0) * (1 + 4 * UNIT)


def weighted_norms(a: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(T,) upper bounds of ``|A diag(sqrt r_t)|`` for weights ``r_t >= 0``; more weight never lowers the norm.

    A single token gets six digits, several get two: there the spread is a small term, and the time counts.
    """
    matrix = Stack.exact(a)
    root = np.sqrt(r) * (1 + 4 * UNIT)
    out = np.zeros(len(r))
    for part in chunks(len(r), a.size):
        if root[part].any():
            out[part] = norms(scaled(matrix, right=root[part]), TIGHT if len(r) == 1 else SLACK)
    return out


def spread_norms(a: np.ndarray, r: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) upper bounds of ``|A diag(e) B|`` over all ``|e_k| <= r_tk``."""
    return inflate(weighted_norms(a, r) * weighted_norms(b.T, r), 4)


def middle(a: np.ndarray, terms: list[tuple[np.ndarray, np.ndarray]], part: slice) -> Stack:
    """``sum_i A diag(c_i) B_i`` for the tokens of a slice."""
    left = Stack.exact(a)
    total = None
    for c, b in terms:
        term = _signed(left, c[part]) @ Stack.exact(b)
        total = term if total is None else total + term
    assert total is not None
    return total


def _signed(m: Stack, right: np.ndarray) -> Stack:
    product = scaled(m, right=np.abs(right))
    return Stack(product.mid * np.where(right < 0, -1.0, 1.0)[:, None, :], product.err)


def middle_norms(a: np.ndarray, terms: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(T,) upper bounds of ``|sum_i A diag(c_i) B_i|``."""
    tokens = len(terms[0][0])
    out = np.empty(tokens)
    for part in chunks(tokens, max(a.size, a.shape[0] * terms[0][1].shape[1])):
        out[part] = norms(middle(a, terms, part), TIGHT)
    return out


def middle_symmetric(a: np.ndarray, terms: list[tuple[np.ndarray, np.ndarray]], spread: np.ndarray) -> float:
    """The largest over tokens of ``lambda_max(sym sum_i A diag(c_i) B_i) + spread``, rounded up."""
    from lipop_kernels import symmetric_max

    best = -math.inf
    for part in chunks(len(spread), max(a.size, a.shape[0] * terms[0][1].shape[1])):
        stack = middle(a, terms, part)
        for mid, err, more in zip(stack.mid, stack.err, spread[part], strict=True):
            top = float(symmetric_max(mid, rtol=TIGHT, error=float(err))) + float(more)
            best = max(best, math.nextafter(top, math.inf))
    return best


# ---- affine images of regions ------------------------------------------------------------------------------------


def affine(x: Enclosed, w: np.ndarray, b: np.ndarray | None) -> Enclosed:
    """``W x + b`` on every token; a vector becomes one token."""
    x = x if x.mid.ndim > 1 else x.reshape(1, -1)
    y = x @ Enclosed.exact(w).T
    return y if b is None else y + np.asarray(b, dtype=np.float64)


def row_norms(w: np.ndarray) -> np.ndarray:
    """Upper bounds of the l2 norms of the rows."""
    return inflate(np.sqrt((w * w).sum(axis=1)), w.shape[1] + 4)


def affine_range(w: np.ndarray, b: np.ndarray | None, on: Region) -> Range | None:
    """Ends (T, m) of intervals that hold every entry of ``W x + b`` for x in (a convex set around) the region.

    Vectors and unbounded regions give one token; None for regions of unknown kind.
    """
    if isinstance(on, Everywhere) or (isinstance(on, Shell) and on.outer == np.inf):
        return np.full((1, len(w)), -np.inf), np.full((1, len(w)), np.inf)
    if isinstance(on, Cloud):
        flat = on.points.reshape(-1, on.points.shape[-1])
        y = affine(Enclosed.exact(flat), w, b)
        shape = (len(on.points), -1, len(w))
        return y.low.reshape(shape).min(axis=0), y.high.reshape(shape).max(axis=0)
    if isinstance(on, Shell):
        on = Ball(np.zeros(w.shape[1]), on.outer)
    if isinstance(on, Ball) and on.norm == "linf":
        low, high = np.nextafter(on.center - on.radius, -np.inf), np.nextafter(on.center + on.radius, np.inf)
        on = on if on.radius == 0 else Box(low, high)
    if isinstance(on, Box):
        center = 0.5 * on.low + 0.5 * on.high
        half = np.maximum(on.high - center, center - on.low).reshape(-1, center.shape[-1])
        reach = inflate(half @ np.abs(w).T, w.shape[1] + 4)
    elif isinstance(on, Ball | TokenBall):
        center = on.center
        rho = np.full((1, 1), on.radius) if isinstance(on, Ball) else on.rho_token[:, None]
        reach = inflate(rho * row_norms(w), 2)
    else:
        return None
    y = affine(Enclosed.exact(center), w, b)
    y = Enclosed(y.mid, (y.err + reach) * (1 + 4 * UNIT))
    return y.low, y.high


__all__ = [
    "affine",
    "affine_range",
    "center_radius",
    "middle",
    "middle_norms",
    "middle_symmetric",
    "radius_around",
    "row_norms",
    "spread_norms",
    "weighted_norms",
]
