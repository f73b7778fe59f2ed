"""Derivatives of softmax, RMSNorm and LayerNorm by rows: the promised error, dense Jacobians, finite layouts."""

import numpy as np
import pytest

import lipop_kernels as k
from lipop_kernels import cpu, ref

NORMS = [name for name in k.FUNCTIONS if "norm_" in name and name.endswith("vp")]
SHAPES = [(1, 1), (1, 7), (13, 1), (5, 31), (2, 3, 17), (9,), (701, 1201)]


def units(dtype):
    return (2.0**-53, 5e-324) if dtype == np.float64 else (2.0**-24, 2.0**-149)


def hard(rng, shape, dtype, reach):
    """Signed entries over ``reach`` decades on both sides of 1, some zero, half of the rows nearly constant."""
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-reach, reach, shape)
    x[rng.random(shape) < 0.1] = 0.0
    if len(shape) > 1:
        x[::2] = 1.0 + 1e-3 * rng.standard_normal(x[::2].shape)  # cancels
    return x.astype(dtype)


def probabilities(rng, shape, dtype, spread):
    logits = rng.standard_normal(shape) * spread
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.1, 5.0, 300.0])
@pytest.mark.parametrize("size", [1.0, 1e-310, 1e150])
def test_softmax(dtype, shape, spread, size):
    rng = np.random.default_rng(len(shape))
    p = probabilities(rng, shape, dtype, spread)
    if dtype == np.float32:
        size = {1e-310: 1e-40, 1e150: 1e30}.get(size, size)
    v = (hard(rng, shape, np.float64, 4) * size).astype(dtype)
    unit, least = units(dtype)
    y, exact = k.softmax_jvp(p, v), ref.softmax_jvp(p.astype(np.longdouble).astype(dtype), v)
    P, V = np.abs(p).astype(np.longdouble), np.abs(v).astype(np.longdouble)
    n = shape[-1]
    g = (n + 2) * unit / (1 - (n + 2) * unit)
    bound = g * P * (V + (P * V).sum(axis=-1, keepdims=True)) + least * (2 + n * P)
    long = p.astype(np.longdouble) * (v - (p.astype(np.longdouble) * v).sum(axis=-1, keepdims=True))
    assert y.shape == shape
    assert y.dtype == dtype
    assert bool((np.abs(y - long) <= bound).all())
    assert bool((np.abs(exact - long) <= unit * np.abs(long) + least).all())
    np.testing.assert_array_equal(k.softmax_vjp(p, v), y)  # the derivative is symmetric


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1.0, 1e-310, 1e100])
def test_norms(name, dtype, shape, size):
    rng = np.random.default_rng(len(shape))
    if dtype == np.float32:
        size = {1e-310: 1e-40, 1e100: 1e25}.get(size, size)
    z = hard(rng, shape, dtype, 1)
    scale = np.asarray(10.0 ** rng.uniform(-3, 3, shape[:-1])).astype(dtype)
    gain = hard(rng, shape[-1:], dtype, 2)
    v = (hard(rng, shape, np.float64, 3) * size).astype(dtype)
    for g in (None, gain):
        y = getattr(k, name)(z, scale, v, g)
        exact = getattr(ref, name)(z, scale, v, g)
        bound = norm_bound(name, z, scale, v, np.ones(shape[-1], dtype) if g is None else g)
        unit, _ = units(dtype)
        assert y.shape == shape
        assert y.dtype == dtype
        assert bool(
            (np.abs(y.astype(np.longdouble) - exact) <= bound + 2 * unit * np.abs(exact.astype(np.longdouble))).all()
        )


def norm_bound(name, z, scale, v, gain):
    """What the docstrings promise."""
    unit, least = units(z.dtype)
    n = z.shape[-1]
    Z, V, G = (np.abs(a).astype(np.longdouble) for a in (z, v, gain))
    s = scale.astype(np.longdouble)[..., None]
    before = name.endswith("vjp")
    W, after = (G * V, 1) if before else (V, G)
    mean = lambda x: x.mean(axis=-1, keepdims=True)  # noqa: E731
    size = W + (mean(W) if name.startswith("layer") else 0) + Z * mean(Z * W)
    return (n + 6) * unit / (1 - (n + 6) * unit) * after * s * size + least * (
        1 + after * (1 + s * (3 + Z * (2 + mean(Z))))
    )


def numeric_jacobian(f, x):
    h = 1e-6
    return np.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))], axis=1)


