"""The report's plots of residual branches: Dahlquist constant of F against Lip(I + F), one plot a branch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lipop.report.axes import Scale, label
from lipop.report.markup import Markup, join, tag
from lipop.report.svg import Mark, arrow, cut, figure, kind, line, number, words, y_axis

WIDTH, HEIGHT = 420.0, 330.0
OUTLIER = 50.0


@dataclass(frozen=True)
class Branch:
    """A residual branch F at its own input."""

    index: int
    name: str
    dahlquist: Mark
    total: Mark
    rule: Mark

    def words(self) -> str:
        """What is known about it."""
        a, lip = self.dahlquist.words("a"), self.total.words("Lip(I + F)")
        return f"block {self.index}: {a}; {lip}; {self.rule.words('by the rule, Lip(I + F)')}"


def scatters(found: Sequence[Branch]) -> list[Markup]:
    """One plot for each name of a branch: Dahlquist constant a (across) against Lip(I + F) (up), at the branch's input.

    No point lies below the line 1 + a.
    """
    names = list(dict.fromkeys(b.name for b in found))
    return [_scatter(i, name, [b for b in found if b.name == name]) for i, name in enumerate(names)]


def _scatter(place: int, name: str, found: Sequence[Branch]) -> Markup:
    x = _linear([v for b in found for v in b.dahlquist.values()], 62, WIDTH - 16)
    least = [1 + v for b in found for v in b.dahlquist.values()]
    y = _linear([v for b in found for v in (*b.total.values(), b.rule.high)] + least, HEIGHT - 50, 34)
    left, right = max(x.low, y.low - 1), min(x.high, y.high - 1)
    across = [(x(v), label(v)) for v in x.ticks(6)]
    return figure(
        f"branch-{place}",
        f"{cut(name, 60)}: Dahlquist constant against Lip(I + F)",
        "; ".join(b.words() for b in found),
        WIDTH,
        HEIGHT,
        words(0, 13, cut(name, 60), "title"),
        y_axis(y, x.start, x.stop, 6),
        *(
            join((line(px, y.start, px, y.stop, "grid"), words(px, y.start + 16, t, anchor="middle")))
            for px, t in across
        ),
        join((line(x(left), y(1 + left), x(right), y(1 + right), "at-point"), _beside(x, y, right)))
        if left < right
        else None,
        words((x.start + x.stop) / 2, y.start + 36, "Dahlquist constant a of F", "unit", anchor="middle"),
        words(12, (y.start + y.stop) / 2, "Lip(I + F)", "unit", anchor="middle", turn=True),
        *(_point(b, x, y) for b in found),
        *_labels(found, x, y),
    )


def _beside(x: Scale, y: Scale, right: float) -> Markup:
    """The name of the line 1 + a, below its upper end."""
    end = x(right) - 2
    return words(end, _height(end - 28, x, y) + 11, "1 + a", "unit", anchor="end")


def _height(px: float, x: Scale, y: Scale) -> float:
    """Where the line 1 + a stands above a place of the axis, on the scale or beyond it."""
    a = x.low + (px - x.start) / (x.stop - x.start) * (x.high - x.low)
    return y.start + (1 + a - y.low) / (y.high - y.low) * (y.stop - y.start)


def _point(b: Branch, x: Scale, y: Scale) -> Markup:
    px, py, rule = x(b.dahlquist.high), y(b.total.high), y(b.rule.high)
    aside, above = x.beyond(b.dahlquist.high), y.beyond(b.total.high)
    mark = arrow(px, py, 6, (aside, -above)) if aside or above else tag("circle", cx=px, cy=py, r=4.2, class_="point")
    return tag(
        "g",
        tag("title", b.words()),
        line(px, py, px, rule, "span"),
        line(px - 4, rule, px + 4, rule, "thin") if y.beyond(b.rule.high) == 0 else None,
        None if b.dahlquist.low is None else line(x(b.dahlquist.low), py, px, py, "thin"),
        None if b.total.low is None else line(px, y(b.total.low), px, py, "thin"),
        mark,
        class_=kind(b.total.status),
    )


def _name(b: Branch, x: Scale, y: Scale) -> str:
    """The block's index, with the values where they are beyond the scale."""
    if x.beyond(b.dahlquist.high) or y.beyond(b.total.high):
        return f"{b.index}: {number(b.dahlquist.high, digits=3)}, {number(b.total.high, digits=3)}"
    return str(b.index)


def _labels(found: Sequence[Branch], x: Scale, y: Scale) -> list[Markup]:
    """Names beside their marks, on the first side where there is room; a name for which there is none is left to the
    mark's own description."""
    marks = [(x(b.dahlquist.high), y(b.total.high), _name(b, x, y)) for b in found]
    taken = [(px - 5, min(py - 5, y(b.rule.high)), px + 5, py + 5) for (px, py, _), b in zip(marks, found, strict=True)]
    out: list[Markup] = []
    for i, (px, py, text) in enumerate(marks):
        wide = 7.0 * len(text)
        for dx, dy, anchor in ((8, 4, "start"), (-8, 4, "end"), (0, 17, "middle"), (0, -9, "middle")):
            start = px + dx - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
            box = (start, py + dy - 9, start + wide, py + dy + 2)
            inside = box[0] >= x.start and box[2] <= x.stop + 14 and box[1] >= y.stop - 14 and box[3] <= y.start
            crossed = _height(box[2], x, y) < box[3] and box[1] < _height(box[0], x, y)  # by the line, which rises
            if inside and not crossed and not any(_overlap(box, other) for j, other in enumerate(taken) if j != i):
                taken.append(box)
                out.append(words(px + dx, py + dy, text, "value", anchor=anchor))
                break
    return out


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _linear(values: Sequence[float], start: float, stop: float) -> Scale:
    """A linear scale over the finite values; those :data:`OUTLIER` times the median size are left beyond its end."""
    finite = [v for v in values if math.isfinite(v) and abs(v) < 1e290]
    if not finite:
        return Scale(0.0, 1.0, start, stop)
    middle = sorted(abs(v) for v in finite)[len(finite) // 2]
    kept = [v for v in finite if abs(v) <= OUTLIER * middle] or finite
    low, high = min(kept), max(kept)
    pad = max(0.07 * (high - low), 0.05 * max(-low, high), 1e-6)  # a single narrow bracket is not blown up
    return Scale(low - pad, high + pad, start, stop)


__all__ = ["Branch", "scatters"]
