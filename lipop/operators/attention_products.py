"""Attention's stored derivative as a linear operator on the tiled products of :mod:`lipop_kernels`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.rounding import gamma, inflate
from lipop.operators.attention_forward import LONG, AttentionForward, forward_fields, half, head_parts

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

ROWS = 256  # queries in one block of a causal head


@dataclass(frozen=True, eq=False)
class Packed:
    """A head's probabilities (T, T) in blocks of rows, without the columns that a causal mask empties; in float32 if
    they are float32 numbers."""

    blocks: tuple[np.ndarray, ...]

    @staticmethod
    def of(p: np.ndarray, causal: bool) -> Packed:
        """Copies of what is not masked."""
        tokens = len(p)
        kind = np.float32 if tokens > LONG else np.float64
        blocks = (p[i : i + ROWS, : i + ROWS if causal else tokens] for i in range(0, tokens, ROWS))
        return Packed(tuple(block.astype(kind) for block in blocks))

    def dense(self) -> np.ndarray:
        """The whole matrix."""
        if len(self.blocks) == 1:
            return self.blocks[0]
        tokens = self.blocks[-1].shape[1]
        out, i = np.zeros((tokens, tokens), self.blocks[0].dtype), 0
        for b in self.blocks:
            out[i : i + len(b), : b.shape[1]] = b
            i += len(b)
        return out


@dataclass(frozen=True, eq=False)
class StoredFactors:
    """What the derivative is made of, exact as stored: queries, keys, values and outputs, (H, T, dk) each, keys and
    values repeated for the heads of a group, and each head's probabilities."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    o: np.ndarray
    p: list[Packed]

    @staticmethod
    def of(f: AttentionForward) -> StoredFactors:
        """The midpoints of an enclosed pass with all heads."""
        return StoredFactors(f.q.mid, f.k.mid, f.v.mid, f.o.mid, [Packed((head,)) for head in f.p.mid])

    @staticmethod
    def at(attn: Attention, x: np.ndarray) -> StoredFactors:
        """The same at a point, from as many heads at a time as fit into memory."""
        parts = head_parts(attn, len(x))
        if len(parts) == 1:
            return StoredFactors.of(AttentionForward(**forward_fields(attn, Enclosed.exact(x))))
        q, k, v, o = (np.empty((attn.heads, len(x), attn.dk)) for _ in range(4))
        p: list[Packed] = []
        for part in parts:
            fields = forward_fields(attn, Enclosed.exact(x), part)
            q[part], k[part], v[part], o[part] = (fields[name].mid for name in "qkvo")
            p += [Packed.of(head, attn.causal) for head in fields["p"].mid]
        return StoredFactors(q, k, v, o, p)


def attention_jacobian(attn: Attention, factors: StoredFactors) -> LinearOperator:
    """The derivative made of stored factors, exact as stored; it uses up their probabilities.

    Row i is ``sum_h O_h sum_j [p_ij Wv h_j + p_ij (v_j - o_i) ds_ij]`` with ``ds_ij = c (R_i Wq h_i . k_j + q_i . R_j
    Wk h_j)``: the same numbers in both products, so they are exactly adjoint before rounding.

    Returns
    -------
    LinearOperator
        Masked pairs cost nothing, heads of a group share their keys. Both products are entrywise within ``gamma(k)`` of
        exact ones, relative to the products with absolute values, whose norm is at most the majorant; k is the longer
        of the kernel's two chains of roundings.

    Examples
    --------
    >>> from lipop.operators.attention import Attention
    >>> eye = np.eye(2)
    >>> attn = Attention(eye, eye, eye, eye, heads=1)
    >>> J = attention_jacobian(attn, StoredFactors.at(attn, eye))
    >>> J.matvec(np.ones((2, 2))).round(4).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    from lipop_kernels import attention_products

    size = _majorant(attn, factors)
    every, rotary = attn.heads // attn.groups, None
    if attn.rotary is not None:
        cos, sin = (t[:, : attn.rotary.dim // 2] for t in attn.rotary.table(factors.q.shape[1], attn.dk))
        rotary = cos, sin
    heads = (factors.p.pop(0).dense() for _ in range(attn.heads))
    stored = (factors.q, factors.k[::every], factors.v[::every], heads, factors.o)
    weights = (attn.Wq, attn.Wk, attn.Wv, attn.Wo)
    J = attention_products(*stored, *weights, causal=attn.causal, rotary=rotary, scale=attn.c, dtype=np.float64)
    return LinearOperator(
        J.shape_in,
        J.shape_in,
        lambda v: J.jvp(np.asarray(v, dtype=np.float64)),
        lambda u: J.vjp(np.asarray(u, dtype=np.float64)),
        majorant=size,
        product_error=gamma(max(J.roundings)) * size * (1 + 1e-12),
    )


def _majorant(attn: Attention, factors: StoredFactors) -> float:
    """A bound of the norm of the products with every number replaced by its absolute value (so of |J| as well).

    For a non-negative operator N and any positive w, ``|N|^2 <= max_i (N^T N w)_i / w_i`` (Collatz-Wielandt).
    """
    f = _Absolute(attn, factors)
    w = np.ones((factors.q.shape[1], attn.Wq.shape[1]))
    for _ in range(3):
        y = f.rmatvec(f.matvec(w))
        top = float((y / w).max())
        w = y + 1e-6 * y.max() + 1e-300
    return float(inflate(np.sqrt(top), 4 * (attn.Wq.shape[1] * 4 + 4 * len(w) + 64)))


@dataclass(frozen=True, eq=False)
class _Absolute:
    """The products of :func:`attention_jacobian` with absolute values and sums only; vectors are non-negative."""

    attn: Attention
    f: StoredFactors

    def _heads(self) -> Iterator[tuple[np.ndarray, ...]]:
        a, f, dk = self.attn, self.f, self.attn.dk
        for h in range(a.heads):
            group = h // (a.heads // a.groups)
            own, shared = slice(h * dk, (h + 1) * dk), slice(group * dk, (group + 1) * dk)
            weights = (a.Wq[own], a.Wk[shared], a.Wv[shared], a.Wo[:, own])
            arrays = (f.q[h], f.k[h], f.v[h], f.o[h], f.p[h].dense())
            yield tuple(np.abs(np.asarray(x, dtype=np.float64)) for x in (*arrays, *weights))

    def _turn(self, x: np.ndarray) -> np.ndarray:
        rotary = self.attn.rotary
        if rotary is None:
            return x
        cos, sin = rotary.table(len(x), self.attn.dk)
        return np.abs(cos) * x + np.abs(sin) * np.abs(half(x, rotary.dim))

    def matvec(self, h: np.ndarray) -> np.ndarray:
        """|J| h."""
        total = np.zeros_like(h)
        for q, k, v, o, p, wq, wk, wv, out in self._heads():
            dq, dk, dv = self._turn(h @ wq.T), self._turn(h @ wk.T), h @ wv.T
            w = p * self.attn.c * (dq @ k.T + q @ dk.T)
            total += (w @ v + p @ dv + w.sum(axis=-1, keepdims=True) * o) @ out.T
        return total

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """|J|^T u."""
        total = np.zeros_like(u)
        for q, k, v, o, p, wq, wk, wv, out in self._heads():
            ob = u @ out
            sb = p * self.attn.c * (ob @ v.T + (ob * o).sum(axis=-1, keepdims=True))
            total += self._turn(sb @ k) @ wq + self._turn(sb.T @ q) @ wk + (p.T @ ob) @ wv
        return total


__all__ = ["Packed", "StoredFactors", "attention_jacobian"]
