"""Linearising a token-wise chain after attention: the rules C1, C3, C4 and F1 that keep a whole block's bound sharp.

The map is ``phi o w`` with ``w(x) = x + A(x)`` (or ``A(x)``), A attention and ``phi = f_m o ... o f_1`` acting token
by token. ``Q`` is the derivative of w at the centre (row block i: ``Q_i``), ``K_l`` the product of the first l - 1
factors' derivatives, ``B`` that of all. Multiplying norms of neighbouring factors loses a factor of 30 to 100 on real
blocks; what follows does not.

Telescoping (C3). ``D(f_p ... f_1) - M_p ... M_1 = sum_l (M_p ... M_{l+1}) (Df_l - M_l) (K_l + dK_l)``, so at token i
``beta^(p) = sum_l |M_p..M_{l+1} A_l| s_l (|C_l K_l| + |C_l| beta^(l))`` for norm-type factors, and for diagonal-type
ones the same with ``diag(e) = diag(sqrt r) E' diag(sqrt r)``, ``|E'| <= 1``, or by rule F1.

Outer factor (C1). ``D(phi o w)(x) - B Q = (Dphi(w(x)) - B) Q + Dphi(w(x)) (Dw(x) - Q)``. The first term is bounded as
one matrix-free operator, each piece of the telescoping with Q behind it; the second by attention's entry bounds with
``|B_i O_h| + beta_i |O_h|`` in place of ``|O_h|`` (C2).

Images (C4). The input of factor l moves at token i by at most ``(|C_l K_l Q_i| + dev) rho``, from the composed
derivative: ``psi(x) - psi(x0) = int_0^1 Dpsi(x_t)(x - x0) dt``. ``|K Q_i|^2 = lambda_max(K Gamma_i K^T)`` with
``Gamma_i = Q_i Q_i^T``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core import norms as core_norms
from lipop.core.algebra import Composition, Residual
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.digest import array_digest
from lipop.core.enclosure import Enclosed, Stack, frobenius_up
from lipop.core.linearization import Deviation, Linearization, LinearOperator
from lipop.core.memo import remember
from lipop.core.operator import Operator
from lipop.core.region import Ball, TokenBall, token_radii
from lipop.core.rounding import dot_up, inflate
from lipop.core.rule import derive, leaf, leaf_rule, parts_digest, rule, unknown
from lipop.errors import DomainError, ProofError
from lipop.operators import attention_bounds as ab
from lipop.operators.attention_factors import AttentionFactors
from lipop.operators.curvature import bend
from lipop.operators.token_factor import RankOne, TokenFactor
from lipop.operators.token_norms import norms, psd_max, quadratic, scaled_norms

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

CHAIN_ATTENTION = leaf_rule(
    "deviation.chain.attention@1",
    reference=(
        "rule C2: attention's entry bounds E1+ with the head weights |B_i O_h| + beta_i |O_h|; norm of "
        "the non-negative T x T matrix"
    ),
    grid=24,
    quantity="deviation",
    side=UPPER,
)
CHAIN_TAIL = leaf_rule(
    "deviation.chain.tail@1",
    reference=(
        "rules C1, C3, F1: the token-wise factors' deviations, each with the derivative of the inner part"
        " behind it, as one matrix-free operator; a-posteriori Lanczos bound (Hochstenbach 2013)"
    ),
    grid=22,
    quantity="deviation",
    side=UPPER,
    strength="probable",
)
_PARTS = ("attention", "tail")


def _chain_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.rule for p in premises] != [CHAIN_ATTENTION, CHAIN_TAIL] or (claim.quantity, claim.side) != (
        "deviation",
        UPPER,
    ):
        return "premises are the attention part and the token-wise part"
    for p, name in zip(premises, _PARTS, strict=True):
        if p.claim.operator != parts_digest("part", [name, claim.operator]):
            return "a part belongs to another operator"
        if p.claim.region.digest != claim.region.digest:
            return "a part holds on another region"
    return None


@rule(
    "deviation.chain@1",
    reference="C1: D(phi o w) - BQ = (Dphi - B) Q + Dphi (Dw - Q), triangle inequality",
    accepts=_chain_accepts,
)
def chain_deviation(attention: Any, tail: Any) -> Any:
    """Attention part plus token-wise part."""
    return attention + tail


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
        Q = f.jacobian()
        w = inner.finish(f)
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
    if left is None:
        shape = (tokens, heads)
        return np.broadcast_to(f.nO, shape), np.broadcast_to(f.nOV, shape)
    count, m, _ = left.shape
    flat = np.ascontiguousarray(f.O.transpose(1, 0, 2)).reshape(d, heads * dk)
    x = (left.mid @ flat).reshape(count, m, heads, dk).transpose(0, 2, 1, 3).reshape(count * heads, m, dk)
    size_o = frobenius_up(f.O)
    size_l = frobenius_up(left.mid)
    err = (core_norms.gamma(d + 2) * size_l + left.err)[:, None] * size_o[None, :]
    lo = Stack(np.ascontiguousarray(x), inflate(err, 8).reshape(-1))
    s = lo.T.gram()
    top = psd_max(s)
    lv, slip = _value_factor(f.Wv)
    many = Stack(np.broadcast_to(lv, (count, heads, dk, dk)).reshape(-1, dk, dk), np.zeros(count * heads))
    q = many.T @ (s @ many)
    both = psd_max(Stack(0.5 * (q.mid + q.mid.swapaxes(-1, -2)), q.err)) + top * np.tile(slip, count)
    shape = (count, heads)
    om, om_v = inflate(np.sqrt(top), 4).reshape(shape), inflate(np.sqrt(both), 8).reshape(shape)
    full = (tokens, heads)
    return np.broadcast_to(om, full), np.broadcast_to(om_v, full)


def _value_factor(wv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``Lv`` with ``|Wv Wv^T - Lv Lv^T|_F <= slip``, head by head."""
    g = Stack.exact(wv).gram()
    values, vectors = np.linalg.eigh(g.mid)
    lv = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    back = Stack(lv, np.zeros(len(lv))).gram()
    slip = frobenius_up(back.mid - g.mid) + back.err + g.err
    return lv, inflate(slip, 4)


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
    c, c_err = _below(factors, prefix, l, C.mid[0], float(C.err[0]), tokens)
    bent = bend(a, a_err, c, c_err, gram, factor.curvature)
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
    return Stack(np.ascontiguousarray(mid), inflate(below.err + core_norms.gamma(n + 4) * 2 * below.frobenius, 8))


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
    return (lambda i: top.mid[i]), top.err


