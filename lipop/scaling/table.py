"""Measured runs: columns of positive numbers, checked; CSV files with their columns named by the user."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipop.errors import DomainError, MissingData, NonFiniteError, ShapeError
from lipop.scaling.law import ScalingLaw

JUMP = 1e4
"""A gap in a column larger than this factor asks whether units are mixed."""
MOST_ROWS = 10_000_000


@dataclass(frozen=True, eq=False)
class Runs:
    """Checked data for one law.

    Parameters
    ----------
    columns : mapping of str to (n,) array
        By the names of the law's variables.
    target : (n,) array
    remarks : tuple of str
        What looks odd but is no error.
    """

    columns: Mapping[str, np.ndarray]
    target: np.ndarray
    remarks: tuple[str, ...] = ()

    @staticmethod
    def of(law: ScalingLaw, data: Mapping[str, Any], duplicates: bool = False) -> Runs:
        """Check columns against a law.

        Parameters
        ----------
        law : ScalingLaw
        data : mapping
            A column for every variable and for ``law.target``; others are an error.
        duplicates : bool
            Whether rows that agree in every column are kept (they count twice).

        Raises
        ------
        MissingData
            If a column is missing.
        ShapeError
            If columns are not one-dimensional or of different lengths.
        NonFiniteError
            If a number is NaN or infinite.
        DomainError
            If a number is not positive, a column has no place in the law, there are fewer rows than free parameters
            plus two, or rows are duplicates.

        Examples
        --------
        >>> from lipop.scaling.laws import DataLaw
        >>> Runs.of(DataLaw(), {"D": [1, 2, 4, 8, 16], "loss": [2, 1.7, 1.5, 1.4, 1.3]}).size
        5
        """
        names = [v.name for v in law.variables]
        wanted = [*names, law.target]
        missing = [n for n in wanted if n not in data]
        if missing:
            raise MissingData(f"law {law.name!r} needs the columns {', '.join(wanted)}; {missing[0]} is missing")
        strange = [n for n in data if n not in wanted]
        if strange:
            raise DomainError(f"law {law.name!r} has no column {strange[0]!r}; its columns are {', '.join(wanted)}")
        columns = {n: _column(n, data[n]) for n in wanted}
        sizes = {n: c.size for n, c in columns.items()}
        if len(set(sizes.values())) > 1:
            raise ShapeError(f"columns have different lengths: {sizes}")
        count, needed = columns[law.target].size, len(law.parameters) + 2
        if count < needed:
            raise DomainError(
                f"law {law.name!r} has {len(law.parameters)} free parameters and needs at least {needed} rows, "
                f"found {count}; fix parameters with law.fix or give more runs"
            )
        if not duplicates:
            _no_duplicates(columns)
        target = columns.pop(law.target)
        remarks = tuple(r for n, c in columns.items() for r in _jumps(n, c))
        return Runs(columns, target, remarks)

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.target.size

    @property
    def x(self) -> np.ndarray:
        """Logarithms of the variables, (v, n)."""
        return np.log(np.stack(list(self.columns.values())))

    @property
    def y(self) -> np.ndarray:
        """Logarithms of the target, (n,)."""
        return np.log(self.target)

    def take(self, rows: np.ndarray) -> Runs:
        """Some of the rows."""
        return Runs({n: c[rows] for n, c in self.columns.items()}, self.target[rows], self.remarks)

    def middle(self) -> dict[str, float]:
        """The geometric mean of every variable."""
        return {n: float(np.exp(np.log(c).mean())) for n, c in self.columns.items()}


def _column(name: str, values: Any) -> np.ndarray:
    try:
        column = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DomainError(f"column {name} holds something that is no number") from None
    if column.ndim != 1:
        raise ShapeError(f"column {name} must be one-dimensional, found shape {column.shape}")
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        raise NonFiniteError(f"column {name}, row {bad[0] + 1}: {column[bad[0]]} is not finite; leave such runs out")
    bad = np.flatnonzero(column <= 0)
    if bad.size:
        raise DomainError(f"column {name}, row {bad[0] + 1}: {column[bad[0]]:g} is not positive")
    return column


def _no_duplicates(columns: Mapping[str, np.ndarray]) -> None:
    rows = np.stack(list(columns.values()), axis=1)
    _, first, count = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        at = int(first[int(np.argmax(count > 1))])
        again = int(np.flatnonzero((rows == rows[at]).all(axis=1))[1])
        raise DomainError(
            f"rows {at + 1} and {again + 1} are the same in every column ({int((count - 1).sum())} such rows); "
            "remove them, or say duplicates=True if they are runs of their own"
        )


def _jumps(name: str, column: np.ndarray) -> list[str]:
    """A remark where neighbours in size are far apart."""
    ordered = np.sort(column)
    ratio = ordered[1:] / ordered[:-1]
    at = int(np.argmax(ratio))
    if ratio[at] < JUMP:
        return []
    return [f"{name} jumps from {ordered[at]:.4g} to {ordered[at + 1]:.4g} with nothing between: are its units mixed?"]


# ---- files ----


def read_csv(path: Path, mapping: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Read columns of a CSV file.

    Parameters
    ----------
    path : Path
        UTF-8, comma-separated, its first line the names of its columns.
    mapping : mapping
        ``{ours: theirs}``: which of the file's columns is which variable. Nothing is guessed, no unit is converted.

    Raises
    ------
    MissingData
        If the file has no such column.
    DomainError
        If the file is empty, not UTF-8, has two columns of one name, a row of another length, or a cell that is no
        plain number; the message names line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            lines = csv.reader(f, strict=True)
            header = [name.strip() for name in next(lines, [])]
            if not header:
                raise DomainError(f"{path}: empty; a CSV file with a first line of column names is expected")
            places = {ours: _place(path, header, theirs) for ours, theirs in mapping.items()}
            out: dict[str, list[float]] = {ours: [] for ours in mapping}
            for row in lines:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    raise DomainError(
                        f"{path}, line {lines.line_num}: {len(row)} cells, but the file has {len(header)} columns"
                    )
                for ours, place in places.items():
                    out[ours].append(_number(row[place], f"{path}, line {lines.line_num}, column {header[place]!r}"))
                if lines.line_num > MOST_ROWS:
                    raise DomainError(f"{path}: more than {MOST_ROWS} lines")
    except UnicodeDecodeError as e:
        raise DomainError(f"{path}: not UTF-8 text (byte {e.start})") from None
    except csv.Error as e:
        raise DomainError(f"{path}: not a CSV file ({e})") from None
    return {ours: np.array(column) for ours, column in out.items()}


def _place(path: Path, header: list[str], name: str) -> int:
    found = [i for i, column in enumerate(header) if column == name]
    if not found:
        raise MissingData(f"{path}: no column {name!r}; its columns are {', '.join(map(repr, header))}")
    if len(found) > 1:
        raise DomainError(f"{path}: {len(found)} columns are named {name!r}")
    return found[0]


def _number(cell: str, where: str) -> float:
    text = cell.strip()
    try:
        if not text.isascii() or "_" in text:
            raise ValueError
        value = float(text)
    except ValueError:
        raise DomainError(
            f"{where}: {cell[:40]!r} is no plain number (write 1.2e9, not 1.2B or 1,200,000,000)"
        ) from None
    if not math.isfinite(value):
        raise NonFiniteError(f"{where}: {cell[:40]!r} is not finite; leave such runs out")
    return value


__all__ = ["Runs", "read_csv"]
