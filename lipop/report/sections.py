"""The sections of ``report.html`` that show plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lipop.report import plots, plots_branches, plots_spectra
from lipop.report.markup import Markup, tag
from lipop.report.rows import radius
from lipop.report.svg import Mark


def section(name: str, title: str, lead: Any, *parts: Any) -> Markup:
    """A section with its heading and a sentence or two on how to read it."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-h"),
        tag("p", lead, class_="lead"),
        *parts,
        id=name,
        aria_labelledby=f"{name}-h",
    )


def scroll(name: str, *parts: Any) -> Markup:
    """What may be wider than the page; it can be scrolled with the keyboard."""
    return tag("div", *parts, class_="scroll", tabindex="0", role="region", aria_label=name)


def per_block(blocks: Sequence[Mapping[str, Any]]) -> Markup:
    """Brackets by block."""
    lead = (
        "Lower end (dot: a witness is kept) and upper end (bar: a proof is kept) of the derivative's norm at each "
        "block's input x₀, and of the Lipschitz constant on balls around it. The colour is the upper end's status. "
        "A triangle marks a value beyond the scale, with the value beside it."
    )
    names = [(b["index"], b["name"]) for b in blocks]
    panels = [plots.Panel("|DT(x₀)|", [Mark.of(b["jacobian"]) for b in blocks])]
    for r in dict.fromkeys(ball["relative"] for b in blocks for ball in b["ball"]):
        panels.append(plots.Panel(f"Lip, {radius(r)}", [_at(b["ball"], r) for b in blocks]))
    panels.append(plots.Panel("Lip, shell of token norms (upper end only)", [Mark.of(b["shell"]) for b in blocks]))
    drawn = plots.brackets(panels, names) if blocks else _nothing()
    return section("per-block", "Brackets of every block", lead, scroll("Brackets of every block", drawn))


def _at(balls: Sequence[Mapping[str, Any]], relative: float) -> Mark:
    """The bracket on the ball of a radius; a report that lacks it claims nothing there."""
    found = [b for b in balls if b["relative"] == relative]
    return Mark.of(found[0]) if found else Mark(None, float("inf"), "UNKNOWN")


def by_radius(blocks: Sequence[Mapping[str, Any]]) -> Markup:
    """Brackets by radius."""
    lead = (
        "The same brackets along the radius of the ball: the band lies between witness and proof, the dashed line is "
        "the derivative's norm at the point, to which both ends tend as the ball shrinks."
    )
    found = [
        plots.Curve(
            b["index"],
            b["name"],
            Mark.of(b["jacobian"]),
            [(q["relative"], Mark.of(q)) for q in b["ball"]],
        )
        for b in blocks
    ]
    return section("by-radius", "From the point to the ball", lead, _grid(plots.curves(found)))


def _grid(drawn: Sequence[Markup], class_: str = "grid") -> Markup:
    return tag("div", *drawn, class_=class_) if drawn else _nothing()


def _nothing(text: str = "The report holds no numbers of this kind.") -> Markup:
    return tag("p", text, class_="nothing")


def singular_values(blocks: Sequence[Mapping[str, Any]]) -> Markup:
    """Spectra of the weights."""
    lead = (
        "Singular values of every weight and fused product, from the largest to the smallest, logarithmic; plain "
        "float64 estimates, not bounds (the proved norms are in the table). A line that falls to the axis ends there: "
        "what follows is below the scale or zero."
    )
    found = [(b["index"], [plots_spectra.Spectrum.of(w) for w in b["weights"] if "spectrum" in w]) for b in blocks]
    drawn = [(index, block) for index, block in found if block]
    if not drawn:
        return section("spectra", "Singular values", lead, _nothing("The report holds no singular values."))
    left_out = sum("spectrum" not in w for b in blocks for w in b["weights"])
    names = plots_spectra.families([block for _, block in drawn])
    key = tag(
        "ul",
        *(
            tag("li", tag("i", class_=f"c{i % plots_spectra.COLOURS}"), tag("bdi", name))
            for i, name in enumerate(names)
        ),
        class_="key",
        aria_label="Colours of the weights",
    )
    note = tag("p", f"{left_out} matrices are too large for a spectrum and are left out.", class_="nothing")
    parts = (key, _grid(plots_spectra.spectra(drawn)), note if left_out else None)
    return section("spectra", "Singular values", lead, *parts)


def branches(blocks: Sequence[Mapping[str, Any]]) -> Markup:
    """Dahlquist constant against Lip of the sum."""
    lead = (
        "For each residual branch F at its own input: its Dahlquist constant a (one-sided Lipschitz constant) against "
        "Lip(I + F). The number at a mark is its block's. No point lies below the dashed line 1 + a; the small bar "
        "above a point is the bound that the rule √(1 + 2a + L²) gives from a and L = Lip(F)."
    )
    found = [
        plots_branches.Branch(
            b["index"], r["name"], Mark.of(r["dahlquist"]), Mark.of(r["lip_sum"]), Mark.of(r["lip_sum_rule"])
        )
        for b in blocks
        for r in b["residuals"]
    ]
    drawn = _grid(plots_branches.scatters(found), "grid pairs")
    return section("branches", "Dahlquist constant and Lip of the sum", lead, drawn)


__all__ = ["branches", "by_radius", "per_block", "scroll", "section", "singular_values"]
