"""Data that a fit refuses, each with what is wrong and where; CSV files."""

import numpy as np
import pytest

from lipop.errors import DomainError, LipopError, MissingData, NonFiniteError, ShapeError
from lipop.scaling import laws, read_csv
from lipop.scaling.table import Runs

D = np.geomspace(1e6, 1e9, 8)
GOOD = {"D": D, "loss": 1.5 + 40 * D**-0.25}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": None}, MissingData, "needs the columns D, loss; loss is missing"),
        ({"N": D}, DomainError, "no column 'N'"),
        ({"loss": GOOD["loss"][:-1]}, ShapeError, "different lengths"),
        ({"loss": np.ones((8, 1))}, ShapeError, "one-dimensional"),
        ({"loss": np.where(np.arange(8) == 3, np.nan, 2.0)}, NonFiniteError, "column loss, row 4: nan"),
        ({"D": np.where(np.arange(8) == 5, np.inf, D)}, NonFiniteError, "column D, row 6: inf"),
        ({"loss": np.where(np.arange(8) == 2, -1.0, 2.0)}, DomainError, "column loss, row 3: -1 is not positive"),
        ({"loss": ["a"] * 8}, DomainError, "column loss holds something that is no number"),
        ({"D": D[:4], "loss": D[:4]}, DomainError, "3 free parameters and needs at least 5 rows, found 4"),
    ],
)
def test_bad_columns_are_named(change, error, message):
    data = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(error, match=message):
        Runs.of(laws.DataLaw(), data)


def test_duplicates_are_refused_unless_asked_for():
    twice = {k: np.append(v, v[2]) for k, v in GOOD.items()}
    with pytest.raises(DomainError, match=r"rows 3 and 9 are the same in every column \(1 such rows\)"):
        Runs.of(laws.DataLaw(), twice)
    assert Runs.of(laws.DataLaw(), twice, duplicates=True).size == 9
    replicate = {"D": twice["D"], "loss": np.append(GOOD["loss"], 1.6)}
    assert Runs.of(laws.DataLaw(), replicate).size == 9


def test_mixed_units_are_remarked():
    mixed = {**GOOD, "D": np.where(np.arange(8) < 2, D / 1e9, D)}
    assert "are its units mixed?" in Runs.of(laws.DataLaw(), mixed).remarks[0]
    assert Runs.of(laws.DataLaw(), GOOD).remarks == ()


# ---- files ----


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_mapped_by_name(tmp_path):
    path = write(tmp_path / "runs.csv", '\ufeffname,params, tokens ,val\n\na,1e6,2e7,3.5\n"b, c", 2e6 ,4e7,3.25\n')
    found = read_csv(path, {"N": "params", "D": "tokens", "loss": "val"})
    assert {k: v.tolist() for k, v in found.items()} == {"N": [1e6, 2e6], "D": [2e7, 4e7], "loss": [3.5, 3.25]}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DomainError, "empty"),
        ("a,b\n1,2\n", MissingData, "no column 'x'; its columns are 'a', 'b'"),
        ("x,x\n1,2\n", DomainError, "2 columns are named 'x'"),
        ("x,y\n1,2\n3\n", DomainError, "line 3: 1 cells, but the file has 2 columns"),
        ("x\n1.2B\n", DomainError, "line 2, column 'x': '1.2B' is no plain number"),
        ("x\n1_000\n", DomainError, "no plain number"),
        ("x\n\u0661\n", DomainError, "no plain number"),
        ("x\n__import__('os')\n", DomainError, "no plain number"),
        ("x\nnan\n", NonFiniteError, "'nan' is not finite"),
        ("x\n1e999\n", NonFiniteError, "'1e999' is not finite"),
        ('x\n"1\n', DomainError, "not a CSV file"),
    ],
)
def test_bad_files_are_named(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        read_csv(write(tmp_path / "runs.csv", text), {"x": "x"})


def test_other_encodings_are_refused(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b"x\n1\xff\n")
    with pytest.raises(LipopError, match="not UTF-8"):
        read_csv(tmp_path / "runs.csv", {"x": "x"})
