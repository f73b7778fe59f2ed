"""Softmax: products against PyTorch, constants attained, local rules attacked, probability ranges in 200-bit balls."""

import itertools
import math

import flint
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.core.rounding import workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.softmax import CONSTANTS, probability_range


def jacobian(x, t=1.0):
    p = np.exp((x - x.max()) / t)
    p /= p.sum()
    a = -np.outer(p, p)
    np.fill_diagonal(a, 0.0)
    return (a - np.diag(a.sum(axis=1))) / t  # rows sum to zero; no cancellation where p is close to one


def operator_norm(a, pair):
    """The norm of a small matrix between l1, l2 and linf, by extreme points."""
    if pair == ("l2", "l2"):
        return np.linalg.norm(a, 2)
    n = a.shape[1]
    points = np.eye(n) if pair[0] == "l1" else np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
    images = np.abs(points @ a.T)
    return (images.sum(axis=1) if pair[1] == "l1" else images.max(axis=1)).max()


def in_balls(x, t):
    with workprec(200):
        e = [(flint.arb(float(a)) / flint.arb(t)).exp() for a in x]
        return [a / sum(e) for a in e]


def test_values_and_products_are_those_of_pytorch():
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    T = lo.Softmax(5, temperature=0.7, tokens=True)
    value, jvp = torch.func.jvp(lambda z: torch.softmax(z / 0.7, -1), (torch.tensor(x),), (torch.tensor(h),))
    np.testing.assert_allclose(T(x), value.numpy(), atol=1e-15)
    np.testing.assert_allclose(T.derivative(x).matvec(h), jvp.numpy(), atol=1e-15)
    np.testing.assert_allclose(T.derivative(x).rmatvec(h), jvp.numpy(), atol=1e-15)  # symmetric
    assert T(x.astype(np.float32)).dtype == np.float32


@given(seed=st.integers(0, 2**32 - 1))
def test_enclosures_hold_in_200_bits(seed):
    rng = np.random.default_rng(seed)
    n, t = int(rng.integers(1, 8)), float(10.0 ** rng.uniform(-2, 1))
    x = rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 2)
    y = lo.Softmax(n, t).enclose(Enclosed.exact(x))
    wide = rng.random(n) * 0.3
    low, high = probability_range((x - wide)[None], (x + wide)[None], t)
    moved = x + rng.uniform(-1, 1, n) * wide
    with workprec(200):
        for i, (p, q) in enumerate(zip(in_balls(x, t), in_balls(moved, t), strict=True)):
            assert abs(p - flint.arb(float(y.mid[i]))) <= flint.arb(float(y.radius[i]))
            assert not q < flint.arb(float(low[0, i]))  # certainly below; a ball may touch the end one
            assert not q > flint.arb(float(high[0, i]))


@pytest.mark.parametrize("pair", [p for p in CONSTANTS if "2inf" not in p])
def test_the_global_constants_are_approached(pair):
    t = 0.5
    T = lo.Softmax(4, t, norm_in=pair[0], norm_out=pair[1])
    a = operator_norm(jacobian(np.array([0.0, 0.0, -60.0, -60.0]), t), pair)
    assert T.lip().value == pytest.approx(a, rel=1e-6)
    assert T.lip().value == CONSTANTS[pair] / t
    assert T.lip().status == "PROVED"
    T.lip().check()
    rng = np.random.default_rng(1)
    for x in 2 * rng.standard_normal((50, 4)):
        local = T.lip(lo.Ball(x, 0.0)).value
        assert operator_norm(jacobian(x, t), pair) * (1 - 1e-12) <= local <= T.lip().value
        for region in (lo.Ball(x, 0.4, pair[0]), lo.Box(x - 0.3, x + 0.5)):
            bound = T.lip(region).value
            for y in region.sample(rng, 20):
                assert operator_norm(jacobian(y, t), pair) <= bound * (1 + 1e-12)


def test_at_a_point_the_norm_is_exact():
    rng = np.random.default_rng(2)
    cases = [np.zeros(2), np.zeros(5), np.array([3.0, 3.0, 0.0]), np.array([50.0, 0.0]), np.array([-800.0, 0.0, 1.0])]
    for x in [*cases, *(3 * rng.standard_normal((60, 6)))]:
        bound = lo.Softmax(len(x), 0.8).lip(lo.Ball(x, 0.0))
        truth = np.linalg.norm(jacobian(x, 0.8), 2)
        assert truth * (1 - 1e-12) <= bound.value <= truth * (1 + 1e-6)
        bound.check()
    assert lo.Softmax(2).lip(lo.Ball(np.zeros(2), 0.0)).value == pytest.approx(0.5, rel=1e-8)


