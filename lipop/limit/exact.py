"""Affine maps in exact arithmetic: every stored float is a rational number, so powers and products lose nothing.

A map ``x -> A x + b`` on d numbers is the matrix ``[[A, b], [0, 1]]`` of order d + 1 acting on ``(x, 1)``. Whether the
powers of such a matrix converge on the range of another one is decided here, not estimated.

Source: a rational matrix M has convergent powers if and only if 1 is at most a simple root of its minimal polynomial
and all other roots lie in the open unit disc (Meyer, Matrix Analysis and Applied Linear Algebra, 2000, section 7.10);
the second is decided by the recursion of Schur and Cohn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Power, Relax, Residual, Restriction, Scale, Sum
from lipop.core.composition import Composition
from lipop.core.operator import Operator
from lipop.errors import DomainError
from lipop.operators.linear import Affine, Diagonal, LinearProduct

LARGEST = 24
"""Numbers in a point up to which matrices are taken in exact arithmetic (the cost grows with the fourth power)."""


def rational(x: float) -> Any:
    """A float as the rational number that it is.

    >>> str(rational(0.75))
    '3/4'
    """
    import flint

    return flint.fmpq(*float(x).as_integer_ratio())


def _matrix(a: np.ndarray) -> Any:
    import flint

    rows, cols = a.shape
    return flint.fmpq_mat(rows, cols, [rational(v) for v in np.asarray(a, dtype=np.float64).ravel()])


def _identity(n: int) -> Any:
    import flint

    return flint.fmpq_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])


def homogeneous(op: Operator) -> Any | None:
    """``[[A, b], [0, 1]]`` as a rational matrix, if the operator is affine by its construction and small; None
    otherwise.

    Parameters
    ----------
    op : Operator
        On vectors; sums, compositions, scalings, residuals, relaxations and powers of affine maps count.

    Examples
    --------
    >>> print(homogeneous(0.5 * Affine(np.eye(1), np.ones(1))))
    [1/2, 1/2]
    [  0,   1]
    """
    shape = op.domain.shape
    if len(shape) != 1 or op.codomain.shape != shape or op.domain.width > LARGEST:
        return None
    parts = _affine(op)
    if parts is None:
        return None
    import flint

    a, b = parts
    n = op.domain.width
    entries: list[Any] = []
    for i in range(n):
        entries += [a[i, j] for j in range(n)] + [b[i, 0]]
    return flint.fmpq_mat(n + 1, n + 1, [*entries, *[0] * n, 1])


def homogeneous_of(rows: list[list[Any]]) -> Any:
    """A rational matrix from rows of SymPy rationals."""
    import flint

    values = [flint.fmpq(int(v.p), int(v.q)) for row in rows for v in row]
    return flint.fmpq_mat(len(rows), len(rows[0]), values)


def _affine(op: Operator) -> tuple[Any, Any] | None:
    """The matrix and the offset (a column) of an affine map, as rationals."""
    if not isinstance(op.domain.shape[0], int) or op.domain.width > LARGEST:
        return None
    rows, cols = op.codomain.width, op.domain.width
    import flint

    zero = flint.fmpq_mat(rows, 1)
    if isinstance(op, Affine):
        return _matrix(op.A), zero if op.b is None else _matrix(np.asarray(op.b).reshape(-1, 1))
    if isinstance(op, Diagonal):
        return _matrix(np.diag(np.asarray(op.d, dtype=np.float64))), zero
    if isinstance(op, Identity):
        return _identity(cols), zero
    if isinstance(op, Restriction):
        return _affine(op.inner)
    if isinstance(op, LinearProduct | Composition):
        return _product(op.unfolded)
    if isinstance(op, Power):
        return _product((op.inner,) * op.n) if op.n <= 64 else None
    if isinstance(op, Sum):
        parts = [_affine(t) for t in op.terms]
        return _sum([p for p in parts if p is not None]) if None not in parts else None
    if isinstance(op, Scale | Residual | Relax):
        return _around(op)
    return None


def _around(op: Scale | Residual | Relax) -> tuple[Any, Any] | None:
    inner = _affine(op.branch if isinstance(op, Residual) else op.inner)
    if inner is None:
        return None
    a, b = inner
    if isinstance(op, Scale):
        return a * rational(op.c), b * rational(op.c)
    if isinstance(op, Residual):
        return a + _identity(a.nrows()), b
    alpha = rational(op.alpha)
    return a * alpha + _identity(a.nrows()) * (1 - alpha), b * alpha


def _product(factors: tuple[Operator, ...]) -> tuple[Any, Any] | None:
    out: tuple[Any, Any] | None = None
    for f in reversed(factors):
        step = _affine(f)
        if step is None:
            return None
        out = step if out is None else (step[0] * out[0], step[0] * out[1] + step[1])
    return out


def _sum(parts: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    a, b = parts[0]
    for c, d in parts[1:]:
        a, b = a + c, b + d
    return a, b


# ---- subspaces -----------------------------------------------------------------------------------------------------


def column_basis(m: Any) -> Any:
    """Columns that span the range of a rational matrix, in reduced form (a matrix; no columns for the zero matrix)."""
    import flint

    reduced, rank = m.transpose().rref()
    return flint.fmpq_mat(m.nrows(), rank, [reduced[j, i] for i in range(m.nrows()) for j in range(rank)])


def joined(*blocks: Any) -> Any:
    """Matrices with equally many rows, side by side."""
    import flint

    rows = blocks[0].nrows()
    entries = [b[i, j] for i in range(rows) for b in blocks for j in range(b.ncols())]
    return flint.fmpq_mat(rows, sum(b.ncols() for b in blocks), entries)


def invariant_hull(m: Any, start: Any) -> Any:
    """A basis of the smallest subspace that contains the range of ``start`` and that M maps into itself."""
    basis = column_basis(start)
    while True:
        wider = column_basis(joined(basis, m * basis))
        if wider.ncols() == basis.ncols():
            return basis
        basis = wider


def restricted(m: Any, basis: Any) -> Any:
    """The matrix of M on an invariant subspace, in the coordinates of a basis whose rows hold the identity (as
    :func:`column_basis` gives it)."""
    import flint

    image, pivots = m * basis, _pivots(basis)
    k = basis.ncols()
    return flint.fmpq_mat(k, k, [image[p, j] for p in pivots for j in range(k)])


def _pivots(basis: Any) -> list[int]:
    """For each column of a reduced basis, the row in which it alone has a one."""
    out: list[int] = []
    row = 0
    for j in range(basis.ncols()):
        while basis[row, j] == 0:
            row += 1
        out.append(row)
        row += 1
    return out


# ---- powers --------------------------------------------------------------------------------------------------------


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

        pivots = _pivots(self.basis)
        rows, cols = len(pivots), start.ncols()
        inside = flint.fmpq_mat(rows, cols, [start[p, j] for p in pivots for j in range(cols)])
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

    basis = invariant_hull(m, _identity(m.nrows()) if start is None else start)
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
    out = _identity(a.nrows()) * 0
    for c in reversed(p.coeffs()):
        out = out * a + _identity(a.nrows()) * c
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


__all__ = [
    "LARGEST",
    "Powers",
    "column_basis",
    "homogeneous",
    "homogeneous_of",
    "invariant_hull",
    "joined",
    "powers",
    "rational",
    "restricted",
    "schur_stable",
]
