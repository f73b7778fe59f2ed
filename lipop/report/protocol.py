"""What a report needs from a model, from a block of it, and from the analysis of a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lipop.core.bound import Bound, Bracket, Claim, Subject, Witness
from lipop.core.matrices import Explicit
from lipop.core.operator import Operator


class Block(Protocol):
    """One block of a model: an operator on ``(tokens, d)`` arrays that knows its weights and residual branches."""

    @property
    def digest(self) -> str: ...

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The block's value."""
        ...

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo a leaf about the block."""
        ...

    def weights(self) -> Sequence[tuple[str, tuple[int, ...], Explicit]]:
        """Name, shape and matrix of every weight and fused product whose norm is reported."""
        ...

    def branches(self, x: np.ndarray) -> Sequence[tuple[str, Operator, np.ndarray]]:
        """Name, map F and point of every residual branch when the block's input is x."""
        ...


class Model(Protocol):
    """A loaded model.

    Attributes
    ----------
    blocks : sequence of Block
    block_names : sequence of str
    family, path, dtype : str
    digest : str
        sha256 of the weights.
    """

    @property
    def blocks(self) -> Sequence[Block]: ...
    @property
    def block_names(self) -> Sequence[str]: ...
    @property
    def family(self) -> str: ...
    @property
    def path(self) -> Any: ...
    @property
    def digest(self) -> str: ...
    @property
    def dtype(self) -> str: ...

    def tokens(self, text: str) -> np.ndarray:
        """``(T,)`` int64 token ids."""
        ...

    def embed(self, *, text: str | None = None, tokens: Any = None) -> np.ndarray:
        """The ``(T, d)`` float64 input of the first block."""
        ...

    def activations(self, x: np.ndarray) -> Sequence[np.ndarray]:
        """The ``(T, d)`` input of each block when the first one's is x."""
        ...


class BranchAnalysis(Protocol):
    """A residual branch F on one ball around its own input.

    Attributes
    ----------
    name : str
    radius, relative : float
        ``relative`` is the radius over the point's norm; both are zero at the point itself.
    point : (tokens, d) array
    operator : Operator
        F.
    dahlquist, lip_branch, lip_sum : Bracket
        Of F, of F, and of I + F.
    lip_sum_rule : Bound
        Of I + F, from the constants of F.
    """

    @property
    def name(self) -> str: ...
    @property
    def radius(self) -> float: ...
    @property
    def relative(self) -> float: ...
    @property
    def point(self) -> np.ndarray: ...
    @property
    def operator(self) -> Operator: ...
    @property
    def dahlquist(self) -> Bracket: ...
    @property
    def lip_branch(self) -> Bracket: ...
    @property
    def lip_sum(self) -> Bracket: ...
    @property
    def lip_sum_rule(self) -> Bound: ...


class BlockAnalysis(Protocol):
    """The answers about one block at its input x0; every bound carries its proof.

    Attributes
    ----------
    weights : sequence of (name, shape, Bracket)
    jacobian : Bracket
        Of ``|DT(x0)|``.
    balls : sequence of (radius, relative, Bracket)
        Of Lip on the F-ball around x0; ``relative`` is the radius over ``|x0|``.
    shell : (r, R, Bound)
        Upper bound of Lip where every token's norm lies in ``[r, R]``.
    residuals : sequence of BranchAnalysis
        For each branch: at its point, then on each ball.
    seconds : mapping
        Time by part.
    """

    @property
    def weights(self) -> Sequence[tuple[str, tuple[int, ...], Bracket]]: ...
    @property
    def jacobian(self) -> Bracket: ...
    @property
    def balls(self) -> Sequence[tuple[float, float, Bracket]]: ...
    @property
    def shell(self) -> tuple[float, float, Bound]: ...
    @property
    def residuals(self) -> Sequence[BranchAnalysis]: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...


Analyze = Callable[..., BlockAnalysis]
"""``analyze_block(block, x, radii=[relative, ...], effort="quick", seed=0) -> BlockAnalysis``."""

Subjects = Callable[[Block, np.ndarray], Mapping[str, Subject]]
"""What leaves about a block may speak about, by digest, given the block and its input."""

__all__ = ["Analyze", "Block", "BlockAnalysis", "BranchAnalysis", "Model", "Subjects"]
