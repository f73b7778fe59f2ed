"""Architectures: constructors, compositions, shifts, evaluation; laws declared, derived and broken; bad input."""

import math
import tracemalloc

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.space import norm
from lipop.errors import DomainError, LipopError, NormMismatch, RegionError, ShapeError
from lipop.limit import AffineRule, Architecture, Combination, Cycle, Growth, Law, ResidualRule, Uniform
from lipop.operators import BallProjection
from lipop.operators.linear import Affine

k = sympy.Symbol("k")
P = Affine(np.diag([1.0, 0.0]))
SPACE = lo.Space(2)
X = np.array([1.5, -2.0])


def offset(i):
    return Affine(P.A, np.array([0.0, 1 / i**2]))


def kinds():
    """One architecture of every constructor, each on two numbers."""
    return {
        "function": Architecture.by_rule(offset, limit=P, deviation=Uniform(1 / k**2), index=k),
        "affine entries": Architecture.by_rule(AffineRule([[1, 1 / k**2], [0, 1 - 1 / k]], [0, 1 / k**3], k)),
        "combination": Architecture.by_rule(Combination([(1, P), (1 / k**2, lo.tanh(2))])),
        "residual": Architecture.residual(lo.tanh(2), h=1 / k**2),
        "pre-norm": Architecture.residual(lo.tanh(2), h=1 / k, norm=lo.RMSNorm(np.ones(2), 1e-3)),
        "post-norm": Architecture.residual(lo.tanh(2), norm=lo.RMSNorm(np.ones(2), 1e-3), place="post"),
        "branches by layer": Architecture.residual(lambda i: (1 / i) * lo.tanh(2), h=1 / k, index=k),
        "tied": Architecture.tied(lo.tanh(2)),
        "periodic": Architecture.periodic([P, lo.tanh(2), offset(1)]),
        "head and cycle": Architecture.by_rule(Cycle([P], head=[lo.tanh(2), offset(1)])),
        "finite": Architecture.finite([offset(i) for i in range(1, 12)]),
    }


@pytest.mark.parametrize("name", kinds())
def test_compositions_follow_the_blocks(name):
    arch = kinds()[name]
    y = X
    for n in range(1, 8):
        y = arch.block(n)(y)
        np.testing.assert_allclose(arch(X, depth=n), y, rtol=1e-14)
        np.testing.assert_allclose(arch.S(n)(X), y, rtol=1e-14)
    np.testing.assert_allclose(arch.S(7, 3)(arch.S(3)(X)), y, rtol=1e-14)
    np.testing.assert_allclose(arch(arch(X, depth=3), depth=7, m=3), y, rtol=1e-14)
    assert arch.S(4, 4) == lo.Identity(SPACE)
    assert arch(X, depth=0) is X


@pytest.mark.parametrize("name", kinds())
@pytest.mark.parametrize("m", [0, 1, 2, 5])
def test_shifts_drop_the_first_blocks(name, m):
    arch = kinds()[name]
    later = arch.shift(m)
    np.testing.assert_allclose(later(X, depth=4), arch(X, depth=m + 4, m=m), rtol=1e-14)
    for law in ("deviation", "lip", "expansion"):
        assert later.origin(law) == arch.origin(law)
        if getattr(arch, law) is not None:
            assert getattr(later, law).at(3) == pytest.approx(getattr(arch, law).at(m + 3), rel=1e-12)
    if not isinstance(arch.rule, type(kinds)):
        assert type(later.rule) is type(arch.rule)


@pytest.mark.parametrize("name", kinds())
def test_truncated_architectures_are_finite(name):
    arch = kinds()[name].truncate(5)
    assert arch.length == 5
    np.testing.assert_allclose(arch(X), arch(X, depth=5))
    assert arch.shift(2).length == 3
    for bad in (lambda: arch.block(6), lambda: arch.truncate(6), lambda: arch.shift(5), lambda: arch.truncate(0)):
        with pytest.raises(DomainError):
            bad()


