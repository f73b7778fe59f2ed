"""Series: decided by comparison, tails against closed forms and against sums in high precision."""

import math
from fractions import Fraction

import mpmath
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Abs, Eq, Max, Min, Mod, Piecewise, Rational, cos, exp, factorial, log, pi, sin, sqrt, tanh

from lipop.limit import Series

i = sympy.Symbol("i")
MP = mpmath.mp.clone()
MP.dps = 40

SUMS = [
    1 / i**2, 1 / i**Rational(11, 10), 1 / i**pi, 7 * (i + 3) / (i**3 + 1), 1 / i - 1 / (i + 1),
    1 / (i * log(i + 1) ** 2),
    1 / (i * log(i + 2) * log(log(i + 3)) ** 2), log(i + 1) / i**2, log(i) ** 5 / i**Rational(3, 2), i**3 / 2**i,
    Rational(9, 10) ** i * i, exp(-sqrt(i)), exp(-sqrt(i**2 + 1)), i ** (-i), 1 / factorial(i), factorial(i) / i**i,
    exp(-(log(i) ** 2)), log(i + 1) ** (-log(i + 1)), (1 - 1 / i) ** (i**2), sin(1 / i) ** 2, 1 - cos(1 / i),
    (2 + sin(i)) / i**2, (-1) ** i / i**2, Abs((-1) ** i * (i + 1)) / i**3, exp(-i) * sin(i) ** 2, 0 * i,
    Max(1 / i**2, 2 / i**3), Min(1 / i, 1 / i**2), Piecewise((1 / i, i < 5), (1 / i**2, True)),
    Piecewise((1 / i**3, Eq(Mod(i, 2), 0)), (1 / i**2, True)), exp(sqrt(log(i))) / i**2,
    sqrt(i + 1) / i**2 - sqrt(i) / i**2,
    sympy.binomial(2 * i, i) / 5**i, sympy.floor(i / 2 + 1) ** (-2), sympy.harmonic(i) / i**2, 2.0**-i, 0.3 * i**-1.5,
]  # fmt: skip
DIVERGES = [
    1 / i, 1 / sqrt(i), sympy.Integer(1), 3 / (i + 100), 1 / (i * log(i + 1)), 1 / (i * log(i + 2) * log(log(i + 3))),
    log(1 + 1 / i), log(i + 1) - log(i), sqrt(i + 1) - sqrt(i), exp(1 / i) - 1, 2 ** (1 / i) - 1, sin(1 / i),
    tanh(i) / i,
    (-1) ** i / i, Abs((-1) ** i / i), (2 + sin(i)) / i, 1 / (i + sin(i)), i ** (-1 - 1 / i), exp(-sqrt(log(i))),
    1 / log(i + 1) ** 3, sqrt(i**2 + 1) - i, log(i + 2) / log(i + 1) - 1, Max(1 / i, 2 / i**2), i**2 / (i**3 + 7),
    Piecewise((1 / 2**i, i < 50), (1 / i, True)), 1.1**i / i**9,
]  # fmt: skip


@pytest.mark.parametrize("expr", SUMS, ids=str)
def test_convergent_series_and_their_tails(expr):
    """The tail bounds the terms that are added up here, and lies close to them plus what they leave."""
    s = Series(expr, i)
    assert s.convergent is True, s.reason
    assert s.reason
    f = sympy.lambdify(i, Abs(sympy.S(expr)), modules=["mpmath", {"binomial": mpmath.binomial}])
    for n in (0, 7, 40):
        part = math.fsum(float(abs(f(mpmath.mpf(k)))) for k in range(n + 1, n + 600))
        assert s.tail(n) >= part * (1 - 1e-12)
        assert math.isfinite(s.tail(n))
        assert s.tail(n) <= part + s.tail(n + 599) + 1e-2 * s.tail(n)


@pytest.mark.parametrize("expr", DIVERGES, ids=str)
def test_divergent_series(expr):
    s = Series(expr, i)
    assert s.convergent is False, s.reason
    assert s.tail(5) == math.inf


@pytest.mark.parametrize("expr", [i ** (-1 - 1 / log(log(i + 20))), Abs(cos(i)) ** i / 2**i, Abs(sin(i)) / i], ids=str)
def test_what_no_rule_covers_is_undecided(expr):
    s = Series(expr, i)
    assert s.convergent is None
    assert s.reason
    assert s.tail(3) == math.inf


