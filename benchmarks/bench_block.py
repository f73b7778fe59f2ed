"""Jacobian norm of a block? One ``J^T J v``, the linearisation before it, and |J|, against PyTorch's ways to them.

Blocks: the six of MiniLM (trained) in turn and a random Llama block (the 1B shape). PyTorch runs in float64, the
precision of our products, and in float32. Its power iteration is told the answer: it stops as soon as it is within
1e-3, which no user could know, and its float32 runs are not asked to be right.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import harness

# isort: split
import numpy as np
from blocks import minilm, minilm_states, random_block, random_input, torch_twin
from harness import Options, Timing

import lipop as lo
from lipop.core.norms import derivative_norm
from lipop.operators.block import Block
from lipop_kernels import spectral_norm

Contenders = dict[str, Callable[[], object]]
Product = Callable[[Any], Any]
Case = tuple[Block, np.ndarray]
RTOL = 1e-3
DTYPES = ("float64", "float32")


def cases(options: Options) -> Iterator[tuple[str, int, list[Callable[[], Case]]]]:
    """Name and number of tokens, and for every seed a maker of the block and its input."""
    model, seeds = minilm(), range(options.pick(full=options.seeds, quick=1, tiny=1))
    for tokens in options.pick(full=(16, 64, 128, 512), quick=(16,), tiny=()):
        if model is not None:
            yield "minilm block", tokens, [_trained(tokens, seed) for seed in seeds]
    shape = options.pick(full=(2048, 8192, 32, 8), quick=(256, 1024, 8, 2), tiny=(32, 64, 4, 2))
    for tokens in options.pick(full=(16, 64), quick=(16,), tiny=(4,)):
        yield f"random llama block, d = {shape[0]}", tokens, [_random(shape, tokens, seed) for seed in seeds]


def _trained(tokens: int, seed: int) -> Callable[[], Case]:
    def make() -> Case:
        model = minilm()
        assert model is not None
        i = seed % len(model.blocks)
        block = model.blocks[i]
        assert isinstance(block, Block)
        return block, minilm_states(model, tokens, seed)[i]

    return make


def _random(shape: tuple[int, int, int, int], tokens: int, seed: int) -> Callable[[], Case]:
    return lambda: (random_block(*shape, seed=seed), random_input(shape[0], tokens, seed))


# ---- PyTorch's ways to J^T J v ----


def fresh(f: Callable, at: Any) -> Product:
    """A forward-mode and a reverse-mode derivative, nothing kept."""
    import torch

    return lambda v: torch.func.vjp(f, at)[1](torch.func.jvp(f, (at,), (v,))[1])[0]


def linearized(f: Callable, at: Any) -> Product:
    """The traced linear map, and the reverse pass with its graph kept."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Attempted to insert a get_attr Node")  # of the tracer, about its own graph
        push, pull = torch.func.linearize(f, at)[1], torch.func.vjp(f, at)[1]
    return lambda v: pull(push(v))[0]


def twice_backward(f: Callable, at: Any) -> Product:
    """``J v`` as the derivative of ``u -> J^T u`` against v, then ``J^T``, both through graphs that are kept."""
    import torch

    point = at.clone().requires_grad_()
    image = f(point)
    cotangent = torch.zeros_like(image).requires_grad_()
    (pulled,) = torch.autograd.grad(image, point, cotangent, create_graph=True)

    def apply(v: Any) -> Any:
        (push,) = torch.autograd.grad(pulled, cotangent, v, retain_graph=True)
        return torch.autograd.grad(image, point, push, retain_graph=True)[0]

    return apply


WAYS = {"jvp + vjp": fresh, "linearize + cached vjp": linearized, "double backward": twice_backward}


def torch_block(block: Block, x: np.ndarray, dtype: str, *, fused: bool = False) -> tuple[Callable, Any]:
    """The block as PyTorch's function, and its input."""
    import torch

    return torch_twin(block, len(x), getattr(torch, dtype), fused=fused), torch.from_numpy(x.astype(dtype))


def power_iteration(apply: Product, v: Any, target: float, most: int = 1000) -> float:
    """The norm from below, until it is at least ``target``; after ``most`` products whatever it is."""
    size = 0.0
    for _ in range(most):
        v = apply(v / v.norm())
        size = float(v.norm()) ** 0.5  # |J^T J v|^(1/2) <= |J|
        if size >= target:
            break
    return size


