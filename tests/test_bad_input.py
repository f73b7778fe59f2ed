"""Bad input through the command line: exit code 2, one line that names the culprit and says what to do, no trace left.

Each refusal is tried twice: with a folder that holds a former report, which must stay byte for byte, and with a folder
that does not exist, which must not come into being.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lipop import cli
from lipop.certify import analysis
from lipop.report import files
from tests.models.fixtures import tiny_bert
from tests.report.same import content, leftovers

QUERY = "encoder.layer.1.attention.self.query.weight"
DENSE = "encoder.layer.0.intermediate.dense.weight"


def run(*argv):
    return cli.main([str(a) for a in argv])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A small BERT of two layers that is fine."""
    size = {"hidden": 8, "heads": 2, "intermediate": 8, "vocab": 30, "max_positions": 8}
    return tiny_bert(tmp_path_factory.mktemp("pristine"), layers=2, **size)


@pytest.fixture
def model(pristine, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(pristine, tmp_path / "model")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the map is a limit")
    return path


@pytest.fixture
def former(tmp_path):
    """A folder with the report of an earlier run."""
    folder = tmp_path / "former"
    folder.mkdir()
    for name in ("report.json", "report.arrays.npz"):
        (folder / name).write_text("former content")
    return folder


def everything(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def refuses(model, text, former, tmp_path, capsys):
    """Ask for an analysis that must be refused, with these words in the message."""

    def ask(*words, options=()):
        before = everything(former)
        for out in (former, tmp_path / "new"):
            code = run("analyze", model, "--text", text, "--radius", "1e-3", "--out", out, "-q", *options)
            captured = capsys.readouterr()
            assert (code, captured.out) == (2, "")
            assert captured.err.startswith("lipop: ")
            assert captured.err.endswith("\n")
            assert captured.err[:-1].isprintable()
            for word in words:
                assert word in captured.err
        assert everything(former) == before
        assert not (tmp_path / "new").exists()

    return ask


@pytest.fixture
def weights(model):
    """Change the tensors of the model."""

    def change(edit):
        tensors = load_file(model / "model.safetensors")
        edit(tensors)
        save_file(tensors, model / "model.safetensors")

    return change


@pytest.fixture
def config(model):
    """Change keys of the model's config."""

    def change(**keys):
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))

    return change


def test_the_innocent_twin_is_analysed(model, text, tmp_path):
    """What the tests spoil is fine before, so it is refused for what was changed."""
    assert run("analyze", model, "--text", text, "--radius", "1e-3", "--out", tmp_path / "new", "-q") == 0
    assert run("verify", tmp_path / "new" / "report.json", model, "--text", text, "-q") == 0
    assert leftovers(tmp_path / "new") == []


# ---- weights ----


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(refuses, weights, value):
    def edit(tensors):
        tensors[DENSE][3, 2] = value

    weights(edit)
    refuses("model.safetensors", DENSE, str(value), "(3, 2)", "must be finite")


def test_a_missing_tensor(refuses, weights):
    weights(lambda tensors: tensors.pop(QUERY))
    refuses("model", QUERY, "is missing")


def test_an_unread_tensor(refuses, weights):
    weights(lambda tensors: tensors.update({"encoder.layer.0.adapter.weight": np.zeros((2, 2), np.float32)}))
    refuses("model", "encoder.layer.0.adapter.weight", "not part of")


def test_a_tensor_of_another_shape(refuses, weights):
    weights(lambda tensors: tensors.update({QUERY: tensors[QUERY][:, :4].copy()}))
    refuses("model.safetensors", QUERY, "(8, 4)", "expected (8, 8)")


def test_a_tensor_of_integers(refuses, weights):
    weights(lambda tensors: tensors.update({QUERY: np.ones((8, 8), np.int32)}))
    refuses("model.safetensors", QUERY, "I32", "expected weights")


def test_truncated_safetensors(refuses, model):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    refuses("model.safetensors", "truncated", "fetch the file again")


