"""Checks of the repository itself: what is tracked, what is documented, what the rules refer to."""

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import lipop
import lipop_kernels
from lipop.core.rule import RULES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "lipop", ROOT / "kernels" / "lipop_kernels")
LIMIT = 2 * 2**20  # bytes

# Written in pieces, so that this file does not hold what it forbids.
MACHINE_PATHS = re.compile(
    r"(?<![\w.])/(?:" + "|".join(("wo" + "rk", "tm" + "p", "ro" + "ot", "ho" + "me", "Us" + "ers")) + r")/\w"
)
REGISTRIES = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|npm" + r"js\.(?:org|com)|deb\." + r"debian|download\.py" + r"torch"
)


def tracked() -> list[Path]:
    """Every file that git tracks and that exists."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [f for f in files if f.is_file()]


def text_of(path: Path) -> str | None:
    """The text of a file, or None for a binary one."""
    data = path.read_bytes()
    if b"\0" in data[:8192]:
        return None
    return data.decode("utf-8", errors="replace")


def public_modules() -> list[Path]:
    """The public Python files of both packages."""
    files = [f for package in PACKAGES for f in sorted(package.rglob("*.py"))]
    return [f for f in files if f.name == "__init__.py" or not f.name.startswith("_")]


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return sorted({m.group() for m in pattern.finditer(text)})


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["machine paths", "registry hosts"])
def test_tracked_text_is_free_of(pattern):
    texts = {f.relative_to(ROOT).as_posix(): text_of(f) for f in tracked()}
    hits = {name: found(pattern, text) for name, text in texts.items() if text and found(pattern, text)}
    assert len(texts) > 20
    assert hits == {}


def test_the_patterns_notice():
    assert found(MACHINE_PATHS, "see /" + "tmp/x and ('/" + "home/me')") == ["/" + "home/m", "/" + "tmp/x"]
    assert found(MACHINE_PATHS, "https://example.org/" + "work/x and frame" + "work/x") == []
    assert found(REGISTRIES, "https://py" + "pi.org/simple") == ["py" + "pi.org"]


def test_no_tracked_file_is_large():
    large = {f.relative_to(ROOT).as_posix(): f.stat().st_size for f in tracked() if f.stat().st_size > LIMIT}
    assert large == {}


def test_every_public_module_says_what_it_is():
    silent = [
        f.relative_to(ROOT).as_posix() for f in public_modules() if not ast.get_docstring(ast.parse(f.read_text()))
    ]
    assert silent == []


def test_every_package_has_an_api_page():
    packages = {f.parent.name for f in (ROOT / "lipop").glob("*/__init__.py")} | {"lipop", "lipop_kernels"}
    pages = {f.stem for f in (ROOT / "docs" / "api").glob("*.rst")}
    assert pages == packages


def test_every_exported_name_exists_and_is_documented():
    bad = []
    for package in (lipop, lipop_kernels):
        for name in getattr(package, "__all__", []):
            value = getattr(package, name, None)
            if value is None or (callable(value) and not (getattr(value, "__doc__", "") or "").strip()):
                bad.append(f"{package.__name__}.{name}")
    assert bad == []


def test_every_operator_is_a_name_of_the_package():
    assert set(lipop.operators.__all__) <= set(lipop.__all__)
    assert all(getattr(lipop, name) is getattr(lipop.operators, name) for name in lipop.operators.__all__)


def test_every_rule_has_a_reference():
    for package in ("lipop.core", "lipop.operators", "lipop.certify"):
        root = importlib.import_module(package)
        for info in pkgutil.iter_modules(root.__path__, package + "."):
            importlib.import_module(info.name)
    assert RULES
    assert [name for name, rule in RULES.items() if len(rule.reference.split()) < 2] == []
    assert [name for name in RULES if not re.fullmatch(r"[a-z0-9_.]+@[1-9]\d*", name)] == []


def test_py_typed_is_in_both_packages():
    assert all((package / "py.typed").is_file() for package in PACKAGES)


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert importlib.metadata.version("lipop") == version
    assert lipop.__version__ == version


def test_nothing_is_evaluated_from_text():
    """No call of eval, exec, sympify or pickle.load(s) in the packages."""
    forbidden = {"eval", "exec", "sympify", "parse_expr"}
    calls = []
    for f in public_modules():
        for node in ast.walk(ast.parse(f.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                owner = getattr(getattr(node.func, "value", None), "id", "")
                if (name in forbidden and owner in {"", "sympy", "builtins"}) or (
                    owner == "pickle" and name in {"load", "loads"}
                ):
                    calls.append(f"{f.relative_to(ROOT)}:{node.lineno} {name}")
    assert calls == []


def test_the_map_of_the_house_names_every_file():
    """CONTRIBUTING.md lists each module and nothing that is not there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {Path(name).name for name in re.findall(r"`([\w/]+\.py)`", text.partition("## How to add")[0])}
    there = {f.name for package in PACKAGES for f in package.rglob("*.py") if "cuda" not in f.parts}
    there -= {"__init__.py", "conftest.py"}
    assert there - named == set(), "missing from the map"
    assert named - there - {"__init__.py", "zoo.py", "exact.py"} == set(), "on the map, but not there"
