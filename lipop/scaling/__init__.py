"""Scaling laws: the laws, their fits with intervals, allocation; performance and its decomposition.

Names are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.scaling import laws
    from lipop.scaling.allocation import Allocation
    from lipop.scaling.comparison import compare, leave_largest_out
    from lipop.scaling.decomposition import Decomposition
    from lipop.scaling.descent import Descent
    from lipop.scaling.fitting import Fit, fit
    from lipop.scaling.law import Parameter, ScalingLaw, Variable
    from lipop.scaling.performance import Performance
    from lipop.scaling.table import read_csv

_HOMES = {
    "Allocation": "allocation",
    "Decomposition": "decomposition",
    "Descent": "descent",
    "Fit": "fitting",
    "Parameter": "law",
    "Performance": "performance",
    "ScalingLaw": "law",
    "Variable": "law",
    "compare": "comparison",
    "fit": "fitting",
    "leave_largest_out": "comparison",
    "read_csv": "table",
}
__all__ = [
    "Allocation",
    "Decomposition",
    "Descent",
    "Fit",
    "Parameter",
    "Performance",
    "ScalingLaw",
    "Variable",
    "compare",
    "fit",
    "laws",
    "leave_largest_out",
    "read_csv",
]


def __getattr__(name: str) -> Any:
    if name == "laws":
        return import_module("lipop.scaling.laws")
    if name not in _HOMES:
        raise AttributeError(f"module 'lipop.scaling' has no attribute {name!r}")
    value = getattr(import_module(f"lipop.scaling.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