@pytest.mark.parametrize("s", [Fraction(11, 10), Fraction(3, 2), Fraction(2), Fraction(7, 2), Fraction(9)])
@pytest.mark.parametrize("shift", [0, 3])
def test_power_laws_are_zeta_values(s, shift):
    tail = Series(3 * (2 * i + shift) ** -Rational(s.numerator, s.denominator), i)
    for n in (0, 1, 10, 10**6):
        exact = (
            3 * MP.mpf(2) ** -MP.mpf(float(s)) * MP.zeta(MP.mpf(s.numerator) / s.denominator, n + 1 + MP.mpf(shift) / 2)
        )
        if s.denominator in (1, 2):  # 2^-s is exact to these digits
            assert 0 <= tail.tail(n) - exact <= 1e-14 * exact
        assert abs(tail.tail(n) - exact) <= 1e-12 * exact


@given(st.integers(1, 60), st.integers(0, 4), st.integers(0, 300))
def test_geometric_times_polynomial(percent, degree, n):
    """sum_{k>n} k^d q^k in closed form (SymPy's own sum is not used: the derivative formula is)."""
    q = Fraction(percent, 64)
    tail = Series(i**degree * Rational(percent, 64) ** i, i).tail(n)
    exact = MP.nsum(lambda k: k**degree * MP.mpf(percent) ** k / MP.mpf(64) ** k, [n + 1, n + 1200])
    assert q < 1
    assert exact * (1 - MP.mpf(10) ** -20) <= tail <= exact * 1.01 + 5e-324


@given(st.integers(105, 400), st.integers(-3, 3), st.sampled_from([1, 12, 900]))
def test_power_times_logarithm(hundredths, t, n):
    """Within one per cent of the integral, which the tail exceeds by less than a term."""
    s = Rational(hundredths, 100)
    tail = Series(log(i + 1) ** t / i**s, i, 1).tail(n)
    p = MP.mpf(hundredths) / 100
    head = MP.fsum(MP.log(k + 1) ** t / MP.mpf(k) ** p for k in range(n + 1, n + 400))
    M = n + 400
    lower = head + MP.log(M + 1) ** t * MP.mpf(M) ** -p if t < 0 else head
    area = MP.quad(lambda y: (MP.log(1 + MP.exp(y))) ** t * MP.exp((1 - p) * y), [MP.log(M), MP.log(M) + 40 / (p - 1)])
    assert tail >= lower
    assert tail <= (head + MP.log(M + 1) ** t * MP.mpf(M) ** -p + area) * 1.01


def test_stretched_exponential_against_its_sum():
    exact = MP.nsum(lambda k: MP.exp(-MP.sqrt(k)), [11, 6000])
    assert exact <= Series(exp(-sqrt(i)), i).tail(10) <= exact * 1.01


def test_an_oscillating_factor_costs_its_own_range_only():
    """sum (2 + sin k)/k^2 > 10 lies between the sums with 1 and 3; the terms are added, the rest is bounded."""
    s = Series((2 + sin(i)) / i**2, i)
    exact = MP.nsum(lambda k: (2 + MP.sin(k)) / k**2, [11, 5000]) + 2 / MP.mpf(5000)
    assert exact * (1 - 1e-3) <= s.tail(10) <= exact * 1.01


def test_tails_start_where_the_series_starts():
    assert Series(1 / (i - 3) ** 2, i, 4).tail(0) == pytest.approx(math.pi**2 / 6, rel=1e-12)
    assert Series(2.0**-i, i, 5).tail(2) == Series(2.0**-i, i, 5).tail(4) == 0.0625


def test_reasons_name_the_comparison():
    assert "integral test" in Series(1 / i**2, i).reason
    assert "ratio 1/2" in Series(i / 2**i, i).reason
    assert "does not sum" in Series(1 / i, i).reason


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(2, 6), st.integers(-2, 2), st.integers(0, 5)), min_size=1, max_size=3
    )
)
def test_sums_of_power_logarithm_terms_are_decided_by_the_slowest(terms):
    """c (i+a)^(-s/2) log(i+1)^t, added up: Bertrand's test on the largest term."""
    expr = sum(c * (i + a) ** -Rational(s, 2) * log(i + 1) ** t for c, s, t, a in terms)
    slowest = min((s, -t) for _, s, t, _ in terms)
    assert Series(expr, i).convergent is (slowest[0] > 2 or (slowest[0] == 2 and slowest[1] > 1))
