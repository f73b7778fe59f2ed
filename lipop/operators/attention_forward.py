"""Attention's forward pass, enclosed, and its derivative as stored: what every attention rule starts from.

Shapes: T tokens of width d, H heads of width dk, G key and value heads (H a multiple of G). Head h reads key head ``h
// (H / G)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.parallel import each
from lipop.core.rounding import inflate
from lipop.errors import DomainError
from lipop.operators.token_slices import SMALL, token_slices

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

Table = tuple[np.ndarray, np.ndarray]
LONG = 1024  # with more tokens than this stored probabilities are float32 numbers
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
        return x * cos + Enclosed(half(x.mid, dim), np.abs(half(x.radius, dim))) * sin
    return x * cos.astype(x.dtype, copy=False) + half(x, dim) * sin.astype(x.dtype, copy=False)


def half(x: np.ndarray, dim: int) -> np.ndarray:
    """The quarter turn of the first ``dim`` entries of each row: ``(a, b) -> (-b, a)``."""
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


def probabilities(s: Enclosed, c: float, mask: np.ndarray | None) -> Enclosed:
    """Softmax of ``c s`` for scores (H, T, T), some rows at a time: what is needed in between stays small."""
    heads, tokens = s.shape[0], s.shape[-1]
    mid, err = np.empty(s.shape), np.empty(s.shape)

    def rows(i: slice) -> None:
        p = softmax(s[:, i] * c, None if mask is None else mask[i])
        mid[:, i], err[:, i] = p.mid, p.radius

    each(rows, token_slices(tokens, heads * tokens, SMALL))
    return Enclosed(mid, err)


def coarse(p: Enclosed) -> Enclosed:
    """An enclosure of the same numbers whose midpoints are float32 numbers: half the memory where they are stored.

    >>> x = Enclosed.exact(np.array([[[1 / 3, 1e-50]]]))
    >>> y = coarse(x)
    >>> bool((y.mid == y.mid.astype(np.float32)).all()), y.contains(x.mid)
    (True, True)
    """
    mid, err = np.empty(p.shape), np.empty(p.shape)
    for i in token_slices(p.shape[-2], p.shape[0] * p.shape[-1], SMALL):
        mid[:, i] = p.mid[:, i].astype(np.float32)
        err[:, i] = inflate(p.radius[:, i] + np.abs(mid[:, i] - p.mid[:, i]), 2)
    return Enclosed(mid, err)


@dataclass(frozen=True, eq=False)
class AttentionForward:
    """One enclosed forward pass.

    Parameters
    ----------
    q, k, v, o : Enclosed (H, T, dk)
        Queries and keys (turned, if rotary), values, outputs of the heads; key heads are repeated.
    p : Enclosed (H, T, T)
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
    p = probabilities(q @ k.T, attn.c, mask)
    o = p @ v
    p = coarse(p) if tokens > LONG else p
    out = np.asarray(attn.Wo[:, own], dtype=np.float64).reshape(d, -1, dk)
    return {
        "q": q.finite("attention's queries"),
        "k": k.finite("attention's keys"),
        "v": v.finite("attention's values"),
        "o": o.finite("attention's heads"),
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
