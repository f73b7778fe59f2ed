"""A survey of a model's weights: the norm of every matrix and fused product, each a proved bracket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lipop.report import numbers
from lipop.report.protocol import Model


def spectrum(model: Model, blocks: tuple[int, int] | None = None) -> Iterator[dict[str, Any]]:
    """One row a weight: ``block``, ``name``, ``shape`` and ``norm`` (``lower``, ``upper`` and their statuses).

    Parameters
    ----------
    model : Model
    blocks : (start, stop), optional
        All blocks by default; one is in memory at a time.
    """
    start, stop = (0, len(model.blocks)) if blocks is None else blocks
    for i in range(start, stop):
        for name, shape, matrix in model.blocks[i].weights():
            shown = numbers.bracket(matrix.norm())
            norm = {k: v for k, v in shown.items() if not k.endswith("proof")}
            yield {"block": model.block_names[i], "name": name, "shape": [int(n) for n in shape], "norm": norm}


__all__ = ["spectrum"]
