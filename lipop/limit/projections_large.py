"""Powers of a larger stored matrix: the eigenvalue 1 exactly, the others by certified norms of powers.

Beyond ``lipop.limit.exact.LARGEST`` numbers the characteristic polynomial is out of reach, but the kernel of ``A - I``
is not: it and its left twin come from elimination over the integers, and with ``R`` and ``L`` bases of the two, 1 is
semisimple iff ``L^T R`` is invertible; then ``Q = R (L^T R)^{-1} L^T`` and ``A^n - Q = (A - Q)^n =: N^n``. That the
rest lies inside the unit disc is shown by one power with ``|N^m| < 1``, multiplied out with all rounding; that it does
not, by a trace, ``|tr N^m| > d``, or by the eigenvalue -1 (exactly). Anything else is left open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.rounding import float_up, grid_up, inflate, workprec
from lipop.operators.linear import Affine
from lipop.operators.projection_basis import balls, floats

WIDEST = 512
"""Numbers in a point up to which this is tried."""
_SQUARINGS = 30
_DIRECT = 1024


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What is proved about the powers of a matrix.

    Parameters
    ----------
    converges : bool or None
    reason : str
    Q : array
        ``lim A^n`` in float64.
    slip : float
        Bound of the Frobenius distance of Q from the true limit.
    norms : tuple of float
        Bounds of ``|N^(2^j)|``, j = 0, 1, ...; the last is below 1 if the powers converge.
    rest : Enclosed or None
        N.
    kind : str
        The norm.
    """

    converges: bool | None
    reason: str
    Q: np.ndarray
    slip: float
    norms: tuple[float, ...]
    rest: Enclosed | None = None
    kind: str = "l2"

    def gap(self, n: int) -> float:
        """A bound of ``|A^n - Q|``, n >= 1 (infinite if nothing is known): of N^n multiplied out for small n, and by
        the norms of the powers of two over the binary digits of n."""
        if self.converges is not True or self.rest is None:
            return math.inf
        product = self._product(n)
        return min(product, _norm(_power(self.rest, n), self.kind)) if n <= _DIRECT else product

    def _product(self, n: int) -> float:
        import flint

        last = len(self.norms) - 1
        with workprec():
            out = flint.arb(self.norms[last]) ** (n >> last)
            for j in range(last):
                if n >> j & 1:
                    out = out * flint.arb(self.norms[j])
            return float_up(out)

    @property
    def total(self) -> float:
        """A bound of ``|(I - N)^{-1}|``: the sum of all ``|N^k|``."""
        import flint

        with workprec():
            out = 1 / (1 - flint.arb(self.norms[-1]))
            for b in self.norms[:-1]:
                out = out * (1 + flint.arb(b))
            return float_up(out)


@lru_cache(maxsize=8)
def spectrum(T: Operator) -> Spectrum | None:
    """What the powers of the matrix of T do; None unless T is an :class:`Affine` map of a size between the limits.

    Examples
    --------
    >>> d = 64
    >>> found = spectrum(Affine(0.5 * np.eye(d) + 0.5 / d))
    >>> found.converges, bool(np.allclose(found.Q, 1 / d)), round(found.gap(10), 6)
    (True, True, 0.000977)
    """
    if not isinstance(T, Affine) or T.A.shape[0] != T.A.shape[1] or T.domain.any_tokens or len(T.A) > WIDEST:
        return None
    a = np.asarray(T.A, dtype=np.float64)
    right, left = _kernel(a, 1), _kernel(a.T, 1)
    offset = _integers(np.zeros((len(a), 1)) if T.b is None else np.asarray(T.b, dtype=np.float64)[:, None])
    if right is None or left is None or offset is None:
        return Spectrum(None, "its entries range too widely for exact elimination", np.zeros_like(a), math.inf, ())
    if right.ncols():
        cross = left.transpose() * right
        if cross.rank() < right.ncols():
            return Spectrum(False, "its eigenvalue 1 is defective: some orbit grows without bound", a, math.inf, ())
        if any(v != 0 for v in (left.transpose() * offset[0]).entries()):
            return Spectrum(False, "it has no fixed point: some orbit grows without bound", a, math.inf, ())
        Q = _projection(right, cross, left)
    else:
        Q = Enclosed.exact(np.zeros_like(a))
    return _powers(a, Q, T.domain.norm)


