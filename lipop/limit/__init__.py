"""Limits of infinite compositions: architectures, the laws of their blocks, theorems and verdicts.

Names are loaded when they are first asked for; SymPy comes with the first law that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.limit.architecture import Architecture
    from lipop.limit.laws import Growth, Law, Uniform
    from lipop.limit.series import Series

_HOMES = {
    "Architecture": "architecture",
    "Growth": "laws",
    "Law": "laws",
    "Series": "series",
    "Uniform": "laws",
}
__all__ = ["Architecture", "Growth", "Law", "Series", "Uniform"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lipop.limit' has no attribute {name!r}")
    value = getattr(import_module(f"lipop.limit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
