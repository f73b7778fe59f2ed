"""Fits against ordinary least squares, SciPy, closed forms and known parameters; coverage of their intervals."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from lipop.errors import DomainError
from lipop.scaling import fit, laws
from lipop.scaling.identifiability import rivals
from lipop.scaling.intervals import bootstrap, percentiles, profile
from lipop.scaling.lbfgs import minimise
from lipop.scaling.likelihood import aicc, covariance, log_likelihood, log_partition
from lipop.scaling.objective import Objective
from lipop.scaling.starts import grid, starts
from lipop.scaling.table import Runs

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
TRUTH = {
    "chinchilla": HOFFMANN,
    "kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
    "limit": {"E_inf": 1.0, "a": 2.0, "beta": 0.95, "b": 1.5, "rho": 0.8, "c": 3.0},
    "limit-critical": {"E_inf": 1.0, "a": 2.0, "beta": 0.95, "b": 1.5, "s": 2.0, "c": 3.0},
    "two-phase": {"E": 1.5, "a": 4.0, "kappa": 2.0, "C_0": 1e18, "s": 0.2},
    "two-phase-1/7": {"E": 1.5, "a": 4.0, "kappa": 2.0, "C_0": 1e18},
    "two-phase-1/6": {"E": 1.5, "a": 4.0, "kappa": 2.0, "C_0": 1e18},
    "model-size": {"E": 1.5, "A": 100.0, "alpha": 0.3},
    "data": {"E": 1.5, "B": 100.0, "beta": 0.3},
    "time": {"E": 1.5, "a": 2.0, "tau": 300.0},
    "bias-variance": {"H": 1.2, "b": 50.0, "p": 0.3, "v": 4000.0, "q": 0.5},
    "snr": {"sigma0": 30.0, "gamma": 0.4},
}
LAWS = {name: laws.by_name(name) for name in laws.LAWS}
RANGES = {"N": (1e6, 1e10), "D": (1e8, 1e12), "M": (1e5, 1e9), "C": (1e16, 1e22), "K": (10, 2000), "P": (1, 24)}


def measured(name, n, noise=0.0, seed=0, **ranges):
    """A law with made-up runs: log-uniform variables, normal log residuals."""
    law, rng = LAWS[name], np.random.default_rng(seed)
    near = {"limit": {"N": (10, 1e5), "K": (1, 100), "P": (1, 24)}, "bias-variance": {"N": (1e5, 1e10)}}
    spans = {**RANGES, **near.get(name.removesuffix("-critical"), {}), **ranges}
    data = {
        v.name: np.exp(rng.uniform(math.log(spans[v.name][0]), math.log(spans[v.name][1]), n)) for v in law.variables
    }
    data[law.target] = law(TRUTH[name], **data) * np.exp(noise * rng.standard_normal(n))
    return law, data


# ---- the pieces ----


def test_minimise_finds_what_scipy_finds():
    def rosenbrock(z, rows):
        scale = np.array([1.0, 10.0, 100.0])[rows]
        value = (1 - z[:, 0]) ** 2 + scale * (z[:, 1] - z[:, 0] ** 2) ** 2
        slope = scale * 2 * (z[:, 1] - z[:, 0] ** 2)
        return value, np.stack([-2 * (1 - z[:, 0]) - 2 * z[:, 0] * slope, slope], axis=1)

    found = minimise(rosenbrock, lambda z, rows: np.tile(np.eye(2), (len(z), 1, 1)), np.full((3, 2), -1.2), steps=400)
    assert found.z == pytest.approx(np.ones((3, 2)), abs=1e-4)
    assert found.steps < 200


@pytest.mark.parametrize("delta", [None, 1e-2])
@pytest.mark.parametrize("name", laws.LAWS)
def test_gradients_are_derivatives(name, delta):
    law, data = measured(name, 12, noise=0.02)
    runs = Runs.of(law, data)
    objective = Objective(law, runs.x, runs.y, delta)
    z = np.array([p.inner(TRUTH[name][p.name]) for p in law.parameters]) + 0.02
    _, gradient = objective(z[None], np.arange(1))
    for j in range(z.size):
        h = 1e-6 * np.eye(z.size)[j]
        difference = (objective((z + h)[None], np.arange(1))[0] - objective((z - h)[None], np.arange(1))[0]) / 2e-6
        assert gradient[0, j] == pytest.approx(difference[0], rel=1e-4, abs=1e-7)


def test_objective_is_infinite_outside_of_the_domain():
    law, data = measured("data", 6)
    runs = Runs.of(law, data)
    value, gradient = Objective(law, runs.x, runs.y)(np.array([[0.0, 1.0, 0.0], [0.0, 500.0, 0.0]]), np.arange(2))
    assert np.isfinite(value[0])
    assert (value[1], gradient[1].tolist()) == (math.inf, [0.0, 0.0, 0.0])


@pytest.mark.parametrize(("s", "delta"), [(1.0, 0.5), (0.01, 1e-3), (1e-6, 1e-2), (4.0, None)])
def test_partition_function_is_the_integral(s, delta):
    huber = Objective(laws.DataLaw(), np.zeros((1, 3)), np.zeros(3), delta)
    width = 40 * max(math.sqrt(s), s / (delta or math.inf))
    edges = [0.0, *([delta] if delta and delta < width else []), width]
    parts = [
        integrate.quad(lambda r: float(np.exp(-huber.rho(np.array(r)) / s)), a, b, limit=200)[0]
        for a, b in pairwise(edges)
    ]
    assert log_partition(s, delta) == pytest.approx(math.log(2 * sum(parts)), rel=1e-6)


def test_starts_are_the_published_grid():
    law, data = measured("chinchilla", 20)
    runs = Runs.of(law, data)
    rng = np.random.default_rng(0)
    assert grid(law, runs, law.parameters).shape == (4500, 5)
    assert starts(law, runs, "grid", rng).shape == (4500, 5)
    assert starts(law, runs, 40, rng).shape == (40, 5)
    unfit: list = [0, -1, True, "all", 1.5]
    for bad in unfit:
        with pytest.raises(DomainError, match='a positive int, "grid" or None'):
            starts(law, runs, bad, rng)


# ---- estimates ----


@pytest.mark.parametrize("name", laws.LAWS)
def test_exact_data_give_their_parameters_back(name):
    law, data = measured(name, 60)
    found = fit(law, data)
    assert found.value < 1e-6
    assert found.params == pytest.approx(TRUTH[name], rel=1e-3)
    assert float(found(**{v.name: data[v.name] for v in law.variables})[0]) == pytest.approx(
        data[law.target][0], rel=1e-6
    )


def test_squares_of_a_law_linear_in_logarithms_are_ordinary_least_squares():
    """Estimates, standard errors, the F interval and Akaike's criterion, against the normal equations."""
    law, data = measured("snr", 15, noise=0.3, seed=3)
    found = fit(law, data, delta=None, level=0.9)
    X = np.stack([np.full(15, -2.0), np.log(data["M"])], axis=1)  # log snr - log N = -2 log sigma0 + gamma log M
    y = np.log(data["snr"] / data["N"])
    beta, rss, *_ = np.linalg.lstsq(X, y, rcond=None)
    assert found.params == pytest.approx({"sigma0": math.exp(beta[0]), "gamma": beta[1]}, rel=1e-6)
    C = float(rss[0]) / 13 * np.linalg.inv(X.T @ X)
    half = float(stats.t.ppf(0.95, 13)) * math.sqrt(C[0, 0])
    assert found.intervals["sigma0"] == pytest.approx((math.exp(beta[0] - half), math.exp(beta[0] + half)), rel=1e-4)
    half = float(stats.t.ppf(0.95, 13)) * math.sqrt(C[1, 1])
    assert found.intervals["gamma"] == pytest.approx((beta[1] - half, beta[1] + half), rel=1e-3)
    assert found.standard_errors["sigma0"] == pytest.approx(math.sqrt(C[0, 0]), rel=1e-6)
    likelihood = -7.5 * (math.log(2 * math.pi * float(rss[0]) / 15) + 1)
    assert found.aicc == pytest.approx(6 - 2 * likelihood + 24 / 11, rel=1e-9)


