"""Random files and configs: each loads or is refused by name, and nothing is read that is not in the file.

The counts grow with the profile; ``nightly`` tries 100 000 of each.
"""

import json
import os
import struct

import numpy as np
import pytest
import safetensors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lipop.errors import LipopError
from lipop.models import load
from lipop.models.config import read_config
from lipop.models.strict_json import strict_loads
from lipop.models.tensorfile import DTYPES, MAX_HEADER, TensorFile
from tests.models.fixtures import tiny_bert, tiny_llama

PROFILE = os.environ.get("LIPOP_TEST_PROFILE", "dev")
MANY = settings(max_examples={"dev": 50, "ci": 200, "nightly": 100_000}[PROFILE])


def outcome(action):
    """What an action returns and None, or None and the message of its refusal."""
    try:
        return action(), None
    except LipopError as e:
        return None, str(e)


# ---- safetensors headers ----


def pack(header, data=b"", length=None):
    """The bytes of a file; the header may be given as bytes, and its length may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def f32(shape, begin, end):
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


VALUES = np.arange(1, 11, dtype="<f4")
GOOD = pack(
    {
        "__metadata__": {"format": "pt"},
        "a": f32([2, 3], 0, 24),
        "b": {"dtype": "BF16", "shape": [0], "data_offsets": [24, 24]},
        "c": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]},
    },
    VALUES.tobytes(),
)
HEAD = len(GOOD) - VALUES.nbytes


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "fuzz.safetensors"


def agrees_or_refuses(path, content):
    """Either refused, or what the reference implementation reads too: the same names, dtypes, shapes and bytes, each a
    view of the bytes of the file."""
    path.write_bytes(content)
    file, refusal = outcome(lambda: TensorFile.open(path))
    if file is None:
        assert str(path) in refusal
        assert refusal.isprintable()
        return
    reference = dict(safetensors.deserialize(content))
    assert file.tensors.keys() == reference.keys()
    first = file.data.ctypes.data
    for name, expected in reference.items():
        begin, end = file.tensors[name].offsets
        assert 10 <= begin <= end <= len(content)  # after the length and {}
        assert file.bytes(name).nbytes == end - begin
        assert not file.bytes(name).size or file.bytes(name).ctypes.data == first + begin
        assert file.tensors[name].dtype == expected["dtype"]
        assert list(file.view(name).shape) == expected["shape"]
        assert file.bytes(name).tobytes() == bytes(expected["data"]) == content[begin:end]


@MANY
@given(st.dictionaries(st.integers(0, HEAD - 1), st.integers(0, 255), min_size=1, max_size=4))
@example({0: 0})
@example({7: 255})
@example({HEAD - 1: 0})
def test_corrupted_headers(scratch, changes):
    content = bytearray(GOOD)
    for place, value in changes.items():
        content[place] = value
    agrees_or_refuses(scratch, bytes(content))


@MANY
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=12))
def test_spliced_files(scratch, begin, end, insert):
    """A piece was cut out, or one was pasted in."""
    agrees_or_refuses(scratch, GOOD[:begin] + insert + GOOD[end:])


@MANY
@given(st.binary(max_size=200))
def test_random_bytes(scratch, content):
    agrees_or_refuses(scratch, content)


EDGES = st.sampled_from([0, 1, 2, 4, 8, 12, 16, 40, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1])
JSON = st.recursive(
    st.none() | st.booleans() | EDGES | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(DTYPES)) | JSON,
        "shape": st.lists(EDGES, max_size=3) | JSON,
        "data_offsets": st.lists(EDGES, min_size=2, max_size=2) | JSON,
    }
)
LENGTHS = st.none() | EDGES.filter(lambda n: 0 <= n < 2**64) | st.integers(0, 300) | st.just(MAX_HEADER)


@MANY
@given(
    st.dictionaries(st.sampled_from("abc") | st.text(max_size=6), ENTRY | JSON, max_size=3),
    st.binary(max_size=48),
    LENGTHS,
)
def test_headers_of_any_json(scratch, header, data, length):
    agrees_or_refuses(scratch, pack(header, data, length))


@st.composite
def tilings(draw):
    """A file whose tensors tile the data, in which one number of the header may then be changed."""
    header, at = {}, 0
    for name in draw(st.lists(st.text("abc.é", min_size=1, max_size=4), unique=True, max_size=4)):
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        end = at + int(np.prod(shape, dtype=np.int64)) * DTYPES[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    size = at + draw(st.sampled_from([0, 0, 0, 1, -1]))
    if header and draw(st.booleans()):
        entry = header[draw(st.sampled_from(sorted(header)))]
        numbers = entry[draw(st.sampled_from(["shape", "data_offsets"]))]
        if numbers:
            numbers[draw(st.integers(0, len(numbers) - 1))] = draw(EDGES | st.integers(0, 64))
    return pack(dict(draw(st.permutations(list(header.items())))), bytes(k % 256 for k in range(max(size, 0))))


@MANY
@given(tilings())
def test_headers_that_lie_in_one_number(scratch, content):
    agrees_or_refuses(scratch, content)


# ---- configs ----


@MANY
@given(st.binary(max_size=60) | st.text('[]{}",:\\u0d8e-.1tfn ', max_size=60).map(str.encode))
def test_a_config_of_any_bytes(scratch, content):
    path = scratch.with_name("config.json")
    path.write_bytes(content)
    config, refusal = outcome(lambda: read_config(path))
    assert config is not None or str(path) in refusal
    assert config is None or config == json.loads(content.decode()) == strict_loads(content, "config.json")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkpoint of each family, with its config."""
    folder = tmp_path_factory.mktemp("models")
    size = {"layers": 1, "hidden": 8, "heads": 2, "intermediate": 8, "vocab": 20}
    found = [tiny_bert(folder / "bert", max_positions=8, **size), tiny_llama(folder / "llama", groups=1, **size)]
    return [(f, json.loads((f / "config.json").read_text())) for f in found]


def shapes_of(model):
    """The shapes of input and output of the first block."""
    x = model.embed(tokens=[1, 2])
    return {x.shape, model.blocks[0](x).shape}


VALUE = EDGES | st.integers(-2, 64) | st.floats(allow_nan=False, allow_infinity=False) | JSON


@MANY
@given(st.data())
def test_a_config_with_any_values(models, data):
    """Keys with other values, fewer keys or further ones: the model loads and runs, or the config is refused."""
    folder, good = data.draw(st.sampled_from(models), label="model")
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(good)), VALUE, max_size=2), label="changed")
    more = data.draw(st.dictionaries(st.text(max_size=6) | st.just("rope_scaling"), VALUE, max_size=1), label="more")
    gone = data.draw(st.sets(st.sampled_from(sorted(good)), max_size=1), label="gone")
    config = {k: v for k, v in {**good, **changed, **more}.items() if k not in gone}
    other = folder.with_name("other")
    if not other.exists():
        other.mkdir()
    for f in folder.glob("*.safetensors"):
        (other / f.name).unlink(missing_ok=True)
        os.link(f, other / f.name)
    (other / "config.json").write_text(json.dumps(config))
    shapes, refusal = outcome(lambda: shapes_of(load(other)))
    assert refusal.isprintable() if shapes is None else shapes == {(2, 8)}


def test_the_configs_are_fine_as_they_are(models):
    for folder, _ in models:
        model = load(folder)
        x = model.embed(tokens=[1, 2])
        assert np.isfinite(model.blocks[0](x)).all()
