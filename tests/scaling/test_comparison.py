"""Comparison of laws: the true one wins, by Akaike's criterion and on runs that it has not seen."""

import numpy as np
import pytest
import sympy

from lipop.errors import DomainError
from lipop.scaling import Parameter, ScalingLaw, laws
from lipop.scaling.comparison import compare, leave_largest_out

D = np.geomspace(1e6, 1e10, 30)
NOISE = np.exp(2e-3 * np.random.default_rng(0).standard_normal(30))
TABLE = {"D": D, "loss": (1.5 + 40 * D**-0.25) * NOISE}


def logarithmic():
    """``a - b log D / 100`` is no power law: a wrong law with as many parameters, less one."""
    d, (a, b) = laws.DataLaw().variables[0], (Parameter("a", "1", "a", starts=(2.0,)), Parameter("b", "1", "b"))
    return ScalingLaw("log", (d,), (a, b), a.symbol / (1 + b.symbol * sympy.log(d.symbol)), d.symbol, "made up")


def test_the_true_law_wins():
    found = compare([laws.DataLaw(), logarithmic()], TABLE, delta=None)
    assert found.weights["data"] > 0.99
    true, wrong = found.rows()
    assert true["extrapolation"] < 0.01 < wrong["extrapolation"]
    assert true["aicc"] < wrong["aicc"]
    assert (true["parameters"], wrong["parameters"], true["held_out"]) == (3, 2, 6)


def test_the_most_costly_runs_are_held_out():
    shuffled = np.random.default_rng(1).permutation(30)
    found = leave_largest_out(laws.DataLaw(), {k: v[shuffled] for k, v in TABLE.items()}, share=0.1, delta=None)
    assert sorted(D[shuffled][found.held_out]) == sorted(D[-3:])
    assert found.fit.runs.size == 27
    exact = np.log(found.fit(D=D[shuffled][found.held_out])) - np.log(TABLE["loss"][shuffled][found.held_out])
    assert found.errors == pytest.approx(exact)
    assert found.bias == pytest.approx(exact.mean())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare([], TABLE), "no law"),
        (lambda: compare([laws.DataLaw(), laws.SNRLaw()], TABLE), "different quantities: loss, snr"),
        (lambda: leave_largest_out(laws.DataLaw(), TABLE, share=1.0), "held out lies in"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DomainError, match=message):
        call()
