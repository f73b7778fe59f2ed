"""Every number that a report displays, as one flat list: what the table of ``report.html`` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lipop.report.numbers import read

ANSWERS = (
    ("dahlquist", "Dahlquist(F)"),
    ("lip_branch", "Lip(F)"),
    ("lip_sum", "Lip(I + F)"),
    ("lip_sum_rule", "Lip(I + F) by rule"),
)
"""The numbers of a residual branch F: field and name."""

KINDS = ("block", "weight", "branch")


@dataclass(frozen=True)
class Row:
    """A displayed number.

    Attributes
    ----------
    block : int
        The block's index.
    layer : str
        The block's name.
    kind : str
        One of :data:`KINDS`.
    name : str
        What is bounded.
    where : str
        On which region.
    size : float
        By which regions sort: the relative radius (0 at the point, infinite for shells, -1 for matrices).
    entry : mapping
        The bracket, or the upper bound alone, as the report holds it.
    """

    block: int
    layer: str
    kind: str
    name: str
    where: str
    size: float
    entry: Mapping[str, Any]


def radius(relative: float) -> str:
    """A ball's region in words.

    >>> radius(1e-06), radius(0.00025), radius(0.1), radius(0)
    ('r = 1e-6 |x₀|', 'r = 2.5e-4 |x₀|', 'r = 0.1 |x₀|', 'at x₀')
    """
    return f"r = {plain(relative)} |x₀|" if relative else "at x₀"


def plain(value: float) -> str:
    """A setting in few digits: decimal from 0.01 to 10000."""
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    digits, _, power = f"{value:.5e}".partition("e")
    return f"{float(digits):g}e{int(power)}"


def shell(entry: Mapping[str, Any]) -> str:
    """A shell in words."""
    return f"{read(entry['r']):.4g} ≤ |token| ≤ {read(entry['R']):.4g}"


def rows(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """The numbers of the blocks, in the order of the report: the block's own, its weights', its branches'."""
    for b in blocks:
        at = (b["index"], b["name"])
        yield Row(*at, "block", "|DT|", radius(0), 0.0, b["jacobian"])
        for ball in b["ball"]:
            yield Row(*at, "block", "Lip(T)", radius(ball["relative"]), ball["relative"], ball)
        yield Row(*at, "block", "Lip(T)", f"shell {shell(b['shell'])}", float("inf"), b["shell"])
        for w in b["weights"]:
            size = " × ".join(str(n) for n in w["shape"])
            yield Row(*at, "weight", f"|{w['name']}|", size, -1.0, w["norm"])
        for r in b["residuals"]:
            for relative, answers in [(0.0, r), *((q["relative"], q) for q in r["ball"])]:
                for field, name in ANSWERS:
                    yield Row(*at, "branch", f"{r['name']}: {name}", radius(relative), relative, answers[field])


__all__ = ["ANSWERS", "KINDS", "Row", "plain", "radius", "rows", "shell"]
