"""Gated MLPs: torch, attacks, deviation, smoothness, no global constant, bad input."""

import numpy as np
import pytest
import torch

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators import gated, token_slices

ACTIVATIONS = {"silu": torch.nn.functional.silu, "gelu": torch.nn.functional.gelu, "relu": torch.relu}
N, M = 4, 7


def make(activation="silu", tokens=False, seed=0):
    rng = np.random.default_rng(seed)
    return lo.GatedMLP(
        rng.standard_normal((M, N)), rng.standard_normal((M, N)), rng.standard_normal((N, M)), activation, tokens
    )


def torch_map(f):
    gate, up, down = (torch.tensor(np.array(w)) for w in (f.W_gate, f.W_up, f.W_down))
    return lambda x: (ACTIVATIONS[f.activation](x @ gate.T) * (x @ up.T)) @ down.T


def jacobian(f, x):
    return torch.autograd.functional.jacobian(torch_map(f), torch.tensor(x)).numpy()


def ascend(f, center, radius, rng, steps=30):
    """The largest |DT| met by projected gradient ascent of u^T DT(x) v on the l2 ball."""
    run, best = torch_map(f), 0.0
    x = center + radius * rng.standard_normal(N) / 2
    for _ in range(steps):
        h = x - center
        x = center + h * min(1.0, radius / max(float(np.linalg.norm(h)), 1e-300))
        u, s, vt = np.linalg.svd(jacobian(f, x))
        best = max(best, s[0])
        t = torch.tensor(x, requires_grad=True)
        (g,) = torch.autograd.grad(run(t) @ torch.tensor(u[:, 0].copy()), t, create_graph=True)
        (step,) = torch.autograd.grad(g @ torch.tensor(vt[0].copy()), t)
        x = x + 0.3 * radius * step.numpy() / max(float(step.norm()), 1e-300)
    return best


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("tokens", [False, True])
def test_value_and_products_agree_with_torch(activation, tokens):
    rng = np.random.default_rng(1)
    f = make(activation, tokens)
    x = rng.standard_normal((3, N)) if tokens else rng.standard_normal(N)
    t = torch.tensor(x)
    np.testing.assert_allclose(f(x), torch_map(f)(t).numpy(), atol=1e-10)
    v, u = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    J = f.derivative(x)
    np.testing.assert_allclose(
        J.matvec(v), torch.autograd.functional.jvp(torch_map(f), t, torch.tensor(v))[1], atol=1e-10
    )
    np.testing.assert_allclose(
        J.rmatvec(u), torch.autograd.functional.vjp(torch_map(f), t, torch.tensor(u))[1], atol=1e-10
    )
    assert abs((J.matvec(v) * u).sum() - (v * J.rmatvec(u)).sum()) < 1e-11
    assert J.majorant >= np.linalg.norm(J.to_dense(), 2)
    assert f.enclose(Enclosed.exact(x)).contains(f(x))
    assert f(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("radius", [1e-4, 0.05, 0.3, 2.0])
def test_no_attack_beats_the_bound(activation, radius):
    rng = np.random.default_rng(2)
    f = make(activation)
    center = rng.standard_normal(N)
    on = lo.Ball(center, radius)
    bounds = f.lip(on), f.dahlquist(on)
    for b in bounds:
        b.check()
    found = max(ascend(f, center, radius, rng) for _ in range(3))
    for x in on.sample(rng, 100):
        j = jacobian(f, x)
        found = max(found, float(np.linalg.norm(j, 2)))
        assert np.linalg.eigvalsh((j + j.T) / 2)[-1] <= bounds[1].value
    assert found <= bounds[0].value
    if radius == 1e-4:
        assert bounds[0].value <= found * 1.002
    if radius == 0.05:
        assert bounds[0].value <= found * 1.5


def test_bounded_regions_only():
    f = make()
    for on in (lo.Everywhere(), lo.Shell(1.0)):
        assert f.lip(on).status == "UNKNOWN"
        assert f.smoothness(on).status == "UNKNOWN"
    big, small = f.lip(lo.Shell(1.0, 3.0)), f.lip(lo.Ball(np.zeros(N), 1.0))
    for b in (big, small):
        b.check()
    assert small.value < big.value < np.inf
    x = 3 * np.eye(N)
    assert max(np.linalg.norm(jacobian(f, p), 2) for p in x) <= big.value


def test_growth_is_linear_so_no_constant_holds_everywhere():
    f = make()
    x = np.random.default_rng(3).standard_normal(N)
    sizes = [np.linalg.norm(jacobian(f, t * x), 2) for t in (1.0, 10.0, 100.0)]
    assert sizes[2] > 5 * sizes[1] > 20 * sizes[0] / 10


def test_token_balls_boxes_and_clouds():
    rng = np.random.default_rng(4)
    f, one = make(tokens=True), make()
    x = rng.standard_normal((3, N))
    rho = np.array([0.01, 0.1, 0.3])
    for on in (lo.TokenBall(x, 0.3, rho), lo.Box(x - 0.1, x + 0.1), lo.Ball(x, 0.2, "linf")):
        bound = f.lip(on)
        bound.check()
        for p in on.sample(rng, 60):
            assert max(np.linalg.norm(jacobian(one, p[t]), 2) for t in range(3)) <= bound.value
    cloud = x[None] + 0.1 * rng.standard_normal((5, 3, N))
    bound = f.lip(lo.Cloud(cloud))
    for i in range(5):
        for j in range(i):
            assert np.linalg.norm(f(cloud[i]) - f(cloud[j])) <= bound.value * np.linalg.norm(cloud[i] - cloud[j])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_deviation(activation):
    rng = np.random.default_rng(5)
    f, one = make(activation, tokens=True), make(activation)
    x = rng.standard_normal((2, N))
    ball = lo.TokenBall(x, 0.1, np.array([0.05, 0.1]))
    deviation = f.linearize(ball).deviation.norm()
    deviation.check()
    for p in ball.sample(rng, 100):
        for t in range(2):
            assert np.linalg.norm(jacobian(one, p[t]) - jacobian(one, x[t]), 2) <= deviation.value
    assert f.linearize(lo.Ball(x, 0.0)).deviation.norm().value < 1e-10


def test_smoothness():
    rng = np.random.default_rng(6)
    f = make("gelu")
    on = lo.Ball(rng.standard_normal(N), 0.7)
    bound = f.smoothness(on)
    bound.check()
    for _ in range(150):
        x, y = on.sample(rng, 2)
        assert np.linalg.norm(jacobian(f, x) - jacobian(f, y), 2) <= bound.value * np.linalg.norm(x - y)
    assert make("relu").smoothness(lo.Ball(np.zeros(N), 1.0)).status == "UNKNOWN"


def test_bad_input():
    a, b = np.ones((3, 2)), np.ones((2, 3))
    with pytest.raises(ShapeError, match="must be equal"):
        lo.GatedMLP(a, np.ones((4, 2)), b)
    with pytest.raises(ShapeError, match="W_down has shape"):
        lo.GatedMLP(a, a, a)
    with pytest.raises(NonFiniteError, match="W_gate holds inf"):
        lo.GatedMLP(a * np.inf, a, b)
    with pytest.raises(DomainError, match="unknown activation"):
        lo.GatedMLP(a, a, b, "swiglu")


@pytest.mark.parametrize("rho", [1e-3, 0.3, 3.0])
def test_one_envelope_for_many_tokens_holds_for_each_of_them(rho):
    """Beyond a few tokens the deviation takes the largest radii of all tokens, neuron by neuron."""
    rng = np.random.default_rng(5)
    gate, up, down = rng.standard_normal((9, 4)), rng.standard_normal((9, 4)), rng.standard_normal((4, 9))
    T, x = lo.GatedMLP(gate, up, down, tokens=True), 2 * rng.standard_normal((20, 4))
    bound, J = T.linearize(lo.Ball(x, rho)).deviation.norm().value, T.derivative(x).to_dense()
    assert bound >= max(T.linearize(lo.Ball(x[i : i + 1], rho)).deviation.norm().value for i in range(20)) * (1 - 1e-2)
    for i in range(20):
        for _ in range(20):  # the whole radius on one token
            y = x.copy()
            h = rng.standard_normal(4)
            y[i] += rho * h / np.linalg.norm(h)
            assert np.linalg.norm(T.derivative(y).to_dense() - J, 2) <= bound


@pytest.mark.parametrize("seed", range(4))
def test_float32_factors_are_within_what_the_deviation_says(monkeypatch, seed):
    f, x = make(tokens=True, seed=seed), np.random.default_rng(seed).standard_normal((3, N))
    columns = np.eye(x.size).reshape(-1, *x.shape)
    fine = np.stack([f.derivative(x).matvec(e).ravel() for e in columns])
    monkeypatch.setattr(gated, "MANY", 0)
    coarse = np.stack([f.derivative(x).matvec(e).ravel() for e in columns])
    moved = np.linalg.norm(coarse - fine, 2)
    assert 1e-9 < moved <= f.linearize(lo.Ball(x, 0.0)).deviation.norm().value < 1e-4
    v, w = np.random.default_rng(6).standard_normal((2, *x.shape))
    J = f.derivative(x)
    np.testing.assert_allclose((J.matvec(v) * w).sum(), (v * J.rmatvec(w)).sum(), rtol=1e-12)


@pytest.mark.parametrize("count", [3, 20])  # token by token, and one envelope of all tokens
def test_large_weights_are_taken_some_units_at_a_time(monkeypatch, count):
    f, x = make(tokens=True), np.random.default_rng(5).standard_normal((count, N))
    v = np.random.default_rng(6).standard_normal(x.shape)
    whole, size = f.derivative(x), f.linearize(lo.Ball(x, 1e-3)).deviation.norm().value
    monkeypatch.setattr(gated, "MANY", 0)
    monkeypatch.setattr(token_slices, "ENTRIES", N)  # one unit, one token
    monkeypatch.setattr(gated, "SMALL", 2)
    J = f.derivative(x)
    np.testing.assert_allclose(J.matvec(v), whole.matvec(v), rtol=1e-6)
    np.testing.assert_allclose(J.rmatvec(v), whole.rmatvec(v), rtol=1e-6)
    np.testing.assert_allclose(f.linearize(lo.Ball(x, 1e-3)).deviation.norm().value, size, rtol=1e-3)
