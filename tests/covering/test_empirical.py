"""Covering numbers of clouds against brute force over all choices of centres."""

import itertools
import math

import numpy as np
import pytest

from lipop.covering import empirical_cover
from lipop.errors import DomainError, NonFiniteError, ShapeError


def internal(points, eps):
    """The least number of balls around points of the cloud, by trying all choices."""
    D = np.linalg.norm(points[:, None] - points, axis=2)
    for k in range(1, len(points) + 1):
        if any((D[list(c)].min(axis=0) <= eps).all() for c in itertools.combinations(range(len(points)), k)):
            return k
    raise AssertionError


@pytest.mark.parametrize("seed", range(3))
def test_brackets_hold_the_exact_number(seed):
    points = np.random.default_rng(seed).standard_normal((9, 2))
    cloud = empirical_cover(points)
    for eps in (0.3, 0.8, 1.5):
        low, high = cloud.counts(eps)
        n = internal(points, eps)
        assert low <= n <= high
        assert high <= internal(points, eps / 2)  # a traversal is optimal up to a factor of two in the radius
        br = cloud.entropy(eps)
        br.lower.check()
        br.upper.check()
        assert br.lower.value <= math.log(n) <= br.upper.value


def swept(x, eps):
    """N(eps) of points on a line: balls from left to right."""
    n, reach = 0, -math.inf
    for v in np.sort(x):
        if v > reach:
            n, reach = n + 1, v + 2 * eps
    return n


def test_on_a_line_balls_may_have_any_centre():
    x = np.random.default_rng(4).uniform(0, 10, 60)
    cloud = empirical_cover(x[:, None])
    for eps in (0.1, 0.5, 2.0):
        low, high = cloud.counts(eps)
        assert low <= swept(x, eps) <= high


def test_dimensions_of_a_segment_and_a_square():
    line = np.zeros((400, 5))
    line[:, 2] = np.linspace(0, 1, 400)
    low, high = empirical_cover(line).dimension(0.01, 0.2)
    true = math.log(swept(line[:, 2], 0.01) / swept(line[:, 2], 0.2)) / math.log(20)
    assert 0.5 < low <= true <= high < 1.6
    axis = np.linspace(0, 1, 24)
    square = empirical_cover(np.array(list(itertools.product(axis, axis))))
    assert square.dimension(0.06, 0.4)[0] > 1  # more than any curve's
    curve = empirical_cover(line, 50).curve()
    assert (np.diff(curve[:, 0]) <= 0).all()
    assert (curve[:, 1] <= curve[:, 2]).all()


def test_bad_clouds_and_scales():
    with pytest.raises(NonFiniteError, match=r"points\[1, 0\] is nan"):
        empirical_cover(np.array([[0.0], [math.nan]]))
    with pytest.raises(ShapeError, match="shape"):
        empirical_cover(np.zeros(3))
    for centers in (0, 4, 1.5):
        with pytest.raises(DomainError, match="centers"):
            empirical_cover(np.zeros((3, 1)), centers)
    cloud = empirical_cover(np.zeros((3, 1)))
    assert cloud.counts(0.1) == (1, 1)
    for eps in (0.0, -1.0, math.nan):
        with pytest.raises(DomainError, match="radius"):
            cloud.entropy(eps)
    with pytest.raises(DomainError, match="coarse"):
        cloud.dimension(0.2, 0.1)
