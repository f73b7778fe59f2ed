"""The worst case of attention over all token arrays in a ball: closed forms in the weights' norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core.enclosure import Enclosed, Stack
from lipop.core.rounding import float_up, inflate, workprec
from lipop.operators.token_norms import norms

if TYPE_CHECKING:
    from lipop.operators.attention import Attention


def worst_case(attn: Attention, radius: float, tokens: int | None, wide: bool) -> float:
    """Upper bound of the Lipschitz constant over ``max_i |x_i| <= radius``.

    With ``a = |A| R^2``, ``A = c Wq^T Wk`` and ``a' = a + c R |Wk^T bq|``, a head's factor behind its values is
    ``sqrt(1 + a'^2) + a`` in 2inf and ``sqrt(T phi(a')) + a`` in F, where phi(a) = max over p in [1/2, 1] of ``p (1 + 4
    p (1 - p) a^2)``. Rotary positions lose the square root: ``1 + c R |Wk| (|Wq| R + |bq|) + c R |Wq| (|Wk| R +
    |bk|)``.

    Parameters
    ----------
    radius : float
    tokens : int or None
        Needed in F, where the constant grows like its square root.
    wide : bool
        2inf instead of F.

    Notes
    -----
    Proof of 2inf: in ``sum_j p_ij V h_j + sum_j p_ij (v_j - o_i) a_i . h_j`` write ``h_j = hbar + (h_j - hbar)``; the
    second sum sees only the second part and ``|hbar|^2 + Var(h) <= 1``, so the pair is at most ``|V| sqrt(1 +
    |Cov(x)||a_i|^2)``; the query's term is ``V Cov(x) A^T``. Proof of F: row i is at most ``N_i (sum_j p_ij
    |h_j|^2)^(1/2)``, and ``|Cov| <= 4 p (1 - p) R^2`` for an atom of weight p > 1/2 bounds ``p_ij N_i^2`` by ``|V|^2
    phi``. Keys' and values' biases drop out: softmax does not see a shift, rows of p sum to 1.
    """
    from lipop.operators.attention_factors import head_norms

    n = head_norms(attn)
    heads = attn.heads
    index = np.repeat(np.arange(attn.groups), heads // attn.groups)
    no_bias = np.zeros(heads)
    if attn.rotary is None:
        bias = no_bias
        if attn.bq is not None:
            bq = Enclosed.exact(attn.bq.reshape(heads, 1, attn.dk))
            wk = Enclosed.exact(np.asarray(attn.Wk, dtype=np.float64).reshape(attn.groups, attn.dk, -1)[index])
            bias = inflate(attn.c * (bq @ wk).norm_up(-1)[:, 0], 4)
        factors = [plain_factor(float(a), float(b), radius, tokens, wide) for a, b in zip(n.A2, bias, strict=True)]
    else:
        bq = no_bias if attn.bq is None else _norms(attn.bq.reshape(heads, -1))
        bk = no_bias if attn.bk is None else _norms(attn.bk.reshape(attn.groups, -1))[index]
        rows = zip(n.nq, n.nk, bq, bk, strict=True)
        factors = [
            turned_factor(attn.c, float(q), float(k), float(b), float(e), radius, tokens, wide) for q, k, b, e in rows
        ]
    factor = np.array(factors)
    fused = float(inflate((n.nOV * factor).sum(), heads + 4))
    return min(fused, combine_heads(n.O, n.nO, inflate(n.nv * factor, 4)))


def plain_factor(A: float, bias: float, R: float, tokens: int | None, wide: bool) -> float:
    """``sqrt(1 + a'^2) + a`` or ``sqrt(T phi(a')) + a``, rounded up.

    >>> round(plain_factor(1.0, 0.0, 1.0, None, True), 6)
    2.414214
    """
    from flint import arb

    with workprec():
        a = arb(A) * arb(R) ** 2
        b = a + arb(R) * arb(bias)
        if wide:
            return float_up((1 + b * b).sqrt() + a)
        return float_up((arb(tokens or 1) * _atom(b)).sqrt() + a)


def turned_factor(
    c: float, nq: float, nk: float, bq: float, bk: float, R: float, tokens: int | None, wide: bool
) -> float:
    """``1 + c R |Wk| Q + c R |Wq| K`` (2inf) or ``sqrt(T) (1 + c R |Wk| Q) + c R |Wq| K``, rounded up."""
    from flint import arb

    with workprec():
        own = arb(c) * arb(R)
        key, query = own * arb(nk) * (arb(nq) * arb(R) + arb(bq)), own * arb(nq) * (arb(nk) * arb(R) + arb(bk))
        root = arb(1) if wide else arb(tokens or 1).sqrt()
        return float_up(root * (1 + key) + query)


def _atom(a: Any) -> Any:
    """phi(a): the maximum of ``p (1 + 4 p (1 - p) a^2)`` over p in [1/2, 1], at ``p = (1 + sqrt(1 + 3 / (4 a^2))) / 3``
    or at 1."""
    from flint import arb

    if not a > arb(0.5):
        return arb(1) if a <= arb(0.5) else 1 + 4 * a * a  # undecided: the crude bound
    p = (1 + (1 + 3 / (4 * a * a)).sqrt()) / 3
    return p * (1 + 4 * p * (1 - p) * a * a)


def combine_heads(O: np.ndarray, nO: np.ndarray, parts: np.ndarray) -> float:
    """``min(|[O_1 .. O_H]| (sum E_h^2)^(1/2), sum |O_h| E_h)``: the heads' bounds behind their output weights.

    Parameters
    ----------
    O : (H, d, dk) array
    nO : (H,) array
        Bounds of ``|O_h|``.
    parts : (H,) array
    """
    if not bool(np.isfinite(parts).all()):
        return math.inf
    wide = np.ascontiguousarray(O.transpose(1, 0, 2)).reshape(O.shape[1], -1)
    whole = float(norms(Stack.exact(wide), 1e-6)[0]) * math.sqrt(float((parts**2).sum()))
    return float(inflate(min(whole, float((nO * parts).sum())), len(parts) + 8))


def _norms(x: np.ndarray) -> np.ndarray:
    return Enclosed.exact(x).norm_up(-1)
