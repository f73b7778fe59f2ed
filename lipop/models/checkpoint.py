"""Checkpoints: a folder with config.json and safetensors weights, in one file or in shards, read lazily.

Nothing is loaded before it is asked for, no byte of a file is executed, and each tensor that is read is remembered, so
that a model family can refuse a checkpoint of which it did not use everything.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lipop.core.digest import digest
from lipop.errors import CheckpointError, NonFiniteError, ShapeError
from lipop.models.config import read_config
from lipop.models.strict_json import strict_loads
from lipop.models.tensorfile import TensorFile, TensorInfo

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WIDENED = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float32),
    "BF16": np.dtype(np.float32),
}
"""The dtypes that hold weights, and the smallest dtype in which lipop computes with their exact values."""


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """An open checkpoint; make one with `Checkpoint.open`.

    Attributes
    ----------
    path : Path
        The folder or file that was opened.
    files : tuple of TensorFile
        The weight files, sorted by path.
    config_file : Path or None
        The config.json of the folder, or the one beside a single file, if any.
    """

    path: Path
    files: tuple[TensorFile, ...]
    config_file: Path | None
    _home: Mapping[str, TensorFile]
    _read: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, {len(self._home)} tensors in {len(self.files)} files)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Checkpoint.open, (self.path,)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Open a folder (config.json with model.safetensors, or with an index and its shards) or one .safetensors file.

        Reads the headers only; the data are mapped. A file must not be changed while it is open.

        Raises
        ------
        CheckpointError
            If there is nothing to open, the weights are pickled, a file is malformed or truncated (see
            `TensorFile.open`), or the index and the shards disagree or leave the folder.
        """
        path = Path(path)
        if path.is_dir():
            files, home = _open_folder(path)
            config = path / "config.json"
            if not config.is_file():
                raise CheckpointError(f"{path}: no config.json beside the weights; it says which model they belong to")
        elif not path.exists():
            raise CheckpointError(f"{path}: no such file or folder")
        elif path.suffix in PICKLES:
            raise CheckpointError(_pickle_message(path, path.parent))
        elif path.suffix != ".safetensors":
            raise CheckpointError(f"{path}: expected a folder or a .safetensors file")
        else:
            files = (TensorFile.open(path),)
            home = dict.fromkeys(files[0].tensors, files[0])
            config = path.with_name("config.json")
        return cls(path, files, config if config.is_file() else None, home)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors, sorted."""
        return tuple(sorted(self._home))

    def __contains__(self, name: object) -> bool:
        return name in self._home

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        if self.config_file is None:
            raise CheckpointError(f"{self.path}: no config.json beside the file")
        return read_config(self.config_file)

    def info(self, name: str) -> TensorInfo:
        """Dtype, shape, file and byte range of a tensor; does not count as reading it.

        Raises
        ------
        CheckpointError
            If there is no such tensor; the message names the nearest ones.
        """
        return self._file(name).tensors[name]

    def raw(self, name: str) -> np.ndarray:
        """The tensor as stored: a read-only view of the file, BF16 and 8-bit floats as unsigned integers."""
        view = self._file(name).view(name)
        self._read.add(name)
        return view

    def array(self, name: str, shape: tuple[int, ...] | None = None, dtype: DTypeLike | None = None) -> np.ndarray:
        """The values of a weight tensor, exactly.

        Parameters
        ----------
        name : str
        shape : tuple of int, optional
            The shape that the tensor must have.
        dtype : float32 or float64, optional
            What to return; by default float64 for F64 and float32 for F32, F16 and BF16.

        Returns
        -------
        numpy.ndarray
            Read-only; for F32 and F64 in their own dtype a view of the file, without a copy.

        Raises
        ------
        CheckpointError
            If there is no such tensor, it does not hold floating-point numbers, or the dtype asked for would round.
        ShapeError
            If the shape differs.
        NonFiniteError
            If a value is NaN or infinite; the message gives its index.
        """
        info = self.info(name)
        if shape is not None and tuple(shape) != info.shape:
            raise ShapeError(f"{info.file}: tensor {name!r} has shape {info.shape}, expected {tuple(shape)}")
        if info.dtype not in WIDENED:
            raise CheckpointError(
                f"{info.file}: tensor {name!r} holds {info.dtype}; expected weights in one of {', '.join(WIDENED)}"
            )
        least = WIDENED[info.dtype]
        wanted = least if dtype is None else np.dtype(dtype)
        if wanted not in (np.dtype(np.float32), np.dtype(np.float64)) or wanted.itemsize < least.itemsize:
            raise CheckpointError(
                f"{info.file}: tensor {name!r} holds {info.dtype}, which {wanted} would not keep exactly"
            )
        stored = self.raw(name)
        if info.dtype == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        values = np.require(stored, wanted, "A")
        _check_finite(values, info)
        values.flags.writeable = False
        return values

    def sha256(self, name: str) -> str:
        """sha256 of the tensor's bytes as stored; does not count as reading it."""
        return hashlib.sha256(self._file(name).bytes(name).data).hexdigest()

    @cached_property
    def digest(self) -> str:
        """sha256 that names the checkpoint: of the contents of config.json and of all weight files, in any order.

        The first call reads every file once, in pieces.
        """
        config = None if self.config_file is None else _file_sha256(self.config_file)
        return digest("checkpoint", config, sorted(_file_sha256(f.path) for f in self.files))

    def unread(self, ignore: Iterable[str] = ()) -> tuple[str, ...]:
        """The names, sorted, of the tensors that neither `array` nor `raw` has returned.

        Parameters
        ----------
        ignore : iterable of str
            Names, or patterns with ``*`` and ``?``, that need not be read.
        """
        patterns = tuple(ignore)
        return tuple(n for n in self.names if n not in self._read and not any(fnmatchcase(n, p) for p in patterns))

    def _file(self, name: str) -> TensorFile:
        if name not in self._home:
            near = difflib.get_close_matches(name, self._home, n=3, cutoff=0.5)
            hint = f"near matches: {', '.join(map(repr, near))}" if near else "no name is near"
            raise CheckpointError(f"{self.path}: no tensor {name!r} among {len(self._home)}; {hint}")
        return self._home[name]


