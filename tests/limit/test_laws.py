"""Laws: exact values in balls, hostile formulas, sums by layers, shifts."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Abs, Eq, Max, Mod, Piecewise, Rational, exp, log, sin, sqrt

from lipop.core.rounding import workprec
from lipop.errors import DomainError
from lipop.limit import Growth, Law, Uniform
from lipop.limit.sequence import ball_function

k = sympy.Symbol("k")

HOSTILE = {
    "text": ("1/k", "text is never evaluated"),
    "NaN": (float("nan"), "finite"),
    "infinite": (math.inf, "finite"),
    "bool": (True, "number or a SymPy expression"),
    "list of text": (["a"], "could not convert|needs finite"),
    "imaginary": (sympy.I / k, "real"),
    "0/0": (sympy.nan, "undefined"),
    "pole": (sympy.zoo * k, "undefined"),
    "two symbols": (k / sympy.Symbol("x"), "which is the index"),
    "negative": (-1 / k**2, "negative"),
    "negative far out": (1 - k, "negative"),
    "complex far out": (sqrt(2 - k), "not a real number"),
    "relation": (k > 2, "number or a SymPy expression"),
    "Piecewise, negative": (Piecewise((1 / k, k < 3), (-1, True)), "negative"),
    "Piecewise with a hole": (Piecewise((1 / k, k < 3)), "has no value|undefined"),
    "unknown function": (sympy.Function("f")(k), "has no rule"),
    "special function": (sympy.besselj(0, k) ** 2, "has no rule"),
    "empty": ([], "at least one"),
    "negative layer": ([0.5, -0.5], "finite values >= 0"),
}


@pytest.mark.parametrize(("expr", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_laws_are_refused_when_they_are_made(expr, message):
    with pytest.raises((DomainError, ValueError), match=message):
        Uniform(expr)


HOSTILE_SOMEWHERE = {
    "pole": (1 / (k - 3), "negative at k = 1"),
    "pole squared": (1 / (k - 3) ** 2, "not a real number at k = 3"),
    "complex at first": (sqrt(k - 5), "not a real number at k = 1"),
    "undefined at first": (1 / log(k), "not a real number at k = 1"),
    "0/0 at one layer": ((k - 4) / (k**2 - 16), "not a real number at k = 4"),
    "negative at one layer": (1 - 3 * Rational(1, 4) ** (k - 1), "negative at k = 1"),
}


@pytest.mark.parametrize(("expr", "message"), HOSTILE_SOMEWHERE.values(), ids=HOSTILE_SOMEWHERE)
def test_laws_that_fail_at_one_layer_are_refused_when_they_are_checked(expr, message):
    with pytest.raises(DomainError, match=message):
        Uniform(expr).checked()


def test_a_law_may_begin_where_it_is_defined():
    assert Uniform(1 / log(k), start=2).checked().at(2) == pytest.approx(1 / math.log(2), rel=1e-15)
    with pytest.raises(DomainError, match="not about layer 1"):
        Uniform(1 / log(k), start=2).at(1)
    with pytest.raises(DomainError, match="starts at a layer"):
        Uniform(1 / k, start=0)


EXPRESSIONS = [
    1 / k**2, 0.1 / k, exp(-k), sin(k) ** 2, Abs((-1) ** k * (k + 1)) / k**3, Rational(9, 10) ** k,
    k ** Rational(-3, 2),
    Max(1 / k, 2 / k**2), Piecewise((1 / k, k < 5), (1 / k**2, True)), Mod(k, 3) / k, (1 + (-1) ** k) / k,
    sympy.factorial(k) / k**k, sympy.binomial(2 * k, k) / 5**k, sympy.harmonic(k) / k, sympy.floor(k / 3),
    Piecewise((1, Eq(Mod(k, 2), 0)), (0, True)), log(k + 1) ** 2 / sqrt(k), 2 ** (-sqrt(k)), sympy.tanh(1 / k),
]  # fmt: skip


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
def test_values_are_balls_around_sympys(expr):
    law = Law(expr)
    for i in (1, 2, 7, 100):
        exact = sympy.S(expr).xreplace({f: sympy.Rational(f) for f in sympy.S(expr).atoms(sympy.Float)}).subs(k, i)
        with workprec():
            assert abs(float(law.exact(i)) - float(exact.evalf(40))) <= 1e-15 * (1 + abs(float(exact)))
        assert law.below(i) <= Fraction(str(exact.evalf(60))) <= law.at(i) or exact.is_Rational
        if exact.is_Rational:
            assert law.below(i) <= Fraction(int(exact.p), int(exact.q)) <= law.at(i)
        assert law.at(i) - law.below(i) <= 2 * math.ulp(law.at(i))


@given(st.floats(0, 1e6), st.integers(1, 10**6))
def test_floats_count_as_the_rationals_that_they_are(c, i):
    value = Fraction(c) / i
    assert Law(c / k if c else 0).below(i) <= value <= Law(c / k if c else 0).at(i)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(1, 4), st.integers(0, 25))
def test_laws_by_layers_have_exact_tails(values, start, n):
    law = Uniform(values, start=start)
    rest = sum(Fraction(v) for j, v in enumerate(values) if start + j > n)
    assert law.summable is True
    assert rest <= law.tail(n) <= rest * (1 + Fraction(1, 2**50)) + Fraction(1, 2**1000)
    assert law.last == start + len(values) - 1
    with pytest.raises(DomainError):
        law.at(start + len(values))


@given(st.integers(0, 30), st.integers(1, 9))
def test_shifted_laws_speak_about_later_layers(m, i):
    law = Growth(1 / k**2 + k / 3**k, start=3)
    shifted = law.shifted(m)
    assert isinstance(shifted, Growth)
    assert shifted.start == max(1, 3 - m)
    if i >= shifted.start:
        assert shifted.at(i) == law.at(i + m)
        assert shifted.tail(i) == pytest.approx(law.tail(i + m), rel=1e-3)


def test_scaled_and_restarted_laws():
    assert Uniform(1 / k).scaled(3).at(2) == 1.5
    assert Uniform([0.5, 0.25]).scaled(2.0).at(2) >= 0.5
    assert Uniform([0.5, 0.25, 1.0]).starting(2).values == (0.25, 1.0)
    assert Uniform([0.5, 0.25]).shifted(1).values == (0.25,)
    with pytest.raises(DomainError, match="does not speak"):
        Uniform([0.5]).starting(2)


def test_digests_tell_laws_apart():
    laws = [Uniform(1 / k), Growth(1 / k), Law(1 / k), Uniform(1 / k, start=2), Uniform([1.0]), Uniform(2 / k)]
    assert len({law.digest for law in laws}) == len(laws)
    assert Uniform(1 / k).digest == Uniform(1 / k).digest


def test_numbers_and_arrays_are_laws():
    assert Uniform(0).summable is True
    assert Uniform(0.5).summable is False
    assert Uniform(np.array([0.5, 0.5])).tail(1) == 0.5
    assert Uniform(Fraction(1, 3)).below(4) < Fraction(1, 3) < Uniform(Fraction(1, 3)).at(4)


def test_undecided_laws_say_so():
    law = Uniform(Abs(sin(k)) / k)
    assert law.summable is None
    assert law.tail(3) == math.inf


def test_negative_bases_are_powers_with_integer_exponents():
    with workprec():
        f = ball_function((-2) ** k, k)
        assert [int(f(i).unique_fmpz()) for i in (1, 2, 3, 64)] == [-2, 4, -8, 2**64]
        assert not ball_function((-2) ** (k / 2), k)(3).is_finite()
