"""Fitted exponents against data with a known one; operation counts against their formulas."""

import bench_growth as growth
import numpy as np
import pytest
from bench_growth import Fit
from scipy import stats

SIZES = (256, 512, 1024, 2048)


@pytest.mark.parametrize("power", [0.5, 2.0, 3.0])
def test_a_pure_power_is_found(power):
    fit = Fit.of([(n, 3e-9 * n**power) for n in SIZES], lambda n: n**power)
    assert fit.exponent == pytest.approx(power, abs=1e-12)
    assert (fit.tail, fit.theory) == (pytest.approx(power), pytest.approx(power))
    assert fit.high - fit.low < 1e-9


def test_the_interval_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    points = [(n, float(n**2 * np.exp(0.1 * rng.standard_normal()))) for n in SIZES for _ in range(5)]
    fit = Fit.of(points, lambda n: n**2)
    line = stats.linregress(*np.log(np.asarray(points)).T)
    half = line.stderr * stats.t.ppf(0.975, len(points) - 2)
    assert (fit.exponent, fit.low, fit.high) == pytest.approx((line.slope, line.slope - half, line.slope + half))


def test_the_interval_covers_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        noise = np.exp(0.2 * rng.standard_normal((len(SIZES), 5)))
        fit = Fit.of([(n, n**2 * t) for n, row in zip(SIZES, noise, strict=True) for t in row], lambda n: n**2)
        inside += fit.low <= 2.0 <= fit.high
    assert 0.91 <= inside / 400 <= 0.985  # 0.95 and three standard deviations


def test_a_fixed_cost_shows_in_the_smaller_half():
    fit = Fit.of([(n, 1.0 + 1e-6 * n**2) for n in SIZES], lambda n: n**2)
    assert fit.tail is not None
    assert fit.exponent < fit.tail < fit.theory == pytest.approx(2.0)


def test_two_sizes_give_no_exponent():
    with pytest.raises(ValueError, match="three sizes"):
        Fit.of([(1, 1.0), (2, 2.0)], lambda n: n)


def test_what_theory_expects():
    slopes = {c: Fit.of([(n, 1.0) for n in SIZES], lambda n, c=c: growth.operations(c, n)).theory
              for c in (growth.NORM, growth.CERTIFICATE, growth.READ)}  # fmt: skip
    assert slopes == pytest.approx({growth.NORM: 2.0, growth.CERTIFICATE: 3.0, growth.READ: 2.0})
    short, long = growth.operations(growth.BLOCK, 16), growth.operations(growth.BLOCK, 32)
    assert long / short == pytest.approx(2.0, rel=0.02)  # few tokens: the weights
    assert growth.operations(growth.BLOCK, 2**21) / growth.operations(growth.BLOCK, 2**20) == pytest.approx(
        4.0, rel=0.02
    )
