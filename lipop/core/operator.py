"""Operator: value, linearisation, Lipschitz rules and image of one nonlinear map.

A subclass is a frozen dataclass that gives ``domain``, ``codomain``, ``__call__`` and, as far as theorems reach, the
hooks ``enclose``, ``_jacobian``, ``_deviation``, ``_lip``, ``_dahlquist``, ``_expansion``, ``_smoothness``. The base
class turns the hooks' floats into bounds whose proofs can be redone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import lipop.core.calculus  # noqa: F401  # pyright: ignore[reportUnusedImport]  # its rules register themselves
from lipop.core import leaves as rules
from lipop.core.bound import LOWER, UPPER, Bound, Claim, Witness
from lipop.core.digest import array_digest, digest
from lipop.core.enclosure import Enclosed
from lipop.core.linearization import Deviation, Linearization, LinearOperator
from lipop.core.memo import remember
from lipop.core.region import Ball, Box, Everywhere, Region, TokenBall, as_ball
from lipop.core.rounding import dot_up
from lipop.core.rule import derive, leaf, unknown
from lipop.core.space import Space
from lipop.errors import DomainError, ProofError, RegionError, ShapeError

if TYPE_CHECKING:
    from lipop.core.algebra import Composition


class Operator:
    """A map between two spaces that can answer for its Lipschitz constants.

    Attributes
    ----------
    domain, codomain : Space
    tokenwise : bool
        Whether it acts on every token (last axis) by itself.
    digest : str
        sha256 of class, parameters and tensors: two operators with one digest are the same map.
    """

    __array_ufunc__ = None
    tokenwise: ClassVar[bool] = False

    domain: Space
    codomain: Space

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__call__" in vars(cls):
            cls.__call__ = _shape_checked(cls.__call__)

    # ---- the value ----

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """T(x), in x's dtype.

        Raises
        ------
        ShapeError
            If the last axes of x are not a point's.
        """
        raise NotImplementedError

    def enclose(self, x: Enclosed) -> Enclosed:
        """A rigorous enclosure of T over the intervals of ``x``, in float64.

        Raises
        ------
        DomainError
            If the operator has no rigorous forward pass.
        """
        raise DomainError(f"{type(self).__name__} has no rigorous forward pass")

    # ---- hooks: floats rounded outward, None where no theorem is known ----

    def _jacobian(self, x: np.ndarray) -> LinearOperator:
        """The derivative at x, exact as stored."""
        raise DomainError(f"{type(self).__name__} has no derivative here")

    def _deviation(self, ball: TokenBall | Ball) -> float | None:
        """Upper bound of ``sup |DT(x) - J|`` on the ball, with J = ``_jacobian(ball.center)`` as stored."""
        return None

    def _lip(self, on: Region) -> float | None:
        """Upper bound of the Lipschitz constant on the region, by a rule of this operator."""
        return None

    def _dahlquist(self, on: Region) -> float | None:
        """Upper bound of the one-sided Lipschitz constant (l2)."""
        return None

    def _expansion(self, on: Region) -> float | None:
        """Lower bound of the lower Lipschitz constant."""
        return None

    def _smoothness(self, on: Region) -> float | None:
        """Upper bound of the Lipschitz constant of the derivative (l2)."""
        return None

    def _token_norm(self, on: Region) -> float | None:
        """Upper bound of the l2 norms of the tokens of T(x)."""
        return None

    # ---- the questions ----

    def linearize(self, ball: Ball | TokenBall) -> Linearization:
        """The derivative at the centre with a bound of how far it moves on the ball, and a ball that contains the
        image."""
        J = self.derivative(ball.center)
        return Linearization(ball, lambda: self.image(ball), J, Deviation(self._own_deviation(ball)))

    def _own_deviation(self, ball: Ball | TokenBall) -> Bound:
        claim = self.claim("deviation", ball)
        raw = remember(("deviation", self.digest, ball.digest), lambda: self._deviation(ball))
        if raw is None:
            return unknown(claim, f"{type(self).__name__} has no deviation bound on {ball!r}")
        return leaf(rules.DEVIATION_OWN, claim, raw, self)

    def derivative(self, x: np.ndarray) -> LinearOperator:
        """DT(x) as a linear operator (SciPy-compatible ``matvec``, ``rmatvec``, ``H``)."""
        x = np.asarray(x, dtype=np.float64)
        self.domain.check(x)
        return remember(("derivative", self.digest, array_digest(x)), lambda: self._jacobian(x))

    def lip(self, on: Region | None = None) -> Bound:
        """An upper bound of the Lipschitz constant on a region, by this operator's own rule (infinite with a reason if
        none applies)."""
        on = self._region(on)
        claim = self.claim("lip", on)
        raw = self._lip(on)
        if raw is None or math.isnan(raw):
            return unknown(claim, f"{type(self).__name__} has no Lipschitz rule on {on!r}")
        if math.isinf(raw):
            return unknown(claim, f"{type(self).__name__} is not known to be Lipschitz on {on!r}")
        return leaf(rules.LIP_OWN, claim, raw, self)

    def dahlquist(self, on: Region | None = None) -> Bound:
        """An upper bound of the one-sided Lipschitz (Dahlquist) constant on a region; l2 only, at most ``lip``."""
        on = self._region(on)
        claim = self.claim("dahlquist", on)
        if not self.domain.norm == self.codomain.norm == "l2":
            return unknown(claim, "Dahlquist constants are in l2 here")
        if not self.domain.meets(self.codomain):
            return unknown(claim, "a Dahlquist constant needs equal domain and codomain")
        raw = self._dahlquist(on)
        if raw is not None and math.isfinite(raw):
            return leaf(rules.DAHLQUIST_OWN, claim, raw, self)
        lip = self.lip(on)
        return derive("dahlquist.lip@1", claim, (lip,)) if lip.known else unknown(claim, "no rule applies")

    def expansion(self, on: Region | None = None) -> Bound:
        """A lower bound of the lower Lipschitz constant on a region (zero where nothing better is known)."""
        on = self._region(on)
        claim = self.claim("expansion", on, LOWER)
        raw = self._expansion(on)
        if raw is not None and raw > 0:
            return leaf(rules.EXPANSION_OWN, claim, raw, self)
        return derive("expansion.trivial@1", claim)

    def token_norm(self, on: Region | None = None) -> Bound:
        """An upper bound of the l2 norms of the tokens of T(x), x in the region (normalisation layers have one
        everywhere)."""
        on = self._region(on)
        claim = self.claim("token_norm", on)
        raw = self._token_norm(on)
        if raw is None or not math.isfinite(raw):
            return unknown(claim, f"the values of {type(self).__name__} on {on!r} have no bound here")
        return leaf(rules.TOKEN_NORM_OWN, claim, raw, self)

    def smoothness(self, on: Region | None = None) -> Bound:
        """An upper bound of the Lipschitz constant of the derivative (infinite with a reason where it is not
        finite)."""
        on = self._region(on)
        claim = self.claim("smoothness", on)
        raw = self._smoothness(on)
        if raw is None or not math.isfinite(raw):
            return unknown(claim, f"{type(self).__name__} has no finite smoothness bound on {on!r}")
        return leaf(rules.SMOOTHNESS_OWN, claim, raw, self)

    def image(self, region: Region) -> Region:
        """A region that contains T(region): a ball around the computed value where a Lipschitz constant is at hand."""
        located = self.image_bound(region)
        if located is None or not math.isfinite(located[0].value):
            return Everywhere()
        bound, center = located
        return Ball(center, bound.value, self.codomain.norm)

    def image_bound(self, region: Region) -> tuple[Bound, np.ndarray] | None:
        """The claim behind :meth:`image`, a radius with its proof, and the centre it is counted from."""
        ball = region if isinstance(region, Ball) and region.norm == self.domain.norm else None
        if ball is None and self.domain.norm == "l2":
            ball = as_ball(region)
        if ball is None:
            return None
        lip = self.lip(ball)
        forward = self.forward_bound(ball.center)
        if not lip.known or forward is None:
            return None
        center = self(ball.center)
        claim = self.claim("image", ball)
        return derive("image.ball@1", claim, (lip, forward), radius=ball.radius, center=array_digest(center)), center

    def forward_bound(self, x: np.ndarray) -> Bound | None:
        """How far the computed value at x may be from the true one, as a bound (None without a rigorous forward
        pass)."""
        try:
            raw = self._forward_error(x)
        except DomainError:
            return None
        claim = Claim("distance", UPPER, self.digest, Ball(x, 0.0), self.domain.norm, self.codomain.norm)
        return leaf(rules.FORWARD, claim, raw, self, center=array_digest(self(np.asarray(x, dtype=np.float64))))

    def _forward_error(self, x: np.ndarray) -> float:
        x = np.asarray(x, dtype=np.float64)
        y = self.enclose(Enclosed.exact(x))
        gap = np.abs(y.mid - self(x)) * (1 + 1e-15) + y.err
        return float(gap.sum()) * (1 + 1e-12) if self.codomain.norm == "l1" else dot_up(gap)

    # ---- redoing certificates ----

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo the certificate of a leaf about this operator; the raw value before rounding to the rule's grid."""
        from lipop.core import norms

        region = claim.region
        if (claim.norm_in, claim.norm_out) != (self.domain.norm, self.codomain.norm):
            raise ProofError(
                f"the claim is in the norms {claim.norm_in} -> {claim.norm_out}, {self!r} measures in "
                f"{self.domain.norm} -> {self.codomain.norm}"
            )
        if rule == rules.LIP_OWN:
            return _value(self._lip(region))
        if rule == rules.DAHLQUIST_OWN:
            return _value(self._dahlquist(region))
        if rule == rules.EXPANSION_OWN:
            return _value(self._expansion(region), LOWER)
        if rule == rules.SMOOTHNESS_OWN:
            return _value(self._smoothness(region))
        if rule == rules.TOKEN_NORM_OWN:
            return _value(self._token_norm(region))
        if rule == rules.DEVIATION_OWN and isinstance(region, Ball | TokenBall):
            return _value(self._deviation(region))
        if rule == rules.IMAGE_OWN and isinstance(region, Ball | TokenBall):
            image = as_ball(self.linearize(region).image)
            same = image is not None and array_digest(image.center) == params.get("center")
            return image.radius if image is not None and same else math.inf
        if rule == rules.FORWARD and isinstance(region, Ball):
            if params.get("center") != array_digest(self(region.center)):
                return math.inf  # the value itself has changed
            return self._forward_error(region.center)
        return norms.reprove_operator(self, rule, claim, params, witness)

    # ---- algebra ----

    def __matmul__(self, other: Operator) -> Composition:
        from lipop.core.algebra import compose

        return compose(self, other) if isinstance(other, Operator) else NotImplemented

    def __add__(self, other: Operator) -> Operator:
        from lipop.core.algebra import Sum

        return Sum.of(self, other) if isinstance(other, Operator) else NotImplemented

    def __sub__(self, other: Operator) -> Operator:
        return self + (-1.0) * other

    def __mul__(self, c: float) -> Operator:
        from lipop.core.algebra import Scale

        return Scale(self, float(c)) if isinstance(c, int | float | np.floating) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return -1.0 * self

    def __pow__(self, n: int) -> Operator:
        from lipop.core.algebra import power

        return power(self, n)

    @property
    def unfolded(self) -> tuple[Operator, ...]:
        """The factors of which this map is the composition, outermost first: itself alone, where it is not one."""
        return (self,)

    def fuse(self, inner: Operator) -> Operator | None:
        """This map composed with ``inner`` as one operator, where both are linear; None otherwise."""
        return None

    # ---- what a composition asks of its innermost factor, and of token-wise factors outside of it ----

    def chain_linearize(
        self, whole: Operator, outer: tuple[Operator, ...], ball: Ball | TokenBall, residual: bool
    ) -> Linearization | None:
        """The linearisation of ``whole = outer o T`` (or ``outer o (I + T)``), where this operator knows better than
        products."""
        return None

    def chain_jacobian(
        self, whole: Operator, outer: tuple[Operator, ...], x: np.ndarray, residual: bool
    ) -> LinearOperator | None:
        """The derivative that :meth:`chain_linearize` starts from."""
        return None

    def token_factor(self, x: Enclosed) -> Any:
        """How a token-wise map shows itself to the chain rules (see ``operators.token_factor``).

        Raises
        ------
        DomainError
            If it is not token-wise or has no such view.
        """
        raise DomainError(f"{type(self).__name__} has no token-wise linearisation")

    @property
    def chains(self) -> bool:
        """Whether :meth:`token_factor` is there."""
        return False

    def restrict(self, region: Region) -> Operator:
        """The same map, asked about on a region only."""
        from lipop.core.algebra import Restriction

        return Restriction(self, region)

    # ---- identity ----

    @property
    def digest(self) -> str:
        """sha256 of class, parameters and tensors (computed once)."""
        cached = self.__dict__.get("_digest")
        if cached is None:
            cached = self._make_digest()
            object.__setattr__(self, "_digest", cached)
        return cached

    def _make_digest(self) -> str:
        fields = {f.name: _field(getattr(self, f.name)) for f in dataclasses.fields(self)}  # pyright: ignore[reportArgumentType]
        return digest("lipop", type(self).__name__, fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shape(self.domain)} -> {_shape(self.codomain)})"

    def claim(self, quantity: str, on: Region, side: str = UPPER) -> Claim:
        """The claim that a bound of one of this operator's quantities makes."""
        return Claim(quantity, side, self.digest, on, self.domain.norm, self.codomain.norm)

    def _region(self, on: Region | None) -> Region:
        on = Everywhere() if on is None else on
        point = getattr(on, "center", None) if not isinstance(on, Box) else on.low
        if isinstance(point, np.ndarray) and not self.domain.admits(point.shape):
            raise RegionError(f"{on!r} has points of shape {point.shape}, but {self!r} acts on {self.domain.shape}")
        return on


