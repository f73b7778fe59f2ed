"""Explicit matrices, and products of two that are not multiplied out, as subjects of norm leaves."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core import leaves as rules
from lipop.core.bound import LOWER, UPPER, Bound, Bracket, Claim, Witness
from lipop.core.digest import array_digest, digest
from lipop.core.enclosure import Enclosed, frobenius_up, gram_root
from lipop.core.rounding import dot_up, gamma, inflate
from lipop.core.rule import leaf
from lipop.core.space import norm as size_of
from lipop.errors import ProofError

FAINT = 1e-280
"""Pays for what underflows, entries being at most 1."""


class Explicit(ABC):
    """A matrix whose entries are known: what it owes its norm leaves."""

    name: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def digest(self) -> str:
        """sha256 of what determines the matrix (computed once)."""
        cached = self.__dict__.get("_digest")
        if cached is None:
            cached = self._make_digest()
            object.__setattr__(self, "_digest", cached)
        return cached

    def upper(self, rtol: float = 1e-8) -> Bound:
        """A proved upper bound of the l2 norm."""
        claim = Claim("op_norm", UPPER, self.digest)
        return leaf(rules.NORM_UPPER, claim, self._upper(rtol), self, rtol=rtol)

    def norm(self, rtol: float = 1e-8) -> Bracket:
        """A proved bracket of the l2 norm; the lower end's witness is a vector."""
        v = self._top(rtol)
        claim = Claim("op_norm", LOWER, self.digest)
        low = leaf(rules.NORM_LOWER, claim, self._lower(v), self, witness=Witness("vector", {"v": v}))
        return Bracket(low, self.upper(rtol))

    @property
    @abstractmethod
    def compact(self) -> np.ndarray:
        """A matrix with the same singular values, less some zeros, as float64 gives it."""

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo a norm leaf."""
        if rule == rules.NORM_UPPER:
            return self._upper(float(params["rtol"]))
        if rule == rules.NORM_LOWER and witness is not None and witness.arrays["v"].shape == self.shape[1:]:
            return self._lower(np.asarray(witness.arrays["v"], dtype=np.float64))
        raise ProofError(f"a matrix cannot redo rule {rule} with this witness")

    @abstractmethod
    def _make_digest(self) -> str: ...

    @abstractmethod
    def _upper(self, rtol: float) -> float: ...

    @abstractmethod
    def _top(self, rtol: float) -> np.ndarray:
        """A vector close to the top right singular one."""

    @abstractmethod
    def _image(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        """The computed ``A v``, and a bound of its l2 distance from the true one."""

    def _lower(self, v: np.ndarray) -> float:
        size = dot_up(v)
        image, error = self._image(v)
        down = size_of(image) * (1 - 2 * gamma(len(image) + 4)) - error * (1 + 1e-12)
        value = down / size * (1 - 1e-15) if size > 0 else 0.0
        return max(0.0, value) if math.isfinite(value) else 0.0  # beyond the largest float nothing is claimed


@dataclass(frozen=True, eq=False)
class Matrix(Explicit):
    """An explicit matrix within ``error`` (Frobenius norm) of the true one.

    Parameters
    ----------
    mid : (m, n) array
        float64, or float32 as a checkpoint stores it; the same matrix (and digest) either way.
    error : float
    name : str
        For reports only.

    Examples
    --------
    >>> br = Matrix(np.diag([3.0, 4.0])).norm()
    >>> br.lower.value <= 4.0 <= br.upper.value, br.ratio < 1 + 1e-6
    (True, True)
    """

    mid: np.ndarray
    error: float = 0.0
    name: str = ""

    @staticmethod
    def of(x: Enclosed, name: str = "") -> Matrix:
        """From an entrywise enclosure."""
        return Matrix(x.mid, float(frobenius_up(x.radius)), name)

    @property
    def shape(self) -> tuple[int, int]:
        return self.mid.shape[0], self.mid.shape[1]

    def _make_digest(self) -> str:
        return digest("lipop", "Matrix", array_digest(_float64(self.mid)), float(self.error).hex())

    def symmetric_max(self, rtol: float = 1e-8) -> Bound:
        """A proved upper bound of the largest eigenvalue of the symmetric part."""
        claim = Claim("dahlquist", UPPER, self.digest)
        return leaf(rules.SYMMAX_UPPER, claim, self._symmetric_max(rtol), self, rtol=rtol)

    @property
    def compact(self) -> np.ndarray:
        return self.mid

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        if rule == rules.SYMMAX_UPPER:
            return self._symmetric_max(float(params["rtol"]))
        return super().reprove(rule, claim, params, witness)

    def _upper(self, rtol: float) -> float:
        from lipop_kernels import spectral_norm_upper

        return spectral_norm_upper(self.mid, rtol=rtol, error=self.error)

    def _symmetric_max(self, rtol: float) -> float:
        from lipop_kernels import symmetric_max

        return symmetric_max(self.mid, rtol=rtol, error=self.error)

    def _top(self, rtol: float) -> np.ndarray:
        from lipop_kernels import spectral_norm

        return spectral_norm(_float64(self.mid), tol=rtol)[1]

    def _image(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        mid = _float64(self.mid)
        slack = gamma(mid.shape[1] + 2) * dot_up(np.abs(mid) @ np.abs(v))
        return mid @ v, slack + self.error * dot_up(v)


@dataclass(frozen=True, eq=False)
class MatrixProduct(Explicit):
    """``left @ right`` for a short inner side, never multiplied out: for a head's ``W_O W_V`` and ``W_Q^T W_K``.

    Parameters
    ----------
    left : (m, k) array
    right : (k, n) array
        Both exact, float64 or float32.
    name : str
        For reports only.

    Notes
    -----
    If a k x k matrix R has ``|L^T L - R R^T| <= e``, then ``|L B|^2 = lambda_max(B^T L^T L B) <= |R^T B|^2 + e |B|^2``
    (:func:`~lipop.core.enclosure.gram_root`; e is measured and includes all rounding); ``|R^T B|``, k x n, is proved by
    Cholesky on its smaller side. So the cost is ``(m + n) k^2``.

    Examples
    --------
    >>> br = MatrixProduct(np.array([[3.0], [4.0]]), np.array([[1.0, 0.0]])).norm()
    >>> br.lower.value <= 5.0 <= br.upper.value, br.ratio < 1 + 1e-6
    (True, True)
    """

    left: np.ndarray
    right: np.ndarray
    name: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.shape[0], self.right.shape[1]

    def _make_digest(self) -> str:
        return digest("lipop", "MatrixProduct", *(array_digest(_float64(x)) for x in (self.left, self.right)))

    @property
    def compact(self) -> np.ndarray:
        return self._core()[0]

    def _upper(self, rtol: float) -> float:
        from lipop_kernels import spectral_norm_upper

        (left, a), (right, b) = (_scaled(x) for x in (self.left, self.right))
        root, slip = (x[0] for x in gram_root(left.T[None]))
        product = root.T @ right
        lost = inflate(gamma(len(root) + 4) * dot_up(root) * dot_up(right) + FAINT, 8)
        top = spectral_norm_upper(product, rtol=rtol, error=float(lost))
        size = math.sqrt(float(inflate(top * top + (slip + FAINT) * dot_up(right) ** 2, 8)))
        return float(np.ldexp(inflate(size, 4), a + b))

    def _top(self, rtol: float) -> np.ndarray:
        core, basis = self._core()
        v = basis @ np.linalg.svd(core)[2][0]
        return v / np.linalg.norm(v)

    def _image(self, v: np.ndarray) -> tuple[np.ndarray, float]:
        k, n = self.right.shape
        slack = gamma(n + k + 8) * dot_up(np.abs(self.left) @ (np.abs(self.right) @ np.abs(v)))
        return self.left @ (self.right @ v), slack

    def _core(self) -> tuple[np.ndarray, np.ndarray]:
        """A small matrix with the product's singular values (but zeros), and the basis (n, k) of its right side."""
        basis, r = np.linalg.qr(_float64(self.right).T)
        return np.linalg.qr(_float64(self.left), mode="r") @ r.T, basis


def _float64(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, dtype=np.float64)


def _scaled(x: np.ndarray) -> tuple[np.ndarray, int]:
    """The matrix times a power of two, entries at most 1, and the exponent taken out."""
    x = _float64(x)
    exponent = int(np.frexp(np.abs(x).max())[1])
    return np.ldexp(x, -exponent), exponent


__all__ = ["Explicit", "Matrix", "MatrixProduct"]
