"""Averaging attention: how far the output of one fixed query is from its expectation over independent tokens.

``F(x_1..x_n) = sum_j p_j v(x_j)`` with ``p_j`` proportional to ``exp(s(x_j))``, tokens independent in a ball of radius
r. Let ``R = Lip(v) r`` and ``a = Lip(s) r``. Scores differ by ``2a`` at most, so ``p_j <= p = e^(2a) / (n - 1 +
e^(2a))``. As a function of one token, ``F = G + p_j (v(x_j) - G)`` with G the average of the others: it stays in the
ball of radius ``p R`` around ``(1 - p) G + p v(c)``, c the centre. Hence its total variance is at most ``n p^2 R^2``
(Efron and Stein), one token moves it by ``2 p R`` at most, and McDiarmid (1989) gives with probability ``1 - d``

    ``|F - E F| <= n p R (1 + sqrt(2 log(1/d))) / sqrt(n)``.

With equal weights ``n p = 1``: the bound of a mean. Equal weights allow two more. Hoeffding (1963): a number in an
interval of length w has a mean within ``w sqrt(log(2/d) / (2n))``. Bernstein (Smale and Zhou 2007, lemma 2, after
Pinelis 1994): vectors at most M from their expectation, with ``E|y - E y|^2 <= v^2``, have a mean within
``2 M log(2/d) / n + v sqrt(2 log(2/d) / n)``. Here ``M = 2R``, and v is R times what the user states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.digest import digest
from lipop.core.operator import Operator
from lipop.core.region import Ball
from lipop.core.rounding import float_up, workprec
from lipop.core.rule import covers, derive, leaf, leaf_rule, parts_digest, rule
from lipop.errors import DomainError, NonFiniteError, ProofError, ShapeError

_TRIAL = {"seed": int, "delta": float}
LEAVES = {
    "mcdiarmid": leaf_rule(
        "noise.mcdiarmid@1",
        reference="independent vectors in a unit ball: distance of their mean from its expectation (McDiarmid 1989)",
        grid=44,
        quantity="distance",
        side=UPPER,
        strength="probable",
        params=_TRIAL,
    ),
    "hoeffding": leaf_rule(
        "noise.hoeffding@1",
        reference="independent numbers in [-1, 1]: distance of their mean from its expectation (Hoeffding 1963)",
        grid=44,
        quantity="distance",
        side=UPPER,
        strength="probable",
        params=_TRIAL,
    ),
    "bernstein": leaf_rule(
        "noise.bernstein@1",
        reference="independent vectors in a unit ball with bounded variance (Smale and Zhou 2007, lemma 2)",
        grid=44,
        quantity="distance",
        side=UPPER,
        strength="probable",
        params=_TRIAL,
    ),
}


@dataclass(frozen=True)
class UnitTokens:
    """Independent vectors in a ball of radius 1.

    Parameters
    ----------
    count : int
        n, at least 1.
    method : str
        ``mcdiarmid``, ``hoeffding`` (vectors of one coordinate) or ``bernstein``.
    spread : float
        A bound of the root of ``E|y - E y|^2``, in (0, 1]; only Bernstein's inequality uses it.

    Raises
    ------
    DomainError
    """

    count: int
    method: str
    spread: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise DomainError(f"the number of tokens must be a positive int, found {self.count!r}")
        if self.method not in LEAVES:
            raise DomainError(f"method must be one of {', '.join(LEAVES)}, found {self.method!r}")
        if not 0 < self.spread <= 1:
            raise DomainError(f"spread must lie in (0, 1], found {self.spread!r}")

    @property
    def digest(self) -> str:
        """sha256 of the description."""
        return digest("lipop", "unit tokens", str(self.count), self.method, float(self.spread).hex())

    def deviation(self, delta: float, seed: int) -> Bound:
        """How far the mean is from its expectation, with probability ``1 - delta``.

        Examples
        --------
        >>> loose, fine = UnitTokens(10_000, "mcdiarmid"), UnitTokens(10_000, "bernstein", 0.1)
        >>> fine.deviation(0.01, 0).value < loose.deviation(0.01, 0).value
        True
        """
        if not 0 < delta < 1:
            raise DomainError(f"delta is a probability in (0, 1), found {delta!r}")
        name, claim = LEAVES[self.method], Claim("distance", UPPER, self.digest)
        return leaf(name, claim, self._value(delta), self, seed=int(seed), delta=float(delta))

    def _value(self, delta: float) -> float:
        import flint

        with workprec():
            n, d = flint.arb(self.count), flint.arb(delta)
            if self.method == "mcdiarmid":
                return float_up((1 + (-2 * d.log()).sqrt()) / n.sqrt())
            log = (2 / d).log()
            if self.method == "hoeffding":
                return float_up((2 * log / n).sqrt())
            return float_up(4 * log / n + flint.arb(self.spread) * (2 * log / n).sqrt())

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Evaluate the formula again."""
        if rule != LEAVES[self.method]:
            raise ProofError(f"tokens under {self.method} cannot redo rule {rule}")
        return self._value(float(params["delta"]))


