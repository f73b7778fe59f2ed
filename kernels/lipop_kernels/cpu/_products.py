"""Products that the Lanczos kernels need besides ``A^T (A x)``."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from lipop_kernels._common import blocks, rescaled
from lipop_kernels.cpu.gram import SMALL

NARROW = 1024  # up to this order one BLAS thread is enough for a factorisation


def times_transpose(A: np.ndarray, kind: str, exponent: int, u: np.ndarray) -> np.ndarray:
    """``2**-exponent A^T u`` in float64."""
    return np.sum([rescaled(b, exponent).T @ u[i : i + len(b)] for i, b in blocks(A, kind)], axis=0)


def one_blas_thread(when: bool = True) -> AbstractContextManager[Any]:
    """One BLAS thread inside the block: idle BLAS threads spin and take the cores of whatever else runs.

    Around a whole loop, never around each call. For small matrices a second BLAS thread gains nothing; on a busy
    machine, waiting for it can cost twenty times the work.
    """
    return _blas().limit(limits=1, user_api="blas") if when else nullcontext()


@lru_cache(maxsize=1)
def _blas() -> Any:
    """The controller of the BLAS libraries that are loaded (both NumPy's and SciPy's)."""
    import scipy.linalg.lapack  # noqa: F401 - loads SciPy's BLAS
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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


def operator_shape(A: Any) -> tuple[int, int]:
    """The shape of a matvec object; ValueError unless it is a pair of positive integers."""
    shape = tuple(A.shape)
    if len(shape) != 2 or not all(isinstance(k, (int, np.integer)) and k > 0 for k in shape):
        raise ValueError(f"A.shape is {shape}; expected two positive integers: rows and columns")
    return int(shape[0]), int(shape[1])
