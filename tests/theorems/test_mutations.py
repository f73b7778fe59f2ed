"""Six false variants of the theorems, each refuted by generated architectures within the budget of the ci profile.

A variant is a predicate that a reader of the published statements might believe. ``find`` must come upon an
architecture for which it fails; the true statement beside it holds for that very architecture.
"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from lipop.testing import claims_near, comparison
from lipop.testing.architecture_strategies import architectures, violations
from lipop.testing.laws import DIVERGENT

BUDGET = settings(
    max_examples=200,  # that of ci, in every profile
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def converges(spec, depth=400):
    """Whether the orbit settles: its oscillation after depth / 2 is a small part of the one before."""
    orbit = spec.orbit(depth)
    late = max(spec.norm(x - orbit[-1]) for x in orbit[depth // 2 :])
    early = max(spec.norm(x - orbit[-1]) for x in orbit)
    return late <= 0.1 * early + 1e-9


def literal_iff(spec):
    """The limit exists if and only if every late block has Lip <= 1 and they converge summably to a projection."""
    expansive = spec.facts["L"] > 1 + 1e-6  # certified from above; shears attain it
    return converges(spec) == (not expansive)


def merely_non_expansive(spec):
    """T non-expansive and summable deviations: the limit exists."""
    return converges(spec)


def deviation_to_zero(spec):
    """T a projection and deviations that tend to zero: the limit exists, so the orbit's steps sum."""
    orbit = spec.orbit(1600)
    return spec.norm(orbit[1600] - orbit[400]) <= spec.norm(orbit[400] - orbit[100])


def heads_ignored(spec):
    """(c) from the first block on."""
    T, L = spec.architecture.limit, spec.facts["L"]
    orbit, e = spec.orbit(comparison.DEPTH), spec.eps(comparison.DEPTH)
    tau, end = comparison.tails(e), T(orbit[-1])
    allowed = comparison.slack(orbit, spec, L)
    return all(spec.norm(end - orbit[n]) <= (1 + L) * e[n] + L * tau[n] + allowed for n in range(1, comparison.DEPTH))


def short_rate(spec):
    """(c) with ``eps_n + L tau_n``."""
    T, L = spec.architecture.limit, spec.facts["L"]
    orbit, e = spec.orbit(comparison.DEPTH), spec.eps(comparison.DEPTH)
    tau, end = comparison.tails(e), T(orbit[-1])
    allowed = comparison.slack(orbit, spec, L)
    return all(spec.norm(end - orbit[n]) <= e[n] + L * tau[n] + allowed for n in comparison.depths(spec))


def growth_by_step(spec):
    """``1 + |S_(n+1) x| <= (1 + eps_(n+1) + (1 + L) eps_n)(1 + |S_n x|)``, without the running maximum."""
    L, orbit, e = spec.facts["L"], spec.orbit(comparison.DEPTH), spec.eps(comparison.DEPTH)
    sizes, allowed = [1 + spec.norm(x) for x in orbit], comparison.slack(orbit, spec, L)
    steps = range(spec.heads + 1, comparison.DEPTH)
    return all(sizes[n + 1] <= (1 + e[n + 1] + (1 + L) * e[n]) * sizes[n] + allowed for n in steps)


def quick(theorem, **options):
    """Laws of which 400 blocks show whether the limit exists."""
    return architectures(theorem, laws=("2**-k", "k**-2", "(9/10)**k"), **options)


VARIANTS = {
    "literal iff": (literal_iff, quick(1, dimensions=(1, 8)), claims_near.theorem_1),
    "T only non-expansive": (
        merely_non_expansive,
        st.one_of(quick(2, dimensions=(1, 4)), violations(2, "converging powers")),
        None,
    ),
    "deviation to zero": (deviation_to_zero, architectures(1, laws=DIVERGENT, dimensions=(1, 8)), None),
    "heads ignored": (heads_ignored, architectures(1), claims_near.theorem_1),
    "(c) with eps_n + L tau_n": (short_rate, architectures(1), claims_near.theorem_1),
    "growth without the running maximum": (growth_by_step, architectures(1, growth=True), claims_near.theorem_1_growth),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_false_variant_is_refuted(name):
    variant, specimens, truth = VARIANTS[name]
    spec = find(specimens, lambda s: not variant(s), settings=BUDGET)
    assert truth is None or all(c.holds for c in truth(spec))
    if variant is merely_non_expansive:  # refuted by steps that stay large, not by slow convergence
        orbit = spec.orbit(400)
        assert spec.facts["C" if "C" in spec.facts else "period"] == 1
        assert all(spec.norm(a - b) >= 0.5 for a, b in itertools.pairwise(orbit[200:]))


@pytest.mark.parametrize("theorem", [claims_near.theorem_1, claims_near.theorem_1_growth], ids=["theorem 1", "growth"])
def test_the_true_statements_are_not(theorem):
    """The same search finds nothing against what is true."""
    specimens = architectures(1, growth=theorem is claims_near.theorem_1_growth)
    with pytest.raises(NoSuchExample):
        find(specimens, lambda s: not all(c.holds for c in theorem(s)), settings=settings(BUDGET, max_examples=50))


def test_literal_iff_fails_by_an_expansive_projection():
    """The refutation is of the kind that the theory names (C2'): a projection with Lip > 1 has a limit."""
    spec = find(quick(1, dimensions=(1, 8)), lambda s: not literal_iff(s), settings=BUDGET)
    assert spec.facts["L"] > 1
    T, x = spec.architecture.limit, spec.point
    assert spec.norm(T(T(x)) - T(x)) <= 1e-12 * (1 + spec.norm(x)) * (1 + spec.facts["L"])
    assert converges(spec)


def test_orbits_under_divergent_laws_do_not_settle_by_their_formula():
    """Where pushes lie in the range, the orbit moves by the sum of the law, whose growth is known."""
    spec = find(violations(1, "a finite sum"), lambda s: "1/k," in s.text, settings=BUDGET)
    orbit = spec.orbit(2000)
    assert abs(orbit[2000][0] - orbit[1000][0] - math.log(2)) < 1e-3
    assert np.abs(orbit[:, 1:]).max(initial=0.0) == 0
