"""Whether the powers of a rational matrix converge on a subspace: decided, not estimated.

Source: a rational matrix M has convergent powers if and only if 1 is at most a simple root of its minimal polynomial
and all other roots lie in the open unit disc (Meyer, Matrix Analysis and Applied Linear Algebra, 2000, section 7.10);
the second is decided by the recursion of Schur and Cohn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lipop.errors import DomainError
from lipop.limit.exact import identity_matrix, invariant_hull, pivots, restricted


def schur_stable(p: Any) -> bool:
    """Whether all roots of a rational polynomial lie in the open unit disc.

    Schur and Cohn: p of degree n is stable iff ``|p_0| < |p_n|`` and ``(p_n p - p_0 p*) / x`` is, with
    ``p*(x) = x^n p(1/x)``.

    >>> import flint
    >>> schur_stable(flint.fmpq_poly([1, 0, 2])), schur_stable(flint.fmpq_poly([2, 0, 1]))
    (True, False)
    """
    import flint

    c = [flint.fmpz(v) for v in p.numer().coeffs()]
    while len(c) > 1:
        low, high = c[0], c[-1]
        if abs(low) >= abs(high):
            return False
        c = [high * c[k] - low * c[len(c) - 1 - k] for k in range(1, len(c))]
        content = math.gcd(*map(int, c))
        c = [v // content for v in c]
    return True


@dataclass(frozen=True, eq=False)
class Powers:
    """What became of ``M^n`` on a subspace.

    Parameters
    ----------
    converges : bool
    reason : str
    bounded : bool
        Whether the powers are proved to be bounded.
    basis : (d, k) rational matrix
        The subspace.
    limit : (k, k) rational matrix or None
        ``lim M^n`` in coordinates of the basis.
    """

    converges: bool
    reason: str
    bounded: bool
    basis: Any
    limit: Any | None

    def applied(self, start: Any) -> Any:
        """``lim M^n start``, for a start in the subspace.

        Raises
        ------
        DomainError
            If the powers do not converge.
        """
        import flint

        places = pivots(self.basis)
        rows, cols = len(places), start.ncols()
        inside = flint.fmpq_mat(rows, cols, [start[p, j] for p in places for j in range(cols)])
        if self.limit is None:
            raise DomainError(f"these powers have no limit: {self.reason}")
        return self.basis * (self.limit * inside)


def powers(m: Any, start: Any | None = None) -> Powers:
    """Decide whether ``M^n`` converges on the range of ``start`` (the whole space by default), exactly.

    Parameters
    ----------
    m : (d, d) rational matrix
    start : (d, k) rational matrix or None

    Examples
    --------
    >>> import flint
    >>> powers(flint.fmpq_mat(1, 1, [-1])).reason
    'it has the eigenvalue -1, not inside the unit disc and not 1'
    >>> print(powers(flint.fmpq_mat(2, 2, [1, 0, flint.fmpq(1, 2), flint.fmpq(1, 2)])).limit)
    [1, 0]
    [1, 0]
    """
    import flint

    basis = invariant_hull(m, identity_matrix(m.nrows()) if start is None else start)
    k = basis.ncols()
    if k == 0:
        return Powers(True, "the start is zero", True, basis, flint.fmpq_mat(0, 0))
    a = restricted(m, basis)
    rest, order = a.minpoly(), 0
    one = flint.fmpq_poly([-1, 1])
    while rest(1) == 0:
        rest, order = rest // one, order + 1
    if order > 1:
        return Powers(False, "its eigenvalue 1 is defective: some orbit grows without bound", False, basis, None)
    if not schur_stable(rest):
        return Powers(False, _outside(rest), _on_circle_at_most(rest), basis, None)
    limit = flint.fmpq_mat(k, k) if order == 0 else _evaluate(rest, a) * (1 / rest(1))
    return Powers(
        True, "1 is at most a simple root of its minimal polynomial, the others lie inside", True, basis, limit
    )


def _evaluate(p: Any, a: Any) -> Any:
    out = identity_matrix(a.nrows()) * 0
    for c in reversed(p.coeffs()):
        out = out * a + identity_matrix(a.nrows()) * c
    return out


def _outside(p: Any) -> str:
    """Which root is not in the open disc, in words."""
    found = [(abs(r), r) for r, _ in p.complex_roots()]
    modulus, root = max((t for t in found if not t[0] < 1), key=lambda t: float(t[0].mid()))
    where = "outside of the unit disc" if modulus > 1 else "not inside the unit disc and not 1"
    return f"it has the eigenvalue {_shown(root)}, {where}"


def _on_circle_at_most(p: Any) -> bool:
    """Whether all roots are proved to lie in the closed unit disc, those on the circle being simple.

    A root on the circle is its own reflection ``1 / conj(r)``, so it is a root of ``g = gcd(p, p*)``, whose roots are
    closed under reflection: if the reflection of a root's ball meets no other root's ball, the root is on the circle.
    """
    import flint

    mirror = flint.fmpq_poly(list(reversed(p.coeffs())))
    g = p.gcd(mirror)
    if not schur_stable(p // g) or g.gcd(g.derivative()).degree() > 0:
        return False
    balls = [r for r, _ in g.complex_roots()]
    for k, r in enumerate(balls):
        image = 1 / r.conjugate()
        if not image.is_finite() or any(image.overlaps(s) for j, s in enumerate(balls) if j != k):
            return False
        if not image.overlaps(r):
            return False
    return True


def _shown(root: Any) -> str:
    re, im = float(root.real.mid()), float(root.imag.mid())
    return f"{re:.6g}" if root.imag == 0 or im == 0 else f"{re:.6g} {'+' if im > 0 else '-'} {abs(im):.6g}i"


__all__ = ["Powers", "powers", "schur_stable"]
