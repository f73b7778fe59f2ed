"""The token-wise pieces of a chain's deviation as one matrix-free operator (rule C1, first term)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.linearization import LinearOperator
from lipop.core.rounding import gamma

if TYPE_CHECKING:
    pass


from lipop.operators.chain_constants import Chain
from lipop.operators.chain_moves import Moves


def tail_operator(chain: Chain, move: Moves) -> LinearOperator:
    """A linear map whose norm bounds the sum of the token-wise pieces.

    ``|sum_l T_l v| <= sum_l |T_l v| <= (sum_l |T_l v|^2 / t_l)^(1/2)`` for any weights ``t_l > 0`` with sum at most 1
    (Cauchy-Schwarz); the pieces, each divided by ``sqrt(t_l)``, are stacked. The weights follow the pieces' sizes on a
    few probe vectors.
    """
    pieces = _Stacked(chain, move)
    rng = np.random.default_rng(0)
    v = rng.standard_normal(chain.Q.shape_in)
    for _ in range(4):
        u = pieces.rmatvec(pieces.matvec(v))
        size = float(np.linalg.norm(u))
        if size == 0:
            break
        v = u / size
    parts = [float(np.linalg.norm(p)) for p in pieces.matvec(v)]
    total = sum(parts)
    if total > 0:
        share = np.maximum(np.array(parts) / total, 1e-3)
        pieces.weights = share / (share.sum() * (1 + 1e-12))
    return LinearOperator(
        chain.Q.shape_in,
        (pieces.size,),
        lambda h: np.concatenate([p.ravel() for p in pieces.matvec(h)]),
        lambda u: pieces.rmatvec(pieces.split(u)),
        majorant=pieces.majorant,
        product_error=pieces.product_error,
    )


class _Stacked:
    """The pieces ``scale_l C_l K_l Q / sqrt(t_l)`` and ``plain Q / sqrt(t)``, applied in one sweep."""

    def __init__(self, chain: Chain, move: Moves) -> None:
        self.chain, self.move = chain, move
        self.used = [l for l, s in enumerate(move.scales) if s is not None]
        self.weights = np.full(len(self.used) + 1, 1.0 / (len(self.used) + 1) * (1 - 1e-12))
        tokens, d = chain.Q.shape_out
        self.shapes = [(tokens, d)] + [(tokens, self._width(l)) for l in self.used]
        self.size = sum(a * b for a, b in self.shapes)
        q = chain.Q
        reach, slip = (
            [float(move.plain.max(initial=0.0)) * q.majorant],
            [float(move.plain.max(initial=0.0)) * q.product_error],
        )
        prefix = q
        for l, factor in enumerate(chain.factors):
            scale = move.scales[l]
            if scale is not None:
                top = float(scale.max(initial=0.0)) * (1.0 if factor.C is None else float(factor.C.frobenius.max()))
                reach.append(top * prefix.majorant)
                slip.append(top * (prefix.product_error + gamma(prefix.shape_out[-1] + 4) * prefix.majorant))
            prefix = factor.J @ prefix
        # 1 / sqrt(smallest weight): weights are at least 1e-3 over a sum of at most 1 + 1e-3 a piece
        spread = math.sqrt(1e3 + len(self.weights)) * 1.01
        self.majorant = spread * sum(reach)
        self.product_error = spread * sum(slip)

    def _width(self, l: int) -> int:
        scale, factor = self.move.scales[l], self.chain.factors[l]
        assert scale is not None
        return scale.shape[1] if scale.ndim == 2 else (factor.M.shape[-1] if factor.C is None else factor.C.shape[-2])

    def _scale(self, l: int, n: int) -> np.ndarray:
        scale = self.move.scales[l]
        assert scale is not None
        return (scale if scale.ndim == 2 else scale[:, None]) / math.sqrt(self.weights[n])

    def matvec(self, h: np.ndarray) -> list[np.ndarray]:
        """All pieces applied to h."""
        v = self.chain.Q.matvec(h)
        out = [self.move.plain[:, None] * v / math.sqrt(self.weights[0])]
        n = 0
        for l, factor in enumerate(self.chain.factors):
            if l in self.used:
                n += 1
                out.append(self._scale(l, n) * (v if factor.apply_C is None else factor.apply_C(v)))
            if n < len(self.used):
                v = factor.J.matvec(v)
        return out

    def rmatvec(self, parts: list[np.ndarray]) -> np.ndarray:
        """The adjoint."""
        acc: np.ndarray | None = None
        n = len(self.used)
        for l in range(len(self.chain.factors) - 1, -1, -1):
            factor = self.chain.factors[l]
            if acc is not None:
                acc = factor.J.rmatvec(acc)
            if l in self.used:
                u = self._scale(l, n) * parts[n]
                u = u if factor.adjoint_C is None else factor.adjoint_C(u)
                acc = u if acc is None else acc + u
                n -= 1
        plain = self.move.plain[:, None] * parts[0] / math.sqrt(self.weights[0])
        return self.chain.Q.rmatvec(plain if acc is None else acc + plain)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat vector as pieces."""
        out: list[np.ndarray] = []
        start = 0
        for a, b in self.shapes:
            out.append(flat[start : start + a * b].reshape(a, b))
            start += a * b
        return out
