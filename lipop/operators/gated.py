"""The gated MLP (SwiGLU, GeGLU): x -> W_down (f(W_gate x) * (W_up x)), on a vector or on every token."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lipop.core.digest import array_digest
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.memo import remember
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import dot_up, gamma, inflate
from lipop.core.space import Space
from lipop.errors import ShapeError
from lipop.operators import activation_rules as rule
from lipop.operators.activation_rules import Range
from lipop.operators.feedforward import FEW, SLACK, apply, check_weight, wide
from lipop.operators.sandwich import (
    affine,
    affine_range,
    center_radius,
    middle_norms,
    middle_symmetric,
    radius_around,
    row_norms,
    weighted_norms,
)
from lipop.operators.token_slices import SMALL, token_slices

MANY = 2**22  # entries beyond which stored factors are float32 numbers, and no second copy of the weights is kept


@dataclass(frozen=True)
class _Ranges:
    """What a region gives: intervals of f''(g), f'(g), f(g) and u, and of the two middle factors f'(g) u and f(g)."""

    curvature: Range
    slope: Range
    value: Range
    up: Range

    @property
    def factor(self) -> Range:
        """The interval of f'(g) u, from the four products of ends."""
        return _product(self.slope, self.up)

    @property
    def finite(self) -> bool:
        """Whether the middle factors are bounded."""
        return all(bool(np.isfinite(e).all()) for e in (*self.slope, *self.value, *self.up))


