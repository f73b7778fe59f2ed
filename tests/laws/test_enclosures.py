"""``enclose`` contains the truth: values at 200 bits, at points and all over small boxes."""

import numpy as np
import pytest

from lipop.core.enclosure import Enclosed
from lipop.errors import DomainError
from tests.laws import exact
from tests.laws.zoo import ZOO, case

NAMES = [name for name in ZOO if name != "function"]


def test_only_plain_functions_have_no_enclosure():
    c = case("function")
    with pytest.raises(DomainError, match="no rigorous forward pass"):
        c.op.enclose(Enclosed.exact(c.x))


@pytest.mark.parametrize("scale", [1.0, 1e-6, 20.0])
@pytest.mark.parametrize("name", NAMES)
def test_point_enclosures_contain_the_exact_value(name, scale):
    c = case(name)
    x = c.x * scale
    y = c.op.enclose(Enclosed.exact(x))
    with exact.precision():
        assert exact.inside(exact.value(c.op, exact.balls(x)), y)
    assert float(np.max(y.radius)) <= 1e-9 * (1 + float(np.abs(y.mid).max())), "the enclosure is wide"


@pytest.mark.parametrize("name", NAMES)
def test_box_enclosures_contain_corners_and_inner_points(name):
    c, rng = case(name), np.random.default_rng(1)
    for radius in (1e-8, 1e-2):
        err = radius * rng.uniform(0, 1, c.x.shape)
        y = c.op.enclose(Enclosed(c.x, err))
        with exact.precision():
            for k in range(6):
                t = rng.choice([-1.0, 1.0], c.x.shape) if k < 4 else rng.uniform(-1, 1, c.x.shape)
                point = exact.balls(c.x) + exact.balls(t) * exact.balls(err)
                assert exact.inside(exact.value(c.op, point), y), radius


@pytest.mark.parametrize("name", NAMES)
def test_float_values_are_within_the_forward_bound(name):
    """|T(x) - T(x)'| for the float64 value T(x)': the bound that images and pairs rest on, against 200 bits."""
    c = case(name)
    bound = c.op.forward_bound(c.x)
    with exact.precision():
        gaps = [abs(t) for t in (exact.value(c.op, exact.balls(c.x)) - exact.balls(c.op(c.x))).flat]
        total = sum(gaps) if c.op.codomain.norm == "l1" else sum(g * g for g in gaps).sqrt()
        assert total <= exact.arb(bound.value)
    assert bound.value <= 1e-11 * (1 + float(np.linalg.norm(c.op(c.x))))
