"""The two files of a report: what is written, and what hostile files get."""

import io
import json
import pickle
import zipfile

import jsonschema
import numpy as np
import pytest

from lipop.core.digest import array_digest
from lipop.errors import ReportError
from lipop.report import files


def refused(report, text, pattern):
    report.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ReportError, match=pattern):
        files.read_json(report)


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(files._validator().schema)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no field 'schema'"),
        ('{"schema": NaN}', "NaN is not JSON"),
        ('{"schema": Infinity}', "Infinity is not JSON"),
        ('{"schema": 1e999}', "too large"),
        ('{"schema": 1, "schema": 2}', "stands twice"),
        ("[" * 200 + "]" * 200, "levels deep"),
        ("[" * 10**6, "nested"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"x": ' + "9" * 5000 + "}", "digits"),
    ],
    ids=range(11),
)
def test_hostile_json_is_refused(report, text, pattern):
    refused(report, text, pattern)


WRONG = {
    "schema": "lipop.report/2",
    "blocks": {},
    "blocks.0.jacobian": [1.0, 2.0],
    "blocks.0.jacobian.upper": "1.0",
    "blocks.0.jacobian.lower": None,
    "blocks.0.jacobian.status": "CERTAIN",
    "blocks.0.jacobian.proof": "../../etc",
    "blocks.0.index": True,
    "blocks.0.seconds": -1.0,
    "blocks.0.ball.0.radius": -1.0,
    "blocks.0.extra": 1,
    "input.ids": [1.5],
    "input.ids.0": 2**40,
    "limit.answer": "YES",
    "model.sha256": "abc",
    "settings.blocks": [0],
    "digest": 3,
    "unasked": 1,
}


@pytest.mark.parametrize("where", WRONG)
def test_wrong_types_are_refused_by_name(report, where):
    data = json.loads(report.read_text())
    *path, last = [int(p) if p.isdigit() else p for p in where.split(".")]
    holder = data
    for p in path:
        holder = holder[p]
    holder[last] = WRONG[where]
    name = files.place([p for p in (*path, last) if p not in ("extra", "unasked")])
    refused(report, json.dumps(data), name.replace("[", r"\[").replace("]", r"\]"))


@pytest.mark.parametrize("key", ["rule", "claim", "value", "params", "evidence", "premises", "witness"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}, "x" * 100], ids=str)
def test_malformed_nodes_are_refused(forgery, key, value):
    node = next(iter(forgery.data["proofs"].values()))
    if key == "witness" and value is None:
        value = False
    if key == "params" and value == {"a": 1}:
        value = [{}]
    if key == "premises" and value == []:
        value = [[]]
    node[key] = value
    refused(forgery.path, json.dumps(forgery.data), rf"proofs\.[0-9a-f]{{64}}\.{key}")


def test_a_missing_report_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nothing"):
        files.read_json(tmp_path / "nothing.json")


# ---- arrays ----


def write_npz(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as z:
        for name, content in entries:
            z.writestr(name, content)


def npy(x, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, x, **options)
    return buffer.getvalue()


X = np.arange(6.0)
SHA = array_digest(X)


@pytest.mark.parametrize(
    ("entries", "method", "pattern"),
    [
        ([(SHA + ".npy", npy(X))] * 2, zipfile.ZIP_STORED, "stands twice"),
        ([(SHA + ".npy", npy(X))], zipfile.ZIP_DEFLATED, "compressed"),
        ([(SHA + ".npy", npy(X + 1))], zipfile.ZIP_STORED, "digest it is filed under"),
        ([(SHA + ".npy", npy(X.astype(np.float32)))], zipfile.ZIP_STORED, "float32"),
        ([(SHA + ".npy", npy(X)[:-8])], zipfile.ZIP_STORED, "not an npz"),
        ([(SHA + ".npy", b"junk")], zipfile.ZIP_STORED, "not an npz"),
        ([(SHA + ".npy", npy(np.array([{}]), allow_pickle=True))], zipfile.ZIP_STORED, "not an npz"),
    ],
    ids=["doubled", "compressed", "other", "float32", "short", "junk", "pickled"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_arrays_are_refused(tmp_path, entries, method, pattern):
    path = tmp_path / "a.npz"
    write_npz(path, entries, method)
    with pytest.raises(ReportError, match=pattern):
        files.read_arrays(path)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ReportError, match="not an npz"):
        files.read_arrays(path)


def test_arrays_round_trip(tmp_path):
    path = tmp_path / "r.json"
    files.write(path, {"a": 1}, {SHA: X})
    assert (files.read_arrays(files.arrays_path(path))[SHA] == X).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.arrays.npz", "r.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("old")

    def fill(f):
        f.write(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        files.replace(path, fill)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_the_digest_leaves_out_time_only(forgery):
    before = files.report_digest(forgery.data)
    forgery.data["created"] = "another day"
    forgery.data["seconds"] += 1
    forgery.data["blocks"][0]["seconds"] += 1
    forgery.data["blocks"][0]["seconds_by_part"] = {}
    assert files.report_digest(forgery.data) == before == forgery.data["digest"]
    forgery.data["command"].append("--force")
    assert files.report_digest(forgery.data) != before
