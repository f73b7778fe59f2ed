"""Where a fit begins: shape parameters on a grid, amplitudes by non-negative least squares; or a law's full grid."""

from __future__ import annotations

import itertools

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.law import Parameter, ScalingLaw
from lipop.scaling.table import Runs

MOST = 96
"""Combinations of shape parameters that are tried when nothing else is asked."""
FAINT = 1e-3
"""An amplitude that least squares sets to zero begins at this part of the data."""


def amplitudes(law: ScalingLaw) -> tuple[Parameter, ...]:
    """The parameters in which the law is linear, all at once.

    Examples
    --------
    >>> from lipop.scaling.laws import Chinchilla, Kaplan
    >>> [p.name for p in amplitudes(Chinchilla())], amplitudes(Kaplan())
    (['E', 'A', 'B'], ())
    """
    found: list[Parameter] = []
    for p in law.parameters:
        slope = law.formula.diff(p.symbol)
        if p.low == 0 and p.high == np.inf and not slope.free_symbols & {p.symbol, *(q.symbol for q in found)}:
            found.append(p)
    return tuple(found)


def grid(law: ScalingLaw, runs: Runs, parameters: tuple[Parameter, ...]) -> np.ndarray:
    """All combinations of the starts of some parameters, in their order."""
    scale = runs.middle()
    return np.array(list(itertools.product(*[p.start_values(scale) for p in parameters])))


def starts(law: ScalingLaw, runs: Runs, wanted: int | str | None, rng: np.random.Generator) -> np.ndarray:
    """Starts (R, p) in inner coordinates.

    Parameters
    ----------
    law : ScalingLaw
    runs : Runs
    wanted : int, "grid" or None
        ``"grid"``: all combinations of all parameters' starts; an int: that many of them, at random; None: all
        combinations (at most MOST) of those parameters that shape the law, with amplitudes by least squares.
    rng : Generator

    Raises
    ------
    DomainError
        If it is none of these.
    """
    if wanted is None:
        points = _shaped(law, runs, rng)
    elif wanted == "grid" or (isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0):
        points = grid(law, runs, law.parameters)
        if isinstance(wanted, int) and wanted < len(points):
            points = points[rng.choice(len(points), wanted, replace=False)]
    else:
        raise DomainError(f'starts is a positive int, "grid" or None, found {wanted!r}')
    return np.array([[p.inner(float(v)) for p, v in zip(law.parameters, row, strict=True)] for row in points])


def _shaped(law: ScalingLaw, runs: Runs, rng: np.random.Generator) -> np.ndarray:
    import sympy
    from scipy.optimize import nnls

    linear = amplitudes(law)
    shapes = tuple(p for p in law.parameters if p not in linear)
    combinations = grid(law, runs, shapes)
    if len(combinations) > MOST:
        combinations = combinations[np.sort(rng.choice(len(combinations), MOST, replace=False))]
    if not linear:
        return combinations
    symbols = [p.symbol for p in shapes] + [v.symbol for v in law.variables]
    rest = law.formula.subs({p.symbol: 0 for p in linear})  # not zero where a parameter has been fixed
    parts = sympy.lambdify(symbols, [*(law.formula.diff(p.symbol) for p in linear), rest], modules="numpy")
    columns, out = list(runs.columns.values()), []
    for combination in combinations:
        with np.errstate(all="ignore"):
            shares = [np.broadcast_to(c, (runs.size,)) / runs.target for c in parts(*combination, *columns)]
        M, known = np.stack(shares[:-1], axis=1), shares[-1]
        size = np.abs(M).max(axis=0)
        if not (np.isfinite(M).all() and np.isfinite(known).all() and (size > 0).all()):
            continue
        c = nnls(M / size, 1 - known)[0]
        values = np.maximum(c, FAINT) / size
        named = {p.name: v for p, v in zip((*shapes, *linear), (*combination, *values), strict=True)}
        out.append([named[p.name] for p in law.parameters])
    return np.array(out) if out else grid(law, runs, law.parameters)[:MOST]


__all__ = ["amplitudes", "grid", "starts"]
