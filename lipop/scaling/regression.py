"""A regression in which every part of the error can be computed: features at a fixed point, trained by descent.

Inputs are finitely many points u with equal probability; their drives ``s(u)`` enter a contraction ``T_u z = tanh(W z)
+ s(u)``, and the features of depth P are ``phi_P(u) = T_u^P 0`` (weights shared by all layers: a deep-equilibrium
network cut off at depth P). A ridge regression on N sampled points is trained by K steps of gradient descent from 0.

With ``q = Lip T``, ``B = max |s| / (1 - q)`` (a bound of all features), ``Y = max |y|`` and ridge parameter r, the
minimisers have norm at most ``Y / sqrt r`` (the objective at 0 is at most ``Y^2 / 2``), and, for every u:

- optimisation: ``|<theta_K - theta, phi_P>| <= B beta^K Y / sqrt r``, beta the constant of the training map;
- architecture: features move by ``e = B q^P`` at most, minimisers by ``e (Y + 2 B Y / sqrt r) / r`` (perturbed normal
  equations), predictions by ``e (Y / sqrt r + B (Y + 2 B Y / sqrt r) / r)``;
- sample: ``B / r`` times the distance of the mean of the vectors ``phi (y - <phi, theta>)``, of norm at most ``B (Y +
  B Y / sqrt r)``, from its expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lipop.core.bound import Bound
from lipop.core.operator import Operator
from lipop.core.rounding import UNIT, dot_up, float_up, workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators.activation import tanh
from lipop.operators.linear import Affine
from lipop.scaling.decomposition import Decomposition, Sample, contraction, seen
from lipop.scaling.descent import Descent

SETTLED = 4096
"""Layers after which features count as those of infinite depth, if they have not stopped moving before."""


@dataclass(frozen=True, eq=False)
class EquilibriumRegression:
    """See the module.

    Parameters
    ----------
    W : (d, d) array
        With norm below 1.
    drives : (m, d) array
        ``s(u)`` of every input.
    targets : (m,) array
    ridge : float
        r > 0.
    step : float
        Of gradient descent.

    Raises
    ------
    DomainError, ShapeError, NonFiniteError

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> task = EquilibriumRegression(0.5 * np.eye(2), rng.standard_normal((8, 2)), rng.standard_normal(8), 0.5, 0.1)
    >>> task.error(task.sample(16, seed=1), P=4, K=20) <= task.decomposition(seed=1)(N=16, P=4, K=20).value
    True
    """

    W: np.ndarray
    drives: np.ndarray
    targets: np.ndarray
    ridge: float
    step: float

    def __post_init__(self) -> None:
        m, d = np.shape(self.drives)
        if np.shape(self.W) != (d, d) or np.shape(self.targets) != (m,):
            raise ShapeError(
                f"W must be ({d}, {d}) and targets ({m},), found {np.shape(self.W)}, {np.shape(self.targets)}"
            )
        if not (np.isfinite(self.drives).all() and np.isfinite(self.targets).all()):
            raise NonFiniteError("drives and targets must be finite")
        if not (self.ridge > 0 and self.step > 0):
            raise DomainError(f"ridge and step must be positive, found {self.ridge!r} and {self.step!r}")
        if not self.lip.value < 1:
            raise DomainError(f"the block must be a contraction, found Lip <= {self.lip.value:.6g}")

    # ---- the architecture ----

    @property
    def block(self) -> Operator:
        """``z -> tanh(W z)``; ``T_u`` adds the drive, which moves no Lipschitz constant."""
        return tanh(len(self.W)) @ Affine(self.W)

    @cached_property
    def lip(self) -> Bound:
        """``Lip T``, from above."""
        return self.block.lip()

    def features(self, P: int | None) -> np.ndarray:
        """``phi_P`` of all inputs, (m, d); None: of infinite depth."""
        if P is None:
            return self.equilibrium
        z = np.zeros_like(self.drives)
        for _ in range(P):
            z = np.tanh(z @ self.W.T) + self.drives
        return z

    @cached_property
    def equilibrium(self) -> np.ndarray:
        """The fixed points, (m, d): layers until they move by a few units in the last place only."""
        z = self.drives
        for _ in range(SETTLED):
            before, z = z, np.tanh(z @ self.W.T) + self.drives
            if np.abs(z - before).max() <= 8 * UNIT * np.abs(z).max():
                break
        return z

    # ---- training ----

    def sample(self, N: int, seed: int) -> np.ndarray:
        """N inputs drawn with replacement, by index."""
        return np.random.default_rng(seed).integers(0, len(self.drives), N)

    def normal_equations(self, rows: np.ndarray | None, P: int | None) -> tuple[np.ndarray, np.ndarray]:
        """``(H, c)`` of the objective ``<theta, H theta>/2 - <c, theta>``; rows None: the population."""
        phi = self.features(P)
        phi, y = (phi, self.targets) if rows is None else (phi[rows], self.targets[rows])
        return phi.T @ phi / len(y) + self.ridge * np.eye(phi.shape[1]), phi.T @ y / len(y)

    def descent(self, rows: np.ndarray | None, P: int | None) -> Descent:
        """The training map."""
        H, c = self.normal_equations(rows, P)
        return Descent(Affine(H, -c), self.step)

    def trained(self, rows: np.ndarray | None, P: int | None, K: int | None) -> np.ndarray:
        """``theta`` after K steps from 0; None: the minimiser."""
        H, c = self.normal_equations(rows, P)
        if K is None:
            return np.linalg.solve(H, c)
        theta = np.zeros(len(c))
        for _ in range(K):
            theta = theta - self.step * (H @ theta - c)
        return theta

    def predictions(self, rows: np.ndarray | None, P: int | None, K: int | None) -> np.ndarray:
        """Of all inputs, (m,)."""
        return self.features(P) @ self.trained(rows, P, K)

    def error(self, rows: np.ndarray, P: int, K: int) -> float:
        """The largest difference, over all inputs, to the prediction of infinite data, depth and training."""
        return float(np.abs(self.predictions(rows, P, K) - self.predictions(None, None, None)).max())

    def errors(self, rows: np.ndarray, P: int, K: int) -> dict[str, float]:
        """The three parts by themselves, measured."""
        stages = (
            self.predictions(rows, P, K),
            self.predictions(rows, P, None),
            self.predictions(rows, None, None),
            self.predictions(None, None, None),
        )
        names = ("optimisation", "architecture", "sample")
        return {n: float(np.abs(a - b).max()) for n, a, b in zip(names, stages, stages[1:], strict=False)}

    # ---- the bounds ----

    @cached_property
    def constants(self) -> dict[str, float]:
        """Rounded up: ``features`` B, ``minimiser`` ``Y / sqrt r``, ``vectors`` ``B (Y + B Y / sqrt r)``,
        ``architecture`` (the factor of ``q^P``, without B) and ``sample`` ``B / r``."""
        import flint

        with workprec():
            drive = flint.arb(max(dot_up(s) for s in self.drives))
            B = drive / (1 - flint.arb(self.lip.value))
            Y, r = flint.arb(float(np.abs(self.targets).max())), flint.arb(self.ridge)
            theta = Y / r.sqrt()
            found: dict[str, Any] = {
                "features": B,
                "minimiser": theta,
                "vectors": B * (Y + B * theta),
                "architecture": theta + B * (Y + 2 * B * theta) / r,
                "sample": B / r,
            }
            return {n: float_up(v) for n, v in found.items()}

    def decomposition(self, seed: int, delta: float = 0.01) -> Decomposition:
        """The three bounds, for every N, P and K and samples drawn with one seed.

        beta is ``max(|1 - h r|, |1 - h (B^2 + r)|)``: the eigenvalues of every H lie in ``[r, B^2 + r]``. The constant
        of one training map, :meth:`descent`, is at most that.

        Parameters
        ----------
        seed : int
        delta : float
            The probability with which the sample term may fail.
        """
        c, beta = self.constants, self._any_descent().contraction()
        return Decomposition(
            lambda K: contraction(beta, K, c["minimiser"], c["features"]),
            lambda P: contraction(self.lip, P, c["features"], c["architecture"]),
            lambda N: seen(Sample(N, c["vectors"], seed).mean(delta), c["sample"]),
        )

    def _any_descent(self) -> Descent:
        """Descent with the two extreme eigenvalues, whose constant bounds that of every sample and depth."""
        import flint

        with workprec():
            top = float_up(flint.arb(self.constants["features"]) ** 2 + flint.arb(self.ridge))
        return Descent(Affine(np.diag([self.ridge, top])), self.step)


__all__ = ["EquilibriumRegression"]
