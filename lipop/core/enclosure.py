"""Arrays with a rigorous error: every float64 value together with a bound of its distance from the true one.

``Enclosed(mid, err)`` says that the true array lies within ``err`` of ``mid`` entry by entry. ``Stack(mid, err)``
holds matrices, each within ``err`` of the true one in the Frobenius norm: cheap where only norms matter. Errors of
products follow the standard model (Higham 2002, section 3.5): ``|fl(AB) - AB| <= gamma_k |A||B|`` for inner length k,
whatever the order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.parallel import cores, each, matmul
from lipop.core.rounding import ELEMENTARY, TINY, UNIT, gamma, inflate
from lipop.errors import NonFiniteError, ShapeError

_LONG_EPS = float(np.finfo(np.longdouble).eps)
_LONG = (
    200_000_000 if _LONG_EPS < 1e-18 else 0
)  # up to so many products a sum is made in extended precision, where there is one
_UP = 1.0 + 2.0**-40  # pays for the rounding of short error formulas


def _up(err: Any) -> Any:
    return err * _UP + TINY


@dataclass(frozen=True, eq=False)
class Enclosed:
    """``|true - mid| <= err`` entry by entry; ``err`` broadcasts against ``mid``.

    Examples
    --------
    >>> x = Enclosed.exact(np.array([[1.0, 2.0]]))
    >>> y = (x @ x.T).sqrt()
    >>> abs(y.mid[0, 0] - 5**0.5) <= y.err[0, 0]
    np.True_
    """

    mid: np.ndarray
    err: np.ndarray

    __array_ufunc__ = None

    @staticmethod
    def exact(x: Any) -> Enclosed:
        """An array without error (float64, float32 and ints up to 2**53 are exact)."""
        mid = np.asarray(x, dtype=np.float64)
        return Enclosed(mid, np.zeros((1,) * mid.ndim))

    @staticmethod
    def interval(low: np.ndarray, high: np.ndarray) -> Enclosed:
        """The smallest enclosure of ``[low, high]``."""
        mid = 0.5 * (low + high)
        return Enclosed(mid, _up(np.maximum(high - mid, mid - low) + UNIT * np.abs(mid)))

    @staticmethod
    def concatenate(parts: Sequence[Enclosed]) -> Enclosed:
        """Joined along the first axis."""
        return Enclosed(np.concatenate([x.mid for x in parts]), np.concatenate([x.radius for x in parts]))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.mid.shape

    @property
    def T(self) -> Enclosed:
        """The last two axes swapped."""
        return Enclosed(self.mid.swapaxes(-1, -2), self.err.swapaxes(-1, -2))

    @property
    def radius(self) -> np.ndarray:
        """``err`` in the full shape."""
        return np.broadcast_to(self.err, self.mid.shape)

    @property
    def low(self) -> np.ndarray:
        """Lower ends, rounded down."""
        return np.nextafter(self.mid - self.err, -np.inf)

    @property
    def high(self) -> np.ndarray:
        """Upper ends, rounded up."""
        return np.nextafter(self.mid + self.err, np.inf)

    @property
    def magnitude(self) -> np.ndarray:
        """Upper bounds of the absolute values."""
        return np.nextafter(np.abs(self.mid) + self.err, np.inf)

    def contains(self, x: np.ndarray) -> bool:
        """Whether every entry of ``x`` lies in its interval."""
        return bool(((x >= self.low) & (x <= self.high)).all())

    def __getitem__(self, key: Any) -> Enclosed:
        return Enclosed(self.mid[key], self.radius[key])

    def reshape(self, *shape: int) -> Enclosed:
        """Reshaped."""
        return Enclosed(self.mid.reshape(*shape), self.radius.reshape(*shape))

    def transpose(self, *axes: int) -> Enclosed:
        """Axes permuted."""
        return Enclosed(self.mid.transpose(*axes), self.radius.transpose(*axes))

    def __neg__(self) -> Enclosed:
        return Enclosed(-self.mid, self.err)

    def __add__(self, other: Any) -> Enclosed:
        o = _wrap(other)
        mid = self.mid + o.mid
        return Enclosed(mid, _up(self.err + o.err + UNIT * np.abs(mid)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Enclosed:
        return self + (-_wrap(other))

    def __rsub__(self, other: Any) -> Enclosed:
        return (-self) + other

    def __mul__(self, other: Any) -> Enclosed:
        o = _wrap(other)
        mid = self.mid * o.mid
        err = np.abs(self.mid) * o.err + self.err * np.abs(o.mid) + self.err * o.err + UNIT * np.abs(mid)
        return Enclosed(mid, _up(err))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Enclosed:
        """Division; an interval that holds zero in the denominator gives an infinite error."""
        o = _wrap(other)
        with np.errstate(divide="ignore", invalid="ignore"):
            mid = self.mid / o.mid
            away = np.abs(o.mid) - o.err * _UP - TINY
            err = np.where(away > 0, (self.err + np.abs(mid) * o.err) / away + 4 * UNIT * np.abs(mid), np.inf)
        return Enclosed(np.where(np.isfinite(mid), mid, 0.0), np.where(np.isfinite(mid), _up(err), np.inf))

    def __matmul__(self, other: Any) -> Enclosed:
        """Matrix product of the last two axes, with the a-priori error ``gamma_k |A||B|`` and both errors
        propagated."""
        o = _wrap(other)
        if self.mid.shape[-1] != o.mid.shape[-2]:
            raise ShapeError(f"cannot multiply {self.mid.shape} by {o.mid.shape}")
        k = self.mid.shape[-1]
        a, b = np.abs(self.mid), np.abs(o.mid)
        size = a @ b
        if size.size * k <= _LONG:
            mid = _long_product(self.mid, o.mid)
            err = (k + 2) * _LONG_EPS * size + UNIT * np.abs(mid)
        else:
            mid = self.mid @ o.mid
            err = gamma(k + 1) * size
        if np.any(o.err):
            err = err + a @ np.broadcast_to(o.err, o.mid.shape)
            b = b + o.err
        if np.any(self.err):
            err = err + np.broadcast_to(self.err, self.mid.shape) @ b
        return Enclosed(mid, inflate(err, k + 8) + k * TINY)

    def __rmatmul__(self, other: Any) -> Enclosed:
        return _wrap(other) @ self

    def sum(self, axis: int, keepdims: bool = False) -> Enclosed:
        """Sum along an axis."""
        n = self.mid.shape[axis]
        mid = self.mid.sum(axis=axis, keepdims=keepdims)
        size = np.abs(self.mid).sum(axis=axis, keepdims=keepdims)
        err = self.radius.sum(axis=axis, keepdims=keepdims)
        return Enclosed(mid, inflate(err + gamma(n) * size, n + 4))

    def mean(self, axis: int, keepdims: bool = False) -> Enclosed:
        """Mean along an axis."""
        return self.sum(axis, keepdims) / float(self.mid.shape[axis])

    def square(self) -> Enclosed:
        """Entrywise square."""
        return self * self

    def sqrt(self) -> Enclosed:
        """Entrywise square root of non-negative truths (lower ends are cut at zero)."""
        low = np.sqrt(np.maximum(self.low, 0.0))
        high = np.sqrt(np.maximum(self.high, 0.0))
        return Enclosed.interval(np.nextafter(low, -np.inf), np.nextafter(high, np.inf))

    def monotone(self, f: Any, ulps: float = ELEMENTARY) -> Enclosed:
        """A non-decreasing function computed within ``ulps`` units in the last place of its value."""
        low, high = f(self.low), f(self.high)
        pad = 2 * UNIT * ulps
        return Enclosed.interval(low - pad * np.abs(low) - TINY, high + pad * np.abs(high) + TINY)

    def exp(self) -> Enclosed:
        """Entrywise exponential."""
        return self.monotone(np.exp)

    def norm_up(self, axis: int = -1) -> np.ndarray:
        """Upper bounds of the l2 norms along an axis."""
        n = self.mid.shape[axis]
        size = self.magnitude
        scale, y = _scaled(size, axis)
        return inflate(scale * np.sqrt((y**2).sum(axis=axis)), n + 8)

    def norm_down(self, axis: int = -1) -> np.ndarray:
        """Lower bounds of the l2 norms along an axis."""
        n = self.mid.shape[axis]
        least = np.maximum(np.nextafter(np.abs(self.mid) - self.err, -np.inf), 0.0)
        scale, y = _scaled(least, axis)
        y = np.where(y > 1e-150, y, 0.0)  # squares that would underflow
        return np.maximum(scale * np.sqrt((y**2).sum(axis=axis)) * (1 - 2 * gamma(n + 8)) - TINY, 0.0)

    def finite(self, what: str) -> Enclosed:
        """Return self if every value and error is finite.

        Raises
        ------
        NonFiniteError
            Naming ``what`` overflowed.
        """
        if not (np.isfinite(self.mid).all() and np.isfinite(self.err).all()):
            raise NonFiniteError(f"{what} overflows or cannot be enclosed in float64")
        return self


def _scaled(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """A power of two near the largest entry along the axis, and the entries divided by it (exactly)."""
    top = x.max(axis=axis, initial=0.0)
    scale = np.ldexp(1.0, np.frexp(np.where((top > 0) & np.isfinite(top), top, 1.0))[1] - 1)
    return scale, x / np.expand_dims(scale, axis)


def _wrap(x: Any) -> Enclosed:
    return x if isinstance(x, Enclosed) else Enclosed.exact(x)


@dataclass(frozen=True, eq=False)
class Stack:
    """Matrices ``mid[i]`` (m, n), each within ``err[i]`` of the true one in the l2 norm (for rounding, in Frobenius').

    A stack of one matrix broadcasts against a stack of many.
    """

    mid: np.ndarray
    err: np.ndarray

    __array_ufunc__ = None

    @staticmethod
    def exact(x: np.ndarray) -> Stack:
        """Matrices without error; a single (m, n) matrix becomes a stack of one."""
        mid = np.asarray(x, dtype=np.float64)
        mid = mid[None] if mid.ndim == 2 else mid
        return Stack(mid, np.zeros(len(mid)))

    @staticmethod
    def of(x: Enclosed) -> Stack:
        """From an entrywise enclosure of shape (b, m, n) or (m, n)."""
        mid = x.mid[None] if x.mid.ndim == 2 else x.mid
        err = np.broadcast_to(x.err, x.mid.shape).reshape(mid.shape)
        return Stack(mid, frobenius_up(err))

    @property
    def shape(self) -> tuple[int, ...]:
        """(count, m, n)."""
        return self.mid.shape

    @property
    def T(self) -> Stack:
        """Transposed matrices."""
        return Stack(self.mid.swapaxes(-1, -2), self.err)

    @property
    def frobenius(self) -> np.ndarray:
        """Upper bounds of the Frobenius norms of the true matrices."""
        return _up(frobenius_up(self.mid) + self.err * np.sqrt(min(self.mid.shape[-2:])))

    def __getitem__(self, key: Any) -> Stack:
        return Stack(self.mid[key], self.err[key])

    def __matmul__(self, other: Stack) -> Stack:
        k = self.mid.shape[-1]
        if k != other.mid.shape[-2]:
            raise ShapeError(f"cannot multiply stacks {self.mid.shape} and {other.mid.shape}")
        fa, fb = frobenius_up(self.mid), frobenius_up(other.mid)
        sa, sb = np.minimum(fa, _spectral_up(self.mid)), np.minimum(fb, _spectral_up(other.mid))
        err = gamma(k + 1) * fa * fb + sa * other.err + self.err * (sb + other.err)
        return Stack(matmul(self.mid, other.mid), _up(err) + k * TINY)

    def __add__(self, other: Stack) -> Stack:
        mid = self.mid + other.mid
        return Stack(mid, _up(self.err + other.err + 2 * UNIT * frobenius_up(mid)))

    def gram(self) -> Stack:
        """``M M^T``, symmetric."""
        g = self @ self.T
        return Stack(0.5 * (g.mid + g.mid.swapaxes(-1, -2)), _up(g.err + UNIT * frobenius_up(g.mid)))


def gram_root(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square ``L`` (H, dk, dk) and ``slip`` (H,) with ``|W W^T - L L^T|_F <= slip``: then ``|W^T z|^2 <= |L^T z|^2 +
    slip |z|^2``."""
    gram = Stack.exact(w).gram()
    values, vectors = np.linalg.eigh(gram.mid)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    back = Stack(root, np.zeros(len(root))).gram()
    slip = (
        frobenius_up(back.mid - gram.mid)
        + UNIT * (frobenius_up(back.mid) + frobenius_up(gram.mid))
        + back.err
        + gram.err
    )
    return root, inflate(slip, 8)


def frobenius_up(x: np.ndarray) -> np.ndarray:
    """Upper bounds of the Frobenius norms of matrices over the last two axes.

    >>> float(frobenius_up(np.array([[3.0, 4.0]]))) >= 5.0
    True
    """
    size = x.shape[-1] * x.shape[-2]
    scale = np.abs(x).max(axis=(-1, -2), initial=0.0)
    if bool(((scale < 1e100) & ((scale > 1e-100) | (scale == 0))).all()):
        return inflate(np.sqrt(np.einsum("...ij,...ij->...", x, x)), size + 4)
    safe = np.where(scale > 0, scale, 1.0)
    y = x / safe[..., None, None]
    return inflate(scale * np.sqrt(np.einsum("...ij,...ij->...", y, y)), size + 6)


def _spectral_up(x: np.ndarray) -> np.ndarray:
    """Upper bounds of l2 norms over the last two axes: the geometric mean of the largest row and column sums."""
    size = np.abs(x)
    rows, columns = size.sum(axis=-1).max(axis=-1, initial=0.0), size.sum(axis=-2).max(axis=-1, initial=0.0)
    return inflate(np.sqrt(rows) * np.sqrt(columns), sum(x.shape[-2:]) + 4)


def _long_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` summed in extended precision, then rounded to float64."""
    x, y = a.astype(np.longdouble), b.astype(np.longdouble)
    if not a.ndim == b.ndim == 2:
        return (x @ y).astype(np.float64)
    columns = np.ascontiguousarray(y.T)  # both read along their rows: twice as fast as the generic loops
    step = max(1, -(-len(a) // cores()))
    rows = each(lambda k: np.einsum("ik,jk->ij", x[k : k + step], columns), range(0, max(1, len(a)), step))
    return np.concatenate(rows).astype(np.float64)
