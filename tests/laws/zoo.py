"""The zoo: one small case of every operator and combination, on which all laws run.

``ZOO`` maps a name to ``maker(rng) -> Case``: an operator, a generic point of its domain, and regions to ask about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lipop as lo
from lipop.core.algebra import Restriction, Sum
from lipop.core.operator import Operator
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.block import PostNormBlock

Maker = Callable[[np.random.Generator], "Case"]


@dataclass(frozen=True)
class Case:
    """An operator, a point, regions; ``twin`` is the same map in torch (float64), where one is simple."""

    op: Operator
    x: np.ndarray
    regions: list[lo.Region] = field(default_factory=list)
    twin: Callable[[Any], Any] | None = None


def vector_regions(x: np.ndarray, radius: float = 0.3) -> list[lo.Region]:
    """The whole space, a point, balls, a box, a cloud and shells around x."""
    rng = np.random.default_rng(x.size)
    size = float(np.linalg.norm(x))
    return [
        lo.Everywhere(),
        lo.Ball(x, 0.0),
        lo.Ball(x, radius),
        lo.Box(x - radius * rng.uniform(0.1, 1, x.shape), x + radius * rng.uniform(0.1, 1, x.shape)),
        lo.Cloud(x + radius * rng.standard_normal((5, *x.shape))),
        lo.Shell(0.5 * size, 1.5 * size),
    ]


def token_regions(x: np.ndarray, radius: float = 0.3) -> list[lo.Region]:
    """The same for token arrays, with a token ball whose first token may hardly move."""
    sizes = np.sqrt((x * x).sum(axis=1))
    rho = np.full(len(x), 0.8 * radius)
    rho[0] = 0.05 * radius
    some = [r for r in vector_regions(x, radius) if not isinstance(r, lo.Shell)]
    return [*some, lo.TokenBall(x, radius, rho), lo.Shell(0.9 * float(sizes.min()), 1.1 * float(sizes.max()))]


def weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(shape[-1])


def _vector(op: Operator, rng: np.random.Generator, twin: Any = None, scale: float = 1.0) -> Case:
    x = scale * rng.standard_normal(op.domain.width)
    own = [] if op.domain.norm == "l2" else [lo.Ball(x, 0.3, op.domain.norm)]
    return Case(op, x, [*own, *vector_regions(x)], twin)


def _tokens(op: Operator, rng: np.random.Generator, twin: Any = None, count: int = 3, scale: float = 1.0) -> Case:
    shape = tuple(count if n is None else n for n in op.domain.shape)
    x = scale * rng.standard_normal(shape)
    return Case(op, x, token_regions(x), twin)


# ---- torch twins ---------------------------------------------------------------------------------------------------


def tensor(x: Any) -> Any:
    import torch

    return None if x is None else torch.tensor(np.asarray(x, dtype=np.float64))


def _affine_twin(A: Any, b: Any = None) -> Any:
    return lambda x: x @ tensor(A).T + (0.0 if b is None else tensor(b))


def torch_activation(name: str, x: Any, param: float | None = None) -> Any:
    """The activation by its torch name, written out where torch has none."""
    import torch
    import torch.nn.functional as F

    return {
        "relu": F.relu,
        "leaky_relu": lambda z: F.leaky_relu(z, param),
        "gelu": F.gelu,
        "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
        "quick_gelu": lambda z: z * torch.sigmoid(1.702 * z),
        "silu": F.silu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "softplus": F.softplus,
        "elu": lambda z: F.elu(z, alpha=1.0 if param is None else param),
        "mish": F.mish,
        "hardswish": F.hardswish,
        "squared_relu": lambda z: F.relu(z) ** 2,
    }[name](x)


def _layer_norm_twin(gamma: Any, beta: Any, eps: float) -> Any:
    import torch.nn.functional as F

    return lambda x: F.layer_norm(x, (len(gamma),), tensor(gamma), tensor(beta), eps)


def _rms_norm_twin(gamma: Any, eps: float) -> Any:
    return lambda x: tensor(gamma) * x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


# ---- linear --------------------------------------------------------------------------------------------------------


def _affine(m: int, n: int, **options: Any) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        A, b = weight(rng, m, n), weight(rng, m)
        make_case = _tokens if options.get("tokens") else _vector
        return make_case(lo.Affine(A, b, **options), rng, _affine_twin(A, b))

    return make


def _stored(kind: str) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        A = weight(rng, 3, 4).astype(np.float32)
        if kind == "f32":
            return _vector(lo.Linear(A), rng, _affine_twin(A))
        if kind == "f16":
            stored = A.astype(np.float16)
            return _vector(lo.Linear(stored.view(np.uint16), dtype="f16"), rng, _affine_twin(stored))
        stored = (A.view(np.uint32) >> 16).astype(np.uint16)
        exact = (stored.astype(np.uint32) << 16).view(np.float32)
        return _vector(lo.Linear(stored, dtype="bf16"), rng, _affine_twin(exact))

    return make


def _norms(norm_in: str, norm_out: str) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        A = weight(rng, 3, 4)
        x = rng.standard_normal(4)
        regions = [lo.Everywhere(), lo.Ball(x, 0.3, norm_in), lo.Ball(x, 0.3), lo.Box(x - 0.1, x + 0.1)]
        return Case(lo.Linear(A, norm_in=norm_in, norm_out=norm_out), x, regions, _affine_twin(A))

    return make


def _diagonal(rng: np.random.Generator) -> Case:
    d = rng.standard_normal(4)
    return _vector(lo.Diagonal(d), rng, lambda x: x * tensor(d))


def _diagonal_tokens(rng: np.random.Generator) -> Case:
    d = rng.standard_normal(4)
    return _tokens(lo.Diagonal(d, tokens=True), rng, lambda x: x * tensor(d))


def _low_rank(rng: np.random.Generator) -> Case:
    a, b = weight(rng, 4, 2), weight(rng, 2, 4)
    return _vector(lo.LowRank(a, b), rng, lambda x: x @ tensor(b).T @ tensor(a).T)


def _linear_product(rng: np.random.Generator) -> Case:
    a, b, c = (lo.Affine(weight(rng, *s), weight(rng, s[0])) for s in ((2, 4), (4, 3), (3, 5)))
    return _vector(lo.LinearProduct((a, b, c)), rng)


# ---- one layer -----------------------------------------------------------------------------------------------------


def _activation(make_op: Callable[[Any], Any], tokens: bool = False) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        op = make_op((None, 3) if tokens else 4)
        case = (_tokens if tokens else _vector)(op, rng, scale=2.0)
        return Case(case.op, case.x, case.regions, lambda x: torch_activation(op.name, x, op.param))

    return make


def _softmax(temperature: float, tokens: bool = False, **norms: str) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        op = lo.Softmax(4, temperature, tokens=tokens, **norms)
        return (_tokens if tokens else _vector)(op, rng, lambda x: (x / temperature).softmax(-1), scale=2.0)

    return make


def _layer_norm(tokens: bool) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        gamma, beta, eps = rng.uniform(0.5, 1.5, 4), rng.standard_normal(4), 0.05
        op = lo.LayerNorm(gamma, beta, eps, tokens=tokens)
        return (_tokens if tokens else _vector)(op, rng, _layer_norm_twin(gamma, beta, eps))

    return make


def _rms_norm(tokens: bool) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        gamma, eps = rng.uniform(-1.5, 1.5, 4), 0.05
        return (_tokens if tokens else _vector)(lo.RMSNorm(gamma, eps, tokens=tokens), rng, _rms_norm_twin(gamma, eps))

    return make


def _rotary(**options: Any) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        return _tokens(lo.Rotary(4, 100.0, **options), rng)

    return make


def _embedding(tokens: bool, positions: bool = False, **norms: str) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        E, P = weight(rng, 5, 3), weight(rng, 6, 3)
        op = lo.Embedding(E, P if positions else None, tokens=tokens, **norms)
        twin = (lambda x: x @ tensor(E) + tensor(P[:3])) if positions else (lambda x: x @ tensor(E))
        case = (_tokens if tokens else _vector)(op, rng, twin)
        simplex = lo.Simplex()
        return Case(op, simplex.points(rng, 1, case.x.shape)[0], [*case.regions[:3], simplex], twin)

    return make


# ---- feed-forward and attention ------------------------------------------------------------------------------------


def _mlp(activation: str, tokens: bool = False) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        up, bu, down, bd = weight(rng, 5, 3), weight(rng, 5), weight(rng, 3, 5), weight(rng, 3)
        op = lo.MLP(up, bu, down, bd, activation=activation, tokens=tokens)
        inner, outer = _affine_twin(up, bu), _affine_twin(down, bd)
        return (_tokens if tokens else _vector)(op, rng, lambda x: outer(torch_activation(activation, inner(x))))

    return make


def _gated(activation: str, tokens: bool = False) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        gate, up, down = weight(rng, 5, 3), weight(rng, 5, 3), weight(rng, 3, 5)
        op = lo.GatedMLP(gate, up, down, activation=activation, tokens=tokens)
        g, u, d = (_affine_twin(w) for w in (gate, up, down))
        return (_tokens if tokens else _vector)(op, rng, lambda x: d(torch_activation(activation, g(x)) * u(x)))

    return make


def attention(rng: np.random.Generator, d: int = 4, heads: int = 2, groups: int = 2, **options: Any) -> lo.Attention:
    dk = 2
    shapes = ((heads * dk, d), (groups * dk, d), (groups * dk, d), (d, heads * dk))
    bias = {}
    if options.pop("bias", False):
        sizes = {"bq": heads * dk, "bk": groups * dk, "bv": groups * dk, "bo": d}
        bias = {name: weight(rng, n) for name, n in sizes.items()}
    return lo.Attention(*(weight(rng, *s) for s in shapes), heads=heads, kv_heads=groups, **bias, **options)


def _attention_twin(op: lo.Attention) -> Any:
    """Plain multi-head attention (no rotary positions) by torch's own scaled_dot_product_attention."""

    def twin(x: Any) -> Any:
        from torch.nn.functional import scaled_dot_product_attention

        def heads(w: Any, b: Any) -> Any:
            y = _affine_twin(w, b)(x).reshape(len(x), -1, op.dk).transpose(0, 1)
            return y.repeat_interleave(op.heads // len(y), dim=0)

        q, k, v = heads(op.Wq, op.bq), heads(op.Wk, op.bk), heads(op.Wv, op.bv)
        y = scaled_dot_product_attention(q, k, v, is_causal=op.causal, scale=op.c)
        return _affine_twin(op.Wo, op.bo)(y.transpose(0, 1).reshape(len(x), -1))

    return twin


def _attention(**options: Any) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        op = attention(rng, **options)
        return _tokens(op, rng, None if op.rotary else _attention_twin(op))

    return make


# ---- projections and proximal maps ---------------------------------------------------------------------------------


def _projection(make: Callable[[np.random.Generator], Operator], twin: Any = None, scale: float = 1.0) -> Maker:
    return lambda rng: _vector(make(rng), rng, twin, scale)


def _around_point(rng: np.random.Generator, size: float, norm: str = "l2") -> Case:
    """A radial retraction of a point at twice the radius."""
    op = lo.RadialRetraction(weight(rng, 4), size, norm)
    x = op.center + 2 * size * _unit(rng.standard_normal(4), norm)
    own = [] if norm == "l2" else [lo.Ball(x, 0.3 * size, norm)]
    return Case(op, x, [*own, *vector_regions(x, 0.3 * size)])


def _unit(x: np.ndarray, norm: str) -> np.ndarray:
    return x / float(np.linalg.norm(x, {"l1": 1, "l2": 2, "linf": np.inf}[norm]))


def _intersection(rng: np.random.Generator) -> Case:
    """Two planes of 4-space that share their first column, and nothing else."""
    shared, a, b = (weight(rng, 4, 1) for _ in range(3))
    planes = tuple(lo.SubspaceProjection(np.concatenate([shared, other], axis=1)) for other in (a, b))
    return _vector(lo.IntersectionProjection(planes), rng)


def _semidefinite(rng: np.random.Generator) -> Case:
    x = rng.standard_normal((3, 3))
    return Case(lo.PSDProjection(3), x, token_regions(x))


def _group_tokens(rng: np.random.Generator) -> Case:
    return _tokens(lo.GroupShrinkage(3, 0.7, tokens=True), rng, lambda x: _shrunk_twin(x, 0.7))


def _shrunk_twin(x: Any, t: float) -> Any:
    return x * (1 - t / x.norm(dim=-1, keepdim=True)).clamp(min=0)


PROJECTIONS: dict[str, Maker] = {
    "box projection": _projection(
        lambda rng: lo.BoxProjection(np.array([-0.4, -np.inf, 0.0]), np.array([0.6, 0.3, 0.0])),
        lambda x: x.clamp(tensor([-0.4, -np.inf, 0.0]), tensor([0.6, 0.3, 0.0])),
    ),
    "box projection linf": _projection(lambda rng: lo.BoxProjection(-np.ones(3), np.ones(3), "linf")),
    "orthant projection": _projection(lambda rng: lo.orthant_projection(4), lambda x: x.clamp(min=0)),
    "halfspace projection": _projection(lambda rng: lo.HalfspaceProjection(weight(rng, 3), -1.5)),
    "hyperplane projection": _projection(lambda rng: lo.HyperplaneProjection(weight(rng, 3), 0.7)),
    "ball projection": lambda rng: _around_point(rng, 0.8),
    "radial retraction l1": lambda rng: _around_point(rng, 0.8, "l1"),
    "radial retraction linf": lambda rng: _around_point(rng, 0.8, "linf"),
    "l1 ball projection": _projection(lambda rng: lo.L1BallProjection(weight(rng, 4), 1.0), scale=2.0),
    "simplex projection": _projection(lambda rng: lo.SimplexProjection(4)),
    "subspace projection": _projection(lambda rng: lo.SubspaceProjection(weight(rng, 4, 2))),
    "affine projection": _projection(lambda rng: lo.AffineProjection(weight(rng, 2, 4), weight(rng, 2))),
    "oblique projection": _projection(lambda rng: lo.ObliqueProjection(weight(rng, 4, 2), weight(rng, 4, 2))),
    "intersection projection": _intersection,
    "psd projection": _semidefinite,
    "soft threshold": _projection(
        lambda rng: lo.SoftThreshold(np.array([0.4, 0.0, 0.2])),
        lambda x: x.sign() * (x.abs() - tensor([0.4, 0.0, 0.2])).clamp(min=0),
    ),
    "group shrinkage": _projection(lambda rng: lo.GroupShrinkage(3, 0.7), lambda x: _shrunk_twin(x, 0.7)),
    "group shrinkage tokens": _group_tokens,
}


# ---- combinations --------------------------------------------------------------------------------------------------


def _identity(rng: np.random.Generator) -> Case:
    return _vector(lo.Identity(lo.Space(3)), rng, lambda x: x)


def _net(rng: np.random.Generator) -> lo.Operator:
    return lo.Affine(weight(rng, 3, 4), weight(rng, 3)) @ lo.tanh(4) @ lo.Affine(weight(rng, 4, 3), weight(rng, 4))


def _composition(rng: np.random.Generator) -> Case:
    return _vector(_net(rng), rng)


def _fused(rng: np.random.Generator) -> Case:
    a, b = lo.Linear(weight(rng, 3, 4)), lo.LowRank(weight(rng, 4, 1), weight(rng, 1, 3))
    return _vector(a @ b @ lo.Diagonal(rng.standard_normal(3)) @ lo.silu(3), rng)


def _sum(rng: np.random.Generator) -> Case:
    return _vector(Sum.of(_net(rng), lo.sigmoid(3), lo.Identity(lo.Space(3))), rng)


def _scale(c: float) -> Maker:
    return lambda rng: _vector(c * _net(rng), rng)


def _power(rng: np.random.Generator) -> Case:
    return _vector(_net(rng) ** 3, rng)


def _residual(rng: np.random.Generator) -> Case:
    return _vector(lo.residual(-0.5 * _net(rng)), rng)


def _relax(alpha: float) -> Maker:
    return lambda rng: _vector(lo.relax(_net(rng), alpha), rng)


def _restriction(rng: np.random.Generator) -> Case:
    op, x = _net(rng), rng.standard_normal(3)
    return Case(op.restrict(lo.Ball(x, 0.5)), x, [lo.Everywhere(), lo.Ball(x, 0.5), lo.Ball(x, 0.1)])


def _norm_change(norm_in: str, norm_out: str) -> Maker:
    def make(rng: np.random.Generator) -> Case:
        x = rng.standard_normal((2, 3))
        op = lo.NormChange(lo.Space((2, 3), norm_in), lo.Space((2, 3), norm_out))
        return Case(op, x, [lo.Everywhere(), lo.Ball(x, 0.5, norm_in)], lambda t: t)

    return make


def _norms_meet(rng: np.random.Generator) -> Case:
    """linf -> linf behind l2 -> l2, with the change of norm between."""
    outer = lo.Linear(weight(rng, 2, 3), norm_in="linf", norm_out="linf")
    change = lo.NormChange(lo.Space(3), lo.Space(3, "linf"))
    x = rng.standard_normal(3)
    return Case(outer @ change @ _net(rng), x, [lo.Everywhere(), lo.Ball(x, 0.2)])


def _function(rng: np.random.Generator) -> Case:
    import torch

    space = lo.Space(3)
    op = lo.FunctionOperator(
        space, space, np.sin, lambda x, v: np.cos(x) * v, lambda x, u: np.cos(x) * u, 1.0, name="sin"
    )
    return _vector(op, rng, torch.sin)


def _pre_norm(rng: np.random.Generator) -> Case:
    norm = lo.RMSNorm(rng.uniform(0.5, 1.5, 4), 0.05, tokens=True)
    return _tokens(lo.residual(attention(rng, causal=True) @ norm), rng)


def _post_norm(rng: np.random.Generator) -> Case:
    norms = [lo.LayerNorm(rng.uniform(0.5, 1.5, 4), rng.standard_normal(4), 0.05, tokens=True) for _ in range(2)]
    mlp = lo.MLP(weight(rng, 6, 4), weight(rng, 6), weight(rng, 4, 6), weight(rng, 4), "gelu", tokens=True)
    return _tokens(PostNormBlock.of(attention(rng, bias=True), norms[0], mlp, norms[1]), rng)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lo.relu,
    "leaky_relu": lambda n: lo.leaky_relu(n, 0.1),
    "gelu": lo.gelu,
    "gelu_tanh": lambda n: lo.gelu(n, "tanh"),
    "quick_gelu": lo.quick_gelu,
    "silu": lo.silu,
    "sigmoid": lo.sigmoid,
    "tanh": lo.tanh,
    "softplus": lo.softplus,
    "elu": lo.elu,
    "mish": lo.mish,
    "hardswish": lo.hardswish,
    "squared_relu": lo.squared_relu,
}

