"""Strings that come from users and files, made safe to print and to write."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""One line for a terminal: control characters, line breaks and lone surrogates as backslash escapes.

    >>> print(printable("caf\u00e9 \x1b[2J\n\udcff"))
    café \x1b[2J\n\udcff
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unicode(text: str) -> str:
    r"""Text that UTF-8 can hold: lone surrogates, which stand for bytes of paths that are not UTF-8, as escapes.

    >>> print(unicode("model-\udcff"))
    model-\udcff
    """
    return text.encode("utf-8", "backslashreplace").decode()


__all__ = ["printable", "unicode"]
