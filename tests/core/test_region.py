"""Regions: members, samples, inclusion, descriptions, and which directions they reach along."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.region import Region, Unresolved, as_ball, from_description, hull, token_radii
from lipop.core.space import NORMS
from lipop.errors import NonFiniteError, RegionError

SHAPE = (3, 2)
seeds = st.integers(0, 2**20)


def zoo(seed, center=None):
    rng = np.random.default_rng(seed)
    c = rng.standard_normal(SHAPE) * 10.0 ** rng.integers(-3, 4) if center is None else center
    r = float(10.0 ** rng.uniform(-4, 2))
    reach = r * rng.uniform(0, 1, SHAPE)
    return [
        lo.Everywhere(),
        *(lo.Ball(c, r, name) for name in NORMS),
        lo.Ball(c, 0.0),
        lo.TokenBall(c, r, r * rng.uniform(0, 1, 3)),
        lo.Box(c - reach, c + reach),
        lo.Shell(r, 2 * r),
        lo.Shell(0.0, r),
        lo.Cloud(c + r * rng.standard_normal((4, *SHAPE))),
    ]


def draw(region, rng, n):
    if isinstance(region, lo.Everywhere):
        return rng.standard_normal((n, *SHAPE))
    return region.points(rng, n, SHAPE) if isinstance(region, lo.Shell) else region.sample(rng, n)


@given(seeds)
def test_samples_are_members(seed):
    rng = np.random.default_rng(seed)
    for region in zoo(seed):
        points = draw(region, rng, 6)
        assert points.shape == (6, *SHAPE)
        assert all(region.contains(x) for x in points), region


@given(seeds)
def test_convex_regions_hold_their_segments(seed):
    rng = np.random.default_rng(seed)
    for region in zoo(seed):
        x, y = draw(region, rng, 2)
        if region.convex:
            assert region.contains(0.3 * x + 0.7 * y), region
    assert not lo.Shell(1.0, 2.0).convex
    assert lo.Shell(0.0, 2.0).convex
    assert not lo.Cloud(np.ones((2, 2))).convex


@given(seeds)
def test_inclusion_is_true_of_samples(seed):
    """Wherever ``encloses`` says yes, every sampled point agrees; it says yes for itself."""
    rng = np.random.default_rng(seed)
    c = rng.standard_normal(SHAPE)
    regions = zoo(seed, c) + zoo(seed + 1, c)
    for a in regions:
        assert a.encloses(a)
        for b in regions:
            if a.encloses(b):
                assert all(a.contains(x) for x in draw(b, rng, 4)), (a, b)


def test_inclusion_finds_the_obvious():
    c = np.ones(SHAPE)
    ball = lo.Ball(c, 1.0)
    assert ball.encloses(lo.Ball(c, 0.5))
    assert not ball.encloses(lo.Ball(c, 1.5))
    assert not ball.encloses(lo.Ball(c + 1e-9, 0.5))
    assert ball.encloses(lo.TokenBall(c, 1.0, 0.1))
    assert lo.TokenBall(c, 2.0, 1.0).encloses(ball)
    assert not lo.TokenBall(c, 2.0, 0.5).encloses(ball)
    assert lo.Ball(c, 0.5, "2inf").encloses(lo.TokenBall(c, 1.0, 0.5))
    assert not lo.Ball(c, 0.5, "linf").encloses(lo.Ball(c, 0.4))
    box = lo.Box(c - 0.1, c + 0.1)
    assert ball.encloses(box)
    assert not lo.Ball(c, 0.2).encloses(box)  # its corners are at 0.245
    assert lo.Box(c - 0.2, c + 0.1).encloses(box)
    assert not lo.Box(np.zeros(1), 2 * np.ones(1)).encloses(box)
    assert lo.Shell(1.0, 3.0).encloses(lo.Shell(1.5, 2.0))
    assert not lo.Shell(1.0, 3.0).encloses(ball)
    cloud = lo.Cloud(np.stack([c - 0.1, c + 0.1]))
    assert ball.encloses(cloud)
    assert ball.encloses(lo.Ball(c, 0.4, "linf"))
    assert not ball.encloses(lo.Ball(c, 0.5, "linf"))
    assert lo.Everywhere().encloses(cloud)
    assert not ball.encloses(lo.Everywhere())


@given(seeds)
def test_balls_around_regions_contain_them(seed):
    rng = np.random.default_rng(seed)
    for region in zoo(seed):
        for outer in (as_ball(region), token_radii(region), hull(region)):
            if outer is not None:
                assert outer.convex
                assert all(outer.contains(x) for x in draw(region, rng, 6)), (region, outer)
    assert as_ball(lo.Shell(0.0, 1.0)) is None
    assert isinstance(hull(lo.Shell(1.0, 2.0)), lo.Everywhere)


def test_the_balls_reach_the_corners():
    n = 5
    corner = as_ball(lo.Ball(np.zeros(n), 1.0, "linf"))
    assert corner.radius == pytest.approx(math.sqrt(n), rel=1e-12)
    assert corner.radius**2 >= n
    assert as_ball(lo.Ball(np.zeros((4, 2)), 1.0, "2inf")).radius >= 2.0
    assert as_ball(lo.Ball(np.zeros(n), 1.0, "l1")).radius >= 1.0
    assert as_ball(lo.Box(np.zeros(2), np.array([6.0, 8.0]))).radius >= 5.0


@given(seeds)
def test_descriptions_round_trip(seed):
    for region in zoo(seed):
        text = json.dumps(region.describe(), allow_nan=False)
        held = {d["sha256"]: a for d, a in zip((v for v in region.describe().values() if isinstance(v, dict)),
                                               region.arrays.values(), strict=True)}  # fmt: skip
        again = from_description(json.loads(text), held)
        assert type(again) is type(region)
        assert again.digest == region.digest
        lost = from_description(json.loads(text), {})
        assert lost.digest == region.digest
        if held:
            assert isinstance(lost, Unresolved)
            with pytest.raises(RegionError, match="not known"):
                lost.contains(np.zeros(SHAPE))


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"kind": "hole"}, "unknown kind"),
        ({}, "unknown kind"),
        ({"kind": "ball", "radius": "0x1p0"}, "does not have the fields"),
        ({"kind": "shell", "inner": "one"}, "not a hex float"),
        ({"kind": "shell", "inner": 1.0}, "not a hex float"),
        ({"kind": "ball", "center": {"sha": 3}}, "not an array reference"),
    ],
)
def test_malformed_descriptions(description, message):
    with pytest.raises(RegionError, match=message):
        from_description(description, {})


def test_an_array_under_the_wrong_digest_is_refused():
    ball = lo.Ball(np.zeros(2), 1.0)
    sha = ball.describe()["center"]["sha256"]
    with pytest.raises(RegionError, match="does not have the digest"):
        from_description(ball.describe(), {sha: np.ones(2)})


def test_directions_that_a_region_reaches_along():
    e0, e1 = np.eye(2)
    assert lo.Everywhere().reaches(e0)
    assert lo.Ball(e0, 1.0).reaches(e1)
    assert lo.Ball(e0, 0.0).reaches(e1)
    flat = lo.Box(np.zeros(2), e0)
    assert flat.reaches(e0)
    assert not flat.reaches(e1)
    assert lo.Box(e0, e0).reaches(e1)
    assert not lo.Cloud(np.eye(2)).reaches(e0)
    assert lo.Shell(1.0, 2.0).reaches(e0)
    assert not lo.Shell(1.0, 1.0).reaches(e0)
    tokens = lo.TokenBall(np.zeros((2, 1)), 1.0, np.array([0.0, 1.0]))
    assert tokens.reaches(np.array([[0.0], [1.0]]))
    assert not tokens.reaches(np.array([[1.0], [1.0]]))
    assert not Region().reaches(e0)


def test_a_direction_is_no_witness_where_a_region_does_not_reach():
    """On two points that a map identifies Lip is zero, whatever the derivative says."""
    from lipop.core.norms import direction_bound

    f, two = lo.hardswish(1), np.array([[-9.0], [-8.0]])
    with pytest.raises(RegionError, match="does not reach"):
        direction_bound(lo.relu(1), np.ones(1), np.ones(1), on=lo.Cloud(np.ones((1, 1))))
    assert lo.lip(f, on=lo.Cloud(two)).lower.value == 0.0
    thin = lo.Box(np.array([0.0, -1.0]), np.array([0.0, 1.0]))
    T = lo.Diagonal(np.array([5.0, 1.0]))
    assert lo.lip(T, on=thin).lower.value <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lo.Ball(np.zeros(2), -1.0), RegionError, "not negative, found -1"),
        (lambda: lo.Ball(np.zeros(2), math.nan), RegionError, "finite"),
        (lambda: lo.Ball(np.zeros(2), math.inf), RegionError, "finite"),
        (
            lambda: lo.Ball(np.array([0.0, math.nan]), 1.0),
            NonFiniteError,
            r"centre of a ball holds nan at index \(1,\)",
        ),
        (lambda: lo.TokenBall(np.zeros(2), 1.0, 1.0), RegionError, "tokens, n"),
        (lambda: lo.TokenBall(np.zeros((2, 1)), 1.0, np.array([1.0, -1.0])), RegionError, "negative or NaN"),
        (lambda: lo.TokenBall(np.zeros((2, 1)), 1.0, math.nan), RegionError, "negative or NaN"),
        (lambda: lo.Box(np.ones(2), np.zeros(2)), RegionError, "low <= high"),
        (lambda: lo.Box(np.ones(2), np.ones(3)), RegionError, "equal shapes"),
        (lambda: lo.Shell(2.0, 1.0), RegionError, "inner <= outer"),
        (lambda: lo.Shell(0.0, math.nan), RegionError, "inner <= outer"),
        (lambda: lo.Cloud(np.zeros((0, 2))), RegionError, "at least one"),
        (lambda: lo.Cloud(np.zeros(3)), RegionError, "stacked"),
    ],
)
def test_malformed_regions(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_regions_copy_nothing_and_are_read_only():
    x = np.zeros(3)
    ball = lo.Ball(x, 1.0)
    assert np.shares_memory(ball.center, x)
    with pytest.raises(ValueError, match="read-only"):
        ball.center[0] = 1.0
    x[0] = 2.0  # the caller's array stays writeable


def test_a_token_radius_is_never_above_the_whole():
    ball = lo.TokenBall(np.zeros((2, 3)), 1.0, np.array([5.0, 0.5]))
    assert ball.rho_token.tolist() == [1.0, 0.5]
