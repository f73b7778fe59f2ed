"""The derivative of every operator: against central differences, against torch, its adjoint, and how far it moves."""

import numpy as np
import pytest

import lipop as lo
import lipop.errors
from lipop.core.linearization import LinearOperator
from tests.laws.zoo import ZOO, case, sample


def central_differences(op, x, h=1e-5):
    """The Jacobian by differences of the fourth order (error h^4)."""
    columns = []
    for i in range(x.size):
        e = np.zeros(x.size)
        e[i] = h
        e = e.reshape(x.shape)
        near, far = op(x + e) - op(x - e), op(x + 2 * e) - op(x - 2 * e)
        columns.append(((8 * near - far) / (12 * h)).ravel())
    return np.stack(columns, axis=1)


def spectral(a):
    return float(np.linalg.norm(a, 2))


@pytest.mark.parametrize("name", ZOO)
def test_derivative_is_the_limit_of_differences(name):
    c = case(name)
    J = c.op.derivative(c.x)
    dense = J.to_dense()
    expected = central_differences(c.op, c.x, h=1e-3 if "restriction" not in name else 1e-4)
    assert dense.shape == (c.op(c.x).size, c.x.size)
    assert spectral(dense - expected) <= 1e-6 * spectral(expected)


TWINS = [name for name in ZOO if case(name).twin is not None]


def test_torch_twins_cover_the_layers():
    assert len(TWINS) >= 40


@pytest.mark.parametrize("name", TWINS)
def test_value_and_derivative_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    c = case(name)
    x = torch.tensor(c.x, requires_grad=True)
    value = c.twin(x)
    np.testing.assert_allclose(c.op(c.x), value.detach().numpy(), rtol=1e-12, atol=1e-14)
    expected = torch.autograd.functional.jacobian(c.twin, x).reshape(value.numel(), -1).numpy()
    dense = c.op.derivative(c.x).to_dense()
    assert spectral(dense - expected) <= 1e-11 * spectral(expected)


@pytest.mark.parametrize("name", ZOO)
def test_adjoint_identity(name):
    c, rng = case(name), np.random.default_rng(1)
    J = c.op.derivative(c.x)
    size = spectral(J.to_dense())
    for _ in range(5):
        v, u = rng.standard_normal(J.shape_in), rng.standard_normal(J.shape_out)
        left, right = np.vdot(J.matvec(v), u), np.vdot(v, J.rmatvec(u))
        assert abs(left - right) <= 1e-12 * size * np.linalg.norm(u) * np.linalg.norm(v)
        flat = J.H.matvec(u.ravel())
        assert flat.shape == (v.size,)
        np.testing.assert_array_equal(flat, J.rmatvec(u).ravel())


@pytest.mark.parametrize("name", ZOO)
def test_majorant_and_product_error_hold(name):
    """|J| <= majorant, and products in float64 differ from products of the stored matrix by at most product_error."""
    c = case(name)
    J = c.op.derivative(c.x)
    dense = J.to_dense()
    assert spectral(dense) <= J.majorant * (1 + 1e-12)
    rng = np.random.default_rng(2)
    for _ in range(3):
        v = rng.standard_normal(J.shape_in)
        v /= np.linalg.norm(v)
        gap = J.matvec(v).ravel() - dense.astype(np.longdouble) @ v.ravel().astype(np.longdouble)
        columns = J.product_error * np.sqrt(v.size)  # the dense matrix is made of such products itself
        assert float(np.sqrt((gap * gap).sum())) <= J.product_error + columns


@pytest.mark.parametrize("name", ZOO)
def test_deviation_bounds_how_far_the_derivative_moves(name):
    c, rng = case(name), np.random.default_rng(3)
    balls = [r for r in c.regions if isinstance(r, lo.Ball | lo.TokenBall) and getattr(r, "norm", "l2") == "l2"]
    for ball in balls:
        try:
            near = c.op.linearize(ball)
        except lipop.errors.DomainError:
            continue
        bound = near.deviation.norm()
        if not bound.known:
            assert bound.value == np.inf
            assert bound.params["reason"]
            continue
        J = near.J.to_dense()
        points = sample(c, ball, rng, 8)
        moved = max(spectral(c.op.derivative(y).to_dense() - J) for y in points)
        rounding = 1e-13 * (spectral(J) + 1)  # of assembling two matrices
        assert moved <= bound.value * (1 + 1e-9) + rounding, (ball, moved, bound.value)
        for y in points:
            assert near.image.contains(c.op(y))


def test_linear_operators_refuse_other_shapes():
    J = LinearOperator.identity((2, 3))
    with pytest.raises(lipop.errors.ShapeError, match="cannot be applied"):
        J.matvec(np.ones(5))
    with pytest.raises(lipop.errors.ShapeError, match="cannot compose"):
        J @ LinearOperator.identity((3, 2))
    with pytest.raises(lipop.errors.ShapeError, match="cannot add"):
        J + LinearOperator.identity((3, 2))
