"""Combinations: composing is associative, combinations mean what they say, and the zoo is complete."""

import numpy as np
import pytest

import lipop as lo
from lipop import operators
from lipop.core import algebra
from lipop.core.operator import Operator
from lipop.errors import DomainError, NormMismatch, RegionError, ShapeError
from tests.laws.zoo import ACTIVATIONS, ZOO, case, weight


def parts(op):
    """The operator and everything it is made of."""
    yield op
    for value in vars(op).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Operator):
                yield from parts(inner)


def test_the_zoo_holds_every_operator():
    met = {type(p) for name in ZOO for p in parts(case(name).op)}
    exported = {getattr(operators, name) for name in operators.__all__}
    classes = {c for c in exported if isinstance(c, type) and issubclass(c, Operator)}
    combined = {c for c in vars(algebra).values() if isinstance(c, type) and issubclass(c, Operator)}
    combined -= {Operator, algebra.Combined, algebra._Around}
    classes -= {operators.Projection}  # what all nearest-point maps share
    assert classes | combined <= met
    shorthands = {lo.Linear, lo.LowRank}  # of classes that are in the zoo, as the projections' are
    shorthands |= {operators.BallProjection, operators.HyperplaneProjection, operators.orthant_projection}
    factories = {f for f in exported if not isinstance(f, type)} - shorthands
    assert {f.__name__ for f in factories} <= set(ACTIVATIONS)


def makers(rng):
    """Operators of vectors of width 4 and 3 into themselves, to compose at random."""
    a, b = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    return [
        lo.Linear(a),
        lo.Affine(b, rng.standard_normal(4)),
        lo.LowRank(weight(rng, 4, 2), weight(rng, 2, 4)),
        lo.gelu(4),
        lo.Diagonal(rng.standard_normal(4)),
        lo.residual(0.5 * lo.tanh(4)),
        lo.Linear(a) @ lo.relu(4) @ lo.Linear(b),
        (lo.Linear(a) @ lo.tanh(4)) ** 2,
        lo.relax(lo.Softmax(4), 0.5),
        lo.LinearProduct((lo.Linear(a), lo.Linear(b))),
        lo.Identity(lo.Space(4)),
        lo.sigmoid(4) + lo.Linear(b),
    ]


@pytest.mark.parametrize("seed", range(40))
def test_composition_is_associative(seed):
    rng = np.random.default_rng(seed)
    f, g, h = rng.choice(np.array(makers(rng), dtype=object), 3)
    left, right = (f @ g) @ h, f @ (g @ h)
    assert left.digest == right.digest
    assert left == right
    assert hash(left) == hash(right)
    x = rng.standard_normal(4)
    np.testing.assert_array_equal(left(x), right(x))
    np.testing.assert_allclose(left(x), f(g(h(x))), rtol=1e-13, atol=1e-13)
    region = lo.Ball(x, 0.2)
    assert left.lip(region).value == right.lip(region).value
    left.lip(region).check()
    assert left.lip().value <= f.lip().value * g.lip().value * h.lip().value * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_combinations_mean_what_they_say(seed):
    rng = np.random.default_rng(seed)
    f, g = rng.choice(np.array(makers(rng), dtype=object), 2)
    x = rng.standard_normal(4)
    for combined, expected in (
        (f + g, f(x) + g(x)),
        (f - g, f(x) - g(x)),
        (-f, -f(x)),
        (2.5 * f, 2.5 * f(x)),
        (f * 2.5, 2.5 * f(x)),
        (f**3, f(f(f(x)))),
        (lo.residual(f), x + f(x)),
        (lo.relax(f, 0.25), 0.75 * x + 0.25 * f(x)),
    ):
        np.testing.assert_allclose(combined(x), expected, rtol=1e-12, atol=1e-12)
        assert combined.digest not in (f.digest, g.digest)
        y = combined(x.astype(np.float32))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max()))


def test_small_powers():
    f = lo.tanh(2)
    assert f**0 == lo.Identity(lo.Space(2))
    assert f**1 is f


def test_sums_and_compositions_flatten():
    f, g, h = lo.relu(2), lo.tanh(2), lo.gelu(2)
    assert len((f @ g @ h).factors) == 3
    assert len((f + (g + h)).terms) == 3
    assert f + (g + h) == (f + g) + h
    assert f + g != g + f
    assert (f @ g).digest != (g @ f).digest


def test_what_does_not_fit_is_refused():
    f, g = lo.Linear(np.ones((2, 3))), lo.Linear(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"takes \(3,\).*gives \(2,\)"):
        f @ g
    with pytest.raises(ShapeError, match="cannot add"):
        f + lo.relu(2)
    with pytest.raises(DomainError, match="int >= 0"):
        lo.relu(2) ** -1
    with pytest.raises(DomainError, match="equal domain and codomain"):
        f**2
    with pytest.raises(ShapeError, match="residual branch"):
        lo.residual(f)
    with pytest.raises(ShapeError, match="relaxation"):
        lo.relax(f, 0.5)
    with pytest.raises(NormMismatch, match="put a NormChange between"):
        lo.relu(3) @ lo.Linear(np.eye(3), norm_in="linf", norm_out="linf")
    with pytest.raises(NormMismatch, match="different norms"):
        lo.relu(3) + lo.Linear(np.eye(3), norm_in="linf", norm_out="linf")
    with pytest.raises(ShapeError, match="norm change"):
        lo.NormChange(lo.Space((None, 3)), lo.Space((None, 3), "2inf"))
    with pytest.raises(RegionError, match="outside"):
        lo.relu(2).restrict(lo.Ball(np.zeros(2), 1.0))(np.ones(2))
    with pytest.raises(RegionError, match="points of shape"):
        lo.relu(2).lip(lo.Ball(np.zeros(3), 1.0))
    with pytest.raises(TypeError):
        lo.relu(2) @ np.eye(2)
    with pytest.raises(TypeError):
        lo.relu(2) + 1.0


def test_operators_pickle_and_stay_frozen():
    import pickle
    from dataclasses import FrozenInstanceError

    for name in ("affine", "composition", "attention causal", "post-norm block", "softmax"):
        op = case(name).op
        again = pickle.loads(pickle.dumps(op))
        assert again == op
        assert again.digest == op.digest
    with pytest.raises(FrozenInstanceError):
        case("affine").op.A = np.eye(3)
    with pytest.raises(ValueError, match="read-only"):
        case("affine").op.A[0, 0] = 1.0
