"""Multi-head self-attention: causal or not, with grouped keys, biases and rotary positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.memo import remember
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, Shell, TokenBall, token_radii
from lipop.core.rounding import inflate
from lipop.core.space import Space
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators import attention_bounds as bounds
from lipop.operators.attention_factors import AttentionFactors, head_norms
from lipop.operators.attention_forward import ENTRIES, RotaryTable, head_outputs, head_parts, rotate
from lipop.operators.attention_products import StoredFactors, attention_jacobian

if TYPE_CHECKING:
    from lipop.core.linearization import Linearization


@dataclass(frozen=True, eq=False, repr=False)
class Attention(Operator):
    """``y_i = sum_h O_h sum_j p_ij^h v_j^h + bo`` with ``p_i^h = softmax_j(scale q_i^h . k_j^h)``.

    Parameters
    ----------
    Wq : (heads dk, d) array
    Wk, Wv : (kv_heads dk, d) arrays
        Head h reads key head ``h // (heads / kv_heads)``.
    Wo : (d, heads dk) array
    heads : int
    kv_heads : int, optional
        ``heads`` by default; 1 is multi-query attention.
    bq, bk, bv, bo : arrays, optional
    causal : bool
        Token i sees tokens up to i only.
    rotary : RotaryTable, optional
        Turns queries and keys by their position.
    scale : float, optional
        ``1 / sqrt(dk)`` by default; the float64 value is exact by definition.
    length : int, optional
        Fixes the number of tokens; any number by default. The Lipschitz constant on a token shell grows with it in the
        F norm.
    norm : str
        ``l2`` (F) or ``2inf`` (largest token).

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    Not Lipschitz on the whole space (Kim, Papamakarios and Mnih 2021, Theorem 3.1): the local constant grows with the
    square of the tokens' norms. The rules on balls and shells are in :mod:`lipop.operators.attention_bounds`.

    Examples
    --------
    >>> from lipop.core.region import Ball
    >>> eye = np.eye(2)
    >>> T = Attention(eye, eye, eye, eye, heads=1)
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> T(x).round(4).tolist(), T.lip().known, T.lip(Ball(x, 0.1)).value < 4
    ([[0.6698, 0.3302], [0.3302, 0.6698]], False, True)
    """

    Wq: np.ndarray
    Wk: np.ndarray
    Wv: np.ndarray
    Wo: np.ndarray
    heads: int
    kv_heads: int | None = None
    bq: np.ndarray | None = None
    bk: np.ndarray | None = None
    bv: np.ndarray | None = None
    bo: np.ndarray | None = None
    causal: bool = False
    rotary: RotaryTable | None = None
    scale: float | None = None
    length: int | None = None
    norm: str = "l2"

    def __post_init__(self) -> None:
        for name in ("Wq", "Wk", "Wv", "Wo", "bq", "bk", "bv", "bo"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _weight(value, name, 2 if name[0] == "W" else 1))
        heads, groups = int(self.heads), self.groups
        if heads < 1 or groups < 1 or heads % groups:
            raise ShapeError(f"heads = {heads} must be a positive multiple of kv_heads = {groups}")
        rows, d = self.Wq.shape
        if rows % heads:
            raise ShapeError(f"Wq has {rows} rows, which {heads} heads cannot share")
        dk = rows // heads
        expected = {"Wk": (groups * dk, d), "Wv": (groups * dk, d), "Wo": (d, rows)}
        expected |= {"bq": (rows,), "bk": (groups * dk,), "bv": (groups * dk,), "bo": (d,)}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ShapeError(f"{name} has shape {value.shape}, expected {shape}")
        if self.rotary is not None and self.rotary.dim > dk:
            raise ShapeError(f"rotary positions turn {self.rotary.dim} entries, but a head has {dk}")
        if self.norm not in ("l2", "F", "2inf"):
            raise ShapeError(f"attention acts in the norms l2 (F) and 2inf, found {self.norm!r}")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise DomainError(f"the score's factor must be finite and positive, found {self.scale}")

    @property
    def groups(self) -> int:
        """The number of key heads."""
        return int(self.heads if self.kv_heads is None else self.kv_heads)

    @property
    def dk(self) -> int:
        """The width of a head."""
        return self.Wq.shape[0] // self.heads

    @property
    def c(self) -> float:
        """The score's factor, exact as stored."""
        return 1.0 / math.sqrt(self.dk) if self.scale is None else float(self.scale)

    @property
    def domain(self) -> Space:
        return Space((self.length, self.Wq.shape[1]), self.norm)

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        tokens, g, r = len(x), self.groups, self.heads // self.groups
        table = None if self.rotary is None else self.rotary.table(tokens, self.dk)
        turned = 0 if self.rotary is None else self.rotary.dim

        def heads(w: np.ndarray, b: np.ndarray | None, n: int) -> np.ndarray:
            y = x @ w.T.astype(x.dtype, copy=False)
            y = y if b is None else y + b.astype(x.dtype, copy=False)
            return y.reshape(tokens, g, n, self.dk).transpose(1, 2, 0, 3)

        q = rotate(heads(self.Wq, self.bq, r), table, turned)
        k, v = rotate(heads(self.Wk, self.bk, 1), table, turned), heads(self.Wv, self.bv, 1)
        step = max(1, ENTRIES // (r * tokens**2))
        o = np.concatenate([self._mix(q[i : i + step], k[i : i + step], v[i : i + step]) for i in range(0, g, step)])
        y = o.transpose(2, 0, 1, 3).reshape(tokens, -1) @ self.Wo.T.astype(x.dtype, copy=False)
        return y if self.bo is None else y + self.bo.astype(x.dtype, copy=False)

    def _mix(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        """``softmax(c q k^T) v``."""
        s = q @ k.swapaxes(-1, -2)
        s *= s.dtype.type(self.c)
        if self.causal:
            s[..., ~np.tri(s.shape[-1], dtype=bool)] = -np.inf
        s -= s.max(axis=-1, keepdims=True)
        np.exp(s, out=s)
        s /= s.sum(axis=-1, keepdims=True)
        return s @ v

    def enclose(self, x: Enclosed) -> Enclosed:
        return self.finish(head_outputs(self, x))

    def finish(self, o: Enclosed) -> Enclosed:
        """The enclosed output from the heads' enclosed outputs."""
        heads, tokens, dk = o.shape
        y = o.transpose(1, 0, 2).reshape(tokens, heads * dk) @ Enclosed.exact(self.Wo).T
        return y if self.bo is None else y + self.bo.astype(np.float64)

    def factors(self, x: np.ndarray) -> AttentionFactors:
        """The enclosed factors at x (shared inside a memo)."""
        from lipop.core.digest import array_digest

        make = lambda: AttentionFactors.at(self, Enclosed.exact(x))  # noqa: E731
        return remember(("attention factors", self.digest, array_digest(x)), make)

    def parts(self, x: np.ndarray) -> Iterator[AttentionFactors]:
        """The enclosed factors at x, so many heads at a time as fit into memory (few tokens: all, and shared)."""
        slices = head_parts(self, len(x))
        if len(slices) == 1:
            yield self.factors(x)
        else:
            yield from (AttentionFactors.at(self, Enclosed.exact(x), part) for part in slices)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return attention_jacobian(self, StoredFactors.at(self, x))

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        region = token_radii(ball)
        if region is None:
            return None
        return bounds.deviation(head_norms(self), self.parts(region.center), region, self._wide)

    def _lip(self, on: Region) -> float | None:
        if isinstance(on, Shell):
            tokens = on.tokens if self.length is None else self.length
            if not math.isfinite(on.outer) or (tokens is None and not self._wide):
                return math.inf
            return bounds.worst_case(self, on.outer, tokens, self._wide)
        region = token_radii(on)
        if region is None:
            return math.inf
        size = np.sqrt((region.center**2).sum(axis=1))
        reach = float(inflate((inflate(size, size.size + region.center.shape[1]) + region.rho_token).max(), 4))
        worst = bounds.worst_case(self, reach, len(size), self._wide)
        return min(worst, bounds.direct(head_norms(self), self.parts(region.center), region, self._wide))

    @property
    def _wide(self) -> bool:
        return self.domain.norm == "2inf"

    def chain_linearize(
        self, whole: Operator, outer: tuple[Operator, ...], ball: Ball | TokenBall, residual: bool
    ) -> Linearization | None:
        from lipop.operators.chain import linearize_chain

        if self._wide or self.rotary is not None or token_radii(ball) is None:
            return None
        return linearize_chain(whole, self, outer, ball, residual)

    def chain_jacobian(
        self, whole: Operator, outer: tuple[Operator, ...], x: np.ndarray, residual: bool
    ) -> LinearOperator | None:
        from lipop.operators.chain import chain_at

        skip = self._wide or self.rotary is not None
        return None if skip else chain_at(whole, self, outer, x, residual).J


def _weight(x: np.ndarray, name: str, ndim: int) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    if x.ndim != ndim or 0 in x.shape:
        raise ShapeError(f"{name} needs {ndim} axes, found shape {x.shape}")
    if not bool(np.isfinite(x).all()):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(f"{name} holds {x[index]} at index {index}; every weight must be finite")
    x = x.view()
    x.flags.writeable = False
    return x


__all__ = ["Attention"]
