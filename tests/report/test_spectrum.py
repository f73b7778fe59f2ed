"""The survey of a checkpoint: true brackets for every matrix, proofs that can be redone, runs that can be resumed."""

import io
import json
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from lipop import cli
from lipop.core.bound import LOWER, UPPER
from lipop.core.rounding import on_grid
from lipop.core.rule import RULES
from lipop.errors import DomainError, NonFiniteError
from lipop.models.checkpoint import Checkpoint
from lipop.report import files
from lipop.report.spectrum import Settings, blocks, chosen, places, survey
from lipop.report.survey_density import density
from lipop.report.survey_matrix import StoredMatrix
from lipop.report.survey_table import summary, table
from lipop.runs import Store
from tests.models.fixtures import tiny_llama

HOSTILE = "[red]x\x1b[2J\x07</script>"


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """Two blocks in bf16, two shards, embedding and head."""
    return tiny_llama(tmp_path_factory.mktemp("llama"), dtype="bfloat16", hidden=32, intermediate=48, shards=2)


@pytest.fixture
def anything(tmp_path):
    """A file of no family: odd names, all float types, and tensors that are no matrices of weights."""
    rng = np.random.default_rng(0)
    tensors = {
        "blob": rng.standard_normal((7, 5)),
        "enc.10.w": rng.standard_normal((4, 9)).astype(np.float32),
        "enc.2.w": rng.standard_normal((6, 6)).astype(np.float16),
        "enc.2.b": rng.standard_normal(6).astype(np.float32),
        "conv.kernel": rng.standard_normal((2, 3, 3)).astype(np.float32),
        "ids": np.arange(6).reshape(2, 3),
        "empty": np.zeros((0, 3), np.float32),
        "nil": np.zeros((3, 2), np.float32),
    }
    save_file(tensors, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors", tensors


def run(*argv):
    return cli.main([str(a) for a in argv])


def as_json(capsys, *argv):
    assert run("spectrum", *argv, "--json", "-", "-q") == 0
    return json.loads(capsys.readouterr().out)


def values(checkpoint, name):
    return checkpoint.array(name).astype(np.float64)


def render(renderable, width=200):
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


# ---- the numbers ----


@pytest.mark.parametrize("proved", [False, True])
def test_every_bracket_is_true_and_narrow(llama, proved, capsys):
    data = as_json(capsys, llama, *(["--proved"] if proved else []))
    checkpoint = Checkpoint.open(llama)
    matrices = [n for n in checkpoint.names if len(checkpoint.info(n).shape) == 2]
    assert sorted(r["name"] for r in data["matrices"]) == matrices
    assert data["complete"]
    for r in data["matrices"]:
        a = values(checkpoint, r["name"])
        norm, size = np.linalg.norm(a, 2), np.linalg.norm(a)
        assert r["norm"]["lower"] <= norm <= r["norm"]["upper"] <= 1.01 * r["norm"]["lower"]
        assert r["norm"]["status"] == ("PROVED" if proved else "PROBABLE(1e-09)")
        assert r["norm"]["lower_status"] == r["frobenius"]["status"] == "PROVED"
        assert r["frobenius"]["lower"] * (1 - 1e-15) <= size <= r["frobenius"]["upper"] * (1 + 1e-15)
        assert r["stable_rank"]["lower"] <= (size / norm) ** 2 <= r["stable_rank"]["upper"]
        assert r["stable_rank"]["lower_status"] == r["norm"]["status"]
        assert (r["shape"], r["dtype"], r["bytes"]) == (list(a.shape), "BF16", 2 * a.size)
        assert r["passes"] > r["steps"] > 0


def test_the_density_costs_no_product_and_is_close():
    """Against the true distribution of the squared singular values, through its first moments."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((500, 400))
    found = StoredMatrix("a", "F64", a).survey()
    points, weights = found.density
    squares = np.linalg.svd(a, compute_uv=False) ** 2
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert (np.diff(points) <= 0).all()
    assert points[0] == pytest.approx(np.sqrt(squares[0]), rel=1e-2)
    for power in (1, 2):
        assert weights @ points ** (2 * power) == pytest.approx((squares**power).mean(), rel=0.3)
    assert found.passes <= found.steps + 3


def test_the_density_is_a_gauss_quadrature():
    """Exact against <v, f(B) v> for polynomials of degree below 2k, from coefficients that are known."""
    rng = np.random.default_rng(2)
    eigenvalues, v = rng.uniform(0, 3, 30), rng.standard_normal(30)
    v /= np.linalg.norm(v)
    basis, alphas, betas = [v], [], []
    for _ in range(4):
        w = eigenvalues * basis[-1]
        alphas.append(w @ basis[-1])
        for b in basis * 2:
            w = w - (w @ b) * b
        betas.append(np.linalg.norm(w))
        basis.append(w / betas[-1])
    points, weights = density(np.array(alphas), np.array(betas))
    for degree in range(8):
        assert weights @ points ** (2 * degree) == pytest.approx(v**2 @ eigenvalues**degree, rel=1e-9)


def test_any_checkpoint(anything, capsys):
    path, tensors = anything
    data = as_json(capsys, path)
    assert [(r["name"], r["block"]) for r in data["matrices"]] == [
        ("blob", None), ("nil", None), ("enc.2.w", "enc.2"), ("enc.10.w", "enc.10")
    ]  # fmt: skip
    assert data["left_out"] == ["conv.kernel", "empty", "ids"]
    zero = next(r for r in data["matrices"] if r["name"] == "nil")
    assert (zero["norm"]["lower"], zero["norm"]["upper"], zero["norm"]["status"]) == (0, 0, "PROVED")
    assert zero["stable_rank"] is None
    for r in data["matrices"]:
        norm = np.linalg.norm(tensors[r["name"]].astype(np.float64), 2)
        assert r["norm"]["lower"] <= norm * (1 + 1e-14)
        assert norm <= r["norm"]["upper"] * (1 + 1e-14)
    assert run("spectrum", path) == 0
    captured = capsys.readouterr()
    assert "conv.kernel, empty, ids" in captured.err
    assert "enc.10" in captured.out


def test_blocks(anything, llama, capsys):
    path, _ = anything
    assert blocks(places(Checkpoint.open(path))[0]) == 11
    assert [r["name"] for r in as_json(capsys, path, "--blocks", "2:5")["matrices"]] == ["enc.2.w"]
    rows = as_json(capsys, llama, "--blocks", "1:")["matrices"]
    assert {r["block"] for r in rows} == {"model.layers.1"}
    assert len(rows) == 7
    for bad in ("3:", "2:1", "x"):
        assert run("spectrum", llama, f"--blocks={bad}") == 2
        assert "--blocks" in capsys.readouterr().err


def test_the_seed_makes_the_numbers(llama, capsys):
    once, again, other = (as_json(capsys, llama, "--seed", s)["matrices"] for s in (0, 0, 1))
    assert [r["norm"] for r in once] == [r["norm"] for r in again]
    assert [r["norm"] for r in once] != [r["norm"] for r in other]


def test_far_from_one(tmp_path):
    for scale in (1e-200, 1e200):
        a = np.random.default_rng(0).standard_normal((9, 6)) * scale
        matrix = StoredMatrix("a", "F64", a)
        found = matrix.survey()
        assert found.norm.lower.value / scale <= np.linalg.norm(a / scale, 2) <= found.norm.upper.value / scale
        assert matrix._quotient(found.norm.lower.witness.arrays["v"]) >= found.norm.lower.value


# ---- proofs ----


@pytest.mark.parametrize("proved", [False, True])
@pytest.mark.parametrize("shape", [(40, 25), (25, 40)])
@pytest.mark.parametrize("dtype", ["F16", "F32", "F64"])
def test_the_leaves_can_be_redone(proved, shape, dtype):
    a = np.random.default_rng(3).standard_normal(shape).astype({"F16": "f2", "F32": "f4", "F64": "f8"}[dtype])
    matrix = StoredMatrix("a", dtype, a).hashed()
    found = matrix.survey(proved=proved)
    for bound in (found.norm.lower, found.norm.upper):
        bound.check()
        rule = RULES[bound.rule]
        assert on_grid(bound.value, rule.grid)
        raw = matrix.reprove(bound.rule, bound.claim, bound.params, bound.witness)
        assert raw >= bound.value if bound.claim.side == LOWER else raw <= bound.value
        assert bound.claim.operator == matrix.digest
        assert bound.premises == ()
    assert {found.norm.lower.claim.side, found.norm.upper.claim.side} == {LOWER, UPPER}


def test_the_digest_follows_the_bytes():
    a = np.eye(3, dtype=np.float32)
    one, other = StoredMatrix("a", "F32", a).hashed(), StoredMatrix("a", "F32", 2 * a).hashed()
    assert one.digest != other.digest
    assert one.digest == StoredMatrix("b", "F32", a.copy()).hashed().digest


def test_a_folder_holds_numbers_proofs_and_arrays(llama, tmp_path):
    out = tmp_path / "out"
    assert run("spectrum", llama, "--out", out, "-q") == 0
    assert sorted(p.name for p in out.iterdir()) == ["runs.sqlite", "survey.arrays.npz", "survey.json"]
    data, arrays = json.loads((out / "survey.json").read_text()), files.read_arrays(out / "survey.arrays.npz")
    checkpoint = Checkpoint.open(llama)
    for r in data["matrices"]:
        assert r["sha256"] == checkpoint.sha256(r["name"])
        upper, lower = data["proofs"][r["norm"]["proof"]], data["proofs"][r["norm"]["lower_proof"]]
        assert float.fromhex(upper["value"]) == r["norm"]["upper"]
        v = arrays[lower["witness"]["arrays"]["v"]]
        quotient = np.linalg.norm(values(checkpoint, r["name"]) @ v) / np.linalg.norm(v)
        assert r["norm"]["lower"] <= quotient <= r["norm"]["lower"] * (1 + 1e-6)


# ---- runs ----


def test_a_second_run_takes_what_is_there(llama, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("spectrum", llama, "--blocks", "0", "--out", out) == 0
    assert "taken" not in capsys.readouterr().out
    first = json.loads((out / "survey.json").read_text())["matrices"]
    assert run("spectrum", llama, "--out", out) == 0
    assert f"{len(first)} taken from an earlier run" in capsys.readouterr().out
    second = {r["name"]: r for r in json.loads((out / "survey.json").read_text())["matrices"]}
    assert all(second[r["name"]] == r for r in first)  # seconds too: it is the same entry
    for more in (["--seed", "1"], ["--proved"], ["--fresh"]):
        assert run("spectrum", llama, "--blocks", "0", "--out", out, *more) == 0
        assert "taken" not in capsys.readouterr().out


def test_changed_weights_are_read_again(anything, tmp_path):
    path, tensors = anything
    which, _ = places(Checkpoint.open(path))
    with Store.open(tmp_path / "out") as store:
        assert not any(r.found for r in survey(Checkpoint.open(path), which, store=store))
        tensors["enc.2.w"][0, 0] += 1
        save_file(tensors, path)
        again = {r.entry["name"]: r.found for r in survey(Checkpoint.open(path), which, store=store)}
    assert again == {"blob": True, "nil": True, "enc.10.w": True, "enc.2.w": False}


def test_kill_loses_the_matrix_in_progress_only(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {f"layers.{i}.w": rng.standard_normal((900, 700)).astype(np.float32) for i in range(40)}
    save_file(tensors, tmp_path / "m.safetensors")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lipop.cli", "spectrum", str(tmp_path / "m.safetensors"), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while kept(out) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = kept(out)
    assert done >= 3
    again = subprocess.run([*command, "--json", str(tmp_path / "s.json")], capture_output=True, text=True, check=True)
    assert f"{done} taken from an earlier run" in again.stdout or done == len(tensors)
    data = json.loads((tmp_path / "s.json").read_text())
    assert data["complete"]
    assert len(data["matrices"]) == len(tensors)
    assert kept(out) == len(tensors)


def kept(out):
    """How many entries a store holds, seen from outside."""
    if not (out / "runs.sqlite").exists():
        return 0
    with closing(sqlite3.connect(f"file:{out / 'runs.sqlite'}?mode=ro", uri=True)) as db:
        try:
            return db.execute("SELECT count(*) FROM entries").fetchone()[0]
        except sqlite3.OperationalError:  # not made yet, or being written
            return 0


def test_ctrl_c_keeps_what_is_done(llama, tmp_path, monkeypatch, capsys):
    plain, count = StoredMatrix.survey, []

    def interrupted(self, **options):
        count.append(self.name)
        if len(count) == 4:
            raise KeyboardInterrupt
        return plain(self, **options)

    monkeypatch.setattr(StoredMatrix, "survey", interrupted)
    assert run("spectrum", llama, "--out", tmp_path / "out", "-q") == 130
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "interrupted after 3 of" in captured.err
    data = json.loads((tmp_path / "out" / "survey.json").read_text())
    assert (len(data["matrices"]), data["complete"]) == (3, False)
    monkeypatch.undo()
    assert run("spectrum", llama, "--out", tmp_path / "out") == 0
    assert "3 taken from an earlier run" in capsys.readouterr().out


def test_memory_is_far_below_a_converted_matrix(tmp_path):
    """The peak of all allocations stays below half of the file's largest matrix, a quarter of it in float32."""
    bits = np.random.default_rng(0).standard_normal((12_000, 1024), dtype=np.float32).astype(np.float16)
    save_file({"embed.weight": bits}, tmp_path / "m.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "m.safetensors")
    which, _ = places(checkpoint)
    list(survey(checkpoint, which))  # compiles
    tracemalloc.start()
    try:
        list(survey(checkpoint, which))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bits.nbytes / 2


# ---- the command ----


def test_bad_input_is_one_line(anything, tmp_path, capsys):
    _, tensors = anything
    tensors["enc.10.w"][2, 5] = np.nan
    save_file(tensors, tmp_path / "nan.safetensors")
    save_file({"v": np.ones(3, np.float32)}, tmp_path / "none.safetensors")
    cases = {
        tmp_path / "nan.safetensors": ("nan.safetensors", "'enc.10.w' holds nan at index (2, 5)"),
        tmp_path / "none.safetensors": ("no matrix",),
        tmp_path / "gone": ("gone", "no such file"),
    }
    for bad, parts in cases.items():
        assert run("spectrum", bad) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert all(part in captured.err for part in parts)


def test_a_weight_that_is_not_finite_keeps_the_others(anything, tmp_path):
    path, tensors = anything
    tensors["enc.10.w"][2, 5] = -np.inf
    save_file(tensors, path)
    which, _ = places(Checkpoint.open(path))
    with Store.open(tmp_path / "out") as store, pytest.raises(NonFiniteError, match=r"enc\.10\.w"):
        list(survey(Checkpoint.open(path), which, store=store))
    assert kept(tmp_path / "out") == 3


def test_the_gap_is_checked(anything):
    checkpoint = Checkpoint.open(anything[0])
    with pytest.raises(DomainError, match="relative gap"):
        next(survey(checkpoint, places(checkpoint)[0], Settings(rtol=0.0)))


def test_quiet_prints_nothing_and_json_goes_to_a_file(llama, tmp_path, capsys):
    assert run("spectrum", llama, "-q", "--json", tmp_path / "deep" / "s.json") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert json.loads((tmp_path / "deep" / "s.json").read_text())["complete"]


def test_chosen_without_blocks_is_everything(anything):
    found, _ = places(Checkpoint.open(anything[0]))
    assert chosen(found, None) == found
    assert all(p.index is not None for p in chosen(found, (0, 99)))


def test_hostile_names_stay_text(anything, capsys):
    row = as_json(capsys, anything[0])["matrices"][0]
    row = {**row, "name": HOSTILE, "block": HOSTILE}
    text = render(table([row]))
    assert "[red]x" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_table_shows_bounds_that_are_true(llama, capsys):
    rows = as_json(capsys, llama)["matrices"]
    text = render(table(rows))
    for r in rows:
        low, high = next(
            line.split()[2:5:2] for line in text.splitlines() if " .. " in line and _line_of(r) == line.split()[:2]
        )
        assert float(low) <= r["norm"]["lower"]
        assert r["norm"]["upper"] <= float(high)
        text = text.replace(next(x for x in text.splitlines() if " .. " in x and _line_of(r) == x.split()[:2]), "", 1)
    assert summary(rows).startswith(f"{len(rows)} matrices, probable(1e-09): ")


def _line_of(row):
    block = f"{row['block']}." if row["block"] else ""
    short = row["name"].removeprefix(block).removesuffix(".weight") if block else row["name"]
    return [short, "x".join(map(str, row["shape"]))]


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(llama, env, coloured, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    checkpoint = Checkpoint.open(llama)
    rows = [r.entry for r in survey(checkpoint, places(checkpoint)[0][:1])]
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=True, color_system="standard").print(table(rows))
    assert ("\x1b[36m" in out.getvalue()) is coloured
