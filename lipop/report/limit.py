"""The limit section of a report: the diagnosis of :mod:`lipop.limit.diagnosis`, made of what the report states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lipop.errors import ReportError
from lipop.limit.diagnosis import ANSWER, first_sentences, sentences
from lipop.limit.diagnosis_fit import Layer, running_constants, stack_summary
from lipop.limit.diagnosis_measures import OWN, RELATED, Measures
from lipop.report.numbers import read

ALL = (*OWN, *RELATED)
SAME = 1e-9
"""Agreement asked of measures that are taken again."""
DIGITS = 1e-12
"""Relative agreement asked of what follows from stated numbers: logarithms differ between machines."""


def measured(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """The measures in an entry of the diagnosis."""
    return {key: entry[key] for key in ALL if key in entry}


def section(
    total: int, blocks: Sequence[Mapping[str, Any]], found: Sequence[Measures], *, summary: bool = True
) -> dict[str, Any]:
    """``answer``, ``evidence``, ``summary`` and ``diagnosis``; ``total`` is the number of blocks of the model.

    The answer is always UNDECIDED: convergence is a statement about infinitely many blocks, and no finite number of
    them implies it. The diagnosis is a description at one input. Everything but the measures follows from what the
    report states elsewhere. Without ``summary`` it is the section as earlier versions wrote it: measures and trends.
    """
    said = first_sentences(total, found)
    own = [{"layer": b["index"], **m} for b, m in zip(blocks, found, strict=True)]
    if not summary:
        diagnosis = [{**d, "jacobian": b["jacobian"]} for b, d in zip(blocks, own, strict=True)]
        return {"answer": ANSWER, "evidence": said, "diagnosis": diagnosis}
    layers = [_layer(b, m) for b, m in zip(blocks, found, strict=True)]
    together = stack_summary(layers)
    constants = running_constants(layers)
    return {
        "answer": ANSWER,
        "evidence": [*said, *sentences(layers, together)],
        "summary": together,
        "diagnosis": [{**d, **c, "jacobian": b["jacobian"]} for b, d, c in zip(blocks, own, constants, strict=True)],
    }


def check_section(
    stated: Mapping[str, Any], total: int, blocks: Sequence[Mapping[str, Any]], found: Sequence[Measures]
) -> None:
    """Refuse a section that is not the one of these blocks.

    Parameters
    ----------
    stated : mapping
        The section.
    total : int
        The number of blocks of the model.
    blocks : sequence of mapping
        The report's blocks.
    found : sequence of mapping
        The measures of the same blocks, taken again.

    Raises
    ------
    ReportError
        Naming the first field that differs.
    """
    if stated["answer"] != ANSWER:
        raise ReportError(f"limit.answer: {stated['answer']} needs a proof, which a finite model does not give")
    layers = [measured(d) for d in stated["diagnosis"]]
    if len(layers) != len(found):
        raise ReportError(f"limit.diagnosis: {len(layers)} layers, but {len(found)} blocks are reported")
    for i, (said, model) in enumerate(zip(layers, found, strict=True)):
        for key in ALL if "summary" in stated else said:
            a, b = said.get(key), model[key]
            if (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > SAME * (1 + abs(b))):
                raise ReportError(f"limit.diagnosis[{i}].{key}: the report shows {a!r}, the model gives {b!r}")
    _follows("limit", stated, section(total, blocks, layers, summary="summary" in stated))


def _follows(where: str, stated: Any, found: Any) -> None:
    if isinstance(found, dict) and isinstance(stated, dict) and stated.keys() == found.keys() and "proof" not in found:
        for key in found:
            _follows(f"{where}.{key}", stated[key], found[key])
    elif isinstance(found, list) and isinstance(stated, list) and len(stated) == len(found):
        for i, (a, b) in enumerate(zip(stated, found, strict=True)):
            _follows(f"{where}[{i}]", a, b)
    elif stated != found and not _near(stated, found):
        raise ReportError(f"{where}: the report states {_short(stated)}, expected {_short(found)}")


def _near(stated: Any, found: Any) -> bool:
    return isinstance(stated, float) and isinstance(found, float) and abs(stated - found) <= DIGITS * abs(found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _layer(block: Mapping[str, Any], found: Measures) -> Layer:
    jacobian = block["jacobian"]
    return Layer(
        index=block["index"],
        measures=found,
        lower=read(jacobian["lower"]),
        upper=read(jacobian["upper"]),
        deltas=tuple(read(b["lip_branch"]["upper"]) for b in block["residuals"]),
        input_radius=float(block["shell"]["r"]),
    )


__all__ = ["ALL", "ANSWER", "Measures", "check_section", "measured", "section"]
