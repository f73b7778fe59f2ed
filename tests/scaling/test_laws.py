"""The laws against values worked out otherwise, their domains, and allocations against stationarity and search."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import sympy

from lipop.errors import DomainError
from lipop.scaling import ScalingLaw, laws
from lipop.scaling.allocation import budget_symbol, closed_form, numerical
from lipop.scaling.law import Parameter
from lipop.scaling.laws_common import MODEL

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


@pytest.mark.parametrize("name", laws.LAWS)
def test_every_law_is_complete(name):
    law = laws.by_name(name)
    assert all(p.unit and p.meaning and p.low < min(p.starts) for p in law.parameters)
    assert all(v.unit and v.meaning for v in law.variables)
    assert "20" in law.citation or "arXiv" in law.citation
    assert law.latex().startswith(f"\\mathrm{{{law.target}}} = ")
    point = {p.name: p.outer(0.3) for p in law.parameters}
    columns = {v.name: np.array([2.0, 3.0]) for v in law.variables}
    exact = law.formula.subs({v.symbol: 3 for v in law.variables}).subs(
        {p.symbol: point[p.name] for p in law.parameters}
    )
    assert float(law(point, **columns)[1]) == pytest.approx(float(exact), rel=1e-12)
    again = pickle.loads(pickle.dumps(law))
    assert np.array_equal(again(point, **columns), law(point, **columns))


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, math.inf), (0.0, 1.0), (1.0, math.inf), (-math.inf, math.inf), (-1.0, 2.0)]
)
def test_inner_coordinates_are_inverted(low, high):
    p = Parameter("p", "1", "any", low, high)
    for z in (-3.0, 0.0, 0.7):
        assert p.inner(p.outer(z)) == pytest.approx(z, abs=1e-12)
        assert float(p.outer(sympy.Float(z))) == pytest.approx(p.outer(z), rel=1e-12)


# ---- the two phases ----


def test_two_phases_meet_and_have_the_stated_slope():
    law = laws.TwoPhaseLaw(Fraction(-1, 6))
    assert isinstance(law, laws.TwoPhaseLaw)
    assert law.values["s"] == sympy.Rational(1, 6)
    v = {"E": 1.5, "a": 3.0, "kappa": 2.0, "C_0": 1e18}
    before, after = law(v, C=[1e18 * (1 - 1e-12), 1e18 * (1 + 1e-12)])
    assert before == pytest.approx(after, rel=1e-10)
    early = law(v, C=[1e17, 2e17]) - 1.5
    assert early[1] / early[0] == pytest.approx(math.exp(-0.2), rel=1e-12)
    late = law(v, C=[1e20, 64e20]) - 1.5
    assert late[1] / late[0] == pytest.approx(0.5, rel=1e-12)
    low, high = law.envelope(v, C=[1e17, 1e20, 1e21], loss=[9.0, 1.6, 1.7])
    assert low == pytest.approx(0.1 * 1e20 ** (1 / 6), rel=1e-12)
    assert high == pytest.approx(0.2 * 1e21 ** (1 / 6), rel=1e-12)
    with pytest.raises(DomainError, match="past the crossover"):
        law.envelope(v, C=[1e17], loss=[2.0])


def test_free_and_fixed_exponents_agree():
    v = {"E": 1.0, "a": 1.0, "kappa": 1.0, "C_0": 10.0}
    C = np.geomspace(1, 1e4, 7)
    fixed = laws.TwoPhaseLaw(-1 / 7)(v, C=C)
    assert fixed == pytest.approx(laws.TwoPhaseLaw()({**v, "s": 1 / 7}, C=C), rel=1e-14)
    assert [p.name for p in laws.TwoPhaseLaw().parameters] == ["E", "a", "kappa", "C_0", "s"]
    with pytest.raises(DomainError, match="negative"):
        laws.TwoPhaseLaw(Fraction(1, 7))


def test_limit_law_and_its_critical_form():
    v = {"E_inf": 0.5, "a": 2.0, "beta": 0.9, "b": 3.0, "c": 4.0}
    contractive = laws.LimitLaw()({**v, "rho": 0.5}, K=3, P=4, N=25)
    assert float(contractive) == pytest.approx(0.5 + 2 * 0.9**3 + 3 / 16 + 0.8, rel=1e-14)
    critical = laws.LimitLaw(critical=True)({**v, "s": 3.0}, K=3, P=4, N=25)
    assert float(critical) == pytest.approx(0.5 + 2 * 0.9**3 + 3 / 16 + 0.8, rel=1e-14)
    tau = laws.TimeLaw()({"E": 0.5, "a": 2.0, "tau": -1 / math.log(0.9)}, K=3)
    assert float(tau) == pytest.approx(0.5 + 2 * 0.9**3, rel=1e-12)


# ---- allocation ----


@pytest.mark.parametrize("law", [laws.Chinchilla(), laws.Kaplan(), laws.BiasVariance()], ids=lambda law: law.name)
def test_closed_allocations_are_stationary_at_the_cost(law):
    """Exactly, with rational parameters."""
    best = closed_form(law)
    assert best is not None
    x, y = (v.symbol for v in law.variables)
    numbers = {p.symbol: sympy.Rational(i + 2, 5) for i, p in enumerate(law.parameters)} | {budget_symbol(): 6 * 7}
    at = {v.symbol: best[v.name].xreplace(numbers) for v in law.variables}
    assert sympy.simplify(at[x] * at[y]) == 7
    f = law.formula.xreplace({k: v for k, v in numbers.items() if k != budget_symbol()})
    along = (f.xreplace({y: 7 / x})).diff(x)
    assert abs(sympy.N(along.subs(x, sympy.N(at[x], 60)), 60)) < 1e-45


@pytest.mark.parametrize(
    ("law", "values"),
    [
        (laws.Chinchilla(), HOFFMANN),
        (laws.Kaplan(), {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_closed_and_numerical_allocations_agree(law, values):
    best = law.allocate(values, 1e21)
    assert (best.closed, best.cost_unit) == (True, "FLOP")
    assert best.units == {"N": "parameters", "D": "tokens"}
    assert 6 * best.values["N"] * best.values["D"] == pytest.approx(1e21, rel=1e-12)
    assert numerical(law, values, 1e21) == pytest.approx([best.values["N"], best.values["D"]], rel=1e-3)
    grid = np.geomspace(1e-3, 1e3, 201) * best.values["N"]
    assert float(law(values, N=grid, D=1e21 / (6 * grid)).min()) >= best.predicted * (1 - 1e-14)


def test_numerical_allocation_of_three_variables():
    law = laws.LimitLaw(critical=True)
    v = {"E_inf": 0.1, "a": 1.0, "beta": 0.99, "b": 1.0, "s": 2.0, "c": 1.0}
    best = law.allocate(v, 1e9)
    assert not best.closed
    assert best.values["N"] * best.values["P"] * best.values["K"] == pytest.approx(1e9, rel=1e-9)
    K, P = np.meshgrid(np.geomspace(10, 1e4, 160), np.geomspace(1, 1e4, 160))
    searched = law(v, K=K, P=P, N=1e9 / (K * P)).min()
    assert best.predicted <= searched * (1 + 1e-12)
    assert best.predicted == pytest.approx(searched, rel=1e-2)


def test_one_variable_takes_the_whole_budget():
    assert laws.DataLaw().allocate({"E": 1.0, "B": 1.0, "beta": 0.3}, 1e9).values == {"D": 1e9}


# ---- refusals ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda law: law(HOFFMANN, N=1e9), "needs D"),
        (lambda law: law(HOFFMANN, N=1e9, D=-1.0), "D must be finite and positive"),
        (lambda law: law(HOFFMANN, N=1e9, D=1e9, K=1.0), "no variable K"),
        (lambda law: law({"E": 1.0}, N=1e9, D=1e9), "has parameters E, A, B, alpha, beta"),
        (lambda law: law({**HOFFMANN, "alpha": -0.1}, N=1e9, D=1e9), "alpha must lie in"),
        (lambda law: law.fix(gamma=1.0), "no parameter gamma"),
        (lambda law: law.fix(alpha=-1.0), "alpha must lie in"),
        (lambda law: law.allocate(HOFFMANN, math.nan), "a budget is finite and positive"),
        (lambda law: law.allocate(HOFFMANN, 0.0), "a budget is finite and positive"),
        (lambda law: laws.by_name("chinchila"), "there is no law 'chinchila'"),
        (lambda law: laws.SNRLaw().allocate({"sigma0": 1.0, "gamma": 1.0}, 1.0), "no least value"),
        (lambda law: laws.SNRLaw().context_needed({"sigma0": 1.0, "gamma": 1.0}, M=1.0, threshold=0.0), "a threshold"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DomainError, match=message):
        call(laws.Chinchilla())


def test_a_law_declares_what_its_formula_uses():
    x = MODEL.symbol
    with pytest.raises(DomainError, match="uses z, which it does not declare"):
        ScalingLaw("bad", (MODEL,), (), x * sympy.Symbol("z"), x, "nowhere")
    with pytest.raises(DomainError, match="no product of powers"):
        ScalingLaw("sum", (MODEL,), (), 1 / x, x + 1, "nowhere").allocate({}, 1.0)
