"""``A^T (A x)`` reading A once."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._common import decoded, stored

SMALL = 2**21  # bytes of A below which one thread (BLAS) is faster than the parallel kernel


def gram_matvec(A: Any, x: Any, *, dtype: str | None = None, out: np.ndarray | None = None) -> np.ndarray:
    """``A^T (A x)``, with each row of A read from memory once.

    Rows are taken eight at a time: eight dot products with x, then one update of the result, while the rows are in
    cache; each thread has its own result. The sums are in the wider of float32 and the types of A and x: a float32 (or
    16-bit) matrix with a float64 x is accumulated in float64.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``. Rows should be contiguous: other layouts are multiplied in two
        passes.
    x : (n,) or (n, b) array
        float64 or float32.
    dtype : {"bf16", "f16"}, optional
        What the bits of a uint16 matrix mean.
    out : array, optional
        Receives the result (shape of x).

    Returns
    -------
    y : array of the shape of x
        ``|y - A^T A x| <= (g_n + g_m + g_n g_m) |A|^T |A| |x|`` entrywise, ``g_k = k u / (1 - k u)``, u the unit
        roundoff of the type of the sums (no overflow or underflow).

    Raises
    ------
    ValueError
        If shapes or types do not fit.

    Examples
    --------
    >>> gram_matvec(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0]))
    array([3., 7.])
    """
    A, kind = stored(A, dtype)
    x = np.asarray(x)
    if x.ndim not in (1, 2) or x.shape[0] != A.shape[1]:
        raise ValueError(
            f"x has shape {x.shape}; expected ({A.shape[1]},) or ({A.shape[1]}, b), since A has shape {A.shape}"
        )
    if x.dtype not in (np.float64, np.float32):
        raise ValueError(f"x has dtype {x.dtype}; expected float64 or float32")
    work = np.float64 if kind == "f64" or x.dtype == np.float64 else np.float32
    if out is not None and (out.shape != x.shape or out.dtype != work):
        raise ValueError(f"out is {out.shape} {out.dtype}; expected {x.shape} {np.dtype(work)}")
    fast = A.nbytes >= SMALL and A.flags.c_contiguous and A.dtype.isnative and x.size > 0
    y = _one_pass(A, kind, x, work) if fast else _two_passes(A, kind, x, work)
    if out is None:
        return y
    out[...] = y
    return out


def _two_passes(A: np.ndarray, kind: str, x: np.ndarray, work: Any) -> np.ndarray:
    values = decoded(A, kind).astype(work, copy=False)
    return values.T @ (values @ x.astype(work, copy=False))


def _one_pass(A: np.ndarray, kind: str, x: np.ndarray, work: Any) -> np.ndarray:
    from lipop_kernels.cpu._gram_numba import one_pass

    X = np.ascontiguousarray(x.reshape(x.shape[0], -1).T, dtype=work)
    y = one_pass(A.view(np.int16) if kind == "f16" else A, X)
    return np.ascontiguousarray(y.T).reshape(x.shape)
