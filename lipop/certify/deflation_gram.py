"""A transformer block's derivative in factors, and block norms of its deflated Gram matrix, without the Gram matrix.

Notation. ``T`` tokens of width ``d``, ``H`` heads of width ``dk``; block ``(i, k)`` of the derivative is

    J_ik = [i = k] F_i + AO_i R_ik,    R_ik = stack over h of (p_ik^h Wv_h + y_ik^h (a_i^h)^T)        (H dk x d).

With ``R_i = [R_i1 ... R_iT]`` and ``Y_i^h`` the ``dk x T`` matrix of the vectors ``y_ij^h`` the Gram blocks are

    (J J^T)_ik = [i = k] F_i F_k^T + (F_i R_ki^T + AO_i R_i R_k^T) AO_k^T + AO_i R_ik F_k^T,
    (R_i R_k^T)_hg = (p_i^h . p_k^g) Wv_h Wv_g^T + (Wv_h a_k^g) (Y_k^g p_i^h)^T
                   + (Y_i^h p_k^g) (Wv_g a_i^h)^T + (a_i^h . a_k^g) Y_i^h (Y_k^g)^T,

a few products of ``d x d`` matrices for a pair of tokens; nothing of size ``T d x T d`` is formed.

Rounding. A sum of products that passes through at most ``c`` roundings along any path differs from the exact one by at
most ``gamma(c)`` times the same expression in absolute values, whatever the order of summation. In absolute values
block ``(i, k)`` has Frobenius norm at most ``m_ik = [i = k] |F_i| + sum_h |AO_i^h| (|p_ik^h| |Wv_h| + |y_ik^h| |a_i^h|)``
(Frobenius norms of the factors), so

- products with J or its transpose err by at most ``gamma(c) |m|_2 |V|_F``;
- a Gram block errs by at most ``gamma(c') (m m^T)_ik`` in Frobenius norm, plus the same of the deflating terms.

Underflow costs at most ``2^-1074`` a multiplication. :meth:`BlockFactors.normalised` brings ``|m|`` near one and
refuses factors with entries above ``LARGEST``; then ``UNDERFLOW``, added to every error, exceeds all such losses
together by far.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lipop.core.enclosure import frobenius_up
from lipop.core.rounding import TINY, gamma, inflate
from lipop.errors import DomainError, NonFiniteError, ShapeError

LARGEST = 1e40  # no entry of a normalised factor may be larger
UNDERFLOW = 1e-100  # more than all underflow together, for normalised factors
SINGLE = 2.0**-24  # unit roundoff of float32
UNDERFLOW_SINGLE = 1e-28  # d^2 products below the normal range of float32, d <= 10^4


def nonnegative_norm(e: np.ndarray) -> float:
    """An upper bound of the l2 norm of a matrix with non-negative entries (Collatz-Wielandt).

    For ``e >= 0`` and any ``v > 0`` the spectral radius of ``e^T e`` is at most ``max_i (e^T e v)_i / v_i``.

    Examples
    --------
    >>> 5.0 <= nonnegative_norm(np.array([[3.0, 4.0]])) < 5.0001
    True
    """
    top = float(e.max(initial=0.0))
    if top == 0.0 or not math.isfinite(top):
        return top
    s = e / top
    v = np.ones(s.shape[1])
    for _ in range(50):
        w = s.T @ (s @ v)
        v = np.maximum(w / w.max(), 1e-9)
    square = inflate(float((s.T @ (s @ v) / v).max()), sum(s.shape) + 4)
    return float(inflate(top * math.sqrt(square), 8))


@dataclass(frozen=True, eq=False)
class BlockFactors:
    """The factors of ``J_ik = [i = k] F_i + sum_h AO_i^h (p_ik^h Wv_h + y_ik^h (a_i^h)^T)``, with their error radii.

    Parameters
    ----------
    F : (T, d, d) array
        What token i does to itself outside the attention sum; ``dF`` (T,): Frobenius distance to the true ones.
    AO : (T, H, d, dk) array
        Output projection of each head behind the token-wise tail; ``dAO`` (T, H), Frobenius.
    p : (H, T, T) array
        Attention probabilities ``p[h, i, k]``; ``dp`` (H, T, T), entry by entry.
    y : (H, T, T, dk) array
        ``y[h, i, k] = p_ik (v_k - o_i)``; ``dy`` (H, T, T), l2.
    a : (H, T, d) array
        Gradients of the logits of token i in the keys' tokens; ``da`` (H, T), l2.
    Wv : (H, dk, d) array
        Value projections, exact.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError
        Shapes that do not fit; NaN or infinity; a negative radius.

    Examples
    --------
    >>> one, zero = np.ones, np.zeros
    >>> f = BlockFactors(F=2 * one((1, 1, 1)), dF=zero(1), AO=one((1, 1, 1, 1)), dAO=zero((1, 1)), p=one((1, 1, 1)),
    ...                  dp=zero((1, 1, 1)), y=zero((1, 1, 1, 1)), dy=zero((1, 1, 1)), a=zero((1, 1, 1)),
    ...                  da=zero((1, 1)), Wv=one((1, 1, 1)))
    >>> f.dense().tolist(), f.matvec(one((1, 1))).tolist(), f.error() < 1e-290
    ([[3.0]], [[3.0]], True)
    """

    F: np.ndarray
    dF: np.ndarray
    AO: np.ndarray
    dAO: np.ndarray
    p: np.ndarray
    dp: np.ndarray
    y: np.ndarray
    dy: np.ndarray
    a: np.ndarray
    da: np.ndarray
    Wv: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.AO)
        if len(shape) != 4 or 0 in shape:
            raise ShapeError(f"AO has shape {shape}; expected (tokens, heads, d, dk), none of them zero")
        t, h, d, k = shape
        expected = {
            "F": (t, d, d), "dF": (t,), "AO": shape, "dAO": (t, h), "p": (h, t, t), "dp": (h, t, t), "y": (h, t, t, k),
            "dy": (h, t, t), "a": (h, t, d), "da": (h, t), "Wv": (h, k, d),
        }  # fmt: skip
        for name, want in expected.items():
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != want:
                raise ShapeError(f"{name} has shape {value.shape}; AO of shape {shape} needs {want}")
            if not bool(np.isfinite(value).all()):
                raise NonFiniteError(f"{name} holds NaN or infinity; every factor and radius must be finite")
            if name.startswith("d") and bool((value < 0).any()):
                raise DomainError(f"{name} holds a negative error radius")
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(tokens, heads, d, dk)."""
        t, h, d, k = self.AO.shape
        return t, h, d, k

    @cached_property
    def heads_out(self) -> np.ndarray:
        """(T, d, H dk): the matrices ``AO_i``."""
        t, h, d, k = self.shape
        return np.ascontiguousarray(self.AO.transpose(0, 2, 1, 3)).reshape(t, d, h * k)

    def matvec(self, V: np.ndarray) -> np.ndarray:
        """``J V`` for ``V`` of shape (T, d) or (T, d, columns)."""
        t, h, d, k = self.shape
        X = V.reshape(t, d, -1)
        n = X.shape[2]
        B = (self.Wv.reshape(h * k, d) @ X).reshape(t, h, k, n)
        R = np.empty((t, h, k, n))
        for g in range(h):
            s = (self.a[g] @ X).transpose(1, 0, 2)  # (i, j, n): a_i . v_j
            R[:, g] = self.y[g].transpose(0, 2, 1) @ s
            R[:, g] += (self.p[g] @ B[:, g].reshape(t, k * n)).reshape(t, k, n)
        out = self.F @ X
        out += self.heads_out @ R.reshape(t, h * k, n)
        return out.reshape(V.shape)

    def rmatvec(self, U: np.ndarray) -> np.ndarray:
        """``J^T U`` for ``U`` of shape (T, d) or (T, d, columns)."""
        t, h, d, k = self.shape
        X = U.reshape(t, d, -1)
        n = X.shape[2]
        B = (self.heads_out.transpose(0, 2, 1) @ X).reshape(t, h, k, n)
        P = np.empty((t, h, k, n))
        out = self.F.transpose(0, 2, 1) @ X
        for g in range(h):
            P[:, g] = (self.p[g].T @ B[:, g].reshape(t, k * n)).reshape(t, k, n)
            s = (self.y[g] @ B[:, g]).transpose(1, 0, 2)  # (j, i, n): y_ij . B_i
            out += self.a[g].T @ s
        out += self.Wv.reshape(h * k, d).T @ P.reshape(t, h * k, n)
        return out.reshape(U.shape)

    @property
    def roundings(self) -> int:
        """How many roundings any path through :meth:`matvec` or :meth:`rmatvec` meets, at most."""
        t, h, d, k = self.shape
        return 2 * d + h * k + k + h + t + 16

    def dense(self) -> np.ndarray:
        """The (T d, T d) matrix, for small cases."""
        t, _, d, _ = self.shape
        R = self.p[..., None, None] * self.Wv[:, None, None]  # h,i,j,dk,d
        R = R + self.y[..., None] * self.a[:, :, None, None]
        J = (self.AO.transpose(1, 0, 2, 3)[:, :, None] @ R).sum(axis=0).transpose(0, 2, 1, 3)  # i,d,j,d
        J[np.arange(t), :, np.arange(t)] += self.F
        return J.reshape(t * d, t * d)

    @cached_property
    def _norms(self) -> tuple[np.ndarray, ...]:
        """Frobenius norms, rounded up: F (T,), AO (T, H), Wv (H,), y (H, T, T), a (H, T)."""
        rows = frobenius_up(self.y[..., None, :]), frobenius_up(self.a[..., None, :])
        return frobenius_up(self.F), frobenius_up(self.AO), frobenius_up(self.Wv), *rows

    @cached_property
    def majorants(self) -> np.ndarray:
        """(T, T) upper bounds ``m_ik`` of the Frobenius norms of the blocks, taken in absolute values."""
        f, o, wv, yn, an = self._norms
        q = np.abs(self.p) * wv[:, None, None] + yn * an[:, :, None]
        m = (o.T[:, :, None] * q).sum(axis=0) + np.diag(f)
        return inflate(m, self.shape[1] + 8)

    @cached_property
    def majorant(self) -> float:
        """``|m|_2``, an upper bound of ``|J|`` that serves the error terms."""
        return nonnegative_norm(self.majorants)

    @property
    def product_error(self) -> float:
        """Upper bound of ``|fl(J V) - J V|_F`` for ``|V|_F = 1``, and of the same for ``J^T``."""
        return float(inflate(gamma(self.roundings) * self.majorant, 4))

    def error(self) -> float:
        """Upper bound of ``|J_true - J|_2`` over all true factors within the radii.

        Block ``(i, k)`` moves by at most ``e_ik = [i = k] dF_i + sum_h (|AO_i| (dp |Wv| + dy |a_i| + |y| da_i
        + dy da_i) + dAO_i ((|p| + dp) |Wv| + (|y| + dy)(|a_i| + da_i)))``, and the norm of the matrix of the ``e_ik``
        bounds that of the matrix of blocks.
        """
        _, o, wv, yn, an = self._norms
        wv, an, da = wv[:, None, None], an[:, :, None], self.da[:, :, None]
        inner = self.dp * wv + self.dy * (an + da) + yn * da
        outer = (np.abs(self.p) + self.dp) * wv + (yn + self.dy) * (an + da)
        e = (o.T[:, :, None] * inner + self.dAO.T[:, :, None] * outer).sum(axis=0) + np.diag(self.dF)
        return nonnegative_norm(inflate(e, self.shape[1] + 16))

    def normalised(self) -> tuple[BlockFactors, int]:
        """``(g, e)`` with ``J = 2^e J_g`` and ``|m|`` of g within 2^+-100.

        Raises
        ------
        DomainError
            If an entry of a factor then exceeds ``LARGEST``.
        """
        top = self.majorant
        e = 0 if 2.0**-100 <= top <= 2.0**100 or top <= 0 else math.frexp(top)[1]
        g = self if e == 0 else replace(self, F=np.ldexp(self.F, -e), AO=np.ldexp(self.AO, -e))
        for name in ("F", "AO", "p", "y", "a", "Wv"):
            size = float(np.abs(getattr(g, name)).max())
            if not size <= LARGEST:
                raise DomainError(
                    f"factor {name} has entries up to {size:.3g} where |J| is about one; at most {LARGEST:.0e} is "
                    "certified: move powers of two between the factors"
                )
        return g, e


def _cores() -> int:
    """How many rows are worked on at once (each needs a few d x d arrays)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 8)


def by_columns(product: Callable[[np.ndarray], np.ndarray], V: np.ndarray) -> np.ndarray:
    """``product(V)`` for V (T, d, columns), two parts of the columns at a time."""
    parts = np.array_split(V, 2 if V.shape[2] > 1 else 1, axis=2)
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(lambda v: product(np.ascontiguousarray(v)), parts)), axis=2)


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
