"""Evidence for the hypotheses of the theorems, from what operators and laws can prove about themselves.

Only a proof makes a hypothesis hold; a sample can refute it, and otherwise nothing decides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop.certify.portfolio import lip as bracket
from lipop.core.algebra import Identity, Relax
from lipop.core.bound import Bound
from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region, Shell
from lipop.core.rule import leaf
from lipop.core.space import norm
from lipop.errors import LipopError
from lipop.limit.domains import size_of
from lipop.limit.exact import homogeneous
from lipop.limit.exact_norms import NONEXPANSIVE, exactly_nonexpansive
from lipop.limit.hypothesis import Hypothesis, proved, unknown, violated
from lipop.operators.activation import Activation

ROUNDING = 1e-9
"""Relative size above which a defect in float64 is no rounding of two evaluations."""


# ---- Lipschitz constants -------------------------------------------------------------------------------------------


def lip_upper(op: Operator, on: Region) -> Bound:
    """The best upper bound of Lip at hand: the operator's own rule, exact arithmetic at 1, then the portfolio."""
    own = op.lip(on)
    if own.known and own.value <= 1:
        return own
    if exactly_nonexpansive(op):
        return leaf(NONEXPANSIVE, op.claim("lip", on), 1.0, op)
    if own.known:
        return own
    try:
        return bracket(op, on=on, effort="quick").upper
    except LipopError:
        return own


def finite_lip(op: Operator, on: Region, name: str = "Lip T < inf") -> Hypothesis:
    """``Lip(T) < inf`` on D."""
    bound = lip_upper(op, on)
    if bound.known and math.isfinite(bound.value):
        return proved(name, f"Lip T <= {bound.value:.6g}", bound)
    return unknown(name, str(bound.params.get("reason", "no rule gives a finite bound")))


def nonexpansive(op: Operator, on: Region, name: str = "Lip T <= 1") -> Hypothesis:
    """``Lip(T) <= 1`` on D; refuted by a pair of points or by exact arithmetic."""
    return _at_most(op, on, name, strict=False)


def contraction(op: Operator, on: Region, name: str = "Lip T < 1") -> Hypothesis:
    """``Lip(T) < 1`` on D."""
    return _at_most(op, on, name, strict=True)


def _at_most(op: Operator, on: Region, name: str, strict: bool) -> Hypothesis:
    bound = lip_upper(op, on)
    if bound.known and (bound.value < 1 or (bound.value <= 1 and not strict)):
        return proved(name, f"Lip T <= {bound.value:.9g}", bound)
    if isinstance(on, Everywhere) and exactly_nonexpansive(op) is False:
        return violated(name, "the stored matrix has a norm above 1, in exact arithmetic")
    pair = expanding_pair(op, on)
    if pair is not None and (pair[2] > 1 + ROUNDING or (strict and pair[2] > 1 - ROUNDING)):
        return violated(name, f"a pair of points has the ratio {pair[2]:.9g}", (pair[0], pair[1]))
    return unknown(name, f"the best bound at hand is {bound.value:.9g}")


def expanding_pair(op: Operator, on: Region, count: int = 24) -> tuple[np.ndarray, np.ndarray, float] | None:
    """The pair of sampled points of D whose distance grows most, and the ratio (in float64)."""
    points = sample(op, on, count)
    if points is None or len(points) < 2:
        return None
    values = [op(x) for x in points]
    best: tuple[np.ndarray, np.ndarray, float] | None = None
    for i in range(len(points)):
        for j in range(i):
            gap = norm(points[i] - points[j], op.domain.norm)
            if gap > 0:
                ratio = norm(values[i] - values[j], op.codomain.norm) / gap
                if best is None or ratio > best[2]:
                    best = (points[i], points[j], ratio)
    return best


def sample(op: Operator, on: Region, count: int) -> np.ndarray | None:
    """Points of D (None where it cannot be sampled), the same at every call."""
    rng = np.random.default_rng(int(op.digest[:8], 16))
    shape = tuple(3 if n is None else n for n in op.domain.shape)
    try:
        if isinstance(on, Everywhere):
            return rng.standard_normal((count, *shape)) * 10.0 ** rng.uniform(-1, 1, (count, *(1,) * len(shape)))
        return on.points(rng, count, shape) if isinstance(on, Shell) else on.sample(rng, count)
    except LipopError:
        return None


# ---- idempotency ---------------------------------------------------------------------------------------------------


