"""Proposals for theorem D: Ritz vectors of ``J J^T`` by block subspace iteration. Nothing here needs a proof."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from lipop.certify.block_factors import BlockFactors

MAX_SWEEPS = 24
GUESS = 0.9  # beta / |J|^2 that the stopping rule of the iteration assumes


def by_columns(product: Callable[[np.ndarray], np.ndarray], V: np.ndarray) -> np.ndarray:
    """``product(V)`` for V (T, d, columns), two parts of the columns at a time."""
    parts = np.array_split(V, 2 if V.shape[2] > 1 else 1, axis=2)
    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(lambda v: product(np.ascontiguousarray(v)), parts)), axis=2)


@dataclass(frozen=True, eq=False)
class Subspace:
    """A proposal: U, X (n, r), W (r, r), a unit vector v (n,) on the right, Ritz values of ``J J^T``, sweeps done."""

    U: np.ndarray
    X: np.ndarray
    W: np.ndarray
    v: np.ndarray
    ritz: np.ndarray
    sweeps: int


def subspace(f: BlockFactors, rank: int, oversample: int, sweeps: int | None, seed: int, rtol: float) -> Subspace:
    """Block subspace iteration on ``J J^T`` from a random block.

    Without ``sweeps`` it stops when the certificate is expected within ``1 + rtol / 4``. What it returns needs no
    proof.
    """
    t, _, d, _ = f.shape
    n = t * d
    r, k = min(rank, n), min(rank + oversample, n)
    Q = _orthonormal(np.random.default_rng((seed, r)).standard_normal((n, k)))
    sweep, last = 0, sweeps or MAX_SWEEPS
    while True:
        sweep += 1
        Z = by_columns(f.rmatvec, Q.reshape(t, d, k)).reshape(n, k)
        C = by_columns(f.matvec, Z.reshape(t, d, k)).reshape(n, k)
        ritz, E = np.linalg.eigh(Z.T @ Z)
        ritz, E = ritz[::-1], E[:, ::-1]
        C = C @ E
        U, GU = Q @ E[:, :r], C[:, :r]
        W = U.T @ GU
        W = 0.5 * (W + W.T)
        if sweep == last or (sweeps is None and _converged(ritz[:r], GU - U @ W, rtol)):
            break
        Q = _orthonormal(C)
    v = Z @ E[:, 0]
    size = float(np.linalg.norm(v))
    return Subspace(U, GU - U @ (0.5 * W), W, v / size if size > 0 else np.eye(1, n)[0], ritz[:r], sweep)


def _orthonormal(A: np.ndarray) -> np.ndarray:
    """A nearly orthonormal basis of the columns: from their Gram matrix, or by Householder where that is too flat."""
    size = np.sqrt(np.einsum("ij,ij->j", A, A))
    B = A / np.where(size > 0, size, 1.0)
    w, V = np.linalg.eigh(B.T @ B)
    return B @ (V / np.sqrt(w)) if w[0] > 1e-8 * w[-1] else np.linalg.qr(A)[0]


def _converged(ritz: np.ndarray, residual: np.ndarray, rtol: float) -> bool:
    if not ritz[0] > 0:
        return True
    t = np.linalg.eigvalsh(np.diag(ritz) + residual.T @ residual / ((1 - GUESS) * ritz[0]))[-1]
    return bool(t <= ritz[0] * (1 + rtol / 2))


__all__ = ["Subspace", "by_columns", "subspace"]
