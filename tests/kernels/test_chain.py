"""``(F1 ... Fk)^T (F1 ... Fk) x`` against long double: single chains and stacks of heads."""

from itertools import pairwise

import numpy as np
import pytest

from lipop_kernels import chain_gram_matvec, cpu, gram_matvec, ref
from lipop_kernels._common import decoded


def check(factors, x, dtype=None):
    """The promise, with what underflows carried through the absolute factors."""
    y = chain_gram_matvec(factors, x, dtype=dtype)
    assert y.shape == x.shape
    long = [decoded(np.ascontiguousarray(F), dtype if F.dtype == np.uint16 else "f64") for F in factors]
    long = [F.astype(np.longdouble) for F in long]
    unit, least = (2.0**-53, 5e-324) if y.dtype == np.float64 else (2.0**-24, 2.0**-149)
    vectors = x.ndim == factors[0].ndim - 1
    v = x.astype(np.longdouble)
    v = v[..., None] if vectors else v
    size, under, total, peak = np.abs(v), np.zeros_like(v), 0, 0.0
    for M in [*reversed(long), *(F.swapaxes(-2, -1) for F in long)]:
        v, size = M @ v, np.abs(M) @ size
        under = np.abs(M) @ under + least * M.shape[-1]
        total, peak = total + M.shape[-1], max(peak, size.max(initial=0))
    if peak > np.finfo(y.dtype).max:  # nothing is promised
        return False
    bound = total * unit / (1 - total * unit) * size + under * 1.01
    error = np.abs((y[..., None] if vectors else y) - v)
    assert bool((error <= bound).all())
    return True


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("dims", [(5, 7), (6, 3, 9), (1, 4, 1), (7, 2, 5, 3), (700, 64, 900)])
def test_single(dtype, dims):
    rng = np.random.default_rng(len(dims))
    factors = [rng.standard_normal(shape).astype(dtype) for shape in pairwise(dims)]
    assert check(factors, rng.standard_normal(dims[-1]).astype(dtype))
    assert check(factors, rng.standard_normal((dims[-1], 3)).astype(dtype))
    turned = [np.asfortranarray(F) for F in factors]
    assert check(turned, rng.standard_normal(dims[-1]).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("heads", [1, 5, 12])
@pytest.mark.parametrize("dims", [(6, 11), (20, 8, 17), (384, 64, 385)])
def test_heads(dtype, heads, dims):
    """W_O W_V (as stored) and W_Q^T W_K (a transposed view), one vector and several for each head."""
    rng = np.random.default_rng(heads)
    stacks = [rng.standard_normal((heads, *shape)).astype(dtype) for shape in pairwise(dims)]
    views = [np.ascontiguousarray(S.swapaxes(1, 2)).swapaxes(1, 2) for S in stacks[:1]] + stacks[1:]
    strided = [np.repeat(S, 2, axis=2)[:, :, ::2] for S in stacks]
    for factors in (stacks, views, strided, [S[::-1] for S in stacks]):
        assert check(factors, rng.standard_normal((heads, dims[-1])).astype(dtype))
        assert check(factors, rng.standard_normal((heads, dims[-1], 2)).astype(dtype))


@pytest.mark.parametrize("kind", ["bf16", "f16"])
def test_half_storage(kind):
    rng = np.random.default_rng(2)

    def bits(*shape):
        A = rng.standard_normal(shape).astype(np.float32)
        return (A.view(np.uint32) >> 16).astype(np.uint16) if kind == "bf16" else A.astype(np.float16).view(np.uint16)

    assert check([bits(9, 4), bits(4, 7)], rng.standard_normal(7).astype(np.float32), kind)
    assert check([bits(3, 9, 4), bits(3, 4, 7)], rng.standard_normal((3, 7)).astype(np.float32), kind)
    mixed = [bits(3, 9, 4), rng.standard_normal((3, 4, 7))]
    assert check(mixed, rng.standard_normal((3, 7)).astype(np.float32), kind)


def test_hard_chains(cases, count):
    checked = 0
    matrices = [np.asarray(A, dtype=np.float64) for _, A in cases(count(150, 400), 13, largest=7)]
    for i, (A, B) in enumerate(zip(matrices[::2], matrices[1::2], strict=False)):
        k = min(A.shape[1], B.shape[0])
        rng = np.random.default_rng(i)
        x = rng.standard_normal(B.shape[1])
        checked += check([A[:, :k], B[:k]], x)
        checked += check([A[None, :, :k], B[None, :k]], x[None])
    assert checked > 60


def test_one_factor_is_the_gram_product():
    rng = np.random.default_rng(4)
    A, x = rng.standard_normal((80, 50)), rng.standard_normal(50)
    np.testing.assert_array_equal(chain_gram_matvec([A], x), gram_matvec(A, x))


def test_large_heads_use_threads_within():
    rng = np.random.default_rng(5)
    stacks = [
        rng.standard_normal((2, 1100, 700)).astype(np.float32),
        rng.standard_normal((2, 700, 5)).astype(np.float32),
    ]
    assert check(stacks, rng.standard_normal((2, 5)).astype(np.float32))


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    chain = package.chain_gram_matvec
    A, B, x = np.ones((3, 4)), np.ones((4, 2)), np.ones(2)
    for bad, match in [
        (lambda: chain([], x), "at least one"),
        (lambda: chain(A, np.ones(4)), "list or tuple"),
        (lambda: chain([A, B.T], x), r"factors\[0\] and factors\[1\]"),
        (lambda: chain([A, B[None]], x), r"factors\[0\] and factors\[1\]"),
        (lambda: chain([A[None], np.ones((2, 4, 2))], np.ones((2, 2))), r"factors\[0\] and factors\[1\]"),
        (lambda: chain([A, np.ones((4, 0))], np.ones(0)), r"factors\[1\] has shape"),
        (lambda: chain([A[0]], x), r"factors\[0\] has shape"),
        (lambda: chain([A, B], np.ones(3)), r"x has shape \(3,\)"),
        (lambda: chain([A[None], B[None]], x), r"x has shape \(2,\)"),
        (lambda: chain([A, B], x.astype(int)), "int64"),
        (lambda: chain([A.astype(int), B], x), "int64"),
        (lambda: chain([A.astype(np.uint16), B], x), "dtype='bf16'"),
        (lambda: chain([A, B], x, out=np.empty(3)), "out is"),
        (lambda: chain([A, B], x, out=x), "shares memory with x"),
        (lambda: chain([A, B], x, out=B[1]), r"shares memory with factors\[1\]"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
    out = np.empty(2)
    assert chain([A, B], x, out=out) is out
    np.testing.assert_array_equal(out, [96.0, 96.0])
    assert chain([A, B], np.ones((2, 0))).shape == (2, 0)
