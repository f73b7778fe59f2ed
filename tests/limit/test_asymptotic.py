"""Enclosures at infinity: random expressions are attacked at large indices; the scale is attacked by its own values."""

import math
from itertools import pairwise

import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import Abs, Max, Min, Piecewise, Rational, atan, cos, exp, factorial, floor, log, sin, sqrt, tanh

from lipop.core.rounding import workprec
from lipop.limit.asymptotic import Enclosing
from lipop.limit.forms import exponent_terms, less_one, log_ratio, without_cancellation
from lipop.limit.scale import Scale, Undecided, describe, sign
from lipop.limit.sequence import ball_function, positive_index

i = positive_index()
NUMBERS = st.sampled_from([Rational(p, q) for p in (-3, -1, 1, 2, 5) for q in (1, 2, 3)])
ATOMS = st.one_of(
    st.just(i),
    st.builds(lambda a: i + a, st.integers(1, 9)),
    st.builds(lambda a: log(i + a), st.integers(1, 9)),
    st.builds(lambda q: q**i, st.sampled_from([Rational(1, 2), Rational(9, 10), Rational(3, 2), Rational(-2, 3)])),
    st.just((-1) ** i),
    st.just(exp(-sqrt(i))),
    st.just(log(log(i + 2) + 1)),
    NUMBERS,
)


def wider(inner):
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, p: a**p, inner, st.sampled_from([-2, -1, 2, Rational(1, 2), Rational(-3, 2)])),
        st.builds(lambda f, a: f(a), st.sampled_from([sin, cos, atan, tanh, Abs, floor, exp, log]), inner),
        st.builds(lambda f, a, b: f(a, b), st.sampled_from([Max, Min]), inner, inner),
        st.builds(lambda a, b, c: Piecewise((a, i < c), (b, True)), inner, inner, st.integers(2, 50)),
    )


EXPRESSIONS = st.recursive(ATOMS, wider, max_leaves=5)


def inside(expr, M, indices):
    """Whether the enclosures from M on hold at the indices (None: the expression is not enclosed, or not a number)."""
    try:
        value = ball_function(expr, i)
        at = Enclosing(i, M)
        signed, size = at.signed(expr), at.magnitude(expr)
    except Undecided:
        return None
    for n in indices:
        exact = value(n)
        if not exact.is_finite():
            return None  # overflow, or undefined
        for found, target in ((signed, exact), (size, abs(exact))):
            if not found.factor.is_finite():
                return None
            if not (found.factor * found.scale.at(n)).overlaps(target):
                return False
            low, high = (found.factor.lower(), found.factor.upper())
            g = found.scale.at(n)
            if target > high * g or target < low * g:
                return False
    return True


@given(EXPRESSIONS, st.sampled_from([16, 100, 3000]), st.lists(st.integers(0, 5000), min_size=3, max_size=6))
def test_random_expressions_lie_in_their_enclosures(expr, M, steps):
    assume(isinstance(expr, sympy.Expr) and expr.has(i) and not expr.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I))
    assume(sympy.count_ops(expr) < 40)
    with workprec():
        assert inside(expr, M, [M + s for s in (0, 1, *steps)]) is not False


CANCELLING = [
    log(i + 1) - log(i), log(1 + 1 / i), sqrt(i + 1) - sqrt(i), exp(1 / i) - 1, 2 ** (1 / i) - 1, 1 - cos(1 / i),
    1 / i - 1 / (i + 1), sqrt(i**2 + i) - i, log(i + 2) / log(i + 1) - 1, (1 + 1 / i) ** i, i ** (1 / i) - 1,
    (i + 1) ** Rational(1, 3) - i ** Rational(1, 3), factorial(i) / i**i, exp(-sqrt(i**2 + 1)), (1 - 1 / i) ** (i**2),
    i ** (-1 - 1 / i), log(i + 1) ** (-log(i + 1)), exp(-(log(i) ** 2)), exp(sqrt(log(i))) / i,
    sympy.harmonic(i) - log(i),
    sympy.loggamma(i) / i, sympy.binomial(2 * i, i).rewrite(factorial) / 4**i, 1 - 1 / i - (1 - 1 / i) ** 2,
]  # fmt: skip


