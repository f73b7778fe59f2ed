"""Attention's probabilities in tiles, and what the tiles do in each product.

Key head g has the rows (token, head of its group) of its r queries together, so that one matrix product serves the
group: queries and outputs are (G, T r, .), keys and values (G, T, .). A tile is a block of queries of some groups
against the keys that any of them may see; with a causal mask those beyond the block do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

ENTRIES = 2**17  # of a tile: a workspace of 1 MB in float64
ROWS = 128  # of a causal block, all heads of a group together: half of its own square is wasted


@dataclass(eq=False)
class Tile:
    """Groups ``at``, query rows ``rows`` (all r heads of a block of tokens), keys before ``keys``."""

    at: slice
    rows: slice
    keys: int
    first: int  # the block's first token
    p: np.ndarray | None = None  # None: made again from the queries and keys

    @property
    def shape(self) -> tuple[int, int, int]:
        """(groups, rows, keys)."""
        return self.at.stop - self.at.start, self.rows.stop - self.rows.start, self.keys


def tiles(groups: int, tokens: int, shared: int, causal: bool) -> list[Tile]:
    """Tiles that cover all pairs (query, key) that count, a group's query blocks in order."""
    step = max(1, min(tokens, ENTRIES // (shared * tokens)))
    if causal:
        step = min(step, min(64, max(32, ROWS // shared)))
    together = max(1, ENTRIES // (step * shared * tokens))
    out = []
    for g in range(0, groups, together):
        for i in range(0, tokens, step):
            stop = min(tokens, i + step)
            keys = stop if causal else tokens
            out.append(Tile(slice(g, min(groups, g + together)), slice(i * shared, stop * shared), keys, i))
    return out


@dataclass(eq=False)
class Scores:
    """What makes probabilities again: ``p = exp(cq . k - log_sum)``."""

    cq: np.ndarray  # (G, T r, dk)
    k: np.ndarray  # (G, T, dk)
    shared: int
    causal: bool
    log_sum: np.ndarray  # (G, T r, 1)

    def raw(self, tile: Tile, out: np.ndarray) -> np.ndarray:
        """The scores of a tile; -inf above the diagonal."""
        np.matmul(self.cq[tile.at, tile.rows], self.k[tile.at, : tile.keys].swapaxes(1, 2), out=out)
        if self.causal:
            self._fill(tile, out, -np.inf)
        return out

    def start(self, tile: Tile, out: np.ndarray) -> np.ndarray:
        """Probabilities of a tile for the first time; keeps the logarithms of the sums."""
        s = self.raw(tile, out)
        top = s.max(axis=2, keepdims=True)
        s -= top
        np.exp(s, out=s)
        total = s.sum(axis=2, keepdims=True)
        self.log_sum[tile.at, tile.rows] = top + np.log(total)
        s /= total
        return s

    def again(self, tile: Tile, out: np.ndarray) -> np.ndarray:
        """Probabilities of a tile from the stored logarithms."""
        s = self.raw(tile, out)
        s -= self.log_sum[tile.at, tile.rows]
        return np.exp(s, out=s)

    def _fill(self, tile: Tile, s: np.ndarray, value: float) -> None:
        block = s.reshape(s.shape[0], -1, self.shared, s.shape[2])[..., tile.first :]
        above = ~np.tri(block.shape[1], block.shape[3], dtype=bool)
        np.copyto(block, s.dtype.type(value), where=above[:, None, :])


def forward(tile: Tile, p: np.ndarray, work: Work, side: Side) -> None:
    """The heads' output directions of a tile's queries, into ``work.do``."""
    at, rows, keys = tile.at, tile.rows, tile.keys
    w, extra = work.tile(tile), work.head_rows(tile)
    np.matmul(work.dqq[at, rows], work.kdk[at, :keys].swapaxes(1, 2), out=w)
    w *= p
    total = np.add.reduce(w, axis=2, keepdims=True)
    do = work.do[at, rows]
    np.matmul(w, side.v[at, :keys], out=do)
    np.matmul(p, work.dv[at, :keys], out=extra)
    do += extra
    np.multiply(total, side.o[at, rows], out=extra)
    do -= extra


def backward(tile: Tile, p: np.ndarray, work: Work, side: Side) -> None:
    """Adds a tile's share to ``work.qb`` (its own rows), ``work.kb`` and ``work.vb``."""
    at, rows, keys = tile.at, tile.rows, tile.keys
    s, extra = work.tile(tile), work.key_rows(tile)
    ob = work.do[at, rows]
    np.matmul(ob, side.v[at, :keys].swapaxes(1, 2), out=s)
    s -= work.own[at, rows]
    s *= p
    np.matmul(s, side.ck[at, :keys], out=work.qb[at, rows])
    for x, y, total in ((s, side.cq[at, rows], work.kb), (p, ob, work.vb)):
        if tile.first == 0:  # the first block of these groups
            total[at, keys:] = 0
            np.matmul(x.swapaxes(1, 2), y, out=total[at, :keys])
        else:
            np.matmul(x.swapaxes(1, 2), y, out=extra)
            total[at, :keys] += extra


@dataclass(eq=False)
class Side:
    """What does not depend on the direction: outputs, values, scaled queries and keys."""

    cq: np.ndarray  # (G, T r, dk)
    ck: np.ndarray  # (G, T, dk)
    v: np.ndarray  # (G, T, dk)
    o: np.ndarray  # (G, T r, dk)


class Work:
    """The arrays that products write, made once: about ``T (5 H + 7 G) dk`` numbers and two tiles."""

    def __init__(self, side: Side, most: int, width: int, keep: bool) -> None:
        groups, rows, dk = side.cq.shape
        tokens, kind = side.v.shape[1], side.v.dtype
        self.z = np.empty((tokens, width), kind)
        self.dqq = np.concatenate([np.zeros_like(side.cq), side.cq], axis=2)
        self.kdk = np.concatenate([side.ck, np.zeros_like(side.ck)], axis=2)
        self.dv, self.kb, self.vb = (np.empty((groups, tokens, dk), kind) for _ in range(3))
        self.do, self.qb = (np.empty((groups, rows, dk), kind) for _ in range(2))
        self.own = np.empty((groups, rows, 1), kind)
        self.flat = np.empty((2, tokens, groups * rows // tokens * dk), kind)
        self._tile = np.empty(most, kind)
        self._again = np.empty(most if keep else 0, kind)
        self._extra = np.empty(groups * max(rows, tokens) * dk, kind)

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        return sum(x.nbytes for x in vars(self).values())

    def tile(self, tile: Tile) -> np.ndarray:
        """Room for a tile's numbers."""
        return _room(self._tile, tile.shape)

    def again(self, tile: Tile) -> np.ndarray:
        """Room for a tile's probabilities."""
        return _room(self._again, tile.shape)

    def head_rows(self, tile: Tile) -> np.ndarray:
        """Room for (groups, rows, dk)."""
        return _room(self._extra, (*tile.shape[:2], self.do.shape[2]))

    def key_rows(self, tile: Tile) -> np.ndarray:
        """Room for (groups, keys, dk)."""
        return _room(self._extra, (tile.shape[0], tile.keys, self.do.shape[2]))


def _room(buffer: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return buffer[: prod(shape)].reshape(shape)
