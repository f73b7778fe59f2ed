"""Stacks of matrices, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._common import checked_slack
from lipop_kernels.ref.lanczos import spectral_norm
from lipop_kernels.ref.verified import spectral_norm_upper, symmetric_max


def psd_max_batched(G: Any, error: Any, rtol: float = 1e-2) -> np.ndarray:
    """``symmetric_max`` of each matrix of a stack, with its error.

    Parameters, result and exceptions as in ``lipop_kernels.psd_max_batched``.

    Examples
    --------
    >>> psd_max_batched(np.stack([np.eye(2), 2 * np.eye(2)]), [0.0, 1.0], rtol=1e-17)
    array([1., 3.])
    """
    G = _stack(G, "G")
    if G.shape[1] != G.shape[2]:
        raise ValueError(f"G has shape {G.shape}; expected a stack of square matrices")
    checked_slack(rtol, error)
    errors = np.broadcast_to(np.asarray(error, dtype=np.float64), (len(G),))
    return np.array([symmetric_max(g, rtol, float(e)) for g, e in zip(G, errors, strict=True)])


def batched_spectral_norms(A: Any, *, rtol: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """``spectral_norm`` and ``spectral_norm_upper`` of each matrix of a stack.

    Parameters, result and exceptions as in ``lipop_kernels.batched_spectral_norms``.

    Examples
    --------
    >>> lower, upper = batched_spectral_norms(np.stack([np.eye(2), 2 * np.eye(2)]))
    >>> bool((lower <= [1.0, 2.0]).all() and ([1.0, 2.0] <= upper).all())
    True
    """
    A = _stack(A, "A")
    checked_slack(rtol, 0.0)
    lower = [spectral_norm(a, rtol)[0] for a in A]
    return np.array(lower), np.array([spectral_norm_upper(a, rtol) for a in A])


def _stack(A: Any, name: str) -> np.ndarray:
    A = np.asarray(A)
    if A.ndim != 3 or 0 in A.shape[1:] or A.dtype not in (np.float64, np.float32):
        raise ValueError(f"{name} is {A.shape} {A.dtype}; expected a stack (B, m, n) of float64 or float32 matrices")
    return A
