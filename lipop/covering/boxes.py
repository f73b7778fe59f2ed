"""Boxes, in l1, l2 and linf.

A grid with ``m_i`` cells along axis i has cells of half-widths ``w_i / m_i``; their centres cover the box when the norm
of these half-widths is at most eps. In linf the grid is optimal: points at distances above 2 eps on every axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound
from lipop.core.region import Box
from lipop.core.rule import derive, rule
from lipop.covering.balls import log_unit_volume
from lipop.covering.claims import TotallyBounded, exact, of_set, scale, set_digest, size
from lipop.errors import DomainError

_POWER = {"l1": 1, "l2": 2}


def _cells_fit(params: Mapping[str, Any]) -> str | None:
    widths, cells, eps = params["widths"], params["cells"], exact(params["eps"])
    if len(widths) != len(cells) or any(not isinstance(m, int) or m < 1 for m in cells):
        return "every axis needs a number of cells"
    halves = [exact(w) / m for w, m in zip(widths, cells, strict=True)]
    if params["metric"] == "linf":
        fits = max(halves) <= eps
    elif params["metric"] in _POWER:
        p = _POWER[params["metric"]]
        fits = sum(h**p for h in halves) <= eps**p
    else:
        return "boxes are covered in l1, l2 and linf"
    return None if fits else "the cells are larger than a ball of the radius"


@rule(
    "entropy.box.upper@1",
    reference="the cells of a grid, each inside a ball of radius e around its centre (checked in rational arithmetic)",
    accepts=of_set("box", UPPER, "widths", check=_cells_fit),
)
def upper(widths: list[float], cells: list[int], eps: Any, metric: str) -> Any:
    """The logarithm of the number of cells."""
    return sum((formula.log(m + 0 * eps) for m in cells), 0 * eps)


@rule(
    "entropy.box.lower@1",
    reference=(
        "the larger of: points of a grid with distances above 2 e in linf, which is at most any other norm; the volume "
        "of the projection onto some of the longest axes over that of balls"
    ),
    accepts=of_set(
        "box",
        LOWER,
        "widths",
        check=lambda p: None if p["metric"] in ("l1", "l2", "linf") and p["used"] >= 1 else "no such norm or axes",
    ),
)
def lower(widths: list[float], used: int, eps: Any, metric: str) -> Any:
    """``max(sum log ceil(w_i / e), sum of the longest log(2 w_i / e) - log vol(B))``."""
    grid, longest = 0 * eps, 0 * eps
    for w in widths:
        grid = grid + formula.log(formula.maximum(formula.ceiling(w / eps), 1))
    if metric == "linf" or min(sorted(widths, reverse=True)[:used]) == 0:
        return grid
    for w in sorted(widths, reverse=True)[:used]:
        longest = longest + formula.log(2 * w / eps)
    return formula.maximum(grid, longest - log_unit_volume(metric, used, eps))


def grid_cells(widths: np.ndarray, eps: float, metric: str) -> list[int]:
    """Numbers of cells along the axes: equal half-widths, but for axes that are shorter (the best grid up to rounding).

    >>> grid_cells(np.array([1.0, 1.0, 0.01]), 0.5, "l2")
    [3, 3, 1]
    """
    w = np.sort(np.asarray(widths, dtype=np.float64))
    if metric == "linf":
        return [max(1, math.ceil(exact(float(x)) / exact(eps))) for x in widths]
    p = _POWER[metric]
    for margin in (0.0, 1e-12):  # the second where rounding makes the first too large
        radius, h = eps * (1 - margin), math.inf
        for k in range(len(w)):  # the k shortest axes stay whole
            left = max(radius**p - float((w[:k] ** p).sum()), 0.0) / (len(w) - k)
            if left ** (1 / p) <= w[k]:
                h = left ** (1 / p)
                break
        cells = [max(1, math.ceil(x / h)) if h > 0 else 0 for x in widths]
        facts = {"widths": list(widths), "cells": cells, "eps": eps, "metric": metric}
        if _cells_fit(facts) is None:
            return cells
    raise DomainError(f"the box has no grid of radius {eps:g} with integers of float64")


@dataclass(frozen=True)
class BoxSet(TotallyBounded):
    """The box ``|x_i - c_i| <= w_i``.

    Parameters
    ----------
    widths : sequence of float
        The half-widths w.
    metric : str
        ``linf`` (where both bounds agree), ``l2`` or ``l1``.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> print(BoxSet((1.0, 0.5)).entropy(0.25))
    2.07944 <= entropy <= 2.07945 (proved | proved)
    """

    widths: tuple[float, ...]
    metric: str = "linf"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(size(w, "a half-width") for w in self.widths))
        if not self.widths or self.metric not in ("l1", "l2", "linf"):
            raise DomainError(f"a box needs half-widths and one of l1, l2, linf; found {self.metric!r}")

    @staticmethod
    def of(region: Box, metric: str, side: str = UPPER) -> BoxSet:
        """The box of a region; half-widths that are no floats are rounded up, or down for ``side`` lower."""
        widths: list[float] = []
        for high, low in zip(region.high.ravel(), region.low.ravel(), strict=True):
            width = (exact(float(high)) - exact(float(low))) / 2
            out = float(width)
            if side == UPPER and exact(out) < width:
                out = math.nextafter(out, math.inf)
            if side == LOWER and exact(out) > width:
                out = math.nextafter(out, 0.0)
            widths.append(out)
        return BoxSet(tuple(widths), metric)

    @property
    def digest(self) -> str:
        return set_digest("box", widths=list(self.widths))

    def _facts(self, eps: float) -> dict[str, Any]:
        return {"widths": list(self.widths), "eps": scale(eps), "metric": self.metric}

    def upper(self, eps: float) -> Bound:
        cells = grid_cells(np.array(self.widths), scale(eps), self.metric)
        return derive("entropy.box.upper@1", self.claim(eps), **self._facts(eps), cells=cells)

    def lower(self, eps: float) -> Bound:
        used = _most_volume(np.array(self.widths), scale(eps), self.metric)
        return derive("entropy.box.lower@1", self.claim(eps, LOWER), **self._facts(eps), used=used)


def _most_volume(widths: np.ndarray, eps: float, metric: str) -> int:
    """How many of the longest axes give the largest quotient of volumes."""
    if metric == "linf":
        return 1
    w = np.sort(widths)[::-1]
    w = w[w > 0]
    values = [math.fsum(np.log(2 * w[:k] / eps)) - float(log_unit_volume(metric, k, 1.0)) for k in range(1, len(w) + 1)]
    return 1 + int(np.argmax(values)) if values else 1


__all__ = ["BoxSet", "grid_cells"]
