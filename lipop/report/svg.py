"""Parts of the report's plots: a bracket as it is drawn, axes, and SVG elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lipop.report.axes import Scale, label
from lipop.report.markup import Markup, join, tag
from lipop.report.numbers import read
from lipop.report.terminal import outward


def kind(status: str) -> str:
    """The CSS class of a status: its first word."""
    return "s-" + status.partition("(")[0].lower()


@dataclass(frozen=True)
class Mark:
    """A bracket, or an upper bound alone (``low`` None), as it is drawn.

    >>> Mark.of({"upper": "inf", "status": "UNKNOWN"}).words("Lip")
    'Lip ≤ ∞ (unknown)'
    """

    low: float | None
    high: float
    status: str
    low_status: str = ""

    @staticmethod
    def of(entry: Mapping[str, Any]) -> Mark:
        """The bracket that an entry of the report displays."""
        low = read(entry["lower"]) if "lower" in entry else None
        return Mark(low, read(entry["upper"]), entry["status"], entry.get("lower_status", ""))

    def values(self) -> list[float]:
        """The numbers that there are."""
        return [self.high] if self.low is None else [self.low, self.high]

    def words(self, name: str) -> str:
        """The statement, ends rounded outward."""
        below = "" if self.low is None else f"{number(self.low, down=True)} ≤ "
        return f"{below}{name} ≤ {number(self.high)} ({self.status.lower()})"


def number(value: float, *, down: bool = False, digits: int = 5) -> str:
    """A number in a few digits, rounded outward.

    >>> number(4.37000001), number(math.inf), number(2.40541e11, digits=2)
    ('4.3701', '∞', '2.5e+11')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return outward(value, down=down, digits=digits)


def figure(name: str, title: str, text: str, width: float, height: float, *parts: Any, class_: str = "") -> Markup:
    """An SVG image with its accessible name and description."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-t"),
        tag("desc", text, id=f"{name}-d"),
        *parts,
        class_=f"plot {class_}".strip(),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_labelledby=f"{name}-t {name}-d",
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def words(x: float, y: float, text: str, class_: str = "", *, anchor: str = "start", turn: bool = False) -> Markup:
    """A line of text; ``turn``: read from below to above."""
    turned = f"rotate(-90 {x:.1f} {y:.1f})" if turn else None
    return tag("text", text, x=x, y=y, class_=class_ or None, text_anchor=anchor, transform=turned)


def y_axis(scale: Scale, left: float, right: float, most: int) -> Markup:
    """Grid lines with labels to their left."""
    ticks = [(scale(v), label(v)) for v in scale.ticks(most)]
    return join(join((line(left, y, right, y, "grid"), words(left - 6, y + 3.5, t, anchor="end"))) for y, t in ticks)


def arrow(x: float, y: float, size: float, towards: tuple[int, int] = (0, -1)) -> Markup:
    """A triangle with its tip at a position, that says: the value lies further on, in that direction."""
    dx, dy = towards
    length = math.hypot(dx, dy) / size
    bx, by, wx, wy = x - 1.5 * dx / length, y - 1.5 * dy / length, -dy / length, dx / length
    return path([(x, y), (bx + wx, by + wy), (bx - wx, by - wy)], "arrow", closed=True)


def path(points: Sequence[tuple[float, float]], class_: str, *, closed: bool = False) -> Markup:
    """Points joined by straight lines."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else "")
    return tag("path", d=d, class_=class_)


def cut(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


__all__ = ["Mark", "arrow", "cut", "figure", "kind", "line", "number", "path", "words", "y_axis"]
