"""Which tensors a family reads: all of them must be there, and no other may be."""

from __future__ import annotations

from collections.abc import Collection, Set
from fnmatch import fnmatchcase

from lipop.errors import CheckpointError
from lipop.models.checkpoint import Checkpoint


def check_layers(checkpoint: Checkpoint, key: str, layers: int) -> None:
    """The config must not name more layers than the checkpoint has tensors (before a name is made for each).

    Raises
    ------
    CheckpointError
    """
    if layers > len(checkpoint.names):
        raise CheckpointError(
            f"{checkpoint.path}: config key {key!r} = {layers}, but there are only {len(checkpoint.names)} tensors"
        )


def check_names(checkpoint: Checkpoint, used: Set[str], ignore: Collection[str], what: str) -> None:
    """Every tensor is one that the blocks or the embedding use, or one that does not touch them.

    Parameters
    ----------
    used : set of str
        Names that must be there.
    ignore : collection of str
        Names, or patterns with ``*``, of heads and buffers.
    what : str
        What the checkpoint should be, for the message.

    Raises
    ------
    CheckpointError
        Naming a tensor that is missing, or one that nobody would read: it may mean that the map is another one.
    """
    missing = sorted(used - set(checkpoint.names))
    if missing:
        raise CheckpointError(f"{checkpoint.path}: tensor {missing[0]!r} is missing ({len(missing)} in all)")
    stray = [n for n in checkpoint.names if n not in used and not any(fnmatchcase(n, p) for p in ignore)]
    if stray:
        raise CheckpointError(
            f"{checkpoint.path}: tensor {stray[0]!r} is not part of a {what} ({len(stray)} such in all)"
        )


__all__ = ["check_layers", "check_names"]
