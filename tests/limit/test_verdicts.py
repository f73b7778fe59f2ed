"""Verdicts: right on every counterexample, never a guess, silent where nothing decides."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import lipop as lo
from lipop.core.space import norm
from lipop.errors import DomainError
from lipop.limit import AffineRule, Architecture, Cycle, ResidualRule, Uniform, counterexamples, verdict

i, k = sympy.Symbol("i"), sympy.Symbol("k")
HALF = sympy.Rational(1, 2)
FEWER = settings(max_examples=max(10, settings().max_examples // 5))  # each example takes long
CASES = counterexamples.all()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_counterexamples_have_their_verdict(case):
    v = verdict(case.architecture)
    assert (v.answer, v.tail_stable, v.status) == (case.expected, case.tail_stable, "PROVED")
    assert v.assumptions == frozenset()
    assert v.reason
    assert v.answer in v.explain()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_counterexamples_do_what_they_say(case):
    """Run the blocks: orbits settle where a limit exists, and keep moving where it does not."""
    shown = case.demonstrate(2000)
    assert shown.values.shape == (2000, case.architecture.space.width)
    half = shown.values[999]
    apart = max(norm(v - half, case.architecture.space.norm) for v in shown.values[1000:])  # from 1000 to 2000
    assert (apart > 0.1) == (case.expected == "DOES_NOT_EXIST")
    assert case.plot(16).startswith("<svg")
    assert case.refutes
    assert case.name in repr(case)


def test_the_catalogue_is_that_of_the_page():
    names = [c.name for c in CASES]
    assert names == ["C1", "C2", "C2'", "C3", "C4a", "C4b", "C5a", "C5b", "C6", "C7", "C8"]


@pytest.mark.parametrize("case", [c for c in CASES if c.expected == "DOES_NOT_EXIST"], ids=lambda c: c.name)
def test_witnesses_of_non_existence_can_be_run_again(case):
    w = verdict(case.architecture).witness
    x = w.points[0]
    assert case.architecture.on.contains(x)
    values = [case.architecture(x, depth=n, m=w.start) for n in w.depths]
    assert all(np.allclose(a, b) for a, b in zip(values, w.values, strict=False))
    if w.kind == "two subsequences":
        assert norm(values[0] - values[1], case.architecture.space.norm) > 0.1


def test_tail_stability_has_its_own_witness():
    v = verdict(next(c for c in CASES if c.name == "C2").architecture)
    assert (v.answer, v.tail_stable) == ("EXISTS", False)
    assert v.witness.kind == "unbounded orbit"
    assert v.witness.start == 1


# ---- exact arguments against orbits ----


@FEWER
@given(st.integers(0, 2**31))
def test_repeating_affine_blocks_agree_with_their_orbits(seed):
    """Random cycles of small quarter-integer matrices behind random heads: the verdict against long orbits."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 3))

    def block():
        a = rng.integers(-4, 5, (n, n)) / 4
        return lo.Affine(a, rng.integers(-1, 2, n) / 1.0 if rng.random() < 0.5 else None)

    rule = Cycle([block() for _ in range(rng.integers(1, 4))], head=[block() for _ in range(rng.integers(0, 2))])
    sizes = np.abs(np.linalg.eigvals(np.linalg.multi_dot([np.eye(n), *(b.A for b in rule.cycle[::-1]), np.eye(n)])))
    if np.any((np.abs(sizes - 1) < 0.06) & (np.abs(sizes - 1) > 1e-9)):
        return  # too slow for the orbits here
    arch = Architecture.by_rule(rule)
    v = verdict(arch)
    assert v.status == "PROVED"
    for m in range(len(rule.head) + len(rule.cycle)):
        starts = [np.zeros(n), *np.eye(n)]
        settled = all(_settles(arch, x, m) for x in starts)
        if m == 0:
            assert (v.answer == "EXISTS") == settled
        if v.tail_stable:
            assert settled
    if v.tail_stable is False:
        assert not all(
            _settles(arch, x, m) for m in range(len(rule.head) + len(rule.cycle)) for x in (np.zeros(n), *np.eye(n))
        )


