"""``assert_limit`` accepts what is true and names what is not; the strategies stand in the public module."""

import numpy as np
import pytest
import sympy

import lipop as lo
from lipop import testing
from lipop.errors import DomainError
from lipop.limit import Architecture, Uniform
from lipop.testing import LimitBroken, assert_limit, assert_theorem
from lipop.testing.architecture_strategies import theorem_1
from lipop.testing.laws import DIVERGENT, LAWS, SUMMABLE
from lipop.testing.limits import verdict
from lipop.testing.pushes import Pushed, unit

K = sympy.Symbol("k")


def stack(size=1.0, limit=None, law=1 / K**2, start=1, heads=()):
    """``diag(1, 0) x + (0, size / i^2)``, after some other blocks."""
    P = lo.Linear(np.diag([1.0, 0.0]))

    def rule(i):
        return heads[i - 1] if i <= len(heads) else lo.Affine(P.A, np.array([0.0, size / i**2]))

    return Architecture.by_rule(rule, limit=limit or P, deviation=Uniform(law, K, start), start=start)


POINTS = (np.array([2.0, -1.0]), np.zeros(2))


def test_a_true_law_is_accepted():
    found = assert_limit(stack(), POINTS)
    assert found.answer == "EXISTS"
    assert found.tail_stable


def test_blocks_before_the_law_may_do_anything():
    heads = (lo.Linear(np.array([[0.0, 7.0], [-3.0, 5.0]])),) * 3
    assert assert_limit(stack(start=4, heads=heads), POINTS).answer == "EXISTS"


def test_a_law_that_blocks_break_is_named():
    with pytest.raises(LimitBroken, match="a declared law is broken: the deviation law"):
        assert_limit(stack(size=3.0), POINTS)


def test_a_limit_that_does_not_exist_is_named():
    with pytest.raises(LimitBroken, match="DOES_NOT_EXIST"):
        assert_limit(Architecture.tied(lo.Linear(-np.eye(2))), POINTS)


def test_a_law_that_does_not_sum_decides_nothing():
    with pytest.raises(LimitBroken, match="UNDECIDED"):
        assert_limit(stack(law=1 / K), POINTS)


def test_a_rate_that_is_exceeded_is_named(monkeypatch):
    """A verdict whose rates are a hundredth of the true ones."""

    class Small:
        def __init__(self, found):
            self.answer, self.contradiction, self.rates = found.answer, None, found.rates
            self.rate = lambda n, radius=None: 0.01 * found.rate(n, radius)

    monkeypatch.setattr("lipop.testing.limits.verdict", lambda arch: Small(verdict(arch)))
    with pytest.raises(LimitBroken, match=r"\|S_200 x - S_1 x\| = .* exceeds .*, the rates at 1 and 200"):
        assert_limit(stack(), POINTS)


def test_depths_before_the_law_are_refused():
    with pytest.raises(DomainError, match="none of the depths"):
        assert_limit(stack(start=60, heads=(lo.Linear(np.eye(2)),) * 59), POINTS)
    with pytest.raises(DomainError, match="theorems are 1 to 10"):
        assert_theorem(0, theorem_1("box", "l2", 2, "k**-2", 1.0, "wave", 0, 0))


def test_a_bound_that_is_exceeded_is_named():
    """The same blocks, said to deviate by half as much."""
    import dataclasses

    spec = theorem_1("shear", "linf", 2, "k**-2", 1.0, "constant", 0, 3)
    assert_theorem(1, spec)
    with pytest.raises(AssertionError, match=r"<theorem 1: shear.*claim 1 \("):
        assert_theorem(1, dataclasses.replace(spec, scale=0.25))


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_one_sequence_in_two_spellings(name):
    law = LAWS[name]
    for k in (1, 2, 3, 10, 100):
        assert abs(float(law.expr(sympy.Integer(k), 0.25).evalf(30)) - 0.25 * law.values(100)[k - 1]) < 1e-15
    assert law.tail(10, 100) == pytest.approx(law.values(100)[10:].sum(), rel=1e-13)


def test_laws_sum_or_not_as_they_say():
    """By Cauchy's condensation: decreasing e(k) sum if and only if ``2^j e(2^j)`` do; sums over 20 <= j <= 200 tell."""
    for name, law in LAWS.items():
        total = sum(2.0**j * law.value(2.0**j) for j in range(20, 201))
        assert total > 2 if name in DIVERGENT else total < 1
    assert {*DIVERGENT, *SUMMABLE} == set(LAWS)


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
@pytest.mark.parametrize("push", ["constant", "wave", "jump"])
def test_pushes_are_as_long_as_they_say(kind, push):
    rng = np.random.default_rng(0)
    base = lo.Linear(np.eye(3), norm_in=kind, norm_out=kind)
    P = Pushed(base, 0.5, unit(rng, (3,), kind), push)
    for x in rng.standard_normal((50, 3)):
        length = lo.core.space.norm(P(x) - x, kind)
        assert length <= 0.5 + 1e-15
        assert push == "wave" or length >= 0.5 * (1 - 1e-12)


def test_everything_public_is_there():
    assert all(hasattr(testing, name) for name in testing.__all__)
    assert {"architectures", "violations", "assert_limit", "assert_theorem"} <= set(testing.__all__)
