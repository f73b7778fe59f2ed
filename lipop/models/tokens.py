"""Text to token ids, and the check of token ids that come from elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lipop.errors import CheckpointError, TokenError


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer.json without its padding and truncation: every token of the text is kept, none fills up."""

    path: Path
    _inner: Any

    def __repr__(self) -> str:
        return f"Tokenizer({str(self.path)!r}, {self.vocab_size} tokens)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer.open, (self.path,)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Open a tokenizer.json, given it or its folder.

        Raises
        ------
        CheckpointError
            If there is no tokenizer.json or `tokenizers` cannot read it.
        """
        import tokenizers

        path = Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror or error}); without it give token ids instead of text"
            ) from None
        try:
            inner = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path}: not a tokenizer.json that `tokenizers` can read ({error})") from None
        inner.no_padding()
        inner.no_truncation()
        return cls(path, inner)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, added ones included."""
        return self._inner.get_vocab_size()

    def encode(self, text: str, special: bool = True) -> np.ndarray:
        """The token ids of a text.

        Parameters
        ----------
        text : str
        special : bool
            Whether to add what the model expects around a text, such as [CLS] and [SEP].

        Returns
        -------
        (T,) int64 array

        Raises
        ------
        TokenError
            If the text is empty, is no Unicode text, or leaves no token of its own.
        """
        if not isinstance(text, str):
            raise TokenError(f"text must be a str, found {type(text).__name__}")
        if not text.strip():
            raise TokenError(f"the text is empty ({len(text)} characters, all blank); give at least one word")
        try:
            encoding = self._inner.encode(text, add_special_tokens=special)
        except (UnicodeEncodeError, TypeError) as error:
            raise TokenError(f"the text is not Unicode text ({error})") from None
        if all(encoding.special_tokens_mask):
            raise TokenError(
                f"the text {text[:40]!r} leaves no token: the tokenizer drops all of its {len(text)} characters"
            )
        return np.array(encoding.ids, dtype=np.int64)


def check_ids(ids: ArrayLike, vocab_size: int, max_positions: int | None = None) -> np.ndarray:
    """Token ids as a (T,) int64 array, after all checks.

    Parameters
    ----------
    ids : (T,) array of integers
        One sequence, T >= 1.
    vocab_size : int
        Ids lie in 0, ..., vocab_size - 1.
    max_positions : int, optional
        The most tokens that the model has positions for.

    Raises
    ------
    TokenError
        If ids is not one non-empty sequence of integers, is longer than max_positions, or holds an id outside the
        vocabulary; the message gives index and value.

    Examples
    --------
    >>> check_ids([101, 7592, 102], vocab_size=30522)
    array([ 101, 7592,  102])
    >>> check_ids([1, 60], vocab_size=60)
    Traceback (most recent call last):
        ...
    lipop.errors.TokenError: token id 60 at index 1 is outside the vocabulary 0, ..., 59; is the tokenizer this model's?
    """
    try:
        given = np.asarray(ids)
    except (ValueError, TypeError, OverflowError) as error:
        raise TokenError(f"token ids must be one sequence of integers ({error})") from None
    if given.ndim != 1:
        raise TokenError(f"token ids must be one sequence, shape (T,), found shape {given.shape}")
    if given.size == 0:
        raise TokenError("no token ids; give at least one")
    if not np.issubdtype(given.dtype, np.integer):
        raise TokenError(f"token ids must be integers that fit in 64 bits, found dtype {given.dtype}")
    if max_positions is not None and given.size > max_positions:
        raise TokenError(
            f"{given.size} tokens, but the model has {max_positions} positions; give a shorter text, or fewer tokens"
        )
    bad = (given < 0) | (given >= vocab_size)
    if bad.any():
        k = int(np.argmax(bad))
        raise TokenError(
            f"token id {int(given[k])} at index {k} is outside the vocabulary 0, ..., {vocab_size - 1}; "
            "is the tokenizer this model's?"
        )
    return given.astype(np.int64)
