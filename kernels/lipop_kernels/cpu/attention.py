"""The derivative of multi-head attention at a point, linearised once; products are matrix products over tiles."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from lipop_kernels._attention import (
    Sizes,
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
from lipop_kernels.cpu._attention_layout import by_token, phases, side_by_side, stacked
from lipop_kernels.cpu._attention_tiles import Scores, Side, Tile, Work, backward, forward, tiles

SPARE = 2**26  # bytes of work arrays that are kept between products
SOON = 12  # products J^T J v that a Lanczos run takes at least: what pays within so many is prepared


class Attention:
    """``J v`` (:meth:`jvp`), ``J^T u`` (:meth:`vjp`) and ``J^T J v`` (:meth:`gram`) with everything else cached.

    Attributes
    ----------
    value : (T, d) array or None
        The output, where it was computed here.
    shape_in, shape : tuple
        (T, d); the matrix's shape on flat vectors (for :meth:`matvec` and :meth:`rmatvec`).
    dtype : dtype
        Of all products.
    roundings : tuple of int
        Longest chains of roundings of ``jvp`` and ``vjp``: each is entrywise within ``gamma(k)`` of the exact product
        with the stored factors, relative to the same product with absolute values (see ``attention_linearisation``).

    Notes
    -----
    Key and query rows are stored with the two entries of a rotary pair side by side, so that a rotation is one complex
    product. Work arrays of up to 64 MB are kept between products; calls from several threads get their own.
    """

    def __init__(
        self, sizes: Sizes, weights: dict[str, np.ndarray], scale: float, rotary: Any, causal: bool, kind: np.dtype
    ) -> None:
        s, self._causal = sizes, causal
        self.sizes, self.dtype, self.shape_in = s, kind, (s.tokens, s.width)
        self.shape = (s.tokens * s.width, s.tokens * s.width)
        order = side_by_side(s)
        self._fused = stacked(weights, "W", s, order, kind)
        self._W_O = np.ascontiguousarray(weights["W_O"], dtype=kind)
        self._c = kind.type(scale)
        self._turn = None if rotary is None else phases(rotary, kind)
        self._tiles = tiles(s.groups, s.tokens, s.shared, causal)
        self._scores: Scores | None = None
        self._gram: np.ndarray | None = None
        self._spare: list[Work] = []
        self.value: np.ndarray | None = None
        inner = s.heads * s.dk
        self._through = inner * s.width <= 2 * SOON * s.tokens * (2 * s.width - inner)
        self.roundings = (
            s.width + 2 * s.dk + 2 * s.tokens + inner + 16,
            s.width + s.dk + s.shared * s.tokens + len(self._fused) + len(self._tiles) + 16,
        )

    # ---- products ----

    def jvp(self, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J v`` for v of shape (T, d)."""
        v, out = checked_vector(v, "v", self.shape_in), checked_out(out, self.shape_in, self.dtype)
        work = self._work()
        np.matmul(self._heads_forward(v, work), self._W_O.T, out=out)
        self._keep(work)
        return out

    def vjp(self, u: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J^T u`` for u of shape (T, d)."""
        u, out = checked_vector(u, "u", self.shape_in), checked_out(out, self.shape_in, self.dtype)
        work = self._work()
        np.matmul(u.astype(self.dtype, copy=False), self._W_O, out=work.flat[1])
        np.matmul(self._heads_backward(work), self._fused, out=out)
        self._keep(work)
        return out

    def gram(self, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
        """``J^T J v`` for v of shape (T, d).

        The output weights enter through ``W_O^T W_O`` where that pays within ``SOON`` products; it is formed once.
        """
        v, out = checked_vector(v, "v", self.shape_in), checked_out(out, self.shape_in, self.dtype)
        work = self._work()
        do = self._heads_forward(v, work)
        if self._through:
            if self._gram is None:
                self._gram = self._W_O.T @ self._W_O
            np.matmul(do, self._gram, out=work.flat[1])
        else:
            np.matmul(do @ self._W_O.T, self._W_O, out=work.flat[1])
        np.matmul(self._heads_backward(work), self._fused, out=out)
        self._keep(work)
        return out

    def matvec(self, v: np.ndarray) -> np.ndarray:
        """``J v`` on flat vectors."""
        return self.jvp(np.reshape(v, self.shape_in)).ravel()

    def rmatvec(self, u: np.ndarray) -> np.ndarray:
        """``J^T u`` on flat vectors."""
        return self.vjp(np.reshape(u, self.shape_in)).ravel()

    # ---- parts ----

    def _heads_forward(self, v: np.ndarray, work: Work) -> np.ndarray:
        """Directions of the heads' outputs, (T, H dk)."""
        s = self.sizes
        np.matmul(v.astype(self.dtype, copy=False), self._fused.T, out=work.z)
        q, k, dv = self._views(work.z)
        self._rotated(q, by_token(work.dqq, s)[..., : s.dk], False)
        self._rotated(k, by_token(work.kdk, s, 1)[..., s.dk :], False)
        np.copyto(by_token(work.dv, s, 1), dv)
        for tile in self._tiles:
            forward(tile, self._probabilities(tile, work), work, self._side)
        flat = work.flat[0]
        np.copyto(flat.reshape(s.tokens, s.groups, s.shared, s.dk), by_token(work.do, s))
        return flat

    def _heads_backward(self, work: Work) -> np.ndarray:
        """From cotangents of the heads' outputs in ``work.flat[1]`` to those of queries, keys and values, (T, N)."""
        s = self.sizes
        np.copyto(by_token(work.do, s), work.flat[1].reshape(s.tokens, s.groups, s.shared, s.dk))
        np.einsum("gia,gia->gi", work.do, self._side.o, out=work.own[..., 0])
        for tile in self._tiles:
            backward(tile, self._probabilities(tile, work), work, self._side)
        q, k, v = self._views(work.z)
        self._rotated(by_token(work.qb, s), q, True)
        self._rotated(by_token(work.kb, s, 1), k, True)
        np.copyto(v, by_token(work.vb, s, 1))
        return work.z

    def _probabilities(self, tile: Tile, work: Work) -> np.ndarray:
        if tile.p is not None:
            return tile.p if tile.p.dtype == self.dtype else _copied(tile.p, work.again(tile))
        assert self._scores is not None
        return self._scores.again(tile, work.again(tile))

    def _views(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Queries (T, G, r, dk), keys and values (T, G, 1, dk) in rows (T, N)."""
        s = self.sizes
        a, b = s.heads * s.dk, (s.heads + s.groups) * s.dk
        shape = (s.tokens, s.groups, -1, s.dk)
        return z[:, :a].reshape(shape), z[:, a:b].reshape(shape), z[:, b:].reshape(shape)

    def _rotated(self, x: np.ndarray, out: np.ndarray, back: bool) -> None:
        """Turn (T, ., ., dk) arrays by their token's angles."""
        if self._turn is None:
            np.copyto(out, x)
            return
        m = self.sizes.turned
        phase = self._turn[int(back)]
        np.multiply(x[..., :m].view(phase.dtype), phase, out=out[..., :m].view(phase.dtype))
        if m < self.sizes.dk:
            np.copyto(out[..., m:], x[..., m:])

    def _work(self) -> Work:
        try:
            return self._spare.pop()
        except IndexError:
            most = max(prod(t.shape) for t in self._tiles)
            kept = all(t.p is not None and t.p.dtype == self.dtype for t in self._tiles)
            return Work(self._side, most, len(self._fused), not kept)

    def _keep(self, work: Work) -> None:
        """For the next product, unless it is large: then making it anew costs nothing beside the product itself."""
        if work.nbytes <= SPARE:
            self._spare.append(work)

    def _start(self, x: np.ndarray, biases: dict[str, np.ndarray], memory: int) -> Attention:
        """Values, probabilities and outputs at x."""
        s = self.sizes
        z = x.astype(self.dtype) @ self._fused.T
        if any(f"b_{n}" in biases for n in "QKV"):
            z += stacked(biases, "b", s, side_by_side(s), self.dtype)
        q, k, v = (np.empty((s.groups, s.tokens * n, s.dk), self.dtype) for n in (s.shared, 1, 1))
        views = self._views(z)
        self._rotated(views[0], by_token(q, s), False)
        self._rotated(views[1], by_token(k, s, 1), False)
        np.copyto(by_token(v, s, 1), views[2])
        finite("queries, keys or values at x", q, k, v)
        o = np.empty_like(q)
        self._side = Side(q * self._c, k * self._c, v, o)
        scores = Scores(self._side.cq, k, s.shared, self._causal, np.empty((*q.shape[:2], 1), self.dtype))
        for tile in self._tiles:
            p = scores.start(tile, np.empty(tile.shape, self.dtype))
            np.matmul(p, v[tile.at, : tile.keys], out=o[tile.at, tile.rows])
            if p.nbytes <= memory:
                tile.p, memory = p, memory - p.nbytes
            else:
                self._scores = scores
        flat = np.ascontiguousarray(by_token(o, s)).reshape(s.tokens, -1)
        self.value = flat @ self._W_O.T
        if "b_O" in biases:
            self.value += biases["b_O"].astype(self.dtype)
        return self

    def _stored(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, p: Iterable[np.ndarray], o: np.ndarray) -> Attention:
        """The products of stored factors; the heads of p are taken one after the other, and kept in float32 if they are
        in float32."""
        s = self.sizes
        order = side_by_side(s)

        def rows(x: np.ndarray) -> np.ndarray:
            grouped = x.reshape(s.groups, -1, s.tokens, x.shape[2]).transpose(0, 2, 1, 3)
            return np.array(grouped, dtype=self.dtype, order="C").reshape(s.groups, -1, x.shape[2])

        self._side = Side(rows(q[..., order]) * self._c, rows(k[..., order]) * self._c, rows(v), rows(o))
        stored: list[tuple[Tile, np.ndarray]] = []
        for h, head in enumerate(p):
            if h == 0:
                kind = np.dtype(np.float32) if head.dtype == np.float32 else self.dtype
                stored = [(tile, np.empty(tile.shape, kind)) for tile in self._tiles]
            group, own = divmod(h, s.shared)
            for tile, x in stored:
                if tile.at.start <= group < tile.at.stop:
                    block = x[group - tile.at.start].reshape(-1, s.shared, tile.keys)
                    block[:, own] = head[tile.first : tile.first + len(block), : tile.keys]
        for tile, x in stored:
            tile.p = x
        return self


def _copied(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.copyto(out, x)
    return out


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
    """Attention at x with its derivative as products; parameters as in ``lipop_kernels.attention_linearisation``.

    Notes
    -----
    Let ``J_s`` be the derivative made of the numbers that are stored here (q, k, v, p, o, weights) and ``|J|`` the same
    products with absolute values and sums only. With u the unit roundoff of ``dtype``, ``g_k = k u / (1 - k u)`` and
    the two entries a, b of ``roundings``, entrywise and without overflow or underflow ::

        |jvp(v) - J_s v| <= g_a |J| |v|        |vjp(u) - J_s^T u| <= g_b |J|^T |u|
        |gram(v) - J_s^T J_s v| <= g_{a + b} |J|^T |J| |v|

    Against the true derivative, with ``|J|`` made of ``|x| |W|^T + |b|`` in place of q, k, v (and averages of the
    latter in place of o) and s the largest of the scores made of these, a and b grow by the factor ``16 (1 + s)``:
    every probability moves by twice the largest error of a score, which is at most ``g_{d + dk + 16} s``.

    Examples
    --------
    >>> I = np.eye(2)
    >>> attention_linearisation(I, I, I, I, I, n_heads=1).jvp(np.ones((2, 2))).round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    x = np.asarray(x)
    weights = named(W_Q, W_K, W_V, W_O, b_Q, b_K, b_V, b_O)
    kind = checked_dtype(x, dtype)
    sizes = checked_sizes(x.shape, weights, n_heads, n_kv_heads, rotary)
    finite("x", x)
    made = Attention(sizes, weights, checked_scale(scale, sizes.dk), rotary, causal, kind)
    return made._start(x, weights, checked_memory(memory))


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
    weights = named(W_Q, W_K, W_V, W_O, None, None, None, None)
    kind = checked_dtype(q, dtype)
    sizes = checked_sizes((tokens, weights["W_Q"].shape[-1]), weights, heads, groups, rotary)
    made = Attention(sizes, weights, checked_scale(scale, dk), rotary, causal, kind)
    return made._stored(q, k, v, checked_heads(p, heads, tokens, causal), o)
