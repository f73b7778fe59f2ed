"""Hidden-state noise of fixed probe tokens over contexts that are drawn anew: its size by layer and context length.

The prediction of arXiv 2412.16443, appendix E: the variance falls like ``n^(-1)`` in the number n of context tokens,
and the limit is Gaussian. The exponent is the least-squares slope of ``log variance`` over ``log n``; its interval
resamples the contexts of every length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from lipop.errors import DomainError, NonFiniteError, TokenError
from lipop.scaling.noise_gaussian import Normality, holm, normality


class ContextModel(Protocol):
    """What a model must offer: :class:`lipop.models.Model` does."""

    @property
    def blocks(self) -> Sequence[Any]:
        """Maps from (tokens, width) arrays to such arrays."""
        ...

    def embed(self, *, tokens: ArrayLike) -> np.ndarray:
        """(tokens, width) input of the first block."""
        ...


@dataclass(frozen=True, eq=False)
class ContextNoise:
    """Noise by layer and context length.

    Attributes
    ----------
    sizes : (S,) int array
        Context lengths n, increasing.
    variance : (layers, S) array
        Total variance of a probe token's hidden state after each block, averaged over the probe tokens; in the unit of
        the hidden states, squared. The estimator is unbiased.
    exponent : (layers,) array
    interval : (layers, 2) array
        Bootstrap percentiles of the exponent at ``level``.
    level : float
    tests : tuple of Normality
        One for each layer, length, direction and kind of test, with Holm's adjusted probabilities over all of them.
    """

    sizes: np.ndarray
    variance: np.ndarray
    exponent: np.ndarray
    interval: np.ndarray
    level: float
    tests: tuple[Normality, ...]

    def rejected(self, level: float = 0.05) -> tuple[Normality, ...]:
        """The tests that reject Gaussianity with the probability of any false rejection at most ``level``."""
        if not 0 < level < 1:
            raise DomainError(f"level is a probability in (0, 1), found {level!r}")
        return tuple(t for t in self.tests if t.adjusted <= level)

    def describe(self) -> dict[str, Any]:
        """JSON."""
        return {
            "sizes": self.sizes.tolist(),
            "variance": self.variance.tolist(),
            "exponent": self.exponent.tolist(),
            "interval": self.interval.tolist(),
            "level": self.level,
            "tests": [t.describe() for t in self.tests],
        }


def context_noise(
    model: ContextModel,
    probe: ArrayLike,
    pool: ArrayLike,
    sizes: Sequence[int],
    resamples: int,
    seed: int,
    *,
    directions: int = 2,
    bootstraps: int = 1000,
    level: float = 0.95,
    dtype: Any = np.float64,
) -> ContextNoise:
    """Measure the noise of the probe tokens' hidden states over contexts drawn independently from a pool.

    The probe comes first, so its positions are the same for every context; the n context tokens after it are drawn from
    the pool with replacement.

    Parameters
    ----------
    model : ContextModel
    probe : (m,) array of int
        Token ids.
    pool : (k,) array of int
        Token ids, at least two different ones.
    sizes : sequence of int
        At least two different context lengths.
    resamples : int
        Contexts of each length, at least 8.
    seed : int
    directions : int
        Random directions, the same for all layers, along which Gaussianity is tested (the probe's hidden states
        flattened).
    bootstraps : int
    level : float
        Of the exponents' intervals, each on its own.
    dtype : dtype
        In which the blocks are evaluated.

    Returns
    -------
    ContextNoise

    Raises
    ------
    DomainError, TokenError
        On arguments out of range.
    NonFiniteError
        If a hidden state is not finite.
    """
    probe, pool = _ids(probe, "probe"), _ids(pool, "pool")
    lengths = _lengths(sizes)
    for name, value, least in (
        ("resamples", resamples, 8),
        ("directions", directions, 0),
        ("bootstraps", bootstraps, 20),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise DomainError(f"{name} must be an int of at least {least}, found {value!r}")
    if not 0 < level < 1:
        raise DomainError(f"level is a probability in (0, 1), found {level!r}")
    if len(np.unique(pool)) < 2:
        raise TokenError("the pool holds one token only: contexts drawn from it do not differ")
    rng = np.random.default_rng(seed)
    blocks = [model.blocks[i] for i in range(len(model.blocks))]
    if not blocks:
        raise DomainError("the model has no block")
    states = [_states(model, blocks, probe, pool, n, resamples, rng, dtype) for n in lengths]
    axes = rng.standard_normal((states[0].shape[2], directions))
    variance, slopes, tests = [], [], []
    for layer in range(len(blocks)):
        if not all(bool(np.ptp(h[layer], axis=0).any()) for h in states):
            raise DomainError(f"the probe's hidden states after block {layer} do not depend on the context")
        clouds = [h[layer] - h[layer].mean(axis=0) for h in states]
        variance.append([float((h**2).sum()) / ((resamples - 1) * len(probe)) for h in clouds])
        slopes.append(_bootstrap(clouds, lengths, bootstraps, rng))
        for n, h in zip(lengths, clouds, strict=True):
            tests += [t for k in range(directions) for t in normality(h @ axes[:, k], layer, int(n), k)]
    tail = (1 - level) / 2
    return ContextNoise(
        lengths,
        np.array(variance),
        decay_exponent(lengths, np.array(variance)),
        np.quantile(np.array(slopes), [tail, 1 - tail], axis=1).T,
        level,
        holm(tests),
    )


def decay_exponent(sizes: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The least-squares slope of ``log variance`` over ``log n``.

    Parameters
    ----------
    sizes : (S,) array
    variance : (..., S) array

    Returns
    -------
    (...,) array

    Examples
    --------
    >>> float(decay_exponent(np.array([1, 10, 100]), np.array([3.0, 0.3, 0.03])).round(12))
    -1.0
    """
    x = np.log(np.asarray(sizes, dtype=np.float64))
    x = x - x.mean()
    return np.log(variance) @ x / (x @ x)


