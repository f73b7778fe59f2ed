"""Limits of E(N, P, K): the classic examples in which orders disagree, and the arguments that decide."""

import itertools

import numpy as np
import pytest
import sympy

from lipop.errors import DomainError, LipopError, NonFiniteError, ShapeError
from lipop.scaling.limits import joint
from lipop.scaling.performance import Performance, with_axes

N, P, K = sympy.symbols("N P K", positive=True)
half = sympy.Rational(1, 2)


def values(expr):
    return {order: f.value for order, f in Performance.symbolic(expr, (N, P, K)).iterated().items()}


def test_the_limit_law_has_one_limit_in_every_order():
    E = 1 + 2 * sympy.Rational(9, 10) ** K + 3 * half**P + 4 / sympy.sqrt(N)
    found = Performance.symbolic(E, (N, P, K))
    assert set(values(E).values()) == {1}
    assert len(found.iterated()) == 6
    assert (found.joint().answer, found.joint().value) == ("EXISTS", 1)


def test_more_data_first_or_a_larger_model_first():
    """Interpolation: with P beyond N the variance stays; the order of the limits decides what is seen."""
    E = 1 + P / (P + N)
    found = values(E)
    assert {found[o] for o in found if o.index("N") < o.index("P")} == {1}
    assert {found[o] for o in found if o.index("P") < o.index("N")} == {2}
    said = Performance.symbolic(E, (N, P, K)).joint()
    assert said.answer == "DOES_NOT_EXIST"
    assert "iterated limits" in said.reason


def test_all_orders_agree_and_still_no_joint_limit():
    E = N * P / (N**2 + P**2)
    assert set(values(E).values()) == {0}
    said = Performance.symbolic(E, (N, P, K)).joint()
    assert said.answer == "DOES_NOT_EXIST"
    assert "along" in said.reason


def test_a_joint_limit_without_an_iterated_one():
    E = 3 + sympy.sin(P) / N
    found = Performance.symbolic(E, (N, P, K))
    assert found.iterated()[("P", "N", "K")].value is None
    assert found.iterated()[("N", "P", "K")].value == 3
    assert (found.joint().answer, found.joint().value) == ("EXISTS", 3)


def test_monotone_functions_have_a_limit():
    E = 2 + 1 / (N + P * K)
    said = Performance.symbolic(E, (N, P, K)).joint()
    assert (said.answer, said.value) == ("EXISTS", 2)
    assert "non-increasing" in said.reason
    said = Performance.symbolic(2 - 1 / (N + P * K), (N, P, K)).joint()
    assert (said.answer, said.value) == ("EXISTS", 2)


def test_what_no_argument_decides_is_undecided():
    """|E| <= 1/(2 min(N, P)), so the limit is 0; none of the arguments sees it, and no wrong answer is given."""
    assert joint(N * P / (N**3 + P**3) * sympy.sin(N + P), (N, P)).answer == "UNDECIDED"


@pytest.mark.parametrize("expr", [N + 1 / P, N / P])
def test_unbounded_performance_has_no_finite_limit(expr):
    assert joint(expr, (N, P)).answer != "EXISTS"


def test_decisions_agree_with_values_far_out():
    """Each EXISTS is checked on points whose coordinates grow at different speeds."""
    for E in (1 + half**K + half**P + 1 / N, 2 + 1 / (N + P * K), 1 + sympy.exp(-K) * (1 + 1 / N) + 1 / P):
        said = Performance.symbolic(E, (N, P, K)).joint()
        assert said.answer == "EXISTS"
        for powers in itertools.permutations((1, 2, 3)):
            at = dict(zip((N, P, K), (sympy.Integer(60) ** a for a in powers), strict=True))
            assert abs(float(E.subs(at)) - float(said.value)) < 0.05


# ---- functions and tables ----


def power(N, P, K):
    return 1.0 + 2.0 * N**-0.5 + 3.0 * P**-0.7 + 4.0 * 0.9**K


