"""Proved norms of many small matrices at once: one value a token, rounding and the matrices' own errors included."""

from __future__ import annotations

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.parallel import cores, each
from lipop.core.rounding import inflate

_PIECE = 384
UNIT32 = 2.0**-24
ERROR32 = 392 * UNIT32
SLACK = 1e-2  # relative slack of norms that only enter second-order or small terms


def psd_max(g: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of the largest eigenvalues of symmetric positive semidefinite matrices."""
    from lipop_kernels import psd_max_batched

    count = len(g.mid)
    step = max(8, -(-count // cores()))
    parts = [slice(k, min(count, k + step)) for k in range(0, count, step)]
    found = each(lambda p: psd_max_batched(np.ascontiguousarray(g.mid[p]), g.err[p], rtol=rtol), parts)
    return np.maximum(np.concatenate(found), 0.0)


def unit32(a: np.ndarray) -> tuple[np.ndarray, float]:
    """A matrix divided by its Frobenius norm, in float32, and that norm."""
    size = float(frobenius_up(a))
    return (a / size if size > 0 else a).astype(np.float32), size


def product32(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """``a @ b`` in float32, and a bound of its Frobenius error: for norms that need a percent, in a third of the time.

    The inner dimension is cut into pieces that are accumulated in float64, so the error is ``gamma_515`` of float32 on
    ``|a|_F |b|_F`` (casts included; the pieces' errors add up by Cauchy-Schwarz), whatever the length.
    """
    (x, fa), (y, fb) = unit32(a), unit32(b)
    out = pieces32(x, y)
    return out * (fa * fb), fa * fb * (ERROR32 + 1e-30 * out.size)


def gram32(a: np.ndarray) -> tuple[np.ndarray, float]:
    """``a a^T`` by :func:`product32`, symmetric pieces at half the work."""
    x, size = unit32(a)
    return pieces32(x, x.T) * size**2, size**2 * (ERROR32 + 1e-30 * len(a) ** 2)


def product32_rows(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """``a @ b`` in float32 for rows of a of norm at most 1, and a bound of every row's l2 error."""
    y, fb = unit32(b)
    out = pieces32(a.astype(np.float32), y)
    return out * fb, fb * (ERROR32 + 1e-30 * out.shape[1]) * (1 + 1e-9)


def pieces32(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``x @ y`` of float32 matrices, the inner dimension in pieces that are accumulated in float64."""
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
        both = each(gram32, small.mid)
        gram = Stack(np.stack([g for g, _ in both]), np.array([e for _, e in both]))
    return inflate(np.sqrt(psd_max(gram, rtol)) + m.err, 4)


def quadratic(k: Stack, gram: Stack, rtol: float = SLACK) -> np.ndarray:
    """(T,) upper bounds of ``|K Q|`` for row blocks Q with ``Q Q^T`` = ``gram`` (T matrices); one K may serve all."""

    def one(t: int) -> tuple[np.ndarray, float]:
        j = t if len(k.mid) > 1 else 0
        x, g = k.mid[j], gram.mid[t]
        y, ey = product32(x, g)
        s, es = product32(y, x.T)
        fx, ex, eg = float(frobenius_up(x)), float(k.err[j]), float(gram.err[t])
        fg = float(frobenius_up(g))
        return 0.5 * (s + s.T), es + ey * fx + eg * fx**2 + (fg + eg) * (2 * fx * ex + ex**2)

    parts = each(one, range(len(gram.mid)))
    total = Stack(np.stack([s for s, _ in parts]), inflate(np.array([e for _, e in parts]), 16))
    return inflate(np.sqrt(psd_max(total, rtol)), 4)


def scaled(m: Stack, left: np.ndarray | None = None, right: np.ndarray | None = None) -> Stack:
    """``diag(left_t) M_t diag(right_t)``."""
    mid, err = m.mid, m.err
    if left is not None:
        mid, err = left[:, :, None] * mid, err * left.max(axis=1)
    if right is not None:
        mid, err = mid * right[:, None, :], err * right.max(axis=1)
    return Stack(mid, inflate(err + 2.0**-52 * frobenius_up(mid), 4))


def scaled_norms(m: Stack, right: np.ndarray) -> np.ndarray:
    """(T,) upper bounds of ``|M diag(right_t)|`` for one matrix M and positive scalings (T, n)."""
    a, err = m.mid[0], float(m.err[0])

    def one(t: int) -> tuple[np.ndarray, float, float]:
        x = a * right[t]
        g, eg = gram32(x)
        return g, eg, err * float(right[t].max()) + 2.0**-52 * float(frobenius_up(x))

    parts = each(one, range(len(right)))
    gram = Stack(np.stack([g for g, _, _ in parts]), np.array([e for _, e, _ in parts]))
    return inflate(np.sqrt(psd_max(gram)) + np.array([e for _, _, e in parts]), 6)
