"""Every code block of every page runs: README.md, CONTRIBUTING.md and what stands in docs/.

Examples with ``>>>`` are doctests that pytest collects from the pages themselves (``--doctest-glob``). Here the console
blocks are typed into bash, and whole Python modules are executed, page by page in an empty folder that holds a tiny
checkpoint. What can run nowhere stands in `NOT_RUN`, with the reason.
"""

import doctest
import fnmatch
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import lipop
from tests.laws import exact, zoo
from tests.models.fixtures import tiny_bert

ROOT = Path(__file__).resolve().parents[1]
DOCS = [f for f in sorted((ROOT / "docs").rglob("*")) if f.suffix in {".md", ".rst"} and "_build" not in f.parts]
PAGES = {f.relative_to(ROOT).as_posix(): f for f in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS)}

# A command of a console block, or a whole block of another kind by its first line, and why it does not run.
NOT_RUN = {
    "make setup": "creates the environment in which the tests run",
    "make demo": "takes minutes; its parts run in tests/test_cli.py",
    "make test": "would run this test",
    '"soft shrink": lambda rng: _vector(lo.SoftShrink(4, 0.4), rng, lambda x: x - x.clamp(-0.4, 0.4)),': (
        "an entry of a table; the operator's test below evaluates it"
    ),
    "if isinstance(op, lo.SoftShrink):": "a case of a function; the operator's test below evaluates it",
    "#   |x0|     |DT|  r=1e-06  r=1e-05  ...   status": "a line of the demo's table, not code",
}


@dataclass(frozen=True)
class Code:
    """One block: where it stands, what it is written in ("" where the page does not say), and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def module(self) -> bool:
        """Whether it is Python without prompts."""
        return self.language == "python" and not self.text.startswith(">>> ")

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]


def blocks_of(page: str, text: str) -> list[Code]:
    """The fenced blocks of a Markdown page; directives for code, and literal blocks behind ``::``, of a reST page."""
    if page.endswith(".md"):
        start = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+) *(?P<language>[^\s`]*).*$")
    else:
        start = re.compile(
            r"^(?P<indent> *)(?:\.\. +(?:code|code-block|sourcecode):: *(?P<language>\S*)|(?!\.\. ).*::(?P<literal>))$"
        )
    found, lines, i = [], text.split("\n"), 0
    while i < len(lines):
        m, at = start.match(lines[i]), i + 1
        i += 1
        if m is None:
            continue
        body: list[str] = []
        if page.endswith(".md"):
            while lines[i].strip() != m["fence"]:
                body.append(lines[i])
                i += 1
            i += 1
        else:
            while i < len(lines) and (not lines[i].strip() or lines[i].startswith(m["indent"] + " ")):
                body.append(lines[i])
                i += 1
            while body and re.fullmatch(r" +:[\w-]+:.*", body[0]):
                del body[0]
        code = textwrap.dedent("\n".join(body)).strip("\n")
        found.append(Code(page, at, m["language"] or "", code))
    return found


BLOCKS = [b for page, file in PAGES.items() for b in blocks_of(page, file.read_text())]


def commands_of(block: Code) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that the page shows for it."""
    assert block.text.startswith("$ "), f"{block.page}:{block.line}: a console block begins with a prompt"
    found: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n>? *", "", part).partition("\n")
        found.append((command.strip(), shown.strip("\n")))
    return found


def name_of(command: str) -> str:
    """A command without its comment."""
    return re.sub(r"\s+# .*$", "", command)


def unaccounted(blocks: list[Code]) -> tuple[set[str], set[str]]:
    """Where blocks stand that are neither run nor listed, and what is listed but on no page."""
    commands = {name_of(c) for b in blocks if b.language == "console" for c, _ in commands_of(b)}
    others = {b.first_line: f"{b.page}:{b.line}" for b in blocks if b.language not in {"console", "python"}}
    return {v for k, v in others.items() if k not in NOT_RUN}, NOT_RUN.keys() - commands - others.keys()


# ---- the pages ----


def test_every_block_is_run_or_listed():
    assert unaccounted(BLOCKS) == (set(), set())
    assert all(len(reason.split()) > 3 for reason in NOT_RUN.values())


def test_an_unlisted_block_and_a_stale_line_are_noticed():
    assert unaccounted([*BLOCKS, Code("p.md", 7, "sh", "true"), Code("p.md", 9, "", "x")]) == (
        {"p.md:7", "p.md:9"},
        set(),
    )
    assert unaccounted([b for b in BLOCKS if b.page != "docs/getting-started.rst"]) == (set(), {"make setup"})


def test_pytest_collects_the_pages_with_examples():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    globs = [o.removeprefix("--doctest-glob=") for o in options["addopts"] if o.startswith("--doctest-glob=")]
    held = {page for page, file in PAGES.items() if re.search(r"^ *>>> ", without_modules(page, file), re.MULTILINE)}
    assert {"README.md", "docs/getting-started.rst", "docs/paper.rst"} <= held
    for page in held:
        assert any(fnmatch.fnmatch(Path(page).name, g) for g in globs), page
        assert any(page == p or page.startswith(p + "/") for p in options["testpaths"]), page


def without_modules(page: str, file: Path) -> str:
    """A page's text without its modules, whose examples are run with them."""
    text = file.read_text()
    for b in BLOCKS:
        text = text.replace(b.text, "") if b.page == page and b.module else text
    return text


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("pages") / "model", layers=1)


