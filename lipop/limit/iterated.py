"""Limits by iteration: fixed points of contractions with a certified error, and ``lim T^n`` as a map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from lipop.core.algebra import Identity, Power, Relax, Restriction, Scale, Sum
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rounding import dot_up
from lipop.core.space import Space, norm
from lipop.errors import DomainError
from lipop.operators.projection import FixedPoints

LONGEST = 100_000
"""Steps after which an iteration is given up."""


def fixed_point(T: Operator, q: float) -> tuple[np.ndarray, float] | None:
    """The fixed point of a contraction and a bound of the error: ``|p - x*| <= |Tp - p| / (1 - q)``.

    Parameters
    ----------
    T : Operator
        On arrays of a fixed shape.
    q : float
        An upper bound of Lip T below 1.

    Returns
    -------
    (array, float) or None
        None if T has no rigorous forward pass.

    Examples
    --------
    >>> from lipop.operators.linear import Affine
    >>> p, error = fixed_point(Affine(0.5 * np.eye(1), np.ones(1)), 0.5)
    >>> bool(abs(p[0] - 2) <= error), error < 1e-14
    (True, True)
    """
    x = np.zeros([n or 1 for n in T.domain.shape])
    for _ in range(LONGEST):
        y = T(x)
        moved = norm(y - x, T.domain.norm)
        x = y
        if moved <= 4e-16 * (1 + norm(x, T.domain.norm)):
            break
    forward = T.forward_bound(x)
    if forward is None:
        return None
    gap = T(x) - x
    size = {"l1": float(np.abs(gap).sum()), "linf": float(np.abs(gap).max())}.get(T.domain.norm, dot_up(gap))
    size = size * (1 + 1e-12) + float(np.abs(x).sum()) * 2.0**-52  # the subtraction rounds
    return x, (size + forward.value) / (1 - q) * (1 + 1e-12)


def certainly_fixes(T: Operator, x: np.ndarray) -> bool:
    """Whether ``T x = x`` for certain, because every part of T fixes x: projections and proximal maps know their sets,
    and compositions, powers, relaxations and convex combinations fix what all parts fix.

    >>> import lipop as lo
    >>> T = lo.relax(lo.SoftThreshold(np.ones(2)) @ lo.orthant_projection(2), 0.5)
    >>> certainly_fixes(T, np.zeros(2)), certainly_fixes(T, np.ones(2))
    (True, False)
    """
    if isinstance(T, Identity):
        return True
    if isinstance(T, Composition):
        return all(certainly_fixes(f, x) for f in T.factors)
    if isinstance(T, Power | Relax | Restriction):
        return certainly_fixes(T.inner, x)
    if isinstance(T, Sum):
        weights = [t.c if isinstance(t, Scale) else 1.0 for t in T.terms]
        parts = [t.inner if isinstance(t, Scale) else t for t in T.terms]
        return sum(map(Fraction, weights)) == 1 and all(certainly_fixes(p, x) for p in parts)
    known = getattr(T, "fixed_points", None)
    return isinstance(known, FixedPoints) and known.holds(x)


@dataclass(frozen=True, eq=False, repr=False)
class IteratedLimit(Operator):
    """``lim T^n x`` of an averaged map with a fixed point, its values by iteration.

    Parameters
    ----------
    T : Operator
        Averaged, with a fixed point, in finite dimension.
    tolerance : float
        The iteration ends when ``|Tx - x| <= tolerance (1 + |x|)``.

    Raises
    ------
    DomainError
        When called, if that is not reached within ``LONGEST`` steps.

    Notes
    -----
    The limit of non-expansive maps is non-expansive, a projection onto Fix T. A small residual does not bound the
    distance from the limit: values have no enclosure.

    Examples
    --------
    >>> import lipop as lo
    >>> P = lo.HalfspaceProjection(np.array([1.0, 1.0]), 1.0) @ lo.orthant_projection(2)
    >>> IteratedLimit(P)(np.array([2.0, 1.0])).round(9).tolist()
    [1.0, 0.0]
    """

    T: Operator
    tolerance: float = 1e-13
    idempotent: ClassVar[bool] = True

    @property
    def domain(self) -> Space:
        return self.T.domain

    @property
    def codomain(self) -> Space:
        return self.T.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        for _ in range(LONGEST):
            y = self.T(x)
            if norm(y - x, self.domain.norm) <= self.tolerance * (1 + norm(y, self.domain.norm)):
                return y
            x = y
        raise DomainError(f"T^n x still moves by more than {self.tolerance:g} after {LONGEST} steps")

    def _lip(self, on: Region) -> float:
        from lipop.limit.averaged import averagedness

        return 1.0 if averagedness(self.T).value <= 1 else math.inf


__all__ = ["IteratedLimit", "certainly_fixes", "fixed_point"]
