"""The two-layer MLP of a transformer: x -> W_down f(W_up x + b_up) + b_down, on a vector or on every token."""

from __future__ import annotations

import math
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
from lipop.operators.linear import _tensor
from lipop.operators.sandwich import (
    affine,
    affine_range,
    center_radius,
    middle_norms,
    middle_symmetric,
    radius_around,
    row_norms,
    spread_norms,
)
from lipop.operators.token_factor import TokenFactor
from lipop.operators.token_views import activation_factor

SLACK = 1e-6
FEW = 8  # tokens whose spreads are normed one by one


@dataclass(frozen=True, eq=False, repr=False)
class MLP(Operator):
    """``x -> W_down f(W_up x + b_up) + b_down``; on token arrays it acts on every token.

    Parameters
    ----------
    W_up : (m, n) array
    b_up : (m,) array or None
    W_down : (p, m) array
    b_down : (p,) array or None
    activation : str
        A name of :class:`~lipop.operators.activation.Activation`; ``"gelu_tanh"`` is the tanh form of GELU.
    tokens : bool
        Whether the domain is ``(None, n)`` instead of ``(n,)``.
    param : float or None
        The activation's parameter.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    On a region, pre-activation k runs over an interval and f' there over ``[l_k, h_k]``; with centre c and radius r,
    ``Lip <= |W_down diag(c) W_up| + |W_down diag(sqrt r)| |diag(sqrt r) W_up|`` (token by token, then the largest).
    The smaller of it, ``|W_down| sup |f'| |W_up|`` and, on balls, ``|J| + rho * smoothness`` is reported;
    ``smoothness <= |W_down| sup |f''| |W_up| max row norm of W_up``: pre-activation k moves by at most its row norm.

    Examples
    --------
    >>> f = MLP(np.eye(2), None, np.eye(2), None, "relu")
    >>> x = np.array([1.0, -1.0])
    >>> f(x).tolist(), round(f.lip().value, 5), f.smoothness(Ball(x, 0.5)).value
    ([1.0, 0.0], 1.0, 0.0)
    """

    tokenwise = True

    W_up: np.ndarray
    b_up: np.ndarray | None
    W_down: np.ndarray
    b_down: np.ndarray | None
    activation: str = "gelu"
    tokens: bool = False
    param: float | None = None

    def __post_init__(self) -> None:
        up, down = check_weight(self.W_up, "W_up"), check_weight(self.W_down, "W_down")
        if down.shape[1] != up.shape[0]:
            raise ShapeError(
                f"W_down has shape {down.shape}, after W_up of shape {up.shape} it needs (p, {up.shape[0]})"
            )
        object.__setattr__(self, "W_up", up)
        object.__setattr__(self, "W_down", down)
        for name, rows in (("b_up", up.shape[0]), ("b_down", down.shape[0])):
            offset = getattr(self, name)
            if offset is not None:
                offset = _tensor(offset, name)
                if offset.shape != (rows,):
                    raise ShapeError(f"{name} has shape {offset.shape}, expected ({rows},)")
                object.__setattr__(self, name, offset)
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
        y = rule.evaluate(self.activation, 0, apply(x, self.W_up, self.b_up), self.param)
        return apply(y, self.W_down, self.b_down)

    def preactivation(self, x: Enclosed) -> Enclosed:
        """``W_up x + b_up`` over an enclosure, (T, m); a vector becomes one token."""
        key = ("preactivation", self.digest, array_digest(x.mid), array_digest(np.ascontiguousarray(x.radius)))
        return remember(key, lambda: affine(x, wide(self.W_up), self.b_up))

    def enclose(self, x: Enclosed) -> Enclosed:
        y = affine(
            rule.enclose_value(self.activation, self.preactivation(x), self.param), wide(self.W_down), self.b_down
        )
        return y if x.mid.ndim > 1 else y.reshape(-1)

    # ---- the derivative ----

    def _slope(self, x: np.ndarray) -> np.ndarray:
        """The stored f'(z) at a point."""
        z = apply(np.asarray(x, dtype=np.float64), wide(self.W_up), self.b_up)
        return rule.evaluate(self.activation, 1, z, self.param)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        up, down, slope = wide(self.W_up), wide(self.W_down), self._slope(x)
        top = float(np.abs(slope).max())
        size = float(inflate(dot_up(up) * dot_up(down) * top, 4))
        return LinearOperator(
            x.shape,
            (*x.shape[:-1], down.shape[0]),
            lambda v: (slope * (v @ up.T)) @ down.T,
            lambda u: (slope * (u @ down)) @ up,
            majorant=size,
            product_error=gamma(sum(up.shape) + down.shape[0] + 4) * size,
        )

    def _range(self, level: int, on: Region) -> Range | None:
        ends = affine_range(wide(self.W_up), self.b_up, on)
        return None if ends is None else rule.level_range(self.activation, level, *ends, self.param)

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        """Rule 0.5 with ``|f'(z') - s| <= e`` around the stored slopes s: token by token for a few tokens, with the
        largest e of all tokens, neuron by neuron, for many."""
        slopes = self._range(1, ball)
        if slopes is None:
            return None
        center = self._slope(ball.center).reshape(-1, self.W_up.shape[0])
        e = radius_around(center, *slopes)
        if not np.isfinite(e).all():
            return math.inf
        if len(e) > FEW:
            e = e.max(axis=0, keepdims=True)
        return float(spread_norms(wide(self.W_down), e, wide(self.W_up)).max())

    # ---- the view for the chain rules ----

    @property
    def chains(self) -> bool:
        return self.tokens

    def token_factor(self, x: Enclosed) -> TokenFactor:
        return activation_factor(self.activation, self.param, x, self.preactivation(x), self.W_up, self.W_down)

    # ---- constants ----

    def _norms(self) -> tuple[float, float]:
        """Proved norms of W_down and W_up."""
        from lipop_kernels import spectral_norm_upper

        def make() -> tuple[float, float]:
            down, up = (float(spectral_norm_upper(wide(w), rtol=SLACK)) for w in (self.W_down, self.W_up))
            return down, up

        return remember((self.digest, "norms"), make)

    def _lip(self, on: Region) -> float | None:
        slopes = self._range(1, on)
        if slopes is None:
            return None
        if not (np.isfinite(slopes[0]).all() and np.isfinite(slopes[1]).all()):
            return math.inf
        up, down = wide(self.W_up), wide(self.W_down)
        norm_down, norm_up = self._norms()
        best = float(inflate(norm_down * rule.sup_abs(*slopes) * norm_up, 4))
        center, radius = center_radius(*slopes)
        best = min(best, float(inflate(middle_norms(down, [(center, up)]) + spread_norms(down, radius, up), 2).max()))
        return min(best, self._linearized(on, best))

    def _linearized(self, on: Region, best: float) -> float:
        """``max_t |J_t| + rho_t * smoothness`` on balls; infinite where it cannot beat ``best``."""
        if not (isinstance(on, TokenBall) or (isinstance(on, Ball) and on.norm in ("l2", "2inf"))):
            return math.inf
        rho = on.rho_token if isinstance(on, TokenBall) else np.full(1, on.radius)
        smoothness = self._smoothness(on)
        if smoothness is None or not float(rho.max()) * smoothness < best:
            return math.inf
        at = self._range(1, Ball(on.center, 0.0))
        assert at is not None
        center, radius = center_radius(*at)
        up, down = wide(self.W_up), wide(self.W_down)
        here = middle_norms(down, [(center, up)]) + spread_norms(down, radius, up)
        return float(inflate(here + rho * smoothness, 4).max())

    def _dahlquist(self, on: Region) -> float | None:
        """``lambda_max(sym W_down diag(c) W_up)`` plus the spread, the largest over tokens."""
        slopes = self._range(1, on)
        if slopes is None or not (np.isfinite(slopes[0]).all() and np.isfinite(slopes[1]).all()):
            return None
        up, down = wide(self.W_up), wide(self.W_down)
        center, radius = center_radius(*slopes)
        return middle_symmetric(down, [(center, up)], spread_norms(down, radius, up))

    def _smoothness(self, on: Region) -> float | None:
        curvatures = self._range(2, on)
        if curvatures is None:
            return None
        norm_down, norm_up = self._norms()
        top = rule.sup_abs(*curvatures)
        if math.isinf(top):
            return math.inf
        return (
            float(inflate(norm_down * top * norm_up * float(row_norms(wide(self.W_up)).max()), 6)) if top > 0 else 0.0
        )


def wide(w: np.ndarray) -> np.ndarray:
    """The weight in float64."""
    return np.asarray(w, dtype=np.float64)


def check_weight(w: np.ndarray, name: str) -> np.ndarray:
    """A read-only finite matrix.

    Raises
    ------
    ShapeError, NonFiniteError
    """
    w = _tensor(w, name)
    if w.ndim != 2 or 0 in w.shape:
        raise ShapeError(f"{name} must be a matrix, found shape {w.shape}")
    return w


def apply(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """``W x + b`` on the last axis, in x's dtype."""
    y = x @ w.T.astype(x.dtype, copy=False)
    return y if b is None else y + b.astype(x.dtype, copy=False)


__all__ = ["MLP", "apply", "check_weight", "wide"]
