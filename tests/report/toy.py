"""A model of three small blocks on (3, 6) token arrays, and tools that forge its report consistently."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lipop as lo
from lipop.core import proof
from lipop.core.algebra import Composition, Residual
from lipop.core.digest import array_digest, digest
from lipop.core.matrices import Matrix
from lipop.core.rule import RULES, evaluate
from lipop.errors import TokenError
from lipop.report import files
from lipop.report.document import analyze

WIDTH, TOKENS, VOCABULARY = 6, 3, 11
RADII = (1e-3, 1e-1)


@dataclass(frozen=True, eq=False, repr=False)
class OneBranch(Residual):
    """x + A x + b, as a model's block."""

    def shell(self, on):
        return self.lip(on)

    def weights(self):
        A = self.branch.A
        return [("mlp.weight", A.shape, Matrix(np.asarray(A, dtype=np.float64)))]

    def branches(self, x):
        return [("mlp", self.branch, x)]


@dataclass(frozen=True, eq=False, repr=False)
class TwoBranches(Composition):
    """Two residual maps in a row."""

    def shell(self, on):
        return self.lip(on)

    def weights(self):
        parts = [f.branch for f in reversed(self.factors)]
        return [(f"branch{i}.weight", p.A.shape, Matrix(p.A)) for i, p in enumerate(parts)]

    def branches(self, x):
        outer, inner = self.factors
        return [("first", inner.branch, x), ("second", outer.branch, inner(x))]


def affine(rng, scale):
    return lo.Affine(scale * rng.standard_normal((WIDTH, WIDTH)), rng.standard_normal(WIDTH), tokens=True)


class ToyModel:
    """Blocks of residual affine maps behind a table of token vectors."""

    family, dtype, path = "toy", "F64", Path("toy")

    def __init__(self, seed=0, change=0.0):
        rng = np.random.default_rng(seed)
        self.table = rng.standard_normal((VOCABULARY, WIDTH))
        a, b, c, d = (affine(rng, s) for s in (0.1, 0.2, 0.3, 0.4))
        if change:
            A = np.array(c.A)
            A[2, 3] += change
            c = lo.Affine(A, c.b, tokens=True)
        self.blocks = [OneBranch(a), OneBranch(b), TwoBranches((lo.residual(d), lo.residual(c)))]
        self.block_names = ["layer.0", "layer.1", "layer.2"]

    @property
    def digest(self):
        return digest("toy", array_digest(self.table), [b.digest for b in self.blocks])

    def tokens(self, text):
        if not text.strip():
            raise TokenError("the text is empty")
        return np.array([ord(c) % VOCABULARY for c in text], dtype=np.int64)

    def embed(self, text=None, tokens=None):
        ids = self.tokens(text) if tokens is None else tokens
        if ids.max() >= VOCABULARY:
            raise TokenError(f"token id {ids.max()} is outside the vocabulary")
        return self.table[ids]

    def activations(self, x):
        out = [x]
        for block in self.blocks[:-1]:
            out.append(block(out[-1]))
        return out


def write_report(folder, **options):
    """The toy model's report; returns its path."""
    model = ToyModel()
    path = folder / "report.json"
    analyze(model, model.tokens("lip"), report=path, radii=RADII, text="lip", **options)
    return path


# ---- forging ----


class Forgery:
    """A report in memory that can be changed anywhere and made consistent again: every node renamed to its new digest,
    every reference and the report's own digest brought up to date."""

    def __init__(self, path):
        self.path = path
        self.data = json.loads(path.read_text())
        self.arrays = files.read_arrays(files.arrays_path(path))

    def node(self, name):
        return self.data["proofs"][name]

    def leaf_of(self, name, wanted=lambda node: True):
        """The id of some leaf below a node."""
        stack = [name]
        while stack:
            node = self.node(stack.pop())
            if not node["premises"] and wanted(node):
                return digest(node)
            stack.extend(node["premises"])
        raise LookupError("no such leaf")

    def set_value(self, name, value):
        """Change a node's value, and every number that displays it."""
        self.node(name)["value"] = float(value).hex()
        for entry in _displays(self.data):
            for key, node in (("lower", "lower_proof"), ("upper", "proof")):
                if entry.get(node) == name:
                    entry[key] = float(value)

    def propagate(self):
        """Re-evaluate every formula node from its premises, as if all leaves were true, and display the new values."""
        done = {}

        def value(name):
            if name not in done:
                node = self.node(name)
                premises = tuple(value(p) for p in node["premises"])
                if RULES[node["rule"]].leaf:
                    done[name] = float.fromhex(node["value"])
                else:
                    params = {k: proof._unhex(v) for k, v in node["params"].items()}
                    done[name] = evaluate(node["rule"], node["claim"]["side"], premises, params)
            return done[name]

        for name in self.data["proofs"]:
            self.set_value(name, value(name))
        return self

    def set_array(self, sha, array):
        """Replace an array, and every reference to it."""
        new = array_digest(array)
        del self.arrays[sha]
        self.arrays[new] = array
        self.data = json.loads(json.dumps(self.data).replace(sha, new))
        return new

    def rehash(self):
        """Rename nodes to their digests, premises first, and follow every reference."""
        old, names = self.data["proofs"], {}

        def rename(name):
            if name not in names:
                node = old[name]
                node["premises"] = [rename(p) if p in old else p for p in node["premises"]]
                names[name] = digest(node)
            return names[name]

        new = {rename(name): old[name] for name in list(old)}
        self.data["proofs"] = new
        for entry in _displays(self.data):
            for key in ("proof", "lower_proof"):
                entry[key] = names.get(entry[key], entry[key]) if key in entry else None
            if entry["lower_proof"] is None:
                del entry["lower_proof"]
        return self

    def prune(self):
        """Drop the nodes on which no displayed number rests."""
        keep, stack = set(), [e[k] for e in _displays(self.data) for k in ("proof", "lower_proof") if k in e]
        while stack:
            name = stack.pop()
            if name not in keep and name in self.data["proofs"]:
                keep.add(name)
                stack.extend(self.node(name)["premises"])
        self.data["proofs"] = {k: v for k, v in self.data["proofs"].items() if k in keep}
        return self

    def write(self, *, seal=True):
        """Write both files; ``seal`` recomputes the report's digest."""
        if seal:
            self.data["digest"] = files.report_digest(self.data)
        files.write(self.path, self.data, self.arrays)
        return self.path

    def copy(self, path):
        other = copy.deepcopy(self)
        other.path = path
        return other


def _displays(value):
    """Every object that displays a number with a proof."""
    if isinstance(value, dict):
        if "proof" in value:
            yield value
        for key, child in value.items():
            if key != "proofs":
                yield from _displays(child)
    elif isinstance(value, list):
        for child in value:
            yield from _displays(child)
