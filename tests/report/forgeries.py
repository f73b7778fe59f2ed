"""Forgeries of a report of three blocks and two radii, each a function that changes a `toy.Forgery` in one way.

`FORGERIES` holds them all; whoever checks reports must refuse each, also with all digests and ids recomputed.
"""

import inspect
import json
import sys

import numpy as np

from lipop.core.digest import array_digest, digest
from lipop.core.rounding import grid_down, grid_up
from lipop.core.rule import RULES
from lipop.report.document import ids_digest


def block(f, i=0):
    return f.data["blocks"][i]


def on_grid(f, name, factor):
    """A leaf's value times a factor, on the leaf's grid."""
    node = f.node(name)
    bits = RULES[node["rule"]].grid
    return (grid_up if factor > 1 else grid_down)(float.fromhex(node["value"]) * factor, bits)


def find(f, rule, start=None):
    """Some node made by the rule (below a given one)."""
    stack = list(f.data["proofs"]) if start is None else [start]
    while stack:
        name = stack.pop(0)
        if f.node(name)["rule"] == rule:
            return name
        stack += [] if start is None else f.node(name)["premises"]
    raise LookupError(rule)


def displayed(f):
    block(f)["jacobian"]["upper"] *= 0.5


def displayed_lower(f):
    block(f, 2)["ball"][1]["lower"] *= 1.5


def displayed_integer(f):
    f.set_value(block(f)["jacobian"]["proof"], 2.0)
    block(f)["jacobian"]["upper"] = 2


def leaf_up(f):
    name = block(f)["weights"][0]["norm"]["proof"]
    f.set_value(name, on_grid(f, name, 1.01))


def leaf_down(f):
    """Below the truth by less than a stated spectrum would notice."""
    name = block(f)["weights"][0]["norm"]["proof"]
    f.set_value(name, on_grid(f, name, 1 - 1e-7))


def witness_value_up(f):
    name = block(f)["weights"][0]["norm"]["lower_proof"]
    f.set_value(name, on_grid(f, name, 1 + 1e-6))


def leaf_off_grid(f):
    name = block(f)["weights"][0]["norm"]["proof"]
    f.set_value(name, np.nextafter(float.fromhex(f.node(name)["value"]), np.inf))


def deep_leaf_down(f):
    """A premise far below the display, with everything above it re-evaluated."""
    name = f.leaf_of(block(f, 2)["ball"][0]["proof"], lambda n: n["claim"]["quantity"] == "op_norm")
    f.set_value(name, on_grid(f, name, 0.9))
    f.propagate()


def deep_leaf_up(f):
    name = f.leaf_of(block(f, 2)["ball"][0]["proof"], lambda n: n["claim"]["quantity"] == "op_norm")
    f.set_value(name, on_grid(f, name, 1.1))
    f.propagate()


def inner_up(f):
    name = find(f, "linearize@1")
    f.set_value(name, float.fromhex(f.node(name)["value"]) * 1.5)


def inner_down(f):
    name = find(f, "linearize@1")
    f.set_value(name, float.fromhex(f.node(name)["value"]) * 0.5)


def inner_last_bit(f):
    name = find(f, "linearize@1")
    f.set_value(name, np.nextafter(float.fromhex(f.node(name)["value"]), 0))


def infinite(f):
    name = block(f)["ball"][0]["proof"]
    f.node(name)["value"] = "inf"
    block(f)["ball"][0]["upper"] = "inf"


def rule_of_leaf(f):
    f.node(find(f, "norm.dense@1"))["rule"] = "norm.cholesky@1"


def rule_of_inner(f):
    f.node(find(f, "linearize@1"))["rule"] = "sum@1"


def rule_unknown(f):
    f.node(find(f, "linearize@1"))["rule"] = "wishful.thinking@1"


def premises_exchanged(f):
    f.node(find(f, "linearize@1"))["premises"].reverse()


def premise_of_another_block(f):
    one, other = (find(f, "linearize@1", block(f, i)["ball"][0]["proof"]) for i in (0, 1))
    f.node(one)["premises"][0] = f.node(other)["premises"][0]


def premise_dropped(f):
    name = find(f, "linearize@1")
    f.node(name)["premises"] = f.node(name)["premises"][:1]


def parameter(f):
    f.node(find(f, "dahlquist.lanczos@1"))["params"]["seed"] = "many"


def parameter_added(f):
    """One that the leaf's rule does not state, and nobody reads."""
    f.node(find(f, "lip.direction@1"))["params"]["steps"] = 7


def parameter_added_to_trial(f):
    f.node(find(f, "dahlquist.lanczos@1"))["params"]["rtol"] = (1e-3).hex()


def parameter_of_formula(f):
    f.node(find(f, "linearize@1"))["params"]["slack"] = (0.0).hex()


