"""Affine blocks that repeat: everything is decided in exact arithmetic.

With M the product of one cycle and H that of the head (as homogeneous rational matrices), the composition of the head,
k cycles and j more blocks is ``M_j ... M_1 M^k H``. So ``S_{n,0} x`` converges for every x (D with interior points) iff
``M^k`` converges on the range of H, to Q say, and ``M_j ... M_1 Q H = Q H`` for every j.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.limit.architecture import Architecture
from lipop.limit.decision import Decision
from lipop.limit.domains import has_interior
from lipop.limit.exact import homogeneous
from lipop.limit.exact_powers import powers
from lipop.limit.structure import Cycle
from lipop.limit.theorems.theorem_2 import identity_like

ARGUMENT = "affine blocks that repeat, in exact arithmetic"


def cycle_of(arch: Architecture) -> Cycle | None:
    """The repeating blocks of an architecture, where its construction shows them."""
    if isinstance(arch.rule, Cycle):
        return arch.rule
    block, law = arch.limit, arch.deviation
    if block is not None and law is not None and arch.origin("deviation") == "derived" and law.expr == 0:
        head = tuple(arch.block(i) for i in range(1, law.start))
        return Cycle((block,), head)
    return None


def repeating(arch: Architecture) -> Decision | None:
    """Decide an architecture whose blocks are affine and repeat (None: it is not of this kind).

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators.linear import Linear
    >>> zero, five = Linear(np.zeros((2, 2))), Linear(5 * np.eye(2))
    >>> d = repeating(Architecture.by_rule(Cycle([five], head=[zero])))
    >>> d.exists, d.tail_stable
    (True, False)
    """
    rule = cycle_of(arch)
    if rule is None:
        return None
    steps = matrices(rule.cycle)
    head = matrices(rule.head)
    if steps is None or head is None:
        return None
    first = _from(steps, product(head, steps[0]))
    if not first.converges and not has_interior(arch.on):
        return None
    shifts = _tails(steps, head)
    bad = next((s for s in shifts if not s.converges), None)
    stable = bad is None
    if first.converges:
        reason = first.reason if stable else f"{first.reason}; but behind block {bad.m}: {bad.reason}"
        start = 0 if bad is None else bad.m
        return Decision(True, stable or (False if has_interior(arch.on) else None), ARGUMENT, reason, start)
    return Decision(False, False, ARGUMENT, first.reason)


def matrices(blocks: Any) -> list[Any] | None:
    """The blocks as homogeneous rational matrices (None where one is not affine by construction)."""
    out = [homogeneous(b) for b in blocks]
    return None if any(m is None for m in out) else out


def product(steps: list[Any], like: Any) -> Any:
    """The composition of the blocks, the first applied first."""
    out = identity_like(like)
    for m in steps:
        out = m * out
    return out


@dataclass(frozen=True)
class _Found:
    """Whether the compositions that begin behind block m converge."""

    converges: bool
    reason: str
    m: int


def _from(steps: list[Any], start: Any, m: int = 0) -> _Found:
    found = powers(product(steps, start), start)
    if not found.converges:
        return _Found(False, f"the product of one cycle has no convergent powers there: {found.reason}", m)
    limit = found.applied(start)
    moved = limit
    for j, step in enumerate(steps[:-1], 1):
        moved = step * moved
        if moved != limit:
            return _Found(False, f"the limits after whole cycles and after {j} more blocks differ", m)
    return _Found(True, f"the powers of one cycle converge ({found.reason}), to points that every block fixes", m)


def _tails(steps: list[Any], head: list[Any]) -> list[_Found]:
    """Every way to begin: behind m blocks of the head, and behind j blocks of a cycle."""
    one = identity_like(steps[0])
    out = [_from(steps, product(head[m:], one), m) for m in range(len(head))]
    for j in range(len(steps)):
        out.append(_from(steps[j:] + steps[:j], one, len(head) + j))
    return out


__all__ = ["cycle_of", "matrices", "product", "repeating"]
