"""What an exact argument decides about an architecture, and orbits that show a limit does not exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipop.core.space import norm
from lipop.limit.architecture import Architecture
from lipop.limit.hypothesis import Orbits


@dataclass(frozen=True, eq=False)
class Decision:
    """The outcome of one argument.

    Parameters
    ----------
    exists : bool or None
        Whether ``S_{n,0} x`` converges for every x in D.
    tail_stable : bool or None
    argument : str
        The name of the argument.
    reason : str
    start : int
        The m at which the divergence of ``S_{n,m}`` shows, for the witness.
    """

    exists: bool | None
    tail_stable: bool | None
    argument: str
    reason: str
    start: int = 0

    def explain(self) -> str:
        """The argument and its reason."""
        return str(self)

    def __str__(self) -> str:
        return f"{self.argument}: {self.reason}"


def witness(arch: Architecture, m: int = 0, most: int = 1024) -> Orbits | None:
    """Orbits that show what a proof of non-existence says, as float64 gives them.

    Parameters
    ----------
    arch : Architecture
    m : int
    most : int
        The depth to which the orbits are followed.

    Returns
    -------
    Orbits or None
        An unbounded orbit, two orbits that part, or one orbit at two late depths at which it is far apart.
    """
    points = _starts(arch)
    if len(points) == 0:
        return None
    kind = arch.space.norm
    depths = [m + 2**k for k in range(11) if 2**k <= most]
    late = range(m + most // 2, m + most)
    best: Orbits | None = None
    gap = 0.0
    for x in points:
        kept: dict[int, np.ndarray] = {}
        y = x
        for i in range(m + 1, m + most + 1):
            y = arch.block(i)(y)
            if not np.isfinite(y).all() or norm(y, kind) > 1e12 * (1 + norm(x, kind)):
                return Orbits("unbounded orbit", (x,), tuple(kept), tuple(kept.values()), m)
            if i in depths or i >= late.start:
                kept[i] = y
        first, last, apart = _farthest(kept, late, kind)
        if apart > gap:
            gap = apart
            best = Orbits("two subsequences", (x,), (first, last), (kept[first], kept[last]), m)
    return best


def _farthest(kept: dict[int, np.ndarray], late: range, kind: str) -> tuple[int, int, float]:
    """The late depth at which the orbit is farthest from its last value, and the distance."""
    end = late[-1]
    apart, at = max((norm(kept[i] - kept[end], kind), i) for i in late if i in kept)
    return at, end, apart


def _starts(arch: Architecture) -> list[np.ndarray]:
    """Points of D from which orbits are followed: unit vectors where D has them, then samples."""
    from lipop.limit.evidence import sample

    shape = [3 if n is None else n for n in arch.space.shape]
    size = int(np.prod(shape))
    units = [np.eye(size)[k].reshape(shape) for k in range(min(size, 2))]
    inside = [x for x in units if arch.on.contains(x)]
    drawn = sample(arch.block(1), arch.on, 1)
    return [*inside, *([] if drawn is None else list(drawn))]


__all__ = ["Decision", "witness"]
