"""Check a report against the model: every displayed number, every proof node, every leaf, every array."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipop.core import proof
from lipop.core.algebra import residual
from lipop.core.bound import LOWER, Bound, Subject
from lipop.core.memo import memo
from lipop.core.region import Ball, Everywhere, Shell, Unresolved
from lipop.core.rule import RULES
from lipop.errors import LipopError, ProofError, ReportError
from lipop.limit.diagnosis_measures import own_measures, related_measures
from lipop.report import files, limit, numbers, singular
from lipop.report.document import ids_digest
from lipop.report.places import DAHLQUIST, LIP, NORM, POINT, Place
from lipop.report.probe import fresh_lower
from lipop.report.protocol import Block, Model, Subjects
from lipop.report.subjects import subjects_of

SMALLEST = 5e-324
SAME = 1e-9  # relative agreement asked of recomputed activations


@dataclass(frozen=True)
class VerifyResult:
    """What was checked; there is no result for a report that fails.

    Attributes
    ----------
    blocks, numbers, nodes, arrays : int
        How many of each were checked.
    leaves : int
        Nodes whose value comes from a certificate or a witness.
    redone : int
        Leaves redone from the model's data.
    probed : int
        Probable leaves tried against a fresh lower value.
    skipped : int
        Leaves not redone, because of ``fast``.
    complete : bool
        Whether the report holds every block that it set out to hold.
    """

    blocks: int
    numbers: int
    nodes: int
    arrays: int
    leaves: int
    redone: int
    probed: int
    skipped: int
    complete: bool

    def __str__(self) -> str:
        text = (
            f"{self.numbers} numbers in {self.blocks} blocks, {self.nodes} proof nodes, {self.arrays} arrays: "
            f"all hold; {self.redone} of {self.leaves} leaves redone, "
            f"{self.probed} probable ones tried against a fresh lower value"
        )
        if self.skipped:
            text += f"; {self.skipped} upper certificates NOT redone (fast)"
        return text if self.complete else text + "; the report is INCOMPLETE (interrupted)"


def verify(
    report: str | os.PathLike[str],
    model: Model | str | os.PathLike[str],
    *,
    fast: bool = False,
    text: str | None = None,
    seed: int | None = None,
    subjects: Subjects = subjects_of,
) -> VerifyResult:
    """Check a report.

    Parameters
    ----------
    report : path
        The ``.json`` file; its arrays lie beside it.
    model : Model or path
        A loaded model, or what ``lipop.models.load`` opens.
    fast : bool
        Redo witnesses only; upper certificates are checked for grid, claim and evidence, but not computed again.
    text : str, optional
        Also check that the report's tokens are those of this text.
    seed : int, optional
        Of the fresh lower values; a new random one by default.
    subjects : callable
        Rebuilds what leaves speak about.

    Raises
    ------
    ReportError
        Naming the field that is malformed or does not show what its node proves.
    ProofError
        Naming the node that does not hold.
    """
    path = Path(report)
    data = files.read_json(path)
    if files.report_digest(data) != data["digest"]:
        raise ReportError(f"{path.name}: digest: the content does not have the stated digest {data['digest'][:12]}")
    arrays = files.read_arrays(files.arrays_path(path))
    proofs = _read_proofs(data["proofs"], arrays)
    loaded: Any = model
    if isinstance(model, str | os.PathLike):
        from lipop import models

        loaded = models.load(model)
    return _Check(data, arrays, proofs, loaded, fast, subjects, secrets.randbits(48) if seed is None else seed).run(
        text
    )


def _read_proofs(stated: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Bound]:
    try:
        proofs = proof.from_json(stated, arrays)
    except ProofError:
        raise
    except LipopError as e:
        raise ProofError(str(e)) from None
    except (OverflowError, RecursionError) as e:
        raise ProofError(f"a proof node is malformed: {e}") from None
    for name, bound in proofs.items():
        where = f"node {name[:12]} ({bound.rule})"
        if bound.describe() != stated[name]:
            raise ProofError(f"{where}: the node holds more, or other types, than a proof node has")
        if isinstance(bound.claim.region, Unresolved):
            raise ProofError(f"{where}: an array of its region is not in the report's arrays")
    for name, bound in proofs.items():
        try:
            proof.check_node(bound)
        except ProofError:
            raise
        except Exception as e:  # rules read parameters from the file, and any type may stand there
            where = f"node {name[:12]} ({bound.rule})"
            raise ProofError(f"{where}: its rule cannot be evaluated ({type(e).__name__}: {e})") from e
    return proofs


class _Check:
    """One verification: the report's parts, the model, and what was counted."""

    def __init__(
        self,
        data: dict[str, Any],
        arrays: dict[str, np.ndarray],
        proofs: dict[str, Bound],
        model: Model,
        fast: bool,
        subjects: Subjects,
        seed: int,
    ) -> None:
        self.data, self.arrays, self.proofs, self.model = data, arrays, proofs, model
        self.fast, self.subjects, self.seed = fast, subjects, seed
        self.used_nodes: dict[str, Bound] = {}
        self.used_arrays: set[str] = set()
        self.numbers = self.redone = self.probed = self.skipped = 0

    def run(self, text: str | None) -> VerifyResult:
        start, stop = self._model()
        ids = self._input(text)
        try:
            activations = self.model.activations(self.model.embed(tokens=ids))
        except LipopError as e:
            raise ReportError(f"input.ids: the model does not take them: {e}") from e
        self.final = self.model.blocks[len(self.model.blocks) - 1](activations[-1])
        found: list[limit.Measures] = []
        checked: set[str] = set()
        for i, entry in enumerate(self.data["blocks"]):
            with memo():
                found.append(self._block(f"blocks[{i}]", start + i, entry, activations, checked))
        limit.check_section(self.data["limit"], len(self.model.blocks), self.data["blocks"], found)
        self._nothing_else()
        leaves = sum(RULES[b.rule].leaf for b in self.used_nodes.values())
        return VerifyResult(
            blocks=len(self.data["blocks"]),
            numbers=self.numbers,
            nodes=len(self.used_nodes),
            arrays=len(self.used_arrays),
            leaves=leaves,
            redone=self.redone,
            probed=self.probed,
            skipped=self.skipped,
            complete=len(self.data["blocks"]) == stop - start,
        )

    # ---- model and input ----

    def _model(self) -> tuple[int, int]:
        stated, model = self.data["model"], self.model
        _agree("model.sha256", stated["sha256"], model.digest)
        _agree("model.family", stated["family"], model.family)
        _agree("model.dtype", stated["dtype"], model.dtype)
        _agree("model.blocks", stated["blocks"], len(model.blocks))
        start, stop = self.data["settings"]["blocks"]
        if not 0 <= start < stop <= len(model.blocks):
            raise ReportError(f"settings.blocks: {start}:{stop} are not blocks of this model: 0:{len(model.blocks)}")
        done = len(self.data["blocks"])
        if done > stop - start or self.data["complete"] != (done == stop - start):
            raise ReportError(f"complete: {self.data['complete']}, but {done} blocks are reported of {start}:{stop}")
        return start, stop

    def _input(self, text: str | None) -> np.ndarray:
        stated = self.data["input"]
        ids = np.array(stated["ids"], dtype=np.int64)
        _agree("input.tokens", stated["tokens"], len(ids))
        _agree("input.sha256", stated["sha256"], ids_digest(ids))
        if text is not None:
            if "text_sha256" in stated:
                _agree("input.text_sha256", stated["text_sha256"], hashlib.sha256(text.encode()).hexdigest())
            given = self.model.tokens(text)[: len(ids)]
            if not np.array_equal(given, ids):
                raise ReportError("input.ids: the report's tokens are not those of the text given")
        return ids

    # ---- a block ----

    def _block(
        self, path: str, index: int, entry: dict[str, Any], activations: Sequence[np.ndarray], checked: set[str]
    ) -> limit.Measures:
        block = self.model.blocks[index]
        _agree(f"{path}.index", entry["index"], index)
        _agree(f"{path}.name", entry["name"], self.model.block_names[index])
        _agree(f"{path}.operator", entry["operator"], block.digest)
        x = self._array(f"{path}.x0", entry["x0"], activations[index])
        _near(f"{path}.norm", entry["norm"], numbers.size(x))
        roots: list[Bound] = []
        for place in self._places(path, block, x, entry):
            bounds = place.bounds(self.proofs)
            roots.extend(bounds)
            self.numbers += len(bounds)
        fresh = {b.id: b for root in roots for b in proof.nodes(root)}
        self.used_nodes.update(fresh)
        leaves = [b for b in fresh.values() if RULES[b.rule].leaf and b.id not in checked]
        checked.update(b.id for b in leaves)
        source = self.subjects(block, x) if leaves else {}
        for b in leaves:
            self._leaf(b, source)
        before, last = (self.model.blocks[index - 1], activations[index - 1]) if index else (None, None)
        return {**own_measures(block, x), **related_measures(block, x, self.final, before=before, last=last)}

    def _places(self, path: str, block: Block, x: np.ndarray, entry: dict[str, Any]) -> Iterator[Place]:
        weights = list(block.weights())
        _agree(f"{path}.weights", [w["name"] for w in entry["weights"]], [name for name, _, _ in weights])
        for j, (w, (_, shape, matrix)) in enumerate(zip(entry["weights"], weights, strict=True)):
            _agree(f"{path}.weights[{j}].shape", w["shape"], [int(n) for n in shape])
            yield Place(f"{path}.weights[{j}].norm", w["norm"], NORM, matrix.digest, Everywhere())
            if "spectrum" in w:
                singular.check_form(f"{path}.weights[{j}].spectrum", w)
                singular.check_values(f"{path}.weights[{j}].spectrum", w, matrix)
        yield Place(f"{path}.jacobian", entry["jacobian"], POINT, block.digest, Ball(x, 0.0))
        for where, ball, region in self._balls(path, entry["ball"], x):
            yield Place(where, ball, LIP, block.digest, region)
        shell = entry["shell"]
        r, R = shell["r"], numbers.read(shell["R"])
        if not 0 <= r <= R:
            raise ReportError(f"{path}.shell: a shell needs 0 <= r <= R, found r = {r}, R = {R}")
        yield Place(f"{path}.shell", shell, LIP, block.digest, Shell(r, R, len(x)))
        branches = list(block.branches(x))
        _agree(f"{path}.residuals", [b["name"] for b in entry["residuals"]], [name for name, _, _ in branches])
        for j, (b, (_, op, point)) in enumerate(zip(entry["residuals"], branches, strict=True)):
            where = f"{path}.residuals[{j}]"
            _agree(f"{where}.operator", b["operator"], op.digest)
            y = self._array(f"{where}.point", b["point"], point)
            _near(f"{where}.norm", b["norm"], numbers.size(y))
            total = residual(op).digest
            for inner, answers, region in [(where, b, Ball(y, 0.0)), *self._balls(where, b["ball"], y)]:
                what = POINT if region.radius == 0 else LIP
                yield Place(f"{inner}.dahlquist", answers["dahlquist"], DAHLQUIST, op.digest, region)
                yield Place(f"{inner}.lip_branch", answers["lip_branch"], what, op.digest, region)
                yield Place(f"{inner}.lip_sum", answers["lip_sum"], what, total, region)
                yield Place(f"{inner}.lip_sum_rule", answers["lip_sum_rule"], what, total, region)

    def _balls(self, path: str, balls: list[Any], x: np.ndarray) -> Iterator[tuple[str, dict[str, Any], Ball]]:
        size = numbers.size(x)
        _agree(f"{path}.ball", [b["relative"] for b in balls], self.data["settings"]["radii"])
        for j, ball in enumerate(balls):
            expected = ball["relative"] * size
            if not abs(ball["radius"] - expected) <= 1e-12 * expected + SMALLEST:
                _agree(f"{path}.ball[{j}].relative", ball["relative"], ball["radius"] / size if size > 0 else None)
            yield f"{path}.ball[{j}]", ball, Ball(x, ball["radius"])

    def _array(self, where: str, sha: str, expected: np.ndarray) -> np.ndarray:
        x = self.arrays.get(sha)
        if x is None:
            raise ReportError(f"{where}: array {sha[:12]} is not in the report's arrays")
        if x.shape != expected.shape or not bool(np.linalg.norm(x - expected) <= SAME * np.linalg.norm(expected)):
            raise ReportError(f"{where}: array {sha[:12]} is not the model's activation for the report's tokens")
        self.used_arrays.add(sha)
        return x

    def _leaf(self, b: Bound, source: Mapping[str, Subject]) -> None:
        where = f"node {b.id[:12]} ({b.rule})"
        subject = source.get(b.claim.operator)
        if subject is None:
            raise ProofError(f"{where}: the block has no operator or matrix with digest {b.claim.operator[:12]}")
        if self.fast and b.claim.side != LOWER:
            self.skipped += 1
            return
        try:
            proof.check_leaf(b, proof.Source({b.claim.operator: subject}))
            lower = fresh_lower(subject, b.claim, self.seed) if b.evidence.trials else None
        except ProofError as e:
            raise e if b.id[:12] in str(e) else ProofError(f"{where}: {e}") from e
        except Exception as e:  # parameters and witnesses come from the file, and any value may stand there
            raise ProofError(f"{where}: its certificate cannot be redone ({type(e).__name__}: {e})") from e
        self.redone += 1
        if lower is not None:
            self.probed += 1
            if b.value < lower:
                raise ProofError(f"{where}: the stated {b.value!r} lies below the fresh lower value {lower!r}")

    # ---- the rest ----

    def _nothing_else(self) -> None:
        proof.check_trials(self.used_nodes.values())
        self.used_arrays |= proof.arrays_of(*self.used_nodes.values()).keys()
        extra = sorted(self.proofs.keys() - self.used_nodes.keys())
        if extra:
            raise ProofError(f"node {extra[0][:12]} ({self.proofs[extra[0]].rule}): no displayed number rests on it")
        unknown = sorted(self.arrays.keys() - self.used_arrays)
        if unknown:
            raise ReportError(f"array {unknown[0][:12]}: neither the report nor a proof node refers to it")


def _agree(where: str, stated: Any, found: Any) -> None:
    if stated != found:
        raise ReportError(f"{where}: the report states {_short(stated)}, expected {_short(found)}")


def _near(where: str, stated: float, found: float) -> None:
    if not abs(stated - found) <= 1e-12 * abs(found):
        raise ReportError(f"{where}: the report states {stated!r}, the array gives {found!r}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


__all__ = ["VerifyResult", "verify"]
