"""Long token arrays taken in slices, so that what a token-wise map needs in between stays small."""

from __future__ import annotations

ENTRIES = 2**21  # of one intermediate array
SMALL = 2**18  # the same where many intermediate arrays live at once


def token_slices(tokens: int, width: int, entries: int | None = None) -> list[slice]:
    """Slices of tokens whose rows of ``width`` entries have at most ``entries`` together (``ENTRIES`` by default;
    one token at least).

    >>> token_slices(3, ENTRIES // 2)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, (ENTRIES if entries is None else entries) // width)
    return [slice(i, min(tokens, i + step)) for i in range(0, tokens, step)]


__all__ = ["ENTRIES", "SMALL", "token_slices"]
