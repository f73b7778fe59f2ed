"""Tokenizers without padding or truncation, and the check of token ids."""

import pickle

import numpy as np
import pytest

from lipop.errors import CheckpointError, TokenError
from lipop.models.tokens import Tokenizer, check_ids
from tests.models.fixtures import MINILM, write_tokenizer


@pytest.fixture
def tokenizer(tmp_path):
    write_tokenizer(tmp_path, 60)
    return Tokenizer.open(tmp_path)


def test_encode_looks_words_up(tokenizer):
    ids = tokenizer.encode("The map is unheard of.")
    assert ids.dtype == np.int64
    assert ids.tolist() == [2, 5, 6, 7, 1, 11, 15, 3]
    assert tokenizer.encode("the map", special=False).tolist() == [5, 6]
    assert tokenizer.vocab_size == 60


def test_encode_neither_pads_nor_truncates(tokenizer):
    assert tokenizer.encode("map").size == 3
    assert tokenizer.encode("map " * 1000).size == 1002


def test_encode_agrees_with_transformers():
    from transformers import PreTrainedTokenizerFast

    text = "Fixed points of nonexpansive maps: T x = x, naïve and café.\n\nNext line " + "word " * 300
    reference = PreTrainedTokenizerFast(tokenizer_file=str(MINILM / "tokenizer.json"))
    expected = reference(text, padding=False, truncation=False)["input_ids"]
    assert Tokenizer.open(MINILM).encode(text).tolist() == expected
    assert len(expected) > 300


def test_open_takes_folder_or_file_and_pickles(tokenizer, tmp_path):
    other = pickle.loads(pickle.dumps(Tokenizer.open(tmp_path / "tokenizer.json")))
    assert other.encode("a limit exists").tolist() == tokenizer.encode("a limit exists").tolist()
    assert "60 tokens" in repr(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is empty"),
        (" \n\t ", "text is empty"),
        (b"map", "must be a str, found bytes"),
        (None, "must be a str, found NoneType"),
        ("map \ud800", "not Unicode"),
    ],
)
def test_encode_refuses(tokenizer, text, message):
    with pytest.raises(TokenError, match=message):
        tokenizer.encode(text)


def test_encode_refuses_text_of_which_nothing_is_left():
    with pytest.raises(TokenError, match="leaves no token"):
        Tokenizer.open(MINILM).encode("\u200b\x01")


def test_open_refuses(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read .* give token ids"):
        Tokenizer.open(tmp_path)
    for content in (b"", b"{}", b"\xff\xfe", b'{"version": "1.0", "model": {"type": "Unheard"}}'):
        (tmp_path / "tokenizer.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a tokenizer\.json"):
            Tokenizer.open(tmp_path)


def test_check_ids_returns_a_copy_in_int64():
    given = np.array([0, 59, 3], dtype=np.uint8)
    ids = check_ids(given, 60, 3)
    given[0] = 7
    assert ids.tolist() == [0, 59, 3]
    assert ids.dtype == np.int64
    assert check_ids([1] * 9, 60).size == 9


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 60], "token id 60 at index 2"),
        ([1, -1, 60], "token id -1 at index 1"),
        (np.array([2**64 - 1], dtype=np.uint64), "token id 18446744073709551615 at index 0"),
        ([2**63], "token id 9223372036854775808 at index 0"),
        ([2**70], "integers that fit in 64 bits, found dtype object"),
        ([1.0], "must be integers .* found dtype float64"),
        ([True], "must be integers .* found dtype bool"),
        (["map"], "must be integers"),
        ([None], "must be integers"),
        ([[1, 2]], r"found shape \(1, 2\)"),
        (3, r"found shape \(\)"),
        ([[1], [1, 2]], "one sequence of integers"),
        ([], "no token ids"),
        ([1] * 33, "33 tokens, but the model has 32 positions"),
    ],
)
def test_check_ids_refuses(ids, message):
    with pytest.raises(TokenError, match=message):
        check_ids(ids, vocab_size=60, max_positions=32)
