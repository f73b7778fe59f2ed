"""Krylov spaces of several start vectors: their best directions, and the quadratures that they give."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 4  # vectors multiplied at once: about 1.6 times the time of one
LOST = 1e-12  # a remainder below this part of the product is rounding
Product = Callable[[np.ndarray], np.ndarray]


def block_lanczos(
    product: Product, n: int, k: int, tol: float, rng: Any, limit: int
) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """(rows V, errors, columns multiplied, converged): the k largest eigenvalues of a semidefinite operator on R^n.

    ``errors`` estimates what is missing of each eigenvalue: ``min(r, r^2 / gap)``, r the norm of its residual, gap the
    distance to the next Ritz values. Converged: at most ``tol`` times the value, or 1e-13 times the largest; an
    invariant space does not show that its values are the largest, so there random directions must have changed nothing.
    """
    rng = np.random.default_rng(rng)
    limit = min(n, -(-limit // BLOCK) * BLOCK)
    V, H = np.empty((limit, n)), np.zeros((limit, limit))
    V[: min(BLOCK, limit)] = np.linalg.qr(rng.standard_normal((n, min(BLOCK, limit))))[0].T
    done, size, checked = 0, min(BLOCK, limit), 0
    values, S, errors, met = np.zeros(0), np.zeros((0, 0)), np.zeros(k), False
    pending, tops = False, np.zeros(k)
    while not met:
        W = product(np.ascontiguousarray(V[done : done + size].T))
        length, edge = float(np.linalg.norm(W)), done + size
        h = V[:edge] @ W
        W -= V[:edge].T @ h
        more = V[:edge] @ W
        W -= V[:edge].T @ more
        H[:edge, done:edge] = h + more
        H[done:edge, :edge] = H[:edge, done:edge].T
        width = min(size, limit - edge)
        tried, pending = pending, _continued(W, V, edge, width, length, rng)
        if edge >= k and (width == 0 or edge >= checked + max(BLOCK, checked // 8)):
            checked = edge
            values, S = np.linalg.eigh(0.5 * (H[:edge, :edge] + H[:edge, :edge].T))
            values, S = values[::-1], S[:, ::-1]
            residuals = np.linalg.norm(W @ S[done:edge, :k], axis=0) if edge < n else np.zeros(k)
            errors, allowed = _eigenvalue_errors(values, residuals, k), np.maximum(tol * values[:k], 1e-13 * values[0])
            settled = not pending or (tried and bool((values[:k] - tops <= allowed).all()))
            met, tops = settled and bool((errors <= allowed).all()), values[:k]
        if width == 0:
            break
        done, size = edge, width
    return S[:, :k].T @ V[: len(S)], errors, checked, met


def _continued(W: np.ndarray, V: np.ndarray, edge: int, width: int, length: float, rng: Any) -> bool:
    """Put an orthonormal basis of the remainder W into V from row ``edge`` on.

    What is lost in rounding is replaced by random directions, orthogonal to all others: then True.
    """
    Q, R = np.linalg.qr(W)
    lost = np.abs(np.diagonal(R)[:width]) <= LOST * length
    for j in range(width):
        q = rng.standard_normal(len(W)) if lost[j] else Q[:, j]
        for _ in range(3):
            q = q - V[: edge + j].T @ (V[: edge + j] @ q)
            q /= np.linalg.norm(q)
        V[edge + j] = q
    return bool(lost.any())


def _eigenvalue_errors(values: np.ndarray, residuals: np.ndarray, k: int) -> np.ndarray:
    gaps = np.abs(np.diff(values))
    around = np.full(k, math.inf)
    around[: len(gaps[:k])] = gaps[:k]
    around[1:] = np.minimum(around[1:], gaps[: k - 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(residuals > 0, np.minimum(residuals, residuals**2 / around), 0.0)


def quadratures(product: Product, starts: np.ndarray, steps: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Nodes and weights of the Gauss quadrature of each unit start vector; products with all of them at once."""
    from lipop_kernels.cpu._lanczos_numba import advance

    probes, n = starts.shape
    V = np.empty((probes, steps + 1, n))
    V[:, 0] = starts
    a, b = np.zeros((probes, steps)), np.zeros((probes, steps))
    lengths = np.full(probes, steps)
    running = list(range(probes))
    for k in range(steps):
        W = np.ascontiguousarray(product(np.ascontiguousarray(V[running, k].T)).T)
        for p, w in zip(running, W, strict=True):
            a[p, k], b[p, k] = advance(V[p], k, w)
            if b[p, k] == 0.0:
                lengths[p] = k + 1
        running = [p for p in running if lengths[p] == steps]
        if not running:
            break
    nodes, weights = [], []
    for p, k in enumerate(lengths):
        T = np.diag(a[p, :k]) + np.diag(b[p, : k - 1], -1)
        values, vectors = np.linalg.eigh(T)
        nodes.append(values)
        weights.append(vectors[0] ** 2 / (vectors[0] @ vectors[0]))
    return nodes, weights
