"""Operators: one operator, or one close family, in each file."""

from lipop.operators.linear import Affine, Diagonal, Linear, LinearProduct, LowRank
from lipop.operators.normalization import LayerNorm, RMSNorm

__all__ = ["Affine", "Diagonal", "LayerNorm", "Linear", "LinearProduct", "LowRank", "RMSNorm"]