def _below(
    factors: tuple[TokenFactor, ...], prefix: list[Stack | None], l: int, c: np.ndarray, err: float, tokens: int
) -> tuple[Callable[[int], np.ndarray], np.ndarray]:
    """``i -> C K_l`` at token i, with its Frobenius errors."""
    below = prefix[l]
    if below is None:
        return (lambda i: c), np.full(tokens, err)
    if l == 1 and factors[0].rank_one is not None:
        M, form = factors[0].M, factors[0].rank_one
        return form.under(c), _product_error(form, M, float(frobenius_up(c)), err, c.shape[1])
    ck = Stack(c[None], np.array([err])) @ below
    return (lambda i: ck.mid[i]), ck.err


def _product_error(form: RankOne, M: Stack, size: float, err: float, n: int) -> np.ndarray:
    """Frobenius errors of products of the rank-one form with a matrix of Frobenius norm ``size`` and error ``err``."""
    line = np.sqrt((form.x**2).sum(axis=1) * (form.y**2).sum(axis=1))
    majorant = np.abs(form.alpha) * (float(frobenius_up(form.L)) + line)
    return inflate(core_norms.gamma(2 * n + 8) * majorant * size + M.err * (size + err) + M.frobenius * err, 16)


# ---- at a radius ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Moves:
    """What can move on the F-ball of radius rho."""

    attention: float  # norm of attention's part, all factors behind it
    scales: tuple[np.ndarray | None, ...]  # per factor: left scaling of C_l K_l Q, (T,) or (T, p)
    plain: np.ndarray  # (T,) scaling of Q itself: rule F1, second order and rounding
    out: np.ndarray  # (T,) how far each output token can move


