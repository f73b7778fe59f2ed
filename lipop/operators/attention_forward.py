"""Attention's forward pass, enclosed, and its derivative as stored: what every attention rule starts from.

Shapes: T tokens of width d, H heads of width dk, G key and value heads (H a multiple of G). Head h reads key head ``h
// (H / G)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.rounding import gamma, inflate
from lipop.errors import DomainError

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

Table = tuple[np.ndarray, np.ndarray]
ENTRIES = 2**22  # of probabilities that are worked on at once: heads are taken in parts of at most so many


@dataclass(frozen=True)
class RotaryTable:
    """Rotary position embedding: pair (i, i + dim/2) of the token at position t turns by the angle ``t
    base**(-2i/dim)``.

    The first ``dim`` entries of a head turn (half-split layout, as in Llama), the rest stay. The float64 values of the
    table are part of the map's definition: rounding of cos and sin is no error.

    Examples
    --------
    >>> cos, sin = RotaryTable(10000.0, 2).table(3, 2)
    >>> rotate(np.array([[1.0, 0.0]] * 3), (cos, sin), 2)[1].round(4).tolist()
    [0.5403, 0.8415]
    """

    base: float
    dim: int

    def __post_init__(self) -> None:
        if self.dim < 2 or self.dim % 2 or not self.base > 0:
            raise DomainError(
                f"rotary positions need an even dim and a base > 0, found dim {self.dim}, base {self.base}"
            )
        object.__setattr__(self, "base", float(self.base))

    def table(self, tokens: int, width: int) -> Table:
        """(tokens, width) cosines and sines, for heads of the given width."""
        angles = np.arange(tokens)[:, None] * self.base ** (-np.arange(0, self.dim, 2) / self.dim)
        rest = width - self.dim
        cos = np.concatenate([np.cos(angles), np.cos(angles), np.ones((tokens, rest))], axis=1)
        sin = np.concatenate([np.sin(angles), np.sin(angles), np.zeros((tokens, rest))], axis=1)
        return cos, sin


def rotate(x: Any, table: Table | None, dim: int) -> Any:
    """Turn the last axis of ``(..., T, dk)`` arrays or enclosures; the adjoint is the rotation with ``-sin``."""
    if table is None:
        return x
    cos, sin = table
    if isinstance(x, Enclosed):
        return x * cos + Enclosed(_half(x.mid, dim), np.abs(_half(x.radius, dim))) * sin
    return x * cos.astype(x.dtype, copy=False) + _half(x, dim) * sin.astype(x.dtype, copy=False)


def _half(x: np.ndarray, dim: int) -> np.ndarray:
    m = dim // 2
    return np.concatenate([-x[..., m:dim], x[..., :m], x[..., dim:]], axis=-1)


def softmax(s: Enclosed, mask: np.ndarray | None) -> Enclosed:
    """Softmax over the last axis; masked entries (False) are exactly 0. Scores too wide to enclose give [0, 1]."""
    top = (s.mid if mask is None else np.where(mask, s.mid, -np.inf)).max(axis=-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        e = (s - top).exp()
        if mask is not None:
            e = Enclosed(np.where(mask, e.mid, 0.0), np.where(mask, e.err, 0.0))
        p = e / e.sum(-1, keepdims=True)
    known = np.isfinite(p.mid) & (p.err < 0.5)
    p = Enclosed(np.where(known, np.clip(p.mid, 0.0, 1.0), 0.5), np.where(known, p.err, 0.5 + 1e-15))
    return p if mask is None else Enclosed(np.where(mask, p.mid, 0.0), np.where(mask, p.err, 0.0))


@dataclass(frozen=True, eq=False)
class AttentionForward:
    """One enclosed forward pass.

    Parameters
    ----------
    q, k, v, o : Enclosed (H, T, dk)
        Queries and keys (turned, if rotary), values, outputs of the heads; key heads are repeated.
    p : Enclosed (H, T, T)
        Its error is kept only where all heads make one part (see :func:`head_parts`), and infinite otherwise.
    Wq, Wk, Wv : (H, dk, d) arrays
        Exact.
    O : (H, d, dk) array
        Exact: head h adds ``O_h o_i`` to the output at token i.
    c : float
        The score's factor, exact as stored.
    groups : int
        Number of key heads.
    table : (cos, sin) or None
    turned : int
        How many entries of a head turn.
    """

    q: Enclosed
    k: Enclosed
    v: Enclosed
    o: Enclosed
    p: Enclosed
    Wq: np.ndarray
    Wk: np.ndarray
    Wv: np.ndarray
    O: np.ndarray
    c: float
    groups: int
    table: Table | None
    turned: int

    @classmethod
    def at(cls, attn: Attention, X: Enclosed) -> Self:
        """Enclose the pass at ``X`` (T, d)."""
        parts = head_parts(attn, X.shape[0])
        if len(parts) == 1:
            return cls(**forward_fields(attn, X))
        p = np.empty((attn.heads, X.shape[0], X.shape[0]))
        rows: list[dict[str, Any]] = []
        for part in parts:
            fields = forward_fields(attn, X, part)
            p[part] = fields.pop("p").mid
            rows.append(fields)
        joined = {k: _joined([r[k] for r in rows]) for k in ("q", "k", "v", "o", "Wq", "Wk", "Wv", "O")}
        return cls(**{**rows[0], **joined, "p": Enclosed(p, np.full((1, 1, 1), np.inf))})

    def jacobian(self) -> LinearOperator:
        """The derivative with the stored midpoints, exact as stored.

        Row i is ``sum_h O_h sum_j [p_ij Wv h_j + p_ij (v_j - o_i) ds_ij]`` with ``ds_ij = c (R_i Wq h_i . k_j + q_i .
        R_j Wk h_j)``: the same numbers in both products, so they are exactly adjoint before rounding.
        """
        heads, tokens, dk = self.q.shape
        g, r, d = self.groups, heads // self.groups, self.Wq.shape[-1]
        flat = lambda w: np.ascontiguousarray(w[::r].reshape(g * dk, d))  # noqa: E731
        wq, wk, wv = self.Wq.reshape(heads * dk, d), flat(self.Wk), flat(self.Wv)
        out = np.ascontiguousarray(self.O.transpose(0, 2, 1)).reshape(heads * dk, d)
        shared = lambda x: np.ascontiguousarray(x.mid[::r])[:, None]  # noqa: E731
        q, o = self.q.mid.reshape(g, r, tokens, dk), self.o.mid.reshape(g, r, tokens, dk)
        p, k, v = self.p.mid.reshape(g, r, tokens, tokens), shared(self.k), shared(self.v)
        kT, vT, pT = k.swapaxes(-1, -2), v.swapaxes(-1, -2), p.swapaxes(-1, -2)
        c, turned, table = self.c, self.turned, self.table
        back = None if table is None else (table[0], -table[1])

        def split(h: np.ndarray, m: int) -> np.ndarray:
            return h.reshape(tokens, g, m, dk).transpose(1, 2, 0, 3)

        def join(x: np.ndarray) -> np.ndarray:
            return x.transpose(2, 0, 1, 3).reshape(tokens, -1)

        chunks = [slice(i, i + n) for n in [max(1, ENTRIES // (r * tokens**2))] for i in range(0, g, n)]

        def matvec(h: np.ndarray) -> np.ndarray:
            dq, dkey = rotate(split(h @ wq.T, r), table, turned), rotate(split(h @ wk.T, 1), table, turned)
            dv, do = split(h @ wv.T, 1), np.empty((g, r, tokens, dk))
            for n in chunks:
                w = dq[n] @ kT[n]
                w += q[n] @ dkey[n].swapaxes(-1, -2)
                w *= p[n]
                w *= c
                do[n] = w @ v[n] + p[n] @ dv[n]
                do[n] -= w.sum(axis=-1, keepdims=True) * o[n]
            return join(do) @ out

        def rmatvec(u: np.ndarray) -> np.ndarray:
            ob = split(u @ out.T, r)
            qb, (kb, vb) = np.empty((g, r, tokens, dk)), np.empty((2, g, 1, tokens, dk))
            for n in chunks:
                sb = ob[n] @ vT[n]
                sb -= (ob[n] * o[n]).sum(axis=-1, keepdims=True)
                sb *= p[n]
                sb *= c
                qb[n] = sb @ k[n]
                kb[n] = (sb.swapaxes(-1, -2) @ q[n]).sum(axis=1, keepdims=True)
                vb[n] = (pT[n] @ ob[n]).sum(axis=1, keepdims=True)
            qb, kb = rotate(qb, back, turned), rotate(kb, back, turned)
            return join(qb) @ wq + join(kb) @ wk + join(vb) @ wv

        size = self._majorant()
        chain = 2 * (d + 2 * heads * dk + 2 * tokens + 4 * dk + 64)
        shape = (tokens, d)
        return LinearOperator(
            shape, shape, matvec, rmatvec, majorant=size, product_error=gamma(chain) * size * (1 + 1e-12)
        )

    def _majorant(self) -> float:
        """A bound of the norm of the products with every number replaced by its absolute value (so of |J| as well).

        For a non-negative operator N and any positive w, ``|N|^2 <= max_i (N^T N w)_i / w_i`` (Collatz-Wielandt).
        """
        f = _Absolute(self)
        w = np.ones((self.q.shape[1], self.Wq.shape[-1]))
        for _ in range(3):
            y = f.rmatvec(f.matvec(w))
            top = float((y / w).max())
            w = y + 1e-6 * y.max() + 1e-300
        ops = 4 * (self.Wq.shape[-1] * 4 + 4 * w.shape[0] + 64)
        return float(inflate(np.sqrt(top), ops))


@dataclass(frozen=True, eq=False)
class _Absolute:
    """The products of :meth:`AttentionForward.jacobian` with absolute values and sums only; vectors are
    non-negative."""

    f: AttentionForward

    def _heads(self) -> Iterator[tuple[np.ndarray, ...]]:
        f = self.f
        for h in range(len(f.Wq)):
            arrays = (f.q.mid, f.k.mid, f.v.mid, f.o.mid, f.p.mid, f.Wq, f.Wk, f.Wv, f.O)
            yield tuple(np.abs(x[h]) for x in arrays)

    def _turn(self, x: np.ndarray) -> np.ndarray:
        table = self.f.table
        if table is None:
            return x
        return np.abs(table[0]) * x + np.abs(table[1]) * np.abs(_half(x, self.f.turned))

    def matvec(self, h: np.ndarray) -> np.ndarray:
        """|J| h."""
        total = np.zeros_like(h)
        for q, k, v, o, p, wq, wk, wv, out in self._heads():
            dq, dk, dv = self._turn(h @ wq.T), self._turn(h @ wk.T), h @ wv.T
            w = p * self.f.c * (dq @ k.T + q @ dk.T)
            total += (w @ v + p @ dv + w.sum(axis=-1, keepdims=True) * o) @ out.T
        return total

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """|J|^T u."""
        total = np.zeros_like(u)
        for q, k, v, o, p, wq, wk, wv, out in self._heads():
            ob = u @ out
            sb = p * self.f.c * (ob @ v.T + (ob * o).sum(axis=-1, keepdims=True))
            total += self._turn(sb @ k) @ wq + self._turn(sb.T @ q) @ wk + (p.T @ ob) @ wv
        return total


def head_parts(attn: Attention, tokens: int) -> list[slice]:
    """Slices of heads whose probabilities have at most ``ENTRIES`` entries together (one head at least)."""
    step = max(1, ENTRIES // tokens**2)
    return [slice(h, min(attn.heads, h + step)) for h in range(0, attn.heads, step)]


def head_outputs(attn: Attention, X: Enclosed) -> Enclosed:
    """The outputs (H, T, dk) of the heads alone."""
    return _joined([forward_fields(attn, X, part)["o"] for part in head_parts(attn, X.shape[0])])


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Enclosed):
        return Enclosed.concatenate(parts)
    return np.concatenate(parts)


def forward_fields(attn: Attention, X: Enclosed, part: slice | None = None) -> dict[str, Any]:
    """The fields of :class:`AttentionForward` at ``X``, for a slice of the heads (all by default)."""
    part = slice(0, attn.heads) if part is None else part
    groups, dk = attn.groups, attn.dk
    tokens, d = X.shape
    index = np.repeat(np.arange(groups), attn.heads // groups)[part]
    low = int(index[0])
    table = None if attn.rotary is None else attn.rotary.table(tokens, dk)
    turned = 0 if attn.rotary is None else attn.rotary.dim
    weights: list[np.ndarray] = []
    sides: list[Enclosed] = []
    own, shared = slice(part.start * dk, part.stop * dk), slice(low * dk, (int(index[-1]) + 1) * dk)
    for w, b, rows in ((attn.Wq, attn.bq, own), (attn.Wk, attn.bk, shared), (attn.Wv, attn.bv, shared)):
        w = np.asarray(w[rows], dtype=np.float64)
        y = X @ Enclosed.exact(w.T)
        y = y if b is None else y + b[rows].astype(np.float64)
        weights.append(w.reshape(-1, dk, d))
        sides.append(y.reshape(tokens, -1, dk).transpose(1, 0, 2))
    q, k = rotate(sides[0], table, turned), rotate(sides[1], table, turned)[index - low]
    v = sides[2][index - low]
    mask = np.tri(tokens, dtype=bool) if attn.causal else None
    p = softmax((q @ k.T) * attn.c, mask)
    out = np.asarray(attn.Wo[:, own], dtype=np.float64).reshape(d, -1, dk)
    return {
        "q": q.finite("attention's queries"),
        "k": k.finite("attention's keys"),
        "v": v.finite("attention's values"),
        "o": (p @ v).finite("attention's heads"),
        "p": p,
        "Wq": weights[0],
        "Wk": weights[1][index - low],
        "Wv": weights[2][index - low],
        "O": np.ascontiguousarray(out.transpose(1, 0, 2)),
        "c": attn.c,
        "groups": groups,
        "table": table,
        "turned": turned,
    }
