"""What RMSNorm and LayerNorm share: x -> g * P x / s + b, with s^2 = |P x|^2 / d + eps; P the identity or the centring.

The core U(x) = P x / s is the gradient of the convex function ``sqrt(d |P x|^2 + d^2 eps)``: its derivative
``(P - U U^T / d) / s`` is symmetric, positive semidefinite and at most ``1/s``, which is what the rules below rest on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere, Region, Shell, TokenBall
from lipop.core.rounding import TINY, gamma, inflate
from lipop.core.space import Space
from lipop.errors import DomainError, ShapeError
from lipop.operators.linear import _tensor  # pyright: ignore[reportPrivateUsage]
from lipop.operators.secular import secular_norm
from lipop.operators.token_factor import TokenFactor
from lipop.operators.token_reach import TokenReach, least_norm, least_spread, token_reach
from lipop.operators.token_views import normalization_factor

_FAR = 1e150  # lower bounds of norms are cut here, so that no square overflows


@dataclass(frozen=True, eq=False)
class _Span:
    """``inner <= |P x| <= outer`` for every token of the region, whether it is convex, and its reach if it has one."""

    inner: np.ndarray
    outer: np.ndarray
    convex: bool = True
    reach: TokenReach | None = None


class Normalization(Operator):
    """The map and its rules; ``centred`` tells LayerNorm from RMSNorm."""

    tokenwise = True
    centred: ClassVar[bool] = False

    gamma: np.ndarray
    eps: float
    tokens: bool
    norm: str

    def __post_init__(self) -> None:
        what = type(self).__name__
        g = _tensor(self.gamma, f"the gain of {what}")
        if g.ndim != 1 or len(g) == 0:
            raise ShapeError(f"the gain of {what} needs shape (d,) with d >= 1, found {g.shape}")
        object.__setattr__(self, "gamma", g)
        eps = float(self.eps)
        if not 1e-290 < eps < 1e290:
            raise DomainError(f"eps of {what} must be positive and finite (no constant exists without it), found {eps}")
        object.__setattr__(self, "eps", eps)
        if self.norm not in ("l2", "2inf") or (self.norm == "2inf" and not self.tokens):
            raise DomainError(f"{what} acts in l2, or in 2inf on tokens; found {self.norm!r} with tokens={self.tokens}")

    @property
    def width(self) -> int:
        """d, the length of a token."""
        return len(self.gamma)

    @property
    def domain(self) -> Space:
        return Space((None, self.width) if self.tokens else (self.width,), self.norm)

    @property
    def codomain(self) -> Space:
        return self.domain

    def _offset(self) -> np.ndarray | None:
        return None

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = x - x.mean(axis=-1, keepdims=True) if self.centred else x
        s = np.sqrt((y * y).mean(axis=-1, keepdims=True) + x.dtype.type(self.eps))
        out = y / s * self.gamma.astype(x.dtype, copy=False)
        b = self._offset()
        return out if b is None else out + b.astype(x.dtype, copy=False)

    def enclose(self, x: Enclosed) -> Enclosed:
        core, _ = self.factors(_rows(x))
        y = (core * np.asarray(self.gamma, dtype=np.float64)).reshape(*x.shape)
        b = self._offset()
        return y if b is None else y + np.asarray(b, dtype=np.float64)

    def _center(self, x: Enclosed) -> Enclosed:
        return x - x.mean(-1, keepdims=True) if self.centred else x

    def factors(self, x: Enclosed) -> tuple[Enclosed, Enclosed]:
        """``U = P x / s`` (T, d) and ``1/s`` (T, 1), enclosed over the intervals of ``x`` (T, d)."""
        y = self._center(x)
        shrink = 1 - 2 * gamma(12)
        with np.errstate(over="ignore"):
            high = y.norm_up() ** 2 / self.width + self.eps
        inv_s = Enclosed.interval(shrink / np.sqrt(high), self._inverse_scale(y.norm_down()))
        inv_s = inv_s.reshape(-1, 1)
        return y * inv_s, inv_s

    # ---- constants ----

    @property
    def gain(self) -> float:
        """``|G P|``, rounded up: ``max|g|`` for RMSNorm, by the secular equation for LayerNorm (made once)."""
        cached = self.__dict__.get("_gain")
        if cached is None:
            cached = float(secular_norm(self.gamma, None, True)[0]) if self.centred else self._largest
            cached = cached if self._rank else 0.0
            object.__setattr__(self, "_gain", cached)
        return cached

    @property
    def _rank(self) -> int:
        return self.width - self.centred

    @property
    def _largest(self) -> float:
        return float(np.abs(np.asarray(self.gamma, dtype=np.float64)).max())

    def _inverse_scale(self, r: np.ndarray) -> np.ndarray:
        """``1/s(r)``, rounded up, for lower bounds r of ``|P x|``."""
        r = np.minimum(r, _FAR)
        return inflate(1 / np.sqrt(r * r / self.width + self.eps), 5)

    def _radial(self, inv_s: np.ndarray) -> np.ndarray:
        """``eps / s^3``, rounded up: the derivative of U along ``P x``."""
        return inflate(self.eps * inv_s * inv_s * inv_s, 4)

    def _curvature(self, r: np.ndarray) -> np.ndarray:
        """Upper bounds of ``|D^2 U|`` on ``|P x| >= r``, r rounded down: three branches, non-increasing in r."""
        d, eps, r = self.width, self.eps, np.minimum(r, _FAR)
        e = d * eps
        s2 = r * r / d + eps
        flat = 1.5 * (16 / 25) * math.sqrt(0.8) / eps / math.sqrt(d)  # the maximum, at |P x| = sqrt(e)/2
        tail = 2 / math.sqrt(3) / s2 / math.sqrt(d)  # holds for every r, sharp from sqrt(e/2) on
        out = np.minimum(flat, tail)
        middle = (r >= 0.5 * math.sqrt(e) * (1 + 1e-12)) & (r <= math.sqrt(0.5 * e) * (1 - 1e-12))
        rise = 3 * (r / np.sqrt(d * s2)) * (eps / s2) / s2 / math.sqrt(d)
        return inflate(np.where(middle, np.minimum(out, rise), out), 16)

    def core_deviation(self, x: Enclosed, radius: np.ndarray) -> np.ndarray:
        """Upper bounds of ``|DU(w') - DU(w)|`` for all w in the intervals of ``x`` and all ``|P(w' - w)| <= radius``.

        Parameters
        ----------
        x : Enclosed of shape (T, d)
        radius : (T,) array

        Returns
        -------
        (T,) array
            The smaller of radius times the curvature on the ball, and ``1/s`` there (a difference of two positive
            semidefinite matrices of norm at most ``1/s``).
        """
        radius = np.asarray(radius, dtype=np.float64)
        inner = _less(self._center(x).norm_down(), radius)
        moved = inflate(radius * self._curvature(inner), 2)
        return np.where(radius > 0, np.minimum(moved, self._inverse_scale(inner)), 0.0)

    def point_norms(self, x: Enclosed) -> np.ndarray:
        """(T,) upper bounds of ``|DT|`` at the points of ``x`` (T, d), exact up to rounding (secular equation)."""
        if not self._rank:
            return np.zeros(x.shape[0])
        core, inv_s = self.factors(x)
        if self._rank == 1:  # one direction only, the radial one
            return inflate(self.gain * self._radial(inv_s.high[:, 0]), 2)
        tau = np.stack([core.norm_down() ** 2, core.norm_up() ** 2]) / self.width
        tau = np.clip(tau * np.array([[1 - 2 * gamma(4)], [1 + 2 * gamma(4)]]), 0.0, 1.0)
        root = Enclosed.interval(2 - tau[1], 2 - tau[0]).sqrt().reshape(-1, 1)
        return inflate(secular_norm(self.gamma, core * root, self.centred) * inv_s.high[:, 0], 2)

    # ---- regions ----

    def _span(self, on: Region) -> _Span | None:
        if isinstance(on, Everywhere) or (isinstance(on, Shell) and self.centred):
            return _Span(np.zeros(1), np.full(1, math.inf))
        if isinstance(on, Shell):
            return _Span(np.array([on.inner]), np.array([on.outer]), on.convex)
        reach = token_reach(on, self.tokens)
        if reach is None:
            return None
        x = Enclosed.exact(reach.center)
        inner, outer = _less(self._center(x).norm_down(), reach.rho), inflate(x.norm_up() + reach.rho, 2)
        if reach.box is not None:
            low, high = reach.box
            inner = np.maximum(inner, (least_spread if self.centred else least_norm)(low, high))
            outer = np.minimum(outer, Enclosed.exact(np.maximum(np.abs(low), np.abs(high))).norm_up())
        return _Span(inner, outer, True, reach)

    def _lip(self, on: Region) -> float | None:
        span = self._span(on)
        if span is None:
            return None
        inv_s = self._inverse_scale(span.inner)
        if self._rank == 1 and span.convex:  # one direction only: the radial derivative
            inv_s = self._radial(inv_s)
        out = inflate(self.gain * inv_s, 2)
        if span.reach is not None:
            x = Enclosed.exact(span.reach.center)
            moved = self.gain * self.core_deviation(x, span.reach.rho)
            out = np.minimum(out, inflate(self.point_norms(x) + moved, 4))
        return float(out.max()) if self.gain > 0 else 0.0

    def _dahlquist(self, on: Region) -> float | None:
        """Zero for a constant gain that is not positive (a convex gradient times it); else the base takes Lip."""
        g = np.asarray(self.gamma)
        return 0.0 if bool((g == g[0]).all()) and g[0] <= 0 else None

    def _expansion(self, on: Region) -> float | None:
        """``min|g| eps / s(R)^3``, the radial derivative at the largest norm (RMSNorm; centring is not injective)."""
        span = None if self.centred else self._span(on)
        top = math.inf if span is None else float(span.outer.max())
        if not top < _FAR:
            return None
        least = float(np.abs(np.asarray(self.gamma, dtype=np.float64)).min())
        s2 = top * top / self.width + self.eps
        return least * (self.eps / s2) / math.sqrt(s2) * (1 - 2 * gamma(10)) - TINY

    def _smoothness(self, on: Region) -> float | None:
        """The curvature on the region; on a shell the global one, since its pairs are joined through the hole."""
        span = self._span(on)
        if span is None:
            return None
        inner = span.inner if span.convex else np.zeros(1)
        return float(inflate(self.gain * self._curvature(inner), 2).max())

    def _token_norm(self, on: Region) -> float | None:
        """``|G P| sqrt(d) + |b|``, since ``|P x| < sqrt(d) s``; with ``|P x| <= R``, ``|G P| R / s(R) + |b|``."""
        span = self._span(on)
        top = math.inf if span is None else float(span.outer.max())
        share = 1.0 if not top < _FAR else top / math.sqrt(top * top + self.width * self.eps)
        b = self._offset()
        offset = 0.0 if b is None else Enclosed.exact(np.asarray(b, dtype=np.float64)[None]).norm_up()[0]
        return float(inflate(self.gain * math.sqrt(self.width) * min(1.0, share * (1 + 1e-15)) + offset, 12))

    # ---- the view for the chain rules ----

    @property
    def chains(self) -> bool:
        return self.tokens and self.norm == "l2"

    def token_factor(self, x: Enclosed) -> TokenFactor:
        return normalization_factor(self, x)

    # ---- the derivative ----

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        d, shape = self.width, x.shape
        core, scale = self.factors(_rows(Enclosed.exact(x)))
        u, inv_s = core.mid.reshape(shape), scale.mid.reshape(*shape[:-1], 1)
        g, centred = np.asarray(self.gamma, dtype=np.float64), self.centred

        def inner(h: np.ndarray) -> np.ndarray:
            y = h - h.mean(axis=-1, keepdims=True) if centred else h
            return y - u * ((u * h).sum(axis=-1, keepdims=True) / d)

        fill = core.norm_up() ** 2 / d
        size = float(inflate(self._largest * (scale.magnitude[:, 0] * np.maximum(1.0, fill)).max(), 8))
        return LinearOperator(
            shape,
            shape,
            lambda h: g * (inv_s * inner(h)),
            lambda v: inner(inv_s * (g * v)),
            majorant=size,
            product_error=6 * gamma(d + 12) * size + d * TINY,
        )

    def stored_errors(self, x: Enclosed) -> np.ndarray:
        """(T,) bounds of ``|J - DT|`` at the points of ``x``, J made of the midpoints of ``factors(x)``."""
        core, inv_s = self.factors(x)
        moved, size = Enclosed.exact(core.radius).norm_up(), core.norm_up()
        fill = np.maximum(1.0, size**2 / self.width)
        gap = inv_s.radius[:, 0] * fill + inv_s.magnitude[:, 0] * moved * (2 * size + moved) / self.width
        return inflate(self._largest * gap, 12)

    def _deviation(self, ball: Ball | TokenBall) -> float | None:
        reach = token_reach(ball, self.tokens)
        if reach is None:
            return None
        x = Enclosed.exact(reach.center)
        return float(inflate(self.gain * self.core_deviation(x, reach.rho) + self.stored_errors(x), 4).max())


def _rows(x: Enclosed) -> Enclosed:
    return x if x.mid.ndim == 2 else x.reshape(1, -1)


def _less(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``max(a - b, 0)``, rounded down."""
    return np.maximum(np.nextafter(a - b, -np.inf), 0.0)


__all__ = ["Normalization"]
