"""Products, series and recurrences against closed forms and long runs."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from lipop.errors import DomainError, ShapeError
from lipop.limit import AffineRule, Cycle, Law, ResidualRule
from lipop.limit.affine_laws import absolute, affine_deviation
from lipop.limit.affine_rules import coefficients, coupled
from lipop.limit.products import eventual_sign, product
from lipop.limit.recurrences import last_zero, rotation, scalar
from lipop.limit.scalar_series import series, without_sign
from lipop.operators.linear import Linear

i = sympy.Symbol("i")
HALF = sympy.Rational(1, 2)
FEWER = settings(max_examples=max(10, settings().max_examples // 5))  # each example takes long


@pytest.mark.parametrize(
    ("factor", "value"),
    [
        (1 + 1 / i**2, "positive"),
        (1 + 1 / i, "infinite"),
        (1 - 1 / (i + 1), "zero"),
        (1 - 1 / (i + 1) ** 2, "positive"),
        (sympy.Integer(1), "positive"),
        (HALF, "zero"),
        (sympy.Integer(2), "infinite"),
        (1 - 1 / i, "zero"),  # the first factor is 0
        (1 - 1 / i**2, "zero"),
        (1 + 2 ** (-i), "positive"),
        (1 + 1 / (i * sympy.log(i + 1)), "infinite"),
        (sympy.sqrt((i + 1) / i), "infinite"),
    ],
)
def test_products(factor, value):
    """Against the logarithm of a long partial product, where it says something."""
    assert product(Law(factor, i)).value == value
    numbers = [float(v) for v in map(sympy.lambdify(i, factor), range(1, 2000))]
    if value == "positive":
        logs = np.cumsum(np.log(numbers))
        assert abs(logs[-1] - logs[999]) < 2e-3
    if value == "zero" and min(numbers) > 0:
        assert np.prod(numbers) < 1e-3


def test_products_that_nothing_decides_are_left_open():
    assert product(Law(2 + sympy.cos(i), i)).value is None
    assert product(Law([1.0, 2.0])).value is None


@pytest.mark.parametrize(
    ("term", "converges"),
    [
        (1 / i**2, True),
        (1 / i, False),
        ((-1) ** i / i, True),
        ((-1) ** (i + 1) / sympy.log(i + 1), True),
        (-1 / i, False),
        (sympy.Integer(1), False),
        ((-1) ** i, False),
        ((-HALF) ** i, True),
        (i / 2**i, True),
        (sympy.sin(i) / i**2, True),
        (sympy.sin(i), None),
        (sympy.sin(i) / i, None),  # it does, by Dirichlet's test, which is not tried
    ],
)
def test_series(term, converges):
    found = series(term, i)
    assert found.converges in (converges, None) if converges is None else found.converges == converges
    if found.absolutely:
        assert found.converges


def test_signs():
    assert without_sign((-1) ** (i + 3) / i, i)[1]
    assert not without_sign(1 / i, i)[1]
    assert without_sign((-HALF) ** i, i) == (HALF**i, True)
    assert eventual_sign((5 - i) / i**2, i, 1) == -1
    assert eventual_sign((5 - i) / i**2, i, 1, strictly_from_there=True) is None
    assert eventual_sign(sympy.cos(i), i, 1) is None
    assert eventual_sign(sympy.Integer(0), i, 1) == 0


@FEWER
@given(st.integers(-8, 8), st.integers(-8, 8), st.integers(1, 3), st.integers(-3, 3))
def test_recurrences_agree_with_long_runs(p, q, power, offset):
    """a = p/4 + (q/4) / i^power, b = offset / i^2: the verdict against 20,000 steps from two points."""
    a = sympy.Rational(p, 4) + sympy.Rational(q, 4) / i**power
    b = sympy.Rational(offset) / i**2
    found = scalar(a, b, i)
    if found is None or found.exists is None:
        return
    n = np.arange(1, 20001, dtype=float)
    steps, pushes = p / 4 + q / 4 / n**power, offset / n**2
    ends = []
    for start in (1.0, -3.0):
        x, late = start, []
        for k in range(20000):
            x = steps[k] * x + pushes[k]
            if abs(x) > 1e12:
                break
            if k >= 10000:
                late.append(x)
        ends.append(max(late) - min(late) if len(late) == 10000 else math.inf)
    if found.exists:
        assert max(ends) < 0.05 * (1 + abs(p) + abs(q))
    else:
        assert max(ends) > 1e-3 or (p == 4 and power == 1)  # slow powers of n take longer


@pytest.mark.parametrize(
    ("angle", "exists"), [(1 / i, False), (1 / i**2, True), ((-1) ** i / i, True), (1, None), (i, None)]
)
def test_rotations_by_the_sum_of_their_angles(angle, exists):
    angle = sympy.sympify(angle)
    found = rotation(sympy.cos(angle), sympy.sin(angle), i)
    assert (found.exists if found is not None else None) == exists
    assert rotation(sympy.cos(angle), -sympy.sin(angle) / 2, i) is None


def test_zeros_of_coefficients():
    assert last_zero((i - 3) * (i - 7) / i, i) == 7
    assert last_zero(i + 1, i) == 0
    assert last_zero(sympy.Integer(5), i) == 0
    assert last_zero((i**2 - 2) / i, i) == 0  # its root is no integer
    assert last_zero(sympy.cos(i), i) == 0  # pi is irrational
    assert last_zero(sympy.cos(sympy.pi * i / 4), i) is None


# ---- rules and their laws ----


def test_rules_refuse_what_is_no_formula():
    with pytest.raises(ShapeError, match="square"):
        AffineRule([[1, 2]], None, i)
    with pytest.raises(ShapeError, match="entries"):
        AffineRule([[1]], [1, 2], i)
    with pytest.raises(DomainError, match="symbol"):
        AffineRule([[sympy.Symbol("z")]], None, i)
    with pytest.raises(DomainError, match="symbol"):
        AffineRule([[1]], None, "i")
    with pytest.raises(DomainError, match="text"):
        AffineRule([["i + 1"]], None, i)
    with pytest.raises(DomainError, match="i - 3 is zero at i = 3"):
        AffineRule([[1 / (i - 3)]], None, i)
    with pytest.raises(DomainError, match="i - 500 is zero at i = 500"):
        AffineRule([[1 + 1 / (i - 500) ** 2]], None, i)
    with pytest.raises(DomainError, match="negative"):
        AffineRule([[sympy.sqrt(500 - i)]], None, i)
    with pytest.raises(DomainError, match="not excluded that sin"):
        AffineRule([[sympy.sqrt(sympy.sin(i))]], None, i)
    with pytest.raises(DomainError, match="at least one block"):
        Cycle([])
    with pytest.raises(DomainError):
        ResidualRule(Linear(np.eye(1)), sympy.Symbol("z"), i)


def test_cycles_shift():
    a, b, c = (Linear(np.full((1, 1), v)) for v in (1.0, 2.0, 3.0))
    rule = Cycle([a, b], head=[c])
    for m in range(5):
        moved = rule.shifted(m)
        assert [moved(n).digest for n in range(1, 6)] == [rule(n + m).digest for n in range(1, 6)]


@FEWER
@given(st.integers(0, 2**31), st.sampled_from(["l1", "l2", "linf"]))
def test_derived_deviations_bound_the_blocks(seed, kind):
    """|T_i x - T x| at random points and layers, against the law derived from the entries."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    decays = [1 / i, 1 / i**2, 2 ** (-i), (-1) ** i / i, sympy.Integer(0)]

    def entry():
        return sympy.Rational(int(rng.integers(-4, 5)), 4) + int(rng.integers(-2, 3)) * decays[rng.integers(5)]

    rule = AffineRule([[entry() for _ in range(n)] for _ in range(n)], [entry() for _ in range(n)], i, kind)
    found = affine_deviation(rule)
    if found is None:
        return
    T, law = found
    order = {"l1": 1, "l2": 2, "linf": np.inf}[kind]
    for layer in (1, 2, 3, 10, 57):
        x = rng.standard_normal(n) * 10.0 ** rng.uniform(-2, 2)
        gap = np.linalg.norm(rule(layer)(x) - T(x), order)
        size = 1 + np.linalg.norm(x, order) if type(law).__name__ == "Growth" else 1.0
        assert gap <= law.at(layer) * size * (1 + 1e-12) + 1e-12 * (1 + np.linalg.norm(x, order))


def test_limits_that_no_float_equals_give_no_law():
    assert affine_deviation(AffineRule([[sympy.Rational(1, 3)]], None, i)) is None
    assert affine_deviation(AffineRule([[(-1) ** i]], None, i)) is None


def test_parts_of_rules():
    assert absolute(-1 / i, i) == 1 / i
    assert absolute((-1) ** i, i) in (1, sympy.Abs((-1) ** i))
    assert coupled(AffineRule([[1, 0, 0], [0, 1, i], [0, 1, 1]], None, i)) == [[0], [1, 2]]
    parts = coefficients(AffineRule([[1 + 2 * i, i], [0, 1]], None, i))
    assert [str(p) for p in parts] == ["[1, 0, 0]\n[0, 1, 0]\n[0, 0, 1]", "[2, 1, 0]\n[0, 0, 0]\n[0, 0, 0]"]
