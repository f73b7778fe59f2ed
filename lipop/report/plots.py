"""The report's plots as SVG, each a pure function of parts of the document; colours are those of the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lipop.report.axes import Scale, label, reach, round_range
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
    far = any(m.high > high for m in panel.marks)
    head = 22 + (16 if roomy else 48 if far else 4)
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
                words(x, at - 7 if not above else at - 5, number(m.high, digits=3), "value", anchor="middle")
                if roomy
                else words(x + 3, at - 5, number(m.high, digits=3), "value", turn=True)
                if above
                else None,
                class_=kind(m.status),
            )
        )
    return join(out), head + 84 + 16


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
    radii = sorted({r for c in found for r, _ in c.balls})
    shown = reach((v for c in found for m in (c.point, *(m for _, m in c.balls)) for v in m.values()), FAR_IN_CURVES)
    if not radii:
        return []
    x = round_range(radii[0], radii[-1], 44, 200)
    y = round_range(*(shown or (1.0, 10.0)), 128, 38)
    return [_curve(c, x, y) for c in found]


def _curve(c: Curve, x: Scale, y: Scale) -> Markup:
    balls = sorted(c.balls, key=lambda b: b[0])
    upper = [(x(r), y(m.high)) for r, m in balls]
    lower = [(x(r), y(m.low if m.low is not None else y.low)) for r, m in balls]
    marks: list[Markup | None] = []
    for (r, m), (px, py) in zip(balls, upper, strict=True):
        above = y.beyond(m.high) > 0
        marks.append(
            tag(
                "g",
                tag("title", m.words(f"Lip on the ball of radius {radius(r)}")),
                arrow(px, py - 2, 5) if above else tag("circle", cx=px, cy=py, r=3.2, class_="dot"),
                words(min(px, x.stop - 18), py - 5, number(m.high, digits=3), "value", anchor="middle")
                if above
                else None,
                class_=kind(m.status),
            )
        )
    ticks = x.ticks(4)
    return figure(
        f"curve-{c.index}",
        f"Block {c.index}: bracket by radius",
        "; ".join([c.point.words("|DT(x₀)|"), *(m.words(f"Lip, {radius(r)}") for r, m in balls)]),
        212,
        158,
        words(4, 13, f"block {c.index}", "title"),
        y_axis(y, x.start, x.stop, 4),
        *(words(x(v), y.start + 14, label(v), anchor="middle") for v in ticks),
        words((x.start + x.stop) / 2, y.start + 27, "radius over |x₀|", "unit", anchor="middle"),
        path([*upper, *reversed(lower)], "band", closed=True),
        line(x.start, y(c.point.high), x.stop, y(c.point.high), "at-point"),
        path(upper, "curve"),
        path(lower, "curve low"),
        *marks,
        class_="small",
    )


__all__ = ["Curve", "Panel", "brackets", "curves"]
