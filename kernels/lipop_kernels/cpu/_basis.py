"""The vectors that a Lanczos run keeps: in memory, and in a file where they are very long."""

from __future__ import annotations

from tempfile import TemporaryFile, gettempdir
from typing import Protocol
from weakref import finalize

import numpy as np

LONG = 2**20
"""Vectors of more entries than this lie in a file, in float32, but for the first."""

COLUMNS = 2**16  # of long vectors at a time


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
    """Little memory: v_0, whose distribution matters, in float64; the others in float32 in a temporary file without a
    name, read in strips."""

    rounding = 2.0**-23  # half a unit in the last place of each entry, and what underflows

    def __init__(self, limit: int, length: int) -> None:
        self.limit, self.length = limit, length
        self.first, self._file = np.empty(0), TemporaryFile(prefix="lanczos-")  # noqa: SIM115  # closed with the object
        finalize(self, self._file.close)

    def get(self, i: int) -> np.ndarray:
        if i == 0:
            return self.first
        out = np.empty(self.length)
        for at in range(0, self.length, COLUMNS):
            out[at : at + COLUMNS] = self._read(i, slice(at, min(at + COLUMNS, self.length)))
        return out

    def put(self, i: int, v: np.ndarray) -> None:
        if i == 0:
            self.first = v
            return
        self._file.seek(4 * (i - 1) * self.length)
        try:
            for at in range(0, self.length, COLUMNS):
                self._file.write(v[at : at + COLUMNS].astype(np.float32).tobytes())
            self._file.flush()
        except OSError as e:
            room = 4 * self.limit * self.length >> 20
            where = f"{gettempdir()} needs {room} MB for Lanczos vectors (TMPDIR names another folder)"
            raise OSError(e.errno, f"{where}: {e.strerror}") from e

    def _read(self, i: int, columns: slice) -> np.ndarray:
        self._file.seek(4 * ((i - 1) * self.length + columns.start))
        return np.frombuffer(self._file.read(4 * (columns.stop - columns.start)), dtype=np.float32)

    def _strips(self, k: int):
        for at in range(0, self.length, COLUMNS):
            columns = slice(at, min(at + COLUMNS, self.length))
            strip = np.empty((k, columns.stop - at))
            strip[0] = self.first[columns]
            for i in range(1, k):
                strip[i] = self._read(i, columns)
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
