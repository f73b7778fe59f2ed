"""``A x`` and ``A^T y`` against long double, for every storage and layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop_kernels import cpu, matvec, ref, rmatvec
from lipop_kernels._common import decoded

KINDS = ("f64", "f32", "bf16", "f16")


def stored(A, kind):
    """The array and the dtype argument that stand for A in this storage."""
    if kind == "f64":
        return A, None
    with np.errstate(over="ignore"):
        if kind == "bf16":
            return (A.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), "bf16"
        if kind == "f16":
            return A.astype(np.float16).view(np.uint16), "f16"
        return A.astype(np.float32), None


def check(A, kind, code, x, y):
    """Both products keep their promises for the stored A; False where they promise nothing (overflow)."""
    values = decoded(np.ascontiguousarray(A), code or kind).astype(np.longdouble)
    held = True
    for M, v, ours in [(values, x, matvec(A, x, dtype=code)), (values.T, y, rmatvec(A, y, dtype=code))]:
        unit, least = (2.0**-53, 5e-324) if ours.dtype == np.float64 else (2.0**-24, 2.0**-149)
        assert ours.dtype == (np.float32 if kind != "f64" and v.dtype == np.float32 else np.float64)
        length = M.shape[1]
        long = v.astype(np.longdouble)
        size = np.abs(M) @ np.abs(long)
        if size.max(initial=0) > np.finfo(ours.dtype).max:
            held = False
            continue
        bound = length * unit / (1 - length * unit) * size + least * length
        assert ours.shape == (M @ long).shape
        assert bool((np.abs(ours - M @ long) <= bound).all())
    return held


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_small(m, n, kind, seed, columns):
    rng = np.random.default_rng(seed)
    bits, code = stored(rng.standard_normal((m, n)), kind)
    tail = (columns,) if columns else ()
    x, y = (rng.standard_normal((k, *tail)).astype(np.float32) for k in (n, m))
    assert check(bits, kind, code, x, y)
    assert check(np.asfortranarray(bits), kind, code, x, y.astype(np.float64))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2801, 803), (1045, 2100), (5, 300_004), (300_004, 5), (1, 500_001), (500_001, 1)])
def test_large(kind, shape):
    """Rows or columns are shared out among threads."""
    rng = np.random.default_rng(0)
    bits, code = stored(rng.standard_normal(shape), kind)
    x, y = (rng.standard_normal(k).astype(np.float32) for k in shape[::-1])
    for layout in (bits, np.asfortranarray(bits), bits[::-1], bits[:, ::-1]):
        assert check(layout, kind, code, x, y)
    X, Y = (rng.standard_normal((k, 3)).astype(np.float32) for k in shape[::-1])
    assert check(bits, kind, code, X, Y)


@pytest.mark.parametrize("kind", KINDS)
def test_hard_matrices(kind, cases, count):
    checked = 0
    for i, (_, A) in enumerate(cases(count(150, 400), 12, largest=12)):
        bits, code = stored(np.asarray(A, dtype=np.float64), kind)
        if not np.isfinite(decoded(bits, code or kind)).all():
            continue
        rng = np.random.default_rng(i)
        x, y = (rng.standard_normal(k) * 10.0 ** rng.integers(-9, 9, k) for k in A.shape[::-1])
        single = np.float32 if i % 3 == 0 else np.float64
        checked += check(bits, kind, code, x.astype(single), y.astype(single))
    assert checked > 80


def test_parts_of_a_matrix():
    """Sections of one buffer, with rows and columns adjacent, and neither."""
    rng = np.random.default_rng(3)
    buffer = rng.standard_normal((60, 50)).astype(np.float32)
    for A in (buffer[3:20, 5:31], buffer.T[3:20, 5:31], buffer[::3, ::2], buffer[::-2, 40:3:-3]):
        assert check(A, "f32", None, *(rng.standard_normal(k).astype(np.float32) for k in A.shape[::-1]))


def test_adjoint():
    """<A x, y> = <x, A^T y> for integers, which have no rounding."""
    rng = np.random.default_rng(1)
    A = rng.integers(-8, 9, (517, 1031)).astype(np.float32)
    x, y = (rng.integers(-8, 9, k).astype(np.float64) for k in A.shape[::-1])
    assert matvec(A, x) @ y == x @ rmatvec(A, y)


@pytest.mark.parametrize("package", [cpu, ref])
@pytest.mark.parametrize("name", ["matvec", "rmatvec"])
def test_bad_input(package, name):
    product = getattr(package, name)
    A, x = np.ones((3, 4)), np.ones(4 if name == "matvec" else 3)
    letter = "x" if name == "matvec" else "y"
    size = 7 - len(x)
    for bad, match in [
        (lambda: product(A, np.ones(size)), rf"{letter} has shape"),
        (lambda: product(A, x.astype(int)), rf"{letter} has dtype int64"),
        (lambda: product(A[None], x), "A has shape"),
        (lambda: product(A[:0], x), "A has shape"),
        (lambda: product(A.astype(np.uint16), x), "dtype='bf16'"),
        (lambda: product(A, x, out=np.empty(len(x))), "out is"),
        (lambda: product(A, x, out=A.reshape(-1)[:size]), "shares memory with A"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
    out = np.empty(size)
    assert product(A, x, out=out) is out
    np.testing.assert_array_equal(out, np.full(size, float(len(x))))
    big = np.ones(9)
    with pytest.raises(ValueError, match="shares memory"):
        product(A, big[: len(x)], out=big[1 : size + 1])
