"""Evidence for hypotheses: proofs hold, refutations have witnesses, and samples prove nothing."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.errors import DomainError
from lipop.limit import Growth, Hypothesis, Law, Uniform, domains, exact_norms, law_evidence
from lipop.limit import evidence as ev
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.hypothesis import CONDITIONAL, PROVED, UNKNOWN, WITNESSED, declared, unknown

k = sympy.Symbol("k")
ALL = lo.Everywhere()


@given(st.integers(0, 2**31), st.sampled_from(["l1", "l2", "linf"]))
def test_exact_nonexpansiveness_agrees_with_the_norm(seed, kind):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    a = rng.integers(-4, 5, (n, n)) / rng.choice([4.0, 8.0, 16.0])
    size = np.linalg.norm(a, {"l1": 1, "l2": 2, "linf": np.inf}[kind])
    found = exact_norms.exactly_nonexpansive(lo.Affine(a, norm_in=kind, norm_out=kind))
    if abs(size - 1) > 1e-9:
        assert found == (size <= 1)


@pytest.mark.parametrize(
    ("a", "fine"),
    [
        (np.full((2, 2), 0.5), True),  # an orthogonal projection
        (np.array([[0.0, 1.0], [1.0, 0.0]]), True),
        (np.array([[0.6, -0.8], [0.8, 0.6]]), False),  # the floats .6 and .8: squares that add up to more than 1
        (np.array([[1.0, 2.0**-60], [0.0, 1.0]]), False),
    ],
)
def test_norm_one_is_decided_exactly(a, fine):
    h = ev.nonexpansive(lo.Linear(a), ALL)
    assert (h.evidence == PROVED) == fine
    assert (h.evidence == WITNESSED) != fine
    if fine:
        h.bound.check()
        assert h.bound.value == 1.0


def test_nonexpansive_maps_that_are_no_matrices():
    assert ev.nonexpansive(lo.relu(3), ALL).evidence == PROVED
    assert (
        ev.nonexpansive(lo.silu(3), ALL).evidence == WITNESSED or ev.nonexpansive(lo.silu(3), ALL).evidence == UNKNOWN
    )
    assert ev.contraction(0.5 * lo.tanh(3), ALL).holds
    assert not ev.contraction(lo.tanh(3), ALL).holds
    claimed = lo.FunctionOperator(2, 2, np.cos, name="cosine")
    assert ev.nonexpansive(claimed, ALL).evidence == UNKNOWN


def test_idempotency_is_proved_or_refuted_never_sampled():
    oblique = lo.Linear(np.array([[1.0, 0.0], [3.0, 0.0]]))
    rounded = lo.Linear(np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0][:, :1])
    q = lo.Linear(rounded.A @ rounded.A.T)
    assert ev.idempotent(oblique, ALL).evidence == PROVED
    assert ev.idempotent(lo.relu(3), ALL).evidence == PROVED
    assert ev.idempotent(lo.Linear(np.zeros((2, 2))), ALL).evidence == PROVED
    assert ev.idempotent(q, ALL).evidence == WITNESSED  # as stored it is not, by about 1e-17
    assert ev.idempotent(lo.tanh(2), ALL).evidence == WITNESSED
    x = ev.idempotent(lo.tanh(2), ALL).witness
    assert np.abs(np.tanh(np.tanh(x)) - np.tanh(x)).max() > 1e-9
    clip = lo.FunctionOperator(2, 2, lambda x: np.clip(x, 0, 1), name="clip")
    assert ev.idempotent(clip, ALL).evidence == UNKNOWN


def test_laws_are_proved_where_derived_and_conditional_where_declared():
    law = Uniform(1 / k**2)
    assert law_evidence.summable(law, "derived", "deviation").evidence == PROVED
    h = law_evidence.summable(law, "declared", "deviation")
    assert (h.evidence, h.assumes) == (CONDITIONAL, {"deviation: Uniform(k**(-2))"})
    assert law_evidence.summable(Uniform(1 / k), "derived", "deviation").evidence == WITNESSED
    assert law_evidence.summable(None, None, "deviation").evidence == UNKNOWN
    assert law_evidence.vanishing(Uniform(1 / k), "derived", "deviation").evidence == PROVED
    assert law_evidence.vanishing(Uniform(sympy.Rational(1, 3)), "derived", "deviation").evidence == WITNESSED
    assert law_evidence.vanishing(Growth(1 / sympy.log(k + 2)), "declared", "deviation").evidence == CONDITIONAL


def test_fixed_points():
    box = lo.Box(np.zeros(2), np.ones(2))
    shift, turn = lo.Affine(np.eye(2), np.ones(2)), lo.Linear(np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert ev.fixed_points_exist(lo.sigmoid(2), box).evidence == PROVED  # Brouwer
    assert ev.fixed_points_exist(shift, ALL).evidence == WITNESSED
    assert ev.fixed_points_exist(turn, ALL).evidence == PROVED
    assert ev.fixed_points_exist(lo.tanh(2), ALL).evidence == PROVED  # 0
    assert ev.fixed_points_exist(lo.softplus(2), ALL).evidence == UNKNOWN


def test_sizes_of_domains_are_upper_bounds():
    rng = np.random.default_rng(1)
    for on in (
        lo.Ball(rng.standard_normal(3), 2.0),
        lo.Box(-np.ones(3), np.arange(3.0)),
        lo.Ball(np.ones(3), 0.5, "linf"),
    ):
        for kind, order in (("l2", 2), ("linf", np.inf), ("l1", 1)):
            top = domains.size_of(on, kind)
            assert all(np.linalg.norm(x, order) <= top for x in on.sample(rng, 200))
    assert domains.size_of(ALL, "l2") == math.inf
    assert domains.has_interior(lo.Ball(np.zeros(2), 1.0))
    assert not domains.has_interior(lo.Ball(np.zeros(2), 0.0))
    assert not domains.has_interior(lo.Box(np.zeros(2), np.array([1.0, 0.0])))


def test_limits_of_expressions():
    assert law_evidence.limit_of((k + 1) / k, k) == 1
    assert law_evidence.limit_of((-1) ** k, k) is None
    assert law_evidence.limit_of(sympy.Integer(3), None) == 3
    assert law_evidence.limit_of(sympy.log(k), k) == sympy.oo


def test_dissipative_matrices():
    assert exact_norms.exactly_dissipative(lo.Linear(np.array([[0.0, 1.0], [-1.0, 0.0]])))
    assert not exact_norms.exactly_dissipative(lo.Linear(np.array([[2.0**-60, 1.0], [-1.0, 0.0]])))
    assert exact_norms.exactly_dissipative(lo.tanh(2)) is None


def test_a_hypothesis_says_on_what_it_rests():
    with pytest.raises(DomainError, match="no evidence"):
        Hypothesis("h", "BELIEVED", "because")
    with pytest.raises(DomainError, match="names its law"):
        Hypothesis("h", CONDITIONAL, "because")
    with pytest.raises(DomainError, match="names its law"):
        Hypothesis("h", PROVED, "because", assumes=frozenset({"law"}))


def test_a_conclusion_with_an_open_hypothesis_concludes_nothing():
    c = Conclusion("theorem 0", (declared("a", "law", "stated"), unknown("b", "nobody knows")), "S", True, True)
    assert (c.holds, c.status, c.rate) == (False, UNKNOWN, None)
    with pytest.raises(DomainError, match="nobody knows"):
        c.require()
    held = Conclusion("theorem 0", (declared("a", "law", "stated"),), "S", True, True)
    assert (held.status, held.assumptions) == ("CONDITIONAL(law)", {"law"})
    assert "theorem 0 [CONDITIONAL(law)]: S" in held.explain()


def test_rates_refuse_what_is_no_depth():
    rate = Rate("x", lambda n, r: None, lambda: k, uniform=False)
    for bad in (-1, 1.5, True):
        with pytest.raises(DomainError, match="depth"):
            rate(bad)
    with pytest.raises(DomainError, match="radius="):
        rate.bound(3)
    with pytest.raises(DomainError, match="not negative"):
        rate.bound(3, math.nan)


def test_laws_stand_for_their_sequences():
    assert Law(1 / k).at(3) >= 1 / 3
