"""The report's plots as SVG, each a pure function of parts of the document; colours are those of the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lipop.report.axes import Scale, label, reach, round_range
from lipop.report.markup import Markup, join, tag
from lipop.report.svg import Mark, arrow, cut, figure, kind, line, number, path, words, y_axis

FAR = 1e12  # a bracket's upper end is drawn up to this factor above the least number of its panel
FAR_IN_CURVES = 1e4


# ---- brackets by block ----


@dataclass(frozen=True)
class Panel:
    """One number of every block: a title and its marks, in the order of the blocks."""

    title: str
    marks: Sequence[Mark]


LEFT, RIGHT, FULL = 62.0, 14.0, 960.0


def brackets(panels: Sequence[Panel], blocks: Sequence[tuple[int, str]]) -> Markup:
    """Panels below one another over the same blocks; every panel has its own logarithmic scale.

    Parameters
    ----------
    panels : sequence of Panel
    blocks : sequence of (index, name)
    """
    slot = min(max((FULL - LEFT - RIGHT) / max(len(blocks), 1), 13.0), 150.0)
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
    out: list[Markup | None] = [words(LEFT, top + 14, panel.title, "title"), y_axis(y, LEFT, right, 4)]
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
                tag("title", m.words(f"Lip on the ball of radius {r:g} |x₀|")),
                arrow(px, py - 2, 5) if above else tag("circle", cx=px, cy=py, r=3.2, class_="dot"),
                words(min(px, x.stop - 6), py - 5, number(m.high, digits=2), "value", anchor="middle")
                if above
                else None,
                class_=kind(m.status),
            )
        )
    ticks = x.ticks(4)
    return figure(
        f"curve-{c.index}",
        f"Block {c.index}: bracket by radius",
        "; ".join([c.point.words("|DT(x₀)|"), *(m.words(f"Lip at radius {r:g} |x₀|") for r, m in balls)]),
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


# ---- a residual branch: Dahlquist constant against Lip of the sum ----


@dataclass(frozen=True)
class Branch:
    """A residual branch F at its own input."""

    index: int
    name: str
    dahlquist: Mark
    total: Mark
    rule: Mark


SHAPES = ("circle", "square", "diamond", "triangle")


def shape(which: int, x: float, y: float, size: float) -> Markup:
    """The mark of a branch: its kind by shape, so that colour is free for the status."""
    name, s = SHAPES[which % len(SHAPES)], size
    if name == "circle":
        return tag("circle", cx=x, cy=y, r=s, class_="point")
    ends = {
        "square": [(-s, -s), (s, -s), (s, s), (-s, s)],
        "diamond": [(0, -1.4 * s), (1.4 * s, 0), (0, 1.4 * s), (-1.4 * s, 0)],
        "triangle": [(0, -1.2 * s), (1.2 * s, s), (-1.2 * s, s)],
    }[name]
    return path([(x + a, y + b) for a, b in ends], "point", closed=True)


def scatter(found: Sequence[Branch]) -> Markup:
    """Dahlquist constant a of F (x) against Lip(I + F) (y), both at the branch's input; no point lies below 1 + a."""
    names = list(dict.fromkeys(b.name for b in found))
    xs = [v for b in found for v in b.dahlquist.values()]
    ys = [v for b in found for v in (*b.total.values(), b.rule.high)]
    x, y = _linear(xs, 70, 600), _linear([0.0, *ys], 380, 24)
    ends = [(v, 1 + v) for v in (x.low, x.high)]
    low = max(x.low, y.low - 1)
    high = min(x.high, y.high - 1)
    few = len(found) <= 16
    marks: list[Markup | None] = []
    for b in found:
        px, py, rule = x(b.dahlquist.high), y(b.total.high), y(b.rule.high)
        told = f"block {b.index}, {cut(b.name, 60)}: {b.dahlquist.words('Dahlquist')}; {b.total.words('Lip(I + F)')}"
        marks.append(
            tag(
                "g",
                tag("title", f"{told}; by the rule {b.rule.words('')}"),
                None if y.beyond(b.rule.high) else line(px, py, px, rule, "span"),
                None if y.beyond(b.rule.high) else line(px - 4, rule, px + 4, rule, "thin"),
                None if b.dahlquist.low is None else line(x(b.dahlquist.low), py, px, py, "thin"),
                None if b.total.low is None else line(px, y(b.total.low), px, py, "thin"),
                arrow(px, py, 6) if y.beyond(b.total.high) > 0 else shape(names.index(b.name), px, py, 4.5),
                words(px, py + 14, f"{number(b.dahlquist.high, digits=3)}; {number(b.total.high, digits=3)}", "value")
                if x.beyond(b.dahlquist.high) or y.beyond(b.total.high)
                else words(px + 8, py + 3.5, str(b.index), "value")
                if few
                else None,
                class_=kind(b.total.status),
            )
        )
    legend = join(
        join((shape(i, 84, 36 + 17 * i, 4.5), words(96, 39.5 + 17 * i, cut(n, 40)))) for i, n in enumerate(names)
    )
    across = [(x(v), label(v)) for v in x.ticks(7)]
    return figure(
        "scatter",
        "Dahlquist constant of each residual branch against Lip(I + F)",
        "; ".join(
            f"block {b.index}, {b.name}: a ≤ {number(b.dahlquist.high)}, Lip ≤ {number(b.total.high)}" for b in found
        ),
        620,
        430,
        y_axis(y, x.start, x.stop, 6),
        *(
            join((line(px, y.start, px, y.stop, "grid"), words(px, y.start + 16, t, anchor="middle")))
            for px, t in across
        ),
        line(x(low), y(1 + low), x(high), y(1 + high), "at-point") if low < high and ends else None,
        words(x(high) - 6, y(1 + high) + 14, "1 + a", "unit", anchor="end") if low < high else None,
        words((x.start + x.stop) / 2, y.start + 38, "Dahlquist constant a of F at its input", "unit", anchor="middle"),
        words(20, (y.start + y.stop) / 2, "Lip(I + F) there", "unit", anchor="middle", turn=True),
        *marks,
        legend,
    )


def _linear(values: Sequence[float], start: float, stop: float) -> Scale:
    """A linear scale over the finite values, outliers (50 times the median size) left beyond its end."""
    finite = sorted(v for v in values if math.isfinite(v) and abs(v) < 1e290)
    if not finite:
        return Scale(0.0, 1.0, start, stop)
    middle = sorted(abs(v) for v in finite)[len(finite) // 2]
    kept = [v for v in finite if abs(v) <= 50 * middle] if middle > 0 else finite
    low, high = min(kept), max(kept)
    pad = 0.06 * (high - low) or 0.5 * max(abs(high), 1e-3)
    return Scale(low - pad if low < 0 or low > pad else 0.0, high + pad, start, stop)


__all__ = ["Branch", "Curve", "Panel", "brackets", "curves", "scatter"]
