"""MLPs: torch, attacks by random points and gradient ascent, deviation, smoothness, bad input."""

import numpy as np
import pytest
import torch

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.errors import DomainError, LipopError, NonFiniteError, ShapeError
from lipop.operators.activation_rules import evaluate
from lipop.operators.sandwich import affine_range, middle_norms, spread_norms, weighted_norms

ACTIVATIONS = {
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "relu": torch.relu,
    "tanh": torch.tanh,
}
N, M, P = 5, 14, 5


def make(activation="gelu", seed=0, tokens=False, p=P):
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((M, N)) / 2, rng.standard_normal((p, M)) / 3
    return lo.MLP(up, rng.standard_normal(M) / 2, down, rng.standard_normal(p), activation, tokens)


def torch_map(f):
    up, b, down, c = (torch.tensor(np.array(w)) for w in (f.W_up, f.b_up, f.W_down, f.b_down))
    return lambda x: ACTIVATIONS[f.activation](x @ up.T + b) @ down.T + c


def jacobian(f, x):
    slopes = evaluate(f.activation, 1, f.W_up @ x + f.b_up)
    return (f.W_down * slopes) @ f.W_up


def ascend(f, center, radius, rng, steps=40):
    """A point of the l2 ball where |DT| is large, by projected gradient ascent of u^T DT(x) v."""
    run = torch_map(f)
    x = center + radius * rng.standard_normal(N) / np.sqrt(N)
    best = 0.0
    for _ in range(steps):
        h = x - center
        x = center + h * min(1.0, radius / max(float(np.linalg.norm(h)), 1e-300))
        u, s, vt = np.linalg.svd(jacobian(f, x))
        best = max(best, s[0])
        t = torch.tensor(x, requires_grad=True)
        (g,) = torch.autograd.grad(run(t) @ torch.tensor(u[:, 0]), t, create_graph=True)
        step = torch.autograd.grad(g @ torch.tensor(vt[0]), t, allow_unused=True)[0]
        if step is None or float(step.norm()) == 0:
            break
        x = x + 0.3 * radius * step.numpy() / float(step.norm())
    return best


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("tokens", [False, True])
def test_value_and_products_agree_with_torch(activation, tokens):
    rng = np.random.default_rng(1)
    f = make(activation, tokens=tokens, p=3)
    x = rng.standard_normal((4, N)) if tokens else rng.standard_normal(N)
    t = torch.tensor(x)
    np.testing.assert_allclose(f(x), torch_map(f)(t).numpy(), atol=1e-10)
    v, u = rng.standard_normal(x.shape), rng.standard_normal((*x.shape[:-1], 3))
    J = f.derivative(x)
    np.testing.assert_allclose(
        J.matvec(v), torch.autograd.functional.jvp(torch_map(f), t, torch.tensor(v))[1], atol=1e-10
    )
    np.testing.assert_allclose(
        J.rmatvec(u), torch.autograd.functional.vjp(torch_map(f), t, torch.tensor(u))[1], atol=1e-10
    )
    assert abs((J.matvec(v) * u).sum() - (v * J.rmatvec(u)).sum()) < 1e-12
    assert J.majorant >= np.linalg.norm(J.to_dense(), 2)
    assert f(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_forward_enclosure(activation):
    f = make(activation, tokens=True)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, N))
    y = f.enclose(Enclosed(x, np.full((1, 1), 1e-3)))
    for _ in range(50):
        assert y.contains(f(x + rng.uniform(-1e-3, 1e-3, x.shape)))
    assert f.enclose(Enclosed.exact(x)).radius.max() < 1e-12
    vector = make(activation)
    assert vector.enclose(Enclosed.exact(x[0])).contains(vector(x[0]))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("radius", [1e-4, 0.1, 1.0, 10.0])
def test_no_attack_beats_the_bound(activation, radius):
    rng = np.random.default_rng(4)
    f = make(activation)
    center = rng.standard_normal(N)
    bound = f.lip(lo.Ball(center, radius))
    bound.check()
    found = max(ascend(f, center, radius, rng) for _ in range(4))
    for x in lo.Ball(center, radius).sample(rng, 300):
        found = max(found, float(np.linalg.norm(jacobian(f, x), 2)))
    assert found <= bound.value
    assert bound.value <= f.lip().value
    if radius == 1e-4:
        assert bound.value <= found * 1.001
    if radius == 0.1:
        assert bound.value <= found * 1.6


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_every_region(activation):
    rng = np.random.default_rng(5)
    f = make(activation)
    x = rng.standard_normal(N)
    cloud = x + 0.2 * rng.standard_normal((6, N))
    hull = [w @ cloud for w in rng.dirichlet(np.ones(6), 200)]
    cases = [
        (lo.Ball(x, 0.3, "linf"), lo.Ball(x, 0.3, "linf").sample(rng, 300)),
        (lo.Ball(x, 0.3, "l1"), lo.Ball(x, 0.3, "l1").sample(rng, 300)),
        (lo.Box(x - 0.1, x + 0.4), lo.Box(x - 0.1, x + 0.4).sample(rng, 300)),
        (lo.Cloud(cloud), hull),
        (lo.Shell(0.5, 1.5), lo.Ball(np.zeros(N), 1.5).sample(rng, 300)),
        (lo.Everywhere(), 3 * rng.standard_normal((300, N))),
    ]
    for on, points in cases:
        bounds = f.lip(on), f.dahlquist(on)
        for b in bounds:
            b.check()
        jacobians = [jacobian(f, p) for p in points]
        assert max(np.linalg.norm(j, 2) for j in jacobians) <= bounds[0].value
        assert max(np.linalg.eigvalsh((j + j.T) / 2)[-1] for j in jacobians) <= bounds[1].value


