"""Rotary position embedding: every pair of coordinates of token i turns by the angle ``position_i * frequency``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Region, TokenBall
from lipop.core.rounding import ELEMENTARY, UNIT, gamma, inflate
from lipop.core.space import Space, norm_name
from lipop.errors import DomainError, NonFiniteError, ShapeError

LAYOUTS = ("half", "interleaved")


@dataclass(frozen=True, eq=False, repr=False)
class Rotary(Operator):
    """Rotations by position; linear, and an isometry up to the rounding of its float64 tables, which define the map.

    Parameters
    ----------
    dim : int
        Even: the length of a token.
    base : float
        Frequencies are ``base ** (-2 i / dim)``, i < dim/2.
    positions : (T,) array or None
        None: 0, 1, 2, ... for as many tokens as the input has.
    layout : str
        ``half`` pairs coordinate i with i + dim/2, ``interleaved`` pairs 2i with 2i + 1.
    frequencies : (dim/2,) array or None
        Instead of those of ``base`` (scaled variants).
    norm : str
        ``l2`` (F) or ``2inf``.

    Raises
    ------
    ShapeError, DomainError, NonFiniteError

    Notes
    -----
    On a pair the map is ``[[c, -s], [s, c]]``: its norm and its lower constant are ``sqrt(c^2 + s^2)``, its symmetric
    part is c. It acts on every token by itself, but differently on each, so it is not token-wise in the sense of
    :class:`Operator`.

    References
    ----------
    Su et al. 2021, arXiv 2104.09864, section 3.2.

    Examples
    --------
    >>> R = Rotary(4)
    >>> R(np.ones((2, 4))).round(3).tolist()
    [[1.0, 1.0, 1.0, 1.0], [-0.301, 0.99, 1.382, 1.01]]
    >>> round(R.lip().value, 6), round(R.expansion().value, 6)
    (1.0, 1.0)
    """

    dim: int
    base: float = 10000.0
    positions: Any = None
    layout: str = "half"
    frequencies: Any = None
    norm: str = "l2"

    def __post_init__(self) -> None:
        if not isinstance(self.dim, int | np.integer) or self.dim < 2 or self.dim % 2:
            raise ShapeError(f"Rotary turns pairs: dim must be even and positive, found {self.dim!r}")
        object.__setattr__(self, "dim", int(self.dim))
        if not (self.base > 0 and math.isfinite(self.base)):
            raise DomainError(f"the base of Rotary must be positive and finite, found {self.base}")
        object.__setattr__(self, "base", float(self.base))
        if self.layout not in LAYOUTS:
            raise DomainError(f"unknown layout {self.layout!r} of Rotary; expected one of {LAYOUTS}")
        if norm_name(self.norm) not in ("l2", "2inf"):
            raise DomainError(f"Rotary acts in l2 or 2inf, found {self.norm!r}")
        object.__setattr__(self, "norm", norm_name(self.norm))
        for name, shape in (("positions", None), ("frequencies", (self.dim // 2,))):
            value = getattr(self, name)
            if value is None:
                continue
            value = np.array(value, dtype=np.float64)
            if value.ndim != 1 or len(value) == 0 or (shape is not None and value.shape != shape):
                raise ShapeError(f"{name} of Rotary have shape {value.shape}, expected {shape or '(tokens,)'}")
            if not bool(np.isfinite(value).all()):
                raise NonFiniteError(f"{name} of Rotary must be finite, found {value[~np.isfinite(value)][0]}")
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def domain(self) -> Space:
        return Space((None if self.positions is None else len(self.positions), self.dim), self.norm)

    @property
    def codomain(self) -> Space:
        return self.domain

    def tables(self, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines, each (tokens, dim/2) float64: the constants that define the map.

        Raises
        ------
        ShapeError
            If fixed positions are for another number of tokens.
        """
        positions = np.arange(tokens, dtype=np.float64) if self.positions is None else self.positions
        if len(positions) != tokens:
            raise ShapeError(f"Rotary holds {len(positions)} positions, the input has {tokens} tokens")
        freq = self.frequencies
        if freq is None:
            freq = self.base ** (-np.arange(0, self.dim, 2, dtype=np.float64) / self.dim)
        angle = positions[:, None] * freq
        return np.cos(angle), np.sin(angle)

    def _pairs(self) -> tuple[slice, slice]:
        half = self.dim // 2
        return (slice(0, half), slice(half, None)) if self.layout == "half" else (slice(0, None, 2), slice(1, None, 2))

    def _turn(self, x: np.ndarray, c: np.ndarray, s: np.ndarray) -> np.ndarray:
        first, second = self._pairs()
        a, b = x[..., first], x[..., second]
        out = np.empty(np.broadcast_shapes(x.shape, (len(c), self.dim)), np.result_type(x, c))
        out[..., first] = a * c - b * s
        out[..., second] = a * s + b * c
        return out

    def __call__(self, x: np.ndarray) -> np.ndarray:
        c, s = self.tables(x.shape[-2])
        return self._turn(x, c.astype(x.dtype, copy=False), s.astype(x.dtype, copy=False))

    def enclose(self, x: Enclosed) -> Enclosed:
        c, s = self.tables(x.shape[-2])
        first, second = self._pairs()
        a, b = x[..., first], x[..., second]
        up, down = a * c - b * s, a * s + b * c
        mid, err = np.empty(x.shape), np.empty(x.shape)
        mid[..., first], mid[..., second] = up.mid, down.mid
        err[..., first], err[..., second] = up.radius, down.radius
        return Enclosed(mid, err)

    def _tokens(self, on: Region) -> int | None:
        if self.positions is not None:
            return len(self.positions)
        if isinstance(on, Ball | TokenBall):
            return on.center.shape[0]
        if isinstance(on, Box):
            return on.low.shape[0]
        return on.points.shape[1] if isinstance(on, Cloud) else None

    def _lip(self, on: Region) -> float:
        tokens = self._tokens(on)
        if tokens is None:  # any number of tokens: the library's cosines and sines are within ELEMENTARY ulps
            return 1 + 4 * UNIT * ELEMENTARY
        c, s = self.tables(tokens)
        return float(inflate(np.sqrt(c * c + s * s), 3).max())

    def _expansion(self, on: Region) -> float:
        tokens = self._tokens(on)
        if tokens is None:
            return 1 - 4 * UNIT * ELEMENTARY
        c, s = self.tables(tokens)
        return float(np.sqrt(c * c + s * s).min()) * (1 - 2 * gamma(5))

    def _dahlquist(self, on: Region) -> float:
        tokens = self._tokens(on)
        return 1.0 if tokens is None else float(self.tables(tokens)[0].max())

    def _smoothness(self, on: Region) -> float:
        return 0.0

    def _deviation(self, ball: Ball | TokenBall) -> float:
        return 0.0

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        c, s = self.tables(x.shape[0])
        top = float(inflate(np.sqrt(c * c + s * s), 3).max())
        return LinearOperator(
            x.shape,
            x.shape,
            lambda h: self._turn(h, c, s),
            lambda u: self._turn(u, c, -s),
            majorant=top,
            product_error=4 * gamma(3) * top,
        )


__all__ = ["LAYOUTS", "Rotary"]
