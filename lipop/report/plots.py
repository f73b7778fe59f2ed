"""The report's plots as SVG, each a pure function of parts of the document; colours are those of the style sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lipop.report.axes import LARGEST, SMALLEST, Scale, label, reach, round_range
from lipop.report.markup import Markup, join, tag
from lipop.report.rows import radius
from lipop.report.svg import Mark, arrow, cut, figure, kind, line, number, path, words, y_axis

FAR = 1e12  # a bracket's upper end is drawn up to this factor above the least number of its panel
FAR_IN_CURVES = 1e4


# ---- brackets by block ----


@dataclass(frozen=True)
class Panel:
    """One number of every block: a title and its marks, in the order of the blocks."""

    title: str
    marks: Sequence[Mark]


LEFT, RIGHT, FULL = 62.0, 8.0, 1032.0


def brackets(panels: Sequence[Panel], blocks: Sequence[tuple[int, str]]) -> Markup:
    """Panels below one another over the same blocks; every panel has its own logarithmic scale.

    Parameters
    ----------
    panels : sequence of Panel
    blocks : sequence of (index, name)
    """
    slot = min(max((FULL - LEFT - RIGHT) / max(len(blocks), 1), 13.0), 165.0)
    width = max(LEFT + RIGHT + slot * len(blocks), 360.0)
    parts, top = list[Markup](), 0.0
    for panel in panels:
        drawn, height = _panel(panel, blocks, slot, top)
        parts.append(drawn)
        top += height
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if s * slot >= 22 or s == 1000)
    parts += [
        words(LEFT + slot * (i + 0.5), top + 4, str(index), anchor="middle")
        for i, (index, _) in enumerate(blocks)
        if i % step == 0
    ]
    parts.append(words(LEFT - 6, top + 4, "block", anchor="end"))
    text = f"{len(panels)} panels, one a number, over {len(blocks)} blocks; each bracket is a bar from its lower end "
    text += "(witness, a dot) to its upper end (proof, a bar). The table below holds every number."
    return figure("brackets", "Brackets of every block, logarithmic", text, width, top + 14, *parts, class_="wide")


def _panel(panel: Panel, blocks: Sequence[tuple[int, str]], slot: float, top: float) -> tuple[Markup, float]:
    """One panel and its height."""
    shown = reach((v for m in panel.marks for v in m.values()), FAR)
    low, high = shown or (1.0, 10.0)
    roomy = slot >= 54
    turned = max((len(number(m.high, digits=3)) for m in panel.marks if m.high > high), default=0)
    head = 22 + (16 if roomy else 7 * turned + 4)
    y = round_range(low, high, top + head + 84, top + head)
    right = LEFT + slot * len(blocks)
    out: list[Markup | None] = [words(0, top + 14, panel.title, "title"), y_axis(y, LEFT, right, 4)]
    if shown is None:
        out.append(words(LEFT + 8, top + head + 46, "no positive finite number", "note"))
    for i, (m, (index, name)) in enumerate(zip(panel.marks, blocks, strict=True)):
        x, half = LEFT + slot * (i + 0.5), min(9.0, slot * 0.32)
        at = y(m.high)
        above = y.beyond(m.high) > 0
        out.append(
            tag(
                "g",
                tag("title", m.words(f"block {index} ({cut(name, 60)}): {panel.title}")),
                tag("rect", x=x - slot / 2, y=y.stop - 4, width=slot, height=y.start - y.stop + 8, class_="hit"),
                None if m.low is None else line(x, y(m.low), x, at, "span"),
                arrow(x, at - 2, half * 0.8) if above else line(x - half, at, x + half, at, "cap"),
                None
                if m.low is None or y.beyond(m.low)
                else tag("circle", cx=x, cy=y(m.low), r=min(3.2, slot * 0.2), class_=f"dot {kind(m.low_status)}"),
                _value(number(m.high, digits=3), x, at - 6, roomy, above),
                class_=kind(m.status),
            )
        )
    return join(out), head + 84 + 16


def _value(text: str, x: float, y: float, roomy: bool, above: bool) -> Markup | None:
    """An upper end in figures: over its mark where there is room, turned where only a value beyond the scale needs it
    (∞ never, which turned is an 8)."""
    if roomy or (above and len(text) <= 2):
        return words(x, y, text, "value", anchor="middle")
    return words(x + 3, y, text, "value", turn=True) if above else None


# ---- radius -> bracket ----


@dataclass(frozen=True)
class Curve:
    """A block's brackets by relative radius, and the one at the point itself."""

    index: int
    name: str
    point: Mark
    balls: Sequence[tuple[float, Mark]]


