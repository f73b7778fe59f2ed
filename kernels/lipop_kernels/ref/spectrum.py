"""Singular values by exact inertia, the stable rank by exact sums, the density by quadratures in long double."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop_kernels._records import SpectrumDensity, TopSingular, spectrum_density_of
from lipop_kernels.ref._exact import finite, fraction, fractions, gram
from lipop_kernels.ref.lanczos import spectral_norm
from lipop_kernels.ref.verified import spectral_norm_upper


def top_singular_values(
    A: Any, k: int, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> TopSingular:
    """Floats just below the k largest singular values: at least i squares of singular values exceed ``lower[i - 1]^2``.

    Decided by the inertia of a rational matrix. A matvec object is first written as a matrix. Parameters, result and
    exceptions as in ``lipop_kernels.top_singular_values``; ``tol``, ``rng`` and ``maxiter`` change nothing.

    Examples
    --------
    >>> top_singular_values(np.diag([3.0, 4.0, 1.0]), 2).lower.round(12).tolist()
    [4.0, 3.0]
    """
    covered = not (hasattr(A, "matvec") and hasattr(A, "rmatvec"))
    values = finite(A, dtype) if covered else finite(np.stack([A.matvec(e) for e in np.eye(A.shape[1])], axis=1))
    if not 1 <= k <= min(values.shape):
        raise ValueError(f"k is {k!r}; expected at least 1 and at most {min(values.shape)}, the smaller side of A")
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}; expected a positive number")
    if maxiter is not None and maxiter < k:
        raise ValueError(f"maxiter is {maxiter!r}; expected at least k = {k}")
    values = values if values.shape[0] >= values.shape[1] else values.T
    exponent = math.frexp(float(np.abs(values).max()))[1]
    G, lower = gram(values), np.zeros(k)
    for i, s in enumerate(np.ldexp(np.linalg.svd(np.ldexp(values, -exponent))[1][:k], exponent).tolist()):
        step = 0.0
        while s > 0 and _eigenvalues_above(G, fraction(s) ** 2) <= i:
            step = max(2 * step, math.ulp(s))
            s = max(0.0, s - step)
        lower[i] = s
    return TopSingular(lower, np.zeros(k), 0, True, covered)


def _eigenvalues_above(M: list[list[Any]], t: Any) -> int:
    """How many eigenvalues of a symmetric rational matrix exceed the rational t: pivots with signs, by congruence."""
    n = len(M)
    M = [[M[i][j] - t * (i == j) for j in range(n)] for i in range(n)]
    count = 0
    for k in range(n):
        pivot = next((i for i in range(k, n) if M[i][i] != 0), None)
        if pivot is None:
            pair = next(((i, j) for i in range(k, n) for j in range(i + 1, n) if M[i][j] != 0), None)
            if pair is None:
                return count  # the rest is zero
            i, j = pair
            M[i] = [a + b for a, b in zip(M[i], M[j], strict=True)]
            for row in M:
                row[i] += row[j]
            pivot = i
        M[k], M[pivot] = M[pivot], M[k]
        for row in M:
            row[k], row[pivot] = row[pivot], row[k]
        count += M[k][k] > 0
        for i in range(k + 1, n):
            factor = M[i][k] / M[k][k]
            for j in range(k + 1, n):
                M[i][j] -= factor * M[k][j]
    return count


def stable_rank(A: Any, rtol: float = 1e-6, *, dtype: str | None = None) -> tuple[float, float]:
    """A bracket of ``|A|_F^2 / |A|_2^2``: the exact sum of squares over exact bounds of the norm.

    Parameters, result and exceptions as in ``lipop_kernels.stable_rank``.

    Examples
    --------
    >>> stable_rank(np.diag([3.0, 4.0]))
    (1.5625, 1.5625)
    """
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    values = finite(A, dtype)
    peak = float(np.abs(values).max())
    if peak == 0.0:
        raise ValueError("A is a matrix of zeros, which has no stable rank")
    values = np.ldexp(values, -math.frexp(peak)[1])  # what vanishes here is below 1e-300
    total = sum((x * x for row in fractions(values) for x in row), start=fraction(0.0))
    low, high = spectral_norm(values)[0], spectral_norm_upper(values, rtol=1e-17)
    below, above = total / fraction(high) ** 2, total / fraction(low) ** 2
    lower, upper = float(below.p) / float(below.q), float(above.p) / float(above.q)
    while fraction(lower) > below:
        lower = math.nextafter(lower, 0.0)
    while fraction(upper) < above:
        upper = math.nextafter(upper, math.inf)
    return max(1.0, lower), min(float(min(values.shape)), upper)


def spectrum_density(
    A: Any,
    probes: int = 8,
    steps: int = 64,
    *,
    rng: Any = 0,
    dtype: str | None = None,
    points: int = 256,
    bandwidth: float = 0.05,
) -> SpectrumDensity:
    """The average over random unit vectors of the Gauss quadratures of ``A^T A``, by Lanczos in long double.

    Parameters, result and exceptions as in ``lipop_kernels.spectrum_density``.

    Examples
    --------
    >>> found = spectrum_density(np.diag([1.0, 2.0, 3.0]), probes=2, steps=3)
    >>> found.nodes.round(9).tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    for name, value in (("probes", probes), ("steps", steps), ("points", points)):
        if not value >= 1:
            raise ValueError(f"{name} is {value!r}; expected at least 1")
    if not (bandwidth > 0 and math.isfinite(bandwidth)):
        raise ValueError(f"bandwidth is {bandwidth!r}; expected a positive number of decades")
    values = finite(A, dtype)
    if not values.any():
        raise ValueError("A is a matrix of zeros, whose singular values have no logarithm")
    values = values if values.shape[0] >= values.shape[1] else values.T
    exponent = math.frexp(float(np.abs(values).max()))[1]
    T, n = np.ldexp(values, -exponent).astype(np.longdouble), values.shape[1]
    starts = np.random.default_rng(rng).standard_normal((probes, n))
    squares, weights = [], []
    for start in starts / np.linalg.norm(starts, axis=1, keepdims=True):
        V, a, b = [start.astype(np.longdouble)], [], []
        for k in range(min(steps, n)):
            w = T.T @ (T @ V[k])
            size = float(np.sqrt((w**2).sum()))
            a.append(float(V[k] @ w))
            for _ in range(2):
                for v in V:
                    w = w - (v @ w) * v
            beta = float(np.sqrt((w**2).sum()))
            if beta <= 1e-15 * size:
                break
            b.append(beta)
            V.append(w / np.longdouble(beta))
        values, vectors = np.linalg.eigh(np.diag(a) + np.diag(b[: len(a) - 1], -1))
        squares.append(values)
        weights.append(vectors[0] ** 2)
    return spectrum_density_of(squares, weights, 8 * n * 2.0**-53, exponent, points, bandwidth)
