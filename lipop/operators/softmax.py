"""Softmax: x -> exp(x / t) / sum exp(x / t), the gradient of the convex function t log sum exp(x / t)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import ELEMENTARY, TINY, UNIT, float_up, gamma, inflate, workprec
from lipop.core.space import Space, norm_name
from lipop.errors import DomainError, ShapeError
from lipop.operators.token_reach import token_reach

# norm of input and output -> the global constant times t, all attained or approached
CONSTANTS = {
    ("l2", "l2"): 0.5,
    ("2inf", "2inf"): 0.5,
    ("linf", "l1"): 1.0,
    ("linf", "linf"): 0.5,
    ("l1", "linf"): 0.25,
    ("l1", "l1"): 0.5,
}
_TOKENS = (("l2", "l2"), ("2inf", "2inf"), ("linf", "linf"))


def _probabilities(x: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of every row of x over the temperature."""
    e = np.exp((x - x.max(axis=-1, keepdims=True)) / x.dtype.type(temperature))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Operator):
    """Softmax with temperature, on every token.

    Parameters
    ----------
    n : int
    temperature : float
        Positive.
    tokens : bool
        Whether the domain is ``(None, n)`` instead of ``(n,)``.
    norm_in, norm_out : str
        (l2, l2), (linf, l1), (linf, linf), (l1, linf) or (l1, l1); on tokens (F, F), (2inf, 2inf) or (linf, linf).

    Raises
    ------
    ShapeError, DomainError

    Notes
    -----
    The derivative ``(diag p - p p^T)/t`` is positive semidefinite, so the Dahlquist constant is the Lipschitz constant.
    Gershgorin gives ``max_i 2 p_i (1 - p_i)``, and ``diag p`` gives ``max_i p_i``; at a point the l2 norm is the
    largest root of ``sum p_i^2/(p_i - l) = 1``. The derivative's own constant ``sqrt(6)/(9 t^2)`` is a third cumulant
    on a range of at most sqrt(2).

    Examples
    --------
    >>> T = Softmax(2)
    >>> T(np.zeros(2)).tolist(), T.lip().value, round(T.lip(Ball(np.zeros(2), 0.0)).value, 6)
    ([0.5, 0.5], 0.5, 0.5)
    """

    n: int
    temperature: float = 1.0
    tokens: bool = False
    norm_in: str = "l2"
    norm_out: str = "l2"
    tokenwise = True

    def __post_init__(self) -> None:
        if not isinstance(self.n, int | np.integer) or isinstance(self.n, bool) or self.n < 1:
            raise ShapeError(f"Softmax needs a length n >= 1, found {self.n!r}")
        object.__setattr__(self, "n", int(self.n))
        t = float(self.temperature)
        if not 1e-100 < t < 1e100:
            raise DomainError(f"the temperature of Softmax must be positive and finite, found {t}")
        object.__setattr__(self, "temperature", t)
        pair = (norm_name(self.norm_in), norm_name(self.norm_out))
        if pair not in (_TOKENS if self.tokens else [p for p in CONSTANTS if "2inf" not in p]):
            raise DomainError(f"Softmax has no constant from {pair[0]} to {pair[1]} with tokens={self.tokens}")
        object.__setattr__(self, "norm_in", pair[0])
        object.__setattr__(self, "norm_out", pair[1])

    @property
    def domain(self) -> Space:
        return Space((None, self.n) if self.tokens else (self.n,), self.norm_in)

    @property
    def codomain(self) -> Space:
        return Space((None, self.n) if self.tokens else (self.n,), self.norm_out)

    @property
    def _euclidean(self) -> bool:
        return self.norm_in == self.norm_out and self.norm_in in ("l2", "2inf")

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return _probabilities(x, self.temperature)

    def enclose(self, x: Enclosed) -> Enclosed:
        rows = x if x.mid.ndim == 2 else x.reshape(1, -1)
        return Enclosed.interval(*probability_range(rows.low, rows.high, self.temperature)).reshape(*x.shape)

    # ---- constants ----

    def _scaled(self, constant: float) -> float:
        """A constant over t, rounded up and exact where it can be."""
        import flint

        with workprec():
            return float_up(flint.arb(constant) / flint.arb(self.temperature))

    def _curvature(self) -> float:
        """``sqrt(6)/9/t^2``, rounded up."""
        import flint

        with workprec():
            return float_up(flint.arb(6).sqrt() / 9 / flint.arb(self.temperature) ** 2)

    def _lip(self, on: Region) -> float | None:
        if self.n == 1:
            return 0.0
        local = self._local(on)
        top = CONSTANTS[self.norm_in, self.norm_out]
        return self._scaled(top if local is None else min(top, local))

    def _local(self, on: Region) -> float | None:
        """The constant on a region times t, from the ranges of the probabilities."""
        reach = token_reach(on, self.tokens)
        if reach is None:
            return None
        spread = inflate(math.sqrt(2) * reach.rho / self.temperature, 4)
        low, high = probability_range(reach.center, reach.center, self.temperature, spread)
        if reach.box is not None:
            inner = probability_range(*reach.box, self.temperature)
            low, high = np.maximum(low, inner[0]), np.minimum(high, inner[1])
        rows = _gershgorin(low, high)
        if self.norm_out == "l1" and self.norm_in == "linf":
            return float(inflate(rows.sum(axis=1), self.n).max())
        if not self._euclidean:
            return float(rows.max()) * CONSTANTS[self.norm_in, self.norm_out] / 0.5
        bound = np.minimum(rows.max(axis=1), high.max(axis=1))
        moved = inflate(reach.rho * (self._curvature() * self.temperature), 2)
        return float(np.minimum(bound, inflate(self._roots(reach.center) + moved, 2)).max())

    def _roots(self, x: np.ndarray) -> np.ndarray:
        """(T,) upper bounds of the largest eigenvalue of ``diag p - p p^T`` at the rows of x, exact to rounding."""
        low, high = probability_range(x, x, self.temperature)
        order = np.argsort(high, axis=1)
        first, rest = order[:, -1:], order[:, :-1]
        p_low, p_high = np.take_along_axis(low, first, 1)[:, 0], np.take_along_axis(high, first, 1)[:, 0]
        q = np.take_along_axis(high, rest, 1)
        top = np.minimum(p_high, _gershgorin(low, high).max(axis=1))
        bottom = np.minimum(q.max(axis=1), top)
        for _ in range(64):  # lam is an upper bound as soon as p_1^2/(p_1 - lam) >= 1 + sum_{i > 1} p_i^2/(lam - p_i)
            lam = 0.5 * (top + bottom)
            inside = (lam > q.max(axis=1)) & (lam < p_low)
            with np.errstate(divide="ignore", invalid="ignore"):
                left = p_low**2 / (p_high - lam)
                right = 1 + (q * (q / (lam[:, None] - q))).sum(axis=1)
            good = inside & (left * (1 - 2 * gamma(8)) >= inflate(right, self.n + 8))
            top, bottom = np.where(good, lam, top), np.where(good, bottom, lam)
        return top

    def _smoothness(self, on: Region) -> float | None:
        if self.n == 1:
            return 0.0
        return self._curvature() if self._euclidean else None

    # ---- the derivative ----

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        p, t = self(x), self.temperature
        top = float(inflate(p.max() / t, self.n + 40))

        def product(h: np.ndarray) -> np.ndarray:
            return p * (h - (p * h).sum(axis=-1, keepdims=True)) / t

        return LinearOperator(
            x.shape, x.shape, product, product, majorant=top, product_error=6 * gamma(self.n + 16) * top + self.n * TINY
        )

    def _deviation(self, ball: Ball | TokenBall) -> float | None:
        """The smaller of rho times the curvature and Lip (semidefinite matrices), plus the rounding of p."""
        if self.n == 1:
            return 0.0
        reach = token_reach(ball, self.tokens)
        if reach is None:
            return None
        moved = float(inflate(float(reach.rho.max()) * self._curvature(), 2))
        lip = self._lip(ball) if self._euclidean else None
        if lip is not None and reach.rho.max() > 0:
            moved = min(moved, lip)
        low, high = probability_range(reach.center, reach.center, self.temperature)
        p = _probabilities(reach.center, self.temperature)
        off = np.maximum(high - p, p - low)
        size = Enclosed.exact(off).norm_up()
        stored = (off.max(axis=1) + size * (2 + size)) / self.temperature
        return float(inflate(moved + stored.max() * (1 + 1e-6), 8))


