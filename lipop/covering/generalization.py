"""Rademacher complexity by chaining and by Dudley's integral, and what it says about expected loss.

With covers F_j at radii ``e_0 > e_1 > ... > e_J`` and one element in F_0, ``f = f_0 + sum (f_j - f_{j-1}) + (f -
f_J)``; the first term has mean 0, a difference is at most ``e_j + e_{j-1}`` in mean square and takes at most ``N_j
N_{j-1}`` values, so Massart's lemma gives ``Rad <= e_J + sum (e_j + e_{j-1}) sqrt(2 (H_j + H_{j-1}) / n)``. For halved
radii that is at most ``4 a + 12/sqrt(n) int_a^{e_0} sqrt(H)``, Dudley's integral; a is the cut-off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim, Witness
from lipop.core.digest import digest
from lipop.core.rounding import float_up, workprec
from lipop.core.rule import derive, leaf, leaf_rule, rule
from lipop.covering.claims import TotallyBounded, at, count, scale
from lipop.errors import DomainError, ProofError


def rademacher_digest(of: str, samples: int, lip: float) -> str:
    """The name of a class on samples of this size behind a Lipschitz function."""
    return digest("lipop", "rademacher", of, samples, float(lip).hex())


def _chain(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    scales, n, lip = params["scales"], params["samples"], params["lip"]
    if (claim.quantity, claim.side) != ("rademacher", UPPER) or not isinstance(n, int) or n < 1 or not lip >= 0:
        return "it bounds Rademacher complexities from above, for a positive number of samples"
    if claim.operator != rademacher_digest(params["of"], n, lip):
        return "the parameters are not those of the claim's class"
    if len(premises) != len(scales) or not scales or any(b >= a for a, b in pairwise(scales)):
        return "one entropy at each of falling scales is needed"
    for p, e in zip(premises, scales, strict=True):
        if (p.claim.quantity, p.claim.side, p.claim.operator) != ("entropy", UPPER, at(params["of"], e)):
            return "a premise is not the class's entropy at its scale"
        if p.claim.norm_out not in ("sup", "L2"):
            return "a premise is in a metric that does not bound mean squares over samples"
    return None if premises[0].value == 0 else "one ball must be enough at the first scale"


@rule("rademacher.chaining@1", reference="chaining over covers, with Massart's finite class lemma", accepts=_chain)
def chaining(*entropies: Any, scales: list[float], samples: int, lip: Any, of: str) -> Any:
    """``lip (e_J + sum (e_j + e_{j-1}) sqrt(2 (H_j + H_{j-1}) / n))``."""
    e = [s + 0 * lip for s in scales]
    total = e[-1]
    for j in range(1, len(e)):
        total = total + (e[j] + e[j - 1]) * formula.sqrt(2 * (entropies[j] + entropies[j - 1]) / samples)
    return lip * total


@rule(
    "rademacher.dudley@1",
    reference="Dudley's integral 4 a + 12/sqrt(n) int_a sqrt(log N), from above by its values at the smaller ends",
    accepts=_chain,
)
def dudley(*entropies: Any, scales: list[float], samples: int, lip: Any, of: str) -> Any:
    """``lip (4 e_J + 12/sqrt(n) sum (e_{j-1} - e_j) sqrt(H_j))``."""
    e = [s + 0 * lip for s in scales]
    total = 0 * lip
    for j in range(1, len(e)):
        total = total + (e[j - 1] - e[j]) * formula.sqrt(entropies[j])
    return lip * (4 * e[-1] + 12 * total / formula.sqrt(samples + 0 * lip))


def rademacher(K: TotallyBounded, samples: int, largest: float, lip: float = 1.0, method: str = "chaining") -> Bound:
    """The Rademacher complexity of a class on any sample, from above, at the best cut-off.

    Parameters
    ----------
    K : TotallyBounded
        A class of functions, in ``sup`` or ``L2``.
    samples : int
        n.
    largest : float
        A scale at which one ball is known to be enough (an upper bound of the class's radius).
    lip : float
        The Lipschitz constant of a fixed function behind the class (a loss, a readout).
    method : str
        ``chaining``, or ``dudley`` (the classical integral, with finer scales).

    Returns
    -------
    Bound
        Of ``E sup_f (1/n) sum sigma_i lip f(x_i)``.

    Raises
    ------
    DomainError
        If a number is out of range, the metric is another, or one ball is not known to be enough at ``largest``.

    Examples
    --------
    >>> from lipop.covering.hulls import LinearFunctions
    >>> K = LinearFunctions(5, 1.0, 1.0)
    >>> 0.01 < rademacher(K, 10_000, 1.0).value < rademacher(K, 1_000, 1.0).value < 1
    True
    """
    samples, largest, lip = count(samples, "the number of samples"), scale(largest), float(lip)
    if not (lip >= 0 and math.isfinite(lip)) or method not in ("chaining", "dudley"):
        raise DomainError(f"a Lipschitz constant and chaining or dudley are needed, found {lip!r}, {method!r}")
    if K.metric not in ("sup", "L2"):
        raise DomainError(f"the class is covered in {K.metric}; mean squares over samples need sup or L2")
    ratio = 0.5 if method == "chaining" else 2**-0.25
    first = K.upper(largest)
    if first.value != 0:
        raise DomainError(f"one ball of radius {largest:g} is not known to be enough: log N <= {first.value:g}")
    claim = Claim("rademacher", UPPER, rademacher_digest(K.digest, samples, lip), norm_in=K.metric, norm_out=K.metric)
    scales, entropies, found = [largest], [first], []
    for _ in range(1 + round(math.log(4 * samples) / -math.log(ratio) / 2)):
        facts = {"scales": list(scales), "samples": samples, "lip": lip, "of": K.digest}
        found.append(derive(f"rademacher.{method}@1", claim, tuple(entropies), **facts))
        scales.append(scales[-1] * ratio)
        entropies.append(K.upper(scales[-1]))
    return min(found, key=lambda b: b.value)


# ---- expected loss -------------------------------------------------------------------------------------------------

ASSUMES = (
    "independent samples of one distribution",
    "losses in [0, 1]",
    "class and loss fixed before the sample",
)
CONFIDENCE = leaf_rule(
    "risk.confidence@1",
    reference="McDiarmid: sqrt(log(1/delta) / (2 n)) exceeds the fluctuation but with probability delta",
    grid=44,
    quantity="risk",
    side=UPPER,
    strength="declared",
    params={"samples": int, "delta": float, "assumes": list},
)


@dataclass(frozen=True)
class _Sample:
    """Samples of n points, and the probability with which they mislead."""

    samples: int
    delta: float

    @property
    def digest(self) -> str:
        return digest("lipop", "sample", self.samples, self.delta.hex())

    def value(self) -> float:
        import flint

        with workprec():
            return float_up((-flint.arb(self.delta).log() / (2 * self.samples)).sqrt())

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        if rule != CONFIDENCE or (params["samples"], params["delta"]) != (self.samples, self.delta):
            raise ProofError(f"a sample of {self.samples} cannot redo rule {rule}")
        return self.value()


def _risk(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [p.claim.quantity for p in premises] != ["rademacher", "risk"] or premises[1].rule != CONFIDENCE:
        return "premises are a Rademacher complexity and a confidence term"
    if (claim.quantity, claim.side, claim.operator) != ("risk", UPPER, premises[0].claim.operator):
        return "it bounds the risk of the premise's class from above"
    same = premises[0].claim.side == UPPER and premises[0].params["samples"] == premises[1].params["samples"]
    return None if same else "the premises are about samples of different sizes"


@rule(
    "risk.rademacher@1",
    reference="symmetrisation and McDiarmid (Mohri, Rostamizadeh, Talwalkar 2018, theorem 3.3)",
    accepts=_risk,
)
def risk_rademacher(complexity: Any, confidence: Any, delta: Any) -> Any:
    """``2 Rad + sqrt(log(1/delta) / (2 n))``."""
    return 2 * complexity + confidence + 0 * delta


def generalization_gap(complexity: Bound, delta: float) -> Bound:
    """How much expected loss exceeds the mean over the sample, for all members at once, with probability 1 - delta.

    Parameters
    ----------
    complexity : Bound
        Of :func:`rademacher`, the loss among its Lipschitz functions.
    delta : float
        Between 0 and 1.

    Returns
    -------
    Bound
        ``CONDITIONAL``: on independent samples, losses in [0, 1], a class and loss fixed before.

    Raises
    ------
    DomainError

    Examples
    --------
    >>> from lipop.covering.hulls import LinearFunctions
    >>> gap = generalization_gap(rademacher(LinearFunctions(5, 1.0, 1.0), 10_000, 1.0), 0.05)
    >>> gap.value < 1, gap.params["delta"]
    (True, 0.05)
    """
    if not 0 < delta < 1:
        raise DomainError(f"delta must lie between 0 and 1, found {delta!r}")
    if complexity.claim.quantity != "rademacher":
        raise DomainError(f"a bound of a Rademacher complexity is needed, found one of {complexity.claim.quantity}")
    n, delta = int(complexity.params["samples"]), float(delta)
    sample = _Sample(n, delta)
    claim = Claim("risk", UPPER, sample.digest)
    term = leaf(CONFIDENCE, claim, sample.value(), sample, samples=n, delta=delta, assumes=list(ASSUMES))
    where = Claim("risk", UPPER, complexity.claim.operator)
    return derive("risk.rademacher@1", where, (complexity, term), delta=delta)


__all__ = ["generalization_gap", "rademacher", "rademacher_digest"]
