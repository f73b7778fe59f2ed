"""The two files of a report: strict JSON and an uncompressed npz of arrays filed under their digests."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lipop.core.digest import array_digest, digest
from lipop.errors import CheckpointError, NotAReport, OutputError, ReportError
from lipop.models.strict_json import strict_loads

VOLATILE = ("created", "digest", "seconds", "seconds_by_part")
"""The fields, at any depth outside of proofs, that the digest leaves out: time stamps, durations and itself."""

DEPTH = 40


def arrays_path(report: Path) -> Path:
    """Where the arrays of ``NAME.json`` lie: ``NAME.arrays.npz`` beside it."""
    return report.with_name(report.name.removesuffix(".json") + ".arrays.npz")


def report_digest(data: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of a report without its :data:`VOLATILE` fields (proof nodes are taken whole)."""
    return digest({k: v if k == "proofs" else _stable(v) for k, v in data.items() if k not in VOLATILE})


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _stable(v) for k, v in value.items() if k not in VOLATILE}
    return [_stable(v) for v in value] if isinstance(value, list) else value


# ---- writing ----


def write(report: Path, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write both files under temporary names and rename them, arrays first: a reader never sees half a file."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    replace(arrays_path(report), lambda f: np.savez(f, **{k: arrays[k] for k in sorted(arrays)}))  # pyright: ignore[reportArgumentType]  # names are digests
    replace(report, lambda f: f.write(text.encode()))


def replace(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Fill a temporary file beside ``path``, in a folder made if need be, and rename it; on any failure ``path`` stays
    as it was.

    Raises
    ------
    OutputError
        If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as f:
            fill(f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as e:
        raise OutputError(
            f"{path}: cannot be written ({e.strerror or e}); make room and check permissions, or name another folder"
        ) from e
    finally:
        with suppress(OSError):
            temporary.unlink()


def sweep(report: Path) -> None:
    """Remove the temporary files that a killed run left beside a report; only for who has the folder to himself."""
    left = re.compile(rf"\.{re.escape(report.name.removesuffix('.json'))}\..*\.\d+\.tmp")
    for f in report.parent.iterdir():
        if left.fullmatch(f.name):
            f.unlink()


# ---- reading ----


@cache
def _validator() -> Any:
    import jsonschema

    schema = json.loads(importlib.resources.files("lipop.report").joinpath("schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(_inline(schema, schema["$defs"]))


def _inline(value: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each ``$ref`` replaced by what it names (none is recursive): validation takes half the time."""
    if isinstance(value, dict):
        name = value.get("$ref", "").removeprefix("#/$defs/") if isinstance(value.get("$ref"), str) else None
        if name is not None:
            return _inline(definitions[name], definitions)
        return {k: _inline(v, definitions) for k, v in value.items() if k != "$defs"}
    return [_inline(v, definitions) for v in value] if isinstance(value, list) else value


def read_json(report: Path) -> dict[str, Any]:
    """A report's JSON, strict and of the right schema.

    Raises
    ------
    NotAReport
        If the file is not strict JSON (NaN, doubled keys, deep nesting), or JSON of another schema.
    ReportError
        If it does not follow ``lipop.report/1``; the message names the field.
    OSError
        If it cannot be read.
    """
    content = report.read_bytes()
    try:
        data = strict_loads(content, report.name)
    except CheckpointError as e:
        raise NotAReport(f"{e}; expected a report.json that lipop wrote") from None
    if _deeper(data, DEPTH):
        raise NotAReport(f"{report.name}: JSON nested more than {DEPTH} levels deep, which no report is")
    if not isinstance(data, dict) or "schema" not in data:
        raise NotAReport(f"{report.name}: no field 'schema'; expected a report.json that lipop wrote")
    error = next(iter(sorted(_validator().iter_errors(data), key=lambda e: [str(p) for p in e.absolute_path])), None)
    if error is not None:
        raise ReportError(f"{report.name}: {place(error.absolute_path)}: {error.message[:300]}")
    return data


def _deeper(value: Any, most: int) -> bool:
    layer, depth = [value], 0
    while layer:
        depth += 1
        if depth > most:
            return True
        layer = [c for v in layer if isinstance(v, dict | list) for c in (v.values() if isinstance(v, dict) else v)]
    return False


def place(path: Any) -> str:
    """A JSON path in words: ``blocks[0].ball[1].upper``.

    >>> place(["blocks", 0, "ball", 1, "upper"])
    'blocks[0].ball[1].upper'
    """
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.removeprefix(".") or "the report"


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a report, each checked against the digest it is filed under. Nothing is unpickled or decompressed.

    Raises
    ------
    ReportError
        If the file is no npz, holds compressed or doubled entries, other than float64 arrays, or an array that is not
        its name's.
    OSError
        If it cannot be read.
    """
    out: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as z:
            entries = z.infolist()
            if any(e.compress_type != zipfile.ZIP_STORED or e.file_size > path.stat().st_size for e in entries):
                raise ReportError(f"{path.name}: an entry is compressed; reports keep arrays as they are")
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in out:
                    raise ReportError(f"{path.name}: array {name[:12]} stands twice")
                with z.open(entry) as f:
                    x = np.lib.format.read_array(f, allow_pickle=False)  # pyright: ignore[reportArgumentType]  # a readable file object
                if x.dtype != np.dtype("<f8"):
                    raise ReportError(f"{path.name}: array {name[:12]} has dtype {x.dtype}, reports keep float64")
                if array_digest(x) != name:
                    raise ReportError(f"{path.name}: array {name[:12]} does not have the digest it is filed under")
                x.flags.writeable = False
                out[name] = x
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, KeyError, SyntaxError) as e:
        raise ReportError(f"{path.name}: not an npz file of plain arrays ({e})") from None
    return out


__all__ = ["VOLATILE", "arrays_path", "place", "read_arrays", "read_json", "replace", "report_digest", "sweep", "write"]
