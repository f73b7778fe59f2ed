"""The limit section of a report: what a finite stack says about an infinite one, and how far each layer moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lipop.report.numbers import size
from lipop.report.protocol import Block

ANSWER = "UNDECIDED"


def increment(block: Block, x: np.ndarray) -> float | None:
    """``|T x - x| / |x|`` of a block at its input (None where T x has another shape, or x is zero or next to it)."""
    y = block(x)
    ratio = size(y - x) / size(x) if y.shape == x.shape and size(x) > 0 else math.inf
    return ratio if math.isfinite(ratio) else None


def section(total: int, blocks: list[Mapping[str, Any]], increments: list[float | None]) -> dict[str, Any]:
    """``answer``, ``evidence`` and ``diagnosis``; ``total`` is the number of blocks of the model.

    The answer is always UNDECIDED: convergence is a statement about infinitely many blocks, and no finite number of
    them implies it. The diagnosis is a description at one input.
    """
    measured = [i for i in increments if i is not None]
    evidence = [
        f"the model has {total} blocks; whether an infinite continuation converges depends on a rule for the further "
        "blocks, and none is given, so no theorem applies",
        f"{len(blocks)} of {total} blocks were measured at one input each; increments and derivative norms at these "
        "points bound nothing elsewhere",
    ]
    if len(measured) > 1:
        falls = all(b < a for a, b in itertools.pairwise(measured))
        trend = "fall from block to block" if falls else "do not fall from block to block"
        evidence.append(f"the relative increments |T x - x| / |x| {trend}")
    diagnosis = [
        {"layer": b["index"], "increment": i, "jacobian": b["jacobian"]}
        for b, i in zip(blocks, increments, strict=True)
    ]
    return {"answer": ANSWER, "evidence": evidence, "diagnosis": diagnosis}


__all__ = ["ANSWER", "increment", "section"]
