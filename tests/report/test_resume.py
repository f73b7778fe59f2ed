"""Finished blocks are found again, by what determines them; what is computed is what an undisturbed run computes."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lipop.certify import analysis
from lipop.core.digest import digest
from lipop.report.document import analyze
from lipop.report.verify import verify
from lipop.runs import Store, fingerprint
from tests.report.same import content, leftovers
from tests.report.toy import RADII, ToyModel, write_report

ROOT = Path(__file__).resolve().parents[2]


class Counted:
    """An analysis that counts its calls and can be interrupted at one of them."""

    def __init__(self, monkeypatch, stop=None):
        self.calls, self.stop, self.inner = 0, stop, analysis.analyze_block
        monkeypatch.setattr(analysis, "analyze_block", self)

    def __call__(self, *args, **options):
        if self.calls == self.stop:
            raise KeyboardInterrupt
        self.calls += 1
        return self.inner(*args, **options)


def run(folder, model=None, text="lip", fresh=False, **options):
    """Analyse with the folder's store; returns the report and the indices of the blocks that were found."""
    model = ToyModel() if model is None else model
    indices = []
    options = {"radii": RADII, "text": text, "found": lambda i, entry: indices.append(i), **options}
    with Store.open(folder, fresh=fresh) as store:
        analyze(model, model.tokens(text), report=folder / "report.json", store=store, **options)
    return folder / "report.json", indices


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with the toy model's report and store."""
    return run(tmp_path_factory.mktemp("first"))[0].parent


@pytest.fixture
def folder(first, tmp_path):
    """A copy of it."""
    return shutil.copytree(first, tmp_path / "folder")


def test_a_store_changes_nothing(original, first):
    assert content(first / "report.json") == content(original)


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_an_interrupted_run_goes_on(original, tmp_path, monkeypatch, stop):
    with monkeypatch.context() as m:
        Counted(m, stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    again = Counted(monkeypatch)
    report, found = run(tmp_path)
    assert (found, again.calls) == (list(range(stop)), 3 - stop)
    assert content(report) == content(original)


def test_it_is_written_before_a_long_computation(tmp_path):
    """The blocks that were found are in the report when the first new one is begun."""
    run(tmp_path, blocks=(0, 2))
    os.unlink(tmp_path / "report.json")
    seen = []
    run(tmp_path, before=lambda i: None, after=lambda i, e: seen.append((i, (tmp_path / "report.json").exists())))
    assert seen == [(2, True)]


class Unbuilt(ToyModel):
    """The toy model, which may be asked for its digest and names only."""

    def __init__(self):
        super().__init__()
        self.known = super().digest
        self.blocks = [None] * 3

    @property
    def digest(self):
        return self.known

    def embed(self, text=None, tokens=None):
        raise AssertionError("nothing is to be computed")

    activations = embed


def test_a_second_analysis_builds_no_block(original, folder, monkeypatch):
    again = Counted(monkeypatch)
    report, found = run(folder, Unbuilt())
    assert (found, again.calls) == ([0, 1, 2], 0)
    assert content(report) == content(original)
    assert verify(report, ToyModel(), text="lip").complete


def test_the_same_block_is_found_in_another_model(folder, monkeypatch):
    """Stored otherwise, the same weights have another digest; its blocks are the same maps."""
    again = Counted(monkeypatch)
    model = type("Resharded", (ToyModel,), {"digest": property(lambda self: digest("another file"))})()
    report, found = run(folder, model)
    assert (found, again.calls) == ([0, 1, 2], 0)
    assert verify(report, model).complete


def test_blocks_that_differ_are_computed(folder):
    """Only the third block has other weights; the input of each is the same."""
    report, found = run(folder, ToyModel(change=1e-9))
    assert found == [0, 1]
    assert verify(report, ToyModel(change=1e-9)).complete


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, [0, 1, 2]),
        ({"blocks": (1, 3)}, [1, 2]),
        ({"command": ["lipop", "other"]}, [0, 1, 2]),
        ({"radii": (1e-3,)}, []),
        ({"radii": RADII[::-1]}, []),
        ({"effort": "tight"}, []),
        ({"seed": 1}, []),
        ({"text": "pil"}, []),
        ({"fresh": True}, []),
        ({"analyze_block": lambda *a, **k: analysis.analyze_block(*a, **k)}, []),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else str(value),
)
def test_what_determines_a_result(folder, options, found):
    assert run(folder, **options)[1] == found


def test_other_code_computes_anew(folder, monkeypatch):
    monkeypatch.setattr("lipop.report.kept.fingerprint", lambda: "another version")
    assert run(folder)[1] == []


def test_the_fingerprint_sees_every_source(monkeypatch, tmp_path):
    package = tmp_path / "a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("lipop.runs.sources.SOURCES", ("a_package",))
    make, seen = fingerprint.__wrapped__, set()
    for name in ("__init__.py", "inner/one.py", "inner/two.py"):
        for text in ("x = 1", "x = 2"):
            (package / name).parent.mkdir(exist_ok=True)
            (package / name).write_text(text)
            seen.add(make())
    assert len(seen) == 6
    assert make() in seen
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0")
    assert make() not in seen


def test_a_folder_from_before_there_were_stores(original, tmp_path):
    write_report(tmp_path)
    report, found = run(tmp_path)
    assert found == []
    assert content(report) == content(original)


def test_points_are_kept_bit_for_bit(tmp_path):
    class Odd(ToyModel):
        def activations(self, x):
            return [a + np.spacing(a) for a in super().activations(x)]

    run(tmp_path, Odd())
    model = Odd()
    model.activations = None
    report, _ = run(tmp_path, model)
    assert report.exists()
    assert verify(report, Odd()).complete


# ---- killed at the worst moments ----

KILL = """
import os, signal, sys
from pathlib import Path
import lipop.runs.store
from lipop.report import files, document
from tests.report import test_resume

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(module, name, call):
    inner, count = getattr(module, name), [0]
    def counted(*args, **options):
        count[0] += 1
        return die() if count[0] == call else inner(*args, **options)
    setattr(module, name, counted)

target, name, call = sys.argv[2:]
die_at({"store": lipop.runs.store, "files": files, "os": os, "document": document.Report}[target], name, int(call))
test_resume.run(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "moment",
    [
        "store _npy 20",  # inside a transaction
        "document write 2",  # a block is kept, the report does not have it
        "os fsync 1",  # a temporary file is written in part
        "os replace 1",  # it is whole, but has not got its name
        "os replace 5",  # some files of the second block are there, some are not
    ],
)
def test_a_kill_at_the_worst_moment(original, tmp_path, moment):
    argv = [sys.executable, "-c", KILL, str(tmp_path), *moment.split()]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    report, _ = run(tmp_path)
    assert content(report) == content(original)
    assert leftovers(tmp_path) == []
