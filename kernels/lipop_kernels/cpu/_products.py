"""Products that the Lanczos kernels need besides ``A^T (A x)``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from lipop_kernels._common import blocks, rescaled
from lipop_kernels.cpu.gram import SMALL


def times_transpose(A: np.ndarray, kind: str, exponent: int, u: np.ndarray) -> np.ndarray:
    """``2**-exponent A^T u`` in float64."""
    return np.sum([rescaled(b, exponent).T @ u[i : i + len(b)] for i, b in blocks(A, kind)], axis=0)


def quiet_blas(nbytes: int) -> Any:
    """One BLAS thread around a loop that runs the parallel kernel: idle BLAS threads spin, and would take its cores."""
    if nbytes < SMALL:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")


def image(A: np.ndarray, kind: str, exponent: int, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``A v`` and ``|A| |v|`` for ``2**-exponent A``, in float64."""
    if A.nbytes >= SMALL and A.flags.c_contiguous and A.dtype.isnative and abs(exponent) < 900:
        from lipop_kernels.cpu._gram_numba import image as compiled

        return compiled(A.view(np.int16) if kind == "f16" else A, np.ascontiguousarray(v), 2.0**-exponent)
    w, majorant = np.empty(A.shape[0]), np.empty(A.shape[0])
    for i, block in blocks(A, kind):
        b = rescaled(block, exponent)
        w[i : i + len(b)] = b @ v
        majorant[i : i + len(b)] = np.abs(b) @ np.abs(v)
    return w, majorant
