"""Limits of infinite compositions: architectures, the laws of their blocks, theorems and verdicts.

Names are loaded when they are first asked for; SymPy comes with the first law that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.limit.alternating import friedrichs, intersection
    from lipop.limit.alternating_dykstra import NearestPoint, dykstra
    from lipop.limit.architecture import Architecture
    from lipop.limit.averaged import averagedness
    from lipop.limit.averaged_rates import halpern, krasnoselskii_mann, residual_bound, residual_rate
    from lipop.limit.combination import Combination
    from lipop.limit.conclusion import Conclusion, Rate
    from lipop.limit.critical import criticality
    from lipop.limit.deviations import deviation
    from lipop.limit.diagnosis import diagnose
    from lipop.limit.hypothesis import Hypothesis
    from lipop.limit.laws import Growth, Law, Uniform
    from lipop.limit.projections import limit_projection
    from lipop.limit.projections_answer import ProjectionLimit
    from lipop.limit.series import Series
    from lipop.limit.structure import AffineRule, Cycle, ResidualRule
    from lipop.limit.theorems import (
        theorem_1,
        theorem_2,
        theorem_3,
        theorem_4,
        theorem_5,
        theorem_6,
        theorem_7,
        theorem_8,
        theorem_9,
        theorem_9_flow,
        theorem_10,
    )
    from lipop.limit.verdicts import Verdict, verdict

_THEOREMS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "9_flow", "10")
_HOMES = {
    "AffineRule": "structure",
    "Architecture": "architecture",
    "Combination": "combination",
    "Conclusion": "conclusion",
    "Cycle": "structure",
    "Growth": "laws",
    "Hypothesis": "hypothesis",
    "Law": "laws",
    "NearestPoint": "alternating_dykstra",
    "ProjectionLimit": "projections_answer",
    "Rate": "conclusion",
    "ResidualRule": "structure",
    "Series": "series",
    "Uniform": "laws",
    "Verdict": "verdicts",
    "averagedness": "averaged",
    "criticality": "critical",
    "deviation": "deviations",
    "diagnose": "diagnosis",
    "dykstra": "alternating_dykstra",
    "friedrichs": "alternating",
    "halpern": "averaged_rates",
    "intersection": "alternating",
    "krasnoselskii_mann": "averaged_rates",
    "limit_projection": "projections",
    "residual_bound": "averaged_rates",
    "residual_rate": "averaged_rates",
    "verdict": "verdicts",
    **{f"theorem_{n}": "theorems" for n in _THEOREMS},
}
_PARTS = ("counterexamples", "families")
__all__ = [
    "AffineRule",
    "Architecture",
    "Combination",
    "Conclusion",
    "Cycle",
    "Growth",
    "Hypothesis",
    "Law",
    "NearestPoint",
    "ProjectionLimit",
    "Rate",
    "ResidualRule",
    "Series",
    "Uniform",
    "Verdict",
    "averagedness",
    "criticality",
    "deviation",
    "diagnose",
    "dykstra",
    "friedrichs",
    "halpern",
    "intersection",
    "krasnoselskii_mann",
    "limit_projection",
    "residual_bound",
    "residual_rate",
    "theorem_1",
    "theorem_2",
    "theorem_3",
    "theorem_4",
    "theorem_5",
    "theorem_6",
    "theorem_7",
    "theorem_8",
    "theorem_9",
    "theorem_9_flow",
    "theorem_10",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"lipop.limit.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lipop.limit' has no attribute {name!r}")
    value = getattr(import_module(f"lipop.limit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PARTS})
