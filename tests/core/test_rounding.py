"""Rounding in a chosen direction, against exact rational and ball arithmetic."""

import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special

from lipop.core.rounding import (
    ELEMENTARY,
    UNIT,
    dot_up,
    float_down,
    float_up,
    gamma,
    grid_down,
    grid_up,
    inflate,
    on_grid,
    workprec,
)

doubles = st.floats(allow_nan=False, allow_infinity=False)
bits = st.sampled_from([22, 24, 30, 36, 53])


@given(st.integers(1, 10**12))
def test_gamma_is_an_upper_bound_and_close(k):
    exact = Fraction(k, 2**53 - k)
    assert exact <= Fraction(gamma(k)) <= exact * (1 + Fraction(1, 2**45))


def test_gamma_refuses_too_many_operations():
    with pytest.raises(ValueError, match="too many operations"):
        gamma(2.0**52)


@given(st.lists(st.floats(0, 1e150), min_size=1, max_size=40))
def test_inflate_covers_a_sum_of_squares(values):
    exact = sum((Fraction(v) ** 2 for v in values), Fraction(0))
    total = 0.0
    for v in values:
        total += v * v
    assert exact <= Fraction(inflate(total, len(values)))


@given(doubles, st.integers(-40, 40))
def test_floats_from_balls_are_the_nearest_outside(value, shift):
    with workprec(200):
        x = flint.arb(value) + flint.arb(1) / 3 * flint.arb(2) ** shift
        up, down = float_up(x), float_down(x)
        assert flint.arb(up) >= x >= flint.arb(down)
        assert not flint.arb(math.nextafter(up, -math.inf)) >= x
        assert not flint.arb(math.nextafter(down, math.inf)) <= x
        assert math.nextafter(math.nextafter(down, math.inf), math.inf) >= up


def test_floats_from_balls_at_the_ends():
    with workprec(128):
        assert float_up(flint.arb("nan")) == math.inf
        assert float_down(flint.arb("nan")) == -math.inf
        assert float_up(flint.arb("inf")) == math.inf
        assert float_up(flint.arb(10) ** 400) == math.inf
        assert float_up(flint.arb(10) ** -400) == 5e-324
        assert float_down(flint.arb(10) ** -400) == 0.0
        assert float_up(3) == 3.0
        assert float_up(flint.arb(1, 0.5)) >= 1.5


def test_precision_is_restored():
    before = flint.ctx.prec

    def fail():
        with workprec(77):
            assert flint.ctx.prec == 77
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert flint.ctx.prec == before


@given(doubles, bits)
@example(1.7976931348623157e308, 30)
@example(-1.7976931348623157e308, 30)
@example(5e-324, 22)
@example(0.0, 22)
@example(math.nextafter(1.0, 0.0), 30)
def test_grid_rounds_outward_to_the_grid(value, b):
    up, down = grid_up(value, b), grid_down(value, b)
    assert down <= value <= up
    assert on_grid(up, b) or up == 1.7976931348623157e308
    assert grid_up(up, b) == up
    assert grid_down(down, b) == down
    if math.isfinite(up):
        assert up - value <= abs(value) * 2.0 ** (2 - b) + 5e-324
    if on_grid(value, b):
        assert up == down == value


@given(st.floats(1e-200, 1e200), st.sampled_from([22, 24, 30, 36]))
def test_the_grid_leaves_a_margin_for_recomputing(value, b):
    """A value that comes out a hundredth of a step larger elsewhere is still below the grid point."""
    up = grid_up(value, b)
    if not on_grid(value, b):
        moved = value * (1 + 2.0 ** -(b + 7))
        assert moved <= up


@given(st.lists(st.floats(-1e300, 1e300), max_size=30))
@example([1e-320, 1e-320])
@example([1e300] * 30)
def test_dot_up_is_an_upper_bound_of_the_norm(values):
    x = np.array(values)
    with workprec(300):
        exact = sum((flint.arb(float(v)) ** 2 for v in values), flint.arb(0)).sqrt()
        assert exact <= flint.arb(dot_up(x))
        assert dot_up(x) <= float(exact) * (1 + 1e-12) + 1e-300 or dot_up(x) == math.inf


def test_dot_up_of_what_is_not_finite():
    assert dot_up(np.array([1.0, math.inf])) == math.inf
    assert math.isnan(dot_up(np.array([1.0, math.nan])))
    assert dot_up(np.zeros(0)) == 0.0


FUNCTIONS = {
    "exp": (np.exp, lambda t: t.exp(), (-700, 700)),
    "expm1": (np.expm1, lambda t: t.expm1(), (-30, 700)),
    "log1p": (np.log1p, lambda t: t.log1p(), (-0.999, 1e6)),
    "tanh": (np.tanh, lambda t: t.tanh(), (-30, 30)),
    "erf": (special.erf, lambda t: t.erf(), (-6, 6)),
    "expit": (special.expit, lambda t: 1 / (1 + (-t).exp()), (-700, 700)),
    "ndtr": (special.ndtr, lambda t: (-t / flint.arb(2).sqrt()).erfc() / 2, (-37, 8)),
    "sin": (np.sin, lambda t: t.sin(), (-100, 100)),
    "cos": (np.cos, lambda t: t.cos(), (-100, 100)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_as_accurate_as_trusted(name):
    """The only assumption about NumPy and SciPy: ELEMENTARY units in the last place (ndtr: and the rounding of x^2)."""
    f, exact, (low, high) = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.uniform(low, high, 400), rng.uniform(max(low, -1), min(high, 1), 200), 10.0 ** -rng.uniform(0, 9, 100)]
    )
    with workprec(250):
        for t, y in zip(x, f(x), strict=True):
            true = exact(flint.arb(float(t)))
            ulps = 2 * ELEMENTARY + (4 * t * t if name == "ndtr" and t < 0 else 0.0)
            assert abs(true - flint.arb(float(y))) <= abs(true) * float(ulps) * UNIT, t
