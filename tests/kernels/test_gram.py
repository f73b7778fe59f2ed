"""``A^T (A x)`` against long double, for every storage, layout and number of right-hand sides."""

import tracemalloc

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
    with np.errstate(over="ignore"):
        if kind == "bf16":
            return (A.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), "bf16"
        if kind == "f16":
            return A.astype(np.float16).view(np.uint16), "f16"
        return A.astype(np.float32), None


def allowed(A, x, y):
    """The promised error, entry by entry; A in long double."""
    m, n = A.shape
    unit, least = (2.0**-53, 5e-324) if y.dtype == np.float64 else (2.0**-24, 2.0**-149)
    g_m, g_n = (k * unit / (1 - k * unit) for k in (m, n))
    size = np.abs(A)
    column = size.sum(axis=0) if x.ndim == 1 else size.sum(axis=0)[:, None]
    return (g_n + g_m + g_n * g_m) * (size.T @ (size @ np.abs(x).astype(np.longdouble))) + least * (m + 1 + n * column)


def check(A, x, kind, dtype=None):
    """The promise holds for the stored A; nothing is said where the majorant overflows."""
    y = gram_matvec(A, x, dtype=dtype)
    assert y.shape == x.shape
    assert y.dtype == (np.float32 if kind != "f64" and x.dtype == np.float32 else np.float64)
    values = decoded(np.ascontiguousarray(A), dtype or kind).astype(np.longdouble)
    size = np.abs(values)
    between = size @ np.abs(x).astype(np.longdouble)
    if max(between.max(initial=0), (size.T @ between).max(initial=0)) > np.finfo(y.dtype).max:
        return False
    exact = values.T @ (values @ x.astype(np.longdouble))
    assert bool((np.abs(y - exact) <= allowed(values, x, y)).all())
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("m", "n"), [(2801, 803), (8 * 130 + 5, 2100)])
@pytest.mark.parametrize("columns", [None, 3])
def test_parallel_kernel(kind, dtype, m, n, columns):
    rng = np.random.default_rng(m)
    bits, code = stored(rng.standard_normal((m, n)), kind)
    assert bits.nbytes >= cpu.gram.SMALL
    assert check(bits, rng.standard_normal(n if columns is None else (n, columns)).astype(dtype), kind, code)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.booleans())
def test_small(m, n, kind, seed, single):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).astype(np.float32 if single else np.float64)
    bits, code = stored(rng.standard_normal((m, n)), kind)
    assert check(bits, x, kind, code)
    np.testing.assert_allclose(
        cpu.gram_matvec(bits, x, dtype=code), ref.gram_matvec(bits, x, dtype=code), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_hard_matrices(kind, cases, count):
    """Graded, cancelling, denormal, huge and tiny matrices, in each storage and both orders."""
    checked = 0
    for i, (_, A) in enumerate(cases(count(150, 400), 11, largest=12)):
        bits, code = stored(np.asarray(A, dtype=np.float64), kind)
        if not np.isfinite(decoded(bits, code or kind)).all():
            continue
        x = np.random.default_rng(i).standard_normal(A.shape[1]) * 10.0 ** np.random.default_rng(i).integers(-9, 9)
        x[::2] *= -1 if i % 2 else 1e-6
        for layout in (np.ascontiguousarray(bits), np.asfortranarray(bits)):
            checked += check(layout, x.astype(np.float32 if i % 3 == 0 else np.float64), kind, code)
    assert checked > 150


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", range(1, 9))
def test_blocks_of_right_hand_sides(kind, columns):
    rng = np.random.default_rng(columns)
    for m, n in [(13, 34), (1030, 1024)]:
        bits, code = stored(rng.standard_normal((m, n)), kind)
        X = rng.standard_normal((n, columns)).astype(np.float32)
        for block in (X, np.asfortranarray(X), X[:, ::-1]):
            assert check(bits, block, kind, code)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1), (1, 300_001), (300_001, 1), (3, 200_003), (200_003, 3)])
def test_thin_shapes(kind, shape):
    rng = np.random.default_rng(shape[0])
    bits, code = stored(rng.standard_normal(shape), kind)
    x = rng.standard_normal(shape[1]).astype(np.float32)
    check(bits, x, kind, code)
    check(np.asfortranarray(bits), x, kind, code)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(31, 18), (901, 1202)])
def test_layouts(kind, shape, tmp_path):
    """Any strides, read-only, unaligned, repeated and memory-mapped matrices."""
    rng = np.random.default_rng(0)
    m, n = shape
    A, code = stored(rng.standard_normal(shape), kind)
    x = rng.standard_normal(n).astype(np.float32)
    wide, tall = np.zeros((m, 2 * n + 3), A.dtype), np.zeros((2 * m, n), A.dtype)
    wide[:, 3 : n + 3], tall[::2] = A, A
    skipping = np.zeros((m, 2 * n), A.dtype)
    skipping[:, ::2] = A
    frozen = A.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + A.tobytes(), dtype=A.dtype, offset=1).reshape(shape)
    A.tofile(tmp_path / "rows")
    np.ascontiguousarray(A.T).tofile(tmp_path / "columns")
    layouts = {
        "rows of a wider matrix": wide[:, 3 : n + 3],
        "every second row": tall[::2],
        "every second column": skipping[:, ::2],
        "columns": np.asfortranarray(A),
        "columns of a taller matrix": np.asfortranarray(tall)[:m].copy("F"),
        "part of columns": np.asfortranarray(tall)[: m + 1],
        "rows backwards": A[::-1],
        "columns backwards": A[:, ::-1],
        "one row repeated": np.broadcast_to(A[0], shape),
        "one entry repeated": np.broadcast_to(A[0, 0], shape),
        "read-only": frozen,
        "unaligned": unaligned,
        "mapped": np.memmap(tmp_path / "rows", A.dtype, "r", shape=shape),
        "mapped columns": np.memmap(tmp_path / "columns", A.dtype, "r", shape=(n, m)).T,
    }
    for layout in layouts.values():
        assert check(layout, x, kind, code)
        assert check(layout, np.stack([x, 2 * x, x - 1], axis=1), kind, code)