def _integers(a: np.ndarray) -> tuple[Any, int] | None:
    """The matrix times a power of two, as integers, and the power (None: entries range too widely)."""
    import flint

    bits = max((math.frexp(float(v))[1] for v in a.ravel() if v != 0), default=0)
    ratios = [float(v).as_integer_ratio() for v in a.ravel()]
    scale = max(q for _, q in ratios)
    if scale.bit_length() + bits > 600:
        return None
    return flint.fmpz_mat(a.shape[0], a.shape[1], [p * (scale // q) for p, q in ratios]), scale


def _kernel(a: np.ndarray, eigenvalue: int) -> Any | None:
    """A basis of the null space of ``a - eigenvalue I``, as columns of integers."""
    import flint

    found = _integers(a)
    if found is None:
        return None
    m, scale = found
    n = len(a)
    m = m - flint.fmpz_mat(n, n, [eigenvalue * scale * (i == j) for i in range(n) for j in range(n)])
    null, k = m.nullspace()
    return flint.fmpz_mat(n, k, [null[i, j] for i in range(n) for j in range(k)])


def _projection(right: Any, cross: Any, left: Any) -> Enclosed:
    """``R (L^T R)^{-1} L^T`` as floats with their errors."""
    import flint

    bits = 320 + 2 * max(int(v).bit_length() for m in (right, left) for v in m.entries())
    with workprec(min(bits, 20_000)):
        exact = flint.arb_mat(right) * flint.arb_mat(cross).inv() * flint.arb_mat(left.transpose())
        mid = floats(exact)
        rest = exact - balls(mid)
        err = np.array([float_up(v.abs_upper()) for v in rest.entries()]).reshape(mid.shape)
    return Enclosed(mid, err)


def _powers(a: np.ndarray, Q: Enclosed, kind: str) -> Spectrum:
    """Square ``N = A - Q`` until its norm is below 1, or its trace above the order."""
    x = rest = Enclosed.exact(a) - Q
    slip = float(inflate(np.sqrt((Q.radius**2).sum()), 8))
    norms: list[float] = []
    for _ in range(_SQUARINGS):
        norms.append(_norm(x, kind))
        if norms[-1] < 1:
            reason = "1 is at most semisimple, and a power of the rest has a norm below 1"
            return Spectrum(True, reason, Q.mid, slip, tuple(norms), rest, kind)
        trace = np.diagonal(x.mid).sum()
        error = float(inflate(np.diagonal(x.radius).sum() + 2**-50 * np.abs(np.diagonal(x.mid)).sum(), len(a)))
        if abs(trace) - error > len(a) * (1 + 1e-12):
            return Spectrum(False, "an eigenvalue lies outside of the unit disc (a trace shows it)", Q.mid, slip, ())
        if not np.isfinite(norms[-1]) or norms[-1] > 1e100:
            break
        x = x @ x
    minus = _kernel(a, -1)
    if minus is not None and minus.ncols():
        return Spectrum(False, "it has the eigenvalue -1, not inside the unit disc and not 1", Q.mid, slip, ())
    return Spectrum(None, "no power of the rest is seen to have a norm below 1", Q.mid, slip, ())


def _power(x: Enclosed, n: int) -> Enclosed:
    """``x^n``, n >= 1, by repeated squaring."""
    out: Enclosed | None = None
    while n:
        if n & 1:
            out = x if out is None else out @ x
        n >>= 1
        x = x @ x if n else x
    assert out is not None
    return out


def _norm(x: Enclosed, kind: str) -> float:
    """The norm of an enclosed matrix, rounded up to 30 bits."""
    if kind == "l2":
        return grid_up(Matrix.of(x)._upper(1e-6), 30)  # pyright: ignore[reportPrivateUsage]
    sums = x.magnitude.sum(axis=1 if kind == "linf" else 0)
    return grid_up(float(inflate(sums.max(), len(sums) + 4)), 30)


__all__ = ["Spectrum", "spectrum"]
