"""Attention's second derivative and covariances on a ball: rule E2 and the direct bound.

For ``|h_j| <= 1`` the scores move by ``a_ij . h_j + bc_ij . h_i``, and row i of the second derivative is

    Cov(s_h, Wv g) + Cov(s_g, Wv h) + E[(v - o)(s_h - mean)(s_g - mean)] + Cov(v, h_i^T A g_j + g_i^T A h_j),

means and covariances over j with weights p_ij. Cauchy-Schwarz bounds it by ``(c1 + c2) |g_i| + (c2 + c3) (sum_j p_ij
|g_j|^2)^(1/2)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up, gram_root
from lipop.core.parallel import each
from lipop.core.region import TokenBall
from lipop.core.rounding import inflate
from lipop.operators.attention_factors import AttentionFactors, row_errors
from lipop.operators.attention_forward import rotate
from lipop.operators.token_norms import norms

if TYPE_CHECKING:
    from lipop.operators.attention_bounds import HeadDeviation


@dataclass(frozen=True, eq=False)
class Spread:
    """What the second derivative's bound is made of on a ball, each (H, T).

    Square roots of ``|Cov(v)|`` (``v``) and ``|Cov(bc)|`` (``b``), largest ``|v_j - o_i|`` (``far``) and ``|a_ij|``
    (``a``).
    """

    v: np.ndarray
    b: np.ndarray
    far: np.ndarray
    a: np.ndarray


def spread(f: AttentionFactors, hd: HeadDeviation, rho: float) -> Spread:
    """The covariances' bounds when every token moves by at most rho."""
    heads, tokens, _ = f.p.shape
    nv, A2 = f.nv[:, None], f.A2[:, None]
    seen = hd.p_plus > 0
    far_v, far_b = (np.where(seen, x, 0.0).max(axis=-1) for x in (f.V, f.bc))
    v, b = np.empty((heads, tokens)), np.empty((heads, tokens))
    Lq, slip = gram_root(f.Wq)
    ev, eo, ek, ekap = (row_errors(x) for x in (f.v, f.o, f.k, f.kap))

    def one(h: int) -> None:
        root = np.sqrt(hd.p_plus[h])[:, :, None]
        w = root * (f.v.mid[h][None] - f.o.mid[h][:, None])
        kt = root * (f.k.mid[h][None] - f.kap.mid[h][:, None])
        if f.table is not None:
            kt = rotate(kt, (f.table[0][:, None], -f.table[1][:, None]), f.turned)
        slack_v = frobenius_up(root * (ev[h][None, :, None] + eo[h][:, None, None])) + 2.0**-50 * frobenius_up(w)
        slack_k = frobenius_up(root * (ek[h][None, :, None] + ekap[h][:, None, None])) + 2.0**-48 * frobenius_up(kt)
        v[h] = norms(Stack(w, inflate(slack_v, 8)))
        turned = Stack(kt, inflate(slack_k * (1 + 1e-9), 8))
        through = norms(turned @ Stack.exact(Lq[h]))
        b[h] = f.c * np.hypot(through, np.sqrt(slip[h]) * turned.frobenius)

    each(one, range(heads))
    move = nv * rho
    lam_v, lam_b = np.minimum(v, far_v) + move, np.minimum(b, far_b) + A2 * rho
    far = np.minimum(far_v + move + hd.do, 2 * (far_v + move))
    a = np.where(seen, f.na, 0.0).max(axis=-1) + A2 * rho
    return Spread(*(inflate(x, 16) for x in (lam_v, lam_b, far, a)))


def curvature(f: AttentionFactors, hd: HeadDeviation, ball: TokenBall, wide: bool) -> np.ndarray:
    """Rule E2, head by head (H,): rho times a bound of the second derivative on the ball."""
    rho = float(ball.rho_token.max())
    if rho == 0.0:
        return np.zeros(len(f.nv))
    s, nv, A2 = spread(f, hd, rho), f.nv[:, None], f.A2[:, None]
    c1 = s.far * s.b**2
    c2 = nv * s.b + s.far * s.b * s.a + s.v * A2
    c3 = 2 * nv * s.a + s.far * s.a**2
    if wide:
        per_head = rho * (c1 + 2 * c2 + c3).max(axis=1)
    else:
        by_key = lambda c: np.sqrt((hd.p_plus * (c**2)[:, :, None]).sum(axis=1).max(axis=-1))  # noqa: E731
        cross = np.minimum(rho * by_key(c2), ball.rho_F * c2.max(axis=1))
        per_head = rho * (c1.max(axis=1) + c2.max(axis=1) + by_key(c3)) + cross
    return inflate(per_head, f.p.shape[-1] + 40)


def inflated(f: AttentionFactors, hd: HeadDeviation, ball: TokenBall, wide: bool) -> np.ndarray:
    """The direct bound of the Lipschitz constant, head by head (H,): ``sqrt(|Wv|^2 + |Cov(v)||a|^2)`` and
    ``sqrt(|Cov(v)||Cov(bc)|)`` on the ball."""
    s, nv = spread(f, hd, float(ball.rho_token.max())), f.nv[:, None]
    first = np.hypot(nv, s.v * s.a) if f.table is None else nv + s.v * s.a
    third = s.v * s.b
    if wide:
        per_head = (first + third).max(axis=1)
    else:
        per_head = np.sqrt((hd.p_plus * (first**2)[:, :, None]).sum(axis=1).max(axis=-1)) + third.max(axis=1)
    return inflate(per_head, f.p.shape[-1] + 40)