def test_huber_estimate_is_scipys():
    law, data = measured("data", 30, noise=0.02, seed=5)
    runs = Runs.of(law, data)
    found = fit(law, data, delta=0.01)
    objective = Objective(law, runs.x, runs.y, 0.01)
    other = optimize.minimize(
        lambda z: objective(z[None], np.arange(1))[0][0],
        found.z + 0.05,
        method="Nelder-Mead",
        options={"maxiter": 4000},
    )
    assert found.value <= other.fun * (1 + 1e-9)
    assert found.params["beta"] == pytest.approx(math.exp(other.x[2]), rel=1e-2)


def test_outliers_move_squares_but_not_huber():
    law, data = measured("data", 40, noise=0.002, seed=1)
    data["loss"][[3, 17]] *= 2
    robust, squares = fit(law, data), fit(law, data, delta=None)
    assert robust.params["beta"] == pytest.approx(0.3, rel=0.05)
    assert abs(squares.params["beta"] - 0.3) > 5 * abs(robust.params["beta"] - 0.3)


def test_fixed_parameters_stay():
    law, data = measured("chinchilla", 40, noise=0.001)
    found = fit(law.fix(E=1.69, alpha=0.34), data)
    assert list(found.params) == ["A", "B", "beta"]
    assert found.params["A"] == pytest.approx(406.4, rel=0.05)
    assert found.describe()["fixed"] == {"E": 1.69, "alpha": 0.34}
    assert found.allocate(1e21).closed


