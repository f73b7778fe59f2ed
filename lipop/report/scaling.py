"""A fitted scaling law as a document: ``fit.json`` (schema ``lipop.scaling/1``), read again for plans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipop.errors import LipopError, NotAReport
from lipop.models.strict_json import strict_loads

if TYPE_CHECKING:
    from lipop.scaling.comparison import Comparison
    from lipop.scaling.fitting import Fit
    from lipop.scaling.law import ScalingLaw

SCHEMA = "lipop.scaling/1"


def document(
    fitted: Fit,
    *,
    source: str,
    mapping: Mapping[str, str],
    comparison: Comparison | None = None,
    plans: Sequence[Mapping[str, Any]] = (),
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """The document of a fit.

    Parameters
    ----------
    fitted : Fit
    source : str
        The file of the runs.
    mapping : mapping
        Which of its columns is which variable.
    comparison : Comparison, optional
    plans : sequence of mapping
        See :func:`plan`.
    command : sequence of str
    """
    import lipop

    runs = fitted.runs
    return {
        "schema": SCHEMA,
        "version": lipop.__version__,
        "command": list(command),
        "source": {"path": source, "columns": dict(mapping)},
        "fit": fitted.describe(),
        "data": {
            **{n: [float(v) for v in c] for n, c in runs.columns.items()},
            fitted.law.target: [float(v) for v in runs.target],
            "residual": [float(v) for v in fitted.residuals],
        },
        "units": {v.name: v.unit for v in fitted.law.variables},
        "comparison": [] if comparison is None else comparison.rows(),
        "plans": list(plans),
    }


def plan(best: Any) -> dict[str, Any]:
    """An allocation as JSON."""
    return {
        "budget": best.budget,
        "cost_unit": best.cost_unit,
        "closed": best.closed,
        "predicted": best.predicted,
        "values": [
            {
                "name": n,
                "unit": best.units[n],
                "value": v,
                "low": _end(best, n, 0),
                "high": _end(best, n, 1),
            }
            for n, v in best.values.items()
        ],
    }


def _end(best: Any, name: str, side: int) -> float | None:
    ends = best.intervals.get(name)
    return None if ends is None or not math.isfinite(ends[side]) else float(ends[side])


def read_fit(path: Path) -> tuple[ScalingLaw, dict[str, float]]:
    """The law of a ``fit.json`` and its parameters.

    Raises
    ------
    NotAReport
        If the file is none, or names a law or a parameter that there is not.
    OSError
        If it cannot be read.
    """
    from lipop.scaling.laws import by_name

    try:
        data = strict_loads(path.read_bytes(), str(path))
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise NotAReport(f"{path}: not a fit of a scaling law (schema {SCHEMA}), as `lipop scaling fit` writes it")
        fitted = data["fit"]
        law = by_name(str(fitted["law"]))
        fixed = {str(n): float(v) for n, v in fitted["fixed"].items()}
        law = law.fix(**fixed) if fixed else law
        return law, law.check({str(p["name"]): float(p["value"]) for p in fitted["parameters"]})
    except NotAReport:
        raise
    except (LipopError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise NotAReport(f"{path}: not a fit of a scaling law ({e})") from None


__all__ = ["SCHEMA", "document", "plan", "read_fit"]
