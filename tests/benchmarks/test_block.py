"""PyTorch's side of the block benchmark computes the same things as ours."""

import numpy as np
import pytest
from bench_block import DTYPES, WAYS, power_iteration, torch_block
from blocks import minilm, minilm_states, random_block, random_input, torch_twin

import lipop as lo
from lipop.operators.block import PostNormBlock

torch = pytest.importorskip("torch")


def post_norm(seed=0, d=12, m=20):
    rng = np.random.default_rng(seed)
    w = lambda *shape: rng.standard_normal(shape) / shape[-1] ** 0.5  # noqa: E731
    norm = lambda: lo.LayerNorm(1 + 0.2 * w(d), w(d), eps=1e-5, tokens=True)  # noqa: E731
    attention = lo.Attention(w(d, d), w(d, d), w(d, d), w(d, d), 3, bq=w(d), bk=w(d), bv=w(d), bo=w(d))
    return PostNormBlock.of(attention, norm(), lo.MLP(w(m, d), w(m), w(d, m), w(d), tokens=True), norm())


CASES = {
    "post-norm": (post_norm(), random_input(12, 5)),
    "pre-norm, grouped keys": (random_block(32, 64, 4, 2), random_input(32, 7)),
}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_twin_is_the_same_map(case, fused):
    block, x = CASES[case]
    y = torch_twin(block, len(x), torch.float64, fused=fused)(torch.from_numpy(x))
    assert np.abs(y.numpy() - block(x)).max() < 1e-13 * np.abs(x).max() * 10


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_every_way_gives_the_same_product(case, way):
    block, x = CASES[case]
    J, v = block.derivative(x), random_input(x.shape[1], len(x), 9)
    expected = J.rmatvec(J.matvec(v))
    for dtype, accuracy in zip(DTYPES, (1e-12, 1e-4), strict=True):
        f, at = torch_block(block, x, dtype)
        found = WAYS[way](f, at)(at.new_tensor(v)).detach().numpy()
        assert np.abs(found - expected).max() < accuracy * np.abs(expected).max()


def test_power_iteration_stops_at_its_target_and_stays_below_the_norm():
    block, x = CASES["post-norm"]
    known = float(np.linalg.norm(block.derivative(x).to_dense(), 2))
    f, at = torch_block(block, x, "float64")
    apply, start = WAYS["double backward"](f, at), at.new_tensor(random_input(12, 5, 3))
    found = power_iteration(apply, start, 0.999 * known)
    assert 0.999 * known <= found <= known * (1 + 1e-12)
    assert power_iteration(apply, start, 2 * known, most=40) <= known * (1 + 1e-12)


def test_seeds_change_the_text_of_the_trained_model():
    model = minilm()
    if model is None:
        pytest.skip("the MiniLM wheel is not installed")
    first, other = (minilm_states(model, 6, seed)[0] for seed in (0, 1))
    assert first.shape == other.shape == (6, 384)
    assert np.abs(first - other).max() > 0
    assert minilm_states(model, 300)[0].shape == (300, 384)
