"""The derivative of multi-head attention by its definition, in long double."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lipop_kernels._attention import (
    checked_dtype,
    checked_factors,
    checked_heads,
    checked_memory,
    checked_out,
    checked_scale,
    checked_sizes,
    checked_vector,
    finite,
    named,
)

_Table = tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True, eq=False)
class Attention:
    """Products with the derivative of stored factors; heads of a group read the same keys and values.

    ``sign`` is -1; :meth:`absolute` has absolute values everywhere and sign +1.
    """

    q: np.ndarray  # (H, T, dk), turned
    k: np.ndarray  # (H, T, dk), turned, repeated
    v: np.ndarray
    p: np.ndarray  # (H, T, T)
    o: np.ndarray  # (H, T, dk)
    W_Q: np.ndarray  # (H, dk, d)
    W_K: np.ndarray  # (H, dk, d), repeated
    W_V: np.ndarray
    W_O: np.ndarray  # (H, d, dk)
    c: np.longdouble
    table: _Table
    value: np.ndarray | None
    dtype: np.dtype
    sign: int = -1

    @property
    def shape_in(self) -> tuple[int, int]:
        """(tokens, width)."""
        return self.q.shape[1], self.W_Q.shape[2]

    @property
    def shape(self) -> tuple[int, int]:
        """That of the matrix on flat vectors."""
        n = self.shape_in[0] * self.shape_in[1]
        return n, n

    def jvp(self, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J v``."""
        return self._rounded(self.jvp_long(checked_vector(v, "v", self.shape_in)), out)

    def vjp(self, u: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J^T u``."""
        return self._rounded(self.vjp_long(checked_vector(u, "u", self.shape_in)), out)

    def gram(self, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J^T J v``."""
        return self._rounded(self.vjp_long(self.jvp_long(checked_vector(v, "v", self.shape_in))), out)

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """``J v`` on flat vectors."""
        return self.jvp(np.reshape(v, self.shape_in)).ravel()

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """``J^T u`` on flat vectors."""
        return self.vjp(np.reshape(u, self.shape_in)).ravel()

    def jvp_long(self, h: np.ndarray) -> np.ndarray:
        """``J h`` in long double."""
        h = h.astype(np.longdouble)
        dq, dk, dv = (np.einsum("id,had->hia", h, w) for w in (self.W_Q, self.W_K, self.W_V))
        dq, dk = _turn(dq, self.table, self.sign, 1), _turn(dk, self.table, self.sign, 1)
        ds = self.c * (np.einsum("hia,hja->hij", dq, self.k) + np.einsum("hia,hja->hij", self.q, dk))
        w = self.p * ds
        do = np.einsum("hij,hja->hia", w, self.v) + np.einsum("hij,hja->hia", self.p, dv)
        do = do + self.sign * w.sum(axis=2)[:, :, None] * self.o
        return np.einsum("hia,hda->id", do, self.W_O)

    def vjp_long(self, u: np.ndarray) -> np.ndarray:
        """``J^T u`` in long double."""
        u = u.astype(np.longdouble)
        ob = np.einsum("id,hda->hia", u, self.W_O)
        own = np.einsum("hia,hia->hi", ob, self.o)[:, :, None]
        sb = self.c * self.p * (np.einsum("hia,hja->hij", ob, self.v) + self.sign * own)
        qb = _turn(np.einsum("hij,hja->hia", sb, self.k), self.table, 1, self.sign)
        kb = _turn(np.einsum("hij,hia->hja", sb, self.q), self.table, 1, self.sign)
        vb = np.einsum("hij,hia->hja", self.p, ob)
        sides = (qb, self.W_Q), (kb, self.W_K), (vb, self.W_V)
        return np.sum([np.einsum("hia,had->id", b, w) for b, w in sides], axis=0)

    def absolute(self) -> Attention:
        """The same products with every number replaced by its absolute value, every difference by a sum."""
        names = ("q", "k", "v", "o", "W_Q", "W_K", "W_V", "W_O")
        table = None if self.table is None else (np.abs(self.table[0]), np.abs(self.table[1]))
        return replace(self, **{n: np.abs(getattr(self, n)) for n in names}, table=table, sign=1)

    def _rounded(self, y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        target = checked_out(out, self.shape_in, self.dtype)
        target[...] = y
        return target


def attention_linearisation(
    x: Any,
    W_Q: Any,
    W_K: Any,
    W_V: Any,
    W_O: Any,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    b_Q: Any = None,
    b_K: Any = None,
    b_V: Any = None,
    b_O: Any = None,
    causal: bool = False,
    rotary: Any = None,
    scale: float | None = None,
    dtype: Any = None,
    memory: int = 2**30,
) -> Attention:
    """Attention at x with its derivative, in long double; parameters as in ``lipop_kernels.attention_linearisation``.

    Examples
    --------
    >>> I = np.eye(2)
    >>> attention_linearisation(I, I, I, I, I, n_heads=1).jvp(np.ones((2, 2))).round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    x = np.asarray(x)
    checked_memory(memory)
    weights = named(W_Q, W_K, W_V, W_O, b_Q, b_K, b_V, b_O)
    kind = checked_dtype(x, dtype)
    s = checked_sizes(x.shape, weights, n_heads, n_kv_heads, rotary)
    finite("x", x)
    c, table = np.longdouble(checked_scale(scale, s.dk)), _long(rotary)
    X = x.astype(np.longdouble)
    sides = []
    for letter, n in (("Q", s.heads), ("K", s.groups), ("V", s.groups)):
        y = X @ weights[f"W_{letter}"].astype(np.longdouble).T + weights.get(f"b_{letter}", np.longdouble(0))
        sides.append(y.reshape(s.tokens, n, s.dk).transpose(1, 0, 2))
    q, k, v = _turn(sides[0], table), _turn(sides[1], table), sides[2]
    scores = c * np.einsum("hia,hja->hij", q, np.repeat(k, s.shared, axis=0))
    if causal:
        scores[:, ~np.tri(s.tokens, dtype=bool)] = -np.inf
    p = np.exp(scores - scores.max(axis=2, keepdims=True))
    p = p / p.sum(axis=2, keepdims=True)
    o = np.einsum("hij,hja->hia", p, np.repeat(v, s.shared, axis=0))
    made = _products(q, k, v, p, o, weights, c, table, kind)
    value = np.einsum("hia,hda->id", o, made.W_O) + weights.get("b_O", np.longdouble(0))
    return replace(made, value=value.astype(kind))


def attention_products(
    q: Any,
    k: Any,
    v: Any,
    p: Any,
    o: Any,
    W_Q: Any,
    W_K: Any,
    W_V: Any,
    W_O: Any,
    *,
    causal: bool = False,
    rotary: Any = None,
    scale: float | None = None,
    dtype: Any = None,
) -> Attention:
    """Products with the derivative made of stored factors; parameters as in ``lipop_kernels.attention_products``."""
    q, k, v, o = (np.asarray(a) for a in (q, k, v, o))
    heads, groups, tokens, dk = checked_factors(q, k, v, o)
    p = np.stack(list(checked_heads(p, heads, tokens, causal)))
    weights = named(W_Q, W_K, W_V, W_O, None, None, None, None)
    checked_sizes((tokens, weights["W_Q"].shape[-1]), weights, heads, groups, rotary)
    c = np.longdouble(checked_scale(scale, dk))
    return _products(q, k, v, p, o, weights, c, _long(rotary), checked_dtype(q, dtype))


def _products(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    p: np.ndarray,
    o: np.ndarray,
    weights: dict[str, np.ndarray],
    c: np.longdouble,
    table: _Table,
    kind: np.dtype,
) -> Attention:
    heads, _, dk = q.shape
    r = heads // len(k)
    q, k, v, p, o = (a.astype(np.longdouble) for a in (q, k, v, p, o))
    wq, wk, wv = (weights[n].astype(np.longdouble).reshape(-1, dk, weights[n].shape[1]) for n in ("W_Q", "W_K", "W_V"))
    wo = weights["W_O"].astype(np.longdouble).reshape(-1, heads, dk).transpose(1, 0, 2)
    k, v, wk, wv = (np.repeat(a, r, axis=0) for a in (k, v, wk, wv))
    return Attention(q, k, v, p, o, wq, wk, wv, wo, c, table, None, kind)


def _turn(x: np.ndarray, table: _Table, first: int = -1, second: int = 1) -> np.ndarray:
    """Pairs (a, b) = (x_i, x_{i+m}), m the number of pairs, become ``(a cos + first b sin, b cos + second a sin)``."""
    if table is None:
        return x
    cos, sin = table
    m = cos.shape[1]
    a, b, rest = x[..., :m], x[..., m : 2 * m], x[..., 2 * m :]
    return np.concatenate([a * cos + first * b * sin, b * cos + second * a * sin, rest], axis=-1)


def _long(rotary: Any) -> _Table:
    if rotary is None:
        return None
    cos, sin = (np.asarray(x, dtype=np.longdouble) for x in rotary)
    return cos, sin
