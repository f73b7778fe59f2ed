"""The code that computes, as one digest: a result is found again only by the code that would compute it anew."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from functools import cache
from pathlib import Path

from lipop.core.digest import digest

LIBRARIES = ("numpy", "scipy", "numba", "python-flint")
SOURCES = ("lipop", "lipop_kernels")


@cache
def fingerprint() -> str:
    """sha256 of every source file of lipop and its kernels, and of the versions of Python and of the libraries that
    compute.

    Any edit changes it, of a comment too: a result is rather computed twice than reused wrongly.
    """
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return digest("code", platform.python_version(), versions, {name: _sources(name) for name in SOURCES})


def _sources(package: str) -> dict[str, str]:
    """sha256 of each Python file of a package, by its path inside the package."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    files = [(folder, f) for folder in folders for f in folder.rglob("*.py")]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for folder, f in files}


__all__ = ["LIBRARIES", "fingerprint"]
