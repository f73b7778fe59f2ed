"""The proof DAG: explain it, print its formulas, re-check it, write and read it as JSON. Nothing from a file is ever
evaluated."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.core.bound import LOWER, QUANTITIES, UPPER, Bound, Claim, Evidence, Subject, Witness
from lipop.core.digest import array_digest, digest
from lipop.core.region import Region, from_description
from lipop.core.rounding import grid_down, grid_up, on_grid
from lipop.core.rule import RULES, WITNESSES, evaluate, find_rule, leaf_evidence, unknown
from lipop.errors import LipopError, MissingData, ProofError, RegionError


@dataclass(frozen=True, eq=False)
class ArrayRef:
    """A name for data that is not kept: sha256, shape, dtype and, in memory only, a lazy source."""

    name: str
    sha256: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    def resolve(self) -> np.ndarray:
        """The array.

        Raises
        ------
        MissingData
            If there is no source.
        ProofError
            If the array found does not have the digest.
        """
        if self.load is None:
            raise MissingData(f"array {self.name!r} ({self.sha256[:12]}) has no source")
        x = self.load()
        if array_digest(x) != self.sha256:
            raise ProofError(f"array {self.name!r} does not have the digest {self.sha256[:12]}")
        return x


@dataclass(frozen=True)
class Source:
    """Where a check finds the operators and matrices that leaves speak about, by digest."""

    subjects: Mapping[str, Subject] = field(default_factory=dict[str, Subject])

    def find(self, bound: Bound) -> Subject:
        """The subject of a leaf."""
        subject = self.subjects.get(bound.claim.operator, bound.subject)
        if subject is None:
            raise MissingData(
                f"node {bound.id[:12]} ({bound.rule}): no operator with digest {bound.claim.operator[:12]} is at hand"
            )
        return subject


def node_id(bound: Bound) -> str:
    """sha256 of the node's canonical JSON."""
    return digest(bound.describe())


def nodes(bound: Bound) -> Iterator[Bound]:
    """Every node once, premises before conclusions."""
    seen: set[str] = set()
    stack: list[tuple[Bound, bool]] = [(bound, False)]
    while stack:
        node, ready = stack.pop()
        if node.id in seen:
            continue
        if ready:
            seen.add(node.id)
            yield node
        else:
            stack.append((node, True))
            stack.extend((p, False) for p in reversed(node.premises))


def explain(bound: Bound) -> str:
    """One node a line, indented under its conclusion; a shared node is printed once."""
    lines: list[str] = []
    seen: set[str] = set()

    def walk(b: Bound, depth: int) -> None:
        again = b.id in seen
        seen.add(b.id)
        text = f"{'  ' * depth}{b.claim} {b.value:.9g}  [{b.status}] by {b.rule}"
        lines.append(text + ("  (see above)" if again and b.premises else f"  -- {RULES[b.rule].reference}"))
        if not again:
            for p in b.premises:
                walk(p, depth + 1)

    walk(bound, 0)
    return "\n".join(lines)


_SYMBOLS = {
    "lip": "L",
    "dahlquist": "a",
    "expansion": "m",
    "smoothness": "S",
    "op_norm": "\\nu",
    "deviation": "\\delta",
}


def latex(bound: Bound) -> str:
    """The formulas of the DAG, one line a node, as an ``align*`` environment that compiles."""
    import sympy

    order = list(nodes(bound))
    index = {b.id: i + 1 for i, b in enumerate(order)}

    def symbol(b: Bound) -> sympy.Symbol:
        return sympy.Symbol(f"{_SYMBOLS.get(b.claim.quantity, 'v')}_{{{index[b.id]}}}", positive=b.value > 0, real=True)

    lines: list[str] = []
    for b in order:
        spec = RULES[b.rule]
        relation = "\\le" if b.claim.side == UPPER else "\\ge"
        shown = "\\infty" if math.isinf(b.value) else f"{b.value:.9g}"
        if spec.function is None or b.rule == "unknown@1":
            formula = f"\\text{{{_escape(b.rule)}}}"
        else:
            names = {n: sympy.Symbol(n.replace("_", ""), real=True) for n in b.params}
            args = {
                n: names[n] if isinstance(b.params[n], float) else b.params[n]
                for n in inspect.signature(spec.function).parameters
                if n in b.params
            }
            formula = sympy.latex(spec.function(*[symbol(p) for p in b.premises], **args))
        lines.append(f"{sympy.latex(symbol(b))} &{relation} {formula} = {shown} && \\text{{{_escape(b.rule)}}}")
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def _escape(text: str) -> str:
    return "".join("\\" + c if c in "_#%&$@{}" and c != "@" else c for c in text)


