"""Llama against transformers: values block by block in both precisions, derivatives in float64.

Whatever the model's dtype, the reference computes norms, softmax and its rotary table in float32. For comparisons in
float64 its module sees a torch whose float32 is float64, and a rotary table made here from the formula.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import lipop as lo
from lipop.errors import CheckpointError, UnsupportedConfig
from tests.models.fixtures import tiny_llama

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

IDS = np.array([3, 17, 5, 42, 8, 8, 31, 59, 0, 12, 7])


class Torch64:
    """torch, but float32 is float64."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def in_float64(monkeypatch):
    monkeypatch.setattr(transformers.models.llama.modeling_llama, "torch", Torch64())


class Rotary64(torch.nn.Module):
    """cos and sin of ``position theta^(-2 i / dk)`` in float64."""

    def __init__(self, theta, dk):
        super().__init__()
        self.frequencies = theta ** (-torch.arange(0, dk, 2, dtype=torch.float64) / dk)

    def forward(self, x, position_ids):
        angles = position_ids[..., None].double() * self.frequencies
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def reference(path, dtype):
    """The transformers decoder in the given precision, eager attention."""
    model = transformers.LlamaModel.from_pretrained(path, attn_implementation="eager", dtype=dtype).eval()
    if dtype == torch.float64:
        c = model.config
        model.rotary_emb = Rotary64(c.rope_parameters["rope_theta"], c.head_dim)
    return model


def layer_function(model, i):
    """Block i as a function of (T, d) arrays."""

    def run(x):
        tokens = len(x)
        places = torch.arange(tokens)[None]
        mask = torch.full((tokens, tokens), -torch.inf, dtype=x.dtype).triu(1)[None, None]
        out = model.layers[i](
            x[None], attention_mask=mask, position_ids=places, position_embeddings=model.rotary_emb(x[None], places)
        )
        return (out[0] if isinstance(out, tuple) else out).reshape(x.shape)

    return run


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


VARIANTS = {
    "head": {},
    "base model": {"head": False},
    "tied": {"tied": True},
    "shards": {"shards": 3},
    "one key head": {"groups": 1},
    "all key heads": {"groups": 4},
    "biases": {"bias": True},
    "wide heads": {"head_dim": 8},
    "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
    "eps": {"rms_norm_eps": 1e-2},
    "gelu": {"hidden_act": "gelu"},
    "f16": {"dtype": "float16"},
    "bf16": {"dtype": "bfloat16"},
    "bf16 shards": {"dtype": "bfloat16", "shards": 2, "tied": True},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.usefixtures("in_float64")
def test_hidden_states_in_float64(tmp_path, options):
    path = tiny_llama(tmp_path, **options)
    model, theirs = lo.load(path), reference(path, torch.float64)
    x = model.embed(tokens=IDS)
    with torch.no_grad():
        states = theirs(input_ids=torch.as_tensor(IDS)[None], output_hidden_states=True).hidden_states
        ours = model.activations(x)
        assert len(ours) == len(model.blocks) == 2
        for i, block in enumerate(model.blocks):
            assert relative(ours[i], states[i][0].numpy()) < 1e-9
            y = layer_function(theirs, i)(torch.as_tensor(ours[i])).numpy()
            assert relative(block(ours[i]), y) < 1e-9


@pytest.mark.parametrize("options", [{}, {"bias": True, "groups": 1}, {"dtype": "bfloat16"}], ids=str)
def test_blocks_in_float32(tmp_path, options):
    path = tiny_llama(tmp_path, **options)
    model, theirs = lo.load(path), reference(path, torch.float32)
    x = model.embed(tokens=IDS).astype(np.float32)
    with torch.no_grad():
        for i, block in enumerate(model.blocks):
            y = layer_function(theirs, i)(torch.as_tensor(x)).numpy()
            ours = block(x)
            assert ours.dtype == np.float32
            assert relative(ours, y) < 1e-4
            x = y


@pytest.mark.parametrize("options", [{}, {"groups": 1, "bias": True}, {"head_dim": 8, "dtype": "float16"}], ids=str)
@pytest.mark.usefixtures("in_float64")
def test_derivatives(tmp_path, options):
    path = tiny_llama(tmp_path, **options)
    model, theirs = lo.load(path), reference(path, torch.float64)
    rng = np.random.default_rng(0)
    for i, x in enumerate(model.activations(model.embed(tokens=IDS))):
        run = layer_function(theirs, i)
        v, u = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
        jv = torch.func.jvp(run, (torch.as_tensor(x),), (torch.as_tensor(v),))[1].detach().numpy()
        _, pull = torch.func.vjp(run, torch.as_tensor(x))
        ju = pull(torch.as_tensor(u))[0].detach().numpy()
        J = model.blocks[i].derivative(x)
        assert relative(J.matvec(v), jv) < 1e-8
        assert relative(J.rmatvec(u), ju) < 1e-8
        assert abs((J.matvec(v) * u).sum() - (v * J.rmatvec(u)).sum()) < 1e-12 * np.linalg.norm(jv) * np.linalg.norm(u)


def changed(path, **keys):
    """The checkpoint with other keys in its config."""
    file = path / "config.json"
    config = json.loads(file.read_text())
    config.update(keys)
    file.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    "scaled",
    [
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "factor": 2.0}},
    ],
    ids=str,
)
def test_scaled_rotary_frequencies_are_refused(tmp_path, scaled):
    path = changed(tiny_llama(tmp_path), **scaled)
    with pytest.raises(UnsupportedConfig, match=rf"{next(iter(scaled))}.*scaled rotary"):
        lo.load(path)


def test_either_spelling_of_the_base_is_read_and_contradictions_are_refused(tmp_path):
    path = changed(tiny_llama(tmp_path), rope_parameters=None, rope_theta=5e5, rope_scaling=None)
    assert lo.load(path).blocks[0].attention.rotary.base == 5e5
    with pytest.raises(UnsupportedConfig, match="disagree"):
        lo.load(changed(path, rope_parameters={"rope_theta": 1e4}))
    with pytest.raises(UnsupportedConfig, match="rope_theta"):
        lo.load(changed(path, rope_parameters=None, rope_theta=0.5))


@pytest.mark.parametrize(
    ("keys", "culprit"),
    [
        ({"mlp_bias": True}, "mlp_bias"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"head_dim": 5}, "head_dim"),
        ({"sliding_window": 4}, "sliding_window"),
        ({"hidden_act": "mystery"}, "hidden_act"),
    ],
    ids=str,
)
def test_configs_that_mean_another_map_are_refused(tmp_path, keys, culprit):
    with pytest.raises(UnsupportedConfig, match=culprit):
        lo.load(changed(tiny_llama(tmp_path), **keys))


def test_biases_without_the_config_key_are_refused(tmp_path):
    path = changed(tiny_llama(tmp_path, bias=True), attention_bias=False)
    with pytest.raises(CheckpointError, match=r"proj\.bias"):
        lo.load(path)
