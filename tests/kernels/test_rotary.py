"""Rotations of pairs: the promised error, the inverse, the operator's own convention."""

import numpy as np
import pytest

import lipop as lo
from lipop_kernels import cpu, ref, rotate


def tables(tokens, half, dtype):
    angle = np.arange(tokens)[:, None] * 10000.0 ** (-np.arange(half) / half)
    return np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 2), (7, 6), (3, 5, 34), (2, 3, 4, 8), (1201, 514), (12, 300, 128), (0, 4)])
@pytest.mark.parametrize("size", [1.0, 1e-310, 1e150])
@pytest.mark.parametrize("inverse", [False, True])
def test_error(dtype, shape, size, inverse):
    rng = np.random.default_rng(len(shape))
    if dtype == np.float32:
        size = {1e-310: 1e-40, 1e150: 1e30}.get(size, size)
    x = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-5, 5, shape) * size).astype(dtype)
    half = shape[-1] // 2
    c, s = tables(shape[-2], half, dtype)
    y = rotate(x, c, s, inverse)
    unit, least = (2.0**-53, 5e-324) if dtype == np.float64 else (2.0**-24, 2.0**-149)
    a, b, C, S = (t.astype(np.longdouble) for t in (x[..., :half], x[..., half:], c, -s if inverse else s))
    g = 2 * unit / (1 - 2 * unit)
    first = g * (abs(a) * abs(C) + abs(b) * abs(S)) + 2 * least
    second = g * (abs(a) * abs(S) + abs(b) * abs(C)) + 2 * least
    assert y.shape == shape
    assert y.dtype == dtype
    assert bool((abs(y[..., :half] - (a * C - b * S)) <= first).all())
    assert bool((abs(y[..., half:] - (a * S + b * C)) <= second).all())
    exact = ref.rotate(x, c, s, inverse)
    assert bool((abs(exact[..., :half] - (a * C - b * S)) <= first).all())


def test_the_operator_turns_alike():
    x = np.random.default_rng(0).standard_normal((9, 10))
    R = lo.Rotary(10)
    c, s = R.tables(9)
    np.testing.assert_allclose(rotate(x, c, s), R(x), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(rotate(rotate(x, c, s), c, s, inverse=True), x, rtol=1e-14, atol=1e-14)


def test_inverse_is_the_transpose():
    rng = np.random.default_rng(1)
    x, u, c, s = (rng.integers(-9, 9, shape).astype(float) for shape in [(5, 8), (5, 8), (5, 4), (5, 4)])
    assert (rotate(x, c, s) * u).sum() == (x * rotate(u, c, s, inverse=True)).sum()


def test_layouts_and_out():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 6, 10))
    c, s = tables(6, 5, np.float64)
    y = rotate(x, c, s)
    np.testing.assert_array_equal(rotate(np.asfortranarray(x), np.asfortranarray(c), s), y)
    out = np.full((4, 6, 20), 7.0)
    rotate(x, c, s, out=out[:, :, ::2])
    np.testing.assert_array_equal(out[:, :, ::2], y)
    assert bool((out[:, :, 1::2] == 7.0).all())
    x[1, 2, 3] = np.nan
    assert np.isnan(rotate(x, c, s)).sum() == 2  # its own pair


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    x, c, s = np.ones((3, 4)), np.ones((3, 2)), np.ones((3, 2))
    for bad, match in [
        (lambda: package.rotate(x[0], c, s), r"x has shape \(4,\)"),
        (lambda: package.rotate(x[:, :3], c, s), "d even"),
        (lambda: package.rotate(x[:, :0], c[:, :0], s[:, :0]), "x has shape"),
        (lambda: package.rotate(x, c[:2], s), r"cos is \(2, 2\)"),
        (lambda: package.rotate(x, c, s.astype(np.float32)), "sin is"),
        (lambda: package.rotate(x.astype(int), c, s), "int64"),
        (lambda: package.rotate(x, c, s, out=x), "shares memory with x"),
        (lambda: package.rotate(x, c, s, out=np.empty((4, 3))), "out is"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
