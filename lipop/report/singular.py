"""Some singular values of every weight, for plots: plain float64 estimates, never bounds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lipop.core.matrices import Explicit
from lipop.core.parallel import each
from lipop.errors import ReportError
from lipop.report.numbers import read

MOST = 64  # values kept of one spectrum
SMALL = 640  # up to this smaller side by SVD, above it from the Gram matrix
BUDGET = 8e10  # work spent on one block, about ten seconds on two cores; what does not fit is left out
SAME = 1e-6  # agreement asked of a stated spectrum, relative to its largest value


def work(shape: Sequence[int]) -> float:
    """What the singular values of a matrix cost: the eigenvalues of its Gram matrix, and a quarter for the product."""
    small, large = sorted(shape)
    return float(small) ** 2 * (small + large / 4)


def singular_values(a: np.ndarray) -> np.ndarray | None:
    """All singular values in falling order.

    What lies in the noise of rounding (``1e-13`` times the largest value; ``1e-7`` where the Gram matrix is used, at
    sides of a thousand) is given as zero. None where the matrix is left out: without entries, not finite, or dearer
    than a whole block may be (:data:`BUDGET`).

    >>> singular_values(np.diag([3.0, 0.0, 4.0])).tolist()
    [4.0, 3.0, 0.0]
    """
    small = min(a.shape)
    if small == 0 or work(a.shape) > BUDGET:
        return None
    scale = float(np.abs(a).max())
    if not 0 < scale < np.inf:
        return np.zeros(small) if scale == 0 else None
    a = np.asarray(a, dtype=np.float64) / scale  # no square overflows or vanishes
    if small <= SMALL:
        found, noise = np.linalg.svd(a, compute_uv=False), np.finfo(float).eps * max(a.shape)
    else:
        gram = a @ a.T if a.shape[0] <= a.shape[1] else a.T @ a
        found, noise = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)), (np.finfo(float).eps * small) ** 0.5
    found = np.where(found > noise * found[0], found, 0.0) * scale
    return found if bool(np.isfinite(found).all()) else None


def spectrum_of(matrix: Explicit) -> np.ndarray | None:
    """All singular values of a matrix or a product, as :func:`singular_values` gives them."""
    found = singular_values(matrix.compact)
    return None if found is None else np.pad(found, (0, min(matrix.shape) - len(found)))


def chosen(values: np.ndarray) -> list[int]:
    """The indices kept of a spectrum: at most :data:`MOST`, even among the values that are not zero, and the last.

    >>> chosen(np.array([3.0, 2.0, 0.0, 0.0, 0.0]))
    [0, 1, 4]
    """
    last = len(values) - 1
    rank = max(int(np.count_nonzero(values)), 1)
    most = MOST if rank == len(values) else MOST - 1
    return sorted({*(round(i) for i in np.linspace(0, rank - 1, min(most, rank))), last})


def with_spectra(weights: Sequence[dict[str, Any]], matrices: Mapping[str, Explicit]) -> list[dict[str, Any]]:
    """The entries of a block's weights with the fields ``spectrum`` and ``spectrum_index`` added.

    In the order of the weights, as far as :data:`BUDGET` allows. A matrix for which there are no singular values, or
    whose first one is not within the proved bracket (sizes at the limits of float64), keeps its entry as it is.

    Parameters
    ----------
    weights : sequence of dict
        Entries with name, shape and norm.
    matrices : mapping
        Each matrix by its name.
    """
    affordable: set[str] = set()
    spent = 0.0
    for name, matrix in matrices.items():
        if spent + work(matrix.compact.shape) <= BUDGET:
            spent += work(matrix.compact.shape)
            affordable.add(name)

    def one(weight: dict[str, Any]) -> dict[str, Any]:
        values = spectrum_of(matrices[weight["name"]]) if weight["name"] in affordable else None
        if values is None:
            return weight
        kept = chosen(values)
        full = {**weight, "spectrum": [float(values[i]) for i in kept], "spectrum_index": kept}
        return full if _first_fits(full) else weight

    return each(one, weights)


def _first_fits(weight: Mapping[str, Any]) -> bool:
    low, high = read(weight["norm"]["lower"]), read(weight["norm"]["upper"])
    return low * (1 - SAME) <= weight["spectrum"][0] <= high * (1 + SAME)


def check_form(where: str, weight: Mapping[str, Any]) -> None:
    """Refuse a spectrum that cannot be one, or that contradicts the proved bracket of the matrix's norm.

    Raises
    ------
    ReportError
    """
    stated, index = weight["spectrum"], weight["spectrum_index"]
    count = min(weight["shape"])
    if len(stated) != len(index) or any(a >= b for a, b in itertools.pairwise(index)):
        raise ReportError(f"{where}: the indices of the singular values do not rise, one for each")
    if not stated or (index[0], index[-1]) != (0, count - 1):
        raise ReportError(f"{where}: a spectrum holds the first and the last of the {count} singular values")
    if any(not 0 <= b <= a < float("inf") for a, b in itertools.pairwise([stated[0], *stated])):
        raise ReportError(f"{where}: singular values must be finite, not negative, and fall")
    if not _first_fits(weight):
        raise ReportError(f"{where}: the first singular value {stated[0]!r} lies outside the norm's bracket")


def check_values(where: str, weight: Mapping[str, Any], matrix: Explicit) -> None:
    """Refuse a spectrum that the matrix does not have.

    Raises
    ------
    ReportError
    """
    found = spectrum_of(matrix)
    if found is None:
        raise ReportError(f"{where}: the report states singular values of a matrix for which none are computed")
    for i, value in zip(weight["spectrum_index"], weight["spectrum"], strict=True):
        if not abs(value - found[i]) <= SAME * found[0]:
            raise ReportError(
                f"{where}: singular value {i} is stated as {value!r}, the matrix gives {float(found[i])!r}"
            )


__all__ = ["check_form", "check_values", "chosen", "singular_values", "with_spectra"]