def curves(found: Sequence[Curve]) -> list[Markup]:
    """One small plot a block, all on the same scales, so that they compare."""
    found = [replace(c, balls=[(r, m) for r, m in c.balls if SMALLEST < r < LARGEST]) for c in found]
    found = [c for c in found if c.balls]
    radii = sorted({r for c in found for r, _ in c.balls})
    shown = reach((v for c in found for m in (c.point, *(m for _, m in c.balls)) for v in m.values()), FAR_IN_CURVES)
    if not radii:
        return []
    x = round_range(radii[0], radii[-1], 44, 200)
    y = round_range(*(shown or (1.0, 10.0)), 136, 24)
    most = max(sum(y.beyond(m.high) > 0 for _, m in c.balls) for c in found)
    y = replace(y, stop=y.stop + 11 * min(most, 2))  # room for the values beyond the scale
    return [_curve(c, x, y) for c in found]


def _curve(c: Curve, x: Scale, y: Scale) -> Markup:
    balls = sorted(c.balls, key=lambda b: b[0])
    upper = _rise([(r, m.high) for r, m in balls], x, y)
    lower = [(x(r), y(m.low if m.low is not None else y.low)) for r, m in balls]
    return figure(
        f"curve-{c.index}",
        f"Block {c.index}: bracket by radius",
        "; ".join([c.point.words("|DT(x₀)|"), *(m.words(f"Lip, {radius(r)}") for r, m in balls)]),
        212,
        166,
        words(4, 13, f"block {c.index}", "title"),
        y_axis(y, x.start, x.stop, 4),
        *(words(x(v), y.start + 14, label(v), anchor="middle") for v in x.ticks(4)),
        words((x.start + x.stop) / 2, y.start + 27, "radius over |x₀|", "unit", anchor="middle"),
        path([*upper, *reversed(lower)], "band", closed=True),
        line(x.start, y(c.point.high), x.stop, y(c.point.high), "at-point"),
        path(_until_top(upper, y), "curve"),
        path(lower, "curve low"),
        *(_ball(r, m, x, y) for r, m in balls),
        *_beyond([(x(r), m.high) for r, m in balls if y.beyond(m.high) > 0], x, y),
        class_="small",
    )


def _rise(ends: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """Upper ends joined by straight lines, cut off where they leave the scale."""
    out: list[tuple[float, float]] = []
    for (r0, v0), (r1, v1) in itertools.pairwise([ends[0], *ends]):
        if out and y.beyond(v0) == 0 < y.beyond(v1) and v0 > 0:
            part = math.log(y.high / v0) / math.log(v1 / v0) if math.isfinite(v1) else 0.0
            out.append((x(r0) + part * (x(r1) - x(r0)), y.stop))
        out.append((x(r1), y(v1)))
    return out


def _until_top(points: list[tuple[float, float]], y: Scale) -> list[tuple[float, float]]:
    """The points without those that only run along the upper edge in the end."""
    inside = [i for i, p in enumerate(points) if p[1] > y.stop]
    return points[: (inside[-1] if inside else 0) + 2]


def _ball(r: float, m: Mark, x: Scale, y: Scale) -> Markup:
    px, py = x(r), y(m.high)
    mark = arrow(px, py - 2, 5) if y.beyond(m.high) > 0 else tag("circle", cx=px, cy=py, r=3.2, class_="dot")
    return tag("g", tag("title", m.words(f"Lip, {radius(r)}")), mark, class_=kind(m.status))


def _beyond(values: Sequence[tuple[float, float]], x: Scale, y: Scale) -> list[Markup]:
    """Values beyond the scale, printed in two rows; those for which there is no room stand in the table only."""
    free = [x.start - 20.0, x.start - 20.0]  # where each row ends
    out: list[Markup] = []
    for px, value in values:
        text = number(value, digits=3)
        half = 3.4 * len(text)
        middle = min(px, x.stop + 10 - half)
        row = next((i for i in (0, 1) if middle - half > free[i]), None)
        if row is not None:
            free[row] = middle + half
            out.append(words(middle, y.stop - 5 - 11 * row, text, "value", anchor="middle"))
    return out


__all__ = ["Curve", "Panel", "brackets", "curves"]