def idempotent(op: Operator, on: Region, name: str = "T o T = T") -> Hypothesis:
    """``T(Tx) = Tx`` on D: by construction (projections, the identity, constants) or in exact arithmetic."""
    if isinstance(op, Identity):
        return proved(name, "the identity")
    if getattr(op, "idempotent", False) is True:
        return proved(name, f"{type(op).__name__} is a projection by its construction")
    if isinstance(op, Activation) and op.name == "relu":
        return proved(name, "ReLU is the projection onto the orthant")
    m = homogeneous(op)
    if m is not None and m * m == m:
        return proved(name, "the stored matrix is idempotent, in exact arithmetic")
    own = op.lip(on)
    if own.known and own.value == 0:
        return proved(name, "T is constant on D", own)
    return _by_sample(op, on, name, exact=m is not None and isinstance(on, Everywhere))


def _by_sample(op: Operator, on: Region, name: str, exact: bool) -> Hypothesis:
    points = sample(op, on, 16)
    worst, where = 0.0, None
    for x in () if points is None else points:
        y = op(x)
        z = op(y)
        size = norm(y, op.codomain.norm) + norm(z, op.codomain.norm)
        defect = norm(z - y, op.codomain.norm) / size if size > 0 else 0.0
        if defect >= worst:
            worst, where = defect, x
    if exact:
        return violated(name, f"the stored matrix is not idempotent in exact arithmetic (defect {worst:.1e})", where)
    if worst > ROUNDING:
        return violated(name, f"|T T x - T x| / (|T x| + |T T x|) = {worst:.3g} at a point", where)
    return unknown(name, f"the defect is at most {worst:.1e} at sampled points, which proves nothing")


# ---- laws ----------------------------------------------------------------------------------------------------------


# ---- domains -------------------------------------------------------------------------------------------------------


def fixed_points_exist(op: Operator, on: Region, name: str = "Fix N is not empty") -> Hypothesis:
    """A fixed point in D: by Brouwer on a bounded convex D, by Banach, or by solving in exact arithmetic."""
    bound = lip_upper(op, on)
    if on.convex and math.isfinite(size_of(on, op.domain.norm)) and bound.known:
        return proved(name, "D is compact and convex, and N is continuous and maps it into itself (Brouwer)", bound)
    once = idempotent(op, on)
    if once.holds:
        return proved(name, "every value of a projection is fixed", once.bound)
    if bound.known and bound.value < 1:
        return proved(name, "N is a contraction (Banach)", bound)
    m = homogeneous(op)
    if m is not None:
        n = m.nrows() - 1
        solvable = _solvable([[m[i, j] - (i == j) for j in range(n)] for i in range(n)], [-m[i, n] for i in range(n)])
        if solvable and isinstance(on, Everywhere):
            return proved(name, "x = A x + b has a solution, in exact arithmetic")
        if not solvable:
            return violated(name, "x = A x + b has no solution, in exact arithmetic")
    if isinstance(on, Everywhere) and _fixes_zero(op):
        return proved(name, "N(0) = 0")
    return unknown(name, "no fixed point is known")


def _fixes_zero(op: Operator) -> bool:
    """Whether ``N(0) = 0``: an activation other than sigmoid and softplus, or shown by an enclosure without width."""
    if isinstance(op, Activation):
        return op.name not in ("sigmoid", "softplus")
    if op.domain.any_tokens:
        return False
    try:
        y = op.enclose(Enclosed.exact(np.zeros([n or 1 for n in op.domain.shape])))
    except LipopError:
        return False
    return not np.any(y.mid) and not np.any(y.err)


def _solvable(a: list[list[Any]], b: list[Any]) -> bool:
    import flint

    n = len(b)
    left = flint.fmpq_mat(n, n, [v for row in a for v in row])
    both = flint.fmpq_mat(n, n + 1, [v for row, c in zip(a, b, strict=True) for v in [*row, c]])
    return left.rank() == both.rank()


def averagedness(op: Operator) -> float | None:
    """``a`` in (0, 1) if T is proved to be ``(1 - a) I + a N`` with N non-expansive; None otherwise."""
    if isinstance(op, Relax):
        if op.averagedness is not None:
            return op.averagedness
        return op.alpha if 0 < op.alpha < 1 and exactly_nonexpansive(op.inner) else None
    known = getattr(op, "averagedness", None)
    return float(known) if isinstance(known, int | float) and 0 < known < 1 else None


__all__ = [
    "averagedness",
    "contraction",
    "finite_lip",
    "fixed_points_exist",
    "idempotent",
    "lip_upper",
    "nonexpansive",
    "sample",
]
