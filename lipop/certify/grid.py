"""A small region cut into cells, each with a bound of its own: branch and bound in at most four dimensions.

Theorem. Let K be convex, covered by closed boxes ``C_1, ..., C_N``, and ``|T x - T y| <= L_i |x - y|`` on each
``C_i``. Then ``Lip(T; K) <= max L_i``, in any norms.

Proof. Take x, y in K. The segment between them lies in K; each box cuts a (possibly empty) closed subinterval out of
it, and these finitely many intervals cover it. So there are points ``x = p_0, p_1, ..., p_m = y`` in order on the
segment with ``p_j, p_(j+1)`` in one box, and ``|T x - T y| <= sum |T p_j - T p_(j+1)| <= max L_i sum |p_j - p_(j+1)| =
max L_i |x - y|``, the last step because the points lie in order on one line. No derivative is needed: kinks do no harm.

The cells are those of the uniform grid with k cells along each axis of a box around the region; blocks of cells may
share one bound, cells that certainly miss the region need none. Only blocks with the largest bounds are split further.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from lipop.certify.direct import linearize, own_rule
from lipop.certify.sandwich import mlp_of, sandwich
from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Region, TokenBall, as_ball
from lipop.core.rule import derive, norms_of, rule
from lipop.errors import DomainError, NonFiniteError
from lipop.operators.activation import coordinate_intervals

AXES = 4  # entries of a point, at most
CELLS = 2**20  # cells of the finest grid, at most
BUDGET = 4096  # blocks that are bounded, at most
FIRST = 64  # blocks before progress is looked at
PATIENCE = 1024  # blocks before it gives up where nothing at all was gained
GAIN = 1e-3  # it stops where the relative gain over twice as many blocks, or the gap to a derivative, is smaller
SLACK = 1e-12  # a cell is apart from a ball if its distance is larger by this much

Strategy = Callable[[Operator, Region, str, int], Bound | None]


# ---- the grid ------------------------------------------------------------------------------------------------------


def frame(on: Region) -> Box | None:
    """The box that is cut, rounded outward: None unless the region is a box or ball with an inside, of few entries.

    >>> box = frame(Ball(np.zeros(2), 1.0))
    >>> bool((box.low <= -1.0).all() and (box.high >= 1.0).all()), frame(Ball(np.zeros(2), 0.0))
    (True, None)
    """
    if not isinstance(on, Box | Ball | TokenBall) or next(iter(on.arrays.values())).size > AXES:
        return None
    with np.errstate(over="ignore"):
        ends = coordinate_intervals(on)
    if ends is None or not bool((ends[0] < ends[1]).all()):
        return None
    try:
        return Box(*ends)
    except NonFiniteError:
        return None


def edges(box: Box, k: int) -> np.ndarray | None:
    """(n, k + 1) ends of the cells along each axis; None where float64 cannot tell them apart.

    Doubling k keeps the edges there are, bit for bit.

    >>> edges(Box(np.zeros(1), np.ones(1)), 4).tolist()
    [[0.0, 0.25, 0.5, 0.75, 1.0]]
    """
    low, high = box.low.reshape(-1, 1), box.high.reshape(-1, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        lines = low + (high - low) * (np.arange(k + 1) / k)
    lines[:, -1] = high[:, 0]
    return lines if bool((lines[:, 1:] > lines[:, :-1]).all()) else None


def apart(low: np.ndarray, high: np.ndarray, on: Region, slack: float = SLACK) -> np.ndarray:
    """Which of the boxes, given by (N, n) ends, certainly miss the region: those outside of an l2 ball around it."""
    ball = as_ball(on)
    if ball is None:
        return np.zeros(len(low), dtype=bool)
    center = ball.center.reshape(1, -1)
    gap = np.maximum(np.maximum(low - center, center - high), 0.0)
    return np.hypot.reduce(gap, axis=1) > ball.radius * (1 + slack)


def block(region: Region, lines: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    """The cells that a box consists of; None if it is no box of whole cells."""
    if not isinstance(region, Box) or region.low.shape != shape:
        return None
    out: list[slice] = []
    for line, a, b in zip(lines, region.low.ravel(), region.high.ravel(), strict=True):
        i, j = (int(v) for v in np.searchsorted(line, (a, b)))
        if j >= len(line) or line[i] != a or line[j] != b or i >= j:
            return None
        out.append(slice(i, j))
    return tuple(out)


# ---- the rule ------------------------------------------------------------------------------------------------------


def _accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if (claim.quantity, claim.side) != ("lip", UPPER):
        return "it bounds Lip from above"
    box, k = frame(claim.region), params["k"]
    if box is None:
        return f"the region is no box or ball with an inside and at most {AXES} entries"
    n = box.low.size
    if type(k) is not int or not 1 <= k <= CELLS or k**n > CELLS:
        return f"k must be a positive int with at most {CELLS} cells"
    lines = edges(box, k)
    if lines is None:
        return "float64 cannot tell the cells apart"
    covered = np.zeros((k,) * n, dtype=bool)
    for p in (bound.claim for bound in premises):
        if (p.quantity, p.side, p.operator) != (claim.quantity, claim.side, claim.operator):
            return "a premise bounds something else"
        if norms_of(p) != norms_of(claim):
            return "a premise holds in other norms"
        cells = block(p.region, lines, box.low.shape)
        if cells is None:
            return "a premise's region is not made of the grid's cells"
        covered[cells] = True
    if not premises:
        return "at least one premise is needed"
    rest = np.argwhere(~covered)
    axis = np.arange(n)
    missed = apart(lines[axis, rest], lines[axis, rest + 1], claim.region)
    return None if bool(missed.all()) else "a cell that may meet the region has no premise"


@rule(
    "grid@1",
    reference="on a convex region covered by boxes Lip is at most the largest Lip on a box: cut segments at the faces",
    accepts=_accepts,
)
def largest(*values: Any, k: int) -> Any:
    """max of the constants on the cells of the grid with k cells along each axis."""
    if not values:
        raise ValueError("a grid needs at least one cell")
    if type(values[0]).__module__.startswith("sympy"):  # hundreds of symbols: comparing all pairs takes minutes
        import sympy

        return sympy.Max(*values, evaluate=False)
    return formula.maximum(*values)


# ---- the strategy --------------------------------------------------------------------------------------------------


class _Search:
    """Best first: the block with the largest bound is halved along every axis, until that is worth little."""

    def __init__(self, op: Operator, on: Region, box: Box, seed: int, deadline: float) -> None:
        self.op, self.on, self.box, self.seed, self.deadline = op, on, box, seed, deadline
        self.axes = box.low.size
        depth = int(math.log2(CELLS)) // self.axes
        while depth > 0 and edges(box, 2**depth) is None:
            depth -= 1
        self.lines = edges(box, 2**depth)
        self.strategies: tuple[Strategy, ...] = (own_rule if mlp_of(op) is None else sandwich, linearize)
        self.depth, self.count, self.used, self.seen = depth, 0, 0, 0.0
        self.heap: list[tuple[float, int, int, tuple[int, ...], Bound | None]] = []

    def box_of(self, level: int, index: tuple[int, ...]) -> Box:
        """One of the ``2**level`` along each axis."""
        assert self.lines is not None
        step, axis = 2 ** (self.depth - level), np.arange(self.axes)
        at = np.array(index) * step
        shape = self.box.low.shape
        return Box(self.lines[axis, at].reshape(shape), self.lines[axis, at + step].reshape(shape))

    def add(self, level: int, index: tuple[int, ...], parent: Bound | None) -> None:
        """Bound a block and queue it, unless it misses the region; the parent's bound stays where it is better."""
        cell = self.box_of(level, index)
        if apart(cell.low.reshape(1, -1), cell.high.reshape(1, -1), self.on, 2 * SLACK)[0]:
            return
        best = parent
        for strategy in self.strategies:
            bound = strategy(self.op, cell, "tight", self.seed)
            if bound is not None and (best is None or bound.value < best.value):
                best = bound
        self.count += 1
        self.used = max(self.used, level)
        heapq.heappush(self.heap, (-math.inf if best is None else -best.value, self.count, level, index, best))

    def meets(self, top: float, cell: Box) -> bool:
        """Whether the largest bound is as good as attained, by the derivatives at the centres met so far."""
        center = 0.5 * cell.low + 0.5 * cell.high
        if not self.on.contains(center) or {self.op.domain.norm, self.op.codomain.norm} != {"l2"}:
            return False
        try:
            self.seen = max(self.seen, float(np.linalg.norm(self.op.derivative(center).to_dense(), 2)))
        except DomainError:
            return False
        return top <= self.seen * (1 + GAIN)

    def run(self) -> Bound | None:
        """The bound on the whole region, if every block found one."""
        if self.lines is None:
            return None
        self.add(0, (0,) * self.axes, None)
        first = before = -self.heap[0][0]
        look = FIRST
        while self.count + 2**self.axes <= BUDGET and time.monotonic() < self.deadline:
            top, _, level, index, bound = self.heap[0]
            top = -top
            if self.count >= look:
                gained = top <= first * (1 - GAIN)
                if top > before * (1 - GAIN) and (gained or self.count >= PATIENCE):
                    break
                before, look = top, 2 * self.count
            if level == self.depth or self.meets(top, self.box_of(level, index)):
                break
            heapq.heappop(self.heap)
            for corner in product((0, 1), repeat=self.axes):
                self.add(level + 1, tuple(2 * i + c for i, c in zip(index, corner, strict=True)), bound)
        found = {b.id: b for *_, b in sorted(self.heap, key=lambda e: e[1]) if b is not None}
        if not found or any(b is None for *_, b in self.heap):
            return None
        return derive("grid@1", self.op.claim("lip", self.on), tuple(found.values()), k=2**self.used)


def grid(op: Operator, on: Region, effort: str, seed: int, deadline: float = math.inf) -> Bound | None:
    """The largest bound over a grid's cells, with effort ``"exhaustive"``; None in more than four dimensions.

    Examples
    --------
    >>> from lipop.operators.activation import tanh
    >>> from lipop.operators.linear import Affine
    >>> op = Affine(np.array([[1.0, 1.0]])) @ tanh(2) @ Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 2.0]))
    >>> box = Box(np.zeros(1), np.full(1, 2.0))
    >>> bool(grid(op, box, "exhaustive", 0).value < 0.8 * op.lip(box).value)
    True
    """
    box = frame(on) if effort == "exhaustive" else None
    return None if box is None else _Search(op, on, box, seed, deadline).run()


__all__ = ["apart", "block", "edges", "frame", "grid"]
