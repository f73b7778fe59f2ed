"""One run at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipop.errors import OutputError, StoreError

LOCK = "runs.lock"


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Make a folder, where it is not there, and keep every other run out of it.

    The lock is the kernel's (``flock``), not the file's existence: a killed run leaves no lock behind. The file names
    the holder, and is removed at the end, as is a folder that was made here and holds nothing.

    Raises
    ------
    StoreError
        If another run holds the folder; the message gives its process id.
    OutputError
        If the folder cannot be made or written.
    """
    made = _make(folder)
    try:
        handle = _acquire(folder)
        try:
            yield
        finally:
            with suppress(OSError):  # the lock goes with the handle in any case
                os.unlink(folder / LOCK)
            os.close(handle)
    finally:
        if made:
            with suppress(OSError):  # it holds something: what the run was for
                folder.rmdir()


def _make(folder: Path) -> bool:
    """Whether the folder had to be made."""
    if folder.is_dir():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputError(f"{folder}: it or a folder above it is a file; name another output folder") from None
    except OSError as e:
        raise OutputError(f"{folder}: cannot be made ({e.strerror or e}); name another output folder") from None
    return True


def _acquire(folder: Path) -> int:
    """An open, locked handle of the lock file, with our process id in it."""
    path = folder / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as e:
            raise OutputError(
                f"{folder}: nothing can be written there ({e.strerror or e}); name another output folder"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            raise StoreError(
                f"{folder}: another run (process {holder if holder.isdigit() else 'unknown'}) is at work in this "
                "folder; wait for it, stop it, or name another output folder"
            ) from None
        except OSError as e:
            os.close(handle)
            raise OutputError(f"{path}: cannot be locked ({e.strerror or e}); name another output folder") from None
        if not _names(path, handle):  # removed by its last holder between our two steps
            os.close(handle)
            continue
        try:
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except OSError as e:
            os.unlink(path)
            os.close(handle)
            raise OutputError(f"{folder}: nothing can be written there ({e.strerror or e}); make room") from None
        return handle


def _names(path: Path, handle: int) -> bool:
    """Whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


__all__ = ["locked"]
