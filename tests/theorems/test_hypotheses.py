"""No hypothesis is idle: where one of them is dropped, a generated architecture violates the conclusion."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from lipop.errors import DomainError
from lipop.testing.architecture_strategies import architectures, violations
from lipop.testing.architectures_broken import BROKEN
from lipop.testing.architectures_steps import theorem_9_flow
from tests.theorems.conftest import COUNT

ALL = [(theorem, which) for theorem, broken in BROKEN.items() for which in broken]


def oscillates(spec):
    """Steps of the orbit that stay above the gap, over a long time."""
    orbit = spec.orbit(200)
    assert all(spec.norm(a - b) >= spec.facts["gap"] for a, b in itertools.pairwise(orbit[20:]))


def escapes(spec):
    assert np.abs(spec.orbit(spec.facts["depth"])[-1]).max() >= spec.facts["bound"]


def settles(spec):
    """Two points that would have to part do not: the limit exists at both."""
    orbit, other = (spec.orbit(spec.facts["depth"], x) for x in (spec.point, spec.other))
    for o in (orbit, other):
        assert spec.norm(o[-1] - o[len(o) // 2]) < spec.facts["gap"]


def different_limits(spec):
    one, other = (spec.orbit(2000, x) for x in (spec.point, spec.other))
    assert spec.norm(one[-1] - one[1000]) < 1e-2
    assert spec.norm(one[-1] - other[-1]) >= spec.facts["gap"]


def same_limit(spec):
    ends = [spec.orbit(spec.facts["depth"], x)[-1] for x in (spec.point, spec.other)]
    assert spec.norm(ends[0] - ends[1]) < spec.facts["gap"] * spec.norm(spec.point - spec.other)


def not_fixed(spec):
    N, orbit = spec.facts["map"], spec.orbit(spec.facts["depth"])
    assert spec.norm(orbit[-1] - orbit[len(orbit) // 2]) < 1e-2
    assert spec.norm(N(orbit[-1]) - orbit[-1]) >= spec.facts["gap"]


def moves(spec):
    """The limit of every tail is z, and ``T_n z`` stays away from z."""
    z = spec.facts["limit"]
    for m, x in itertools.product((0, 1, 7), (spec.point, 0 * spec.point, spec.point / 100)):
        assert spec.norm(spec.orbit(300, x, m)[-1] - z) < 1e-2 * math.sqrt(len(z))
    assert all(spec.norm(spec.architecture.block(n)(z) - z) >= spec.facts["gap"] for n in (1, 10, 1000))


def winds(spec):
    """The direction passes the gap again and again, however late one begins."""
    orbit = spec.orbit(spec.facts["depth"])
    u = orbit / np.linalg.norm(orbit, axis=1, keepdims=True)
    for start in (10, 100, 1000):
        assert np.linalg.norm(u[start:] - u[start], axis=1).max() >= spec.facts["gap"]


SHOWN = {
    "oscillates": oscillates,
    "escapes": escapes,
    "settles": settles,
    "different limits": different_limits,
    "same limit": same_limit,
    "not fixed": not_fixed,
    "moves": moves,
    "winds": winds,
}


@pytest.mark.parametrize(("theorem", "which"), ALL)
def test_a_dropped_hypothesis_costs_the_conclusion(theorem, which):
    @settings(max_examples=2 if COUNT < 2000 else 20)
    @given(violations(theorem, which))
    def test(spec):
        SHOWN[spec.facts["fails"]](spec)

    test()


def test_every_theorem_has_its_violations():
    assert sorted(BROKEN) == list(range(1, 11))


def test_the_other_hypotheses_of_the_steep_projection_hold():
    """Idempotent in float64 too, and steeper than any constant."""
    spec = find(violations(1, "Lip T < inf"), lambda s: True)
    T = spec.architecture.limit
    for x in np.random.default_rng(0).standard_normal((20, len(spec.point))):
        assert (T(T(x)) == T(x)).all()
    e = np.zeros(len(spec.point))
    for small in (1e-4, 1e-8):
        e[1] = small
        assert spec.norm(T(e) - T(0 * e)) / small >= 0.99 / math.sqrt(small)


def test_the_powers_of_the_turning_map_converge_at_every_point():
    """From above a fixed point 2 pi j to the next one; fixed points stay."""
    T = find(violations(2, "Lip T <= 1"), lambda s: True).architecture.limit
    x = np.linspace(-7, 7, 29)
    y = x.copy()
    for _ in range(20000):
        y = T.function(y)
    assert np.abs(y - 2 * math.pi * np.ceil(x / (2 * math.pi))).max() < 1e-3


def test_lever_blocks_are_tail_stable_but_their_products_are_not_bounded():
    spec = find(violations(6, "bounded products"), lambda s: True)
    x = spec.point + 1.0
    for m in (0, 3, 50):
        after = spec.referred(x, m + 1, m)
        assert (spec.referred(x, m + 40, m) == after).all()
    assert spec.reference(1000).lip().value >= 1000


@settings(max_examples=COUNT // 4)
@given(st.sampled_from((1, 2, 3, 6)).flatmap(architectures))
def test_generated_blocks_deviate_by_at_most_their_law(spec):
    """The declared law against the blocks themselves, at random points."""
    e = spec.eps(30)
    for i in (*range(spec.heads + 1, spec.heads + 6), 30):
        for x in (spec.point, 100 * spec.other):
            gap = spec.norm(spec.architecture.block(i)(x) - spec.reference(i)(x))
            assert gap <= e[i] * (1 + 1e-9) + 1e-12 * (1 + spec.norm(x)) * spec.facts.get("L", 1.0)
    law = spec.architecture.deviation
    if law is not None:
        for i in (spec.heads + 1, spec.heads + 2, 30):
            assert abs(law.at(i) - e[i]) <= 1e-12 * e[i]


def test_what_there_is_not_is_named():
    with pytest.raises(DomainError, match="theorems are 1 to 10, found 11"):
        architectures(11)
    with pytest.raises(DomainError, match="known: idempotence, a finite sum"):
        violations(1, "continuity")
    with pytest.raises(DomainError, match="1 <= low <= high"):
        architectures(1, dimensions=(3, 2))
    with pytest.raises(DomainError, match="growth form is one of theorem 1"):
        architectures(2, growth=True)


@pytest.mark.parametrize("theorem", range(1, 11))
def test_examples_shrink_to_something_readable(theorem):
    """The simplest architecture: few coordinates, the first law, no heads, seed 0; and it prints as a sentence."""
    spec = find(architectures(theorem), lambda s: True, settings=settings(max_examples=5, database=None))
    assert len(spec.point) <= 2
    assert spec.heads == 0
    assert repr(spec).startswith("<theorem ")
    assert "seed 0" in repr(spec)


def test_a_failure_shrinks_to_a_readable_architecture():
    """Of all architectures whose limit operator has Lip above 1, a shear of two coordinates is the simplest."""
    spec = find(architectures(1), lambda s: s.facts["L"] > 1.5, settings=settings(max_examples=100, database=None))
    assert len(spec.point) == 2
    assert "eps=1*2**-k, constant; 0 heads" in repr(spec)


def test_the_flow_of_a_generated_field_is_its_exponential():
    for seed in range(10):
        spec = theorem_9_flow("spiral", "l2", 5, seed)
        a = np.asarray(spec.facts["F"](np.eye(5))).T
        for t in (0.0, 0.3, 7.0):
            assert np.abs(spec.facts["flow"](t, spec.point) - expm(t * a) @ spec.point).max() < 1e-12