# ---- intervals ----


@pytest.mark.parametrize("name", ["chinchilla", "data"])
def test_profiles_end_where_the_test_does(name):
    """At each end SciPy's least squares over the other parameters gives the quantile of F."""
    law, data = measured(name, 40, noise=0.01, seed=5)
    found = fit(law, data, delta=None, level=0.9)
    objective, p = found.objective, found.z.size
    rss, limit = float((found.residuals**2).sum()), float(stats.f.ppf(0.9, 1, 40 - p))
    for j in range(p):
        others = [i for i in range(p) if i != j]
        for end in profile(objective, found.z, j, 0.9):
            best = optimize.least_squares(
                lambda u, j=j, end=end: objective.residuals(np.insert(u, j, end)),
                found.z[others],
                jac=lambda u, j=j, end=end, rest=others: objective.jacobian(np.insert(u, j, end))[:, rest],  # pyright: ignore[reportArgumentType]
                xtol=1e-14,
                ftol=1e-14,
            )
            assert (2 * best.cost - rss) / (rss / (40 - p)) == pytest.approx(limit, rel=2e-3)


def covered(name, n, count, seed, **options):
    """How often the true parameters lie in their intervals, by parameter."""
    hits = dict.fromkeys(TRUTH[name], 0)
    for k in range(count):
        law, data = measured(name, n, noise=0.01, seed=seed + k)
        for p, (low, high) in fit(law, data, seed=k, **options).intervals.items():
            hits[p] += low <= TRUTH[name][p] <= high
    return hits


@pytest.mark.parametrize(
    ("name", "n", "count", "options"),
    [
        ("snr", 12, 60, {"delta": None, "starts": 2}),
        ("snr", 40, 60, {"delta": 1e-3, "starts": 2, "bootstrap": 99}),
        ("data", 24, 20, {"delta": None, "starts": None}),
    ],
)
def test_intervals_cover_at_the_nominal_rate(name, n, count, options):
    """95 % within the binomial error: each count lies in the central 99.9 % of Binomial(count, 0.95)."""
    least = stats.binom.ppf(0.0005, count, 0.95)
    for p, hits in covered(name, n, count, 1000, **options).items():
        assert hits >= least, (p, hits)


@pytest.mark.nightly
@pytest.mark.parametrize("options", [{"delta": None}, {"delta": 1e-3}, {"delta": 1e-3, "bootstrap": 199}])
def test_intervals_of_two_laws_cover_at_the_nominal_rate(options):
    for name in ("data", "chinchilla"):
        for p, hits in covered(name, 60, 300, 5000, **options).items():
            assert stats.binom.ppf(0.0005, 300, 0.93) <= hits <= stats.binom.ppf(0.9995, 300, 0.98), (name, p, hits)


def test_bootstrap_solves_every_resample():
    """The batch of resamples against one weighted least-squares problem at a time."""
    law, data = measured("snr", 12, noise=0.2, seed=9)
    runs = Runs.of(law, data)
    z = fit(law, data, delta=None).z
    many = bootstrap(Objective(law, runs.x, runs.y), z, 5, np.random.default_rng(4))
    weights = np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=5)
    X = np.stack([np.full(12, -2.0), np.log(data["M"])], axis=1)
    y = np.log(data["snr"] / data["N"])
    for w, found in zip(weights, many, strict=True):
        root = np.sqrt(w)
        beta = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)[0]
        assert (found[0], math.exp(found[1])) == pytest.approx(beta, rel=1e-5)