def _settles(arch, x, m, depth=900):
    y = x
    for j in range(m + 1, m + depth + 1):
        y = arch.rule(j)(y)
        if np.abs(y).max() > 1e9:
            return False
    z = y
    for j in range(m + depth + 1, m + depth + 8):
        z = arch.rule(j)(z)
        if np.abs(z - y).max() > 1e-6:
            return False
    return True


FORMULAS = [
    (1, 1 / i**2, True),
    (1, 1 / (i * sympy.log(i + 1)), False),
    (1, (-1) ** (i + 1) / sympy.sqrt(i), True),
    (1, sympy.Integer(1), False),
    (1 + 1 / i**2, 1 / i**2, True),
    (1 + 1 / i**2, 1 / i, False),
    (1 + 1 / i, 0, False),
    (1 - 1 / (i + 1), 0, True),
    (1 - 1 / (i + 1) ** 2, 1 / i**2, True),
    (-1, 0, False),
    (-HALF, 1 / i, True),
    ((-1) ** i * HALF, 1 / i, True),
    (HALF, sympy.Integer(3), True),
    (HALF, i, False),
    (sympy.Rational(3, 2), 0, False),
    (1 - 1 / (i + 1), 1 / (i + 1), True),
    (0, (-1) ** i, None),
]


@pytest.mark.parametrize(("a", "b", "expected"), FORMULAS, ids=lambda v: str(v).replace("**", "^"))
def test_scalar_recurrences(a, b, expected):
    v = verdict(Architecture.by_rule(AffineRule([[a]], [b], i)))
    answer = {True: "EXISTS", False: "DOES_NOT_EXIST", None: "UNDECIDED"}[expected]
    assert (v.answer, v.tail_stable) == (answer, expected)
    if expected is not None:
        assert v.status == "PROVED"


def test_a_zero_block_forgets_what_came_before():
    """a(3) = 0: from m = 0 one orbit is left; behind block 3 distances keep their size with alternating sign."""
    v = verdict(Architecture.by_rule(AffineRule([[9 / i**2 - 1]], None, i)))
    assert (v.answer, v.tail_stable) == ("EXISTS", False)
    assert v.witness.start == 3
    moving = verdict(Architecture.by_rule(AffineRule([[9 / i**2 - 1]], [1], i)))
    assert (moving.answer, moving.tail_stable) == ("UNDECIDED", False)


@pytest.mark.parametrize(
    ("A", "b", "answer", "argument"),
    [
        ([[1, 1 / i**2], [0, HALF]], [0, 1 / i], "EXISTS", None),
        ([[0, 1 + 1 / i**2], [1, 0]], None, "DOES_NOT_EXIST", "nearness"),
        ([[1, i**3], [0, 0]], [0, 0], "EXISTS", "absorption"),
        ([[HALF + 1 / i, 1], [0, HALF]], [1, 1 / i], "EXISTS", "nearness"),
    ],
)
def test_matrix_rules(A, b, answer, argument):
    v = verdict(Architecture.by_rule(AffineRule(A, b, i)))
    if argument is None:
        assert v.answer in (answer, "UNDECIDED")
    else:
        assert v.answer == answer
        assert argument in v.reason


# ---- conditional and undecided ----


def test_declared_laws_make_the_answer_conditional():
    P = lo.Linear(np.diag([1.0, 0.0]))
    arch = Architecture.by_rule(lambda j: lo.Affine(P.A, np.array([0, 1 / j**2])), limit=P, deviation=Uniform(1 / k**2))
    v = verdict(arch)
    assert (v.answer, v.tail_stable) == ("EXISTS", True)
    assert v.assumptions == {"deviation: Uniform(k**(-2))"}
    assert v.status.startswith("CONDITIONAL")
    assert v.rate(10) >= float(sympy.zeta(2, 11))


def test_without_laws_nothing_is_decided():
    v = verdict(Architecture.by_rule(lambda j: lo.Linear(np.eye(2) / j)))
    assert (v.answer, v.tail_stable, v.proof) == ("UNDECIDED", None, None)
    assert "theorem 1 needs a deviation law" in v.reason
    with pytest.raises(DomainError, match="no theorem gives a rate"):
        v.rate(3)


def test_non_summable_deviations_from_a_projection_are_undecided():
    P = lo.Linear(np.diag([1.0, 0.0]))
    v = verdict(Architecture.by_rule(lambda j: lo.Affine(P.A, [1 / j, 0]), limit=P, deviation=Uniform(1 / k)))
    assert v.answer == "UNDECIDED"
    assert "sum of the deviation law" in v.reason


