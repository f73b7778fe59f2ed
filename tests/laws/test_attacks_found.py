"""Operators on which a claim was once false, or none could be made: found by attacks with derivatives from PyTorch."""

import numpy as np
import pytest

import lipop
from lipop.core.algebra import residual
from lipop.core.enclosure import Enclosed

torch = pytest.importorskip("torch")

EYE, ZERO = np.eye(4), np.zeros((4, 4))


def mean_taken_off() -> lipop.Operator:
    """``x_i - mean(x_0, .., x_i)``: token 0 goes to zero whatever it is, the others do not."""
    return residual(lipop.Attention(ZERO, ZERO, EYE, -EYE, heads=1, causal=True))


def the_map(x):
    """``mean_taken_off`` followed by LayerNorm (gain 1, eps 1e-5), in PyTorch."""
    w = x - x.cumsum(0) / torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None]
    y = w - w.mean(-1, keepdim=True)
    return y / torch.sqrt((y * y).mean(-1, keepdim=True) + 1e-5)


def derivative(x: np.ndarray) -> np.ndarray:
    """The dense derivative of ``the_map``."""
    return torch.func.jacrev(the_map)(torch.as_tensor(x)).reshape(x.size, x.size).numpy()


def two_tokens() -> tuple[lipop.Ball, np.ndarray]:
    """A ball, and the point of it whose second token is nearest to zero."""
    center = np.array([[0.0, 0.0, 0.0, 0.0], [2.0, -2.0, 2.0, -2.0]])
    return lipop.Ball(center, 1.0), center * np.array([[1.0], [0.75 + 1e-12]])


def test_a_linear_map_between_attention_and_a_normalisation_sees_every_token():
    """A stack of one matrix stands for all tokens: the reach of token 0 is not that of the others."""
    op = lipop.LayerNorm(np.ones(4), None, eps=1e-5, tokens=True) @ lipop.Affine(EYE, None, tokens=True)
    op = op @ mean_taken_off()
    ball, y = two_tokens()
    assert ball.contains(y)
    near = op.linearize(ball)
    moved = np.linalg.norm(derivative(y) - near.J.to_dense(), 2)  # 0.2357
    assert near.deviation.norm().value >= moved
    bracket = lipop.lip(op, ball)
    assert bracket.upper.value >= np.linalg.norm(derivative(y), 2)  # 0.9428
    assert bracket.lower.value <= bracket.upper.value


def test_the_image_behind_a_linear_map_holds_for_every_token():
    op = lipop.Affine(EYE, None, tokens=True) @ mean_taken_off()
    ball, y = two_tokens()
    assert op.linearize(ball).image.contains(op(y))


@pytest.mark.parametrize("linear_first", [True, False])
def test_a_linear_map_beside_an_activation_behind_attention(linear_first):
    """Chains whose products before or after the activation are one matrix for all tokens are linearised as others
    are."""
    rng = np.random.default_rng(0)
    up, down, a = rng.standard_normal((8, 4)), rng.standard_normal((4, 8)), rng.standard_normal((4, 4))
    mlp, affine = lipop.MLP(up, None, down, None, "gelu", tokens=True), lipop.Affine(a, None, tokens=True)
    op = (mlp @ affine if linear_first else affine @ mlp) @ mean_taken_off()
    assert op.linearize(two_tokens()[0]).deviation.norm().known


@pytest.mark.parametrize("width", [1, 2, 4])
def test_an_mlp_behind_a_normalisation_whose_derivative_it_does_not_see(width):
    """``W_up DLN = 0`` in floating point (width 1, or constant rows): rule F1 has nothing to scale by."""
    ones, eye = np.ones((8, width)), np.eye(width)
    mlp = lipop.MLP(ones, None, ones.T, None, "gelu", tokens=True)
    norm = lipop.LayerNorm(np.ones(width), None, eps=1e-12, tokens=True)
    op = mlp @ norm @ residual(lipop.Attention(eye, eye, eye, eye, heads=1))
    x = 100 * np.random.default_rng(0).standard_normal((3, width))
    assert op.linearize(lipop.Ball(x, 1e-3)).deviation.norm().value >= 0


def test_the_error_of_a_normalisations_derivative_is_in_the_l2_norm():
    """``TokenFactor.M`` is a Stack: within ``err`` of the derivative in the l2 norm, all over the enclosure."""
    width, radius = 1024, 1e-4
    x = np.random.default_rng(0).standard_normal((1, width))
    factor = lipop.LayerNorm(np.ones(width), None, eps=1e-12, tokens=True).token_factor(
        Enclosed(x, np.full_like(x, radius))
    )
    y = x + 0.999 * radius * np.sign(x - x.mean())
    y -= y.mean()
    size = np.sqrt((y * y).mean() + 1e-12)
    true = (np.eye(width) - 1 / width - y.T @ y / size**2 / width) / size
    gap = np.linalg.norm(factor.M.mid[0] - true, 2)
    assert gap <= factor.M.err[0] <= 20 * gap
