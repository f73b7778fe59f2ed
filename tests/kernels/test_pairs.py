"""Pairs of points against rational arithmetic: the maximum, the packing and the cover hold exactly."""

import math

import numpy as np
import pytest

from lipop_kernels import cpu, farthest_points, max_pairwise_ratio, ref
from lipop_kernels.cpu import pairs
from lipop_kernels.ref._exact import fraction, fractions
from lipop_kernels.ref.pairs import _square_of_distance

CLOUDS = {
    "gaussian": lambda rng, n, d: rng.standard_normal((n, d)),
    "far from zero": lambda rng, n, d: 1e8 + rng.standard_normal((n, d)),
    "almost equal": lambda rng, n, d: 1.0 + 2.0**-50 * rng.integers(-3, 4, (n, d)),
    "one close pair": lambda rng, n, d: (
        np.vstack([rng.standard_normal((n - 1, d))] * 2)[:n] * (1 + 1e-15 * (np.arange(n) >= n - 1))[:, None]
    ),
    "duplicates": lambda rng, n, d: rng.integers(-1, 2, (n, d)).astype(float),
    "all equal": lambda rng, n, d: np.full((n, d), 0.1),
    "grid": lambda rng, n, d: rng.integers(-40, 40, (n, d)).astype(float),
    "line": lambda rng, n, d: np.arange(n, dtype=float)[:, None] * np.ones(d),
    "graded": lambda rng, n, d: rng.standard_normal((n, d)) * 10.0 ** -np.linspace(0, 30, d),
    "huge": lambda rng, n, d: rng.standard_normal((n, d)) * 1e160,
    "largest": lambda rng, n, d: rng.uniform(-1, 1, (n, d)) * 1.7e308,
    "tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 1e-170,
    "denormal": lambda rng, n, d: rng.integers(-900, 900, (n, d)) * 5e-324,
    "huge and tiny": lambda rng, n, d: np.where(rng.random((n, d)) < 0.3, 1e200, 1e-200) * rng.standard_normal((n, d)),
    "clusters": lambda rng, n, d: rng.integers(0, 3, (n, 1)) * 10.0 + 1e-9 * rng.standard_normal((n, d)),
    "float32": lambda rng, n, d: rng.standard_normal((n, d)).astype(np.float32),
}


