"""The command line: exit codes, one-line errors, JSON, silence."""

import json
import os
import subprocess
import sys

import pytest

import lipop
from lipop import cli, models
from tests.report.toy import Forgery, ToyModel


@pytest.fixture
def toy(monkeypatch):
    """The toy model in place of every checkpoint."""
    monkeypatch.setattr(models, "load", lambda path: ToyModel())


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("lip")
    return path


@pytest.fixture
def report(toy, text, tmp_path):
    out = tmp_path / "out"
    assert run("analyze", "toy", "--text", text, "--out", out, "--radius", "1e-3", "--blocks", "0:2", "-q") == 0
    return out / "report.json"


def run(*argv):
    return cli.main([str(a) for a in argv])


def one_line(captured, *parts):
    """stderr is one line that names the culprit; stdout is empty."""
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("lipop: ")
    assert "Traceback" not in captured.err
    for part in parts:
        assert part in captured.err


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"lipop {lipop.__version__}\n"


def test_no_command_prints_the_help(capsys):
    assert run() == 2
    assert "analyze" in capsys.readouterr().out


def test_help_names_the_exit_codes(capsys):
    assert run("--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 a report does not verify" in out
    assert "2 bad input" in out


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["bogus"], "bogus"),
        (["analyze"], "model"),
        (["analyze", "m", "--text"], "--text"),
        (["analyze", "m", "--text", "t", "--tokens", "0"], "--tokens"),
        (["analyze", "m", "--text", "t", "--effort", "heroic"], "--effort"),
        (["analyze", "m", "--text", "t", "--radius", "big"], "--radius"),
        (["verify", "r.json"], "model"),
        (["--bogus"], "--bogus"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_usage_errors_are_one_line(argv, part, capsys):
    assert run(*argv) == 2
    one_line(capsys.readouterr(), part)


def test_analyze_writes_and_prints(toy, text, tmp_path, capsys):
    assert run("analyze", "toy", "--text", text, "--out", tmp_path / "o", "--radius", "1e-3") == 0
    out = capsys.readouterr().out
    assert "r=1e-03" in out
    assert "lipop verify" in out
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "report.arrays.npz",
        "report.html",
        "report.json",
        "runs.sqlite",
    ]