@pytest.mark.parametrize("kind", KINDS)
def test_no_copy_is_made(kind, tmp_path):
    A, code = stored(np.random.default_rng(0).standard_normal((2000, 1500)), kind)
    x = np.ones(1500, np.float32)
    np.ascontiguousarray(A.T).tofile(tmp_path / "columns")
    layouts = [
        A,
        A[::-1],
        A[:, 2:1302],
        np.asfortranarray(A),
        np.memmap(tmp_path / "columns", A.dtype, "r", shape=(1500, 2000)).T,
    ]
    skipping = np.zeros((2000, 3000), A.dtype)[:, ::2]  # copied, but block by block
    for layout in [*layouts, skipping]:
        x = np.ones(layout.shape[1], np.float32)
        gram_matvec(layout, x, dtype=code)
        tracemalloc.start()
        gram_matvec(layout, x, dtype=code)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < A.nbytes / 4


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


def test_float16_without_the_processor():
    """The conversion by bits, which processors without one of their own get."""
    from lipop_kernels.cpu._storage import _half

    bits = np.arange(2**16, dtype=np.uint16)
    with np.errstate(all="ignore"):
        ours = [_half(b) for b in bits.view(np.int16)[:: 7 * 3]]
    np.testing.assert_array_equal(np.array(ours, np.float32), bits[:: 7 * 3].view(np.float16).astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_propagates(kind, bad):
    A = np.ones((9, 6))
    A[4, 2] = bad
    bits, code = stored(A, kind)
    for layout in (bits, np.asfortranarray(bits)):
        y = gram_matvec(layout, np.ones(6, np.float32), dtype=code)
        if np.isnan(bad):
            assert np.isnan(y).all()
        else:
            np.testing.assert_array_equal(y, np.full(6, np.inf))
    x = np.ones(6, np.float32)
    x[1] = bad
    assert not np.isfinite(gram_matvec(stored(np.ones((9, 6)), kind)[0], x, dtype=code)).any()


def test_out():
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((900, 700)).astype(np.float32), rng.standard_normal(700)
    y = gram_matvec(A, x)
    out, spaced = np.empty(700), np.empty(1400)
    assert gram_matvec(A, x, out=out) is out
    gram_matvec(A, x, out=spaced[::-2])
    np.testing.assert_array_equal(out, y)
    np.testing.assert_array_equal(spaced[::-2], y)
    both = np.zeros((700, 2))
    both[:, 0] = x
    np.testing.assert_array_equal(gram_matvec(A, both[:, 0], out=both[:, 1]), y)  # interleaved, nothing shared


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    A, x = np.eye(3), np.ones(3)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for bad, match in [
        (lambda: package.gram_matvec(A, np.ones(4)), r"x has shape \(4,\)"),
        (lambda: package.gram_matvec(A, np.ones((3, 1, 1))), r"\(3, 1, 1\)"),
        (lambda: package.gram_matvec(A, 1.0), r"x has shape \(\)"),
        (lambda: package.gram_matvec(A[0], x), "shape"),
        (lambda: package.gram_matvec(np.zeros((0, 3)), x), "shape"),
        (lambda: package.gram_matvec(np.zeros((3, 0)), np.ones(0)), "shape"),
        (lambda: package.gram_matvec(A.astype(np.uint16), x), "dtype='bf16'"),
        (lambda: package.gram_matvec(A.astype(np.int64), x), "int64"),
        (lambda: package.gram_matvec(A.astype(complex), x), "complex"),
        (lambda: package.gram_matvec(A.astype(">f8"), x), ">f8"),
        (lambda: package.gram_matvec(A, x.astype(">f8")), ">f8"),
        (lambda: package.gram_matvec(A, x, dtype="bf16"), "bf16"),
        (lambda: package.gram_matvec(A, x.astype(int)), "int64"),
        (lambda: package.gram_matvec(A, x, out=np.empty(2)), "out is"),
        (lambda: package.gram_matvec(A, x, out=np.empty(3, np.float32)), "out is"),
        (lambda: package.gram_matvec(A, x, out=[0.0] * 3), "list"),
        (lambda: package.gram_matvec(A, x, out=frozen), "read-only"),
        (lambda: package.gram_matvec(A, x, out=x), "shares memory with x"),
        (lambda: package.gram_matvec(A, x, out=A[1]), "shares memory with A"),
        (lambda: package.gram_matvec(A, x, out=np.lib.stride_tricks.as_strided(np.zeros(1), (3,), (0,))), "strides"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
    np.testing.assert_array_equal(A, np.eye(3))
    assert package.gram_matvec(A, np.empty((3, 0))).shape == (3, 0)
