"""``A^T (A x)`` against long double, for every storage, layout and number of right-hand sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop_kernels import cpu, gram_matvec, ref
from lipop_kernels._common import decoded

KINDS = ("f64", "f32", "bf16", "f16")


def stored(A, kind):
    """The array and the dtype argument that stand for A in this storage."""
    if kind == "f64":
        return A, None
    if kind == "bf16":
        return (A.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), "bf16"
    if kind == "f16":
        return A.astype(np.float16).view(np.uint16), "f16"
    return A.astype(np.float32), None


def allowed(A, x, unit):
    """The promised error, entry by entry, with the underflow of float32 sums."""
    m, n = A.shape
    long = np.abs(A).astype(np.longdouble)
    return (m + n + 2) * unit * 1.01 * (long.T @ (long @ np.abs(x))) + 1e-37


def check(A, x, kind):
    bits, dtype = stored(A, kind)
    y = gram_matvec(bits, x, dtype=dtype)
    values = decoded(bits, dtype or kind).astype(np.longdouble)
    exact = values.T @ (values @ x.astype(np.longdouble))
    unit = 2.0**-53 if y.dtype == np.float64 else 2.0**-24
    assert y.shape == x.shape
    assert y.dtype == (np.float32 if kind != "f64" and x.dtype == np.float32 else np.float64)
    assert bool((np.abs(y - exact) <= allowed(values, x, unit)).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("m", "n"), [(1500, 801), (8 * 130 + 5, 2100)])
@pytest.mark.parametrize("columns", [None, 3])
def test_parallel_kernel(kind, dtype, m, n, columns):
    rng = np.random.default_rng(m)
    A = rng.standard_normal((m, n))
    bits = stored(A, kind)[0]
    assert bits.nbytes >= cpu.gram.SMALL
    check(A, rng.standard_normal(n if columns is None else (n, columns)).astype(dtype), kind)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.booleans())
def test_small(m, n, kind, seed, single):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).astype(np.float32 if single else np.float64)
    A = rng.standard_normal((m, n))
    check(A, x, kind)
    bits, dtype = stored(A, kind)
    np.testing.assert_allclose(
        cpu.gram_matvec(bits, x, dtype=dtype), ref.gram_matvec(bits, x, dtype=dtype), rtol=1e-4, atol=1e-4
    )


def test_every_float16_value_is_read_right():
    """All 65536 bit patterns, infinities and NaN too, through the compiled kernel: A = the pattern in row 0."""
    bits = np.arange(2**16, dtype=np.uint16)
    values = bits.view(np.float16).astype(np.float32)
    A = np.zeros((2**16, 16), dtype=np.uint16)
    A[:, 0] = bits
    x = np.eye(1, 16, dtype=np.float32)[0]
    from lipop_kernels.cpu._gram_numba import image

    w, majorant = image(A.view(np.int16), x.astype(np.float64), 1.0)
    np.testing.assert_array_equal(w.astype(np.float32), values)  # every value is exact in float32
    np.testing.assert_array_equal(majorant.astype(np.float32), np.abs(values))


def test_layouts_read_only_and_out():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((900, 700)).astype(np.float32)
    x = rng.standard_normal(700)
    y = gram_matvec(A, x)
    frozen = A.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(gram_matvec(frozen, x), y)
    np.testing.assert_allclose(gram_matvec(np.asfortranarray(A), x), y, rtol=1e-12, atol=1e-10)
    unaligned = np.frombuffer(b"\0" + A.tobytes(), dtype=np.float32, offset=1).reshape(A.shape)
    np.testing.assert_allclose(gram_matvec(unaligned, x), y, rtol=1e-12, atol=1e-10)
    out = np.empty(700)
    assert gram_matvec(A, x, out=out) is out
    np.testing.assert_array_equal(out, y)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    A, x = np.eye(3), np.ones(3)
    for bad, match in [
        (lambda: package.gram_matvec(A, np.ones(4)), r"\(4,\)"),
        (lambda: package.gram_matvec(A[0], x), "shape"),
        (lambda: package.gram_matvec(np.zeros((0, 3)), x), "shape"),
        (lambda: package.gram_matvec(A.astype(np.uint16), x), "dtype='bf16'"),
        (lambda: package.gram_matvec(A.astype(np.int64), x), "int64"),
        (lambda: package.gram_matvec(A, x, dtype="bf16"), "bf16"),
        (lambda: package.gram_matvec(A, x.astype(int)), "int64"),
        (lambda: package.gram_matvec(A, x, out=np.empty(2)), "out"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
