"""Noise of hidden states over contexts: why it falls like 1/n, what it does in models, thresholds of the signal."""

from lipop.scaling.noise_concentration import AveragingAttention, SinkAttention, UnitTokens

__all__ = ["AveragingAttention", "SinkAttention", "UnitTokens"]
