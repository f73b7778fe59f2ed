"""Linear and affine maps: x -> A x + b on vectors, token by token on token arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.algebra import Composition
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import LinearOperator
from lipop.core.matrices import Matrix
from lipop.core.operator import Operator
from lipop.core.region import Ball, Region, TokenBall
from lipop.core.rounding import gamma, inflate
from lipop.core.rule import parts_digest
from lipop.core.space import Space
from lipop.errors import NonFiniteError, ShapeError
from lipop.operators.token_factor import TokenFactor, linear_factor


def _tensor(x: Any, what: str, dtype: str | None = None) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype == np.uint16:
        if dtype not in ("bf16", "f16"):
            raise ShapeError(f"{what} is stored as uint16: say dtype='bf16' or dtype='f16'")
        x = (x.astype(np.uint32) << 16).view(np.float32) if dtype == "bf16" else x.view(np.float16).astype(np.float32)
    if np.iscomplexobj(x):
        raise ShapeError(f"{what} is complex; operators are real")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    if not bool(np.isfinite(x).all()):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(f"{what} holds {x[index]} at index {index}; every weight must be finite")
    x = x.view()
    x.flags.writeable = False
    return x


class _Linear(Operator):
    """What all affine maps share: constant derivative, norms of one matrix."""

    tokenwise = True

    def _matrix(self) -> Matrix:
        """The matrix of the linear part, with its error."""
        raise NotImplementedError

    def _lip(self, on: Region) -> float:
        """The operator norm of the matrix in the two norms (exact up to rounding; l2 by verified Cholesky)."""
        m = self._matrix()
        size = np.abs(m.mid)
        pair = (self.domain.norm, self.codomain.norm)
        k = sum(m.mid.shape) + 4
        if pair in (("l2", "l2"), ("2inf", "2inf")):
            return m._upper(1e-8)  # pyright: ignore[reportPrivateUsage]
        extra = m.error * math.sqrt(max(m.mid.shape)) * (1 + 1e-12)
        if pair == ("l1", "l1"):
            return float(inflate(size.sum(axis=0).max() + extra, k))
        if pair == ("linf", "linf"):
            return float(inflate(size.sum(axis=1).max() + extra, k))
        if pair == ("l1", "l2"):
            return float(inflate(np.sqrt((size**2).sum(axis=0)).max() + extra, k))
        if pair == ("l2", "linf"):
            return float(inflate(np.sqrt((size**2).sum(axis=1)).max() + extra, k))
        return float(inflate(np.sqrt((size**2).sum()) + extra, k + size.size)) * math.sqrt(size.size)

    def _dahlquist(self, on: Region) -> float | None:
        m = self._matrix()
        return m._symmetric_max(1e-8) if m.mid.shape[0] == m.mid.shape[1] else None  # pyright: ignore[reportPrivateUsage]

    def _expansion(self, on: Region) -> float | None:
        """The least singular value, from LAPACK's less its backward error; zero if the map cannot be injective."""
        m = self._matrix()
        rows, cols = m.mid.shape
        if rows < cols or self.domain.norm != "l2" or self.codomain.norm != "l2":
            return None
        s = np.linalg.svd(m.mid, compute_uv=False)
        value = float(s[-1]) - gamma(32 * (rows + cols)) * math.sqrt(cols) * float(s[0]) - m.error
        return value if value > 0 else None

    def _smoothness(self, on: Region) -> float:
        return 0.0

    def _deviation(self, ball: Ball | TokenBall) -> float:
        return self._matrix().error

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        a = self._matrix().mid
        top = float(inflate(np.linalg.norm(a), a.size + 4))
        shape_out = (*x.shape[:-1], a.shape[0])
        return LinearOperator(
            x.shape,
            shape_out,
            lambda v: v @ a.T,
            lambda u: u @ a,
            majorant=top,
            product_error=gamma(sum(a.shape)) * top,
        )

    @property
    def chains(self) -> bool:
        return self.domain.any_tokens and self.domain.norm == self.codomain.norm == "l2"

    def token_factor(self, x: Enclosed) -> TokenFactor:
        m = self._matrix()
        return linear_factor(m.mid, m.error, x)

    def fuse(self, inner: Operator) -> Operator | None:
        if not isinstance(inner, _Linear):
            return None
        left = self.parts if isinstance(self, LinearProduct) else (self,)
        right = inner.parts if isinstance(inner, LinearProduct) else (inner,)
        return LinearProduct(left + right)


