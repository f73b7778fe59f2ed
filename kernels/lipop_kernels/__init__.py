"""Numerical kernels: arrays in, arrays out, with a documented guarantee for every number; they know nothing of lipop.

Each function is written twice under the same name: ``lipop_kernels.ref`` (the plain definition, exact or in long
double: slow and clear) and ``lipop_kernels.cpu`` (Numba, BLAS and LAPACK). This module chooses by the type of the
array; importing it loads neither. Proved bounds cover their own rounding and rest on IEEE arithmetic and on a BLAS and
LAPACK that obey the standard error model.

Thread pools: idle OpenBLAS threads spin and take cores from the parallel kernels. Programs that use both should set
``OPENBLAS_THREAD_TIMEOUT=4`` before NumPy is imported; a library cannot do it for them.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop_kernels._common import LanczosBound, SurveyBound
from lipop_kernels._records import FarthestPoints, PairRatio, SpectrumDensity, TopSingular

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FUNCTIONS = (
    "gram_matvec",
    "matvec",
    "rmatvec",
    "chain_gram_matvec",
    "softmax_jvp",
    "softmax_vjp",
    "rms_norm_jvp",
    "rms_norm_vjp",
    "layer_norm_jvp",
    "layer_norm_vjp",
    "rotate",
    "spectral_norm",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "spectral_norm_upper",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
    "top_singular_values",
    "stable_rank",
    "spectrum_density",
    "max_pairwise_ratio",
    "farthest_points",
    "attention_linearisation",
    "attention_products",
)

__all__ = [
    "gram_matvec",
    "matvec",
    "rmatvec",
    "chain_gram_matvec",
    "softmax_jvp",
    "softmax_vjp",
    "rms_norm_jvp",
    "rms_norm_vjp",
    "layer_norm_jvp",
    "layer_norm_vjp",
    "rotate",
    "spectral_norm",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "spectral_norm_upper",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
    "top_singular_values",
    "stable_rank",
    "spectrum_density",
    "max_pairwise_ratio",
    "farthest_points",
    "attention_linearisation",
    "attention_products",
    "FUNCTIONS",
    "LanczosBound",
    "SurveyBound",
    "FarthestPoints",
    "PairRatio",
    "SpectrumDensity",
    "TopSingular",
]


def _device(array: Any) -> Any:
    """The package that computes on this kind of array."""
    if type(array) is not np.ndarray and type(array).__module__.partition(".")[0] == "cupy":
        raise ValueError(
            "A is a CuPy array, and this release has no CUDA kernels; expected a NumPy array (cupy.asnumpy makes one)"
        )
    return _cpu()


@lru_cache(maxsize=1)
def _cpu() -> Any:
    return import_module("lipop_kernels.cpu")


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)``, reading each row of A once.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, float16, or uint16 with ``dtype``; any strides, read-only or memory-mapped too: no copy is
        made.
    x : (n,) or (n, b) array
        float64 or float32; sums and result are in the wider of float32 and the types of A and x.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result; it may not share memory with A or x.

    Returns
    -------
    y : array of the shape of x
        Entrywise within ``(g_n + g_m + g_n g_m) |A|^T |A| |x| + e (m + 1 + n |A|^T 1)``, ``g_k = k u / (1 - k u)``, u
        the unit roundoff and e the smallest positive number of the type of the sums. The same for every call with the
        same number of threads.

    Raises
    ------
    ValueError
        If shapes or types do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> gram_matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    return _device(A).gram_matvec(A, x, dtype=dtype, out=out)


def matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A x``, entrywise within ``g_n |A| |x| + e n``: arguments and symbols as in ``gram_matvec``.

    Examples
    --------
    >>> import numpy as np
    >>> matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 1.])
    """
    return _device(A).matvec(A, x, dtype=dtype, out=out)


