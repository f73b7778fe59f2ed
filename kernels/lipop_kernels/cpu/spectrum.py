"""More of the spectrum than the norm: several singular values from below, the stable rank, the density of all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipop_kernels._common import (
    HALF,
    UNIT,
    blocks,
    down,
    exponent_of,
    gamma,
    norm_up,
    rescaled,
    scaled_down,
    stored,
    up,
)
from lipop_kernels._records import SpectrumDensity, TopSingular, spectrum_density_of
from lipop_kernels.cpu._products import one_blas_thread, operator_shape
from lipop_kernels.cpu._subspace import block_lanczos, quadratures
from lipop_kernels.cpu._top import rows_first
from lipop_kernels.cpu.gram import gram_matvec
from lipop_kernels.cpu.lanczos import spectral_norm
from lipop_kernels.cpu.verified import spectral_norm_upper

DENSE = 128  # up to this smaller side an SVD is at least as fast
Product = Callable[[np.ndarray], np.ndarray]


def top_singular_values(
    A: Any, k: int, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> TopSingular:
    """The k largest singular values from below.

    Block Lanczos on ``A^T A`` with full reorthogonalisation, without restarts; a direction that runs out is replaced by
    a random one, so equal singular values are found too. Let the rows of V be its k best directions. Courant and
    Fischer give ``sigma_i(A) >= sigma_i(A V^T) / |V|_2`` for every V; the small matrix ``A V^T`` is evaluated in
    float64, decomposed, and the decomposition is verified.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
        float64, float32, or uint16 with ``dtype``; products are in float64.
    k : int
        At most ``min(m, n)``.
    tol : float
        Accuracy aimed at, relative to each value (and no finer than 1e-13 of the largest).
    rng : Generator or seed
        The start vectors.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    maxiter : int, optional
        At most so many columns are multiplied (default ``300 + 4 k``).

    Returns
    -------
    TopSingular
        ``lower[i] <= sigma_i`` for every start, also where it has not converged: with ``W = fl(A V^T)`` and computed
        ``W = P S Q^T + R``, ``sigma_i(A) >= (s_i sqrt((1 - p)(1 - q)) - |R|_F - g_n | |A| |V|^T |_F) / |V|_2``, where
        ``p = |P^T P - I|_F`` and q alike, all rounding included. ``errors`` are estimates.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> top = top_singular_values(np.diag(np.arange(1.0, 201.0)), 3)
    >>> bool((top.lower <= [200.0, 199.0, 198.0]).all() and (top.lower > [199.99, 198.99, 197.99]).all())
    True
    """
    if hasattr(A, "matvec") and hasattr(A, "rmatvec"):
        m, n = operator_shape(A)
        _check_top(k, min(m, n), tol, maxiter)
        forward, backward = (A.matvec, A.rmatvec) if m >= n else (A.rmatvec, A.matvec)
        apply, adjoint = _columns(forward, max(m, n)), _columns(backward, min(m, n))
        V, found, steps, met = block_lanczos(
            lambda X: adjoint(apply(X)), min(m, n), k, tol, rng, 300 + 4 * k if maxiter is None else maxiter
        )
        return _certified(apply(V.T), 0.0, V, found, (steps, met, False), 0)
    A, kind = stored(A, dtype)
    _check_top(k, min(A.shape), tol, maxiter)
    exponent = exponent_of(A, kind)
    if exponent is None:
        return TopSingular(np.zeros(k), np.zeros(k), 0, True, True)
    T, code, shift = _tall(A, kind, exponent)
    if min(A.shape) <= DENSE or 3 * k >= min(A.shape):
        V, found, steps, met = np.linalg.svd(_float64(T, code), full_matrices=False)[2][:k], np.zeros(k), 0, True
    else:
        storage = code if code in HALF else None
        with one_blas_thread():
            V, found, steps, met = block_lanczos(
                lambda X: gram_matvec(T, X, dtype=storage),
                T.shape[1],
                k,
                tol,
                rng,
                300 + 4 * k if maxiter is None else maxiter,
            )
    W, error = _image(T, code, V)
    return _certified(W, error, V, found, (steps, met, True), shift)


def _check_top(k: int, limit: int, tol: float, maxiter: int | None) -> None:
    if not 1 <= k <= limit:
        raise ValueError(f"k is {k!r}; expected at least 1 and at most {limit}, the smaller side of A")
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}; expected a positive number")
    if maxiter is not None and maxiter < k:
        raise ValueError(f"maxiter is {maxiter!r}; expected at least k = {k}")


def _columns(product: Product, length: int) -> Product:
    """A product with a matrix, column by column."""

    def apply(X: np.ndarray) -> np.ndarray:
        Y = np.stack([np.ravel(np.asarray(product(x), dtype=np.float64)) for x in X.T], axis=1)
        if Y.shape[0] != length or not bool(np.isfinite(Y).all()):
            raise ValueError(
                f"a product with A has {Y.shape[0]} entries; expected {length}, all finite (rescale A above 1e75)"
            )
        return Y

    return apply


def _tall(A: np.ndarray, kind: str, exponent: int) -> tuple[np.ndarray, str, int]:
    """A or its transpose with contiguous rows, how it is stored, and the power of two that was taken out of it."""
    T, _ = rows_first(A)
    if abs(exponent) <= 200:
        return T, kind, 0
    return np.concatenate([rescaled(b, exponent) for _, b in blocks(T, kind)]), "f64", exponent


def _float64(T: np.ndarray, kind: str) -> np.ndarray:
    """A stored matrix in float64."""
    return np.concatenate([b for _, b in blocks(T, kind)])


def _image(T: np.ndarray, kind: str, V: np.ndarray) -> tuple[np.ndarray, float]:
    """``fl(T V^T)`` and a bound of its error in the Frobenius norm."""
    W, majorant, size = np.empty((T.shape[0], len(V))), 0.0, np.abs(V).T
    for i, block in blocks(T, kind):
        W[i : i + len(block)] = block @ V.T
        majorant += norm_up(np.abs(block) @ size) ** 2
    g = gamma(T.shape[1] + 1)
    return W, up(g / (1.0 - g) * math.sqrt(majorant) * (1.0 + gamma(T.shape[0] + 2))) + 1e-150


def _certified(
    W: np.ndarray, error: float, V: np.ndarray, squares: np.ndarray, run: tuple[int, bool, bool], shift: int
) -> TopSingular:
    """Lower bounds of singular values of A from ``W = A V^T`` (within ``error``); ``squares``: errors of theirs."""
    k = len(V)
    P, s, Qt = np.linalg.svd(W, full_matrices=False)
    sizes = norm_up(P) * norm_up(Qt)
    residual = norm_up(W - (P * s) @ Qt) * (1 + 2 * UNIT) + up(
        gamma(k + 4) * sizes * float(s[0]) + UNIT * norm_up(W), 8
    )
    p, q, v = _defect(P.T), _defect(Qt), _defect(V)
    shrink = down(math.sqrt(max(0.0, 1.0 - p) * max(0.0, 1.0 - q)), 8)
    lower = down(np.maximum(0.0, down(s * shrink) - up(residual + error + 1e-150)) / up(math.sqrt(1.0 + v)))
    certain = np.array([scaled_down(float(x), shift) for x in np.minimum.accumulate(lower)])
    estimates = np.where(s > 0, squares / np.where(s > 0, s, 1.0), 0.0) + (s - lower)
    steps, met, covered = run
    return TopSingular(certain, np.ldexp(estimates, shift), steps, met, covered)


def _defect(V: np.ndarray) -> float:
    """A bound of ``|V V^T - I|_F``."""
    n = V.shape[1]
    g = gamma(n + 2)
    return up(norm_up(V @ V.T - np.eye(len(V))) * (1 + 2 * UNIT) + g * norm_up(V) ** 2, 8)


def stable_rank(A: Any, rtol: float = 1e-6, *, dtype: str | None = None) -> tuple[float, float]:
    """A bracket of the stable rank ``|A|_F^2 / |A|_2^2``, between 1 and the rank.

    Both ends are proved: ``|A|_F`` is evaluated with its rounding, ``|A|_2`` lies between ``spectral_norm`` and
    ``spectral_norm_upper``.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``; its entries count as exact.
    rtol : float
        Relative accuracy aimed at.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.

    Returns
    -------
    lower, upper : float

    Raises
    ------
    ValueError
        For a matrix of zeros, a wrong shape or type, an entry that is not finite, or ``rtol`` that is not positive.

    Examples
    --------
    >>> lower, upper = stable_rank(np.diag([3.0, 4.0]))
    >>> lower <= 25 / 16 <= upper <= lower * 1.00001
    True
    """
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    A, kind = stored(A, dtype)
    exponent = exponent_of(A, kind)
    if exponent is None:
        raise ValueError("A is a matrix of zeros, which has no stable rank")
    if abs(exponent) > 500:  # the norm itself would be rounded coarsely, or overflow
        A, kind, dtype = np.concatenate([rescaled(b, exponent) for _, b in blocks(A, kind)]), "f64", None
        exponent = 0
    total = 0.0
    for _, block in blocks(A, kind):
        b = rescaled(block, exponent)
        total += float(np.einsum("ij,ij->i", b, b).sum())
    rounding = gamma(sum(A.shape) + A.size // 2**21 + 8)
    sigma = spectral_norm(A, max(rtol / 4, 1e-14), dtype=dtype)[0]
    above = spectral_norm_upper(A, rtol / 4, dtype=dtype, start=sigma)
    low, high = math.ldexp(sigma, -exponent), math.ldexp(above, -exponent) if above < math.inf else math.inf
    lower = down(down(total * (1.0 - rounding)) / up(high * high)) if high < math.inf else 0.0
    upper = up(up(total * (1.0 + rounding) + 1e-290) / down(low * low)) if low > 0 else math.inf
    return max(1.0, lower), min(float(min(A.shape)), upper)


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
    """An estimate of how the singular values are distributed: stochastic Lanczos quadrature.

    For v uniform on the unit sphere, ``v^T f(A^T A) v`` has the expectation ``trace f(A^T A) / n``, n the smaller side;
    ``steps`` steps of Lanczos give a Gauss quadrature of it that is exact for polynomials of degree below ``2 steps``.
    The quadratures of independent probes are averaged. All probes are multiplied at once, in float64.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``.
    probes, steps : int
    rng : Generator or seed
        The probes.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    points : int
        Of the grid of the smoothed density.
    bandwidth : float
        Standard deviation, in decades, of the Gaussian that smooths it.

    Returns
    -------
    SpectrumDensity
        Estimates, never bounds: a moment of order j has the standard deviation ``sqrt(2 / ((n + 2) probes))`` times
        that of ``sigma_i^(2 j)`` over the n singular values. Nodes below ``sqrt(8 n u)`` of the largest count as zero.

    Raises
    ------
    ValueError
        For a matrix of zeros, a wrong shape or type, an entry that is not finite, or a parameter out of range.

    References
    ----------
    S. Ubaru, J. Chen, Y. Saad, Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal.
    Appl. 38 (2017).

    Examples
    --------
    >>> found = spectrum_density(np.diag(np.linspace(1.0, 2.0, 300)), steps=20)
    >>> float(found.weights.sum()), bool(1.0 < found.nodes[0] < found.nodes[-1] < 2.0)
    (1.0, True)
    """
    for name, value in (("probes", probes), ("steps", steps), ("points", points)):
        if not value >= 1:
            raise ValueError(f"{name} is {value!r}; expected at least 1")
    if not (bandwidth > 0 and math.isfinite(bandwidth)):
        raise ValueError(f"bandwidth is {bandwidth!r}; expected a positive number of decades")
    A, kind = stored(A, dtype)
    exponent = exponent_of(A, kind)
    if exponent is None:
        raise ValueError("A is a matrix of zeros, whose singular values have no logarithm")
    T, code, shift = _tall(A if A.shape[0] >= A.shape[1] else np.ascontiguousarray(A.T), kind, exponent)
    storage, n = code if code in HALF else None, T.shape[1]
    starts = np.random.default_rng(rng).standard_normal((probes, n))
    starts /= np.linalg.norm(starts, axis=1, keepdims=True)
    with one_blas_thread():
        squares, weights = quadratures(lambda X: gram_matvec(T, X, dtype=storage), starts, min(steps, n))
    return spectrum_density_of(squares, weights, 8 * n * UNIT, shift, points, bandwidth)
