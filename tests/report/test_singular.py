"""Singular values in reports: right, few, left out where they are dear, and refused by verify where they are false."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lipop.core.matrices import Matrix
from lipop.errors import ReportError
from lipop.report import singular
from lipop.report.verify import verify
from tests.report.toy import ToyModel

MATRICES = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(-1e3, 1e3))


@pytest.mark.parametrize("small", [0, 640], ids=["Gram matrix", "SVD"])
@given(a=MATRICES)
def test_they_are_those_of_the_matrix(small, a):
    """Against the roots of the eigenvalues of the symmetric embedding [[0, A], [A^T, 0]]."""
    m, n = a.shape
    embedding = np.block([[np.zeros((m, m)), a], [a.T, np.zeros((n, n))]])
    expected = np.linalg.eigvalsh(embedding)[::-1][: min(m, n)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(singular, "SMALL", small)
        found = singular.singular_values(a)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-7 * max(expected[0], 1e-300)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_sizes_at_the_limits_of_float64(scale):
    assert singular.singular_values(np.diag([2.0, 1.0]) * scale) == pytest.approx(np.array([2.0, 1.0]) * scale)


def test_low_rank_ends_in_zeros():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 30))
    found = singular.singular_values(a)
    assert np.count_nonzero(found) == 5
    assert singular.chosen(found) == [0, 1, 2, 3, 4, 29]


@pytest.mark.parametrize("shape", [(4096, 4096), (100, 2**27), (0, 3)])
def test_what_is_left_out(shape):
    assert singular.singular_values(np.broadcast_to(0.5, shape)) is None


def test_a_block_spends_no_more_than_its_budget(monkeypatch):
    """In the order of the weights; a later one that is cheap enough still comes in."""
    monkeypatch.setattr(singular, "BUDGET", 5.0)
    sides = {"a": 1, "b": 1, "c": 2, "d": 1}  # a square matrix of side n costs 5/4 n^3
    entries = [{"name": k, "shape": [n, n], "norm": {"lower": 1.0, "upper": 1.0}} for k, n in sides.items()]
    found = singular.with_spectra(entries, {k: Matrix(np.eye(n)) for k, n in sides.items()})
    assert ["spectrum" in w for w in found] == [True, True, False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_left_out(value):
    assert singular.singular_values(np.array([[1.0, value]])) is None


@given(st.integers(1, 400), st.integers(0, 400))
def test_the_places_kept(rank, zeros):
    values = np.concatenate([np.linspace(2.0, 1.0, rank), np.zeros(zeros)])
    kept = singular.chosen(values)
    assert len(kept) <= singular.MOST
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    assert kept == sorted(set(kept))
    inner = np.diff([i for i in kept if i < rank])
    assert inner.size == 0 or inner.max() - inner.min() <= 1, "even"


def test_a_spectrum_outside_the_bracket_is_not_written():
    weight = {"name": "W", "shape": [2, 2], "norm": {"lower": 3.0, "upper": 3.1}}
    assert singular.with_spectra([weight], {"W": Matrix(np.diag([2.0, 1.0]))}) == [weight]
    fits = {**weight, "norm": {"lower": 1.9, "upper": 2.1}}
    (full,) = singular.with_spectra([fits], {"W": Matrix(np.diag([2.0, 1.0]))})
    assert full == {**fits, "spectrum": [2.0, 1.0], "spectrum_index": [0, 1]}


# ---- in reports ----


def test_every_weight_of_a_report_has_them(report):
    data = json.loads(report.read_text())
    for b, block in zip(data["blocks"], ToyModel().blocks, strict=True):
        for w, (_, _, matrix) in zip(b["weights"], block.weights(), strict=True):
            assert w["spectrum"] == pytest.approx(np.linalg.svd(matrix.mid, compute_uv=False))
            assert w["spectrum_index"] == list(range(6))


def test_a_report_without_them_verifies(forgery):
    for b in forgery.data["blocks"]:
        for w in b["weights"]:
            del w["spectrum"], w["spectrum_index"]
    assert verify(forgery.write(), ToyModel(), fast=True).complete


def forge(name, change):
    def forged(w):
        w[name] = change(w[name])

    return forged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forge("spectrum", lambda s: [1.01 * s[0], *s[1:]]), "lies outside the norm's bracket"),
        (forge("spectrum", lambda s: [0.99 * s[0], *s[1:]]), "lies outside the norm's bracket"),
        (forge("spectrum", lambda s: [s[0], s[2], s[1], *s[3:]]), "must be finite, not negative, and fall"),
        (forge("spectrum", lambda s: [s[0], 0.99 * s[1], *s[2:]]), "singular value 1 is stated as"),
        (forge("spectrum", lambda s: [*s[:-1], 0.0]), "singular value 5 is stated as"),
        (forge("spectrum", lambda s: [s[0], -s[1], *s[2:]]), "is less than the minimum of 0"),
        (forge("spectrum", lambda s: s[:-1]), "do not rise, one for each"),
        (forge("spectrum_index", lambda i: [*i[:-1], 7]), "holds the first and the last"),
        (forge("spectrum_index", lambda i: [0, 2, 1, *i[3:]]), "do not rise, one for each"),
        (lambda w: w.pop("spectrum_index"), "is a dependency of"),
    ],
    ids=["large", "small", "unordered", "second", "last", "negative", "short", "place", "order", "alone"],
)
def test_verify_refuses(forgery, change, message):
    change(forgery.data["blocks"][1]["weights"][0])
    with pytest.raises(ReportError, match=message) as found:
        verify(forgery.write(), ToyModel(), fast=True)
    assert "blocks[1].weights[0]" in str(found.value)
