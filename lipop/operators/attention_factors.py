"""What the attention rules need at a point: the enclosed forward pass, centred keys, score gradients and their norms.

Every norm here is an upper bound that holds for the true factors at the centre and for the stored midpoints alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from lipop.core.enclosure import Enclosed, Stack, frobenius_up, gram_root
from lipop.core.memo import remember
from lipop.core.parallel import each
from lipop.core.rounding import UNIT, gamma, inflate
from lipop.operators.attention_forward import AttentionForward, forward_fields, rotate
from lipop.operators.token_norms import norms
from lipop.operators.token_slices import SMALL

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

TIGHT = 1e-6  # relative slack of the head norms
SPIN = 1.0 + 2.0**-46  # norm of a rotation whose cos and sin are rounded


@dataclass(frozen=True, eq=False)
class AttentionFactors(AttentionForward):
    """The forward pass with its centred keys, score gradients and norms.

    Parameters
    ----------
    kap : Enclosed (H, T, dk)
        Mean keys ``sum_j p_ij k_j``.
    a : Enclosed (H, T, d) or None
        ``a_i = c Wk^T q_i``, the gradient of score ij in token j. None with rotary positions, where it depends on j as
        well.
    nq, nk : (H,) arrays
        Bounds of ``|R_i Wq_h|`` and ``|R_j Wk_h|``.
    nv, nO, nOV, A2 : (H,) arrays
        Bounds of ``|Wv_h|``, ``|O_h|``, ``|O_h Wv_h|`` and ``c |Wq_h^T R_i^T R_j Wk_h|``.
    V, K, na, bc : (H, T, T) arrays
        Bounds of ``|v_j - o_i|``, ``|k_j - kap_i|``, ``|c Wk_h^T R_j^T q_i|`` and ``|c Wq_h^T R_i^T (k_j - kap_i)|``.

    Examples
    --------
    >>> from lipop.operators.attention import Attention
    >>> eye = np.eye(2)
    >>> f = AttentionFactors.at(Attention(eye, eye, eye, eye, heads=1), Enclosed.exact(eye))
    >>> f.p.mid.round(4).tolist(), bool((f.nOV >= 1).all())
    ([[[0.6698, 0.3302], [0.3302, 0.6698]]], True)
    """

    kap: Enclosed
    a: Enclosed | None
    nq: np.ndarray
    nk: np.ndarray
    nv: np.ndarray
    nO: np.ndarray
    nOV: np.ndarray
    A2: np.ndarray
    V: np.ndarray
    K: np.ndarray
    na: np.ndarray
    bc: np.ndarray

    @classmethod
    def at(cls, attn: Attention, X: Enclosed, part: slice | None = None) -> Self:
        """Enclose everything at ``X`` (T, d), for a slice of the heads (all by default)."""
        forward = forward_fields(attn, X, part)
        f = AttentionForward(**forward)
        n = head_norms(attn).of(part)
        kap = f.p @ f.k
        a = (f.q @ Enclosed.exact(f.Wk)) * f.c if f.table is None else None
        Lq, slip_q = gram_root(f.Wq)
        Lk, slip_k = gram_root(f.Wk)
        V, K, bc, na = (np.empty(f.p.shape) for _ in range(4))
        back = None if f.table is None else (f.table[0], -f.table[1])
        ev, eo, ek, ekap, eq = (row_errors(x) for x in (f.v, f.o, f.k, kap, f.q))
        tokens, dk = X.shape[0], attn.dk
        step = max(1, 2 * SMALL // (tokens * dk))

        def rows(at: tuple[int, slice]) -> None:
            h, i = at
            w = _row_norms(f.v.mid[h][None] - f.o.mid[h, i, None])
            V[h, i] = inflate(w + ev[h][None] + eo[h, i, None], 16)
            kt = f.k.mid[h][None] - kap.mid[h, i, None]
            size = _row_norms(kt)
            slack = ek[h][None] + ekap[h, i, None] + UNIT * size
            K[h, i] = inflate(size + slack, 16)
            if back is not None:  # turned back by the query's position
                kt = rotate(kt, (back[0][i, None], back[1][i, None]), f.turned)
                slack = (slack + 8 * UNIT * size) * SPIN
            bc[h, i] = inflate(f.c * (_through(kt, Lq[h], slip_q[h]) + n.nq[h] * slack), 16)
            if a is None:
                z = rotate(np.broadcast_to(f.q.mid[h, i, None], kt.shape), back, f.turned)
                slip = (eq[h, i, None] + 8 * UNIT * _row_norms(f.q.mid[h, i])[:, None]) * SPIN
                na[h, i] = inflate(f.c * (_through(z, Lk[h], slip_k[h]) + n.nk[h] * slip), 16)
            else:
                na[h, i] = inflate(a[h, i].norm_up(-1), 16)[:, None]

        each(rows, [(h, slice(i, i + step)) for h in range(len(f.Wq)) for i in range(0, tokens, step)])
        kap = kap.finite("attention's mean keys")
        return cls(
            **forward, kap=kap, a=a, nq=n.nq, nk=n.nk, nv=n.nv, nO=n.nO, nOV=n.nOV, A2=n.A2, V=V, K=K, na=na, bc=bc
        )

    def of_queries(self, i: slice) -> Self:
        """The rows of a slice of the queries; keys and values are whole."""
        by_query = ("q", "o", "p", "kap", "V", "K", "na", "bc")
        return replace(self, **{name: getattr(self, name)[:, i] for name in by_query})


@dataclass(frozen=True, eq=False)
class HeadNorms:
    """Proved norms of the heads' weights, see :class:`AttentionFactors`; each (H,)."""

    nq: np.ndarray
    nk: np.ndarray
    nv: np.ndarray
    nO: np.ndarray
    nOV: np.ndarray
    A2: np.ndarray
    O: np.ndarray

    def of(self, part: slice | None) -> HeadNorms:
        """Those of a slice of the heads."""
        return self if part is None else HeadNorms(*(getattr(self, f.name)[part] for f in fields(self)))


