"""Affine maps as enclosed matrices: ``x -> M x + v`` with a rigorous error, whatever they are composed of."""

from __future__ import annotations

import math

import numpy as np

from lipop.core.algebra import Identity, Power, Relax, Residual, Restriction, Scale, Sum
from lipop.core.composition import Composition
from lipop.core.enclosure import Enclosed
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Region, as_ball
from lipop.core.rounding import dot_up, inflate
from lipop.operators.linear import Affine, Diagonal, LinearProduct, _Linear  # pyright: ignore[reportPrivateUsage]
from lipop.operators.projection import Projection
from lipop.operators.projection_oblique import ObliqueProjection

LARGEST = 1024
"""Numbers in a point up to which matrices are formed."""

Parts = tuple[Enclosed, Enclosed]


def affine_parts(op: Operator) -> Parts | None:
    """``(M, v)`` with M (m, n) and v (m,), if the operator is affine on vectors by its construction; None otherwise.

    Examples
    --------
    >>> M, v = affine_parts(Residual(Affine(np.eye(2), np.ones(2))))
    >>> M.mid.tolist(), v.mid.tolist()
    ([[2.0, 0.0], [0.0, 2.0]], [1.0, 1.0])
    """
    if len(op.domain.shape) != 1 or max(op.domain.width, op.codomain.width) > LARGEST:
        return None
    zero = Enclosed.exact(np.zeros(op.codomain.width))
    if isinstance(op, Affine):
        return Enclosed.exact(op.A), zero if op.b is None else Enclosed.exact(op.b)
    if isinstance(op, Projection | ObliqueProjection) and isinstance(op, _Linear):
        m = op._matrix()  # pyright: ignore[reportPrivateUsage]
        return Enclosed(m.mid, np.full((1, 1), m.error)), op.enclose(Enclosed.exact(np.zeros(op.domain.width)))
    if isinstance(op, Diagonal):
        return Enclosed.exact(np.diag(np.asarray(op.d, dtype=np.float64))), zero
    if isinstance(op, Identity):
        return Enclosed.exact(np.eye(op.domain.width)), zero
    if isinstance(op, Restriction):
        return affine_parts(op.inner)
    if isinstance(op, LinearProduct | Composition):
        return _product(op.unfolded)
    if isinstance(op, Power):
        return _product((op.inner,) * op.n) if op.n <= 64 else None
    if isinstance(op, Sum):
        return _sum([affine_parts(t) for t in op.terms])
    if isinstance(op, Scale | Relax):
        inner = affine_parts(op.inner)
        if inner is None:
            return None
        if isinstance(op, Scale) and op.c == 0:
            return Enclosed.exact(np.zeros(inner[0].shape)), zero
        if isinstance(op, Scale):
            return inner[0] * op.c, inner[1] * op.c
        kept = 1.0 - Enclosed.exact(np.full((1, 1), op.alpha))
        return kept * Enclosed.exact(np.eye(op.domain.width)) + inner[0] * op.alpha, inner[1] * op.alpha
    if isinstance(op, Residual):
        inner = affine_parts(op.branch)
        return None if inner is None else (inner[0] + np.eye(op.domain.width), inner[1])
    return None


def _product(factors: tuple[Operator, ...]) -> Parts | None:
    out: Parts | None = None
    for f in reversed(factors):
        step = affine_parts(f)
        if step is None:
            return None
        if out is None:
            out = step
        else:
            out = step[0] @ out[0], (out[1].reshape(1, -1) @ step[0].T).reshape(-1) + step[1]
    return out


def _sum(parts: list[Parts | None]) -> Parts | None:
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    out = known[0]
    for M, v in known[1:]:
        out = out[0] + M, out[1] + v
    return out


# ---- norms from above ----------------------------------------------------------------------------------------------


def vector_norm(v: Enclosed, kind: str) -> float:
    """An upper bound of the l1, l2 or linf norm."""
    size = v.magnitude
    if kind == "linf":
        return float(size.max(initial=0.0))
    return dot_up(size) if kind == "l2" else float(inflate(size.sum(), size.size + 2))


def matrix_norm(M: Enclosed, kind: str) -> float:
    """An upper bound of the operator norm for l1, l2 or linf on both sides (l2 by verified Cholesky)."""
    size = M.magnitude
    if not np.any(size):
        return 0.0
    if kind == "l2":
        return Matrix.of(M)._upper(1e-8)  # pyright: ignore[reportPrivateUsage]
    return float(inflate(size.sum(axis=0 if kind == "l1" else 1).max(), size.shape[0 if kind == "l1" else 1] + 2))


def row_reach(M: Enclosed, on: Region) -> np.ndarray | None:
    """Upper bounds of ``sup |row . (x - c)|``, row by row, c the centre of a ball or a box."""
    size = M.magnitude
    k = size.shape[1] + 4
    if isinstance(on, Box):
        c = (on.low + on.high) / 2
        return inflate(size @ (np.maximum(on.high - c, c - on.low) * (1 + 1e-15)), k)
    if not isinstance(on, Ball) or on.norm not in ("l1", "l2", "linf"):
        return None
    if on.norm == "l2":
        return np.array([dot_up(row) for row in size]) * (on.radius * (1 + 1e-15))
    dual = size.max(axis=1) if on.norm == "l1" else size.sum(axis=1)
    return inflate(dual * on.radius, k)


def enclosing_ball(on: Region, kind: str) -> Ball | None:
    """A ball of the given norm that contains the region, where a simple one exists."""
    if isinstance(on, Ball) and on.norm == kind:
        return on
    if isinstance(on, Box):
        center = (on.low + on.high) / 2
        reach = Enclosed.exact(np.maximum(on.high - center, center - on.low) * (1 + 1e-15))
        return Ball(center, vector_norm(reach, kind), kind) if kind in ("l1", "l2", "linf") else None
    ball = as_ball(on)
    if ball is None or kind not in ("l1", "l2", "linf"):
        return None
    factor = math.sqrt(ball.center.size) * (1 + 1e-15) if kind == "l1" else 1.0
    return Ball(ball.center, ball.radius * factor, kind)


__all__ = ["LARGEST", "affine_parts", "enclosing_ball", "matrix_norm", "row_reach", "vector_norm"]
