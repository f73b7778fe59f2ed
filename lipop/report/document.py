"""Build ``report.json`` (schema ``lipop.report/1``) and ``report.arrays.npz``, block by block."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lipop
from lipop.core.bound import Bound, Bracket
from lipop.core.digest import array_digest
from lipop.core.proof import arrays_of, to_json
from lipop.errors import DomainError
from lipop.report import files, limit, numbers
from lipop.report.protocol import Analyze, Block, BlockAnalysis, BranchAnalysis, Model

SCHEMA = "lipop.report/1"
RADII = (1e-6, 1e-5, 1e-4, 1e-3)


def ids_digest(ids: np.ndarray) -> str:
    """sha256 of the token ids as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of lipop and of what computes its numbers."""
    names = ("numpy", "scipy", "numba", "python-flint")
    own = {"lipop": lipop.__version__, "python": platform.python_version()}
    return {**own, **{n: importlib.metadata.version(n) for n in names}}


class Report:
    """A report under construction. Each block is turned into JSON as it is added; no operator is kept.

    Parameters
    ----------
    model : Model
    ids : (T,) int64 array
        The tokens.
    radii : sequence of float
        Relative radii of the balls.
    effort, seed
        As given to the analysis.
    blocks : (start, stop)
        The blocks that the report will hold.
    command : sequence of str
        The command line, for the reader.
    text : str, optional
        The text that gave the tokens; only its digest is kept.
    """

    def __init__(
        self,
        model: Model,
        ids: np.ndarray,
        *,
        radii: Sequence[float] = RADII,
        effort: str = "quick",
        seed: int = 0,
        blocks: tuple[int, int] | None = None,
        command: Sequence[str] = (),
        text: str | None = None,
    ) -> None:
        self.model = model
        self.blocks = (0, len(model.blocks)) if blocks is None else blocks
        self.proofs: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.entries: list[dict[str, Any]] = []
        self.increments: list[float | None] = []
        self.started = time.monotonic()
        self.head = {
            "command": [str(c) for c in command],
            "versions": versions(),
            "settings": {
                "radii": [float(r) for r in radii],
                "effort": effort,
                "seed": int(seed),
                "blocks": list(self.blocks),
            },
            "model": {
                "path": str(model.path),
                "family": model.family,
                "sha256": model.digest,
                "dtype": model.dtype,
                "blocks": len(model.blocks),
            },
            "input": {"tokens": len(ids), "sha256": ids_digest(ids), "ids": [int(i) for i in ids]},
        }
        if text is not None:
            self.head["input"]["text_sha256"] = hashlib.sha256(text.encode()).hexdigest()

    def add(self, index: int, block: Block, x: np.ndarray, analysis: BlockAnalysis) -> dict[str, Any]:
        """Add the analysis of block ``index`` at its input x; returns its entry."""
        r, R, shell = analysis.shell
        entry = {
            "index": index,
            "name": self.model.block_names[index],
            "operator": block.digest,
            "x0": self._array(x),
            "norm": numbers.size(x),
            "weights": [
                {"name": name, "shape": [int(n) for n in shape], "norm": self._bracket(br)}
                for name, shape, br in analysis.weights
            ],
            "jacobian": self._bracket(analysis.jacobian),
            "ball": [
                {"radius": float(radius), "relative": float(relative), **self._bracket(br)}
                for radius, relative, br in analysis.balls
            ],
            "shell": {"r": float(r), "R": numbers.shown(R), **self._upper(shell)},
            "residuals": self._branches(analysis.residuals),
            "seconds": float(sum(analysis.seconds.values())),
            "seconds_by_part": {str(k): float(v) for k, v in analysis.seconds.items()},
        }
        self.entries.append(entry)
        self.increments.append(limit.increment(block, x))
        return entry

    def data(self) -> dict[str, Any]:
        """The whole document as it stands."""
        total = len(self.model.blocks)
        out: dict[str, Any] = {
            "schema": SCHEMA,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "complete": len(self.entries) == self.blocks[1] - self.blocks[0],
            **self.head,
            "blocks": self.entries,
            "limit": limit.section(total, list(self.entries), self.increments),
            "proofs": self.proofs,
            "seconds": time.monotonic() - self.started,
        }
        return {**out, "digest": files.report_digest(out)}

    def write(self, report: Path) -> dict[str, Any]:
        """Write ``report`` (a ``.json`` path) and its arrays; returns the document."""
        data = self.data()
        files.write(report, data, self.arrays)
        return data

    # ---- parts ----

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
            if b.radius == 0:
                head = {"name": b.name, "operator": b.operator.digest, "point": self._array(b.point)}
                out.append({**head, "norm": numbers.size(b.point), **self._answers(b), "ball": []})
            else:
                ball = {"radius": float(b.radius), "relative": float(b.relative), **self._answers(b)}
                out[-1]["ball"].append(ball)
        return out


def analyze(
    model: Model,
    ids: np.ndarray,
    *,
    report: Path | None = None,
    radii: Sequence[float] = RADII,
    effort: str = "quick",
    seed: int = 0,
    blocks: tuple[int, int] | None = None,
    command: Sequence[str] = (),
    text: str | None = None,
    analyze_block: Analyze | None = None,
    before: Callable[[int], None] | None = None,
    after: Callable[[int, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Analyse the chosen blocks of a model at the activations of the tokens, and write the report after each block.

    Parameters
    ----------
    model : Model
    ids : (T,) int64 array
    report : Path, optional
        The ``.json`` file to write; its arrays go beside it.
    radii, effort, seed, blocks, command, text
        See :class:`Report`.
    analyze_block : callable, optional
        ``lipop.certify.analysis.analyze_block`` by default.
    before, after : callable, optional
        Called with a block's index before its analysis, and with index and entry after it.

    Returns
    -------
    dict
        The document.

    Raises
    ------
    DomainError
        If a radius is not positive and finite, or the range holds no block.
    """
    start, stop = (0, len(model.blocks)) if blocks is None else blocks
    if not 0 <= start < stop <= len(model.blocks):
        raise DomainError(f"blocks {start}:{stop} hold no block, or more than the model has: 0:{len(model.blocks)}")
    if not all(0 < r < float("inf") for r in radii) or len(set(radii)) != len(radii):
        raise DomainError(f"radii must be positive, finite and different, found {list(radii)}")
    if analyze_block is None:
        from lipop.certify import analysis

        analyze_block = analysis.analyze_block
    ask: Any = analyze_block  # a block is whatever the protocol describes
    activations = model.activations(model.embed(tokens=ids))
    document = Report(
        model, ids, radii=radii, effort=effort, seed=seed, blocks=(start, stop), command=command, text=text
    )
    data: dict[str, Any] = {}
    for i in range(start, stop):
        if before is not None:
            before(i)
        x = np.ascontiguousarray(activations[i], dtype=np.float64)
        block = model.blocks[i]
        entry = document.add(i, block, x, ask(block, x, radii=list(radii), effort=effort, seed=seed))
        data = document.data() if report is None else document.write(report)
        if after is not None:
            after(i, entry)
    return data


__all__ = ["RADII", "SCHEMA", "Report", "analyze", "ids_digest", "versions"]
