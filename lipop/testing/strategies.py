"""Hypothesis strategies: random small operators, regions on which they live, and points of them.

Weights come from a NumPy generator whose seed hypothesis draws, so an example is named by a few small integers and
shrinks to a simpler operator on a simpler region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lipop import operators as ops
from lipop.core.algebra import Identity, relax, residual
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.space import Space
from lipop.errors import DomainError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid", "softplus")
LEAVES = ("affine", "diagonal", "identity", "low_rank", "activation", "layer_norm", "rms_norm", "mlp")
COMBINATIONS = ("compose", "sum", "scale", "residual", "relax", "power")


def _hypothesis() -> Any:
    try:
        import hypothesis.strategies
    except ImportError as e:
        raise ImportError(
            "the strategies of lipop.testing need hypothesis: pip install 'lipop[testing]' (or hypothesis itself)"
        ) from e
    return hypothesis.strategies


def _weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Gaussian weights of moderate norm, with sizes from a tenth to about two."""
    return rng.standard_normal(shape) * rng.uniform(0.1, 1.5) / np.sqrt(shape[-1])


def _leaf(name: str, n: int, tokens: bool, seed: int) -> Operator:
    rng = np.random.default_rng(seed)
    space = Space((None, n) if tokens else (n,))
    if name == "affine":
        return ops.Affine(_weight(rng, n, n), _weight(rng, n), tokens=tokens)
    if name == "diagonal":
        return ops.Diagonal(rng.uniform(-1.5, 1.5, n), tokens=tokens)
    if name == "low_rank":
        return ops.LowRank(_weight(rng, n, 1), _weight(rng, 1, n), tokens=tokens)
    if name == "activation":
        return ops.Activation(space, ACTIVATIONS[seed % len(ACTIVATIONS)])
    if name == "layer_norm":
        return ops.LayerNorm(rng.uniform(0.5, 1.5, n), rng.standard_normal(n), eps=0.1, tokens=tokens)
    if name == "rms_norm":
        return ops.RMSNorm(rng.uniform(0.5, 1.5, n), 0.1, tokens=tokens)
    if name == "mlp":
        up, down = _weight(rng, 2 * n, n), _weight(rng, n, 2 * n)
        return ops.MLP(up, _weight(rng, 2 * n), down, _weight(rng, n), activation="gelu", tokens=tokens)
    return Identity(space)


def _combine(name: str, a: Operator, b: Operator, c: float) -> Operator:
    return {
        "compose": lambda: a @ b,
        "sum": lambda: a + b,
        "scale": lambda: c * a,
        "residual": lambda: residual(a),
        "relax": lambda: relax(a, c),
        "power": lambda: a**2,
    }[name]()


def operators(width: int | None = None, *, tokens: bool = False, depth: int = 2) -> SearchStrategy[Operator]:
    """Operators of one space into itself, in l2: the leaves of lipop and their combinations.

    Parameters
    ----------
    width : int, optional
        The number of coordinates (of a token); 1 to 5 by default.
    tokens : bool
        Whether they act on token arrays ``(None, width)`` instead of vectors.
    depth : int
        How many combinations deep, at most.

    Raises
    ------
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=3, database=None)
    ... @given(operators(width=2))
    ... def test(T):
    ...     assert T.domain.meets(T.codomain)
    >>> test()
    """
    st = _hypothesis()
    widths = st.integers(1, 5) if width is None else st.just(width)
    seeds, scalars = st.integers(0, 2**16), st.sampled_from((0.5, -1.0, 0.0, 0.25, 2.0))

    def level(n: int, k: int) -> Any:
        leaf = st.builds(_leaf, st.sampled_from(LEAVES), st.just(n), st.just(tokens), seeds)
        if k == 0:
            return leaf
        below = level(n, k - 1)
        return st.one_of(leaf, st.builds(_combine, st.sampled_from(COMBINATIONS), below, below, scalars))

    return widths.flatmap(lambda n: level(n, depth))


def _region(kind: str, shape: tuple[int, ...], radius: float, scale: float, seed: int) -> Region:
    rng = np.random.default_rng(seed)
    center = scale * rng.standard_normal(shape)
    if kind == "ball":
        return Ball(center, radius)
    if kind == "box":
        reach = radius * rng.uniform(0.1, 1.0, shape)
        return Box(center - reach, center + reach)
    if kind == "cloud":
        return Cloud(center + radius * rng.standard_normal((4, *shape)))
    if kind == "shell":
        return Shell(scale, scale + radius)
    if kind == "token_ball":
        return TokenBall(center, radius, radius * rng.uniform(0.1, 1.0, shape[0]))
    return Everywhere()


def regions(op: Operator, *, radius: float = 3.0, tokens: int = 3) -> SearchStrategy[Region]:
    """Regions of an operator's domain: the whole space, balls, token balls, boxes, shells and clouds.

    Parameters
    ----------
    op : Operator
    radius : float
        The largest radius.
    tokens : int
        The largest number of tokens where the domain leaves it open.

    Raises
    ------
    DomainError
        If ``radius`` is not positive.
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from lipop import Linear
    >>> from hypothesis import find
    >>> find(regions(Linear(np.eye(2))), lambda region: region.convex)
    Everywhere()
    """
    if not radius > 0:
        raise DomainError(f"regions need a positive largest radius, found {radius}")
    st = _hypothesis()
    kinds = ["everywhere", "ball", "box", "cloud", "shell"]
    if len(op.domain.shape) == 2:
        kinds.append("token_ball")
    counts = st.integers(1, tokens) if op.domain.any_tokens else st.none()
    shapes = counts.map(lambda t: tuple(int(n if n is not None else t) for n in op.domain.shape))
    sizes = st.floats(0.0, 1.0, width=16).map(lambda u: radius * u)
    return st.builds(
        _region, st.sampled_from(kinds), shapes, sizes, st.sampled_from((0.0, 1.0, 0.1, 10.0)), st.integers(0, 2**16)
    )


def points(op: Operator, region: Region, *, tokens: int = 3) -> SearchStrategy[np.ndarray]:
    """Points of a region of an operator's domain.

    >>> from lipop import Linear
    >>> from hypothesis import find
    >>> find(points(Linear(np.eye(2)), Ball(np.ones(2), 0.0)), lambda x: True).tolist()
    [1.0, 1.0]
    """
    st = _hypothesis()

    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return sample(op, region, rng, 1, tokens)[0]

    return st.integers(0, 2**16).map(draw)


def sample(op: Operator, region: Region, rng: np.random.Generator, count: int, tokens: int = 3) -> np.ndarray:
    """``count`` points of the region, stacked; where it is unbounded, of sizes from a tenth to ten."""
    shape = tuple(tokens if n is None else n for n in op.domain.shape)
    if isinstance(region, Everywhere):
        scale = 10.0 ** rng.uniform(-1, 1, (count, *(1,) * len(shape)))
        return scale * rng.standard_normal((count, *shape))
    if isinstance(region, Shell):
        return region.points(rng, count, shape)
    return region.sample(rng, count)
