"""The stored derivative is the same map, bit for bit, whether all heads are taken at once or one by one."""

import numpy as np
import pytest

from lipop.operators import attention_forward, attention_products
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
