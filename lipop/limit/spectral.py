"""The l2 norm of a small matrix in ball arithmetic, bracketed to the last bits of float64.

``|A|^2 <= s`` iff ``s I - A^T A`` is positive semidefinite: elimination in balls either finds only positive pivots
(then it is) or meets a negative one (then it is not). Bisection between the two, from LAPACK's guess. Unlike a float64
certificate it tells 1 from 1 - 1e-15, and repeats bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop.core.matrices import Matrix
from lipop.core.rounding import float_down, float_up, grid_down, grid_up
from lipop.operators.projection_basis import balls, floats, frobenius

LARGEST = 64
"""Order up to which elimination is used; beyond, verified Cholesky in float64, to 30 bits."""


def spectral_norm(a: Any, slack: float = 0.0) -> tuple[float, float]:
    """Two floats between which the l2 norm of an arb matrix lies, or of any matrix within ``slack`` of it (Frobenius).

    Call it at the precision in which the matrix was made.

    Examples
    --------
    >>> import flint
    >>> from lipop.core.rounding import workprec
    >>> with workprec(256):
    ...     low, high = spectral_norm(flint.arb_mat([[3, 0], [0, 4]]))
    >>> low <= 4.0 <= high, high - low < 1e-14
    (True, True)
    """
    import flint

    tops = [v.abs_upper().mid().man_exp() for v in a.entries() if not v.is_zero()]
    if not tops:
        return 0.0, slack
    exponent = max(int(man).bit_length() + int(exp) for man, exp in tops)
    scale = flint.arb(2) ** exponent
    near = a * (1 / scale)
    low, high = _squares(near) if min(a.nrows(), a.ncols()) <= LARGEST else _coarse(near)
    top = (high.sqrt() * scale + flint.arb(slack)).upper()
    bottom = (low.sqrt() * scale - flint.arb(slack)).lower()
    return max(0.0, float_down(flint.arb(bottom))), float_up(flint.arb(top))


def _squares(a: Any) -> tuple[Any, Any]:
    """A bracket of ``|a|^2``, entries at most 1."""
    import flint

    gram = a.transpose() * a if a.ncols() <= a.nrows() else a * a.transpose()
    k = gram.nrows()
    rows = [[gram[i, j] for j in range(k)] for i in range(k)]
    guess = float(np.linalg.eigvalsh(floats(gram))[-1])
    low, high, step = flint.arb(0), None, guess * k * 2.0**-50 + 2.0**-1000
    trial = flint.arb(guess) + step
    while high is None:
        side = _definite(rows, trial)
        if side > 0:
            high = trial
        else:
            low, step = (trial if side < 0 else low), 4 * step
            trial = flint.arb(guess) + step
    below = flint.arb(guess) - step
    if below > 0 and _definite(rows, below) < 0:
        low = flint.arb(below.lower())
    for _ in range(40):
        middle = ((low + high) / 2).mid()
        if (high - low) < high * flint.arb(2.0**-62):
            break
        side = _definite(rows, middle)
        if side == 0:
            break
        low, high = (low, middle) if side > 0 else (middle, high)
    return low, high


def _definite(rows: list[list[Any]], s: Any) -> int:
    """1 if ``s I - G`` is positive definite, -1 if it is certainly not semidefinite, 0 where balls are too wide."""
    k = len(rows)
    m = [[(s if i == j else 0) - rows[i][j] for j in range(k)] for i in range(k)]
    for p in range(k):
        pivot = m[p][p]
        if pivot < 0:
            return -1
        if not pivot > 0:
            return 0
        for i in range(p + 1, k):
            factor = m[i][p] / pivot
            for j in range(i, k):
                m[i][j] = m[i][j] - factor * m[p][j]
                m[j][i] = m[i][j]
    return 1


def _coarse(a: Any) -> tuple[Any, Any]:
    """The same from float64, on a grid of 30 bits."""
    import flint

    mid = floats(a)
    matrix = Matrix(mid, float_up(frobenius(a - balls(mid))))
    low = grid_down(matrix._lower(matrix._top(1e-9)), 30)  # pyright: ignore[reportPrivateUsage]
    high = grid_up(matrix._upper(1e-9), 30)  # pyright: ignore[reportPrivateUsage]
    return flint.arb(low) ** 2, flint.arb(high) ** 2


__all__ = ["spectral_norm"]