def test_expanded_percentiles_have_the_t_spread():
    samples = stats.norm.ppf((np.arange(1, 20001) - 0.5) / 20000)[:, None]
    low, high = percentiles(samples * math.sqrt(8 / 10), 10, 2, 0.95)
    assert high[0] == pytest.approx(stats.t.ppf(0.975, 8), rel=2e-2)
    assert low[0] == pytest.approx(-high[0], rel=1e-9)


def test_a_fit_repeats_with_its_seed():
    law, data = measured("data", 20, noise=0.01)
    one, two, other = (fit(law, data, bootstrap=20, seed=s).intervals for s in (1, 1, 2))
    assert one == two != other


def test_allocation_carries_the_bootstrap():
    law, data = measured("chinchilla", 80, noise=0.002)
    found = fit(law, data, bootstrap=60, seed=2)
    best = found.allocate(5.76e23)
    truth = law.allocate(HOFFMANN, 5.76e23)
    for name, (low, high) in best.intervals.items():
        assert low < best.values[name] < high
        assert low < truth.values[name] < high


# ---- what the data do not determine ----


def test_a_flat_direction_is_reported():
    law, data = measured("chinchilla", 40, noise=0.01, N=(1e9, 1.0001e9))
    found = fit(law, data)
    assert any("flat direction" in w and "log alpha" in w for w in found.warnings)
    low, high = found.profile_intervals["alpha"]
    assert low == 0 or high == math.inf


def test_a_flat_direction_of_an_exact_fit_is_reported():
    law, data = measured("chinchilla", 30, N=(1e9, 1e9))
    assert any("not at all" in w for w in fit(law, data).warnings)


def test_a_term_that_vanished_is_reported():
    law, data = measured("chinchilla", 60, noise=0.001, seed=2)
    data["loss"] = 1e4 * data["D"] ** -0.2 * np.exp(1e-3 * np.random.default_rng(0).standard_normal(60))
    found = fit(law, data)
    assert any("vanished" in w or "flat direction" in w for w in found.warnings)
    assert found.params["beta"] == pytest.approx(0.2, rel=0.05)


def test_equally_good_minima_are_reported():
    z, ends = np.zeros(3), np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [3.0, 0.0, 0.0]])
    said = rivals(laws.DataLaw(), z, ends, np.array([1.0, 1.0001, 2.0]))
    assert said == ["1 of 2 best starts ended elsewhere at the same height, as at B = 1.65 instead of 1"]


def test_well_determined_fits_are_silent():
    law, data = measured("chinchilla", 120, noise=0.002)
    assert fit(law, data).warnings == ()


def test_covariance_of_a_flat_direction_is_huge():
    law, data = measured("snr", 8, noise=0.1, M=(100, 100.0000001))
    runs = Runs.of(law, data)
    C = covariance(Objective(law, runs.x, runs.y), np.zeros(2))
    assert np.linalg.eigvalsh(C)[-1] > 1e6


# ---- refusals ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, "width of Huber's loss"),
        ({"delta": math.nan}, "width of Huber's loss"),
        ({"bootstrap": -1}, "counts resamples"),
        ({"bootstrap": True}, "counts resamples"),
        ({"level": 1.0}, "confidence level"),
        ({"D": [1.0]}, "column D is given twice"),
    ],
)
def test_bad_arguments_are_named(options, message):
    law, data = measured("data", 8)
    with pytest.raises(DomainError, match=message):
        fit(law, data, **options)


def test_no_bootstrap_no_bootstrap_intervals():
    law, data = measured("data", 8)
    with pytest.raises(DomainError, match="no bootstrap"):
        _ = fit(law, data).bootstrap_intervals
    with pytest.raises(DomainError, match="no free parameter"):
        fit(law.fix(**TRUTH["data"]), data)


def test_small_samples_have_no_criterion():
    assert aicc(0.0, 4, 2) == math.inf
    objective = Objective(laws.DataLaw(), np.zeros((1, 3)), np.zeros(3), 0.1)
    assert log_likelihood(objective, np.zeros(3)) == math.inf
