"""The Lanczos recurrence with two passes of Gram-Schmidt, and what is read off its coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lipop_kernels._common import UNIT, workprec
from lipop_kernels.cpu._basis import Basis, Rows

Product = Callable[[np.ndarray], np.ndarray]


class Ritz(NamedTuple):
    """The largest Ritz value of a symmetric matrix, its vector, and how it was reached (``low``: the smallest one)."""

    value: float
    vector: np.ndarray
    low: float
    residual: float
    steps: int
    converged: bool
    history: list[float]


def recurrence(product: Product, vectors: Basis | np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Put Lanczos vectors after v_0 (a unit vector), as rows if it is an array; yield (alpha, beta, slip) of each step.

    ``slip`` bounds the norm of ``B v_k - beta_k v_{k-1} - alpha_k v_k - beta_{k+1} v_{k+1}``, but for the error of the
    product: what Gram-Schmidt removed beyond the three terms, the rounding of the removal and of keeping v_{k+1}. A
    last beta of 0 marks an invariant space.
    """
    V = Rows(vectors) if isinstance(vectors, np.ndarray) else vectors
    beta = 0.0
    for k in range(V.limit):
        w = product(V.get(k))
        size = float(np.linalg.norm(w))
        first = V.dots(k + 1, w)
        w = w - V.combined(first)
        second = V.dots(k + 1, w)
        w -= V.combined(second)
        removed = first + second
        alpha = float(removed[k])
        removed[k] = 0.0
        if k:
            removed[k - 1] -= beta
        slip = float(np.linalg.norm(removed)) + 8 * (k + 4) * UNIT * size
        beta = float(np.linalg.norm(w))
        if k + 1 >= V.length or beta <= 8 * UNIT * size:
            yield alpha, 0.0, slip + beta
            return
        V.put(k + 1, w / beta)
        yield alpha, beta, slip + V.rounding * beta


def tridiagonal_top(alphas: np.ndarray, betas: np.ndarray, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest eigenvalues (ascending) of the tridiagonal matrix, and the eigenvector of the largest."""
    k = len(alphas)
    if k <= 24:
        values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas[: k - 1], -1))
        return values[-count:], vectors[:, -1]
    from scipy.linalg import eigh_tridiagonal

    values, vectors = eigh_tridiagonal(alphas, betas[: k - 1], select="i", select_range=(k - count, k - 1))
    return values, vectors[:, -1]


def extreme_ritz(product: Product, n: int, tol: float, rng: Any = 0, maxiter: int | None = None) -> Ritz:
    """The largest eigenvalue of a symmetric operator on R^n by Lanczos, to ``tol`` times the largest |Ritz value|.

    Stops when ``min(r, r^2 / gap) <= tol * scale``, r the residual and gap the distance to the second Ritz value.
    """
    maxiter = min(n, 300 if maxiter is None else maxiter)
    V = np.empty((maxiter + 1, n))
    start = np.random.default_rng(rng).standard_normal(n)
    V[0] = start / np.linalg.norm(start)
    alphas, betas, history = np.zeros(maxiter), np.zeros(maxiter), []
    k, low, estimate, scale, values, s = 0, 0.0, math.inf, 1.0, np.zeros(1), np.ones(1)
    for k, (alpha, beta, _) in enumerate(recurrence(product, V), start=1):
        alphas[k - 1], betas[k - 1] = alpha, beta
        if beta > 0 and k < maxiter and k % max(2, k // 8):
            continue
        values, s = tridiagonal_top(alphas[:k], betas[:k], min(2, k))
        history.append(float(values[-1]))
        residual = beta * abs(float(s[-1]))
        gap = float(values[-1] - values[0]) if k > 1 else 0.0
        scale = max(float(np.abs(values).max()), float(np.abs(alphas[:k]).max()))
        estimate = min(residual, residual * (residual / gap)) if gap > 0 else residual
        if estimate <= tol * scale and (k > 1 or beta == 0):
            break
    if k > 1:
        low = float(np.linalg.eigvalsh(np.diag(alphas[:k]) + np.diag(betas[: k - 1], -1))[0])
    else:
        low = float(values[0])
    vector = s @ V[:k]
    size = float(np.linalg.norm(vector))
    relative = betas[k - 1] * abs(float(s[-1])) / scale if scale > 0 else 0.0
    return Ritz(float(values[-1]), vector / size, low, relative, k, estimate <= tol * scale, history)


# ---- the a-posteriori bound ------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def overlap(n: int, delta: float) -> float:
    """d with ``P(|<v, x>| < d) <= delta``: v uniform on the unit sphere of R^n, x fixed; proved, nearly the largest.

    ``P(|<v, x>| < d) = I_{d^2}(1/2, (n-1)/2)``, the regularised incomplete beta function, evaluated in ball arithmetic.
    """
    if n == 1:
        return 1.0
    import flint
    from scipy.special import betaincinv

    d = math.sqrt(float(betaincinv(0.5, 0.5 * (n - 1), delta)))
    with workprec(192):
        half, rest = flint.arb(1) / 2, flint.arb(n - 1) / 2
        for _ in range(200):
            if (flint.arb(d) ** 2).beta_lower(half, rest, regularized=True) <= flint.arb(delta):
                return d
            d *= 1.0 - 1e-12
    raise ValueError(f"the incomplete beta function could not be enclosed for n={n}, delta={delta}")


def log_growth(t: float, alphas: np.ndarray, betas: np.ndarray) -> float:
    """``log p_k(t)`` in float64 for t beyond every Ritz value, else minus infinity; ``v_{k+1} = p_k(B) v_1``."""
    total, q, before = 0.0, math.inf, 0.0
    for alpha, beta in zip(alphas.tolist(), betas.tolist(), strict=True):
        q = (t - alpha - before / q) / beta
        if not q > 0:
            return -math.inf
        total += math.log(q)
        before = beta
    return total


def proves_growth(t: float, alphas: np.ndarray, betas: np.ndarray, d: float) -> bool:
    """Whether ``p_k(t) >= 1/d``, t beyond every Ritz value, is certain for the float coefficients (ball arithmetic).

    Positive ``p_1(t), ..., p_k(t)`` mean that no Ritz value (zero of p_k) reaches t (Sturm), and p_k increases from its
    last zero on.
    """
    import flint

    with workprec(128 + 4 * len(alphas)):
        x, one = flint.arb(t), flint.arb(1)
        p, q, before = one, flint.arb(0), flint.arb(0)
        for alpha, beta in zip(alphas.tolist(), betas.tolist(), strict=True):
            b = flint.arb(beta)
            p, q, before = ((x - flint.arb(alpha)) * p - before * q) / b, p, b
            if not p > 0:
                return False
        return bool(p * flint.arb(d) >= one)


def growth_root(alphas: np.ndarray, betas: np.ndarray, d: float) -> float:
    """A float t, close to the smallest one, at which ``proves_growth`` holds."""
    top = float(tridiagonal_top(alphas, betas, 1)[0][-1])
    target = -math.log(d)
    unit = max(abs(top), float(betas.max()), 1e-300)
    reach = 4 * UNIT * unit
    while log_growth(top + reach, alphas, betas) < target:
        reach *= 2
    short = 0.0 if reach == 4 * UNIT * unit else reach / 2
    for _ in range(40):
        middle = 0.5 * (short + reach)
        if log_growth(top + middle, alphas, betas) < target:
            short = middle
        else:
            reach = middle
        if reach - short <= 1e-6 * reach:
            break
    t, step = top + reach, 2 * UNIT * unit
    while not proves_growth(t, alphas, betas, d):
        t, step = t + step, 2 * step
    return t
