"""The table of all numbers in ``report.html``: every end is a button that unfolds its proof."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lipop.report.markup import Markup, tag
from lipop.report.numbers import read
from lipop.report.rows import KINDS, Row
from lipop.report.svg import kind, number
from lipop.report.terminal import rank

COLUMNS = ("block", "number", "where", "lower", "upper", "ratio", "status")
GLYPHS = {
    "PROVED": "●",
    "PROBABLE": "◐",
    "CONDITIONAL": "◇",
    "WITNESSED": "△",
    "ESTIMATED": "○",
    "UNKNOWN": "?",
}
"""A shape beside each colour, for those who do not see colours, and for print."""


def status_chip(status: str) -> Markup:
    """A status as a coloured word with its shape."""
    word, _, rest = status.partition("(")
    text = word.lower() + (f" {rest.removesuffix(')')}" if rest else "")
    return tag("span", tag("i", GLYPHS[word], aria_hidden="true"), text, class_=f"chip {kind(status)}")


def numbers_table(found: Sequence[Row], number_of: Mapping[str, int]) -> Markup:
    """The controls, hidden until a script is there to serve them, and the table.

    Parameters
    ----------
    found : sequence of Row
    number_of : mapping
        The number of each proof node by its id.
    """
    kinds = [("all", "all"), *((k, f"{k}es" if k.endswith("h") else f"{k}s") for k in KINDS)]
    controls = tag(
        "div",
        tag("label", "Filter ", tag("input", type="search", id="filter", placeholder="e.g. W_O, block 3, probable")),
        tag(
            "span",
            *(
                tag("button", name, type="button", data_kind=k, aria_pressed="true" if k == "all" else "false")
                for k, name in kinds
            ),
            class_="kinds",
            role="group",
            aria_label="Kinds of numbers",
        ),
        tag("output", f"{len(found):,} numbers", id="count", for_="filter"),
        class_="controls",
        hidden=True,
    )
    head = tag("tr", *(tag("th", c, scope="col", data_column=c) for c in COLUMNS))
    table = tag(
        "table",
        tag("caption", "Every number of the report", class_="unseen"),
        tag("thead", head),
        tag("tbody", *(_row(r, number_of) for r in found)),
        id="table",
    )
    return Markup(
        controls + tag("div", table, class_="scroll tall", tabindex="0", role="region", aria_label="All numbers")
    )


def _row(r: Row, number_of: Mapping[str, int]) -> Markup:
    low = read(r.entry["lower"]) if "lower" in r.entry else None
    high = read(r.entry["upper"])
    ratio = high / low if low is not None and 0 < low <= high < math.inf else None
    status = r.entry["status"]
    weaker = r.entry.get("lower_status", "PROVED")
    return tag(
        "tr",
        tag("td", r.block, title=r.layer, data_k=r.block),
        tag("td", tag("bdi", r.name)),
        tag("td", tag("bdi", r.where), data_k=repr(r.size)),
        tag("td", data_k="-Infinity")
        if low is None
        else _end(low, r.entry["lower_status"], r.entry["lower_proof"], number_of, down=True),
        _end(high, status, r.entry["proof"], number_of, down=False),
        tag("td", "" if ratio is None else f"×{number(ratio)}", data_k=_key(math.inf if ratio is None else ratio)),
        tag(
            "td",
            status_chip(status),
            None if weaker == "PROVED" else tag("span", f"lower end {weaker.lower()}", class_="weaker"),
            data_k=rank(status),
        ),
        data_kind=r.kind,
    )


def _end(value: float, status: str, proof: str, number_of: Mapping[str, int], *, down: bool) -> Markup:
    shown: list[Any] = [number(value, down=down)]
    button = tag(
        "button",
        *shown,
        type="button",
        class_=kind(status),
        data_node=number_of.get(proof, -1),
        aria_expanded="false",
    )
    return tag("td", button, data_k=_key(value))


def _key(value: float) -> str:
    """A number as JavaScript reads it."""
    return repr(value).replace("inf", "Infinity")


__all__ = ["COLUMNS", "numbers_table", "status_chip"]
