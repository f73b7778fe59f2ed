"""Norms of matrices and derivatives as bounds: against SVD and eigenvalues."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lipop as lo
from lipop import errors as lo_errors
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.matrices import Matrix
from lipop.core.norms import (
    DELTA,
    derivative_dahlquist,
    derivative_norm,
    direction_bound,
    pair_bound,
    seed_of,
    top_direction,
)
from lipop.errors import NonFiniteError, ProofError, RegionError


def matrix(seed, m, n, scale):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)) * 10.0 ** (scale * rng.uniform(-1, 1, (1, n)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.sampled_from([0, 1, 4]))
def test_matrix_norms_bracket_the_singular_value(seed, m, n, scale):
    a = matrix(seed, m, n, scale)
    exact = np.linalg.svd(a, compute_uv=False)[0]
    br = Matrix(a).norm()
    assert br.lower.value <= exact * (1 + 1e-13)
    assert exact * (1 - 1e-13) <= br.upper.value
    assert br.ratio <= 1 + 1e-6
    for b in (br.lower, br.upper):
        assert b.status == "PROVED"
        b.check()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 8), st.sampled_from([0, 2]))
def test_symmetric_max_is_an_upper_bound(seed, n, scale):
    a = matrix(seed, n, n, scale)
    exact = np.linalg.eigvalsh(0.5 * (a + a.T))[-1]
    size = np.linalg.norm(a)
    b = Matrix(a).symmetric_max()
    assert exact - 1e-13 * size <= b.value <= exact + 1e-6 * size
    b.check()


def test_the_error_of_a_matrix_is_added():
    a = np.diag([3.0, 1.0])
    plain, wide = Matrix(a), Matrix(a, 0.5)
    assert wide.upper().value >= 3.5
    assert wide.norm().lower.value <= 2.5
    assert wide.symmetric_max().value >= 3.5
    assert plain.digest != wide.digest
    assert plain.digest == Matrix(a, name="another name").digest
    x = Enclosed(a, np.full((2, 2), 0.1))
    assert Matrix.of(x).error >= 0.2


def test_a_zero_matrix():
    br = Matrix(np.zeros((2, 3))).norm()
    assert br.lower.value == 0.0
    assert 0.0 <= br.upper.value <= 1e-100
    br.upper.check()


def test_a_matrix_redoes_only_its_own_rules():
    m = Matrix(np.eye(2))
    low = m.norm().lower
    with pytest.raises(ProofError, match=r"cannot redo rule lip\.own@1"):
        m.reprove("lip.own@1", low.claim, {}, low.witness)
    with pytest.raises(ProofError, match="cannot redo"):
        m.reprove("norm.vector@1", low.claim, {}, None)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_small_derivatives_are_proved(shape):
    op = lo.Linear(matrix(1, *shape, 1))
    x = np.zeros(shape[1])
    b = derivative_norm(op, x)
    exact = np.linalg.norm(op.A, 2)
    assert b.status == "PROVED"
    assert exact <= b.value <= exact * (1 + 1e-6)
    b.check()


def test_large_derivatives_are_probable_from_both_sides():
    rng = np.random.default_rng(0)
    for shape in ((610, 650), (650, 610)):
        a = rng.standard_normal(shape)
        op = lo.Linear(a)
        b = derivative_norm(op, np.zeros(shape[1]))
        exact = np.linalg.norm(a, 2)
        assert b.status == f"PROBABLE({DELTA:.2g})"
        assert exact <= b.value <= exact * 1.002
        b.check()


def test_dahlquist_constants_of_derivatives():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((6, 6)) - 2 * np.eye(6)
    b = derivative_dahlquist(lo.Linear(a), np.zeros(6))
    exact = np.linalg.eigvalsh(0.5 * (a + a.T))[-1]
    assert exact <= b.value <= exact + 0.01 * np.linalg.norm(a, 2)
    b.check()


def test_derivative_norms_are_in_l2():
    op = lo.Linear(np.eye(2), norm_in="linf", norm_out="linf")
    assert not derivative_norm(op, np.zeros(2)).known
    assert not derivative_dahlquist(op, np.zeros(2)).known
    assert lo.lip(op, at=np.zeros(2)).upper.value == pytest.approx(1.0)


def test_seeds_come_from_the_question():
    d = lo.relu(2).digest
    assert seed_of(d, "a") == seed_of(d, "a")
    assert len({seed_of(d, "a"), seed_of(d, "b"), seed_of(d, "a", 1), seed_of(lo.relu(3).digest, "a")}) == 4


@pytest.mark.parametrize("n", [3, 80])
def test_top_directions_are_near_the_singular_vector(n):
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, n)) + 3 * np.sqrt(n) * np.outer(np.ones(n), np.ones(n)) / n
    J = LinearOperator.from_matrix(a)
    v = top_direction(J)
    assert np.linalg.norm(a @ v) / np.linalg.norm(v) >= np.linalg.norm(a, 2) * (1 - 1e-6)


def test_witnesses_state_what_they_show():
    f = lo.tanh(2)
    x, v = np.zeros(2), np.array([1.0, 0.0])
    b = direction_bound(f, x, v)
    assert b.status == "PROVED"
    assert 1 - 1e-9 <= b.value <= 1.0
    pair = pair_bound(f, -v, v, lo.Everywhere())
    assert pair.value <= np.tanh(1.0)
    assert pair.value == pytest.approx(np.tanh(1.0), rel=1e-9)
    d = direction_bound(lo.Diagonal(np.array([-2.0, 1.0])), x, v, "dahlquist")
    assert -2.0 - 1e-9 <= d.value <= -2.0
    for bound in (b, pair, d):
        bound.check()
    assert pair_bound(f, x, x, lo.Everywhere()).value == 0.0


def test_witness_points_must_lie_in_the_region():
    f, far = lo.tanh(2), lo.Ball(np.full(2, 5.0), 0.1)
    with pytest.raises(ProofError, match="outside the region"):
        direction_bound(f, np.zeros(2), np.ones(2), on=far).check()
    with pytest.raises(ProofError, match="outside the region"):
        pair_bound(f, np.zeros(2), np.full(2, 5.0), far).check()
    with pytest.raises(RegionError, match="does not reach"):
        direction_bound(f, np.zeros(2), np.ones(2), on=lo.Cloud(np.zeros((1, 2))))


def test_an_overflowing_derivative_is_refused():
    f = lo.FunctionOperator(
        lo.Space(1), lo.Space(1), lambda x: x, lambda x, v: v * np.inf, lambda x, u: u * np.inf, name="inf"
    )
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError, match="not finite"):
        derivative_norm(f, np.ones(1))


def test_beyond_the_largest_float_nothing_is_claimed():
    op = lo.Linear(np.full((2, 2), 1e300))
    br = lo.lip(op)
    assert br.lower.value <= 2e300 * (1 + 1e-12)
    huge = lo.Linear(np.full((40, 40), 1e307))
    assert np.isfinite(lo.lip(huge).lower.value)


@pytest.mark.parametrize("c", [np.nan, np.inf])
def test_a_number_that_is_not_finite_scales_nothing(c):
    with pytest.raises(lo_errors.DomainError):
        c * lo.Linear(np.eye(2))
    with pytest.raises(lo_errors.DomainError):
        lo.relax(lo.Linear(np.eye(2)), c)


def test_complex_weights_are_refused():
    with pytest.raises(lo_errors.ShapeError, match="complex"):
        lo.Linear(np.eye(2) * 1j)


def test_a_trial_at_the_limit_of_memory_is_not_repeated(monkeypatch):
    """Within a memo a finer slack costs a new trial, unless the first one took all steps that there are."""
    from lipop.core import norms
    from lipop.core.memo import memo

    op, x = lo.Linear(np.random.default_rng(3).standard_normal((700, 640))), np.zeros(640)
    with memo():
        coarse, fine = derivative_norm(op, x, rtol=2e-2), derivative_norm(op, x, rtol=1e-4)
        assert fine.value < coarse.value
        assert derivative_norm(op, x, rtol=1e-3) is fine
    monkeypatch.setattr(norms, "KEPT", 1)
    with memo():
        coarse = derivative_norm(op, x, rtol=2e-2)
        assert coarse.params["steps"] == 24
        assert derivative_norm(op, x, rtol=1e-4) is coarse
