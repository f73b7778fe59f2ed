"""The store: what was put comes back or is absent, whatever happens to process, disk and file."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop.core.digest import array_digest
from lipop.errors import LipopError, OutputError, StoreError
from lipop.runs import Store, Stored, locked
from lipop.runs.lock import LOCK

KEYS = [Store.key("block", i) for i in range(3)]


def entry(i, size=6):
    rng = np.random.default_rng(i)
    arrays = [rng.standard_normal((size, 2)), np.array(-0.0), np.zeros((0, 3))]
    return Stored({"upper": 0.1 + i, "inf": "inf", "ids": [i, None]}, {array_digest(x): x for x in arrays})


def same(a, b):
    return (
        a.value == b.value
        and list(a.arrays) == list(b.arrays)
        and all(a.arrays[k].tobytes() == x.tobytes() and a.arrays[k].shape == x.shape for k, x in b.arrays.items())
    )


@pytest.fixture
def file(tmp_path):
    """A store with three entries."""
    with Store.open(tmp_path) as store:
        for i, key in enumerate(KEYS):
            store.put(key, entry(i))
    return store.path


def test_what_was_put_is_there_for_the_next_process(file):
    code = (
        "import sys; from lipop.runs import Store\n"
        "with Store.open(sys.argv[1]) as s: print(s.get(sys.argv[2]).value['upper'], s.get(Store.key('x')))"
    )
    argv = [sys.executable, "-c", code, str(file.parent), KEYS[1]]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "1.1 None\n"
    with Store.open(file.parent) as store:
        assert all(same(store.get(key), entry(i)) for i, key in enumerate(KEYS))
    assert sorted(p.name for p in file.parent.iterdir()) == ["runs.sqlite"]


def test_keys_tell_everything_apart():
    parts = [("a",), ("a", 1), ("a", 1.0), ("a", "1"), ("a", None), ("a", [1]), ("a1",)]
    assert len({Store.key(*p) for p in parts}) == len(parts)


def test_a_second_put_replaces(tmp_path):
    with Store.open(tmp_path) as store:
        store.put(KEYS[0], entry(0))
        store.put(KEYS[0], entry(5))
        assert same(store.get(KEYS[0]), entry(5))


def test_arrays_must_have_their_digests(tmp_path):
    with Store.open(tmp_path) as store, pytest.raises(ValueError, match="digests"):
        store.put(KEYS[0], Stored(1, {"0" * 64: np.zeros(2)}))


def test_fresh_finds_only_its_own(file):
    with Store.open(file.parent, fresh=True) as store:
        assert store.get(KEYS[0]) is None
        store.put(KEYS[0], entry(7))
        assert same(store.get(KEYS[0]), entry(7))
    with Store.open(file.parent) as store:
        assert same(store.get(KEYS[0]), entry(7))
        assert same(store.get(KEYS[1]), entry(1))


def test_a_store_that_keeps_nothing_leaves_nothing(tmp_path):
    with Store.open(tmp_path / "new") as store:
        assert store.get(KEYS[0]) is None
        assert [p.name for p in (tmp_path / "new").iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_put_changes_nothing(file, monkeypatch):
    def interrupt(x):
        raise KeyboardInterrupt

    with Store.open(file.parent) as store:
        with monkeypatch.context() as m:
            m.setattr("lipop.runs.store._npy", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.put(KEYS[0], entry(9))
        assert same(store.get(KEYS[0]), entry(0))


def test_a_full_disk_is_named_and_changes_nothing(file):
    with Store.open(file.parent) as store:
        pages = store._open().execute("PRAGMA page_count").fetchone()[0]
        store._open().execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OutputError, match=r"runs\.sqlite: cannot be written .*full.*make room"):
            store.put(Store.key("large"), entry(9, size=10**5))
        assert all(same(store.get(key), entry(i)) for i, key in enumerate(KEYS))


# ---- damage ----


@given(st.data())
def test_damage_is_never_trusted(tmp_path_factory, data):
    """After any change of a few bytes or any truncation, each entry is as it was, absent, or refused by name."""
    folder = tmp_path_factory.mktemp("damage")
    with Store.open(folder) as store:
        for i, key in enumerate(KEYS):
            store.put(key, entry(i))
    content = bytearray(store.path.read_bytes())
    if data.draw(st.booleans(), label="truncate"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        begin = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=40))
        content[begin : begin + len(piece)] = piece
        del content[len(store.path.read_bytes()) :]
    store.path.write_bytes(content)
    with Store.open(folder) as store:
        for i, key in enumerate(KEYS):
            refusals = []
            try:
                found = store.get(key)
                assert found is None or same(found, entry(i))
                store.put(key, entry(i))
                assert same(store.get(key), entry(i))
            except LipopError as e:
                refusals.append(str(e))
            assert all(r.startswith(str(store.path)) for r in refusals)


def test_a_damaged_row_is_reported_and_absent(file, caplog):
    with sqlite3.connect(file) as db:
        db.execute("UPDATE entries SET value = replace(value, '0.1', '0.2') WHERE key = ?", (KEYS[0],))
        db.execute(
            "UPDATE arrays SET npy = substr(npy, 1, length(npy) - 1) WHERE key = ?", (next(iter(entry(1).arrays)),)
        )
    db.close()
    with Store.open(file.parent) as store, caplog.at_level(logging.WARNING, "lipop"):
        assert store.get(KEYS[0]) is None
        assert store.get(KEYS[1]) is None
        assert same(store.get(KEYS[2]), entry(2))
        assert [str(file) in r.getMessage() for r in caplog.records] == [True, True]
        store.put(KEYS[1], entry(1))
        assert same(store.get(KEYS[1]), entry(1))


def test_entries_cannot_change_places(file):
    with sqlite3.connect(file) as db:
        row = db.execute("SELECT value, sha256 FROM entries WHERE key = ?", (KEYS[0],)).fetchone()
        db.execute("UPDATE entries SET value = ?, sha256 = ? WHERE key = ?", (*row, KEYS[1]))
    db.close()
    with Store.open(file.parent) as store:
        assert store.get(KEYS[1]) is None


@pytest.mark.parametrize("content", [b"not a database, and long enough to be taken for one " * 20, b"a text\n" * 100])
def test_what_is_no_database_is_refused_and_kept(tmp_path, content):
    file = tmp_path / "runs.sqlite"
    file.write_bytes(content)
    with Store.open(tmp_path) as store:
        for attempt in (lambda: store.get(KEYS[0]), lambda: store.put(KEYS[0], entry(0))):
            with pytest.raises(StoreError, match=r"runs\.sqlite: damaged, or not a store of lipop .*remove it"):
                attempt()
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "runs.sqlite") as db:
        db.execute("CREATE TABLE entries (x)")
    db.close()
    with Store.open(tmp_path) as store, pytest.raises(StoreError, match="another program"):
        store.get(KEYS[0])


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "runs.sqlite").mkdir()
    with Store.open(tmp_path) as store, pytest.raises(OutputError, match=r"runs\.sqlite: cannot be written"):
        store.put(KEYS[0], entry(0))


# ---- the lock ----

HOLD = """
import sys
from pathlib import Path
from lipop.runs import locked
with locked(Path(sys.argv[1])):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder."""
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_who_holds_the_folder(holder, tmp_path):
    with pytest.raises(StoreError, match=rf"{tmp_path}: another run \(process {holder.pid}\)"), Store.open(tmp_path):
        pass
    holder.communicate()
    with Store.open(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_lock(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_at_any_time_one_holds_the_folder(tmp_path):
    """Threads that take and leave the lock, whose file comes and goes with each, never meet inside."""
    inside, most, turns = [0], [0], [0]

    def take():
        while turns[0] < 200:
            try:
                with locked(tmp_path / "shared"):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    turns[0] += 1
                    os.sched_yield()
                    inside[0] -= 1
            except LipopError:
                os.sched_yield()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == [1]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(OutputError, match=r"file.*is a file; name another output folder"), Store.open(folder):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="nothing can be written"), Store.open(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "content"
