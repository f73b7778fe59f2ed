"""Combinations of operators: composition, sum, scaling, power, restriction, relaxation, the residual map, the
identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.bound import LOWER, Bound, Claim
from lipop.core.composition import Combined, Composition, compose
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import Linearization, LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball, Everywhere, Region, TokenBall
from lipop.core.rounding import UNIT
from lipop.core.rule import derive, least, unknown
from lipop.core.space import Space
from lipop.errors import DomainError, NormMismatch, RegionError, ShapeError


@dataclass(frozen=True, eq=False, repr=False)
class Identity(Operator):
    """x -> x. Lip = expansion = Dahlquist constant = 1, exactly.

    >>> Identity(Space(3)).lip().value
    1.0
    """

    domain: Space
    tokenwise = True

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x

    def enclose(self, x: Enclosed) -> Enclosed:
        return x

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return LinearOperator.identity(x.shape)

    def _deviation(self, ball: Ball | TokenBall) -> float:
        return 0.0

    def _lip(self, on: Region) -> float:
        return 1.0

    def _dahlquist(self, on: Region) -> float:
        return 1.0

    def _expansion(self, on: Region) -> float:
        return 1.0

    def _smoothness(self, on: Region) -> float:
        return 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Sum(Combined):
    """``terms[0] + terms[1] + ...`` on one domain and codomain."""

    terms: tuple[Operator, ...]

    @staticmethod
    def of(*terms: Operator) -> Sum:
        """Sum with nested sums flattened."""
        flat = tuple(t for term in terms for t in (term.terms if isinstance(term, Sum) else (term,)))
        first = flat[0]
        for t in flat[1:]:
            if not (t.domain.meets(first.domain) and t.codomain.meets(first.codomain)):
                raise ShapeError(f"cannot add {first!r} and {t!r}")
            if (t.domain.norm, t.codomain.norm) != (first.domain.norm, first.codomain.norm):
                raise NormMismatch(f"cannot add {first!r} and {t!r}: they measure in different norms")
        return Sum(flat)

    def _kind(self) -> tuple[str, list[str]]:
        return "sum", [t.digest for t in self.terms]

    @property
    def domain(self) -> Space:
        return self.terms[0].domain

    @property
    def codomain(self) -> Space:
        return self.terms[0].codomain

    @property
    def tokenwise(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(t.tokenwise for t in self.terms)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        out = self.terms[0](x)
        for t in self.terms[1:]:
            out = out + t(x)
        return out

    def enclose(self, x: Enclosed) -> Enclosed:
        out = self.terms[0].enclose(x)
        for t in self.terms[1:]:
            out = out + t.enclose(x)
        return out

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        out = self.terms[0].derivative(x)
        for t in self.terms[1:]:
            out = out + t.derivative(x)
        return out

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        return _all("sum@1", self.claim("deviation", ball), [t.linearize(ball).deviation.norm() for t in self.terms])

    def lip(self, on: Region | None = None) -> Bound:
        """Sum of the terms' constants."""
        on = self._region(on)
        return _all("sum@1", self.claim("lip", on), [t.lip(on) for t in self.terms])

    def dahlquist(self, on: Region | None = None) -> Bound:
        """Sum of the terms' Dahlquist constants."""
        on = self._region(on)
        return _all("sum@1", self.claim("dahlquist", on), [t.dahlquist(on) for t in self.terms])

    def smoothness(self, on: Region | None = None) -> Bound:
        """Sum of the terms' smoothness constants."""
        on = self._region(on)
        return _all("sum@1", self.claim("smoothness", on), [t.smoothness(on) for t in self.terms])

    def __repr__(self) -> str:
        return "(" + " + ".join(repr(t) for t in self.terms) + ")"


def _all(name: str, claim: Claim, parts: list[Bound], **params: Any) -> Bound:
    """A rule over parts that must all be known."""
    lost = next((b for b in parts if not b.known), None)
    return derive(name, claim, tuple(parts), **params) if lost is None else unknown(claim, str(lost.params["reason"]))