def _check_finite(values: np.ndarray, info: TensorInfo, piece: int = 1 << 20) -> None:
    """Raise NonFiniteError at the first value that is not finite; works in pieces to spare memory."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, piece):
        finite = np.isfinite(flat[start : start + piece])
        if not finite.all():
            k = start + int(np.argmin(finite))
            index = tuple(int(i) for i in np.unravel_index(k, values.shape))
            raise NonFiniteError(
                f"{info.file}: tensor {info.name!r} holds {flat[k]} at index {index}; every weight must be finite"
            )


def _file_sha256(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None


def _pickle_message(path: Path, folder: Path) -> str:
    return (
        f"{path}: a pickle checkpoint, and reading a pickle can run any code; if you trust it, convert it once to "
        f"safetensors: transformers.AutoModel.from_pretrained({str(folder)!r}).save_pretrained('converted')"
    )


def _open_folder(folder: Path) -> tuple[tuple[TensorFile, ...], dict[str, TensorFile]]:
    """The weight files of a folder, and the file in which each tensor lives."""
    index, single = folder / INDEX, folder / WEIGHTS
    if index.exists():
        return _open_shards(folder, index)
    if single.exists():
        file = TensorFile.open(single)
        return (file,), dict.fromkeys(file.tensors, file)
    pickles = sorted(f for f in folder.iterdir() if f.suffix in PICKLES or f.name.endswith(".bin.index.json"))
    if pickles:
        raise CheckpointError(_pickle_message(pickles[0], folder))
    raise CheckpointError(f"{folder}: neither {WEIGHTS} nor {INDEX}; expected a folder with safetensors weights")


def _open_shards(folder: Path, index: Path) -> tuple[tuple[TensorFile, ...], dict[str, TensorFile]]:
    """The shards that an index lists; index and shards must agree on the home of every tensor."""
    try:
        content = strict_loads(index.read_bytes(), str(index))
    except OSError as error:
        raise CheckpointError(f"{index}: cannot be read ({error.strerror or error})") from None
    where = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(where, dict) or not where or not all(isinstance(v, str) for v in where.values()):
        raise CheckpointError(f"{index}: expected an object whose weight_map gives a file name for each tensor")
    shards = {name: _shard_path(folder, index, name) for name in sorted(set(where.values()))}
    if (folder / WEIGHTS).exists() and WEIGHTS not in shards:
        raise CheckpointError(f"{folder}: {WEIGHTS} is there, but {INDEX} does not list it; keep one of the two")
    files = {name: TensorFile.open(path) for name, path in shards.items()}
    for name, shard in where.items():
        if name not in files[shard].tensors:
            raise CheckpointError(f"{files[shard].path}: tensor {name!r}, which {INDEX} places here, is missing")
    for shard, file in files.items():
        for name in file.tensors:
            if where.get(name) != shard:
                found = f"places in {where[name]!r}" if name in where else "does not list"
                raise CheckpointError(f"{file.path}: holds tensor {name!r}, which {INDEX} {found}")
    return tuple(files.values()), {name: files[shard] for name, shard in where.items()}


def _shard_path(folder: Path, index: Path, name: str) -> Path:
    """The path of a shard: in the folder or, in a Hugging Face cache, a link to one of the same model's blobs."""
    relative = PurePosixPath(name)
    if not name.isprintable() or "\\" in name or relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise CheckpointError(f"{index}: shard {name!r} is not the name of a file in the folder")
    path = folder / relative
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise CheckpointError(f"{index}: shard {name!r} is missing from {folder}") from None
    home = folder.resolve()
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not target.is_relative_to(home) and target.parent != blobs:
        raise CheckpointError(f"{index}: shard {name!r} is a link that leaves {folder}")
    return path