def parameter_retyped(f):
    """The same seed, as a float."""
    params = f.node(find(f, "dahlquist.lanczos@1"))["params"]
    params["seed"] = float(params["seed"]).hex()


def witness_with_more(f):
    """A witness with an array that its kind does not have."""
    arrays = f.node(find(f, "lip.direction@1"))["witness"]["arrays"]
    arrays["w"] = arrays["v"]


def witness_of_an_upper_end(f):
    f.node(find(f, "norm.cholesky@1"))["witness"] = f.node(find(f, "norm.vector@1"))["witness"]


def witness_renamed(f):
    f.node(find(f, "lip.direction@1"))["witness"]["kind"] = "pair"


def seed_of_evidence(f):
    f.node(find(f, "dahlquist.lanczos@1"))["params"]["seed"] += 1


def region_radius(f):
    """The claim on a larger ball than was proved."""
    name = block(f)["ball"][0]["proof"]
    f.node(name)["claim"]["region"]["radius"] = (2 * block(f)["ball"][0]["radius"]).hex()


def region_radius_everywhere(f):
    """Node, premises and display agree on a larger radius than the label says."""
    ball = block(f)["ball"][0]
    old, new = float(ball["radius"]).hex(), (2 * ball["radius"]).hex()
    for node in f.data["proofs"].values():
        if node["claim"]["region"].get("radius") == old:
            node["claim"]["region"]["radius"] = new
    for entry in (ball, block(f)["residuals"][0]["ball"][0]):
        entry["radius"] *= 2


def relative_label(f):
    block(f)["ball"][0]["relative"] *= 10


def relative_label_and_setting(f):
    f.data["settings"]["radii"][0] *= 10
    for b in f.data["blocks"]:
        for balls in (b["ball"], *(r["ball"] for r in b["residuals"])):
            balls[0]["relative"] *= 10


def balls_exchanged(f):
    one, other = block(f)["ball"]
    for key in ("upper", "proof", "lower", "lower_proof"):
        one[key], other[key] = other[key], one[key]


def region_array(f):
    """Another input point, wherever it is named."""
    sha = block(f)["x0"]
    f.set_array(sha, f.arrays[sha] * 1.001)


def witness_array(f):
    witness = f.node(block(f)["weights"][0]["norm"]["lower_proof"])["witness"]["arrays"]
    old = witness["v"]
    f.set_array(old, np.linspace(1.0, 2.0, len(f.arrays[old])))


def witness_outside(f):
    """A witness point that does not lie in the region."""
    node = f.node(block(f)["ball"][0]["lower_proof"])
    sha = node["witness"]["arrays"]["x"]
    far = f.arrays[sha] + 10.0
    f.arrays[array_digest(far)] = far
    node["witness"]["arrays"]["x"] = array_digest(far)


def array_changed(f):
    """The array, but not its name."""
    sha = block(f)["x0"]
    f.arrays[sha] = f.arrays[sha] + 1.0


def array_missing(f):
    del f.arrays[block(f)["x0"]]


def array_added(f):
    x = np.arange(3.0)
    f.arrays[array_digest(x)] = x


def evidence_upgraded(f):
    name = find(f, "dahlquist.lanczos@1")
    f.node(name)["evidence"]["trials"] = []
    for b in f.data["blocks"]:
        for r in b["residuals"]:
            for entry in (r, *r["ball"]):
                entry["dahlquist"]["status"] = entry["lip_sum_rule"]["status"] = "PROVED"


def evidence_upgraded_above(f):
    """Only the conclusion claims to be sure."""
    entry = block(f)["residuals"][0]["dahlquist"]
    f.node(entry["proof"])["evidence"]["trials"] = []
    entry["status"] = "PROVED"


def probable_called_proved(f):
    """A certificate with chance relabelled as one without."""
    name = find(f, "dahlquist.lanczos@1")
    node = f.node(name)
    node["rule"], node["params"], node["evidence"]["trials"] = "symmax.cholesky@1", {"rtol": (1e-8).hex()}, []


def status_text(f):
    block(f)["residuals"][0]["dahlquist"]["status"] = "PROVED"


def status_lower(f):
    block(f)["jacobian"]["lower_status"] = "WITNESSED"


def node_removed(f):
    del f.data["proofs"][block(f)["jacobian"]["proof"]]


def premise_removed(f):
    del f.data["proofs"][f.node(find(f, "linearize@1"))["premises"][0]]


def node_added(f):
    node = json.loads(json.dumps(f.node(block(f)["weights"][0]["norm"]["proof"])))
    node["params"]["rtol"] = (1e-4).hex()
    f.data["proofs"][digest(node)] = node