class _Around(Combined):
    """An operator made around one other, between the same spaces."""

    inner: Operator

    @property
    def domain(self) -> Space:
        return self.inner.domain

    @property
    def codomain(self) -> Space:
        return self.inner.codomain

    @property
    def tokenwise(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.tokenwise


@dataclass(frozen=True, eq=False, repr=False)
class Scale(_Around):
    """``c T`` for a finite c.

    Raises
    ------
    DomainError
        If c is NaN or infinite.
    """

    inner: Operator
    c: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.c):
            raise DomainError(f"an operator can be scaled by a finite number only, found {self.c}")

    def _kind(self) -> tuple[str, list[str]]:
        return "scale", [self.c.hex(), self.inner.digest]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self.inner(x)
        return y * y.dtype.type(self.c)

    def enclose(self, x: Enclosed) -> Enclosed:
        return self.inner.enclose(x) * self.c

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return self.c * self.inner.derivative(x)

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        return _all("scale@1", self.claim("deviation", ball), [self.inner.linearize(ball).deviation.norm()], c=self.c)

    def lip(self, on: Region | None = None) -> Bound:
        """|c| Lip."""
        on = self._region(on)
        return _all("scale@1", self.claim("lip", on), [self.inner.lip(on)], c=self.c)

    def dahlquist(self, on: Region | None = None) -> Bound:
        """c times the Dahlquist constant for c >= 0, else |c| Lip."""
        on = self._region(on)
        if self.c >= 0:
            return _all("scale@1", self.claim("dahlquist", on), [self.inner.dahlquist(on)], c=self.c)
        return _all("dahlquist.lip@1", self.claim("dahlquist", on), [self.lip(on)])

    def expansion(self, on: Region | None = None) -> Bound:
        """|c| times the expansion."""
        on = self._region(on)
        return derive("scale@1", self.claim("expansion", on, LOWER), (self.inner.expansion(on),), c=self.c)

    def smoothness(self, on: Region | None = None) -> Bound:
        """|c| times the smoothness."""
        on = self._region(on)
        return _all("scale@1", self.claim("smoothness", on), [self.inner.smoothness(on)], c=self.c)

    def __repr__(self) -> str:
        return f"{self.c:g} * {self.inner!r}"


@dataclass(frozen=True, eq=False, repr=False)
class Power(_Around):
    """``T o T o ... o T``, n times: one node however large n is."""

    inner: Operator
    n: int

    def _kind(self) -> tuple[str, list[str]]:
        return "power", [str(self.n), self.inner.digest]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        for _ in range(self.n):
            x = self.inner(x)
        return x

    def enclose(self, x: Enclosed) -> Enclosed:
        for _ in range(self.n):
            x = self.inner.enclose(x)
        return x

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return self._unrolled()._jacobian(x)

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        bound = self._unrolled().linearize(ball).deviation.norm()
        claim = self.claim("deviation", ball)
        return (
            derive("unroll@1", claim, (bound,), n=self.n, inner=self._inner)
            if bound.known
            else unknown(claim, str(bound.params["reason"]))
        )

    def lip(self, on: Region | None = None) -> Bound:
        """Lip(T)^n on the whole space; on a region the iterated images are used (a region need not map into itself)."""
        on = self._region(on)
        claim = self.claim("lip", on)
        everywhere = self.inner.lip()
        candidates = [derive("power@1", claim, (everywhere,), n=self.n)] if everywhere.known else []
        if not isinstance(on, Everywhere) and self.n <= 64:
            local = self._unrolled().lip(on)
            if local.known:
                candidates.append(derive("unroll@1", claim, (local,), n=self.n, inner=self._inner))
        return least(*candidates) if candidates else unknown(claim, str(everywhere.params["reason"]))

    def expansion(self, on: Region | None = None) -> Bound:
        """expansion(T)^n on the whole space."""
        return derive("power@1", self.claim("expansion", self._region(on), LOWER), (self.inner.expansion(),), n=self.n)

    @property
    def _inner(self) -> list[str]:
        return [f.digest for f in self.inner.unfolded]

    def _unrolled(self) -> Operator:
        out = self.inner
        for _ in range(self.n - 1):
            out = compose(self.inner, out)
        return out

    def __repr__(self) -> str:
        return f"({self.inner!r})**{self.n}"


def power(op: Operator, n: int) -> Operator:
    """``T ** n`` for n >= 0.

    Raises
    ------
    DomainError
        If n is negative or not an int, or the codomain is not the domain.
    """
    if not isinstance(n, int) or n < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DomainError(f"a power needs an int >= 0, found {n!r}")
    if op.domain.norm != op.codomain.norm or not op.domain.meets(op.codomain):
        raise DomainError(f"a power needs equal domain and codomain, {op!r} has {op.domain} and {op.codomain}")
    if n == 0:
        return Identity(op.domain)
    return op if n == 1 else Power(op, n)


