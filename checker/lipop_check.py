"""Check a lipop report without lipop, written from the report's format and the theorems: NumPy and python-flint only.

    python checker/lipop_check.py report.json MODEL_DIR

Three degrees of trust are counted apart. *Proved*: digests, ids, rules (bit for bit), claims, evidence, displays, norms
of weights. *Replayed* in float64 with an own forward pass: activations, witness directions, norms of small derivatives.
*Trusted*: what is not redone here (deviations, large derivatives, operators' own constants). Those leaves are listed,
and no displayed upper end may lie below a derivative found in its region.

This file reads the report; `lipop_check_rules` holds the rules, `lipop_check_model` the model and what it can
redo, `lipop_check_limit` what the limit section must say.
"""

import hashlib
import math
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lipop_check_limit import constants, limit_section, measures
from lipop_check_model import Map, Matrix, Model
from lipop_check_rules import (
    LEAVES,
    RULES,
    SAME,
    TRIAL,
    UNKNOWN,
    Node,
    Refused,
    Region,
    alike,
    array_digest,
    covers,
    digest,
    lies,
    near,
    need,
    part,
    same,
    stable,
    strict,
    supported,
    upward,
)

REPORT = "blocks command complete created digest input limit model proofs schema seconds settings versions"
BLOCK = "ball index jacobian name norm operator residuals seconds seconds_by_part shell weights x0"
WEIGHT = "name norm shape spectrum spectrum_index"
BRANCH = "ball dahlquist lip_branch lip_sum lip_sum_rule name norm operator point"


