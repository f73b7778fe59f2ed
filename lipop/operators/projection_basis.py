"""Orthonormal bases of the range of a stored matrix, exact but for a stated error, however ill-conditioned it is.

The range of M is that of ``B = M S`` for every invertible S. QR factors in float64 propose S, ball arithmetic forms B,
and Newton and Schulz's iteration ``S <- S (3 I - B^T B) / 2`` makes it orthonormal to far beyond float64. Then ``P = B
(B^T B)^{-1} B^T`` is the orthogonal projection, and ``|B B^T - P| = |B^T B - I|``. Rank is decided by elimination over
the integers (floats are dyadic fractions) where the numbers alone do not show that it is full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.rounding import float_up, workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError

BITS = 320  # of ball arithmetic: room for condition numbers up to about 1e60
_TARGET = 2.0**-90  # how far B^T B may be from I


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthonormal basis of the range of a stored (n, m) matrix.

    Parameters
    ----------
    columns : (n, k) array
        float64.
    exact : arb_mat or None
        ``B = M S``: columns of the very range, orthonormal to within 2^-90 (None for the zero space).
    change : arb_mat or None
        S.
    pivots : tuple of int
        The columns of M that were taken: k independent ones.
    error : float
        Bound of ``|columns columns^T - P|`` (l2), P the orthogonal projection onto the range.
    drift : float
        Bound of ``|columns - B|_F``.
    """

    columns: np.ndarray
    exact: Any
    change: Any
    pivots: tuple[int, ...]
    error: float
    drift: float

    @property
    def rank(self) -> int:
        """Dimension of the range."""
        return self.columns.shape[1]


def orthonormal(m: np.ndarray, what: str = "the matrix") -> Basis:
    """An orthonormal basis of the range of m.

    Raises
    ------
    ShapeError, NonFiniteError
    DomainError
        If the condition number is beyond the precision.

    Examples
    --------
    >>> b = orthonormal(np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-40]]))
    >>> b.rank, b.error < 1e-15
    (2, True)
    >>> orthonormal(np.ones((3, 2))).rank
    1
    """
    m = _matrix(m, what)
    if m.shape[1] == 0:
        return _zero(len(m))
    kept = tuple(range(m.shape[1]))
    with workprec(BITS):
        found = _orthonormal(balls(m))
        if found is None:
            kept = independent(m)
            if not kept:
                return _zero(len(m))
            found = _orthonormal(balls(m[:, kept]))
        return _rounded(found, kept, what)


def common(bases: Sequence[Basis], matrices: Sequence[np.ndarray]) -> Basis:
    """An orthonormal basis of the intersection of the ranges of stored matrices, its dimension decided exactly.

    Examples
    --------
    >>> a, b = np.eye(3)[:, :2], np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> np.abs(common([orthonormal(a), orthonormal(b)], [a, b]).columns).round(3).tolist()
    [[0.707], [0.707], [0.0]]
    """
    import flint

    n = len(matrices[0])
    kept = [integers(np.asarray(m)[:, list(b.pivots)]) for b, m in zip(bases, matrices, strict=True) if b.rank]
    if len(kept) < len(bases):
        return _zero(n)
    shared = kept[0]
    for other in kept[1:]:
        k = shared.ncols()
        both = flint.fmpz_mat(n, k + other.ncols(), [v for i in range(n) for m in (shared, other) for v in _row(m, i)])
        null, size = both.nullspace()
        if size == 0:
            return _zero(n)
        shared = _primitive(shared * flint.fmpz_mat(k, size, [null[i, j] for i in range(k) for j in range(size)]))
    with workprec(BITS):
        found = _orthonormal(flint.arb_mat(shared))
        return _rounded(found, tuple(range(shared.ncols())), "the intersection")


def _row(m: Any, i: int) -> list[Any]:
    return [m[i, j] for j in range(m.ncols())]