def lie(path, name, offsets):
    """Give a tensor other offsets in the header."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header[name]["data_offsets"] = offsets
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


@pytest.mark.parametrize(
    "offsets", [[0, 256], [10**9, 10**9 + 256], [2**62, 2**62 + 256], [-256, 0], [256, 0]], ids=str
)
def test_a_header_that_lies_about_offsets(refuses, model, offsets):
    lie(model / "model.safetensors", QUERY, offsets)
    refuses("model.safetensors", "tensor '")


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "a/../../outside.safetensors"])
def test_a_shard_index_that_leaves_the_folder(refuses, model, tmp_path, shard):
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").rename(tmp_path / "outside.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, shard)}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    refuses("model.safetensors.index.json", repr(shard), "not the name of a file in the folder")


# ---- config ----


@pytest.mark.parametrize("value", [True, None, 30.0])
def test_an_unknown_config_key(refuses, config, value):
    config(attn_logit_softcapping=value)
    refuses("'attn_logit_softcapping'", "not known to leave the map unchanged")


@pytest.mark.parametrize(
    "value", ["gpt-9", None, ["bert"], {"bert": 1}, 7, "bert\x1b[2J", "x" * 10**5], ids=lambda v: str(v)[:9]
)
def test_an_unknown_model_type(refuses, config, value):
    config(model_type=value)
    refuses("config key 'model_type'", "lipop knows")


@pytest.mark.parametrize("layers", [10_001, 10**18])
def test_more_layers_than_the_file_has_tensors(refuses, config, layers):
    config(num_hidden_layers=layers)
    refuses("num_hidden_layers", str(layers), "tensors")


# ---- text and options ----


@pytest.mark.parametrize("content", ["", " \n\t"])
def test_an_empty_text(refuses, text, content):
    text.write_text(content)
    refuses("the text is empty", "give at least one word")


def test_tokens_beyond_the_vocabulary(refuses, config, weights):
    """The tokenizer knows thirty words, the table of embeddings ten."""
    config(vocab_size=10)
    name = "embeddings.word_embeddings.weight"
    weights(lambda tensors: tensors.update({name: tensors[name][:10].copy()}))
    refuses("token id 10 at index 5", "outside the vocabulary 0, ..., 9", "is the tokenizer this model's?")


def test_more_tokens_than_positions(refuses, text):
    text.write_text("the map is a limit of operators")
    refuses("9 tokens", "8 positions", "shorter text, or fewer tokens")


@pytest.mark.parametrize("radius", ["-1e-3", "nan", "inf", "-inf", "0"])
def test_radii_that_are_none(refuses, radius):
    refuses("radii must be positive, finite", options=[f"--radius={radius}"])


# ---- hostile strings ----

MARKUP = "<img src=x onerror=alert(1)> [bold red]x &amp; 'q' \"q\" $(id)"
CONTROL = "\x1b[2J\x1b]0;title\x07\u202e\r\n"
SHOWN = r"\x1b[2J\x1b]0;title\x07\u202e"


def test_a_hostile_config_key(refuses, config):
    config(**{MARKUP + CONTROL: MARKUP + CONTROL})
    refuses(MARKUP.replace("'", "\\'"), SHOWN)


def test_a_hostile_config_value(refuses, config):
    config(hidden_act=MARKUP + CONTROL)
    refuses("'hidden_act'", "'gelu'")


def test_a_hostile_tensor_name(refuses, weights):
    weights(lambda tensors: tensors.update({MARKUP: np.zeros(1, np.float32)}))
    refuses("img src=x onerror=alert(1)", "not part of")
    weights(lambda tensors: tensors.update({CONTROL: np.zeros(1, np.float32)}))
    refuses(SHOWN, "a name must be non-empty and printable")


@pytest.mark.parametrize("name", [MARKUP + CONTROL, os.fsdecode(b"model-\xff\xfe")], ids=["markup", "not UTF-8"])
def test_a_hostile_path(model, text, tmp_path, name, capsys):
    """The path of a model stands in the report and is printed; both ways it must stay a string."""
    path = model.rename(tmp_path / name)
    assert run("analyze", path, "--text", text, "--radius", "1e-3", "--out", tmp_path / "new", "--blocks", "0") == 0
    captured = capsys.readouterr()
    assert all(c.isprintable() for line in (captured.out + captured.err).split("\n") for c in line)
    assert run("verify", tmp_path / "new" / "report.json", path) == 0
    assert run("spectrum", path, "--blocks", "0", "-q") == 0
    data = files.read_json(tmp_path / "new" / "report.json")
    assert data["model"]["path"].startswith(str(tmp_path))
    assert json.dumps(data, ensure_ascii=False).encode()
    assert "<img src" not in (tmp_path / "new" / "report.html").read_text()


# ---- the output folder ----


@pytest.mark.parametrize("inner", ["", "inner", "inner/deeper"])
def test_a_file_in_place_of_the_folder(refuses, tmp_path, inner):
    (tmp_path / "file").write_text("precious")
    refuses("file", "name another output folder", options=["--out", tmp_path / "file" / inner])
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which not even root can write")
@pytest.mark.parametrize("folder", ["/proc/self", "/proc/lipop"])
def test_a_folder_that_cannot_be_written(refuses, folder):
    refuses(folder, "name another output folder", options=["--out", folder])


@pytest.fixture
def small_files():
    """No file may grow beyond some bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_full_folder(refuses, small_files, size):
    """Full before the first byte, before the store's first page, and in the middle of it."""
    small_files(size)
    refuses("", "make room")


