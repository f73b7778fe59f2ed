"""Block norms of the deflated Gram matrix of a transformer block's derivative, one pair of tokens at a time.

In the notation of :mod:`lipop.certify.block_factors`, with ``R_i = [R_i1 ... R_iT]`` and ``Y_i^h`` the ``dk x T``
matrix of the vectors ``y_ij^h``, the Gram blocks are::

    (J J^T)_ik = [i = k] F_i F_k^T + (F_i R_ki^T + AO_i R_i R_k^T) AO_k^T + AO_i R_ik F_k^T,
    (R_i R_k^T)_hg = (p_i^h . p_k^g) Wv_h Wv_g^T + (Wv_h a_k^g) (Y_k^g p_i^h)^T
                   + (Y_i^h p_k^g) (Wv_g a_i^h)^T + (a_i^h . a_k^g) Y_i^h (Y_k^g)^T,

a few products of ``d x d`` matrices for a pair of tokens; nothing of size ``T d x T d`` is formed.

Rounding. Taken in absolute values the Frobenius norm of block ``(i, k)`` is at most ``(m m^T)_ik`` with the majorants m
of J, so the computed block errs by at most ``gamma(c')`` times that, plus the same for the deflating terms, with ``c'``
the number of roundings along the longest path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lipop.certify.block_factors import UNDERFLOW, BlockFactors, nonnegative_norm
from lipop.core.enclosure import frobenius_up
from lipop.core.rounding import TINY, gamma, inflate

SINGLE = 2.0**-24  # unit roundoff of float32
UNDERFLOW_SINGLE = 1e-28  # d^2 products below the normal range of float32, d <= 10^4


def _cores() -> int:
    """How many rows are worked on at once (each needs a few d x d arrays)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 8)


def _block_rows(x: np.ndarray, k: int) -> np.ndarray:
    """(..., h, h k): row g holds the k entries of block g of x (..., h k), zeros elsewhere."""
    h = x.shape[-1] // k
    out = np.zeros((*x.shape[:-1], h, h, k))
    diagonal = np.arange(h)
    out[..., diagonal, diagonal, :] = x.reshape(*x.shape[:-1], h, k)
    return out.reshape(*x.shape[:-1], h, h * k)


