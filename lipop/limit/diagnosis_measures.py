"""What is measured of a trained block at its input: plain float64 numbers at one point, bounds of nothing.

``x`` is the input of block ``T``, ``y = T x`` its output, ``z`` the final state of the stack, all (tokens, d) arrays;
norms are those of all entries. A measure is None where it is not defined: the shape changes, or a denominator is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lipop.core.space import norm

Map = Callable[[np.ndarray], np.ndarray]
Measures = Mapping[str, float | None]

OWN = (
    "increment",
    "step",
    "angle",
    "idempotency",
    "defect",
    "effective_rank",
    "stable_rank",
    "rank",
    "covering",
    "radius",
    "departure",
)
RELATED = ("successive", "turn", "fixed", "projection", "range")
ENERGY = 0.9
"""The share of ``|z|^2`` that the range of the final projection holds."""
GAP = 1e-6
"""Singular values nearer to each other than this share of the largest one do not split a cloud."""
CLOUD = 512
"""A covering number is taken of at most so many tokens, the first ones."""


def own_measures(block: Any, x: np.ndarray) -> dict[str, float | None]:
    """The measures in ``OWN``, which depend on a block and its input alone (:doc:`/diagnosis` has the formulas).

    Parameters
    ----------
    block : callable
        An array in, an array out. If it has ``branches(x)``, as a transformer block has, its departure from the
        composition of its residual maps is measured too.
    x : (tokens, d) array

    Examples
    --------
    >>> half = own_measures(lambda x: x / 2, np.eye(2))
    >>> half["increment"], half["defect"], half["effective_rank"], half["covering"]
    (0.5, 0.5, 2.0, 0.5)
    """
    y = block(x)
    same = y.shape == x.shape
    again = block(y) if same else y
    return {
        "increment": ratio(y - x, x) if same else None,
        "step": finite(norm(y - x)) if same else None,
        "angle": angle(x, y) if same else None,
        "idempotency": ratio(again - y, y) if same else None,
        "defect": ratio(again - y, y - x) if same else None,
        **spectral_measures(y),
        "covering": covering_ratio(x, y),
        "radius": smallest_token(y),
        "departure": _departure(block, x, y),
    }


def related_measures(
    block: Map, x: np.ndarray, z: np.ndarray, *, before: Map | None = None, last: np.ndarray | None = None
) -> dict[str, float | None]:
    """The measures in ``RELATED``, which depend on the neighbours of a block and on the stack's final state.

    Parameters
    ----------
    block : callable
    x : (tokens, d) array
    z : (tokens, d) array
        The output of the last block of the stack.
    before : callable, optional
        The block before this one.
    last : (tokens, d) array, optional
        The input of the block before, so that ``x = before(last)``.
    """
    y = block(x)
    other = None if before is None else before(x)
    kept = final_projection(z) if y.shape == x.shape == z.shape else None
    moved = block(z) if z.shape == x.shape else None
    turns = last is not None and y.shape == x.shape == last.shape
    return {
        "successive": ratio(y - other, x) if other is not None and other.shape == y.shape else None,
        "turn": angle(x - last, y - x) if turns and last is not None else None,
        "fixed": ratio(moved - z, z) if moved is not None and moved.shape == z.shape else None,
        "projection": None if kept is None else ratio(y - _project(kept, x), x),
        "range": None if kept is None else ratio(y - _project(kept, y), y),
    }


def final_projection(z: np.ndarray) -> np.ndarray | None:
    """(r, d) array whose orthonormal rows span the best rank-r range of the tokens z; r holds 90 % of ``|z|^2``.

    None if z is zero or the r-th and the next singular value agree to 1e-6 of the largest, so that no r-dimensional
    range is best.
    """
    if not 0 < norm(z) < math.inf:
        return None
    cloud = np.atleast_2d(z) / norm(z)
    _, values, rows = np.linalg.svd(cloud, full_matrices=False)
    r = _rank(values)
    if r < len(values) and values[r - 1] - values[r] <= GAP * values[0]:
        return None
    return rows[:r]


def spectral_measures(y: np.ndarray) -> dict[str, float | None]:
    """``effective_rank``, ``stable_rank`` and ``rank`` of a token cloud, from its singular values.

    ``effective_rank`` is ``exp(- sum p log p)``, p the singular values over their sum (Roy and Vetterli 2007);
    ``stable_rank`` is ``sum s^2 / max s^2``; ``rank`` is how many of them hold 90 % of ``sum s^2``.

    >>> spectral_measures(np.eye(3))
    {'effective_rank': 3.0, 'stable_rank': 3.0, 'rank': 3}
    """
    scale = float(np.abs(y).max(initial=0.0))
    if not (y.ndim == 2 and 0 < scale < math.inf):
        return dict.fromkeys(("effective_rank", "stable_rank", "rank"))
    values = np.linalg.svd(y / scale, compute_uv=False)
    p = values[values > 0] / values.sum()
    return {
        "effective_rank": round(float(np.exp(-(p * np.log(p)).sum())), 12),
        "stable_rank": round(float((values * values).sum() / values[0] ** 2), 12),
        "rank": _rank(values),
    }


def covering_number(cloud: np.ndarray, scale: float) -> int:
    """How many balls of radius ``scale`` farthest-point traversal from the first token needs to cover the tokens.

    It lies between the covering number with centres in the cloud and the packing number at the same scale.

    >>> covering_number(np.array([[0.0], [1.0], [4.0]]), 1.0)
    2
    """
    cloud = np.atleast_2d(cloud)
    distance = np.linalg.norm(cloud - cloud[0], axis=1)
    count = 1
    while count < len(cloud) and distance.max() > scale:
        distance = np.minimum(distance, np.linalg.norm(cloud - cloud[distance.argmax()], axis=1))
        count += 1
    return count


def covering_ratio(x: np.ndarray, y: np.ndarray) -> float | None:
    """Covering number of the tokens of y over that of the tokens of x, both at half of x's largest distance from its
    first token."""
    if not x.ndim == y.ndim == 2 or not 0 < len(x) == len(y):
        return None
    x, y = x[:CLOUD], y[:CLOUD]
    scale = 0.5 * float(np.linalg.norm(x - x[0], axis=1).max())
    if not 0 < scale < math.inf or not np.isfinite(y).all():
        return None
    return covering_number(y, scale) / covering_number(x, scale)


def angle(u: np.ndarray, v: np.ndarray) -> float | None:
    """The angle between two arrays in radians, in [0, pi].

    >>> angle(np.array([1.0, 0.0]), np.array([0.0, 2.0])) * 2 == np.pi
    True
    """
    sizes = norm(u), norm(v)
    if not all(0 < s < math.inf for s in sizes):
        return None
    a, b = u / sizes[0], v / sizes[1]
    return 2.0 * math.atan2(norm(a - b), norm(a + b))


def smallest_token(x: np.ndarray) -> float | None:
    """The least norm of a token, None where it is not finite."""
    return finite(float(np.linalg.norm(np.atleast_2d(x), axis=-1).min(initial=math.inf)))


def ratio(top: np.ndarray, bottom: np.ndarray) -> float | None:
    """``|top| / |bottom|``, None where it is not finite."""
    size = norm(bottom)
    return finite(norm(top) / size) if size > 0 else None


def finite(value: float | None) -> float | None:
    """The value, None where it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def _rank(values: np.ndarray) -> int:
    energy = np.cumsum(values * values)
    return int(np.searchsorted(energy, ENERGY * energy[-1]) + 1)


def _project(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (x @ rows.T) @ rows


def _departure(block: Any, x: np.ndarray, y: np.ndarray) -> float | None:
    if not hasattr(block, "branches") or y.shape != x.shape:
        return None
    state = x
    for _, branch, _ in block.branches(x):
        state = state + branch(state)
    return ratio(y - state, y)


__all__ = [
    "OWN",
    "RELATED",
    "Measures",
    "angle",
    "covering_number",
    "covering_ratio",
    "final_projection",
    "finite",
    "own_measures",
    "ratio",
    "related_measures",
    "smallest_token",
    "spectral_measures",
]
