"""Limits at a point to a tolerance: the certified error holds against closed forms, from every m."""

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.errors import DomainError, RegionError
from lipop.limit import Architecture, Combination, Growth, Uniform
from lipop.operators.linear import Affine

k = sympy.Symbol("k")
P = Affine(np.array([[1.0, 0.0], [2.0, 0.0]]), norm_in="linf", norm_out="linf")


def sup_norm_family(step):
    """T_i x = P x + step(i) (1, -1): S_inf x = (x_1 + sum, 2 x_1 + 2 sum)."""
    v = Affine(np.zeros((2, 2)), np.array([1.0, -1.0]), norm_in="linf", norm_out="linf")
    return Architecture.by_rule(Combination([(1, P), (step, v)]))


@given(st.sampled_from([1 / k**2, 1 / k**3, sympy.Rational(1, 2) ** k, k / 3**k]), st.floats(-3, 0), st.integers(0, 5))
def test_the_error_holds_against_closed_forms(step, magnitude, m):
    tol = 10.0**magnitude
    x = np.array([0.75, -2.0])
    found = sup_norm_family(step).limit_at(x, tol, m)
    f = sympy.lambdify(k, step, "mpmath")
    total = float(mpmath.nsum(f, [m + 1, mpmath.inf]))
    exact = np.array([x[0] + total, 2 * (x[0] + total)])
    distance = float(np.abs(found.value - exact).max())
    assert found.error.value <= tol
    assert distance <= found.error.value + 1e-12
    assert found.error.status == "PROVED"
    assert found.depth >= m


def test_the_depth_is_the_least_that_the_rate_certifies():
    arch = sup_norm_family(1 / k**2)
    value, depth, error = arch.limit_at(np.ones(2), 0.01)
    assert error.value <= 0.01
    tail = 2 * (1 + 1e-6) * arch.deviation.tail(depth - 1)
    assert tail > 0.01
    np.testing.assert_allclose(value, P(arch(np.ones(2), depth=depth)))
    error.check()


def test_contractions_and_declared_laws():
    """T_i x = x/2 + 1/i: the fixed point 0, at the speed of 2/n."""
    half = Affine(0.5 * np.eye(1))
    arch = Architecture.by_rule(
        lambda i: Affine(half.A, np.array([1 / i])), limit=half, deviation=Uniform(1 / k), index=k
    )
    value, depth, error = arch.limit_at(np.array([4.0]), 1e-2)
    assert abs(value[0]) <= error.value <= 1e-2
    assert 190 <= depth <= 260
    assert error.status.startswith("CONDITIONAL(deviation")


def test_growth_laws_take_the_size_of_the_point():
    arch = Architecture.by_rule(Combination([(1, Affine(np.diag([1.0, 0.0]))), (1 / k**3, Affine(np.eye(2)))]))
    assert isinstance(arch.deviation, Growth)
    near, far = (arch.limit_at(size * np.ones(2), 1e-2) for size in (1.0, 100.0))
    assert near.depth < far.depth
    exact = 100 * float(mpmath.nprod(lambda i: 1 + mpmath.mpf(1) / i**3, [1, mpmath.inf]))
    assert abs(far.value[0] - exact) <= far.error.value
    assert far.value[1] == 0.0


def test_laws_that_begin_later_let_the_first_blocks_run():
    half = Affine(0.5 * np.eye(1))
    arch = Architecture.by_rule(
        lambda i: Affine(5 * np.eye(1)) if i < 4 else half, limit=half, deviation=Uniform(0), start=4
    )
    value, depth, error = arch.limit_at(np.array([1.0]), 1e-3)
    assert abs(value[0]) <= error.value <= 1e-3
    assert depth == 4  # theorem 2: lim T^n = 0 is known, so one block of the law is enough
    assert value[0] == 0.0


UNIT = lo.Ball(np.zeros(2), 1.0)
BAD = {
    "tolerance": (lambda: sup_norm_family(1 / k**2).limit_at(np.ones(2), 0.0), DomainError, "positive"),
    "no law": (lambda: Architecture.by_rule(lambda i: P).limit_at(np.ones(2), 0.1), DomainError, "no theorem"),
    "diverging law": (lambda: sup_norm_family(1 / k).limit_at(np.ones(2), 0.1), DomainError, "does not sum"),
    "finite": (lambda: Architecture.finite([P]).limit_at(np.ones(2), 0.1), DomainError, "finite"),
    "out of reach": (
        lambda: sup_norm_family(1 / (k * sympy.log(k + 1) ** 2)).limit_at(np.ones(2), 1e-6), DomainError, "more than"),
    "outside": (
        lambda: Architecture.tied(Affine(np.diag([1.0, 0.0])), on=UNIT).limit_at(2 * np.ones(2), 0.1),
        RegionError, "outside"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_certified_is_refused(name):
    make, error, message = BAD[name]
    with pytest.raises(error, match=message):
        make()
