"""HTML and SVG elements made from Python values: every text is escaped here, and nowhere else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

VOID = frozenset({"br", "col", "hr", "input", "link", "meta"})
"""HTML elements that have no end tag."""

_UNSEEN_CLASS = r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
_UNSEEN = re.compile(f"[{_UNSEEN_CLASS}]")
_NOT_PLAIN = re.compile(f"[&<>\"'{_UNSEEN_CLASS}]")


class Markup(str):
    """Text that is markup already. A plain ``str`` is escaped wherever it meets markup."""

    __slots__ = ()


def visible(text: str) -> str:
    r"""The text with characters that are not seen, or that turn the order of others, written as ``\uXXXX``.

    >>> visible("layer\u202egnp.exe"), visible("a\tb")
    ('layer\\u202egnp.exe', 'a\\u0009b')
    """
    return _UNSEEN.sub(lambda m: f"\\u{ord(m.group()):04x}", text)


def escape(text: Any) -> Markup:
    """A value as text inside an element or a quoted attribute.

    >>> escape("<b>&'")
    '&lt;b&gt;&amp;&#x27;'
    """
    if isinstance(text, Markup):
        return text
    text = str(text)
    return Markup(html.escape(visible(text), quote=True) if _NOT_PLAIN.search(text) else text)


def join(parts: Iterable[Any]) -> Markup:
    """Parts one after another; None is left out."""
    return Markup("".join(escape(p) for p in parts if p is not None))


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element.

    Parameters
    ----------
    name : str
    *children
        Markup as it is, anything else as escaped text; None is left out.
    **attributes
        ``class_`` stands for ``class``, other underscores for hyphens. True gives the bare attribute, None and False
        leave it out, a float is written in at most two decimals.

    Examples
    --------
    >>> tag("p", "a < b", tag("br"), class_="note", hidden=True, title=None)
    '<p class="note" hidden>a &lt; b<br></p>'
    """
    shown = "".join(_attribute(k, v) for k, v in attributes.items() if v is not None and v is not False)
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def _attribute(name: str, value: Any) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{short(value) if isinstance(value, float) else escape(value)}"'


def short(value: float) -> str:
    """A coordinate in at most two decimals.

    >>> short(1.0), short(2.345), short(-0.001)
    ('1', '2.35', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def script_json(value: Any) -> Markup:
    r"""JSON that may stand in a script element: no character of it can end the element or open a comment.

    >>> script_json({"a": "</script><!-- & \u2028"})
    '{"a":"\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"}'
    """
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT))


__all__ = ["Markup", "escape", "join", "script_json", "short", "tag", "visible"]
