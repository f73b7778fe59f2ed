"""``A v`` and ``|A| |v|`` in float64: what a proved bound of ``|A v|`` needs."""

from __future__ import annotations

import numpy as np

from lipop_kernels.cpu._storage import compiled
from lipop_kernels.cpu._threads import each_part
from lipop_kernels.cpu._tiles import bounded_image


def image(A: np.ndarray, v: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """``scale A v`` and ``scale |A| |v|`` in float64, for A (m, n) with adjacent rows, v (n,) and a power of two.

    A holds uint16 for bfloat16, int16 for float16.
    """
    loop = compiled(bounded_image, A.dtype, np.dtype(np.float64), 1, 1, 2)
    w, factor = np.empty((2, A.shape[0])), np.array([scale])

    def some_rows(_: int, part: slice) -> None:
        mine = np.empty((2, part.stop - part.start))
        loop(A[part], v, factor, mine)
        w[:, part] = mine

    each_part(A.shape[0], some_rows)
    return w[0], w[1]
