"""Transformer blocks: the compositions of real models, with their weights and branches by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lipop.core.algebra import Composition, Residual
from lipop.core.bound import Bound
from lipop.core.matrices import Explicit, Matrix, MatrixProduct
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.operators.attention import Attention
from lipop.operators.feedforward import MLP
from lipop.operators.gated import GatedMLP
from lipop.operators.normalization import LayerNorm, RMSNorm

Norm = LayerNorm | RMSNorm
Weights = list[tuple[str, tuple[int, int], Explicit]]


class Block(Composition):
    """What the blocks share: attention and MLP by name, and their weights."""

    @property
    def attention(self) -> Attention:
        """The attention operator."""
        raise NotImplementedError

    @property
    def mlp(self) -> MLP | GatedMLP:
        """The MLP."""
        raise NotImplementedError

    def weights(self) -> Weights:
        """Every weight matrix, and the products that matter for attention: ``W_Q^T W_K`` and ``W_O W_V`` of each
        head."""
        a, m = self.attention, self.mlp
        named = {"W_Q": a.Wq, "W_K": a.Wk, "W_V": a.Wv, "W_O": a.Wo}
        if isinstance(m, GatedMLP):
            named["W_gate"] = m.W_gate
        return _matrices({**named, "W_up": m.W_up, "W_down": m.W_down}) + _fused(a)

    def branches(self, x: np.ndarray) -> list[tuple[str, Operator, np.ndarray]]:
        """The residual branches with the points at which they act: attention's at x, the MLP's after it."""
        raise NotImplementedError

    def shell(self, on: Region) -> Bound:
        """The product of the parts' bounds on a token shell."""
        return self.lip(on)


@dataclass(frozen=True, eq=False, repr=False)
class PostNormBlock(Block):
    """``norm2 o (I + mlp) o norm1 o (I + attention)``: the block of BERT and of the first GPT.

    It is the composition of its factors (and has that composition's digest); it adds names. Make it with :meth:`of`.

    Notes
    -----
    On a token shell the bound is global in effect, and astronomically large for a small eps: after attention nothing
    keeps a token away from the centre of the first normalisation, whose constant there is ``|G P| / sqrt(eps)``.
    """

    @staticmethod
    def of(attention: Attention, norm1: Norm, mlp: MLP, norm2: Norm) -> PostNormBlock:
        """The block with these parts."""
        return PostNormBlock((norm2, Residual(mlp), norm1, Residual(attention)))

    @property
    def attention(self) -> Attention:
        branch = self.factors[3]
        assert isinstance(branch, Residual)
        assert isinstance(branch.branch, Attention)
        return branch.branch

    @property
    def mlp(self) -> MLP:
        branch = self.factors[1]
        assert isinstance(branch, Residual)
        assert isinstance(branch.branch, MLP)
        return branch.branch

    def branches(self, x: np.ndarray) -> list[tuple[str, Operator, np.ndarray]]:
        return [("attention", self.attention, x), ("mlp", self.mlp, self.factors[2](self.factors[3](x)))]


@dataclass(frozen=True, eq=False, repr=False)
class PreNormBlock(Block):
    """``(I + mlp o norm2) o (I + attention o norm1)``: the block of Llama and most models since GPT-2.

    Make it with :meth:`of`. The branches include their normalisation.

    Notes
    -----
    A normalised token has at most the norm ``|G| sqrt(d)`` (plus the offset's), whatever the input, so attention and
    MLP act on a bounded region and the block has a finite constant on every token shell, and even everywhere for a
    fixed number of tokens.
    """

    @staticmethod
    def of(norm1: Norm, attention: Attention, norm2: Norm, mlp: MLP | GatedMLP) -> PreNormBlock:
        """The block with these parts."""
        return PreNormBlock((Residual(Composition((mlp, norm2))), Residual(Composition((attention, norm1)))))

    def _branch(self, k: int) -> Composition:
        residual = self.factors[k]
        assert isinstance(residual, Residual)
        assert isinstance(residual.branch, Composition)
        return residual.branch

    @property
    def attention(self) -> Attention:
        inner = self._branch(1).factors[0]
        assert isinstance(inner, Attention)
        return inner

    @property
    def mlp(self) -> MLP | GatedMLP:
        inner = self._branch(0).factors[0]
        assert isinstance(inner, MLP | GatedMLP)
        return inner

    def branches(self, x: np.ndarray) -> list[tuple[str, Operator, np.ndarray]]:
        return [("attention", self._branch(1), x), ("mlp", self._branch(0), self.factors[1](x))]


def _matrices(named: Mapping[str, np.ndarray]) -> Weights:
    return [(name, (w.shape[0], w.shape[1]), Matrix(w, 0.0, name)) for name, w in named.items()]


def _fused(a: Attention) -> Weights:
    out: Weights = []
    dk, group = a.dk, a.heads // a.groups
    for h in range(a.heads):
        own, shared = slice(h * dk, (h + 1) * dk), slice(h // group * dk, (h // group + 1) * dk)
        for name, left, right in (
            (f"head {h}: W_Q^T W_K", a.Wq[own].T, a.Wk[shared]),
            (f"head {h}: W_O W_V", a.Wo[:, own], a.Wv[shared]),
        ):
            out.append((name, (len(left), right.shape[1]), MatrixProduct(left, right, name)))
    return out


__all__ = ["Block", "PostNormBlock", "PreNormBlock"]
