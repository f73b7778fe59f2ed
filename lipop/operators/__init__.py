"""Operators: one operator, or one close family, in each file."""

from lipop.operators.linear import Affine, Diagonal, Linear, LinearProduct, LowRank

__all__ = ["Affine", "Diagonal", "Linear", "LinearProduct", "LowRank"]
