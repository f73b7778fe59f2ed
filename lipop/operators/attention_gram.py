"""Row Grams: ``Gamma_i = Q_i Q_i^T`` for the row blocks Q_i of ``Q = I + DA(x0)``, without forming Q."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.parallel import each
from lipop.core.rounding import gamma, inflate
from lipop.errors import DomainError

if TYPE_CHECKING:
    from lipop.operators.attention_factors import AttentionFactors


def row_gram(f: AttentionFactors, identity: bool = True) -> Stack:
    """``Gamma_i`` (T, d, d) of ``I + DA`` (of DA alone without ``identity``), within its error of the true and of the
    stored one.

    Block ij of row i is ``sum_h O_h p_ij (Wv_h + w_ij a_i^T)``, ``w_ij = v_j - o_i``, plus ``K_i`` on the diagonal.
    Summed over j the Gram is ``[O] X_i [O]^T`` with X_i in head space (H dk x H dk), block (g, h)

        (p^g . p^h) Wv_g Wv_h^T + (a_g . a_h) P_gh + (Wv_g a_h) s_gh^T + s_hg (Wv_h a_g)^T,
        P_gh = sum_j p^g p^h w^g w^hT, s_gh = sum_j p^g p^h w^h,

    and the diagonal block ``K_i = I + [O] Y_i`` adds ``K K^T + K (O Z)^T + (O Z) K^T``, ``[O] Z_i`` being the rest of
    block ii. The symmetric part of ``[O] (X + (Y + 2 Z) Y^T) [O]^T + 2 [O] (Y + Z) + I`` is the whole, so a token costs
    O(d^3) whatever T is.

    Raises
    ------
    DomainError
        With rotary positions, where ``a_ij`` depends on j as well.
    """
    directions = f.a
    if directions is None:
        raise DomainError("row Grams are not available with rotary positions")
    heads, tokens, dk = f.q.shape
    d, n = f.Wq.shape[-1], heads * dk
    wv = f.Wv.reshape(n, d)
    out = np.ascontiguousarray(f.O.transpose(1, 0, 2)).reshape(d, n)
    ww = (wv @ wv.T).reshape(heads, dk, heads, dk)
    gram = np.empty((tokens, d, d))

    def one(i: int) -> None:
        p, a = f.p.mid[:, i], directions.mid[:, i]
        w = f.v.mid - f.o.mid[:, i, None]
        pw = p[:, :, None] * w
        stacked = pw.transpose(1, 0, 2).reshape(tokens, n)
        X = ww * (p @ p.T)[:, None, :, None]
        X += (stacked.T @ stacked).reshape(heads, dk, heads, dk) * (a @ a.T)[:, None, :, None]
        wa = (wv @ a.T).reshape(heads, dk, heads)
        s = (p @ stacked).reshape(heads, heads, dk)  # (g, h, dk)
        cross = (wa[:, :, :, None] * s[:, None, :, :]).reshape(n, n)
        X = X.reshape(n, n)
        X += cross
        X += cross.T
        cov = pw.swapaxes(-1, -2) @ (f.k.mid - f.kap.mid[:, i, None])
        Y = f.c * (cov @ f.Wq).reshape(n, d)
        Z = (p[:, i, None, None] * (f.Wv + w[:, i, :, None] * a[:, None, :])).reshape(n, d)
        half = (X + (Y + 2.0 * Z) @ Y.T) @ out.T
        if identity:
            half += 2.0 * (Y + Z)
        gram[i] = out @ half

    each(one, range(tokens))
    gram = 0.5 * (gram + gram.swapaxes(-1, -2))
    if identity:
        gram += np.eye(d)
    return Stack(gram, _gram_error(f, gram, identity))


def _gram_error(f: AttentionFactors, gram: np.ndarray, identity: bool) -> np.ndarray:
    """(T,) Frobenius errors: the arithmetic's, and what the stored factors' distance from the true ones does to the
    Gram."""
    from lipop.operators.attention_bounds import stored_error

    heads, tokens, dk = f.q.shape
    d = f.Wq.shape[-1]
    o, v, q = (frobenius_up(x)[:, None, None] for x in (f.O, f.Wv, f.Wq))
    high = f.p.mid + f.p.radius
    entries = (o * high * (v + f.V * f.na)).sum(axis=0)  # majorants of the blocks, the query's term aside
    query = (o[:, :, 0] * f.c * q[:, :, 0] * (high * f.V * f.K).sum(axis=-1)).sum(axis=0)
    diagonal = query + (np.sqrt(d) if identity else 0.0)
    i = np.arange(tokens)
    entries[i, i] += diagonal
    size = (entries**2).sum(axis=-1)
    arithmetic = gamma(2 * heads * dk + 4 * d + 4 * tokens + 128) * size
    perr, dG, dgam = stored_error(f)
    moved = (f.nO[:, None, None] * (perr * v + dG)).sum(axis=0)
    moved[i, i] += (f.nO[:, None] * dgam).sum(axis=0)
    # |stored - true| <= e; the values used here lie within e of the true ones too, so within 2 e of the stored ones
    e = 2.0 * np.sqrt((moved**2).sum(axis=-1))
    trace = np.sqrt(np.maximum(np.einsum("tii->t", gram), 0.0) + np.sqrt(d) * arithmetic)
    return inflate(arithmetic + 2.0 * trace * e + e * e, 4 * (tokens + heads) + 4 * d + 64)
