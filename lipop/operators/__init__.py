"""Operators: one operator, or one close family, in each file."""

from lipop.operators.activation import (
    Activation,
    elu,
    gelu,
    hardswish,
    leaky_relu,
    mish,
    quick_gelu,
    relu,
    sigmoid,
    silu,
    softplus,
    squared_relu,
    tanh,
)
from lipop.operators.attention import Attention
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.embedding import Embedding, Simplex
from lipop.operators.feedforward import MLP
from lipop.operators.function import FunctionOperator
from lipop.operators.gated import GatedMLP
from lipop.operators.linear import Affine, Diagonal, Linear, LinearProduct, LowRank
from lipop.operators.normalization import LayerNorm, RMSNorm
from lipop.operators.projection import BoxProjection, FixedPoints, Projection, orthant_projection
from lipop.operators.projection_cone import PSDProjection
from lipop.operators.projection_halfspace import HalfspaceProjection
from lipop.operators.projection_linear import (
    AffineProjection,
    HyperplaneProjection,
    IntersectionProjection,
    SubspaceProjection,
)
from lipop.operators.projection_oblique import ObliqueProjection
from lipop.operators.projection_radial import BallProjection, RadialRetraction
from lipop.operators.projection_simplex import L1BallProjection, SimplexProjection
from lipop.operators.proximal import GroupShrinkage, SoftThreshold
from lipop.operators.rotary import Rotary
from lipop.operators.softmax import Softmax

__all__ = [
    "Activation",
    "Affine",
    "AffineProjection",
    "Attention",
    "BallProjection",
    "BoxProjection",
    "Diagonal",
    "Embedding",
    "FixedPoints",
    "FunctionOperator",
    "GatedMLP",
    "GroupShrinkage",
    "HalfspaceProjection",
    "HyperplaneProjection",
    "IntersectionProjection",
    "L1BallProjection",
    "LayerNorm",
    "Linear",
    "LinearProduct",
    "LowRank",
    "MLP",
    "ObliqueProjection",
    "PSDProjection",
    "Projection",
    "RMSNorm",
    "RadialRetraction",
    "Rotary",
    "RotaryTable",
    "Simplex",
    "SimplexProjection",
    "SoftThreshold",
    "Softmax",
    "SubspaceProjection",
    "elu",
    "gelu",
    "hardswish",
    "leaky_relu",
    "mish",
    "orthant_projection",
    "quick_gelu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "squared_relu",
    "tanh",
]