def test_token_balls_take_the_worst_token():
    rng = np.random.default_rng(6)
    f, one = make("gelu", tokens=True), make("gelu")
    x = rng.standard_normal((3, N))
    rho = np.array([0.01, 0.2, 0.5])
    bound = f.lip(lo.TokenBall(x, 0.5, rho))
    bound.check()
    each = [one.lip(lo.Ball(x[t], rho[t])).value for t in range(3)]
    assert bound.value == pytest.approx(max(each), rel=2e-2)
    for _ in range(100):
        p, q = lo.TokenBall(x, 0.5, rho).sample(rng, 2)
        assert np.linalg.norm(f(p) - f(q)) <= bound.value * np.linalg.norm(p - q)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_deviation_bounds_every_derivative_of_the_ball(activation):
    rng = np.random.default_rng(7)
    f, one = make(activation, tokens=True), make(activation)
    x = rng.standard_normal((2, N))
    ball = lo.TokenBall(x, 0.2, np.array([0.1, 0.2]))
    linear = f.linearize(ball)
    deviation = linear.deviation.norm()
    deviation.check()
    found = 0.0
    for p in ball.sample(rng, 200):
        found = max(found, *(np.linalg.norm(jacobian(one, p[t]) - jacobian(one, x[t]), 2) for t in range(2)))
        assert linear.image.contains(f(p))
    assert found <= deviation.value
    assert f.linearize(lo.Ball(x, 0.0)).deviation.norm().value < 1e-10


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "tanh"])
def test_smoothness(activation):
    rng = np.random.default_rng(8)
    f = make(activation)
    for on in (lo.Everywhere(), lo.Ball(rng.standard_normal(N), 0.5)):
        bound = f.smoothness(on)
        bound.check()
        points = rng.standard_normal((300, N)) if isinstance(on, lo.Everywhere) else on.sample(rng, 300)
        for x, y in zip(points[::2], points[1::2], strict=True):
            gap = np.linalg.norm(jacobian(f, x) - jacobian(f, y), 2)
            assert gap <= bound.value * np.linalg.norm(x - y) * (1 + 1e-12)


def test_one_active_neuron_is_exact():
    """Width one: |W_down| sup f' |W_up| is attained at the argmax of f'."""
    up, down = np.array([[0.6, 0.8]]), np.array([[2.0], [0.0]])
    f = lo.MLP(up, None, down, None, "gelu")
    x = np.sqrt(2) * up[0]
    attained = np.linalg.norm(f(x + 1e-4 * up[0]) - f(x - 1e-4 * up[0])) / 2e-4
    assert attained <= f.lip().value <= attained * (1 + 2e-6)


def test_stable_relu_is_linear():
    """Where no neuron switches the bound is |J| itself."""
    f = make("relu")
    x = np.random.default_rng(9).standard_normal(N)
    ball = lo.Ball(x, 1e-6)
    assert f.lip(ball).value == pytest.approx(np.linalg.norm(jacobian(f, x), 2), rel=1e-5)
    assert f.smoothness(ball).value == 0.0
    assert f.smoothness().status == "UNKNOWN"


def test_sandwich_norms():
    rng = np.random.default_rng(10)
    a, b, c = rng.standard_normal((4, 9)), rng.standard_normal((9, 6)), rng.standard_normal((9, 6))
    r, s = rng.uniform(0, 1, (3, 9)), rng.standard_normal((3, 9))
    middle, weighted, spread = middle_norms(a, [(r, b), (s, c)]), weighted_norms(a, r), spread_norms(a, r, b)
    for t in range(3):
        true = np.linalg.norm(a @ (r[t][:, None] * b + s[t][:, None] * c), 2)
        assert true <= middle[t] <= true * (1 + 1e-5)
        true = np.linalg.norm(a * np.sqrt(r[t]), 2)
        assert true <= weighted[t] <= true * 1.02
        assert true <= weighted_norms(a, r[t : t + 1])[0] <= true * (1 + 1e-5)
        for _ in range(50):
            e = rng.choice([-1.0, 1.0], 9) * r[t]
            assert np.linalg.norm((a * e) @ b, 2) <= spread[t]


def test_affine_ranges_contain_the_preactivations():
    rng = np.random.default_rng(11)
    w, b, x = rng.standard_normal((7, N)), rng.standard_normal(7), rng.standard_normal(N)
    for on in (lo.Ball(x, 0.4), lo.Ball(x, 0.4, "l1"), lo.Ball(x, 0.4, "linf"), lo.Box(x - 0.2, x + 0.1)):
        low, high = affine_range(w, b, on)
        z = on.sample(rng, 500) @ w.T + b
        assert (z >= low).all()
        assert (z <= high).all()
    low, high = affine_range(w, b, lo.Ball(x, 0.4))
    reach = 0.4 * np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(high[0] - low[0], 2 * reach, rtol=1e-12)


def test_bad_input():
    up, down = np.ones((4, 3)), np.ones((2, 4))
    with pytest.raises(ShapeError, match="W_down has shape"):
        lo.MLP(up, None, np.ones((2, 5)), None)
    with pytest.raises(ShapeError, match="b_up has shape"):
        lo.MLP(up, np.ones(3), down, None)
    with pytest.raises(ShapeError, match="W_up must be a matrix"):
        lo.MLP(np.ones(4), None, down, None)
    with pytest.raises(NonFiniteError, match="W_up holds nan"):
        lo.MLP(up * np.nan, None, down, None)
    with pytest.raises(DomainError, match="unknown activation"):
        lo.MLP(up, None, down, None, "gelu_new")
    with pytest.raises(LipopError):
        lo.MLP(up, None, down, None).lip(lo.Ball(np.zeros(5), 1.0))
    assert lo.MLP(up, None, down, None, "squared_relu").lip().status == "UNKNOWN"