def moves(k: Constants, rho: float, rho_token: np.ndarray) -> Moves:
    """The deviation's pieces on ``|x - x0|_F <= rho``.

    Every formula here is built from non-negative numbers by +, * and /, so its float64 rounding is a relative error of
    a few dozen units: the factor 1 + 1e-12 on each result pays for it.
    """
    chain, m, up = k.chain, len(k.chain.factors), 1 + 1e-12
    f = chain.attention
    hd = ab.head_deviation(f, rho, rho_token, frobenius=True)
    tokens = len(k.rows)
    zero = np.zeros(tokens)

    def entries(level: int, beta: np.ndarray) -> np.ndarray:
        """Entry bounds of attention's deviation behind the first ``level`` factors."""
        om, om_v = k.heads[level]
        base, base_v = k.heads[0]
        return ab.entry_bounds(hd, f, (om + beta[:, None] * base) * up, (om_v + beta[:, None] * base_v) * up)

    def row_dev(level: int, beta: np.ndarray) -> np.ndarray:
        e = entries(level, beta)
        return inflate(np.sqrt((e * e).sum(axis=1)), tokens + 6) + beta * k.rows * up

    betas: list[np.ndarray] = [zero]
    cores: list[tuple[np.ndarray, np.ndarray] | None] = []
    for l, (factor, link) in enumerate(zip(chain.factors, k.links, strict=True)):
        dev = row_dev(l, betas[l])
        if factor.kind == "none":
            cores.append(None)
        elif factor.kind == "norm":
            assert factor.core is not None
            s = factor.core((link.reach + link.c * dev) * rho * up)
            cores.append((s, s))
        else:
            assert factor.core is not None
            assert link.rows is not None
            assert link.rhat is not None
            assert factor.curvature is not None
            linear = link.reach * rho
            radius = (linear + link.rows[None, :] * dev[:, None] * rho) * up
            whole = factor.core(radius)
            rest = whole + np.abs(factor.curvature) * linear
            if factor.remainder is not None:
                rest = np.minimum(rest, factor.remainder(radius, linear))
            cores.append(((whole / link.rhat).max(axis=1) * up, (rest / link.rhat).max(axis=1) * up))
        betas.append(_pieces(k, cores, betas, l + 1, rho).total * up)
    last = _pieces(k, cores, betas, m, rho)
    beta = last.total * up
    e = entries(m, beta)
    attention = ab.nonneg_norm(e) if bool(np.isfinite(e).all()) else math.inf
    row = inflate(np.sqrt((e * e).sum(axis=1)), tokens + 6) + beta * k.rows * up
    return Moves(attention, last.scales, last.plain * up, (k.out + row) * rho * up)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The telescoping of a prefix: scalings of ``C_l K_l Q``, a scaling of ``Q``, and the sum of all norms (beta)."""

    scales: tuple[np.ndarray | None, ...]
    plain: np.ndarray
    total: np.ndarray


def _pieces(
    k: Constants, cores: list[tuple[np.ndarray, np.ndarray] | None], betas: list[np.ndarray], p: int, rho: float
) -> Pieces:
    """Rule C3 for the first p factors; ``cores[l]`` = (whole, remainder after rule F1), relative to rhat for diagonal
    factors."""
    factors = k.chain.factors
    tokens = len(k.rows)
    plain, total = np.zeros(tokens), np.zeros(tokens)
    scales: list[np.ndarray | None] = []
    for l in range(p):
        core, link, factor = cores[l], k.links[l], factors[l]
        above, below = np.ones(tokens), np.ones(tokens)
        for j in range(l + 1, p):
            above = above * k.sizes[j]
        for j in range(l):
            below = below * k.sizes[j]
        rounding = above * factor.rounding * (below + betas[l])
        plain, total = plain + rounding, total + rounding
        if core is None:
            scales.append(None)
            continue
        whole, rest = core
        second = link.tops[p] * whole * link.c * betas[l]
        known = link.flat is not None and p == len(factors)
        first = link.tops[p] * (rest if known else whole)
        flat = link.flat * rho if link.flat is not None and known else np.zeros(tokens)
        plain = plain + second + flat
        total = total + second + flat + first * link.bottom
        scales.append(first if link.weights is None else first[:, None] * link.weights)
    return Pieces(tuple(scales), plain, total)


# ---- the parts of the deviation, as leaves -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ChainPart:
    """One part of a chain's deviation, as the subject of a leaf."""

    whole: Operator
    inner: Attention
    outer: tuple[Operator, ...]
    residual: bool
    name: str

    @property
    def digest(self) -> str:
        """The digest under which the chain rule recognises the part."""
        return parts_digest("part", [self.name, self.whole.digest])

    def constants(self, x: np.ndarray) -> Constants:
        """The radius-free half at x (shared inside a memo)."""
        chain = chain_at(self.whole, self.inner, self.outer, x, self.residual)
        return remember(("chain constants", self.whole.digest, array_digest(x)), chain.constants)

    def moves(self, region: Ball | TokenBall) -> Moves:
        """The radius-dependent half on a ball."""
        ball = token_radii(region)
        assert ball is not None
        make = lambda: moves(self.constants(ball.center), ball.rho_F, ball.rho_token)  # noqa: E731
        return remember(("chain moves", self.whole.digest, ball.digest), make)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo a part."""
        if not isinstance(claim.region, Ball | TokenBall):
            raise ProofError("a chain is linearised on a ball")
        if rule == CHAIN_ATTENTION:
            return self.moves(claim.region).attention
        if rule == CHAIN_TAIL:
            tail = self._tail(claim.region)
            return core_norms._root_up(
                core_norms.run_lanczos(tail, int(params["seed"]), int(params["steps"]), 0.0).upper
            )  # pyright: ignore[reportPrivateUsage]
        raise ProofError(f"a chain cannot redo rule {rule}")

    def bound(self, region: Ball | TokenBall) -> Bound:
        """The part's leaf on a ball."""
        claim = Claim("deviation", UPPER, self.digest, region)
        if self.name == "attention":
            return leaf(CHAIN_ATTENTION, claim, self.moves(region).attention, self)
        seed = core_norms.seed_of(self.whole.digest, f"tail:{region.digest}")
        result = core_norms.run_lanczos(self._tail(region), seed, None, 5e-2)
        raw = core_norms._root_up(result.upper)  # pyright: ignore[reportPrivateUsage]
        return leaf(CHAIN_TAIL, claim, raw, self, seed=seed, delta=core_norms.DELTA, steps=int(result.steps))

    def _tail(self, region: Ball | TokenBall) -> LinearOperator:
        ball = token_radii(region)
        assert ball is not None
        return tail_operator(self.constants(ball.center).chain, self.moves(region))