def test_analyze_json(toy, text, tmp_path, capsys):
    assert (
        run("analyze", "toy", "--text", text, "--out", tmp_path / "o", "--radius", "0.5", "--tokens", "2", "--json")
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert data["input"]["tokens"] == 2
    assert data["settings"]["radii"] == [0.5]
    assert "proofs" not in data
    assert data["digest"] == json.loads((tmp_path / "o" / "report.json").read_text())["digest"]


def test_quiet_prints_nothing(toy, text, tmp_path, capsys):
    for extra in ([], ["--json"]):
        assert run("analyze", "toy", "--text", text, "--out", tmp_path, "--blocks", "0", "--quiet", *extra) == 0
        assert run("verify", tmp_path / "report.json", "toy", "--quiet", *extra) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("blocks", ["3", "2:1", "1:9", "a:b", "-1", "", "1:2:3"])
def test_bad_blocks(toy, text, tmp_path, blocks, capsys):
    assert run("analyze", "toy", "--text", text, "--out", tmp_path, f"--blocks={blocks}") == 2
    one_line(capsys.readouterr(), "--blocks")


@pytest.mark.parametrize("radius", ["-1", "nan", "inf", "0"])
def test_bad_radius(toy, text, tmp_path, radius, capsys):
    assert run("analyze", "toy", "--text", text, "--out", tmp_path, f"--radius={radius}", "-q") == 2
    one_line(capsys.readouterr(), "radii")


def test_bad_texts(toy, tmp_path, capsys):
    path = tmp_path / "text.txt"
    assert run("analyze", "toy", "--text", path, "--out", tmp_path, "-q") == 2
    one_line(capsys.readouterr(), "text.txt", "No such file")
    path.write_bytes(b"a\xffb")
    assert run("analyze", "toy", "--text", path, "--out", tmp_path, "-q") == 2
    one_line(capsys.readouterr(), "text.txt", "UTF-8", "byte 1")
    path.write_text(" \n")
    assert run("analyze", "toy", "--text", path, "--out", tmp_path, "-q") == 2
    one_line(capsys.readouterr(), "empty")


def test_a_missing_model(tmp_path, text, capsys):
    assert run("analyze", tmp_path / "none", "--text", text, "--out", tmp_path, "-q") == 2
    one_line(capsys.readouterr(), "none")


def test_verify_says_what_was_checked(report, text, capsys):
    assert run("verify", report, "toy", "--text", text) == 0
    assert "all hold" in capsys.readouterr().out
    assert run("verify", report, "toy", "--fast") == 0
    assert "NOT redone (fast)" in capsys.readouterr().out
    assert run("verify", report, "toy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_verify_fails_with_one(report, capsys):
    forgery = Forgery(report)
    forgery.data["blocks"][0]["jacobian"]["upper"] *= 0.5
    forgery.write()
    assert run("verify", report, "toy") == 1
    one_line(capsys.readouterr(), "does NOT verify", "blocks[0].jacobian.upper", "node ")
    assert run("verify", report, "toy", "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["ok"] is False


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "\0\1\2"])
def test_verify_of_what_is_no_report_is_bad_input(toy, tmp_path, content, capsys):
    path = tmp_path / "report.json"
    path.write_text(content)
    assert run("verify", path, "toy") == 2
    one_line(capsys.readouterr(), "report.json", "expected a report.json")


def test_verify_without_a_report_is_bad_input(toy, tmp_path, capsys):
    assert run("verify", tmp_path / "none.json", "toy") == 2
    one_line(capsys.readouterr(), "none.json", "No such file")


def test_html_writes_the_page_again(report, capsys):
    page = report.with_name("report.html")
    content = page.read_bytes()
    page.unlink()
    assert run("html", report) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_bytes() == content
    assert run("html", report, "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_html_of_what_is_no_report(report, capsys):
    assert run("html", report.with_name("none.json")) == 2
    one_line(capsys.readouterr(), "none.json", "No such file")
    report.write_text("[]")
    assert run("html", report) == 2
    one_line(capsys.readouterr(), "report.json")


def test_demo_analyses_the_text_that_comes_with_lipop(toy, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "_demo_model", lambda: "toy")
    assert run("demo", "--out", tmp_path, "--tokens", "5", "--blocks", "0", "--radius", "1e-3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["input"]["tokens"] == 5


def test_demo_without_its_model(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "DEMO_MODEL", "a_package_that_is_not_there")
    assert run("demo", "--out", tmp_path) == 2
    one_line(capsys.readouterr(), "a_package_that_is_not_there", "make setup")


def test_an_interruption(toy, text, tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lipop.certify.analysis.analyze_block", interrupt)
    assert run("analyze", "toy", "--text", text, "--out", tmp_path, "-q") == 130
    one_line(capsys.readouterr(), "interrupted", "the same command")


def shell(code, **env):
    base = {k: v for k, v in os.environ.items() if k not in (*cli.QUIET_BLAS, "FORCE_COLOR", "NO_COLOR")}
    return subprocess.run([sys.executable, *code], capture_output=True, text=True, env={**base, **env}, check=False)


def test_blas_threads_are_quiet_before_numpy_is_loaded():
    """The command starts itself again once, with the settings that BLAS reads when it is loaded; a user's stay."""
    code = """
import os, sys
import lipop.cli as cli
if "OMP_WAIT_POLICY" in os.environ:
    print(os.environ["OPENBLAS_THREAD_TIMEOUT"], os.environ["OMP_WAIT_POLICY"])
sys.argv = ["lipop", "--version"]
sys.exit(cli.main())
"""
    done = shell(["-c", code])
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"4 passive\nlipop {lipop.__version__}\n"
    assert shell(["-c", code], OPENBLAS_THREAD_TIMEOUT="9").stdout.startswith("9 passive\n")


def test_the_command_as_a_process():
    done = shell(["-m", "lipop.cli", "verify", "none.json", "nowhere"])
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("env", "coloured"), [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_no_color_is_honoured(report, env, coloured):
    code = (
        "import json, sys; from rich.console import Console; from lipop.report.terminal import blocks_table;"
        "Console().print(blocks_table(json.load(open(sys.argv[1]))))"
    )
    done = shell(["-c", code, str(report)], **env)
    assert done.returncode == 0, done.stderr
    assert ("\x1b[32m" in done.stdout) is coloured