@pytest.mark.parametrize("expr", CANCELLING, ids=str)
@pytest.mark.parametrize("M", [16, 1000])
def test_what_cancels_lies_in_its_enclosure(expr, M):
    with workprec():
        assert inside(expr, M, [M, M + 1, 2 * M, 10 * M]) is True


@pytest.mark.parametrize("expr", CANCELLING[:10], ids=str)
def test_enclosures_tighten(expr):
    with workprec():
        near, far = (Enclosing(i, M).magnitude(expr) for M in (64, 10**6))
        assert near.scale == far.scale
        assert far.factor.rad() / far.factor.mid() < near.factor.rad() / near.factor.mid() + 1e-12
        assert far.factor > 0


# ---- the scale -----------------------------------------------------------------------------------------------------

EXPONENTS = st.sampled_from([Rational(p, q) for p in range(-6, 7) for q in (1, 2, 3)])
TERMS = st.tuples(
    st.sampled_from([Rational(1, 3), Rational(1, 2), Rational(1), Rational(2)]),
    st.sampled_from([0, 1, -1]),
    st.sampled_from([-2, Rational(-1, 2), -1, Rational(1, 10)]),
)
SCALES = st.builds(
    lambda p, t, u, e: Scale(p, t, u) * Scale.exponential([tuple(map(sympy.S, x)) for x in e]),
    EXPONENTS, EXPONENTS, st.sampled_from([sympy.S(0), sympy.S(1), sympy.S(-2)]), st.lists(TERMS, max_size=2),
)  # fmt: skip


@given(SCALES, st.sampled_from([16, 64, 1000]), st.lists(st.integers(1, 10**6), min_size=4, max_size=8))
def test_slopes_bound_differences(g, M, steps):
    """``g(y) <= g(x) (y/x)^slope`` for M <= x < y."""
    with workprec():
        try:
            top = g.slope(M)
        except Undecided:
            return
        assume(top.is_finite())
        points = sorted({M, *(M + s for s in steps)})
        for x, y in pairwise(points):
            bound = g.at(x) * (top * (ball_log(y) - ball_log(x))).exp()
            assert not g.at(y) > bound * (1 + 1e-20)


def ball_log(x):
    import flint

    return flint.arb(x).log()


@given(SCALES, st.sampled_from([16, 64, 1000]))
def test_tails_lie_between_their_bounds(g, M):
    with workprec():
        try:
            low, high = g.tail(M)
        except Undecided:
            return
        part = sum((g.at(n) for n in range(M + 1, M + 1500)), 0 * g.at(M))
        assert part <= high * (1 + 1e-20)
        rest_low, rest_high = g.tail(M + 1499) if g.decreases(M + 1499) else (0, math.inf)
        assert not low > (part + rest_high) * (1 + 1e-20)
        assert not part + rest_low > high * (1 + 1e-20)


def test_bertrand():
    cases = [((-2,), True),
             ((-1,), False), ((-1, -2), True), ((-1, -1), False), ((-1, -1, -2), True), ((-1, -1, -1), False),
             ((-1, 5, 0), False), ((0, -9), False), ((Rational(-101, 100), 50), True)]  # fmt: skip
    for exponents, sums in cases:
        assert Scale(*exponents).sums() is sums
        assert ("it sums" in describe(Scale(*exponents))[1]) is sums
    half = Scale.exponential([(sympy.S(1), sympy.S(0), sympy.S(-1)), (Rational(1, 2), sympy.S(0), sympy.S(9))])
    assert half.sums()
    assert (half ** sympy.S(-1)).order == 1


def test_signs_of_exact_numbers():
    assert sign(log(Rational(9, 10))) == -1
    assert sign(log(8) - 3 * log(2)) == 0
    assert sign(sqrt(2) * sqrt(3) - sqrt(6)) == 0
    assert sign(exp(30) - Rational(10686474581524, 1)) == 1


def test_forms():
    assert set(exponent_terms(-2 * i + 3 * log(i), i)) == {(-2, 1, 0, False, None), (3, 0, 1, False, None)}
    assert less_one((i + 1) / i, i) == 1 / i
    assert sympy.simplify(log_ratio(2**i * i, 2**i * (i + 1), i) - log(i / (i + 1))) == 0
    for total in (1 / i - 1 / (i + 1), log(i + 1) - log(i), 1 - cos(1 / i)):
        for form in without_cancellation(total, i):
            assert abs(float((form - total).subs(i, 37))) < 1e-15
