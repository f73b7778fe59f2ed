"""The analysis of a block: what the report states, on a small random BERT and on blocks of the trained one."""

from __future__ import annotations

import numpy as np
import pytest

import lipop as lo
from lipop.certify.analysis import analyze_block
from lipop.certify.exhaustive import block_factors, proved_norm
from lipop.core import proof
from lipop.core.memo import memo
from lipop.core.region import Ball
from lipop.operators.chain import chain_of
from tests.models.fixtures import MINILM, tiny_bert

TEXT = "A bound that nobody can check again is an opinion with digits."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    model = lo.load(tiny_bert(tmp_path_factory.mktemp("tiny")))
    return model, model.activations(model.embed(tokens=np.arange(5, 13)))


@pytest.fixture(scope="module")
def quick(tiny):
    model, states = tiny
    return analyze_block(model.blocks[1], states[1])


def test_every_bracket_is_in_order_and_checks(quick):
    brackets = [b for _, _, b in quick.weights] + [quick.jacobian] + [b for _, _, b in quick.balls]
    for r in quick.residuals:
        brackets += [r.dahlquist, r.lip_branch, r.lip_sum]
        assert r.lip_sum.upper.value <= r.lip_sum_rule.value * (1 + 1e-3)
    for b in brackets:
        assert b.lower.value <= b.upper.value
        assert b.lower.status == "PROVED"
    source = proof.Source(quick.subjects())
    with memo():
        for root in quick.roots():
            proof.check(root, source)


def test_what_a_long_input_forgets_changes_no_number(quick, tiny, monkeypatch):
    from lipop.certify import analysis

    model, states = tiny
    monkeypatch.setattr(analysis, "LONG", 0)
    again = analyze_block(model.blocks[1], states[1])
    assert [b.value for b in again.roots()] == [b.value for b in quick.roots()]


def test_the_bracket_holds_the_dense_derivative(quick, tiny):
    model, states = tiny
    dense = np.linalg.norm(model.blocks[1].derivative(states[1]).to_dense(), 2)
    assert quick.jacobian.lower.value <= dense <= quick.jacobian.upper.value
    assert quick.jacobian.ratio <= 1.001


def test_the_ratio_shrinks_with_the_radius(quick):
    ratios = [b.ratio for _, _, b in quick.balls]
    assert ratios == sorted(ratios)
    assert ratios[0] <= 1.03
    assert ratios[1] <= 1.25


def test_the_shell_bound_is_finite_and_astronomical(quick):
    _, _, bound = quick.shell
    assert bound.status == "PROVED"
    assert 1e10 < bound.value < np.inf


def test_weights_are_bracketed_to_a_millionth(quick):
    names = [name for name, _, _ in quick.weights]
    assert names[:6] == ["W_Q", "W_K", "W_V", "W_O", "W_up", "W_down"]
    assert "head 1: W_Q^T W_K" in names
    for _, _, b in quick.weights:
        assert b.ratio <= 1 + 1e-6
        assert b.upper.status == b.lower.status == "PROVED"


def test_exhaustive_effort_proves_the_derivative_norm(tiny):
    model, states = tiny
    block, x = model.blocks[0], states[0]
    with memo():
        bound = proved_norm(block, x)
        bound.check()
        factors = block_factors(chain_of(block, x))
    assert bound.status == "PROVED"
    dense = block.derivative(x).to_dense()
    assert np.linalg.norm(factors.dense() - dense, 2) <= factors.error() + 1e-12
    assert np.linalg.norm(dense, 2) <= bound.value <= 1.0001 * np.linalg.norm(dense, 2)
    whole = lo.lip(block, at=x, effort="exhaustive")
    assert whole.ratio <= 1.0001
    assert whole.upper.status == "PROVED"


def test_exhaustive_analysis_states_a_proved_jacobian(tiny):
    model, states = tiny
    a = analyze_block(model.blocks[0], states[0], radii=(1e-5,), effort="exhaustive", weights=False)
    assert a.jacobian.upper.status == a.jacobian.lower.status == "PROVED"
    assert a.jacobian.ratio <= 1.0001
    assert a.balls[0][2].upper.status.startswith("PROBABLE(")  # the deviation's token-wise part is one trial


@pytest.mark.parametrize("i", [0, 3])
def test_trained_blocks_meet_the_required_ratios(i):
    model = lo.load(MINILM)
    x = model.activations(model.embed(text=TEXT))[i]
    a = analyze_block(model.blocks[i], x, radii=(1e-6, 1e-5), weights=False)
    assert a.jacobian.ratio <= 1.001
    assert a.jacobian.upper.status == "PROBABLE(1e-09)"
    near, far = (b.ratio for _, _, b in a.balls)
    assert near <= 1.03
    assert far <= 1.25
    rng = np.random.default_rng(0)
    J = model.blocks[i].derivative(x)
    radius, _, bracket = a.balls[1]
    for _ in range(3):  # points of the ball: their derivatives stay below the bound along many directions
        y = Ball(x, radius).sample(rng, 1)[0]
        K = model.blocks[i].derivative(y)
        v = rng.standard_normal(x.shape)
        for _ in range(6):
            v = K.rmatvec(K.matvec(v))
            v /= np.linalg.norm(v)
        assert np.linalg.norm(K.matvec(v)) <= bracket.upper.value
        assert np.linalg.norm(K.matvec(v) - J.matvec(v)) <= bracket.upper.value - a.jacobian.lower.value