# ---- contenders ----


def products(block: Block, x: np.ndarray, rng: np.random.Generator, dtypes: Sequence[str]) -> Contenders:
    """One ``J^T J v``, everything that can be kept kept; and one forward pass to compare it with."""
    J, v = block.derivative(x), rng.standard_normal(x.shape)
    out: Contenders = {"lipop": lambda: J.rmatvec(J.matvec(v))}
    for dtype in dtypes:
        f, at = torch_block(block, x, dtype)
        w = at.new_tensor(v)
        out |= {f"torch {name}, {dtype}": partial(way(f, at), w) for name, way in WAYS.items()}
        out[f"torch forward, {dtype}"] = partial(forward, *torch_block(block, x, dtype, fused=True))
    return out


def forward(f: Callable, at: Any) -> Any:
    import torch

    with torch.no_grad():
        return f(at)


def linearizations(block: Block, x: np.ndarray, dtypes: Sequence[str]) -> Contenders:
    """What comes before the first product."""
    out: Contenders = {"lipop": lambda: block.derivative(x)}
    for dtype in dtypes:
        at = torch_block(block, x, dtype)
        out |= {f"torch {name}, {dtype}": partial(way, *at) for name, way in WAYS.items() if way is not fresh}
    return out


def norms(block: Block, x: np.ndarray, rng: np.random.Generator, dtypes: Sequence[str]) -> Contenders:
    """|J| from x and the weights on: a certified bracket, the lower end alone, PyTorch's power iteration."""
    seed = int(rng.integers(2**31))
    known = spectral_norm(block.derivative(x), 1e-9, rng=seed)[0]
    start = rng.standard_normal(x.shape)
    out: Contenders = {
        "lipop upper bound, 1e-3": lambda: derivative_norm(block, x, rtol=RTOL, seed=seed),
        "lipop lower bound, 1e-3": lambda: spectral_norm(block.derivative(x), RTOL, rng=seed),
    }
    for dtype in dtypes:
        f, at = torch_block(block, x, dtype)
        v = at.new_tensor(start)
        for name, way in WAYS.items():
            if way is not fresh:
                iterate = lambda f=f, at=at, v=v, way=way: power_iteration(way(f, at), v, known * (1 - RTOL))  # noqa: E731
                out[f"torch power iteration, {name}, {dtype}"] = iterate
    return out


def run(options: Options) -> list[harness.Row]:
    """Every case with its seeds pooled."""
    dtypes = options.pick(full=DTYPES, quick=DTYPES, tiny=DTYPES[:1])
    rows: list[harness.Row] = []
    for case, tokens, makers in cases(options):
        parts: dict[str, list[dict[str, Timing]]] = {"block J^T J v": [], "block linearisation": [], "block norm": []}
        d = 0
        for seed, make in enumerate(makers):
            block, x = make()
            d, rng = int(x.shape[1]), np.random.default_rng([seed, tokens])
            for question, contenders in (
                ("block J^T J v", products(block, x, rng, dtypes)),
                ("block linearisation", linearizations(block, x, dtypes)),
                ("block norm", norms(block, x, rng, dtypes)),
            ):
                budget = options.pick(full=60.0, quick=0.5, tiny=0.5)
                warmup = options.pick(full=1, quick=0, tiny=0)
                timing = harness.interleave(contenders, options.repeats, budget=budget, warmup=warmup)
                parts[question].append(timing)
        for question, timings in parts.items():
            new = harness.rows(question, case, harness.pool(timings), n=d, T=tokens)
            print(harness.table(new), flush=True)
            rows += new
    return rows


def history() -> Contenders:
    """For asv: our own contenders at a small size."""
    block, x = random_block(128, 512, 4, 2), random_input(128, 16)
    ours = {
        "product": products(block, x, np.random.default_rng(0), ()),
        "linearisation": linearizations(block, x, ()),
        "norm": norms(block, x, np.random.default_rng(0), ()),
    }
    return {f"{what}: {name}": f for what, contenders in ours.items() for name, f in contenders.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run and write ``block.json``."""
    options = harness.options(__doc__, argv)
    harness.write("block", run(options), options=options, extra={"rtol": RTOL, "lipop": lo.__version__})


if __name__ == "__main__":
    main()