def node_field(f):
    f.node(block(f)["jacobian"]["proof"])["note"] = "trust me"


def blocks_exchanged(f):
    blocks = f.data["blocks"]
    blocks[0], blocks[1] = blocks[1], blocks[0]


def blocks_exchanged_and_renumbered(f):
    names = [b["name"] for b in f.data["blocks"]]
    blocks_exchanged(f)
    for i, b in enumerate(f.data["blocks"][:2]):
        b["index"], b["name"] = i, names[i]
    layers = f.data["limit"]["diagnosis"]
    layers[0]["jacobian"], layers[1]["jacobian"] = layers[1]["jacobian"], layers[0]["jacobian"]


def block_removed(f):
    del f.data["blocks"][2]
    del f.data["limit"]["diagnosis"][2]
    f.prune()


def block_twice(f):
    f.data["blocks"][1] = f.data["blocks"][0]


def weights_of_another_block(f):
    block(f)["weights"][0]["norm"] = block(f, 1)["weights"][0]["norm"]


def weight_renamed(f):
    block(f)["weights"][0]["name"] = "attention.weight"


def weight_reshaped(f):
    block(f)["weights"][0]["shape"] = [36, 1]


def weight_left_out(f):
    block(f, 2)["weights"].pop()


def branch_left_out(f):
    block(f, 2)["residuals"].pop()


def branch_as_sum(f):
    entry = block(f)["residuals"][0]
    entry["lip_sum"] = entry["lip_branch"]


def dahlquist_as_lip(f):
    entry = block(f)["residuals"][0]
    entry["lip_branch"] = entry["dahlquist"]


def lower_as_upper(f):
    entry = block(f)["jacobian"]
    entry["upper"], entry["proof"], entry["status"] = entry["lower"], entry["lower_proof"], entry["lower_status"]


def point_as_ball(f):
    """The bound at the point, shown for a ball."""
    block(f)["ball"][1].update(block(f)["jacobian"])


def shell_wider(f):
    block(f)["shell"]["R"] *= 2


def model_sha(f):
    f.data["model"]["sha256"] = "0" * 64


def model_family(f):
    f.data["model"]["family"] = "toy" if f.data["model"]["family"] == "bert" else "bert"


def tokens_changed(f):
    f.data["input"]["ids"][0] += 1


def tokens_changed_with_digest(f):
    f.data["input"]["ids"][0] -= 1
    f.data["input"]["sha256"] = ids_digest(np.array(f.data["input"]["ids"]))


def token_outside(f):
    f.data["input"]["ids"][0] = 10**6
    f.data["input"]["sha256"] = ids_digest(np.array(f.data["input"]["ids"]))


def size_of_input(f):
    block(f)["norm"] *= 2


def answer(f):
    f.data["limit"]["answer"] = "EXISTS"


def increment(f):
    f.data["limit"]["diagnosis"][1]["increment"] *= 0.5


def successive(f):
    f.data["limit"]["diagnosis"][1]["successive"] *= 0.5


def idempotency(f):
    f.data["limit"]["diagnosis"][0]["idempotency"] = 0.0


def effective_rank(f):
    f.data["limit"]["diagnosis"][2]["effective_rank"] = 1.0


def final_motion(f):
    f.data["limit"]["diagnosis"][1]["fixed"] *= 0.5


def final_projection(f):
    f.data["limit"]["diagnosis"][1]["projection"] *= 1 + 1e-6


def covering(f):
    f.data["limit"]["diagnosis"][0]["covering"] = 0.125


def measure_left_out(f):
    del f.data["limit"]["diagnosis"][1]["turn"]


def delta(f):
    f.data["limit"]["diagnosis"][1]["delta"] *= 1 - 1e-6


def onset(f):
    f.data["limit"]["summary"]["onset"] = 1 if f.data["limit"]["summary"]["onset"] is None else None


def log_growth(f):
    f.data["limit"]["summary"]["log_growth"] *= 1 - 1e-6


def law(f):
    """A fit where there are too few layers for one."""
    f.data["limit"]["summary"]["decay"]["step"] = {
        "exponent": 2.0,
        "low": 1.5,
        "high": 2.5,
        "points": 4,
        "evidence": "summable",
    }


def residual_claimed(f):
    f.data["limit"]["summary"]["residual"] ^= True


def summary_left_out(f):
    del f.data["limit"]["summary"]


def evidence_text(f):
    f.data["limit"]["evidence"].append("the limit exists")


def diagnosis_number(f):
    f.data["limit"]["diagnosis"][0]["jacobian"]["upper"] *= 0.5


def incomplete(f):
    f.data["complete"] = False


FORGERIES = {
    name: forge
    for name, forge in inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    if list(inspect.signature(forge).parameters) == ["f"]
}