@dataclass(frozen=True, eq=False, repr=False)
class Affine(_Linear):
    """``x -> A x + b``; on token arrays ``(tokens, n)`` it acts on every token.

    Parameters
    ----------
    A : (m, n) array
        float64 or float32; uint16 storage needs ``dtype="bf16"`` or ``"f16"``.
    b : (m,) array or None
    tokens : bool
        Whether the domain is ``(None, n)`` instead of ``(n,)``.
    norm_in, norm_out : str
        l1, l2 or linf (on vectors); F or 2inf on tokens.

    Raises
    ------
    NonFiniteError, ShapeError

    Notes
    -----
    l2: the largest singular value, exactly; l1->l1 the largest column sum, linf->linf the largest row sum, l1->l2 the
    largest column norm, l2->linf the largest row norm, all attained.

    Examples
    --------
    >>> T = Affine(np.array([[3.0, 0.0], [0.0, 4.0]]), np.ones(2))
    >>> T(np.ones(2)).tolist(), round(T.lip().value, 6), T.lip().status
    ([4.0, 5.0], 4.0, 'PROVED')
    """

    A: np.ndarray
    b: np.ndarray | None = None
    dtype: str | None = None
    tokens: bool = False
    norm_in: str = "l2"
    norm_out: str = "l2"

    def __post_init__(self) -> None:
        a = _tensor(self.A, "the matrix", self.dtype)
        if a.ndim != 2 or 0 in a.shape:
            raise ShapeError(f"a linear map needs an (m, n) matrix, found shape {a.shape}")
        object.__setattr__(self, "A", a)
        if self.b is not None:
            b = _tensor(self.b, "the offset", self.dtype)
            if b.shape != a.shape[:1]:
                raise ShapeError(f"the offset has shape {b.shape}, the matrix {a.shape} needs {a.shape[:1]}")
            object.__setattr__(self, "b", b)

    @property
    def domain(self) -> Space:
        n = self.A.shape[1]
        return Space((None, n) if self.tokens else (n,), self.norm_in)

    @property
    def codomain(self) -> Space:
        m = self.A.shape[0]
        return Space((None, m) if self.tokens else (m,), self.norm_out)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = x @ self.A.T.astype(x.dtype, copy=False)
        return y if self.b is None else y + self.b.astype(x.dtype, copy=False)

    def enclose(self, x: Enclosed) -> Enclosed:
        a = Enclosed.exact(self.A)
        y = x @ a.T if x.mid.ndim > 1 else (x.reshape(1, -1) @ a.T).reshape(-1)
        return y if self.b is None else y + self.b

    def _matrix(self) -> Matrix:
        return Matrix(np.asarray(self.A, dtype=np.float64))


def Linear(
    A: Any, *, dtype: str | None = None, tokens: bool = False, norm_in: str = "l2", norm_out: str = "l2"
) -> Affine:
    """``x -> A x``: an :class:`Affine` map without offset.

    >>> round(Linear(np.eye(2)).lip().value, 6)
    1.0
    """
    return Affine(A, None, dtype, tokens, norm_in, norm_out)


@dataclass(frozen=True, eq=False, repr=False)
class LinearProduct(_Linear):
    """A product of linear maps multiplied out, with the rounding of the product as its error: ``|A B|``, not
    ``|A||B|``.

    Its digest is that of the composition of its parts, so that the composition rule recognises it.
    """

    parts: tuple[_Linear, ...]
    name: str = field(default="")

    def _make_digest(self) -> str:
        return parts_digest("compose", [p.digest for p in self.parts])

    @property
    def unfolded(self) -> tuple[Operator, ...]:
        return self.parts

    @property
    def domain(self) -> Space:
        return self.parts[-1].domain

    @property
    def codomain(self) -> Space:
        return self.parts[0].codomain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return Composition(self.parts)(x)

    def enclose(self, x: Enclosed) -> Enclosed:
        return Composition(self.parts).enclose(x)

    def _matrix(self) -> Matrix:
        m = self.parts[0]._matrix()
        x = Enclosed(m.mid, np.full((1, 1), m.error))
        for p in self.parts[1:]:
            q = p._matrix()
            x = x @ Enclosed(q.mid, np.full((1, 1), q.error))
        return Matrix.of(x, self.name)


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(_Linear):
    """``x -> d * x`` entry by entry (last axis).

    >>> Diagonal(np.array([1.0, -3.0])).lip().value
    3.0
    """

    d: np.ndarray
    tokens: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", _tensor(self.d, "the diagonal"))

    @property
    def domain(self) -> Space:
        return Space((None, len(self.d)) if self.tokens else (len(self.d),))

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x * self.d.astype(x.dtype, copy=False)

    def enclose(self, x: Enclosed) -> Enclosed:
        return x * self.d

    def _matrix(self) -> Matrix:
        return Matrix(np.diag(np.asarray(self.d, dtype=np.float64)))

    def _lip(self, on: Region) -> float:
        return float(np.abs(self.d).max())

    def _dahlquist(self, on: Region) -> float:
        return float(self.d.max())

    def _expansion(self, on: Region) -> float:
        return float(np.abs(self.d).min())


def LowRank(left: Any, right: Any, *, tokens: bool = False) -> LinearProduct:
    """``x -> left (right x)``: never formed for products, multiplied out (with its error) for norms.

    >>> LowRank(np.ones((3, 1)), np.ones((1, 3))).lip().value >= 3.0
    True
    """
    return LinearProduct((Affine(left, tokens=tokens), Affine(right, tokens=tokens)))


__all__ = ["Affine", "Diagonal", "Linear", "LinearProduct", "LowRank"]
