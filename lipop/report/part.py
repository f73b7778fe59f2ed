"""What a report says about one block, as JSON with the proof nodes and arrays on which it rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.bound import Bound, Bracket
from lipop.core.digest import array_digest
from lipop.core.matrices import Explicit
from lipop.core.proof import arrays_of, to_json
from lipop.limit.diagnosis_measures import own_measures
from lipop.report import numbers
from lipop.report.protocol import Block, BlockAnalysis, BranchAnalysis
from lipop.report.singular import with_spectra


@dataclass(eq=False)
class Part:
    """One block's share of a report. It depends on the block and its input only, not on the model around them.

    Attributes
    ----------
    entry : dict
        The block's entry, less ``index`` and ``name``.
    measures : dict
        See :func:`lipop.limit.diagnosis_measures.own_measures`.
    proofs : dict
        Every node that the entry rests on, by id.
    arrays : dict
        Every array that entry and nodes refer to, by digest.
    """

    entry: dict[str, Any] = field(default_factory=dict[str, Any])
    measures: dict[str, float | None] = field(default_factory=dict[str, float | None])
    proofs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    @staticmethod
    def of(block: Block, x: np.ndarray, analysis: BlockAnalysis) -> Part:
        """The part of a block that was analysed at its input x."""
        part = Part(measures=own_measures(block, x))
        r, R, shell = analysis.shell
        part.entry = {
            "operator": block.digest,
            "x0": part._array(x),
            "norm": numbers.size(x),
            "weights": part._weights(analysis),
            "jacobian": part._bracket(analysis.jacobian),
            "ball": [
                {"radius": float(radius), "relative": float(relative), **part._bracket(br)}
                for radius, relative, br in analysis.balls
            ],
            "shell": {"r": float(r), "R": numbers.shown(R), **part._upper(shell)},
            "residuals": part._branches(analysis.residuals),
            "seconds": float(sum(analysis.seconds.values())),
            "seconds_by_part": {str(k): float(v) for k, v in analysis.seconds.items()},
        }
        return part

    # ---- pieces ----

    def _array(self, x: np.ndarray) -> str:
        x = np.ascontiguousarray(x, dtype=np.float64)
        sha = array_digest(x)
        self.arrays[sha] = x
        return sha

    def _keep(self, *bounds: Bound) -> None:
        self.proofs.update(to_json(*bounds))
        self.arrays.update(arrays_of(*bounds))

    def _bracket(self, br: Bracket) -> dict[str, Any]:
        self._keep(br.lower, br.upper)
        return numbers.bracket(br)

    def _weights(self, analysis: BlockAnalysis) -> list[dict[str, Any]]:
        entries = [
            {"name": name, "shape": [int(n) for n in shape], "norm": self._bracket(br)}
            for name, shape, br in analysis.weights
        ]
        subjects = {name: br.upper.subject for name, _, br in analysis.weights}
        return with_spectra(entries, {name: m for name, m in subjects.items() if isinstance(m, Explicit)})

    def _upper(self, bound: Bound) -> dict[str, Any]:
        self._keep(bound)
        return numbers.upper(bound)

    def _answers(self, b: BranchAnalysis) -> dict[str, Any]:
        return {
            "dahlquist": self._bracket(b.dahlquist),
            "lip_branch": self._bracket(b.lip_branch),
            "lip_sum": self._bracket(b.lip_sum),
            "lip_sum_rule": self._upper(b.lip_sum_rule),
        }

    def _branches(self, parts: Sequence[BranchAnalysis]) -> list[dict[str, Any]]:
        """One entry a branch: its answers at the point, and those on balls."""
        out: list[dict[str, Any]] = []
        for b in parts:
            if b.relative == 0:
                head = {"name": b.name, "operator": b.operator.digest, "point": self._array(b.point)}
                out.append({**head, "norm": numbers.size(b.point), **self._answers(b), "ball": []})
            else:
                ball = {"radius": float(b.radius), "relative": float(b.relative), **self._answers(b)}
                out[-1]["ball"].append(ball)
        return out


__all__ = ["Part"]