def test_a_finite_stack_has_no_limit_question():
    v = verdict(Architecture.finite([lo.relu(2)] * 3))
    assert v.answer == "UNDECIDED"
    assert "3 blocks" in v.reason


def test_a_broken_law_is_undecided_with_its_witness():
    P = lo.Linear(np.diag([1.0, 0.0]))
    arch = Architecture.by_rule(lambda j: lo.Affine(P.A, [0.0, 1 / j]), limit=P, deviation=Uniform(1 / k**2))
    v = verdict(arch)
    assert v.answer == "UNDECIDED"
    assert v.contradiction is not None
    assert v.witness is v.contradiction


def test_contradicting_laws_are_not_believed():
    """Blocks 2 I, said to tend to 0 and to expand: whatever is sampled, one of the two is false."""
    zero = lo.Linear(np.zeros((2, 2)))
    arch = Architecture.by_rule(
        lambda j: lo.Linear(np.eye(2) / j**2),
        limit=zero,
        deviation=Uniform(3 / k**2),
        on=lo.Ball(np.zeros(2), 3.0),
        expansion=2,
    )
    v = verdict(arch)
    assert v.answer == "UNDECIDED"


def test_rates_take_the_best_theorem():
    arch = Architecture.by_rule(AffineRule([[HALF]], [2 ** (-i)], i))
    v = verdict(arch)
    assert v.rate(30, radius=1.0) <= min(c.rate(30, 1.0) for c in v.conclusions if c.rate is not None)
    with pytest.raises(DomainError, match="radius="):
        v.rate(30)


def test_residual_rules_are_decided_by_the_sum_of_their_steps():
    turn = lo.Linear(np.array([[-1.0, -1.0], [1.0, -1.0]]))  # N - I for a quarter turn N
    slow, fast = (verdict(Architecture.by_rule(ResidualRule(turn, h, i))) for h in (1 / (2 * i), 1 / (3 * i**2)))
    assert (slow.answer, slow.status) == (fast.answer, fast.status) == ("EXISTS", "PROVED")


def test_a_cloud_has_no_interior():
    """On finitely many points a divergent matrix may have only convergent orbits."""
    on = lo.Cloud(np.zeros((1, 2)))
    v = verdict(Architecture.by_rule(Cycle([lo.Linear(2 * np.eye(2))]), on=on))
    assert v.answer == "UNDECIDED"
    assert verdict(Architecture.by_rule(Cycle([lo.Linear(0.5 * np.eye(2))]), on=on)).answer == "EXISTS"


EVEN = sympy.Eq(sympy.Mod(k, 2), 0)
OSCILLATING = {
    "|sin k|": ([[HALF]], [sympy.Abs(sympy.sin(k))]),
    "erf(sin k)": ([[HALF]], [sympy.erf(sympy.sin(k))]),
    "Mod": ([[sympy.Mod(k, 2) / 4 + sympy.Rational(1, 4)]], [0]),
    "by parity": ([[HALF]], [sympy.Piecewise((1, EVEN), (1 / k, True))]),
    "growing by parity": ([[sympy.Piecewise((8, EVEN), (HALF, True))]], [0]),
    "beside the diagonal": ([[HALF, sympy.Piecewise((1, EVEN), (1 / k, True))], [0, HALF]], [1, 1]),
}


@pytest.mark.parametrize("name", OSCILLATING)
def test_no_limit_of_an_oscillating_formula_is_made_up(name):
    """SymPy gives limits of Mod and Piecewise that are wrong, and intervals for oscillating functions."""
    A, b = OSCILLATING[name]
    assert verdict(Architecture.by_rule(AffineRule(A, b, k))).answer == "UNDECIDED"


def test_an_oscillating_law_does_not_vanish():
    law = Uniform(sympy.Piecewise((1, EVEN), (1 / k, True)))
    T = lo.Linear(np.eye(1) / 2)
    arch = Architecture.by_rule(
        lambda n: lo.Affine(T.A, [1.0 if n % 2 == 0 else 1 / n]), limit=T, deviation=law, index=k
    )
    assert verdict(arch).answer == "UNDECIDED"
