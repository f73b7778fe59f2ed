"""Transformer blocks: the compositions of real models, with their weights and branches by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipop.core.algebra import Composition, Residual
from lipop.core.bound import Bound
from lipop.core.enclosure import Enclosed
from lipop.core.norms import Matrix
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.operators.attention import Attention
from lipop.operators.feedforward import MLP
from lipop.operators.normalization import LayerNorm


@dataclass(frozen=True, eq=False, repr=False)
class PostNormBlock(Composition):
    """``norm2 o (I + mlp) o norm1 o (I + attention)``: the block of BERT and of the first GPT.

    It is the composition of its factors (and has that composition's digest); it adds names. Make it with :meth:`of`.
    """

    @staticmethod
    def of(attention: Attention, norm1: LayerNorm, mlp: MLP, norm2: LayerNorm) -> PostNormBlock:
        """The block with these parts."""
        return PostNormBlock((norm2, Residual(mlp), norm1, Residual(attention)))

    @property
    def attention(self) -> Attention:
        """The attention branch."""
        branch = self.factors[3]
        assert isinstance(branch, Residual)
        assert isinstance(branch.branch, Attention)
        return branch.branch

    @property
    def mlp(self) -> MLP:
        """The MLP branch."""
        branch = self.factors[1]
        assert isinstance(branch, Residual)
        assert isinstance(branch.branch, MLP)
        return branch.branch

    def weights(self) -> list[tuple[str, tuple[int, int], Matrix]]:
        """Every weight matrix, and the products that matter for attention: ``W_Q^T W_K`` and ``W_O W_V`` of each
        head."""
        a, m = self.attention, self.mlp
        named = {"W_Q": a.Wq, "W_K": a.Wk, "W_V": a.Wv, "W_O": a.Wo, "W_up": m.W_up, "W_down": m.W_down}
        out = [
            (name, (w.shape[0], w.shape[1]), Matrix(np.asarray(w, dtype=np.float64), 0.0, name))
            for name, w in named.items()
        ]
        dk, group = len(a.Wq) // a.heads, a.heads // (a.kv_heads or a.heads)
        for h in range(a.heads):
            own, shared = slice(h * dk, (h + 1) * dk), slice(h // group * dk, (h // group + 1) * dk)
            q, k, v = (Enclosed.exact(w) for w in (a.Wq[own], a.Wk[shared], a.Wv[shared]))
            o = Enclosed.exact(a.Wo[:, own])
            for name, product in ((f"head {h}: W_Q^T W_K", q.T @ k), (f"head {h}: W_O W_V", o @ v)):
                out.append((name, (product.shape[0], product.shape[1]), Matrix.of(product, name)))
        return out

    def branches(self, x: np.ndarray) -> list[tuple[str, Operator, np.ndarray]]:
        """The residual branches with the points at which they act: attention at x, the MLP after the first
        normalisation."""
        return [("attention", self.attention, x), ("mlp", self.mlp, self.factors[2](self.factors[3](x)))]

    def shell(self, on: Region) -> Bound:
        """The product of the parts' bounds on a token shell: global in effect, and astronomically large for a small
        eps.

        After attention nothing keeps a token away from the centre of the first normalisation, whose constant there is
        ``|G P| / sqrt(eps)``.
        """
        return self.lip(on)
