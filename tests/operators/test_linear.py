"""Linear and affine maps: norms attained, storage, products multiplied out, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core.space import norm
from lipop.errors import NonFiniteError, ShapeError

NORMS = [("l2", "l2"), ("l1", "l1"), ("linf", "linf"), ("l1", "l2"), ("l2", "linf")]


def maximiser(a, pair):
    """A unit vector at which the map attains its norm."""
    if pair == ("l2", "l2"):
        return np.linalg.svd(a)[2][0]
    if pair == ("l1", "l1"):
        return np.eye(a.shape[1])[np.abs(a).sum(axis=0).argmax()]
    if pair == ("linf", "linf"):
        return np.where(a[np.abs(a).sum(axis=1).argmax()] >= 0, 1.0, -1.0)
    if pair == ("l1", "l2"):
        return np.eye(a.shape[1])[np.linalg.norm(a, axis=0).argmax()]
    row = a[np.linalg.norm(a, axis=1).argmax()]
    return row / np.linalg.norm(row)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.sampled_from(NORMS))
def test_norms_are_attained(seed, m, n, pair):
    a = np.random.default_rng(seed).standard_normal((m, n))
    op = lo.Linear(a, norm_in=pair[0], norm_out=pair[1])
    b, v = op.lip(), maximiser(a, pair)
    attained = norm(op(v), pair[1]) / norm(v, pair[0])
    assert b.status == "PROVED"
    assert attained * (1 - 1e-13) <= b.value <= attained * (1 + 1e-7)
    b.check()


def test_other_norms_have_an_upper_bound():
    a = np.random.default_rng(0).standard_normal((3, 3))
    op = lo.Linear(a, norm_in="linf", norm_out="l1")
    corners = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    assert max(np.abs(op(v.astype(float))).sum() for v in corners) <= op.lip().value


@pytest.mark.parametrize("tokens", [False, True])
def test_values_and_offsets(tokens):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal(2)
    T = lo.Affine(a, b, tokens=tokens)
    x = rng.standard_normal((4, 3) if tokens else 3)
    np.testing.assert_allclose(T(x), x @ a.T + b, rtol=1e-15)
    assert T.domain == lo.Space((None, 3) if tokens else 3)
    assert T.lip().value == lo.Affine(a, tokens=tokens).lip().value
    assert T(x.astype(np.float32)).dtype == np.float32
    assert lo.Linear(a) == lo.Affine(a)
    assert lo.Affine(a, b) != lo.Affine(a)


def test_dahlquist_and_expansion_against_eigenvalues():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((5, 5))
    T = lo.Linear(a)
    top, least = np.linalg.eigvalsh(0.5 * (a + a.T))[-1], np.linalg.svd(a, compute_uv=False)[-1]
    assert top <= T.dahlquist().value <= top + 1e-6 * np.linalg.norm(a)
    assert least * (1 - 1e-6) <= T.expansion().value <= least
    assert T.smoothness().value <= 1e-290
    assert lo.Linear(rng.standard_normal((2, 3))).expansion().value == 0.0
    assert lo.Linear(-np.eye(3)).dahlquist().value == pytest.approx(-1.0)
    assert not lo.Linear(np.eye(2), norm_in="linf", norm_out="linf").dahlquist().known


def test_stored_halves_are_their_exact_values():
    a = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    half = a.astype(np.float16)
    T = lo.Linear(half.view(np.uint16), dtype="f16")
    np.testing.assert_array_equal(T.A, half.astype(np.float64))
    bits = (a.view(np.uint32) >> 16).astype(np.uint16)
    B = lo.Linear(bits, dtype="bf16")
    np.testing.assert_array_equal(B.A, (bits.astype(np.uint32) << 16).view(np.float32))
    with pytest.raises(ShapeError, match="dtype='bf16' or dtype='f16'"):
        lo.Linear(bits)
    assert lo.Linear([[1, 2], [3, 4]]).A.dtype == np.float64


def test_constructors_copy_nothing():
    a = np.ones((2, 2))
    T = lo.Linear(a)
    assert np.shares_memory(T.A, a)
    assert a.flags.writeable
    assert not T.A.flags.writeable


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lo.Linear(np.ones(3)), ShapeError, r"\(m, n\) matrix, found shape \(3,\)"),
        (lambda: lo.Linear(np.ones((0, 3))), ShapeError, "matrix"),
        (lambda: lo.Linear(np.array([[1.0, np.nan]])), NonFiniteError, r"the matrix holds nan at index \(0, 1\)"),
        (lambda: lo.Affine(np.eye(2), np.array([1.0, np.inf])), NonFiniteError, "the offset holds inf"),
        (lambda: lo.Affine(np.eye(2), np.ones(3)), ShapeError, r"needs \(2,\)"),
        (lambda: lo.Diagonal(np.array([np.nan])), NonFiniteError, "the diagonal"),
        (lambda: lo.Linear(np.eye(2), norm_in="l7").domain, ShapeError, "unknown norm"),
    ],
)
def test_malformed_weights(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_products_are_multiplied_out():
    rng = np.random.default_rng(4)
    a, b, c = (lo.Linear(rng.standard_normal(s)) for s in ((3, 40), (40, 2), (2, 3)))
    fused = a.fuse(b).fuse(c)
    exact = np.linalg.norm(a.A @ b.A @ c.A, 2)
    assert exact <= fused.lip().value <= exact * (1 + 1e-6)
    assert (a @ b @ c).lip().value == fused.lip().value
    assert fused.digest == (a @ b @ c).digest
    assert a.fuse(lo.relu(40)) is None
    x = rng.standard_normal(3)
    np.testing.assert_allclose(fused(x), a(b(c(x))), rtol=1e-14)
    np.testing.assert_allclose(fused.derivative(x).to_dense(), a.A @ b.A @ c.A, rtol=1e-12, atol=1e-12)


def test_a_product_of_huge_and_tiny_factors_covers_its_rounding():
    """The true product cancels to 1; float64 makes noise of it, and the bound knows."""
    a = lo.Linear(np.array([[1e16, 1.0, -1e16]]))
    b = lo.Linear(np.array([[1.0], [1.0], [1.0]]))
    assert a.fuse(b).lip().value >= 1.0


@pytest.mark.parametrize("tokens", [False, True])
def test_diagonals_are_exact(tokens):
    d = np.array([0.5, -3.0, 1.0])
    D = lo.Diagonal(d, tokens=tokens)
    assert (D.lip().value, D.dahlquist().value, D.expansion().value) == (3.0, 1.0, 0.5)
    x = np.ones((2, 3)) if tokens else np.ones(3)
    np.testing.assert_array_equal(D(x), x * d)
    D.lip().check()


def test_low_rank():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((50, 2)), rng.standard_normal((2, 50))
    T = lo.LowRank(a, b)
    exact = np.linalg.norm(a @ b, 2)
    assert exact <= T.lip().value <= exact * (1 + 1e-6)
    assert T.expansion().value == 0.0
    x = rng.standard_normal(50)
    np.testing.assert_allclose(T(x), a @ (b @ x), rtol=1e-13)
