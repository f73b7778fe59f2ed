"""Alternating projections: the exact rate, angles from independent singular values, intersections decided exactly;
Dykstra's certificates against SLSQP and closed forms."""

import json

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.optimize import LinearConstraint, minimize

import lipop as lo
from lipop.core import proof
from lipop.core.rounding import workprec
from lipop.core.space import norm
from lipop.errors import DomainError, ShapeError
from lipop.limit import dykstra, friedrichs, intersection, limit_projection
from lipop.limit.alternating import SubspaceProduct, alternating_gap


def line(angle):
    return lo.SubspaceProjection(np.array([[np.cos(angle)], [np.sin(angle)]]))


def dense(op):
    return np.stack([op(e) for e in np.eye(op.domain.width)], axis=1)


@given(seed=st.integers(0, 2**32 - 1), shared=st.integers(0, 2), ka=st.integers(1, 3), kb=st.integers(1, 3))
def test_the_rate_of_two_subspaces_is_exact(seed, shared, ka, kb):
    """|(P_A P_B)^n - Q| = c^(2n-1); the common part is spanned by integers that occur in both bases."""
    rng = np.random.default_rng(seed)
    common = rng.integers(-3, 4, (9, shared)).astype(float)
    a = np.concatenate([common, rng.standard_normal((9, ka))], axis=1)
    b = np.concatenate([common @ rng.integers(-1, 2, (shared, shared)) + common, rng.standard_normal((9, kb))], axis=1)
    A, B = lo.SubspaceProjection(a), lo.SubspaceProjection(b)
    Q = intersection([A, B])
    assert Q.dimension == A.dimension + B.dimension - np.linalg.matrix_rank(np.concatenate([a, b], axis=1))
    c = friedrichs(A, B)
    p, q, r = dense(A), dense(B), dense(Q)
    measured = np.linalg.norm(p @ q - r, 2)
    assert c.lower.value <= measured + 1e-13
    assert c.upper.value >= measured - 1e-13
    assert c.ratio < 1 + 1e-6
    for n in (1, 2, 5):
        stated = alternating_gap([A, B], n).value
        power = np.linalg.norm(np.linalg.matrix_power(p @ q, n) - r, 2)
        assert power <= stated * (1 + 1e-9) + 1e-12
        assert power >= stated * (1 - 1e-6) - 1e-12


@pytest.mark.parametrize("angle", [np.pi / 2, 1.0, 0.1, 1e-4, 1e-7])
def test_two_lines(angle):
    c = friedrichs(line(0.3), line(0.3 + angle))
    with workprec(200):
        u, v = ([flint.arb(float(t)) for t in m.M[:, 0]] for m in (line(0.3), line(0.3 + angle)))
        exact = abs(u[0] * v[0] + u[1] * v[1]) / ((u[0] ** 2 + u[1] ** 2) * (v[0] ** 2 + v[1] ** 2)).sqrt()
        assert flint.arb(c.lower.value) <= exact <= flint.arb(c.upper.value)
    assert c.upper.value - c.lower.value <= 1e-15 * c.upper.value + 2e-26
    assert c.upper.value <= 1.0
    found = limit_projection(line(0.3) @ line(0.3 + angle))
    assert found.exists
    assert found.Q.dimension == 0
    assert found.rate(3, 2.0) == pytest.approx(2 * np.cos(angle) ** 5, rel=1e-6, abs=1e-60)


def test_angles_agree_with_principal_angles():
    rng = np.random.default_rng(4)
    for _ in range(10):
        a, b = rng.standard_normal((8, 3)), rng.standard_normal((8, 4))
        c = friedrichs(lo.SubspaceProjection(a), lo.SubspaceProjection(b))
        assert c.upper.value == pytest.approx(np.cos(subspace_angles(a, b).min()), rel=1e-7)
        assert (c.lower.status, c.upper.status) == ("PROVED", "PROVED")


def test_an_ulp_makes_an_intersection():
    """Two planes share a line exactly, or only almost: then the angle is tiny, and c next to 1 but not 1."""
    a = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    b = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert friedrichs(lo.SubspaceProjection(a), lo.SubspaceProjection(b)).upper.value < 1e-20
    b[1, 0] = 1 + 2**-30
    c = friedrichs(lo.SubspaceProjection(a), lo.SubspaceProjection(b))
    gap = 2.0**-31  # |(1, 1) x (1, 1 + 2^-30)| / product of the lengths
    assert c.upper.value == pytest.approx(np.sqrt(1 - gap**2), rel=1e-15)
    assert intersection([lo.SubspaceProjection(a), lo.SubspaceProjection(b)]).dimension == 0


