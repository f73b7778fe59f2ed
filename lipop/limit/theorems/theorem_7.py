"""Theorem 7: what a limit forces on the blocks, without a limit map.

Let the family be tail-stable with ``Lip(S_{n,m}) <= C`` for all n >= m, and E the closure of the union of the ranges
of all ``S_{inf,m}``. Then ``T_n z -> z`` and ``S_{inf,n} z -> z`` for every z in E: the blocks converge to the identity
on the limit set, as a projection does on its range. Off E they need not converge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipop.core.space import norm
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion
from lipop.limit.hypothesis import unknown
from lipop.limit.theorems.given import domain_kept, infinite
from lipop.limit.theorems.theorem_6 import powers_bounded, settled

STATEMENT = "T_n z -> z and S_(inf,n) z -> z for every z in the closure of the ranges of all S_(inf,m)"


def theorem_7(arch: Architecture) -> Conclusion:
    """Apply theorem 7.

    Parameters
    ----------
    arch : Architecture
        With a law for Lip(T_i) whose product is finite, or one non-expansive map over and over.

    Returns
    -------
    Conclusion
        ``tail_stable`` is that of the verdict, on which the theorem rests.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> print(theorem_7(Architecture.tied(Linear(np.full((2, 2), 0.5)))).status)
    PROVED
    """
    from lipop.limit.verdicts import verdict

    found = verdict(arch)
    name = "the family is tail-stable"
    if found.tail_stable:
        stable = settled(name, found.reason, found.assumptions)
    else:
        stable = unknown(name, f"the verdict on it is {found.tail_stable}: {found.reason}")
    hypotheses = (infinite(arch), domain_kept(arch), stable, powers_bounded(arch)[0])
    holds = all(h.holds for h in hypotheses)
    return Conclusion("theorem 7", hypotheses, STATEMENT, tail_stable=True if holds else None)


@dataclass(frozen=True, eq=False)
class Fixing:
    """How far blocks move a point, in float64: a measurement, no bound.

    Parameters
    ----------
    depths : tuple of int
    moved : tuple of float
        ``|T_n z - z|`` at these depths.
    """

    depths: tuple[int, ...]
    moved: tuple[float, ...]


def moved(arch: Architecture, z: np.ndarray, depths: Sequence[int]) -> Fixing:
    """``|T_n z - z|`` for the given n: what theorem 7 says tends to zero where z is a limit of the architecture.

    Parameters
    ----------
    arch : Architecture
    z : array
        A point of the limit set, or a deep state that stands for one.
    depths : sequence of int

    Examples
    --------
    >>> from lipop.operators.linear import Affine
    >>> arch = Architecture.by_rule(lambda i: Affine(np.diag([1.0, 0.0]), [0.0, 1 / i**2]))
    >>> moved(arch, np.array([3.0, 0.0]), [1, 10, 100]).moved
    (1.0, 0.01, 0.0001)
    """
    z = np.asarray(z, dtype=np.float64)
    sizes = tuple(norm(arch.block(n)(z) - z, arch.space.norm) for n in depths)
    return Fixing(tuple(int(n) for n in depths), sizes)


__all__ = ["Fixing", "moved", "theorem_7"]