@dataclass(frozen=True, eq=False, repr=False)
class GatedMLP(Operator):
    """``x -> W_down (f(W_gate x) * (W_up x))``; on token arrays it acts on every token.

    Parameters
    ----------
    W_gate, W_up : (m, n) arrays
    W_down : (p, m) array
    activation : str
        A name of :class:`~lipop.operators.activation.Activation`.
    tokens : bool
        Whether the domain is ``(None, n)`` instead of ``(n,)``.
    param : float or None
        The activation's parameter.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    Not Lipschitz on the whole space (it grows quadratically). With g = W_gate x, u = W_up x the derivative is
    ``W_down (diag(f'(g) u) W_gate + diag(f(g)) W_up)``; on a bounded region both diagonals run over intervals with
    centres a, b and radii r, s, and ``Lip <= |W_down (diag(a) W_gate + diag(b) W_up)| + |W_down diag(sqrt r)|
    |diag(sqrt r) W_gate| + |W_down diag(sqrt s)| |diag(sqrt s) W_up|``. After a normalisation the inputs lie in a ball
    around 0: ask there, or on a shell.

    Examples
    --------
    >>> f = GatedMLP(np.eye(2), np.eye(2), np.eye(2))
    >>> f.lip().status, f.lip(Ball(np.zeros(2), 1.0)).value < 2.0
    ('UNKNOWN', True)
    """

    tokenwise = True

    W_gate: np.ndarray
    W_up: np.ndarray
    W_down: np.ndarray
    activation: str = "silu"
    tokens: bool = False
    param: float | None = None

    def __post_init__(self) -> None:
        for name in ("W_gate", "W_up", "W_down"):
            object.__setattr__(self, name, check_weight(getattr(self, name), name))
        if self.W_gate.shape != self.W_up.shape:
            raise ShapeError(f"W_gate has shape {self.W_gate.shape}, W_up {self.W_up.shape}; they must be equal")
        if self.W_down.shape[1] != len(self.W_up):
            raise ShapeError(f"W_down has shape {self.W_down.shape}, after W_up it needs (p, {len(self.W_up)})")
        object.__setattr__(self, "param", rule.parameter(self.activation, self.param))

    @property
    def domain(self) -> Space:
        n = self.W_up.shape[1]
        return Space((None, n) if self.tokens else (n,))

    @property
    def codomain(self) -> Space:
        p = self.W_down.shape[0]
        return Space((None, p) if self.tokens else (p,))

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        tokens = x.reshape(-1, x.shape[-1])
        y = np.empty((len(tokens), len(self.W_down)), x.dtype)
        for part in token_slices(len(tokens), len(self.W_up)):
            g, u = apply(tokens[part], self.W_gate, None), apply(tokens[part], self.W_up, None)
            y[part] = apply(rule.evaluate(self.activation, 0, g, self.param) * u, self.W_down, None)
        return y.reshape(*x.shape[:-1], -1)

    def enclose(self, x: Enclosed) -> Enclosed:
        gate, up, down = self._wide
        parts: list[Enclosed] = []
        for part in token_slices(x.mid.size // x.mid.shape[-1], len(gate)):
            tokens = x[part] if x.mid.ndim > 1 else x
            g, u = affine(tokens, gate, None), affine(tokens, up, None)
            parts.append(affine(rule.enclose_value(self.activation, g, self.param) * u, down, None))
        y = parts[0] if len(parts) == 1 else Enclosed.concatenate(parts)
        return y if x.mid.ndim > 1 else y.reshape(-1)

    # ---- the derivative ----

    def _float64(self, name: str) -> np.ndarray:
        """A weight in float64 (shared inside a memo, unless it is large)."""
        make = lambda: wide(getattr(self, name))  # noqa: E731
        return make() if self.W_up.size > MANY else remember((self.digest, "float64", name), make)

    @property
    def _wide(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """W_gate, W_up and W_down in float64."""
        return self._float64("W_gate"), self._float64("W_up"), self._float64("W_down")

    def _middle(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The stored f'(g) u and f(g), (T, m) each, at a point (shared inside a memo); float32 numbers if they are
        many: what that changes is part of how far they stand from the true ones."""
        x = np.asarray(x, dtype=np.float64).reshape(-1, self.W_up.shape[1])

        def make() -> tuple[np.ndarray, np.ndarray]:
            gate, up = self._float64("W_gate"), self._float64("W_up")
            kind = np.float32 if len(x) * len(up) > MANY else np.float64
            a, b = (np.empty((len(x), len(up)), kind) for _ in range(2))
            for part in token_slices(len(x), len(up)):
                g, u = apply(x[part], gate, None), apply(x[part], up, None)
                b[part] = rule.evaluate(self.activation, 0, g, self.param)
                a[part] = rule.evaluate(self.activation, 1, g, self.param) * u
            return a, b

        return remember(("middle", self.digest, array_digest(x)), make)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        a, b = self._middle(x)
        kept = None if a.size > MANY else self._wide

        def weights() -> Iterator[tuple[slice, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
            """Hidden units with their weights in float64: all at once, or for many tokens some at a time."""
            if kept is not None:
                yield slice(None), kept
                return
            for units in token_slices(*self.W_up.shape):
                yield units, (wide(self.W_gate[units]), wide(self.W_up[units]), wide(self.W_down[:, units]))

        def push(v: np.ndarray) -> np.ndarray:
            v, out = v.reshape(len(a), -1), np.zeros((len(a), len(self.W_down)))
            for units, (gate, up, down) in weights():
                for part in token_slices(len(a), len(up)):
                    y, z = v[part] @ gate.T, v[part] @ up.T
                    y *= a[part, units]
                    z *= b[part, units]
                    y += z
                    out[part] += y @ down.T
            return out.reshape(*x.shape[:-1], -1)

        def pull(w: np.ndarray) -> np.ndarray:
            w, out = w.reshape(len(a), -1), np.zeros((len(a), self.W_up.shape[1]))
            for units, (gate, up, down) in weights():
                for part in token_slices(len(a), len(up)):
                    y = w[part] @ down
                    out[part] += (a[part, units] * y) @ gate
                    y *= b[part, units]
                    out[part] += y @ up
            return out.reshape(x.shape)

        gate, up, down = (dot_up(self._float64(name)) for name in ("W_gate", "W_up", "W_down"))
        size = float(inflate(down * (float(np.abs(a).max()) * gate + float(np.abs(b).max()) * up), 8))
        return LinearOperator(
            x.shape,
            (*x.shape[:-1], len(self.W_down)),
            push,
            pull,
            majorant=size,
            product_error=gamma(sum(self.W_up.shape) + len(self.W_down) + 6) * size,
        )

    def _ranges(self, on: Region, units: slice = slice(None)) -> _Ranges | None:
        """The ranges of some hidden units, all by default."""
        g, u = (affine_range(wide(w[units]), None, on) for w in (self.W_gate, self.W_up))
        if g is None or u is None:
            return None
        curvature, slope, value = (rule.level_range(self.activation, k, *g, self.param) for k in (2, 1, 0))
        return _Ranges(curvature, slope, value, u)

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        """Rule 0.5 for both middle factors around the stored ones: token by token for a few tokens, with the largest
        radii of all tokens, neuron by neuron, for many."""
        a, b = self._middle(ball.center)
        r, s = (
            np.zeros((len(a) if len(a) <= FEW else 1, len(self.W_up))) for _ in range(2)
        )  # never float32: they bound
        for units in token_slices(*self.W_up.shape):
            for part in token_slices(len(a), units.stop - units.start, SMALL):
                ranges = self._ranges(_tokens(ball, part), units)
                if ranges is None:
                    return None
                if not ranges.finite:
                    return math.inf
                e = radius_around(wide(a[part, units]), *ranges.factor)
                f = radius_around(wide(b[part, units]), *ranges.value)
                if len(a) > FEW:
                    np.maximum(r[:, units], e.max(axis=0), out=r[:, units])
                    np.maximum(s[:, units], f.max(axis=0), out=s[:, units])
                else:
                    r[part, units], s[part, units] = e, f
        return float(inflate(self._spread(r, "W_gate") + self._spread(s, "W_up"), 2).max())

    def _spread(self, r: np.ndarray, name: str) -> np.ndarray:
        """(T,) upper bounds of ``|W_down diag(e) W|`` over all ``|e_k| <= r_tk``, one weight in float64 at a time."""
        left = weighted_norms(self._float64("W_down"), r)
        return inflate(left * weighted_norms(self._float64(name).T, r), 4)

    # ---- constants ----

    def _norms(self) -> tuple[float, float, float]:
        """Proved norms of W_gate, W_up and W_down."""
        from lipop_kernels import spectral_norm_upper

        def make() -> tuple[float, float, float]:
            names = ("W_gate", "W_up", "W_down")
            gate, up, down = (float(spectral_norm_upper(self._float64(w), rtol=SLACK)) for w in names)
            return gate, up, down

        return remember((self.digest, "norms"), make)

    def _parts(self, ranges: _Ranges) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """Centres with their matrices, and the spread around them."""
        gate, up = self._float64("W_gate"), self._float64("W_up")
        (a, r), (b, s) = center_radius(*ranges.factor), center_radius(*ranges.value)
        return [(a, gate), (b, up)], inflate(self._spread(r, "W_gate") + self._spread(s, "W_up"), 2)

    def _lip(self, on: Region) -> float | None:
        ranges = self._ranges(on)
        if ranges is None:
            return None
        if not ranges.finite:
            return math.inf
        gate, up, down = self._norms()
        best = down * (rule.sup_abs(*ranges.factor) * gate + rule.sup_abs(*ranges.value) * up)
        terms, spread = self._parts(ranges)
        return min(
            float(inflate(best, 6)), float(inflate(middle_norms(self._float64("W_down"), terms) + spread, 2).max())
        )

    def _dahlquist(self, on: Region) -> float | None:
        """``lambda_max`` of the symmetric part of the centre plus the spread, the largest over tokens."""
        ranges = self._ranges(on)
        if ranges is None or not ranges.finite:
            return None
        return middle_symmetric(self._float64("W_down"), *self._parts(ranges))

    def _smoothness(self, on: Region) -> float | None:
        """``|W_down| (sup |f'' u| R_g |W_gate| + 2 sup |f'| min(R_g |W_up|, R_u |W_gate|))``, R = largest row norm."""
        ranges = self._ranges(on)
        if ranges is None:
            return None
        bent = ranges.finite and all(bool(np.isfinite(e).all()) for e in ranges.curvature)
        if not bent:
            return math.inf
        gate, up, down = self._norms()
        row_gate, row_up = (float(row_norms(self._float64(w)).max()) for w in ("W_gate", "W_up"))
        first = rule.sup_abs(*_product(ranges.curvature, ranges.up)) * row_gate * gate
        second = 2 * rule.sup_abs(*ranges.slope) * min(row_gate * up, row_up * gate)
        return float(inflate(down * (first + second), 8))


def _tokens(ball: Ball | TokenBall, part: slice) -> Ball | TokenBall:
    """The ball of a slice of the tokens: it holds what the given one does to them."""
    if ball.center.ndim == 1:
        return ball
    if isinstance(ball, Ball):
        return Ball(ball.center[part], ball.radius, ball.norm)
    return TokenBall(ball.center[part], ball.rho_F, ball.rho_token[part])


def _product(a: Range, b: Range) -> Range:
    """Intervals of products, rounded outward."""
    with np.errstate(invalid="ignore"):
        ends = np.stack([x * y for x in a for y in b])
    low, high = ends.min(axis=0), ends.max(axis=0)
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


__all__ = ["GatedMLP"]