@pytest.mark.parametrize("page", sorted({b.page for b in BLOCKS if b.language == "console"}))
def test_console_blocks_show_what_happens(page, model, tmp_path):
    """Each command ends with status 0, unless ``echo $?`` comes next, and prints what the page shows below it."""
    (tmp_path / "model").symlink_to(model)
    (tmp_path / "checker").symlink_to(ROOT / "checker")
    (tmp_path / "text.txt").write_text("The limit of operators is a contraction.\n")
    todo = [c for b in BLOCKS if b.page == page and b.language == "console" for c in commands_of(b)]
    todo = [(command, shown) for command, shown in todo if name_of(command) not in NOT_RUN]
    asked = [name_of(command) == "echo $?" for command, _ in [*todo[1:], ("", "")]]
    for (command, shown), (printed, status), next_asks in zip(todo, typed(todo, tmp_path), asked, strict=True):
        assert status == 0 or next_asks, f"{page}: {command}\n{printed}"
        assert not shown or same(shown, printed), f"{page}: {command}\n{printed}"


def typed(todo: list[tuple[str, str]], folder: Path) -> list[tuple[str, int]]:
    """What each command prints, and its exit status; all are typed into one shell."""
    if not todo:
        return []
    mark = "\x1e"  # a separator that no command prints
    keep = f'status=$?; printf "{mark}%d{mark}" $status; (exit $status)'
    script = "\n".join(f"{command}\n{keep}" for command, _ in todo)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    parts = done.stdout.split(mark)
    return [(printed, int(status)) for printed, status in zip(parts[0:-1:2], parts[1::2], strict=True)]


def same(shown: str, printed: str) -> bool:
    """Equal but for white space; ``...`` stands for anything."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(shown + "\n", printed.lstrip("\n"), flags)


def run_modules(page: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A page's Python blocks without prompts, one after another in one module; their examples hold."""
    module = types.ModuleType("page_" + re.sub(r"\W", "_", page))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for b in BLOCKS:
        if b.page == page and b.module:
            exec(compile("\n" * b.line + b.text, PAGES[page], "exec"), vars(module))
    assert doctest.testmod(module).failed == 0
    return module


@pytest.mark.parametrize("page", sorted({b.page for b in BLOCKS if b.module}))
def test_python_modules_run(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_modules(page, monkeypatch)


def test_the_operator_that_contributing_shows_is_one(monkeypatch):
    """With the entries that the page gives for the tables of the laws."""
    module = run_modules("CONTRIBUTING.md", monkeypatch)
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=2)
    T, x = module.SoftShrink(3, 0.5), np.array([2.0, -0.1, 0.7])
    wide = lipop.lip(T, on=lipop.Ball(x, 0.3))
    assert (wide.lower.value, wide.upper.value) == pytest.approx((1.0, 1.0), abs=1e-6)
    wide.upper.check()
    narrow = lipop.lip(T, on=lipop.Ball(np.array([0.1, -0.1, 0.2]), 0.1))
    assert (narrow.lower.value, narrow.upper.value) == (0.0, 0.0)

    monkeypatch.setattr(lipop, "SoftShrink", module.SoftShrink, raising=False)
    entry, case = (b.text for b in BLOCKS if b.page == "CONTRIBUTING.md" and b.language == "text")
    shown = eval("{" + entry + "}", dict(vars(zoo)))["soft shrink"](np.random.default_rng(0))
    import torch

    value = shown.op(shown.x)
    assert np.array_equal(value, shown.twin(torch.tensor(shown.x)).numpy())
    scope = dict(vars(exact))
    exec("def exactly(op, x):\n" + textwrap.indent(case, "    "), scope)
    with exact.precision():
        balls = scope["exactly"](shown.op, exact.balls(shown.x))
    assert [float(b) for b in balls] == pytest.approx(value.tolist(), rel=1e-15)


# ---- the reader of pages ----


def test_blocks_are_found_in_every_form():
    markdown = "a\n```console\n$ one\n```\n1. list\n\n   ```text\n   two\n     2\n   ```\n~~~\nthree\n~~~\n"
    assert [(b.language, b.text, b.line) for b in blocks_of("p.md", markdown)] == [
        ("console", "$ one", 2),
        ("text", "two\n  2", 7),
        ("", "three", 11),
    ]
    rest = "a\n\n.. code-block:: console\n   :caption: c\n\n   $ one\n\nSo::\n\n  two\n\n.. math::\n\n   x\n\n"
    rest += ".. code::\n\n  3\n"
    assert [(b.language, b.text) for b in blocks_of("p.rst", rest)] == [("console", "$ one"), ("", "two"), ("", "3")]


def test_consoles_are_read_and_typed(tmp_path):
    text = "$ echo a \\\n>   b  # why\na b\n$ x=3\n$ echo $x; false\n3\n$ echo $?\n1"
    todo = commands_of(Code("p.md", 1, "console", text))
    assert todo == [("echo a b  # why", "a b"), ("x=3", ""), ("echo $x; false", "3"), ("echo $?", "1")]
    assert name_of(todo[0][0]) == "echo a b"
    assert typed(todo, tmp_path) == [("a b\n", 0), ("", 0), ("3\n", 1), ("1\n", 0)]
    assert same("a\n...\nd", "a\nb c\nd\n")
    assert not same("a ... d", "a b c\n")


def test_targets_of_make_exist():
    """Those that do not run are there at least."""
    targets = [k.removeprefix("make ") for k in NOT_RUN if k.startswith("make ")]
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
