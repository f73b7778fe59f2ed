"""How far attention's derivative moves on a ball, entry by entry: rules E1, E1+, E2 and the direct bound.

Row i of head h is ``sum_j [p_ij Wv + p_ij (v_j - o_i) a_ij^T] h_j + C_i R_i Wq h_i``, with ``a_ij = c Wk^T R_j^T q_i``
and ``C_i = c sum_j p_ij (v_j - o_i)(k_j - kap_i)^T``. On ``|h_j| <= rho_j`` the score ij moves, up to a shift of the
row that the softmax does not see, by ``a_ij . h_j + bc_ij . h_i + h_i^T A h_j`` with ``bc_ij = c Wq^T R_i^T (k_j -
kap_i)``; everything else follows.

All formulas below are built from non-negative numbers by +, * and / (the softmax's movement as well: see
``_movement``), so their rounding is a relative error, which ``inflate`` pays for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from lipop.core.parallel import each
from lipop.core.region import TokenBall
from lipop.core.rounding import inflate
from lipop.operators.attention_curvature import curvature, inflated
from lipop.operators.attention_factors import AttentionFactors, HeadNorms, row_errors
from lipop.operators.attention_gram import row_gram
from lipop.operators.attention_worst import combine_heads, worst_case
from lipop.operators.token_slices import SMALL, token_slices

MANY = 512  # tokens beyond which covariances, which cost T^2 dk^2 a head, are left out
_LARGEST = 300.0  # beyond this movement of a score nothing is claimed about its probability


@dataclass(frozen=True, eq=False)
class HeadDeviation:
    """Bounds on a ball, head by head, relative to the true factors at the centre and to the stored ones.

    Parameters
    ----------
    D : (H, T, T) array
        ``|p_ij(x) - p_ij|``.
    G : (H, T, T) array
        ``|p_ij(x) (v_j - o_i)(x) a_ij(x)^T - p_ij (v_j - o_i) a_ij^T|``.
    gam : (H, T) array
        ``|(C_i(x) - C_i) R_i Wq|``.
    p_plus : (H, T, T) array
        ``p_ij(x)``.
    do : (H, T) array
        ``|o_i(x) - o_i|``.
    """

    D: np.ndarray
    G: np.ndarray
    gam: np.ndarray
    p_plus: np.ndarray
    do: np.ndarray


def head_deviation(f: AttentionFactors, rho_F: float, rho_token: np.ndarray, frobenius: bool) -> HeadDeviation:
    """Rule E1 (every token moves by itself within ``rho_token``), or E1+ (``frobenius``: all of them share ``rho_F`` as
    well).

    Parameters
    ----------
    f : AttentionFactors
    rho_F : float
    rho_token : (T,) array
    frobenius : bool
        Whether the F norm of the movement is at most ``rho_F``.
    """
    heads, tokens = f.p.shape[0], f.p.shape[-1]
    rho = np.broadcast_to(np.asarray(rho_token, dtype=np.float64), tokens)
    rho = np.minimum(rho, rho_F) if frobenius else rho
    out = HeadDeviation(*(np.empty((heads, tokens, *shape)) for shape in ((tokens,), (tokens,), (), (tokens,), ())))

    def rows(i: slice) -> None:
        part = _rows(f.of_queries(i), i, rho_F, rho, frobenius)
        for field in fields(out):
            getattr(out, field.name)[:, i] = getattr(part, field.name)

    each(rows, token_slices(tokens, heads * tokens, SMALL))
    return out


def _rows(f: AttentionFactors, queries: slice, rho_F: float, rho: np.ndarray, frobenius: bool) -> HeadDeviation:
    """:func:`head_deviation` for the rows of some queries alone; ``f`` holds these rows, ``rho`` all tokens."""
    tokens, own = len(rho), rho[queries, None]
    A2, nv = f.A2[:, None, None], f.nv[:, None]
    dS = f.na * rho + f.bc * own + A2 * (own * rho)
    if frobenius:
        shared = rho_F * np.hypot(f.na, f.bc) + (0.5 * rho_F**2) * A2
        dS = np.where(np.eye(tokens, dtype=bool)[queries], dS, np.minimum(dS, shared))
    D, plus = _movement(f, inflate(dS, 12))
    V, bc, na = f.V, f.bc, f.na
    high = f.p.mid + f.p.radius

    def over_keys(weight: np.ndarray) -> np.ndarray:
        """``sum_j weight_ij |h_j|``."""
        plain = weight @ rho
        return np.minimum(plain, rho_F * np.sqrt((weight**2).sum(axis=-1))) if frobenius else plain

    mean = np.minimum(over_keys(plus), rho.max())
    square = np.minimum((plus * rho**2).sum(axis=-1), rho.max() ** 2)
    if frobenius:
        square = np.minimum(square, plus.max(axis=-1) * rho_F**2)
    do = (D * V).sum(axis=-1) + nv * mean
    da = A2 * own
    dw = nv[:, :, None] * rho + do[:, :, None]
    G = (D * V + plus * dw) * (na + da) + high * V * da
    dkap = (D * bc).sum(axis=-1) + f.A2[:, None] * mean
    gam = (D * V * bc).sum(axis=-1) + f.A2[:, None] * over_keys(plus * V) + nv * over_keys(plus * bc)
    gam = gam + nv * f.A2[:, None] * square + do * dkap
    stored = stored_error(f)
    ops = 8 * tokens + 200
    return HeadDeviation(
        inflate(D + stored[0], 4), inflate(G + stored[1], ops), inflate(gam + stored[2], ops), plus, inflate(do, ops)
    )


def stored_error(f: AttentionFactors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far the stored derivative is from the true one at the centre, in the terms of D, G and gam."""
    perr, high = f.p.radius, f.p.mid + f.p.radius
    ev, eo, ek, ekap, eq = (row_errors(x) for x in (f.v, f.o, f.k, f.kap, f.q))
    dw = ev[:, None, :] + eo[:, :, None]
    dkt = (f.c * f.nq)[:, None, None] * (ek[:, None, :] + ekap[:, :, None])
    spread = perr * f.V + high * dw
    G = spread * f.na + high * f.V * ((f.c * f.nk)[:, None] * eq)[:, :, None]
    kap = f.kap.norm_up(-1)  # the products use k, not k - kap: sum_j p_ij (v_j - o_i) is 0 for the true factors only
    gam = (spread * f.bc + high * f.V * dkt).sum(axis=-1) + spread.sum(axis=-1) * (f.c * f.nq)[:, None] * kap
    ops = 4 * f.p.shape[-1] + 100
    return perr, inflate(G, ops), inflate(gam, ops)


