"""Activations against torch and ball arithmetic: values, ranges, critical points, constants, attacks."""

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
from lipop.errors import DomainError, LipopError
from lipop.operators import activation_rules as rule
from lipop.operators.activation import coordinate_intervals
from lipop.operators.activation_formulas import NAMES, PIECES, SMOOTH

PARAM = {"leaky_relu": 0.1, "elu": 0.7}
ALL = [(name, PARAM.get(name)) for name in NAMES] + [("elu", 1.0), ("leaky_relu", -0.5)]
TORCH = {
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=1e9),
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))),
    "hardswish": torch.nn.functional.hardswish,
    "squared_relu": lambda x: torch.relu(x) ** 2,
}
# sup f', inf f', sup |f''|, to fifteen digits, from an independent computation
TABLE = {
    "relu": (1, 0, math.inf),
    "gelu": (1.12890414518515, -0.128904145185155, 0.797884560802865),
    "gelu_tanh": (1.12899306865877, -0.128993068658772, 0.797884560802865),
    "silu": (1.09983932012887, -0.0998393201288669, 0.5),
    "quick_gelu": (1.09983932012887, -0.0998393201288669, 0.851),
    "sigmoid": (0.25, 0, 0.0962250448649376),
    "tanh": (1, 0, 0.769800358919501),
    "softplus": (1, 0, 0.25),
    "mish": (1.08849816125173, -0.112526122389463, 0.644204637236972),
    "hardswish": (1.5, -0.5, math.inf),
    "squared_relu": (math.inf, 0, 2),
}
MINIMA = {
    "silu": -0.278464542761074,
    "gelu": -0.169971207479904,
    "gelu_tanh": -0.170040750571254,
    "mish": -0.308843413017250,
    "hardswish": -0.375,
}


@pytest.fixture(autouse=True)
def _series_length():
    before = flint.ctx.cap
    yield
    flint.ctx.cap = before


def smooth_in(x, name, k):
    """f, f', f'', ... to order k of a smooth activation on a ball, by power series, mostly in other forms than ours."""
    arb = flint.arb
    flint.ctx.cap = k + 1
    s = flint.arb_series([x, 1], prec=k + 1)

    def logistic(y):
        return y.exp() / (1 + y.exp()) if float(x) < 0 else 1 / (1 + (-y).exp())

    if name == "gelu":
        y = s * (-s / arb(2).sqrt()).erfc() / 2
    elif name == "gelu_tanh":
        y = s * logistic((8 / arb.pi()).sqrt() * (s + arb(0.044715) * s * s * s))
    elif name == "quick_gelu":
        y = s * logistic(arb(1.702) * s)
    elif name == "silu":
        y = s * logistic(s)
    elif name == "sigmoid":
        y = logistic(s)
    elif name == "tanh":
        y = 2 * logistic(2 * s) - 1
    elif name == "softplus":
        y = logistic(s).integral() + (1 + x.exp()).log()
    elif float(x) < 0:
        n = s.exp() * (s.exp() + 2)
        y = s * n / (n + 2)
    else:
        t = (-s).exp()
        y = s - 2 * s * t * t / (1 + 2 * t + 2 * t * t)
    c = y.coeffs()
    return [(c[i] if i < len(c) else arb(0)) * math.factorial(i) for i in range(k + 1)]


def piece_at(x, name, level, param):
    """The same for a piecewise activation away from its kinks."""
    arb = flint.arb
    x = arb(x)
    if name in ("relu", "leaky_relu"):
        slope = arb(param or 0.0) if x < 0 else arb(1)
        return (slope * x, slope, arb(0), arb(0))[level]
    if name == "elu":
        return (x, arb(1), arb(0), arb(0))[level] if x > 0 else param * (x.exp() - (1 if level == 0 else 0))
    if name == "squared_relu":
        return (x * x, 2 * x, arb(2), arb(0))[level] if x > 0 else arb(0)
    if x < -3:
        return arb(0)
    if x > 3:
        return (x, arb(1), arb(0), arb(0))[level]
    return (x * (x + 3) / 6, x / 3 + arb(1) / 2, arb(1) / 3, arb(0))[level]