# ---- checking ------------------------------------------------------------------------------------------------------


def check(bound: Bound, source: Source | None = None, *, redo: bool = True) -> None:
    """Check every node of the DAG; with ``redo=False`` the leaves' certificates are not run again.

    Raises
    ------
    ProofError
        Naming the node (its id and rule) and the reason.
    MissingData
        If a leaf's subject is nowhere to be found.
    """
    source = source or Source()
    check_trials(nodes(bound))
    for b in nodes(bound):
        check_node(b)
        if redo and RULES[b.rule].leaf:
            check_leaf(b, source)


def check_trials(bounds: Iterable[Bound]) -> None:
    """No two random trials share a seed, unless they ask the same question.

    Evidence counts a pair (seed, delta) once. One start vector serves every number of steps of one question (quantity,
    operator, region), but two questions with one seed would have their failure probabilities counted once.

    Raises
    ------
    ProofError
        Naming the node.
    """
    asked: dict[str, tuple[str, str, str]] = {}
    for b in bounds:
        spec = find_rule(b.rule)
        if spec is None or spec.strength != "probable":
            continue
        question = (b.claim.quantity, b.claim.operator, b.claim.region.digest)
        if asked.setdefault(repr(b.params.get("seed")), question) != question:
            raise ProofError(f"node {b.id[:12]} ({b.rule}): its seed is that of a trial about something else")


def check_node(b: Bound) -> None:
    """Rule known, claims met, evidence inherited, value the bit-equal re-evaluation (formula) or on the grid (leaf)."""
    where = f"node {b.id[:12]} ({b.rule})"
    spec = find_rule(b.rule)
    if spec is None:
        raise ProofError(f"{where}: there is no such rule")
    if b.claim.quantity not in QUANTITIES or b.claim.side not in (UPPER, LOWER):
        raise ProofError(f"{where}: malformed claim")
    try:
        reason = spec.accepts(b.claim, b.premises, b.params)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        raise ProofError(f"{where}: the parameters are malformed: {e!r}") from e
    if reason is not None:
        raise ProofError(f"{where}: the premises do not support the claim: {reason}")
    kind, held = ("", set[str]()) if b.witness is None else (b.witness.kind, set(b.witness.arrays))
    if kind != spec.witness or held != WITNESSES[kind]:
        raise ProofError(f"{where}: its witness is not of the kind {spec.witness!r} that the rule shows")
    if b.rule == "unknown@1":
        if b.value != unknown(b.claim, "").value or b.evidence != Evidence():
            raise ProofError(f"{where}: an unknown bound must not state a number, or rest on anything")
        return
    if math.isnan(b.value):
        raise ProofError(f"{where}: the value is NaN")
    if spec.leaf:
        if not on_grid(b.value, spec.grid):
            raise ProofError(f"{where}: the value {b.value!r} is not on the rule's grid of {spec.grid} bits")
        try:
            granted = leaf_evidence(b.rule, b.params)
        except (KeyError, TypeError, ValueError) as e:
            raise ProofError(f"{where}: the leaf's parameters are malformed: {e}") from e
        if granted != b.evidence:
            raise ProofError(f"{where}: the evidence is not what the leaf's certificate gives")
        return
    evidence = Evidence()
    for p in b.premises:
        evidence = evidence | p.evidence
    if evidence != b.evidence:
        raise ProofError(f"{where}: the evidence is not what the premises give")
    try:
        value = evaluate(b.rule, b.claim.side, tuple(p.value for p in b.premises), b.params)
    except (TypeError, ValueError) as e:
        raise ProofError(f"{where}: the parameters do not fit the rule's formula: {e}") from e
    if value != b.value:
        raise ProofError(f"{where}: the value {b.value!r} is not the re-evaluation {value!r} of its rule")


