"""What every operator shares: a point that does not fit is refused by name."""

import numpy as np
import pytest

import lipop as lo
from lipop.errors import ShapeError

A = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (lo.Affine(A, np.zeros(3)), (3,)),
        (lo.relu(4), (1,)),  # NumPy would broadcast it
        (lo.relu(4), ()),
        (lo.Affine(A, np.zeros(3), tokens=True), (4,)),
        (lo.Affine(A, np.zeros(3), tokens=True), (0, 4)),
        (lo.relu(3) @ lo.Linear(A), (3,)),
        (lo.residual(lo.Linear(np.eye(4))), (5,)),
        (2.0 * lo.relu(4), (5,)),
        (lo.relu(4) + lo.tanh(4), (5,)),
        (lo.RMSNorm(np.ones(4), 1e-6, tokens=True), (2, 5)),
    ],
    ids=str,
)
def test_a_point_of_another_shape_is_refused(op, shape):
    with pytest.raises(ShapeError) as caught:
        op(np.ones(shape))
    assert str(caught.value).startswith(f"{op!r}: the point has shape {shape}, expected ")


def test_points_may_be_stacked():
    points = np.random.default_rng(0).standard_normal((5, 4))
    op = lo.relu(3) @ lo.Linear(A)
    assert op(points) == pytest.approx(np.stack([op(x) for x in points]), rel=1e-14)


def test_a_user_s_operator_is_checked_too():
    class Shift(lo.Operator):
        domain = codomain = lo.Space(2)

        def __call__(self, x):
            return x + 1

    assert Shift()(np.zeros(2)).tolist() == [1.0, 1.0]
    with pytest.raises(ShapeError, match="Shift"):
        Shift()(np.zeros(3))
