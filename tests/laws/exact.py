"""Independent values in ball arithmetic: object arrays of ``arb`` at 200 bits, formulas written from the textbook."""

from contextlib import contextmanager

import flint
import numpy as np
from flint import arb

import lipop as lo
from lipop.core.algebra import Composition, Power, Relax, Residual, Restriction, Scale, Sum

BITS = 200


@contextmanager
def precision(bits=BITS):
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def balls(x):
    """Exact floats as balls."""
    return np.vectorize(lambda t: arb(float(t)), otypes=[object])(np.asarray(x, dtype=np.float64))


def each(f, x):
    return np.vectorize(f, otypes=[object])(x)


def sigmoid(t):
    return 1 / (1 + (-t).exp())


def softplus(t):
    return (1 + t.exp()).log()


def positive(t):
    return t if t > 0 else arb(0)


def activation(name, param):
    """The thirteen activations, from their definitions."""
    half, root2 = arb(1) / 2, arb(2).sqrt()
    cubic = arb(0.044715)
    return {
        "relu": positive,
        "leaky_relu": lambda t: t if t > 0 else arb(param) * t,
        "gelu": lambda t: half * t * (-t / root2).erfc(),
        "gelu_tanh": lambda t: t * sigmoid(2 * (2 / arb.pi()).sqrt() * (t + cubic * t**3)),
        "quick_gelu": lambda t: t * sigmoid(arb(1.702) * t),
        "silu": lambda t: t * sigmoid(t),
        "sigmoid": sigmoid,
        "tanh": lambda t: t.tanh(),
        "softplus": softplus,
        "elu": lambda t: t if t > 0 else arb(1.0 if param is None else param) * t.expm1(),
        "mish": lambda t: t * softplus(t).tanh(),
        "hardswish": lambda t: t * max(0, min(6, t + 3)) / 6,
        "squared_relu": lambda t: positive(t) ** 2,
    }[name]


def softmax(x):
    e = each(lambda t: t.exp(), x)
    return e / e.sum(axis=-1, keepdims=True)


def affine(x, A, b=None):
    y = x @ balls(A).T
    return y if b is None else y + balls(b)


