"""A survey of a checkpoint: the norm, stable rank and spectral density of every matrix, one matrix at a time.

The matrices are read where they lie, in the memory-mapped file; none is converted. With a store, each is kept as soon
as it is done, under the digest of its bytes and of everything else that determines the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.bound import Bound
from lipop.core.digest import array_digest
from lipop.errors import DomainError
from lipop.models.checkpoint import WIDENED, Checkpoint
from lipop.report import numbers
from lipop.report.survey_matrix import DELTA, RTOL, Findings, StoredMatrix
from lipop.runs import Store, Stored, fingerprint

SCHEMA = "lipop.survey/1"


@dataclass(frozen=True)
class Place:
    """A tensor that the survey reads: its name, the block it stands in (the name up to its first number), and sizes."""

    name: str
    block: str | None
    index: int | None
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


@dataclass(frozen=True)
class Settings:
    """What determines the numbers, beside the weights."""

    rtol: float = RTOL
    delta: float = DELTA
    seed: int = 0
    proved: bool = False


@dataclass(frozen=True)
class Row:
    """One matrix: its entry as JSON, and, where it was asked for, the proof nodes and arrays behind it."""

    entry: dict[str, Any]
    proofs: dict[str, Any] = field(default_factory=dict[str, Any])
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    found: bool = False


# ---- which matrices ----


def places(checkpoint: Checkpoint) -> tuple[list[Place], list[str]]:
    """Every matrix of weights, blocks in the order of their numbers; and the names of what is left out: arrays with
    more than two axes, without entries, or of another type than floating point."""
    found, left_out = [], []
    for name in sorted(checkpoint.names, key=_natural):
        info = checkpoint.info(name)
        if len(info.shape) < 2:
            continue
        if len(info.shape) > 2 or 0 in info.shape or info.dtype not in WIDENED:
            left_out.append(name)
            continue
        number = re.match(r"(?:[^.]*\.)*?(\d{1,6})(?=\.)", name)
        block, index = (None, None) if number is None else (number[0], int(number[1]))
        found.append(Place(name, block, index, info.shape, info.dtype, info.nbytes))
    return found, left_out


def blocks(found: Sequence[Place]) -> int:
    """How many blocks there are: one more than the largest number."""
    return 1 + max((p.index for p in found if p.index is not None), default=-1)


def chosen(found: Sequence[Place], span: tuple[int, int] | None) -> list[Place]:
    """The matrices of the blocks a, ..., b - 1; all, if none are named."""
    if span is None:
        return list(found)
    return [p for p in found if p.index is not None and span[0] <= p.index < span[1]]


def _natural(name: str) -> tuple[Any, ...]:
    parts = [(1, int(p), "") if p.isdecimal() and len(p) < 7 else (0, 0, p) for p in name.split(".")]
    numbered = any(kind for kind, _, _ in parts)
    return numbered, parts


# ---- the survey ----


def survey(
    checkpoint: Checkpoint,
    which: Sequence[Place],
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    before: Callable[[Place], None] | None = None,
) -> Iterator[Row]:
    """One row a matrix, in the order given; with a store, rows carry proofs, and what it holds is not computed again.

    Parameters
    ----------
    checkpoint : Checkpoint
    which : sequence of Place
        From `places`.
    settings : Settings, optional
    store : Store, optional
        Each tensor is hashed then (claims and keys need its digest).
    before : callable, optional
        Told of each matrix before it is read.

    Raises
    ------
    NonFiniteError
        Naming the tensor and its entry.
    """
    how = Settings() if settings is None else settings
    if not 1e-4 <= how.rtol < 1:
        raise DomainError(f"the relative gap of the brackets is {how.rtol}; expected one between 1e-4 and 1")
    for place in which:
        if before is not None:
            before(place)
        matrix = StoredMatrix(
            place.name, place.dtype, checkpoint.raw(place.name), str(checkpoint.info(place.name).file)
        )
        if store is None:
            yield Row(_entry(place, matrix.survey(seed=how.seed, rtol=how.rtol, proved=how.proved)))
            continue
        matrix = matrix.hashed()
        key = _key(place, matrix, how)
        kept = store.get(key)
        if kept is not None:
            yield Row({**kept.value["entry"], "block": place.block}, kept.value["proofs"], kept.arrays, True)
            continue
        findings = matrix.survey(seed=how.seed, rtol=how.rtol, proved=how.proved)
        row = _with_proofs(place, findings)
        store.put(key, Stored({"entry": row.entry, "proofs": row.proofs}, row.arrays))
        yield row


def _key(place: Place, matrix: StoredMatrix, how: Settings) -> str:
    settings = [how.rtol.hex(), how.delta.hex(), how.seed, how.proved]
    return Store.key(fingerprint(), "survey", place.name, place.dtype, list(place.shape), matrix.sha256, settings)


def _entry(place: Place, f: Findings) -> dict[str, Any]:
    norm = {k: v for k, v in numbers.bracket(f.norm).items() if not k.endswith("proof")}
    return {
        "name": place.name,
        "block": place.block,
        "shape": list(place.shape),
        "dtype": place.dtype,
        "bytes": place.nbytes,
        "norm": norm,
        "frobenius": {"lower": f.frobenius[0], "upper": numbers.shown(f.frobenius[1]), "status": "PROVED"},
        "stable_rank": _stable_rank(f),
        "density": {"values": f.density[0].tolist(), "weights": f.density[1].tolist()},
        "steps": f.steps,
        "passes": f.passes,
        "seconds": round(f.seconds, 6),
    }


def _stable_rank(f: Findings) -> dict[str, Any] | None:
    """``|A|_F^2 / |A|_2^2``, rounded outward; its lower end is as sure as the norm's upper end. None for zero."""
    low, high = f.norm.lower.value, f.norm.upper.value
    if not 0 < low <= high < np.inf:
        return None
    return {
        "lower": max(1.0, (f.frobenius[0] / high) ** 2 * (1 - 1e-15)),
        "upper": numbers.shown((f.frobenius[1] / low) ** 2 * (1 + 1e-15)),
        "lower_status": f.norm.upper.status,
        "status": f.norm.lower.status,
    }


