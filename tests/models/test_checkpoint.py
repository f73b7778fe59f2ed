"""Checkpoints: exact values, what was read, digests, shards, and the refusals."""

import hashlib
import json
import pickle
import shutil

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from lipop.errors import CheckpointError, NonFiniteError, ShapeError
from lipop.models.checkpoint import INDEX, WEIGHTS, Checkpoint
from tests.models.fixtures import MINILM, tiny_bert, write_weights

DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def folder_with(tmp_path, tensors):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    write_weights(tmp_path, tensors)
    return tmp_path


@pytest.fixture
def weights(tmp_path):
    """One tensor in each dtype that holds weights, extremes and subnormals included, and two that hold none."""
    random = torch.Generator().manual_seed(1)
    tensors = {"ids": torch.arange(4), "quantised": torch.zeros(2, dtype=torch.uint8)}
    for name in DTYPES:
        dtype = getattr(torch, name)
        info = torch.finfo(dtype)
        edge = torch.tensor([info.max, info.min, info.tiny, info.smallest_normal / 4, 0.0, -0.0], dtype=dtype)
        tensors[name] = torch.cat([edge, torch.randn(6, generator=random).to(dtype)]).reshape(3, 4)
    return Checkpoint.open(folder_with(tmp_path, tensors)), tensors


@pytest.mark.parametrize("name", DTYPES)
def test_array_widens_exactly(weights, name):
    ckpt, tensors = weights
    assert ckpt.info(name).dtype == DTYPES[name]
    default = ckpt.array(name, shape=(3, 4))
    assert default.dtype == (np.float64 if name == "float64" else np.float32)
    wide = ckpt.array(name, dtype="float64")
    assert wide.dtype == np.float64
    expected = tensors[name].double().numpy()
    for found in (default, wide):
        assert np.array_equal(found, expected)
        assert np.array_equal(np.signbit(found), np.signbit(expected))
        assert not found.flags.writeable
        assert found.flags.aligned


def test_array_copies_only_to_widen(weights):
    ckpt, _ = weights
    for name in ("float32", "float64"):
        assert np.shares_memory(ckpt.array(name), ckpt.raw(name))
    assert not np.shares_memory(ckpt.array("float32", dtype=np.float64), ckpt.raw("float32"))


def test_unaligned_tensors_come_out_aligned(tmp_path):
    header = b'{"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}'
    values = np.array([0.1, -7.5])
    for pad in range(8):
        path = tmp_path / f"{pad}.safetensors"
        path.write_bytes(
            (len(header) + pad).to_bytes(8, "little") + header + b" " * pad + values.astype("<f8").tobytes()
        )
        x = Checkpoint.open(path).array("x")
        assert x.flags.aligned
        assert not x.flags.writeable
        assert np.array_equal(x, values)


@pytest.mark.parametrize(("name", "dtype"), [("float64", "float32"), ("float32", "float16"), ("bfloat16", "int64")])
def test_array_refuses_to_round(weights, name, dtype):
    with pytest.raises(CheckpointError, match=f"tensor '{name}' holds {DTYPES[name]}, which {dtype} would not keep"):
        weights[0].array(name, dtype=dtype)


def test_array_refuses_what_is_no_weight(weights):
    ckpt, _ = weights
    with pytest.raises(CheckpointError, match="tensor 'ids' holds I64"):
        ckpt.array("ids")
    with pytest.raises(CheckpointError, match="tensor 'quantised' holds U8"):
        ckpt.array("quantised")
    assert ckpt.raw("ids").tolist() == [0, 1, 2, 3]


