"""lim T^n: decided answers against spectra known by construction, rates against measured norms, refusals, proofs."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core import proof
from lipop.core.space import norm
from lipop.errors import DomainError, ProofError, ShapeError
from lipop.limit import limit_projection
from lipop.limit.iterated import IteratedLimit, certainly_fixes
from lipop.limit.projection_gaps import PowerGap
from lipop.limit.projections_affine import geometric


def unimodular(rng, n):
    """An integer matrix with an integer inverse."""
    lower = np.tril(rng.integers(-2, 3, (n, n)), -1) + np.eye(n, dtype=int)
    upper = np.triu(rng.integers(-1, 2, (n, n)), 1) + np.eye(n, dtype=int)
    a = lower @ upper
    return a.astype(float), np.rint(np.linalg.inv(a))


def similar(rng, eigenvalues):
    """A matrix with given dyadic eigenvalues, exactly."""
    s, t = unimodular(rng, len(eigenvalues))
    assert (s @ t == np.eye(len(s))).all()
    return (s * np.asarray(eigenvalues)) @ t


def size(a, kind):
    return float(np.linalg.norm(a, {"l1": 1, "l2": 2, "linf": np.inf}[kind]))


def through_json(bound):
    held = {n.claim.operator: n.subject for n in proof.nodes(bound) if n.subject is not None}
    read = proof.from_json(json.loads(json.dumps(proof.to_json(bound))), proof.arrays_of(bound))[bound.id]
    read.check(proof.Source(held))
    return read


@given(
    seed=st.integers(0, 2**32 - 1),
    ones=st.integers(0, 3),
    inner=st.lists(st.sampled_from([-0.875, -0.5, 0.0, 0.25, 0.75]), min_size=1, max_size=3),
    kind=st.sampled_from(["l1", "l2", "linf"]),
)
def test_diagonalisable_maps_converge_at_the_norm_of_the_power(seed, ones, inner, kind):
    a = similar(np.random.default_rng(seed), [1.0] * ones + inner)
    found = limit_projection(lo.Linear(a, norm_in=kind, norm_out=kind))
    assert (found.exists, found.evidence.evidence) == (True, "PROVED")
    q = found.Q.A
    assert np.linalg.matrix_rank(q) == ones
    assert np.abs(q @ q - q).max() <= 1e-9 * (1 + np.abs(q).max() ** 2)
    assert np.abs(q - np.rint(q)).max() == 0.0  # unimodular: the limit has integer entries
    assert found.error == 0.0
    for n in (1, 2, 9):
        measured = size(np.linalg.matrix_power(a, n) - q, kind)
        stated = found.rate(n, 1.0)
        assert measured <= stated * (1 + 1e-9) + 1e-11
        assert measured >= stated * (1 - 1e-6) - 1e-11
    assert found.rate(0, 3.0) == 3.0


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (-np.eye(2), "eigenvalue -1"),
        (np.roll(np.eye(3), 1, axis=0), "not inside the unit disc"),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), "not inside the unit disc"),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), "defective"),
        (np.array([[1.0 + 2**-52]]), "outside of the unit disc"),
        (np.array([[0.6, -0.8], [0.8, 0.6]]), "unit disc"),
        (np.array([[1.25, 0.0], [0.0, 1.0]]), "outside of the unit disc"),
    ],
)
def test_other_eigenvalues_of_modulus_one_are_refused(matrix, words):
    found = limit_projection(lo.Linear(matrix))
    assert found.exists is False
    assert found.evidence.evidence == "WITNESSED"
    assert words in found.reason
    assert found.Q is None
    assert found.rate is None


def test_one_ulp_decides():
    """1 - 2^-53 is a contraction to zero, 1 the identity, 1 + 2^-52 diverges."""
    below = limit_projection(lo.Linear(np.array([[1 - 2.0**-53]])))
    assert below.Q.A.tolist() == [[0.0]]
    assert below.rate(1, 1.0) == 1.0  # rounded up
    assert below.rate(2**56, 1.0) == pytest.approx(np.exp(-8), rel=1e-6)
    assert limit_projection(lo.Linear(np.eye(1))).Q.A.tolist() == [[1.0]]


@given(seed=st.integers(0, 2**32 - 1))
def test_affine_maps_go_to_their_fixed_points(seed):
    rng = np.random.default_rng(seed)
    a = similar(rng, [1.0, 0.5, -0.25])
    p = rng.integers(-4, 5, 3).astype(float)
    op = lo.Affine(a, p - a @ p)
    found = limit_projection(op)
    assert found.exists
    x = rng.integers(-4, 5, 3).astype(float)
    limit = found.Q(x)
    np.testing.assert_allclose(op(limit), limit, atol=1e-9 * (1 + np.abs(a).max() ** 2))
    y = x
    for n in range(1, 25):
        y = op(y)
        if n in (1, 2, 5, 12, 24):
            assert norm(y - limit) <= found.rate(n, norm(x - limit)) * (1 + 1e-9) + 1e-9 * (1 + np.abs(a).max() ** 2)


def test_affine_maps_without_fixed_points_run_away():
    found = limit_projection(lo.Affine(np.diag([1.0, 0.5]), np.array([2.0**-60, 0.0])))
    assert found.exists is False
    assert "defective" in found.reason


@given(
    seed=st.integers(0, 2**32 - 1),
    eigenvalues=st.lists(st.sampled_from([0.9375, 0.5, -0.5, 0.0]), min_size=1, max_size=3),
)
def test_the_geometric_formula_is_an_upper_bound(seed, eigenvalues):
    op = lo.Linear(similar(np.random.default_rng(seed), [1.0, *eigenvalues]))
    C, q = geometric(op, longest=8)
    assert 0 < q < 1
    assert q >= max(abs(e) for e in eigenvalues) * (1 - 1e-12)
    for n in (3, 17, 100):
        assert PowerGap(op, n).bound().value <= C * q**n * (1 + 1e-6)


def test_nilpotent_parts_vanish():
    op = lo.Linear(np.diag([1.0, 1.0, 1.0], k=1))
    found = limit_projection(op)
    assert [found.rate(n, 1.0) for n in (1, 3, 4, 5)] == [pytest.approx(1.0), pytest.approx(1.0), 0.0, 0.0]
    C, q = geometric(op)
    assert C * q**3 >= 1


def test_a_rate_that_hardly_falls():
    op = lo.Linear(np.diag([1.0, 1.0 - 2.0**-12]))
    C, q = geometric(op)
    assert pytest.approx(1.0, rel=1e-6) == C
    assert q == pytest.approx(1 - 2.0**-12, abs=1e-8)
    found = limit_projection(op)
    import sympy

    n, r = sympy.Symbol("n", positive=True, integer=True), sympy.Symbol("r", nonnegative=True)
    assert found.rate(5000, 1.0) <= float(found.rate.expr.subs({n: 5000, r: 1}))


# ---- larger matrices -----------------------------------------------------------------------------------------------


def stochastic(rng, n, kind="l2"):
    """A matrix of dyadic entries whose rows sum to 1 exactly."""
    a = rng.uniform(0, 1, (n, n))
    a = np.floor(a / a.sum(axis=1, keepdims=True) * 2**40) / 2**40
    a[:, 0] += 1 - a.sum(axis=1)
    return lo.Linear(a, norm_in=kind, norm_out=kind)


@pytest.mark.parametrize("kind", ["l2", "linf", "l1"])
@pytest.mark.parametrize("n", [25, 48])
def test_stochastic_matrices_tend_to_their_stationary_distribution(kind, n):
    op = stochastic(np.random.default_rng(n), n, kind)
    found = limit_projection(op)
    assert found.evidence.evidence == "PROVED"
    values, vectors = np.linalg.eig(op.A.T)
    top = np.real(vectors[:, np.argmax(values.real)])
    np.testing.assert_allclose(found.Q.A, np.tile(top / top.sum(), (n, 1)), atol=1e-12)
    assert found.error < 1e-12
    for k in (1, 2, 5):
        measured = size(np.linalg.matrix_power(op.A, k) - found.Q.A, kind)
        assert measured <= found.rate(k, 1.0) * (1 + 1e-8) + 1e-13
        assert measured >= found.rate(k, 1.0) * (1 - 1e-5) - 1e-13
    through_json(found.proof)
    C, q = geometric(op)
    assert found.rate(7, 1.0) <= C * q**7 * (1 + 1e-6)


def test_large_maps_with_several_fixed_directions_and_an_offset():
    """Two averaging blocks of a permuted space: Q averages in each; the offset has no part along the fixed space."""
    rng = np.random.default_rng(3)
    n = 32
    block = 0.5 * np.eye(n) + 0.5 / n
    a = np.kron(np.eye(2), block)
    b = rng.integers(-3, 4, (2, n)).astype(float)
    b[:, 0] -= b.sum(axis=1)
    order = rng.permutation(2 * n)
    op = lo.Affine(a[np.ix_(order, order)], b.ravel()[order])
    found = limit_projection(op)
    assert found.exists
    x = rng.standard_normal(2 * n)
    y = x
    for _ in range(80):
        y = op(y)
    assert norm(found.Q(x) - y) <= found.error * max(1.0, norm(x)) + 1e-12
    assert found.error < 1e-11
    assert limit_projection(lo.Affine(op.A, op.b + np.eye(2 * n)[0])).exists is False


@pytest.mark.parametrize(
    ("matrix", "answer", "words"),
    [
        (np.kron(np.eye(30), [[1.0, 1.0], [0.0, 1.0]]), False, "defective"),
        (np.diag([*[0.5] * 40, -1.0]), False, "eigenvalue -1"),
        (np.diag([*[0.5] * 40, 1.01]), False, "outside"),
        (np.roll(np.eye(31), 1, axis=0), None, "not known"),
        (0.9 * np.eye(40) + np.diag(np.ones(39), 1), True, "power"),
    ],
)
def test_large_matrices_that_do_not_converge(matrix, answer, words):
    found = limit_projection(lo.Linear(matrix))
    assert found.exists is answer
    assert words in found.reason


# ---- the other cases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [
        lo.SimplexProjection(3),
        lo.RadialRetraction(np.zeros(3), 1.0, "linf"),
        lo.ObliqueProjection(np.array([[1.0], [0.0], [0.0]]), np.ones((3, 1))),
        lo.SubspaceProjection(np.ones((3, 1))),
    ],
)
def test_projections_are_their_own_limit(op):
    found = limit_projection(op)
    assert found.Q is op
    assert (found.rate(0, 2.0), found.rate(1, 2.0), found.rate(5, 2.0)) == (2.0, 0.0, 0.0)
    through_json(found.proof)


@pytest.mark.parametrize("c", [0.125, 0.5, 1.0, 1.5, 1.875])
@pytest.mark.parametrize(
    "P",
    [
        lo.HalfspaceProjection(np.array([1.0, -1.0]), 0.2),
        lo.BallProjection(np.zeros(2), 0.5),
        lo.RadialRetraction(np.zeros(2), 0.5, "l1"),
        lo.HyperplaneProjection(np.array([1.0, 3.0]), 1.0),
        lo.ObliqueProjection(np.array([[1.0], [0.0]]), np.ones((2, 1))),
    ],
)
def test_relaxed_projections(P, c):
    """|T^n x - Px| = |1 - c|^n |x - Px|, exactly; over-relaxed maps only where P is linear."""
    found = limit_projection(lo.relax(P, c))
    linear = hasattr(P, "dimension")
    if c > 1 and not linear:
        assert found.exists is not False
        assert "error" not in found.rates
        return
    assert found.Q is P
    x = np.array([2.0, -3.0])
    p, y = P(x), x
    for n in range(1, 12):
        y = lo.relax(P, c)(y)
        stated = found.rate(n, norm(x - p, P.domain.norm))
        assert norm(y - p, P.domain.norm) == pytest.approx(stated, abs=1e-12)
    through_json(found.proof)


def test_reflections_do_not_converge():
    P = lo.SubspaceProjection(np.array([[1.0], [0.0]]))
    assert limit_projection(lo.relax(P, 2.0)).exists is False
    assert limit_projection(lo.relax(lo.SubspaceProjection(np.eye(2)), 2.0)).exists is True
    assert limit_projection(lo.relax(P, 0.0)).exists is True
    assert limit_projection(lo.Identity(lo.Space((2,)))).exists is True
    assert limit_projection(lo.relax(lo.SimplexProjection(2), 2.0)).exists is None


@pytest.mark.parametrize("op", [0.75 * lo.tanh(3) @ lo.Affine(np.eye(3), np.array([1.0, -2.0, 0.5])), 0.5 * lo.relu(3)])
def test_contractions_go_to_one_point(op):
    found = limit_projection(op)
    assert found.exists
    assert found.error < 1e-13
    p = found.Q(np.zeros(3))
    x, q = np.array([5.0, 5.0, -5.0]), op.lip().value
    y = x
    for n in range(1, 60):
        y = op(y)
        assert norm(y - p) <= found.rate(n, norm(x - p)) + found.error * 2
    assert found.rate(10, 1.0) == pytest.approx(q**10, rel=1e-6)
    through_json(found.proof)


def test_averaged_maps_with_a_fixed_point():
    ball, half = lo.BallProjection(np.zeros(2), 1.0), lo.HalfspaceProjection(np.array([1.0, 1.0]), -0.5)
    found = limit_projection(ball @ half)
    assert (found.exists, found.evidence.evidence) == (True, "PROVED")
    assert "Brouwer" in found.reason
    assert isinstance(found.Q, IteratedLimit)
    x = np.array([4.0, 3.0])
    p = found.Q(x)
    np.testing.assert_allclose((ball @ half)(p), p, atol=1e-12)
    assert found.Q.lip().value == 1.0
    y = x
    for n in range(30):
        moved = (ball @ half)(y)
        assert norm(moved - y) <= found.rates["residual"](n, norm(x - p)) * (1 + 1e-9)
        y = moved


def test_fixed_points_that_are_given():
    two = lo.HalfspaceProjection(np.array([1.0, 1.0]), -0.5) @ lo.orthant_projection(2)
    apart = limit_projection(two)
    assert apart.exists in (None, True)
    meet = lo.HalfspaceProjection(np.array([1.0, 1.0]), 0.5) @ lo.orthant_projection(2)
    inside = limit_projection(meet, np.array([0.1, 0.2]))
    assert inside.evidence.evidence == "PROVED"
    mixed = lo.HalfspaceProjection(np.array([1.0, 1.0]), 0.5) @ lo.SoftThreshold(np.array([0.5, 0.0]))
    assert limit_projection(mixed, np.array([0.0, -1.0])).evidence.evidence == "PROVED"
    plain = lo.HalfspaceProjection(np.array([1.0, 1.0]), 0.5) @ lo.relax(lo.relu(2), 0.5)
    declared = limit_projection(plain, np.array([0.1, 0.2]))
    assert declared.evidence.evidence == "CONDITIONAL"
    assert declared.evidence.assumes == {"fixed point"}
    with pytest.raises(DomainError, match="not fixed"):
        limit_projection(plain, np.array([5.0, 5.0]))


def test_a_common_fixed_point_is_found_at_zero():
    """Every part fixes 0, so that no point need be given; the limit is a common fixed point of all parts."""
    soft, cone = lo.SoftThreshold(np.array([0.5, 0.0])), lo.orthant_projection(2)
    plane = lo.SubspaceProjection(np.array([[1.0], [2.0]]))
    for op in (soft @ cone, lo.relax(cone @ plane, 0.75), 0.5 * soft + 0.25 * cone + 0.25 * plane, (plane @ cone) ** 2):
        found = limit_projection(op)
        assert found.evidence.evidence == "PROVED"
        p = found.Q(np.array([3.0, -4.0]))
        np.testing.assert_allclose(op(p), p, atol=1e-11)
    unit = 0.5 * soft + 0.25 * cone
    assert limit_projection(unit).exists in (None, True)
    assert not certainly_fixes(0.5 * soft + 0.25 * cone, np.zeros(2))
    assert certainly_fixes(cone.restrict(lo.Ball(np.zeros(2), 1.0)), np.zeros(2))


def test_what_nothing_decides_stays_open():
    found = limit_projection(lo.relu(2) @ lo.Linear(np.array([[0.0, -1.0], [1.0, 0.0]])))
    assert found.exists is None
    assert "not known" in str(found)
    with pytest.raises(ShapeError, match="equal domain"):
        limit_projection(lo.Linear(np.ones((2, 3))))


def test_gaps_are_redone_and_forged_ones_refused():
    bound = PowerGap(lo.Linear(np.array([[1.0, 0.0], [0.5, 0.5]])), 7).bound()
    read = through_json(bound)
    assert read.value == bound.value
    with pytest.raises(ProofError, match="above the stated"):
        dataclasses.replace(bound, value=bound.value / 2).check()
