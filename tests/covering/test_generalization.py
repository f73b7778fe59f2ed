"""Rademacher complexities against exact averages over signs; bounds that do not grow with the depth."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from lipop.covering import LimitFunctions, LinearFunctions, NormBall, ParametricClass, generalization_gap, rademacher
from lipop.errors import DomainError, ProofError
from lipop.limit import Uniform
from lipop.limit.capacity import LimitClass

K = sympy.Symbol("k")


def test_linear_functions_against_all_signs():
    """sup over |w| <= 1 of the mean of sigma_i w . x_i is |sum sigma_i x_i| / n."""
    X = np.random.default_rng(1).standard_normal((10, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    signs = np.array(list(itertools.product([-1, 1], repeat=10)))
    true = np.linalg.norm(signs @ X, axis=1).mean() / 10
    for method in ("chaining", "dudley"):
        bound = rademacher(LinearFunctions(3, 1.0, 1.0), 10, 1.0, method=method)
        assert true <= bound.value
        bound.check()


def test_the_rate_and_the_constants_of_dudley():
    tight = rademacher(LinearFunctions(4, 1.0, 1.0), 400, 1.0)
    wide = rademacher(LinearFunctions(4, 1.0, 1.0), 40_000, 1.0)
    assert 5 < tight.value / wide.value < 20  # a factor of ten for a hundred times the sample
    found = rademacher(LinearFunctions(4, 1.0, 1.0), 400, 1.0, method="dudley")
    a = found.params["scales"][-1]
    t = np.linspace(a, 1, 100_001)
    integral = np.trapezoid(np.sqrt(4 * np.log(1 + 2 / t)), t)
    assert found.value <= (4 * a + 12 / 20 * integral) * 1.2
    assert tight.value <= found.value
    assert rademacher(LinearFunctions(4, 1.0, 1.0), 400, 1.0, lip=2.0).value == pytest.approx(2 * tight.value)


@pytest.mark.parametrize("law", [K**-3, sympy.Rational(1, 2) ** K])
def test_ten_times_the_depth_and_the_same_bound(law):
    def gap(depth):
        members = LimitFunctions(Uniform(law), 5, 1.0, 1.0, depth=depth)
        return generalization_gap(rademacher(members, 1000, 2.0), 0.05)

    shallow, deep, limit = gap(200), gap(2000), gap(None)
    assert deep.value <= shallow.value
    assert limit.value <= shallow.value
    for b in (deep, limit):
        b.check()
        assert b.status.startswith("CONDITIONAL(class and loss fixed before the sample, deviation: ")


def test_entropy_of_limits():
    """At most what equal shares give, and never above the parameters of a shallow stack."""
    law = Uniform(K**-3)
    for eps in (0.3, 0.03):
        plain = LimitClass(law, 5, 1.0, 1.0).log_covering_number(eps)
        assert LimitFunctions(law, 5, 1.0, 1.0).upper(eps).value <= plain * (1 + 1e-12)
        assert LimitFunctions(law, 5, 1.0, 1.0, depth=1).upper(eps).value <= 5 * math.log(1 + 2 / eps) + 1e-9
    assert LimitFunctions(law, 5, 1.0, 1.0).upper(1.5).value == 0  # sum of k^-3 is below 1.21


def test_depth_one_scalar_blocks_need_no_more_balls_than_stated():
    """T_i x = theta_i: the class of depth one is the segment of parameters."""
    for eps in (0.1, 0.4):
        exact = math.ceil(1 / eps)
        assert math.log(exact) <= ParametricClass(1, 1.0, 1.0).upper(eps).value
    assert ParametricClass(3, 1.0, 1.0).upper(1.0).value == 0


def test_false_premises_are_refused():
    b = rademacher(LinearFunctions(3, 1.0, 1.0), 50, 1.0)
    for params in ({**b.params, "samples": 51}, {**b.params, "scales": [2.0, *b.params["scales"][1:]]}):
        with pytest.raises(ProofError):
            replace(b, params=params).check()
    with pytest.raises(ProofError):
        replace(b, premises=b.premises[1:]).check()
    limit = LimitFunctions(Uniform(K**-3), 5, 1.0, 1.0).upper(0.1)
    with pytest.raises(ProofError):
        replace(limit, params={**limit.params, "depth": 7}).check()


def test_bad_arguments():
    linear = LinearFunctions(3, 1.0, 1.0)
    with pytest.raises(DomainError, match="not known to be enough"):
        rademacher(linear, 10, 0.5)
    with pytest.raises(DomainError, match="sup or L2"):
        rademacher(NormBall(3, 1.0), 10, 1.0)
    with pytest.raises(DomainError, match="samples"):
        rademacher(linear, 0, 1.0)
    with pytest.raises(DomainError, match="chaining"):
        rademacher(linear, 10, 1.0, method="other")
    with pytest.raises(DomainError, match="delta"):
        generalization_gap(rademacher(linear, 10, 1.0), 1.0)
    with pytest.raises(DomainError, match="Rademacher"):
        generalization_gap(linear.upper(0.5), 0.1)
    with pytest.raises(DomainError, match="sum"):
        LimitFunctions(Uniform(1 / K), 5, 1.0, 1.0)
