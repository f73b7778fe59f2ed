"""What the kernels of every device share: rounding constants, stored matrices read block by block, result types."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

UNIT = 2.0**-53  # unit roundoff of float64
TINY = 1e-300  # absorbs every underflow where the largest entry is about 1
BLOCK = 2**21  # entries of a block of rows that is read in float64
HALF = ("bf16", "f16")


class LanczosBound(NamedTuple):
    """A bracket from one Lanczos run.

    Attributes
    ----------
    lower : float
        A Rayleigh quotient, rounded down.
    upper : float
        Not below the largest eigenvalue (or norm) with the probability that was asked for.
    vector : array
        The unit vector of the Rayleigh quotient.
    steps : int
        Length of the recurrence.
    alphas, betas : (steps,) arrays
        Its coefficients; ``betas[-1]`` is 0 where the Krylov space became invariant.
    """

    lower: float
    upper: float
    vector: np.ndarray
    steps: int
    alphas: np.ndarray
    betas: np.ndarray


class SurveyBound(NamedTuple):
    """What a survey says about one matrix.

    Attributes
    ----------
    lower, upper : float
        Of ``|A|_2``: a Rayleigh quotient, rounded down; the end that holds with the probability asked for.
    vector : (n,) array
        The unit vector of the Rayleigh quotient.
    steps : int
        Length of the Lanczos recurrence.
    passes : int
        How often A was read.
    alphas, betas : (steps,) arrays
        The coefficients of the recurrence with ``A^T A``; they give a quadrature of its spectral density.
    frobenius_lower, frobenius_upper : float
        Of ``|A|_F``.
    """

    lower: float
    upper: float
    vector: np.ndarray
    steps: int
    passes: int
    alphas: np.ndarray
    betas: np.ndarray
    frobenius_lower: float
    frobenius_upper: float


def gamma(k: float) -> float:
    """``k u / (1 - k u)`` with ``u = 2**-53``, rounded up (Higham 2002, section 3.1)."""
    if k * UNIT >= 0.5:
        raise ValueError(f"{k} operations in a row are too many for the standard error model")
    return math.nextafter(k * UNIT / (1.0 - k * UNIT), math.inf) * (1.0 + 4 * UNIT)


def up(x: Any, ops: int = 4) -> Any:
    """An upper bound of a real number >= 0 (or array) computed as x with at most ``ops`` relative errors u."""
    return x * (1.0 + 2 * (ops + 2) * UNIT)


def down(x: Any, ops: int = 4) -> Any:
    """A lower bound of a real number >= 0 (or array) computed as x with at most ``ops`` relative errors u."""
    return x * (1.0 - 2 * (ops + 2) * UNIT)


def norm_up(x: np.ndarray) -> float:
    """An upper bound of the l2 norm of all entries."""
    root, exponent = _root_of_squares(x)
    return scaled_up(up(root * (1.0 + gamma(x.size + 2))) + 1e-155, exponent)


def norm_down(x: np.ndarray) -> float:
    """A lower bound of the l2 norm of all entries."""
    root, exponent = _root_of_squares(x)
    return scaled_down(max(0.0, down(root * (1.0 - gamma(x.size + 2))) - 1e-155), exponent)


def _root_of_squares(x: np.ndarray) -> tuple[float, int]:
    """(r, e) with ``|x| = r 2**e`` but for rounding and underflow below 1e-155; e is 0 where squares fit."""
    flat = np.ravel(x)
    peak = max(float(flat.max(initial=0.0)), -float(flat.min(initial=0.0)))
    if peak != 0.0 and not 1e-100 < peak < 1e100 and math.isfinite(peak):
        exponent = math.frexp(peak)[1]
        flat = np.ldexp(flat, -exponent)
    else:
        exponent = 0
    return math.sqrt(float(flat @ flat)), exponent


def scaled_up(x: float, exponent: int) -> float:
    """``x * 2**exponent``, rounded up; infinity on overflow."""
    try:
        y = math.ldexp(x, exponent)
    except OverflowError:
        return math.inf if x > 0 else -1.7976931348623157e308
    return y if math.ldexp(y, -exponent) == x else math.nextafter(y, math.inf)


def scaled_down(x: float, exponent: int) -> float:
    """``x * 2**exponent``, rounded down."""
    return -scaled_up(-x, exponent)


def sum_up(x: float, y: float) -> float:
    """``x + y``, rounded up (the rounding error is found exactly, by Knuth's two-sum)."""
    total = x + y
    part = total - x
    rest = (x - (total - part)) + (y - part)
    return math.nextafter(total, math.inf) if rest > 0 else total


def checked_slack(rtol: float, error: Any) -> None:
    """Raise ValueError unless ``rtol`` is positive and every ``error`` is a finite number >= 0."""
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    errors = np.asarray(error, dtype=np.float64)
    if not bool((np.isfinite(errors) & (errors >= 0)).all()):
        raise ValueError(f"error is {error!r}; expected finite numbers >= 0")


def stored(A: Any, dtype: str | None = None) -> tuple[np.ndarray, str]:
    """A matrix as an array, and its storage: ``"f64" | "f32" | "bf16" | "f16"`` (the last two as uint16)."""
    A = np.asarray(A)
    if A.ndim != 2 or 0 in A.shape:
        raise ValueError(f"A has shape {A.shape}; expected a matrix with at least one row and one column")
    if A.dtype == np.float16:
        A, dtype = A.view(np.uint16), "f16" if dtype is None else dtype
    if A.dtype == np.uint16:
        if dtype not in HALF:
            raise ValueError(
                f"a uint16 matrix needs dtype='bf16' or dtype='f16' to say what its bits mean; got {dtype!r}"
            )
        return A, dtype
    kind = {np.dtype(np.float64): "f64", np.dtype(np.float32): "f32"}.get(A.dtype)
    if kind is None:
        raise ValueError(f"A has dtype {A.dtype}; expected float64, float32, or uint16 with dtype='bf16' or 'f16'")
    if dtype not in (None, kind):
        raise ValueError(f"dtype={dtype!r} does not describe an array of {A.dtype}")
    return A, kind


def decoded(A: np.ndarray, kind: str) -> np.ndarray:
    """The values of stored entries: float64 as they are, the rest as float32 (exact)."""
    if kind == "bf16":
        return (A.astype(np.uint32) << 16).view(np.float32)
    if kind == "f16":
        return A.view(np.float16).astype(np.float32)
    return A


def blocks(A: np.ndarray, kind: str) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of A in blocks of float64: pairs (index of the first row, block)."""
    rows = max(1, BLOCK // A.shape[1])
    for i in range(0, A.shape[0], rows):
        yield i, decoded(A[i : i + rows], kind).astype(np.float64, copy=False)


def exponent_of(A: np.ndarray, kind: str) -> int | None:
    """e with ``max |A_ij| = f 2**e``, f in [1/2, 1); None for a zero matrix; ValueError if an entry is not finite."""
    top, rows = 0.0, max(1, BLOCK // A.shape[1])
    for i in range(0, A.shape[0], rows):
        block = decoded(A[i : i + rows], kind)
        peak = max(float(block.max()), -float(block.min()))
        if not math.isfinite(peak):
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise ValueError(f"A[{i + row}, {column}] is {block[row, column]}; expected finite entries")
        top = max(top, peak)
    return math.frexp(top)[1] if top > 0 else None


def rescaled(x: np.ndarray, exponent: int) -> np.ndarray:
    """``x * 2**-exponent`` (exact but for underflow)."""
    if exponent == 0:
        return x
    return x * 2.0**-exponent if abs(exponent) < 1000 else np.ldexp(x, -exponent)


@contextmanager
def workprec(bits: int = 128) -> Iterator[None]:
    """Run a block at the given precision of ball arithmetic (flint's precision is global), and restore it."""
    import flint

    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before
