"""Kolmogorov and Tikhomirov's count: the covers and the separated functions, built."""

import itertools
import math

import numpy as np
import pytest

from lipop.covering import LipschitzPaths


@pytest.mark.parametrize("eps", [0.2, 0.25, 0.3, 0.6])
def test_the_count_from_both_sides(eps):
    k = math.ceil(1 / eps)
    br = LipschitzPaths(0.5, 2.0).entropy(eps)
    assert br.lower.value <= math.log(2 ** (k - 1)) + 1e-12
    assert abs(br.upper.value - math.log(2 ** (k - 1))) < 1e-12
    assert br.upper.value - br.lower.value < 1e-12
    br.upper.check()
    br.lower.check()
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=k - 1)))
    t = np.linspace(0, 0.5, 401)
    nodes = np.append(np.minimum(np.arange(k) * eps / 2, 0.5), 0.5)
    heights = np.cumsum(np.hstack([np.zeros((len(signs), 2)), 2 * signs * np.diff(nodes)[1:]]), axis=1)
    cover = np.array([np.interp(t, nodes, h) for h in heights])
    rng = np.random.default_rng(1)
    for rough in (1, 7, 40):
        slopes = 2 * np.sign(rng.standard_normal((40, 400 // rough + 1))).repeat(rough, axis=1)[:, :400]
        for f in np.hstack([np.zeros((40, 1)), np.cumsum(slopes, axis=1) / 800]):
            assert np.abs(cover - f).max(axis=1).min() <= eps + 1e-12
    if k > 1:
        apart = np.cumsum(np.hstack([np.zeros((len(signs), 1)), signs * 2 * 0.5 / (k - 1)]), axis=1)
        assert all(np.abs(a - b).max() > 2 * eps for a, b in itertools.combinations(apart, 2))