class DeflatedGram:
    """Blocks of ``J J^T - X U^T - U X^T`` and certified bounds of their norms.

    Parameters
    ----------
    f : BlockFactors
        Normalised.
    U, X : (T, d, r) arrays
        Any.
    """

    def __init__(self, f: BlockFactors, U: np.ndarray, X: np.ndarray) -> None:
        t, h, d, k = f.shape
        self.f, self.AO = f, f.heads_out
        self.Wc = f.Wv.reshape(h * k, d)
        self.WW = (self.Wc @ self.Wc.T).reshape(h, k, h * k)
        self.P = np.ascontiguousarray(f.p.transpose(1, 0, 2))  # i,h,j
        self.Y = np.ascontiguousarray(f.y.transpose(1, 0, 3, 2)).reshape(t, h * k, t)  # i,(h x),j
        self.a = np.ascontiguousarray(f.a.transpose(1, 0, 2))  # i,h,e
        self.Wa = self.Wc @ self.a.transpose(0, 2, 1)  # i,(h x),g: Wv_h a_i^g
        self.left = np.concatenate([X, U], axis=2)
        self.right = np.concatenate([self.AO, f.F, -U, -X], axis=2)  # every block is one product with this
        self.U, self.X = U, X

    @property
    def roundings(self) -> int:
        """How many roundings any path to an entry of a block meets, at most.

        Inner products over tokens and coordinates (T + d), the four terms of ``R_i R_k^T`` (2 H + 6), ``AO_i`` (H dk),
        the last product (H dk + d + 2 r), the row's own sums (dk + 2 H), and a margin.
        """
        t, h, d, k = self.f.shape
        return t + 3 * d + 2 * h * k + 4 * h + k + 2 * self.U.shape[2] + 40

    def block_errors(self) -> np.ndarray:
        """(T, T) bounds of the Frobenius distance between computed and exact blocks."""
        m, u, x = self.f.majorants, frobenius_up(self.U), frobenius_up(self.X)
        size = m @ m.T + np.outer(x, u) + np.outer(u, x)
        return inflate(gamma(self.roundings) * size, len(m) + 8) + UNDERFLOW

    def row(self, i: int, step: int) -> Iterator[tuple[slice, np.ndarray]]:
        """The blocks ``(i, k)`` for k = i, ..., T - 1, ``step`` at a time: (range of k, (count, d, d) array)."""
        f, (t, h, d, k) = self.f, self.f.shape
        heads = f.AO[i] @ f.Wv  # h,d,e: AO_i^h Wv_h
        wy = np.ascontiguousarray((f.AO[i] @ self.Y[i].reshape(h, k, t)).transpose(2, 1, 0))  # j,d,h: AO_i^h y_ij^h
        FW = f.F[i] @ self.Wc.T
        Fa = (self.a.reshape(t * h, d) @ f.F[i].T).reshape(t, h, d).transpose(0, 2, 1)  # k,d,g: F_i a_k^g
        own = _block_rows(np.ascontiguousarray(self.Wa[i].T), k)  # h,g,(g y): Wv_g a_i^h
        width = h * k
        for first in range(i, t, step):
            ks = slice(first, min(t, first + step))
            n = ks.stop - ks.start
            Pk, Yk = self.P[ks].transpose(0, 2, 1), self.Y[ks].transpose(0, 2, 1)
            # R_i R_k^T, head by head
            tall = np.concatenate([self.Wa[ks], self.Y[i] @ Pk], axis=2).reshape(n, h, k, 2 * h)
            wide = np.concatenate([_block_rows(self.P[i] @ Yk, k), np.broadcast_to(own, (n, h, h, width))], axis=2)
            Q = tall @ wide
            Q += np.repeat(self.P[i] @ Pk, k, axis=2)[:, :, None] * self.WW
            YY = (self.Y[i] @ Yk).reshape(n, h, k, width)
            YY *= np.repeat(self.a[i] @ self.a[ks].transpose(0, 2, 1), k, axis=2)[:, :, None]
            Q += YY
            # [F_i R_ki^T + AO_i R_i R_k^T, AO_i R_ik, X_i, U_i] against [AO_k, F_k, -U_k, -X_k]
            L = np.empty((n, d, self.right.shape[2]))
            S = self.AO[i] @ Q.reshape(n, width, width)
            S += Fa[ks] @ _block_rows(self.Y[ks, :, i], k)
            np.multiply(np.repeat(self.P[ks, :, i], k, axis=1)[:, None], FW, out=L[:, :, :width])
            L[:, :, :width] += S
            N = (self.P[i][:, ks].T @ heads.reshape(h, d * d)).reshape(n, d, d)
            N += wy[ks] @ self.a[i]
            L[:, :, width : width + d] = N
            L[:, :, width + d :] = self.left[i]
            G = L @ self.right[ks].transpose(0, 2, 1)
            if first == i:
                G[0] += f.F[i] @ f.F[i].T
            yield ks, G

    def largest_eigenvalue(self, schatten: int = 8) -> float:
        """An upper bound of the largest eigenvalue: the norm of the matrix of Schatten norms of the blocks."""
        t, _, d, _ = self.f.shape
        step, B = max(1, 2**18 // d**2), np.zeros((t, t))

        def fill(i: int) -> None:
            for ks, G in self.row(i, step):
                B[i, ks] = B[ks, i] = schatten_norms(G, schatten)

        with ThreadPoolExecutor(min(t, _cores())) as pool:
            list(pool.map(fill, range(t)))
        return nonnegative_norm(inflate(B + self.block_errors(), 4))


def schatten_norms(G: np.ndarray, power: int = 8) -> np.ndarray:
    """(count,) upper bounds of the l2 norms of square matrices: their Schatten-4 or Schatten-8 norms, in float32.

    With ``c = |G|_F`` and ``h`` the float32 rounding of ``G / c``: ``|G| <= c (|h| + 2^-23)``,
    ``|h|^2 = |h h^T| <= |fl(h h^T)|_F + g`` with ``g`` = gamma of d + 4 float32 roundings, and for ``p = fl(h h^T)``
    again ``|p|^2 <= |fl(p p^T)|_F + g |p|_F^2``.

    Examples
    --------
    >>> bool(3.0 <= schatten_norms(np.diag([3.0, 1.0])[None])[0] < 3.001)
    True
    """
    d = G.shape[-1]
    c = frobenius_up(G)
    h = (G * (1.0 / np.maximum(c, TINY))[:, None, None]).astype(np.float32)
    g = (d + 4) * SINGLE / (1 - (d + 4) * SINGLE) * (1 + 1e-5)
    p = h @ h.transpose(0, 2, 1)
    size = frobenius_up(p.astype(np.float64))
    if power == 8:
        q = frobenius_up((p @ p.transpose(0, 2, 1)).astype(np.float64))
        size = np.minimum(size, np.sqrt(q + g * size**2 + UNDERFLOW_SINGLE))
    return inflate(c * (np.sqrt(size + g + UNDERFLOW_SINGLE) + 2 * SINGLE), 16)


__all__ = ["DeflatedGram", "schatten_norms"]
