"""Projections onto subspaces: ill-conditioned bases and equations against 400-bit arithmetic, angles, exact ranks."""

import pickle

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.core.rounding import workprec
from lipop.core.space import norm
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection_basis import independent, orthonormal


def ill(rng, n, k, cond):
    """An (n, k) matrix of the given condition number, in general position."""
    u, w = (np.linalg.qr(rng.standard_normal((m, k)))[0] for m in (n, k))
    return (u * np.geomspace(1, 1 / cond, k)) @ w.T


def exact_projection(m, x, b=None):
    """P x onto range(m) (or x - m^T(...) for the equations m^T y = b), rounded from 400 bits."""
    with workprec(400):
        a = flint.arb_mat(*m.shape, [float(v) for v in m.ravel()])
        c = a.transpose() * flint.arb_mat(len(x), 1, [float(v) for v in x])
        if b is not None:
            c = c - flint.arb_mat(len(b), 1, [float(v) for v in b])
        y = a * (a.transpose() * a).solve(c)
        y = [v.mid() for v in y.entries()]
        return np.array([float(v if b is None else flint.arb(float(t)) - v) for v, t in zip(y, x, strict=True)])


@pytest.mark.parametrize("cond", [1.0, 1e6, 1e12, 1e15])
@pytest.mark.parametrize("seed", range(4))
def test_ill_conditioned_ranges_are_projected_onto_to_rounding(cond, seed):
    rng = np.random.default_rng(seed)
    m, x = ill(rng, 12, 5, cond), rng.standard_normal(12)
    op = lo.SubspaceProjection(m)
    y = op(x)
    assert op.dimension == 5
    np.testing.assert_allclose(y, exact_projection(m, x), atol=2e-15 * norm(x))
    assert norm(op(y) - y) <= 1e-15 * norm(x) * 4
    assert op.basis.error <= 1e-14
    gap = op.enclose(Enclosed.exact(x))
    assert gap.contains(exact_projection(m, x))
    assert gap.radius.max() <= 1e-13


@pytest.mark.parametrize("cond", [1.0, 1e6, 1e12])
@pytest.mark.parametrize("seed", range(4))
def test_ill_conditioned_equations(cond, seed):
    """The point next to the origin is large where A is ill-conditioned; everything is relative to it."""
    rng = np.random.default_rng(seed)
    a, x = ill(rng, 9, 4, cond).T, rng.standard_normal(9)
    b = a @ rng.standard_normal(9)
    op = lo.AffineProjection(a, b)
    y, truth = op(x), exact_projection(a.T, x, b)
    size = norm(x) + norm(op.point)
    np.testing.assert_allclose(y, truth, atol=4e-15 * size)
    assert norm(op(y) - y) <= 4e-15 * size
    assert norm(a @ y - b) <= 1e-14 * size
    assert op.enclose(Enclosed.exact(x)).contains(truth)
    assert (op.lip().value, op.expansion().value, op.dahlquist().value) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_distance_to_the_exact_projection_is_bounded(seed):
    """The stored matrix with its error against the projection at 400 bits."""
    rng = np.random.default_rng(seed)
    m = ill(rng, 7, 3, 1e9)
    for op in (lo.SubspaceProjection(m), lo.AffineProjection(m.T, np.zeros(3))):
        stored = op._matrix()
        columns = [
            exact_projection(m, e) if isinstance(op, lo.SubspaceProjection) else exact_projection(m, e, np.zeros(3))
            for e in np.eye(7)
        ]
        assert np.linalg.norm(stored.mid - np.array(columns).T) <= stored.error + 1e-15
        assert stored.error < 1e-13


def test_dependent_columns_are_found_exactly():
    rng = np.random.default_rng(0)
    m = rng.integers(-3, 4, (8, 3)).astype(float)
    wide = np.concatenate([m, m @ rng.integers(-2, 3, (3, 2))], axis=1)[:, [3, 0, 1, 4, 2]]
    op = lo.SubspaceProjection(wide)
    assert op.dimension == np.linalg.matrix_rank(wide) == 3
    x = rng.standard_normal(8)
    np.testing.assert_allclose(op(x), lo.SubspaceProjection(m)(x), atol=1e-14)
    assert independent(np.array([[0.0, 1.0, 2.0, 0.5]])) == (1,)
    almost = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52], [1.0, 1.0]])
    assert lo.SubspaceProjection(almost).dimension == 2
    assert orthonormal(np.zeros((3, 2))).rank == 0


