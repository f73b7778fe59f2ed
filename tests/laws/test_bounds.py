"""Every constant an operator states, attacked by samples of its region."""

from itertools import combinations

import numpy as np
import pytest

import lipop as lo
from lipop.core.space import norm
from tests.laws.zoo import ZOO, case, sample

SLACK = 1e-9  # float64 sampling of differences that are not small


def name_of(c):
    return type(c.op).__name__


def close_pairs(c, region, rng):
    """Pairs of sampled points, far apart and close together, both in the region."""
    points = sample(c, region, rng, 7)
    pairs = list(combinations(points, 2))
    if region.convex and not isinstance(region, lo.Everywhere):
        pairs += [(x, x + t * (y - x)) for x, y in pairs[:8] for t in (1e-3, 1e-1)]
    if isinstance(region, lo.Everywhere) and name_of(c) != "Restriction":
        pairs += [(x, x + 1e-3 * rng.standard_normal(x.shape)) for x in points]
    return [(x, y) for x, y in pairs if norm(x - y) > 1e-6 * (norm(x) + norm(y))]


def labelled(name):
    return [(region, f"{name} on {region!r}") for region in case(name).regions]


@pytest.mark.parametrize("name", ZOO)
def test_no_pair_stretches_more_than_lip(name):
    c, rng = case(name), np.random.default_rng(1)
    for region, label in labelled(name):
        bound = c.op.lip(region)
        if not bound.known:
            assert bound.params["reason"]
            continue
        for x, y in close_pairs(c, region, rng):
            ratio = norm(c.op(x) - c.op(y), c.op.codomain.norm) / norm(x - y, c.op.domain.norm)
            assert ratio <= bound.value * (1 + SLACK), label


@pytest.mark.parametrize("name", [n for n in ZOO if " -> " not in n and n not in ("embedding l1", "norms meet")])
def test_no_derivative_exceeds_lip(name):
    c, rng = case(name), np.random.default_rng(2)
    for region, label in labelled(name):
        bound = c.op.lip(region)
        if not bound.known or isinstance(region, lo.Cloud | lo.Simplex):
            continue
        for x in sample(c, region, rng, 4):
            slope = np.linalg.norm(c.op.derivative(x).to_dense(), 2)
            assert slope <= bound.value * (1 + SLACK) + 1e-12, label


@pytest.mark.parametrize("name", ZOO)
def test_dahlquist_bounds_inner_products(name):
    c, rng = case(name), np.random.default_rng(3)
    for region, label in labelled(name):
        bound = c.op.dahlquist(region)
        if not bound.known:
            continue
        lip = c.op.lip(region)
        assert bound.value <= lip.value * (1 + 1e-8), label
        for x, y in close_pairs(c, region, rng):
            h = x - y
            quotient = np.vdot(h, c.op(x) - c.op(y)) / np.vdot(h, h)
            assert quotient <= bound.value + SLACK * max(1.0, abs(bound.value)), label


@pytest.mark.parametrize("name", ZOO)
def test_no_pair_shrinks_more_than_expansion(name):
    c, rng = case(name), np.random.default_rng(4)
    for region, label in labelled(name):
        bound = c.op.expansion(region)
        assert bound.known
        assert bound.value >= 0, label
        for x, y in close_pairs(c, region, rng):
            ratio = norm(c.op(x) - c.op(y), c.op.codomain.norm) / norm(x - y, c.op.domain.norm)
            assert ratio >= bound.value * (1 - SLACK), label


@pytest.mark.parametrize("name", ZOO)
def test_smoothness_bounds_the_change_of_the_derivative(name):
    c, rng = case(name), np.random.default_rng(5)
    for region, label in labelled(name):
        bound = c.op.smoothness(region)
        if not bound.known or region.kind in ("cloud", "simplex"):
            continue
        points = sample(c, region, rng, 4)
        slopes = [c.op.derivative(x).to_dense() for x in points]
        for (x, A), (y, B) in combinations(zip(points, slopes, strict=True), 2):
            gap = norm(x - y)
            if gap > 1e-6 * norm(x):
                moved = float(np.linalg.norm(A - B, 2))
                rounding = 1e-13 * (1 + float(np.linalg.norm(A)))
                assert moved <= bound.value * gap * (1 + SLACK) + rounding, label


@pytest.mark.parametrize("name", ZOO)
def test_image_encloses_sampled_images(name):
    c, rng = case(name), np.random.default_rng(6)
    bounded = 0
    for region, label in labelled(name):
        image = c.op.image(region)
        bounded += not isinstance(image, lo.Everywhere)
        for x in sample(c, region, rng, 10):
            assert image.contains(c.op(x)), label
    assert bounded or name == "function", "no image was found at all"
