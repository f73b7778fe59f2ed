"""``report.html``: a report as one page that needs nothing else, a pure function of the document in ``report.json``.

The page makes no request: its style sheet, script and data stand inside it, and its Content-Security-Policy allows
nothing but these two by their hashes. Every text of the report passes through :mod:`lipop.report.markup`.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lipop.report import files
from lipop.report.limit_page import limit_section
from lipop.report.markup import Markup, join, script_json, tag
from lipop.report.numbers import read
from lipop.report.numbers_table import numbers_table, status_chip
from lipop.report.rows import Row, plain, rows
from lipop.report.sections import branches, by_radius, per_block, section, singular_values
from lipop.report.svg import Mark, number
from lipop.report.terminal import RANKS
from lipop.report.trees import trees

MEANING = {
    "PROVED": "holds in exact arithmetic; every rounding is covered",
    "PROBABLE": "fails with at most the stated probability",
    "CONDITIONAL": "rests on a hypothesis that a user declared",
    "WITNESSED": "reached at a point that is kept, up to rounding",
    "ESTIMATED": "measured; not a bound",
    "UNKNOWN": "no bound is claimed",
}


def html_path(report: Path) -> Path:
    """Where the page of ``NAME.json`` lies: ``NAME.html`` beside it."""
    return report.with_name(report.name.removesuffix(".json") + ".html")


def write(report: Path, data: Mapping[str, Any] | None = None) -> Path:
    """Write the page of a report beside it, under a temporary name that is then renamed.

    Parameters
    ----------
    report : Path
        The ``.json`` file.
    data : mapping, optional
        Its document, where it is at hand.

    Returns
    -------
    Path
        The page's.

    Raises
    ------
    ReportError
        If the file is not a report.
    OSError
        If it cannot be read, or the page not be written.
    """
    page = render(files.read_json(report) if data is None else data)
    path = html_path(report)
    files.replace(path, lambda f: f.write(page.encode()))
    return path


def render(data: Mapping[str, Any]) -> str:
    """The page of a report document that follows the schema.

    Raises
    ------
    ReportError
        If a number of a proof node does not fit a float64.
    """
    found = list(rows(data["blocks"]))
    proofs, number_of = trees(data)
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Markup(policy)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"lipop report: {_title(data)}"),
        tag("style", style),
    )
    body = tag(
        "body",
        _header(data),
        tag(
            "main",
            _overview(data, found),
            per_block(data["blocks"]),
            by_radius(data["blocks"]),
            singular_values(data["blocks"]),
            branches(data["blocks"]),
            _numbers(found, number_of),
            limit_section(data["limit"]),
            _provenance(data),
        ),
        tag("script", script_json(proofs), type="application/json", id="proofs"),
        tag("script", script),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


@cache
def _asset(name: str) -> Markup:
    """A file of ``assets/``, which holds nothing that ends its element."""
    return Markup(importlib.resources.files("lipop.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# ---- head of the page ----


def _title(data: Mapping[str, Any]) -> str:
    start, stop = data["settings"]["blocks"]
    many = "block" if stop - start == 1 else "blocks"
    return f"{data['model']['family']}, {stop - start} {many}, {data['input']['tokens']} tokens"


SECTIONS = {
    "per-block": "Brackets",
    "by-radius": "Radii",
    "spectra": "Spectra",
    "branches": "Branches",
    "numbers": "Numbers",
    "limit": "Limit",
    "provenance": "Provenance",
}


def _header(data: Mapping[str, Any]) -> Markup:
    links = join(tag("a", name, href=f"#{target}") for target, name in SECTIONS.items())
    return tag(
        "header",
        tag("p", "lipop report", class_="brand"),
        tag("h1", tag("bdi", _title(data))),
        tag("p", tag("bdi", data["model"]["path"]), class_="lede"),
        tag("nav", links, aria_label="Sections"),
        tag("button", "Dark", type="button", id="theme", aria_pressed="false", hidden=True),
    )


def _facts(pairs: Sequence[tuple[str, Any]], class_: str) -> Markup:
    return tag("dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in pairs), class_=class_)


def _overview(data: Mapping[str, Any], found: Sequence[Row]) -> Markup:
    blocks, (start, stop) = data["blocks"], data["settings"]["blocks"]
    facts: list[tuple[str, Any]] = [("blocks", f"{start} … {stop - 1} of {data['model']['blocks']}")]
    if blocks:
        top = max(blocks, key=lambda b: read(b["jacobian"]["upper"]))
        m = Mark.of(top["jacobian"])
        low = "" if m.low is None else f"{number(m.low, down=True)} … "
        facts.append(("largest |DT(x₀)|", f"{low}{number(m.high)} (block {top['index']})"))
    facts += [("numbers", f"{len(found):,}"), ("proof nodes", f"{len(data['proofs']):,}")]
    ends = [r.entry[k] for r in found for k in ("status", "lower_status") if k in r.entry]
    counts = Counter(status.partition("(")[0] for status in ends)
    legend = tag(
        "ul",
        *(
            tag("li", status_chip(s), " ", tag("b", f"{counts[s]:,}"), tag("span", MEANING[s]))
            for s in RANKS
            if counts[s]
        ),
        class_="legend",
        aria_label="Statuses of the ends, and how many have them",
    )
    unfinished = tag(
        "p",
        f"INCOMPLETE: {len(blocks)} of {stop - start} blocks are in this report.",
        class_="warning",
        role="note",
    )
    scripts = tag(
        "p",
        "Scripts are off: the plots and the table are complete, but proofs do not unfold, and the table is neither "
        "sorted nor filtered. The proofs are in report.json.",
        class_="warning",
    )
    return tag(
        "section",
        None if data["complete"] else unfinished,
        tag("noscript", scripts),
        _facts(facts, "facts"),
        legend,
        aria_label="Overview",
    )


# ---- numbers, provenance ----


def _numbers(found: Sequence[Row], number_of: Mapping[str, int]) -> Markup:
    lead = (
        "Every number of the report, its ends rounded outward. Click an end to unfold its proof; click a heading to "
        "sort. T is the block, F a residual branch of it."
    )
    return section("numbers", "All numbers", lead, numbers_table(found, number_of))


def _provenance(data: Mapping[str, Any]) -> Markup:
    model, given, settings = data["model"], data["input"], data["settings"]
    return section(
        "provenance",
        "Provenance",
        join(["Check this report against the model with ", tag("code", "lipop verify report.json MODEL"), "."]),
        _facts(list(_provenance_facts(data, model, given, settings)), "provenance"),
    )


def _provenance_facts(
    data: Mapping[str, Any], model: Mapping[str, Any], given: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    yield "command", tag("code", tag("bdi", " ".join(data["command"]) or "not recorded"))
    yield "model", tag("bdi", f"{model['family']}, {model['dtype']}, {model['blocks']} blocks, {model['path']}")
    yield "model sha256", tag("code", model["sha256"])
    yield "tokens", f"{given['tokens']}"
    yield "tokens sha256", tag("code", given["sha256"])
    if "text_sha256" in given:
        yield "text sha256", tag("code", given["text_sha256"])
    radii = ", ".join(plain(r) for r in settings["radii"])
    yield "settings", f"effort {settings['effort']}, seed {settings['seed']}, radii {radii}"
    yield "versions", tag("bdi", ", ".join(f"{k} {v}" for k, v in data["versions"].items()))
    yield "created", f"{data['created']}, in {data['seconds']:.0f} s"
    yield "report", f"{data['schema']}, {'complete' if data['complete'] else 'INCOMPLETE'}"
    yield "report digest", tag("code", data["digest"])


__all__ = ["html_path", "render", "write"]