def check_leaf(b: Bound, source: Source) -> None:
    """Redo the leaf's certificate: the stated value must hold, and must not be looser than its grid allows."""
    where = f"node {b.id[:12]} ({b.rule})"
    subject, procedure = source.find(b), RULES[b.rule].procedure
    if subject.digest != b.claim.operator:
        raise ProofError(
            f"{where}: the subject at hand has another digest, {subject.digest[:12]}, than the claim's operator"
        )
    try:
        raw = (
            procedure(subject, b.claim, b.params)
            if procedure
            else subject.reprove(b.rule, b.claim, b.params, b.witness)
        )
    except (LipopError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise ProofError(f"{where}: the certificate cannot be redone: {e}") from e
    bits = RULES[b.rule].grid
    if b.claim.side == UPPER:
        if not raw <= b.value:
            raise ProofError(f"{where}: the certificate now gives {raw!r}, above the stated {b.value!r}")
        limit = grid_up(grid_up(raw, bits) * (1 + 2.0 ** (1 - bits)) if raw > 0 else raw, bits)
        if raw > 0 and b.value > limit:
            raise ProofError(f"{where}: the stated {b.value!r} is looser than the certificate's {raw!r} allows")
        if raw <= 0 and b.value > grid_up(raw, bits) + abs(raw) * 2.0 ** (2 - bits):
            raise ProofError(f"{where}: the stated {b.value!r} is looser than the certificate's {raw!r} allows")
    else:
        if not raw >= b.value:
            raise ProofError(f"{where}: the witness now gives {raw!r}, below the stated {b.value!r}")
        if b.value < grid_down(raw, bits) - abs(raw) * 2.0 ** (2 - bits):
            raise ProofError(f"{where}: the stated {b.value!r} is below what the witness gives, {raw!r}")


# ---- JSON ----------------------------------------------------------------------------------------------------------


def to_json(*bounds: Bound) -> dict[str, dict[str, Any]]:
    """``{id: node}`` for the DAGs of the given bounds."""
    return {b.id: b.describe() for root in bounds for b in nodes(root)}


def arrays_of(*bounds: Bound) -> dict[str, np.ndarray]:
    """Every array that regions and witnesses of the DAGs refer to, by digest."""
    out: dict[str, np.ndarray] = {}
    for root in bounds:
        for b in nodes(root):
            held = list(b.claim.region.arrays.values()) + ([] if b.witness is None else list(b.witness.arrays.values()))
            out.update((array_digest(x), x) for x in held)
    return out


def from_json(proofs: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> dict[str, Bound]:
    """Rebuild every node; ids, structure and types are verified, values are not (``check`` does that).

    Raises
    ------
    ProofError
        If a node is malformed, its id is not its digest, a premise is missing, or the graph has a cycle.
    """
    arrays = arrays or {}
    done: dict[str, Bound] = {}
    for root in proofs:
        stack = [root]
        path: set[str] = set()
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            node = proofs.get(name)
            if not isinstance(node, Mapping):
                raise ProofError(f"node {str(name)[:12]} is missing")
            path.add(name)
            premises = node.get("premises")
            if not isinstance(premises, list):
                raise ProofError(f"node {name[:12]}: premises must be a list")
            todo = [str(p) for p in premises if str(p) not in done]
            if any(p in path for p in todo):
                raise ProofError(f"node {name[:12]}: the proof refers to itself")
            if todo:
                stack.extend(todo)
                continue
            done[name] = _read(name, node, done, arrays)
            path.discard(name)
            stack.pop()
    return done


def _read(name: str, node: Mapping[str, Any], done: Mapping[str, Bound], arrays: Mapping[str, np.ndarray]) -> Bound:
    where = f"node {name[:12]}"
    try:
        c = node["claim"]
        region: Region = from_description(c["region"], arrays)
        claim = Claim(c["quantity"], c["side"], c["operator"], region, c["norm_in"], c["norm_out"])
        witness = None
        if node["witness"] is not None:
            held: dict[str, np.ndarray] = {}
            for key, sha in node["witness"]["arrays"].items():
                if sha not in arrays:
                    raise MissingData(f"{where}: witness array {key!r} ({sha[:12]}) is missing")
                if array_digest(arrays[sha]) != sha:
                    raise ProofError(f"{where}: witness array {key!r} does not have its digest {sha[:12]}")
                held[key] = arrays[sha]
            witness = Witness(str(node["witness"]["kind"]), held)
        params = {str(k): _unhex(v) for k, v in node["params"].items()}
        bound = Bound(
            float.fromhex(node["value"]),
            claim,
            Evidence.read(node["evidence"]),
            str(node["rule"]),
            params,
            tuple(done[p] for p in node["premises"]),
            witness,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RegionError) as e:
        raise ProofError(f"{where} is malformed: {e}") from e
    if bound.id != name:
        raise ProofError(f"{where}: the id is not the digest of the node ({bound.id[:12]})")
    return bound


def _unhex(value: Any) -> Any:
    """Inverse of ``hexed`` for parameters: strings that are hex floats become floats."""
    if isinstance(value, str) and (value.startswith(("0x", "-0x")) or value in ("inf", "-inf")):
        return float.fromhex(value)
    if isinstance(value, list):
        return [_unhex(v) for v in value]
    return value
