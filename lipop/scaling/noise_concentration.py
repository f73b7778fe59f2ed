"""Averaging attention: how far the output of one fixed query is from its expectation over independent tokens.

``F(x_1..x_n) = sum_j p_j v(x_j)`` with ``p_j`` proportional to ``exp(s(x_j))``, tokens independent in a ball of radius
r. Let ``R = Lip(v) r`` and ``a = Lip(s) r``. Scores differ by ``2a`` at most, so ``p_j <= p = 1 / (1 + (n - 1)
e^(-2a))``. As a function of one token, ``F = G + p_j (v(x_j) - G)`` with G the average of the others: it stays in the
ball of radius ``p R`` around ``(1 - p) G + p v(c)``, c the centre. Hence its total variance is at most ``n p^2 R^2``
(Efron and Stein), one token moves it by ``2 p R`` at most, and McDiarmid (1989) gives with probability ``1 - d``

    ``|F - E F| <= n p R (1 + sqrt(2 log(1/d))) / sqrt(n)``:

``n p R`` times the bound of a mean of unit vectors (:class:`lipop.scaling.decomposition.Sample`). Equal weights, for
which ``n p = 1``, allow two more. Hoeffding (1963): a number in an interval of length w has a mean within ``w
sqrt(log(2/d) / (2n))``. Bernstein (Smale and Zhou 2007, lemma 2, after Pinelis 1994): vectors at most M from their
expectation, with ``E|y - E y|^2 <= v^2``, have a mean within ``2 M log(2/d) / n + v sqrt(2 log(2/d) / n)``. Here ``M =
2R``, and v is R times what the user states: the bound is conditional on that.
"""

from __future__ import annotations

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
from lipop.scaling.decomposition import MEAN, Sample

METHODS = ("mcdiarmid", "hoeffding", "bernstein")
SPREAD = "the root of E|v - E v|^2 is at most the stated share of Lip(v) r"
HOEFFDING = leaf_rule(
    "noise.hoeffding@1",
    reference="independent numbers in [-1, 1]: distance of their mean from its expectation (Hoeffding 1963)",
    grid=44,
    quantity="distance",
    side=UPPER,
    strength="probable",
    params={"seed": int, "delta": float},
)
BERNSTEIN = leaf_rule(
    "noise.bernstein@1",
    reference="independent vectors in a unit ball whose variance the user states (Smale and Zhou 2007, lemma 2)",
    grid=44,
    quantity="distance",
    side=UPPER,
    strength="probable",
    params={"seed": int, "delta": float, "spread": float, "assumes": list},
)


@dataclass(frozen=True)
class UnitTokens:
    """Independent vectors in a ball of radius 1, all of the same weight.

    Parameters
    ----------
    count : int
        n, at least 1.

    Raises
    ------
    DomainError
    """

    count: int

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise DomainError(f"the number of tokens must be a positive int, found {self.count!r}")

    @property
    def digest(self) -> str:
        """sha256 of the description."""
        return digest("lipop", "unit tokens", str(self.count))

    def deviation(self, method: str, delta: float, seed: int, spread: float = 1.0) -> Bound:
        """How far the mean is from its expectation, with probability ``1 - delta``.

        Parameters
        ----------
        method : str
            ``mcdiarmid``, ``hoeffding`` (vectors of one coordinate) or ``bernstein``.
        delta : float
        seed : int
        spread : float
            A bound of the root of ``E|y - E y|^2``, in (0, 1]; only Bernstein's inequality uses it.

        Examples
        --------
        >>> tokens = UnitTokens(10_000)
        >>> loose, fine = tokens.deviation("mcdiarmid", 0.01, 0), tokens.deviation("bernstein", 0.01, 0, 0.1)
        >>> fine.value < loose.value, loose.status, fine.status.partition("(")[0]
        (True, 'PROBABLE(0.01)', 'CONDITIONAL')
        """
        if method not in METHODS:
            raise DomainError(f"method must be one of {', '.join(METHODS)}, found {method!r}")
        if method == "mcdiarmid":
            return Sample(self.count, 1.0, int(seed)).mean(delta)
        if not 0 < delta < 1:
            raise DomainError(f"delta is a probability in (0, 1), found {delta!r}")
        if not 0 < spread <= 1:
            raise DomainError(f"spread must lie in (0, 1], found {spread!r}")
        name, drawn = HOEFFDING, {"seed": int(seed), "delta": float(delta)}
        if method == "bernstein":
            name, drawn = BERNSTEIN, {**drawn, "spread": float(spread), "assumes": [SPREAD]}
        return leaf(name, Claim("distance", UPPER, self.digest), self._value(name, drawn), self, **drawn)

    def _value(self, rule: str, params: Mapping[str, Any]) -> float:
        import flint

        with workprec():
            n, log = flint.arb(self.count), (2 / flint.arb(params["delta"])).log()
            fall = (2 * log / n).sqrt()
            return float_up(fall if rule == HOEFFDING else 4 * log / n + flint.arb(params["spread"]) * fall)

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """Evaluate the formula again."""
        if rule not in (HOEFFDING, BERNSTEIN):
            raise ProofError(f"unit tokens cannot redo rule {rule}")
        if rule == BERNSTEIN and params["assumes"] != [SPREAD]:
            raise ProofError(f"rule {rule} rests on one hypothesis: {SPREAD}")
        return self._value(rule, params)


