"""The proofs of a report as display data: one record a node, in words, premises by number; a page unfolds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lipop.core.bound import UPPER, Evidence
from lipop.core.rule import find_rule
from lipop.errors import ReportError
from lipop.report.markup import visible
from lipop.report.svg import number

NAMES = {
    "lip": "Lip",
    "op_norm": "norm",
    "dahlquist": "Dahlquist constant",
    "expansion": "lower Lipschitz constant",
    "smoothness": "Lip of the derivative",
    "deviation": "deviation of the derivative",
    "distance": "distance",
    "image": "radius of the image",
    "token_norm": "norm of every token",
}
REGIONS = {"token_ball": "token ball", "everywhere": "everywhere"}
LONG = 300


class _Table:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.texts.setdefault(visible(text), len(self.texts))


def trees(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The proofs of a report document.

    Returns
    -------
    (dict, dict)
        ``{"texts": [...], "nodes": [...]}`` for the page, and the number of each node by its id. A node holds
        ``id`` (its first characters), ``claim``, ``of``, ``on``, ``rule``, ``why``, ``status`` (numbers of texts),
        ``notes`` (such numbers), ``value`` (rounded outward), ``exact`` (decimal and hexadecimal) and ``from``
        (numbers of nodes; -1 where a premise is missing).
    """
    number_of = {name: i for i, name in enumerate(data["proofs"])}
    table, known = _Table(), _subjects(data)
    nodes: list[dict[str, Any]] = []
    for name, node in data["proofs"].items():
        try:
            nodes.append(_node(name, node, number_of, table, known))
        except OverflowError as e:
            raise ReportError(f"proofs.{name[:12]}: a number is not a float64 ({e})") from None
    return {"texts": list(table.texts), "nodes": nodes}, number_of


def _node(
    name: str, node: Mapping[str, Any], number_of: Mapping[str, int], table: _Table, known: Mapping[str, str]
) -> dict[str, Any]:
    claim, rule = node["claim"], find_rule(node["rule"])
    upper, value = claim["side"] == UPPER, float.fromhex(node["value"])
    status = "UNKNOWN" if node["rule"] == "unknown@1" else Evidence.read(node["evidence"]).status(claim["side"])
    return {
        "id": name[:12],
        "claim": table(f"{NAMES.get(claim['quantity'], claim['quantity'])} {'≤' if upper else '≥'}"),
        "of": table(known.get(claim["operator"], f"operator {claim['operator'][:8]}")),
        "on": table(_region(claim, known)),
        "rule": table(node["rule"]),
        "why": table("" if rule is None else rule.reference),
        "value": number(value, down=not upper, digits=6),
        "exact": f"{value!r} = {node['value']}",
        "status": table(status),
        "notes": [table(n) for n in _notes(node)],
        "from": [number_of.get(p, -1) for p in node["premises"]],
    }


def _subjects(data: Mapping[str, Any]) -> dict[str, str]:
    """Names of the operators, matrices and points whose numbers the report displays, by digest."""
    known: dict[str, str] = {}

    def name(entry: Mapping[str, Any], text: str) -> None:
        node = data["proofs"].get(entry["proof"])
        if node is not None:
            known.setdefault(node["claim"]["operator"], text)

    for b in data["blocks"]:
        known.setdefault(b["operator"], f"block {b['index']}")
        known.setdefault(b["x0"], f"x₀ of block {b['index']}")
        for w in b["weights"]:
            name(w["norm"], f"{w['name']} of block {b['index']}")
        for r in b["residuals"]:
            known.setdefault(r["operator"], f"F = {r['name']} of block {b['index']}")
            known.setdefault(r["point"], f"input of {r['name']} in block {b['index']}")
            name(r["lip_sum"], f"I + F, F = {r['name']} of block {b['index']}")
    return known


def _region(claim: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """Region and norms in words; radii to six digits."""
    region = claim["region"]
    parts: list[str] = [REGIONS.get(region["kind"]) or str(region["kind"])]
    for key, value in region.items():
        if key == "kind" or key.startswith("norm"):
            continue
        if isinstance(value, Mapping):
            shape = " × ".join(str(n) for n in value["shape"]) or "number"
            parts.append(f"{key} {known.get(value['sha256'], 'array ' + value['sha256'][:8])} ({shape})")
        else:
            parts.append(f"{key} {_plain(value)}")
    norms = (claim["norm_in"], claim["norm_out"])
    return ", ".join(parts) + ("" if norms == ("l2", "l2") else f"; {norms[0]} → {norms[1]}")


def _notes(node: Mapping[str, Any]) -> list[str]:
    """Parameters, trials, hypotheses and witness of a node."""
    evidence, witness = node["evidence"], node["witness"]
    out = [f"{k} = {_plain(v)}"[:LONG] for k, v in node["params"].items()]
    out += [f"assumes {a}"[:LONG] for a in evidence["assumes"]]
    if evidence["trials"] and not node["premises"] and "delta" not in node["params"]:
        out += [
            f"trial of seed {seed} fails with probability at most {_plain(delta)}" for seed, delta in evidence["trials"]
        ]
    if not evidence["rounded"]:
        out.append("rounding is not included")
    if witness is not None:
        held = ", ".join(f"{k} {sha[:8]}" for k, sha in witness["arrays"].items())
        out.append(f"witness: {witness['kind']} {held}"[:LONG])
    return out


def _plain(value: Any) -> str:
    """A parameter: hexadecimal floats as decimal ones."""
    if isinstance(value, str) and value.startswith(("0x", "-0x")):
        try:
            return f"{float.fromhex(value):.6g}"
        except (ValueError, OverflowError):
            return value
    return str(value)


__all__ = ["NAMES", "trees"]
