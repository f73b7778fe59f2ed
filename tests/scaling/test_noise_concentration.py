"""Concentration of averaging attention: exact coverage on two-point tokens, attacks on every step, a sink."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

import lipop as lo
from lipop.core.bound import UPPER, Claim
from lipop.core.proof import from_json, to_json
from lipop.core.rule import derive, leaf
from lipop.errors import DomainError, NonFiniteError, ProofError, ShapeError
from lipop.scaling.noise import AveragingAttention, SinkAttention, UnitTokens
from lipop.scaling.noise_concentration import SPREAD

LINE = lo.Ball(np.zeros(1), 1.0)
IDENTITY = lo.Linear(np.eye(1))


def two_point(n, slope, q):
    """Values and probabilities of attention over n tokens that are 1 with probability q and -1 otherwise, with scores
    ``slope x``."""
    k = np.arange(n + 1)
    high, low = k * np.exp(slope), (n - k) * np.exp(-slope)
    return (high - low) / (high + low), binom.pmf(k, n, q)


@pytest.mark.parametrize("n", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("q", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("delta", [0.5, 0.05, 1e-6])
def test_coverage_is_exact_on_two_point_tokens(n, slope, q, delta):
    values, probabilities = two_point(n, slope, q)
    score = lo.Linear(np.array([[slope]])) if slope else None
    bound = AveragingAttention(IDENTITY, score).deviation(LINE, n, delta, seed=0)
    off = np.abs(values - values @ probabilities)
    assert probabilities[off > bound.value].sum() <= delta
    assert (probabilities @ off**2) ** 0.5 <= bound.value  # even the root of the variance is below


@pytest.mark.parametrize("method", ["hoeffding", "bernstein"])
@pytest.mark.parametrize("n", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("q", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("delta", [0.5, 0.05, 1e-6])
def test_coverage_with_equal_weights(method, n, q, delta):
    values, probabilities = two_point(n, 0.0, q)
    spread = min(1.0, 2 * math.sqrt(q * (1 - q)) * (1 + 1e-12))
    bound = AveragingAttention(IDENTITY).deviation(LINE, n, delta, 0, method, spread)
    assert probabilities[np.abs(values - values @ probabilities) > bound.value].sum() <= delta


def test_bernstein_is_the_smallest_where_the_variance_is():
    F = AveragingAttention(IDENTITY)
    found = {
        m: F.deviation(LINE, 10**6, 0.01, 0, m, spread=0.01).value for m in ("mcdiarmid", "hoeffding", "bernstein")
    }
    assert found["bernstein"] < found["hoeffding"] < found["mcdiarmid"]


@pytest.mark.parametrize("slope", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_one_token_moves_the_output_by_twice_the_largest_weight(slope, n):
    """Attack on the lemma: random and extreme tokens in the plane; with equal weights the bound is attained."""
    rng = np.random.default_rng(n)
    F = AveragingAttention(lo.Linear(np.eye(2)), lo.Linear(np.array([[slope, 0.0]])))
    rise = math.exp(2 * slope)
    most = 2 * rise / (n - 1 + rise)
    largest = 0.0
    for trial in range(400):
        angles = rng.choice([0, np.pi / 2, np.pi], n + 1) if trial % 2 else rng.uniform(0, 2 * np.pi, n + 1)
        x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        largest = max(largest, float(np.linalg.norm(F(x[:n]) - F(np.concatenate([x[1:n], x[n:]])))))
        assert F.weights(x[:n]).max() <= most / 2 * (1 + 1e-12)
    assert largest <= most * (1 + 1e-12)
    if slope == 0:
        assert largest >= most * (1 - 1e-12)


def test_variance_of_enumerated_contexts_is_below_the_lemma():
    for slope, n in itertools.product((0.0, 0.5, 1.0), (1, 2, 5, 9)):
        values, probabilities = two_point(n, slope, 0.5)
        rise = math.exp(2 * slope)
        variance = probabilities @ values**2 - (probabilities @ values) ** 2
        assert variance <= n * (rise / (n - 1 + rise)) ** 2 * (1 + 1e-12)
        if slope == 0:
            assert variance == pytest.approx(1 / n)  # attained


def test_constants_are_those_of_the_maps_on_the_ball():
    V = np.array([[3.0, 0.0], [0.0, 1.0]])
    ball = lo.Ball(np.array([1.0, -2.0]), 0.5)
    F = AveragingAttention(lo.Linear(V), lo.Linear(np.array([[0.0, 0.8]])))
    bound = F.deviation(ball, 100, 0.1, seed=3)
    rise = math.exp(2 * 0.8 * 0.5)
    exact = 100 * rise / (99 + rise) * 3 * 0.5 * (1 + math.sqrt(2 * math.log(10))) / 10
    assert exact <= bound.value <= exact * 1.001
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((300, 40, 2))
    x = ball.center + 0.5 * directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    outputs = np.array([F(context) for context in x])
    few = F.deviation(ball, 40, 0.1, seed=3).value
    assert np.mean(np.linalg.norm(outputs - outputs.mean(axis=0), axis=1) > few) <= 0.1


def test_proofs_check_and_survive_writing():
    F = AveragingAttention(IDENTITY, lo.Linear(np.array([[0.3]])))
    bound = F.deviation(LINE, 50, 0.05, seed=7)
    bound.check()
    read = from_json(to_json(bound))[bound.id]
    assert (read.value, read.status, read.evidence.trials) == (bound.value, "PROBABLE(0.05)", frozenset({(7, 0.05)}))


def test_the_rule_refuses_what_does_not_fit():
    good = AveragingAttention(IDENTITY).deviation(LINE, 50, 0.05, seed=7)
    facts = {"count": 50, "radius": 1.0}
    derive(good.rule, good.claim, good.premises, **facts)
    with pytest.raises(ProofError, match="other tokens"):
        derive(good.rule, good.claim, good.premises, **{**facts, "count": 500})
    with pytest.raises(ProofError, match="ball of the tokens"):
        derive(good.rule, good.claim, good.premises, **{**facts, "radius": 0.5})
    other = Claim("distance", UPPER, "0" * 64, LINE)
    with pytest.raises(ProofError, match="these maps"):
        derive(good.rule, other, good.premises, **facts)
    fine = UnitTokens(50).deviation("hoeffding", 0.05, 7)
    with pytest.raises(ProofError, match="these weights"):
        derive(good.rule, good.claim, (fine, *good.premises[1:], good.premises[1]), **facts)
    with pytest.raises(ProofError, match="these maps"):  # vectors are no numbers
        derive(good.rule, good.claim, (fine, *good.premises[1:]), **facts)


def test_bernsteins_bound_is_conditional_on_the_spread():
    bound = AveragingAttention(IDENTITY).deviation(LINE, 50, 0.05, 7, "bernstein", 0.25)
    assert (bound.evidence.assumes, bound.evidence.trials) == ({SPREAD}, {(7, 0.05)})
    bound.check()
    read = from_json(to_json(bound))[bound.id]
    assert (read.status, read.value) == (f"CONDITIONAL({SPREAD})", bound.value)
    drawn = bound.premises[0]
    for forged in ({"assumes": []}, {"spread": 0.01}, {"assumes": ["nothing"]}):
        with pytest.raises(ProofError):
            leaf(drawn.rule, drawn.claim, drawn.value, UnitTokens(50), **{**drawn.params, **forged}).check()


@pytest.mark.parametrize("slope", [40.0, 1e4, 1e200])
def test_scores_that_may_pick_one_token_leave_no_concentration(slope):
    bound = AveragingAttention(IDENTITY, lo.Linear(np.array([[slope]]))).deviation(LINE, 50, 0.1, 0)
    assert bound.value == pytest.approx(50 * UnitTokens(50).deviation("mcdiarmid", 0.1, 0).value)


def test_bad_input():
    F = AveragingAttention(lo.Linear(np.eye(2)), lo.Linear(np.ones((1, 2))))
    plane = lo.Ball(np.zeros(2), 1.0)
    with pytest.raises(ShapeError, match="one number"):
        AveragingAttention(lo.Linear(np.eye(2)), lo.Linear(np.eye(2)))
    with pytest.raises(DomainError, match="equal weights"):
        F.deviation(plane, 5, 0.1, 0, "bernstein")
    with pytest.raises(DomainError, match="one coordinate"):
        AveragingAttention(lo.Linear(np.eye(2))).deviation(plane, 5, 0.1, 0, "hoeffding")
    for count, delta, method in [(0, 0.1, "mcdiarmid"), (5, 1.0, "mcdiarmid"), (5, 0.1, "chebyshev"), (2.5, 0.1, "x")]:
        with pytest.raises(DomainError):
            AveragingAttention(lo.Linear(np.eye(2))).deviation(plane, count, delta, 0, method)
    with pytest.raises(DomainError, match="l2 ball"):
        F.deviation(lo.Everywhere(), 5, 0.1, 0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError):
        F(np.zeros((0, 2)))
    with pytest.raises(NonFiniteError):
        F(np.array([[np.nan, 0.0]]))


# ---- the sink ----


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("n", [1, 3, 9])
def test_the_sinks_variance_is_exact_over_all_contexts(share, n):
    sink = SinkAttention(share)
    outputs = sink(np.array(list(itertools.product((-1.0, 1.0), repeat=n + 1))))
    assert float(np.mean(outputs**2)) == pytest.approx(sink.variance(n), rel=1e-12)


def test_the_plateau_is_reached_and_not_crossed():
    sink = SinkAttention(0.3)
    decay = [sink.variance(10**k) for k in range(9)]
    assert all(a > b > sink.plateau for a, b in itertools.pairwise(decay))
    assert decay[-1] == pytest.approx(sink.plateau, rel=1e-7)
    assert SinkAttention(0.0).variance(10**8) == 1e-8
    for bad in (-0.1, 1.0, math.nan):
        with pytest.raises(DomainError):
            SinkAttention(bad)
    with pytest.raises(DomainError):
        sink.variance(0)
