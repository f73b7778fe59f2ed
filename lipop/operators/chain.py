"""Linearising a token-wise chain after attention: the rules C1, C3, C4 and F1 that keep a whole block's bound sharp.

The map is ``phi o w`` with ``w(x) = x + A(x)`` (or ``A(x)``), A attention and ``phi = f_m o ... o f_1`` acting token
by token. ``Q`` is the derivative of w at the centre (row block i: ``Q_i``), ``K_l`` the product of the first l - 1
factors' derivatives, ``B`` that of all. Multiplying norms of neighbouring factors loses a factor of 30 to 100 on real
blocks; what follows does not.

Telescoping (C3). ``D(f_p ... f_1) - M_p ... M_1 = sum_l (M_p ... M_{l+1}) (Df_l - M_l) (K_l + dK_l)``, so at token i
``beta^(p) = sum_l |M_p..M_{l+1} A_l| s_l (|C_l K_l| + |C_l| beta^(l))`` for norm-type factors, and for diagonal-type
ones the same with ``diag(e) = diag(sqrt r) E' diag(sqrt r)``, ``|E'| <= 1``, or by rule F1.

Outer factor (C1). ``D(phi o w)(x) - B Q = (Dphi(w(x)) - B) Q + Dphi(w(x)) (Dw(x) - Q)``. The first term is bounded as
one matrix-free operator, each piece of the telescoping with Q behind it; the second by attention's entry bounds with
``|B_i O_h| + beta_i |O_h|`` in place of ``|O_h|`` (C2).

Images (C4). The input of factor l moves at token i by at most ``(|C_l K_l Q_i| + dev) rho``, from the composed
derivative: ``psi(x) - psi(x0) = int_0^1 Dpsi(x_t)(x - x0) dt``. ``|K Q_i|^2 = lambda_max(K Gamma_i K^T)`` with
``Gamma_i = Q_i Q_i^T``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core import norms as core_norms
from lipop.core.algebra import Composition, Residual
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.digest import array_digest
from lipop.core.enclosure import frobenius_up
from lipop.core.linearization import Deviation, Linearization, LinearOperator
from lipop.core.memo import remember
from lipop.core.operator import Operator
from lipop.core.region import Ball, TokenBall, token_radii
from lipop.core.rounding import dot_up, inflate
from lipop.core.rule import TRIAL, derive, leaf, leaf_rule, parts_digest, rule, unknown
from lipop.errors import DomainError, ProofError

if TYPE_CHECKING:
    from lipop.operators.attention import Attention

from lipop.operators.chain_constants import Chain, Constants
from lipop.operators.chain_moves import Moves, moves
from lipop.operators.chain_tail import tail_operator

CHAIN_ATTENTION = leaf_rule(
    "deviation.chain.attention@1",
    reference=(
        "rule C2: attention's entry bounds E1+ with the head weights |B_i O_h| + beta_i |O_h|; norm of "
        "the non-negative T x T matrix"
    ),
    grid=24,
    quantity="deviation",
    side=UPPER,
)
CHAIN_TAIL = leaf_rule(
    "deviation.chain.tail@1",
    reference=(
        "rules C1, C3, F1: the token-wise factors' deviations, each with the derivative of the inner part"
        " behind it, as one matrix-free operator; a-posteriori Lanczos bound (Hochstenbach 2013)"
    ),
    grid=22,
    quantity="deviation",
    side=UPPER,
    strength="probable",
    params=TRIAL,
)
CHAIN_ROWS = leaf_rule(
    "deviation.chain.rows@1",
    reference="rule C1, first term, token by token: at most (sum_i (beta_i |Q_i|)^2)^(1/2), without chance",
    grid=24,
    quantity="deviation",
    side=UPPER,
)
_PARTS = ("attention", "tail")


def _chain_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if (claim.quantity, claim.side) != ("deviation", UPPER):
        return "it bounds deviations from above"
    if [p.rule for p in premises] not in ([CHAIN_ATTENTION, CHAIN_TAIL], [CHAIN_ATTENTION, CHAIN_ROWS]):
        return "premises are the attention part and the token-wise part"
    for p, name in zip(premises, _PARTS, strict=True):
        if p.claim.operator != parts_digest("part", [name, claim.operator]):
            return "a part belongs to another operator"
        if p.claim.region.digest != claim.region.digest:
            return "a part holds on another region"
    return None


@rule(
    "deviation.chain@1",
    reference="C1: D(phi o w) - BQ = (Dphi - B) Q + Dphi (Dw - Q), triangle inequality",
    accepts=_chain_accepts,
)
def chain_deviation(attention: Any, tail: Any) -> Any:
    """Attention part plus token-wise part."""
    return attention + tail


@dataclass(frozen=True, eq=False)
class ChainPart:
    """One part of a chain's deviation, as the subject of a leaf."""

    whole: Operator
    inner: Attention
    outer: tuple[Operator, ...]
    residual: bool
    name: str

    @property
    def digest(self) -> str:
        """The digest under which the chain rule recognises the part."""
        return parts_digest("part", [self.name, self.whole.digest])

    def constants(self, x: np.ndarray) -> Constants:
        """The radius-free half at x (shared inside a memo)."""
        chain = chain_at(self.whole, self.inner, self.outer, x, self.residual)
        return remember(("chain constants", self.whole.digest, array_digest(x)), chain.constants)

    def moves(self, region: Ball | TokenBall) -> Moves:
        """The radius-dependent half on a ball."""
        ball = token_radii(region)
        assert ball is not None
        make = lambda: moves(self.constants(ball.center), ball.rho_F, ball.rho_token)  # noqa: E731
        return remember(("chain moves", self.whole.digest, ball.digest), make)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Redo a part."""
        if not isinstance(claim.region, Ball | TokenBall):
            raise ProofError("a chain is linearised on a ball")
        if rule == CHAIN_ATTENTION:
            return self.moves(claim.region).attention
        if rule == CHAIN_ROWS:
            return self.moves(claim.region).rows
        if rule == CHAIN_TAIL:
            tail = self._tail(claim.region)
            return core_norms._root_up(
                core_norms.run_lanczos(tail, int(params["seed"]), int(params["steps"]), 0.0).upper
            )  # pyright: ignore[reportPrivateUsage]
        raise ProofError(f"a chain cannot redo rule {rule}")

    def bound(self, region: Ball | TokenBall) -> Bound:
        """The part's leaf on a ball."""
        claim = Claim("deviation", UPPER, self.digest, region)
        if self.name == "attention":
            return leaf(CHAIN_ATTENTION, claim, self.moves(region).attention, self)
        if (region.rho_F if isinstance(region, TokenBall) else region.radius) == 0:  # rounding only
            return leaf(CHAIN_ROWS, claim, self.moves(region).rows, self)
        seed = core_norms.seed_of(self.whole.digest, f"tail:{region.digest}")
        result = core_norms.run_lanczos(self._tail(region), seed, None, 5e-2)
        raw = core_norms._root_up(result.upper)  # pyright: ignore[reportPrivateUsage]
        return leaf(CHAIN_TAIL, claim, raw, self, seed=seed, delta=core_norms.DELTA, steps=int(result.steps))

    def _tail(self, region: Ball | TokenBall) -> LinearOperator:
        ball = token_radii(region)
        assert ball is not None
        return tail_operator(self.constants(ball.center).chain, self.moves(region))