def reference(x, name, level, param):
    return smooth_in(flint.arb(x), name, level)[level] if name in SMOOTH else piece_at(x, name, level, param)


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "param"), ALL)
def test_values_and_derivatives_agree_with_torch(name, param):
    x = np.random.default_rng(0).uniform(-8, 8, 400)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    if name == "leaky_relu":
        y = torch.nn.functional.leaky_relu(t, param)
    elif name == "elu":
        y = torch.nn.functional.elu(t, param)
    else:
        y = TORCH[name](t)
    (g,) = torch.autograd.grad(y.sum(), t, create_graph=True)
    f = lo.operators.Activation(400, name, param)
    np.testing.assert_allclose(f(x), y.detach().numpy(), atol=1e-10)
    v = np.random.default_rng(1).standard_normal(400)
    J = f.derivative(x)
    np.testing.assert_allclose(J.matvec(v), g.detach().numpy() * v, atol=1e-10)
    assert abs(J.matvec(v) @ v[::-1] - v @ J.rmatvec(v[::-1])) < 1e-12


@pytest.mark.parametrize(("name", "param"), ALL)
def test_all_levels_agree_with_ball_arithmetic(name, param):
    x = np.random.default_rng(2).uniform(-9, 9, 60)
    with workprec(200):
        for level in range(4):
            ours = rule.evaluate(name, level, x, param)
            true = np.array([float(reference(float(p), name, level, param)) for p in x])
            np.testing.assert_allclose(ours, true, atol=2e-14, rtol=1e-12)


@pytest.mark.parametrize(("name", "param"), ALL)
def test_extreme_arguments_stay_finite_and_dtypes_stay(name, param):
    x = np.array([-1e30, -800.0, -0.0, 0.0, 800.0, 1e30])
    for level in range(1, 4):
        assert np.isfinite(rule.evaluate(name, level, x, param)).all()
    y = lo.operators.Activation(6, name, param)(x.astype(np.float32))
    assert y.dtype == np.float32
    assert not np.isnan(y).any()


# ---- critical points ---------------------------------------------------------------------------------------------


def _one_sign(name, k, low, high, depth=0):
    """Whether derivative k keeps one strict sign on [low, high], by subdivision in ball arithmetic."""
    middle, half = (low + high) / 2, (high - low) / 2 * (1 + 1e-9)
    try:
        value = smooth_in(flint.arb(middle, half), name, k)[k]
    except ValueError:  # the ball is so wide that a denominator contains zero
        value = flint.arb("nan")
    if value > 0 or value < 0:
        return {bool(value > 0)}
    if depth > 24:
        return {True, False}
    found = set()
    for a, b in ((low, middle), (middle, high)):
        found |= _one_sign(name, k, a, b, depth + 1)
        if len(found) > 1:
            break
    return found


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_no_critical_point_is_missing(name):
    with workprec(120):
        for level in range(4):
            edges = [-10.0]
            for root in SMOOTH[name].roots[level]:
                edges += [root - 2e-5, root + 2e-5]
            edges.append(10.0)
            for low, high in zip(edges[::2], edges[1::2], strict=True):
                assert len(_one_sign(name, level + 1, low, high)) == 1, (level, low, high)
            for side in (-1, 1):
                far = [smooth_in(flint.arb(side * x), name, level + 1)[level + 1] > 0 for x in range(10, 40)]
                assert len(set(far)) == 1


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_critical_values_are_one_ulp_wide(name):
    with workprec(200):
        for level in range(4):
            for low, high, least, greatest in rule.specials(name, level):
                assert high - low <= 2 * np.spacing(max(abs(low), abs(high)))
                assert greatest - least <= 2 * np.spacing(max(abs(least), abs(greatest)))
                value = smooth_in((flint.arb(low) + flint.arb(high)) / 2, name, level)[level]
                assert least - 1e-15 <= float(value) <= greatest + 1e-15


