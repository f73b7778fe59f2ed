"""The report's plots of singular values: every weight of a block in one small plot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lipop.report.axes import Scale, reach, round_range
from lipop.report.markup import Markup, tag
from lipop.report.svg import cut, figure, line, path, words, y_axis


@dataclass(frozen=True)
class Spectrum:
    """Some singular values of a matrix, with their indices, and how many there are."""

    name: str
    index: Sequence[int]
    values: Sequence[float]
    count: int

    @staticmethod
    def of(weight: Mapping[str, Any]) -> Spectrum:
        """The spectrum that a weight of a report carries."""
        return Spectrum(weight["name"], weight["spectrum_index"], weight["spectrum"], min(weight["shape"]))


PLACES = (
    (0.0, "first"),
    (0.1, "10%"),
    (0.4, "40%"),
    (1.0, "last"),
)  # ticks of the places, which are drawn by their roots
COLOURS = 10  # of the style sheet, c0 to c9; further families begin again
DEEP = 1e-6  # singular values are drawn down to this part of the largest


def family(name: str) -> str:
    """The name without its numbers: the heads of one product are drawn alike.

    >>> family("head 11: W_O W_V")
    'head *: W_O W_V'
    """
    return re.sub(r"\d+", "*", name)


def families(found: Sequence[Sequence[Spectrum]]) -> list[str]:
    """Every family, in the order of appearance: a number for its colour."""
    return list(dict.fromkeys(family(s.name) for block in found for s in block))


def spectra(found: Sequence[tuple[int, Sequence[Spectrum]]]) -> list[Markup]:
    """One small plot a block: singular values by their place, from the first to the last, on scales that all share."""
    names = families([block for _, block in found])
    top = max((v for _, block in found for s in block for v in s.values), default=0.0)
    shown = reach((v for _, block in found for s in block for v in s.values if v >= DEEP * top), 1 / DEEP)
    x, y = Scale(0.0, 1.0, 44, 200), round_range(*(shown or (0.1, 1.0)), 128, 22)
    return [_spectra(index, block, names, x, y) for index, block in found]


def _spectra(index: int, block: Sequence[Spectrum], names: Sequence[str], x: Scale, y: Scale) -> Markup:
    many = {f: sum(family(s.name) == f for s in block) for f in {family(s.name) for s in block}}
    drawn: list[Markup | None] = []
    for s in sorted(block, key=lambda s: -many[family(s.name)]):
        last = max(s.count - 1, 1)
        inside = [(x((i / last) ** 0.5), y(v)) for i, v in zip(s.index, s.values, strict=True) if y.beyond(v) == 0]
        if not inside:
            continue
        thin = " thin" if many[family(s.name)] > 3 else ""
        ends = len(inside) < len(s.values)
        drawn.append(
            tag(
                "g",
                tag("title", f"{cut(s.name, 60)}: {s.values[0]:.5g} … {s.values[-1]:.5g}, {s.count} singular values"),
                path(inside, "spectrum" + thin),
                tag("circle", cx=inside[0][0], cy=inside[0][1], r=2.0, class_="dot"),
                line(*inside[-1], inside[-1][0], y.start, "drop") if ends else None,
                class_=f"c{names.index(family(s.name)) % COLOURS}",
            )
        )
    text = "; ".join(f"{s.name}: {s.values[0]:.5g} to {s.values[-1]:.5g}" for s in block)
    return figure(
        f"spectra-{index}",
        f"Block {index}: singular values of the weights (estimates)",
        text,
        212,
        158,
        words(4, 13, f"block {index}", "title"),
        y_axis(y, x.start, x.stop, 6),
        *(words(x(part**0.5), y.start + 14, name, anchor="middle") for part, name in PLACES),
        words((x.start + x.stop) / 2, y.start + 27, "place among the singular values", "unit", anchor="middle"),
        *drawn,
        class_="small",
    )


__all__ = ["Spectrum", "families", "family", "spectra"]