def test_functions_are_estimated_with_an_interval():
    found = with_axes(Performance.function(power), K=np.arange(10.0, 90.0, 10.0)).iterated()
    for f in found.values():
        assert f.status == "ESTIMATED"
        assert f.interval is not None
        low, high = f.interval
        assert low <= 1.0 + 1e-9
        assert high >= 1.0 - 1e-9
        assert f.value == pytest.approx(1.0, abs=1e-6)


def test_orders_that_disagree_are_seen_in_numbers():
    def share(N, P, K):
        return 1 + P / (P + N)

    near, far = 2.0 ** np.arange(5), 2.0 ** np.arange(8, 24)
    data_first = Performance.function(share, {"N": far, "P": near, "K": near}).iterated()
    size_first = Performance.function(share, {"N": near, "P": far, "K": near}).iterated()
    assert data_first[("N", "P", "K")].value == pytest.approx(1.0, abs=1e-3)
    assert size_first[("P", "N", "K")].value == pytest.approx(2.0, abs=1e-3)


def test_slow_convergence_is_undecided():
    E = Performance.function(lambda N, P, K: 1 / np.log(N + 2) + 1 / P + 1 / K)
    stuck = [f for f in E.iterated().values() if f.value is None]
    assert all("do not shrink" in f.reason for f in stuck)
    flat = Performance.function(lambda N, P, K: np.sin(N) + 1 / P + 1 / K)
    assert flat.iterated()[("N", "P", "K")].status == "UNDECIDED"


def test_tables_are_grids():
    n, p, k = 2.0 ** np.arange(5), 2.0 ** np.arange(5), np.arange(10.0, 60.0, 10.0)
    rows = np.array([(a, b, c, power(a, b, c)) for a in n for b in p for c in k])
    table = Performance.table(*rows.T)
    assert table(4.0, 2.0, 30.0) == power(4.0, 2.0, 30.0)
    assert table.iterated()[("K", "P", "N")].value == pytest.approx(1.0, abs=1e-6)
    assert table.joint().answer == "UNDECIDED"
    said = table.joint(monotone=True)
    assert (said.answer, said.assumes) == ("EXISTS", {"E is monotone"})
    assert said.value == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(DomainError, match="no row with N = 5"):
        table(5.0, 2.0, 30.0)
    with pytest.raises(DomainError, match="it has 0 rows at N = 1, P = 1, K = 10"):
        Performance.table(*rows[1:].T)
    with pytest.raises(DomainError, match="it rises in P"):
        Performance.function(lambda N, P, K: P / N + 1 / K).joint(monotone=True)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Performance.symbolic(N, (N, P)), DomainError, "three SymPy symbols"),
        (lambda: Performance.symbolic(N, (N, P, sympy.Symbol("K"))), DomainError, "positive=True"),
        (lambda: Performance.symbolic(N * sympy.Symbol("b"), (N, P, K)), DomainError, "free symbol b"),
        (lambda: Performance.function(power, {"N": [1, 2, 4, 8]}), DomainError, "P is missing"),
        (lambda: with_axes(Performance.function(power), N=[1, 2, 3.5, 9]), DomainError, "constant factor"),
        (lambda: with_axes(Performance.function(power), N=[1, 2]), DomainError, "at least four"),
        (lambda: Performance.table([1], [1], [1], [1, 2]), ShapeError, "different lengths"),
        (lambda: Performance.table([1], [1], [1], [np.nan]), NonFiniteError, "NaN"),
        (lambda: Performance.function(lambda N, P, K: np.nan).iterated(), NonFiniteError, "not finite"),
    ],
)
def test_bad_input_is_named(make, error, message):
    assert issubclass(error, LipopError)
    with pytest.raises(error, match=message):
        make()


def test_limits_that_sympy_makes_up_are_not_believed():
    """SymPy says that Mod(N, 2) tends to infinity, and takes one branch of a function that has two."""
    parity = sympy.Piecewise((1, sympy.Eq(sympy.Mod(N, 2), 0)), (1 / N, True))
    for E in (1 + sympy.Mod(N, 2) + 1 / P + 1 / K, parity + 1 / P + 1 / K):
        found = Performance.symbolic(E, (N, P, K))
        assert found.joint().answer == "UNDECIDED"
        assert {f.value for f in found.iterated().values()} == {None}
