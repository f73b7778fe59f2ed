"""Theorems 4 and 5: what products of constants exclude.

Theorem 4. If ``limsup_n prod_{m<i<=n} expansion(T_i) = inf``, then ``S_{n,m}`` cannot converge at two distinct points:
the distance of the two orbits is unbounded.

Theorem 5. If ``liminf_n prod_{m<i<=n} Lip(T_i) = 0``, the limit at m, if it exists, is constant. And a non-constant
idempotent T has ``Lip(T) >= 1``: with x = Tx and y = Ty different, ``|Tx - Ty| = |x - y|``.
"""

from __future__ import annotations

from lipop.core.operator import Operator
from lipop.core.region import Cloud, Region
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion
from lipop.limit.domains import has_interior
from lipop.limit.evidence import idempotent, lip_upper, sample
from lipop.limit.hypothesis import Hypothesis, Orbits, proved, unknown, violated
from lipop.limit.law_evidence import stated
from lipop.limit.laws import Law
from lipop.limit.products import INFINITE, ZERO, product
from lipop.limit.theorems.given import domain_kept, infinite

FOUR = "S_(n,m) converges at one point of D at most, for every m from the law's start on"
FIVE = "the limit at m, where it exists, is a constant map"


def theorem_4(arch: Architecture, expansion: Law | None = None) -> Conclusion:
    """Apply theorem 4.

    Parameters
    ----------
    arch : Architecture
    expansion : Law, optional
        Lower bounds of the blocks' expansions, from its start on; the architecture's law by default.

    Returns
    -------
    Conclusion
        ``exists`` is False where the law begins at block 1, ``tail_stable`` is False in any case; the witness is a
        pair of points whose orbits part.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators.linear import Affine
    >>> c = theorem_4(Architecture.by_rule(lambda i: Affine(5 * np.eye(2)), expansion=5))
    >>> c.exists, c.tail_stable, c.witness.kind
    (False, False, 'diverging pair')
    """
    law = arch.expansion if expansion is None else expansion
    origin = arch.origin("expansion") if law is arch.expansion else "declared"
    hypotheses = (
        infinite(arch),
        domain_kept(arch),
        two_points(arch.on),
        _limsup(law, origin, "expansion", INFINITE, "limsup of the product of expansion(T_i) = inf"),
    )
    if law is None or not all(h.holds for h in hypotheses):
        return Conclusion("theorem 4", hypotheses, FOUR)
    exists = False if law.start == 1 else None
    return Conclusion("theorem 4", hypotheses, FOUR, exists, False, witness=parting_pair(arch, law.start - 1))


def theorem_5(arch: Architecture, lip: Law | None = None) -> Conclusion:
    """Apply the first half of theorem 5.

    Parameters
    ----------
    arch : Architecture
    lip : Law, optional
        Upper bounds of the blocks' Lipschitz constants, from its start on; the architecture's law by default.

    Returns
    -------
    Conclusion
        Nothing about existence: ``exists`` and ``tail_stable`` are None.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.operators.linear import Affine
    >>> k = sympy.Symbol("k")
    >>> rule = lambda i: Affine((1 - 1 / (i + 1)) * np.eye(2))
    >>> theorem_5(Architecture.by_rule(rule, lip=1 - 1 / (k + 1))).holds
    True
    """
    law = arch.lip if lip is None else lip
    origin = arch.origin("lip") if law is arch.lip else "declared"
    found = _limsup(law, origin, "lip", ZERO, "liminf of the product of Lip(T_i) = 0")
    return Conclusion("theorem 5", (infinite(arch), domain_kept(arch), found), FIVE)


def critical(T: Operator, on: Region) -> Hypothesis:
    """The second half of theorem 5: whether ``Lip(T) = 1`` is forced, because T is idempotent, non-expansive and not
    constant.

    Parameters
    ----------
    T : Operator
    on : Region

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.core.region import Everywhere
    >>> from lipop.operators.linear import Linear
    >>> print(critical(Linear(np.diag([1.0, 0.0])), Everywhere()))
    Lip T = 1  [PROVED] T is idempotent, not constant, and Lip T <= 1
    """
    name = "Lip T = 1"
    once = idempotent(T, on)
    if not once.holds:
        return unknown(name, f"T is not known to be idempotent: {once.reason}")
    upper = lip_upper(T, on)
    points = sample(T, on, 8)
    values = [] if points is None else [T(x) for x in points]
    if not any((v != values[0]).any() for v in values[1:]):
        return unknown(name, "no two different values of T were found")
    if not upper.value <= 1:
        return unknown(name, f"Lip T >= 1, but the best upper bound is {upper.value:.9g}")
    return proved(name, "T is idempotent, not constant, and Lip T <= 1", upper)


def _limsup(law: Law | None, origin: str | None, what: str, wanted: str, name: str) -> Hypothesis:
    if law is None:
        return unknown(name, f"no {what} law is given, and none is derived")
    found = product(law)
    if found.value == wanted:
        return stated(name, origin, what, law, found.reason)
    return unknown(name, found.reason) if found.value is None else violated(name, found.reason)


def two_points(on: Region) -> Hypothesis:
    """D has two distinct points at least."""
    name = "D has two points"
    if has_interior(on):
        return proved(name, "D has interior points")
    if isinstance(on, Cloud):
        if any((p != on.points[0]).any() for p in on.points[1:]):
            return proved(name, "two points of the cloud differ")
        return violated(name, "the cloud is one point")
    return unknown(name, f"{on!r} may be a single point")


def parting_pair(arch: Architecture, m: int, most: int = 2000) -> Orbits | None:
    """Two points of D and a depth at which their orbits are far apart, as float64 gives it (None if none is found)."""
    import numpy as np

    points = sample(arch.block(m + 1), arch.on, 2)
    if points is None or len(points) < 2:
        return None
    x, y = points[0], points[1]
    start, depths, values = float(np.abs(x - y).max()), [m], [(x, y)]
    u, v = x, y
    for i in range(m + 1, m + most + 1):
        block = arch.block(i)
        u, v = block(u), block(v)
        gap = float(np.abs(u - v).max())
        if not np.isfinite(gap):
            break
        if gap > 10 * float(np.abs(values[-1][0] - values[-1][1]).max()):
            depths.append(i)
            values.append((u, v))
        if gap > 1e6 * start:
            break
    shown = tuple(a for a, _ in values) + tuple(b for _, b in values)
    return Orbits("diverging pair", (x, y), tuple(depths), shown, m)


__all__ = ["critical", "parting_pair", "theorem_4", "theorem_5", "two_points"]
