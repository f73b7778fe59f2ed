"""Projections: firmly non-expansive, the same points as an independent optimiser, constants attained, bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

import lipop as lo
from lipop.core.space import norm
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.projection_simplex import threshold_range

RNG = np.random.default_rng(11)
A2, B2 = RNG.standard_normal((2, 4)), RNG.standard_normal(2)

SETS = {
    "box": lo.BoxProjection(np.array([-1.0, 0.0, -np.inf, 2.0]), np.array([1.0, 0.5, 0.3, 2.0])),
    "orthant": lo.orthant_projection(4),
    "halfspace": lo.HalfspaceProjection(np.array([1.0, -2.0, 0.5, 3.0]), 0.4),
    "hyperplane": lo.HyperplaneProjection(np.array([1.0, -2.0, 0.5, 3.0]), 0.4),
    "l2 ball": lo.BallProjection(np.array([0.1, -0.2, 0.3, 0.0]), 0.9),
    "l1 ball": lo.BallProjection(np.array([0.1, -0.2, 0.3, 0.0]), 0.9, "l1"),
    "linf ball": lo.BallProjection(np.array([0.1, -0.2, 0.3, 0.0]), 0.9, "linf"),
    "simplex": lo.SimplexProjection(4, 1.5),
    "subspace": lo.SubspaceProjection(A2.T),
    "affine": lo.AffineProjection(A2, B2),
}
FIRM = {
    **SETS,
    "psd": lo.PSDProjection(3),
    "soft threshold": lo.SoftThreshold(np.array([0.5, 0.0, 1.0, 2.0])),
    "group": lo.GroupShrinkage(4, 0.8),
    "groups": lo.GroupShrinkage(2, 0.8, tokens=True),
}


def shape(op):
    return tuple(3 if n is None else n for n in op.domain.shape)


def constraints(name, op):
    """The same set, for SciPy's SLSQP."""
    if name == "simplex":
        return [LinearConstraint(np.ones((1, 4)), op.total, op.total), LinearConstraint(np.eye(4), 0, np.inf)]
    if name == "halfspace":
        return [LinearConstraint(op.a[None], -np.inf, op.beta)]
    if name in ("hyperplane", "affine"):
        return [LinearConstraint(op.A, op.b, op.b)]
    if name == "subspace":
        null = np.linalg.svd(op.M.T)[2][2:]
        return [LinearConstraint(null, 0, 0)]
    if name == "l2 ball":
        return [{"type": "ineq", "fun": lambda y: op.radius**2 - ((y - op.center) ** 2).sum()}]
    if name == "l1 ball":
        signs = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
        return [LinearConstraint(signs, -np.inf, op.radius + signs @ op.center)]
    point = op.low == op.high
    fixed = [LinearConstraint(np.eye(4)[point], op.low[point], op.high[point])] if point.any() else []
    return [LinearConstraint(np.eye(4)[~point], op.low[~point], op.high[~point]), *fixed]


