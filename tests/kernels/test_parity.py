"""The folders of kernels are twins: same files, same public functions, same signatures, and these are FUNCTIONS."""

import ast
from pathlib import Path

import pytest

import lipop_kernels
from lipop_kernels import FUNCTIONS, cpu, ref

FOLDERS = {name: Path(lipop_kernels.__file__).parent / name for name in ("ref", "cpu")}


def signatures(file: Path) -> dict[str, str]:
    """Public functions of a file and their arguments with defaults (annotations left out)."""
    found = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            found[node.name] = ast.unparse(node.args)
    return found


def public(folder: Path) -> dict[str, dict[str, str]]:
    return {f.name: signatures(f) for f in sorted(folder.glob("*.py")) if not f.name.startswith("_")}


def test_same_files_functions_and_signatures():
    assert public(FOLDERS["ref"]) == public(FOLDERS["cpu"])


@pytest.mark.parametrize("name", FOLDERS)
def test_functions_are_listed(name):
    names = sorted(f for functions in public(FOLDERS[name]).values() for f in functions)
    assert names == sorted(FUNCTIONS)


def test_dispatch_has_the_same_signatures():
    shown = signatures(Path(lipop_kernels.__file__))
    assert shown == {name: s for functions in public(FOLDERS["cpu"]).values() for name, s in functions.items()}
    assert set(FUNCTIONS) < set(lipop_kernels.__all__)


@pytest.mark.parametrize("package", [ref, cpu])
def test_packages_export_the_functions(package):
    assert sorted(package.__all__) == sorted(FUNCTIONS)
    assert all(callable(getattr(package, name)) for name in FUNCTIONS)


def test_the_comparison_would_notice(tmp_path):
    (tmp_path / "gram.py").write_text("def gram_matvec(A, x, *, dtype=None): ...\n")
    assert public(tmp_path)["gram.py"] != public(FOLDERS["ref"])["gram.py"]


def test_cupy_arrays_are_refused_by_name():
    fake = type("ndarray", (), {"__module__": "cupy"})()
    with pytest.raises(ValueError, match="CuPy"):
        lipop_kernels.spectral_norm_upper(fake)
