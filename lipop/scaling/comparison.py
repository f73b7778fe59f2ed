"""Which law: Akaike's criterion, and the error on the largest runs by a fit that has not seen them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.fitting import Fit, fit
from lipop.scaling.law import ScalingLaw
from lipop.scaling.table import Runs


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """What a fit to the smaller runs says about the largest.

    Parameters
    ----------
    fit : Fit
        To the smaller runs.
    held_out : (k,) array
        The rows that it has not seen, by index.
    errors : (k,) array
        Their log residuals, ``log predicted - log measured``.
    """

    fit: Fit
    held_out: np.ndarray
    errors: np.ndarray

    @property
    def spread(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt((self.errors**2).mean()))

    @property
    def bias(self) -> float:
        """Mean of the errors: positive where the law promises more loss than was measured."""
        return float(self.errors.mean())


def leave_largest_out(law: ScalingLaw, table: Mapping[str, Any], share: float = 0.2, **options: Any) -> Extrapolation:
    """Fit to all runs but the most costly, and predict those.

    Parameters
    ----------
    law : ScalingLaw
    table : mapping
        Columns by name.
    share : float
        The part of the runs that is held out, in (0, 1); at least one run.
    **options
        For :func:`lipop.scaling.fit`.

    Raises
    ------
    DomainError
        If the share is not in (0, 1).

    Examples
    --------
    >>> from lipop.scaling.laws import DataLaw
    >>> D = np.geomspace(1e6, 1e9, 12)
    >>> found = leave_largest_out(DataLaw(), {"D": D, "loss": 1.5 + 40 * D**-0.25})
    >>> found.held_out.tolist(), found.spread < 1e-6
    ([10, 11], True)
    """
    import sympy

    if not 0 < share < 1:
        raise DomainError(f"the share that is held out lies in (0, 1), found {share!r}")
    runs = Runs.of(law, table, bool(options.get("duplicates", False)))
    cost = sympy.lambdify([v.symbol for v in law.variables], law.cost, modules="numpy")(*runs.columns.values())
    order = np.argsort(cost, kind="stable")
    cut = runs.size - max(1, int(share * runs.size))
    small, large = np.sort(order[:cut]), np.sort(order[cut:])
    found = fit(law, {**runs.take(small).columns, law.target: runs.target[small]}, **options)
    rest = runs.take(large)
    return Extrapolation(found, large, np.log(found(**rest.columns)) - rest.y)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Laws side by side on one table.

    Parameters
    ----------
    fits : tuple of Fit
    extrapolations : tuple of Extrapolation
    """

    fits: tuple[Fit, ...]
    extrapolations: tuple[Extrapolation, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Akaike weights by law: ``exp(-(AICc - least)/2)``, normalised."""
        values = np.array([f.aicc for f in self.fits])
        if not np.isfinite(values).any():
            return {f.law.name: math.nan for f in self.fits}
        raw = np.exp(-(values - values[np.isfinite(values)].min()) / 2)
        return {f.law.name: float(w) for f, w in zip(self.fits, raw / raw.sum(), strict=True)}

    def rows(self) -> list[dict[str, Any]]:
        """By law: AICc, weight, spread of the residuals, spread and bias of the extrapolation."""
        weights = self.weights
        return [
            {
                "law": f.law.name,
                "parameters": len(f.law.parameters),
                "aicc": f.aicc if math.isfinite(f.aicc) else None,
                "weight": weights[f.law.name] if math.isfinite(weights[f.law.name]) else None,
                "spread": float(np.sqrt((f.residuals**2).mean())),
                "extrapolation": e.spread,
                "bias": e.bias,
                "held_out": len(e.errors),
            }
            for f, e in zip(self.fits, self.extrapolations, strict=True)
        ]


def compare(laws: Sequence[ScalingLaw], table: Mapping[str, Any], share: float = 0.2, **options: Any) -> Comparison:
    """Fit several laws of one target to one table.

    Parameters
    ----------
    laws : sequence of ScalingLaw
        With names that differ; a law takes the columns of its own variables.
    table : mapping
    share : float
        See :func:`leave_largest_out`.
    **options
        For :func:`lipop.scaling.fit`.

    Raises
    ------
    DomainError
        If there is no law, names repeat or targets differ.

    Examples
    --------
    >>> from lipop.scaling.laws import DataLaw
    >>> D = np.geomspace(1e6, 1e9, 12)
    >>> table = {"D": D, "loss": 1.5 + 40 * D**-0.25 + 1e-3 * np.sin(np.arange(12.0))}
    >>> [(row["law"], row["weight"], row["held_out"]) for row in compare([DataLaw()], table).rows()]
    [('data', 1.0, 2)]
    """
    if not laws:
        raise DomainError("there is no law to compare")
    names = [law.name for law in laws]
    if len(set(names)) < len(names):
        raise DomainError(f"the laws compared need names that differ, found {', '.join(names)}")
    targets = sorted({law.target for law in laws})
    if len(targets) > 1:
        raise DomainError(f"the laws compared are about different quantities: {', '.join(targets)}")
    own = [{n: c for n, c in table.items() if n in {v.name for v in law.variables} | {law.target}} for law in laws]
    fits = tuple(fit(law, columns, **options) for law, columns in zip(laws, own, strict=True))
    held = tuple(leave_largest_out(law, c, share, **options) for law, c in zip(laws, own, strict=True))
    return Comparison(fits, held)


__all__ = ["Comparison", "Extrapolation", "compare", "leave_largest_out"]