def _primitive(m: Any) -> Any:
    """Every column divided by the common factor of its entries."""
    import flint

    rows, cols = m.nrows(), m.ncols()
    factors = [math.gcd(*(int(m[i, j]) for i in range(rows))) for j in range(cols)]
    return flint.fmpz_mat(rows, cols, [int(m[i, j]) // factors[j] for i in range(rows) for j in range(cols)])


def _rounded(found: tuple[Any, Any, Any] | None, kept: tuple[int, ...], what: str) -> Basis:
    if found is None:
        raise DomainError(
            f"the columns of {what} are independent, but by less than {BITS} bits can tell: change the basis"
        )
    b, s, defect = found
    columns = floats(b)
    drift = frobenius(b - balls(columns))
    # |V V^T - P| <= |V - B| (|V| + |B|) + |B B^T - P|, |B| and |V| at most 1 + 2^-50
    error = float_up(drift * (2 + drift) * (1 + defect) + defect)
    columns.flags.writeable = False
    return Basis(columns, b, s, kept, error, float_up(drift))


def independent(m: np.ndarray) -> tuple[int, ...]:
    """Columns of a stored matrix that are a basis of its range, by elimination over the integers.

    >>> independent(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0]]))
    (0, 2)
    """
    reduced, _, rank = integers(m).rref()
    pivots: list[int] = []
    column = 0
    for row in range(rank):
        while reduced[row, column] == 0:
            column += 1
        pivots.append(column)
        column += 1
    return tuple(pivots)


def integers(m: np.ndarray) -> Any:
    """The matrix with every column scaled by a power of two to integers, exactly."""
    import flint

    rows, cols = m.shape
    entries = [[float(v).as_integer_ratio() for v in m[:, j]] for j in range(cols)]
    top = [max(q for _, q in column) for column in entries]
    return flint.fmpz_mat(
        rows, cols, [p * (top[j] // q) for i in range(rows) for j in range(cols) for p, q in [entries[j][i]]]
    )


def balls(a: np.ndarray) -> Any:
    """A float matrix as an arb matrix."""
    import flint

    return flint.arb_mat(a.shape[0], a.shape[1], [flint.arb(float(v)) for v in a.ravel()])


def floats(a: Any) -> np.ndarray:
    """The midpoints of an arb matrix, rounded to float64."""
    return np.array([float(v.mid()) for v in a.entries()], dtype=np.float64).reshape(a.nrows(), a.ncols())


def frobenius(a: Any) -> Any:
    """The Frobenius norm of an arb matrix, as a ball."""
    import flint

    return flint.arb(sum((v * v for v in a.entries()), start=flint.arb(0)).upper()).sqrt()


def _orthonormal(exact: Any) -> tuple[Any, Any, Any] | None:
    """B, S and a ball that bounds ``|B^T B - I|``; None if the columns look dependent."""
    s = _scales(exact)
    for _ in range(5):
        b = (exact * s).mid()
        x = floats(b)
        size = np.sqrt((x * x).sum(axis=0))
        if not bool((size > 0).all()) or not bool(np.isfinite(size).all()):
            return None
        r = np.linalg.qr(x / size, mode="r")
        if float(np.abs(np.diag(r)).min()) == 0.0:
            return None
        inverse = np.linalg.solve(r, np.eye(len(r))) if len(r) else r
        if not np.isfinite(inverse).all():
            return None
        s = (s * balls(np.diag(1 / size) @ inverse)).mid()
        found = _polish(exact, s)
        if found is not None:
            return found
    return None


def _scales(m: Any) -> Any:
    """A diagonal matrix of powers of two that brings every column's entries to at most 1."""
    import flint

    k = m.ncols()
    tops = [max((man.bit_length() + exp for man, exp in _parts(m, j)), default=0) for j in range(k)]
    return flint.arb_mat(k, k, [flint.arb(2) ** -int(tops[j]) if i == j else 0 for i in range(k) for j in range(k)])


def _parts(m: Any, j: int) -> list[tuple[int, int]]:
    pairs = [m[i, j].mid().man_exp() for i in range(m.nrows())]
    return [(abs(int(man)), int(exp)) for man, exp in pairs if man != 0]


def _polish(exact: Any, s: Any) -> tuple[Any, Any, Any] | None:
    """Newton and Schulz from a basis that is nearly orthonormal; None if it is not."""
    k = s.ncols()
    one = balls(np.eye(k))
    for _ in range(12):
        b = exact * s
        gram = b.transpose() * b
        defect = frobenius(gram - one)
        if not defect < 0.5:
            return None
        if defect < _TARGET:
            return b, s, defect
        s = (s * (3 * one - gram) / 2).mid()
    return None


def _zero(n: int) -> Basis:
    return Basis(np.zeros((n, 0)), None, None, (), 0.0, 0.0)


def _matrix(m: Any, what: str) -> np.ndarray:
    m = np.asarray(m, dtype=np.float64)
    if m.ndim != 2 or m.shape[0] == 0:
        raise ShapeError(f"{what} must be an (n, k) array, found shape {m.shape}")
    if not np.isfinite(m).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(m))[0])
        raise NonFiniteError(f"{what} holds {m[at]} at index {at}; every entry must be finite")
    return m


__all__ = ["BITS", "Basis", "balls", "common", "floats", "frobenius", "independent", "integers", "orthonormal"]
