"""What the limit section of a report must say: measures of each block at its input, and sentences about their trend."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

LIMIT = (
    "the model has {0} blocks; whether an infinite continuation converges depends on a rule for the further blocks, "
    "and none is given, so no theorem applies",
    "{1} of {0} blocks were measured at one input each; increments and derivative norms at these points bound nothing "
    "elsewhere",
)
TREND = {
    "increment": "the relative increments |T x - x| / |x|",
    "successive": "the deviations |T_i x - T_(i-1) x| / |x| of neighbouring blocks",
    "idempotency": "the idempotency defects |T T x - T x| / |T x|",
}
Block = Callable[[np.ndarray], Any]


def measures(f: Block, before: Block | None, x: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """Of a block f with y = f(x) and the block before it."""
    p = np.linalg.svd(y, compute_uv=False)
    p = p[p > 0] / p.sum()

    def size(x: np.ndarray) -> float:
        return float(np.linalg.norm(x))

    return {
        "increment": size(y - x) / size(x),
        "successive": None if before is None else size(y - before(x).real) / size(x),
        "idempotency": size(f(y).real - y) / size(y),
        "effective_rank": float(np.exp(-(p * np.log(p)).sum())),
    }


def limit_section(total: int, layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The section for the given diagnosis."""
    said = [s.format(total, len(layers)) for s in LIMIT]
    for key, what in TREND.items():
        values = [layer[key] for layer in layers if layer[key] is not None]
        if len(values) > 1:
            falls = all(b < a for a, b in pairwise(values))
            said.append(f"{what} {'fall' if falls else 'do not fall'} from block to block")
    return {"answer": "UNDECIDED", "evidence": said, "diagnosis": list(layers)}
