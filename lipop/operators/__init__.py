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
from lipop.operators.rotary import Rotary
from lipop.operators.softmax import Softmax

__all__ = [
    "Activation",
    "Affine",
    "Attention",
    "Diagonal",
    "Embedding",
    "FunctionOperator",
    "GatedMLP",
    "LayerNorm",
    "Linear",
    "LinearProduct",
    "LowRank",
    "MLP",
    "RMSNorm",
    "Rotary",
    "RotaryTable",
    "Simplex",
    "Softmax",
    "elu",
    "gelu",
    "hardswish",
    "leaky_relu",
    "mish",
    "quick_gelu",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "squared_relu",
    "tanh",
]
