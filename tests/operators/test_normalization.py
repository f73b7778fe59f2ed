"""RMSNorm and LayerNorm: products against PyTorch, constants attacked and attained, enclosures in 200-bit balls."""

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
from lipop.errors import DomainError, NonFiniteError, RegionError, ShapeError
from lipop.operators.secular import secular_norm
from lipop.operators.token_reach import least_spread

KINDS = ("rms", "layer")


def make(kind, g, eps, **kw):
    return lo.RMSNorm(g, eps, **kw) if kind == "rms" else lo.LayerNorm(g, None, eps, **kw)


def center(kind, x):
    return x - x.mean(axis=-1, keepdims=True) if kind == "layer" else x


def jacobian(op, x):
    """The derivative at x in float64, from the definition (not from the operator)."""
    g, d = np.asarray(op.gamma, dtype=np.float64), x.size
    p = np.eye(d) - (np.ones((d, d)) / d if op.centred else 0.0)
    y = p @ x
    s = math.sqrt(y @ y / d + op.eps)
    return g[:, None] * (p - np.outer(y, y) / (d * s * s)) / s


def in_balls(kind, g, eps, x):
    """T(x) and |DT(x) v| / |v| for the top right vector v, in 200-bit arithmetic."""
    with workprec(200):
        d = len(x)
        y = [flint.arb(float(a)) for a in x]
        mean = sum(y) / d if kind == "layer" else flint.arb(0)
        y = [a - mean for a in y]
        s = (sum(a * a for a in y) / d + flint.arb(eps)).sqrt()
        value = [flint.arb(float(b)) * a / s for a, b in zip(y, g, strict=True)]
        v = np.linalg.svd(jacobian(make(kind, g, eps), x))[2][0]
        h = [flint.arb(float(a)) for a in v]
        size = sum(a * a for a in h).sqrt()
        shift = sum(h) / d if kind == "layer" else flint.arb(0)
        dot = sum(a * b for a, b in zip(y, h, strict=True)) / (d * s * s)
        image = [flint.arb(float(c)) * (b - shift - a * dot) / s for a, b, c in zip(y, h, g, strict=True)]
        return value, sum(a * a for a in image).sqrt() / size


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_products_are_those_of_pytorch(kind):
    rng = np.random.default_rng(0)
    g, b, x, h = (rng.standard_normal(s) for s in (6, 6, (3, 6), (3, 6)))
    op = lo.RMSNorm(g, 1e-3, tokens=True) if kind == "rms" else lo.LayerNorm(g, b, 1e-3, tokens=True)

    def reference(z):
        weight = torch.tensor(g)
        if kind == "rms":
            return torch.nn.functional.rms_norm(z, (6,), weight, 1e-3)
        return torch.nn.functional.layer_norm(z, (6,), weight, torch.tensor(b), 1e-3)

    value, jvp = torch.func.jvp(reference, (torch.tensor(x),), (torch.tensor(h),))
    (vjp,) = torch.func.vjp(reference, torch.tensor(x))[1](torch.tensor(h))
    J = op.derivative(x)
    np.testing.assert_allclose(op(x), value.numpy(), atol=1e-14)
    np.testing.assert_allclose(J.matvec(h), jvp.numpy(), atol=1e-13)
    np.testing.assert_allclose(J.rmatvec(h), vjp.numpy(), atol=1e-13)
    assert op(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(op(x.astype(np.float32)), value.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_enclosures_and_point_norms_hold_in_200_bits(kind, seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    eps = float(10.0 ** rng.uniform(-13, 1))
    g = rng.standard_normal(d) * 10.0 ** rng.uniform(-8, 8, d)
    x = rng.standard_normal(d) * 10.0 ** rng.uniform(-7, 3) + rng.choice([0.0, 100.0])
    op = make(kind, g, eps)
    value, norm = in_balls(kind, g, eps, x)
    y = op.enclose(Enclosed.exact(x))
    with workprec(200):
        for i in range(d):
            assert abs(value[i] - flint.arb(float(y.mid[i]))) <= flint.arb(float(y.radius[i]))
    up = op.point_norms(Enclosed.exact(x[None]))[0]
    assert flint.arb(float(up)) >= norm
    dev = op.linearize(lo.Ball(x, 0.0)).deviation.norm().value
    assert dev + np.linalg.norm(op.derivative(x).to_dense(), 2) * (1 + 1e-12) >= float(norm.lower())


@given(seed=st.integers(0, 2**32 - 1), centred=st.booleans())
def test_the_secular_norm_is_the_largest_singular_value(seed, centred):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 12))
    g = rng.choice([rng.standard_normal(d), rng.choice([-2.0, 1.0, 2.0], d), 10.0 ** rng.uniform(-8, 8, d)])
    g[0] = g[0] or 1.0
    p = np.eye(d) - (np.ones((d, d)) / d if centred else 0)
    u = p @ rng.standard_normal(d)
    c = rng.uniform(0, 0.999)
    q = math.sqrt(c * d) * u / np.linalg.norm(u)
    root = np.diag(g) @ (p - (1 - math.sqrt(1 - c)) * np.outer(u, u) / (u @ u))
    truth = np.linalg.norm(root, 2)
    got = secular_norm(g, Enclosed.exact(q[None]), centred)[0]
    assert truth * (1 - 1e-12) <= got <= truth + 1e-6 * np.abs(g).max()


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_constant_is_attained(kind):
    g = np.array([0.3, -1.7, 1.1, 0.2])
    op = make(kind, g, 0.04)
    top = np.linalg.norm(jacobian(op, np.full(4, 0.0 if kind == "rms" else 3.0)), 2)
    assert op.lip().value == pytest.approx(top, rel=1e-6)
    assert op.lip().value >= top
    op.lip().check()
    if kind == "layer":
        assert op.lip().value < 0.99 * 1.7 / 0.2  # |G P|, not max|g|


def test_a_shell_bounds_pairs_across_the_hole_and_is_attained():
    rng = np.random.default_rng(1)
    g = np.array([0.5, -2.0, 1.0])
    op = lo.RMSNorm(g, 0.1)
    shell = lo.Shell(1.5, 4.0)
    bound = op.lip(shell).value
    assert bound == pytest.approx(2.0 / math.sqrt(1.5**2 / 3 + 0.1), rel=1e-6)
    x = np.array([1.5, 0.0, 0.0])  # perpendicular to e_2
    assert bound >= np.linalg.norm(op.derivative(x).matvec(np.array([0.0, 1.0, 0.0]))) >= bound * (1 - 1e-6)
    pairs = shell.points(rng, 4000, (2, 3))
    pairs[::2, 1] = -pairs[::2, 0] * rng.uniform(0.5, 1, (2000, 1))
    pairs[:, 1] *= (
        np.clip(np.linalg.norm(pairs[:, 1], axis=1), 1.5, 4)[:, None] / np.linalg.norm(pairs[:, 1], axis=1)[:, None]
    )
    ratio = np.linalg.norm(op(pairs[:, 0]) - op(pairs[:, 1]), axis=1) / np.linalg.norm(
        pairs[:, 0] - pairs[:, 1], axis=1
    )
    assert ratio.max() <= bound
    line = lo.RMSNorm(np.array([3.0]), 0.1)
    opposite = abs(line(np.array([1.5])) - line(np.array([-1.5])))[0] / 3.0
    assert line.lip(lo.Shell(1.5)).value == pytest.approx(opposite, rel=1e-6)
    assert line.lip(lo.Box(np.array([1.5]), np.array([9.0]))).value == pytest.approx(3 * 0.1 / 2.35**1.5, rel=1e-6)
    assert lo.LayerNorm(g, None, 0.1).lip(shell).value == lo.LayerNorm(g, None, 0.1).lip().value


def climb(op, region, x, rng, steps=150):
    """(1+1) evolution of |DT| inside the region; the largest value met."""
    best, width = np.linalg.norm(jacobian(op, x), 2), 0.3
    for _ in range(steps):
        y = x + width * rng.standard_normal(x.shape)
        if isinstance(region, lo.Ball):
            off = y - region.center
            y = region.center + off * min(1.0, region.radius / np.linalg.norm(off))
        else:
            y = np.clip(y, region.low, region.high)
        value = np.linalg.norm(jacobian(op, y), 2)
        width *= 1.3 if value > best else 0.93
        if value > best:
            best, x = value, y
    return best


@pytest.mark.parametrize("kind", KINDS)
def test_local_bounds_survive_attacks(kind):
    rng = np.random.default_rng(2)
    for _ in range(12):
        d = int(rng.integers(2, 6))
        op = make(kind, rng.standard_normal(d), float(10.0 ** rng.uniform(-3, 0)))
        x = 2 * rng.standard_normal(d)
        radius = float(10.0 ** rng.uniform(-2, 0.5))
        box = lo.Box(x - radius * rng.random(d), x + radius * rng.random(d))
        for region in (lo.Ball(x, radius), box):
            assert climb(op, region, x, rng) <= op.lip(region).value
        J, dev = op.derivative(x).to_dense(), op.linearize(lo.Ball(x, radius)).deviation.norm().value
        points = lo.Ball(x, radius).sample(rng, 100)
        assert max(np.linalg.norm(jacobian(op, p) - J, 2) for p in points) <= dev
        smooth = op.smoothness(lo.Ball(x, radius)).value
        gaps = [np.linalg.norm(jacobian(op, p) - J, 2) / np.linalg.norm(p - x) for p in points]
        assert max(gaps) <= smooth * (1 + 1e-6)
        at = op.lip(lo.Ball(x, 0.0))
        assert at.value == pytest.approx(np.linalg.norm(J, 2), rel=1e-6, abs=1e-7 * op.lip().value)
        at.check()


def test_the_ball_rule_is_attained_for_a_constant_gain():
    op = lo.RMSNorm(np.full(3, 1.5), 0.2)
    bound = op.lip(lo.Ball(np.array([2.0, 0.0, 0.0]), 1.2)).value
    nearest = np.array([0.8, 0.0, 0.0])
    assert bound == pytest.approx(np.linalg.norm(jacobian(op, nearest), 2), rel=1e-6)
    assert bound == pytest.approx(1.5 / math.sqrt(0.8**2 / 3 + 0.2), rel=1e-6)


@pytest.mark.parametrize("branch", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_each_branch_of_the_curvature_is_attained(kind, branch):
    d, eps, h = 3, 0.3, 1e-4
    e = d * eps
    r = [0.2, 0.6, 1.1][branch] * math.sqrt(e)
    assert (r <= math.sqrt(e) / 2, math.sqrt(e) / 2 <= r <= math.sqrt(e / 2), r >= math.sqrt(e / 2))[branch]
    op = make(kind, np.ones(d), eps)
    along, across = np.array([1.0, -1.0, 0.0]) / math.sqrt(2), np.array([1.0, 1.0, -2.0]) / math.sqrt(6)
    t = max(r, math.sqrt(e) / 2)
    c = 1.0 if branch < 2 else 1 / math.sqrt(3 * t * t / (t * t + e))
    v = c * along + math.sqrt(1 - c * c) * across
    slope = np.linalg.norm(jacobian(op, t * along + h * v) - jacobian(op, t * along - h * v), 2) / (2 * h)
    region = lo.Ball((r + 0.5) * along, 0.5)
    assert op.smoothness(region).value == pytest.approx(slope, rel=1e-6)
    assert op.smoothness().value >= op.smoothness(region).value
    assert op.smoothness(lo.Shell(1.0)).value == op.smoothness().value


def test_the_expansion_is_attained_in_the_radial_direction():
    op = lo.RMSNorm(np.ones(4), 0.5)
    bound = op.expansion(lo.Ball(np.zeros(4), 2.0)).value
    x = np.array([2.0, 0.0, 0.0, 0.0])
    assert bound == pytest.approx(np.linalg.svd(jacobian(op, x), compute_uv=False)[-1], rel=1e-6)
    assert op.expansion(lo.Shell(1.0, 2.0)).value == bound
    assert op.expansion().value == 0.0 == lo.LayerNorm(np.ones(4)).expansion(lo.Shell(0.0, 2.0)).value
    assert lo.RMSNorm(-np.ones(4), 0.5).dahlquist().value <= 0.0 < op.dahlquist().value


@pytest.mark.parametrize("kind", KINDS)
def test_the_core_deviation_holds_with_a_small_eps(kind):
    rng = np.random.default_rng(3)
    d, eps = 48, 1e-12
    op = make(kind, rng.standard_normal(d), eps, tokens=True)
    unit = make(kind, np.ones(d), eps)
    x = rng.standard_normal((4, d)) * np.array([[1.0], [0.1], [1e-5], [1e-7]])
    radius = np.array([1e-3, 1e-1, 1e-6, 1e-5])
    wide = Enclosed(x, np.full((4, 1), 1e-12))
    dev = op.core_deviation(wide, radius)
    for i in range(4):
        base = jacobian(unit, x[i] + rng.uniform(-1e-12, 1e-12, d))
        for way in range(30):
            off = rng.standard_normal(d) if way else -x[i]
            off = center(kind, off)
            moved = x[i] + radius[i] * off / np.linalg.norm(off)
            assert np.linalg.norm(jacobian(unit, moved) - base, 2) <= dev[i] * (1 + 1e-9)
    u, inv_s = op.factors(wide)
    y = center(kind, x)
    s = np.sqrt((y * y).mean(axis=1, keepdims=True) + eps)
    assert u.contains(y / s)
    assert inv_s.contains(1 / s)
    assert (op.core_deviation(wide, np.zeros(4)) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["l2", "2inf"])
def test_tokens_take_the_worst_token(kind, norm):
    rng = np.random.default_rng(4)
    g = rng.standard_normal(4)
    op, single = make(kind, g, 1e-2, tokens=True, norm=norm), make(kind, g, 1e-2)
    x = rng.standard_normal((3, 4)) * np.array([[1.0], [3.0], [0.2]])
    radii = np.array([0.5, 0.1, 0.05])
    ball = lo.TokenBall(x, 10.0, radii)
    each = [single.lip(lo.Ball(x[i], radii[i])).value for i in range(3)]
    assert op.lip(ball).value == pytest.approx(max(each), rel=1e-7)
    regions = [ball, lo.Ball(x, 0.3), lo.Ball(x, 0.3, "2inf"), lo.Ball(x, 0.1, "linf"), lo.Box(x - 0.1, x + 0.2)]
    for region in regions:
        bound = op.lip(region)
        bound.check()
        p, q = (region.sample(rng, 200) for _ in range(2))
        size = (
            (lambda z: np.sqrt((z * z).sum(axis=(1, 2))))
            if norm == "l2"
            else lambda z: np.sqrt((z * z).sum(axis=2)).max(axis=1)
        )
        assert (size(op(p) - op(q)) <= bound.value * size(p - q)).all()
    cloud = lo.Cloud(lo.Ball(x, 0.3).sample(rng, 5))
    assert max(op.lip(lo.Ball(p, 0.0)).value for p in cloud.points) <= op.lip(cloud).value


def test_the_least_spread_of_a_box_is_its_minimum():
    rng = np.random.default_rng(5)
    low = rng.standard_normal((20, 5))
    high = low + rng.random((20, 5)) * rng.choice([0.1, 1.0, 3.0], (20, 1))
    got = least_spread(low, high)
    for i in range(20):
        grid = np.linspace(low[i].min(), high[i].max(), 20001)[:, None]
        points = np.clip(grid, low[i], high[i])  # the box's nearest point to every constant
        best = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=1).min()
        assert best * (1 - 1e-3) - 1e-4 <= got[i] <= best
    x = rng.uniform(low, high, (500, 20, 5))
    assert (np.linalg.norm(x - x.mean(axis=2, keepdims=True), axis=2) >= got).all()


def test_huge_and_tiny_points_do_not_overflow():
    for kind in KINDS:
        op = make(kind, np.array([1.0, 2.0, 3.0]), 1e-5)
        for size in (1e-200, 1e160):
            bound = op.lip(lo.Ball(size * np.array([1.0, -1.0, 0.5]), 0.0)).value
            assert 0 < bound <= op.lip().value


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match="gain of RMSNorm"):
        lo.RMSNorm(np.ones((2, 2)), 1e-5)
    with pytest.raises(ShapeError, match="offset"):
        lo.LayerNorm(np.ones(3), np.ones(4))
    for eps in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(DomainError, match="eps"):
            lo.RMSNorm(np.ones(3), eps)
    with pytest.raises(NonFiniteError, match="nan"):
        lo.LayerNorm(np.array([1.0, np.nan]))
    with pytest.raises(DomainError, match="2inf"):
        lo.RMSNorm(np.ones(3), 1e-5, norm="2inf")
    with pytest.raises(RegionError):
        lo.RMSNorm(np.ones(3), 1e-5).lip(lo.Ball(np.ones(4), 1.0))