@pytest.mark.parametrize("name", SETS)
def test_the_nearest_point_of_an_independent_solver(name):
    op = SETS[name]
    for x in 2 * np.random.default_rng(3).standard_normal((6, 4)):
        y = op(x)
        found = minimize(
            lambda z, x=x: ((z - x) ** 2).sum(),
            y + 0.1,
            jac=lambda z, x=x: 2 * (z - x),
            constraints=constraints(name, op),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        np.testing.assert_allclose(y, found.x, atol=2e-6)
        assert norm(x - y) <= norm(x - found.x) + 1e-7
        low, high = op.fixed_points.distance(x)
        assert low <= norm(x - y) * (1 + 1e-12)
        assert high >= norm(x - y) * (1 - 1e-12)
        assert high - low <= 1e-12
        assert op.fixed_points.contains(y)
        assert op.fixed_points.contains(x) == (norm(x - y) < 1e-12)


@pytest.mark.parametrize("name", FIRM)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_firmly_non_expansive(name, seed, scale):
    """|Tx - Ty|^2 + |(x - Tx) - (y - Ty)|^2 <= |x - y|^2, which is (1/2)-averagedness."""
    op, rng = FIRM[name], np.random.default_rng(seed)
    x, y = scale * rng.standard_normal((2, *shape(op)))
    if rng.integers(2):
        y = x + 1e-2 * scale * rng.standard_normal(x.shape)
    a, b = op(x), op(y)
    left = norm(a - b) ** 2 + norm((x - a) - (y - b)) ** 2
    assert left <= norm(x - y) ** 2 + 1e-13 * (1 + norm(x) + norm(y)) ** 2
    assert op.averagedness == 0.5


@pytest.mark.parametrize("name", [*SETS, "psd"])
def test_idempotent_to_rounding(name):
    op = FIRM[name]
    for x in 3 * np.random.default_rng(4).standard_normal((20, *shape(op))):
        y = op(x)
        assert norm(op(y) - y) <= 1e-14 * (1 + norm(x))
    assert op.idempotent


@pytest.mark.parametrize("name", FIRM)
def test_lip_is_one_and_attained(name):
    op, rng = FIRM[name], np.random.default_rng(5)
    bound = op.lip()
    assert (bound.value, bound.status) == (1.0, "PROVED")
    assert op.dahlquist().value == 1.0
    best = 0.0
    for _ in range(60):
        x = 3 * rng.standard_normal(shape(op))
        if name == "psd":
            x = x + x.T
        x = x * rng.choice([0.1, 1.0])
        best = max(best, float(np.linalg.norm(op.derivative(x).to_dense(), 2)))
    assert best >= 1 - 1e-6


@pytest.mark.parametrize("name", FIRM)
def test_expansion_of_a_collapsing_map_is_zero(name):
    """Two points with one image, so nothing above zero may be claimed on the whole space."""
    op = FIRM[name]
    assert op.expansion().value == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_stacked_points_are_projected_one_by_one(seed):
    rng = np.random.default_rng(seed)
    for op in FIRM.values():
        x = 2 * rng.standard_normal((4, *shape(op)))
        np.testing.assert_allclose(op(x), np.stack([op(p) for p in x]), atol=1e-13)
        assert op(x.astype(np.float32)).dtype == np.float32


# ---- local constants -----------------------------------------------------------------------------------------------


def test_a_box_knows_which_coordinates_move():
    op = lo.BoxProjection(np.zeros(2), np.ones(2))
    assert op.lip(lo.Ball(np.array([5.0, -2.0]), 1.0)).value == 0.0
    assert op.expansion(lo.Ball(np.array([0.5, 0.5]), 0.25)).value == 1.0
    assert op.expansion(lo.Ball(np.array([0.5, 0.5]), 0.6)).value == 0.0
    assert op.lip(lo.Ball(np.array([1.5, 1.5]), 0.6)).value == 1.0
    assert lo.BoxProjection(np.ones(3), np.ones(3)).lip().value == 0.0


@pytest.mark.parametrize("s", [1.0, 1.5, 4.0, 1e3])
def test_a_ball_projection_contracts_outside_by_radius_over_distance(s):
    """Lip on a ball at distance at least s is R/s, attained by the derivative at its nearest point."""
    op = lo.BallProjection(np.zeros(3), 1.0)
    center = np.array([s + 0.5, 0.0, 0.0])
    bound = op.lip(lo.Ball(center, 0.5)).value
    nearest = np.array([s, 0.0, 0.0]) * (1 + 1e-12)
    attained = float(np.linalg.norm(op.derivative(nearest).to_dense(), 2))
    assert attained <= bound * (1 + 1e-9)
    assert attained >= bound * (1 - 1e-6)
    shell = op.lip(lo.Shell(s, 2 * s)).value
    assert attained <= shell * (1 + 1e-9)
    assert shell <= bound * (1 + 1e-9)


def test_the_smoothness_of_a_ball_projection_is_attained():
    """|D^2 T[h, h]| at distance s for h with two thirds of its square across: 2 R/(sqrt(3) s^2)."""
    op, s, t = lo.BallProjection(np.zeros(2), 2.0), 3.0, 1e-4
    h = np.array([np.sqrt(1 / 3), np.sqrt(2 / 3)])
    x = np.array([s, 0.0])
    second = (op(x + t * h) - 2 * op(x) + op(x - t * h)) / t**2
    bound = op.smoothness(lo.Ball(x, 1e-9)).value
    assert norm(second) <= bound * (1 + 1e-6)
    assert norm(second) >= bound * (1 - 1e-5)


def test_the_second_derivative_of_the_psd_projection():
    """At eigenvalues 1 and -1 (gap 1) it is sqrt(2)/4 along the direction that mixes them, by divided differences; the
    smoothness 1/(2 gap) covers it."""
    op, t = lo.PSDProjection(2), 1e-3
    x, h = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]]) / np.sqrt(2)
    second = (op(x + t * h) - 2 * op(x) + op(x - t * h)) / t**2
    bound = op.smoothness(lo.Ball(x, 0.0)).value
    assert bound == pytest.approx(0.5)
    assert norm(second) == pytest.approx(np.sqrt(2) / 4, rel=1e-5)