class Check:
    """One check of a report; ``redone`` says of each leaf whether it was proved, replayed or trusted."""

    def __init__(self, report: Path, folder: Path) -> None:
        self.data, self.model = strict(report.read_bytes()), Model(folder)
        same("digest", self.data["digest"], digest({**stable(self.data), "proofs": self.data["proofs"]}))
        path = report.with_name(report.name.removesuffix(".json") + ".arrays.npz")
        with zipfile.ZipFile(path) as z:
            stored = [i.filename for i in z.infolist() if i.compress_type == zipfile.ZIP_STORED]
        self.arrays = dict(np.load(path, allow_pickle=False))
        need(sorted(stored) == sorted(f"{n}.npy" for n in self.arrays), path.name, "a doubled or compressed entry")
        for name, x in self.arrays.items():
            fits = x.dtype == "<f8" and np.isfinite(x).all() and array_digest(x) == name
            need(fits, f"array {name[:12]}", "not of finite float64, or not what it is filed under")
        self.nodes, self.used, self.numbers, self.rng = {}, set(), 0, np.random.default_rng()
        self.subjects: dict[str, Matrix | Map] = {}  # what the leaves of the block at hand speak about
        self.seen: set[str] = set()
        self.redone: dict[str, str] = {}
        self.seeds: dict[int, str] = {}

    def array(self, where: str, name: str) -> np.ndarray:
        """An array of the report."""
        need(name in self.arrays, where, f"array {name[:12]} is missing")
        self.used.add(name)
        return self.arrays[name]

    def region(self, where: str, raw: Any) -> Any:
        """A region, from exactly the fields that its kind has."""
        region, found = Region(), {}
        if raw["kind"] == "ball":
            region = Region("ball", raw["center"]["sha256"], 0.0, float.fromhex(raw["radius"]))
            shape = list(self.array(where, region.center).shape)
            center = {"sha256": region.center, "shape": shape, "dtype": "<f8"}
            found = {"center": center, "radius": region.outer.hex(), "norm": "l2"}
        elif raw["kind"] == "shell":
            ends = {k: float.fromhex(raw[k]) for k in ("inner", "outer")}
            region, count = Region("shell", tokens=raw.get("tokens"), **ends), {"tokens": raw.get("tokens")}
            found = {k: x.hex() for k, x in ends.items()} | (count if "tokens" in raw else {})
        same(f"{where}: region", raw, {"kind": region.kind, **found})
        need(0 <= region.inner <= region.outer, where, "its region is empty")
        return region

    def node(self, name: str) -> Any:
        """A node, after every check that needs no model."""
        if name in self.nodes:
            return self.nodes[name]
        need(name in self.data["proofs"], f"node {name[:12]}", "it is missing")
        raw = self.data["proofs"][name]
        need(digest(raw) == name, f"node {name[:12]}", "its id is not the digest of its content")
        rule, c, q, value, held = raw["rule"], raw["claim"], raw["params"], float.fromhex(raw["value"]), None
        where, P = f"node {name[:12]} ({rule})", [self.node(p) for p in raw["premises"]]
        quantity, side, operator, region = c["quantity"], c["side"], c["operator"], self.region(where, c["region"])
        n = Node(where, rule, quantity, side, operator, region, value, q, P, [], "UNKNOWN", {})
        if rule in LEAVES:
            *claim, bits, place, names = LEAVES[rule]
            need([quantity, side, P] == [*claim, []] and lies(region, place), where, "not what its rule claims")
            grid = math.isfinite(value) and (math.frexp(value)[0] * 2.0**bits).is_integer()
            need(grid, where, f"{value!r} is not on the rule's grid")
            same(f"{where}: parameters", sorted(q), names.split())
            counts = all(type(q[k]) is int and q[k] >= 0 for k in {*q} - {"rtol", "delta", "center"})
            need(counts and float.fromhex(q.get("rtol", "0x0p+0")) >= 0, where, "its parameters are malformed")
            trials = [[q["seed"], q["delta"]]] if names == TRIAL else []
            need(not trials or q["delta"] == (1e-9).hex(), where, "such a trial fails with probability 1e-9")
            need(not trials or self.seeds.setdefault(q["seed"], where) == where, where, "another trial has its seed")
            if side == "lower":
                held = {"kind": "vector" if quantity == "op_norm" else "direction", "arrays": raw["witness"]["arrays"]}
                same(f"{where}: witness", sorted(held["arrays"]), ["v"] if quantity == "op_norm" else ["v", "x"])
                n.witness.update((k, self.array(where, sha)) for k, sha in held["arrays"].items())
                n.witness["center"] = self.arrays.get(region.center)
        else:
            need((rule, quantity) in RULES or rule == "unknown@1", where, "there is no such rule here")
            wanted, names, formula = RULES.get((rule, quantity), UNKNOWN)
            same(f"{where}: parameters", sorted(q), names.split())
            fits = {p.side for p in (n, *P)} == {"upper"} and wanted in (None, " ".join(p.quantity for p in P))
            need(fits and supported(n), where, "the premises do not support the claim")
            radius = [float.fromhex(q["radius"])] if "radius" in q else []
            found = upward(formula, [p.value for p in P if p.quantity != "token_norm"] + radius)
            need(found == value, where, f"{value!r} is not the re-evaluation {found!r}")
            trials = [list(t) for t in sorted({tuple(t) for p in P for t in p.trials})]
        evidence = {"proven": True, "rounded": True, "trials": trials, "assumes": []}
        same(f"{where}: evidence", raw["evidence"], evidence)
        claim = {"quantity": quantity, "side": side, "operator": operator, "region": c["region"]}
        rest = {"rule": rule, "params": q, "evidence": evidence, "premises": raw["premises"], "witness": held}
        same(where, raw, {**rest, "value": value.hex(), "claim": {**claim, "norm_in": "l2", "norm_out": "l2"}})
        chance = f"PROBABLE({math.fsum(float.fromhex(d) for _, d in trials):.2g})" if trials else "PROVED"
        n = n._replace(trials=trials, status="UNKNOWN" if rule == "unknown@1" else chance)
        return self.nodes.setdefault(name, n)

    def place(self, where: str, entry: Any, quantities: str, operator: str, region: Any, v: Any = None) -> Any:
        """What is displayed, what its nodes claim, their leaves, and the upper end against a derivative.

        The derivative is taken along v, where there is an upper end alone, else along the lower end's witness.
        """
        ends, extra = [], set(entry) - {"r", "R", "radius", "relative"}
        for side, status, key in (("lower", "lower_status", "lower_proof"), ("upper", "status", "proof")):
            if side == "upper" or v is None:
                need({side, status, key} <= entry.keys(), f"{where}.{side}", "it is left out")
                there, n, shown = f"{where}.{side}", self.node(entry[key]), entry[side]
                need(type(shown) is float or shown in ("inf", "-inf"), there, f"{shown!r} is not such a number")
                need(float(shown).hex() == n.value.hex(), there, f"shows {shown!r}, its {n.name} holds {n.value!r}")
                same(f"{where}.{status}", entry[status], n.status)
                about = n.side == side and n.operator == operator and n.quantity in quantities.split()
                need(about, there, f"its {n.name} is about something else")
                inside = covers(region, n.region) and (side == "lower" or n.region == region)
                need(inside, there, f"its {n.name} holds on {n.region}, displayed is {region}")
                ends, extra = [*ends, n], extra - {side, status, key}
        need(not extra and ends[0].value <= ends[-1].value, where, f"lower end above upper one, or fields {extra}")
        self.numbers, todo = self.numbers + len(ends), list(ends)
        for n in todo:  # grows
            todo += n.premises
            if n.rule in LEAVES and n.name not in self.seen:
                self.seen.add(n.name)
                subject = self.subjects.get(n.operator)
                may_be_trusted = n.side == "upper" and n.rule != "norm.cholesky@1"
                need(subject or may_be_trusted, n.name, "the block has no such map or matrix")
                self.redone[n.name] = subject.redo(n) if subject else "trusted"
        subject = self.subjects[operator]
        if isinstance(subject, Map):
            v, step = ends[0].witness.get("v", v), self.rng.standard_normal(subject.x.shape)
            radius = region.outer * (1 - 1e-9) if region.kind == "ball" else 0.0
            found, size = subject.value(quantities, v, subject.x + radius * step / np.linalg.norm(step))
            need(found - SAME * size <= ends[-1].value, where, f"a derivative there shows {found!r}")
        return v

    def balls(self, where: str, balls: Any, sha: str) -> Iterator[tuple[str, Any, Any]]:
        """The balls around an input."""
        same(f"{where}.ball", [b["relative"] for b in balls], self.data["settings"]["radii"])
        for j, b in enumerate(balls):
            need(type(b["radius"]) is float, f"{where}.ball[{j}].radius", "not a number")
            near(f"{where}.ball[{j}].relative", b["relative"], b["radius"] / np.linalg.norm(self.arrays[sha]))
            yield f"{where}.ball[{j}]", b, Region("ball", sha, 0.0, b["radius"])

    def point(self, where: str, sha: str, size: float, expected: np.ndarray) -> np.ndarray:
        """An input, compared with what the model gives."""
        x = self.array(where, sha)
        near(f"{where}: array {sha[:12]}", x, expected)
        near(f"{where}: its norm", size, np.linalg.norm(x))
        return x

    def spectrum(self, where: str, w: Any, m: Matrix) -> None:
        """A weight's singular values, which not all weights have."""
        same(where, sorted({*w, "spectrum", "spectrum_index"}), WEIGHT.split())
        if "spectrum" in w or "spectrum_index" in w:
            stated, index = w["spectrum"], w["spectrum_index"]
            rises = all(a < b for a, b in pairwise(index)) and index[0] == 0 and index[-1] == min(m.shape) - 1
            need(rises and len(stated) == len(index), where, "no spectrum has these indices")
            error = np.abs(m.spectrum[index] - stated).max()
            need(error <= 1e-6 * m.spectrum[0], where, "these are not its singular values")

    def block(self, where: str, i: int, b: Any, x: np.ndarray) -> np.ndarray:
        """One block at its input x; returns its output."""
        name, weights, f, branches = self.model.block(i)
        same(where, [b["index"], b["name"], sorted(b)], [i, name, BLOCK.split()])
        shapes = [[n, m.shape] for n, m in weights.items()]
        same(f"{where}.weights", [[w["name"], w["shape"]] for w in b["weights"]], shapes)
        x0 = self.point(f"{where}.x0", b["x0"], b["norm"], x)
        self.subjects, self.seen = {b["operator"]: Map(f, x0)}, set()  # what one block's leaves say, another's may not
        for w, m in zip(b["weights"], weights.values(), strict=True):
            own = digest("lipop", "Matrix", array_digest(m.factors[0]), "0x0.0p+0")
            if len(m.factors) == 2:
                own = digest("lipop", "MatrixProduct", *map(array_digest, m.factors))
            self.subjects[own] = m
            there = f"{where}.weights ({w['name']})"
            self.place(there, w["norm"], "op_norm", own, Region())
            self.spectrum(there, w, m)
        at = Region("ball", b["x0"], 0.0, 0.0)
        v = self.place(f"{where}.jacobian", b["jacobian"], "lip op_norm", b["operator"], at)
        for there, ball, region in self.balls(where, b["ball"], b["x0"]):
            self.place(there, ball, "lip", b["operator"], region)
        r, R, sizes = b["shell"]["r"], float(b["shell"]["R"]), np.linalg.norm(x0, axis=1)
        need(0 <= r <= sizes.min() and sizes.max() <= R, f"{where}.shell", "it does not hold the input")
        self.place(f"{where}.shell", b["shell"], "lip", b["operator"], Region("shell", None, r, R, len(x0)), v)
        same(f"{where}.residuals", [r["name"] for r in b["residuals"]], [n for n, _, _ in branches])
        for r, (name, F, inner) in zip(b["residuals"], branches, strict=True):
            there, op, total = f"{where}.residuals ({name})", r["operator"], part("residual", r["operator"])
            same(there, sorted(r), BRANCH.split())
            y = self.point(f"{there}.point", r["point"], r["norm"], inner(x0).real)
            need(not {op, total} & {*self.subjects}, there, "its operator is another one of the block")
            self.subjects |= {op: Map(F, y), total: Map(lambda z, F=F: z + F(z), y)}
            own = (there, r, Region("ball", r["point"], 0.0, 0.0))
            for place, shown, region in (own, *self.balls(there, r["ball"], r["point"])):
                self.place(f"{place}.dahlquist", shown["dahlquist"], "dahlquist", op, region)
                self.place(f"{place}.lip_branch", shown["lip_branch"], "lip op_norm", op, region)
                v = self.place(f"{place}.lip_sum", shown["lip_sum"], "lip op_norm", total, region)
                self.place(f"{place}.lip_sum_rule", shown["lip_sum_rule"], "lip", total, region, v)
        return f(x0).real

    def run(self) -> None:
        """The whole report."""
        d, m, blocks, (start, stop) = self.data, self.model, self.data["blocks"], self.data["settings"]["blocks"]
        same("the report", [d["schema"], sorted(d)], ["lipop.report/1", REPORT.split()])
        found = {"family": m.family, "sha256": m.digest, "dtype": m.dtype, "blocks": m.layers}
        same("model", d["model"], {**found, "path": d["model"]["path"]})
        fits = 0 <= start < stop <= m.layers and len(blocks) <= stop - start
        need(fits and d["complete"] is (len(blocks) == stop - start), "complete", "not these blocks of the model")
        ids = np.array(d["input"]["ids"], dtype="<i8")
        own = {"tokens": len(ids), "sha256": hashlib.sha256(ids.tobytes()).hexdigest(), "ids": ids.tolist()}
        same("input", {k: v for k, v in d["input"].items() if k != "text_sha256"}, own)
        x, last, layers, taken = m.embed(ids), None, d["limit"]["diagnosis"], []
        for i in range(start):
            last, x = x, m.block(i)[2](x).real
        z = x
        for i in range(start, m.layers):
            z = m.block(i)[2](z).real
        same("limit.diagnosis: its length", len(layers), len(blocks))
        for k, b in enumerate(blocks):
            f, F = m.block(start + k)[2:]
            before = m.block(start + k - 1)[2] if start + k else None
            y = self.block(f"blocks[{k}]", start + k, b, x)
            taken.append({"layer": start + k, **measures(x, y, f, F, before, last, z), "jacobian": b["jacobian"]})
            last, x = x, y
        own = constants(blocks, layers)
        alike("limit.diagnosis", layers, [{**a, **b} for a, b in zip(taken, own, strict=True)])
        alike("limit", d["limit"], limit_section(m.layers, blocks, layers))
        for kind, there, needed in (("node", d["proofs"], self.nodes), ("array", self.arrays, self.used)):
            extra = min(set(there) - set(needed), default="")
            need(not extra, f"{kind} {extra[:12]}", "no displayed number rests on it")


def check(report: str | Path, folder: str | Path) -> Check:
    """Check a report against a model's folder; raises Refused, which names what does not hold."""
    try:
        done = Check(Path(report), Path(folder))
        done.run()
    except Refused:
        raise
    except Exception as e:  # anything may stand in these files, and what cannot be followed is not accepted
        raise Refused(f"malformed, or not to be read ({type(e).__name__}: {e})") from e
    return done


if __name__ == "__main__":
    try:
        result = check(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    for node in result.nodes.values():
        if result.redone.get(node.name) == "trusted":
            print(f"trusted: {node.name}: {node.quantity} of {node.operator[:12]} at most {node.value:.6g}")
    counts = ", ".join(f"{list(result.redone.values()).count(how)} {how}" for how in ("proved", "replayed", "trusted"))
    state = "" if result.data["complete"] else "; the report is INCOMPLETE"
    print(f"{result.numbers} numbers, {len(result.nodes)} nodes hold; leaves: {counts}{state}")