def chain_at(whole: Operator, inner: Attention, outer: tuple[Operator, ...], x: np.ndarray, residual: bool) -> Chain:
    """The enclosed chain at x (shared inside a memo)."""
    return remember(("chain", whole.digest, array_digest(x)), lambda: Chain.at(inner, outer, x, residual))


def chain_of(op: Operator, x: np.ndarray) -> Chain | None:
    """The chain that a composition (token-wise factors after attention) is at x; None if it is not of that form."""
    if not isinstance(op, Composition) or not all(f.chains for f in op.factors[:-1]):
        return None
    inner, residual = op.factors[-1], False
    if isinstance(inner, Residual):
        inner, residual = inner.branch, True
    from lipop.operators.attention import Attention

    return chain_at(op, inner, op.factors[:-1], x, residual) if isinstance(inner, Attention) else None


def linearize_chain(
    whole: Operator, inner: Attention, outer: tuple[Operator, ...], ball: Ball | TokenBall, residual: bool
) -> Linearization:
    """Linearise ``outer o (I + inner)`` (or ``outer o inner``) on an F-ball or token ball."""
    region = token_radii(ball)
    if region is None:
        raise DomainError("a chain is linearised on l2 balls and token balls")
    parts = [ChainPart(whole, inner, outer, residual, name) for name in _PARTS]
    chain = chain_at(whole, inner, outer, region.center, residual)
    claim = Claim("deviation", UPPER, whole.digest, ball)
    move = parts[0].moves(ball)
    finite = math.isfinite(move.attention) and bool(np.isfinite(move.plain).all()) and bool(np.isfinite(move.out).all())
    if not finite:
        lost = unknown(
            claim, "the ball is so large that a normalisation layer's input may reach its centre, or a bound overflows"
        )
        return Linearization(ball, lambda: whole.image(ball), chain.J, Deviation(lost))
    key = ("chain deviation", whole.digest, ball.digest)
    bound = remember(key, lambda: derive("deviation.chain@1", claim, tuple(part.bound(ball) for part in parts)))
    error = frobenius_up(chain.output.radius[:, None, :])
    reach = inflate(move.out + error, 4)
    image = TokenBall(chain.output.mid, dot_up(reach), reach)
    return Linearization(ball, lambda: image, chain.J, Deviation(bound))
