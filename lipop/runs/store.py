"""A run's finished results in one SQLite file, each under the digest of everything that determines it.

An entry is a JSON value and arrays. It is written in one transaction that has reached the disk when :meth:`Store.put`
returns, so a process killed at any moment leaves whole entries only; and it is checked against its own sha256 whenever
it is read, so a damaged one counts as absent. The store knows nothing of what it holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lipop.core.digest import array_digest, digest
from lipop.errors import OutputError, StoreError
from lipop.runs.lock import locked

FILE = "runs.sqlite"
APPLICATION = int.from_bytes(b"lipo", "big")  # in the file's header, where `file` and SQLite look for it
TABLES = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS arrays (key TEXT PRIMARY KEY, npy BLOB NOT NULL, sha256 TEXT NOT NULL);
"""

log = logging.getLogger("lipop")


@dataclass(frozen=True, eq=False)
class Stored:
    """An entry: a JSON value, and arrays by their digests."""

    value: Any
    arrays: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


class Store:
    """The results in a folder; make one with :meth:`open`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
    ...     key = store.key("answer", 1)
    ...     store.put(key, Stored({"upper": 2.5}))
    ...     store.get(key).value, store.get(store.key("answer", 2))
    ({'upper': 2.5}, None)
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.path = folder / FILE
        self._fresh = fresh
        self._written: set[str] = set()
        self._database: sqlite3.Connection | None = None

    @staticmethod
    @contextmanager
    def open(folder: str | Path, *, fresh: bool = False) -> Generator[Store]:
        """The store of a folder, for this process alone until the block ends.

        Parameters
        ----------
        folder : path
            Made if it is not there; the file in it appears with the first entry.
        fresh : bool
            Find only what this process has put, whatever the file holds.

        Raises
        ------
        StoreError
            If another run holds the folder (see :func:`lipop.runs.lock.locked`).
        OutputError
            If the folder cannot be made or written.
        """
        with locked(Path(folder)):
            store = Store(Path(folder), fresh)
            try:
                yield store
            finally:
                store._close()

    @staticmethod
    def key(*parts: Any) -> str:
        """The name of an entry: sha256 of what determines it (strings, numbers, lists, dicts, None)."""
        return digest("entry", *parts)

    def get(self, key: str) -> Stored | None:
        """The entry, or None where there is none, or a damaged one (which is reported to the log and removed).

        Raises
        ------
        StoreError
            If the file as a whole is damaged or is no store.
        """
        if (self._fresh and key not in self._written) or not self.path.exists():
            return None
        with self._statement() as db:
            try:
                value = _row(db, "SELECT value, sha256 FROM entries WHERE key = ?", key)
                if value is None:
                    return None
                content = json.loads(value)
                return Stored(content["value"], {name: _array(db, name) for name in content["arrays"]})
            except _Damaged as e:
                log.warning("%s: %s is damaged; what rests on it is computed again", self.path, e)
                db.execute("DELETE FROM entries WHERE key = ?", (key,))
                return None

    def put(self, key: str, entry: Stored) -> None:
        """Keep an entry, in place of one with the same key; it is on the disk when this returns.

        Raises
        ------
        OutputError
            If the disk is full or the file cannot be written; the store is then as it was.
        StoreError
            If the file is damaged or is no store.
        """
        names = {name: array_digest(x) for name, x in entry.arrays.items()}
        if any(name != found for name, found in names.items()):
            raise ValueError("arrays are filed under their digests")
        value = json.dumps({"value": entry.value, "arrays": list(names)}, allow_nan=False).encode()
        with self._statement() as db:
            rows = ((name, npy, _seal(name, npy)) for name, npy in ((n, _npy(x)) for n, x in entry.arrays.items()))
            db.executemany("INSERT OR REPLACE INTO arrays VALUES (?, ?, ?)", rows)
            db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (key, value, _seal(key, value)))
        self._written.add(key)

    # ---- parts ----

    @contextmanager
    def _statement(self) -> Generator[sqlite3.Connection]:
        """One transaction, whole or not at all; SQLite's troubles in our words."""
        try:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except (sqlite3.Error, UnicodeDecodeError) as e:  # the latter where a damaged name stands in SQLite's message
            raise self._trouble(e) from None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            db = sqlite3.connect(self.path, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._database = db
        return self._database

    def _prepare(self, db: sqlite3.Connection) -> None:
        for setting in ("synchronous = EXTRA", "trusted_schema = OFF", "cell_size_check = ON"):
            db.execute(f"PRAGMA {setting}")
        application, tables = (
            db.execute(q).fetchone()[0] for q in ("PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
        )
        if application != APPLICATION and tables:
            raise StoreError(f"{self.path}: a database of another program; move it, or name another output folder")
        if not tables:
            db.executescript(f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; {TABLES} COMMIT;")

    def _trouble(self, e: Exception) -> OutputError | StoreError:
        code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(f"{self.path}: another program is using it; close that program")
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return OutputError(
                f"{self.path}: cannot be written ({e}); make room and check permissions, or name another output folder"
            )
        return StoreError(
            f"{self.path}: damaged, or not a store of lipop ({e}); remove it (its results are then computed again), or "
            "name another output folder"
        )

    def _close(self) -> None:
        if self._database is not None:
            with closing(self._database):
                self._database = None
        if self.path.is_file() and not self.path.stat().st_size:  # nothing was ever committed
            self.path.unlink()


class _Damaged(Exception):
    """A row is not what it is filed under."""


def _seal(key: str, value: bytes) -> str:
    return hashlib.sha256(key.encode() + b"\0" + value).hexdigest()


def _row(db: sqlite3.Connection, query: str, key: str) -> bytes | None:
    """The content that a key leads to, as it was written, or None."""
    row = db.execute(query, (key,)).fetchone()
    if row is None:
        return None
    content, sha256 = row
    if not isinstance(content, bytes) or _seal(key, content) != sha256:
        raise _Damaged(f"the entry {key[:12]}")
    return content


def _npy(x: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(x, order="C"), allow_pickle=False)
    return stream.getvalue()


def _array(db: sqlite3.Connection, name: str) -> np.ndarray:
    npy = _row(db, "SELECT npy, sha256 FROM arrays WHERE key = ?", name)
    if npy is None:
        raise _Damaged(f"the array {name[:12]}, which is gone,")
    return np.lib.format.read_array(io.BytesIO(npy), allow_pickle=False)


__all__ = ["Store", "Stored"]
