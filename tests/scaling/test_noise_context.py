"""Noise over contexts where it is known exactly, and the tests of Gaussianity against other implementations."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from lipop.errors import DomainError, NonFiniteError, ShapeError, TokenError
from lipop.scaling.noise import Normality, context_noise, decay_exponent, holm, normality
from lipop.scaling.noise_gaussian import SIMULATED, statistics


class Mean:
    """Blocks that add the mean of the tokens beside the probe; with a sink, also the last one."""

    def __init__(self, sink=0.0, layers=1):
        self.table = np.random.default_rng(5).standard_normal((6, 3))
        self.sink = sink
        self.blocks = [self.block] * layers

    def embed(self, *, tokens):
        return self.table[np.asarray(tokens)]

    def block(self, x):
        return x + (1 - self.sink) * x[1:].mean(axis=0) + self.sink * x[-1]


POOL = np.array([1, 2, 3, 3, 5])


def exact_variance(model, n):
    """The variance over independent draws from the pool: a mean of n, plus the covariance with the sink."""
    total = model.table[POOL].var(axis=0).sum()
    s = model.sink
    return total * ((1 - s) ** 2 / n + s**2 + 2 * s * (1 - s) / n)


@pytest.mark.parametrize("sink", [0.0, 0.5])
def test_variances_are_those_of_the_model(sink):
    model = Mean(sink)
    sizes = [2, 8, 32]
    found = context_noise(model, [0], POOL, sizes, 1500, 1, directions=0, bootstraps=20)
    exact = [exact_variance(model, n) for n in sizes]
    assert found.variance[0] == pytest.approx(exact, rel=0.12)
    assert found.tests == ()


def test_the_interval_of_the_exponent_covers():
    model = Mean()
    hits = []
    for seed in range(40):
        found = context_noise(model, [0], POOL, [4, 16, 64], 60, seed, directions=0, bootstraps=200)
        low, high = found.interval[0]
        assert low <= found.exponent[0] <= high
        hits.append(low <= -1 <= high)
    assert np.mean(hits) >= 0.82  # at 0.95 a binomial falls below this with probability 0.001


def test_a_sink_is_noticed():
    found = context_noise(Mean(0.5), [0], POOL, [4, 16, 64, 256], 100, 0, directions=0)
    assert found.interval[0, 0] > -0.3


def test_a_few_tokens_are_not_gaussian_and_many_are():
    found = context_noise(Mean(), [0], POOL, [1, 400], 400, 2, directions=2)
    assert {t.size for t in found.rejected(0.01)} == {1}
    assert len(found.tests) == 1 * 2 * 2 * 2


def test_layers_shapes_and_repetition():
    a, b = (context_noise(Mean(layers=3), [0, 4], POOL, [9, 3], 20, 7, bootstraps=50) for _ in range(2))
    assert a.describe() == b.describe()
    assert a.sizes.tolist() == [3, 9]
    assert (a.variance.shape, a.exponent.shape, a.interval.shape) == ((3, 2), (3,), (3, 2))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"probe": []}, TokenError, "probe"),
        ({"probe": [0.5]}, TokenError, "probe"),
        ({"pool": [1, 1]}, TokenError, "do not differ"),
        ({"sizes": [4]}, DomainError, "two context lengths"),
        ({"sizes": [4, 4]}, DomainError, "different"),
        ({"sizes": [0, 4]}, DomainError, "positive"),
        ({"sizes": [1.5, 4]}, DomainError, "two context lengths"),
        ({"resamples": 7}, DomainError, "resamples"),
        ({"resamples": True}, DomainError, "resamples"),
        ({"bootstraps": 1}, DomainError, "bootstraps"),
        ({"directions": -1}, DomainError, "directions"),
        ({"level": 1.0}, DomainError, "level"),
    ],
)
def test_bad_input(change, error, says):
    given = {"probe": [0], "pool": POOL, "sizes": [2, 4], "resamples": 10, "seed": 0, **change}
    with pytest.raises(error, match=says):
        context_noise(Mean(), **given)


def test_broken_models_are_refused():
    still, broken, empty = Mean(), Mean(), Mean(layers=0)
    still.blocks, broken.blocks = [lambda x: x], [lambda x: x * np.nan]
    with pytest.raises(DomainError, match="do not depend"):
        context_noise(still, [0], POOL, [2, 4], 10, 0)
    with pytest.raises(NonFiniteError, match="not finite"):
        context_noise(broken, [0], POOL, [2, 4], 10, 0)
    with pytest.raises(DomainError, match="no block"):
        context_noise(empty, [0], POOL, [2, 4], 10, 0)
    with pytest.raises(DomainError, match="level"):
        context_noise(Mean(), [0], POOL, [2, 4], 10, 0).rejected(0.0)


def test_exponents_of_pure_powers():
    n = np.array([3, 10, 17, 400])
    assert decay_exponent(n, np.array([2.0 * n**-1.0, 5.0 * n**0.25])) == pytest.approx([-1, 0.25], abs=1e-12)


# ---- Gaussianity ----


def test_statistics_are_the_definitions():
    x = np.random.default_rng(0).gamma(2.0, size=31)
    z = (x - x.mean()) / x.std(ddof=1)
    steps = np.linspace(-6, 6, 200_001)
    empirical = (z[:, None] <= steps).mean(axis=0)
    assert float(statistics(x)["ks"]) == pytest.approx(np.abs(empirical - norm.cdf(steps)).max(), abs=1e-4)
    integral = np.sum((empirical - norm.cdf(steps)) ** 2) * (steps[1] - steps[0])  # the energy distance, halved
    assert float(statistics(x)["energy"]) == pytest.approx(31 * 2 * integral, rel=1e-3)


@pytest.mark.parametrize("r", [8, 60])
def test_probabilities_are_uniform_under_gaussianity(r):
    rng = np.random.default_rng(r)
    p = np.array([[t.probability for t in normality(3 + 7 * rng.standard_normal(r))] for _ in range(1500)])
    for level in (0.01, 0.1, 0.5):
        assert np.mean(p <= level, axis=0) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1500))


def test_lilliefors_table():
    """Critical value at 5 % for 20 numbers: 0.192 (Lilliefors 1967 gives 0.190, later tables 0.192)."""
    from lipop.scaling.noise_gaussian import _null

    assert _null(20)["ks"][int(0.95 * SIMULATED)] == pytest.approx(0.192, abs=0.004)


def test_holm_is_the_definition():
    rng = np.random.default_rng(3)
    for _ in range(50):
        p = rng.random(6) ** 3
        found = [t.adjusted for t in holm([Normality("ks", 0, 0, k, 0.0, q) for k, q in enumerate(p)])]
        for level in rng.random(10):
            ordered = np.sort(p)
            kept = itertools.takewhile(lambda k: ordered[k] <= level / (6 - k), range(6))  # noqa: B023
            assert sum(a <= level for a in found) == len(list(kept))
        assert np.argsort(found, kind="stable").tolist() == sorted(range(6), key=lambda k: (found[k], k))
    assert holm([]) == ()


def test_bad_samples():
    with pytest.raises(ShapeError):
        normality(np.zeros((2, 9)))
    with pytest.raises(ShapeError):
        normality(np.arange(3.0))
    with pytest.raises(DomainError):
        normality(np.ones(9))
    with pytest.raises(NonFiniteError):
        normality(np.array([1.0, 2.0, 3.0, np.inf]))
