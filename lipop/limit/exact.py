"""Affine maps in exact arithmetic: every stored float is a rational number, so powers and products lose nothing.

A map ``x -> A x + b`` on d numbers is the matrix ``[[A, b], [0, 1]]`` of order d + 1 acting on ``(x, 1)``. Whether the
powers of such a matrix converge on the range of another one is decided in :mod:`lipop.limit.exact_powers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Power, Relax, Residual, Restriction, Scale, Sum
from lipop.core.composition import Composition
from lipop.core.operator import Operator
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


def identity_matrix(n: int) -> Any:
    """The rational identity matrix of order n."""
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
        return identity_matrix(cols), zero
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
        return a + identity_matrix(a.nrows()), b
    alpha = rational(op.alpha)
    return a * alpha + identity_matrix(a.nrows()) * (1 - alpha), b * alpha


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

    image, rows = m * basis, pivots(basis)
    k = basis.ncols()
    return flint.fmpq_mat(k, k, [image[p, j] for p in rows for j in range(k)])


def pivots(basis: Any) -> list[int]:
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


__all__ = [
    "LARGEST",
    "column_basis",
    "homogeneous",
    "homogeneous_of",
    "invariant_hull",
    "identity_matrix",
    "joined",
    "pivots",
    "rational",
    "restricted",
]
