"""Maps made of a user's own functions: what they answer, and that they claim no more than they can."""

import numpy as np
import pytest

import lipop as lo
from lipop.core.rule import RULES, about, rule
from lipop.errors import DomainError, ProofError, ShapeError

R3 = lo.Space(3)


def product(x, v):
    return np.cos(x) * v


def sine(**kwargs):
    return lo.FunctionOperator(R3, R3, np.sin, product, product, name="sin", **kwargs)


def test_value_and_derivative():
    f = sine()
    x, v, u = np.random.default_rng(0).standard_normal((3, 3))
    np.testing.assert_array_equal(f(x), np.sin(x))
    assert f(x.astype(np.float32)).dtype == np.float32
    J = f.derivative(x)
    np.testing.assert_allclose(J.matvec(v), np.cos(x) * v, rtol=1e-15)
    assert abs(J.matvec(v) @ u - v @ J.rmatvec(u)) < 1e-14


def test_a_function_of_another_dtype_is_cast():
    f = lo.FunctionOperator(R3, R3, lambda x: x.astype(np.float64) * 2, name="double")
    assert f(np.ones(3, dtype=np.float32)).dtype == np.float32


def test_a_stated_constant_is_estimated():
    bound = sine(lip=1.0).lip(lo.Ball(np.zeros(3), 1.0))
    assert (bound.value, bound.status) == (1.0, "ESTIMATED")
    bound.check()
    both = (lo.Linear(2 * np.eye(3)) @ sine(lip=1.0)).lip()
    assert both.status == "ESTIMATED"
    assert both.value == pytest.approx(2.0, rel=1e-6)


def test_without_a_constant_nothing_is_claimed():
    f = sine()
    assert f.lip().status == f.smoothness().status == "UNKNOWN"
    assert f.lip().value == np.inf
    assert f.linearize(lo.Ball(np.zeros(3), 0.0)).deviation.norm().status == "UNKNOWN"


def test_a_registered_rule_is_applied():
    name = "test.scaled_sine.lip@1"
    if name not in RULES:

        @rule(name, reference="|sin'| <= 1", accepts=about("lip"))
        def _constant(scale):
            return scale * 1

    f = lo.FunctionOperator(R3, R3, lambda x: 3 * np.sin(x), name="3 sin", rule=name, params={"scale": 3.0})
    bound = f.lip()
    bound.check()
    assert (bound.value, bound.status) == (3.0, "PROVED")


def test_a_changed_constant_does_not_check():
    bound = sine(lip=1.0).lip()
    forged = type(bound)(0.5, bound.claim, bound.evidence, bound.rule, bound.params, (), None, bound.subject)
    with pytest.raises(ProofError):
        forged.check()


def test_lower_bounds_are_witnessed():
    bracket = lo.lip(sine(lip=1.0), at=np.zeros(3))
    assert bracket.lower.status == "WITNESSED"
    assert bracket.lower.value == pytest.approx(1.0, rel=1e-9)


def test_the_name_is_the_identity():
    assert sine() == sine()
    assert sine() != sine(lip=1.0)
    assert sine() != lo.FunctionOperator(R3, R3, np.sin, product, product, name="other")


def test_bad_input():
    with pytest.raises(DomainError, match="needs a name"):
        lo.FunctionOperator(R3, R3, np.sin, name="")
    with pytest.raises(DomainError, match="both jvp and vjp"):
        lo.FunctionOperator(R3, R3, np.sin, product, name="sin")
    with pytest.raises(DomainError, match="finite and >= 0"):
        sine(lip=-1.0)
    with pytest.raises(DomainError, match="finite and >= 0"):
        sine(lip=float("nan"))
    with pytest.raises(DomainError, match="registered rule"):
        sine(rule="no.such.rule@1")
    with pytest.raises(DomainError, match="must be callable"):
        lo.FunctionOperator(R3, R3, 3.0, name="three")
    with pytest.raises(DomainError, match="no derivative"):
        lo.FunctionOperator(R3, R3, np.sin, name="sin").derivative(np.zeros(3))
    with pytest.raises(ShapeError, match="returned shape"):
        lo.FunctionOperator(R3, R3, lambda x: x[:2], name="cut")(np.zeros(3))