def test_local_bounds_survive_attacks():
    rng = np.random.default_rng(3)
    for _ in range(15):
        n = int(rng.integers(2, 6))
        t = float(rng.uniform(0.3, 2))
        T, x, radius = lo.Softmax(n, t), 3 * rng.standard_normal(n), float(10.0 ** rng.uniform(-2, 0.5))
        for region in (lo.Ball(x, radius), lo.Ball(x, radius, "linf"), lo.Box(x - radius * rng.random(n), x + radius)):
            y, best, width = x, 0.0, radius
            for _ in range(120):
                z = y + width * rng.standard_normal(n)
                if isinstance(region, lo.Box):
                    z = np.clip(z, region.low, region.high)
                else:
                    size = np.linalg.norm(z - x, 2 if region.norm == "l2" else np.inf)
                    z = x + (z - x) * min(1.0, radius / size)
                value = np.linalg.norm(jacobian(z, t), 2)
                best, y, width = (value, z, width * 1.3) if value > best else (best, y, width * 0.93)
            assert best <= T.lip(region).value <= T.lip().value
        J = T.derivative(x).to_dense()
        dev = T.linearize(lo.Ball(x, radius)).deviation.norm().value
        assert all(np.linalg.norm(jacobian(p, t) - J, 2) <= dev for p in lo.Ball(x, radius).sample(rng, 100))


def test_the_log_odds_rule_is_attained():
    """The ball moves one log-odds by sqrt(2) r: two logits, in opposite directions."""
    r = 0.4
    low, high = probability_range(np.zeros((1, 2)), np.zeros((1, 2)), 1.0, np.array([math.sqrt(2) * r]))
    p = lo.Softmax(2)(np.array([r, -r]) / math.sqrt(2))
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [p[1], p[0]], rtol=1e-12)
    x = np.array([4.0, 0.0])
    near = jacobian(x + 0.5 * np.array([-1.0, 1.0]) / math.sqrt(2))
    assert lo.Softmax(2).lip(lo.Ball(x, 0.5)).value == pytest.approx(np.linalg.norm(near, 2), rel=1e-6)


def test_the_curvature_is_attained():
    p = (1 + 1 / math.sqrt(3)) / 2
    x, h = np.array([math.log(p / (1 - p)), 0.0]) * 0.5, np.array([1.0, -1.0]) / math.sqrt(2)
    slope = np.linalg.norm(jacobian(x + 1e-4 * h, 0.5) - jacobian(x - 1e-4 * h, 0.5), 2) / 2e-4
    assert lo.Softmax(2, 0.5).smoothness().value == pytest.approx(slope, rel=1e-6)
    assert lo.Softmax(2, 0.5).smoothness().value >= math.sqrt(6) / 9 / 0.25
    assert lo.Softmax(2).expansion().value == 0.0  # constants are in the kernel
    assert lo.Softmax(2).dahlquist().value == 0.5


@pytest.mark.parametrize("norm", ["l2", "2inf"])
def test_tokens_take_the_worst_token(norm):
    rng = np.random.default_rng(4)
    x = 3 * rng.standard_normal((3, 4))
    T = lo.Softmax(4, 1.0, tokens=True, norm_in=norm, norm_out=norm)
    radii = np.array([0.1, 0.2, 0.0])
    each = [lo.Softmax(4).lip(lo.Ball(x[i], radii[i])).value for i in range(3)]
    assert T.lip(lo.TokenBall(x, 1.0, radii)).value == pytest.approx(max(each), rel=1e-8)
    T.lip(lo.TokenBall(x, 1.0, radii)).check()


def test_one_logit_is_a_constant():
    T = lo.Softmax(1)
    assert T(np.array([3.0])).tolist() == [1.0]
    assert T.lip().value == T.smoothness().value == 0.0


def test_bad_input_is_refused():
    for n in (0, -1, 2.5, True):
        with pytest.raises(ShapeError, match="length"):
            lo.Softmax(n)
    for t in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DomainError, match="temperature"):
            lo.Softmax(3, t)
    with pytest.raises(DomainError, match="from l2 to l1"):
        lo.Softmax(3, norm_out="l1")
    with pytest.raises(NonFiniteError):
        lo.Softmax(2).derivative(np.array([0.0, -np.inf]))