def rmatvec(A: Any, y: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T y``, entrywise within ``g_m |A|^T |y| + e m``: arguments and symbols as in ``gram_matvec``.

    Examples
    --------
    >>> import numpy as np
    >>> rmatvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([1., 3.])
    """
    return _device(A).rmatvec(A, y, dtype=dtype, out=out)


def chain_gram_matvec(
    factors: Sequence[Any], x: Any, *, dtype: str | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """``P^T (P x)`` for ``P = F1 F2 ... Fk``, which is not formed.

    Parameters
    ----------
    factors : sequence of (m_i, n_i) arrays or of (heads, m_i, n_i) arrays
        ``n_i == m_{i+1}``; storage as in ``gram_matvec``. Transposes are views, and stay so: ``[W_Q.T, W_K]``.
    x : (n_k,) or (n_k, b) array; with stacks (heads, n_k) or (heads, n_k, b)
        float64 or float32.
    dtype, out
        As in ``gram_matvec``.

    Returns
    -------
    y : array of the shape of x
        Entrywise within ``g_K |Fk|^T ... |F1|^T |F1| ... |Fk| |x|``, K the sum of all m_i + n_i, but for underflow.

    Raises
    ------
    ValueError
        If there is no factor, shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> import numpy as np
    >>> chain_gram_matvec([np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[2.0], [1.0]])], np.array([1.0]))
    array([17.])
    """
    device = _device(factors[0] if isinstance(factors, list | tuple) and factors else None)
    return device.chain_gram_matvec(factors, x, dtype=dtype, out=out)


def softmax_jvp(p: Any, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """``p * (v - <p, v>)`` for every row: softmax's derivative where its value is p (..., n), times v like p.

    Entrywise within ``g_{n+2} |p_i| (|v_i| + <|p|, |v|>) + e (2 + n |p_i|)``, with the symbols of ``gram_matvec``.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jvp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    return _device(p).softmax_jvp(p, v, out=out)