def clouds(number, seed):
    """Pairs (label, X, Y) of clouds from all families, alike and mixed, and with Y a function of X."""
    names = list(CLOUDS)
    for i in range(number):
        rng = np.random.default_rng([seed, i])
        n, d, e = int(rng.integers(2, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
        first = names[i % len(names)]
        second = first if i % 3 == 0 else names[int(rng.integers(len(names)))]
        X, Y = CLOUDS[first](rng, n, d), CLOUDS[second](rng, n, e)
        if i % 5 == 4:
            second, Y = "half of it", X * X.dtype.type(0.5)
        yield f"{first} / {second} {n}x{d} #{i}", X, Y


def square_ratio(X, Y, i, j):
    """The exact square of the ratio of a pair; None for 0/0, infinity for equal X with different Y."""
    P, Q = fractions(X[[i, j]]), fractions(Y[[i, j]])
    x, y = _square_of_distance(*P), _square_of_distance(*Q)
    return y / x if x != 0 else (math.inf if y != 0 else None)


def test_the_maximum_holds_exactly(count):
    """The witness attains ``value``; no pair exceeds ``upper``; the two are within the tolerance."""
    for label, X, Y in clouds(count(96, 320, 4000), seed=1):
        found = max_pairwise_ratio(X, Y, rtol=1e-10)
        ratios = [square_ratio(X, Y, i, j) for i in range(len(X)) for j in range(i + 1, len(X))]
        assert 0 <= found.i < found.j < len(X), label
        if math.inf in ratios:
            assert found.value == found.upper == math.inf, label
            assert square_ratio(X, Y, found.i, found.j) == math.inf, label
            continue
        largest = max((r for r in ratios if r is not None), default=fraction(0.0))
        if found.upper < math.inf:
            assert largest <= fraction(found.upper) ** 2, label
        witness = square_ratio(X, Y, found.i, found.j)
        if found.value > 0:
            assert fraction(found.value) ** 2 <= witness, label
        if 1e-290 < found.value < 1e300:
            assert fraction(found.value) ** 2 >= largest * fraction(1 - 3e-10), label
            assert found.upper <= found.value * (1 + 1.1e-10), label
        elif largest == 0:
            assert found.value == found.upper == 0.0, label


def test_duplicates_give_infinity_with_the_witness():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((1300, 5)), rng.standard_normal((1300, 4))
    X[1207] = X[13]
    found = max_pairwise_ratio(X, Y)
    assert (found.value, found.i, found.j) == (math.inf, 13, 1207)
    Y[1207] = Y[13]  # the same point twice is no pair
    assert max_pairwise_ratio(X, Y).value < math.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_of_pairs(dtype):
    """More points than a block holds, in every order of the ratios, against all differences."""
    rng = np.random.default_rng(0)
    n = 2 * pairs.BLOCK + 77
    X = (5.0 + rng.standard_normal((n, 20))).astype(dtype)
    Y = np.tanh(X @ rng.standard_normal((20, 6))).astype(dtype)
    close = X.copy()
    close[700] = close[3] + dtype(1e-6)
    close[900] = close[4] * (1 + 4 * np.finfo(dtype).eps)
    order = np.argsort(X[:, 0])
    for P, Q in ((X, Y), (close, Y), (X[order], Y[order]), (X, 3 * X), (X[:600], Y[:600]), (X, np.square(X))):
        p, q = P.astype(np.float64), Q.astype(np.float64)
        best = max(
            float((np.linalg.norm(q[i + 1 :] - q[i], axis=1) / np.linalg.norm(p[i + 1 :] - p[i], axis=1)).max())
            for i in range(len(p) - 1)
        )
        found = max_pairwise_ratio(P, Q, rtol=1e-9)
        assert best * (1 - 1.01e-9) <= found.value <= best * (1 + 1e-13)
        assert best * (1 - 1e-13) <= found.upper <= best * (1 + 1.01e-9)
        direct = np.linalg.norm(q[found.i] - q[found.j]) / np.linalg.norm(p[found.i] - p[found.j])
        assert found.value == pytest.approx(direct, rel=1e-13)
        assert found.value <= direct * (1 + 1e-15)


def test_products_alone_would_miss_the_maximum():
    """Close pairs far from the origin: squared distances from products are wrong by more than their size."""
    rng = np.random.default_rng(0)
    X = 1.0 + 1e-3 * rng.standard_normal((200, 8))
    X[100:] = X[:100] + 1e-9 * rng.standard_normal((100, 8))
    Y = np.sin(50 * X)
    norms = (X * X).sum(axis=1)
    squares = norms[:, None] + norms - 2 * X @ X.T
    assert (squares[np.arange(100), np.arange(100) + 100] <= 0).any()
    assert max_pairwise_ratio(X, Y).value == pytest.approx(
        max(np.linalg.norm(Y[i] - Y[j]) / np.linalg.norm(X[i] - X[j]) for i in range(200) for j in range(i)), rel=1e-9
    )


def exact_packing_and_cover(X, found, label):
    P = fractions(X)
    reached = [None] * len(P)
    for t, c in enumerate(found.indices.tolist()):
        before = [_square_of_distance(P[c], P[b]) for b in found.indices[:t].tolist()]
        if t:
            assert fraction(float(found.separations[t])) ** 2 <= min(before), (label, t)
        for i, p in enumerate(P):
            square = _square_of_distance(p, P[c])
            reached[i] = square if reached[i] is None or square < reached[i] else reached[i]
        if math.isfinite(found.radii[t]):
            assert max(reached) <= fraction(float(found.radii[t])) ** 2, (label, t)
    return reached


def test_packings_and_covers_hold_exactly(count):
    for label, X, _ in clouds(count(48, 96, 1000), seed=2):
        n = len(X)
        found = farthest_points(X, n, start=n // 2)
        exact_packing_and_cover(X, found, label)
        assert found.indices[0] == n // 2
        assert found.separations[0] == math.inf
        P = fractions(X)
        for i, a in enumerate(found.assignment.tolist()):  # the centre that it names is as close as the last radius
            square = _square_of_distance(P[i], P[int(found.indices[a])])
            assert math.isinf(found.radii[-1]) or square <= fraction(float(found.radii[-1])) ** 2, label
        plain = ref.farthest_points(X, n, start=n // 2)
        assert bool((found.radii >= plain.radii * (1 - 1e-12)).all()), label
        if float(np.abs(X).max()) < 1e300 and plain.radii[0] > 1e-290:
            worst = plain.radii * (1 + 1e-12) + 1e-140 * plain.radii[0]
            assert bool((found.radii[:2] <= worst[:2]).all()), label  # later ones depend on ties
        assert found.radii[-1] <= 1e-140 * max(found.radii[0], 1e-150) or "huge" in label, label


def test_greedy_order_and_bracket():
    """Without ties the traversal is the exact one, and its bracket holds the covering number of a line."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    a, b = (package.farthest_points(X, 25, start=7) for package in (cpu, ref))
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.assignment, b.assignment)
    np.testing.assert_allclose(a.radii, b.radii, rtol=1e-13)
    np.testing.assert_allclose(a.separations, b.separations, rtol=1e-13)
    assert bool((a.radii >= b.radii).all())
    assert bool((a.separations <= b.separations).all())
    np.testing.assert_allclose(a.separations[1:], a.radii[:-1], rtol=1e-12)
    line = np.arange(100.0)[:, None]
    found = farthest_points(line, 100)
    for radius in (0.4, 0.6, 1.0, 2.5, 7.0, 49.0, 99.0, 200.0):
        exact = math.ceil(100 / (2 * math.floor(radius) + 1)) if radius < 99 else 1  # balls around points of the line
        free = math.ceil(100 / (math.floor(2 * radius) + 1))  # balls around any centre
        low, high = found.covering(radius)
        assert low <= free <= exact <= high or (low <= free and exact <= high)
        assert found.packing(2 * radius) == low
        assert found.cover(radius) == high
    few = farthest_points(line, 3)
    assert few.cover(1.0) == 100
    assert few.packing(1.0) == 3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(5000, 33), (20011, 17), (1003, 384), (37, 1)])
def test_parallel_and_serial_traversals_agree(shape, dtype, monkeypatch):
    X = np.random.default_rng(shape).standard_normal(shape).astype(dtype)
    k = min(12, shape[0])
    parallel_limit = pairs.SMALL
    results = []
    for limit in (0, parallel_limit, 2**40):
        monkeypatch.setattr(pairs, "SMALL", limit)
        results.append(farthest_points(X, k, start=3))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    best = np.full(len(X), np.inf)
    for t, c in enumerate(results[0].indices):
        best = np.minimum(best, np.linalg.norm(X.astype(np.float64) - X[c].astype(np.float64), axis=1))
        assert results[0].radii[t] == pytest.approx(best.max(), rel=1e-12)
        assert results[0].radii[t] >= best.max() * (1 - 1e-15)


def test_fewer_distinct_points_than_centres():
    X = np.repeat(np.array([[0.0, 1.0], [3.0, 1.0]]), 4, axis=0)
    for package in (cpu, ref):
        found = package.farthest_points(X, 5, start=1)
        assert found.radii[1:].tolist() == [0.0] * 4
        assert found.separations[2:].tolist() == [0.0] * 3
        assert found.covering(0.0) == (2, 2)


@pytest.mark.parametrize("package", [cpu, ref])
def test_layouts(package):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((9, 4)), rng.standard_normal((9, 3))
    expected, cover = package.max_pairwise_ratio(X, Y), package.farthest_points(X, 4)
    frozen = X.copy()
    frozen.flags.writeable = False
    wide = np.zeros((18, 12))[::2, ::3]
    wide[...] = X
    for other in (frozen, np.asfortranarray(X), wide):
        assert package.max_pairwise_ratio(other, Y) == expected
        np.testing.assert_array_equal(package.farthest_points(other, 4).radii, cover.radii)
    np.testing.assert_array_equal(frozen, X)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_input(package):
    X = np.eye(4)
    bad = X.copy()
    bad[1, 2] = np.nan
    for call, match in [
        (lambda: package.max_pairwise_ratio(bad, X), r"X\[1, 2\]"),
        (lambda: package.max_pairwise_ratio(X, bad), r"Y\[1, 2\]"),
        (lambda: package.max_pairwise_ratio(X, X[:3]), "4 rows and Y has 3"),
        (lambda: package.max_pairwise_ratio(X[:1], X[:1]), "at least two"),
        (lambda: package.max_pairwise_ratio(X, X, rtol=0.0), "rtol"),
        (lambda: package.max_pairwise_ratio(X.astype(int), X), "int64"),
        (lambda: package.max_pairwise_ratio(X, X[0]), "Y has shape"),
        (lambda: package.farthest_points(bad, 2), r"X\[1, 2\]"),
        (lambda: package.farthest_points(X, 0), "k is 0"),
        (lambda: package.farthest_points(X, 5), "k is 5"),
        (lambda: package.farthest_points(X, 2.0), r"k is 2\.0"),
        (lambda: package.farthest_points(X, 2, start=4), "start is 4"),
        (lambda: package.farthest_points(X, 2, start=-1), "start is -1"),
        (lambda: package.farthest_points(X[:0], 1), "shape"),
        (lambda: package.farthest_points(X.astype(np.float16), 1), "float16"),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
