"""One memo per call: expensive values shared by the questions of one analysis, dropped when it ends.

Operators keep nothing themselves. Inside ``with memo():`` a value is made once for each key (operator digest, point
digest, what); outside of it every call makes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_STORE: ContextVar[dict[Any, Any] | None] = ContextVar("lipop_memo", default=None)


@contextmanager
def memo() -> Generator[None]:
    """Share expensive values among the calls inside the block; nested blocks share the outermost memo."""
    if _STORE.get() is not None:
        yield
        return
    token = _STORE.set({})
    try:
        yield
    finally:
        _STORE.reset(token)


def remember(key: Any, make: Callable[[], Any]) -> Any:
    """The memo's value for ``key``, made if it is not there; without a memo simply ``make()``.

    >>> calls = []
    >>> with memo():
    ...     _ = remember("k", lambda: calls.append(1)), remember("k", lambda: calls.append(1))
    >>> len(calls)
    1
    """
    store = _STORE.get()
    if store is None:
        return make()
    if key not in store:
        store[key] = make()
    return store[key]


def forget() -> None:
    """Drop what takes memory from the memo of the current block; numbers, and tuples of numbers, stay.

    >>> with memo():
    ...     _ = remember("norm", lambda: 2.0), remember("vector", lambda: [0.0, 2.0])
    ...     forget()
    ...     remember("norm", lambda: 3.0), remember("vector", lambda: [1.0])
    (2.0, [1.0])
    """
    store = _STORE.get()
    if store is not None:
        for key in [key for key, value in store.items() if not _small(value)]:
            del store[key]


def _small(value: Any) -> bool:
    return isinstance(value, int | float) or (
        isinstance(value, tuple) and all(isinstance(v, int | float) for v in value)
    )
