"""The brackets of the survey by their definitions: long double, and exact sums of squares."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from lipop_kernels._common import SurveyBound
from lipop_kernels.ref._exact import finite
from lipop_kernels.ref.probable import spectral_norm_probable


def survey_norm(
    A: Any,
    delta: float = 1e-9,
    rtol: float = 1e-2,
    *,
    rng: Any = 0,
    dtype: str | None = None,
    steps: int | None = None,
    max_steps: int = 200,
) -> SurveyBound:
    """Brackets of ``|A|_2`` and ``|A|_F``; the upper end of the former holds with probability ``1 - delta``.

    Parameters, result and exceptions as in ``lipop_kernels.survey_norm``.

    Examples
    --------
    >>> import numpy as np
    >>> bound = survey_norm(np.diag([1.0, 2.0, 2.0]))
    >>> bound.lower <= 2.0 <= bound.upper <= 2.02, bound.frobenius_lower <= 3.0 <= bound.frobenius_upper
    (True, True)
    """
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    b = spectral_norm_probable(A, delta, rtol, rng=rng, dtype=dtype, steps=steps, max_steps=max_steps)
    square = sum((Fraction(float(a)) ** 2 for a in finite(A, dtype).ravel()), Fraction(0))
    low, high = _root(square)
    return SurveyBound(b.lower, b.upper, b.vector, b.steps, b.steps, b.alphas, b.betas, low, high)


def _root(square: Fraction) -> tuple[float, float]:
    """Two floats around the square root of an exact number."""
    low = high = math.sqrt(square)
    while Fraction(low) ** 2 > square:
        low = math.nextafter(low, 0.0)
    while Fraction(high) ** 2 < square:
        high = math.nextafter(high, math.inf)
    return low, high
