"""The vectors that a Lanczos run keeps: float64, and float32 where they are very long."""

from __future__ import annotations

from typing import Protocol

import numpy as np

LONG = 2**20
"""Vectors of more entries than this are kept in float32, but for the first."""

COLUMNS = 2**14  # of long vectors at a time


class Basis(Protocol):
    """Vectors v_0, v_1, ..., exact as kept.

    Attributes
    ----------
    limit : int
        How many may come after v_0.
    length : int
        Of the vectors.
    rounding : float
        A bound of what keeping a unit vector changes, in the l2 norm.
    """

    limit: int
    length: int
    rounding: float

    def get(self, i: int) -> np.ndarray:
        """``v_i`` in float64."""
        ...

    def put(self, i: int, v: np.ndarray) -> None:
        """Keep v as ``v_i``."""
        ...

    def dots(self, k: int, w: np.ndarray) -> np.ndarray:
        """The products of w with ``v_0, ..., v_{k-1}``."""
        ...

    def combined(self, s: np.ndarray) -> np.ndarray:
        """``sum_i s_i v_i``."""
        ...

    def gram(self, k: int) -> np.ndarray:
        """The products of ``v_0, ..., v_{k-1}`` among each other."""
        ...


class Rows:
    """Vectors as the rows of a float64 array."""

    rounding = 0.0

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.limit, self.length = rows, len(rows) - 1, rows.shape[1]

    def get(self, i: int) -> np.ndarray:
        return self.rows[i]

    def put(self, i: int, v: np.ndarray) -> None:
        self.rows[i] = v

    def dots(self, k: int, w: np.ndarray) -> np.ndarray:
        return self.rows[:k] @ w

    def combined(self, s: np.ndarray) -> np.ndarray:
        return s @ self.rows[: len(s)]

    def gram(self, k: int) -> np.ndarray:
        return self.rows[:k] @ self.rows[:k].T


class LongRows:
    """Half the memory: v_0, whose distribution matters, in float64, the others in float32, read in strips."""

    rounding = 2.0**-23  # half a unit in the last place of each entry, and what underflows

    def __init__(self, limit: int, length: int) -> None:
        self.limit, self.length = limit, length
        self.first, self.rest = np.empty(0), np.empty((limit, length), dtype=np.float32)

    def get(self, i: int) -> np.ndarray:
        return self.first if i == 0 else self.rest[i - 1].astype(np.float64)

    def put(self, i: int, v: np.ndarray) -> None:
        if i == 0:
            self.first = v
        else:
            self.rest[i - 1] = v

    def _strips(self, k: int):
        for at in range(0, self.length, COLUMNS):
            columns = slice(at, at + COLUMNS)
            strip = np.empty((k, len(self.first[columns])))
            strip[0] = self.first[columns]
            strip[1:] = self.rest[: k - 1, columns]
            yield columns, strip

    def dots(self, k: int, w: np.ndarray) -> np.ndarray:
        return np.sum([strip @ w[columns] for columns, strip in self._strips(k)], axis=0)

    def combined(self, s: np.ndarray) -> np.ndarray:
        out = np.empty(self.length)
        for columns, strip in self._strips(len(s)):
            out[columns] = s @ strip
        return out

    def gram(self, k: int) -> np.ndarray:
        return np.sum([strip @ strip.T for _, strip in self._strips(k)], axis=0)


def basis(limit: int, length: int) -> Basis:
    """Room for v_0 and ``limit`` more vectors of a length."""
    return LongRows(limit, length) if length > LONG else Rows(np.empty((limit + 1, length)))
