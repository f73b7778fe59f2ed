"""Powers of rational matrices against NumPy, Fractions and closed forms."""

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.errors import DomainError
from lipop.limit.exact import LARGEST, homogeneous
from lipop.limit.exact_powers import powers, schur_stable

F = flint.fmpq


def mat(rows):
    return flint.fmpq_mat(len(rows), len(rows[0]), [F(v) if isinstance(v, int) else v for row in rows for v in row])


def floats(m):
    return np.array([[int(m[i, j].p) / int(m[i, j].q) for j in range(m.ncols())] for i in range(m.nrows())])


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=7).filter(lambda c: c[-1] != 0))
def test_schur_cohn_agrees_with_the_roots(coefficients):
    roots = np.roots(coefficients[::-1])
    size = np.abs(roots).max(initial=0.0)
    if abs(size - 1) > 1e-6:
        assert schur_stable(flint.fmpq_poly(coefficients)) == (size < 1)


@pytest.mark.parametrize("coefficients", [[1, 1], [-1, 1], [1, 0, 1], [1, 1, 1], [1, -2, 1]])
def test_roots_on_the_circle_are_not_inside(coefficients):
    assert not schur_stable(flint.fmpq_poly(coefficients))


@given(st.data())
def test_powers_agree_with_floats(data):
    n = data.draw(st.integers(1, 4))
    entries = data.draw(st.lists(st.integers(-4, 4), min_size=n * n, max_size=n * n))
    m = flint.fmpq_mat(n, n, [F(v, 4) for v in entries])
    a = floats(m)
    found = powers(m)
    size = np.abs(np.linalg.eigvals(a)).max()
    if size > 1 + 1e-4:
        assert not found.converges
        assert not found.bounded
    if size < 1 - 1e-4:
        assert found.converges
        assert found.applied(mat(np.eye(n, dtype=int).tolist())).rank() == 0
    if found.converges:
        limit = floats(found.applied(mat(np.eye(n, dtype=int).tolist())))
        power = np.linalg.matrix_power(a, 4000)
        assert np.allclose(limit, power, atol=1e-6)
        assert np.allclose(limit @ limit, limit, atol=1e-9)


@given(st.integers(0, 2**31))
def test_the_limit_of_a_chosen_spectrum_is_the_chosen_projection(seed):
    """M = V diag(1, .., 1, inside) V^-1 with a unimodular V: the limit is V diag(1, .., 1, 0) V^-1, exactly."""
    rng = np.random.default_rng(seed)
    n, ones = int(rng.integers(2, 5)), int(rng.integers(0, 3))
    v = np.eye(n, dtype=int)
    for _ in range(4):
        i, j = rng.choice(n, 2, replace=False)
        v[i] += int(rng.integers(-2, 3)) * v[j]
    V = mat(v.tolist())
    values = [F(1) if k < ones else F(int(rng.integers(-3, 4)), 4) for k in range(n)]
    M = V * mat([[values[k] if k == j else 0 for j in range(n)] for k in range(n)]) * V.inv()
    Q = V * mat([[int(k == j and k < ones) for j in range(n)] for k in range(n)]) * V.inv()
    found = powers(M)
    assert found.converges
    assert found.applied(mat(np.eye(n, dtype=int).tolist())) == Q


def test_kinds_of_divergence():
    rotation = mat([[F(3, 5), F(-4, 5)], [F(4, 5), F(3, 5)]])
    cases = [(rotation, True), (mat([[-1]]), True), (mat([[-1, 1], [0, -1]]), False), (mat([[1, 1], [0, 1]]), False)]
    for m, bounded in [*cases, (rotation * F(10**9 + 1, 10**9), False), (mat([[2]]), False)]:
        found = powers(m)
        assert not found.converges
        assert found.bounded is bounded
        with pytest.raises(DomainError, match="no limit"):
            found.applied(m)


def test_nearly_one_is_not_one():
    """An eigenvalue 1 + 2^-52 diverges, 1 - 2^-53 does not: a float decides neither."""
    assert not powers(homogeneous(lo.Linear(np.array([[1 + 2.0**-52]])))).converges
    assert powers(homogeneous(lo.Linear(np.array([[1 - 2.0**-53]])))).converges


def test_only_the_range_of_the_start_counts():
    m = mat([[2, 0], [0, F(1, 2)]])
    assert not powers(m, mat([[1], [0]])).converges
    assert powers(m, mat([[0], [1]])).converges
    assert not powers(mat([[0, 2], [F(1, 2), 3]]), mat([[0], [1]])).converges  # the orbit leaves the start's line


def test_affine_maps_are_read_through_the_algebra():
    rng = np.random.default_rng(0)
    a, b = lo.Affine(rng.standard_normal((3, 3)), np.ones(3)), lo.Linear(rng.standard_normal((3, 3)))
    maps = [
        a @ b,
        a + b,
        0.25 * a,
        lo.residual(b),
        lo.relax(a, 0.25),
        b**3,
        lo.Diagonal(np.arange(3.0)),
        a.restrict(lo.Everywhere()),
    ]
    x = rng.standard_normal(3)
    for op in maps:
        m = floats(homogeneous(op))
        assert np.allclose(m[:3, :3] @ x + m[:3, 3], op(x), rtol=1e-13)
        assert m[3].tolist() == [0, 0, 0, 1]


def test_what_is_not_affine_or_too_large_is_left_alone():
    n = LARGEST + 1
    for op in (lo.tanh(2), lo.relu(2) @ lo.Linear(np.eye(2)), lo.Linear(np.eye(n)), lo.Linear(np.ones((2, 3)))):
        assert homogeneous(op) is None
