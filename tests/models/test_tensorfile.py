"""The safetensors reader against the reference implementation, hostile files, and corrupted headers."""

import json
import os
import struct

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from lipop.errors import CheckpointError
from lipop.models.tensorfile import DTYPES, MAX_HEADER, TensorFile
from tests.models.fixtures import MINILM


def pack(header, data=b"", length=None):
    """The bytes of a file; the header may be given as bytes, and its length may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def f32(shape, begin, end):
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def lone(shape, begin, end, size=0):
    """A file with one tensor "a" and so many bytes of data."""
    return pack({"a": f32(shape, begin, end)}, bytes(size))


LONE = json.dumps(f32([1], 0, 4)).encode()

TORCH = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "C64": torch.complex64,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}  # fmt: skip


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 4), (2, 1, 3)], ids=str)
def test_round_trip(tmp_path, dtype, shape):
    """Files written by the reference implementation from PyTorch tensors come back bit by bit."""
    rng = np.random.default_rng(len(shape))
    size = int(np.prod(shape)) * DTYPES[dtype].itemsize
    bits = torch.from_numpy(rng.integers(0, 2 if dtype == "BOOL" else 256, size=size, dtype=np.uint8))
    tensor = (bits.view(TORCH[dtype]) if size else torch.zeros(0, dtype=TORCH[dtype])).reshape(shape)
    safetensors.torch.save_file({"x": tensor, "pad": torch.zeros(3)}, tmp_path / "x.safetensors", {"format": "pt"})
    file = TensorFile.open(tmp_path / "x.safetensors")
    info = file.tensors["x"]
    assert (info.dtype, info.shape, info.nbytes, info.file) == (dtype, shape, size, tmp_path / "x.safetensors")
    assert file.view("x").dtype == DTYPES[dtype]
    assert file.view("x").shape == shape
    assert (
        file.view("x").tobytes()
        == bits.numpy().tobytes()
        == (tmp_path / "x.safetensors").read_bytes()[slice(*info.offsets)]
    )
    assert file.metadata == {"format": "pt"}


def test_views_are_read_only_and_share_the_map(tmp_path):
    safetensors.numpy.save_file({"x": np.arange(6.0), "y": np.ones(2)}, tmp_path / "x.safetensors")
    file = TensorFile.open(tmp_path / "x.safetensors")
    assert np.shares_memory(file.view("x"), file.data)
    assert np.shares_memory(file.view("x"), file.view("x"))
    assert not np.shares_memory(file.view("x"), file.view("y"))
    with pytest.raises(ValueError, match="read-only"):
        file.view("x")[0] = 1.0


def test_unaligned_data_are_read(tmp_path):
    header = json.dumps({"x": f32([3], 0, 12)}).encode()
    values = np.array([1.5, -2.0, 3.25], dtype="<f4")
    for pad in range(8):
        path = tmp_path / f"{pad}.safetensors"
        path.write_bytes(pack(header + b" " * pad, values.tobytes()))
        assert TensorFile.open(path).view("x").tolist() == [1.5, -2.0, 3.25]


def test_a_trained_model_equals_the_reference():
    file = TensorFile.open(MINILM / "model.safetensors")
    reference = safetensors.numpy.load_file(MINILM / "model.safetensors")
    assert file.tensors.keys() == reference.keys()
    assert len(reference) == 104
    for name, expected in reference.items():
        found = file.view(name)
        assert found.dtype == expected.dtype, name
        assert np.array_equal(found, expected), name


HEADER = {"a": f32([2], 0, 8), "b": f32([3], 8, 20)}
DATA = bytes(20)

HOSTILE = {
    "empty file": (b"", "0 bytes, truncated before"),
    "seven bytes": (bytes(7), "7 bytes, truncated before"),
    "length only": (struct.pack("<Q", 40), "header should have 40 bytes and 0 follow"),
    "zero length": (pack(b"", DATA), "header length 0"),
    "huge length": (pack(HEADER, DATA, 2**64 - 1), "header length 18446744073709551615 exceeds"),
    "length over the limit": (pack(HEADER, DATA, MAX_HEADER + 1), "header length 100000001 exceeds"),
    "length past the end": (pack(HEADER, DATA, 10_000), "truncated, the header should have 10000 bytes"),
    "length one short": (pack(HEADER, DATA, len(json.dumps(HEADER)) - 1), "not JSON"),
    "length one long": (pack(HEADER, DATA, len(json.dumps(HEADER)) + 1), "not JSON"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "a renamed pickle": (b"PK\x03\x04\x00\x00\x08\x08" + bytes(100), r"header length \d+ exceeds .* not a safetensors"),
    "leading blank": (pack(b" " + json.dumps(HEADER).encode(), DATA), "begin with '{', found b' '"),
    "byte order mark": (pack(b"\xef\xbb\xbf{}"), "begin with '{'"),
    "a list": (pack([1, 2]), "begin with '{'"),
    "not UTF-8": (pack(b'{"\xff": 1}'), "not UTF-8"),
    "not JSON": (pack(b"{'a': 1}"), "not JSON"),
    "trailing text": (pack(b"{} {}"), "Extra data"),
    "deep JSON": (pack(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "deep objects": (pack(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "nested too deeply"),
    "duplicate tensor": (pack(b'{"a":' + LONE + b',"a":' + LONE + b"}", bytes(4)), "key 'a' stands twice"),
    "duplicate field": (
        pack(b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "key 'dtype' stands twice",
    ),
    "NaN": (pack(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)), "NaN is not JSON"),
    "entry no object": (pack({"a": [1]}), "tensor 'a': expected exactly .* found 'list'"),
    "field missing": (pack({"a": {"dtype": "F32", "shape": [1]}}), "tensor 'a': expected exactly dtype"),
    "field too many": (pack({"a": {**f32([1], 0, 4), "strides": [8]}}, bytes(4)), "tensor 'a': .*'strides'"),
    "unknown dtype": (pack({"a": {**f32([1], 0, 4), "dtype": "F31"}}, bytes(4)), "tensor 'a': unknown dtype 'F31'"),
    "dtype a list": (pack({"a": {**f32([1], 0, 4), "dtype": ["F32"]}}, bytes(4)), "tensor 'a': unknown dtype"),
    "negative dimension": (lone([-1, -2], 0, 8, 8), r"tensor 'a': shape must be .* \[-1, -2\]"),
    "fractional dimension": (lone([1.0], 0, 4, 4), "tensor 'a': shape must be"),
    "boolean dimension": (lone([True], 0, 4, 4), "tensor 'a': shape must be"),
    "shape no list": (lone(1, 0, 4, 4), "tensor 'a': shape must be"),
    "33 axes": (lone([1] * 33, 0, 4, 4), "tensor 'a': shape must be a list of at most 32"),
    "overflowing shape": (lone([2**62, 4], 0, 0), "tensor 'a': shape .* larger than any address space"),
    "overflow behind a zero": (lone([0, 2**62, 2**62], 0, 0), "tensor 'a': .* larger than any address space"),
    "integer of 100 digits": (pack(b'{"a":{"dtype":"F32","shape":[1' + b"0" * 99 + b"]}}"), "integer with 100 digits"),
    "negative offsets": (lone([1], -4, 0), r"tensor 'a': data_offsets must be .* \[-4, 0\]"),
    "reversed offsets": (lone([1], 4, 0, 4), "tensor 'a': data_offsets must be"),
    "three offsets": (pack({"a": {**f32([1], 0, 4), "data_offsets": [0, 4, 8]}}, bytes(8)), "tensor 'a': data_offsets"),
    "offsets of 2^63": (lone([1], 2**63, 2**63 + 4, 4), "tensor 'a': data_offsets must be"),
    "size and shape differ": (lone([3], 0, 8, 8), r"tensor 'a': F32 of shape \[3\] has 12 bytes.* span 8"),
    "overlap": (pack({"a": f32([2], 0, 8), "b": f32([2], 4, 12)}, bytes(12)), "tensor 'b' overlaps tensor 'a'"),
    "the same bytes twice": (pack({"a": f32([2], 0, 8), "b": f32([2], 0, 8)}, bytes(8)), "'b' overlaps tensor 'a'"),
    "gap": (pack({"a": f32([1], 0, 4), "b": f32([1], 8, 12)}, bytes(12)), "tensor 'b' leaves a gap after tensor 'a'"),
    "gap at the start": (lone([1], 4, 8, 8), "tensor 'a' leaves a gap after the header"),
    "truncated data": (pack(HEADER, DATA[:-1]), "truncated, tensor 'b' ends at byte"),
    "no data": (pack(HEADER), "truncated, tensor 'a' ends at byte"),
    "trailing data": (pack(HEADER, DATA + b"!"), r"1 bytes follow the last tensor \(tensor 'b'\)"),
    "data without tensors": (pack({}, b"!"), r"1 bytes follow the last tensor \(the header\)"),
    "metadata no object": (pack({"__metadata__": "pt"}), "__metadata__ must map strings to strings"),
    "metadata of numbers": (pack({"__metadata__": {"step": 1}}), "__metadata__ must map strings to strings"),
    "empty name": (pack({"": f32([1], 0, 4)}, bytes(4)), "tensor '': a name must be"),
    "escape codes in a name": (pack({"\x1b[2Ja": f32([1], 0, 4)}, bytes(4)), r"tensor '\\x1b\[2Ja': a name must be"),
    "NUL in a name": (pack({"a\0": f32([1], 0, 4)}, bytes(4)), r"tensor 'a\\x00': a name must be"),
    "surrogate in a name": (pack(b'{"\\ud800":' + LONE + b"}", bytes(4)), "surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(tmp_path, case):
    content, message = HOSTILE[case]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        TensorFile.open(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(path)) + 500


def test_the_innocent_twin_opens(tmp_path):
    """The file from which the hostile ones are made is fine, so they are refused for what was changed."""
    path = tmp_path / "good.safetensors"
    path.write_bytes(pack(HEADER, DATA))
    assert {n: t.shape for n, t in TensorFile.open(path).tensors.items()} == {"a": (2,), "b": (3,)}
    path.write_bytes(pack({}))
    assert TensorFile.open(path).tensors == {}
    path.write_bytes(pack({"z": f32([0], 0, 0), "b": f32([1], 0, 4), "scalar": f32([], 4, 8)}, bytes(8)))
    assert TensorFile.open(path).view("scalar").shape == ()


def test_every_truncation_is_noticed(tmp_path):
    content = pack(HEADER, DATA)
    path = tmp_path / "cut.safetensors"
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors: .*(truncated|header length)"):
            TensorFile.open(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        TensorFile.open(tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        TensorFile.open(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        TensorFile.open(tmp_path / "pipe.safetensors")
