"""Exact rational arithmetic on floats: a float64 is a fraction, so definiteness is decided without rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from lipop_kernels._common import decoded, stored


def fractions(A: np.ndarray) -> list[list[Any]]:
    """The entries of a matrix of floats as exact rationals."""
    import flint

    return [[flint.fmpq(*float(a).as_integer_ratio()) for a in row] for row in A]


def fraction(x: float) -> Any:
    """A float as an exact rational."""
    import flint

    return flint.fmpq(*float(x).as_integer_ratio())


def gram(A: np.ndarray) -> list[list[Any]]:
    """``A^T A``, exact."""
    columns = fractions(np.asarray(A).T)
    return [[sum((a * b for a, b in zip(p, q, strict=True)), start=0 * p[0]) for q in columns] for p in columns]


def positive_semidefinite(M: list[list[Any]]) -> bool:
    """Whether a symmetric rational matrix is positive semidefinite: elimination, pivot by pivot."""
    M = [list(row) for row in M]
    n = len(M)
    for k in range(n):
        if M[k][k] < 0 or (M[k][k] == 0 and any(M[k][j] != 0 for j in range(k, n))):
            return False
        if M[k][k] == 0:
            continue
        for i in range(k + 1, n):
            factor = M[i][k] / M[k][k]
            for j in range(k + 1, n):
                M[i][j] -= factor * M[k][j]
    return True


def at_most(M: list[list[Any]], bound: Any) -> bool:
    """Whether the largest eigenvalue of a symmetric rational matrix is at most the rational ``bound``."""
    n = len(M)
    return positive_semidefinite([[bound * (i == j) - M[i][j] for j in range(n)] for i in range(n)])


def norm_at_most(A: np.ndarray, s: float) -> bool:
    """Whether ``|A|_2 <= s``, decided exactly."""
    A = np.asarray(A)
    return s >= 0 and at_most(gram(A if A.shape[0] >= A.shape[1] else A.T), fraction(s) ** 2)


def symmetric_part(S: np.ndarray) -> list[list[Any]]:
    """``(S + S^T) / 2``, exact."""
    F = fractions(S)
    return [[(F[i][j] + F[j][i]) / 2 for j in range(len(F))] for i in range(len(F))]


def bisected(holds: Callable[[float], bool], low: float, high: float, rtol: float, scale: float) -> float:
    """A float where ``holds`` is true, within ``rtol * scale / 2`` of the smallest one (or next to it)."""
    width = max(abs(high - low), scale * 2.0**-40, 5e-324)
    while not holds(high):
        high, width = high + width, 2 * width
        if high == math.inf:
            return high
    while high - low > 0.5 * rtol * scale:
        middle = low + 0.5 * (high - low)
        if middle in (low, high):
            break
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def sum_up(x: float, error: float) -> float:
    """The smallest float not below ``x + error``."""
    total = x + float(error)
    exact = Fraction(x) + Fraction(float(error)) if math.isfinite(x) else None
    return math.nextafter(total, math.inf) if exact is not None and math.isfinite(total) and total < exact else total


def finite(A: Any, dtype: str | None = None) -> np.ndarray:
    """The entries of a stored matrix in float64 (exact); ValueError unless all are finite."""
    values = decoded(*stored(A, dtype)).astype(np.float64)
    if not np.isfinite(values).all():
        where = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"A[{where[0]}, {where[1]}] is {values[tuple(where)]}; expected finite entries")
    return values