@pytest.mark.parametrize("name", sorted(TABLE))
def test_global_constants(name):
    sup, inf, curvature = TABLE[name]
    least, greatest = rule.slope_range(name, -np.inf, np.inf)
    assert float(greatest) == pytest.approx(sup, rel=1e-13, abs=1e-290)
    assert float(least) == pytest.approx(inf, rel=1e-13, abs=1e-290)
    bound = lo.operators.Activation(3, name).smoothness()
    assert bound.value == pytest.approx(curvature, rel=1e-8)
    if name in MINIMA:
        assert float(rule.value_range(name, -np.inf, np.inf)[0]) == pytest.approx(MINIMA[name], rel=1e-13)


# ---- ranges ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "param"), ALL)
def test_ranges_hold_in_ball_arithmetic_and_are_tight(name, param):
    rng = np.random.default_rng(3)
    low = rng.uniform(-7, 7, 200)
    high = low + 10.0 ** rng.uniform(-8, 0.8, 200)
    steps = np.linspace(0, 1, 9)
    with workprec(200):
        for level in range(4):
            least, greatest = rule.level_range(name, level, low, high, param)
            for a, b, m, M in zip(low, high, least, greatest, strict=True):
                for p in np.clip(a + steps * (b - a), a, b):
                    if name in PIECES and p in PIECES[name].kinks:
                        continue
                    value = reference(float(p), name, level, param)
                    assert value >= m
                    assert value <= M
            fine = low + np.linspace(0, 1, 4001)[:, None] * (high - low)
            values = rule.evaluate(name, level, fine, param)
            finite = np.isfinite(least) & np.isfinite(greatest)
            if name in SMOOTH:
                assert finite.all()
                assert (greatest - values.max(axis=0) <= 1e-5).all()
                assert (values.min(axis=0) - least <= 1e-5).all()
            elif level <= 1:
                slack = 1e-12 + 3 * (high - low) / 4000
                assert (greatest - values.max(axis=0) <= slack)[finite].all()


def test_ranges_of_large_arrays_equal_those_of_single_intervals():
    rng = np.random.default_rng(4)
    low = rng.normal(size=(40, 500))
    high = low + 0.3
    least, greatest = rule.slope_range("mish", low, high)
    for i, j in ((0, 0), (17, 250), (39, 499)):
        a, b = rule.slope_range("mish", low[i, j], high[i, j])
        assert (float(a), float(b)) == (least[i, j], greatest[i, j])


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from(ALL), st.integers(0, 3))
def test_ranges_hold_far_out(a, width, which, level):
    name, param = which
    least, greatest = rule.level_range(name, level, a, a + width, param)
    for p in (a, a + width / 2, a + width):
        if name in PIECES and p in PIECES[name].kinks:
            continue
        value = float(rule.evaluate(name, level, np.array([p]), param)[0])
        slack = 1e-12 * max(1.0, abs(value))
        assert least - slack <= value <= greatest + slack


@pytest.mark.parametrize(("name", "param"), ALL)
def test_enclosures_contain_the_truth(name, param):
    rng = np.random.default_rng(5)
    x = Enclosed(rng.uniform(-5, 5, 50), np.full(50, 1e-6))
    exact = Enclosed.exact(x.mid)
    with workprec(200):
        for level, enclose in enumerate((rule.enclose_value, rule.enclose_slope, rule.enclose_curvature)):
            wide, narrow = enclose(name, x, param), enclose(name, exact, param)
            for i, p in enumerate(x.mid):
                assert abs(reference(float(p), name, level, param) - narrow.mid[i]) <= narrow.radius[i]
                for q in (p - 9e-7, p + 9e-7):
                    assert abs(reference(float(q), name, level, param) - wide.mid[i]) <= wide.radius[i]
            assert narrow.radius.max() < 1e-12


def test_third_derivatives():
    assert float(rule.third_sup("gelu", -np.inf, np.inf)) == pytest.approx(0.778769635055732, rel=1e-12)
    assert float(rule.third_sup("gelu", 0.0, 0.0)) == pytest.approx(0.0, abs=1e-15)
    assert float(rule.third_sup("hardswish", 1.0, 2.0)) == 0.0
    assert float(rule.third_sup("hardswish", 1.0, 3.5)) == math.inf


