"""A model as a sequence of operators between token arrays."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from lipop.core.operator import Operator
from lipop.errors import TokenError, UnsupportedConfig
from lipop.models.checkpoint import Checkpoint
from lipop.models.config import read_config
from lipop.models.tokens import Tokenizer, check_ids


class Blocks(Sequence[Operator]):
    """The blocks of a model, built when asked for: at any time only those in use are in memory."""

    def __init__(self, count: int, build: Callable[[int], Operator]) -> None:
        self._count, self._build = count, build

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Operator:  # type: ignore[override]  # slices make no sense for lazy blocks
        if not -self._count <= index < self._count:
            raise IndexError(f"block {index} of a model with {self._count} blocks")
        return self._build(index % self._count)


@dataclass(frozen=True, eq=False)
class Model:
    """A checkpoint turned into operators.

    Attributes
    ----------
    path : Path
    family : str
    dtype : str
        Storage of the weights, such as ``F32``.
    blocks : sequence of Operator
        Built lazily, one at a time.
    block_names : list of str
    """

    path: Path
    family: str
    dtype: str
    blocks: Blocks
    block_names: list[str]
    vocab_size: int
    max_positions: int
    _embed: Callable[[np.ndarray], np.ndarray]
    _checkpoint: Checkpoint

    @property
    def digest(self) -> str:
        """sha256 of config and weights."""
        return self._checkpoint.digest

    def tokens(self, text: str) -> np.ndarray:
        """(T,) int64 token ids of a text, by the tokenizer beside the weights."""
        return check_ids(Tokenizer.open(self.path).encode(text), self.vocab_size)

    def embed(self, *, text: str | None = None, tokens: ArrayLike | None = None) -> np.ndarray:
        """(T, d) float64 input of the first block.

        Raises
        ------
        TokenError
            If neither or both of text and tokens are given, or the tokens do not fit the model.
        """
        if (text is None) == (tokens is None):
            raise TokenError("give text= or tokens=, one of them")
        ids = self.tokens(text) if text is not None else np.asarray(tokens)
        return self._embed(check_ids(ids, self.vocab_size, self.max_positions))

    def activations(self, x: np.ndarray) -> list[np.ndarray]:
        """The input of each block, from the input of the first, in x's dtype."""
        out: list[np.ndarray] = []
        for i in range(len(self.blocks)):
            out.append(x)
            if i + 1 < len(self.blocks):
                x = self.blocks[i](x)
        return out

    def __repr__(self) -> str:
        return f"Model({self.family}, {len(self.blocks)} blocks, {str(self.path)!r})"


def load(path: str | os.PathLike[str]) -> Model:
    """Open a checkpoint folder (config.json and safetensors) as operators.

    Raises
    ------
    CheckpointError, UnsupportedConfig, NonFiniteError, ShapeError
        Naming the file, key or tensor at fault.
    """
    from lipop.models.families import FAMILIES

    folder = Path(path)
    config = read_config(folder)
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        found = f"config key 'model_type' = {reprlib.repr(family)}"
        raise UnsupportedConfig(f"{folder}: {found}: lipop knows {', '.join(sorted(FAMILIES))}")
    return FAMILIES[family](folder, config, Checkpoint.open(folder))
