"""Images of balls: scalings are exact, separated points of the image never exceed the bound."""

import math
from dataclasses import replace

import numpy as np
import pytest

import lipop as lo
from lipop.covering import Image, NormBall
from lipop.errors import DomainError, ProofError


def test_scalings_give_the_scaled_ball():
    K = Image(lo.Diagonal(np.full(3, 2.0)), lo.Ball(np.ones(3), 1.0))
    assert K.upper(0.5).value == pytest.approx(NormBall(3, 2.0).upper(0.5).value, rel=1e-6)
    assert K.lower(0.5).value == pytest.approx(NormBall(3, 1.0).lower(0.5).value, rel=1e-6)  # at twice the radius


@pytest.mark.parametrize("T", [lo.tanh(2), lo.relu(2), lo.Affine(np.array([[1.0, 0.5], [0.0, 0.7]]), np.ones(2))])
def test_separated_points_of_the_image(T):
    center = np.array([0.5, -0.5])
    rng = np.random.default_rng(3)
    K = Image(T, lo.Ball(center, 1.0))
    points = np.array([T(x) for x in lo.Ball(center, 1.0).sample(rng, 400)])
    for eps in (0.1, 0.3):
        kept = []
        for p in points:
            if all(np.linalg.norm(p - q) > 2 * eps for q in kept):
                kept.append(p)
        br = K.entropy(eps)
        assert math.log(len(kept)) <= br.upper.value
        assert br.lower.value <= br.upper.value
        br.upper.check()
        br.lower.check()


def test_other_norms_need_twice_the_radius_and_false_scales_are_refused():
    flat = lo.NormChange(lo.Space(2, "linf"), lo.Space(2, "l2"))
    K = Image(flat, lo.Ball(np.zeros(2), 1.0, "linf"))
    b = K.upper(1.0)
    b.check()
    with pytest.raises(ProofError):
        replace(b, params={**b.params, "inner": 2 * b.params["inner"]}).check()
    with pytest.raises(DomainError, match="ball of the domain"):
        Image(flat, lo.Ball(np.zeros(2), 1.0))
