"""Error by depth, covering numbers and parameter dependence, against sums, covers and hybrids made by hand."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from lipop.errors import DomainError
from lipop.limit import Law
from lipop.limit.capacity import (
    LimitClass,
    entropy_exponent,
    generalization_exponent,
    parameter_lipschitz,
    truncation_formula,
)
from lipop.limit.depth_error import DepthError, crossover_depth, first_depth, leading_power
from lipop.limit.drawing import curves

k = sympy.Symbol("k")


@pytest.mark.parametrize("s", [1.5, 2.0, 3.0])
def test_the_critical_error_is_one_power_worse(s):
    law = Law(k ** (-sympy.Rational(s)))
    critical, contractive = DepthError(law), DepthError(law, 0.5)
    for P in (10, 1000):
        exact = 2 * P**-s + float(sympy.zeta(s, P + 1))
        assert exact <= critical(P) <= exact * 1.01
        assert critical.projected(P) <= critical(P)
        run = 0.0
        for n in range(1, P + 1):
            run = 0.5 * run + n**-s
        assert run * (1 - 1e-12) <= contractive(P) <= run * (1 + 1e-9)
    assert critical(10**4) / critical.power_law(10**4) == pytest.approx(1, rel=2e-3 * 10)
    assert contractive(10**4) / contractive.power_law(10**4) == pytest.approx(1, rel=1e-3)
    assert critical.power_law(100) / contractive.power_law(100) == pytest.approx(100 * 0.5 / (s - 1))


def test_the_power_laws_meet_at_the_crossover():
    q, s = 0.75, 3.0
    P = crossover_depth(q, s)
    law = Law(k**-3)
    assert DepthError(law, q).power_law(int(P)) == pytest.approx(DepthError(law).power_law(int(P)))


def test_first_depth_is_the_first():
    for error in (DepthError(Law(2 ** (-k))), DepthError(Law(k**-2)), DepthError(Law(1 / k), 0.5)):
        P = first_depth(error, 1e-2)
        assert error(P) <= 1e-2 < error(P - 1)
    with pytest.raises(DomainError, match="no depth"):
        first_depth(DepthError(Law(1 / k)), 1e-2, most=1000)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: DepthError(Law(1 / k), 1.5), "Lip"),
        (lambda: crossover_depth(1.0, 2.0), "contraction factor"),
        (lambda: crossover_depth(0.5, 1.0), "s > 1"),
        (lambda: DepthError(Law(1 / k), 0.5).projected(3), "critical"),
        (lambda: DepthError(Law(1 / k)).power_law(3), "must sum"),
        (lambda: leading_power(Law(2 ** (-k))), "power"),
        (lambda: LimitClass(Law(1 / k), 1, 1.0, 1.0), "not known to sum"),
        (lambda: LimitClass(Law(k**-2), 0, 1.0, 1.0), "p >= 1"),
        (lambda: LimitClass(Law(k**-2), 1, 1.0, 1.0).truncation(0.0), "positive"),
        (lambda: LimitClass(Law(k**-2), 1, 1.0, 1.0).truncation(1e-9, most=100), "too slowly"),
        (lambda: parameter_lipschitz([1.0], [1.0, 2.0]), "one gain"),
        (lambda: parameter_lipschitz([-1.0], [1.0]), "negative"),
        (lambda: entropy_exponent(1.0), "s > 1"),
        (lambda: generalization_exponent(0.5), "s > 1"),
    ],
)
def test_arguments_out_of_range_are_refused(make, match):
    with pytest.raises(DomainError, match=match):
        make()


@given(st.integers(0, 2**31))
def test_parameters_move_outputs_by_at_most_the_sum(seed):
    """T_j(x; b) = a_j tanh(x) + b: G = 1, Lip = |a_j|; the two outputs against the bound."""
    rng = np.random.default_rng(seed)
    P = int(rng.integers(1, 8))
    a, b, c = rng.uniform(-1.5, 1.5, P), rng.standard_normal(P), rng.standard_normal(P)
    x = y = float(rng.standard_normal())
    for j in range(P):
        x, y = a[j] * np.tanh(x) + b[j], a[j] * np.tanh(y) + c[j]
    sums = parameter_lipschitz([abs(v) for v in a], [1.0] * P)
    assert abs(x - y) <= sum(s * abs(u - v) for s, u, v in zip(sums, b, c, strict=True)) * (1 + 1e-12)


@pytest.mark.parametrize("s", [2.0, 3.0])
def test_covers_do_not_depend_on_the_depth(s):
    c = 0.25
    limits = LimitClass(Law(c * k ** (-sympy.Rational(s))), 3, 1.0, 1.0)
    for e in (1e-1, 1e-3):
        n = limits.truncation(e)
        assert c * float(sympy.zeta(s, n + 1)) <= e / 2 * (1 + 1e-9)
        assert n == limits.deviation.start or c * float(sympy.zeta(s, n)) >= e / 2 * (1 - 1e-6)
        assert limits.log_covering_number(e) == pytest.approx(3 * n * math.log(1 + 4 * n / e))
    small = 1e-4
    assert limits.truncation(small) == pytest.approx(truncation_formula(c, s, small), rel=0.05)


def test_the_modulus_of_the_limit_has_its_exponent():
    """For i^-s the best n is of order t^(-1/s), which gives t^((s-1)/s)."""
    limits = LimitClass(Law(k**-3), 1, 1.0, 1.0)
    (a, n), (b, m) = limits.modulus(1e-6), limits.modulus(1e-9)
    assert math.log(a / b) / math.log(1e3) == pytest.approx(2 / 3, abs=0.02)
    assert math.log(m / n) / math.log(1e3) == pytest.approx(1 / 3, abs=0.02)
    brute = min(2 * limits.deviation.tail(j) + j * 1e-6 for j in range(1, 1000))
    assert brute <= a <= brute * 1.001
    assert limits.modulus(0.0) == (0.0, 0)


def test_exponents():
    assert entropy_exponent(3.0) == 0.5
    assert [generalization_exponent(s)[0] for s in (1.25, 1.5, 2.0)] == [0.25, 0.5, 0.5]
    assert leading_power(Law((3 * k + 1) / k**3)) == (3, 2)


def test_drawings_escape_and_leave_out_what_is_not_finite():
    shown = curves([([1, 2, 3], [1.0, math.inf, -2.0], "a<b")], "x & y", "n", log=True)
    assert "a&lt;b" in shown
    assert "x &amp; y" in shown
    assert shown.count(",") == 1  # one point is left
    assert curves([], "empty", "n").startswith("<svg")
