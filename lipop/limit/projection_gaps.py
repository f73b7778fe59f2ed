"""Powers of a map less their limit, as certificates that can be redone.

For an affine map with a stored matrix A the limit Q of its powers is rational, and ``T^n - Q`` is decided and computed
from exact entries: the rate is the norm of ``(A - Q)^n`` itself, not a bound of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lipop.core.algebra import Relax
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.operator import Operator
from lipop.core.rounding import float_up, workprec
from lipop.core.rule import leaf, norms_of
from lipop.errors import ProofError
from lipop.limit.exact import homogeneous
from lipop.limit.exact_powers import powers
from lipop.limit.projection_rates import GAP, gap_digest
from lipop.limit.projections_large import spectrum
from lipop.limit.spectral import spectral_norm
from lipop.operators.linear import _Linear  # pyright: ignore[reportPrivateUsage]
from lipop.operators.projection import Projection
from lipop.operators.projection_basis import BITS


@dataclass(frozen=True, eq=False)
class PowerGap:
    """``T^n - Q`` as something that can bound its own Lipschitz constant.

    Parameters
    ----------
    T : Operator
        Idempotent, a relaxed projection, affine by construction with at most ``lipop.limit.exact.LARGEST`` numbers, or
        an ``Affine`` map with more (:mod:`lipop.limit.projections_large`).
    n : int
        At least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators.linear import Linear
    >>> b = PowerGap(Linear(np.diag([1.0, -0.5])), 3).bound()
    >>> round(b.value, 8), b.status
    (0.125, 'PROVED')
    """

    T: Operator
    n: int

    @property
    def digest(self) -> str:
        """From T's digest and n."""
        return gap_digest(self.T.digest, self.n)

    def bound(self) -> Bound:
        """``|T^n x - Qx| <= value |x - Qx|``."""
        claim = Claim("lip", UPPER, self.digest, norm_in=self.T.domain.norm, norm_out=self.T.codomain.norm)
        return leaf(GAP, claim, self.value(), self)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo the certificate."""
        if rule != GAP or norms_of(claim) != (self.T.domain.norm, self.T.codomain.norm):
            raise ProofError(f"a power gap cannot redo rule {rule} in the norms {norms_of(claim)}")
        return self.value()

    def value(self) -> float:
        """The bound before it is rounded to the rule's grid (infinite where no way is known)."""
        if self.n == 0:
            return 1.0
        if getattr(self.T, "idempotent", False) is True:
            return 0.0
        factor = relaxation_factor(self.T)
        if factor is not None:
            with workprec():
                return float_up(factor**self.n)
        exact = exact_gap(self.T, self.n)
        if math.isfinite(exact):
            return exact
        large = spectrum(self.T)
        return math.inf if large is None else large.gap(self.n)


def relaxation_factor(T: Operator) -> Any | None:
    """``|1 - c|`` as a ball, for ``T = (1 - c) I + c P`` with P a projection for which the segment from x to Px is
    sent to Px.

    That holds for nearest-point maps in Hilbert space and for radial retractions in any norm (0 <= c <= 1), and along
    the whole line for linear projections (0 <= c <= 2): then ``T^n x = Px + (1 - c)^n (x - Px)``.
    """
    import flint

    if not (isinstance(T, Relax) and getattr(T.inner, "idempotent", False) is True):
        return None
    linear = isinstance(T.inner, _Linear)
    if not (linear or isinstance(T.inner, Projection)) or not 0 <= T.alpha <= (2 if linear else 1):
        return None
    return abs(1 - flint.arb(T.alpha))


def exact_gap(T: Operator, n: int) -> float:
    """The norm of ``A^n - Q`` for an affine map with stored matrix A, rounded up (infinite: the powers do not converge,
    or the map is too large)."""
    gap = _rational_gap(T)
    if gap is None:
        return math.inf
    import flint

    with workprec(BITS):
        return matrix_norm(_power(flint.arb_mat(gap), n), T.domain.norm, T.codomain.norm)


@lru_cache(maxsize=16)
def _rational_gap(T: Operator) -> Any | None:
    """``A - Q``, exact, kept for the operators asked about last (operators are compared by identity)."""
    m = homogeneous(T)
    if m is None:
        return None
    found = powers(m)
    if not found.converges:
        return None
    import flint

    d = m.nrows() - 1
    limit = found.applied(flint.fmpq_mat(d + 1, d + 1, [int(i == j) for i in range(d + 1) for j in range(d + 1)]))
    return flint.fmpq_mat(d, d, [m[i, j] - limit[i, j] for i in range(d) for j in range(d)])


def _power(a: Any, n: int) -> Any:
    """``a^n``, n >= 1, by repeated squaring."""
    out, square = None, a
    while n:
        if n & 1:
            out = square if out is None else out * square
        n >>= 1
        if n:
            square = square * square
    return out


def matrix_norm(a: Any, norm_in: str, norm_out: str) -> float:
    """The norm of an arb matrix between equal norms l1, l2 or linf, rounded up (infinite for others)."""
    import flint

    rows, cols = a.nrows(), a.ncols()
    size = [[flint.arb(abs(a[i, j]).upper()) for j in range(cols)] for i in range(rows)]
    if norm_in != norm_out:
        return math.inf
    if norm_in == "linf":
        return max(float_up(sum(row, start=flint.arb(0))) for row in size)
    if norm_in == "l1":
        return max(float_up(sum((row[j] for row in size), start=flint.arb(0))) for j in range(cols))
    return spectral_norm(a)[1] if norm_in == "l2" else math.inf


__all__ = ["PowerGap", "exact_gap", "matrix_norm", "relaxation_factor"]
