"""Scales and ticks of the report's plots: values to positions, linear or logarithmic, with an honest end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def label(value: float) -> str:
    """A tick's value in words as short as possible.

    >>> label(0.25), label(30.0), label(1e6), label(2e-7), label(-0.0)
    ('0.25', '30', '10⁶', '2·10⁻⁷', '0')
    """
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < 1e5:
        return f"{value:.6g}"
    digits, _, power = f"{value:e}".partition("e")
    digits = f"{float(digits):.4g}"
    exponent = str(int(power)).translate(SUPERSCRIPTS)
    return f"10{exponent}" if digits == "1" else f"{digits}·10{exponent}"


@dataclass(frozen=True)
class Scale:
    """Values in ``[low, high]`` drawn between the positions ``start`` (of low) and ``stop``.

    Parameters
    ----------
    low, high : float
        ``low < high``, both finite; for a logarithmic scale both positive.
    start, stop : float
    log : bool

    Examples
    --------
    >>> s = Scale(1.0, 100.0, 0.0, 80.0, log=True)
    >>> s(10.0), s(1e9), s.beyond(1e9), s.beyond(0.0), s.ticks(3)
    (40.0, 80.0, 1, -1, [1.0, 10.0, 100.0])
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The position; values outside (infinite ones too) stand at the nearer end."""
        v = min(max(value, self.low), self.high)
        part = (
            math.log(v / self.low) / math.log(self.high / self.low)
            if self.log
            else (v - self.low) / (self.high - self.low)
        )
        return self.start + part * (self.stop - self.start)

    def beyond(self, value: float) -> int:
        """1 above the scale, -1 below it, 0 on it (rounding of the ends is forgiven)."""
        slack = 1e-9 * (abs(self.high) if self.log else self.high - self.low)
        low = self.low * (1 - 1e-9) if self.log else self.low - slack
        return 1 if value > self.high + slack else -1 if value < low else 0

    def ticks(self, most: int) -> list[float]:
        """At most ``most`` round values on the scale."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most - 1, 1)
    base = 10.0 ** math.floor(math.log10(rough))
    for step in (m * base * s for s in (1, 10) for m in (1, 2, 2.5, 5)):
        first = math.ceil(low / step - 1e-9)
        count = math.floor(high / step + 1e-9) - first + 1
        if count <= most:
            return [round((first + i) * step, 12 - math.floor(math.log10(step))) for i in range(count)]
    return []


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten, every few of them where there are many; 1, 2, 5 or a linear grid within one or two decades."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = [10.0**k for k in range(first, last + 1)]
    if len(decades) > most:
        every = math.ceil(len(decades) / most)
        return [10.0**k for k in range(first, last + 1) if k % every == 0]
    for factors in ((1, 2, 5), (1, 3)):
        found = [
            v
            for k, m in itertools.product(range(first - 1, last + 1), factors)
            if low * (1 - 1e-9) <= (v := float(f"{m}e{k}")) <= high * (1 + 1e-9)
        ]
        if len(decades) < 3 <= len(found) <= most:
            return found
    return decades if len(decades) > 1 else _linear_ticks(low, high, most)


def round_range(low: float, high: float, start: float, stop: float) -> Scale:
    """A logarithmic scale that holds ``[low, high]``, its ends at the next of 1, 2, 5 times powers of ten."""
    return Scale(_step_down(low), _step_up(high), start, stop, log=True)


def _steps(value: float) -> Sequence[float]:
    k = math.floor(math.log10(value))
    return [float(f"{m}e{e}") for e in (k - 1, k, k + 1) for m in (1, 2, 5)]


def _step_down(value: float) -> float:
    return max(s for s in _steps(value) if s <= value * 0.98)


def _step_up(value: float) -> float:
    return min(s for s in _steps(value) if s >= value * 1.02)


SMALLEST, LARGEST = 1e-290, 1e290
"""Between these a number can stand on a logarithmic scale with round ends."""


def reach(values: Iterable[float], factor: float) -> tuple[float, float] | None:
    """The part of positive values that a logarithmic scale shows: from the least to ``factor`` times the least, or to
    the largest where that is less. None where no value is positive and finite.

    >>> reach([2.0, 8.0, 1e30, float("inf"), 0.0], 1e6), reach([0.0], 10.0)
    ((2.0, 8.0), None)
    """
    found = sorted(v for v in values if SMALLEST < v < LARGEST)
    if not found:
        return None
    return found[0], max(v for v in found if v <= found[0] * factor)


__all__ = ["LARGEST", "SMALLEST", "Scale", "label", "reach", "round_range"]