def test_in_place_evaluation_equals_the_blocks_bit_for_bit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(50)
    A = Affine(rng.standard_normal((50, 50)) / 10)
    for arch in (
        Architecture.by_rule(Combination([(1, lo.Identity(lo.Space(50))), (1 / k, lo.tanh(50))])),
        Architecture.by_rule(Combination([(1, A), (1 / k**2, lo.tanh(50))])),
        Architecture.by_rule(Combination([(1 / k, A)])),
        Architecture.by_rule(Combination([(2, lo.Identity(lo.Space(50)))])),
    ):
        before = x.copy()
        y = x
        for i in range(1, 20):
            y = arch.block(i)(y)
        np.testing.assert_allclose(arch(x, depth=19), y, rtol=1e-13)
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("make", [
    lambda d: Architecture.residual(lo.tanh(d), h=1 / k**2),
    lambda d: Architecture.by_rule(Combination([(1, lo.Identity(lo.Space(d))), (1 / k**2, lo.Diagonal(np.ones(d)))])),
    lambda d: Architecture.by_rule(lambda i: lo.Diagonal(np.ones(d))),
], ids=["residual", "combination", "function"])  # fmt: skip
def test_depth_takes_the_memory_of_three_vectors(make):
    d = 2**14
    arch, x = make(d), np.linspace(-1, 1, d)
    arch(x, depth=3)
    tracemalloc.start()
    arch(x, depth=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 3.3 * x.nbytes


# ---- derived laws --------------------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)


def random_rules(rng, n, kind):
    """Rules with formulas, on n numbers in a norm."""

    def matrix():
        return Affine(rng.integers(-4, 5, (n, n)) / 4, rng.integers(-4, 5, n) / 4, norm_in=kind, norm_out=kind)

    space = lo.Space((n,), kind)
    eye = lo.Identity(space)
    c = [sympy.Rational(int(v), 4) for v in rng.integers(1, 9, 4)]
    step = [c[0] / (k + 1) ** 2, c[1] / 2**k, (-1) ** k * c[2] / k**2, c[3] / (k * sympy.log(k + 1) ** 2)][
        rng.integers(4)
    ]
    entries = [sympy.Rational(int(v), 4) for v in rng.integers(-4, 5, n * n)]
    offsets = [step * int(v) for v in rng.integers(-3, 4, n)]
    moving = sympy.Matrix(n, n, entries) + step * sympy.Matrix(n, n, [int(v) for v in rng.integers(-1, 2, n * n)])
    rules = [
        Combination([(1, matrix()), (step, matrix())]),
        Combination([(1 + step, matrix())]),
        Combination([(1 - 1 / (k + 1), eye), (1 / (k + 1), matrix())]),
        Combination([(1, eye), (step, matrix())]),
        ResidualRule(matrix(), step, k),
        AffineRule(moving, offsets, k, kind),
        AffineRule(sympy.Matrix(n, n, entries), offsets, k, kind),
        Cycle([matrix()]),
        Cycle([matrix(), matrix()]),
    ]
    if kind == "l2":
        rules += [Combination([(1, matrix()), (step, lo.tanh(n))]), ResidualRule(lo.gelu(n), step, k)]
    return rules


@given(SEEDS, st.sampled_from(["l1", "l2", "linf"]), st.integers(1, 3), st.booleans())
def test_no_block_breaks_a_derived_law(seed, kind, n, bounded):
    rng = np.random.default_rng(seed)
    rules = random_rules(rng, n, kind)
    rule = rules[rng.integers(len(rules))]
    derived_on = lo.Ball(np.zeros(n), 2.0, kind) if bounded else lo.Everywhere()
    from lipop.limit.derived import derived

    found = derived(rule, derived_on)
    for i in (1, 2, 3, 7, 40):
        block = rule(i)
        points = list(lo.Ball(np.zeros(n), 2.0 if bounded else 50.0, kind).sample(rng, 12))
        for x in points:
            if found.deviation is not None:
                allowed = found.deviation.at(i) * (1 + norm(x, kind) if isinstance(found.deviation, Growth) else 1)
                assert norm(block(x) - found.limit(x), kind) <= allowed * (1 + 1e-12) + 1e-12 * (1 + norm(x, kind))
        for x, y in zip(points[::2], points[1::2], strict=True):
            ratio = norm(block(x) - block(y), kind) / norm(x - y, kind)
            assert found.lip is None or ratio <= found.lip.at(i) * (1 + 1e-12) + 1e-12
            assert found.expansion is None or ratio >= found.expansion.below(i) * (1 - 1e-12) - 1e-12


def test_derived_laws_are_attained_where_they_can_be():
    """The sup-norm family: T_i x = P x + (1, -1)/i^2 deviates by exactly 1/i^2."""
    P = Affine(np.array([[1.0, 0.0], [4.0, 0.0]]), norm_in="linf", norm_out="linf")
    v = Affine(np.zeros((2, 2)), np.array([1.0, -1.0]), norm_in="linf", norm_out="linf")
    arch = Architecture.by_rule(Combination([(1, P), (1 / k**2, v)]))
    assert (arch.limit, arch.origin("deviation")) == (P, "derived")
    assert isinstance(arch.deviation, Uniform)
    for i in (1, 2, 9):
        assert 1 / i**2 <= arch.deviation.at(i) <= (1 + 1e-9) / i**2
    assert arch.lip.at(5) == pytest.approx(4.0, rel=1e-8)


def test_residual_blocks_towards_a_linear_field_have_exact_constants():
    arch = Architecture.residual(Affine(-np.eye(2)), h=1 / (k + 1))
    assert (arch.lip.at(3), arch.expansion.below(3)) == (0.75, 0.75)
    assert arch.limit == lo.Identity(SPACE)
    assert isinstance(arch.deviation, Growth)
    relaxed = Architecture.by_rule(Combination([(1 - 1 / (k + 1), lo.Identity(SPACE)), (1 / (k + 1), lo.tanh(2))]))
    assert relaxed.lip.at(7) == 1.0


def test_a_python_function_derives_nothing():
    arch = Architecture.by_rule(lambda i: P)
    assert [arch.origin(law) for law in ("deviation", "lip", "expansion")] == [None] * 3
    assert arch.limit is None


def test_limits_that_float64_does_not_hold_give_no_law():
    """The stored T would be another map than the limit."""
    arch = Architecture.by_rule(Combination([(sympy.Rational(1, 3) + 1 / k**2, P)]))
    assert arch.deviation is None
    assert arch.limit is None
    assert arch.origin("lip") == "derived"


def test_declared_laws_stay_declared():
    arch = Architecture.by_rule(Combination([(1, P), (1 / k**2, lo.tanh(2))]), limit=P, deviation=Growth(2 / k**2))
    assert arch.origin("deviation") == "declared"
    assert arch.deviation.at(1) == 2.0


# ---- contradictions ------------------------------------------------------------------------------------------------


def test_a_declared_deviation_that_a_block_breaks():
    arch = Architecture.by_rule(lambda i: Affine(P.A, np.array([0.0, 1 / i])), limit=P, deviation=Uniform(1 / k**2))
    found = arch.contradiction("deviation")
    assert (found.layer, found.declared) == (2, 0.25)
    assert found.measured == pytest.approx(0.5)
    assert "block 2" in str(found)


def test_declared_constants_that_a_block_breaks():
    arch = Architecture.by_rule(lambda i: Affine((1 + 1 / i) * np.eye(2)), lip=1 + 1 / k**2, expansion=1 + 1 / (2 * k))
    assert arch.contradiction("lip").measured > arch.contradiction("lip").declared
    assert arch.contradiction("expansion") is None
    arch = Architecture.by_rule(lambda i: Affine(0.5 * np.eye(2)), expansion=0.75)
    assert arch.contradiction("expansion").measured == pytest.approx(0.5)


@given(SEEDS)
def test_true_laws_are_not_contradicted(seed):
    """Attained laws, with blocks whose coefficients are rounded."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(2)
    size = float(np.abs(v).max()) * (1 + 1e-15)
    norms = {"norm_in": "linf", "norm_out": "linf"}
    T = Affine(P.A, **norms)
    arch = Architecture.by_rule(lambda i: Affine(P.A, v / 3**i, **norms), limit=T, deviation=Uniform(size / 3**k))
    assert arch.contradiction("deviation") is None
    growth = Architecture.by_rule(
        lambda i: Affine((1 + 1 / i**2) * np.eye(2)),
        limit=lo.Identity(SPACE),
        deviation=Growth(1 / k**2),
        lip=1 + 1 / k**2,
    )
    assert growth.contradiction("deviation") is None
    assert growth.contradiction("lip") is None


def test_derived_laws_are_not_sampled():
    assert kinds()["residual"].contradiction("deviation") is None
    assert kinds()["residual"].contradiction("lip") is None
    with pytest.raises(DomainError, match="has the laws"):
        kinds()["residual"].contradiction("tail")


# ---- domains -------------------------------------------------------------------------------------------------------

UNIT = lo.Ball(np.zeros(2), 1.0)


def test_blocks_that_keep_the_domain_are_proved_to():
    assert Architecture.tied(Affine(0.5 * np.eye(2)), on=UNIT).keeps_domain.evidence == "PROVED"
    assert Architecture.by_rule(lambda i: P, on=None).keeps_domain.evidence == "PROVED"
    box = lo.Box(-np.ones(2), np.ones(2))
    assert Architecture.finite([lo.tanh(2) @ Affine(0.5 * np.eye(2))] * 3, on=box).keeps_domain.evidence == "PROVED"
    steps = Combination([(1 - 1 / (k + 1), lo.Identity(SPACE)), (1 / (k + 1), Affine(-0.5 * np.eye(2)))])
    assert Architecture.by_rule(steps, on=UNIT).keeps_domain.evidence == "PROVED"
    assert Architecture.by_rule(lambda i: Affine(0.5 * np.eye(2)), on=UNIT).keeps_domain is None


def test_a_later_block_that_leaves_the_domain_is_witnessed():
    arch = Architecture.by_rule(lambda i: Affine((1.0 if i < 10 else 2.0) * np.eye(2)), on=UNIT)
    assert arch.keeps_domain.evidence == "WITNESSED"
    i, x = arch.keeps_domain.witness
    assert UNIT.contains(x)
    assert not UNIT.contains(arch.block(i)(x))


def test_projections_onto_the_domain_keep_it():
    arch = Architecture.by_rule(lambda i: BallProjection(np.zeros(2), 1.0) @ Affine(2 * np.eye(2)), on=UNIT)
    assert arch.keeps_domain is None or arch.keeps_domain.evidence == "PROVED"
    assert norm(arch(np.array([0.6, 0.6]), depth=20)) <= 1 + 1e-12


BAD = {
    "no rule": (lambda: Architecture.by_rule(3), DomainError, "function i -> Operator"),
    "no operators": (lambda: Architecture.by_rule(lambda i: np.eye(2)), DomainError, "must give Operators"),
    "not square": (lambda: Architecture.by_rule(lambda i: Affine(np.ones((2, 3)))), ShapeError, "block 1 gives"),
    "other norm": (
        lambda: Architecture.periodic([P, Affine(np.eye(2), norm_in="linf", norm_out="linf")]), ShapeError, "in linf"),
    "other shape later": (
        lambda: Architecture.by_rule(lambda i: P if i < 3 else lo.tanh(3))(X, depth=3), ShapeError, "block 3"),
    "domain of other shape": (
        lambda: Architecture.by_rule(lambda i: P, on=lo.Ball(np.zeros(3), 1.0)),
        RegionError, "shape"),
    "block leaves D": (
        lambda: Architecture.by_rule(lambda i: Affine(2 * np.eye(2)), on=UNIT), DomainError, "into itself"),
    "T leaves D": (
        lambda: Architecture.by_rule(lambda i: P, on=UNIT, limit=Affine(np.eye(2), np.ones(2)), deviation=Uniform(1)),
        DomainError, "the limit operator does not map the domain"),
    "T of other shape": (
        lambda: Architecture.by_rule(lambda i: P, limit=lo.tanh(3), deviation=Uniform(0)), ShapeError, "limit op"),
    "law without T": (lambda: Architecture.by_rule(lambda i: P, deviation=Uniform(1 / k)), DomainError, "say limit="),
    "plain law": (
        lambda: Architecture.by_rule(lambda i: P, limit=P, deviation=Law(1 / k)), DomainError, "Uniform or Growth"),
    "other index": (
        lambda: Architecture.by_rule(lambda i: P, limit=P, deviation=Uniform(1 / k), index=sympy.Symbol("j")),
        DomainError, "is a sequence in k"),
    "negative at one layer": (
        lambda: Architecture.by_rule(lambda i: P, limit=P, deviation=Uniform(1 - 3 / k)),
        DomainError, "negative at k = 1"),
    "undefined at one layer": (
        lambda: Architecture.by_rule(lambda i: P, limit=P, deviation=Uniform(1 / (k - 7) ** 2)), DomainError, "k = 7"),
    "complex": (
        lambda: Architecture.by_rule(lambda i: P, lip=sympy.sqrt(k - 3)), DomainError, "not a real number at k = 1"),
    "text": (lambda: Architecture.by_rule(lambda i: P, lip="1 + 1/k"), DomainError, "never evaluated"),
    "start": (lambda: Architecture.by_rule(lambda i: P, start=0), DomainError, "first layer"),
    "empty": (lambda: Architecture.finite([]), DomainError, "at least one block"),
    "empty cycle": (lambda: Architecture.periodic([]), DomainError, "at least one block"),
    "no depth": (lambda: Architecture.tied(P)(X), DomainError, "say depth="),
    "wrong order": (lambda: Architecture.tied(P).S(2, 3), DomainError, "0 <= m <= n"),
    "block zero": (lambda: Architecture.tied(P).block(0), DomainError, "counted 1, 2"),
    "point of other shape": (lambda: Architecture.tied(P)(np.ones(3), depth=1), ShapeError, "shape"),
    "place": (lambda: Architecture.residual(lo.tanh(2), place="middle"), DomainError, "'pre'"),
    "branch of other shape": (lambda: Architecture.residual(Affine(np.ones((3, 2))), h=1 / k), LipopError, "domain"),
    "step undefined": (
        lambda: Architecture.residual(lo.tanh(2), h=1 / (k - 1)), DomainError, "k - 1 is zero at k = 1"),
    "coefficient undefined": (
        lambda: Architecture.by_rule(Combination([(1 / (k - 200), P)])), DomainError, "k - 200 is zero at k = 200"),
    "terms in other norms": (
        lambda: Combination([(1, P), (1, Affine(np.eye(2), norm_in="linf", norm_out="linf"))]), NormMismatch, "norms"),
    "not an operator": (lambda: Combination([(1, np.eye(2))]), DomainError, "found a ndarray"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    make, error, message = BAD[name]
    with pytest.raises(error, match=message):
        make()


def test_laws_may_begin_later():
    arch = Architecture.by_rule(
        lambda i: Affine(5 * np.eye(2)) if i < 4 else offset(i), limit=P, deviation=Uniform(1 / (k - 3) ** 2), start=4
    )
    assert arch.deviation.start == 4
    assert arch.contradiction("deviation") is None
    assert arch.shift(2).start == 2
    assert arch.shift(9).start == 1


def test_laws_of_finite_architectures_are_sequences():
    arch = Architecture.finite([offset(1), offset(2)], limit=P, deviation=[1.0, 0.25], lip=[1.0, 1.0])
    assert arch.deviation.tail(1) == 0.25
    assert arch.origin("lip") == "declared"
    assert math.isclose(arch.shift(1).deviation.at(1), 0.25)
