"""Proved norms of many small matrices at once: one value a token, rounding and the matrices' own errors included."""

from __future__ import annotations

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.parallel import each
from lipop.core.rounding import gamma, inflate

_PIECE = 128
_ERROR32 = 134 * 2.0**-24  # gamma_131 of float32: a piece's products and sums, the casts of both factors
SLACK = 1e-2  # relative slack of norms that only enter second-order or small terms


def psd_max(g: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of the largest eigenvalues of symmetric positive semidefinite matrices."""
    from lipop_kernels import psd_max_batched

    return np.maximum(np.asarray(psd_max_batched(np.ascontiguousarray(g.mid), g.err, rtol=rtol)), 0.0)


def _unit32(a: np.ndarray) -> tuple[np.ndarray, float]:
    """A matrix divided by its Frobenius norm, in float32, and that norm."""
    size = float(frobenius_up(a))
    return (a / size if size > 0 else a).astype(np.float32), size


def product32(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """``a @ b`` in float32, and a bound of its Frobenius error: for norms that need a percent, in a third of the time.

    The inner dimension is cut into pieces that are accumulated in float64, so the error is ``gamma_131`` of float32 on
    ``|a|_F |b|_F`` (casts included; the pieces' errors add up by Cauchy-Schwarz), whatever the length.
    """
    (x, fa), (y, fb) = _unit32(a), _unit32(b)
    out = _pieces32(x, y)
    return out * (fa * fb), fa * fb * (_ERROR32 + 1e-30 * out.size)


def _pieces32(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.zeros((x.shape[0], y.shape[1]))
    for k in range(0, x.shape[1], _PIECE):
        out += x[:, k : k + _PIECE] @ y[k : k + _PIECE]
    return out


def norms(m: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of the l2 norms of the matrices of a stack.

    >>> float(norms(Stack.exact(np.diag([3.0, 4.0])))[0]) >= 4.0
    True
    """
    small = m if m.shape[-2] <= m.shape[-1] else m.T
    if rtol < SLACK or small.shape[-2] <= 64:
        gram = Stack(small.mid, np.zeros_like(m.err)).gram()
    else:
        both = each(lambda x: product32(x, x.T), small.mid)
        gram = Stack(np.stack([g for g, _ in both]), np.array([e for _, e in both]))
    return inflate(np.sqrt(psd_max(gram, rtol)) + m.err, 4)


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


def scaled_norms(m: Stack, left: np.ndarray | None = None, right: np.ndarray | None = None) -> np.ndarray:
    """(T,) upper bounds of ``|diag(left_t) M_t diag(right_t)|`` for positive scalings; M may be a stack of one."""
    scale = left if left is not None else right
    assert scale is not None

    def one(t: int) -> tuple[np.ndarray, float, float]:
        a = m.mid[t if len(m.mid) > 1 else 0]
        e = float(m.err[t if len(m.err) > 1 else 0])
        x = a * (scale[t][:, None] if left is not None else scale[t])
        g, eg = product32(x, x.T) if x.shape[0] <= x.shape[1] else product32(x.T, x)
        return g, eg, e * float(scale[t].max()) + 2.0**-52 * float(frobenius_up(x))

    parts = each(one, range(len(scale)))
    gram = Stack(np.stack([g for g, _, _ in parts]), np.array([e for _, e, _ in parts]))
    return inflate(np.sqrt(psd_max(gram)) + np.array([e for _, _, e in parts]), 6)


def curvature_norms(tops: list[Stack], ck: Stack, gram: Stack, curvature: np.ndarray) -> list[np.ndarray]:
    """Rule F1: (T,) bounds of ``sup_{|eta|<=1} |A diag(f''_k (b_k . eta)) CK|`` for each left factor A.

    ``b_k`` is row k of ``CK Q``, known through ``gram = Q Q^T``.

    Proof. ``M_eta v`` is linear in the rank-one matrix ``eta v^T``, of Frobenius norm at most 1 for unit eta, v; entry
    k of the inner vector is the inner product of ``eta v^T`` with ``b_k c_k^T``, and the Gram matrix of the latter is
    the Hadamard product ``(B B^T) o (C C^T)``. So ``|M_eta v|^2 <= lambda_max(A F ((B B^T) o (C C^T)) F A^T)`` with
    ``F = diag(f'')``.
    """
    tokens = len(ck.mid)
    out = [np.empty(tokens) for _ in tops]
    whole = (ck.shape[-1] + 6) * 2.0**-24 * (1 + 1e-3) + 1e-30 * ck.shape[1] ** 2  # float32, casts included

    def one(i: int) -> None:
        c, ec = ck.mid[i], float(ck.err[i])
        fc, fg, eg = float(frobenius_up(c)), float(frobenius_up(gram.mid[i])), float(gram.err[i])
        y32, fy = _unit32(c @ gram.mid[i])
        c32 = (c / fc).astype(np.float32)
        # B B^T / (fy fc) and C C^T / fc^2 in float32, each with its Frobenius error
        g1, g2 = y32 @ c32.T, c32 @ c32.T
        e1 = gamma(c.shape[1] + 2) * fc**2 * fg + eg * fc**2 + (fg + eg) * (2 * fc * ec + ec**2)
        e1 = whole + e1 / (fy * fc)
        e2 = whole + (2 * fc * ec + ec**2) / fc**2
        m1, m2 = float(np.abs(g1).max()) + e1, float(np.abs(g2).max()) + e2
        h = np.multiply(g1, g2, out=g1)
        fh, scale = float(np.sqrt(np.einsum("ij,ij->", h, h, dtype=np.float64))) * (1 + 1e-6), fy * fc**3
        eh = e1 * m2 + e2 * m1 + 2.0**-23 * fh
        for value, top in zip(out, tops, strict=True):
            t = min(i, len(top.mid) - 1)
            a = top.mid[t] * curvature[i]
            ea = float(top.err[t]) * float(np.abs(curvature[i]).max()) + 2.0**-52 * float(frobenius_up(a))
            size = float(norms(Stack(a[None], np.array([ea])))[0])
            a32, fa = _unit32(a)
            z = _pieces32(a32, h)  # to within _ERROR32 fh
            z32, fz = _unit32(z)
            r = _pieces32(z32, a32.T) * (fz * fa * fa)
            err = _ERROR32 * (fz + fh) * fa**2 + size**2 * eh + (fh + eh) * (2 * size * ea + ea**2)
            r, err = r * scale, err * scale
            sym = Stack((0.5 * (r + r.T))[None], np.array([float(inflate(err, 16))]))
            value[i] = float(inflate(np.sqrt(psd_max(sym)[0]), 4))

    each(one, range(tokens))
    return out