def _movement(f: AttentionFactors, dS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(D, p_plus)``: how far a probability can move when scores move by at most dS, and how large it can become.

    With u = e^dS, d = e^-dS, ``p+ - p = p_j sum_{l != j} p_l (u_j - d_l) / (p_j u_j + sum_{l != j} p_l d_l)`` and ``u_j
    - d_l = (u_j - 1) + (1 - d_l)``, so nothing is subtracted; ``p - p-`` alike. Both grow with p_j for fixed sums.
    """
    wild = dS > _LARGEST
    dS = np.minimum(dS, _LARGEST)
    high = np.minimum(f.p.mid + f.p.radius, 1.0)
    low = np.maximum(f.p.mid - f.p.radius, 0.0)
    up, down = np.exp(dS), np.exp(-dS)
    rise, fall = np.expm1(dS), -np.expm1(-dS)
    others = _exclusive_sum(high)
    one = high * (rise * others + _exclusive_sum(high * fall))
    two = high * (_exclusive_sum(high * rise) + fall * others)
    den_up, den_down = high * up + _exclusive_sum(low * down), high * down + _exclusive_sum(low * up)
    here = high > 0
    den_up, den_down = np.where(here, den_up, 1.0), np.where(here, den_down, 1.0)
    ops = 6 * f.p.shape[-1] + 200
    move = np.maximum(np.minimum(one / den_up, 1.0), np.minimum(two / den_down, high))
    plus = np.minimum(inflate(high * up / den_up, ops), 1.0)
    lost = wild.any(axis=-1, keepdims=True) & here
    D, plus = np.where(lost, 1.0, inflate(move, ops)), np.where(lost, 1.0, plus)
    return np.where(here, D, 0.0), np.where(here, plus, 0.0)


def _exclusive_sum(x: np.ndarray) -> np.ndarray:
    """``sum_{l != j} x_l`` along the last axis, without subtraction."""
    out = np.zeros_like(x)
    out[..., 1:] = np.cumsum(x[..., :-1], axis=-1)
    out[..., :-1] += np.cumsum(x[..., :0:-1], axis=-1)[..., ::-1]
    return out


def entry_bounds(hd: HeadDeviation, f: AttentionFactors, om: np.ndarray, omV: np.ndarray) -> np.ndarray:
    """(T, T) bounds of the blocks ``|L_i (DA(x) - J)_ij|`` for a token-wise factor L (rule C2).

    Parameters
    ----------
    om, omV : (T, H) arrays
        Bounds of ``|L_i O_h|`` and ``|L_i O_h Wv_h|``.
    """
    left, left_v = om[:, None, :], omV[:, None, :]
    M = (left_v @ hd.D.transpose(1, 0, 2) + left @ hd.G.transpose(1, 0, 2))[:, 0]
    i = np.arange(len(M))
    M[i, i] += (om * hd.gam.T).sum(axis=1)
    return inflate(M, 3 * om.shape[1] + 8)


def nonneg_norm(M: np.ndarray) -> float:
    """An upper bound of the l2 norm of a non-negative matrix (Collatz and Wielandt).

    For any v > 0, ``|M|^2 <= max_i (M^T M v)_i / v_i``; with ``v = (mu - M^T M)^-1 1`` the ratio is below mu for every
    mu above ``|M|^2``.

    >>> round(nonneg_norm(np.array([[3.0, 0.0], [0.0, 4.0]])), 5)
    4.0
    """
    if not bool(np.isfinite(M).all()):
        return math.inf
    scale = float(M.max(initial=0.0))
    if scale == 0.0:
        return 0.0
    A = M / scale
    best = float(np.sqrt(A.sum(axis=0).max() * A.sum(axis=1).max()))
    if len(M) > MANY:  # the ratio at a power iterate
        v = np.ones(M.shape[1])
        for _ in range(12):
            u = A.T @ (A @ v)
            best = min(best, math.sqrt(float((u / v).max())))
            v = u / u.max() + 1e-9
        return float(inflate(best * scale, 2 * sum(M.shape) + 16))
    top = float(np.linalg.norm(A, 2)) ** 2
    gram = A.T @ A
    for slack in (1e-7, 1e-5, 1e-3, 1e-1):
        v = np.linalg.solve(top * (1 + slack) * np.eye(len(gram)) - gram, np.ones(len(gram)))
        v /= np.abs(v).max()
        if bool((v > 0).all()):
            best = min(best, math.sqrt(float(((A.T @ (A @ v)) / v).max())))
            break
    return float(inflate(best * scale, 2 * sum(M.shape) + 16))


def _size(M: np.ndarray, wide: bool) -> float:
    if wide:
        total = float(M.sum(axis=1).max())
        return float(inflate(total, len(M) + 4)) if math.isfinite(total) else math.inf
    return nonneg_norm(M)


def deviation(n: HeadNorms, parts: Iterable[AttentionFactors], ball: TokenBall, wide: bool = False) -> float:
    """Upper bound of ``sup |DA(x) - J|`` on a token ball, J as stored: the smaller of E1+ and E2, in F or (``wide``) in
    2inf.

    Parameters
    ----------
    n : HeadNorms
        Of all heads.
    parts : iterable of AttentionFactors
        The factors at the centre, some heads at a time.
    """
    tokens = len(ball.rho_token)
    moved, still, bent = _Entries(n, wide), _Entries(n, wide), _PerHead(n)
    for f in parts:
        hd = head_deviation(f, ball.rho_F, ball.rho_token, frobenius=True)
        moved.add(f, hd)
        if tokens <= MANY:
            still.add(f, head_deviation(f, 0.0, np.zeros(tokens), frobenius=True))
            bent.add(curvature(f, hd, ball, wide))
        del f, hd  # before the next heads are worked out
    first = moved.norm()
    second = bent.norm() + still.norm() if tokens <= MANY else math.inf
    return min(x for x in (first, float(inflate(second, 4)), math.inf) if not math.isnan(x))


class _PerHead:
    """Bounds of single heads, combined behind their output weights."""

    def __init__(self, n: HeadNorms) -> None:
        self.n, self.parts = n, []

    def add(self, per_head: np.ndarray) -> None:
        self.parts.append(per_head)

    def norm(self) -> float:
        return combine_heads(self.n.O, self.n.nO, np.concatenate(self.parts))


class _Entries:
    """The norm of the entry bounds, or the heads' norms combined, whichever is smaller; summed up part by part."""

    def __init__(self, n: HeadNorms, wide: bool) -> None:
        self.wide, self.heads, self.total = wide, _PerHead(n), None

    def add(self, f: AttentionFactors, hd: HeadDeviation) -> None:
        shape, wide = hd.gam.T.shape, self.wide
        M = entry_bounds(hd, f, np.broadcast_to(f.nO, shape), np.broadcast_to(f.nOV, shape))
        self.total = M if self.total is None else inflate(self.total + M, 2)
        per_head = [
            nv * _size(D, wide) + _size(G, wide) + float(g.max())
            for nv, D, G, g in zip(f.nv, hd.D, hd.G, hd.gam, strict=True)
        ]
        self.heads.add(np.array(per_head))

    def norm(self) -> float:
        assert self.total is not None
        return min(_size(self.total, self.wide), self.heads.norm())


def direct(n: HeadNorms, parts: Iterable[AttentionFactors], ball: TokenBall, wide: bool = False) -> float:
    """Upper bound of the Lipschitz constant on a token ball from covariances at the centre, inflated."""
    if len(ball.rho_token) > MANY:
        return math.inf
    found = _PerHead(n)
    for f in parts:
        found.add(inflated(f, head_deviation(f, ball.rho_F, ball.rho_token, frobenius=True), ball, wide))
    return found.norm()


__all__ = [
    "HeadDeviation",
    "deviation",
    "direct",
    "entry_bounds",
    "head_deviation",
    "nonneg_norm",
    "row_gram",
    "stored_error",
    "worst_case",
]
