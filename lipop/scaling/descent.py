"""Gradient descent as an operator on parameters, and how fast it contracts.

``A x = x - h F x`` with ``F = grad f``. For a quadratic f, A is affine with matrix ``I - h H``, whose norm is its
constant. If f is m-strongly convex and L-smooth, ``Lip A <= max(|1 - h m|, |1 - h L|)`` (Polyak 1963; F is then a
gradient, which the user declares); for any F the residual rule gives ``sqrt(1 - 2 h m + h^2 L^2)``. Under the
Polyak-Lojasiewicz inequality ``|grad f|^2 >= 2 m (f - f*)`` values fall by ``1 - 2 m h (1 - h L / 2)`` a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.algebra import Identity, Sum, residual
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.region import Everywhere, Region
from lipop.core.rounding import float_down, float_up, gamma, inflate, workprec
from lipop.core.rule import leaf, leaf_rule, parts_digest
from lipop.errors import DomainError, ProofError
from lipop.operators.linear import Affine

GRADIENT = "F is the gradient of a function"


def _quadratic_value(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    return subject.matrix().upper().value


QUADRATIC = leaf_rule(
    "scaling.quadratic@1",
    reference="gradient descent on a quadratic is affine: the norm of I - h H, rounding of the difference included",
    grid=30,
    quantity="lip",
    side=UPPER,
    procedure=_quadratic_value,
    params={"step": float},
)


def _descent_value(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    m, L = subject.constants(claim.region)
    return _largest(float(params["step"]), m, L)


DESCENT = leaf_rule(
    "scaling.descent@1",
    reference="gradient descent on an m-strongly convex L-smooth function: max(|1 - h m|, |1 - h L|) (Polyak 1963)",
    grid=44,
    quantity="lip",
    side=UPPER,
    strength="declared",
    procedure=_descent_value,
    params={"step": float, "assumes": list},
)


def _pl_value(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    L = subject.constants(claim.region)[1]
    return _pl(int(params["n"]), float(params["step"]), float(params["mu"]), L, float(params["gap"]))


PL = leaf_rule(
    "scaling.pl@1",
    reference="f(x_n) - f* <= (1 - 2 m h (1 - h L / 2))^n (f(x_0) - f*) under |grad f|^2 >= 2 m (f - f*), h L <= 2",
    grid=44,
    quantity="distance",
    side=UPPER,
    strength="declared",
    procedure=_pl_value,
    params={"n": int, "step": float, "mu": float, "gap": float, "assumes": list},
)


def _largest(h: float, m: float, L: float) -> float:
    import flint

    with workprec():
        return float_up(abs(1 - flint.arb(h) * m).max(abs(1 - flint.arb(h) * L)))


def _pl(n: int, h: float, m: float, L: float, gap: float) -> float:
    import flint

    with workprec():
        step = flint.arb(h)
        if not (math.isfinite(L) and step * L <= 2):
            return math.inf
        shrink = (1 - 2 * m * step * (1 - step * L / 2)).max(flint.arb(0))
        return float_up(shrink**n * gap)


def monotonicity(F: Operator, on: Region) -> float:
    """The largest m that is known with ``<Fx - Fy, x - y> >= m |x - y|^2`` on the region (l2), rounded down: exact for
    affine maps, summed over the terms of a sum, and at least ``-Lip F``.

    Examples
    --------
    >>> import lipop as lo
    >>> monotonicity(lo.Identity(lo.Space(2)) + lo.sigmoid(2), lo.Everywhere())
    0.75
    """
    import flint

    if isinstance(F, Sum):
        with workprec():
            return float_down(sum((flint.arb(monotonicity(t, on)) for t in F.terms), flint.arb(0)))
    if isinstance(F, Identity):
        return 1.0
    flipped = Affine(-F.A, None if F.b is None else -F.b) if isinstance(F, Affine) and not F.tokens else -1.0 * F
    return -flipped.dahlquist(on).value


@dataclass(frozen=True, eq=False)
class Descent:
    """Gradient descent ``x - h F x`` on a function with gradient F.

    Parameters
    ----------
    F : Operator
        The gradient field.
    step : float
        h > 0.

    Raises
    ------
    DomainError
        If the step is not finite and positive.

    Examples
    --------
    >>> import numpy as np
    >>> import lipop as lo
    >>> down = Descent(lo.Affine(np.diag([1.0, 4.0]), np.zeros(2)), 0.4)
    >>> round(down.contraction().value, 6), down.contraction().status
    (0.6, 'PROVED')
    """

    F: Operator
    step: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0):
            raise DomainError(f"a step is finite and positive, found {self.step!r}")

    @property
    def map(self) -> Operator:
        """The training map ``x - h F x``."""
        return residual((-self.step) * self.F)

    @property
    def quadratic(self) -> bool:
        """Whether F is affine on vectors with the l2 norm."""
        F = self.F
        return isinstance(F, Affine) and not F.tokens and F.domain.norm == F.codomain.norm == "l2"

    def matrix(self) -> Matrix:
        """``I - h A`` for ``F x = A x + b``, with the rounding of the difference as its error.

        Raises
        ------
        DomainError
            If F is not affine.
        """
        if not (self.quadratic and isinstance(self.F, Affine)):
            raise DomainError(f"the training map of {self.F!r} has no matrix")
        A = np.asarray(self.F.A, dtype=np.float64)
        size = np.eye(len(A)) + self.step * np.abs(A)
        return Matrix(np.eye(len(A)) - self.step * A, float(inflate(gamma(3) * np.linalg.norm(size), A.size + 4)))

    @property
    def digest(self) -> str:
        """sha256 of field and step."""
        return parts_digest("descent", [self.step.hex(), self.F.digest])

    def constants(self, on: Region) -> tuple[float, float]:
        """``(m, L)``: strong monotonicity of F from below (0 where nothing is known), its Lipschitz constant from
        above."""
        m = monotonicity(self.F, on)
        return (max(m, 0.0) if math.isfinite(m) else 0.0), self.F.lip(on).value

    def contraction(self, on: Region | None = None, gradient: bool = False) -> Bound:
        """An upper bound of the Lipschitz constant of the training map.

        Parameters
        ----------
        on : Region, optional
            Convex.
        gradient : bool
            Declare that F is a gradient (its derivative symmetric): the bound is sharper, and CONDITIONAL on that. For
            affine F nothing needs to be declared.
        """
        on = Everywhere() if on is None else on
        norm = self.F.domain.norm
        claim = Claim("lip", UPPER, self.digest, on, norm, norm)
        if self.quadratic:
            return leaf(QUADRATIC, claim, self.matrix().upper().value, self, step=self.step)
        if not gradient:
            return self.map.lip(on)
        self._euclidean()
        m, L = self.constants(on)
        return leaf(DESCENT, claim, _largest(self.step, m, L), self, step=self.step, assumes=[GRADIENT])

    def gap(self, n: int, mu: float, gap: float, on: Region | None = None) -> Bound:
        """A bound of ``f(x_n) - f*`` under the Polyak-Lojasiewicz inequality with constant mu, declared by the user.

        Parameters
        ----------
        n : int
            Steps.
        mu : float
        gap : float
            ``f(x_0) - f*``, from above.
        on : Region, optional
            Where F has its constants; it must hold the orbit.

        Examples
        --------
        >>> import numpy as np
        >>> import lipop as lo
        >>> flat = Descent(lo.Affine(np.diag([0.0, 2.0]), np.zeros(2)), 0.5)
        >>> found = flat.gap(1, mu=2.0, gap=1.0)
        >>> round(found.value, 6), found.status.partition("(")[0]
        (0.0, 'CONDITIONAL')
        """
        if not (mu > 0 and math.isfinite(mu) and gap >= 0 and math.isfinite(gap)):
            raise DomainError(f"mu must be positive and the gap not negative, both finite; found {mu!r} and {gap!r}")
        self._euclidean()
        on = Everywhere() if on is None else on
        norm = self.F.domain.norm
        claim = Claim("distance", UPPER, self.digest, on, norm, norm)
        value = _pl(n, self.step, mu, self.constants(on)[1], gap)
        assumes = [GRADIENT, f"|F x|^2 >= 2 {mu!r} (f(x) - f*)"]
        return leaf(PL, claim, value, self, n=n, step=self.step, mu=float(mu), gap=float(gap), assumes=assumes)

    def _euclidean(self) -> None:
        norms = {self.F.domain.norm, self.F.codomain.norm}
        if norms != {"l2"}:
            raise DomainError(f"descent on a convex function contracts in l2; F measures in {', '.join(sorted(norms))}")

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Its leaves are redone by the procedures of their rules."""
        raise ProofError(f"gradient descent cannot redo rule {rule}")


__all__ = ["Descent", "monotonicity"]
