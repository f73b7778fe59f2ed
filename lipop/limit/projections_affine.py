"""The powers of an affine map with a stored matrix: decided, summed up and bounded in exact arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.rounding import TINY, float_up, inflate, workprec
from lipop.errors import DomainError
from lipop.limit.exact import homogeneous
from lipop.limit.exact_powers import powers
from lipop.limit.hypothesis import proved, violated
from lipop.limit.projection_gaps import PowerGap
from lipop.limit.projections_answer import NAME, ProjectionLimit, depth_symbols, exactly, gap_rate
from lipop.limit.projections_large import spectrum
from lipop.operators.linear import Affine


def affine_limit(T: Operator) -> ProjectionLimit | None:
    """What becomes of ``T^n`` for an affine map with stored entries, decided exactly; None for other maps.

    Notes
    -----
    The powers of ``x -> A x + b`` converge iff 1 is at most a semisimple eigenvalue of A, all other eigenvalues lie in
    the open unit disc, and T has a fixed point.

    Examples
    --------
    >>> print(affine_limit(Affine(np.eye(1), np.ones(1))))
    T^n x converges for every x  [WITNESSED] its eigenvalue 1 is defective: some orbit grows without bound
    """
    m = homogeneous(T)
    if m is None:
        return _large(T)
    found = powers(m)
    if not found.converges:
        return ProjectionLimit(T, violated(NAME, found.reason))
    import flint

    d = m.nrows() - 1
    start = flint.fmpq_mat(d + 1, d + 1, [int(i == j) for i in range(d + 1) for j in range(d + 1)])
    limit = found.applied(start)
    exact = [[limit[i, j] for j in range(d + 1)] for i in range(d)]
    stored = np.array([[int(v.p) / int(v.q) for v in row] for row in exact])
    offset = stored[:, d] if stored[:, d].any() else None
    kind = T.domain.norm
    Q = Affine(np.ascontiguousarray(stored[:, :d]), offset, norm_in=kind, norm_out=kind)
    entries = zip([v for row in exact for v in row], stored.ravel(), strict=True)
    rounded = any(v != flint.fmpq(*float(s).as_integer_ratio()) for v, s in entries)
    error = float(np.abs(stored).sum()) * 2.0**-52 + TINY if rounded else 0.0

    def symbolic() -> Any:
        n, r = depth_symbols()
        constant, ratio = geometric(T)
        return exactly(constant) * exactly(ratio) ** n * r

    return ProjectionLimit(T, proved(NAME, f"T is affine: {found.reason}"), Q, {"error": gap_rate(T, symbolic)}, error)


def _large(T: Operator) -> ProjectionLimit | None:
    """The same for larger matrices, as far as exact kernels and norms of powers decide."""
    found = spectrum(T)
    if found is None or found.converges is None or not isinstance(T, Affine):
        return None
    if not found.converges:
        return ProjectionLimit(T, violated(NAME, found.reason))
    n, kind = len(found.Q), T.domain.norm
    offset, error = None, found.slip * (math.sqrt(n) if kind != "l2" else 1.0)
    if T.b is not None:
        system = Enclosed.exact(np.eye(n)) - np.asarray(T.A, dtype=np.float64) + found.Q
        offset = np.linalg.solve(system.mid, np.asarray(T.b, dtype=np.float64))
        rest = (system @ offset[:, None]).reshape(-1) - np.asarray(T.b, dtype=np.float64)
        residual = float(rest.magnitude.sum()) + found.slip * float(np.abs(offset).sum())
        error += found.total * residual  # |(I - N)^{-1}| times the residual, in any of the norms
    error = float(inflate(error, n + 16))

    def symbolic() -> Any:
        n, r = depth_symbols()
        constant, ratio = geometric(T)
        return exactly(constant) * exactly(ratio) ** n * r

    Q = Affine(found.Q, offset, norm_in=kind, norm_out=kind)
    evidence = proved(NAME, f"T is affine: {found.reason}")
    return ProjectionLimit(T, evidence, Q, {"error": gap_rate(T, symbolic)}, error)


def geometric(T: Operator, longest: int = 64) -> tuple[float, float]:
    """C and q with ``|T^n x - Qx| <= C q^n |x - Qx|`` for every n, for an affine map whose powers converge.

    Notes
    -----
    With ``b_j`` bounds of ``|A^j - Q|`` and m a depth with ``b_m < 1``: ``q = b_m^(1/m)``, and ``C = max b_j / q^j``
    over j < m, since ``A^n - Q = (A - Q)^n``; beyond m = 64 the maximum is bounded by the product over powers of two. m
    is the power of two up to ``longest`` (or beyond, until ``b_m < 1``) that gives the least q.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> C, q = geometric(Linear(np.array([[1.0, 0.0], [0.5, 0.5]])))
    >>> round(C, 6), round(q, 6)
    (1.406576, 0.502715)
    """
    import flint

    bounds = {0: 1.0}
    best: tuple[float, int] | None = None
    m = 1
    while m <= longest or (best is None and m <= 2**20):
        bounds[m] = PowerGap(T, m).bound().value
        if bounds[m] == 0.0:
            best = (0.0, m)
            break
        if bounds[m] < 1:
            with workprec():
                q = float_up(flint.arb(bounds[m]).root(m))
            if best is None or q < best[0] * (1 - 1e-9):
                best = (q, m)
        m *= 2
    if best is None:
        raise DomainError(f"the powers of {T!r} are not seen to converge within 2^20 steps")
    q, m = best
    q = q if q > 0 else 0.5  # nilpotent: any ratio serves
    with workprec():
        if m <= 64:
            sizes = [flint.arb(PowerGap(T, j).bound().value) / flint.arb(q) ** j for j in range(m)]
            top = sizes[0]
            for s in sizes[1:]:
                top = top.max(s)
        else:
            top = flint.arb(1)
            for j in (j for j in bounds if 0 < j < m):
                top = top * (flint.arb(bounds[j]) / flint.arb(q) ** j).max(flint.arb(1))
        return float_up(top), q


__all__ = ["affine_limit", "geometric"]
