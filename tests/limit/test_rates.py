"""Rates as proofs: written, read, checked; forged ones are refused; leaves against mpmath-free closed forms."""

import dataclasses

import numpy as np
import pytest
import sympy

import lipop as lo
from lipop.core.proof import Source, arrays_of, from_json, to_json
from lipop.core.rule import derive, find_rule
from lipop.errors import DomainError, ProofError
from lipop.limit import Architecture, Law, Uniform, theorem_1, theorem_8
from lipop.limit.law_bounds import LawBounds, assumption
from lipop.limit.rate_claims import family
from lipop.limit.rates import conclude

k = sympy.Symbol("k")
P = lo.Linear(np.array([[1.0, 0.0], [1.0, 0.0]]))
LAW = Uniform(1 / k**2)


def stack():
    return Architecture.by_rule(lambda i: lo.Affine(P.A, [1 / i**2, 0.0]), limit=P, deviation=LAW)


def test_proofs_are_written_read_and_checked():
    bound = theorem_1(stack()).rates["error"].bound(5)
    read = from_json(to_json(bound), arrays_of(bound))[bound.id]
    law = LawBounds(LAW, "deviation", (assumption(LAW, "deviation"),))
    read.check(Source({P.digest: P, law.digest: law}))
    assert read.value == bound.value
    assert read.status == "CONDITIONAL(deviation: Uniform(k**(-2)))"
    assert "law.tail.declared@1" in read.explain()
    assert "align*" in read.latex()


def test_a_declared_law_cannot_pass_for_a_derived_one():
    bound = theorem_1(stack()).rates["error"].bound(5)
    lip, value, tail = bound.premises
    proved = dataclasses.replace(tail, rule="law.tail@1", params={"n": 5}, evidence=lip.evidence)
    with pytest.raises(ProofError):
        proved.check()  # the subject is a declared law, and redoes declared leaves only
    silent = dataclasses.replace(tail, evidence=lip.evidence)
    with pytest.raises(ProofError, match="evidence"):
        silent.check()
    with pytest.raises(ProofError):
        dataclasses.replace(bound, evidence=lip.evidence).check()
    assert value.evidence.assumes == tail.evidence.assumes == {"deviation: Uniform(k**(-2))"}


@pytest.mark.parametrize("factor", [0.5, 1 - 1e-9, 1 + 1e-6])
def test_other_values_are_refused(factor):
    bound = theorem_1(stack()).rates["error"].bound(5)
    with pytest.raises(ProofError):
        dataclasses.replace(bound, value=bound.value * factor).check()
    leaf = bound.premises[2]
    moved = dataclasses.replace(leaf, value=leaf.value * factor)
    with pytest.raises(ProofError):
        moved.check()


def test_premises_about_another_depth_or_map_are_refused():
    law = LawBounds(LAW, "deviation")
    lip = P.lip()
    with pytest.raises(ProofError, match="depth 4, not 5"):
        conclude("limit.error@1", "distance", (lip, law.value(4), law.tail(5)), n=5)
    with pytest.raises(ProofError, match="premise"):
        conclude("limit.error@1", "distance", (lip, law.tail(5), law.value(5)), n=5)
    premises = (lip, law.value(5), law.tail(5))
    good = conclude("limit.error@1", "distance", premises, n=5)
    other = dataclasses.replace(good.claim, operator=family((lo.Linear(np.eye(2)).lip(), *premises[1:])))
    with pytest.raises(ProofError, match="family"):
        derive("limit.error@1", other, premises, n=5)


def test_a_lower_bound_of_lip_proves_no_rate():
    law = LawBounds(LAW, "deviation")
    low = lo.lip(P, on=lo.Ball(np.zeros(2), 1.0)).lower
    with pytest.raises(ProofError, match="other side"):
        conclude("limit.projected@1", "distance", (low, law.tail(5)), n=5)
    local = P.lip(lo.Ball(np.zeros(2), 1.0))  # the law speaks about the whole space
    with pytest.raises(ProofError, match="region"):
        conclude("limit.projected@1", "distance", (local, law.tail(5)), n=5)


def test_every_rate_rule_can_be_found_by_name():
    for name in ("limit.error@1", "limit.reference@1", "limit.prenorm.readout@1", "law.tail.declared@1", "lip.exact@1"):
        assert find_rule(name) is not None


# ---- leaves ----


def test_products_and_sums_against_closed_forms():
    inverse = LawBounds(Law(1 / k**2), "x")
    assert 1 + inverse.above(0).value == pytest.approx(float(sympy.sinh(sympy.pi) / sympy.pi), rel=1e-7)
    assert 1 + inverse.above(0).value >= float(sympy.sinh(sympy.pi) / sympy.pi)
    shrink = LawBounds(Law(1 / (k + 1) ** 2), "x")
    assert shrink.below(0).value == pytest.approx(0.5, rel=1e-4)  # prod (1 - 1/j^2), j >= 2
    assert shrink.below(0).value <= 0.5
    geometric = LawBounds(Law(2 ** (-k)), "x")
    assert geometric.discounted(20, 0.5, 1).value == pytest.approx(20 * 2.0**-20, rel=1e-12)
    assert geometric.total(10, 1).value == pytest.approx(1 - 2.0**-10, rel=1e-12)
    assert geometric.total(10, 1).value <= 1 - 2.0**-10
    assert geometric.partial(3, 1).value == pytest.approx(1.5 * 1.25 * 1.125)
    assert geometric.remain(3, 1).value == pytest.approx(0.5 * 0.75 * 0.875)
    for leaf in (
        geometric.partial(3, 1),
        geometric.remain(3, 1),
        inverse.above(2),
        shrink.below(2),
        geometric.total(5, 1),
    ):
        leaf.check()


def test_what_diverges_is_infinite_or_zero():
    harmonic = LawBounds(Law(1 / k), "x")
    assert harmonic.above(3).value == np.inf
    assert harmonic.below(3).value == 0.0
    assert LawBounds(Law(2 ** (1 - k)), "x").below(0).value == 0.0  # the first factor is 0
    assert harmonic.factors(1, 1.0).value == np.inf


def test_depths_before_the_law_are_refused():
    law = Uniform(1 / k**2, start=5)
    c = theorem_1(Architecture.by_rule(lambda i: P, limit=P, deviation=law, start=5))
    assert c.rates["projected"](4) > 0
    for name, n in (("projected", 3), ("error", 4)):
        with pytest.raises(DomainError):
            c.rates[name](n)
    late = Law(1 / k**2, start=3)
    arch = Architecture.by_rule(lambda i: lo.Linear((1 + 1 / i**2) * np.eye(1)))
    with pytest.raises(DomainError, match="from depth 2"):
        theorem_8(arch, late, Law(0, start=3)).rates["lip"](1)
