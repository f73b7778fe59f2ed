"""Upper bounds that are decided by exact elimination."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._common import checked_slack
from lipop_kernels.ref._exact import at_most, bisected, finite, fraction, norm_at_most, sum_up, symmetric_part


def spectral_norm_upper(
    A: Any, rtol: float = 1e-3, error: float = 0.0, *, dtype: str | None = None, start: float | None = None
) -> float:
    """A float at least ``|A|_2 + error``: bisection on whether ``s^2 I - A^T A`` is semidefinite, in rationals.

    Parameters, result and exceptions as in ``lipop_kernels.spectral_norm_upper``; ``start`` is not needed and is
    ignored.

    Examples
    --------
    >>> spectral_norm_upper(np.diag([3.0, 4.0]), rtol=1e-17)
    4.0
    """
    values = finite(A, dtype)
    checked_slack(rtol, error)
    if start is not None and not (start >= 0 and math.isfinite(start)):
        raise ValueError(f"start is {start!r}; expected an estimate of the norm: a finite number >= 0")
    peak = float(np.abs(values).max())
    if peak == 0.0:
        return float(error)
    cap = min(peak * math.sqrt(values.size), 1.7976931348623157e308)
    return sum_up(bisected(lambda s: norm_at_most(values, s), peak / 2, cap, rtol, peak), error)


def symmetric_max(S: Any, rtol: float = 1e-3, error: float = 0.0) -> float:
    """A float at least ``lambda_max((S + S^T) / 2) + error``, by bisection in rationals.

    Parameters, result and exceptions as in ``lipop_kernels.symmetric_max``.

    Examples
    --------
    >>> symmetric_max(np.array([[-2.0, 1.0], [-1.0, -3.0]]), rtol=1e-17)
    -2.0
    """
    values = finite(S)
    if values.shape[0] != values.shape[1]:
        raise ValueError(f"S has shape {values.shape}; expected a square matrix")
    checked_slack(rtol, error)
    H = symmetric_part(values)
    peak = max(abs(float(h.p) / float(h.q)) if h else 0.0 for h in (max(row, key=abs) for row in H))
    if peak == 0.0:
        return float(error)
    reach = peak * len(H)
    return sum_up(bisected(lambda s: at_most(H, fraction(s)), -reach, reach, rtol, peak), error)
