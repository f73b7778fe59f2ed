"""Pre-norm blocks on token shells, and the token norms behind a normalisation layer on which they rest."""

import numpy as np
import pytest

import lipop as lo
from lipop.core.calculus import _locates
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.block import PreNormBlock

WIDTH, TOKENS = 8, 5


def normalisation(kind, rng, eps=1e-3):
    gain = rng.standard_normal(WIDTH)
    if kind == "rms":
        return lo.RMSNorm(gain, eps=eps, tokens=True)
    return lo.LayerNorm(gain, rng.standard_normal(WIDTH) if kind == "offset" else None, eps=eps, tokens=True)


def block(seed=0, eps=1e-1):
    rng = np.random.default_rng(seed)
    w = lambda m, n: 0.3 * rng.standard_normal((m, n)) / n**0.5  # noqa: E731
    norms = [lo.RMSNorm(1 + 0.2 * rng.standard_normal(WIDTH), eps=eps, tokens=True) for _ in range(2)]
    heads = [w(WIDTH, WIDTH), w(4, WIDTH), w(4, WIDTH), w(WIDTH, WIDTH)]
    attention = lo.Attention(*heads, heads=4, kv_heads=2, causal=True, rotary=RotaryTable(1e4, 2))
    mlp = lo.GatedMLP(w(16, WIDTH), w(16, WIDTH), w(WIDTH, 16), tokens=True)
    return PreNormBlock.of(norms[0], attention, norms[1], mlp)


@pytest.mark.parametrize("kind", ["rms", "layer", "offset"])
@pytest.mark.parametrize("outer", [0.1, 1.0, 30.0, np.inf])
def test_no_token_behind_a_normalisation_is_longer_than_its_bound(kind, outer):
    rng = np.random.default_rng(3)
    T = normalisation(kind, rng)
    bound = T.token_norm(lo.Shell(0.0, outer))
    assert bound.status == "PROVED"
    bound.check()
    size = min(outer, 1e9)
    x = rng.standard_normal((2000, WIDTH))
    x = np.concatenate([x, np.eye(WIDTH), np.eye(WIDTH) - 1 / WIDTH])  # the axes are the worst of RMSNorm
    x *= size / np.linalg.norm(x, axis=1, keepdims=True)
    found = np.linalg.norm(T(x), axis=1)
    assert (found <= bound.value).all()
    assert np.linalg.norm(T(x * rng.uniform(0, 1, (len(x), 1))), axis=1).max() <= bound.value
    if kind == "rms":
        assert found.max() >= bound.value * (1 - 1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_pairs_and_directions_on_a_shell_stay_below_the_blocks_bound(seed):
    T, rng = block(seed), np.random.default_rng(seed)
    shell = lo.Shell(0.5, 2.0, tokens=TOKENS)
    bound = T.shell(shell)
    assert bound.status == "PROVED"
    bound.check()
    points = shell.points(rng, 60, (TOKENS, WIDTH))
    for x, y in zip(points[::2], points[1::2], strict=True):
        near = x + 1e-4 * (y - x)
        near *= np.clip(np.linalg.norm(near, axis=1, keepdims=True), 0.5, 2.0) / np.linalg.norm(
            near, axis=1, keepdims=True
        )
        for z in (y, near):
            assert np.linalg.norm(T(x) - T(z)) <= bound.value * np.linalg.norm(x - z)
        assert np.linalg.norm(T.derivative(x).to_dense(), 2) <= bound.value


def test_a_token_norm_locates_shells_that_hold_it_and_no_others():
    T = normalisation("rms", np.random.default_rng(0))
    inner = T.claim("lip", lo.Shell(1.0, 2.0, tokens=TOKENS))
    size = T.token_norm(inner.region)
    outer = lo.MLP(np.eye(WIDTH), None, np.eye(WIDTH), None, tokens=True)

    def locates(region):
        return _locates(size, inner, outer.claim("lip", region))

    assert locates(lo.Shell(0.0, size.value, TOKENS))
    assert locates(lo.Shell(0.0, 2 * size.value))
    assert not locates(lo.Shell(0.0, size.value * (1 - 1e-9), TOKENS))
    assert not locates(lo.Shell(0.1, size.value, TOKENS))
    assert not locates(lo.Shell(0.0, size.value, TOKENS + 1))
    assert not locates(lo.Ball(np.zeros((TOKENS, WIDTH)), 10 * size.value))
