"""BERT against transformers: values block by block in both precisions, derivatives in float64."""

from __future__ import annotations

import numpy as np
import pytest

import lipop as lo
from tests.models.fixtures import MINILM, tiny_bert

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXT = "The limit of a convergent composition forgets nothing that its last projection keeps, and all the rest."


def reference(path, dtype):
    """The transformers model in the given precision, eager attention, no dropout."""
    model = transformers.BertModel.from_pretrained(path, attn_implementation="eager", dtype=dtype)
    return model.eval()


def hidden_states(model, ids):
    with torch.no_grad():
        out = model(input_ids=torch.as_tensor(ids)[None], output_hidden_states=True)
    return [h[0] for h in out.hidden_states]


def layer_function(model, i):
    """Block i as a function of (T, d) arrays."""

    def run(x):
        out = model.encoder.layer[i](x[None])
        return (out[0] if isinstance(out, tuple) else out).reshape(x.shape)

    return run


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def minilm():
    return lo.load(MINILM), reference(MINILM, torch.float64)


@pytest.mark.parametrize(
    "options",
    [{}, {"prefix": "bert."}, {"shards": 3}, {"hidden_act": "gelu_new"}, {"hidden_act": "relu"}],
    ids=["plain", "prefix", "shards", "gelu_tanh", "relu"],
)
def test_tiny_checkpoints_in_float64(tmp_path, options):
    path = tiny_bert(tmp_path, **options)
    model = lo.load(path)
    plain = path if not options.get("prefix") else tiny_bert(tmp_path / "plain")
    ids = np.arange(1, 12)
    states = hidden_states(reference(plain, torch.float64), ids)
    x = model.embed(tokens=ids)
    assert relative(x, states[0].numpy()) < 1e-9
    for i, block in enumerate(model.blocks):
        assert relative(block(states[i].numpy()), states[i + 1].numpy()) < 1e-9


def test_minilm_hidden_states_in_float64(minilm):
    model, theirs = minilm
    ids = model.tokens(TEXT)
    states = hidden_states(theirs, ids)
    ours = model.activations(model.embed(tokens=ids))
    for i, x in enumerate(ours):
        assert relative(x, states[i].numpy()) < 1e-9
        assert relative(model.blocks[i](states[i].numpy()), states[i + 1].numpy()) < 1e-9


def test_minilm_blocks_in_float32(minilm):
    model, _ = minilm
    ids = model.tokens(TEXT)
    states = hidden_states(reference(MINILM, torch.float32), ids)
    for i in range(6):
        y = model.blocks[i](states[i].numpy())
        assert y.dtype == np.float32
        assert relative(y, states[i + 1].numpy()) < 1e-4


@pytest.mark.parametrize("i", [0, 3, 5])
def test_minilm_derivatives(minilm, i):
    model, theirs = minilm
    x = model.activations(model.embed(text=TEXT))[i]
    run = layer_function(theirs, i)
    rng = np.random.default_rng(i)
    v, u = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    jv = torch.func.jvp(run, (torch.as_tensor(x),), (torch.as_tensor(v),))[1].detach().numpy()
    _, pull = torch.func.vjp(run, torch.as_tensor(x))
    ju = pull(torch.as_tensor(u))[0].detach().numpy()
    J = model.blocks[i].derivative(x)
    assert relative(J.matvec(v), jv) < 1e-8
    assert relative(J.rmatvec(u), ju) < 1e-8
    assert abs((J.matvec(v) * u).sum() - (v * J.rmatvec(u)).sum()) < 1e-12 * np.linalg.norm(jv) * np.linalg.norm(u)