def _accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] not in (["distance", "lip"], ["distance", "lip", "lip"]):
        return "premises are a deviation of unit tokens, the Lipschitz constant of the values and that of the scores"
    if any(p.claim.side != UPPER for p in premises) or (claim.quantity, claim.side) != ("distance", UPPER):
        return "it bounds a distance from above, by upper bounds"
    deviation, maps = premises[0], premises[1:]
    if deviation.rule not in LEAVES.values() or (len(maps) == 2 and deviation.rule != LEAVES["mcdiarmid"]):
        return "the deviation is not one for these weights"
    spread = float(params["spread"])
    tokens = UnitTokens(params["count"], {v: k for k, v in LEAVES.items()}[deviation.rule], spread)
    if deviation.claim.operator != tokens.digest:
        return "the deviation is about other tokens"
    ball = claim.region
    if not isinstance(ball, Ball) or float(ball.radius) != float(params["radius"]):
        return "the claim's region is not the ball of the tokens"
    if not all(covers(p.claim, ball) and p.claim.norm_in == p.claim.norm_out == "l2" for p in maps):
        return "Lipschitz constants in l2 on the ball are needed"
    named = parts_digest("averaging", [p.claim.operator for p in premises])
    return None if claim.operator == named else "the claim is not about these maps and tokens"


@rule(
    "noise.averaging@1",
    reference="|F - E F| <= n p Lip(v) r times the deviation of unit tokens, p = e^(2a)/(n - 1 + e^(2a)), a = Lip(s) r",
    accepts=_accepts,
)
def averaging(deviation: Any, value: Any, *score: Any, count: int, radius: Any, spread: Any) -> Any:
    """``n p Lip(v) r`` times the deviation."""
    bound = value * radius * deviation + 0 * spread
    if not score:
        return bound
    rise = formula.exp(2 * score[0] * radius)
    return count * rise / (count - 1 + rise) * bound


