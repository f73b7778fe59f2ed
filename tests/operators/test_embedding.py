"""Embeddings: lookups, soft lookups against PyTorch, constants attained on the simplex, bad ids."""

import itertools
import math

import flint
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.core.rounding import workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError, TokenError
from lipop.operators import embedding


def table(seed=0, rows=7, d=4):
    return np.random.default_rng(seed).standard_normal((rows, d)) + 3.0


def test_lookups_are_those_of_pytorch():
    rng = np.random.default_rng(1)
    e, rows, ids = table(), rng.standard_normal((9, 4)), [3, 0, 6, 3]
    E = lo.Embedding(e, rows)
    want = torch.nn.functional.embedding(torch.tensor(ids), torch.tensor(e)).numpy() + rows[:4]
    np.testing.assert_array_equal(E.lookup(ids), want)
    one_hot = np.eye(7)[ids]
    np.testing.assert_array_equal(E(one_hot), want)
    np.testing.assert_array_equal(lo.Embedding(e).lookup(np.array(ids)), e[ids])
    h, u = rng.standard_normal((4, 7)), rng.standard_normal((4, 4))
    J = E.derivative(one_hot)
    np.testing.assert_allclose(J.matvec(h), h @ e, atol=1e-13)
    np.testing.assert_allclose(J.rmatvec(u), u @ e.T, atol=1e-13)
    assert E.smoothness().value == 0.0
    assert lo.Embedding(e.astype(np.float32)).lookup(ids).dtype == np.float32


def test_the_forward_pass_is_enclosed_in_200_bits():
    rng = np.random.default_rng(2)
    e = rng.standard_normal((5, 3)) * 10.0 ** rng.uniform(-8, 8, (5, 3))
    p = rng.dirichlet(np.ones(5))
    y = lo.Embedding(e).enclose(Enclosed.exact(p))
    with workprec(200):
        for k in range(3):
            truth = sum(flint.arb(float(a)) * flint.arb(float(b)) for a, b in zip(p, e[:, k], strict=True))
            assert abs(truth - flint.arb(float(y.mid[k]))) <= flint.arb(float(y.radius[k]))


def test_constants_on_the_simplex_are_attained():
    e = table()
    pairs = list(itertools.combinations(range(7), 2))
    a, b = max(pairs, key=lambda p: np.linalg.norm(e[p[0]] - e[p[1]]))
    farthest = np.linalg.norm(e[a] - e[b])
    soft = lo.Embedding(e, norm_in="l1").lip(lo.Simplex())
    assert farthest / 2 <= soft.value == pytest.approx(farthest / 2, rel=1e-6)
    soft.check()
    square = lo.Embedding(e).lip(lo.Simplex())
    top = np.linalg.norm(e - e.mean(axis=0), 2)
    assert top * (1 - 1e-14) <= square.value == pytest.approx(top, rel=1e-6)
    square.check()
    v = np.linalg.svd((e - e.mean(axis=0)).T)[2][0]
    p, q = np.full(7, 1 / 7), np.full(7, 1 / 7) + 0.1 * v  # both on the simplex
    assert lo.Simplex().contains(q)
    E = lo.Embedding(e)
    assert np.linalg.norm(E(p) - E(q)) / np.linalg.norm(p - q) == pytest.approx(square.value, rel=1e-6)
    assert square.value < 0.5 * E.lip().value == pytest.approx(0.5 * np.linalg.norm(e, 2), rel=1e-6)
    assert lo.Embedding(e, norm_in="l1").lip().value == pytest.approx(np.linalg.norm(e, axis=1).max(), rel=1e-6)
    rng = np.random.default_rng(3)
    x = lo.Simplex().points(rng, 300, (2, 7))
    moved = np.linalg.norm(E(x[:, 0]) - E(x[:, 1]), axis=1)
    assert (moved <= soft.value * np.abs(x[:, 0] - x[:, 1]).sum(axis=1)).all()
    assert (moved <= square.value * np.linalg.norm(x[:, 0] - x[:, 1], axis=1)).all()
    hot = np.eye(7)
    assert farthest / np.linalg.norm(hot[a] - hot[b]) == pytest.approx(E.diameter() / math.sqrt(2), rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_diameter_is_the_largest_distance_whatever_the_tiles(seed):
    rng = np.random.default_rng(seed)
    e = rng.standard_normal((int(rng.integers(1, 40)), 3)) * 10.0 ** rng.uniform(-4, 4) + rng.choice([0.0, 1e3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "_BLOCK", 8)
        got = lo.Embedding(e).diameter()
    with workprec(200):
        square = max(
            sum(((flint.arb(float(a)) - flint.arb(float(b))) ** 2 for a, b in zip(x, y, strict=True)), flint.arb(0))
            for x in e
            for y in e
        )
        assert flint.arb(got) >= square.sqrt()
    truth = float(square.sqrt())
    assert got <= truth * (1 + 1e-6) + 1e-9 * np.abs(e).max()


def test_bad_input_is_refused():
    E = lo.Embedding(table(), np.zeros((3, 4)))
    for ids, message in (([7], "token 7 at 0"), ([0, -1], "token -1 at 1"), ([], "non-empty"), ([0.5], "integers")):
        with pytest.raises(TokenError, match=message):
            E.lookup(np.array(ids, dtype=float if ids == [0.5] else int))
    with pytest.raises(TokenError, match="4 tokens"):
        E.lookup([0, 0, 0, 0])
    with pytest.raises(ShapeError, match="position table"):
        lo.Embedding(table(), np.zeros((3, 5)))
    with pytest.raises(ShapeError, match="vocabulary"):
        lo.Embedding(np.zeros(3))
    with pytest.raises(NonFiniteError, match="table"):
        lo.Embedding(np.array([[np.inf]]))
    with pytest.raises(DomainError, match="l1"):
        lo.Embedding(table(), tokens=True, norm_in="l1")
