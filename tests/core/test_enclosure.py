"""Enclosed and Stack against python-flint at 200 bits, on ill-scaled random inputs (1e-8 to 1e8)."""

import os

import flint
import numpy as np
import pytest
from flint import arb

from lipop.core.enclosure import Enclosed, Stack, frobenius_up
from lipop.core.rounding import workprec
from lipop.errors import NonFiniteError, ShapeError

COUNT = {"dev": 200, "ci": 1000, "nightly": 10_000}[os.environ.get("LIPOP_TEST_PROFILE", "dev")]


def ill_scaled(rng, *shape):
    return rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-8, 8, shape)


def enclosed(rng, *shape, positive=False):
    """Midpoints of all sizes, errors from none to half of them, and a true value inside."""
    mid = np.abs(ill_scaled(rng, *shape)) if positive else ill_scaled(rng, *shape)
    err = np.abs(mid) * rng.choice([0.0, 1e-16, 1e-9, 1e-3, 0.5], shape)
    inner = rng.choice([-1.0, 1.0, 0.3], shape)
    return Enclosed(mid, err), mid, err, inner


def truth(mid, err, inner):
    """The true values as balls: mid + inner err, exactly."""
    return np.vectorize(lambda m, e, t: arb(float(m)) + arb(float(t)) * arb(float(e)), otypes=[object])(mid, err, inner)


def holds(exact, y):
    mid, err = np.broadcast_arrays(y.mid, y.radius)
    return all(abs(t - arb(float(m))) <= arb(float(e)) for t, m, e in zip(exact.flat, mid.flat, err.flat, strict=True))


UNARY = {
    "negative": (lambda x: -x, lambda t: -t, False),
    "square": (lambda x: x.square(), lambda t: t * t, False),
    "sqrt": (lambda x: x.sqrt(), lambda t: t.sqrt(), True),
    "exp": (lambda x: (x * 1e-7).exp(), lambda t: (t * arb(1e-7)).exp(), False),
    "twice": (lambda x: 2.0 * x, lambda t: 2 * t, False),
    "minus": (lambda x: 1.0 - x, lambda t: 1 - t, False),
}
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
}


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(name):
    f, exact, positive = UNARY[name]
    x, mid, err, inner = enclosed(np.random.default_rng(1), COUNT, positive=positive)
    with workprec(200):
        assert holds(np.vectorize(exact, otypes=[object])(truth(mid, err, inner)), f(x))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(name):
    rng = np.random.default_rng(2)
    a, *true_a = enclosed(rng, COUNT)
    b, *true_b = enclosed(rng, COUNT)
    op = BINARY[name]
    with workprec(200):
        y = op(a, b)
        assert np.isfinite(y.mid).all()
        assert holds(op(truth(*true_a), truth(*true_b)), y)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 2), (4, 7, 1), (3, 20, 3)])
