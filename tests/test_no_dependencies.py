"""Importing lipop is cheap: what is needed only sometimes is imported only where it is used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lipop"
HEAVY = (
    "numba",
    "llvmlite",
    "sympy",
    "torch",
    "transformers",
    "cupy",
    "hypothesis",
    "flint",
    "scipy.linalg",
    "scipy.sparse",
)


def modules_after(statement: str) -> set[str]:
    """The names of all modules that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "error"}
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import lipop", "import lipop; lipop.lip, lipop.Ball", "import lipop_kernels"])
@pytest.mark.parametrize("caches", ["cold", "warm"])
def test_import_loads_no_heavy_module(statement, caches):
    modules = modules_after(statement)
    if caches == "warm":  # byte code is now compiled; the second import must be as lean
        modules = modules_after(statement)
    assert statement.split()[1].rstrip(";") in modules
    assert not [name for name in HEAVY if name in modules]


def test_import_alone_loads_nothing_but_the_package():
    assert not {"numpy", "lipop.core", "lipop.operators"} & modules_after("import lipop")


def test_every_module_can_be_imported_first():
    names = sorted(
        "lipop." + str(path.relative_to(PACKAGE).with_suffix("")).replace(os.sep, ".").removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
        if path.name != "__main__.py" and path.parent != PACKAGE
    )
    assert len(names) > 50
    purge = "[sys.modules.pop(m) for m in list(sys.modules) if m.split('.')[0] == 'lipop']"
    modules_after(f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n    {purge}")


def test_a_proof_is_checked_whatever_was_imported_before():
    code = """
from lipop.core.rule import RULES, find_rule
assert "norm.deflation@1" not in RULES
assert find_rule("norm.deflation@1").leaf
assert find_rule("no.such@1") is None
"""
    modules_after(code)


def test_the_check_would_notice():
    modules = modules_after("import lipop, scipy.linalg")
    assert "scipy.linalg" in modules
