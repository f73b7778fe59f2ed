"""``lip``: run every strategy that fits, keep the best bound from each side."""

from __future__ import annotations

import math
import time

import numpy as np

from lipop.certify import witness
from lipop.certify.direct import linearize, own_rule
from lipop.certify.grid import grid
from lipop.certify.sandwich import sandwich
from lipop.core.bound import Bound, Bracket, Claim
from lipop.core.memo import memo
from lipop.core.norms import direction_bound, top_direction
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere, Region
from lipop.core.rule import least, unknown
from lipop.errors import DomainError

EFFORTS = ("quick", "tight", "exhaustive")


STRATEGIES = (own_rule, sandwich, linearize, grid)


def lip(
    op: Operator,
    on: Region | None = None,
    *,
    at: np.ndarray | None = None,
    effort: str = "quick",
    timeout: float | None = None,
    gap: float | None = None,
    seed: int = 0,
) -> Bracket:
    """Bracket the Lipschitz constant of an operator on a region, or the derivative norm at a point.

    Parameters
    ----------
    op : Operator
    on : Region, optional
        The whole space by default.
    at : array, optional
        Bracket ``|DT(at)|`` instead (the same as a ball of radius zero).
    effort : str
        ``quick``, ``tight`` (longer ascent, sharper norms) or ``exhaustive`` (also certificates without chance
        and, in at most four dimensions, a grid of cells).
    timeout : float, optional
        Seconds after which no further strategy is started and the grid is not refined; what is at hand is returned.
    gap : float, optional
        Stop as soon as upper / lower is at most ``1 + gap``.
    seed : int
        Every trial's seed derives from it and the operator's digest.

    Returns
    -------
    Bracket

    Raises
    ------
    DomainError
        If both ``on`` and ``at`` are given, or the effort is unknown.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> lip(Linear(np.diag([1.0, 2.0])))
    1.99999 <= Lip <= 2.00001 (proved | proved)
    """
    if effort not in EFFORTS:
        raise DomainError(f"effort must be one of {EFFORTS}, found {effort!r}")
    if at is not None:
        if on is not None:
            raise DomainError("give a region (on=) or a point (at=), not both")
        on = Ball(op.domain.check(np.asarray(at, dtype=np.float64)), 0.0)
    on = Everywhere() if on is None else on
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with memo():
        low = _lower(op, on, effort, seed)
        uppers: list[Bound] = []
        for strategy in STRATEGIES:
            if uppers and time.monotonic() > deadline:
                break
            bound = strategy(op, on, effort, seed, deadline)
            if bound is not None:
                uppers.append(bound)
            if uppers and gap is not None and min(u.value for u in uppers) <= low.value * (1 + gap):
                break
    claim = Claim("lip", "upper", op.digest, on, op.domain.norm, op.codomain.norm)
    upper = least(*uppers) if uppers else unknown(claim, str(op.lip(on).params.get("reason", "no rule applies")))
    return Bracket(low, upper)


def _lower(op: Operator, on: Region, effort: str, seed: int) -> Bound:
    if isinstance(on, Ball) and on.radius == 0:
        J = op.derivative(on.center)
        rtol = 1e-6 if min(J.shape) <= 64 else 1e-4
        return direction_bound(op, on.center, top_direction(J, seed=seed, rtol=rtol), on=on)
    return witness.lower(op, on, effort=effort, seed=seed)


__all__ = ["EFFORTS", "STRATEGIES", "lip"]
