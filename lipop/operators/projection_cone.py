"""The nearest positive semidefinite matrix in the Frobenius norm: ``sum max(l, 0) v v^T`` of the symmetric part.

Sources: Higham 1988 (the nearest matrix); the derivative is Daleckii and Krein's, ``V (O * (V^T H V)) V^T`` with the
divided differences ``O_ij = (max(l_i, 0) - max(l_j, 0)) / (l_i - l_j)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Enclosed, frobenius_up
from lipop.core.linearization import LinearOperator
from lipop.core.region import Ball, Region, TokenBall, as_ball
from lipop.core.rounding import TINY, UNIT, dot_up, gamma, inflate
from lipop.core.space import Space
from lipop.errors import ShapeError
from lipop.operators.projection import Projection


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Eigenvalues and vectors as computed, and how far they are from those of a matrix near by.

    ``X' = U diag(l) U^T``, U orthogonal, is a matrix whose decomposition is exact: ``|X - X'|_F <= error`` and ``|U -
    V|_F <= skew``.
    """

    values: np.ndarray
    vectors: np.ndarray
    error: float
    skew: float

    @property
    def gap(self) -> float:
        """A lower bound of the least modulus of an eigenvalue of the true matrix (Weyl)."""
        return float(np.abs(self.values).min()) - self.error


def _spectrum(s: np.ndarray) -> _Spectrum:
    """The decomposition of a symmetric matrix, its error bounded from residuals."""
    values, vectors = np.linalg.eigh(s)
    v, n = Enclosed.exact(vectors), len(s)
    defect = v.T @ v - np.eye(n)
    residual = (v * values) @ v.T - s
    skew = dot_up(defect.magnitude)  # the polar factor U of V has |U - V| <= |V^T V - I|
    top = float(np.abs(values).max(initial=0.0))
    error = frobenius_up(residual.magnitude) + skew * top * (2 + skew)
    return _Spectrum(values, vectors, float(inflate(error, 8)), float(inflate(skew, 4)))


@dataclass(frozen=True, eq=False, repr=False)
class PSDProjection(Projection):
    """The nearest symmetric positive semidefinite matrix (Frobenius norm), for any square matrix.

    Parameters
    ----------
    n : int
        Order of the matrices.

    Raises
    ------
    ShapeError

    Notes
    -----
    Lip is 1. While no eigenvalue changes its sign the derivative is smooth: the second divided differences of max(t, 0)
    between numbers of modulus at least g are at most ``1/(4 g)`` (two of one sign, one of the other: ``|c| / ((a + |c|)
    (b + |c|)) <= 1/(4g)`` with a, b >= g), each enters twice, so ``|DT(X) - DT(Y)| <= |X - Y|_F / (2 g)``. On symmetric
    matrices that stay positive definite the map is the identity; the part of a matrix that is not symmetric is
    dropped, so the expansion is 0 for n > 1.

    Examples
    --------
    >>> P = PSDProjection(2)
    >>> P(np.array([[0.0, 1.0], [1.0, 0.0]])).round(12).tolist(), P.lip().value
    ([[0.5, 0.5], [0.5, 0.5]], 1.0)
    """

    n: int

    def __post_init__(self) -> None:
        if not isinstance(self.n, int | np.integer) or isinstance(self.n, bool) or self.n < 1:
            raise ShapeError(f"the order of a matrix must be an int >= 1, found {self.n!r}")
        object.__setattr__(self, "n", int(self.n))

    @property
    def domain(self) -> Space:
        return Space((self.n, self.n))

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh((x + x.swapaxes(-1, -2)) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
        return root @ root.swapaxes(-1, -2)

    def enclose(self, x: Enclosed) -> Enclosed:
        s, moved = self._symmetric(x)
        near = _spectrum(s)
        v, top = Enclosed.exact(near.vectors), np.maximum(near.values, 0.0)
        y = (v * top) @ v.T
        slack = moved + near.error + near.skew * float(top.max()) * (2 + near.skew)
        return Enclosed(y.mid, y.err + float(inflate(slack, 8)))

    @staticmethod
    def _symmetric(x: Enclosed) -> tuple[np.ndarray, float]:
        """The symmetric part as computed, and how far the true one may be (F)."""
        mid = (x.mid + x.mid.T) / 2
        return mid, float(inflate(dot_up(x.radius) + UNIT * dot_up(mid), 8)) if np.any(x.err) or not np.array_equal(
            x.mid, x.mid.T
        ) else TINY

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        near = _spectrum((x + x.T) / 2)
        v, values, n = near.vectors, near.values, self.n
        positive = values > 0
        top = np.abs(values)
        total = top[:, None] + top[None, :]
        mixed = np.where(positive[:, None], top[:, None], top[None, :]) / np.where(total > 0, total, 1.0)
        share = np.where(positive[:, None] == positive[None, :], positive[:, None].astype(np.float64), mixed)

        def product(h: np.ndarray) -> np.ndarray:
            return v @ (share * (v.T @ ((h + h.T) / 2) @ v)) @ v.T

        return LinearOperator(
            x.shape,
            x.shape,
            product,
            product,
            majorant=1.0 + 8 * near.skew + 16 * UNIT,
            product_error=gamma(8 * n + 32) * n * n * (1 + 8 * near.skew),
        )

    def _gap(self, on: Region) -> tuple[float, float, float]:
        """A lower bound of the eigenvalues' moduli on the region, the radius, and the rounding of the stored
        derivative."""
        ball = as_ball(on)
        if ball is None:
            return 0.0, math.inf, 1.0
        s, moved = self._symmetric(Enclosed.exact(ball.center))
        near = _spectrum(s)
        gap = near.gap - moved
        slip = near.error + moved
        rounding = slip / (2 * gap) if gap > slip else 1.0
        return gap - ball.radius, ball.radius, float(inflate(rounding + 8 * near.skew + 32 * UNIT, 8))

    def _deviation(self, ball: TokenBall | Ball) -> float:
        gap, radius, rounding = self._gap(ball)
        moved = radius / (2 * gap) if gap > 0 else 1.0
        return float(inflate(min(1.0, moved) + rounding, 8))

    def _lip(self, on: Region) -> float:
        return 0.0 if self.n == 1 and self._definite(on) < 0 else 1.0

    def _dahlquist(self, on: Region) -> float:
        return self._lip(on)

    def _expansion(self, on: Region) -> float:
        return 1.0 if self.n == 1 and self._definite(on) > 0 else 0.0

    def _definite(self, on: Region) -> int:
        """For n = 1: the sign of the number all over the region, 0 if it has none."""
        ball = as_ball(on)
        if ball is None:
            return 0
        t = float(ball.center.ravel()[0])
        return 0 if abs(t) <= ball.radius else int(math.copysign(1, t))

    def _smoothness(self, on: Region) -> float | None:
        gap = self._gap(on)[0]
        return float(inflate(1 / (2 * gap), 4)) if gap > 0 else None

    def holds(self, x: np.ndarray) -> bool:
        """Decided in rational arithmetic up to order 16."""
        from lipop_kernels.ref._exact import fractions, positive_semidefinite

        return self.n <= 16 and np.array_equal(x, x.T) and positive_semidefinite(fractions(x))

    def depth(self, x: np.ndarray) -> float:
        """0: the cone has no inner point among all square matrices."""
        return 0.0 if self.n > 1 else max(0.0, float(x[0, 0]))


__all__ = ["PSDProjection"]
