"""Tests of Gaussianity with unknown mean and variance, and Holm's correction for testing many times.

Both statistics are computed from standardised samples, so their law under Gaussianity does not depend on mean and
variance: it is simulated, and ``(1 + #{simulated >= observed}) / (1 + simulated)`` is at most a level with at most that
probability, the simulation being part of the draw (Lilliefors 1967 for Kolmogorov-Smirnov; Szekely and Rizzo 2005 for
the energy distance ``2 E|y - Z| - E|Z - Z'| - E|y - y'|``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from lipop.errors import DomainError, NonFiniteError, ShapeError

SIMULATED = 9999
"""Samples under Gaussianity; no probability is below 1 / (SIMULATED + 1)."""


@dataclass(frozen=True)
class Normality:
    """One test.

    Attributes
    ----------
    kind : str
        ``ks`` or ``energy``.
    layer, size, direction : int
        What was tested.
    statistic, probability : float
        The probability of as large a statistic under Gaussianity.
    adjusted : float
        Holm's: rejecting where it is at most a level keeps the probability of any false rejection below the level.
    """

    kind: str
    layer: int
    size: int
    direction: int
    statistic: float
    probability: float
    adjusted: float = 1.0

    def describe(self) -> dict[str, Any]:
        """JSON."""
        return dict(vars(self))


def statistics(samples: np.ndarray) -> dict[str, np.ndarray]:
    """Kolmogorov-Smirnov's and the energy statistic of standardised samples.

    Parameters
    ----------
    samples : (..., r) array
        r >= 4 numbers each, not all equal.

    Returns
    -------
    dict
        ``ks`` and ``energy``, (...,) arrays.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError
    """
    from scipy.special import ndtr

    x = np.asarray(samples, dtype=np.float64)
    if x.ndim < 1 or x.shape[-1] < 4:
        raise ShapeError(f"a sample has at least 4 numbers, found shape {x.shape}")
    if not bool(np.isfinite(x).all()):
        raise NonFiniteError("a sample holds a number that is not finite")
    r = x.shape[-1]
    spread = x.std(axis=-1, ddof=1, keepdims=True)
    if bool((spread <= 0).any()):
        raise DomainError("all numbers of a sample are equal")
    z = np.sort((x - x.mean(axis=-1, keepdims=True)) / spread, axis=-1)
    u, steps = ndtr(z), np.arange(r + 1) / r
    ks = np.maximum((steps[1:] - u).max(axis=-1), (u - steps[:-1]).max(axis=-1))
    to_normal = (z * (2 * u - 1) + 2 * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)).mean(axis=-1)  # E|z - Z|
    among = 2 * (z * (2 * np.arange(1, r + 1) - r - 1)).sum(axis=-1) / r**2
    return {"ks": ks, "energy": r * (2 * to_normal - 2 / np.sqrt(np.pi) - among)}


@lru_cache(maxsize=8)
def _null(r: int) -> dict[str, np.ndarray]:
    """The statistics of SIMULATED Gaussian samples of r numbers, sorted."""
    rng = np.random.default_rng([20241216, r])
    parts = [statistics(rng.standard_normal((n, r))) for n in (SIMULATED // 3,) * 3]
    return {kind: np.sort(np.concatenate([p[kind] for p in parts])) for kind in ("ks", "energy")}


def normality(sample: np.ndarray, layer: int = 0, size: int = 0, direction: int = 0) -> tuple[Normality, Normality]:
    """Both tests of one sample.

    Parameters
    ----------
    sample : (r,) array
    layer, size, direction : int
        Kept in the answer.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [t.probability < 0.001 for t in normality(rng.exponential(size=200))]
    [True, True]
    """
    x = np.asarray(sample, dtype=np.float64)
    if x.ndim != 1:
        raise ShapeError(f"one sample is needed, shape (r,), found {x.shape}")
    found, null = statistics(x), _null(len(x))

    def test(kind: str) -> Normality:
        value = float(found[kind])
        larger = SIMULATED - int(np.searchsorted(null[kind], value, side="left"))
        return Normality(kind, layer, size, direction, value, (1 + larger) / (1 + SIMULATED))

    return test("ks"), test("energy")


def holm(tests: Sequence[Normality]) -> tuple[Normality, ...]:
    """The tests with Holm's adjusted probabilities (Holm 1979), in the order given; valid whatever their dependence.

    Examples
    --------
    >>> [t.adjusted for t in holm([Normality("ks", 0, 0, k, 0.0, p) for k, p in enumerate((0.5, 0.01, 0.25))])]
    [0.5, 0.03, 0.5]
    """
    order = sorted(range(len(tests)), key=lambda k: tests[k].probability)
    adjusted, largest = list(tests), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(tests) - rank) * tests[k].probability))
        adjusted[k] = replace(tests[k], adjusted=largest)
    return tuple(adjusted)


__all__ = ["SIMULATED", "Normality", "holm", "normality", "statistics"]
