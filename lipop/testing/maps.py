"""Limit operators for generated architectures: projections of every kind, averaged maps, contractions, isometries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lipop import operators as ops
from lipop.core.algebra import relax
from lipop.core.operator import Operator
from lipop.operators.linear import Linear

Maker = Callable[[np.random.Generator, int, str], Operator]
NORMS = ("l2", "linf", "l1")


def linear(a: np.ndarray, norm: str, b: np.ndarray | None = None) -> Operator:
    """``x -> A x + b`` of a space with this norm into itself."""
    return Linear(a, norm_in=norm, norm_out=norm) if b is None else ops.Affine(a, b, norm_in=norm, norm_out=norm)


def _coordinates(rng: np.random.Generator, n: int, norm: str) -> Operator:
    kept = (np.arange(n) <= rng.integers(n)).astype(np.float64)
    return linear(np.diag(kept), norm)


def _shear(rng: np.random.Generator, n: int, norm: str) -> Operator:
    """``x -> x_1 v`` with ``v_1 = 1``: idempotent in float64 too, of norm |v|."""
    v = np.concatenate([[1.0], rng.choice([-2.0, -1.0, 0.5, 1.0, 2.0], n - 1)])
    return linear(np.outer(v, np.eye(n)[0]), norm)


def _box(rng: np.random.Generator, n: int, norm: str) -> Operator:
    low = rng.uniform(-2, 0, n)
    return ops.BoxProjection(low, low + rng.choice([0.0, 1.0, 3.0, math.inf], n), norm)


def _span(rng: np.random.Generator, n: int, norm: str) -> Operator:
    return ops.SubspaceProjection(rng.standard_normal((n, int(rng.integers(1, min(n, 3) + 1)))))


def _solutions(rng: np.random.Generator, n: int, norm: str) -> Operator:
    rows = int(rng.integers(1, min(n, 3) + 1))
    return ops.AffineProjection(rng.standard_normal((rows, n)), rng.standard_normal(rows))


def _oblique(rng: np.random.Generator, n: int, norm: str) -> Operator:
    v = rng.standard_normal((n, 1))
    return ops.ObliqueProjection(v, v / np.linalg.norm(v) + rng.uniform(0, 1) * rng.standard_normal((n, 1)) / n)


PROJECTIONS: dict[str, tuple[tuple[str, ...], Maker]] = {
    "coordinates": (NORMS, _coordinates),
    "box": (NORMS, _box),
    "shear": (NORMS, _shear),
    "retraction": (NORMS, lambda rng, n, norm: ops.RadialRetraction(rng.standard_normal(n), rng.uniform(0.5, 2), norm)),
    "subspace": (("l2",), _span),
    "affine subspace": (("l2",), _solutions),
    "halfspace": (("l2",), lambda rng, n, norm: ops.HalfspaceProjection(rng.standard_normal(n), rng.standard_normal())),
    "simplex": (("l2",), lambda rng, n, norm: ops.SimplexProjection(n)),
    "l1 ball": (("l2",), lambda rng, n, norm: ops.L1BallProjection(rng.standard_normal(n), 1.0)),
    "semidefinite cone": (("l2",), lambda rng, n, norm: ops.PSDProjection(max(1, math.isqrt(n)))),
    "oblique": (("l2",), _oblique),
}
"""Idempotent maps by name, with the norms in which they are made; simple ones first."""


def isometry(rng: np.random.Generator, n: int, norm: str = "l2") -> Operator:
    """A signed permutation: an isometry in l1, l2 and linf."""
    a = np.zeros((n, n))
    a[np.arange(n), rng.permutation(n)] = rng.choice([-1.0, 1.0], n)
    return linear(a, norm)


def short(rng: np.random.Generator, n: int) -> np.ndarray:
    """A vector of few bits, so that fixed points of affine maps are fixed points in exact arithmetic."""
    return rng.integers(-128, 129, n) / 64


def _averaged(rng: np.random.Generator, n: int, norm: str) -> Operator:
    return relax(isometry(rng, n, norm), float(rng.choice([0.5, 0.25, 0.75])))


def _about(rng: np.random.Generator, n: int, norm: str) -> Operator:
    """``x -> p + q N(x - p)``."""
    q, p = float(rng.choice([0.5, 0.25, 0.875])), short(rng, n)
    a = q * np.asarray(isometry(rng, n, norm)(np.eye(n))).T
    return linear(a, norm, p - a @ p)


def _two_projections(rng: np.random.Generator, n: int, norm: str) -> Operator:
    return _span(rng, n, norm) @ _span(rng, n, norm)


def _threshold(rng: np.random.Generator, n: int, norm: str) -> Operator:
    return ops.SoftThreshold(rng.choice([0.0, 0.5, 1.0], n), norm)


CONVERGENT: dict[str, tuple[tuple[str, ...], Maker]] = {
    **{k: v for k, v in PROJECTIONS.items() if k not in ("shear", "oblique", "retraction")},
    "averaged": (NORMS, _averaged),
    "contraction": (NORMS, _about),
    "soft threshold": (NORMS, _threshold),
    "two projections": (("l2",), _two_projections),
}
"""Non-expansive maps whose powers converge at every point."""


__all__ = ["CONVERGENT", "NORMS", "PROJECTIONS", "Maker", "isometry", "linear", "short"]
