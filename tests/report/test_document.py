"""What a report holds: DESIGN's fields, exact numbers, the arrays that define them; and the table that shows it."""

import io
import json
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lipop.core.digest import array_digest
from lipop.errors import DomainError
from lipop.report import files, numbers
from lipop.report.document import analyze, ids_digest
from lipop.report.subjects import subjects_of
from lipop.report.terminal import blocks_table, outward
from tests.report.toy import RADII, ToyModel, _displays, write_report


@pytest.fixture
def data(report):
    return json.loads(report.read_text())


def test_the_fields_that_readers_rely_on(data):
    model = ToyModel()
    assert data["schema"] == "lipop.report/1"
    assert data["model"]["sha256"] == model.digest
    assert data["input"] == {
        "tokens": 3,
        "ids": model.tokens("lip").tolist(),
        "sha256": ids_digest(model.tokens("lip")),
        "text_sha256": "8ac1ef5381caf75418d7c46a13480588df3557a33ad43516f65742bcc7931c6a",
    }
    assert [b["index"] for b in data["blocks"]] == [0, 1, 2]
    for b in data["blocks"]:
        assert [ball["relative"] for ball in b["ball"]] == list(RADII)
        for ball in b["ball"]:
            assert math.isclose(ball["radius"], ball["relative"] * b["norm"], rel_tol=1e-14)
        assert b["shell"]["r"] <= b["shell"]["R"]
        assert b["seconds"] == pytest.approx(sum(b["seconds_by_part"].values()))


def test_the_numbers_are_true(data):
    """Against dense linear algebra: every bracket holds the norm it is about."""
    model = ToyModel()
    x = model.embed(text="lip")
    for b, block, x0 in zip(data["blocks"], model.blocks, model.activations(x), strict=True):
        J = block.derivative(x0).to_dense()
        norm = np.linalg.norm(J, 2)
        for entry in (b["jacobian"], *b["ball"]):
            assert entry["lower"] <= norm * (1 + 1e-12)
            assert norm <= entry["upper"] * (1 + 1e-12)
            assert entry["upper"] / entry["lower"] < 1 + 1e-3
        assert b["shell"]["upper"] >= norm
        for w, (_, _, matrix) in zip(b["weights"], block.weights(), strict=True):
            assert w["norm"]["lower"] <= np.linalg.norm(matrix.mid, 2) <= w["norm"]["upper"]
            assert w["norm"]["status"] == w["norm"]["lower_status"] == "PROVED"
        for r, (_, op, point) in zip(b["residuals"], block.branches(x0), strict=True):
            F = op.derivative(point).to_dense()
            top = np.linalg.eigvalsh((F + F.T) / 2)[-1]
            assert r["dahlquist"]["lower"] <= top + 1e-9
            assert top <= r["dahlquist"]["upper"] + 1e-9
            whole = np.linalg.norm(np.eye(len(F)) + F, 2)
            assert (
                r["lip_sum"]["lower"] - 1e-9 <= whole <= min(r["lip_sum"]["upper"], r["lip_sum_rule"]["upper"]) + 1e-9
            )


def test_displayed_numbers_are_their_nodes_exactly(data):
    seen = 0
    for entry in _displays(data):
        for key, proof in (("lower", "lower_proof"), ("upper", "proof")):
            if proof in entry:
                seen += 1
                assert float(entry[key]).hex() == data["proofs"][entry[proof]]["value"]
    assert seen > 100


def test_arrays_are_those_of_the_model(report, data):
    arrays = files.read_arrays(files.arrays_path(report))
    model = ToyModel()
    for b, x in zip(data["blocks"], model.activations(model.embed(text="lip")), strict=True):
        assert b["x0"] == array_digest(x)
        assert (arrays[b["x0"]] == x).all()


def test_runs_reproduce(report, tmp_path):
    again = write_report(tmp_path / "again")
    assert json.loads(again.read_text())["digest"] == json.loads(report.read_text())["digest"]
    assert files.arrays_path(again).read_bytes() == files.arrays_path(report).read_bytes()


def test_it_is_written_after_each_block(tmp_path):
    states = []

    def after(i, entry):
        data = files.read_json(tmp_path / "report.json")
        states.append((len(data["blocks"]), data["complete"], data["digest"] == files.report_digest(data)))

    write_report(tmp_path, after=after)
    assert states == [(1, False, True), (2, False, True), (3, True, True)]


def test_an_interruption_leaves_the_blocks_that_were_done(tmp_path):
    def after(i, entry):
        if i == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, after=after)
    data = files.read_json(tmp_path / "report.json")
    assert [b["index"] for b in data["blocks"]] == [0, 1]
    assert not data["complete"]


def test_subjects_are_those_of_the_leaves(data, report):
    model = ToyModel()
    proofs = data["proofs"]
    wanted = {n["claim"]["operator"] for n in proofs.values() if not n["premises"]}
    found = set()
    for block, x in zip(model.blocks, model.activations(model.embed(text="lip")), strict=True):
        found |= subjects_of(block, x).keys()
    assert wanted <= found


@pytest.mark.parametrize("radii", [(0.0,), (-1.0,), (math.inf,), (math.nan,), (1e-3, 1e-3)], ids=str)
def test_bad_radii_are_refused(radii):
    model = ToyModel()
    with pytest.raises(DomainError, match="radii"):
        analyze(model, model.tokens("lip"), radii=radii)


@pytest.mark.parametrize("blocks", [(0, 0), (2, 1), (0, 4), (-1, 2)], ids=str)
def test_bad_block_ranges_are_refused(blocks):
    model = ToyModel()
    with pytest.raises(DomainError, match="blocks"):
        analyze(model, model.tokens("lip"), blocks=blocks)


@given(st.floats(allow_nan=False))
def test_shown_numbers_read_back(x):
    text = json.dumps(numbers.shown(x), allow_nan=False)
    assert numbers.read(json.loads(text)).hex() == float(x).hex()


# ---- the table ----


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 8))
def test_printed_ends_stay_true(x, digits):
    low, high = (outward(x, down=down, digits=digits) for down in (True, False))
    assert Decimal(low) <= Decimal(x) <= Decimal(high)
    assert len(Decimal(low).as_tuple().digits) <= max(digits, 8)


def render(table, width=80):
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def test_the_table_shows_each_block_in_eighty_columns(data):
    text = render(blocks_table(data))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "r=1e-03" in text
    assert "proved" in text
    for b in data["blocks"]:
        assert outward(b["jacobian"]["lower"], down=True) in text
        assert outward(b["ball"][1]["upper"], down=False) in text


def test_markup_in_names_is_printed_as_it_is_and_control_characters_are_not(data):
    data["model"]["family"] = "[bold red]x[/]\x1b[2J\x07"
    assert "[bold red]x[/]\\x1b[2J\\x07" in render(blocks_table(data))


def test_an_unbounded_ball_says_so(data):
    data["blocks"][0]["ball"][1].update(upper="inf", status="UNKNOWN")
    text = render(blocks_table(data))
    assert "inf" in text
    assert "unknown" in text


def test_an_incomplete_report_says_so(data):
    data["complete"] = False
    assert "INCOMPLETE" in render(blocks_table(data))