def softmax_vjp(p: Any, u: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """The transpose of softmax's derivative times u: the derivative is symmetric, so this is ``softmax_jvp(p, u)``.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_vjp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    return _device(p).softmax_vjp(p, u, out=out)


def rms_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """RMSNorm's derivative times v, for every row: ``gain * scale * (v - z mean(z v))``.

    z (..., n) holds the normalised rows before the gain (n,), scale (...) one over each row's root mean square; v is
    like z, all of one type. Entrywise within ``g_{n+6} |gain_i| scale (|v_i| + |z_i| mean|z v|)`` but for underflow.

    Examples
    --------
    >>> import numpy as np
    >>> rms_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    return _device(z).rms_norm_jvp(z, scale, v, gain, out=out)


def rms_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """The transpose of RMSNorm's derivative times u: ``scale * (w - z mean(z w))`` with ``w = gain * u``.

    Arguments and error as in ``rms_norm_jvp``, with w in the place of v.

    Examples
    --------
    >>> import numpy as np
    >>> rms_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    return _device(z).rms_norm_vjp(z, scale, u, gain, out=out)


def layer_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """LayerNorm's derivative times v, for every row: ``gain * scale * (v - mean(v) - z mean(z v))``.

    z (..., n) holds the normalised rows before the gain (n,), scale (...) one over each row's standard deviation; v
    is like z, all of one type. Entrywise within ``g_{n+6} |gain_i| scale (|v_i| + mean|v| + |z_i| mean|z v|)`` but for
    underflow.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0., 0.]])
    """
    return _device(z).layer_norm_jvp(z, scale, v, gain, out=out)


def layer_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """The transpose of LayerNorm's derivative times u: ``scale * (w - mean(w) - z mean(z w))`` with ``w = gain * u``.

    Arguments and error as in ``layer_norm_jvp``, with w in the place of v.

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0., 0.]])
    """
    return _device(z).layer_norm_vjp(z, scale, u, gain, out=out)


def rotate(x: Any, cos: Any, sin: Any, inverse: bool = False, *, out: np.ndarray | None = None) -> np.ndarray:
    """Rotary embedding of tokens (..., T, d), tables (T, d/2): ``(x[j], x[j + d/2])`` turn as a pair.

    ``(a, b) -> (a c - b s, a s + b c)``, or back (the transpose). Entrywise within ``g_2 (|a| |c| + |b| |s|) + 2 e``,
    in the second half ``g_2 (|a| |s| + |b| |c|) + 2 e``, with the symbols of ``gram_matvec``.

    Examples
    --------
    >>> import numpy as np
    >>> rotate(np.array([[1.0, 2.0]]), np.zeros((1, 1)), np.ones((1, 1)))
    array([[-2.,  1.]])
    """
    return _device(x).rotate(x, cos, sin, inverse, out=out)


def spectral_norm(
    A: Any, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> tuple[float, np.ndarray, dict[str, Any]]:
    """The spectral norm from below: ``sigma <= |A|_2`` within about ``tol``, with its direction.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
    tol : float
        Relative accuracy aimed at.
    rng : Generator or seed
        The start vector.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    maxiter : int, optional
        At most so many applications of ``A^T A`` (default 300).

    Returns
    -------
    sigma : float
        ``|A v| / |v|``, rounded down: a true lower bound for an array.
    v : (n,) float64 array
    info : dict
        ``iterations``, ``residual``, ``converged``, ``history``, ``rounding_covered`` (False for a matvec object).

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> sigma, v, info = spectral_norm(np.diag([3.0, 4.0]))
    >>> 4.0 * (1 - 1e-12) < sigma <= 4.0
    True
    """
    return _device(A).spectral_norm(A, tol, rng=rng, dtype=dtype, maxiter=maxiter)


def spectral_norm_probable(
    A: Any,
    delta: float = 1e-9,
    rtol: float = 1e-2,
    *,
    rng: Any = 0,
    dtype: str | None = None,
    steps: int | None = None,
    max_steps: int = 200,
    product_error: float | None = None,
) -> LanczosBound:
    """A bracket of ``|A|_2`` whose upper end holds with probability ``1 - delta``: ``lanczos_upper`` on ``A^T A``.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
    delta, rtol, rng, steps, max_steps
        As in ``lanczos_upper``; ``rtol`` is the gap of the norm.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    product_error : float, optional
        A bound of the error of a product with ``A^T A`` for unit vectors; default: an a-priori bound for an array, 0
        for an object.

    Returns
    -------
    LanczosBound

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> bound = spectral_norm_probable(np.diag(np.arange(1.0, 101.0)), rtol=1e-3)
    >>> bound.lower <= 100.0 <= bound.upper <= bound.lower * 1.001
    True
    """
    options = {"rng": rng, "dtype": dtype, "steps": steps, "max_steps": max_steps, "product_error": product_error}
    return _device(A).spectral_norm_probable(A, delta, rtol, **options)


def lanczos_upper(
    apply: Callable[[np.ndarray], np.ndarray],
    shape: int | tuple[int, ...],
    *,
    steps: int | None = None,
    delta: float = 1e-9,
    rtol: float = 1e-3,
    rng: Any = 0,
    product_error: float = 0.0,
    max_steps: int = 200,
) -> LanczosBound:
    """A bracket of the largest eigenvalue of a symmetric operator; the upper end holds with probability ``1 - delta``.

    Parameters
    ----------
    apply : callable
        ``v -> B v`` for float64 arrays of ``shape``; B may be indefinite.
    shape : int or tuple of int
    steps : int, optional
        Exactly so many steps: the same seed then gives the same bound. Default: until ``upper - lower <= rtol
        |lower|``.
    delta : float
        Failure probability over the choice of the start vector.
    rtol : float
        Relative gap at which to stop.
    rng : Generator or seed
        The start vector.
    product_error : float
        A bound of ``|fl(B v) - B v|`` for unit v.
    max_steps : int
        Most steps where ``steps`` is None.

    Returns
    -------
    LanczosBound

    Raises
    ------
    ValueError
        If a parameter is out of range, or a product is not finite or has another shape.

    References
    ----------
    M. E. Hochstenbach, Probabilistic upper bounds for the matrix two-norm, J. Sci. Comput. 57 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> scale = np.arange(1.0, 51.0)
    >>> bound = lanczos_upper(lambda v: scale * v, (50,))
    >>> bound.lower <= 50.0 <= bound.upper <= bound.lower * 1.001
    True
    """
    options = {"steps": steps, "delta": delta, "rtol": rtol, "rng": rng, "product_error": product_error}
    return _device(None).lanczos_upper(apply, shape, max_steps=max_steps, **options)


def survey_norm(
    A: Any,
    delta: float = 1e-9,
    rtol: float = 1e-2,
    *,
    rng: Any = 0,
    dtype: str | None = None,
    steps: int | None = None,
    max_steps: int = 200,
) -> SurveyBound:
    """Brackets of ``|A|_2`` and ``|A|_F`` of a stored weight matrix, which is read few times and never converted.

    As ``spectral_norm_probable``, with products in float32 whose error is measured.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``.
    delta : float
        Failure probability of the norm's upper end.
    rtol : float
        Relative gap of the bracket at which to stop.
    rng : Generator or seed
        Of everything that is random.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    steps : int, optional
        Exactly so many Lanczos steps, to repeat a run.
    max_steps : int
        Most steps where ``steps`` is None.

    Returns
    -------
    SurveyBound

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> bound = survey_norm(np.diag([2.0, 2.0, 1.0]).astype(np.float32))
    >>> bound.lower <= 2.0 <= bound.upper <= 2.02, bound.frobenius_lower <= 3.0 <= bound.frobenius_upper
    (True, True)
    """
    return _device(A).survey_norm(A, delta, rtol, rng=rng, dtype=dtype, steps=steps, max_steps=max_steps)


def spectral_norm_upper(
    A: Any, rtol: float = 1e-3, error: float = 0.0, *, dtype: str | None = None, start: float | None = None
) -> float:
    """A float that is proved to be at least ``|A|_2 + error``, by a Cholesky factorisation (proof in ``cpu.verified``).

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``; its entries count as exact.
    rtol : float
        Relative slack aimed at (1e-8 can be reached up to min(m, n) of about 5000).
    error : float
        A bound of ``|A_true - A|_2`` where A itself is approximate.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    start : float, optional
        An estimate of the norm from below; it affects time and tightness only.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an entry is not finite, a shape or type is wrong, or a parameter is out of range.

    References
    ----------
    S. M. Rump, Verification of positive definiteness, BIT 46 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> 4.0 <= spectral_norm_upper(np.diag([3.0, 4.0]), rtol=1e-9) <= 4.0 * (1 + 1e-8)
    True
    """
    return _device(A).spectral_norm_upper(A, rtol, error, dtype=dtype, start=start)


def symmetric_max(S: Any, rtol: float = 1e-3, error: float = 0.0) -> float:
    """A float that is proved to be at least ``lambda_max((S + S^T) / 2) + error``; it may be negative.

    Parameters
    ----------
    S : (n, n) array
        float64 or float32.
    rtol : float
        Slack aimed at, relative to ``|(S + S^T) / 2|_2``.
    error : float
        A bound of ``|S_true - S|_2``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If S is not square, an entry is not finite, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> -2.0 <= symmetric_max(np.array([[-2.0, 1.0], [-1.0, -3.0]]), rtol=1e-9) <= -2.0 + 1e-8
    True
    """
    return _device(S).symmetric_max(S, rtol, error)


def psd_max_batched(G: Any, error: Any, rtol: float = 1e-2) -> np.ndarray:
    """Proved upper bounds of ``lambda_max`` of each true symmetric matrix of a stack, known within ``error``.

    Parameters
    ----------
    G : (B, n, n) array
        float64 or float32.
    error : float or (B,) array
        Bounds of ``|G_true - G|_F``.
    rtol : float
        Slack aimed at, relative to ``|G|_2``.

    Returns
    -------
    (B,) float64 array

    Raises
    ------
    ValueError
        For a wrong shape, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> bool((psd_max_batched(np.stack([np.eye(3), 2 * np.eye(3)]), 0.0) >= [1.0, 2.0]).all())
    True
    """
    return _device(G).psd_max_batched(G, error, rtol)


def batched_spectral_norms(A: Any, *, rtol: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """Certified brackets ``lower <= |A_b|_2 <= upper`` for a stack of matrices.

    Parameters
    ----------
    A : (B, m, n) array
        float64 or float32; entries count as exact.
    rtol : float
        Relative slack of the upper end aimed at.

    Returns
    -------
    lower, upper : (B,) float64 arrays

    Raises
    ------
    ValueError
        For a wrong shape, an entry that is not finite, or ``rtol`` out of range.

    Examples
    --------
    >>> import numpy as np
    >>> lower, upper = batched_spectral_norms(np.stack([np.eye(3), 2 * np.eye(3)]))
    >>> bool((lower <= [1.0, 2.0]).all() and ([1.0, 2.0] <= upper).all())
    True
    """
    return _device(A).batched_spectral_norms(A, rtol=rtol)


def top_singular_values(
    A: Any, k: int, tol: float = 1e-6, *, rng: Any = 0, dtype: str | None = None, maxiter: int | None = None
) -> TopSingular:
    """The k largest singular values from below: ``lower[i] <= sigma_i``, with estimates of what is missing.

    Parameters
    ----------
    A : (m, n) array, or an object with ``shape``, ``matvec`` and ``rmatvec``
    k : int
        At most ``min(m, n)``.
    tol : float
        Accuracy aimed at, relative to each value.
    rng : Generator or seed
        The start vectors.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    maxiter : int, optional
        At most so many columns are multiplied (default ``300 + 4 k``).

    Returns
    -------
    TopSingular
        ``lower`` is proved for an array, whatever the start.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> top = top_singular_values(np.diag(np.arange(1.0, 201.0)), 3)
    >>> bool((top.lower <= [200.0, 199.0, 198.0]).all() and (top.lower > [199.99, 198.99, 197.99]).all())
    True
    """
    return _device(A).top_singular_values(A, k, tol, rng=rng, dtype=dtype, maxiter=maxiter)


def stable_rank(A: Any, rtol: float = 1e-6, *, dtype: str | None = None) -> tuple[float, float]:
    """A proved bracket of ``|A|_F^2 / |A|_2^2``, which lies between 1 and the rank.

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
    >>> import numpy as np
    >>> lower, upper = stable_rank(np.diag([3.0, 4.0]))
    >>> lower <= 25 / 16 <= upper <= lower * 1.00001
    True
    """
    return _device(A).stable_rank(A, rtol, dtype=dtype)


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
    """An estimate of how the singular values are distributed: stochastic Lanczos quadrature (never a bound).

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``.
    probes, steps : int
        Random vectors, and Lanczos steps from each of them.
    rng : Generator or seed
        The probes.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    points : int
        Of the grid of the smoothed density of log10 of the singular values.
    bandwidth : float
        Standard deviation, in decades, of the Gaussian that smooths it.

    Returns
    -------
    SpectrumDensity

    Raises
    ------
    ValueError
        For a matrix of zeros, a wrong shape or type, an entry that is not finite, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> found = spectrum_density(np.diag(np.linspace(1.0, 2.0, 300)), steps=20)
    >>> bool(abs(found.weights.sum() - 1.0) < 1e-12 and 1.0 < found.nodes[0] < found.nodes[-1] < 2.0)
    True
    """
    options = {"rng": rng, "dtype": dtype, "points": points, "bandwidth": bandwidth}
    return _device(A).spectrum_density(A, probes, steps, **options)


def max_pairwise_ratio(X: Any, Y: Any, rtol: float = 1e-9) -> PairRatio:
    """The largest ``|Y_i - Y_j| / |X_i - X_j|`` over all pairs of rows, with the pair: l2 distances.

    Parameters
    ----------
    X : (n, d) array
        float64 or float32; entries count as exact.
    Y : (n, e) array
        float64 or float32, as many rows.
    rtol : float
        How much larger, relatively, the true maximum may be.

    Returns
    -------
    PairRatio
        ``value`` is proved for the pair ``i < j``, ``upper`` for all pairs. Equal X with different Y give infinity.

    Raises
    ------
    ValueError
        For a wrong shape or type, fewer than two points, an entry that is not finite, or ``rtol`` out of range.

    Examples
    --------
    >>> import numpy as np
    >>> found = max_pairwise_ratio(np.array([[0.0], [1.0], [3.0]]), np.array([[0.0], [2.0], [3.0]]))
    >>> (found.i, found.j), 2.0 * (1 - 1e-12) < found.value <= 2.0 <= found.upper
    ((0, 1), True)
    """
    return _device(X).max_pairwise_ratio(X, Y, rtol)


def farthest_points(X: Any, k: int, start: int = 0) -> FarthestPoints:
    """Gonzalez's traversal: each centre is the point farthest from those before it; packings and covers at all scales.

    Parameters
    ----------
    X : (n, d) array
        float64 or float32; entries count as exact.
    k : int
        The number of centres, at most n.
    start : int
        The first centre.

    Returns
    -------
    FarthestPoints
        Indices, separations (rounded down), covering radii (rounded up), the assignment of every point; its method
        ``covering(r)`` brackets the number of balls of radius r that the points need.

    Raises
    ------
    ValueError
        For a wrong shape or type, an entry that is not finite, or k or start out of range.

    Examples
    --------
    >>> import numpy as np
    >>> found = farthest_points(np.array([[0.0], [1.0], [5.0], [6.0]]), 3)
    >>> found.indices.tolist(), found.assignment.tolist(), found.covering(1.5)
    ([0, 3, 1], [0, 2, 1, 1], (2, 2))
    """
    return _device(X).farthest_points(X, k, start)


def attention_linearisation(
    x: Any,
    W_Q: Any,
    W_K: Any,
    W_V: Any,
    W_O: Any,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    b_Q: Any = None,
    b_K: Any = None,
    b_V: Any = None,
    b_O: Any = None,
    causal: bool = False,
    rotary: Any = None,
    scale: float | None = None,
    dtype: Any = None,
    memory: int = 2**30,
) -> Any:
    """Multi-head attention at x with its derivative J: everything that does not depend on the direction is cached.

    Parameters
    ----------
    x : (T, d) array
        float64 or float32, like the weights.
    W_Q : (H dk, d) array
    W_K, W_V : (G dk, d) arrays
        Head h reads key head ``h // (H / G)``.
    W_O : (d, H dk) array
    n_heads, n_kv_heads : int
        H and G (H by default).
    b_Q, b_K, b_V, b_O : arrays, optional
    causal : bool
        Token i sees tokens up to i only; what is masked costs nothing.
    rotary : pair of (T, pairs) arrays, optional
        Cosines and sines: entries i and i + pairs of every query and key head turn together (half-split layout).
    scale : float, optional
        The score's factor, ``1 / sqrt(dk)`` by default.
    dtype : dtype, optional
        float64 or float32, in which everything is computed; by default that of x.
    memory : int
        Bytes of probabilities that may be stored (``H T^2`` numbers, half of them with a causal mask); the rest is made
        again from the scores in every product: a quarter more operations on tiles, and exponentials.

    Returns
    -------
    object
        With ``value`` (T, d), the products ``jvp(v)`` = J v, ``vjp(u)`` = J^T u and ``gram(v)`` = J^T J v on (T, d)
        arrays (each with ``out=``), ``matvec`` and ``rmatvec`` on flat ones (so that ``spectral_norm`` takes it), and
        ``shape``. For ``lanczos_upper`` pass ``gram`` and ``shape_in``. Rounding errors: ``cpu.attention``.

    Raises
    ------
    ValueError
        For a shape, type or parameter that does not fit, or an entry that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> eye, x = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> J = attention_linearisation(x, eye, eye, eye, eye, n_heads=1)
    >>> J.value.round(4).tolist(), J.jvp(np.ones((2, 2))).round(4).tolist()
    ([[0.6698, 0.3302], [0.3302, 0.6698]], [[1.0, 1.0], [1.0, 1.0]])
    """
    options = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "b_Q": b_Q, "b_K": b_K, "b_V": b_V, "b_O": b_O}
    options |= {"causal": causal, "rotary": rotary, "scale": scale, "dtype": dtype, "memory": memory}
    return _device(x).attention_linearisation(x, W_Q, W_K, W_V, W_O, **options)


def attention_products(
    q: Any,
    k: Any,
    v: Any,
    p: Any,
    o: Any,
    W_Q: Any,
    W_K: Any,
    W_V: Any,
    W_O: Any,
    *,
    causal: bool = False,
    rotary: Any = None,
    scale: float | None = None,
    dtype: Any = None,
) -> Any:
    """Products with attention's derivative made of stored factors, which count as exact.

    Parameters
    ----------
    q : (H, T, dk) array
        Queries, turned where ``rotary`` is given.
    k, v : (G, T, dk) arrays
        Keys (turned) and values.
    p : (H, T, T) array, or an iterable of H arrays (T, T)
        Probabilities, all of one type; zero above the diagonal if ``causal``. They are taken head by head, so an
        iterable need not hold them all at once, and are kept in float32 if they are in float32.
    o : (H, T, dk) array
        The heads' outputs.
    W_Q, W_K, W_V, W_O, causal, rotary, scale, dtype
        As in ``attention_linearisation``.

    Returns
    -------
    object
        As there, without ``value``.

    Raises
    ------
    ValueError
        For a shape or type that does not fit, or an entry that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> eye, p = np.eye(2), np.full((1, 2, 2), 0.5)
    >>> J = attention_products(eye[None], eye[None], eye[None], p, p, eye, eye, eye, eye)
    >>> J.jvp(np.ones((2, 2))).round(4).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    options = {"causal": causal, "rotary": rotary, "scale": scale, "dtype": dtype}
    return _device(q).attention_products(q, k, v, p, o, W_Q, W_K, W_V, W_O, **options)
