"""Products that are not multiplied out: their brackets against rational arithmetic and against the product itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipop.core.matrices import Matrix, MatrixProduct
from lipop.errors import ProofError
from lipop_kernels.ref._exact import at_most, fraction, fractions


def factors(seed, m, k, n, kind):
    rng = np.random.default_rng(seed)
    L, B = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    if kind == "graded":  # large parts that the other side takes away again
        scale = 10.0 ** rng.uniform(-6, 6, k)
        L, B = L * scale, B / scale[:, None]
    if kind == "cancelling":
        L[:, 1:] = L[:, :1] * (1 + 1e-9 * rng.standard_normal((m, k - 1)))
        B[-1] = -B[:-1].sum(axis=0) if k > 1 else B[-1]
    if kind == "dependent":
        L[:, k // 2 :] = 0.0
    if kind == "huge":
        L, B = L * 1e150, B * 1e100
    if kind == "tiny":
        L, B = L * 1e-150, B * 1e-100
    return L, B


def exactly_below(L, B, s):
    """Whether ``|L B| <= s``, decided in rational arithmetic."""
    rows, columns = fractions(L), list(zip(*fractions(B), strict=True))
    P = [[sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in rows]
    G = [[sum(row[i] * row[j] for row in P) for j in range(len(columns))] for i in range(len(columns))]
    return at_most(G, fraction(s) ** 2)


KINDS = ("gaussian", "graded", "cancelling", "dependent", "huge", "tiny")


@settings(max_examples=120)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(1, 5)] * 3), st.sampled_from(KINDS))
def test_the_upper_end_holds_exactly_and_the_lower_one_too(seed, shape, kind):
    L, B = factors(seed, *shape, kind)
    br = MatrixProduct(L, B).norm()
    assert exactly_below(L, B, br.upper.value)
    assert br.lower.value == 0 or not exactly_below(L, B, br.lower.value * (1 - 1e-15))
    for end in (br.lower, br.upper):
        assert end.status == "PROVED"
        end.check()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(20, 60), st.integers(1, 8), st.integers(20, 60))
def test_a_product_is_as_sharp_as_its_matrix(seed, m, k, n):
    L, B = factors(seed, m, k, n, "gaussian")
    product, whole = MatrixProduct(L.astype(np.float32), B.astype(np.float32)), None
    whole = Matrix(product.left.astype(float) @ product.right.astype(float)).norm()
    br = product.norm()
    assert br.ratio <= 1 + 3e-8
    assert br.upper.value == pytest.approx(whole.upper.value, rel=3e-8)
    assert br.lower.value == pytest.approx(whole.lower.value, rel=1e-8)
    found = np.linalg.svd(product.compact, compute_uv=False)
    np.testing.assert_allclose(found, np.linalg.svd(whole.upper.subject.mid, compute_uv=False)[:k], rtol=1e-9)


def test_products_are_known_by_their_factors():
    L, B = factors(0, 4, 2, 3, "gaussian")
    p = MatrixProduct(L, B, "name")
    assert p.digest == MatrixProduct(L.copy(), B.copy()).digest
    assert p.digest != MatrixProduct(2 * L, B / 2).digest
    assert p.shape == (4, 3)
    with pytest.raises(ProofError, match=r"symmetric"):
        p.reprove("norm.symmetric@1", p.upper().claim, {"rtol": (1e-8).hex()}, None)


def test_a_product_of_zeros():
    br = MatrixProduct(np.zeros((3, 2)), np.ones((2, 4))).norm()
    assert br.lower.value == 0.0
    assert 0.0 <= br.upper.value <= 1e-100