@pytest.mark.parametrize("name", ["l1", "linf"])
def test_the_radial_retraction_doubles_distances_elsewhere(name):
    """The pairs of the docstring, of ratio 2 R/(R + t)."""
    op = lo.RadialRetraction(np.zeros(2), 3.0, name)
    assert op.lip().value == 2.0
    assert op.averagedness is None
    for t in (1.0, 1e-3, 3e-7):
        x, y = (
            (np.array([3.0, 0.0]), np.array([3.0, t])) if name == "l1" else (np.full(2, 3.0), np.array([3 + t, 3 - t]))
        )
        ratio = norm(op(x) - op(y), name) / norm(x - y, name)
        assert ratio == pytest.approx(6 / (3 + t), rel=1e-6)
        assert ratio <= 2
    assert lo.RadialRetraction(np.zeros(1), 3.0, name).lip().value == 1.0


def test_the_radial_retraction_of_tokens():
    one, two = (lo.RadialRetraction(np.zeros((k, 3)), 1.0, "2inf") for k in (1, 2))
    assert (one.lip().value, two.lip().value) == (1.0, 2.0)
    x = np.random.default_rng(0).standard_normal((2, 3))
    assert norm(two(5 * x), "2inf") == pytest.approx(1.0)
    assert one.fixed_points.contains(one(x[:1] * 5))
    with pytest.raises(DomainError, match="2inf"):
        _ = two.fixed_points


def test_a_vertex_of_the_simplex_is_locally_constant():
    op = lo.SimplexProjection(3)
    far = np.array([5.0, 0.0, 0.0])
    assert op.lip(lo.Ball(far, 0.4)).value == 0.0
    assert op.lip(lo.Ball(far, 3.0)).value == 1.0
    assert lo.SimplexProjection(1).lip().value == 0.0


@given(
    x=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    total=st.sampled_from([1e-9, 1.0, 1e5]),
    width=st.sampled_from([0.0, 1e-9, 0.5]),
)
def test_threshold_ranges_hold_the_exact_threshold(x, total, width):
    """Against rational arithmetic, for points drawn from the interval."""
    from fractions import Fraction

    low = np.array(x)
    high = low + width
    down, up = threshold_range(low, high, total)
    for t in (0.0, 0.5, 1.0):
        point = [Fraction(float(a)) for a in low + t * (high - low)]
        if any(p > Fraction(float(h)) for p, h in zip(point, high, strict=True)):
            continue
        mass = [sum((max(p - Fraction(tau), Fraction(0)) for p in point), Fraction(0)) for tau in (down, up)]
        assert mass[0] >= Fraction(total) >= mass[1]


