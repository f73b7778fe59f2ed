"""Affine, activation, affine: better than the product, checked from the composition itself, exact where relu is
linear."""

import json
from dataclasses import replace

import numpy as np
import pytest

import lipop as lo
from lipop.certify.sandwich import mlp_of, sandwich
from lipop.core import proof
from lipop.errors import ProofError


def weights(n=4, m=12, p=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), rng.standard_normal(m), rng.standard_normal((p, m)), rng.standard_normal(p)


def chain(activation, tokens=False, **sizes):
    up, b, down, c = weights(**sizes)
    shape = (None, len(b)) if tokens else len(b)
    return lo.Affine(down, c, tokens=tokens) @ activation(shape) @ lo.Affine(up, b, tokens=tokens)


@pytest.mark.parametrize("activation", [lo.relu, lo.gelu, lo.tanh])
@pytest.mark.parametrize("tokens", [False, True])
def test_it_improves_on_the_product(activation, tokens):
    op = chain(activation, tokens)
    center = np.zeros((3, 4) if tokens else 4)
    for on in (lo.Everywhere(), lo.Ball(center, 0.5), lo.Box(center - 0.3, center + 0.3)):
        bracket = lo.lip(op, on)
        assert bracket.upper.rule == "lip.sandwich@1"
        assert bracket.upper.status == "PROVED"
        assert bracket.lower.value <= bracket.upper.value < 0.95 * op.lip(on).value
        bracket.upper.check()


def test_relu_on_the_whole_space_is_the_mean_of_two_norms():
    up, _, down, _ = weights()
    expected = (np.linalg.norm(down @ up, 2) + np.linalg.norm(down, 2) * np.linalg.norm(up, 2)) / 2
    assert lo.lip(chain(lo.relu)).upper.value == pytest.approx(expected, rel=1e-5)


def test_the_worst_slopes_stay_below():
    """The region reaches every sign pattern that a grid of points meets: each one's derivative is below the bound."""
    op = chain(lo.relu, n=2, m=5, p=2)
    up, b, down, _ = weights(2, 5, 2)
    bound = lo.lip(op, lo.Box(-3 * np.ones(2), 3 * np.ones(2))).upper.value
    points = np.stack(np.meshgrid(*[np.linspace(-3, 3, 101)] * 2), axis=-1).reshape(-1, 2)
    patterns = np.unique(points @ up.T + b > 0, axis=0)
    assert len(patterns) > 5
    assert all(np.linalg.norm(down @ (s[:, None] * up), 2) <= bound for s in patterns)


def test_nonnegative_relu_nets_close_in_the_positive_orthant():
    up, b, down, c = (np.abs(w) for w in weights())
    op = lo.Affine(down, c) @ lo.relu(12) @ lo.Affine(up, b)
    bracket = lo.lip(op, lo.Box(np.full(4, 5.0), np.full(4, 9.0)), effort="tight")
    exact = np.linalg.norm(down @ up, 2)
    assert bracket.lower.value <= exact * (1 + 1e-12)
    assert exact * (1 - 1e-12) <= bracket.upper.value
    assert bracket.ratio < 1 + 1e-6


def test_other_operators_are_left_alone():
    a, f = lo.Affine(np.eye(3)), lo.relu(3)
    l1 = lo.Affine(np.eye(3), norm_in="l1", norm_out="l1")
    l1_chain = l1 @ lo.relu(lo.Space(3, "l1")) @ l1
    for op in (a, f, f @ a, a @ f, a @ f @ f @ a, a @ f @ a @ f @ a, l1_chain, 2.0 * (a @ f @ a)):
        assert mlp_of(op) is None
        assert sandwich(op, lo.Everywhere(), "quick", 0) is None
    wild = a @ lo.squared_relu(3) @ a
    assert sandwich(wild, lo.Everywhere(), "quick", 0) is None


def test_the_parameter_of_the_activation_counts():
    up, b, down, c = weights()
    slopes = [lo.lip(lo.Affine(down, c) @ lo.leaky_relu(12, s) @ lo.Affine(up, b)).upper.value for s in (0.0, 0.5, 1.0)]
    assert slopes[0] == pytest.approx(lo.lip(chain(lo.relu)).upper.value)
    assert slopes[2] == pytest.approx(np.linalg.norm(down @ up, 2), rel=1e-5)


def test_json_round_trip_with_a_source():
    op = chain(lo.gelu)
    bound = lo.lip(op, lo.Ball(np.zeros(4), 0.5)).upper
    text = json.dumps(proof.to_json(bound), allow_nan=False)
    again = proof.from_json(json.loads(text), proof.arrays_of(bound))[bound.id]
    again.check(proof.Source({op.digest: op}))
    with pytest.raises(ProofError, match="digest"):
        again.check(proof.Source({op.digest: chain(lo.relu)}))


def test_forgeries_are_refused():
    op = chain(lo.gelu)
    bound = lo.lip(op, lo.Ball(np.zeros(4), 0.5)).upper
    for value in (bound.value * 0.999, bound.value * 1.001):
        with pytest.raises(ProofError):
            replace(bound, value=float(np.float32(value))).check()
    with pytest.raises(ProofError, match="above the stated"):
        replace(bound, claim=replace(bound.claim, region=lo.Everywhere())).check()
    other = op @ lo.Affine(np.eye(4))
    with pytest.raises(ProofError, match="not affine, activation, affine"):
        replace(bound, claim=replace(bound.claim, operator=other.digest), subject=other).check()
    with pytest.raises(ProofError, match="l2 on both ends"):
        replace(bound, claim=replace(bound.claim, norm_out="linf")).check()
