"""The norm bracket of a stored weight matrix from few reads, by products in float32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipop_kernels._common import (
    HALF,
    UNIT,
    SurveyBound,
    blocks,
    down,
    exponent_of,
    gamma,
    norm_down,
    norm_up,
    scaled_down,
    scaled_up,
    stored,
    up,
)
from lipop_kernels.cpu._krylov import growth_root, log_growth, overlap, recurrence, tridiagonal_top
from lipop_kernels.cpu._products import one_blas_thread
from lipop_kernels.cpu.gram import gram_matvec
from lipop_kernels.cpu.probable import spectral_norm_probable

SAFE = {np.float32: (1e-8, 1e8), np.float64: (1e-70, 1e70)}
"""Frobenius norms for which no product overflows, and what underflows is far below the rounding."""

START, PROBE = 0.9, 0.05
"""Shares of delta: of the start vector, and of each measurement of the error (two at most)."""

RESERVE = 0.1
"""The share of the gap aimed at that is left to the error at first."""

PROBES = 4
"""Random directions in which the error is measured: what it is found to be there counts 300 times."""

PLAIN = 0.2
"""The share of the gap up to which the a-priori bound of the error is good enough."""


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
    """Brackets of ``|A|_2`` and ``|A|_F``; the upper end of the former holds with probability ``1 - delta``.

    The a-posteriori Lanczos bound of ``lanczos_upper`` on ``A^T A``, with products in float32: half the time of
    products in float64 where a matrix is stored in 16 bits. The matrix is neither converted nor transposed.

    Parameters
    ----------
    A : (m, n) array
        float64, float32, or uint16 with ``dtype``.
    delta : float
        Failure probability over the random start (and the random directions below).
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

    Notes
    -----
    The computed vectors satisfy ``B V = V T + beta v_{k+1} e^T + F``, ``B = A^T A``; then ``|A|_2^2`` is at most the
    root of the growth polynomial (see ``lanczos_upper``) plus ``|F|_2``, plus the loss of orthogonality times ``|T|``.
    F holds the rounding of the products, which is bounded in one of two ways.

    *A priori*, by ``g_{w+80} |A|_F^2`` a product, ``u = 2**-24`` and w = min(n, 1024) (sums of float32 are that short;
    they are added in float64), and by ``sqrt(k)`` times that for k products. It is enough where the stable rank
    ``|A|_F^2 / |A|_2^2`` is small, as in trained weights; otherwise it is too large, and F is

    *measured*. Let g be normal with unit variance in R^k and w the top right singular vector of F. Then ``|F g| >=
    |F|_2 |<w, g>|`` and ``P(|<w, g>| < t) <= t sqrt(2 / pi)``, hence ``|F|_2 <= max |F g_i| / t`` over 4 independent
    g_i but for probability ``(t sqrt(2 / pi))^4``; t is chosen so that this is ``delta / 20``. Here ``F g = B (V g) -
    V (T g) - beta g_k v_{k+1}`` is evaluated in float64, its own error added.

    A float64 matrix is multiplied in float64, and F is bounded a priori. The lower end is a Rayleigh quotient, rounded
    down: true for every start. Vectors have the length of a row, whichever side is smaller: the null space costs less
    than one step, a transposed copy much more.

    Examples
    --------
    >>> bound = survey_norm(np.diag(np.arange(1.0, 101.0)).astype(np.float32))
    >>> bound.lower <= 100.0 <= bound.upper <= 1.01 * bound.lower
    True
    """
    A, kind = stored(A, dtype)
    limit = max_steps if steps is None else steps
    if limit < 1:
        raise ValueError(f"the number of steps is {limit}; expected at least 1")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta is {delta!r}; expected a probability between 0 and 1")
    if not (rtol > 0 and math.isfinite(rtol)):
        raise ValueError(f"rtol is {rtol!r}; expected a positive finite number")
    A = np.require(A, requirements=["C", "A"])
    low, high = _frobenius(A, kind)
    if high == 0.0:
        return SurveyBound(0.0, 0.0, np.eye(1, A.shape[1])[0], 0, 1, np.zeros(0), np.zeros(0), 0.0, 0.0)
    work = next(
        (w for w in SAFE if SAFE[w][0] < low and high < SAFE[w][1] and (kind != "f64" or w is np.float64)), None
    )
    if work is None:  # squares would over- or underflow: a copy is rescaled
        b = spectral_norm_probable(
            A, delta, rtol, rng=rng, dtype=kind if kind in HALF else None, steps=steps, max_steps=max_steps
        )
        return SurveyBound(b.lower, b.upper, b.vector, b.steps, b.steps + 5, b.alphas, b.betas, low, high)
    with one_blas_thread():
        run = _Run(A, kind, work, high, delta, np.random.default_rng(rng), limit)
        return SurveyBound(*run.bracket(rtol, steps), low, high)


class _Run:
    """A Lanczos run that can be continued where its bracket turns out too wide."""

    def __init__(
        self, A: np.ndarray, kind: str, work: Any, frobenius: float, delta: float, rng: np.random.Generator, limit: int
    ) -> None:
        m, n = A.shape
        self.A, self.work, self.storage = A, work, kind if kind in HALF else None
        self.overlap, self.delta = overlap(n, START * delta), delta
        self.V = np.empty((min(limit, n) + 1, n))
        start = rng.standard_normal(n)
        self.V[0] = start / np.linalg.norm(start)
        self.seed = int(rng.integers(2**62))
        self.alphas, self.betas, self.slip, self.passes, self.measured, self.due = [], [], 0.0, 1, 0, 1
        self.square = up(frobenius * frobenius, 1)
        self.error = up((gamma(m) + gamma(n) + gamma(m) * gamma(n)) * frobenius * frobenius, 8) + 1e-290
        """Of a product in float64, for a unit vector."""
        self.short = self._short_error(frobenius)

    def bracket(
        self, rtol: float, steps: int | None
    ) -> tuple[float, float, np.ndarray, int, int, np.ndarray, np.ndarray]:
        """Lower and upper end, vector, steps, passes over A, and the coefficients."""
        gap, reserve = 2 * rtol, RESERVE
        self.gap = gap
        run = recurrence(self._product, self.V)
        while True:
            ended = self._advance(run, gap * (0.98 - reserve), steps)
            lower, upper, vector = self._ends()
            if ended or steps is not None or upper <= lower * (1 + rtol) or self.measured == 2:
                break
            reserve += max(0.1, min(0.7, upper / lower - 1 - rtol) / rtol)
        k = len(self.alphas)
        return lower, max(lower, upper), vector, k, self.passes, np.array(self.alphas), np.array(self.betas)

    def _short_error(self, frobenius: float) -> float:
        """Of a product in short sums of float32, for a unit vector, underflow included."""
        from lipop_kernels.cpu._survey_numba import TILES, WIDTH

        m, n = self.A.shape
        terms = (min(WIDTH, n) + TILES + 16) * 2.0**-24
        vanished = 2.0**-146 * (frobenius * math.sqrt(m) * n + math.sqrt(n) * m)
        return up(terms / (1 - terms) * (1 + 1e-6) * frobenius * frobenius + vanished, 12)

    def _product(self, x: np.ndarray) -> np.ndarray:
        from lipop_kernels.cpu._survey_numba import gram_short

        self.passes += 1
        if self.work is np.float64:
            return gram_matvec(self.A, x, dtype=self.storage)
        return gram_short(self.A, self.storage or "f32", x)

    def _advance(self, run: Iterator[tuple[float, float, float]], gap: float, steps: int | None) -> bool:
        """Take steps until the root is within ``gap`` of the Ritz value; whether there are no more steps."""
        target = -math.log(self.overlap)
        for alpha, beta, slip in run:
            self.alphas.append(alpha)
            self.betas.append(beta)
            self.slip = max(self.slip, slip)
            k = len(self.alphas)
            if steps is None and beta > 0 and k >= self.due:
                alphas, betas = np.array(self.alphas), np.array(self.betas)
                top = float(tridiagonal_top(alphas, betas, 1)[0][-1])
                grown = log_growth(top * (1 + gap), alphas, betas)
                if grown >= target:
                    return False
                wait = 0.4 * k * (target - grown) / grown if grown > 0 else k / 8  # the pace so far, with care
                self.due = k + max(1, min(k // 2, int(wait)))
        return True

    def _ends(self) -> tuple[float, float, np.ndarray]:
        """The ends of the norm's bracket, and the direction of the largest Ritz value."""
        alphas, betas = np.array(self.alphas), np.array(self.betas)
        k = len(alphas)
        basis = self.V[:k]
        values, s = tridiagonal_top(alphas, betas, 1)
        root = float(values[-1]) if betas[-1] == 0 else growth_root(alphas, betas, self.overlap)
        vector = s @ basis
        vector /= np.linalg.norm(vector)
        size = float(np.abs(alphas).max() + 2 * betas.max())
        loss = float(np.linalg.norm(basis @ basis.T - np.eye(k))) + 4 * k * UNIT
        one = self.error if self.work is np.float64 else self.short
        error = up(math.sqrt(k) * (one + self.slip))
        if self.work is np.float64 or error <= PLAIN * self.gap * float(values[-1]):
            lower = self._quotient(vector, self._in_float64(vector[None])[0])
        else:
            lower, measured = self._measure(alphas, betas, loss, vector)
            error = min(error, measured)
        square = root + up(error + loss * size + 8 * k * UNIT * size, 8)
        return lower, up(math.sqrt(max(square, 0.0))), vector

    def _in_float64(self, X: np.ndarray) -> np.ndarray:
        """Products of the rows of X in float64: one pass."""
        self.passes += 1
        return np.ascontiguousarray(gram_matvec(self.A, np.ascontiguousarray(X.T), dtype=self.storage).T)

    def _measure(self, alphas: np.ndarray, betas: np.ndarray, loss: float, vector: np.ndarray) -> tuple[float, float]:
        """The lower end by ``vector``, and a bound of ``|F|_2`` that fails with probability ``PROBE delta``."""
        self.measured += 1
        k = len(alphas)
        G = np.random.default_rng([self.seed, k]).standard_normal((PROBES, k))
        X = np.concatenate([G @ self.V[:k], vector[None]])
        W = self._in_float64(X)
        C = np.zeros((PROBES, k + 1))
        C[:, :k] = alphas * G
        C[:, 1:] += betas * G
        C[:, : k - 1] += betas[: k - 1] * G[:, 1:]
        last = k if betas[-1] == 0 else k + 1
        R = W[:-1] - C[:, :last] @ self.V[:last]
        threshold = (PROBE * self.delta) ** (1 / PROBES) * math.sqrt(math.pi / 2) * (1 - 1e-12)
        largest = 0.0
        for g, w, r in zip(G, W, R, strict=False):
            size = norm_up(g) * (1 + loss)
            rounding = (self.error + gamma(k + 2) * math.sqrt(k) * self.square) * size
            rounding += gamma(k + 6) * (3 * self.square * math.sqrt(k + 1) * size + norm_up(w))  # |T| <= 3 |A|_F^2
            largest = max(largest, norm_up(r) + up(2 * rounding))
        return self._quotient(vector, W[-1]), up(largest / threshold)

    def _quotient(self, v: np.ndarray, w: np.ndarray) -> float:
        """The root of ``<v, B v> / <v, v>``, rounded down, from ``w = B v``, computed in float64."""
        g = gamma(v.size + 2)
        value = float(v @ w) - up(g * norm_up(w) * norm_up(v), 8) - up(self.error * norm_up(v) ** 2, 6)
        return down(math.sqrt(down(max(0.0, value) / norm_up(v) ** 2)))


def _frobenius(A: np.ndarray, kind: str) -> tuple[float, float]:
    """``|A|_F`` rounded down and up; ValueError where an entry is not finite."""
    from lipop_kernels.cpu._survey_numba import squares

    m, n = A.shape
    if kind == "f64":
        exponent = exponent_of(A, kind)
        if exponent is None:
            return 0.0, 0.0
        if abs(exponent) > 400:
            parts = [np.ldexp(b, -exponent) for _, b in blocks(A, kind)]
            ends = [end(np.array([end(p) for p in parts])) for end in (norm_down, norm_up)]
            return scaled_down(ends[0], exponent), scaled_up(ends[1], exponent)
    total = float(squares(A, kind).sum())
    if not math.isfinite(total):
        exponent_of(A, kind)  # names the entry
    slack = gamma(m + n + 2)
    return down(math.sqrt(total * (1 - slack))), up(math.sqrt(total * (1 + slack)))
