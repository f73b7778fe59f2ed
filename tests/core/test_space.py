"""Spaces and norms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lipop import Space
from lipop.core.space import NORMS, norm, norm_name
from lipop.errors import NonFiniteError, ShapeError

finite = arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6))


@given(finite, finite, st.floats(-100, 100), st.sampled_from(NORMS))
def test_norms_are_norms(x, y, c, name):
    total = norm(x, name) + norm(y, name)
    assert norm(x + y, name) <= total * (1 + 1e-12)
    assert norm(c * x, name) == pytest.approx(abs(c) * norm(x, name), rel=1e-12, abs=1e-300)
    assert (norm(x, name) == 0) == (not x.any())


@given(finite)
def test_norms_against_numpy(x):
    assert norm(x) == pytest.approx(np.linalg.norm(x), rel=1e-12)
    assert norm(x, "F") == norm(x)
    assert norm(x, "l1") == pytest.approx(np.linalg.norm(x.ravel(), 1), rel=1e-12)
    assert norm(x, "linf") == np.linalg.norm(x.ravel(), np.inf)
    assert norm(x, "2inf") == pytest.approx(np.linalg.norm(x, axis=1).max(), rel=1e-12)
    assert norm(x, "linf") <= norm(x, "2inf") * (1 + 1e-12) <= norm(x) * (1 + 1e-11) <= norm(x, "l1") * (1 + 1e-10)


@pytest.mark.parametrize("name", ["l2", "2inf"])
def test_squares_neither_overflow_nor_underflow(name):
    assert norm(np.array([3e200, 4e200]), name) == pytest.approx(5e200)
    assert norm(np.array([3e-200, 4e-200]), name) == pytest.approx(5e-200)


def test_aliases():
    assert [norm_name(n) for n in ("F", "(2,inf)", "l2,inf", "l1")] == ["l2", "2inf", "2inf", "l1"]
    with pytest.raises(ShapeError, match="unknown norm 'l3'"):
        norm_name("l3")


def test_open_token_axis():
    s = Space((None, 4))
    assert s.any_tokens
    assert s.width == 4
    assert s.admits((7, 4))
    assert not s.admits((0, 4))
    assert not s.admits((7, 5))
    assert not s.admits((4,))
    assert s.meets(Space((3, 4)))
    assert not s.meets(Space((3, 5)))
    assert not s.meets(Space(4))
    assert Space(4) == Space((4,), "F")


@pytest.mark.parametrize("shape", [(), 0, -1, (2, None), (None,), (2, 0), 2.5, "ab", (2.0,)])
def test_malformed_shapes(shape):
    with pytest.raises(ShapeError):
        Space(shape)


def test_points_are_checked_by_index():
    s = Space((2, 2))
    x = np.array([[1.0, 2.0], [np.nan, 3.0]])
    with pytest.raises(NonFiniteError, match=r"weights holds nan at index \(1, 0\)"):
        s.check(x, "weights")
    with pytest.raises(ShapeError, match=r"shape \(3,\), expected \(2, 2\)"):
        s.check(np.ones(3))
    assert s.check(np.ones((2, 2))).shape == (2, 2)