def probability_range(
    low: np.ndarray, high: np.ndarray, t: float, spread: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of softmax(x / t) for ``low <= x <= high`` (T, n), the log-odds moved by at most ``spread`` (T,) besides.

    The range over a box is exact: ``p_i`` is largest at the high end of x_i and the low ends of the others.

    >>> low, high = probability_range(np.zeros((1, 2)), np.zeros((1, 2)), 1.0)
    >>> bool((low <= 0.5).all() and (high >= 0.5).all() and (high - low < 1e-13).all())
    True
    """
    top = high.max(axis=1, keepdims=True)
    most_down, most_up = _exp(high - top, t)
    least_down = most_down if low is high else _exp(low - top, t)[0]
    spread = np.broadcast_to(np.asarray(spread, dtype=np.float64), low.shape[:1])[:, None]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factor = np.exp(spread) * (1 + 4 * UNIT * ELEMENTARY * (1 + spread))
        shrink = 1 - 2 * gamma(low.shape[1] + 8)
        p_high = 1 / (1 + _others(least_down) * shrink / (most_up * factor))
        p_low = 1 / (1 + inflate(_others(most_up), low.shape[1] + 8) * factor / least_down)
    p_high = np.where(np.isnan(p_high), 1.0, np.minimum(p_high * (1 + 2 * gamma(8)), 1.0))
    return np.where(np.isnan(p_low), 0.0, p_low * (1 - 2 * gamma(8))), p_high


def _gershgorin(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(T, n) upper bounds of ``2 p_i (1 - p_i)``; near one, ``1 - p_i`` is the sum of the others."""
    near = np.clip(0.5, low, high)  # where p (1 - p) is largest
    return inflate(2 * np.minimum(near * (1 - near), high * _others(high)), low.shape[1] + 4)


def _exp(z: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of ``exp(z / t)`` for z <= 0 that carries one rounding."""
    z = z / t
    e = np.exp(z)
    slack = 2 * UNIT * (2 * np.abs(np.maximum(z, -800.0)) + ELEMENTARY + 4)
    return np.maximum(e * (1 - slack) - TINY, 0.0), e * (1 + slack) + TINY


def _others(e: np.ndarray) -> np.ndarray:
    """(T, n) sums over the other entries, without cancellation."""
    before, after = np.zeros_like(e), np.zeros_like(e)
    before[:, 1:] = np.cumsum(e[:, :-1], axis=1)
    after[:, :-1] = np.cumsum(e[:, :0:-1], axis=1)[:, ::-1]
    return before + after


__all__ = ["CONSTANTS", "Softmax", "probability_range"]