@dataclass(frozen=True, eq=False, repr=False)
class Residual(Combined):
    """``x + F(x)``. Lip by the smaller of ``1 + L`` and ``sqrt(1 + 2 a + L^2)``, a the Dahlquist constant of F.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> round(Residual(Linear(-0.5 * np.eye(2))).lip().value, 6)
    0.5
    """

    branch: Operator

    def __post_init__(self) -> None:
        if not self.branch.domain.meets(self.branch.codomain) or self.branch.domain.norm != self.branch.codomain.norm:
            raise ShapeError(f"a residual branch needs equal domain and codomain, {self.branch!r} has not")

    def _kind(self) -> tuple[str, list[str]]:
        return "residual", [self.branch.digest]

    @property
    def domain(self) -> Space:
        return self.branch.domain

    @property
    def codomain(self) -> Space:
        return self.branch.codomain

    @property
    def tokenwise(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.branch.tokenwise

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x + self.branch(x)

    def enclose(self, x: Enclosed) -> Enclosed:
        return x + self.branch.enclose(x)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        known = self.branch.chain_jacobian(self, (), x, True)
        return LinearOperator.identity(x.shape) + self.branch.derivative(x) if known is None else known

    def chain_linearize(
        self, whole: Operator, outer: tuple[Operator, ...], ball: Ball | TokenBall, residual: bool
    ) -> Linearization | None:
        return None if residual else self.branch.chain_linearize(whole, outer, ball, True)

    def chain_jacobian(
        self, whole: Operator, outer: tuple[Operator, ...], x: np.ndarray, residual: bool
    ) -> LinearOperator | None:
        return None if residual else self.branch.chain_jacobian(whole, outer, x, True)

    def token_factor(self, x: Enclosed) -> Any:
        return self.branch.token_factor(x).plus_identity()

    @property
    def chains(self) -> bool:
        return self.branch.chains

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        return _all(
            "deviation.residual@1", self.claim("deviation", ball), [self.branch.linearize(ball).deviation.norm()]
        )

    def lip(self, on: Region | None = None) -> Bound:
        """min(1 + L, sqrt(1 + 2a + L^2))."""
        on = self._region(on)
        claim = self.claim("lip", on)
        lip = self.branch.lip(on)
        if not lip.known:
            return unknown(claim, str(lip.params["reason"]))
        plain = derive("residual.sum@1", claim, (lip,))
        one_sided = self.branch.dahlquist(on)
        if not one_sided.known or self.domain.norm != "l2":
            return plain
        return least(derive("residual@1", claim, (one_sided, lip)), plain)

    def dahlquist(self, on: Region | None = None) -> Bound:
        """1 + the branch's Dahlquist constant."""
        on = self._region(on)
        return _all("residual.dahlquist@1", self.claim("dahlquist", on), [self.branch.dahlquist(on)])

    def expansion(self, on: Region | None = None) -> Bound:
        """max(1 - L, 0)."""
        on = self._region(on)
        claim = self.claim("expansion", on, LOWER)
        lip = self.branch.lip(on)
        if not lip.known:
            return derive("expansion.trivial@1", claim)
        return derive("residual.expansion@1", claim, (lip,))

    def smoothness(self, on: Region | None = None) -> Bound:
        """The branch's smoothness."""
        on = self._region(on)
        return _all("smoothness.residual@1", self.claim("smoothness", on), [self.branch.smoothness(on)])

    def __repr__(self) -> str:
        return f"residual({self.branch!r})"


def residual(branch: Operator) -> Residual:
    """The map ``x + F(x)``."""
    return Residual(branch)


@dataclass(frozen=True, eq=False, repr=False)
class Relax(_Around):
    """``(1 - alpha) I + alpha T``; alpha-averaged if T is non-expansive and 0 < alpha < 1."""

    inner: Operator
    alpha: float

    def _kind(self) -> tuple[str, list[str]]:
        return "relax", [self.alpha.hex(), self.inner.digest]

    @property
    def averagedness(self) -> float | None:
        """alpha if the inner map is proved non-expansive and 0 < alpha < 1, else None."""
        return self.alpha if 0 < self.alpha < 1 and self.inner.lip().value <= 1 else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        a = x.dtype.type(self.alpha)
        return (1 - a) * x + a * self.inner(x)

    def enclose(self, x: Enclosed) -> Enclosed:
        a = Enclosed.exact(np.full((1,) * x.mid.ndim, self.alpha))
        return (1.0 - a) * x + a * self.inner.enclose(x)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return (1 - self.alpha) * LinearOperator.identity(x.shape) + self.alpha * self.inner.derivative(x)

    def _deviation(self, ball: Ball | TokenBall) -> float | None:
        inner = self.inner.linearize(ball).deviation.norm()
        slip = 4 * UNIT * (1 + abs(self.alpha))  # the stored 1 - alpha
        return abs(self.alpha) * inner.value * (1 + 8 * UNIT) + slip if inner.known else None

    def lip(self, on: Region | None = None) -> Bound:
        """|1 - alpha| + |alpha| Lip."""
        on = self._region(on)
        return _all("relax@1", self.claim("lip", on), [self.inner.lip(on)], alpha=self.alpha)

    def __repr__(self) -> str:
        return f"relax({self.inner!r}, {self.alpha:g})"


def relax(op: Operator, alpha: float) -> Relax:
    """``(1 - alpha) I + alpha T``."""
    if not op.domain.meets(op.codomain) or op.domain.norm != op.codomain.norm:
        raise ShapeError(f"relaxation needs equal domain and codomain, {op!r} has not")
    if not math.isfinite(alpha):
        raise DomainError(f"a relaxation parameter must be finite, found {alpha}")
    return Relax(op, float(alpha))


@dataclass(frozen=True, eq=False, repr=False)
class Restriction(_Around):
    """T on a region only: bounds asked for anywhere are given on that region."""

    inner: Operator
    region: Region

    def _kind(self) -> tuple[str, list[str]]:
        return "restrict", [self.region.digest, self.inner.digest]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if not self.region.contains(x):
            raise RegionError(f"the point lies outside {self.region!r}")
        return self.inner(x)

    def enclose(self, x: Enclosed) -> Enclosed:
        return self.inner.enclose(x)

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return self.inner.derivative(x)

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        return self._of(self.inner.linearize(ball).deviation.norm(), ball)

    def _smaller(self, on: Region) -> Region:
        return on if self.region.encloses(on) else self.region

    def _of(self, bound: Bound, on: Region) -> Bound:
        claim = self.claim(bound.claim.quantity, on, bound.claim.side)
        if not bound.known:
            return unknown(claim, str(bound.params["reason"]))
        return derive("restrict@1", claim, (bound,), region=self.region.digest)

    def lip(self, on: Region | None = None) -> Bound:
        """The inner map's constant on the smaller region."""
        on = self._region(on)
        return self._of(self.inner.lip(self._smaller(on)), on)

    def dahlquist(self, on: Region | None = None) -> Bound:
        """The inner map's Dahlquist constant on the smaller region."""
        on = self._region(on)
        return self._of(self.inner.dahlquist(self._smaller(on)), on)

    def expansion(self, on: Region | None = None) -> Bound:
        """The inner map's expansion on the smaller region."""
        on = self._region(on)
        return self._of(self.inner.expansion(self._smaller(on)), on)

    def smoothness(self, on: Region | None = None) -> Bound:
        """The inner map's smoothness on the smaller region."""
        on = self._region(on)
        return self._of(self.inner.smoothness(self._smaller(on)), on)

    def __repr__(self) -> str:
        return f"{self.inner!r} on {self.region!r}"


@dataclass(frozen=True, eq=False, repr=False)
class NormChange(Operator):
    """The identity between two norms on a fixed shape: Lip is the norm equivalence constant.

    Parameters
    ----------
    domain, codomain : Space
        Equal shapes without a free number of tokens.
    """

    domain: Space
    codomain: Space

    def __post_init__(self) -> None:
        if self.domain.shape != self.codomain.shape or self.domain.any_tokens:
            raise ShapeError("a norm change needs equal shapes with a fixed number of tokens")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x

    def enclose(self, x: Enclosed) -> Enclosed:
        return x

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        return LinearOperator.identity(x.shape)

    def _deviation(self, ball: Ball | TokenBall) -> float:
        return 0.0

    def _lip(self, on: Region) -> float:
        shape = [int(n or 1) for n in self.domain.shape]
        size, width = math.prod(shape), shape[-1]
        tokens = size // width
        square = {
            ("2inf", "l2"): tokens,
            ("linf", "l2"): size,
            ("l2", "l1"): size,
            ("linf", "l1"): size * size,
            ("2inf", "l1"): size * tokens,
            ("linf", "2inf"): width,
        }.get((self.domain.norm, self.codomain.norm), 1)
        root = math.isqrt(square)
        return float(root) if root * root == square else math.sqrt(square) * (1 + 2 * UNIT)


__all__ = [
    "Composition",
    "Identity",
    "NormChange",
    "Power",
    "Relax",
    "Residual",
    "Restriction",
    "Scale",
    "Sum",
    "compose",
    "power",
    "relax",
    "residual",
]
