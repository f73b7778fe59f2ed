"""Rules: named, versioned formulas that turn premises into a bound.

A formula stands once: the same Python function runs on balls of python-flint (the value, and every re-check) and on
SymPy symbols (LaTeX). ``RULES`` holds them under ``name@version``; old versions stay, so that old reports still
verify. A rule without a formula is a *leaf*: its value comes from a certificate that its subject (an operator or a
matrix) can redo, rounded to a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

from lipop.core import formula
from lipop.core.bound import LOWER, UPPER, Bound, Claim, Evidence, Subject, Witness
from lipop.core.digest import digest
from lipop.core.region import Everywhere, Region
from lipop.core.rounding import float_down, float_up, grid_down, grid_up, workprec
from lipop.errors import ProofError

Accepts = Callable[[Claim, tuple[Bound, ...], Mapping[str, Any]], str | None]
TRIAL = {"seed": int, "delta": float, "steps": int}  # the parameters of a trial that fails with probability delta
WITNESSES = {"": set[str](), "vector": {"v"}, "direction": {"x", "v"}, "pair": {"x", "y"}}  # kind: its arrays


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    name : str
        ``name@version``.
    function : callable or None
        The formula on numbers, ``function(*premises, **params)``; None for a leaf.
    reference : str
        Source or proof, in words.
    accepts : callable
        ``accepts(claim, premises, params)`` returns None, or the reason why the premises do not support the claim.
    grid : int
        Significant bits of a leaf's value.
    strength : str
        What a leaf's certificate is worth: ``proved``, ``probable`` (its params hold ``seed`` and ``delta``; with
        ``assumes`` it is conditional as well),
        ``witnessed`` (the evaluation's own rounding is not covered), ``estimated`` or ``declared`` (it rests on what
        the user states; its params hold ``assumes``, a list of the names of these hypotheses).
    procedure : callable or None
        ``procedure(subject, claim, params)`` redoes a certificate that lives above the operators (a strategy's); None:
        the subject redoes it.
    witness : str
        The kind of witness that a leaf shows, a key of ``WITNESSES``; "" for none.
    """

    name: str
    function: Callable[..., Any] | None
    reference: str
    accepts: Accepts
    grid: int = 53
    strength: str = "proved"
    procedure: Callable[[Any, Claim, Mapping[str, Any]], float] | None = None
    witness: str = ""

    @property
    def leaf(self) -> bool:
        """Whether the value comes from a certificate instead of a formula."""
        return self.function is None


RULES: dict[str, Rule] = {}
_HOMES = (  # what registers rules outside the core
    "lipop.operators",
    "lipop.certify",
    "lipop.limit.evidence",
    "lipop.limit.law_bounds",
    "lipop.limit.rates",
    "lipop.limit.deviations",
    "lipop.limit.averaged_rates",
    "lipop.limit.projection_rates",
    "lipop.limit.critical",
    "lipop.covering.entropy",
    "lipop.covering.ellipsoids",
    "lipop.covering.generalization",
    "lipop.covering.hulls",
    "lipop.covering.images",
    "lipop.covering.limits",
    "lipop.covering.linear_images",
    "lipop.covering.lipschitz_paths",
    "lipop.covering.simplices",
    "lipop.scaling.decomposition",
    "lipop.scaling.descent",
    "lipop.scaling.noise_concentration",
)


def find_rule(name: str) -> Rule | None:
    """The rule of that name; the modules that register rules are loaded if it is not there yet."""
    if name not in RULES:
        for home in _HOMES:
            import_module(home)
    return RULES.get(name)


def rule(name: str, *, reference: str, accepts: Accepts) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a formula under ``name`` (decorator); the function itself is returned unchanged."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _add(Rule(name, function, reference, accepts))
        return function

    return register