def _shape_checked(call: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A subclass's ``__call__`` behind a check that its argument has a shape of the domain, which is made once."""

    @functools.wraps(call)
    def checked(self: Operator, x: np.ndarray) -> np.ndarray:
        domain = self.__dict__.get("_domain")
        if domain is None:
            domain = self.domain
            object.__setattr__(self, "_domain", domain)
        if not domain.admits(np.shape(x)[-len(domain.shape) :]):  # axes before these stack points
            raise ShapeError(f"{self!r}: the point has shape {np.shape(x)}, expected {_shape(domain)}")
        return call(self, x)

    return checked


def _value(x: float | None, side: str = UPPER) -> float:
    return (math.inf if side == UPPER else -math.inf) if x is None else x


def _shape(space: Space) -> str:
    return "x".join("T" if n is None else str(n) for n in space.shape)


def _field(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return array_digest(value)
    if isinstance(value, float | np.floating):
        return float(value).hex()
    if isinstance(value, Operator | Region):
        return value.digest
    if isinstance(value, Space):
        return [list(value.shape), value.norm]
    if isinstance(value, list | tuple):
        return [_field(v) for v in value]
    if isinstance(value, str | bool | int | type(None)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {f.name: _field(getattr(value, f.name)) for f in dataclasses.fields(value)}]
    raise TypeError(f"a field of type {type(value).__name__} needs its own digest")
