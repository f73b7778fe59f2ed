"""The largest singular value from below: the quotient of the top vector of an SVD, rounded down exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels.ref._exact import finite, fraction, fractions


def spectral_norm(
    A: Any, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> tuple[float, np.ndarray, dict[str, Any]]:
    """The largest float s with ``s <= |A v| / |v|`` (decided in rationals), v the top right singular vector of an SVD.

    A matvec object is first written as a matrix. Parameters, result and exceptions as in
    ``lipop_kernels.spectral_norm``; the accuracy is that of the SVD, so ``rng`` and ``maxiter`` change nothing.

    Examples
    --------
    >>> spectral_norm(np.diag([3.0, 4.0]))[0]
    4.0
    """
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}; expected a positive number")
    if maxiter is not None and maxiter < 1:
        raise ValueError(f"maxiter is {maxiter!r}; expected at least 1")
    covered = not (hasattr(A, "matvec") and hasattr(A, "rmatvec"))
    values = finite(A, dtype) if covered else finite(np.stack([A.matvec(e) for e in np.eye(A.shape[1])], axis=1))
    info = {"iterations": 0, "residual": 0.0, "converged": True, "history": [], "rounding_covered": covered}
    peak = float(np.abs(values).max())
    if peak == 0.0:
        return 0.0, np.eye(1, values.shape[1])[0], info
    exponent = math.frexp(peak)[1]
    v = np.linalg.svd(np.ldexp(values, -exponent))[2][0]
    sigma = _quotient_down(values, v)
    return sigma, v, {**info, "history": [sigma]}


def _quotient_down(A: np.ndarray, v: np.ndarray) -> float:
    """The largest float s with ``s^2 |v|^2 <= |A v|^2``, in rationals."""
    x = [fraction(c) for c in v]
    image = [sum((a * b for a, b in zip(row, x, strict=True)), start=0 * x[0]) for row in fractions(A)]
    top, bottom = sum((y * y for y in image), start=0 * x[0]), sum((c * c for c in x), start=0 * x[0])
    peak = float(np.abs(A).max())
    scale = math.frexp(peak)[1]
    s = math.ldexp(float(np.linalg.norm(np.ldexp(A, -scale) @ v)), scale)
    while fraction(s) ** 2 * bottom > top:
        s = math.nextafter(s, 0.0)
    while fraction(math.nextafter(s, math.inf)) ** 2 * bottom <= top:
        s = math.nextafter(s, math.inf)
    return s
