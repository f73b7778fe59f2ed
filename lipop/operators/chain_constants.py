"""A chain behind attention at a point: its enclosed factors, and the norms around them that no radius enters.

See :mod:`lipop.operators.chain` for the rules that they serve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.enclosure import Enclosed, Stack, frobenius_up, gram_root
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.parallel import each
from lipop.core.rounding import gamma, inflate
from lipop.operators import attention_bounds as ab
from lipop.operators.attention_factors import AttentionFactors
from lipop.operators.attention_products import StoredFactors, attention_jacobian
from lipop.operators.curvature import Right, bend
from lipop.operators.token_factor import RankOne, TokenFactor
from lipop.operators.token_norms import norms, psd_max, quadratic, scaled_norms

if TYPE_CHECKING:
    from lipop.operators.attention import Attention


@dataclass(frozen=True, eq=False)
class Chain:
    """``phi o w`` linearised at a point: enclosed factors, and the derivative as a linear operator."""

    attention: AttentionFactors
    factors: tuple[TokenFactor, ...]
    Q: LinearOperator
    J: LinearOperator
    output: Enclosed
    residual: bool

    @staticmethod
    def at(inner: Attention, outer: tuple[Operator, ...], x: np.ndarray, residual: bool) -> Chain:
        """Enclose the forward pass at x, factor by factor (``outer`` lists the outermost first)."""
        X = Enclosed.exact(x)
        f = inner.factors(x)
        Q = attention_jacobian(inner, StoredFactors.of(f))
        w = inner.finish(f.o)
        if residual:
            Q, w = LinearOperator.identity(x.shape) + Q, X + w
        factors: list[TokenFactor] = []
        J = Q
        for op in reversed(outer):
            factor = op.token_factor(w.finite(f"the input of {op!r}"))
            factors.append(factor)
            J = factor.J @ J
            w = op.enclose(w)
        return Chain(f, tuple(factors), Q, J, w.finite("the output of the block"), residual)

    def constants(self) -> Constants:
        """Everything that does not depend on the radius."""
        return Constants.of(self)


@dataclass(frozen=True, eq=False)
class Link:
    """Radius-free norms of one factor inside the chain (each (T,) unless said otherwise)."""

    tops: Mapping[
        int, np.ndarray
    ]  # p -> |M_{p-1}..M_{l+1} A_l|, with diag(sqrt rhat) on the right for diagonal factors
    bottom: np.ndarray  # |C_l K_l|, with diag(sqrt rhat) on the left
    c: np.ndarray  # |C_l|, likewise
    reach: np.ndarray  # |C_l K_l Q_i|: (T,), or (T, p) row by row
    rows: np.ndarray | None = None  # (p,) row norms of C_l, diagonal factors only
    weights: np.ndarray | None = None  # (T, p) sqrt(rhat / tau): the left scaling of C_l
    rhat: np.ndarray | None = None  # (T, p) reference radii of the diagonal core
    flat: np.ndarray | None = None  # rule F1's constant, for the whole chain


@dataclass(frozen=True, eq=False)
class Constants:
    """Radius-free constants of a chain."""

    chain: Chain
    links: tuple[Link, ...]
    heads: tuple[tuple[np.ndarray, np.ndarray], ...]  # (|L O_h|, |L O_h Wv_h|), (T, H) each, for L = I, K_2, ..., B
    rows: np.ndarray  # |Q_i|
    out: np.ndarray  # |B_i Q_i|
    sizes: tuple[np.ndarray, ...]  # |M_l|

    @staticmethod
    def of(chain: Chain) -> Constants:
        """Compute them: the expensive half of a linearisation."""
        f, factors = chain.attention, chain.factors
        gram = ab.row_gram(f, identity=chain.residual)
        tokens = len(gram.mid)
        prefix: list[Stack | None] = [None]  # K_1 = I, K_2 = M_1, ...
        for factor in factors:
            last = prefix[-1]
            prefix.append(factor.M if last is None else factor.M @ last)
        rows = inflate(np.sqrt(psd_max(gram)), 4)
        sizes = tuple(norms(t.M) * np.ones(tokens) if t.size is None else t.size for t in factors)
        links = tuple(_link(factors, prefix, l, gram, rows, sizes) for l in range(len(factors)))
        heads = tuple(head_weights(f, k, tokens) for k in prefix)
        final = prefix[-1]
        out = rows if final is None else quadratic(final, gram)
        return Constants(chain, links, heads, rows, out, sizes)


def head_weights(f: AttentionFactors, left: Stack | None, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """``|L_i O_h|`` and ``|L_i O_h Wv_h|`` for every token and head, (T, H) each (rule C2)."""
    heads, d, dk = f.O.shape
    full = (tokens, heads)
    if left is None:
        return np.broadcast_to(f.nO, full), np.broadcast_to(f.nOV, full)
    flat = np.ascontiguousarray(f.O.transpose(1, 0, 2)).reshape(d, heads * dk)
    size_o = frobenius_up(f.O)
    err = inflate((gamma(d + 2) * frobenius_up(left.mid) + left.err)[:, None] * size_o[None, :], 8)
    lv, slip = gram_root(f.Wv)
    root = Stack(lv, np.zeros(heads))

    def one(i: int) -> tuple[np.ndarray, np.ndarray]:
        x = (left.mid[i] @ flat).reshape(-1, heads, dk).transpose(1, 0, 2)
        s = Stack(np.ascontiguousarray(x), err[i]).T.gram()
        top = psd_max(s)
        q = root.T @ (s @ root)
        both = psd_max(Stack(0.5 * (q.mid + q.mid.swapaxes(-1, -2)), q.err)) + top * slip
        return inflate(np.sqrt(top), 4), inflate(np.sqrt(both), 8)

    found = each(one, range(len(left.mid)))
    om, om_v = (np.stack(part) for part in zip(*found, strict=True))
    return np.broadcast_to(om, full), np.broadcast_to(om_v, full)


def _link(
    factors: tuple[TokenFactor, ...],
    prefix: list[Stack | None],
    l: int,
    gram: Stack,
    rows: np.ndarray,
    sizes: tuple[np.ndarray, ...],
) -> Link:
    """The norms around factor l (0-based): what stands to its left in every prefix p, and to its right.

    In the whole chain (p = m) they are those of the products. In shorter prefixes, which only locate the inputs of
    later factors, norms are multiplied: what that loses is of second order.
    """
    factor, below = factors[l], prefix[l]
    tokens, m = len(gram.mid), len(factors)
    zero, one = np.zeros(tokens), np.ones(tokens)
    if factor.kind == "none":
        return Link(dict.fromkeys(range(l + 1, m + 1), zero), zero, zero, zero)
    A = Stack.exact(np.eye(factor.M.shape[-2])) if factor.A is None else factor.A
    C = Stack.exact(np.eye(factor.M.shape[-1])) if factor.C is None else factor.C
    if factor.kind == "norm":
        top, near = A, norms(A) * one
        tops = {l + 1: near}
        for p in range(l + 2, m + 1):
            top = factors[p - 1].M @ top
            tops[p] = norms(top) * one
        c = norms(C) * one
        if below is None:
            return Link(tops, c, c, c * rows)
        ck = C @ below if factor.apply_C is None else _applied(factor, below)
        return Link(tops, norms(ck) * one, c, quadratic(ck, gram))
    assert factor.curvature is not None
    a, a_err = _above(factors, l, A.mid[0], float(A.err[0]), tokens)
    bent = bend(a, a_err, _below(factors, prefix, l, C.mid[0], float(C.err[0]), tokens), gram, factor.curvature)
    lines = np.einsum("pd,pd->p", C.mid[0], C.mid[0])
    ops = C.mid[0].size + 8
    wide = bent.top if l + 1 == m else scaled_norms(A, bent.right)
    size_c = inflate(np.sqrt(bent.weights**2 @ lines) + C.err[0] * bent.weights.max(axis=1), ops)
    row_c = inflate(np.sqrt(lines) + C.err[0], C.shape[-1] + 4)
    tops = {m: bent.top, **_shorter(sizes, l, wide)}
    return Link(tops, bent.bottom, size_c, bent.reach, row_c, bent.weights, bent.rhat, bent.flat)


def _shorter(sizes: tuple[np.ndarray, ...], l: int, size: np.ndarray) -> dict[int, np.ndarray]:
    """``|M_{p-1}| ... |M_{l+1}| |A_l|`` for the prefixes p < m."""
    out: dict[int, np.ndarray] = {}
    for p in range(l + 1, len(sizes)):
        out[p] = size
        size = inflate(size * sizes[p], 4)
    return out


def _applied(factor: TokenFactor, below: Stack) -> Stack:
    """``C K`` by the structured form of C."""
    assert factor.apply_C is not None
    n = below.shape[-2]
    mid = factor.apply_C(below.mid.swapaxes(-1, -2)).swapaxes(-1, -2)
    return Stack(np.ascontiguousarray(mid), inflate(below.err + gamma(n + 4) * 2 * below.frobenius, 8))


def _above(
    factors: tuple[TokenFactor, ...], l: int, a: np.ndarray, err: float, tokens: int
) -> tuple[Callable[[int], np.ndarray], np.ndarray]:
    """``i -> M_{m-1} ... M_{l+1} A`` at token i, with its Frobenius errors."""
    size = float(frobenius_up(a))
    if l + 1 == len(factors):
        return (lambda i: a), np.full(tokens, err)
    if l + 2 == len(factors) and factors[-1].rank_one is not None:
        M, form = factors[-1].M, factors[-1].rank_one
        return form.over(a), _product_error(form, M, size, err, a.shape[0])
    top = Stack(a[None], np.array([err]))
    for f in factors[l + 1 :]:
        top = f.M @ top
    return _at(top), top.err * np.ones(tokens)


def _at(stack: Stack) -> Callable[[int], np.ndarray]:
    """The matrix at a token; a stack of one serves every token."""
    return lambda i: stack.mid[i if len(stack.mid) > 1 else 0]


def _below(
    factors: tuple[TokenFactor, ...], prefix: list[Stack | None], l: int, c: np.ndarray, err: float, tokens: int
) -> Right:
    """``C K_l`` at every token."""
    below = prefix[l]
    if below is None:
        return Right(lambda i: c, np.full(tokens, err))
    if l == 1 and factors[0].rank_one is not None:
        M, form = factors[0].M, factors[0].rank_one
        return Right.rank_one(form, c, _product_error(form, M, float(frobenius_up(c)), err, c.shape[1]))
    ck = Stack(c[None], np.array([err])) @ below
    return Right(_at(ck), ck.err * np.ones(tokens))


def _product_error(form: RankOne, M: Stack, size: float, err: float, n: int) -> np.ndarray:
    """Frobenius errors of products of the rank-one form with a matrix of Frobenius norm ``size`` and error ``err``."""
    line = np.sqrt((form.x**2).sum(axis=1) * (form.y**2).sum(axis=1))
    majorant = np.abs(form.alpha) * (float(frobenius_up(form.L)) + line)
    return inflate(gamma(2 * n + 8) * majorant * size + M.err * (size + err) + M.frobenius * err, 16)