def head_norms(attn: Attention) -> HeadNorms:
    """The norms of an operator's weights, shared inside a memo."""
    return remember(("attention head norms", attn.digest), lambda: _head_norms(attn))


def _head_norms(attn: Attention) -> HeadNorms:
    heads, groups, dk = attn.heads, attn.groups, attn.dk
    index = np.repeat(np.arange(groups), heads // groups)
    wq, wk, wv = (np.asarray(w, dtype=np.float64).reshape(-1, dk, w.shape[1]) for w in (attn.Wq, attn.Wk, attn.Wv))
    O = np.ascontiguousarray(np.asarray(attn.Wo, dtype=np.float64).reshape(-1, heads, dk).transpose(1, 0, 2))
    spin = 1.0 if attn.rotary is None else SPIN
    nq, nO = norms(Stack.exact(wq), TIGHT) * spin, norms(Stack.exact(O), TIGHT)
    nk, nv = (norms(Stack.exact(w), TIGHT)[index] for w in (wk, wv))
    nk = nk * spin
    root, slip = gram_root(wv)
    root, slip = root[index], slip[index]
    nOV = np.hypot(norms(Stack.exact(O) @ Stack.exact(root), TIGHT), np.sqrt(slip) * nO)
    if attn.rotary is None:
        root, slip = gram_root(wq)
        qk = norms(Stack.exact(root).T @ Stack.exact(wk[index]), TIGHT)
        A2 = attn.c * np.hypot(qk, np.sqrt(slip) * nk)
    else:
        A2 = attn.c * nq * nk
    nq, nk, nOV, A2 = (inflate(x, 8) for x in (nq, nk, nOV, A2))
    return HeadNorms(nq, nk, nv, nO, nOV, A2, O)


def row_errors(x: Enclosed) -> np.ndarray:
    """Upper bounds of the l2 errors of the rows (last axis)."""
    return _row_norms(x.radius)


def _row_norms(x: np.ndarray) -> np.ndarray:
    return inflate(np.sqrt(np.einsum("...i,...i->...", x, x)), x.shape[-1] + 6)


def _through(z: np.ndarray, root: np.ndarray, slip: float) -> np.ndarray:
    """Upper bounds of ``|W^T z|`` for the rows z of an exact array, ``W W^T`` near ``root root^T``."""
    size = _row_norms(z)
    value = _row_norms(z @ root) + gamma(z.shape[-1] + 2) * size * frobenius_up(root)
    return inflate(np.sqrt(value**2 + slip * size**2), 12)


__all__ = ["AttentionFactors", "HeadNorms", "head_norms", "row_errors"]
