"""Proved norms of many small matrices at once: one value a token, rounding and the matrices' own errors included."""

from __future__ import annotations

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.rounding import gamma, inflate

SLACK = 1e-2  # relative slack of norms that only enter second-order or small terms


def psd_max(g: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of the largest eigenvalues of symmetric positive semidefinite matrices."""
    from lipop_kernels import psd_max_batched

    return np.maximum(np.asarray(psd_max_batched(np.ascontiguousarray(g.mid), g.err, rtol=rtol)), 0.0)


def norms(m: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of the l2 norms of the matrices of a stack.

    >>> float(norms(Stack.exact(np.diag([3.0, 4.0])))[0]) >= 4.0
    True
    """
    small = m if m.shape[-2] <= m.shape[-1] else m.T
    bare = Stack(small.mid, np.zeros_like(m.err))
    return inflate(np.sqrt(psd_max(bare.gram(), rtol)) + m.err, 4)


def quadratic(k: Stack, gram: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of ``|K Q|`` for row blocks Q with ``Q Q^T`` = ``gram``."""
    s = (k @ gram) @ k.T
    return inflate(np.sqrt(psd_max(Stack(0.5 * (s.mid + s.mid.swapaxes(-1, -2)), s.err), rtol)), 4)


def row_quadratic(k: Stack, gram: Stack) -> np.ndarray:
    """(T, q) upper bounds of ``|k_r Q|`` for every row k_r of K and row blocks Q with ``Q Q^T`` = ``gram``."""
    kg = k.mid @ gram.mid
    value = np.einsum("trd,trd->tr", kg, k.mid)
    rows = np.sqrt(np.einsum("trd,trd->tr", k.mid, k.mid))
    size = frobenius_up(gram.mid)[:, None]
    d = k.shape[-1]
    err = (2 * gamma(2 * d + 4) * size + gram.err[:, None]) * rows**2
    root = np.sqrt(np.maximum(value, 0.0) + inflate(err, 2 * d + 8))
    return inflate(root + k.err[:, None] * np.sqrt(size), 2 * d + 8)


def scaled(m: Stack, left: np.ndarray | None = None, right: np.ndarray | None = None) -> Stack:
    """``diag(left_t) M_t diag(right_t)``."""
    mid, err = m.mid, m.err
    if left is not None:
        mid, err = left[:, :, None] * mid, err * left.max(axis=1)
    if right is not None:
        mid, err = mid * right[:, None, :], err * right.max(axis=1)
    return Stack(mid, inflate(err + 2.0**-52 * frobenius_up(mid), 4))


def curvature_norms(tops: list[Stack], ck: Stack, gram: Stack, curvature: np.ndarray) -> list[np.ndarray]:
    """Rule F1: (T,) bounds of ``sup_{|eta|<=1} |A diag(f''_k (b_k . eta)) CK|`` for each left factor A.

    ``b_k`` is row k of ``CK Q``, known through ``gram = Q Q^T``.

    Proof. ``M_eta v`` is linear in the rank-one matrix ``eta v^T``, of Frobenius norm at most 1 for unit eta, v; entry
    k of the inner vector is the inner product of ``eta v^T`` with ``b_k c_k^T``, and the Gram matrix of the latter is
    the Hadamard product ``(B B^T) o (C C^T)``. So ``|M_eta v|^2 <= lambda_max(A F ((B B^T) o (C C^T)) F A^T)`` with
    ``F = diag(f'')``.
    """
    tokens, width, d = ck.shape
    out = [np.empty(tokens) for _ in tops]
    for i in range(tokens):
        c = ck.mid[i]
        y = c @ gram.mid[i]
        g1, g2 = y @ c.T, c @ c.T
        fc, fg = float(frobenius_up(c)), float(frobenius_up(gram.mid[i]))
        ec, eg = float(ck.err[i]), float(gram.err[i])
        e1 = (2 * gamma(2 * d + 4) * fg + eg) * fc**2 + (fg + eg) * (2 * fc * ec + ec**2)
        e2 = gamma(d + 2) * fc**2 + 2 * fc * ec + ec**2
        h = g1 * g2
        m1, m2 = float(np.abs(g1).max()) + e1, float(np.abs(g2).max()) + e2
        fh = float(frobenius_up(h))
        eh = e1 * m2 + e2 * m1 + 2.0**-52 * fh
        for value, top in zip(out, tops, strict=True):
            t = min(i, len(top.mid) - 1)
            a = top.mid[t] * curvature[i]
            fa = float(frobenius_up(a))
            ea = float(top.err[t]) * float(np.abs(curvature[i]).max()) + 2.0**-52 * fa
            r = (a @ h) @ a.T
            er = (2 * gamma(2 * width + 4) * fh + eh) * fa**2 + (fh + eh) * (2 * fa * ea + ea**2)
            sym = Stack((0.5 * (r + r.T))[None], np.array([float(inflate(er, 16))]))
            value[i] = float(inflate(np.sqrt(psd_max(sym)[0]), 4))
    return out
