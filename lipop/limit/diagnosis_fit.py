"""What the measures of a finite stack say together: decay exponents, the evidence class they support, the onset.

Every function here is a deterministic function of the measures, in plain float64 sums, so that whoever has the measures
of a report can compute it again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.limit.diagnosis_measures import Measures, finite

SUMMABLE, CRITICAL, NOT_SUMMABLE = "summable", "critical", "not summable"
THRESHOLDS: Mapping[str, float] = {"step": 1.0, "angle": 1.0, "projection": 1.0, "successive": 2.0}
"""Above which exponent a power law of a measure makes a sum finite: that of steps (theorem 9), of angles (theorem 10),
of deviations from a projection (theorem 1); deviations of neighbours sum up to one power more."""
POINTS = 4
"""A power law is fitted to at least so many layers."""
RESAMPLES = 999
SHARE = 0.025
"""The share of resamples beyond either end of the interval."""
TIE = 1e-9
RESIDUAL = 1e-9
"""A block departs from the composition of its residual maps by rounding only, if by at most this."""


@dataclass(frozen=True)
class Layer:
    """What is known of one layer of a stack.

    Attributes
    ----------
    index : int
        From 0.
    measures : mapping
        See :mod:`lipop.limit.diagnosis_measures`.
    lower, upper : float
        The bracket of ``|DT(x)|``.
    deltas : tuple of float
        Upper ends of the norms ``|DF(x)|`` of its residual branches F, each at its own input.
    input_radius : float
        The least norm of a token of x.
    """

    index: int
    measures: Measures
    lower: float
    upper: float
    deltas: tuple[float, ...]
    input_radius: float

    @property
    def delta(self) -> float | None:
        """``prod (1 + |DF|) - 1`` over the branches, which is at least ``|D(T - I)(x)|`` where T is their
        composition."""
        return math.prod(1.0 + d for d in self.deltas) - 1.0 if self.deltas else None


@dataclass(frozen=True)
class Decay:
    """A power law ``C (i + 1)^-exponent`` fitted to a measure of the layers i, from 0.

    Attributes
    ----------
    exponent : float
        Minus the least-squares slope of the measure's logarithm on that of i + 1.
    low, high : float
        The central 95 % of the exponents of 999 resamples of the layers (percentile bootstrap).
    points : int
        How many layers had a positive value.
    evidence : str
        ``summable`` if the interval lies above the threshold, ``not summable`` if below, ``critical`` if it contains
        it: then the layers do not tell.
    """

    exponent: float
    low: float
    high: float
    points: int
    evidence: str


def fit_decay(indices: Sequence[int], values: Sequence[float | None], threshold: float = 1.0) -> Decay | None:
    """Fit ``C (i + 1)^-s``; None with fewer than four positive values.

    Parameters
    ----------
    indices : sequence of int
        The layers, from 0.
    values : sequence of float or None
        One measure of each.
    threshold : float
        The exponent above which the law counts as summable.

    Examples
    --------
    >>> law = fit_decay(range(8), [3.0 * (i + 1) ** -2.0 for i in range(8)])
    >>> round(law.exponent, 12), law.evidence
    (2.0, 'summable')
    """
    pairs = [(math.log(i + 1), math.log(v)) for i, v in zip(indices, values, strict=True) if v is not None and v > 0]
    slope = _slope(pairs)
    if len(pairs) < POINTS or slope is None:
        return None
    slopes = (_slope([pairs[k] for k in chosen]) for chosen in _resamples(len(pairs)))
    ordered = sorted(-s for s in slopes if s is not None)
    low, high = ordered[int(SHARE * len(ordered))], ordered[len(ordered) - 1 - int(SHARE * len(ordered))]
    evidence = SUMMABLE if low > threshold + TIE else NOT_SUMMABLE if high < threshold - TIE else CRITICAL
    return Decay(-slope, low, high, len(pairs), evidence)


def condensing_onset(layers: Sequence[Layer]) -> int | None:
    """The first layer K0 from which on the token cloud condenses, with at least two further layers; None if none.

    From K0 on neither the effective rank of a layer's output nor its relative distance to the range of the final
    projection rises from layer to layer, and no later layer needs more balls to cover its output than its input.
    """
    for start in range(len(layers) - 2):
        tail = layers[start:]
        falls = all(_falls([m.measures.get(key) for m in tail]) for key in ("effective_rank", "range"))
        if falls and all((m.measures.get("covering") or math.inf) <= 1 + TIE for m in tail[1:]):
            return layers[start].index
    return None


def nonexpansive_from(layers: Sequence[Layer]) -> int | None:
    """The first layer from which on every ``|DT(x)|`` is at most 1, by its upper end; None if the last one is not."""
    found = None
    for layer in reversed(layers):
        if layer.upper > 1:
            break
        found = layer.index
    return found


def running_constants(layers: Sequence[Layer]) -> Iterator[dict[str, float | None]]:
    """For each layer ``delta``, ``c`` and ``readout`` of theorems 8 and 10, with running products from the first layer.

    ``delta`` is that of :class:`Layer`; ``c`` is ``delta`` times the least norm r of an input token; ``readout`` is
    ``prod (1 + delta) r_first / r_output``: the constant of the normalised output over that of the first input's
    normalisation. None where there are no branches, or a value is not finite; ``readout`` is also None from the first
    block on that is no composition of its residual maps.
    """
    log = 0.0
    for layer in layers:
        delta, out = layer.delta, layer.measures.get("radius")
        log = log + math.log1p(delta) if delta is not None and _is_residual(layer) else math.inf
        first = layers[0].input_radius
        readout = math.nan
        if out and first > 0 and log < math.inf:
            readout = _exp(log + math.log(first) - math.log(out))
        yield {
            "delta": finite(delta),
            "c": None if delta is None else finite(delta * layer.input_radius),
            "readout": finite(readout),
        }


def stack_summary(layers: Sequence[Layer]) -> dict[str, Any]:
    """What the layers say together, as JSON.

    Returns
    -------
    dict
        ``decay``: for each measure with a threshold, a :class:`Decay` as a dict, or None; ``onset``,
        ``nonexpansive_from``; ``residual``: whether all blocks are compositions of residual maps; ``log_growth`` and
        ``log_retention``: ``sum log(1 + |DF|)`` and ``sum log(1 - |DF|)`` over all branches, the latter None if one is
        at least 1; ``norm_slope``: rho of ``r_i ~ rho i``, by least squares; ``growth_exponent``: the median of c over
        rho, None unless rho is positive.
    """
    deltas = [d for layer in layers for d in layer.deltas]
    all_known = bool(deltas) and all(layer.deltas for layer in layers) and all(d < math.inf for d in deltas)
    steps = [(float(layer.index + 1), r) for layer in layers if (r := layer.measures.get("radius")) is not None]
    rho = _slope(steps)
    constants = sorted(c for row in running_constants(layers) if (c := row["c"]) is not None)
    middle = len(constants) // 2
    c = None if len(constants) < len(layers) or not constants else (constants[middle] + constants[~middle]) / 2
    indices = [layer.index for layer in layers]
    return {
        "decay": {
            key: None if law is None else dict(vars(law))
            for key, law in (
                (key, fit_decay(indices, [m.measures.get(key) for m in layers], threshold))
                for key, threshold in THRESHOLDS.items()
            )
        },
        "onset": condensing_onset(layers),
        "nonexpansive_from": nonexpansive_from(layers),
        "residual": bool(layers) and all(_is_residual(layer) for layer in layers),
        "log_growth": math.fsum(map(math.log1p, deltas)) if all_known else None,
        "log_retention": math.fsum(math.log1p(-d) for d in deltas) if all_known and max(deltas) < 1 else None,
        "norm_slope": rho,
        "growth_exponent": c / rho if c is not None and rho is not None and rho > 0 else None,
    }


def trend(values: Sequence[float | None]) -> str | None:
    """``fall`` if each value that is there is smaller than the one before, else ``do not fall``; None of fewer than
    two."""
    there = [v for v in values if v is not None]
    if len(there) < 2:
        return None
    return "fall" if all(b < a for a, b in itertools.pairwise(there)) else "do not fall"


def _slope(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The least-squares slope, None where all abscissas are one."""
    if len({t for t, _ in pairs}) < 2:
        return None
    n = len(pairs)
    t0, y0 = math.fsum(t for t, _ in pairs) / n, math.fsum(y for _, y in pairs) / n
    return math.fsum((t - t0) * (y - y0) for t, y in pairs) / math.fsum((t - t0) ** 2 for t, _ in pairs)


def _resamples(n: int) -> np.ndarray:
    """(999, n) indices below n, the same on every machine: the raw stream of PCG64, whose values NumPy keeps."""
    return np.random.PCG64(0).random_raw((RESAMPLES, n)) % np.uint64(n)


def _falls(values: Sequence[float | None]) -> bool:
    return all(a is not None and b is not None and b <= a + TIE * (1 + abs(a)) for a, b in itertools.pairwise(values))


def _is_residual(layer: Layer) -> bool:
    departure = layer.measures.get("departure")
    return departure is not None and departure <= RESIDUAL


def _exp(log: float) -> float:
    return math.exp(log) if log < 709 else math.inf


__all__ = [
    "CRITICAL",
    "NOT_SUMMABLE",
    "SUMMABLE",
    "THRESHOLDS",
    "Decay",
    "Layer",
    "condensing_onset",
    "fit_decay",
    "nonexpansive_from",
    "running_constants",
    "stack_summary",
    "trend",
]
