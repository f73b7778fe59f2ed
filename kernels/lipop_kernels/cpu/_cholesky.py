"""The verified Cholesky test and the search for a bound that passes it.

The matrices (or the factor A of ``A^T A``) are rescaled by a power of two to largest entry in [1/2, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lipop_kernels._common import TINY, UNIT, gamma, norm_up, up
from lipop_kernels.cpu._krylov import Ritz, extreme_ritz

DENSE = 64  # up to this order a full eigendecomposition gives the first value


def factorises(M: np.ndarray) -> bool:
    """Whether LAPACK's Cholesky factorisation of the symmetric matrix M (which is overwritten) runs to its end."""
    R, info = _potrf()(M.T, lower=0, clean=0, overwrite_a=1)
    diagonal = np.diagonal(R)
    return info == 0 and bool(np.isfinite(diagonal).all()) and bool((diagonal > 0).all())


@lru_cache(maxsize=1)
def _potrf() -> Callable[..., tuple[np.ndarray, int]]:
    """LAPACK's dpotrf."""
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs(("potrf",), dtype=np.float64)[0]


def proves_gram(G: np.ndarray, s: float, m: int, work: np.ndarray) -> bool:
    """Whether a Cholesky factorisation proves ``|A|_2 <= s``; G (n, n) is the computed ``A^T A``, A with m rows.

    False says nothing. The proof stands in ``verified.spectral_norm_upper``. ``work`` (n, n) is overwritten.
    """
    n = len(G)
    square = float(np.trace(G)) * (1.0 + gamma(m + n + 2))
    c = defect(n, n * s * s) + gamma(m) * square + 8 * UNIT * s * s + n * (m + n) * TINY
    return _shifted_factorises(G, s * s - up(c, 12), work)


def proves_symmetric(H: np.ndarray, s: float, error: float, work: np.ndarray) -> bool:
    """Whether a Cholesky factorisation proves ``lambda_max(H') <= s`` for all symmetric H', ``|H' - H|_2 <= error``.

    ``s - c`` and the subtraction of the diagonal cost at most ``3 u (|s| + c + max |H_ii|)``: the term ``8 u peak`` and
    the rounding up of c cover it.
    """
    n = len(H)
    diagonal = np.diagonal(H)
    peak = abs(s) + float(np.abs(diagonal).max())
    trace = max(0.0, n * s - float(diagonal.sum())) + n * peak * gamma(n + 2)
    c = defect(n, trace) + error + 8 * UNIT * peak + n * n * TINY
    return _shifted_factorises(H, s - up(c, 12), work)


def defect(n: int, trace: float) -> float:
    """A bound of ``-lambda_min(M)`` for a symmetric M of that trace on which Cholesky ran to its end (Rump 2006)."""
    g = gamma(n + 1)
    return g / (1.0 - g) * trace


def _shifted_factorises(G: np.ndarray, shift: float, work: np.ndarray) -> bool:
    np.negative(G, out=work)
    work.flat[:: len(G) + 1] += shift
    return factorises(work)


def first_value(G: np.ndarray, tol: float) -> Ritz:
    """The largest eigenvalue of a symmetric matrix to about ``tol``, from below."""
    if len(G) <= DENSE:
        values, vectors = np.linalg.eigh(G)
        return Ritz(float(values[-1]), vectors[:, -1], float(values[0]), 0.0, 0, True, [])
    return extreme_ritz(lambda v: G @ v, len(G), min(max(tol, 1e-14), 1e-2))


def first_proved(proves: Callable[[float], bool], low: float, slack: float, cap: float) -> float:
    """The first of ``low + slack, low + 2 slack, low + 4 slack, ...`` that is proved, or ``cap``, a bound anyway."""
    while True:
        s = low + slack
        if not s < cap:
            return cap
        if proves(s):
            return s
        slack *= 2


def symmetric_upper(H: np.ndarray, error: float, rtol: float, top: Ritz) -> float:
    """A proved bound of ``lambda_max(H')`` for all symmetric H' with ``|H' - H|_2 <= error``; slack ``rtol |H|``."""
    n = len(H)
    scale = max(abs(top.value), abs(top.low), float(np.abs(np.diagonal(H)).max()), TINY)
    rounding = 4 * (defect(n, 2 * n * scale) + error + 16 * UNIT * scale)
    cap = up(norm_up(H) + error)
    work = np.empty((n, n))
    return first_proved(lambda s: proves_symmetric(H, s, error, work), top.value, max(rtol * scale, rounding), cap)


def symmetrised(S: np.ndarray) -> tuple[np.ndarray, float]:
    """``fl((S + S^T) / 2)`` and a bound of its rounding in the Frobenius norm (entries at most 1)."""
    H = S + S.T
    H *= 0.5
    return H, up(UNIT * norm_up(H)) * (1 + 4 * UNIT) + len(S) * TINY


def finite_exponent(S: np.ndarray, name: str) -> int | None:
    """e with ``max |S| = f 2**e``, f in [1/2, 1); None where S is zero; ValueError where an entry is not finite."""
    peak = max(float(S.max()), -float(S.min()))
    if not math.isfinite(peak):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(S))[0])
        raise ValueError(f"{name}[{', '.join(map(str, where))}] is {S[where]}; expected finite entries")
    return math.frexp(peak)[1] if peak > 0 else None
