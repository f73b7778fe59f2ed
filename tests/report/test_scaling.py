"""`lipop scaling`: from a CSV file to tables, JSON and a page; what is refused, in one line."""

import json
import re

import numpy as np
import pytest

from lipop import cli
from lipop.errors import NotAReport
from lipop.report.scaling import read_fit
from lipop.report.scaling_page import render
from lipop.scaling import laws

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
BASE = ("--law", "chinchilla", "--x", "N=params", "--x", "D=tokens", "--y", "val loss")


def run(*argv):
    return cli.main([str(a) for a in argv])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 40)), np.exp(rng.uniform(np.log(1e9), np.log(1e12), 40))
    loss = laws.Chinchilla()(TRUTH, N=N, D=D) * np.exp(1e-3 * rng.standard_normal(40))
    rows = "".join(
        f"run{i},{a!r},{b!r},{c!r}\n"
        for i, (a, b, c) in enumerate(zip(N.tolist(), D.tolist(), loss.tolist(), strict=True))
    )
    path.write_text("name,params,tokens,val loss\n" + rows)
    return path


@pytest.fixture(scope="module")
def fitted(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit")
    assert run("scaling", "fit", runs, *BASE, "--bootstrap", 50, "--budget", "5.76e23", "--out", out, "-q") == 0
    return out


def test_the_table_shows_estimates_and_intervals(runs, capsys):
    assert run("scaling", "fit", runs, *BASE, "--budget", "1e21") == 0
    out = capsys.readouterr().out
    assert "95%, profile" in out
    assert re.search(r"alpha\s+0\.3[34]", out)
    assert "40 runs" in out
    assert "closed form" in out


def test_the_document_holds_the_fit(fitted):
    data = json.loads((fitted / "fit.json").read_text())
    assert data["schema"] == "lipop.scaling/1"
    assert data["source"]["columns"] == {"N": "params", "D": "tokens", "loss": "val loss"}
    for p in data["fit"]["parameters"]:
        assert p["low"] < p["value"] < p["high"]
        assert p["value"] == pytest.approx(TRUTH[p["name"]], rel=0.2)
    assert data["plans"][0]["closed"] is True
    assert len(data["data"]["residual"]) == 40


def test_the_page_is_whole_and_asks_for_nothing(fitted):
    page = (fitted / "fit.html").read_text()
    assert page.count("<svg") == 3
    assert page.count("<circle") == 120
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=", page.replace("default-src", ""))


def test_the_page_escapes_what_comes_from_outside(fitted):
    data = json.loads((fitted / "fit.json").read_text())
    data["source"]["path"] = "<script>alert(1)</script>"
    data["fit"]["warnings"] = ["<img src=x>"]
    page = render(data)
    assert "<script>" not in page
    assert "<img" not in page


def test_plans_from_a_fit_and_from_parameters_agree(fitted, capsys):
    law, params = read_fit(fitted / "fit.json")
    best = law.allocate(params, 1e22)
    assert run("scaling", "plan", "--fit", fitted / "fit.json", "--budget", "1e22", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert {v["name"]: v["value"] for v in data["plans"][0]["values"]} == best.values
    values = [part for n, v in params.items() for part in ("--set", f"{n}={v!r}")]
    assert run("scaling", "plan", "--law", "chinchilla", *values, "--budget", "1e22", "--json") == 0
    assert json.loads(capsys.readouterr().out)["plans"] == data["plans"]
    assert run("scaling", "plan", "--fit", fitted / "fit.json", "--budget", "1e22") == 0
    assert "N (parameters)" in capsys.readouterr().out


def test_fixed_parameters_and_comparisons(runs, tmp_path, capsys):
    argv = (*BASE, "--fix", "E=1.69", "--compare", "kaplan", "--delta", "0", "--out", tmp_path)
    assert run("scaling", "fit", runs, *argv) == 0
    assert "error on the largest runs" in " ".join(capsys.readouterr().out.split())
    law, params = read_fit(tmp_path / "fit.json")
    assert set(params) == {"A", "B", "alpha", "beta"}
    assert float(law({**params}, N=1e9, D=1e11)) == pytest.approx(
        float(laws.Chinchilla()(TRUTH, N=1e9, D=1e11)), rel=1e-2
    )
    rows = json.loads((tmp_path / "fit.json").read_text())["comparison"]
    assert [r["law"] for r in rows] == ["chinchilla", "kaplan"]
    assert rows[0]["aicc"] < rows[1]["aicc"]


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (("fit", "RUNS", "--law", "nope", "--x", "N=params", "--y", "val loss"), "there is no law 'nope'"),
        (("fit", "RUNS", *BASE[:-1], "loss"), "no column 'loss'"),
        (("fit", "RUNS", *BASE[:4], *BASE[6:]), "D is missing"),
        (("fit", "RUNS", *BASE, "--x", "K=params"), "--x K: law 'chinchilla' has no such variable"),
        (("fit", "RUNS", *BASE, "--x", "N=tokens"), "--x N is given twice"),
        (("fit", "RUNS", *BASE, "--x", "D"), "must look like NAME=COLUMN"),
        (("fit", "RUNS", *BASE, "--fix", "E=two"), "'two' is no number"),
        (("fit", "RUNS", *BASE, "--fix", "Z=1"), "no parameter Z"),
        (("fit", "RUNS", *BASE, "--starts", "many"), "starts is a positive int"),
        (("fit", "RUNS", *BASE, "--level", "2"), "confidence level"),
        (("fit", "nowhere.csv", *BASE), "nowhere.csv"),
        (("plan", "--budget", "1"), "either --law NAME"),
        (("plan", "--law", "data", "--budget", "1"), "has parameters E, B, beta"),
        (("plan", "--fit", "RUNS", "--budget", "1"), "not a fit of a scaling law"),
        (("plan", "--law", "data", "--set", "E=1", "--set", "B=1", "--set", "beta=1", "--budget", "-1"), "a budget is"),
        ((), "Missing command"),
    ],
)
def test_errors_are_one_line(argv, part, runs, capsys):
    assert run("scaling", *(runs if a == "RUNS" else a for a in argv)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert part in captured.err


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("fit"),
        lambda d: d.update(schema="lipop.report/1"),
        lambda d: d["fit"].update(law="__import__('os')"),
        lambda d: d["fit"]["parameters"].pop(),
        lambda d: d["fit"]["parameters"][0].update(value="1+1"),
        lambda d: d["fit"]["parameters"][0].update(value=-1.0),
        lambda d: d["fit"].update(fixed=[1]),
    ],
)
def test_damaged_fits_are_refused(change, fitted, tmp_path):
    data = json.loads((fitted / "fit.json").read_text())
    change(data)
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(data))
    with pytest.raises(NotAReport, match=r"fit\.json"):
        read_fit(path)
