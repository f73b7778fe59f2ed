"""`kill -9` at random moments: the same command goes on, and its report is the one of an undisturbed run."""

import random
import re
import subprocess
import sys
import time

import pytest

from lipop.report.verify import verify
from tests.models.fixtures import tiny_bert
from tests.report.same import content, leftovers

KILLS = 10


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """An analysis of a small BERT in the current folder, by a process of its own."""
    folder = tmp_path_factory.mktemp("model")
    size = {"hidden": 8, "heads": 2, "intermediate": 8, "vocab": 20, "max_positions": 8}
    model = tiny_bert(folder / "model", layers=2, **size)
    (folder / "text.txt").write_text("the map is a contraction")
    options = ["--text", str(folder / "text.txt"), "--out", "report", "--radius", "1e-3"]
    return [sys.executable, "-m", "lipop.cli", "analyze", str(model), *options]


def finish(command, folder):
    """Run to the end; returns what it printed on stderr."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr


def blocks(pattern, stderr):
    return {int(i) for i in re.findall(rf"block (\d+) {pattern}", stderr)}


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """The folder of a run that nobody disturbs, and its seconds."""
    finish(command, tmp_path_factory.mktemp("first"))  # compiles, where nothing has been compiled yet
    folder = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    finish(command, folder)
    return folder / "report", time.monotonic() - started


@pytest.mark.parametrize("k", range(KILLS))
def test_killed_at_a_random_moment(command, undisturbed, tmp_path, k):
    whole, seconds = undisturbed
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(seconds * (k + random.Random(k).random()) / KILLS)
    process.kill()
    done = blocks("done", process.communicate()[1])
    stderr = finish(command, tmp_path)
    assert blocks("taken", stderr) >= done
    assert blocks("taken", stderr) | blocks("done", stderr) == {0, 1}
    assert content(tmp_path / "report" / "report.json") == content(whole / "report.json")
    assert leftovers(tmp_path / "report") == []


def test_a_resumed_report_verifies(command, undisturbed):
    assert verify(undisturbed[0] / "report.json", command[command.index("analyze") + 1]).complete
