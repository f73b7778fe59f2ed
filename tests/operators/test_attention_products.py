"""The stored derivative is the same map, bit for bit, whether all heads are taken at once or one by one."""

import numpy as np
import pytest

import lipop as lo
from lipop.operators import attention_bounds, attention_forward, attention_products
from lipop.operators.attention import Attention
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.attention_products import Packed, StoredFactors, attention_jacobian


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rotary", [True, False])
def test_heads_in_parts_give_the_same_products(monkeypatch, causal, rotary):
    rng = np.random.default_rng(0)
    tokens, d, heads, groups, dk = 70, 24, 4, 2, 6
    shapes = ((heads * dk, d), (groups * dk, d), (groups * dk, d), (d, heads * dk))
    weights = [rng.standard_normal(s).astype(np.float32) / 4 for s in shapes]
    table = RotaryTable(1e4, dk) if rotary else None
    attn = Attention(*weights, heads, groups, causal=causal, rotary=table)
    x, v = rng.standard_normal((2, tokens, d))
    J = attn.derivative(x)
    monkeypatch.setattr(attention_forward, "ENTRIES", 1)
    monkeypatch.setattr(attention_products, "ROWS", 16)
    factors = StoredFactors.at(attn, x)
    assert len(factors.p[0].blocks) == 5
    K = attention_jacobian(attn, factors)
    assert (J.majorant, J.product_error) == (K.majorant, K.product_error)
    np.testing.assert_array_equal(J.matvec(v), K.matvec(v))
    np.testing.assert_array_equal(J.rmatvec(v), K.rmatvec(v))


@pytest.mark.parametrize("tokens", [1, 255, 256, 257, 600])
def test_packed_probabilities_keep_what_the_mask_leaves(tokens):
    p = np.tril(np.random.default_rng(tokens).uniform(size=(tokens, tokens)))
    packed = Packed.of(p, causal=True)
    np.testing.assert_array_equal(packed.dense(), p)
    if tokens == 600:
        assert sum(b.size for b in packed.blocks) < 0.8 * p.size
    full = np.random.default_rng(0).uniform(size=(tokens, tokens))
    np.testing.assert_array_equal(Packed.of(full, causal=False).dense(), full)


@pytest.mark.parametrize("causal", [True, False])
def test_float32_probabilities_are_within_what_the_deviation_says(monkeypatch, causal):
    rng = np.random.default_rng(3)
    tokens, d = 9, 8
    attn = Attention(*(rng.standard_normal((d, d)) for _ in range(4)), 2, causal=causal)
    x = rng.standard_normal((tokens, d))
    fine = dense(attn.derivative(x), tokens, d)
    for module in (attention_forward, attention_products):
        monkeypatch.setattr(module, "LONG", tokens - 1)
    monkeypatch.setattr(attention_forward, "ENTRIES", 1)  # head by head
    coarse = dense(attn.derivative(x), tokens, d)
    moved = np.linalg.norm(coarse - fine, 2)
    assert 1e-10 < moved <= attn.linearize(lo.Ball(x, 0.0)).deviation.norm().value < 1e-4
    assert StoredFactors.at(attn, x).p[0].dense().dtype == np.float32


@pytest.mark.parametrize("causal", [True, False])
def test_rows_in_slices_give_the_same_bounds(monkeypatch, causal):
    rng = np.random.default_rng(4)
    attn = Attention(*(rng.standard_normal((8, 8)) for _ in range(4)), 2, causal=causal)
    ball = lo.Ball(rng.standard_normal((11, 8)), 1e-3)
    whole = attn.linearize(ball).deviation.norm().value
    for module in (attention_forward, attention_bounds):
        monkeypatch.setattr(module, "SMALL", 1)
    assert attn.linearize(ball).deviation.norm().value == whole


def dense(J, tokens, d):
    columns = np.eye(tokens * d).reshape(-1, tokens, d)
    return np.stack([J.matvec(e).ravel() for e in columns], axis=1)