def test_matrix_products(shape):
    m, k, n = shape
    rng = np.random.default_rng(m + k + n)
    with workprec(200):
        for _ in range(COUNT // (m * n * 10) + 1):
            a, *true_a = enclosed(rng, m, k)
            b, *true_b = enclosed(rng, k, n)
            assert holds(truth(*true_a) @ truth(*true_b), a @ b)
            exact = Enclosed.exact(a.mid)
            assert holds(truth(a.mid, 0 * a.mid, 0 * a.mid) @ truth(*true_b), exact @ b)
            assert holds(truth(*true_a) @ truth(b.mid, 0 * b.mid, 0 * b.mid), a @ b.mid)
            assert holds(truth(*true_b).T @ truth(*true_a).T, b.T @ a.T)


@pytest.mark.parametrize("n", [1, 2, 17, 60])
def test_sums_means_and_norms(n):
    rng = np.random.default_rng(n)
    rows = max(COUNT // n // 4, 3)
    x, *true = enclosed(rng, rows, n)
    with workprec(200):
        t = truth(*true)
        assert holds(t.sum(axis=1), x.sum(axis=1))
        assert holds(t.sum(axis=0), x.sum(axis=0))
        assert holds(t.sum(axis=1) / n, x.mean(axis=1))
        assert holds(t.sum(axis=1, keepdims=True), x.sum(axis=1, keepdims=True))
        sizes = [row.sum().sqrt() for row in t * t]
        for size, up, down in zip(sizes, x.norm_up(), x.norm_down(), strict=True):
            assert arb(float(down)) <= size <= arb(float(up))


def test_cancellation_is_covered():
    """Products that cancel to nothing: the error stays at the size of the terms."""
    rng = np.random.default_rng(3)
    with workprec(200):
        for _ in range(COUNT // 20):
            a = ill_scaled(rng, 6)
            left = np.concatenate([a, -a])[None]
            right = np.tile(ill_scaled(rng, 6), 2)[:, None]
            exact = truth(left, 0 * left, 0 * left) @ truth(right, 0 * right, 0 * right)
            assert holds(exact, Enclosed.exact(left) @ Enclosed.exact(right))


@pytest.mark.parametrize("scale", [1e-170, 1e-308, 1e160, 1e-155])
def test_norms_at_the_ends_of_the_exponent_range(scale):
    rng = np.random.default_rng(4)
    with workprec(200):
        for _ in range(20):
            mid = rng.standard_normal(5) * scale
            size = sum((arb(float(t)) ** 2 for t in mid), arb(0)).sqrt()
            x = Enclosed.exact(mid)
            assert arb(float(x.norm_down())) <= size <= arb(float(x.norm_up()))
            matrix = mid[None]
            assert size <= arb(float(frobenius_up(matrix)))
    assert Enclosed.exact(np.zeros(3)).norm_up() < 1e-290
    assert Enclosed.exact(np.array([np.inf])).norm_up() == np.inf


def test_division_by_an_interval_with_zero_is_infinite():
    y = Enclosed.exact(np.array([1.0])) / Enclosed(np.array([0.1]), np.array([0.2]))
    assert y.err[0] == np.inf
    with pytest.raises(NonFiniteError, match="the gate overflows"):
        y.finite("the gate")
    z = Enclosed.exact(np.array([1.0])) / np.array([0.0])
    assert z.mid[0] == 0.0
    assert z.err[0] == np.inf


def test_intervals_and_views():
    x = Enclosed.interval(np.array([-1.0, 2.0]), np.array([3.0, 2.0]))
    assert (x.low <= [-1.0, 2.0]).all()
    assert (x.high >= [3.0, 2.0]).all()
    assert x.contains(np.array([0.0, 2.0]))
    assert not x.contains(np.array([4.0, 2.0]))
    assert (x.magnitude >= [3.0, 2.0]).all()
    y = Enclosed(np.arange(6.0).reshape(2, 3), np.full((1, 1), 0.5))
    assert y.shape == (2, 3)
    assert y.radius.shape == (2, 3)
    assert y[1].mid.tolist() == [3.0, 4.0, 5.0]
    assert y.reshape(3, 2).mid.shape == y.transpose(1, 0).mid.shape == y.T.mid.shape == (3, 2)
    assert y.finite("y") is y
    with pytest.raises(ShapeError, match=r"cannot multiply \(2, 3\) by \(2, 3\)"):
        y @ y


def test_arrays_on_the_left_come_to_the_enclosure():
    x = Enclosed.exact(np.ones((2, 2)))
    for y in (np.ones((2, 2)) + x, np.ones((2, 2)) * x, np.ones((2, 2)) @ x, np.ones((2, 2)) - x):
        assert isinstance(y, Enclosed)


# ---- stacks --------------------------------------------------------------------------------------------------------


def stack(rng, count, m, n):
    """A stack, and true matrices at the edge of it."""
    mid = ill_scaled(rng, count, m, n)
    err = np.sqrt((mid**2).sum(axis=(1, 2))) * rng.choice([0.0, 1e-9, 0.3], count)
    h = rng.standard_normal((count, m, n))
    h *= (1 - 1e-12) / np.sqrt((h**2).sum(axis=(1, 2), keepdims=True))
    true = [truth(a, np.full_like(a, e), t) for a, e, t in zip(mid, err, h, strict=True)]
    return Stack(mid, err), true


def within(true, y):
    for t, m, e in zip(true, y.mid, y.err, strict=True):
        gap = sum(((a - arb(float(b))) ** 2 for a, b in zip(t.flat, m.flat, strict=True)), arb(0)).sqrt()
        if not gap <= arb(float(e)) + arb(1e-290):
            return False
    return True


@pytest.mark.parametrize("size", [1, 3, 8])
def test_stacks(size):
    rng = np.random.default_rng(size)
    count = max(COUNT // (size * size * 8), 4)
    with workprec(200):
        a, true_a = stack(rng, count, size, size + 1)
        b, true_b = stack(rng, count, size + 1, size)
        c, true_c = stack(rng, count, size, size + 1)
        assert within([x @ y for x, y in zip(true_a, true_b, strict=True)], a @ b)
        assert within([x + y for x, y in zip(true_a, true_c, strict=True)], a + c)
        assert within([x.T for x in true_a], a.T)
        gram = a.gram()
        assert within([x @ x.T for x in true_a], gram)
        np.testing.assert_array_equal(gram.mid, gram.mid.swapaxes(1, 2))
        for x, bound in zip(true_a, a.frobenius, strict=True):
            assert sum((t * t for t in x.flat), arb(0)).sqrt() <= arb(float(bound))
        one = Stack(a.mid[:1], a.err[:1])
        assert within([true_a[0] @ y for y in true_b], one @ b)


def test_stacks_from_enclosures():
    rng = np.random.default_rng(5)
    x, mid, err, inner = enclosed(rng, 4, 3, 2)
    s = Stack.of(x)
    with workprec(200):
        assert within(list(truth(mid, err, inner)), s)
    assert Stack.of(Enclosed.exact(np.ones((2, 2)))).shape == (1, 2, 2)
    assert Stack.exact(np.ones((2, 2))).shape == (1, 2, 2)
    assert s[1:3].shape == (2, 3, 2)
    with pytest.raises(ShapeError, match="cannot multiply stacks"):
        s @ s


def test_the_precision_of_others_is_left_alone():
    before = flint.ctx.prec
    Enclosed.exact(np.ones(2)).exp()
    assert flint.ctx.prec == before
