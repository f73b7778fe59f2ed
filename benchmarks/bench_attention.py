"""J^T J v of one attention layer? The linearisation against a forward pass, torch.func, and the operator's products.

Layers: BERT's shape (biases, no mask) and Llama's (grouped keys, rotary positions, causal). PyTorch computes in the
same precision; its forward pass is run with the scores written out and with its fused attention. By the count of
operations alone, J^T J v costs 1.75 forward passes of the first shape and 1.6 of the second.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import harness

# isort: split
import numpy as np
import torch
import torch.nn.functional as F

from lipop.operators.attention import Attention
from lipop.operators.attention_forward import RotaryTable
from lipop_kernels import attention_linearisation

Contenders = dict[str, Callable[[], object]]
Shape = tuple[int, int, int, int]  # tokens, width, heads, key heads; fewer key heads: rotary and causal


class Layer:
    """A random layer with its point, for both libraries."""

    def __init__(self, shape: Shape, dtype: str, seed: int) -> None:
        tokens, d, heads, groups = shape
        self.shape, self.causal, dk = shape, heads != groups, d // heads
        rng = np.random.default_rng(seed)
        draw = lambda *size: (rng.standard_normal(size) / np.sqrt(d)).astype(dtype)  # noqa: E731
        self.x, self.v = np.sqrt(d).astype(dtype) * draw(2, tokens, d)
        self.W = [draw(d, d), draw(groups * dk, d), draw(groups * dk, d), draw(d, d)]
        self.b = None if self.causal else [draw(len(w)) for w in self.W]
        self.table = RotaryTable(10000.0, dk) if self.causal else None

    def options(self) -> dict[str, Any]:
        tokens, d, heads, groups = self.shape
        out: dict[str, Any] = {"n_heads": heads, "n_kv_heads": groups, "causal": self.causal}
        if self.table is not None:
            out["rotary"] = tuple(t[:, : d // heads // 2] for t in self.table.table(tokens, d // heads))
        if self.b is not None:
            out |= {f"b_{n}": b for n, b in zip("QKVO", self.b, strict=True)}
        return out

    def operator(self) -> Attention:
        names = ("bq", "bk", "bv", "bo")
        biases: dict[str, Any] = {} if self.b is None else dict(zip(names, self.b, strict=True))
        _, _, heads, groups = self.shape
        return Attention(*self.W, heads=heads, kv_heads=groups, causal=self.causal, rotary=self.table, **biases)

    def torch(self, fused: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        tokens, d, heads, groups = self.shape
        dk, half = d // heads, d // heads // 2
        W = [torch.from_numpy(w) for w in self.W]
        b = [None] * 4 if self.b is None else [torch.from_numpy(a) for a in self.b]
        if self.table is not None:
            cos, sin = (torch.from_numpy(t.astype(self.x.dtype)) for t in self.table.table(tokens, dk))
        mask = ~torch.ones(tokens, tokens, dtype=torch.bool).tril()

        def turn(z: torch.Tensor) -> torch.Tensor:
            if self.table is None:
                return z
            return z * cos + torch.cat([-z[..., half:], z[..., :half]], -1) * sin

        def forward(x: torch.Tensor) -> torch.Tensor:
            q, k, v = (
                F.linear(x, w, a).view(tokens, n, dk).transpose(0, 1)
                for w, a, n in zip(W[:3], b[:3], (heads, groups, groups), strict=True)
            )
            q, k = turn(q), turn(k)
            if fused:
                o = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=self.causal, enable_gqa=True)[0]
            else:
                k, v = (z.repeat_interleave(heads // groups, 0) if groups < heads else z for z in (k, v))
                s = q @ k.transpose(1, 2) / dk**0.5
                o = (s.masked_fill(mask, -torch.inf) if self.causal else s).softmax(-1) @ v
            return F.linear(o.transpose(0, 1).reshape(tokens, d), W[3], b[3])

        return forward


def contenders(layer: Layer) -> Contenders:
    x, v = torch.from_numpy(layer.x), torch.from_numpy(layer.v)
    f, fused = layer.torch(False), layer.torch(True)
    J = attention_linearisation(layer.x, *layer.W, **layer.options())
    out = np.empty_like(layer.x)
    derivative, wide = layer.operator().derivative(layer.x), layer.v.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        push, pull = torch.func.linearize(f, x)[1], torch.func.vjp(f, x)[1]

    def forward(g: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
        def run() -> object:
            with torch.no_grad():
                return g(x)

        return run

    def fresh() -> object:
        forward = torch.func.jvp(f, (x,), (v,))[1]
        return torch.func.vjp(f, x)[1](forward)[0]

    exact = pull(push(v))[0].numpy()
    for found in (J.gram(layer.v), J.vjp(J.jvp(layer.v))):
        assert np.abs(found - exact).max() <= 2e4 * np.finfo(exact.dtype).eps * np.abs(exact).max()
    return {
        "lipop gram": lambda: J.gram(layer.v, out=out),
        "lipop vjp of jvp": lambda: J.vjp(J.jvp(layer.v, out=out), out=out),
        "lipop operator, float64": lambda: derivative.rmatvec(derivative.matvec(wide)),
        "torch forward": forward(f),
        "torch forward, fused attention": forward(fused),
        "torch jvp + vjp": fresh,
        "torch linearize + cached vjp": lambda: pull(push(v))[0],
    }


def main(argv: Sequence[str] | None = None) -> None:
    options = harness.options(__doc__, argv)
    full: list[Shape] = [(64, 384, 6, 6), (512, 384, 6, 6), (128, 2048, 32, 8), (512, 2048, 32, 8)]
    shapes = options.pick(full=full, quick=[full[0], (128, 512, 8, 2)], tiny=[(5, 16, 4, 4), (5, 16, 4, 2)])
    rows: list[harness.Row] = []
    for shape in shapes:
        for dtype in ("float32", "float64"):
            timed = []
            for seed in range(options.seeds):
                timed.append(harness.interleave(contenders(Layer(shape, dtype, seed)), options.repeats, warmup=2))
            tokens, d, heads, groups = shape
            case = f"{heads} heads on {groups} key heads" + (", causal, rotary" if groups < heads else ", biases")
            part = harness.rows("J^T J v of attention", case, harness.pool(timed), n=d, T=tokens, dtype=dtype)
            print(harness.table(part), flush=True)
            rows += part
            harness.write("attention", rows, options=options)  # a run that is cut short leaves whole cases


def history() -> Contenders:
    """Products that asv follows."""
    layer = Layer((64, 384, 6, 6), "float32", 0)
    J = attention_linearisation(layer.x, *layer.W, **layer.options())
    return {"lipop attention gram": lambda: J.gram(layer.v), "lipop attention jvp": lambda: J.jvp(layer.v)}


if __name__ == "__main__":
    main()