def tail_operator(chain: Chain, move: Moves) -> LinearOperator:
    """A linear map whose norm bounds the sum of the token-wise pieces.

    ``|sum_l T_l v| <= sum_l |T_l v| <= (sum_l |T_l v|^2 / t_l)^(1/2)`` for any weights ``t_l > 0`` with sum at most 1
    (Cauchy-Schwarz); the pieces, each divided by ``sqrt(t_l)``, are stacked. The weights follow the pieces' sizes on a
    few probe vectors.
    """
    pieces = _Stacked(chain, move)
    rng = np.random.default_rng(0)
    v = rng.standard_normal(chain.Q.shape_in)
    for _ in range(4):
        u = pieces.rmatvec(pieces.matvec(v))
        size = float(np.linalg.norm(u))
        if size == 0:
            break
        v = u / size
    parts = [float(np.linalg.norm(p)) for p in pieces.matvec(v)]
    total = sum(parts)
    if total > 0:
        share = np.maximum(np.array(parts) / total, 1e-3)
        pieces.weights = share / (share.sum() * (1 + 1e-12))
    return LinearOperator(
        chain.Q.shape_in,
        (pieces.size,),
        lambda h: np.concatenate([p.ravel() for p in pieces.matvec(h)]),
        lambda u: pieces.rmatvec(pieces.split(u)),
        majorant=pieces.majorant,
        product_error=pieces.product_error,
    )


