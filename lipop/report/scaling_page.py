"""``fit.html``: a fitted scaling law as one page without scripts; every text is escaped, every plot drawn here."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lipop.report.axes import Scale, label, round_range
from lipop.report.markup import Markup, join, tag
from lipop.report.sections import scroll, section
from lipop.report.svg import figure, line, words, y_axis

STYLE = "main td, main th { padding: 3px 18px 3px 0; text-align: left; vertical-align: top; }"
WIDTH, HEIGHT = 460.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 26.0, 44.0


def render(data: Mapping[str, Any]) -> str:
    """The page of a document of :mod:`lipop.report.scaling`."""
    sheet = importlib.resources.files("lipop.report").joinpath("assets", "report.css").read_text("utf-8")
    style = Markup(f"{sheet}\n{STYLE}\n")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    fitted = data["fit"]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Markup(policy)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"lipop scaling: {fitted['law']}"),
        tag("style", style),
    )
    main = tag(
        "main",
        _parameters(fitted),
        _plots(data),
        _comparison(data["comparison"]) if data["comparison"] else None,
        _plans(data["plans"]) if data["plans"] else None,
    )
    title = tag(
        "header", tag("h1", f"Scaling law {fitted['law']}"), tag("p", f"{fitted['rows']} runs from {_source(data)}")
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', title, main), lang='en')}\n"


def _source(data: Mapping[str, Any]) -> str:
    columns = ", ".join(f"{ours} = {theirs}" for ours, theirs in data["source"]["columns"].items())
    return f"{data['source']['path']} ({columns})"


def shown(value: float | None, digits: int = 5) -> str:
    """A number in a few digits; None is an end that is not bounded.

    >>> shown(0.34), shown(2.5e10), shown(None)
    ('0.34', '2.5e+10', '—')
    """
    return "—" if value is None else f"{value:.{digits}g}"


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    body = [tag("tr", *(tag("td", tag("bdi", cell)) for cell in row)) for row in rows]
    return scroll(name, tag("table", tag("thead", tag("tr", *(tag("th", h) for h in head))), tag("tbody", *body)))


# ---- sections ----


def _parameters(fitted: Mapping[str, Any]) -> Markup:
    rows = [
        (p["name"], shown(p["value"]), f"{shown(p['low'])} … {shown(p['high'])}", p["unit"], p["meaning"])
        for p in fitted["parameters"]
    ]
    rows += [(n, shown(v), "fixed", "", "") for n, v in fitted["fixed"].items()]
    loss = "squares" if fitted["delta"] is None else f"Huber's loss of width {fitted['delta']:g}"
    lead = (
        f"{fitted['citation']}. By {loss} on log residuals, from {fitted['starts']} starts, of which "
        f"{fitted['agreeing']} ended at the same height; {fitted['level']:.0%} intervals by {fitted['intervals']}. "
        "These are estimates, not proofs."
    )
    return section(
        "parameters",
        "Parameters",
        lead,
        tag("p", tag("code", f"{fitted['target']} = {fitted['formula']}")),
        _table("Parameters", ("parameter", "estimate", "interval", "unit", "meaning"), rows),
        tag("ul", *(tag("li", tag("bdi", w)) for w in fitted["warnings"]), class_="evidence")
        if fitted["warnings"]
        else None,
    )


def _comparison(rows: Sequence[Mapping[str, Any]]) -> Markup:
    head = ("law", "parameters", "AICc", "weight", "spread", "error on the largest runs", "its mean", "held out")
    keys = ("law", "parameters", "aicc", "weight", "spread", "extrapolation", "bias", "held_out")
    cells = [[r[k] if isinstance(r[k], str) else shown(r[k], 4) for k in keys] for r in rows]
    lead = "Akaike's criterion on all runs, and log errors on the most costly runs of fits that have not seen them."
    return section("comparison", "Comparison of laws", lead, _table("Comparison of laws", head, cells))


def _plans(plans: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        (
            f"{p['budget']:.4g} {p['cost_unit']}",
            ", ".join(f"{v['name']} = {shown(v['value'])} {v['unit']}" for v in p["values"]),
            ", ".join(f"{v['name']}: {shown(v['low'])} … {shown(v['high'])}" for v in p["values"]),
            shown(p["predicted"]),
            "closed form" if p["closed"] else "numerical",
        )
        for p in plans
    ]
    head = ("budget", "best", "intervals", "predicted", "by")
    return section("plans", "Allocation", "The least predicted value at each cost.", _table("Allocation", head, rows))


# ---- plots ----


def _plots(data: Mapping[str, Any]) -> Markup:
    columns, target = data["data"], data["fit"]["target"]
    measured = columns[target]
    predicted = [v * math.exp(r) for v, r in zip(measured, columns["residual"], strict=True)]
    drawn = [scatter("fit", f"measured and fitted {target}", predicted, measured, (f"fitted {target}", "measured"))]
    for name, unit in data["units"].items():
        title = f"residuals against {name}"
        drawn.append(
            scatter(f"residual-{name}", title, columns[name], columns["residual"], (f"{name} ({unit})", ""), True)
        )
    lead = "Dots are runs. The line is where the law holds exactly; residuals are log law − log measured."
    return section("plots", "Data and residuals", lead, tag("div", *drawn, class_="grid pairs"))


def scatter(
    name: str, title: str, x: Sequence[float], y: Sequence[float], labels: tuple[str, str], residual: bool = False
) -> Markup:
    """Dots on a logarithmic horizontal axis: against an equal axis with its diagonal, or against residuals with zero.

    Examples
    --------
    >>> scatter("a", "t", [1.0, 10.0], [1.0, 9.0], ("x", "y")).count("<circle")
    2
    """
    if residual:
        across = round_range(min(x), max(x), LEFT, WIDTH - RIGHT)
        most = max(max(abs(v) for v in y), 1e-12)
        up = Scale(-1.1 * most, 1.1 * most, HEIGHT - BOTTOM, TOP)
        rule = line(LEFT, up(0.0), WIDTH - RIGHT, up(0.0), "curve")
    else:
        both = (min(*x, *y), max(*x, *y))
        low, high = both[0] / 1.02, both[1] * 1.02
        across, up = Scale(low, high, LEFT, WIDTH - RIGHT, log=True), Scale(low, high, HEIGHT - BOTTOM, TOP, log=True)
        rule = line(across(low), up(low), across(high), up(high), "curve")
    dots = [tag("circle", cx=across(a), cy=up(b), r=2.4, class_="dot") for a, b in zip(x, y, strict=True)]
    ticks = [words(across(v), HEIGHT - BOTTOM + 15, label(v), anchor="middle") for v in across.ticks(6)]
    text = f"{len(x)} runs; horizontal from {min(x):.5g} to {max(x):.5g}, vertical from {min(y):.5g} to {max(y):.5g}"
    return figure(
        name,
        title,
        text,
        WIDTH,
        HEIGHT,
        words(LEFT, 15, title, "title"),
        y_axis(up, LEFT, WIDTH - RIGHT, 6),
        join(ticks),
        words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, labels[0], "unit", anchor="middle"),
        rule,
        *dots,
    )


__all__ = ["render", "scatter", "shown"]
