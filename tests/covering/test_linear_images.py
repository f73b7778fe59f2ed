"""Ellipsoids of affine maps: certified singular values, and entropies that follow the spectrum."""

from dataclasses import replace

import numpy as np
import pytest

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.covering import Ellipsoid, Image, LinearImage
from lipop.covering.linear_images import singular_values
from lipop.errors import DomainError, ProofError


def orthogonal(rng, m, n):
    return np.linalg.qr(rng.standard_normal((m, n)))[0]


def test_singular_values_of_a_matrix_that_has_them_exactly():
    H = np.array([[1.0, 1.0], [1.0, -1.0]])
    values, error = singular_values(Enclosed.exact(np.kron(H, np.diag([3.0, 1.0]))))
    assert np.abs(np.array(values) - np.sqrt(2) * np.array([3.0, 3.0, 1.0, 1.0])).max() <= error < 1e-12


def test_the_entropy_follows_the_spectrum():
    rng = np.random.default_rng(2)
    s = 2.0 ** -np.arange(8)
    A = (orthogonal(rng, 10, 8) * s) @ orthogonal(rng, 8, 8).T
    K = LinearImage(lo.Affine(A, np.ones(10)), 1.5)
    for eps in (0.05, 0.3):
        same, br = Ellipsoid(tuple(1.5 * s)).entropy(eps), K.entropy(eps)
        assert br.upper.value == pytest.approx(same.upper.value, rel=1e-9)
        assert br.lower.value == pytest.approx(same.lower.value, rel=1e-9)
        br.upper.check()
        br.lower.check()
        assert br.upper.value < Image(lo.Affine(A, np.ones(10)), lo.Ball(np.zeros(8), 1.5)).upper(eps).value
    b = K.upper(0.3)
    with pytest.raises(ProofError):
        replace(b, params={**b.params, "kept": 1}).check()
    with pytest.raises(ProofError):
        replace(b.premises[0], value=0.0).check()


def test_what_is_not_affine_is_refused():
    with pytest.raises(DomainError, match="affine"):
        LinearImage(lo.tanh(2), 1.0)
