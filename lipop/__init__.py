"""lipop: nonlinear Lipschitz operators whose numbers carry proofs.

Names are loaded when they are first asked for, all at once: ``import lipop`` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.certify.portfolio import lip
    from lipop.core.algebra import Identity, NormChange, relax, residual
    from lipop.core.bound import Bound, Bracket, Claim, Evidence
    from lipop.core.operator import Operator
    from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
    from lipop.core.space import Space
    from lipop.models import Model, load
    from lipop.operators import (
        MLP,
        Activation,
        Affine,
        AffineProjection,
        Attention,
        BallProjection,
        BoxProjection,
        Diagonal,
        Embedding,
        FixedPoints,
        FunctionOperator,
        GatedMLP,
        GroupShrinkage,
        HalfspaceProjection,
        HyperplaneProjection,
        IntersectionProjection,
        L1BallProjection,
        LayerNorm,
        Linear,
        LinearProduct,
        LowRank,
        ObliqueProjection,
        Projection,
        PSDProjection,
        RadialRetraction,
        RMSNorm,
        Rotary,
        RotaryTable,
        Simplex,
        SimplexProjection,
        Softmax,
        SoftThreshold,
        SubspaceProjection,
        elu,
        gelu,
        hardswish,
        leaky_relu,
        mish,
        orthant_projection,
        quick_gelu,
        relu,
        sigmoid,
        silu,
        softplus,
        squared_relu,
        tanh,
    )

__version__ = "0.1.0"
_HOMES = (
    "lipop.certify.portfolio",
    "lipop.core.algebra",
    "lipop.core.bound",
    "lipop.core.operator",
    "lipop.core.region",
    "lipop.core.space",
    "lipop.operators",
)
_MODELS = ("Model", "load")
_PARTS = (
    "certify",
    "cli",
    "core",
    "covering",
    "errors",
    "limit",
    "models",
    "operators",
    "report",
    "runs",
    "scaling",
    "testing",
)
__all__ = [
    "Activation",
    "Affine",
    "AffineProjection",
    "Attention",
    "Ball",
    "BallProjection",
    "Bound",
    "Box",
    "BoxProjection",
    "Bracket",
    "Claim",
    "Cloud",
    "Diagonal",
    "Embedding",
    "Everywhere",
    "Evidence",
    "FixedPoints",
    "FunctionOperator",
    "GatedMLP",
    "GroupShrinkage",
    "HalfspaceProjection",
    "HyperplaneProjection",
    "Identity",
    "IntersectionProjection",
    "L1BallProjection",
    "LayerNorm",
    "Linear",
    "LinearProduct",
    "LowRank",
    "MLP",
    "Model",
    "NormChange",
    "ObliqueProjection",
    "Operator",
    "PSDProjection",
    "Projection",
    "RMSNorm",
    "RadialRetraction",
    "Region",
    "Rotary",
    "RotaryTable",
    "Shell",
    "Simplex",
    "SimplexProjection",
    "SoftThreshold",
    "Softmax",
    "Space",
    "SubspaceProjection",
    "TokenBall",
    "elu",
    "gelu",
    "hardswish",
    "leaky_relu",
    "lip",
    "load",
    "mish",
    "orthant_projection",
    "quick_gelu",
    "relax",
    "relu",
    "residual",
    "sigmoid",
    "silu",
    "softplus",
    "squared_relu",
    "tanh",
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"lipop.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'lipop' has no attribute {name!r}")
    if name in _MODELS:
        return getattr(import_module("lipop.models"), name)
    for home in map(import_module, _HOMES):
        globals().update({key: vars(home)[key] for key in __all__ if key in vars(home)})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
