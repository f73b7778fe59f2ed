"""Infinite products ``prod a(i)`` of non-negative numbers: zero, positive and finite, or infinite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lipop.errors import DomainError
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Law

ZERO, POSITIVE, INFINITE = "zero", "positive", "infinite"


@dataclass(frozen=True)
class Product:
    """What is known of a product.

    Parameters
    ----------
    value : str or None
        ``zero``, ``positive`` (a limit in (0, inf)), ``infinite``, or None where nothing decides.
    reason : str
    """

    value: str | None
    reason: str


def product(law: Law) -> Product:
    """Decide ``prod_{i >= start} a(i)`` for a law a.

    Parameters
    ----------
    law : Law
        The factors, all at least 0.

    Returns
    -------
    Product
        A product with infinitely many zero factors or with factors tending to a number below 1 is ``zero``.

    Notes
    -----
    If a(i) -> c != 1 the product behaves as a power. If a(i) -> 1 and ``|a(i) - 1|`` sums, it is positive and finite,
    unless a factor is zero. If ``a(i) >= 1`` (or <= 1) from some i on and ``|a(i) - 1|`` does not sum, it is infinite
    (or zero): ``log(1 + t)`` lies between t/2 and t for small t >= 0, and ``log(1 - t) <= -t``.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> product(Law(1 + 1 / k)).value, product(Law(1 + 1 / k**2)).value, product(Law(1 - 1 / (k + 1))).value
    ('infinite', 'positive', 'zero')
    """
    if law.expr is None:
        return Product(None, "a law by layers ends, and its product is no limit")
    root = law.expr.as_base_exp() if law.expr.is_Pow else None
    if root is not None and root[1].is_Rational and root[1].is_positive and not root[1].is_Integer:
        return product(Law(root[0], law.index, law.start))  # a positive power of zero, positive, infinite is the same
    limit = limit_of(law.expr, law.index)
    if limit is None or not limit.is_extended_real:
        return Product(None, f"the limit of {law.expr} is not known")
    if (limit < 1) == True:  # noqa: E712  # SymPy truth values
        return Product(ZERO, f"the factors tend to {limit} < 1")
    if (limit > 1) == True:  # noqa: E712
        return _unless_zero(law, Product(INFINITE, f"the factors tend to {limit} > 1"))
    if limit != 1:
        return Product(None, f"whether the limit {limit} of the factors is 1 is not decided")
    return _near_one(law)


def _near_one(law: Law) -> Product:
    import sympy

    excess = law.expr - 1
    if excess == 0:
        return Product(POSITIVE, "every factor is 1")
    direction = eventual_sign(excess, law.index, law.start)
    try:
        size = sympy.Abs(excess) if direction is None else direction * excess
        series = Law(size, law.index, nonnegative_from(size, law.index, law.start))
        summable, reason = series.summable, series.reason
    except DomainError as e:
        return Product(None, str(e))
    if summable is True:
        return _unless_zero(law, Product(POSITIVE, f"|a(i) - 1| sums: {reason}"))
    if summable is False:
        if direction == 1:
            return _unless_zero(law, Product(INFINITE, f"a(i) >= 1, and a(i) - 1 does not sum: {reason}"))
        if direction == -1:
            return Product(ZERO, f"a(i) <= 1, and 1 - a(i) does not sum: {reason}")
    return Product(None, f"whether the product of {law.expr} converges is not decided ({reason})")


def nonnegative_from(expr: Any, index: Any, start: int) -> int:
    """An index from which on an expression that is eventually not negative may serve as a law."""
    import sympy

    if index is None:
        return start
    n = sympy.Symbol("n", integer=True, positive=True)
    if expr.xreplace({index: n + start - 1}).is_nonnegative:
        return start
    bad = [i for i in range(start, start + 64) if not expr.subs(index, i).is_nonnegative]
    return bad[-1] + 1 if bad else start


def _unless_zero(law: Law, otherwise: Product) -> Product:
    """A product with a factor 0 is 0; the factors tend to a number above 0, so only early ones can vanish."""
    zero = next((i for i in range(law.start, law.start + 64) if law.below(i) == 0), None)
    if zero is None:
        return otherwise if _nowhere_zero(law) else Product(None, "whether a factor vanishes is not decided")
    if law.at(zero) == 0:
        return Product(ZERO, f"factor {zero} is 0")
    return Product(None, f"whether factor {zero} is 0 is not decided")


def _nowhere_zero(law: Law) -> bool:
    import sympy

    if law.index is None:
        return True
    n = sympy.Symbol("n", integer=True, positive=True)
    expr = law.expr.xreplace({law.index: n + law.start + 63})
    if expr.is_positive or sympy.together(expr).is_positive:
        return True
    return eventual_sign(law.expr, law.index, law.start + 64, strictly_from_there=True) == 1


def eventual_sign(expr: Any, index: Any, start: int, strictly_from_there: bool = False) -> int | None:
    """The sign of an expression for every index that is large (or, strictly, from ``start`` on): 1, -1, 0 or None.

    Rational functions are decided by the signs of their polynomials beyond all real roots; other expressions by
    SymPy's assumptions.

    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> eventual_sign((k - 100) / (k**2 + 1), k, 1), eventual_sign(sympy.log(k) / k, k, 2)
    (1, 1)
    """
    import sympy

    if expr == 0:
        return 0
    if index is None or index not in expr.free_symbols:
        return 1 if expr.is_positive else (-1 if expr.is_negative else None)
    n = sympy.Symbol("n", integer=True, positive=True)
    moved = sympy.together(expr.xreplace({index: n + max(start, 2)}))
    for shown in (moved, sympy.factor(moved)):
        if shown.is_positive:
            return 1
        if shown.is_negative:
            return -1
    top, bottom = sympy.fraction(sympy.together(expr))
    if not (top.is_polynomial(index) and bottom.is_polynomial(index)):
        return None
    sign = 1
    for part in (sympy.Poly(top, index), sympy.Poly(bottom, index)):
        if not all(c.is_Rational for c in part.all_coeffs()):
            return None
        if strictly_from_there and part.count_roots(start, sympy.oo) > 0:
            return None
        sign *= 1 if part.LC() > 0 else -1
    return sign


__all__ = ["INFINITE", "POSITIVE", "ZERO", "Product", "eventual_sign", "nonnegative_from", "product"]
