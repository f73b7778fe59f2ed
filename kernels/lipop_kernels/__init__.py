"""Numerical kernels: arrays in, arrays out, with a documented guarantee for every number; they know nothing of lipop.

Each function is written twice under the same name: ``lipop_kernels.ref`` (the plain definition, exact or in long
double: slow and clear) and ``lipop_kernels.cpu`` (Numba, BLAS and LAPACK). This module chooses by the type of the
array; importing it loads neither. Proved bounds cover their own rounding and rest on IEEE arithmetic and on a BLAS and
LAPACK that obey the standard error model.

Thread pools: idle OpenBLAS threads spin and take cores from the parallel kernels. Programs that use both should set
``OPENBLAS_THREAD_TIMEOUT=4`` before NumPy is imported; a library cannot do it for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lipop_kernels._common import LanczosBound, SurveyBound

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

FUNCTIONS = (
    "gram_matvec",
    "spectral_norm",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "spectral_norm_upper",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
)

__all__ = [
    "gram_matvec",
    "spectral_norm",
    "spectral_norm_probable",
    "lanczos_upper",
    "survey_norm",
    "spectral_norm_upper",
    "symmetric_max",
    "psd_max_batched",
    "batched_spectral_norms",
    "FUNCTIONS",
    "LanczosBound",
    "SurveyBound",
]


def _device(array: Any) -> Any:
    """The package that computes on this kind of array."""
    if type(array).__module__.partition(".")[0] == "cupy":
        raise ValueError(
            "A is a CuPy array, and this release has no CUDA kernels; expected a NumPy array (cupy.asnumpy makes one)"
        )
    return import_module("lipop_kernels.cpu")


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)``, reading each row of A once.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``.
    x : (n,) or (n, b) array
        float64 or float32; sums and result are in the wider of float32 and the types of A and x.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result.

    Returns
    -------
    y : array of the shape of x
        Entrywise within ``(g_n + g_m + g_n g_m) |A|^T |A| |x|``, ``g_k = k u / (1 - k u)``, u the unit roundoff of the
        sums.

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
