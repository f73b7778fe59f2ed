"""The theorems' functions on generated architectures: their hypotheses are found to hold, and their certified rates lie
above the measured distance and above the sum that was run.

The functions see declared laws, so their answers are conditional on them; the bounds that they give are for infinitely
many blocks, and the ones compared with end at the last block.
"""

import math

import sympy
from hypothesis import assume, given, settings

from lipop.limit.architecture import Architecture
from lipop.limit.hypothesis import declared
from lipop.limit.laws import Law, Uniform
from lipop.limit.theorems import (
    theorem_1,
    theorem_2,
    theorem_3,
    theorem_4,
    theorem_5,
    theorem_6,
    theorem_8,
    theorem_9,
    theorem_9_flow,
)
from lipop.testing import comparison
from lipop.testing.architecture_strategies import architectures
from lipop.testing.laws import LAWS
from tests.theorems.conftest import COUNT

K = sympy.Symbol("k", positive=True, integer=True)
some = settings(max_examples=max(10, COUNT // 8))


def law(name, scale=1.0, start=1, kind=Law):
    key = (name, scale, start, kind)
    if key not in MADE:
        MADE[key] = kind(LAWS[name].expr(K, scale), K, start)
    return MADE[key]


MADE = {}


def above(rate, n, measured, allowed, radius=None):
    """A certified rate is at least what was measured."""
    bound = rate(n, radius)
    assert measured <= bound + allowed, f"{rate.bounds} at n = {n}: {measured!r} > {bound!r} + {allowed:.1e}"


@some
@given(architectures(1))
def test_theorem_1(spec):
    c = theorem_1(spec.architecture)
    assert c.status.startswith("CONDITIONAL(deviation") if c.holds else c.status == "UNKNOWN"
    linear = spec.facts["kind"] in ("coordinates", "shear")  # decided in rational arithmetic, up to some size
    assert c.holds or (linear and len(spec.point) > 16), c.explain()
    assume(c.holds)
    T, L = spec.architecture.limit, spec.facts["L"]
    orbit, e = spec.orbit(comparison.DEPTH), spec.eps(comparison.DEPTH)
    tau, allowed, end = comparison.tails(e), comparison.slack(orbit, spec, L), T(orbit[-1])
    for n in comparison.depths(spec):
        above(c.rates["idempotency"], n, spec.norm(orbit[n] - T(orbit[n])), allowed)
        above(c.rates["projected"], n, spec.norm(end - T(orbit[n])), allowed)
        above(c.rates["error"], n, spec.norm(end - orbit[n]), allowed)
        assert c.rates["projected"](n) >= L * tau[n] * (1 - 1e-7)  # L may have been decided to be 1 exactly
        assert c.rates["error"](n) >= max(e[n], L * tau[n]) * (1 - 1e-7)
        assert c.rates["error"](n) <= ((1 + L) * e[n] + c.rates["projected"](n)) * (1 + 1e-9)


@some
@given(architectures(1, growth=True))
def test_theorem_1_growth(spec):
    c = theorem_1(spec.architecture)
    assume(c.holds)
    T, L = spec.architecture.limit, spec.facts["L"]
    orbit, m = spec.orbit(comparison.DEPTH), spec.heads
    allowed, end = comparison.slack(orbit, spec, L), T(orbit[-1])
    radius = spec.norm(orbit[m]) * (1 + 1e-12)
    for n in comparison.depths(spec):
        above(c.rates["error"], n, spec.norm(end - orbit[n]), allowed, radius)
        above(c.rates["projected"], n, spec.norm(end - T(orbit[n])), allowed, radius)


@some
@given(architectures(2))
def test_theorem_2(spec):
    """Where the function finds that the powers converge, and where it does not know, it says no more."""
    c = theorem_2(spec.architecture)
    assert not any(h.violated for h in c.hypotheses)
    if not c.holds:
        assert c.exists is None or c.exists
        return
    assert c.exists
    assert c.tail_stable
    orbit, e = spec.orbit(comparison.DEPTH), spec.eps(comparison.DEPTH)
    tau, allowed = comparison.tails(e), comparison.slack(orbit, spec)
    for n in comparison.depths(spec)[:-1]:
        gap = spec.norm(orbit[-1] - spec.referred(orbit[n], comparison.DEPTH, n))
        above(c.rates["projected"], n, gap, allowed)
        assert c.rates["projected"](n) >= tau[n] * (1 - 1e-12)


@some
@given(architectures(3))
def test_theorem_3(spec):
    c = theorem_3(spec.architecture)
    assert c.holds, c.explain()
    orbit, p, m = spec.orbit(comparison.DEPTH), spec.facts["fixed"], spec.heads
    allowed, radius = comparison.slack(orbit, spec), spec.norm(orbit[m] - p) * (1 + 1e-12) + 1e-15
    for n in comparison.depths(spec):
        bound = c.rates["error"](n, radius)
        assert spec.norm(orbit[n] - p) <= bound + allowed


@some
@given(architectures(4))
def test_theorem_4(spec):
    steady = "steady" in spec.text
    name = next((k for k in LAWS if k in spec.text), None)
    expansion = Law(sympy.Rational(3, 2)) if steady else Law(1 + LAWS[name].expr(K), K)
    c = theorem_4(spec.architecture, expansion)
    assert c.holds, c.explain()
    assert c.exists is False
    assert c.tail_stable is False


@some
@given(architectures(5))
def test_theorem_5(spec):
    assume("slow" in spec.text)
    c = theorem_5(spec.architecture, Law(K / (K + 1), K))
    assert c.holds, c.explain()
    assert c.exists is None


@some
@given(architectures(6))
def test_theorem_6(spec):
    assume(spec.facts["kind"] != "tied")
    start = spec.heads + 1
    swells = spec.facts["kind"] == "swelling"
    lip = law("2**-k", 1.0, start) if swells else None
    lip = Law(1 + lip.expr, K, start) if swells else Law(1, start=start)
    base = Architecture.by_rule(spec.reference, lip=lip, start=start)
    c = theorem_6(spec.architecture, base, law(spec.law, spec.scale, start, Uniform))
    if "projected" not in c.rates:  # what nothing decides is whether the reference family converges
        assert not any(h.violated for h in c.hypotheses)
        return
    orbit, C = spec.orbit(comparison.DEPTH), spec.facts["C"]
    allowed = comparison.slack(orbit, spec, C)
    for n in comparison.depths(spec)[:-1]:
        gap = spec.norm(orbit[-1] - spec.referred(orbit[n], comparison.DEPTH, n))
        above(c.rates["projected"], n, gap, allowed)


@some
@given(architectures(8))
def test_theorem_8(spec):
    delta, beta = law(spec.facts["delta_law"], spec.facts["size"]), law(spec.facts["beta_law"])
    c = theorem_8(spec.architecture, delta, beta)
    assert c.holds, c.explain()
    one, other, gaps = comparison.pairs(spec)
    allowed = comparison.slack([*one, *other], spec)
    size = spec.norm(spec.point) * (1 + 1e-12)
    for n in (1, 2, 5, 20):
        assert c.rates["expansion"](n) * gaps[n] <= gaps[-1] + allowed
        assert gaps[-1] <= c.rates["lip"](n) * gaps[n] + allowed
        moved = spec.norm(one[-1] - one[n])
        above(c.rates["posterior"], n, moved, allowed, spec.norm(one[n]) * (1 + 1e-12))
        above(c.rates["error"], n, moved, allowed, size)


STEPS = {
    "constant steps": lambda top: top + 0 * K,
    "harmonic steps": lambda top: top / K,
    "contraction": lambda top: top / K,
    "root steps": lambda top: top / sympy.sqrt(K),
    "summable steps": lambda top: sympy.Rational(7, 16) / K**2,
}


@some
@given(architectures(9))
def test_theorem_9(spec):
    kind = next(k for k in STEPS if k in spec.text)
    steps = Law(STEPS[kind](sympy.Rational(spec.facts["h"](1))), K)
    c = theorem_9(spec.architecture, spec.facts["N"], steps)
    assert not any(h.violated for h in c.hypotheses)
    assume(c.holds)
    assert ("injective" in c.statement) == (kind == "summable steps")
    one, p, N = spec.orbit(comparison.DEPTH), spec.facts["fixed"], spec.facts["N"]
    allowed, radius = comparison.slack(one, spec), spec.norm(one[0] - p) * (1 + 1e-12)
    for n in (1, 2, 10, 40):
        if "fixed" in c.rates:
            above(c.rates["fixed"], n, spec.norm(N(one[n]) - one[n]), math.sqrt(allowed), radius)
        if "error" in c.rates and spec.facts["q"] < 1:
            above(c.rates["error"], n, spec.norm(one[n] - p), allowed, radius)


@some
@given(architectures(9, flow=True, dimensions=(1, 4)))
def test_theorem_9_flow(spec):
    """On the ball that holds both points; that the flow of a linear field converges is told to the function."""
    power = sympy.Rational(str(spec.facts["power"]))
    steps = Law(K**-power / 4, K)
    converges = declared("the flow of F converges", "flow", "a linear field without turns in its kernel")
    c = theorem_9_flow(spec.architecture, spec.facts["F"], steps, size=spec.facts["size"] * (1 + 1e-9), flow=converges)
    assert not any(h.violated for h in c.hypotheses)
    assume(c.holds)
    orbit, h = spec.orbit(comparison.DEPTH), spec.facts["h"]
    for n in (1, 5, 20):
        t = math.fsum(h(i) for i in range(n + 1, comparison.DEPTH + 1))
        gap = spec.facts["flow"](1e4, orbit[-1]) - spec.facts["flow"](t + 1e4, orbit[n])
        above(c.rates["projected"], n, spec.norm(gap), comparison.slack(orbit, spec))