# ---- kinks -------------------------------------------------------------------------------------------------------


def test_kinks_count_with_both_sides():
    assert [float(e) for e in rule.slope_range("relu", 0.0, 1.0)] == [0.0, 1.0]
    assert [float(e) for e in rule.level_range("relu", 1, 0.0, 1.0, closed=False)] == [1.0, 1.0]
    assert [float(e) for e in rule.level_range("relu", 1, -1.0, 0.0, closed=False)] == [0.0, 0.0]
    assert [float(e) for e in rule.level_range("relu", 1, 0.0, 0.0, closed=False)] == [0.0, 1.0]
    assert [float(e) for e in rule.curvature_range("relu", -1.0, 1.0)] == [0.0, math.inf]
    assert float(rule.curvature_range("hardswish", -4.0, -2.0)[0]) == -math.inf
    assert float(rule.curvature_range("elu", -1.0, 1.0, 1.0)[1]) == pytest.approx(1.0, rel=1e-14)
    assert [float(e) for e in rule.curvature_range("squared_relu", -1.0, 1.0)] == [0.0, 2.0]
    low, high = rule.slope_range("hardswish", 2.5, 3.0)
    assert float(low) == 1.0
    assert float(high) == pytest.approx(1.5, rel=1e-14)


def test_relu_on_regions_without_a_kink_is_linear():
    ball = lo.Ball(np.full(4, 3.0), 1.0)
    assert lo.relu(4).lip(ball).value == lo.relu(4).expansion(ball).value == 1.0
    assert lo.relu(4).smoothness(ball).value == 0.0
    assert lo.relu(4).lip(lo.Box(-np.ones(4), np.zeros(4))).value == 0.0
    assert lo.leaky_relu(4, 0.1).expansion().value == pytest.approx(0.1, rel=1e-8)


# ---- the operator ------------------------------------------------------------------------------------------------


def regions(rng):
    x = rng.normal(size=6)
    t = rng.normal(size=(3, 2))
    return [
        (6, lo.Everywhere()),
        (6, lo.Ball(x, 0.7)),
        (6, lo.Ball(x, 0.7, "linf")),
        (6, lo.Box(x - 0.4, x + 0.9)),
        (6, lo.Cloud(np.stack([x, x + 0.5, x - 0.3]))),
        (6, lo.Shell(0.5, 2.0)),
        ((None, 2), lo.TokenBall(t, 0.9, np.array([0.1, 0.5, 0.9]))),
    ]


@pytest.mark.parametrize(("name", "param"), ALL)
def test_constants_are_attained_and_never_beaten(name, param):
    rng = np.random.default_rng(6)
    for space, on in regions(rng):
        f = lo.operators.Activation(lo.Space(space), name, param)
        bounds = f.lip(on), f.dahlquist(on), f.expansion(on), f.smoothness(on)
        for bound in bounds:
            bound.check()
        lip, dahlquist, expansion, smoothness = (b.value for b in bounds)
        low, high = (np.clip(e, -40, 40) for e in coordinate_intervals(on))
        grid = low + np.linspace(0, 1, 40001).reshape(-1, *(1,) * np.ndim(low)) * (high - low)
        slopes = rule.evaluate(name, 1, grid, param)
        assert slopes.max() <= dahlquist * (1 + 1e-12) + 1e-14
        assert np.abs(slopes).max() <= lip * (1 + 1e-12)
        assert np.abs(slopes).min() >= expansion * (1 - 1e-12)
        # steps of 80 / 40000 (whole space) miss a jump or a smooth maximum by about 1e-6
        if math.isfinite(lip):
            assert np.abs(slopes).max() >= lip * (1 - (2e-3 if name == "hardswish" else 2e-6)) - 1e-14
        gap = np.abs(np.diff(slopes, axis=0)) / np.maximum(np.diff(grid, axis=0), 1e-300)
        assert gap.max() <= smoothness * (1 + 1e-6) + 1e-9
        for _ in range(50 if on.convex and not isinstance(on, lo.Everywhere) else 0):
            x, y = on.sample(rng, 2)
            assert np.linalg.norm(f(x) - f(y)) <= lip * np.linalg.norm(x - y) + 1e-13
            assert ((f(x) - f(y)) * (x - y)).sum() <= dahlquist * ((x - y) ** 2).sum() + 1e-13


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_other_norms(norm):
    rng = np.random.default_rng(7)
    f = lo.gelu(lo.Space(5, norm))
    on = lo.Ball(rng.normal(size=5), 0.5, norm)
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    bound = f.lip(on)
    bound.check()
    assert (bound.claim.norm_in, bound.claim.norm_out) == (norm, norm)
    for _ in range(300):
        x, y = on.sample(rng, 2)
        assert np.linalg.norm(f(x) - f(y), order) <= bound.value * np.linalg.norm(x - y, order) + 1e-14


