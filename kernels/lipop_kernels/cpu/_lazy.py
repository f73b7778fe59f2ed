"""The compiled kernels, loaded when one is called: importing the package does not load Numba."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

SMALL = 2**21  # bytes of a matrix below which one thread is faster


@lru_cache(maxsize=8)
def loops(name: str) -> Any:
    """The module ``_name`` beside this one."""
    return import_module(f"lipop_kernels.cpu._{name}")