def test_array_checks_the_shape(weights):
    with pytest.raises(ShapeError, match=r"tensor 'float32' has shape \(3, 4\), expected \(4, 3\)"):
        weights[0].array("float32", shape=(4, 3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_array_names_the_first_value_that_is_not_finite(tmp_path, dtype, value):
    x = torch.zeros(3, 1000, 500, dtype=getattr(torch, dtype))
    x[2, 345, 67] = x[2, 345, 68] = float(value)
    ckpt = Checkpoint.open(folder_with(tmp_path, {"w": x}))
    with pytest.raises(NonFiniteError, match=rf"tensor 'w' holds {value} at index \(2, 345, 67\)"):
        ckpt.array("w")


def test_a_missing_tensor_is_named_with_its_neighbours(tmp_path):
    ckpt = Checkpoint.open(tiny_bert(tmp_path))
    wanted = "encoder.layer.0.attention.self.query.weights"
    for method in (ckpt.info, ckpt.raw, ckpt.array, ckpt.sha256):
        with pytest.raises(CheckpointError, match=r"no tensor '.*query\.weights'.*near.*'encoder\S+query\.weight'"):
            method(wanted)
    with pytest.raises(CheckpointError, match="no name is near"):
        ckpt.info("#")
    assert wanted not in ckpt
    assert wanted[:-1] in ckpt


def test_unread(tmp_path):
    ckpt = Checkpoint.open(tiny_bert(tmp_path, layers=1))
    assert ckpt.unread() == ckpt.names == tuple(sorted(ckpt.names))
    for name in ckpt.names:
        ckpt.info(name)
        ckpt.sha256(name)
    assert ckpt.unread() == ckpt.names
    for name in ckpt.names:
        if name.startswith("encoder"):
            ckpt.array(name)
    ckpt.raw("embeddings.word_embeddings.weight")
    assert ckpt.unread(ignore=["embeddings.*"]) == ("pooler.dense.bias", "pooler.dense.weight")
    assert ckpt.unread(ignore=["pooler.dense.weight", "embeddings.*"]) == ("pooler.dense.bias",)
    assert ckpt.unread(ignore=["*"]) == ()


def test_a_refused_tensor_stays_unread(weights):
    ckpt, _ = weights
    with pytest.raises(ShapeError):
        ckpt.array("float32", shape=(1,))
    assert "float32" in ckpt.unread()


def test_sha256_is_that_of_the_stored_bytes(weights):
    ckpt, tensors = weights
    for name, tensor in tensors.items():
        assert ckpt.sha256(name) == hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def test_digest_sees_every_byte_and_no_name_of_a_file(tmp_path):
    one = tiny_bert(tmp_path / "one", shards=3)
    two = tiny_bert(tmp_path / "two", shards=3)
    base = Checkpoint.open(one).digest
    assert Checkpoint.open(two).digest == base
    index = json.loads((two / INDEX).read_text())
    names = sorted(set(index["weight_map"].values()))
    for k, name in enumerate(names):  # other names, in another order
        (two / name).rename(two / f"z{3 - k}.safetensors")
        index["weight_map"] = {t: f"z{3 - k}.safetensors" if f == name else f for t, f in index["weight_map"].items()}
    (two / INDEX).write_text(json.dumps(index))
    assert Checkpoint.open(two).digest == base
    config = (two / "config.json").read_text()
    (two / "config.json").write_text(config + "\n")
    assert Checkpoint.open(two).digest != base
    (two / "config.json").write_text(config)
    content = bytearray((two / "z2.safetensors").read_bytes())
    content[-1] ^= 1
    (two / "z2.safetensors").write_bytes(content)
    assert Checkpoint.open(two).digest != base


def test_a_file_is_the_folder_that_holds_nothing_else(tmp_path):
    folder = tiny_bert(tmp_path / "a")
    by_file, by_folder = Checkpoint.open(folder / WEIGHTS), Checkpoint.open(folder)
    assert by_file.digest == by_folder.digest
    assert by_file.config == by_folder.config == json.loads((folder / "config.json").read_text())
    alone = shutil.copy(folder / WEIGHTS, tmp_path / "alone.safetensors")
    with pytest.raises(CheckpointError, match=r"alone\.safetensors: no config\.json"):
        _ = Checkpoint.open(alone).config
    assert Checkpoint.open(alone).names == by_file.names


def test_a_checkpoint_pickles_by_path(tmp_path):
    ckpt = Checkpoint.open(tiny_bert(tmp_path, shards=2))
    other = pickle.loads(pickle.dumps(ckpt))
    assert other.digest == ckpt.digest
    assert "39 tensors in 2 files" in repr(other)


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shards", [1, 3])
def test_tiny_bert_is_what_transformers_reads(tmp_path, prefix, dtype, shards):
    from transformers import BertModel

    folder = tiny_bert(tmp_path, prefix=prefix, dtype=dtype, shards=shards)
    ckpt = Checkpoint.open(folder)
    model = BertModel.from_pretrained(folder).double().eval()
    parameters = dict(model.named_parameters())
    assert set(ckpt.names) == {prefix + name for name in parameters}
    for name, p in parameters.items():
        x = ckpt.array(prefix + name, shape=tuple(p.shape), dtype="float64")
        assert np.array_equal(x, p.detach().numpy()), name
        assert x.std() > 0.05, name
    states = model(torch.arange(30)[None], output_hidden_states=True).hidden_states
    assert all(0.5 < float(h.detach().square().mean()) < 4 for h in states)


def test_tiny_bert_depends_on_its_seed(tmp_path):
    a, b, c = (Checkpoint.open(tiny_bert(tmp_path / str(k), seed=seed)) for k, seed in enumerate((0, 0, 1)))
    assert a.digest == b.digest
    assert all(a.sha256(name) != c.sha256(name) for name in a.names)


def test_a_trained_model():
    ckpt = Checkpoint.open(MINILM)
    reference = safetensors.numpy.load_file(MINILM / WEIGHTS)
    assert ckpt.names == tuple(sorted(reference))
    for name, expected in reference.items():
        if expected.dtype == np.float32:
            assert np.array_equal(ckpt.array(name, shape=expected.shape), expected), name
    assert ckpt.unread() == ("embeddings.position_ids",)
    assert ckpt.config["hidden_size"] == 384
    weights = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    config = hashlib.sha256((MINILM / "config.json").read_bytes()).hexdigest()
    text = json.dumps(["checkpoint", config, [weights]], separators=(",", ":"))
    assert ckpt.digest == hashlib.sha256(text.encode()).hexdigest()


# Refusals


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.ckpt"])
def test_pickles_are_refused_with_the_way_out(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(CheckpointError, match=rf"{name}: a pickle .*save_pretrained"):
        Checkpoint.open(tmp_path)


def test_a_pickle_beside_safetensors_is_not_touched(tmp_path):
    folder = tiny_bert(tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert len(Checkpoint.open(folder).names) == 39
    with pytest.raises(CheckpointError, match="a pickle checkpoint"):
        Checkpoint.open(folder / "pytorch_model.bin")


def test_folders_without_a_checkpoint_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="absent: no such file or folder"):
        Checkpoint.open(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        Checkpoint.open(tmp_path)
    folder = tiny_bert(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"config\.json: expected a folder or a \.safetensors file"):
        Checkpoint.open(folder / "config.json")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json beside the weights"):
        Checkpoint.open(folder)


@pytest.fixture
def sharded(tmp_path):
    folder = tiny_bert(tmp_path / "model", shards=2)
    return folder, json.loads((folder / INDEX).read_text())


def rewrite(folder, index):
    (folder / INDEX).write_text(json.dumps(index))
    return folder


FIRST = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize(
    "escape", ["../outside.safetensors", "a/../../outside.safetensors", "", ".", "..", "a\\..\\b", "a\0b"]
)
def test_shards_outside_the_folder_are_refused(sharded, tmp_path, escape):
    folder, index = sharded
    shutil.copy(folder / FIRST, tmp_path / "outside.safetensors")
    index["weight_map"] = {t: escape if f == FIRST else f for t, f in index["weight_map"].items()}
    with pytest.raises(CheckpointError, match=r"shard '.*' is not the name of a file in the folder"):
        Checkpoint.open(rewrite(folder, index))


def test_absolute_shards_are_refused(sharded, tmp_path):
    folder, index = sharded
    outside = shutil.copy(folder / FIRST, tmp_path / "outside.safetensors")
    for target in (outside, folder / FIRST):
        index["weight_map"] = {t: str(target) for t in index["weight_map"]}
        with pytest.raises(CheckpointError, match=r"shard '.*' is not the name of a file in the folder"):
            Checkpoint.open(rewrite(folder, index))


def test_links_that_leave_the_folder_are_refused(sharded, tmp_path):
    folder, _ = sharded
    (folder / FIRST).rename(tmp_path / "outside.safetensors")
    (folder / FIRST).symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(CheckpointError, match=f"shard '{FIRST}' is a link that leaves"):
        Checkpoint.open(folder)
    (tmp_path / "outside.safetensors").rename(folder / "inside.safetensors")
    (folder / FIRST).unlink()
    (folder / FIRST).symlink_to("inside.safetensors")
    assert len(Checkpoint.open(folder).names) == 39
    (folder / FIRST).unlink()
    (folder / FIRST).symlink_to(FIRST)
    with pytest.raises(CheckpointError, match=f"shard '{FIRST}' is missing"):
        Checkpoint.open(folder)


def test_links_of_a_hub_cache_are_followed(tmp_path):
    """A cache keeps snapshots/REVISION/FILE as a link to blobs/HASH of the same model."""
    folder = tiny_bert(tmp_path / "models--a--b" / "snapshots" / "0123", shards=2)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    for k, file in enumerate(sorted(folder.glob("*.safetensors"))):
        file.rename(blobs / str(k))
        file.symlink_to(f"../../blobs/{k}")
    assert len(Checkpoint.open(folder).names) == 39
    (tmp_path / "models--c--d" / "blobs").mkdir(parents=True)
    (blobs / "0").rename(tmp_path / "models--c--d" / "blobs" / "0")
    (folder / FIRST).unlink()
    (folder / FIRST).symlink_to("../../../models--c--d/blobs/0")
    with pytest.raises(CheckpointError, match="is a link that leaves"):
        Checkpoint.open(folder)


def test_an_index_that_disagrees_with_its_shards_is_refused(sharded):
    folder, index = sharded
    where = dict(index["weight_map"])
    name, home = "pooler.dense.weight", where["pooler.dense.weight"]
    other = next(f for f in where.values() if f != home)
    for changed, message in [
        ({**where, name: other}, f"{other}: tensor '{name}', which .* places here, is missing"),
        ({**where, "ghost": other}, f"{other}: tensor 'ghost', which .* places here, is missing"),
        ({t: f for t, f in where.items() if t != name}, f"{home}: holds tensor '{name}', which .* does not list"),
        ({**where, "ghost": "absent.safetensors"}, "shard 'absent.safetensors' is missing"),
        ({}, "weight_map gives a file name for each tensor"),
        ({**where, name: 3}, "weight_map gives a file name for each tensor"),
        (None, "weight_map gives a file name for each tensor"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            Checkpoint.open(rewrite(folder, {"weight_map": changed}))
    for text in ("[]", "{", '{"weight_map": {}, "weight_map": {}}'):
        (folder / INDEX).write_text(text)
        with pytest.raises(CheckpointError, match=r"index\.json: "):
            Checkpoint.open(folder)


def test_a_tensor_in_two_shards_is_refused(sharded):
    folder, index = sharded
    home = index["weight_map"]["pooler.dense.weight"]
    other = next(f for f in index["weight_map"].values() if f != home)
    tensors = safetensors.torch.load_file(folder / other)
    safetensors.torch.save_file({**tensors, "pooler.dense.weight": torch.zeros(16, 16)}, folder / other)
    with pytest.raises(
        CheckpointError, match=f"{other}: holds tensor 'pooler.dense.weight', which .* places in '{home}'"
    ):
        Checkpoint.open(folder)


def test_two_sets_of_weights_are_refused(sharded):
    folder, _ = sharded
    shutil.copy(folder / FIRST, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="keep one of the two"):
        Checkpoint.open(folder)


def test_a_truncated_shard_is_named(sharded):
    folder, _ = sharded
    content = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(content[:-100])
    with pytest.raises(CheckpointError, match=f"{FIRST}: truncated, tensor '.*' ends at byte {len(content)}"):
        Checkpoint.open(folder)