# ---- depth, membership, bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orthant", "halfspace", "l2 ball", "l1 ball", "linf ball"])
def test_a_ball_of_the_stated_depth_lies_inside(name):
    op, rng = SETS[name], np.random.default_rng(6)
    inner = {"orthant": np.full(4, 2.0), "halfspace": np.array([0.0, 1.0, 0.0, -1.0])}.get(name)
    inner = op.center + 0.05 if inner is None and name.startswith("l") and hasattr(op, "center") else inner
    inner = (op.low + op.high) / 2 + 0.1 if inner is None else inner
    depth = op.depth(inner)
    assert depth > 0.1
    assert op.fixed_points.holds(inner)
    for _ in range(200):
        h = rng.standard_normal(4)
        y = inner + depth * h / norm(h)
        assert norm(op(y) - y) <= 1e-14
    h = inner - op(inner + 100 * rng.standard_normal(4))
    assert op.depth(inner + 50 * h / norm(h)) >= 0.0
    assert not op.fixed_points.holds(op.domain.check(np.array([50.0, -50.0, 50.0, 50.0])))


def test_membership_is_decided_exactly():
    simplex, cone = lo.SimplexProjection(3, 1.0), lo.PSDProjection(2)
    assert simplex.holds(np.array([0.25, 0.75, 0.0]))
    assert not simplex.holds(np.array([0.25, 0.75, 1e-300]))
    assert not simplex.holds(np.array([1.25, -0.25, 0.0]))
    assert cone.holds(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert not cone.holds(np.array([[1.0, 2.0], [2.0, 4.0 - 2**-50]]))
    assert not cone.holds(np.array([[1.0, 2.0], [0.0, 4.0]]))
    plane = lo.SubspaceProjection(np.array([[1.0, 0.0], [3.0, 1.0], [0.0, 1.0]]))
    assert plane.holds(np.array([0.5, 1.75, 0.25]))
    assert plane.holds(np.zeros(3))
    assert not plane.holds(np.array([0.5, 1.75 + 2**-50, 0.25]))
    assert lo.IntersectionProjection((plane, plane)).holds(np.array([0.5, 1.75, 0.25]))


def test_solutions_are_recognised_exactly():
    op = lo.AffineProjection(np.array([[1.0, 1.0, 0.0]]), np.array([2.0]))
    assert op.holds(np.array([0.5, 1.5, 7.0]))
    assert not op.holds(np.array([0.5, 1.5 + 2**-50, 7.0]))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lo.BoxProjection(np.ones(2), np.zeros(2)), DomainError, "empty"),
        (lambda: lo.BoxProjection(np.ones(2), np.ones(3)), ShapeError, "one shape"),
        (lambda: lo.BoxProjection(np.array([np.nan]), np.ones(1)), NonFiniteError, "index"),
        (lambda: lo.BoxProjection(np.array([np.inf]), np.array([np.inf])), DomainError, "empty"),
        (lambda: lo.HalfspaceProjection(np.zeros(2), 1.0), DomainError, "must not be zero"),
        (lambda: lo.HalfspaceProjection(np.ones(2), np.inf), NonFiniteError, "finite"),
        (lambda: lo.HalfspaceProjection(np.ones((2, 2)), 1.0), ShapeError, "vector"),
        (lambda: lo.HyperplaneProjection(np.zeros(2), 1.0), DomainError, "other than zero"),
        (lambda: lo.RadialRetraction(np.zeros(2), -1.0), DomainError, "at least 0"),
        (lambda: lo.RadialRetraction(np.array([np.nan]), 1.0), NonFiniteError, "finite"),
        (lambda: lo.BallProjection(np.zeros((2, 2)), 1.0, "2inf"), DomainError, "l2, l1 or linf"),
        (lambda: lo.BallProjection(np.zeros(2), np.nan, "l1"), DomainError, "finite"),
        (lambda: lo.SimplexProjection(0), ShapeError, "n >= 1"),
        (lambda: lo.SimplexProjection(2, 0.0), DomainError, "positive"),
        (lambda: lo.PSDProjection(0), ShapeError, "order"),
    ],
)
def test_bad_sets_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
