"""Rounding in a chosen direction: floats from balls, and the constants of the standard error model.

The standard model (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.2): ``fl(a op b) = (a op
b)(1 + d)``, ``|d| <= u = 2**-53``; k such steps in a row cost at most ``gamma(k) = k u / (1 - k u)``. Elementary
functions (exp, erf, tanh, log1p) are taken to be within ``ELEMENTARY`` units in the last place; a test compares them
with ball arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

UNIT = 2.0**-53
ELEMENTARY = 16  # units in the last place allowed to NumPy's and SciPy's elementary functions
TINY = 2.0**-1000  # absorbs underflow in error terms
PRECISION = 128  # bits of ball arithmetic in which every rule is evaluated


def gamma(k: float) -> float:
    """``k u / (1 - k u)``, rounded up: the relative cost of k roundings in a row.

    >>> gamma(1) > 2.0**-53
    True
    """
    if k * UNIT >= 0.5:
        raise ValueError(f"gamma({k}): too many operations for the standard error model")
    return math.nextafter(k * UNIT / (1.0 - k * UNIT), math.inf) * (1.0 + 4 * UNIT)


def inflate(x: Any, ops: float) -> Any:
    """An upper bound of a non-negative quantity that was computed with at most ``ops`` roundings in a row.

    Only for expressions built from non-negative numbers by +, *, / (denominators bounded from below) and sqrt: there
    every rounding is a relative error.
    """
    return x * (1.0 + 2.0 * gamma(ops + 2)) + TINY


@contextmanager
def workprec(bits: int = PRECISION) -> Generator[None]:
    """Run a block at the given precision of ball arithmetic (flint's precision is global), and restore it."""
    import flint

    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def float_up(x: Any) -> float:
    """The smallest float64 not below the ball ``x`` (infinity where the ball is not finite).

    >>> import flint
    >>> float_up(flint.arb(1) / 3) >= flint.arb(1) / 3
    True
    """
    import flint

    if isinstance(x, int | float):
        return float(x)
    if not x.is_finite():
        return math.inf
    top = x.upper()
    value = float(top)
    while not flint.arb(value) >= top:
        value = math.nextafter(value, math.inf)
    return value


def float_down(x: Any) -> float:
    """The largest float64 not above the ball ``x`` (minus infinity where the ball is not finite)."""
    if isinstance(x, int | float):
        return float(x)
    return -float_up(-x)


def grid_up(value: float, bits: int) -> float:
    """Round up to a float with ``bits`` significant bits, a sixteenth of a step of margin added first; grid points
    stay.

    Recomputing the value elsewhere (another BLAS) moves it by far less than the margin, so it stays at or below the
    grid point.

    >>> grid_up(1.0000001, 20) > 1.0000001
    True
    """
    if on_grid(value, bits):
        return value
    mantissa, exponent = math.frexp(value)
    scaled = math.ceil(mantissa * 2.0**bits + 0.0625)
    if scaled > 2**bits:  # carried past a power of two, where the grid is twice as wide
        scaled += scaled % 2
    try:
        return math.ldexp(float(scaled), exponent - bits)
    except OverflowError:
        return math.inf if value > 0 else -math.nextafter(math.inf, 0.0)


def grid_down(value: float, bits: int) -> float:
    """Round down to a float with ``bits`` significant bits, with the same margin."""
    return -grid_up(-value, bits)


def on_grid(value: float, bits: int) -> bool:
    """Whether a float has at most ``bits`` significant bits."""
    if not math.isfinite(value) or value == 0.0:
        return True
    mantissa, _ = math.frexp(value)
    return float(mantissa * 2.0**bits).is_integer()


def dot_up(x: np.ndarray) -> float:
    """An upper bound of the l2 norm of an array of float64."""
    scale = float(np.abs(x).max(initial=0.0))
    if scale == 0.0 or not math.isfinite(scale):
        return scale
    y = np.ascontiguousarray(x, dtype=np.float64).ravel() / scale
    return float(inflate(scale * math.sqrt(float(y @ y)), y.size + 4))