@pytest.mark.parametrize(("name", "param"), ALL)
def test_gradient_ascent_stays_below(name, param):
    """Ascent of (f'(x_k))^2 over the coordinates of a ball, projected."""
    rng = np.random.default_rng(8)
    f = lo.operators.Activation(4, name, param)
    for _ in range(4):
        center, radius = rng.normal(size=4) * 2, 0.8
        bound = f.lip(lo.Ball(center, radius)).value
        for _ in range(3):
            x = lo.Ball(center, radius).sample(rng, 1)[0]
            for _ in range(60):
                slope, bend = (rule.evaluate(name, k, x, param) for k in (1, 2))
                step = np.where(np.abs(slope) == np.abs(slope).max(), slope * bend, 0.0)
                h = x + 0.3 * step - center
                x = center + h * min(1.0, radius / max(np.linalg.norm(h), 1e-300))
            assert np.abs(rule.evaluate(name, 1, x, param)).max() <= bound * (1 + 1e-12)


@pytest.mark.parametrize(("name", "param"), ALL)
def test_linearization(name, param):
    rng = np.random.default_rng(9)
    center = rng.normal(size=(3, 4))
    f = lo.operators.Activation(lo.Space((None, 4)), name, param)
    ball = lo.TokenBall(center, 0.5, np.array([0.05, 0.2, 0.5]))
    linear = f.linearize(ball)
    deviation = linear.deviation.norm()
    deviation.check()
    stored = f.derivative(center).matvec(np.ones((3, 4)))
    for x in ball.sample(rng, 200):
        assert np.abs(rule.evaluate(name, 1, x, param) - stored).max() <= deviation.value
    assert f.linearize(lo.Ball(center, 0.0)).deviation.norm().value < 1e-13


def test_forward_enclosure_and_image():
    x = np.random.default_rng(10).normal(size=7)
    f = lo.silu(7)
    assert f.enclose(Enclosed.exact(x)).contains(f(x))
    ball = lo.Ball(x, 0.3)
    image = f.image(ball)
    assert all(image.contains(f(p)) for p in ball.sample(np.random.default_rng(0), 100))


def test_digest_tells_maps_apart():
    assert lo.elu(3) == lo.elu(3, 1.0)
    assert lo.elu(3) != lo.elu(3, 0.5)
    assert lo.relu(3) != lo.relu(4)
    assert lo.gelu(3, "tanh") != lo.gelu(3)


def test_bad_input():
    with pytest.raises(DomainError, match="unknown activation 'swish2'"):
        lo.operators.Activation(3, "swish2")
    with pytest.raises(DomainError, match="alpha"):
        lo.elu(3, -1.0)
    with pytest.raises(DomainError, match="slope"):
        lo.leaky_relu(3, math.nan)
    with pytest.raises(DomainError, match="takes no parameter"):
        lo.operators.Activation(3, "relu", 0.1)
    with pytest.raises(DomainError, match="approximate"):
        lo.gelu(3, "erf")
    with pytest.raises(DomainError, match="low <= high"):
        rule.slope_range("relu", 1.0, 0.0)
    with pytest.raises(LipopError):
        lo.relu(3).lip(lo.Ball(np.zeros(4), 1.0))
    assert lo.squared_relu(3).lip().status == "UNKNOWN"
