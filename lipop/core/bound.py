"""A number that carries its proof: Claim (what it bounds), Evidence (how surely), Bound (both, with rule and
premises), Bracket."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lipop.core.digest import array_digest, hexed
from lipop.core.region import Everywhere, Region

if TYPE_CHECKING:
    from lipop.core.proof import Source

UPPER, LOWER = "upper", "lower"
QUANTITIES = (
    "lip",
    "dahlquist",
    "expansion",
    "smoothness",
    "op_norm",
    "deviation",
    "distance",
    "image",
    "token_norm",
    "averagedness",
    "entropy",
    "singular",
    "rademacher",
    "risk",
)


class Subject(Protocol):
    """Something a leaf speaks about: an operator or a matrix, known by its digest, that can redo a certificate."""

    @property
    def digest(self) -> str: ...

    def reprove(self, rule: str, claim: Claim, params: Mapping[str, Any], witness: Witness | None) -> float:
        """The raw value (before rounding to the rule's grid) that the leaf's procedure gives for this claim."""
        ...


@dataclass(frozen=True, eq=False)
class Claim:
    """What a bound bounds: a quantity of an operator on a region, from one side, in two norms.

    Parameters
    ----------
    quantity : str
        ``lip``, ``dahlquist`` (one-sided Lipschitz constant), ``expansion`` (lower Lipschitz constant), ``smoothness``
        (Lip of the derivative), ``op_norm`` (of a matrix, or of the derivative at a point), ``deviation`` (``sup
        |DT(x) - DT(x0)|``), ``distance``, ``image`` (radius of a ball that contains ``T(region)``), ``token_norm``,
        ``averagedness`` (the least a with ``T = (1 - a) I + a N``, N non-expansive), ``entropy`` (``log N(eps)`` of a
        set or class in nats), ``singular`` (how far singular values are from those stated), ``rademacher`` (complexity
        of a class on a sample), or ``risk`` (largest expected less empirical loss of a class).
    side : str
        ``upper`` or ``lower``.
    operator : str
        The digest of the operator or matrix.
    region : Region
    norm_in, norm_out : str
    """

    quantity: str
    side: str
    operator: str
    region: Region = field(default_factory=Everywhere)
    norm_in: str = "l2"
    norm_out: str = "l2"

    def describe(self) -> dict[str, Any]:
        """JSON without loss."""
        return {
            "quantity": self.quantity,
            "side": self.side,
            "operator": self.operator,
            "region": self.region.describe(),
            "norm_in": self.norm_in,
            "norm_out": self.norm_out,
        }

    def __str__(self) -> str:
        sign = "<=" if self.side == UPPER else ">="
        return f"{self.quantity}({self.operator[:8]} on {self.region!r}; {self.norm_in} -> {self.norm_out}) {sign}"


@dataclass(frozen=True)
class Evidence:
    """How surely a bound holds.

    Parameters
    ----------
    proven : bool
        False for a value that nobody proved (a user's claim, a sample used as an upper bound).
    rounded : bool
        Whether our own float64 rounding is covered.
    trials : frozenset of (seed, delta)
        Random trials, each failing with probability at most delta.
    assumes : frozenset of str
        Hypotheses that the user declared.
    """

    proven: bool = True
    rounded: bool = True
    trials: frozenset[tuple[int, float]] = frozenset()
    assumes: frozenset[str] = frozenset()

    def __or__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.proven and other.proven,
            self.rounded and other.rounded,
            self.trials | other.trials,
            self.assumes | other.assumes,
        )

    def status(self, side: str) -> str:
        """``ESTIMATED``, ``WITNESSED``, ``CONDITIONAL(...)``, ``PROBABLE(delta)`` or ``PROVED``."""
        if not self.proven or (not self.rounded and side == UPPER):
            return "ESTIMATED"
        if not self.rounded:
            return "WITNESSED"
        if self.assumes:
            return f"CONDITIONAL({', '.join(sorted(self.assumes))})"
        if self.trials:
            return f"PROBABLE({self.delta:.2g})"
        return "PROVED"

    @property
    def delta(self) -> float:
        """The probability that one of the distinct trials failed, at most."""
        return math.fsum(d for _, d in self.trials)

    def describe(self) -> dict[str, Any]:
        """JSON without loss."""
        return {
            "proven": self.proven,
            "rounded": self.rounded,
            "trials": [[s, d.hex()] for s, d in sorted(self.trials)],
            "assumes": sorted(self.assumes),
        }

    @staticmethod
    def read(data: Mapping[str, Any]) -> Evidence:
        """The inverse of :meth:`describe`."""
        return Evidence(
            bool(data["proven"]),
            bool(data["rounded"]),
            frozenset((int(s), float.fromhex(d)) for s, d in data["trials"]),
            frozenset(str(a) for a in data["assumes"]),
        )


@dataclass(frozen=True, eq=False)
class Witness:
    """What attains a lower bound: ``kind`` ``"pair"`` (x, y), ``"direction"`` (x, v) or ``"vector"`` (v)."""

    kind: str
    arrays: Mapping[str, np.ndarray]

    def describe(self) -> dict[str, Any]:
        """JSON: arrays by digest."""
        return {"kind": self.kind, "arrays": {k: array_digest(v) for k, v in self.arrays.items()}}


@dataclass(frozen=True, eq=False)
class Bound:
    """A one-sided bound with its claim, evidence, rule and premises.

    ``value`` is float64, rounded outward. ``unknown`` bounds are infinite (upper) or zero or minus infinity (lower)
    and say why.
    """

    value: float
    claim: Claim
    evidence: Evidence
    rule: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    premises: tuple[Bound, ...] = ()
    witness: Witness | None = None
    subject: Subject | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """``PROVED``, ``PROBABLE(delta)``, ``CONDITIONAL(...)``, ``WITNESSED``, ``ESTIMATED`` or ``UNKNOWN``."""
        return "UNKNOWN" if self.rule == "unknown@1" else self.evidence.status(self.claim.side)

    @property
    def known(self) -> bool:
        """Whether this is a statement at all."""
        return self.rule != "unknown@1"

    @property
    def id(self) -> str:
        """The node's name in a proof: sha256 of its canonical JSON."""
        cached = self.__dict__.get("_id")
        if cached is None:
            from lipop.core.proof import node_id

            cached = node_id(self)
            object.__setattr__(self, "_id", cached)
        return cached

    def describe(self) -> dict[str, Any]:
        """The proof node as JSON without loss (premises by id)."""
        return {
            "rule": self.rule,
            "claim": self.claim.describe(),
            "value": self.value.hex(),
            "params": hexed(dict(self.params)),
            "evidence": self.evidence.describe(),
            "premises": [p.id for p in self.premises],
            "witness": None if self.witness is None else self.witness.describe(),
        }

    def explain(self) -> str:
        """The proof as an indented text, one node a line."""
        from lipop.core.proof import explain

        return explain(self)

    def latex(self) -> str:
        """The formulas of the proof in LaTeX (needs SymPy)."""
        from lipop.core.proof import latex

        return latex(self)

    def check(self, source: Source | None = None) -> None:
        """Re-check the whole proof: every node re-evaluated bit for bit, every claim met, every leaf re-proved.

        Raises
        ------
        ProofError
            Naming the node that fails.
        MissingData
            If a leaf's operator or matrix is neither in memory nor in ``source``.
        """
        from lipop.core.proof import check

        check(self, source)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        sign = "<=" if self.claim.side == UPPER else ">="
        return f"{self.claim.quantity} {sign} {self.value:.6g} ({self.status.lower()})"


_LABELS = {
    "lip": "Lip",
    "op_norm": "|DT|",
    "dahlquist": "dahlquist",
    "expansion": "expansion",
    "smoothness": "smoothness",
}


@dataclass(frozen=True, eq=False)
class Bracket:
    """A lower and an upper bound of the same quantity."""

    lower: Bound
    upper: Bound

    @property
    def ratio(self) -> float:
        """upper / lower (infinite where the lower end is not positive)."""
        return self.upper.value / self.lower.value if self.lower.value > 0 else math.inf

    def __str__(self) -> str:
        label = _LABELS.get(self.upper.claim.quantity, self.upper.claim.quantity)
        states = f"({self.lower.status.lower()} | {self.upper.status.lower()})"
        return f"{_digits(self.lower.value, down=True)} <= {label} <= {_digits(self.upper.value, down=False)} {states}"

    __repr__ = __str__


def _digits(value: float, down: bool) -> str:
    """Four or more significant digits, rounded outward, so that what is printed is still true."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 5)
    shown = (math.floor if down else math.ceil)(value / step) * step
    return f"{shown:.6g}"
