"""The limit section of ``report.html``: the answer, what the theorems say, power laws, the measures of the blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.report.markup import Markup, join, tag
from lipop.report.sections import scroll, section

MEASURED = {
    "increment": "|Tx − x| / |x|",
    "step": "|Tx − x|",
    "angle": "angle of x and Tx",
    "successive": "|Tx − T′x| / |x|, T′ the block before",
    "turn": "angle to the increment before",
    "idempotency": "|TTx − Tx| / |Tx|",
    "defect": "|TTx − Tx| / |Tx − x|",
    "fixed": "|Tz − z| / |z|, z the final state",
    "projection": "|Tx − Px| / |x|, P the final projection",
    "range": "|Tx − PTx| / |Tx|",
    "effective_rank": "effective rank of Tx",
    "stable_rank": "stable rank of Tx",
    "rank": "directions with 90 % of |Tx|²",
    "covering": "covering number of Tx over that of x",
    "radius": "least norm of a token of Tx",
    "departure": "|Tx − (I + F)x| / |Tx|, F the branches",
    "delta": "δ: bound of |D(I + F) − I| at x",
    "c": "c = δ times least norm of a token of x",
    "readout": "readout constant over the first",
}
LAWS = {
    "step": "|Tx − x|",
    "angle": "angle of x and Tx",
    "projection": "|Tx − Px| / |x|",
    "successive": "|Tx − T′x| / |x|",
}


def limit_section(stated: Mapping[str, Any]) -> Markup:
    """The section for the report's ``limit``."""
    layers = stated["diagnosis"]
    return section(
        "limit",
        "Limit of the stack",
        join(["Does an infinite continuation of these blocks converge? ", tag("b", stated["answer"]), "."]),
        tag("ul", *(tag("li", tag("bdi", e)) for e in stated["evidence"]), class_="evidence"),
        _laws(stated["summary"]["decay"]) if "summary" in stated else None,
        scroll("Measures of the blocks", _measures(layers)) if layers else None,
    )


def _laws(decay: Mapping[str, Any]) -> Markup | None:
    found = {key: law for key, law in decay.items() if law is not None}
    if not found:
        return None
    head = ("power law in depth", "exponent", "95 % of resamples", "supports")
    rows = [
        tag(
            "tr",
            tag("th", LAWS.get(key, key), scope="row"),
            tag("td", f"{law['exponent']:.3g}"),
            tag("td", f"{law['low']:.3g} … {law['high']:.3g}"),
            tag("td", law["evidence"]),
        )
        for key, law in found.items()
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col") for h in head))),
        tag("tbody", *rows),
        class_="across",
    )
    return scroll("Power laws of the measures", table)


def _measures(layers: list[Mapping[str, Any]]) -> Markup:
    shown = {key: what for key, what in MEASURED.items() if any(key in d for d in layers)}
    rows = [
        tag(
            "tr",
            tag("th", what, scope="row"),
            *(tag("td", "–" if d.get(key) is None else f"{d[key]:#.3g}") for d in layers),
        )
        for key, what in shown.items()
    ]
    return tag(
        "table",
        tag("thead", tag("tr", tag("th", "block", scope="col"), *(tag("td", d["layer"]) for d in layers))),
        tag("tbody", *rows),
        class_="across",
    )


__all__ = ["MEASURED", "limit_section"]
