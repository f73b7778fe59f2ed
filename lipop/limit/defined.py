"""Whether a formula is a finite real number at every layer: no pole and no root of a negative number, ever.

Nothing is concluded from blocks whose formula may break down at some late layer: rules refuse what is not shown here.
"""

from __future__ import annotations

from typing import Any

from lipop.errors import DomainError

FIRST = 64
"""So many layers are looked at one by one where only later ones are decided by a sign."""


def require_defined(expr: Any, index: Any, what: str) -> None:
    """Refuse a formula that has a pole at a positive integer, or of which that is not excluded.

    Denominators must not vanish, arguments of logarithms and bases of broken powers must not be negative.

    Raises
    ------
    DomainError
        Naming the part of the formula.

    Examples
    --------
    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> require_defined(1 / (k * sympy.log(k + 1)), k, "an entry")
    >>> require_defined(1 / (k - 100), k, "an entry")
    Traceback (most recent call last):
        ...
    lipop.errors.DomainError: an entry: k - 100 is zero at k = 100
    """
    import sympy

    if index is None:
        return
    for part in sympy.preorder_traversal(expr):
        if not part.has(index):
            continue
        if isinstance(part, sympy.Pow):
            base, power = part.args
            shown = power.xreplace({index: _positive()})
            if not shown.is_positive:
                _nonzero(base, index, what)
            if not shown.is_integer:
                _not_negative(base, index, what)
        elif isinstance(part, sympy.log):
            _nonzero(part.args[0], index, what)
            _not_negative(part.args[0], index, what)
        elif isinstance(part, sympy.tan | sympy.cot | sympy.sec | sympy.csc | sympy.zeta) or (
            isinstance(part, sympy.gamma) and not part.args[0].xreplace({index: _positive()}).is_positive
        ):
            raise DomainError(f"{what}: {part} may have poles")


def _positive() -> Any:
    import sympy

    return sympy.Symbol("n", integer=True, positive=True)


def _nonzero(base: Any, index: Any, what: str) -> None:
    import sympy

    shown = base.xreplace({index: _positive()})
    if shown.is_nonzero or sympy.factor(shown).is_nonzero:
        return
    top = sympy.fraction(sympy.together(base))[0]
    if top.is_polynomial(index) and all(c.is_Rational for c in sympy.Poly(top, index).all_coeffs()):
        whole = [int(r) for r in sympy.Poly(top, index).ground_roots() if r.is_Integer and r >= 1]
        if whole:
            raise DomainError(f"{what}: {base} is zero at {index} = {min(whole)}")
        return
    _late(base, index, what, "zero", lambda v: v == 0)


def _not_negative(base: Any, index: Any, what: str) -> None:
    import sympy

    shown = base.xreplace({index: _positive()})
    if not (shown.is_nonnegative or sympy.factor(shown).is_nonnegative):
        _late(base, index, what, "negative", lambda v: v < 0, sign=1)


def _late(base: Any, index: Any, what: str, how: str, bad: Any, sign: int | None = None) -> None:
    """Early layers one by one, later ones by the sign of the formula."""
    from lipop.limit.products import eventual_sign

    found = eventual_sign(base, index, FIRST + 1, strictly_from_there=True)
    if found not in ((1, -1) if sign is None else (sign,)):
        raise DomainError(f"{what}: it is not excluded that {base} is {how} at some {index}")
    for i in range(1, FIRST + 1):
        if bad(base.subs(index, i)) != False:  # noqa: E712  # SymPy's own truth values
            raise DomainError(f"{what}: {base} is {how} at {index} = {i}, or that is not excluded")


__all__ = ["require_defined"]
