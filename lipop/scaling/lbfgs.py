"""L-BFGS on many problems at once: rows of one array, each with its own start, all evaluated together.

The line search is Lewis and Overton's bisection for the weak Wolfe conditions (Math. Program. 141, 2013), which needs
no smoothness beyond a descent direction: Huber's loss with a small width is almost an absolute value. The first
inverse Hessian of the two-loop recursion is not a multiple of the identity but a matrix for every row (for regressions:
Gauss-Newton with Huber's weights), made anew every few steps; without it the correlation of amplitude and exponent of a
power law costs hundreds of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Inverse = Callable[[np.ndarray, np.ndarray], np.ndarray]
DECREASE, CURVATURE = 1e-4, 0.9
TRIALS, REACH = 25, 4.0


@dataclass(frozen=True, eq=False)
class Minima:
    """Where every row ended.

    Parameters
    ----------
    z : (R, p) array
    value : (R,) array
        Infinite where the start itself was outside of the domain.
    steps : int
        Steps of the row that took most.
    """

    z: np.ndarray
    value: np.ndarray
    steps: int


def minimise(
    evaluate: Evaluate,
    inverse: Inverse,
    z: np.ndarray,
    *,
    steps: int = 150,
    memory: int = 6,
    tolerance: float = 1e-9,
    refresh: int = 8,
) -> Minima:
    """Minimise a function of p numbers for every row.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(z, rows)`` gives values (R,) and gradients (R, p) of the rows with these indices.
    inverse : callable
        ``inverse(z, rows)`` gives (R, p, p) symmetric positive definite approximations of the inverse Hessians.
    z : (R, p) array
        The starts.
    steps : int
        At most.
    memory : int
        Pairs of the two-loop recursion.
    tolerance : float
        A row is done when its value fell by less than this part of itself in each of three steps, or cannot fall; also
        when its slope promises less than a thousandth of that.
    refresh : int
        Steps after which ``inverse`` is asked again.

    Returns
    -------
    Minima

    Examples
    --------
    >>> def square(z, rows):
    ...     return (z**2).sum(axis=1), 2 * z
    >>> def identity(z, rows):
    ...     return np.tile(np.eye(2), (len(z), 1, 1))
    >>> found = minimise(square, identity, np.array([[3.0, -1.0], [0.5, 8.0]]))
    >>> float(found.value.max()) < 1e-20
    True
    """
    z = np.array(z, dtype=np.float64)
    count, p = z.shape
    value, gradient = evaluate(z, np.arange(count))
    moves, turns = np.zeros((memory, count, p)), np.zeros((memory, count, p))
    scales = np.zeros((memory, count))
    H = np.zeros((count, p, p))
    quiet = np.zeros(count, dtype=np.intp)
    alive = np.isfinite(value)
    taken = 0
    for step in range(steps):
        rows = np.flatnonzero(alive)
        if not rows.size:
            break
        taken = step + 1
        if step % refresh == 0:
            H[rows] = inverse(z[rows], rows)
            scales[:, rows] = 0.0
        d = _direction(gradient[rows], moves[:, rows], turns[:, rows], scales[:, rows], H[rows], step % memory)
        slope = (d * gradient[rows]).sum(axis=1)
        ascent = ~(slope < 0)
        d[ascent], slope[ascent] = -gradient[rows[ascent]], -(gradient[rows[ascent]] ** 2).sum(axis=1)
        done = -slope <= 1e-3 * tolerance * np.abs(value[rows])
        alive[rows[done]] = False
        rows, d, slope = rows[~done], d[~done], slope[~done]
        t, new_value, new_gradient = _line_search(evaluate, z[rows], d, value[rows], slope, rows)
        moved = t > 0
        slot, s, y = step % memory, t[:, None] * d, new_gradient - gradient[rows]
        curvature = (s * y).sum(axis=1)
        keep = moved & (curvature > 1e-12 * np.sqrt((s * s).sum(axis=1) * (y * y).sum(axis=1)))
        moves[slot, rows], turns[slot, rows] = s, y
        scales[slot, rows] = np.where(keep, 1.0 / np.where(keep, curvature, 1.0), 0.0)
        fall = value[rows] - new_value
        small = ~moved | (fall <= tolerance * np.abs(value[rows]))
        quiet[rows] = np.where(small, quiet[rows] + np.where(moved, 1, 3), 0)
        z[rows] += np.where(moved[:, None], s, 0.0)
        value[rows] = np.where(moved, new_value, value[rows])
        gradient[rows] = np.where(moved[:, None], new_gradient, gradient[rows])
        alive[rows] = quiet[rows] < 3
    return Minima(z, value, taken)


def _direction(
    g: np.ndarray, moves: np.ndarray, turns: np.ndarray, scales: np.ndarray, H: np.ndarray, newest: int
) -> np.ndarray:
    """The two-loop recursion; pairs whose scale is 0 do nothing. Steps are at most REACH in every coordinate."""
    memory = len(scales)
    order = [(newest - 1 - k) % memory for k in range(memory)]  # newest pair first
    q, along = g.copy(), np.zeros_like(scales)
    for k in order:
        along[k] = scales[k] * (moves[k] * q).sum(axis=1)
        q -= along[k][:, None] * turns[k]
    q = np.einsum("rij,rj->ri", H, q)
    for k in reversed(order):
        back = scales[k] * (turns[k] * q).sum(axis=1)
        q += (along[k] - back)[:, None] * moves[k]
    longest = np.abs(q).max(axis=1)
    return -q * np.minimum(1.0, REACH / np.maximum(longest, 1e-300))[:, None]


def _line_search(
    evaluate: Evaluate, z: np.ndarray, d: np.ndarray, value: np.ndarray, slope: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step lengths (0: none found), with values and gradients there."""
    low, high, t = np.zeros(len(z)), np.full(len(z), np.inf), np.ones(len(z))
    best_t, best_value, best_gradient = np.zeros(len(z)), value.copy(), np.zeros_like(z)
    open_ = np.arange(len(z))
    for _ in range(TRIALS):
        f, g = evaluate(z[open_] + t[open_, None] * d[open_], rows[open_])
        falls = f <= value[open_] + DECREASE * t[open_] * slope[open_]
        turned = (g * d[open_]).sum(axis=1) >= CURVATURE * slope[open_]
        good = open_[falls]
        best_t[good], best_value[good], best_gradient[good] = t[good], f[falls], g[falls]
        low[open_[falls & ~turned]] = t[open_[falls & ~turned]]
        high[open_[~falls]] = t[open_[~falls]]
        open_ = open_[~(falls & turned)]
        if not open_.size:
            break
        bounded = np.isfinite(high[open_])
        shrink = np.where(low[open_] > 0, 0.5, 0.25)
        t[open_] = np.where(bounded, low[open_] + shrink * (high[open_] - low[open_]), 2.0 * low[open_])
        open_ = open_[np.abs(t[open_, None] * d[open_]).max(axis=1) <= 2 * REACH]
        if not open_.size:
            break
    return best_t, best_value, best_gradient


__all__ = ["Minima", "minimise"]