def test_a_folder_that_is_full_when_the_report_is_written(model, text, former, monkeypatch, capsys):
    """The report of the former run stays, nothing is left of the new one but its store, from which it can go on."""
    before = everything(former)
    argv = ("analyze", model, "--text", text, "--radius", "1e-3", "--out", former, "-q")
    with monkeypatch.context() as m:
        m.setattr(os, "fsync", full)
        assert run(*argv) == 2
    assert "cannot be written (No space left on device); make room" in capsys.readouterr().err
    assert {k: v for k, v in everything(former).items() if k != "runs.sqlite"} == before
    assert run(*argv) == 0
    assert leftovers(former) == []


def full(handle):
    raise OSError(28, "No space left on device")


HOLD = """
import sys
from pathlib import Path
from lipop.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_on_one_folder(model, text, tmp_path, capsys):
    folder = tmp_path / "shared"
    argv = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "held\n"
        before = everything(folder)
        assert run("analyze", model, "--text", text, "--out", folder, "-q") == 2
        message = capsys.readouterr().err
        assert everything(folder) == before
        first.communicate()
    assert f"{folder}: another run (process {first.pid}) is at work in this folder" in message
    assert message.count("\n") == 1


# ---- interruptions ----


def test_ctrl_c_in_mid_run(model, text, tmp_path, monkeypatch, capsys):
    """A real SIGINT in the second block: the first is in the report and in the store, and the same command goes on."""
    whole, folder = tmp_path / "whole", tmp_path / "folder"
    options = ("analyze", model, "--text", text, "--radius", "1e-3", "-q", "--out")
    inner, calls = analysis.analyze_block, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return inner(*args, **kwargs)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore the signal
    try:
        with monkeypatch.context() as m:
            m.setattr(analysis, "analyze_block", interrupted)
            assert run(*options, folder) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"interrupted; finished blocks are kept in {folder}" in captured.err
    assert [b["index"] for b in files.read_json(folder / "report.json")["blocks"]] == [0]
    assert leftovers(folder) == []
    assert run(*options, folder) == 0
    assert run(*options, whole) == 0
    assert content(folder / "report.json") == content(whole / "report.json")


# ---- weights at the edge of what floats can hold ----


@pytest.mark.parametrize(
    ("part", "value"),
    [("", 0.0), ("LayerNorm", 0.0), ("embeddings", 5e-324), ("attention", 1e-310), ("dense", 1e-300), ("", 1e-160)],
)
def test_tiny_weights_are_no_bad_input(model, weights, text, tmp_path, part, value):
    """Zero and denormal weights are numbers like others: the report holds, at the input 0 too."""

    def edit(tensors):
        for name, x in tensors.items():
            tensors[name] = np.full(x.shape, value) if part in name else x.astype(np.float64)

    weights(edit)
    report = tmp_path / "new" / "report.json"
    assert run("analyze", model, "--text", text, "--radius", "1e-3", "--out", report.parent, "-q") == 0
    assert run("verify", report, model, "-q") == 0


@pytest.mark.parametrize("value", [1e38, 1e150, 1e300])
def test_huge_weights_are_bounded_or_refused(model, weights, text, tmp_path, value, capsys):
    weights(lambda tensors: tensors.update({DENSE: tensors[DENSE].astype(np.float64) * value}))
    report = tmp_path / "new" / "report.json"
    code = run("analyze", model, "--text", text, "--radius", "1e-3", "--out", report.parent, "-q")
    message = capsys.readouterr().err
    assert (code == 0 and run("verify", report, model, "-q") == 0) or (code == 2 and "block 0 (encoder" in message)