def _named(premises: tuple[Bound, ...]) -> str:
    """The digest of what the premises are about; Hoeffding's inequality speaks about numbers, not vectors."""
    kind = "averaging numbers" if premises[0].rule == HOEFFDING else "averaging"
    return parts_digest(kind, [p.claim.operator for p in premises])


def _accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] not in (["distance", "lip"], ["distance", "lip", "lip"]):
        return "premises are a deviation of unit tokens, the Lipschitz constant of the values and that of the scores"
    if any(p.claim.side != UPPER for p in premises) or (claim.quantity, claim.side) != ("distance", UPPER):
        return "it bounds a distance from above, by upper bounds"
    deviation, maps = premises[0], premises[1:]
    if deviation.rule not in ((MEAN,) if len(maps) == 2 else (MEAN, HOEFFDING, BERNSTEIN)):
        return "the deviation is not one for these weights"
    count = params["count"]
    drawn = Sample(count, 1.0, int(deviation.params["seed"])) if deviation.rule == MEAN else UnitTokens(count)
    if deviation.claim.operator != drawn.digest:
        return "the deviation is about other tokens"
    ball = claim.region
    if not isinstance(ball, Ball) or float(ball.radius) != float(params["radius"]):
        return "the claim's region is not the ball of the tokens"
    if not all(covers(p.claim, ball) and p.claim.norm_in == p.claim.norm_out == "l2" for p in maps):
        return "Lipschitz constants in l2 on the ball are needed"
    return None if claim.operator == _named(premises) else "the claim is not about these maps and tokens"


@rule(
    "noise.averaging@1",
    reference=(
        "|F - E F| <= n p Lip(v) r times the deviation of unit tokens, p = 1/(1 + (n - 1) e^(-2a)), a = Lip(s) r"
    ),
    accepts=_accepts,
)
def averaging(deviation: Any, value: Any, *score: Any, count: int, radius: Any) -> Any:
    """``n p Lip(v) r`` times the deviation."""
    bound = value * radius * deviation
    return count / (1 + (count - 1) * formula.exp(-2 * score[0] * radius)) * bound if score else bound


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
            Of a distance, ``PROBABLE(delta)``; with Bernstein's inequality conditional on the spread.

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
        maps = (self.value,) if self.score is None else (self.value, self.score)
        drawn = UnitTokens(count).deviation(method, delta, seed, spread)
        premises = (drawn, *(f.lip(tokens) for f in maps))
        claim = Claim("distance", UPPER, _named(premises), tokens)
        return derive("noise.averaging@1", claim, premises, count=count, radius=float(tokens.radius))

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens, dtype=np.float64)
        if tokens.ndim != 2 or tokens.shape[1:] != self.value.domain.shape or not len(tokens):
            raise ShapeError(f"tokens have shape (n, {self.value.domain.width}) with n >= 1, found {tokens.shape}")
        if not bool(np.isfinite(tokens).all()):
            raise NonFiniteError("tokens hold a number that is not finite")
        return tokens


__all__ = ["METHODS", "SPREAD", "AveragingAttention", "UnitTokens", "averaging"]
