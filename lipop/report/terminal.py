"""A report as a table for the terminal: one row a block, ends rounded outward, colours by status."""

from __future__ import annotations

import decimal
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.report.numbers import read
from lipop.report.plain import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

RANKS = ("PROVED", "PROBABLE", "CONDITIONAL", "WITNESSED", "ESTIMATED", "UNKNOWN")
COLOURS = {
    "PROVED": "green",
    "PROBABLE": "cyan",
    "CONDITIONAL": "yellow",
    "WITNESSED": "magenta",
    "ESTIMATED": "red",
    "UNKNOWN": "red",
}


def outward(value: float, *, down: bool, digits: int = 5) -> str:
    """A number in a few significant digits, rounded so that what is printed is still true.

    >>> outward(1.23456789, down=True), outward(1.23456789, down=False), outward(1e17 / 3, down=False)
    ('1.2345', '1.2346', '3.3334e+16')
    """
    if not math.isfinite(value):
        return str(value)
    mode = decimal.ROUND_FLOOR if down else decimal.ROUND_CEILING
    short = decimal.Context(prec=digits, rounding=mode).plus(decimal.Decimal(value))
    return f"{short:f}" if short == 0 or -4 <= short.adjusted() < digits + 2 else f"{short:e}"


def rank(status: str) -> int:
    """The place of a status from surest to least sure."""
    return RANKS.index(status.partition("(")[0])


def colour(status: str) -> str:
    """The colour of a status."""
    return COLOURS[status.partition("(")[0]]


def interval(entry: Mapping[str, Any]) -> Text:
    """Lower end, upper end and ratio, one below the other; the ends in the colours of their statuses."""
    from rich.text import Text

    low, high = read(entry["lower"]), read(entry["upper"])
    text = Text(outward(low, down=True), style=colour(entry["lower_status"]))
    text.append("\n" + outward(high, down=False), style=colour(entry["status"]))
    ratio = high / low if low > 0 else math.inf
    return text.append("\n" + (f"x{outward(ratio, down=False)}" if math.isfinite(ratio) else "-"), style="dim")


def blocks_table(data: Mapping[str, Any]) -> Table:
    """Three lines a block: ``|x0|``, ``|DT(x0)|``, Lip on each ball, the largest weight norm, statuses, seconds.

    Parameters
    ----------
    data : mapping
        A report document. Its strings are printed as they are, never as markup.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(_title(data)),
        caption=Text(
            "|DT|: derivative at the block's input x0; Lip: on the ball of radius r |x0| around it. "
            "Lower end, upper end (both rounded outward), their ratio."
        ),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    balls = [f"Lip\nr={np.format_float_scientific(r, trim='-')}" for r in data["settings"]["radii"]]
    for name in ("#", "|x0|", "|DT|", *balls, "max|W|", "status", "s"):
        table.add_column(Text(name), justify="left" if name in ("#", "status") else "right", overflow="fold")
    for b in data["blocks"]:
        shown = [b["jacobian"], *b["ball"]]
        table.add_row(
            Text(str(b["index"])),
            Text(f"{b['norm']:.4g}"),
            *(interval(entry) for entry in shown),
            _largest(b["weights"]),
            _status([entry["status"] for entry in shown]),
            Text(f"{b['seconds']:.1f}"),
        )
        if b is not data["blocks"][-1]:
            table.add_row()
    return table


def _title(data: Mapping[str, Any]) -> str:
    model, tokens = data["model"], data["input"]["tokens"]
    done, start, stop = len(data["blocks"]), *data["settings"]["blocks"]
    part = "" if data["complete"] else f"; INCOMPLETE: {done} of {stop - start}"
    name = f"{model['family']} {model['sha256'][:12]}"
    return printable(f"{name}, {tokens} tokens, blocks {start}:{stop} of {model['blocks']}{part}")


def _largest(weights: Sequence[Mapping[str, Any]]) -> Text:
    from rich.text import Text

    if not weights:
        return Text("-")
    top = max(weights, key=lambda w: read(w["norm"]["upper"]))
    return Text(outward(read(top["norm"]["upper"]), down=False), style=colour(top["norm"]["status"]))


def _status(found: Sequence[str]) -> Text:
    """The statuses of the row's upper ends, surest first."""
    from rich.text import Text

    text = Text()
    for status in sorted(set(found), key=lambda s: (rank(s), s)):
        text.append("\n" if text else "").append(status.lower().replace("(", "\n("), style=colour(status))
    return text


__all__ = ["blocks_table", "colour", "interval", "outward", "rank"]
