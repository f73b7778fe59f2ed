"""Fits of scaling laws: Huber's loss on log residuals, many starts, intervals, and what the data do not determine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from functools import cached_property
from typing import Any

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.allocation import Allocation, budget_symbol, closed_form
from lipop.scaling.identifiability import warnings
from lipop.scaling.intervals import bootstrap as resample
from lipop.scaling.intervals import check_level, outer_interval, percentiles, profile
from lipop.scaling.law import ScalingLaw
from lipop.scaling.lbfgs import minimise
from lipop.scaling.likelihood import aicc, covariance, log_likelihood
from lipop.scaling.objective import Objective
from lipop.scaling.starts import starts as start_points
from lipop.scaling.table import Runs

DELTA = 1e-3
"""The width of Huber's loss in Hoffmann et al. 2022, in units of log loss."""
EXPLORE, FINALISTS = 1e-6, 4
"""Tolerance of the runs from all starts, and how many of the best are then brought to the last digits."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted law.

    Parameters
    ----------
    law : ScalingLaw
    runs : Runs
        The data.
    delta : float or None
        The width of Huber's loss; None: squares.
    level : float
        Of the intervals.
    z : (p,) array
        The estimate in inner coordinates.
    value : float
        Mean Huber loss over delta (mean squared log residual over 2, for squares).
    starts, agreeing : int
        How many starts there were, and how many ended within a thousandth of the best value.
    warnings : tuple of str
        What the data do not determine, and what looks odd in them.
    samples : (B, p) array or None
        Bootstrap estimates of the parameters.
    """

    law: ScalingLaw
    runs: Runs
    delta: float | None
    level: float
    z: np.ndarray
    value: float
    starts: int
    agreeing: int
    warnings: tuple[str, ...]
    samples: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def objective(self) -> Objective:
        """What was minimised."""
        return Objective(self.law, self.runs.x, self.runs.y, self.delta)

    @cached_property
    def params(self) -> dict[str, float]:
        """The estimates."""
        return {p.name: float(p.outer(float(t))) for p, t in zip(self.law.parameters, self.z, strict=True)}

    @property
    def residuals(self) -> np.ndarray:
        """Log residuals, ``log law - log measured``, (n,)."""
        return self.objective.residuals(self.z)

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Of the inner coordinates (logarithms or logits) of the parameters, from the curvature at the estimate."""
        C = covariance(self.objective, self.z)
        return {p.name: math.sqrt(C[i, i]) for i, p in enumerate(self.law.parameters)}

    @property
    def log_likelihood(self) -> float:
        """Under the error law that belongs to the loss; see :mod:`lipop.scaling.likelihood`."""
        return log_likelihood(self.objective, self.residuals)

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples; comparable between fits with one delta and one table."""
        return aicc(self.log_likelihood, self.runs.size, self.z.size)

    # ---- intervals ----

    @cached_property
    def profile_intervals(self) -> dict[str, tuple[float, float]]:
        """By profile likelihood; an end at the edge of the domain says that the data do not bound it there."""
        ends = [profile(self.objective, self.z, j, self.level) for j in range(self.z.size)]
        return {p.name: outer_interval(p, *e) for p, e in zip(self.law.parameters, ends, strict=True)}

    @cached_property
    def bootstrap_intervals(self) -> dict[str, tuple[float, float]]:
        """By bootstrap.

        Raises
        ------
        DomainError
            If the fit has no bootstrap.
        """
        if self.samples is None:
            raise DomainError("this fit has no bootstrap: fit(..., bootstrap=1000)")
        low, high = percentiles(self.samples, self.runs.size, self.z.size, self.level)
        return {p.name: (float(a), float(b)) for p, a, b in zip(self.law.parameters, low, high, strict=True)}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """By bootstrap where there is one, by profile likelihood otherwise."""
        return self.profile_intervals if self.samples is None else self.bootstrap_intervals

    @property
    def interval_kind(self) -> str:
        """``bootstrap`` or ``profile likelihood``."""
        return "profile likelihood" if self.samples is None else "bootstrap"

    # ---- what follows ----

    def __call__(self, **data: Any) -> np.ndarray:
        """The fitted law's value."""
        return self.law(self.params, **data)

    def allocate(self, budget: float) -> Allocation:
        """The best use of a budget; with intervals where the fit has a bootstrap and the law a closed form."""
        best = self.law.allocate(self.params, budget)
        if self.samples is None or not best.closed:
            return best
        import sympy

        expressions = closed_form(self.law) or {}
        values = sympy.lambdify(
            [*(p.symbol for p in self.law.parameters), budget_symbol()], list(expressions.values()), modules="numpy"
        )
        with np.errstate(all="ignore"):
            found = values(*self.samples.T, float(budget))
        spread = np.stack([np.broadcast_to(c, (len(self.samples),)) for c in found], axis=1)
        low, high = percentiles(spread, self.runs.size, self.z.size, self.level)
        ends = {n: (float(a), float(b)) for n, a, b in zip(expressions, low, high, strict=True)}
        return replaced(best, intervals=ends)

    def describe(self) -> dict[str, Any]:
        """JSON: what a report shows."""
        intervals = self.intervals
        return {
            "law": self.law.name,
            "target": self.law.target,
            "formula": str(self.law.formula),
            "latex": self.law.latex(),
            "citation": self.law.citation,
            "rows": self.runs.size,
            "delta": self.delta,
            "level": self.level,
            "intervals": self.interval_kind,
            "fixed": {n: float(v) for n, v in self.law.values.items()},
            "parameters": [
                {
                    "name": p.name,
                    "unit": p.unit,
                    "meaning": p.meaning,
                    "value": self.params[p.name],
                    "low": _finite(intervals[p.name][0]),
                    "high": _finite(intervals[p.name][1]),
                }
                for p in self.law.parameters
            ],
            "value": self.value,
            "aicc": _finite(self.aicc),
            "spread": float(np.sqrt((self.residuals**2).mean())),
            "starts": self.starts,
            "agreeing": self.agreeing,
            "bootstrap": None if self.samples is None else len(self.samples),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        rows = [f"{self.law.name}, {self.runs.size} runs, {self.level:.0%} intervals by {self.interval_kind}:"]
        for p in self.law.parameters:
            low, high = self.intervals[p.name]
            rows.append(f"  {p.name} = {self.params[p.name]:.5g}  [{low:.5g}, {high:.5g}]  {p.unit}")
        return "\n".join([*rows, *(f"  {w}" for w in self.warnings)])


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def fit(
    law: ScalingLaw,
    table: Mapping[str, Any] | None = None,
    *,
    delta: float | None = DELTA,
    bootstrap: int = 0,
    level: float = 0.95,
    starts: int | str | None = None,
    seed: int = 0,
    duplicates: bool = False,
    **columns: Any,
) -> Fit:
    """Fit a law to measured runs.

    Parameters
    ----------
    law : ScalingLaw
    table : mapping, optional
        Columns by name: the law's variables and its target.
    delta : float or None
        The width of Huber's loss, in log units; None: least squares.
    bootstrap : int
        Resamples of the runs; 0: intervals by profile likelihood.
    level : float
        Of the intervals.
    starts : int, "grid" or None
        See :func:`lipop.scaling.starts.starts`; ``"grid"`` is a law's published grid, 4,500 for Chinchilla's.
    seed : int
    duplicates : bool
        Whether equal rows are kept.
    **columns : array
        Columns by name, in place of a table or beside it.

    Returns
    -------
    Fit

    Raises
    ------
    LipopError
        About the data: see :meth:`lipop.scaling.table.Runs.of`; about the other arguments, DomainError.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.scaling import fit, laws
    >>> D = np.geomspace(1e6, 1e9, 12)
    >>> found = fit(laws.DataLaw(), D=D, loss=1.5 + 40 * D**-0.25)
    >>> {name: round(value, 4) for name, value in found.params.items()}
    {'E': 1.5, 'B': 40.0, 'beta': 0.25}
    """
    check_level(level)
    if delta is not None and not (math.isfinite(delta) and delta > 0):
        raise DomainError(f"the width of Huber's loss is finite and positive, or None, found {delta!r}")
    if isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or bootstrap < 0:
        raise DomainError(f"bootstrap counts resamples, found {bootstrap!r}")
    both = sorted((table or {}).keys() & columns.keys())
    if both:
        raise DomainError(f"column {both[0]} is given twice")
    if not law.parameters:
        raise DomainError(f"law {law.name!r} has no free parameter")
    runs = Runs.of(law, {**(table or {}), **columns}, duplicates)
    rng = np.random.default_rng(seed)
    objective = Objective(law, runs.x, runs.y, delta)
    ends = minimise(objective, objective.inverse, start_points(law, runs, starts, rng), tolerance=EXPLORE)
    if not np.isfinite(ends.value).any():
        raise DomainError(f"law {law.name!r} has no finite value at the data from any start")
    order = np.argsort(ends.value)[:FINALISTS]
    last = minimise(objective, objective.inverse, ends.z[order], steps=400, tolerance=1e-14, memory=10, refresh=20)
    best = int(np.argmin(last.value))
    z, value = last.z[best], float(last.value[best])
    found = warnings(objective, z, ends.z, ends.value)
    samples = None
    if bootstrap:
        inner = resample(objective, z, bootstrap, rng)
        samples = np.stack([np.asarray(p.outer(c)) for p, c in zip(law.parameters, inner.T, strict=True)], axis=1)
    agreeing = int((ends.value <= value * (1 + 1e-3) + 1e-12).sum())
    remarks = (*runs.remarks, *found)
    return Fit(law, runs, delta, level, z, value, len(ends.value), agreeing, remarks, samples)


__all__ = ["DELTA", "Fit", "fit"]
