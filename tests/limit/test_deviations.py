"""Deviations between two operators: brackets attacked by points, attained cases, proofs that can be checked and forged
ones that cannot."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.rule import derive
from lipop.core.space import norm
from lipop.errors import NormMismatch, ProofError, ShapeError
from lipop.limit import deviation
from lipop.limit import deviation_rules as rules
from lipop.limit.affine import affine_parts
from lipop.limit.deviations import Between, upper
from lipop.operators import (
    BallProjection,
    BoxProjection,
    HalfspaceProjection,
    HyperplaneProjection,
    SimplexProjection,
    SoftThreshold,
    SubspaceProjection,
)
from lipop.operators.linear import Affine

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(["l1", "l2", "linf"])


def affine(rng, n, kind):
    return Affine(rng.standard_normal((n, n)), rng.standard_normal(n), norm_in=kind, norm_out=kind)


def region(rng, n, kind, which):
    c = rng.standard_normal(n)
    return {
        "own ball": lo.Ball(c, 1.5, kind),
        "l2 ball": lo.Ball(c, 0.7),
        "box": lo.Box(c - rng.uniform(0, 1, n), c + rng.uniform(0, 1, n)),
        "cloud": lo.Cloud(rng.standard_normal((5, n))),
        "point": lo.Ball(c, 0.0, kind),
    }[which]


def built(rng, n, which):
    """Two operators that are built alike, and the exact values where there are some."""
    F, G = lo.tanh(n), lo.gelu(n)
    A, B = affine(rng, n, "l2"), affine(rng, n, "l2")
    a, b = rng.uniform(0, 1, 2)
    return {
        "affine": (A, B),
        "residual": (lo.residual(0.3 * F), lo.residual(0.1 * G)),
        "residual and identity": (lo.residual(0.3 * A), lo.Identity(lo.Space(n))),
        "two steps": (lo.residual(a * F), lo.residual(b * F)),
        "scaled": (a * F, b * F),
        "one scale": (0.5 * F, 0.5 * G),
        "relaxed": (lo.relax(F, a), lo.relax(F, b)),
        "one relaxation": (lo.relax(A, 0.25), lo.relax(B, 0.25)),
        "sums": (F + A, G + B),
        "one outer map": (F @ A, F @ B),
        "two outer maps": (F @ A, G @ B),
        "long chains": (F @ A @ G, F @ B @ G),
        "unlike": (F @ A, B),
    }[which]


PAIRS = ["affine", "residual", "residual and identity", "two steps", "scaled", "one scale", "relaxed", "one relaxation",
         "sums", "one outer map", "two outer maps", "long chains", "unlike"]  # fmt: skip


@pytest.mark.parametrize("which", PAIRS)
@pytest.mark.parametrize("where", ["own ball", "box", "cloud", "point"])
def test_no_point_exceeds_the_upper_end(which, where):
    rng = np.random.default_rng([len(which), len(where)])
    n = 3
    a, b = built(rng, n, which)
    on = region(rng, n, "l2", where)
    d = deviation(a, b, on, seed=1)
    points = [x for x in on.sample(rng, 200) if on.contains(x)]
    worst = max(norm(a(x) - b(x)) for x in points)
    assert d.upper.status == "PROVED"
    assert worst <= d.upper.value * (1 + 1e-12)
    assert d.lower.value <= d.upper.value
    assert on.contains(d.lower.witness.arrays["v"])
    assert d.lower.value >= 0.7 * worst
    d.upper.check()
    d.lower.check()


@given(SEEDS, KINDS, st.integers(1, 5), st.sampled_from(["own ball", "l2 ball", "box", "cloud", "point"]))
def test_affine_pairs_on_every_region(seed, kind, n, where):
    rng = np.random.default_rng(seed)
    a, b, on = affine(rng, n, kind), affine(rng, n, kind), region(rng, n, kind, where)
    bound = upper(a, b, on)
    points = [x for x in on.sample(rng, 60) if on.contains(x)]
    assert max(norm(a(x) - b(x), kind) for x in points) <= bound.value * (1 + 1e-12)
    assert deviation(a, b, on).lower.value <= bound.value


@given(SEEDS, KINDS, st.integers(1, 5), st.floats(0, 10))
def test_an_offset_is_the_deviation_on_the_whole_space(seed, kind, n, size):
    """d(Ax + b, Ax + c) = |b - c|, everywhere: attained."""
    rng = np.random.default_rng(seed)
    a = affine(rng, n, kind)
    b = Affine(a.A, a.b + size * rng.standard_normal(n), norm_in=kind, norm_out=kind)
    d = deviation(a, b)
    exact = norm(a.b - b.b, kind)
    assert d.lower.value * (1 - 1e-9) <= exact <= d.upper.value
    assert d.upper.value <= exact * (1 + 1e-9) + 1e-14


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
def test_the_ends_meet_on_centred_balls(kind):
    """sup over |x| <= r of |(A - B) x| is |A - B| r."""
    rng = np.random.default_rng(5)
    a, b = (Affine(rng.standard_normal((4, 4)), norm_in=kind, norm_out=kind) for _ in range(2))
    d = deviation(a, b, lo.Ball(np.zeros(4), 2.0, kind))
    order = {"l1": 1, "l2": 2, "linf": np.inf}[kind]
    assert d.upper.value == pytest.approx(2 * np.linalg.norm(a.A - b.A, order), rel=1e-6)
    assert d.ratio < 1.001


def test_the_sup_norm_family_is_attained():
    """T_i x = P x + e (1, -1) against P: e, everywhere."""
    P = np.array([[1.0, 0.0], [4.0, 0.0]])
    d = deviation(*(Affine(P, b, norm_in="linf", norm_out="linf") for b in (np.array([0.125, -0.125]), np.zeros(2))))
    assert 0.125 * (1 - 1e-9) <= d.lower.value <= 0.125 <= d.upper.value <= 0.125 * (1 + 1e-9)


def test_different_linear_parts_are_infinitely_far_apart_on_the_whole_space():
    d = deviation(Affine(np.eye(2)), Affine(2 * np.eye(2)))
    assert d.upper.value == math.inf
    assert "not bounded on the whole space" in d.upper.params["reason"]
    d = deviation(lo.tanh(2), lo.relu(2))
    assert d.upper.status == "UNKNOWN"
    assert d.lower.value > 0


def test_one_map_deviates_by_nothing_from_itself():
    d = deviation(lo.gelu(3), lo.gelu(3))
    assert d.upper.value == d.lower.value == 0.0
    d.upper.check()


def shifted_pairs(rng):
    c, t, a = rng.standard_normal(4), rng.uniform(0, 1, 4), rng.standard_normal(4)
    low = np.array([-np.inf, -1.0, 0.0, 0.5]) + np.minimum(c, 0)
    return [
        (BoxProjection(low, c + 4, "linf"), BoxProjection(low + 0.25, c + 4.5, "linf")),
        (BoxProjection(c, c + 1, "l1"), BoxProjection(c - 0.1, c + 1, "l1")),
        (SoftThreshold(t), SoftThreshold(t + 0.25)),
        (HalfspaceProjection(a, 0.5), HalfspaceProjection(a, -0.25)),
        (BallProjection(c, 1.0), BallProjection(c + 0.1 * a, 1.5)),
        (BallProjection(c, 1.0, "l1"), BallProjection(c + 0.1 * a, 1.5, "l1")),
        (SimplexProjection(4, 1.0), SimplexProjection(4, 1.25)),
    ]


@given(SEEDS)
def test_nearest_point_maps_with_other_parameters_on_the_whole_space(seed):
    rng = np.random.default_rng(seed)
    for a, b in shifted_pairs(rng):
        bound = upper(a, b, lo.Everywhere())
        assert bound.status == "PROVED"
        kind = a.domain.norm
        for size in (0.3, 3.0, 300.0):
            for x in size * rng.standard_normal((8, 4)):
                assert norm(a(x) - b(x), kind) <= bound.value + 1e-12 * size
        bound.check()


def test_shifts_of_halfspaces_thresholds_and_balls_are_attained():
    for a, b in shifted_pairs(np.random.default_rng(0))[2:4]:
        assert deviation(a, b, lo.Ball(100 * np.ones(4), 300.0), effort="tight").ratio < 1.01
    far = 1e6 * np.array([1.0, 0.0])
    a, b = BallProjection(np.zeros(2), 1.0), BallProjection(np.zeros(2), 1.5)
    assert deviation(a, b, lo.Cloud(np.array([far]))).ratio == pytest.approx(1, rel=1e-9)


def test_linear_projections_are_affine_maps():
    rng = np.random.default_rng(2)
    a, b = (SubspaceProjection(rng.standard_normal((5, 2))) for _ in range(2))
    d = deviation(a, b, lo.Ball(np.zeros(5), 1.0))
    assert d.ratio < 1.001
    assert d.upper.value <= 1 + 1e-9
    h = [HyperplaneProjection(np.array([3.0, 4.0]), beta) for beta in (1.0, 2.0)]
    assert deviation(*h, lo.Ball(np.zeros(2), 9.0)).upper.value == pytest.approx(0.2, rel=1e-9)


def test_operators_of_different_spaces_cannot_be_compared():
    with pytest.raises(ShapeError, match="domains differ"):
        deviation(lo.tanh(2), lo.tanh(3))
    with pytest.raises(NormMismatch, match="l2 and linf"):
        deviation(Affine(np.eye(2)), Affine(np.eye(2), norm_in="linf", norm_out="linf"))


@given(SEEDS)
def test_affine_parts_enclose_the_map(seed):
    rng = np.random.default_rng(seed)
    A, B, C = (affine(rng, 3, "l2") for _ in range(3))
    c = float(rng.uniform(-2, 2))
    for op in (
        A @ B @ C,
        A + B,
        c * A,
        0.0 * A,
        lo.residual(c * B),
        lo.relax(A, c),
        A**5,
        lo.Diagonal(rng.uniform(size=3)) @ A,
    ):
        M, v = affine_parts(op)
        for x in rng.standard_normal((4, 3)):
            exact = op(x)
            slack = (M.radius @ np.abs(x)) + v.radius + 1e-12 * (1 + np.abs(exact))
            assert (np.abs(M.mid @ x + v.mid - exact) <= slack).all()
    assert affine_parts(lo.tanh(3) @ A) is None


# ---- forged proofs -------------------------------------------------------------------------------------------------


def pieces():
    rng = np.random.default_rng(0)
    F, G = lo.tanh(3) @ affine(rng, 3, "l2"), lo.gelu(3) @ affine(rng, 3, "l2")
    return F, G, lo.Ball(np.ones(3), 0.5)


def test_a_smaller_value_is_not_proved():
    F, G, on = pieces()
    bound = upper(F, G, on)
    with pytest.raises(ProofError):
        dataclasses.replace(bound, value=bound.value * 0.9).check()


def test_a_bound_on_a_ball_does_not_pass_to_a_larger_one():
    F, G, on = pieces()
    bound = upper(F, G, on)
    wider = dataclasses.replace(bound, claim=Between(F, G).claim(lo.Ball(np.ones(3), 0.6)))
    with pytest.raises(ProofError):
        wider.check()


def test_a_bound_of_one_pair_is_none_of_another():
    F, G, on = pieces()
    bound = upper(F, G, on)
    with pytest.raises(ProofError):
        dataclasses.replace(bound, claim=Between(F, lo.tanh(3)).claim(on)).check()


@pytest.mark.parametrize(("kind", "c"), [("sum", 0.5), ("residual", 0.5), ("power", 1.0), ("scale", 2.0)])
def test_parts_need_their_own_coefficients(kind, c):
    F, G, on = pieces()
    inner = upper(F, G, on)
    a, b = (1.0 * F, 1.0 * G) if kind == "scale" else (lo.residual(F), lo.residual(G))
    with pytest.raises(ProofError):
        derive(rules.PARTS, Between(a, b).claim(on), (inner,), pairs=[[F.digest, G.digest]], kind=kind, c=c)


def test_the_identity_is_known_by_its_space():
    F, _, on = pieces()
    size = upper(F, 0.0 * F, on)
    pair = Between(lo.residual(F), lo.relu(3))
    with pytest.raises(ProofError, match="not a residual map and the identity"):
        derive(rules.STEP, pair.claim(on), (size,), branch=F.digest, shape=[3], norm="l2")


def test_an_outer_constant_on_a_region_is_not_enough():
    F, _, on = pieces()
    rng = np.random.default_rng(1)
    A, B = affine(rng, 3, "l2"), affine(rng, 3, "l2")
    params = {"outer": [F.digest, F.digest], "a": [A.digest], "b": [B.digest]}
    with pytest.raises(ProofError, match="on a region only"):
        derive(rules.OUTER, Between(lo.tanh(3) @ A, lo.tanh(3) @ B).claim(on), (lo.tanh(3).lip(on), upper(A, B, on)),
               **{**params, "outer": [lo.tanh(3).digest] * 2})  # fmt: skip
