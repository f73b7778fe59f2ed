"""Evidence for the hypotheses of the theorems, from what operators and laws can prove about themselves.

Only a proof makes a hypothesis hold; a sample can refute it, and otherwise nothing decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lipop.certify.portfolio import lip as bracket
from lipop.core.algebra import Identity, Relax
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.rule import leaf, leaf_rule
from lipop.core.space import norm
from lipop.errors import LipopError
from lipop.limit.exact import homogeneous
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown, violated
from lipop.limit.law_bounds import assumption
from lipop.operators.activation import Activation

ROUNDING = 1e-9
"""Relative size above which a defect in float64 is no rounding of two evaluations."""


# ---- Lipschitz constants -------------------------------------------------------------------------------------------


def _exact_ball(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    return 1.0 if isinstance(subject, Operator) and exactly_nonexpansive(subject) else math.inf


NONEXPANSIVE = leaf_rule(
    "lip.exact@1",
    reference="an affine map with stored matrix A: |A| <= 1 decided in rational arithmetic (l2: I - A^T A >= 0)",
    grid=53,
    quantity="lip",
    side=UPPER,
    procedure=_exact_ball,
)


def exactly_nonexpansive(op: Operator) -> bool | None:
    """Whether the matrix of an affine map has norm at most 1, in exact arithmetic (None: not decided here).

    >>> from lipop.operators.linear import Linear
    >>> exactly_nonexpansive(Linear(np.full((2, 2), 0.5)))
    True
    """
    import flint

    m = homogeneous(op)
    if m is None or op.domain.norm != op.codomain.norm:
        return None
    n = m.nrows() - 1
    a = [[m[i, j] for j in range(n)] for i in range(n)]
    if op.domain.norm == "linf":
        return all(sum(abs(v) for v in row) <= 1 for row in a)
    if op.domain.norm == "l1":
        return all(sum(abs(row[j]) for row in a) <= 1 for j in range(n))
    if op.domain.norm != "l2":
        return None
    gram = [[(i == j) - sum(a[k][i] * a[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
    return _semidefinite([[flint.fmpq(v) for v in row] for row in gram])


def exactly_dissipative(op: Operator) -> bool | None:
    """Whether ``<A x, x> <= 0`` for the matrix of an affine map, in exact arithmetic (None: not decided here).

    >>> from lipop.operators.linear import Linear
    >>> exactly_dissipative(Linear(np.array([[0.0, 1.0], [-1.0, 0.0]])))
    True
    """
    m = homogeneous(op)
    if m is None:
        return None
    n = m.nrows() - 1
    return _semidefinite([[-(m[i, j] + m[j, i]) for j in range(n)] for i in range(n)])


def _semidefinite(g: list[list[Any]]) -> bool:
    """Whether a symmetric rational matrix is positive semidefinite (elimination without pivoting)."""
    n = len(g)
    for k in range(n):
        if g[k][k] < 0:
            return False
        if g[k][k] == 0:
            if any(g[k][j] != 0 for j in range(k + 1, n)):
                return False
            continue
        for i in range(k + 1, n):
            c = g[i][k] / g[k][k]
            if c != 0:
                for j in range(k, n):
                    g[i][j] -= c * g[k][j]
    return True


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


def summable(law: Any, origin: str | None, what: str) -> Hypothesis:
    """``sum law(i) < inf``, as the law decides it; conditional where the law itself is declared."""
    name = f"sum of the {what} law < inf"
    if law is None:
        return unknown(name, f"no {what} law is given, and none can be derived")
    if law.values is not None:
        return unknown(name, f"{law!r} says nothing about layers behind {law.last}")
    if law.summable is True:
        return stated(name, origin, what, law, str(law.reason))
    if law.summable is False:
        return violated(name, f"{law!r}: {law.reason}")
    return unknown(name, f"{law!r}: {law.reason}")


def vanishing(law: Any, origin: str | None, what: str) -> Hypothesis:
    """``law(i) -> 0``."""
    name = f"{what} law -> 0"
    if law is None:
        return unknown(name, f"no {what} law is given, and none can be derived")
    if law.values is not None:
        return unknown(name, f"{law!r} says nothing about layers behind {law.last}")
    if law.summable is True:
        return stated(name, origin, what, law, f"{law!r} is summable")
    limit = limit_of(law.expr, law.index)
    if limit == 0:
        return stated(name, origin, what, law, f"{law!r} tends to 0")
    if limit is None:
        return unknown(name, f"the limit of {law.expr} is not known")
    return violated(name, f"{law!r} tends to {limit}")


def stated(name: str, origin: str | None, what: str, law: Any, reason: str) -> Hypothesis:
    """A hypothesis that holds for a law: proved where it is derived, conditional where it is declared."""
    if origin == "derived":
        return proved(name, reason)
    return declared(name, assumption(law, what), reason)


def limit_of(expr: Any, index: Any) -> Any | None:
    """The limit of an expression as its index grows, where SymPy finds a number or an infinity; None otherwise."""
    import sympy

    if index is None or index not in expr.free_symbols:
        return expr
    n = sympy.Symbol("n", positive=True, integer=True)
    try:
        found = sympy.limit(expr.xreplace({index: n}), n, sympy.oo)
    except (NotImplementedError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    if isinstance(found, sympy.AccumBounds) or found is sympy.nan or found.free_symbols or found.has(sympy.Limit):
        return None
    return found


# ---- domains -------------------------------------------------------------------------------------------------------


def has_interior(on: Region) -> bool:
    """Whether D contains a ball, so that affine maps that agree on D are equal."""
    if isinstance(on, Everywhere):
        return True
    if isinstance(on, Ball):
        return on.radius > 0
    if isinstance(on, TokenBall):
        return on.rho_F > 0 and bool((on.rho_token > 0).all())
    if isinstance(on, Box):
        return bool((on.low < on.high).all())
    return isinstance(on, Shell) and on.inner < on.outer


def size_of(on: Region, kind: str) -> float:
    """A bound of ``|x|`` on D in the given norm (infinite where D is not bounded or not known to be)."""
    from lipop.core.region import as_ball
    from lipop.core.rounding import inflate

    if isinstance(on, Ball) and on.norm == kind:
        return float(inflate(norm(on.center, kind) + on.radius, on.center.size + 4))
    if isinstance(on, Box):
        reach = np.maximum(np.abs(on.low), np.abs(on.high))
        return float(inflate(norm(reach, kind), on.low.size + 4))
    if isinstance(on, Cloud):
        return float(inflate(max(norm(p, kind) for p in on.points), on.points[0].size + 4))
    ball = as_ball(on)
    if ball is None:
        return math.inf
    factor = {"l1": math.sqrt(ball.center.size)}.get(kind, 1.0)
    return float(inflate((norm(ball.center) + ball.radius) * factor, ball.center.size + 6))


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
    "exactly_dissipative",
    "exactly_nonexpansive",
    "finite_lip",
    "fixed_points_exist",
    "has_interior",
    "idempotent",
    "limit_of",
    "lip_upper",
    "nonexpansive",
    "sample",
    "size_of",
    "stated",
    "summable",
    "vanishing",
]
