"""A token that keeps its share of the attention, so that the noise of the output does not fall to zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.errors import DomainError, ShapeError


@dataclass(frozen=True)
class SinkAttention:
    """The counterexample: one token, drawn anew in each context, takes a fixed share of the attention.

    All n + 1 tokens are independent with variance 1; the sink has weight ``share``, the others equal weights. The
    variance of the output is ``share^2 + (1 - share)^2 / n`` exactly: it falls to the plateau ``share^2``, and not like
    1/n. The share is kept when the sink's logit exceeds the others' by ``log n + log(share / (1 - share))``.

    Parameters
    ----------
    share : float
        In [0, 1).

    Raises
    ------
    DomainError

    Examples
    --------
    >>> SinkAttention(0.5).variance(4), SinkAttention(0.5).plateau
    (0.3125, 0.25)
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise DomainError(f"the sink's share lies in [0, 1), found {self.share!r}")

    @property
    def plateau(self) -> float:
        """The limit of the variance for long contexts."""
        return self.share**2

    def variance(self, n: int) -> float:
        """The variance of the output over contexts of n tokens beside the sink."""
        if n < 1:
            raise DomainError(f"a context has at least one token beside the sink, found {n!r}")
        return self.share**2 + (1 - self.share) ** 2 / n

    def logit(self, n: int) -> float:
        """By how much the sink's logit exceeds the others', minus infinity for a share of 0."""
        if n < 1:
            raise DomainError(f"a context has at least one token beside the sink, found {n!r}")
        return -math.inf if self.share == 0 else math.log(n) + math.log(self.share / (1 - self.share))

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """(...,) outputs for (..., n + 1) tokens of one coordinate, the sink first."""
        tokens = np.asarray(tokens, dtype=np.float64)
        if tokens.ndim < 1 or tokens.shape[-1] < 2:
            raise ShapeError(f"tokens have shape (..., n + 1) with n >= 1, found {tokens.shape}")
        logits = np.zeros(tokens.shape[-1])
        logits[0] = self.logit(tokens.shape[-1] - 1)
        p = np.exp(logits - logits.max())
        return tokens @ (p / p.sum())


__all__ = ["SinkAttention"]
