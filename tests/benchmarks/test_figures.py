"""Results made up here become tables, plots, and a page of the documentation."""

import doctest
import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import bench_growth
import figures
import harness
import numpy as np
import pytest
from harness import READ, Timing

ROOT = Path(__file__).resolve().parents[2]
SIZES = (256, 512, 1024)


def rows(case="gaussian", sizes=SIZES):
    out = []
    for n in sizes:
        ours = tuple(1e-9 * n**2 * s for s in (1.0, 2.0, 3.0))
        timings = {
            "lipop": Timing(ours, ours),
            "peer <1>": Timing(tuple(5 * t for t in ours), ours),
            READ: Timing(tuple(t / 2 for t in ours), ours),
            "broken": Timing((), (), "ValueError: x"),
        }
        out += harness.rows("|A|_2", case, timings, n=n, m=n, rtol=1e-6, bytes={"lipop": 4 * n * n, READ: 4 * n * n})
    return out


@pytest.fixture
def results(tmp_path):
    """A folder with one file in the common format and one that is not."""
    folder = tmp_path / "results"
    fits = [{"case": "gaussian", "contender": "lipop", "variable": "n", "points": 9}]
    fits[0] |= vars(bench_growth.Fit.of([(n, 1e-9 * n**2) for n in SIZES], lambda n: n**2))
    options = harness.options("How fast is |A|_2? By far.", ["--out", str(folder)])
    harness.write("norms", rows(), options=options, extra={"fits": fits})
    (folder / "old.json").write_text('{"machine": {}, "runs": []}')
    return folder


@pytest.mark.parametrize("module", [figures, harness], ids=lambda m: m.__name__)
def test_the_examples_in_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert failed == 0 < tried


def test_only_the_common_format_is_read(results):
    assert [d["name"] for d in figures.load(results)] == ["norms"]


def test_every_ratio_stands_in_its_table(results):
    (document,) = figures.load(results)
    ratios, exponents = figures.tables(document)
    assert ratios.title == "|A|_2: gaussian, to 1e-06"
    assert ratios.head == ("", "n = 256", "n = 512", "n = 1024")
    cells = {r[0]: r[1:] for r in ratios.rows}
    assert cells["peer <1>"] == ("x 5 (5 – 5)",) * 3
    assert cells[READ] == ("x 0.5 (0.5 – 0.5)",) * 3
    assert cells["broken"] == ("failed (ValueError)",) * 3
    assert cells["lipop"][0] == "131 us (98.3 us – 164 us)"
    assert exponents.rows == [("lipop, gaussian, in n", "2.00 (2.00 – 2.00)", "2.00", "2.00")]


def test_many_sizes_become_rows():
    document = {"rows": rows(sizes=(16, 32, 64, 128, 256)), "extra": {}}
    (found,) = figures.tables(document)
    assert found.head == ("", "lipop", "peer <1>", READ, "broken")
    assert [r[0] for r in found.rows] == [f"n = {n}" for n in (16, 32, 64, 128, 256)]


def test_the_plots_show_every_contender(results):
    (document,) = figures.load(results)
    time, roofline = (ET.fromstring(p) for p in figures.plots(document))
    texts = [e.text for e in time.iter("text")]
    assert {"lipop", "peer <1>", READ, "256", "512", "1024"} <= set(texts)
    assert sum(1 for _ in time.iter("circle")) == 9
    assert {e.text for e in roofline.iter("text")} >= {"lipop", READ}
    assert "peer <1>" not in {e.text for e in roofline.iter("text")}


def test_time_is_drawn_where_it_belongs(results):
    """The slope of ours on the page, in both scales' decades, is the exponent of the data."""
    (document,) = figures.load(results)
    time = ET.fromstring(next(figures.plots(document)))
    points = [(float(c.get("cx", "nan")), float(c.get("cy", "nan"))) for c in time.iter("circle")][:3]
    (x1, y1), (x2, y2) = points[0], points[-1]
    assert x1 < x2
    assert y1 > y2
    ticks = {e.text: float(e.get("y", "nan")) for e in time.iter("text") if (e.text or "").endswith(("ms", "us"))}
    decade = abs(ticks["1 ms"] - ticks["100 us"])
    assert (y1 - y2) / decade == pytest.approx(math.log10(16), rel=0.02)


def test_the_environment_is_said(results):
    (document,) = figures.load(results)
    text = figures.environment(document)
    assert np.__version__ in text
    assert str(document["machine"]["cores"]) in text
    assert "not for quoting" in figures.environment(document | {"size": "quick"})


def test_the_page_escapes_names(results, tmp_path):
    figures.main([str(results), str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "peer &lt;1&gt;" in page
    assert "peer <1>" not in page


def test_the_documentation_builds_from_results(results, tmp_path):
    """Sphinx with the directive, warnings as errors: with results, and without any."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    source, empty = tmp_path / "docs", tmp_path / "empty"
    source.mkdir()
    empty.mkdir()
    extension = ROOT / "docs" / "_ext"
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(extension)!r})\nextensions = ['lipop_benchmarks']\n"
    )
    (source / "index.rst").write_text(f"B\n=\n\n.. toctree::\n\n   none\n\n.. lipop-benchmarks:: {results}\n")
    (source / "none.rst").write_text(f"N\n=\n\n.. lipop-benchmarks:: {empty}\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('class="plot bench"') == 2
    assert "How fast is |A|_2?" in page
    assert "x 5 (5 – 5)" in page
    assert "run make bench" in (tmp_path / "out" / "none.html").read_text()


def test_the_committed_results_can_be_shown():
    for document in figures.load():
        assert json.dumps(document)
        assert list(figures.tables(document))
        assert all(ET.fromstring(p) is not None for p in figures.plots(document))