def test_they_are_the_derivatives():
    """Against central differences of the functions themselves, eps and gain included; jvp and vjp transposed."""
    rng = np.random.default_rng(0)
    x, gain, eps, eye = rng.standard_normal(7), rng.standard_normal(7), 0.1, np.eye(7)

    def softmax(t):
        return np.exp(t) / np.exp(t).sum()

    def rms(t):
        return gain * t / np.sqrt((t * t).mean() + eps)

    def layer(t):
        return gain * (t - t.mean()) / np.sqrt(t.var() + eps)

    p = np.tile(softmax(x), (7, 1))
    np.testing.assert_allclose(k.softmax_jvp(p, eye).T, numeric_jacobian(softmax, x), atol=1e-8)
    for name, f, centre in [("rms_norm", rms, 0.0), ("layer_norm", layer, x.mean())]:
        scale = 1 / np.sqrt(((x - centre) ** 2).mean() + eps)
        z, s = np.tile((x - centre) * scale, (7, 1)), np.full(7, scale)
        J = numeric_jacobian(f, x)
        np.testing.assert_allclose(getattr(k, f"{name}_jvp")(z, s, eye, gain).T, J, atol=1e-8)
        np.testing.assert_allclose(getattr(k, f"{name}_vjp")(z, s, eye, gain), J, atol=1e-8)


def test_layouts_and_out():
    rng = np.random.default_rng(1)
    p, v = probabilities(rng, (6, 10, 14), np.float64, 1.0), rng.standard_normal((6, 10, 14))
    y = k.softmax_jvp(p, v)
    turned = np.asfortranarray(v)
    frozen = p.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(k.softmax_jvp(frozen, turned), y)
    np.testing.assert_array_equal(
        k.softmax_jvp(p[::-1, :, ::2], v[::-1, :, ::2]), k.softmax_jvp(p[::-1, :, ::2].copy(), v[::-1, :, ::2].copy())
    )
    spaced = np.full((6, 10, 28), 7.0)
    assert k.softmax_jvp(p, v, out=spaced[..., ::2]).base is spaced
    np.testing.assert_array_equal(spaced[..., ::2], y)
    assert bool((spaced[..., 1::2] == 7.0).all())
    assert k.softmax_jvp(np.empty((0, 4)), np.empty((0, 4))).shape == (0, 4)
    assert k.rms_norm_jvp(np.empty((0, 4)), np.empty(0), np.empty((0, 4))).shape == (0, 4)


def test_what_is_not_finite_stays_in_its_row():
    p, v = np.full((3, 4), 0.25), np.ones((3, 4))
    v[1, 2] = np.nan
    y = k.softmax_jvp(p, v)
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2]]).all()
    for name in NORMS:
        y = getattr(k, name)(p, np.ones(3), v)
        assert np.isnan(y[1]).all()
        assert np.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    z, s, v = np.ones((3, 4)), np.ones(3), np.ones((3, 4))
    frozen = v.copy()
    frozen.flags.writeable = False
    refusals = [
        (lambda: package.softmax_jvp(z, v[:2]), r"v is \(2, 4\)"),
        (lambda: package.softmax_jvp(z, v.astype(np.float32)), "float32"),
        (lambda: package.softmax_jvp(z.astype(int), v), "p has dtype int64"),
        (lambda: package.softmax_jvp(1.0, 1.0), r"p has shape \(\)"),
        (lambda: package.softmax_jvp(z[:, :0], v[:, :0]), r"p has shape \(3, 0\)"),
        (lambda: package.softmax_jvp(z, v, out=v), "shares memory with v"),
        (lambda: package.softmax_vjp(z, v, out=z), "shares memory with p"),
        (lambda: package.softmax_jvp(z, v, out=frozen), "read-only"),
        (lambda: package.softmax_jvp(z, v, out=np.empty((4, 3))), "out is"),
    ]
    for name in NORMS:
        norm = getattr(package, name)
        refusals += [
            (lambda norm=norm: norm(z, np.ones(4), v), r"scale is \(4,\)"),
            (lambda norm=norm: norm(z, s, v[0]), r"[uv] is \(4,\)"),
            (lambda norm=norm: norm(z, s, v, np.ones(3)), r"gain is \(3,\)"),
            (lambda norm=norm: norm(z, s, v, np.ones(4, np.float32)), "gain is"),
            (lambda norm=norm: norm(z, s, v, out=z), "shares memory with z"),
            (lambda norm=norm: norm(z, s, v, out=np.empty(4)), "out is"),
        ]
    for bad, match in refusals:
        with pytest.raises(ValueError, match=match):
            bad()