def test_equations_that_contradict_each_other():
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(DomainError, match="contradict"):
        lo.AffineProjection(a, np.array([1.0, 2.0 + 2.0**-51]))
    op = lo.AffineProjection(a, np.array([1.0, 2.0]))
    assert op.dimension == 1
    np.testing.assert_allclose(a @ op(np.array([5.0, -1.0])), [1.0, 2.0], atol=1e-14)
    everything = lo.AffineProjection(np.zeros((1, 2)), np.zeros(1))
    assert (everything.dimension, everything.expansion().value) == (2, 1.0)
    nothing = lo.SubspaceProjection(np.zeros((3, 1)))
    assert (nothing.lip().value, nothing.bounded) == (0.0, True)
    assert nothing(np.ones(3)).tolist() == [0.0, 0.0, 0.0]


@given(seed=st.integers(0, 2**32 - 1), angle=st.floats(0.0, 1.5))
def test_an_oblique_projection_stretches_by_one_over_the_cosine(seed, angle):
    """In the plane, then turned into 5 dimensions: the norm is 1/cos of the angle between range and co-range."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((5, 2)))[0]
    v, u = turn @ np.array([[1.0], [0.0]]), turn @ np.array([[np.cos(angle)], [np.sin(angle)]])
    op = lo.ObliqueProjection(v, u)
    value = op.lip().value
    assert value == pytest.approx(1 / np.cos(angle), rel=1e-6)
    x = rng.standard_normal(5)
    y = op(x)
    assert norm(op(y) - y) <= 1e-14 * value * (1 + norm(x))
    assert abs(float(u[:, 0] @ (x - y))) <= 1e-14 * value * (1 + norm(x))
    assert op.fixed_points.contains(y) or norm(y) < 1e-6


def test_oblique_projections_from_integers_are_exact_to_rounding():
    v, u = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]), np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    expected = v @ np.linalg.inv(u.T @ v) @ u.T
    op = lo.ObliqueProjection(v, u)
    np.testing.assert_allclose(np.stack([op(e) for e in np.eye(3)], axis=1), expected, atol=1e-14)
    assert op.lip().value == pytest.approx(np.linalg.norm(expected, 2), rel=1e-7)
    assert op.idempotent


def test_projections_pickle_without_their_bases():
    subspace, affine = lo.SubspaceProjection(np.ones((3, 1))), lo.AffineProjection(np.ones((1, 3)), np.ones(1))
    oblique = lo.ObliqueProjection(np.ones((3, 1)), np.eye(3)[:, :1])
    x = np.array([1.0, 2.0, 4.0])
    for op in (subspace, affine, oblique, lo.IntersectionProjection((subspace, subspace))):
        again = pickle.loads(pickle.dumps(op))
        assert again.digest == op.digest
        np.testing.assert_array_equal(again(x), op(x))


def test_which_projections_are_orthogonal():
    assert lo.SubspaceProjection(np.ones((2, 1))).orthogonal
    assert lo.HyperplaneProjection(np.ones(2), 1.0).orthogonal
    assert not hasattr(lo.ObliqueProjection(np.ones((2, 1)), np.eye(2)[:, :1]), "orthogonal")
    assert not hasattr(lo.orthant_projection(2), "orthogonal")


def test_intersections_need_subspaces_of_one_space():
    line = lo.SubspaceProjection(np.ones((3, 1)))
    assert lo.IntersectionProjection((line,)).dimension == 1
    assert lo.IntersectionProjection((line, lo.SubspaceProjection(np.zeros((3, 1))))).dimension == 0
    with pytest.raises(ShapeError, match="one space"):
        lo.IntersectionProjection((line, lo.SubspaceProjection(np.ones((2, 1)))))
    with pytest.raises(ShapeError, match="at least one"):
        lo.IntersectionProjection(())


def test_neighbouring_projections_are_multiplied_out():
    """Two lines at 60 degrees: |P Q| is 1/2, not 1."""
    p = lo.SubspaceProjection(np.array([[1.0], [0.0]]))
    q = lo.SubspaceProjection(np.array([[0.5], [np.sqrt(0.75)]]))
    bound = (p @ q).lip()
    assert bound.status == "PROVED"
    assert bound.value == pytest.approx(0.5, rel=1e-7)
    bound.check()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lo.SubspaceProjection(np.ones(3)), ShapeError, "must be an"),
        (lambda: lo.SubspaceProjection(np.array([[np.nan]])), NonFiniteError, "finite"),
        (lambda: lo.AffineProjection(np.ones((2, 2)), np.ones(3)), ShapeError, "m numbers"),
        (lambda: lo.ObliqueProjection(np.ones((2, 1)), np.ones((3, 1))), ShapeError, "one shape"),
        (lambda: lo.ObliqueProjection(np.ones((2, 2)), np.ones((2, 2))), DomainError, "independent"),
        (
            lambda: lo.ObliqueProjection(np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])),
            DomainError,
            "complementary",
        ),
    ],
)
def test_bad_subspaces_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
