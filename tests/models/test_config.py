"""Strict JSON, and configs in which every key is understood, proved inert, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop.errors import CheckpointError, UnsupportedConfig
from lipop.models.config import INERT, Field, read_config, take
from lipop.models.strict_json import strict_loads
from tests.models.fixtures import MINILM, tiny_bert

BERT = {
    "model_type": Field(str, one_of=("bert",)),
    "hidden_size": Field(int, least=1),
    "num_hidden_layers": Field(int, least=1),
    "num_attention_heads": Field(int, least=1),
    "intermediate_size": Field(int, least=1),
    "vocab_size": Field(int, least=1),
    "max_position_embeddings": Field(int, least=1),
    "type_vocab_size": Field(int, least=1),
    "hidden_act": Field(str, one_of=("gelu", "relu")),
    "layer_norm_eps": Field(float, 1e-12, least=0),
    "position_embedding_type": Field(str, "absolute", one_of=("absolute",)),
    "is_decoder": Field(bool, False, one_of=(False,)),
    "add_cross_attention": Field(bool, False, one_of=(False,)),
}
MINE = {**INERT, "tie_word_embeddings": "the language-model head is not read"}


def test_a_published_and_a_fresh_config_are_understood(tmp_path):
    published = take(read_config(MINILM), BERT, MINE)
    assert published["hidden_size"] == 384
    assert published["layer_norm_eps"] == 1e-12
    assert published["is_decoder"] is False
    fresh = take(read_config(tiny_bert(tmp_path, hidden_act="relu")), BERT, MINE)
    assert fresh.keys() == published.keys() == BERT.keys()
    assert fresh["hidden_act"] == "relu"


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 3.5])
def test_an_undeclared_key_is_refused_whatever_its_value(value):
    config = {"hidden_size": 16, "final_logit_softcapping": value}
    with pytest.raises(UnsupportedConfig) as caught:
        take(config, {"hidden_size": Field(int)}, INERT)
    assert f"'final_logit_softcapping' = {value!r}" in str(caught.value)


def test_all_undeclared_keys_are_named_and_long_values_cut():
    with pytest.raises(UnsupportedConfig) as caught:
        take({"a": 1, "b": list(range(10**5)), "use_cache": True}, {}, INERT)
    assert "config keys 'a' = 1, 'b' = [0, 1, 2," in str(caught.value)
    assert "use_cache" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Field(int), 16.0, "expected int, found float"),
        (Field(int), True, "expected int, found bool"),
        (Field(int), "16", "expected int, found str"),
        (Field(int), None, "expected int, found null"),
        (Field(bool), 1, "expected bool, found int"),
        (Field(float), True, "expected float, found bool"),
        (Field(float), float("nan"), "expected a finite number"),
        (Field(str), ["gelu"], "expected str, found list"),
        (Field(int, least=1), 0, "expected at least 1"),
        (Field(float, least=0), -1e-9, "expected at least 0"),
        (Field(str, one_of=("gelu", "relu")), "gelu_new", "implements 'gelu', 'relu' only"),
        (Field(dict, one_of=({},)), {"1": [0]}, r"implements \{\} only"),
    ],
)
def test_a_wrong_value_is_refused(field, value, message):
    with pytest.raises(UnsupportedConfig, match=f"config key 'k' = .*{message}"):
        take({"k": value}, {"k": field})


def test_values_that_are_accepted():
    fields = {
        "a": Field(float),
        "b": Field(int, null=True),
        "c": Field(int, 7),
        "d": Field(list),
        "e": Field(int, None),
    }
    found = take({"a": 1, "b": None, "d": [1]}, fields)
    assert found == {"a": 1.0, "b": None, "c": 7, "d": [1], "e": None}
    assert type(found["a"]) is float


def test_a_missing_key_is_named():
    with pytest.raises(UnsupportedConfig, match="config key 'hidden_size' is missing"):
        take({}, {"hidden_size": Field(int)})


def test_a_key_is_declared_once():
    with pytest.raises(ValueError, match="both as a field and as inert: use_cache"):
        take({}, {"use_cache": Field(bool)}, INERT)


def test_every_inert_key_has_a_reason():
    assert all(len(reason.split()) >= 2 for reason in INERT.values())


def test_read_config_takes_folder_or_file(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert read_config(tmp_path) == read_config(tmp_path / "config.json") == {"model_type": "bert"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON.*is the file complete"),
        (b"[]", "expected a JSON object, found list"),
        (b"3", "expected a JSON object, found int"),
        (b'{"eps": 1e-5, "eps": 1e-6}', "key 'eps' stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "key 'b' stands twice"),
        (b'{"eps": NaN}', "NaN is not JSON"),
        (b'{"eps": -Infinity}', "-Infinity is not JSON"),
        (b'{"eps": 1e999}', "1e999 is too large"),
        (b'{"n": 1' + b"0" * 5000 + b"}", "integer with 5001 digits"),
        (b'{"n": -0}', "-0 is not an integer"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": ["\\udc00"]}', "lone surrogate"),
        (b'{"a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", "nested too deeply"),
    ],
)
def test_read_config_refuses(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{message}|config\.json: {message}"):
        read_config(tmp_path)


def test_read_config_names_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read"):
        read_config(tmp_path)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN, st.booleans())
def test_what_json_writes_is_read(value, ascii_only):
    value = json.loads(json.dumps(value))
    assert strict_loads(json.dumps(value, ensure_ascii=ascii_only).encode(), "text") == value


@given(st.binary(max_size=40) | st.text('[]{}",:\\u0d8e-.1tfn ', max_size=40).map(str.encode))
def test_other_bytes_raise_nothing_else(data):
    try:
        value = strict_loads(data, "bytes")
    except CheckpointError:
        return
    assert json.loads(data.decode()) == value
