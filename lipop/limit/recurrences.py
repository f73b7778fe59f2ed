"""Affine recurrences ``x_i = a(i) x_{i-1} + b(i)`` with coefficients that are formulas: real ones, and rotations.

The difference of two orbits is ``P_n (x - y)`` with ``P_n = prod a(i)``: that decides most. Where P_n tends to a number
other than 0, ``x_n = P_n (x_0 + sum b(i) / P_i)``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lipop.errors import DomainError
from lipop.limit.decision import Decision
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Law
from lipop.limit.products import INFINITE, ZERO, eventual_sign, nonnegative_from, product
from lipop.limit.scalar_series import series, without_sign
from lipop.limit.sequence import as_expression

ARGUMENT = "a linear recurrence"


@lru_cache(maxsize=1024)
def scalar(a: Any, b: Any, index: Any) -> Decision | None:
    """Decide whether ``x_n`` converges for every real x_0, and for every way to begin later (None: not decided).

    Parameters
    ----------
    a, b : SymPy expression
        Real, defined for every index >= 1.
    index : SymPy symbol

    Returns
    -------
    Decision or None
        A ``False`` means: for at most one x_0 there is a limit.

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> half = sympy.Rational(1, 2)
    >>> [scalar(a, b, i).exists for a, b in ((1, 1 / i), (1, (-1) ** i / i), (half, 1 / i), (0, 1 / i), (-1, 0))]
    [False, True, True, True, False]
    """
    import sympy

    a, b = sympy.simplify(as_expression(a, "a coefficient")), as_expression(b, "an offset")
    if a == 1:
        found = series(b, index)
        if found.converges is None:
            return None
        return Decision(found.converges, found.converges, ARGUMENT, f"x_n = x_0 + sum {b}: {found.reason}")
    zero = last_zero(a, index)
    if zero is None:
        return None
    size, alternating = without_sign(a, index)
    grown = _product(size, index, zero + 1)
    if grown is None or grown.value is None:
        return None
    if grown.value == ZERO:
        return _fading(a, b, index, grown.reason)
    limit = None if alternating else limit_of(a, index)
    turning = alternating or (limit is not None and limit != 1)
    if grown.value == INFINITE or turning:
        what = "is unbounded" if grown.value == INFINITE else "keeps its size without settling"
        return _for_pairs(b, zero, f"the difference of two orbits {what}: {grown.reason}")
    return _settling(b, index, limit, grown.reason)


def last_zero(a: Any, index: Any) -> int | None:
    """The last index at which a coefficient vanishes, 0 for none; None where that is not decided.

    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> last_zero((i - 3) / (i + 1), i), last_zero(sympy.Integer(0), i)
    (3, 0)
    """
    import sympy

    if a == 0 or not a.has(index):
        return 0
    size, _ = without_sign(a, index)
    top, bottom = sympy.fraction(sympy.together(size))
    n = sympy.Symbol("n", integer=True, positive=True)
    for shown in (size, sympy.together(size)):
        if shown.xreplace({index: n}).is_nonzero:
            return 0
    if top.is_polynomial(index) and bottom.is_polynomial(index):
        roots = sympy.Poly(top, index).ground_roots() if sympy.Poly(top, index).is_ground is False else {}
        whole = [int(r) for r in roots if r.is_Integer and r >= 1]
        return max(whole, default=0)
    return None


def _product(size: Any, index: Any, start: int) -> Any | None:
    """The product of the sizes of the coefficients, from an index on."""
    import sympy

    sign = eventual_sign(size, index, start) if size.has(index) else (1 if size >= 0 else -1)
    value = sympy.Abs(size) if sign is None else (size if sign >= 0 else -size)
    begin = nonnegative_from(value, index, start) if sign is not None and value.has(index) else start
    try:
        return product(Law(value, index, begin))
    except DomainError:
        return None


def _fading(a: Any, b: Any, index: Any, reason: str) -> Decision | None:
    """The product tends to 0: the start is forgotten, and the offsets decide."""
    import sympy

    if b == 0:
        return Decision(True, True, ARGUMENT, f"every orbit tends to 0: {reason}")
    size, alternating = without_sign(a, index)
    q = limit_of(sympy.Abs(size), index)
    end, to = limit_of(a, index) if not alternating else None, _limit(b, index)
    if q is not None and (q < 1) == True:  # noqa: E712  # SymPy's own truth values
        if to == 0 or (to is not None and to.is_finite and end is not None):
            return Decision(True, True, ARGUMENT, f"a(i) -> {a if end is None else end}, b(i) -> {to} (theorem 3)")
        if to is not None and to.is_infinite:
            return Decision(False, False, ARGUMENT, f"b(i) = x_i - a(i) x_(i-1) is unbounded: {b}")
    ratio = sympy.simplify(b / (1 - a))
    if not ratio.has(index):
        return Decision(True, True, ARGUMENT, f"every orbit tends to the common fixed point {ratio}: {reason}")
    return None


def _limit(b: Any, index: Any) -> Any | None:
    """The limit of the offsets, an alternating sign considered where it is 0."""
    size, alternating = without_sign(b, index)
    found = limit_of(size, index)
    return found if not alternating or found == 0 else None


def _for_pairs(b: Any, zero: int, reason: str) -> Decision:
    """Two orbits do not come together: from block zero + 1 on there is a limit for one start at most."""
    if zero == 0:
        return Decision(False, False, ARGUMENT, reason)
    exists = True if b == 0 else None  # block `zero` sends everything to b(zero); from 0 nothing moves
    return Decision(exists, False, ARGUMENT, f"behind block {zero}: {reason}", zero)


def _settling(b: Any, index: Any, limit: Any, reason: str) -> Decision | None:
    """The product tends to a number other than 0: ``sum b(i) / P_i`` decides."""
    if limit != 1:
        return None
    found = series(b, index)
    if found.absolutely:
        return Decision(True, True, ARGUMENT, f"x_n = P_n (x_0 + sum b(i) / P_i); {reason}; b sums {found.reason}")
    if found.converges is False and eventual_sign(b, index, 1) in (1, -1):
        return Decision(False, False, ARGUMENT, f"P_n tends to a number above 0 ({reason}), and b does not sum")
    return None


def rotation(u: Any, v: Any, index: Any) -> Decision | None:
    """Decide the recurrence ``z_i = (u + i v) z_{i-1}`` in the plane, for coefficients of modulus 1 given as cosine and
    sine of one angle (None: not of this kind, or not decided).

    Parameters
    ----------
    u, v : SymPy expression
        ``cos(theta(i))`` and ``sin(theta(i))``.
    index : SymPy symbol

    Notes
    -----
    z_n has the argument ``Theta_n = sum theta(i)``. If ``theta(i) -> 0`` and ``exp(i Theta_n)`` converges, then from
    some n on Theta_n stays on one branch, so that Theta_n converges: the sum of the angles decides.

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> [rotation(sympy.cos(t), sympy.sin(t), i).exists for t in (1 / i, 1 / i**2)]
    [False, True]
    """
    import sympy

    if not (isinstance(u, sympy.cos) and v == sympy.sin(u.args[0])):
        return None
    angle = u.args[0]
    if limit_of(without_sign(angle, index)[0], index) != 0:
        return None
    found = series(angle, index)
    if found.converges is None:
        return None
    reason = f"a rotation by the sum of the angles {angle}, which tend to 0: {found.reason}"
    return Decision(found.converges, found.converges, "commuting rotations", reason)


__all__ = ["last_zero", "rotation", "scalar"]
