"""Run an architecture of your own against its verdict: laws that blocks break, limits that do not come, rates that are
exceeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lipop.core.space import norm
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.verdicts import EXISTS, Verdict, verdict

ROUNDING = 1e-11
"""What a distance may exceed its bound by, relative to the largest state: float64 rounding of a few hundred blocks."""


class LimitBroken(AssertionError):
    """An architecture that is not what its laws and verdict say."""


def assert_limit(
    arch: Architecture, points: Iterable[np.ndarray], *, depths: Sequence[int] = (1, 2, 5, 10, 20, 50), last: int = 200
) -> Verdict:
    """Assert that the limit architecture exists, and that no rate of the verdict is exceeded on the way to it.

    Parameters
    ----------
    arch : Architecture
        Of infinitely many blocks.
    points : iterable of array
        Where it is run, in its domain.
    depths : sequence of int
        Where ``|S_last x - S_n x|`` is compared with the rate at n plus the rate at ``last``; those before the laws
        begin are left out.
    last : int
        The depth that stands in for the limit.

    Returns
    -------
    Verdict

    Raises
    ------
    LimitBroken
        If a sampled block breaks a declared law, the verdict is not ``EXISTS``, or a rate is exceeded; the message has
        block, depth and numbers. It is an AssertionError.
    DomainError
        If no depth lies between the laws' first block and ``last``.

    Examples
    --------
    >>> import sympy
    >>> from lipop import Affine, Linear
    >>> k, P = sympy.Symbol("k"), Linear(np.diag([1.0, 0.0]))
    >>> def stack(size):
    ...     rule = lambda i: Affine(P.A, np.array([0.0, size / i**2]))
    ...     return Architecture.by_rule(rule, limit=P, deviation=1 / k**2, index=k)
    >>> assert_limit(stack(1.0), np.eye(2)).answer
    'EXISTS'
    >>> assert_limit(stack(2.0), np.eye(2))
    Traceback (most recent call last):
        ...
    lipop.testing.limits.LimitBroken: Architecture(infinite, (2,) in l2): a declared law is broken: ...
    """
    used = [n for n in depths if arch.start <= n < last]
    if not used:
        raise DomainError(f"none of the depths {tuple(depths)} lies between block {arch.start} and block {last}")
    found = verdict(arch)
    if found.answer != EXISTS:
        raise LimitBroken(f"{arch!r}: {found.reason if found.contradiction is not None else found}")
    for x in points:
        _run(arch, found, np.asarray(x, dtype=np.float64), used, last)
    return found


def _run(arch: Architecture, found: Verdict, x: np.ndarray, depths: Sequence[int], last: int) -> None:
    name, kept, largest, size = arch.space.norm, {0: x}, norm(x, arch.space.norm), norm(x, arch.space.norm)
    y = x
    for n in range(1, last + 1):
        y = arch.block(n)(y)
        largest = max(largest, norm(y, name))
        if n < arch.start:
            size = max(size, norm(y, name))  # rates speak of the state at the last block before the laws
        if n in depths:
            kept[n] = y
    if not found.rates:
        return
    radius = size * (1 + 1e-12)
    rest = found.rate(last, radius)
    for n in depths:
        gap, bound = norm(y - kept[n], name), found.rate(n, radius) + rest
        if gap > bound + ROUNDING * (1 + largest):
            raise LimitBroken(
                f"{arch!r}: |S_{last} x - S_{n} x| = {gap!r} exceeds {bound!r}, the rates at {n} and {last}; "
                f"x = {np.array_repr(x)}"
            )


__all__ = ["LimitBroken", "assert_limit"]
