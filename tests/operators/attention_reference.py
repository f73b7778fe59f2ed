"""Independent references for attention: PyTorch (values, derivatives, ascent) and ball arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from flint import arb, arb_mat

from lipop.operators.attention import Attention
from lipop.operators.attention_forward import RotaryTable

VARIANTS = {
    "plain": {},
    "biases": {"bias": True},
    "causal": {"causal": True, "bias": True},
    "grouped": {"groups": 2, "bias": True},
    "multi-query": {"groups": 1, "causal": True},
    "rotary": {"rotary": 4, "bias": True},
    "rotary, part of the head": {"rotary": 2, "groups": 2, "causal": True},
    "scale": {"scale": 1.3},
}


def make(seed=0, d=6, heads=4, dk=4, groups=None, bias=False, causal=False, rotary=None, scale=None, size=1.0, **more):
    """Random attention."""
    rng = np.random.default_rng(seed)
    g = heads if groups is None else groups
    w = lambda m, n: size * rng.standard_normal((m, n)) / np.sqrt(n)  # noqa: E731
    b = (lambda n: rng.standard_normal(n)) if bias else (lambda n: None)
    weights = w(heads * dk, d), w(g * dk, d), w(g * dk, d), w(d, heads * dk)
    biases = {"bq": b(heads * dk), "bk": b(g * dk), "bv": b(g * dk), "bo": b(d)}
    table = None if rotary is None else RotaryTable(50.0, rotary)
    return Attention(*weights, heads, groups, **biases, causal=causal, rotary=table, scale=scale, **more)


def torch_attention(T: Attention, fused: bool = False):
    """The same map in PyTorch, by the library's own attention (``fused``) or written out (for higher derivatives)."""
    tensor = lambda a: None if a is None else torch.tensor(np.array(a), dtype=torch.float64)  # noqa: E731
    wq, wk, wv, wo, bq, bk, bv, bo = (tensor(getattr(T, n)) for n in ("Wq", "Wk", "Wv", "Wo", "bq", "bk", "bv", "bo"))
    linear = torch.nn.functional.linear

    def turn(x):
        if T.rotary is None:
            return x
        n, base = T.rotary.dim, T.rotary.base
        speed = base ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
        z = torch.complex(x[..., : n // 2].contiguous(), x[..., n // 2 : n].contiguous())
        angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * speed
        z = z * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([z.real, z.imag, x[..., n:]], dim=-1)

    def f(x):
        split = lambda y, n: y.view(len(x), n, T.dk).transpose(0, 1)  # noqa: E731
        q, k, v = (
            split(linear(x, wq, bq), T.heads),
            split(linear(x, wk, bk), T.groups),
            split(linear(x, wv, bv), T.groups),
        )
        q, k = turn(q), turn(k)
        if fused:
            o = torch.nn.functional.scaled_dot_product_attention(
                q[None], k[None], v[None], is_causal=T.causal, enable_gqa=True, scale=T.c
            )[0]
        else:
            k, v = (y.repeat_interleave(T.heads // T.groups, 0) for y in (k, v))
            s = T.c * q @ k.mT
            if T.causal:
                s = s.masked_fill(~torch.ones(len(x), len(x), dtype=torch.bool).tril(), -torch.inf)
            o = s.softmax(-1) @ v
        return linear(o.transpose(0, 1).reshape(len(x), -1), wo, bo)

    return f


def dense(T: Attention, x: np.ndarray) -> np.ndarray:
    """The Jacobian by PyTorch, (T d, T d)."""
    y = torch.func.jacrev(torch_attention(T))(torch.tensor(x))
    return y.reshape(x.size, x.size).numpy()


def project(h: np.ndarray, rho: float, per_token: bool) -> np.ndarray:
    """Scale a direction to the boundary of the F-ball, or every token to the boundary of its own ball."""
    axis = -1 if per_token else None
    size = np.sqrt((h * h).sum(axis=axis, keepdims=True))
    return rho * h / np.maximum(size, 1e-300)


def ascend(T, x, rho, per_token, measure, steps=10, seed=0):
    """Conditional-gradient ascent of ``|DT(x + h) - J|`` over h in the ball; yields the dense Jacobians it visits.

    ``measure`` gives the matrix whose top singular pair is followed.
    """
    rng = np.random.default_rng(seed)
    f, shape = torch_attention(T), x.shape
    h = project(rng.standard_normal(shape) * (rng.random((len(x), 1)) < 0.6) + 1e-3, rho, per_token)
    for _ in range(steps):
        jac = dense(T, x + h)
        yield jac
        left, _, right = np.linalg.svd(measure(jac))
        u, v = torch.tensor(left[:, 0].reshape(shape)), torch.tensor(right[0].reshape(shape))
        point = torch.tensor(x + h, requires_grad=True)
        _, moved = torch.autograd.functional.jvp(f, point, v, create_graph=True)
        (grad,) = torch.autograd.grad((u * moved).sum(), point)
        h = project(grad.numpy(), rho, per_token)


def _mat(a: np.ndarray) -> arb_mat:
    return arb_mat([[arb(float(v)) for v in row] for row in np.atleast_2d(a)])


def arb_factors(T: Attention, x: np.ndarray) -> dict[str, list[arb_mat]]:
    """q, k, v, p, o, kap head by head, and the output y, in the working precision of ball arithmetic."""
    tokens, dk = len(x), T.dk
    table = None if T.rotary is None else [_mat(t) for t in T.rotary.table(tokens, dk)]
    dim = 0 if T.rotary is None else T.rotary.dim

    def project_(w, b, n):
        y = _mat(x) * _mat(np.asarray(w)).transpose()
        rows = [[y[i, j] + (0 if b is None else arb(float(b[j]))) for j in range(n * dk)] for i in range(tokens)]
        return [arb_mat([r[h * dk : (h + 1) * dk] for r in rows]) for h in range(n)]

    def turn(m):
        if table is None:
            return m
        cos, sin = table
        out = []
        for i in range(tokens):
            half = [-m[i, j + dim // 2] for j in range(dim // 2)] + [m[i, j] for j in range(dim // 2)]
            half += [arb(0)] * (dk - dim)
            out.append([m[i, j] * cos[i, j] + half[j] * sin[i, j] for j in range(dk)])
        return arb_mat(out)

    q = [turn(m) for m in project_(T.Wq, T.bq, T.heads)]
    k = [turn(m) for m in project_(T.Wk, T.bk, T.groups)]
    v = project_(T.Wv, T.bv, T.groups)
    group = T.heads // T.groups
    result: dict[str, list[arb_mat]] = {n: [] for n in ("q", "k", "v", "p", "o", "kap")}
    for h in range(T.heads):
        kh, vh = k[h // group], v[h // group]
        s = q[h] * kh.transpose()
        rows = []
        for i in range(tokens):
            e = [(arb(T.c) * s[i, j]).exp() if j <= i or not T.causal else arb(0) for j in range(tokens)]
            total = sum(e, arb(0))
            rows.append([t / total for t in e])
        p = arb_mat(rows)
        for name, value in zip(result, (q[h], kh, vh, p, p * vh, p * kh), strict=True):
            result[name].append(value)
    wide = arb_mat([[result["o"][h][i, j] for h in range(T.heads) for j in range(dk)] for i in range(tokens)])
    y = wide * _mat(np.asarray(T.Wo)).transpose()
    bo = np.zeros(y.ncols()) if T.bo is None else T.bo
    result["y"] = [arb_mat([[y[i, j] + arb(float(bo[j])) for j in range(y.ncols())] for i in range(tokens)])]
    return result
