"""The diagnosis of a finite stack against closed forms, exact covers and fits made in another way."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.errors import DomainError
from lipop.limit.diagnosis import diagnose
from lipop.limit.diagnosis_fit import (
    CRITICAL,
    NOT_SUMMABLE,
    SUMMABLE,
    Layer,
    condensing_onset,
    fit_decay,
    nonexpansive_from,
    stack_summary,
)
from lipop.limit.diagnosis_measures import (
    angle,
    covering_number,
    covering_ratio,
    final_projection,
    own_measures,
    related_measures,
    spectral_measures,
)

SEEDS = st.integers(0, 2**32 - 1)


def close(a, b):
    return abs(a - b) <= 1e-12 * (1 + abs(b))


def cloud(seed, tokens=5, width=4):
    return np.random.default_rng(seed).standard_normal((tokens, width))


# ---- measures ----


@given(SEEDS, st.floats(-0.9, 3.0))
def test_a_multiple_of_the_identity(seed, q):
    x = cloud(seed)
    found = own_measures(lambda v: q * v, x)
    size = np.linalg.norm(x)
    assert close(found["increment"], abs(q - 1))
    assert close(found["step"], abs(q - 1) * size)
    if abs(q) > 1e-3:
        assert close(found["angle"], 0.0 if q > 0 else math.pi)
        assert close(found["idempotency"], abs(q - 1))
        assert close(found["radius"], abs(q) * np.linalg.norm(x, axis=1).min())
    if abs(q - 1) > 1e-3:
        assert close(found["defect"], abs(q))
    if 0 <= q <= 1:
        assert found["covering"] <= 1
    assert found["departure"] is None


@given(SEEDS)
def test_a_projection_has_no_defect(seed):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((4, 2)))
    P, x = q @ q.T, cloud(seed)
    found = own_measures(lambda v: v @ P, x)
    assert found["defect"] < 1e-12
    assert found["idempotency"] < 1e-12
    assert found["rank"] <= 2
    related = related_measures(lambda v: v @ P, x, x @ P)
    assert related["fixed"] < 1e-12
    if found["rank"] == 2:  # the final projection is P itself
        assert related["projection"] < 1e-12
        assert related["range"] < 1e-12
    assert related["successive"] is related["turn"] is None


@given(SEEDS)
def test_neighbours(seed):
    x0, F, G = cloud(seed), *np.random.default_rng(seed).standard_normal((2, 4, 4))
    x1 = x0 @ F
    found = related_measures(lambda v: v @ G, x1, x1, before=lambda v: v @ F, last=x0)
    u, v = x1 - x0, x1 @ G - x1
    cosine = (u * v).sum() / np.sqrt((u * u).sum() * (v * v).sum())
    assert abs(math.cos(found["turn"]) - cosine) < 1e-12
    assert close(found["successive"], np.linalg.norm(x1 @ (G - F)) / np.linalg.norm(x1))


@given(SEEDS, st.integers(1, 6), st.integers(1, 6))
def test_ranks_are_those_of_the_gram_matrix(seed, tokens, width):
    y = cloud(seed, tokens, width)
    energy = np.linalg.eigvalsh(y @ y.T)[::-1].clip(0)[: min(tokens, width)]
    p = np.sqrt(energy) / np.sqrt(energy).sum()
    p = p[p > 0]
    found = spectral_measures(y)
    assert abs(found["effective_rank"] - math.exp(-(p * np.log(p)).sum())) < 1e-6
    assert abs(found["stable_rank"] - energy.sum() / energy[0]) < 1e-9 * found["stable_rank"]
    held = np.cumsum(energy) / energy.sum()
    assert held[found["rank"] - 1] >= 0.9 - 1e-9
    assert found["rank"] == 1 or held[found["rank"] - 2] < 0.9 + 1e-9


def test_nothing_is_measured_of_nothing():
    zero = np.zeros((2, 3))
    found = own_measures(lambda v: v, zero)
    assert {k for k, v in found.items() if v is not None} == {"step", "radius"}
    assert final_projection(zero) is None
    assert set(related_measures(lambda v: v, zero, zero).values()) == {None}
    assert spectral_measures(np.ones(3))["rank"] is None


def test_a_tie_of_singular_values_has_no_best_range():
    assert final_projection(np.diag([1.0, 1.0, 0.1])) is not None  # two of them hold 90 %
    assert final_projection(np.diag([1.0] * 4 + [0.1])) is not None
    assert final_projection(np.eye(20)) is None  # 18 of 20 equal ones would hold 90 %


def least_cover(points, scale):
    """The covering number with centres in the cloud, by trying all sets."""
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= scale
    for k in range(1, len(points) + 1):
        if any(near[list(c)].any(axis=0).all() for c in itertools.combinations(range(len(points)), k)):
            return k
    raise AssertionError


def largest_packing(points, scale):
    """The most points with pairwise distances above the scale."""
    far = np.linalg.norm(points[:, None] - points[None], axis=2) > scale
    sets = (c for k in range(len(points), 0, -1) for c in itertools.combinations(range(len(points)), k))
    return next(len(c) for c in sets if all(far[a, b] for a, b in itertools.combinations(c, 2)))


@given(SEEDS, st.integers(1, 7), st.floats(0.05, 3.0))
def test_traversal_lies_between_covering_and_packing(seed, tokens, scale):
    points = cloud(seed, tokens, 2)
    assert least_cover(points, scale) <= covering_number(points, scale) <= largest_packing(points, scale)


def test_a_cloud_that_shrinks_to_a_point_needs_one_ball():
    x = cloud(0, 8)
    assert covering_ratio(x, x) == 1
    assert covering_ratio(x, 0 * x) == 1 / covering_number(x, 0.5 * np.linalg.norm(x - x[0], axis=1).max())
    assert covering_ratio(np.ones((3, 2)), np.ones((3, 2))) is None


@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_angles_keep_their_digits(small):
    assert abs(angle(np.array([1.0, 0.0]), np.array([math.cos(small), math.sin(small)])) / small - 1) < 1e-3
    assert angle(np.ones(2), -np.ones(2)) == math.pi


# ---- fits ----


@given(SEEDS, st.floats(-1, 3))
def test_the_exponent_is_that_of_a_line_in_logarithms(seed, s):
    rng = np.random.default_rng(seed)
    values = np.arange(1, 13) ** -s * np.exp(0.1 * rng.standard_normal(12))
    law = fit_decay(range(12), list(values))
    slope = np.polyfit(np.log(np.arange(1, 13)), np.log(values), 1)[0]
    assert abs(law.exponent + slope) < 1e-9
    assert law.low <= law.exponent <= law.high
    assert law.evidence == (SUMMABLE if law.low > 1 else NOT_SUMMABLE if law.high < 1 else CRITICAL)


@pytest.mark.parametrize(("s", "evidence"), [(0.5, NOT_SUMMABLE), (1.0, CRITICAL), (1.5, SUMMABLE)])
def test_exact_power_laws(s, evidence):
    law = fit_decay(range(6), [2.0 * (i + 1) ** -s for i in range(6)])
    assert law.evidence == evidence
    assert max(abs(e - s) for e in (law.low, law.exponent, law.high)) < 1e-12


def test_what_cannot_be_fitted_is_not():
    assert fit_decay(range(3), [1.0, 0.5, 0.2]) is None
    assert fit_decay(range(6), [1.0, 0.5, 0.2, 0.0, None, 0.0]) is None


def test_intervals_of_noisy_laws_cover():
    """The share of 95 % intervals of 24 layers that hold the exponent; with six layers it is lower."""
    rng = np.random.default_rng(0)

    def share(layers):
        hits = 0
        for _ in range(60):
            noise = np.exp(0.3 * rng.standard_normal(layers))
            law = fit_decay(range(layers), list(np.arange(1, layers + 1) ** -1.2 * noise))
            hits += law.low <= 1.2 <= law.high
        return hits / 60

    many, few = share(24), share(6)
    assert 0.8 <= many <= 1.0
    assert 0.55 <= few <= many


def layer(i, erank=3.0, distance=0.5, covering=1.0, upper=2.0):
    measures = {"effective_rank": erank, "range": distance, "covering": covering, "radius": 1.0}
    return Layer(i, measures, 0.5, upper, (0.5,), 1.0)


LOW = st.integers(0, 2).map(float)


@given(st.lists(st.tuples(LOW, LOW, st.sampled_from([0.5, 1.0, 1.5]), st.sampled_from([0.5, 1.5])), max_size=7))
def test_onsets_are_the_first_layers_of_their_definitions(rows):
    layers = [layer(i, *row) for i, row in enumerate(rows)]

    def condenses(k):
        pairs = list(itertools.pairwise(rows[k:]))
        return len(pairs) >= 2 and all(b[0] <= a[0] and b[1] <= a[1] and b[2] <= 1 for a, b in pairs)

    assert condensing_onset(layers) == next((k for k in range(len(rows)) if condenses(k)), None)
    smooth = [k for k in range(len(rows)) if all(r[3] <= 1 for r in rows[k:])]
    assert nonexpansive_from(layers) == (smooth[0] if smooth else None)


def test_a_missing_measure_is_no_onset():
    layers = [layer(0), layer(1, covering=None), layer(2)]
    assert condensing_onset(layers) is None
    assert condensing_onset([layer(0), layer(1), layer(2)]) == 0


def test_products_of_branches():
    layers = [Layer(i, {"radius": 2.0 * (i + 1), "departure": 0.0}, 1.0, 2.0, (0.5, 0.25), 1.0) for i in range(4)]
    found = stack_summary(layers)
    assert close(found["log_growth"], 4 * math.log(1.875))
    assert close(found["log_retention"], 4 * math.log(0.375))
    assert found["residual"]
    assert close(found["norm_slope"], 2.0)
    assert close(found["growth_exponent"], 0.875 / 2)
    large = stack_summary([*layers, Layer(4, {}, 1.0, 2.0, (1.0,), 1.0)])
    assert large["log_retention"] is None
    assert not large["residual"]
    assert stack_summary([Layer(0, {}, 1.0, math.inf, (math.inf,), 1.0)])["log_growth"] is None


# ---- whole stacks ----


@pytest.fixture(scope="module")
def prenorm():
    """Eight small residual blocks on three tokens."""
    rng = np.random.default_rng(5)
    A = [0.4 / (i + 1) ** 1.5 * rng.standard_normal((4, 4)) / 2 for i in range(8)]
    blocks = [lo.residual(lo.tanh((None, 4)) @ lo.Linear(a, tokens=True)) for a in A]
    return blocks, rng.standard_normal((3, 4))


def test_a_residual_stack_lies_in_the_bracket_of_theorem_8(prenorm):
    blocks, x = prenorm
    found = diagnose(blocks, x, probes=8)
    delta = [next(iter(d.branches.values())).upper.value for d in found.layers]
    low, high = 1.0, 1.0
    for d, layer in zip(delta, found.layers, strict=True):
        low, high = low * max(1 - d, 0.0), high * (1 + d)
        assert low <= layer.stretch[0] <= layer.stretch[1] <= high
        assert layer.lip.lower.value <= layer.lip.upper.value <= 1 + d + 1e-6
        assert layer.lip.upper.status.startswith(("PROVED", "PROBABLE"))
    assert found.answer == "UNDECIDED"
    assert found.summary["decay"]["step"]["evidence"] == SUMMABLE
    assert any("'summable'" in sentence for sentence in found.evidence)


def test_displacements_are_those_of_the_whole_block(prenorm):
    """|D(T - I)(x)| against a dense derivative by differences."""
    blocks, x = prenorm
    found = diagnose(blocks[:2], x)
    J = blocks[0].derivative(x).to_dense()
    norm = np.linalg.norm(J - np.eye(J.shape[0]), 2)
    bracket = found.layers[0].branches["T - I"]
    assert bracket.lower.value <= norm * (1 + 1e-9)
    assert norm <= bracket.upper.value * (1 + 1e-9)
    assert bracket.upper.value <= 1.01 * norm


def test_directions_are_carried_by_the_product_of_derivatives():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((3, 4, 4))
    found = diagnose([lo.Linear(a) for a in A], rng.standard_normal(4), probes=200)
    s = np.linalg.svd(A[2] @ A[1] @ A[0], compute_uv=False)
    low, high = found.layers[-1].stretch
    assert s[-1] <= low <= high <= s[0]
    assert high > 0.7 * s[0]


def test_rows_are_plain_numbers(prenorm):
    blocks, x = prenorm
    rows = diagnose(blocks[:3], x).rows()
    assert [r["layer"] for r in rows] == [0, 1, 2]
    assert all(v is None or isinstance(v, int | float) for r in rows for v in r.values())


def test_the_seed_decides_the_probes(prenorm):
    blocks, x = prenorm
    one, same, other = (diagnose(blocks[:2], x, seed=s).rows() for s in (0, 0, 1))
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("blocks", "x", "options", "message"),
    [
        ([], np.ones(2), {}, "at least one operator"),
        ([lo.Linear(np.ones((3, 2)))], np.ones(2), {}, r"block 0 maps \(2,\) to \(3,\)"),
        ([lo.Identity(lo.Space(2))], np.ones(2), {"probes": 0}, "probes must be at least 1"),
    ],
)
def test_bad_input_is_named(blocks, x, options, message):
    with pytest.raises(DomainError, match=message):
        diagnose(blocks, x, **options)