class _Stacked:
    """The pieces ``scale_l C_l K_l Q / sqrt(t_l)`` and ``plain Q / sqrt(t)``, applied in one sweep."""

    def __init__(self, chain: Chain, move: Moves) -> None:
        self.chain, self.move = chain, move
        self.used = [l for l, s in enumerate(move.scales) if s is not None]
        self.weights = np.full(len(self.used) + 1, 1.0 / (len(self.used) + 1) * (1 - 1e-12))
        tokens, d = chain.Q.shape_out
        self.shapes = [(tokens, d)] + [(tokens, self._width(l)) for l in self.used]
        self.size = sum(a * b for a, b in self.shapes)
        q = chain.Q
        reach, slip = (
            [float(move.plain.max(initial=0.0)) * q.majorant],
            [float(move.plain.max(initial=0.0)) * q.product_error],
        )
        prefix = q
        for l, factor in enumerate(chain.factors):
            scale = move.scales[l]
            if scale is not None:
                top = float(scale.max(initial=0.0)) * (1.0 if factor.C is None else float(factor.C.frobenius.max()))
                reach.append(top * prefix.majorant)
                slip.append(top * (prefix.product_error + core_norms.gamma(prefix.shape_out[-1] + 4) * prefix.majorant))
            prefix = factor.J @ prefix
        spread = 32.0  # 1 / sqrt(smallest weight), since weights stay above 1e-3 of their sum
        self.majorant = spread * sum(reach)
        self.product_error = spread * sum(slip)

    def _width(self, l: int) -> int:
        scale, factor = self.move.scales[l], self.chain.factors[l]
        assert scale is not None
        return scale.shape[1] if scale.ndim == 2 else (factor.M.shape[-1] if factor.C is None else factor.C.shape[-2])

    def _scale(self, l: int, n: int) -> np.ndarray:
        scale = self.move.scales[l]
        assert scale is not None
        return (scale if scale.ndim == 2 else scale[:, None]) / math.sqrt(self.weights[n])

    def matvec(self, h: np.ndarray) -> list[np.ndarray]:
        """All pieces applied to h."""
        v = self.chain.Q.matvec(h)
        out = [self.move.plain[:, None] * v / math.sqrt(self.weights[0])]
        n = 0
        for l, factor in enumerate(self.chain.factors):
            if l in self.used:
                n += 1
                out.append(self._scale(l, n) * (v if factor.apply_C is None else factor.apply_C(v)))
            if n < len(self.used):
                v = factor.J.matvec(v)
        return out

    def rmatvec(self, parts: list[np.ndarray]) -> np.ndarray:
        """The adjoint."""
        acc: np.ndarray | None = None
        n = len(self.used)
        for l in range(len(self.chain.factors) - 1, -1, -1):
            factor = self.chain.factors[l]
            if acc is not None:
                acc = factor.J.rmatvec(acc)
            if l in self.used:
                u = self._scale(l, n) * parts[n]
                u = u if factor.adjoint_C is None else factor.adjoint_C(u)
                acc = u if acc is None else acc + u
                n -= 1
        plain = self.move.plain[:, None] * parts[0] / math.sqrt(self.weights[0])
        return self.chain.Q.rmatvec(plain if acc is None else acc + plain)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat vector as pieces."""
        out: list[np.ndarray] = []
        start = 0
        for a, b in self.shapes:
            out.append(flat[start : start + a * b].reshape(a, b))
            start += a * b
        return out


# ---- the hooks that attention and residual maps offer to compositions ----------------------------------------------


def chain_at(whole: Operator, inner: Attention, outer: tuple[Operator, ...], x: np.ndarray, residual: bool) -> Chain:
    """The enclosed chain at x (shared inside a memo)."""
    return remember(("chain", whole.digest, array_digest(x)), lambda: Chain.at(inner, outer, x, residual))


def chain_of(op: Operator, x: np.ndarray) -> Chain | None:
    """The chain that a composition (token-wise factors after attention) is at x; None if it is not of that form."""
    if not isinstance(op, Composition) or not all(f.chains for f in op.factors[:-1]):
        return None
    inner, residual = op.factors[-1], False
    if isinstance(inner, Residual):
        inner, residual = inner.branch, True
    from lipop.operators.attention import Attention

    return chain_at(op, inner, op.factors[:-1], x, residual) if isinstance(inner, Attention) else None


def linearize_chain(
    whole: Operator, inner: Attention, outer: tuple[Operator, ...], ball: Ball | TokenBall, residual: bool
) -> Linearization:
    """Linearise ``outer o (I + inner)`` (or ``outer o inner``) on an F-ball or token ball."""
    region = token_radii(ball)
    if region is None:
        raise DomainError("a chain is linearised on l2 balls and token balls")
    parts = [ChainPart(whole, inner, outer, residual, name) for name in _PARTS]
    chain = chain_at(whole, inner, outer, region.center, residual)
    claim = Claim("deviation", UPPER, whole.digest, ball)
    move = parts[0].moves(ball)
    finite = math.isfinite(move.attention) and bool(np.isfinite(move.plain).all()) and bool(np.isfinite(move.out).all())
    if not finite:
        lost = unknown(
            claim, "the ball is so large that a normalisation layer's input may reach its centre, or a bound overflows"
        )
        return Linearization(ball, lambda: whole.image(ball), chain.J, Deviation(lost))
    key = ("chain deviation", whole.digest, ball.digest)
    bound = remember(key, lambda: derive("deviation.chain@1", claim, tuple(part.bound(ball) for part in parts)))
    error = frobenius_up(chain.output.radius[:, None, :])
    reach = inflate(move.out + error, 4)
    image = TokenBall(chain.output.mid, dot_up(reach), reach)
    return Linearization(ball, lambda: image, chain.J, Deviation(bound))
