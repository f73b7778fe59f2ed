"""The limit section of a report: what a finite stack says about an infinite one, and how far each layer moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lipop.report.numbers import size
from lipop.report.protocol import Block

ANSWER = "UNDECIDED"


MEASURES = ("increment", "idempotency", "effective_rank")
ALL = (*MEASURES, "successive")
TREND = {
    "increment": "the relative increments |T x - x| / |x|",
    "successive": "the deviations |T_i x - T_(i-1) x| / |x| of neighbouring blocks",
    "idempotency": "the idempotency defects |T T x - T x| / |T x|",
}

Measures = Mapping[str, float | None]


def measures(block: Block, x: np.ndarray) -> dict[str, float | None]:
    """How far a block moves its input, and how near to a projection it is there.

    Plain float64 values at one point, bounds of nothing: ``increment`` is ``|T x - x| / |x|``; ``idempotency`` is ``|T
    T x - T x| / |T x|``, zero for a projection; ``effective_rank`` is the exponential of the entropy of the singular
    values of T x over their sum (Roy and Vetterli 2007): the number of directions that the tokens fill. None where a
    value is not defined (T x has another shape, a denominator is next to zero).
    """
    y = block(x)
    same = y.shape == x.shape
    return {
        "increment": _ratio(y - x, x) if same else None,
        "idempotency": _ratio(block(y) - y, y) if same else None,
        "effective_rank": effective_rank(y),
    }


def successive(before: Block, block: Block, x: np.ndarray) -> float | None:
    """``|T_i x - T_(i-1) x| / |x|``, x the input of block i."""
    y, z = block(x), before(x)
    return _ratio(y - z, x) if y.shape == z.shape else None


def effective_rank(y: np.ndarray) -> float | None:
    """``exp(- sum p log p)``, p the singular values over their sum.

    >>> effective_rank(np.eye(3)), effective_rank(np.zeros((2, 2)))
    (3.0, None)
    """
    scale = float(np.abs(y).max(initial=0.0))
    if not (y.ndim == 2 and 0 < scale < math.inf):
        return None
    values = np.linalg.svd(y / scale, compute_uv=False)
    p = values[values > 0] / values.sum()
    return round(float(np.exp(-(p * np.log(p)).sum())), 12)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> float | None:
    ratio = size(top) / size(bottom) if size(bottom) > 0 else math.inf
    return ratio if math.isfinite(ratio) else None


def measured(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """The measures in an entry of the diagnosis."""
    return {key: entry[key] for key in ALL if key in entry}


def section(total: int, blocks: list[Mapping[str, Any]], found: Sequence[Measures]) -> dict[str, Any]:
    """``answer``, ``evidence`` and ``diagnosis``; ``total`` is the number of blocks of the model.

    The answer is always UNDECIDED: convergence is a statement about infinitely many blocks, and no finite number of
    them implies it. The diagnosis is a description at one input.
    """
    evidence = [
        f"the model has {total} blocks; whether an infinite continuation converges depends on a rule for the further "
        "blocks, and none is given, so no theorem applies",
        f"{len(blocks)} of {total} blocks were measured at one input each; increments and derivative norms at these "
        "points bound nothing elsewhere",
    ]
    for key, what in TREND.items():
        values = [v for v in (m.get(key) for m in found) if v is not None]
        if len(values) > 1:
            falls = all(b < a for a, b in itertools.pairwise(values))
            evidence.append(f"{what} {'fall' if falls else 'do not fall'} from block to block")
    diagnosis = [{"layer": b["index"], **m, "jacobian": b["jacobian"]} for b, m in zip(blocks, found, strict=True)]
    return {"answer": ANSWER, "evidence": evidence, "diagnosis": diagnosis}


__all__ = ["ALL", "ANSWER", "MEASURES", "Measures", "effective_rank", "measured", "measures", "section", "successive"]
