"""What a fit minimises: Huber's loss of the log residuals, with gradients generated from the law's formula.

In the inner coordinates z of the parameters (logarithms, logits) and the logarithms of the variables a power law is a
sum of exponentials; SymPy differentiates it, and value and derivatives are compiled to one NumPy function with shared
subexpressions. Rows (starts, resamples) and data are evaluated together, in pieces that fit into the cache.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from lipop.scaling.law import ScalingLaw

PIECE = 1 << 15
"""Numbers in one temporary array."""
EDGE = 80.0
"""Inner coordinates beyond this count as outside of the domain."""


@lru_cache(maxsize=64)
def compiled(law: ScalingLaw) -> Any:
    """``f(*z, *x)`` giving the law's value and its derivatives by z, for logarithms x of the variables."""
    import sympy

    z = [sympy.Symbol(f"z{i}", real=True) for i in range(len(law.parameters))]
    x = [sympy.Symbol(f"x{i}", real=True) for i in range(len(law.variables))]
    outer = {p.symbol: p.outer(s) for p, s in zip(law.parameters, z, strict=True)}
    inner = {v.symbol: sympy.exp(s) for v, s in zip(law.variables, x, strict=True)}
    f: Any = sympy.powdenest(law.formula.subs({**outer, **inner}), force=True)
    return sympy.lambdify([*z, *x], [f, *[f.diff(s) for s in z]], modules="numpy", cse=True)


class Objective:
    """Mean Huber loss of ``log law - log y``, for many parameter vectors at once.

    Parameters
    ----------
    law : ScalingLaw
    x : (v, n) array
        Logarithms of the variables.
    y : (n,) array
        Logarithms of the measured quantity.
    delta : float or None
        Width of Huber's loss: ``r^2/2`` up to it, linear beyond; None: squares everywhere.
    weights : (R, n) array, optional
        Of the data, for every row; 1 if not given.

    Notes
    -----
    Values are divided by delta and by the number of data, so that they are about the mean absolute residual.

    Examples
    --------
    >>> from lipop.scaling.laws import DataLaw
    >>> x = np.log([[1.0, 4.0, 16.0]])
    >>> values, slopes = Objective(DataLaw(), x, np.log([2.0, 1.5, 1.25]))(np.log([[1.0, 1.0, 0.5]]), np.arange(1))
    >>> float(abs(values).max()) < 1e-25, float(abs(slopes).max()) < 1e-12
    (True, True)
    """

    def __init__(
        self,
        law: ScalingLaw,
        x: np.ndarray,
        y: np.ndarray,
        delta: float | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.law, self.x, self.y, self.delta, self.weights = law, x, y, delta, weights
        self._function = compiled(law)
        self.unit = 1.0 if delta is None else delta

    def _evaluate(self, z: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The law (R, n) and its derivatives, each (R, n) or what broadcasts to it."""
        f, *slopes = self._function(*[c[:, None] for c in z.T], *self.x)
        return np.broadcast_to(f, (len(z), self.y.size)), slopes

    def model(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log residuals (R, n) and their derivatives (p, R, n); not finite where the law is not."""
        with np.errstate(all="ignore"):
            f, slopes = self._evaluate(z)
            return np.log(f) - self.y, np.stack([np.broadcast_to(s / f, f.shape) for s in slopes])

    def residuals(self, z: np.ndarray) -> np.ndarray:
        """Log residuals (n,) at one point (p,)."""
        return self.model(z[None])[0][0]

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """Derivatives (n, p) of the log residuals at one point (p,)."""
        return self.model(z[None])[1][:, 0].T

    def _pieces(self, count: int) -> list[slice]:
        size = max(1, PIECE // self.y.size)
        return [slice(i, min(i + size, count)) for i in range(0, count, size)]

    def _weighted(self, rows: np.ndarray) -> np.ndarray | float:
        return 1.0 / self.y.size if self.weights is None else self.weights[rows] / self.y.size

    def rho(self, r: np.ndarray) -> np.ndarray:
        """Huber's loss."""
        if self.delta is None:
            return r * r / 2
        a = np.abs(r)
        return np.where(a <= self.delta, a * a / 2, self.delta * (a - self.delta / 2))

    def psi(self, r: np.ndarray) -> np.ndarray:
        """Its derivative."""
        return r if self.delta is None else np.clip(r, -self.delta, self.delta)

    def __call__(self, z: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (R,) and gradients (R, p); infinite and 0 outside of the domain."""
        value, gradient = np.empty(len(z)), np.empty_like(z)
        for part in self._pieces(len(z)):
            w = self._weighted(rows[part])
            with np.errstate(all="ignore"):
                f, slopes = self._evaluate(z[part])
                r = np.log(f)
                r -= self.y
                push = self.psi(r)
                value[part] = (w * (push * (r - 0.5 * push))).sum(axis=1)  # Huber's loss is psi (r - psi / 2)
                push = w * push / f
                for j, s in enumerate(slopes):
                    gradient[part, j] = np.einsum("rn,rn->r", push, np.broadcast_to(s, push.shape))
        bad = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1)) | (np.abs(z).max(axis=1) > EDGE)
        value[bad], gradient[bad] = np.inf, 0.0
        return value / self.unit, gradient / self.unit

    def inverse(self, z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inverses (R, p, p) of the Gauss-Newton matrices with Huber's weights, regularised where they are singular."""
        p = z.shape[1]
        G = np.empty((len(z), p, p))
        for part in self._pieces(len(z)):
            r, J = self.model(z[part])
            w = self._weighted(rows[part])
            if self.delta is not None:
                w = w * np.minimum(1.0, self.delta / np.maximum(np.abs(r), 1e-300))
            G[part] = np.einsum("prn,qrn->rpq", J * w, J)
        G = np.where(np.isfinite(G).all(axis=(1, 2), keepdims=True), G, np.eye(p)) / self.unit
        top = np.maximum(np.einsum("rii->ri", G).max(axis=1), 1e-12)
        return np.linalg.inv(G + 1e-9 * top[:, None, None] * np.eye(p))


__all__ = ["Objective", "compiled"]