def rotated(x, cos, sin, layout="half"):
    n = x.shape[-1]
    first, second = (slice(0, n // 2), slice(n // 2, n)) if layout == "half" else (slice(0, n, 2), slice(1, n, 2))
    out = np.empty_like(x)
    out[..., first] = x[..., first] * balls(cos) - x[..., second] * balls(sin)
    out[..., second] = x[..., first] * balls(sin) + x[..., second] * balls(cos)
    return out


def attention(op, x):
    tokens, dk = len(x), op.dk
    q, k, v = affine(x, op.Wq, op.bq), affine(x, op.Wk, op.bk), affine(x, op.Wv, op.bv)
    heads = []
    for h in range(op.heads):
        own, shared = (
            slice(h * dk, (h + 1) * dk),
            slice(h * op.groups // op.heads * dk, (h * op.groups // op.heads + 1) * dk),
        )
        qh, kh, vh = q[:, own], k[:, shared], v[:, shared]
        if op.rotary is not None:
            cos, sin = (t[:, : dk // 2] for t in op.rotary.table(tokens, dk))
            qh, kh = rotated(qh, cos, sin), rotated(kh, cos, sin)
        s = qh @ kh.T * arb(op.c)
        rows = [
            softmax(s[i, : i + 1 if op.causal else tokens]) @ vh[: i + 1 if op.causal else tokens]
            for i in range(tokens)
        ]
        heads.append(np.stack(rows))
    return affine(np.concatenate(heads, axis=1), op.Wo, op.bo)


def normalized(op, x):
    mean = x.sum(axis=-1, keepdims=True) / x.shape[-1] if isinstance(op, lo.LayerNorm) else 0
    y = x - mean
    r = each(lambda t: t.sqrt(), (y * y).sum(axis=-1, keepdims=True) / x.shape[-1] + arb(op.eps))
    z = balls(op.gamma) * y / r
    return z + balls(op.beta) if getattr(op, "beta", None) is not None else z


def threshold(x, total):
    """tau with sum max(x - tau, 0) = total, trying every number of positive terms."""
    ordered = sorted(x, key=lambda t: -float(t.mid()))
    tau = [(sum(ordered[:k]) - total) / k for k in range(1, len(ordered) + 1)]
    return next(t for k, t in reversed(list(enumerate(tau, 1))) if not ordered[k - 1] < t)


def size(h, norm):
    if norm == "l1":
        return sum(abs(t) for t in h)
    return max((abs(t) for t in h), key=lambda t: t.mid()) if norm == "linf" else sum(t * t for t in h).sqrt()


def column(x):
    return flint.arb_mat(len(x), 1, list(x))


def matrix(a):
    a = np.asarray(a)
    return flint.arb_mat(*a.shape, list(balls(a).flat))


def row(m):
    return np.array(m.entries(), dtype=object)


def semidefinite(x):
    """The positive part of the symmetric part, from enclosed eigenvectors."""
    s = (x + x.T) / 2
    values, vectors = flint.acb_mat(flint.arb_mat(*s.shape, list(s.flat))).eig(right=True)
    out = np.full(s.shape, arb(0), dtype=object)
    for j, t in enumerate(values):
        if t.real > 0:
            v = [vectors[i, j] for i in range(len(s))]
            k = max(range(len(v)), key=lambda i: float(abs(v[i]).mid()))
            real = np.array([(a / v[k]).real for a in v], dtype=object)  # v is real up to a factor
            out = out + t.real * np.outer(real, real) / (real * real).sum()
    return out


def projection(op, x):
    """Projections and proximal maps, from their definitions; None for other operators."""
    if isinstance(op, lo.BoxProjection):
        low, high = np.maximum(op.low, -1e300), np.minimum(op.high, 1e300)
        return np.array([min(max(t, arb(a)), arb(b)) for t, a, b in zip(x, low, high, strict=True)], dtype=object)
    if isinstance(op, lo.HalfspaceProjection):
        a = balls(op.a)
        return x - a * positive((a * x).sum() - arb(op.beta)) / (a * a).sum()
    if isinstance(op, lo.RadialRetraction):
        h = x - balls(op.center)
        r = size(h, op.norm)
        return balls(op.center) + h * arb(op.radius) / r if r > op.radius else x
    if isinstance(op, lo.L1BallProjection):
        h = x - balls(op.center)
        if size(h, "l1") <= op.radius:
            return x
        tau = threshold(each(abs, h), arb(op.radius))
        return balls(op.center) + each(lambda t: positive(t - tau) - positive(-t - tau), h)
    if isinstance(op, lo.SimplexProjection):
        tau = threshold(x, arb(op.total))
        return each(lambda t: positive(t - tau), x)
    if isinstance(op, lo.SubspaceProjection):
        m = matrix(op.M)
        return row(m * (m.transpose() * m).solve(m.transpose() * column(x)))
    if isinstance(op, lo.IntersectionProjection):  # the zoo's planes share their first column
        v = balls(op.parts[0].M[:, 0])
        return v * (v * x).sum() / (v * v).sum()
    if isinstance(op, lo.AffineProjection):
        a = matrix(op.A)
        return x - row(a.transpose() * (a * a.transpose()).solve(a * column(x) - column(balls(op.b))))
    if isinstance(op, lo.ObliqueProjection):
        v, u = matrix(op.V), matrix(op.U)
        return row(v * (u.transpose() * v).solve(u.transpose() * column(x)))
    if isinstance(op, lo.PSDProjection):
        return semidefinite(x)
    if isinstance(op, lo.SoftThreshold):
        return np.array(
            [positive(t - arb(s)) - positive(-t - arb(s)) for t, s in zip(x, op.t, strict=True)], dtype=object
        )
    if isinstance(op, lo.GroupShrinkage):
        rows = x if x.ndim == 2 else x[None]
        return np.stack([r * positive(1 - arb(op.t) / size(r, "l2")) for r in rows]).reshape(x.shape)
    return None


def value(op, x):
    """T(x) on an object array of balls.

    Raises
    ------
    NotImplementedError
        For an operator that has no textbook formula here.
    """
    if isinstance(op, Composition):
        for f in reversed(op.factors):
            x = value(f, x)
        return x
    if isinstance(op, Sum):
        return sum(value(t, x) for t in op.terms)
    if isinstance(op, Scale):
        return arb(op.c) * value(op.inner, x)
    if isinstance(op, Power):
        for _ in range(op.n):
            x = value(op.inner, x)
        return x
    if isinstance(op, Residual):
        return x + value(op.branch, x)
    if isinstance(op, Relax):
        return (1 - arb(op.alpha)) * x + arb(op.alpha) * value(op.inner, x)
    if isinstance(op, Restriction):
        return value(op.inner, x)
    if isinstance(op, lo.Identity | lo.NormChange):
        return x
    if isinstance(op, lo.Affine):
        return affine(x, op.A, op.b)
    if isinstance(op, lo.LinearProduct):
        for f in reversed(op.parts):
            x = value(f, x)
        return x
    if isinstance(op, lo.Diagonal):
        return x * balls(op.d)
    if isinstance(op, lo.Activation):
        return each(activation(op.name, op.param), x)
    if isinstance(op, lo.Softmax):
        return softmax(x / arb(op.temperature))
    if isinstance(op, lo.LayerNorm | lo.RMSNorm):
        return normalized(op, x)
    if isinstance(op, lo.MLP):
        return affine(each(activation(op.activation, op.param), affine(x, op.W_up, op.b_up)), op.W_down, op.b_down)
    if isinstance(op, lo.GatedMLP):
        gate = each(activation(op.activation, op.param), affine(x, op.W_gate))
        return affine(gate * affine(x, op.W_up), op.W_down)
    if isinstance(op, lo.Rotary):
        return rotated(x, *op.tables(len(x)), op.layout)
    if isinstance(op, lo.Embedding):
        y = x @ balls(op.table)
        return y if op.positions is None else y + balls(op.positions[: len(x)])
    if isinstance(op, lo.Attention):
        return attention(op, x)
    known = projection(op, x)
    if known is not None:
        return known
    raise NotImplementedError(type(op).__name__)


def inside(y, enclosed):
    """Whether every ball certainly lies in its interval."""
    mid, err = balls(enclosed.mid), balls(enclosed.radius)
    return all(bool(abs(t - m) <= e) for t, m, e in zip(y.flat, mid.flat, err.flat, strict=True))