def leaf_rule(
    name: str,
    *,
    reference: str,
    grid: int,
    quantity: str,
    side: str,
    strength: str = "proved",
    procedure: Callable[[Any, Claim, Mapping[str, Any]], float] | None = None,
    params: Mapping[str, type] | None = None,
    witness: str = "",
) -> str:
    """Register a leaf rule and return its name; it accepts claims of one quantity and side, without premises, with
    exactly the parameters given by name and type."""
    stated = dict(params or {})

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if premises:
            return "a leaf has no premises"
        if claim.quantity != quantity or claim.side != side:
            return f"it proves {side} bounds of {quantity}, not {claim.side} bounds of {claim.quantity}"
        return _misfit(stated, params)

    _add(Rule(name, None, reference, accepts, grid, strength, procedure, witness))
    return name


def _misfit(stated: Mapping[str, type], found: Mapping[str, Any]) -> str | None:
    """None if the parameters are those that a rule states, or what is wrong."""
    if found.keys() != stated.keys():
        return f"its parameters are {sorted(stated)}, found {sorted(found)}"
    for name, kind in stated.items():
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            return f"its parameter {name} is of type {kind.__name__}, found {found[name]!r}"
    return None


def leaf_evidence(name: str, params: Mapping[str, Any]) -> Evidence:
    """The evidence that a leaf rule gives, from its strength and its parameters."""
    strength = RULES[name].strength
    if strength == "probable":
        assumes = frozenset(str(name) for name in params.get("assumes", ()))
        return Evidence(trials=frozenset({(int(params["seed"]), float(params["delta"]))}), assumes=assumes)
    if strength == "declared":
        return Evidence(assumes=frozenset(str(name) for name in params["assumes"]))
    return Evidence(proven=strength != "estimated", rounded=strength != "witnessed")


def _add(new: Rule) -> None:
    if "@" not in new.name or new.name in RULES:
        raise ValueError(f"rule {new.name!r} needs a version and must be new")
    RULES[new.name] = new


# ---- evaluation ----------------------------------------------------------------------------------------------------


def evaluate(name: str, side: str, values: tuple[float, ...], params: Mapping[str, Any]) -> float:
    """The value of a formula rule in ball arithmetic at the fixed precision, rounded outward.

    A result that is not a finite ball (0 * inf, a pole) becomes infinite (upper) or minus infinite (lower), never a
    guess.

    Raises
    ------
    ProofError
        If the rule is a leaf.
    TypeError
        If the values and parameters are not those that the formula takes.
    """
    import flint

    function = RULES[name].function
    if function is None:
        raise ProofError(f"rule {name} is a leaf: it has no formula")
    signature(function).bind(*values, **params)  # also where the function is not called
    with workprec():
        numbers = {k: flint.arb(v) if isinstance(v, float) else v for k, v in params.items()}
        if side == UPPER and any(math.isinf(v) for v in values):
            return math.inf
        try:
            result = function(*[flint.arb(v) for v in values], **numbers)
        except (ZeroDivisionError, ValueError):
            return math.inf if side == UPPER else -math.inf
        return float_up(result) if side == UPPER else float_down(result)


def derive(name: str, claim: Claim, premises: tuple[Bound, ...] = (), **params: Any) -> Bound:
    """Apply a formula rule: check the premises, evaluate outward, merge the evidence.

    Raises
    ------
    ProofError
        If the rule does not accept the premises for this claim.
    """
    reason = RULES[name].accepts(claim, premises, params)
    if reason is not None:
        raise ProofError(f"rule {name} does not give {claim}: {reason}")
    value = evaluate(name, claim.side, tuple(p.value for p in premises), params)
    evidence = Evidence()
    for p in premises:
        evidence = evidence | p.evidence
    return Bound(value, claim, evidence, name, params, premises)


def leaf(
    name: str,
    claim: Claim,
    raw: float,
    subject: Subject,
    *,
    witness: Witness | None = None,
    **params: Any,
) -> Bound:
    """A leaf: ``raw`` rounded outward to the rule's grid, with the subject that can redo it."""
    spec = RULES[name]
    reason = spec.accepts(claim, (), params)
    if reason is not None:
        raise ProofError(f"leaf rule {name} does not give {claim}: {reason}")
    value = grid_up(raw, spec.grid) if claim.side == UPPER else grid_down(raw, spec.grid)
    return Bound(value, claim, leaf_evidence(name, params), name, params, (), witness, subject)


