"""Whether a map contracts, is critical (``Lip T = 1``) or expands, and what idempotency says about it.

Theorem 5: a non-constant idempotent T has ``Lip(T) >= 1``, since ``|Tx - Ty| = |T(Tx) - T(Ty)| <= Lip(T) |Tx - Ty|``
with ``Tx != Ty``. A non-expansive projection limit that is not constant therefore has the constant 1 exactly; products
of contractions forget their input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.certify.portfolio import lip as bracket
from lipop.core.bound import LOWER, Bound, Bracket, Claim
from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.core.rule import leaf, leaf_rule
from lipop.errors import DomainError
from lipop.limit.evidence import idempotent, lip_upper, sample


def _of_idempotent(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    known = isinstance(subject, Operator) and idempotent(subject, Everywhere()).holds
    return 1.0 if known and _moves(subject) is not None else 0.0


IDEMPOTENT = leaf_rule(
    "lip.idempotent@1",
    reference="theorem 5: T T = T and Tx != Ty for a pair of points (enclosures apart), so Lip T >= 1",
    grid=53,
    quantity="lip",
    side=LOWER,
    procedure=_of_idempotent,
)


def _moves(T: Operator) -> tuple[np.ndarray, np.ndarray] | None:
    """Two points whose images certainly differ (None: none was found)."""
    points = sample(T, Everywhere(), 8)
    if points is None:
        return None
    try:
        values = [T.enclose(Enclosed.exact(x)) for x in points]
    except DomainError:
        return None
    for x, y in zip(points[1:], values[1:], strict=True):
        if bool((np.abs(y.mid - values[0].mid) > (y.radius + values[0].radius) * (1 + 1e-12)).any()):
            return points[0], x
    return None


def idempotent_floor(T: Operator) -> Bound | None:
    """``Lip(T) >= 1`` for an idempotent T that is not constant, as a bound; None where one of the two is not proved.

    >>> import lipop as lo
    >>> idempotent_floor(lo.SimplexProjection(3)).value
    1.0
    >>> idempotent_floor(lo.SoftThreshold(np.ones(3))) is None
    True
    """
    if not idempotent(T, Everywhere()).holds or _moves(T) is None:
        return None
    return leaf(IDEMPOTENT, T.claim("lip", Everywhere(), LOWER), 1.0, T)


@dataclass(frozen=True, eq=False)
class Criticality:
    """On which side of 1 the Lipschitz constant of a map lies.

    Parameters
    ----------
    answer : str
        ``contractive`` (Lip < 1), ``critical`` (Lip = 1, exactly), ``expansive`` (Lip > 1) or ``undecided``.
    lip : Bracket
        The constant between two ends with proofs.
    """

    answer: str
    lip: Bracket

    def __str__(self) -> str:
        return f"{self.answer}: {self.lip}"


def criticality(T: Operator, on: Region | None = None) -> Criticality:
    """Decide whether T contracts, is critical or expands on a region (the whole space by default).

    Examples
    --------
    >>> import lipop as lo
    >>> criticality(lo.SubspaceProjection(np.ones((2, 1)))).answer, criticality(0.5 * lo.relu(2)).answer
    ('critical', 'contractive')
    >>> criticality(lo.ObliqueProjection(np.array([[1.0], [0.0]]), np.ones((2, 1)))).answer
    'expansive'
    """
    on = Everywhere() if on is None else on
    upper = lip_upper(T, on)
    found = bracket(T, on=on, effort="quick")
    if found.upper.value < upper.value:
        upper = found.upper
    lower = found.lower
    floor = idempotent_floor(T) if isinstance(on, Everywhere) else None
    if floor is not None and floor.value > lower.value:
        lower = floor
    both = Bracket(lower, upper)
    if upper.known and upper.value < 1:
        return Criticality("contractive", both)
    if lower.value > 1:
        return Criticality("expansive", both)
    critical = upper.known and upper.value == 1 and lower.value == 1
    return Criticality("critical" if critical else "undecided", both)


__all__ = ["Criticality", "criticality", "idempotent_floor"]
