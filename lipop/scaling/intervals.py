"""Intervals for parameters: profile likelihood, and bootstrap over runs.

Profile. The interval of a parameter holds the values t at which ``D(t) = 2 (A/B) (min over the others of sum rho at t,
less its least value)`` is at most the quantile of ``F(1, n - p)``; A is the mean slope of psi and B its mean square.
For squares that is the F test, exact for laws linear in their parameters; for Huber's loss it is the test of Schrader
and Hettmansperger (Biometrika 67, 1980). A profile that never reaches the quantile leaves the interval open up to the
end of the domain: the data do not determine the parameter.

Bootstrap. Runs are drawn again with replacement and the law is fitted again, from the estimate; all resamples are
solved together. The percentiles are those of Hesterberg's expanded interval (The American Statistician 69, 2015), which
makes up for the variance that percentiles lose in small samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.law import Parameter
from lipop.scaling.lbfgs import minimise
from lipop.scaling.likelihood import covariance, slope_and_spread
from lipop.scaling.objective import EDGE, Objective

LADDER = np.array([0.4, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 9.0, 18.0])
"""Where a profile is taken first, in units of where a straight one would end."""
REFINEMENTS = 3


def check_level(level: float) -> float:
    """A confidence level in (0, 1).

    Raises
    ------
    DomainError
    """
    if not 0 < level < 1:
        raise DomainError(f"a confidence level lies in (0, 1), found {level!r}")
    return float(level)


# ---- bootstrap -----------------------------------------------------------------------------------------------------


def bootstrap(objective: Objective, z: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Estimates (count, p), in inner coordinates, from resampled runs; not finite where a resample has no minimum."""
    n = objective.y.size
    weights = rng.multinomial(n, np.full(n, 1.0 / n), size=count).astype(np.float64)
    again = Objective(objective.law, objective.x, objective.y, objective.delta, weights)
    found = minimise(again, again.inverse, np.tile(z, (count, 1)))
    return np.where(np.isfinite(found.value)[:, None], found.z, np.nan)


def percentiles(samples: np.ndarray, n: int, p: int, level: float) -> np.ndarray:
    """Expanded percentile intervals (2, k) of samples (count, k) of estimates from n runs with p parameters.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = percentiles(np.linspace(0.0, 1.0, 1001)[:, None], 10**6, 1, 0.9)
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.05, 0.95)
    """
    from scipy.stats import norm, t

    free = max(n - p, 1)
    part = float(norm.cdf(math.sqrt(n / free) * t.ppf((1 - level) / 2, free)))
    return np.nanquantile(samples, [part, 1 - part], axis=0)


# ---- profile likelihood --------------------------------------------------------------------------------------------


def profile(objective: Objective, z: np.ndarray, j: int, level: float) -> tuple[float, float]:
    """The interval of inner coordinate j; an end is infinite where the profile does not reach the quantile.

    Parameters
    ----------
    objective : Objective
        Without weights.
    z : (p,) array
        The estimate.
    j : int
    level : float
    """
    from scipy.stats import f

    n, p = objective.y.size, z.size
    r = objective.residuals(z)
    A, B = slope_and_spread(objective, r, p)
    if B == 0:  # an exact fit: every other value is excluded
        return float(z[j]), float(z[j])
    least, factor = float(objective.rho(r).sum()), 2 * A / B
    limit = math.sqrt(float(f.ppf(level, 1, max(n - p, 1))))
    C = covariance(objective, z)
    width = math.sqrt(C[j, j])
    width = width if width < EDGE else 1.0
    towards = C[:, j] / C[j, j] if C[j, j] < EDGE**2 else np.eye(p)[j]

    def height(t: np.ndarray) -> np.ndarray:
        """The square roots of D at values (k,) of coordinate j."""
        start = z + (t - z[j])[:, None] * towards
        total = _held(objective, np.clip(start, -EDGE, EDGE), j, t) * n * objective.unit
        return np.sqrt(np.maximum(factor * (total - least), 0.0))

    ends = [_crossing(height, float(z[j]), side * width * limit, limit) for side in (-1, 1)]
    return min(ends), max(ends)


def _held(objective: Objective, start: np.ndarray, j: int, t: np.ndarray) -> np.ndarray:
    """Least values (k,) with coordinate j held at t (k,)."""
    others = [i for i in range(start.shape[1]) if i != j]

    def whole(u: np.ndarray, rows: np.ndarray) -> np.ndarray:
        z = np.empty((len(u), start.shape[1]))
        z[:, others], z[:, j] = u, t[rows]
        return z

    if not others:
        return objective(t[:, None], np.arange(t.size))[0]

    def evaluate(u: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = objective(whole(u, rows), rows)
        return value, gradient[:, others]

    def inverse(u: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.linalg.inv(np.linalg.inv(objective.inverse(whole(u, rows), rows))[:, others][:, :, others])

    return minimise(evaluate, inverse, start[:, others], steps=80).value


def _crossing(height: Callable[[np.ndarray], np.ndarray], at: float, step: float, limit: float) -> float:
    """Where the height first passes the limit on one side of ``at``; infinite if it does not."""
    steps = LADDER * step
    steps = steps[np.abs(at + steps) < EDGE]
    heights = height(at + steps)
    above = np.flatnonzero(heights > limit)
    if not above.size:
        return math.copysign(math.inf, step)
    k = int(above[0])
    low, low_height = (steps[k - 1], heights[k - 1]) if k else (0.0, 0.0)
    high, high_height = steps[k], heights[k]
    for _ in range(REFINEMENTS):
        part = (limit - low_height) / (high_height - low_height) if math.isfinite(high_height) else 0.5
        middle = low + min(max(part, 0.05), 0.95) * (high - low)
        value = float(height(np.array([at + middle]))[0])
        if value > limit:
            high, high_height = middle, value
        else:
            low, low_height = middle, value
    part = (limit - low_height) / (high_height - low_height) if math.isfinite(high_height) else 1.0
    return at + low + part * (high - low)


def outer_interval(p: Parameter, low: float, high: float) -> tuple[float, float]:
    """An interval of the inner coordinate in the parameter's own unit; infinite ends become those of the domain."""
    return (
        p.low if math.isinf(low) else float(p.outer(low)),
        p.high if math.isinf(high) else float(p.outer(high)),
    )


__all__ = ["bootstrap", "check_level", "outer_interval", "percentiles", "profile"]
