"""Importing lipop is cheap: what is needed only sometimes is imported only where it is used."""

import json
import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("package", ["lipop", "lipop_kernels"])
@pytest.mark.parametrize("caches", ["cold", "warm"])
def test_import_loads_no_heavy_module(package, caches):
    modules = modules_after(f"import {package}")
    if caches == "warm":  # byte code is now compiled; the second import must be as lean
        modules = modules_after(f"import {package}")
    assert package in modules
    assert not [name for name in HEAVY if name in modules]


def test_the_check_would_notice():
    modules = modules_after("import lipop, scipy.linalg")
    assert "scipy.linalg" in modules
