"""Build ``report.json`` (schema ``lipop.report/1``) and ``report.arrays.npz``, block by block."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import lipop
from lipop.errors import DomainError, LipopError, NonFiniteError
from lipop.limit.diagnosis_measures import related_measures
from lipop.report import files, html, limit
from lipop.report.kept import Kept
from lipop.report.part import Part
from lipop.report.plain import unicode
from lipop.report.protocol import Analyze, Model
from lipop.runs import Store
from lipop.runs.sources import LIBRARIES

SCHEMA = "lipop.report/1"
RADII = (1e-6, 1e-5, 1e-4, 1e-3)


def ids_digest(ids: np.ndarray) -> str:
    """sha256 of the token ids as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of lipop and of what computes its numbers."""
    own = {"lipop": lipop.__version__, "python": platform.python_version()}
    return {**own, **{n: importlib.metadata.version(n) for n in LIBRARIES}}


class Report:
    """A report under construction, part by part.

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
        self.measures: list[limit.Measures] = []
        self.started = time.monotonic()
        self.head = {
            "command": [unicode(str(c)) for c in command],
            "versions": versions(),
            "settings": {
                "radii": [float(r) for r in radii],
                "effort": effort,
                "seed": int(seed),
                "blocks": list(self.blocks),
            },
            "model": {
                "path": unicode(str(model.path)),
                "family": model.family,
                "sha256": model.digest,
                "dtype": model.dtype,
                "blocks": len(model.blocks),
            },
            "input": {"tokens": len(ids), "sha256": ids_digest(ids), "ids": [int(i) for i in ids]},
        }
        if text is not None:
            self.head["input"]["text_sha256"] = hashlib.sha256(text.encode()).hexdigest()

    def add(self, index: int, part: Part, related: limit.Measures) -> dict[str, Any]:
        """Add block ``index``, with its measures beside its neighbours; returns its entry."""
        entry = {"index": index, "name": self.model.block_names[index], **part.entry}
        self.entries.append(entry)
        self.measures.append({**part.measures, **related})
        self.proofs.update(part.proofs)
        self.arrays.update(part.arrays)
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
            "limit": limit.section(total, list(self.entries), self.measures),
            "proofs": self.proofs,
            "seconds": time.monotonic() - self.started,
        }
        return {**out, "digest": files.report_digest(out)}

    def write(self, report: Path) -> dict[str, Any]:
        """Write ``report`` (a ``.json`` path), its arrays and its page; returns the document."""
        data = self.data()
        files.write(report, data, self.arrays)
        html.write(report, data)
        return data


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
    store: Store | None = None,
    analyze_block: Analyze | None = None,
    before: Callable[[int], None] | None = None,
    after: Callable[[int, dict[str, Any]], None] | None = None,
    found: Callable[[int, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Analyse the chosen blocks of a model at the activations of the tokens, and write the report after each block.

    Parameters
    ----------
    model : Model
    ids : (T,) int64 array
    report : Path, optional
        The ``.json`` file to write; its arrays and its page go beside it.
    radii, effort, seed, blocks, command, text
        See :class:`Report`.
    store : Store, optional
        Where each block's part is kept as soon as it is there, and looked for first; that of the report's folder.
    analyze_block : callable, optional
        ``lipop.certify.analysis.analyze_block`` by default.
    before, after : callable, optional
        Called with a block's index before its analysis, and with index and entry after it.
    found : callable, optional
        Called with index and entry of a block that the store had.

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
    document = Report(
        model, ids, radii=radii, effort=effort, seed=seed, blocks=(start, stop), command=command, text=text
    )
    options = {"radii": [float(r) for r in radii], "effort": effort, "seed": int(seed)}
    kept = Kept(store, model, ids_digest(ids), [options, _name(analyze_block)])
    if store is not None and report is not None:
        files.sweep(report)
    points = kept.activations(lambda: _points(model, ids))

    final = cache(lambda: np.asarray(model.blocks[len(model.blocks) - 1](points[-1]), dtype=np.float64))

    def write() -> dict[str, Any]:
        return document.data() if report is None else document.write(report)

    data: dict[str, Any] | None = None  # the document, where it has been written as it stands
    for i in range(start, stop):
        build = cache(lambda i=i: model.blocks[i])
        part = kept.find(i, points[i], build)
        related = lambda i=i, build=build: kept.related(i, lambda: _related(model, points, i, build(), final()))  # noqa: E731
        if part is not None:
            entry, data = document.add(i, part, related()), None
            if found is not None:
                found(i, entry)
            continue
        if before is not None:
            before(i)
        if data is None and document.entries:
            write()
        try:
            part = Part.of(build(), points[i], _analysis(analyze_block)(build(), points[i], **options))
        except (ValueError, ArithmeticError) as e:
            where = f"block {i} ({model.block_names[i]})"
            if isinstance(e, LipopError):
                raise type(e)(f"{where}: {e}") from e
            raise NonFiniteError(f"{where}: its weights or inputs are too large or too small for float64 ({e})") from e
        kept.keep(points[i], part)
        entry, data = document.add(i, part, related()), write()
        if after is not None:
            after(i, entry)
    return data or write()


def _points(model: Model, ids: np.ndarray) -> Sequence[np.ndarray]:
    """The input of each block. Each is built on the way, the last one too, so that bad weights stop a run at once."""
    points = model.activations(model.embed(tokens=ids))
    model.blocks[len(model.blocks) - 1]
    return points


def _related(model: Model, points: Sequence[np.ndarray], i: int, block: Any, z: np.ndarray) -> dict[str, float | None]:
    before, last = (model.blocks[i - 1], points[i - 1]) if i else (None, None)
    return related_measures(block, points[i], z, before=before, last=last)


def _analysis(given: Analyze | None) -> Any:  # a block is whatever the protocol describes
    from lipop.certify import analysis

    return given or analysis.analyze_block


def _name(given: Analyze | None) -> str:
    return "" if given is None else f"{given.__module__}.{getattr(given, '__qualname__', given)}"


__all__ = ["RADII", "SCHEMA", "Report", "analyze", "ids_digest", "versions"]
