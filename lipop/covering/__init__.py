"""Covering numbers and metric entropy, and what they say about generalisation.

Names are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.covering.balls import NormBall
    from lipop.covering.boxes import BoxSet
    from lipop.covering.claims import TotallyBounded
    from lipop.covering.ellipsoids import Ellipsoid
    from lipop.covering.empirical import EmpiricalCover, empirical_cover
    from lipop.covering.entropy import log_covering_number
    from lipop.covering.generalization import generalization_gap, rademacher
    from lipop.covering.hulls import Hull, LinearFunctions, MatrixProducts
    from lipop.covering.images import Image
    from lipop.covering.limits import LimitFunctions, ParametricClass
    from lipop.covering.linear_images import LinearImage
    from lipop.covering.lipschitz_paths import LipschitzPaths
    from lipop.covering.simplices import LowRankBall, SimplexSet

_HOMES = {
    "BoxSet": "boxes",
    "Ellipsoid": "ellipsoids",
    "EmpiricalCover": "empirical",
    "Hull": "hulls",
    "Image": "images",
    "LimitFunctions": "limits",
    "LinearFunctions": "hulls",
    "LinearImage": "linear_images",
    "LipschitzPaths": "lipschitz_paths",
    "LowRankBall": "simplices",
    "MatrixProducts": "hulls",
    "NormBall": "balls",
    "ParametricClass": "limits",
    "SimplexSet": "simplices",
    "TotallyBounded": "claims",
    "empirical_cover": "empirical",
    "generalization_gap": "generalization",
    "log_covering_number": "entropy",
    "rademacher": "generalization",
}
__all__ = [
    "BoxSet",
    "Ellipsoid",
    "EmpiricalCover",
    "Hull",
    "Image",
    "LimitFunctions",
    "LinearFunctions",
    "LinearImage",
    "LipschitzPaths",
    "LowRankBall",
    "MatrixProducts",
    "NormBall",
    "ParametricClass",
    "SimplexSet",
    "TotallyBounded",
    "empirical_cover",
    "generalization_gap",
    "log_covering_number",
    "rademacher",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lipop.covering' has no attribute {name!r}")
    value = getattr(import_module(f"lipop.covering.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