ZOO: dict[str, Maker] = {
    "affine": _affine(3, 3),
    "affine wide": _affine(2, 4),
    "affine tall": _affine(4, 2),
    "affine tokens": _affine(3, 3, tokens=True),
    **{f"linear {kind}": _stored(kind) for kind in ("f32", "f16", "bf16")},
    **{
        f"linear {a} -> {b}": _norms(a, b)
        for a, b in (("l1", "l1"), ("linf", "linf"), ("l1", "l2"), ("l2", "linf"), ("linf", "l1"))
    },
    "diagonal": _diagonal,
    "diagonal tokens": _diagonal_tokens,
    "low rank": _low_rank,
    "linear product": _linear_product,
    **{name: _activation(make) for name, make in ACTIVATIONS.items()},
    "gelu tokens": _activation(lo.gelu, tokens=True),
    "softmax": _softmax(1.0),
    "softmax cold": _softmax(0.3),
    "softmax linf -> l1": _softmax(1.0, norm_in="linf", norm_out="l1"),
    "softmax tokens": _softmax(1.0, tokens=True),
    "layer norm": _layer_norm(False),
    "layer norm tokens": _layer_norm(True),
    "rms norm": _rms_norm(False),
    "rms norm tokens": _rms_norm(True),
    "rotary": _rotary(),
    "rotary interleaved": _rotary(layout="interleaved"),
    "embedding": _embedding(False),
    "embedding l1": _embedding(False, norm_in="l1"),
    "embedding positions": _embedding(True, positions=True),
    "mlp": _mlp("gelu"),
    "mlp relu": _mlp("relu"),
    "mlp tokens": _mlp("silu", tokens=True),
    "gated mlp": _gated("silu"),
    "gated mlp tokens": _gated("gelu", tokens=True),
    "attention": _attention(),
    "attention causal": _attention(causal=True, bias=True),
    "attention grouped": _attention(heads=2, groups=1),
    "attention rotary": _attention(rotary=RotaryTable(100.0, 2)),
    **PROJECTIONS,
    "identity": _identity,
    "composition": _composition,
    "composition fused": _fused,
    "sum": _sum,
    "scale": _scale(2.0),
    "scale negative": _scale(-0.7),
    "power": _power,
    "residual": _residual,
    "relax": _relax(0.3),
    "relax over": _relax(1.7),
    "restriction": _restriction,
    "norm change 2inf -> l2": _norm_change("2inf", "l2"),
    "norm change l2 -> l1": _norm_change("l2", "l1"),
    "norms meet": _norms_meet,
    "function": _function,
    "pre-norm": _pre_norm,
    "post-norm block": _post_norm,
}


def case(name: str, seed: int = 0) -> Case:
    """The named case; the seed of its weights depends on the name."""
    return ZOO[name](np.random.default_rng([seed, *name.encode()]))


def sample(c: Case, region: lo.Region, rng: np.random.Generator, count: int) -> np.ndarray:
    """Points of the region, stacked; of the whole space, at sizes from a hundredth to a hundred."""
    if isinstance(c.op, Restriction) and isinstance(region, lo.Everywhere):
        region = c.op.region
    if isinstance(region, lo.Everywhere):
        scale = 10.0 ** rng.uniform(-2, 2, (count, *(1,) * c.x.ndim))
        return scale * rng.standard_normal((count, *c.x.shape))
    if isinstance(region, lo.Shell | lo.Simplex):
        return region.points(rng, count, c.x.shape)
    return region.sample(rng, count)
