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
    """Empty the memo of the current block, so that a long analysis holds one block's values at a time."""
    store = _STORE.get()
    if store is not None:
        store.clear()