def _with_proofs(place: Place, f: Findings) -> Row:
    ends: tuple[Bound, Bound] = (f.norm.lower, f.norm.upper)
    entry = _entry(place, f)
    entry["norm"] = numbers.bracket(f.norm)
    entry["sha256"] = f.matrix.sha256
    arrays = {array_digest(v): v for b in ends if b.witness is not None for v in b.witness.arrays.values()}
    return Row(entry, {b.id: b.describe() for b in ends}, arrays)


# ---- the document ----


def document(
    rows: Sequence[Row],
    *,
    path: str,
    settings: Settings,
    span: tuple[int, int] | None,
    matrices: int,
    left_out: Sequence[str],
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """The survey as JSON, in the schema ``lipop.survey/1``.

    Parameters
    ----------
    rows : sequence of Row
    path : str
        Of the checkpoint.
    span : (start, stop) or None
        The blocks that were asked for.
    matrices : int
        How many matrices there are to be; fewer rows make an incomplete document.
    left_out : sequence of str
        From `places`.
    command : sequence of str
    """
    proofs = {name: node for row in rows for name, node in row.proofs.items()}
    return {
        "schema": SCHEMA,
        "model": {"path": path},
        "command": list(command),
        "settings": {
            "rtol": settings.rtol,
            "delta": settings.delta,
            "seed": settings.seed,
            "proved": settings.proved,
            "blocks": None if span is None else list(span),
        },
        "complete": len(rows) == matrices,
        "matrices": [row.entry for row in rows],
        "left_out": list(left_out),
        **({"proofs": proofs} if proofs else {}),
    }


__all__ = ["SCHEMA", "Place", "Row", "Settings", "blocks", "chosen", "document", "places", "survey"]