def unknown(claim: Claim, reason: str) -> Bound:
    """No statement: infinite for an upper bound, zero (expansion, norms) or minus infinity for a lower one, with the
    reason."""
    value = math.inf if claim.side == UPPER else (-math.inf if claim.quantity == "dahlquist" else 0.0)
    return Bound(value, claim, Evidence(), "unknown@1", {"reason": reason})


def least(*bounds: Bound) -> Bound:
    """The smallest of several upper bounds of the same claim; trials of every bound that was tried are kept."""
    best = min(bounds, key=lambda b: b.value)
    tried = frozenset(t for b in bounds for t in b.evidence.trials)
    if not tried <= best.evidence.trials:
        known = tuple(b for b in bounds if b.known)
        return derive("least@1", best.claim, known)
    return best


# ---- how premises meet claims --------------------------------------------------------------------------------------


def covers(premise: Claim, needed: Region) -> bool:
    """Whether the premise's region contains the region needed."""
    return isinstance(premise.region, Everywhere) or premise.region.encloses(needed)


def universal(claim: Claim) -> bool:
    """Whether the claim speaks about every pair of its region, so that it holds on any smaller one: an upper bound, or
    a lower bound of the expansion. (A lower bound of Lip speaks about some pair: it passes to larger regions only.)
    """
    return (claim.side == LOWER) == (claim.quantity == "expansion")


def norms_of(claim: Claim) -> tuple[str, str]:
    """The norms in and out."""
    return claim.norm_in, claim.norm_out


def same_operator(*quantities: str, gives: str | None = None) -> Accepts:
    """Premises of the given quantities, all about the claim's operator, in its norms, on a region that contains the
    claim's."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if len(premises) != len(quantities):
            return f"{len(quantities)} premises are needed, found {len(premises)}"
        if gives is not None and claim.quantity != gives:
            return f"it bounds {gives}"
        if not universal(claim):
            return f"it gives no {claim.side} bound of {claim.quantity}"
        for bound, q in zip(premises, quantities, strict=True):
            p = bound.claim
            if p.quantity != q or p.side != claim.side:
                return f"a premise on {q} is needed, found {p.quantity}"
            if p.operator != claim.operator:
                return "a premise speaks about another operator"
            if norms_of(p) != norms_of(claim):
                return "a premise holds in other norms"
            if not covers(p, claim.region):
                return "a premise holds on a region that does not contain the claim's"
        return None

    return accepts


def parts_digest(kind: str, parts: list[str]) -> str:
    """The digest of a combination of operators, from the digests of its parts."""
    return digest("lipop", kind, parts)


def about(quantity: str, side: str = UPPER) -> Accepts:
    """No premises: the formula's parameters (closed-form constants of one operator) give the claim directly."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if premises:
            return "this rule takes no premises"
        if claim.quantity != quantity or claim.side != side:
            return f"it gives {side} bounds of {quantity}"
        return None

    return accepts


def _least_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if not premises:
        return "at least one premise is needed"
    if claim.side != UPPER or not universal(claim):
        return "it bounds from above"
    for p in (bound.claim for bound in premises):
        if (p.quantity, p.side, p.operator) != (claim.quantity, claim.side, claim.operator):
            return "a premise bounds something else"
        if (p.norm_in, p.norm_out) != (claim.norm_in, claim.norm_out) or not covers(p, claim.region):
            return "a premise holds in other norms or on a smaller region"
    return None


@rule("least@1", reference="the smaller of two true upper bounds is true", accepts=_least_accepts)
def least_of(*values: Any) -> Any:
    """min of the premises."""
    return formula.minimum(*values)


def _unknown_accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    return "it takes no premises" if premises else _misfit({"reason": str}, params)


@rule("unknown@1", reference="no statement is made", accepts=_unknown_accepts)
def _unknown(reason: str) -> Any:
    import flint

    return flint.arb("nan")
