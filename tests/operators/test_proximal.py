"""Proximal maps: minimisers of their objectives, fixed points, local constants attained, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import lipop as lo
from lipop.core.space import norm
from lipop.errors import DomainError, NonFiniteError, ShapeError


@given(x=st.floats(-5, 5), t=st.floats(0, 3))
def test_soft_threshold_minimises_its_objective(x, t):
    y = float(lo.SoftThreshold(np.array([t]))(np.array([x]))[0])
    found = minimize_scalar(lambda z: 0.5 * (z - x) ** 2 + t * abs(z), bounds=(-6, 6), options={"xatol": 1e-12})
    assert abs(y - found.x) <= 1e-5
    assert 0.5 * (y - x) ** 2 + t * abs(y) <= found.fun + 1e-12


@given(seed=st.integers(0, 2**32 - 1), t=st.floats(0, 3))
def test_group_shrinkage_satisfies_the_optimality_condition(seed, t):
    """x - y is t y/|y|, or of norm at most t where y = 0: the subdifferential of t |.| (group by group)."""
    op = lo.GroupShrinkage(3, t, tokens=True)
    x = 2 * np.random.default_rng(seed).standard_normal((4, 3))
    for a, b in zip(x, op(x), strict=True):
        if b.any():
            np.testing.assert_allclose(a - b, t * b / norm(b), atol=1e-13)
        else:
            assert norm(a) <= t * (1 + 1e-15)


def test_fixed_points_are_the_minimisers():
    op = lo.SoftThreshold(np.array([1.0, 0.0]))
    assert op.fixed_points.contains(np.array([0.0, 7.0]))
    assert op.fixed_points.holds(np.array([0.0, 7.0]))
    assert not op.fixed_points.contains(np.array([0.1, 7.0]))
    low, high = op.fixed_points.distance(np.array([-3.0, 7.0]))
    assert low <= 3.0 <= high
    assert high - low < 1e-13
    group = lo.GroupShrinkage(2, 1.0)
    assert group.fixed_points.contains(np.zeros(2))
    assert not group.fixed_points.contains(np.full(2, 0.1))
    assert group.fixed_points.holds(np.zeros(2))
    assert not group.fixed_points.holds(np.full(2, 1e-300))
    assert lo.GroupShrinkage(2, 0.0).fixed_points.contains(np.full(2, 0.1))
    assert lo.SoftThreshold(np.zeros(2)).idempotent
    assert not op.idempotent


@pytest.mark.parametrize("s", [1.2, 2.0, 50.0])
def test_group_shrinkage_expands_by_one_minus_threshold_over_norm(s):
    """On a ball at norms of at least s, attained by the derivative at its point next to the origin."""
    op = lo.GroupShrinkage(3, 1.0)
    ball = lo.Ball(np.array([s + 0.1, 0.0, 0.0]), 0.1)
    bound = op.expansion(ball).value
    least = np.linalg.svd(op.derivative(np.array([s, 0.0, 0.0])).to_dense(), compute_uv=False)[-1]
    assert bound <= least * (1 + 1e-12)
    assert bound >= least * (1 - 1e-6) - 1e-9
    assert op.lip(ball).value == 1.0


def test_groups_inside_the_threshold_are_constant():
    op = lo.GroupShrinkage(2, 1.0, tokens=True)
    x = np.array([[0.3, 0.0], [0.0, 0.4]])
    assert op.lip(lo.TokenBall(x, 0.5, np.array([0.5, 0.5]))).value == 0.0
    assert op.lip(lo.TokenBall(x, 0.9, np.array([0.1, 0.9]))).value == 1.0
    assert op.lip(lo.Shell(0.0, 0.9)).value == 0.0
    assert lo.GroupShrinkage(2, 0.0).expansion().value == 1.0


@pytest.mark.parametrize("norm_name", ["l1", "linf"])
def test_soft_threshold_in_other_norms(norm_name):
    op, rng = lo.SoftThreshold(np.full(4, 0.5), norm_name), np.random.default_rng(1)
    assert op.lip().value == 1.0
    for x, y in 2 * rng.standard_normal((100, 2, 4)):
        assert norm(op(x) - op(y), norm_name) <= norm(x - y, norm_name) * (1 + 1e-14)
        reflected = 2 * (op(x) - op(y)) - (x - y)
        assert norm(reflected, norm_name) <= norm(x - y, norm_name) * (1 + 1e-14)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lo.SoftThreshold(np.array([-1.0])), DomainError, "at least 0"),
        (lambda: lo.SoftThreshold(np.array([np.inf])), NonFiniteError, "finite"),
        (lambda: lo.SoftThreshold(np.float64(1.0)), ShapeError, "array"),
        (lambda: lo.GroupShrinkage(0, 1.0), ShapeError, "width"),
        (lambda: lo.GroupShrinkage(2, np.nan), DomainError, "finite"),
    ],
)
def test_bad_thresholds_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
