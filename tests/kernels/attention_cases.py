"""Attention layers of several styles, at random and extreme points, and the same map in PyTorch."""

import numpy as np
import torch

STYLES = {  # heads, key heads, head width, causal, rotary entries, biases
    "bert": (3, 3, 8, False, 0, True),
    "llama": (4, 2, 8, True, 8, False),
    "one key head, part of a head turns": (3, 1, 5, True, 4, True),
    "wider than the model": (8, 4, 4, False, 4, False),
}


def tables(tokens, turned):
    angles = np.arange(tokens)[:, None] * 100.0 ** (-np.arange(turned // 2) * 2 / turned)
    return np.cos(angles), np.sin(angles)


def case(style, tokens, seed=0, dtype: type = np.float64, size=1.0):
    """A point, weights, and options."""
    heads, groups, dk, causal, turned, biases = STYLES[style]
    rng, d = np.random.default_rng([seed, tokens]), 24
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(d)).astype(dtype)  # noqa: E731
    x = (size * rng.standard_normal((tokens, d))).astype(dtype)
    if size > 1 and tokens > 2:
        x[1] = x[0]  # equal tokens
        x[2] *= 1e-6
    weights = [draw(heads * dk, d), draw(groups * dk, d), draw(groups * dk, d), draw(d, heads * dk)]
    options = {"n_heads": heads, "n_kv_heads": groups, "causal": causal}
    if turned:
        options["rotary"] = tuple(t.astype(dtype) for t in tables(tokens, turned))
    if biases:
        options |= {f"b_{n}": draw(len(w)) for n, w in zip("QKVO", weights, strict=True)}
    return x, weights, options, rng


def torch_attention(weights, options):
    heads, groups = options["n_heads"], options["n_kv_heads"]
    W = [torch.tensor(w) for w in weights]
    b = [torch.tensor(options[f"b_{n}"]) if f"b_{n}" in options else 0.0 for n in "QKVO"]

    def turn(z):
        if "rotary" not in options:
            return z
        cos, sin = (torch.tensor(t) for t in options["rotary"])
        m = cos.shape[1]
        first, second, rest = z[..., :m], z[..., m : 2 * m], z[..., 2 * m :]
        return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], -1)

    def f(x):
        parts = zip(W[:3], b[:3], (heads, groups, groups), strict=True)
        sides = [(x @ w.T + a).reshape(len(x), n, -1).transpose(0, 1) for w, a, n in parts]
        k, v = (z.repeat_interleave(heads // groups, 0) for z in (turn(sides[1]), sides[2]))
        s = turn(sides[0]) @ k.transpose(1, 2) / k.shape[-1] ** 0.5
        if options["causal"]:
            s = s.masked_fill(~torch.ones(s.shape[-2:], dtype=torch.bool).tril(), -torch.inf)
        return (s.softmax(-1) @ v).transpose(0, 1).reshape(len(x), -1) @ W[3].T + b[3]

    return f
