"""The safetensors format: 8 bytes with the length of a JSON header, the header, then the tensors side by side.

The header gives each tensor's dtype, shape and byte range. A file is accepted only if the ranges tile the data exactly,
so no two tensors share a byte, no byte is unaccounted for, and a truncated file is noticed before any tensor is read.
Tensors are views of one read-only memory map: opening costs the header alone.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipop.errors import CheckpointError
from lipop.models.strict_json import strict_loads

MAX_HEADER = 100_000_000
"""Longest accepted header in bytes, the limit of the reference implementation."""

MAX_AXES = 32

DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "C64": "<c8",
        "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
        "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
        "F8_E4M3": "u1", "F8_E5M2": "u1", "F8_E8M0": "u1", "F8_E4M3FNUZ": "u1", "F8_E5M2FNUZ": "u1",
    }.items()
}  # fmt: skip
"""How each dtype of the format is stored; BF16 and the 8-bit floats, which NumPy lacks, as their bits."""


@dataclass(frozen=True)
class TensorInfo:
    """What a header says about one tensor; the tensor is bytes ``offsets[0]:offsets[1]`` of ``file``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offsets: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """The tensor's size in bytes."""
        return self.offsets[1] - self.offsets[0]


@dataclass(frozen=True, eq=False)
class TensorFile:
    """One open safetensors file.

    Attributes
    ----------
    path : Path
    tensors : mapping of str to TensorInfo
        In the order of the header.
    metadata : mapping of str to str
        The header's free text, empty if there is none.
    data : (size,) uint8 array
        The whole file, mapped read-only.
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data: np.ndarray

    def __repr__(self) -> str:
        return f"TensorFile({str(self.path)!r}, {len(self.tensors)} tensors)"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> TensorFile:
        """Map a file and check its header.

        Raises
        ------
        CheckpointError
            If the file cannot be read, is no safetensors file, is truncated or too long, or if its tensors overlap,
            leave a gap, do not have the size of their shape, or have an unknown dtype or an unprintable name.
        """
        path = Path(path)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise CheckpointError(f"{path}: not a regular file")
            with open(path, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                start = 8 + _header_length(path, stream.read(8), size)
                header = stream.read(start - 8)
                data = np.asarray(np.memmap(stream, np.uint8, "r"))
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
        if len(header) != start - 8 or data.size != size:
            raise CheckpointError(f"{path}: changed while it was being opened")
        tensors, metadata = _parse(path, header, start, size)
        return cls(path, tensors, metadata, data)

    def bytes(self, name: str) -> np.ndarray:
        """The bytes of a tensor, a read-only (nbytes,) uint8 view of the map."""
        begin, end = self.tensors[name].offsets
        return self.data[begin:end]

    def view(self, name: str) -> np.ndarray:
        """The tensor as stored (see `DTYPES`), a read-only view of the map; it may be unaligned."""
        info = self.tensors[name]
        return self.bytes(name).view(DTYPES[info.dtype]).reshape(info.shape)


def _header_length(path: Path, first: bytes, size: int) -> int:
    """The first field, checked against the size of the file."""
    if len(first) < 8:
        raise CheckpointError(f"{path}: {size} bytes, truncated before the 8-byte header length")
    length = int.from_bytes(first, "little")
    if first == b"version ":
        raise CheckpointError(f"{path}: a Git LFS pointer, not the weights; fetch them with `git lfs pull`")
    if length > MAX_HEADER:
        raise CheckpointError(f"{path}: header length {length} exceeds {MAX_HEADER} bytes; not a safetensors file")
    if length < 2:
        raise CheckpointError(f"{path}: header length {length}, but the shortest header '{{}}' has 2 bytes")
    if length > size - 8:
        raise CheckpointError(f"{path}: truncated, the header should have {length} bytes and {size - 8} follow")
    return length


def _parse(path: Path, header: bytes, start: int, size: int) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The tensors and the metadata of a header, after all checks."""
    if not header.startswith(b"{"):
        raise CheckpointError(f"{path}: the header must begin with '{{', found {header[:1]!r}")
    entries = strict_loads(header, f"{path}: header")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{path}: __metadata__ must map strings to strings")
    tensors = {name: _entry(path, name, entry, start) for name, entry in entries.items()}
    end, last = start, "the header"
    for info in sorted(tensors.values(), key=lambda t: t.offsets):
        if info.offsets[0] != end:
            what = "overlaps" if info.offsets[0] < end else "leaves a gap after"
            raise CheckpointError(
                f"{path}: tensor {info.name!r} {what} {last}: it starts at data byte {info.offsets[0] - start}, "
                f"expected {end - start}"
            )
        end, last = info.offsets[1], f"tensor {info.name!r}"
        if end > size:
            raise CheckpointError(
                f"{path}: truncated, tensor {info.name!r} ends at byte {end} of {size}; fetch the file again"
            )
    if end != size:
        raise CheckpointError(f"{path}: {size - end} bytes follow the last tensor ({last}) and belong to none")
    return tensors, metadata


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _entry(path: Path, name: str, entry: Any, start: int) -> TensorInfo:
    """One tensor of the header, its own fields checked."""
    where = f"{path}: tensor {name[:200]!r}"
    if not name or not name.isprintable():
        raise CheckpointError(f"{where}: a name must be non-empty and printable")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise CheckpointError(f"{where}: expected exactly dtype, shape and data_offsets, found {found!r:.200}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"{where}: unknown dtype {dtype!r:.60}; known are {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not all(map(_natural, shape)):
        raise CheckpointError(f"{where}: shape must be a list of at most {MAX_AXES} integers >= 0, found {shape!r:.80}")
    itemsize = DTYPES[dtype].itemsize
    if math.prod(max(n, 1) for n in shape) * itemsize >= 2**63:
        raise CheckpointError(f"{where}: shape {shape!r:.80} is larger than any address space")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_natural, offsets)) or offsets[0] > offsets[1]:
        raise CheckpointError(
            f"{where}: data_offsets must be [begin, end] with 0 <= begin <= end, found {offsets!r:.80}"
        )
    expected = math.prod(shape) * itemsize
    if offsets[1] - offsets[0] != expected:
        raise CheckpointError(
            f"{where}: {dtype} of shape {shape} has {expected} bytes, but data_offsets {offsets} "
            f"span {offsets[1] - offsets[0]}"
        )
    return TensorInfo(name, dtype, tuple(shape), path, (start + offsets[0], start + offsets[1]))