@dataclass(frozen=True, eq=False)
class AveragingAttention:
    """One query that does not change, over the tokens of a context: ``softmax(s(x_1), ..., s(x_n))`` weighs ``v(x_j)``.

    Parameters
    ----------
    value : Operator
        v, from tokens in l2 to vectors in l2.
    score : Operator, optional
        s, from tokens to one number; without it all weights are ``1/n``.

    Raises
    ------
    ShapeError
        If v and s take different tokens, or s gives more than one number.

    Examples
    --------
    >>> import lipop as lo
    >>> F = AveragingAttention(lo.Linear(np.eye(2)), lo.Linear(np.array([[0.5, 0.0]])))
    >>> tokens = lo.Ball(np.zeros(2), 1.0)
    >>> near, far = (F.deviation(tokens, n, 0.01, seed=0) for n in (100, 10_000))
    >>> near.status, 9 < near.value / far.value < 11
    ('PROBABLE(0.01)', True)
    """

    value: Operator
    score: Operator | None = None

    def __post_init__(self) -> None:
        if self.score is None:
            return
        if self.score.codomain.shape != (1,) or self.score.domain.shape != self.value.domain.shape:
            raise ShapeError(
                f"scores are one number for each token of shape {self.value.domain.shape}, found a map "
                f"{self.score.domain} -> {self.score.codomain}"
            )

    def weights(self, tokens: np.ndarray) -> np.ndarray:
        """(n,) array of probabilities."""
        tokens = self._checked(tokens)
        s = np.zeros(len(tokens)) if self.score is None else np.array([float(self.score(x)[0]) for x in tokens])
        p = np.exp(s - s.max())
        return p / p.sum()

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """The output for (n, d) tokens."""
        tokens = self._checked(tokens)
        return self.weights(tokens) @ np.array([self.value(x) for x in tokens])

    def deviation(
        self, tokens: Ball, count: int, delta: float, seed: int, method: str = "mcdiarmid", spread: float = 1.0
    ) -> Bound:
        """``|F - E F|`` for independent tokens in a ball, with probability ``1 - delta``.

        Parameters
        ----------
        tokens : Ball
            Where every token lies.
        count : int
            n.
        delta : float
        seed : int
            Names the draw of the context: bounds about the same draw share their probability of failure only if they
            state the same seed and delta.
        method : str
            ``mcdiarmid``; with equal weights also ``bernstein`` and, for values of one coordinate, ``hoeffding``.
        spread : float
            For ``bernstein``: the root of ``E|v - E v|^2`` over ``Lip(v) r`` is at most this, in (0, 1].

        Returns
        -------
        Bound
            Of a distance, ``PROBABLE(delta)``.

        Raises
        ------
        DomainError
        """
        if not isinstance(tokens, Ball) or tokens.norm != "l2":
            raise DomainError(f"tokens lie in an l2 ball, found {tokens!r}")
        if method != "mcdiarmid" and self.score is not None:
            raise DomainError(f"{method} needs equal weights, and this attention has scores")
        if method == "hoeffding" and self.value.codomain.shape != (1,):
            raise DomainError(f"hoeffding needs values of one coordinate, found {self.value.codomain}")
        drawn = UnitTokens(count, method, float(spread) if method == "bernstein" else 1.0)
        maps = (self.value,) if self.score is None else (self.value, self.score)
        premises = (drawn.deviation(delta, seed), *(f.lip(tokens) for f in maps))
        claim = Claim("distance", UPPER, parts_digest("averaging", [p.claim.operator for p in premises]), tokens)
        given = {"count": count, "radius": float(tokens.radius), "spread": float(drawn.spread)}
        return derive("noise.averaging@1", claim, premises, **given)

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens, dtype=np.float64)
        if tokens.ndim != 2 or tokens.shape[1:] != self.value.domain.shape or not len(tokens):
            raise ShapeError(f"tokens have shape (n, {self.value.domain.width}) with n >= 1, found {tokens.shape}")
        if not bool(np.isfinite(tokens).all()):
            raise NonFiniteError("tokens hold a number that is not finite")
        return tokens


@dataclass(frozen=True)
class SinkAttention:
    """The counterexample: one token, drawn anew in each context, takes a fixed share of the attention.

    All n + 1 tokens are independent with variance 1; the sink has weight ``share``, the others equal weights. The
    variance of the output is ``share^2 + (1 - share)^2 / n`` exactly: it falls to the plateau ``share^2``, and not like
    1/n. The share is kept when the sink's logit exceeds the others' by ``log n + log(share / (1 - share))``.

    Parameters
    ----------
    share : float
        In [0, 1).

    Raises
    ------
    DomainError

    Examples
    --------
    >>> SinkAttention(0.5).variance(4), SinkAttention(0.5).plateau
    (0.3125, 0.25)
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise DomainError(f"the sink's share lies in [0, 1), found {self.share!r}")

    @property
    def plateau(self) -> float:
        """The limit of the variance for long contexts."""
        return self.share**2

    def variance(self, n: int) -> float:
        """The variance of the output over contexts of n tokens beside the sink."""
        if n < 1:
            raise DomainError(f"a context has at least one token beside the sink, found {n!r}")
        return self.share**2 + (1 - self.share) ** 2 / n

    def logit(self, n: int) -> float:
        """By how much the sink's logit exceeds the others', minus infinity for a share of 0."""
        if n < 1:
            raise DomainError(f"a context has at least one token beside the sink, found {n!r}")
        return -math.inf if self.share == 0 else math.log(n) + math.log(self.share / (1 - self.share))

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """(...,) outputs for (..., n + 1) tokens of one coordinate, the sink first."""
        tokens = np.asarray(tokens, dtype=np.float64)
        if tokens.ndim < 1 or tokens.shape[-1] < 2:
            raise ShapeError(f"tokens have shape (..., n + 1) with n >= 1, found {tokens.shape}")
        logits = np.zeros(tokens.shape[-1])
        logits[0] = self.logit(tokens.shape[-1] - 1)
        p = np.exp(logits - logits.max())
        return tokens @ (p / p.sum())


__all__ = ["AveragingAttention", "SinkAttention", "UnitTokens", "averaging"]