def test_affine_subspaces_meet_in_a_point():
    rng = np.random.default_rng(1)
    p = rng.integers(-3, 4, 5).astype(float)
    a, b = rng.integers(-3, 4, (2, 5)).astype(float), rng.integers(-3, 4, (2, 5)).astype(float)
    A, B = lo.AffineProjection(a, a @ p), lo.AffineProjection(b, b @ p)
    found = limit_projection(A @ B)
    assert found.exists
    x = 10 * rng.standard_normal(5)
    limit = found.Q(x)
    np.testing.assert_allclose(np.concatenate([a, b]) @ limit, np.concatenate([a, b]) @ p, atol=1e-12)
    y = x
    worst = 0.0
    for n in range(1, 12):
        y = A(B(y))
        stated = found.rate(n, norm(x - limit))
        assert norm(y - limit) <= stated * (1 + 1e-9) + 1e-12
        worst = max(worst, norm(y - limit) / stated)
    assert worst > 0.01
    c = friedrichs(A, B).upper.value
    complements = [dense(lo.SubspaceProjection(np.linalg.svd(m)[2][2:].T)) for m in (a, b)]
    null = np.linalg.svd(np.concatenate([a, b]))[2][4:].T
    assert c == pytest.approx(np.linalg.norm(complements[0] @ complements[1] - null @ null.T, 2), rel=1e-7)


def test_affine_subspaces_apart():
    A = lo.HyperplaneProjection(np.array([1.0, 0.0]), 0.0)
    B = lo.HyperplaneProjection(np.array([1.0, 0.0]), 1.0)
    found = limit_projection(A @ B)
    assert found.exists is None
    assert "no common point" in found.reason
    with pytest.raises(DomainError, match="contradict"):
        intersection([A, B])
    with pytest.raises(ShapeError, match="all given by"):
        intersection([A, line(0.0)])


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(3, 4))
def test_more_than_two_subspaces(seed, m):
    rng = np.random.default_rng(seed)
    shared = rng.integers(-2, 3, (6, 1)).astype(float)
    parts = [lo.SubspaceProjection(np.concatenate([shared, rng.standard_normal((6, 2))], axis=1)) for _ in range(m)]
    op = parts[0]
    for p in parts[1:]:
        op = op @ p
    found = limit_projection(op)
    product = np.linalg.multi_dot([dense(p) for p in parts])
    q = dense(found.Q)
    once = found.rate(1, 1.0)
    assert once * (1 - 1e-6) - 1e-12 <= np.linalg.norm(product - q, 2) <= once * (1 + 1e-9) + 1e-12
    assert np.linalg.norm(np.linalg.matrix_power(product, 3) - q, 2) <= once**3 * (1 + 1e-8) + 1e-12


def test_proofs_of_rates_are_redone():
    A, B, C = line(0.0), line(1.0), line(2.0)
    for factors in ([A, B], [A, B, C]):
        bound = alternating_gap(factors, 4)
        assert bound.status == "PROVED"
        held = {n.claim.operator: n.subject for n in proof.nodes(bound) if n.subject is not None}
        read = proof.from_json(json.loads(json.dumps(proof.to_json(bound))), proof.arrays_of(bound))[bound.id]
        read.check(proof.Source(held))
        assert "\\le" in bound.latex() or bound.latex()
    with pytest.raises(DomainError, match="at least 1"):
        alternating_gap([A, B], 0)
    assert SubspaceProduct((A, B, C)).bound().value == pytest.approx(np.cos(1.0) ** 2, rel=1e-7)
    with pytest.raises(ShapeError, match="both"):
        friedrichs(A, lo.HyperplaneProjection(np.ones(2), 1.0))


# ---- Dykstra -------------------------------------------------------------------------------------------------------

HALVES = [lo.HalfspaceProjection(np.array(a), b) for a, b in (([1.0, 2.0, 0.5], 1.0), ([-1.0, 1.0, 2.0], 0.5))]
CASES = {
    "ball and halfspaces": [lo.BallProjection(np.zeros(3), 1.0), *HALVES],
    "box and ball": [lo.BoxProjection(np.zeros(3), np.ones(3)), lo.BallProjection(np.array([0.2, 0.3, 0.1]), 0.6)],
    "l1 ball and orthant": [lo.BallProjection(np.zeros(3), 1.0, "l1"), lo.orthant_projection(3), HALVES[1]],
}
INSIDE = {
    "ball and halfspaces": np.array([0.1, -0.2, -0.1]),
    "box and ball": np.array([0.3, 0.3, 0.2]),
    "l1 ball and orthant": np.array([0.3, 0.1, 0.05]),
}