def _states(
    model: ContextModel,
    blocks: list[Any],
    probe: np.ndarray,
    pool: np.ndarray,
    n: int,
    resamples: int,
    rng: np.random.Generator,
    dtype: Any,
) -> np.ndarray:
    """(layers, resamples, m d) hidden states of the probe tokens, flattened."""
    m, out = len(probe), []
    for _ in range(resamples):
        x = model.embed(tokens=np.concatenate([probe, rng.choice(pool, int(n))])).astype(dtype)
        layers = []
        for block in blocks:
            x = block(x)
            layers.append(x[:m].ravel().astype(np.float64))
        out.append(layers)
    states = np.swapaxes(np.array(out), 0, 1)
    if not bool(np.isfinite(states).all()):
        raise NonFiniteError(f"hidden states of the probe are not finite with {n} context tokens")
    return states


def _bootstrap(clouds: list[np.ndarray], sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) exponents, the contexts of every length resampled."""
    variances = np.empty((count, len(clouds)))
    for k, h in enumerate(clouds):
        r = len(h)
        gram = h @ h.T
        w = rng.multinomial(r, np.full(r, 1 / r), size=count).astype(np.float64)
        variances[:, k] = w @ np.diag(gram) - np.einsum("bi,ij,bj->b", w, gram, w, optimize=True) / r
    return decay_exponent(sizes, np.maximum(variances, np.finfo(np.float64).tiny))


def _ids(ids: ArrayLike, name: str) -> np.ndarray:
    found = np.asarray(ids)
    if found.ndim != 1 or not found.size or not np.issubdtype(found.dtype, np.integer):
        raise TokenError(
            f"{name} must be one non-empty sequence of token ids, found shape {found.shape}, {found.dtype}"
        )
    return found


def _lengths(sizes: Sequence[int]) -> np.ndarray:
    found = np.asarray(sizes)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or len(found) < 2:
        raise DomainError(f"at least two context lengths are needed, found {sizes!r}")
    if found.min() < 1 or len(np.unique(found)) < len(found):
        raise DomainError(f"context lengths must be positive and different, found {sizes!r}")
    return np.sort(found)


__all__ = ["ContextModel", "ContextNoise", "context_noise", "decay_exponent"]
