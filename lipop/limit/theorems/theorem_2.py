"""Theorem 2: near a non-expansive map, the limit exists if and only if the powers of that map converge.

Let T be non-expansive and ``sum d(T_i, T) < inf``. The family is tail-stable iff ``T^n x`` converges for every x in D;
then ``Q = lim T^n`` is a non-expansive projection onto Fix T and ``|S_inf - Q S_n| <= tau_n``, which is attained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion
from lipop.limit.domains import has_interior
from lipop.limit.evidence import averagedness, contraction, fixed_points_exist, idempotent, nonexpansive
from lipop.limit.exact import homogeneous
from lipop.limit.exact_powers import powers
from lipop.limit.hypothesis import Hypothesis, proved, unknown, violated
from lipop.limit.law_evidence import summable
from lipop.limit.laws import Growth, Law
from lipop.limit.projections import limit_projection
from lipop.limit.theorems.given import domain_kept, given, infinite, no_law, tail_rate
from lipop.operators.linear import Affine

STATEMENT = "tail-stable if and only if T^n x converges for every x in D; then S_inf = Q S_inf for Q = lim T^n"
NAME = "T^n x converges for every x in D"


@dataclass(frozen=True, eq=False)
class PowerLimit:
    """Whether ``T^n x`` converges for every x in D, and the limit Q where it has a simple form.

    Parameters
    ----------
    evidence : Hypothesis
    Q : Operator or None
        For a stored matrix its entries are rounded to float64.
    """

    evidence: Hypothesis
    Q: Operator | None = None


def power_limit(T: Operator, on: Region) -> PowerLimit:
    """Decide whether the powers of T converge on D, by the sufficient conditions of theorem 2.

    Parameters
    ----------
    T : Operator
        Maps D into D.
    on : Region

    Returns
    -------
    PowerLimit

    Notes
    -----
    Idempotent; affine (exact eigenvalues); a contraction (Banach); averaged with a fixed point, D convex, finite
    dimension, any norm (Ishikawa 1976). A violation comes from exact arithmetic only.

    Examples
    --------
    >>> from lipop.core.region import Everywhere
    >>> T = Affine(np.array([[1.0, 0.0], [0.5, 0.5]]))
    >>> power_limit(T, Everywhere()).Q.A.tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    >>> print(power_limit(Affine(-np.eye(2)), Everywhere()).evidence)
    T^n x converges for every x in D  [WITNESSED] it has the eigenvalue -1, not inside the unit disc and not 1
    """
    once = idempotent(T, on, NAME)
    if once.holds:
        return PowerLimit(proved(NAME, f"T o T = T: {once.reason}", once.bound), T)
    exact = _affine_powers(T, on)
    if exact is not None:
        return exact
    shrinks = contraction(T, on, NAME)
    if shrinks.holds:
        return PowerLimit(proved(NAME, "T is a contraction (Banach)", shrinks.bound))
    part = averagedness(T)
    if part is not None and on.convex:
        fixed = fixed_points_exist(T, on)
        if fixed.holds:
            reason = f"T is {part:.6g}-averaged, D is convex, and {fixed.reason} (Ishikawa)"
            return PowerLimit(proved(NAME, reason, fixed.bound))
    found = limit_projection(T)
    if found.evidence.holds:  # on the whole space, so on D
        return PowerLimit(found.evidence, found.Q)
    return PowerLimit(unknown(NAME, found.evidence.reason))


def _affine_powers(T: Operator, on: Region) -> PowerLimit | None:
    m = homogeneous(T)
    if m is None:
        return None
    found = powers(m)
    if found.converges:
        limit = found.applied(identity_like(m))
        n = m.nrows() - 1
        return PowerLimit(proved(NAME, f"T is affine: {found.reason}"), stored(limit, n, T.domain.norm))
    if has_interior(on):
        return PowerLimit(violated(NAME, found.reason))
    return None


def identity_like(m: Any) -> Any:
    """The identity matrix of the order of m."""
    import flint

    n = m.nrows()
    return flint.fmpq_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])


def stored(m: Any, n: int, kind: str) -> Affine:
    """The affine map of a homogeneous rational matrix, its entries rounded to float64."""
    a = np.array([[_float(m[i, j]) for j in range(n)] for i in range(n)])
    b = np.array([_float(m[i, n]) for i in range(n)])
    return Affine(a, b if b.any() else None, norm_in=kind, norm_out=kind)


def _float(q: Any) -> float:
    return int(q.p) / int(q.q)


def theorem_2(arch: Architecture, limit: Operator | None = None, deviation: Law | None = None) -> Conclusion:
    """Apply theorem 2.

    Parameters
    ----------
    arch : Architecture
    limit : Operator, optional
        The non-expansive map T; the architecture's limit map by default.
    deviation : Uniform, optional
        ``|T_i x - T x|`` for i >= its start; the architecture's law by default. A growth law needs a bounded D.

    Returns
    -------
    Conclusion
        ``tail_stable`` is False where the powers of T do not converge; rate ``projected``: ``|S_inf x - Q S_n x|``.

    Examples
    --------
    >>> c = theorem_2(Architecture.tied(Affine(-np.eye(2))))
    >>> c.status, c.tail_stable, c.exists
    ('PROVED', False, None)
    """
    facts = given(arch, limit, deviation)
    if facts is None:
        return Conclusion("theorem 2", (infinite(arch), no_law("deviation")), STATEMENT)
    T, law = facts.limit, facts.law
    hypotheses = (
        infinite(arch),
        domain_kept(arch),
        nonexpansive(T, arch.on),
        uniform(law),
        summable(law, facts.origin, "deviation"),
    )
    if not all(h.holds for h in hypotheses):
        return Conclusion("theorem 2", hypotheses, STATEMENT)
    found = power_limit(T, arch.on)
    if found.evidence.violated:
        return Conclusion("theorem 2", hypotheses, f"not tail-stable: {found.evidence.reason}", tail_stable=False)
    hypotheses = (*hypotheses, found.evidence)
    if not found.evidence.holds:
        return Conclusion("theorem 2", hypotheses, STATEMENT)
    rates = {"projected": tail_rate(r"|S_\infty x - Q S_n x|", facts.bounds(hypotheses))}
    return Conclusion("theorem 2", hypotheses, STATEMENT, True, True, found.Q, rates)


def uniform(law: Law) -> Hypothesis:
    """The deviations are bounded on all of D at once."""
    name = "the deviations are uniform on D"
    if isinstance(law, Growth):
        return unknown(name, f"{law!r} is relative to 1 + |x|, and D is not bounded")
    return proved(name, f"{law!r}")


__all__ = ["PowerLimit", "identity_like", "power_limit", "stored", "theorem_2", "uniform"]