def constraints(sets):
    out = []
    for s in sets:
        if isinstance(s, lo.HalfspaceProjection):
            out.append(LinearConstraint(s.a[None], -np.inf, s.beta))
        elif isinstance(s, lo.BoxProjection):
            finite = np.where(np.isfinite(s.high), s.high, 1e6)
            out.append(LinearConstraint(np.eye(3), s.low, finite))
        elif isinstance(s, lo.L1BallProjection):
            signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
            out.append(LinearConstraint(signs, -np.inf, s.radius))
        else:
            out.append({"type": "ineq", "fun": lambda y, s=s: s.radius**2 - ((y - s.center) ** 2).sum()})
    return out


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_point_of_an_intersection(name, seed):
    sets, inside = CASES[name], INSIDE[name]
    x = 2 * np.random.default_rng(seed).standard_normal(3)
    found = minimize(
        lambda y: ((y - x) ** 2).sum(),
        inside,
        jac=lambda y: 2 * (y - x),
        constraints=constraints(sets),
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    near = dykstra(sets, x, tolerance=1e-6, inside=inside)
    assert near.error <= 1e-6
    assert norm(near.point - found.x) <= near.error + 1e-6
    low, high = near.distance
    assert low <= norm(x - found.x) + 1e-7
    assert high >= norm(x - found.x) - 1e-7
    assert high - low <= 1e-4


@pytest.mark.parametrize("name", CASES)
def test_certificates_hold_at_every_round(name):
    """Cut short, the stated error and distances still enclose those of a long run."""
    sets, inside = CASES[name], INSIDE[name]
    for seed in range(5):
        x = 3 * np.random.default_rng([seed, 7]).standard_normal(3)
        best = dykstra(sets, x, tolerance=3e-7, inside=inside, rounds=400)
        for rounds in (1, 2, 3, 10):
            early = dykstra(sets, x, tolerance=1e-12, inside=inside, rounds=rounds)
            assert early.rounds <= rounds
            assert norm(early.point - best.point) <= early.error + best.error
            assert early.distance[0] <= best.distance[1]
            assert early.distance[1] >= best.distance[0]
            plain = dykstra(sets, x, tolerance=1e-12, rounds=rounds)
            assert plain.distance[0] <= best.distance[1]
            assert plain.error == plain.distance[1] == np.inf


def test_alternating_projections_go_elsewhere():
    """Plain alternation reaches a common point, but not the nearest one; Dykstra's increments make the difference."""
    sets = [lo.BallProjection(np.zeros(2), 1.0), lo.HalfspaceProjection(np.array([0.0, 1.0]), 0.0)]
    x = np.array([2.0, 2.0])
    y = x
    for _ in range(200):
        y = sets[1](sets[0](y))
    near = dykstra(sets, x, inside=np.array([0.0, -0.5]))
    np.testing.assert_allclose(near.point, [1.0, 0.0], atol=1e-6)
    assert norm(y - x) > norm(near.point - x) + 0.1


def test_a_start_inside_stays():
    near = dykstra(CASES["box and ball"], INSIDE["box and ball"], inside=INSIDE["box and ball"])
    assert near.point.tolist() == INSIDE["box and ball"].tolist()
    assert near.error < 1e-7


def test_without_an_inner_point_only_the_lower_end_is_stated():
    sets = [lo.HyperplaneProjection(np.array([1.0, 0.0]), 0.0), lo.HyperplaneProjection(np.array([1.0, 1.0]), 1.0)]
    near = dykstra(sets, np.array([3.0, 3.0]), tolerance=1e-10)
    np.testing.assert_allclose(near.point, [0.0, 1.0], atol=1e-8)
    assert near.distance[0] == pytest.approx(np.sqrt(13), rel=1e-6)
    assert near.distance[0] <= np.sqrt(13)
    assert near.error == np.inf
    assert near.infeasibility <= 1e-10


def test_bad_input():
    with pytest.raises(ShapeError, match="at least one"):
        dykstra([], np.zeros(2))
    with pytest.raises(ShapeError, match="nearest-point map"):
        dykstra([lo.SimplexProjection(3)], np.zeros(2))
    with pytest.raises(DomainError, match="inner point"):
        dykstra(HALVES, np.zeros(3), inside=np.full(3, 5.0))
