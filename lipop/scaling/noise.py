"""Noise of hidden states over contexts: why it falls like 1/n, what it does in models, thresholds of the signal."""

from lipop.scaling.noise_concentration import AveragingAttention, UnitTokens
from lipop.scaling.noise_context import ContextModel, ContextNoise, context_noise, decay_exponent
from lipop.scaling.noise_gaussian import Normality, holm, normality
from lipop.scaling.noise_sink import SinkAttention

__all__ = [
    "AveragingAttention",
    "ContextModel",
    "ContextNoise",
    "Normality",
    "SinkAttention",
    "UnitTokens",
    "context_noise",
    "decay_exponent",
    "holm",
    "normality",
]
