"""The deviation law of affine blocks whose entries are formulas: derived from the entries, so that it is proved."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop.errors import DomainError
from lipop.limit.law_evidence import limit_of
from lipop.limit.laws import Growth, Law, Uniform
from lipop.limit.structure import AffineRule
from lipop.operators.linear import Affine


def affine_deviation(rule: AffineRule) -> tuple[Affine, Law] | None:
    """The map T to which the blocks tend, and a law for ``|T_i x - T x|``.

    Parameters
    ----------
    rule : AffineRule

    Returns
    -------
    (Affine, Uniform or Growth) or None
        Uniform where the linear part does not change with i. None if the entries have no limits, or limits that no
        float64 equals (T would not be the stored map), or if the law is refused.

    Notes
    -----
    With ``D(i) = A(i) - A``, ``c(i) = b(i) - b``: ``|D x + c| <= |D| |x| + |c|``. |D| is the largest row sum (linf),
    the largest column sum (l1) or at most the Frobenius norm (l2, 2inf).

    Examples
    --------
    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> T, law = affine_deviation(AffineRule([[1, 0], [2, 0]], [1 / i**2, -1 / i**2], i, "linf"))
    >>> T.A.tolist(), law
    ([[1.0, 0.0], [2.0, 0.0]], Uniform(i**(-2)))
    """
    import sympy

    limits_a: list[Any] = [limit_of(e, rule.index) for e in rule.A]
    limits_b: list[Any] = [limit_of(e, rule.index) for e in rule.b]
    if not all(_exact(v) for v in (*limits_a, *limits_b)):
        return None
    n = rule.size
    gap_a = [[absolute(rule.A[r, c] - limits_a[r * n + c], rule.index) for c in range(n)] for r in range(n)]
    gap_b = [absolute(e - to, rule.index) for e, to in zip(rule.b, limits_b, strict=True)]
    offset = _vector(gap_b, rule.norm)
    change = _matrix(gap_a, rule.norm)
    T = Affine(
        np.array([float(v) for v in limits_a]).reshape(n, n),
        np.array([float(v) for v in limits_b]) if any(v != 0 for v in limits_b) else None,
        norm_in=rule.norm,
        norm_out=rule.norm,
    )
    try:
        if change == 0:
            return T, Uniform(offset, rule.index)
        return T, Growth(change if offset == 0 else sympy.Add(change, offset), rule.index)
    except DomainError:
        return None


def absolute(expr: Any, index: Any) -> Any:
    """``|expr|``, without the bars where SymPy knows the sign for every index >= 1.

    >>> import sympy
    >>> i = sympy.Symbol("i")
    >>> absolute(-1 / i**2, i)
    i**(-2)
    """
    import sympy

    n = sympy.Symbol("n", integer=True, positive=True)
    expr = sympy.together(expr)
    shown = expr.xreplace({index: n})
    for form in (shown, sympy.factor(shown)):
        if form.is_nonnegative:
            return expr
        if form.is_nonpositive:
            return -expr
    return sympy.Abs(expr)


def _exact(v: Any) -> bool:
    """Whether a limit is a rational number that float64 holds."""
    if v is None or not v.is_Rational:
        return False
    num, den = float(v).as_integer_ratio()
    return num * int(v.q) == den * int(v.p)


def _vector(sizes: list[Any], kind: str) -> Any:
    import sympy

    sizes = [s for s in sizes if s != 0]
    if len(sizes) <= 1:
        return sizes[0] if sizes else sympy.Integer(0)
    if kind == "linf":
        return _largest(sizes)
    if kind == "l1":
        return sympy.Add(*sizes)
    return sympy.sqrt(sympy.together(sympy.Add(*(s**2 for s in sizes))))


def _matrix(sizes: list[list[Any]], kind: str) -> Any:
    import sympy

    if kind == "linf":
        return _largest([sympy.Add(*row) for row in sizes])
    if kind == "l1":
        return _largest([sympy.Add(*column) for column in zip(*sizes, strict=True)])
    return _vector([s for row in sizes for s in row], "l2")


def _largest(sizes: list[Any]) -> Any:
    import sympy

    different = list(dict.fromkeys(sizes))
    return different[0] if len(different) == 1 else sympy.Max(*different)


__all__ = ["absolute", "affine_deviation"]
