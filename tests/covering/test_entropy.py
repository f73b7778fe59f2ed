"""Entropies of sets: exact covering numbers, greedy covers and packings, identities, malformed proofs."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import lipop as lo
from lipop.core.proof import from_json, to_json
from lipop.covering import (
    BoxSet,
    Ellipsoid,
    Hull,
    LinearFunctions,
    LowRankBall,
    MatrixProducts,
    NormBall,
    SimplexSet,
    log_covering_number,
)
from lipop.errors import DomainError, ProofError, RegionError

ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}
SETS = [
    NormBall(3, 1.0, "l2"),
    NormBall(3, 1.0, "l1", "l2"),
    NormBall(2, 2.0, "2inf"),
    Ellipsoid((1.0, 0.5, 0.01)),
    BoxSet((1.0, 0.5, 0.0), "l2"),
    BoxSet((1.0, 0.5), "linf"),
    SimplexSet(4, 1.0, "l2"),
    LowRankBall(3, 2, 1, 1.0),
    Hull(6, 1.0),
    LinearFunctions(4, 1.0, 1.0),
    LinearFunctions(4, 1.0, 1.0, samples=7),
    MatrixProducts(3, 2, 1.0, 1.0),
]


def packing(points, distance, metric):
    """How many of the points a greedy choice keeps at pairwise distances above ``distance``: N(distance / 2) at least,
    and N(distance) of the points at most."""
    kept = np.empty((0, points.shape[1]))
    for p in points:
        if not len(kept) or np.linalg.norm(kept - p, ORDERS[metric], axis=1).min() > distance:
            kept = np.vstack([kept, p])
    return len(kept)


def attack(K, points, eps):
    """Separated points of K refute an upper bound; a cover of K, slightly enlarged, a lower one."""
    low, high = K.lower(eps).value, K.upper(eps).value
    assert math.log(packing(points, 2 * eps * (1 + 1e-12), K.metric)) <= high
    return low, high


def grid(d, h):
    axis = np.arange(-1, 1 + h / 2, h)
    return np.array(list(itertools.product(axis, repeat=d)))


@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize("metric", ORDERS)
def test_balls_of_the_plane(norm, metric):
    points = grid(2, 0.1)
    points = points[np.linalg.norm(points, ORDERS[norm], axis=1) <= 1]
    for eps in (0.3, 0.55, 0.9):
        low, _ = attack(NormBall(2, 1.0, norm, metric), points, eps)
        # every point of the ball is within 0.2 of one of the grid inside it, in l1 and therefore in all three norms
        assert low <= math.log(packing(points, eps - 0.2, metric))


def test_a_segment_and_linf_balls_are_exact():
    for radius, eps in ((1.0, 0.3), (1.0, 0.25), (0.2, 0.5)):
        cells = max(1, math.ceil(radius / eps))
        for K, n in ((NormBall(1, radius), cells), (NormBall(3, radius, "linf"), cells**3)):
            br = K.entropy(eps)
            assert br.lower.value <= math.log(n) + 1e-12
            assert br.upper.value >= math.log(n) - 1e-12
            assert br.upper.value - br.lower.value < 1e-12


def test_one_ball_is_enough_for_a_small_set_and_not_for_a_larger_one():
    for K in SETS[:2]:
        assert K.upper(1.0).value == 0
        assert K.lower(np.nextafter(1.0, 0)).value >= (math.log(4) - 1e-12) * (K.metric == "l2" and K.norm == "l2")
    assert Ellipsoid((1.0, 0.1)).upper(1.0).value == 0
    assert Hull(5, 1.0).upper(1.0).value == 0
    assert LowRankBall(3, 2, 1, 1.0).upper(1.0).value == 0


def test_volumes_of_ellipsoids_and_balls_agree():
    ball, same = NormBall(4, 2.0), Ellipsoid((2.0,) * 4)
    assert same.lower(0.5).value == pytest.approx(ball.lower(0.5).value, rel=1e-14)
    assert same.upper(0.5).value <= ball.upper(0.5).value * (1 + 1e-14)
    flat = Ellipsoid((2.0, 2.0, 2.0, 2.0, 1e-9))
    assert flat.upper(0.5).value == pytest.approx(same.upper(0.5).value, rel=1e-9)


@pytest.mark.parametrize("axes", [(1.0, 0.2), (1.0, 0.5, 0.05), (0.6, 0.6)])
def test_ellipsoids(axes):
    a = np.array(axes)
    points = grid(len(axes), 0.1 if len(axes) == 2 else 0.25)
    points = points[(points**2).sum(axis=1) <= 1] * a
    for eps in (0.15, 0.3, 0.5):
        attack(Ellipsoid(axes), points, eps)
    # a grid of cells with half-diagonal eps, those that meet the ellipsoid, is a cover
    eps = 0.3
    side = 2 * eps / math.sqrt(len(a))
    cells = grid(len(a), 0.02 if len(a) == 2 else 0.1)
    cells = cells[(cells**2).sum(axis=1) <= 1.2] * a  # more than the ellipsoid: its cover counts are larger
    count = len({tuple(c) for c in np.floor(cells / side).astype(int)})
    assert Ellipsoid(axes).lower(eps).value <= math.log(count)


@pytest.mark.parametrize("metric", ORDERS)
def test_boxes_and_simplices(metric):
    box = grid(2, 0.1) * [1.0, 0.3]
    xs = [np.array([i, j, 8 - i - j]) / 8 for i in range(9) for j in range(9 - i)]
    for eps in (0.1, 0.3, 0.6):
        low, high = attack(BoxSet((1.0, 0.3), metric), box, eps)
        assert low <= high
        low, high = attack(SimplexSet(3, 1.0, metric), np.array(xs), eps)
        assert low <= high
    assert BoxSet((1.0, 0.0, 0.3), metric).upper(0.1).value == pytest.approx(
        BoxSet((1.0, 0.3), metric).upper(0.1).value
    )


def test_types_cover_the_simplex():
    """Largest remainders err by what the rule says."""
    rng = np.random.default_rng(5)
    for d, k in ((2, 3), (5, 4), (7, 30)):
        for x in rng.dirichlet(np.full(d, 0.4), 200):
            y = np.floor(x * k)
            order = np.argsort(y - x * k)
            y[order[: round(k - y.sum())]] += 1
            error = np.abs(y / k - x)
            assert error.sum() <= d / (2 * k) + 1e-12
            assert (error**2).sum() <= d / (4 * k * k) + 1e-12
            assert error.max() <= 1 / k


def test_low_rank_matrices_are_separated_less_than_the_bound():
    rng = np.random.default_rng(6)
    u, v = rng.standard_normal((2, 400, 2))
    X = np.einsum("ki,kj->kij", u, v).reshape(400, 4)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    attack(LowRankBall(2, 2, 1, 1.0), X, 0.4)
    assert LowRankBall(40, 40, 1, 1.0).upper(0.1).value < LowRankBall(40, 40, 40, 1.0).upper(0.1).value / 10


def test_maurey_by_brute_force():
    """Every convex combination is within b / sqrt(k) of the mean of some k vertices; the count is exact."""
    rng = np.random.default_rng(7)
    V = rng.standard_normal((4, 3))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    for k in (1, 2, 4):
        means = np.array([V[list(c)].mean(axis=0) for c in itertools.combinations_with_replacement(range(4), k)])
        bound = Hull(4, 1.0).upper(1 / math.sqrt(k) * (1 + 1e-9) if k > 1 else 0.9999)
        if k > 1:
            assert bound.value == pytest.approx(math.log(len(means)), rel=1e-12)
        for w in rng.dirichlet(np.ones(4), 50):
            assert np.linalg.norm(means - w @ V, axis=1).min() <= 1 / math.sqrt(k)


def test_linear_classes_on_samples():
    rng = np.random.default_rng(8)
    X = rng.standard_normal((6, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    w = rng.standard_normal((300, 3))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    values = w @ X.T
    for eps in (0.2, 0.5):
        n = packing(values / math.sqrt(6), 2 * eps * (1 + 1e-12), "l2")
        assert math.log(n) <= LinearFunctions(3, 1.0, 1.0).upper(eps).value
        sup = packing(values, 2 * eps * (1 + 1e-12), "linf")
        assert math.log(sup) <= LinearFunctions(3, 1.0, 1.0, samples=6).upper(eps).value
    assert MatrixProducts(8, 4, 2.0, 3.0).upper(0.5).value <= math.ceil(36 / 0.25) * math.log(2 * 8 * 4)


@pytest.mark.parametrize("K", SETS, ids=repr)
def test_brackets_hold_and_their_proofs_are_checked(K):
    before = math.inf
    for eps in (0.05, 0.2, 0.7):
        br = K.entropy(eps)
        assert 0 <= br.lower.value <= br.upper.value <= before
        before = br.upper.value
        for b in (br.lower, br.upper):
            b.check()
            from_json(to_json(b))[b.id].check()
            assert b.status == "PROVED"
            assert b.latex().startswith("\\begin{align*}")
            with pytest.raises(ProofError):
                replace(b, value=b.value + (1e-3 if b.claim.side == "lower" else -1e-3)).check()
            with pytest.raises(ProofError):
                replace(b, params={**b.params, "eps": 0.9}).check()


def test_regions_in_and_out():
    assert log_covering_number(lo.Ball(np.ones((2, 2)), 1.0), 0.5).upper.value == NormBall(4, 1.0).upper(0.5).value
    box = log_covering_number(lo.Box(np.zeros(2), np.array([0.1, 0.7])), 0.1)
    assert 0 < box.lower.value <= box.upper.value
    cloud = log_covering_number(lo.Cloud(np.array([[0.0], [1.0], [5.0]])), 0.6)
    assert (cloud.lower.value, cloud.upper.value) == pytest.approx(
        (math.log(2), math.log(3))
    )  # 0 and 1 share a ball, but around no point of the cloud
    with pytest.raises(RegionError, match="not known"):
        log_covering_number(lo.Everywhere(), 1.0)
    with pytest.raises(RegionError, match="covered in l2"):
        log_covering_number(Hull(3, 1.0), 1.0, metric="l1")


@pytest.mark.parametrize("eps", [0.0, -1.0, math.nan, math.inf, "x", None])
def test_a_radius_must_be_positive_and_finite(eps):
    for K in SETS[:4]:
        with pytest.raises(DomainError, match="radius"):
            log_covering_number(K, eps)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormBall(0, 1.0),
        lambda: NormBall(2, -1.0),
        lambda: NormBall(2, math.nan),
        lambda: NormBall(2, 1.0, "2inf", "l1"),
        lambda: Ellipsoid(()),
        lambda: Ellipsoid((1.0, math.inf)),
        lambda: BoxSet((1.0,), "2inf"),
        lambda: SimplexSet(3, 1.0, "2inf"),
        lambda: LowRankBall(2, 3, 3, 1.0),
        lambda: Hull(3, 1.0, "l1"),
        lambda: LinearFunctions(3, 1.0, 1.0, "linf"),
        lambda: MatrixProducts(3, 2.5, 1.0, 1.0),
    ],
)
def test_sets_that_are_none(make):
    with pytest.raises(DomainError):
        make()
