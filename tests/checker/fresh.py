"""Forgeries made against the checker; those in tests/report/forgeries.py were made against lipop's verify."""

import inspect
import json
import re
import sys

import numpy as np

from lipop.core.digest import array_digest
from lipop.report.document import ids_digest
from tests.report.forgeries import block, find, on_grid


def leaf_for_a_derivation(f):
    """An operator's own constant, which nobody redoes, in place of derivative and deviation."""
    entry = block(f)["ball"][1]
    node = f.node(entry["proof"])
    node.update(rule="lip.own@1", premises=[])
    node["evidence"]["trials"] = []
    entry["status"] = "PROVED"
    f.set_value(entry["proof"], 2.0 * entry["lower"])
    f.set_value(entry["proof"], on_grid(f, entry["proof"], 1.01))
    f.prune()


def both_ends_down(f):
    """Witness and certificate of a derivative's norm, both smaller by the same factor."""
    for name, node in f.data["proofs"].items():
        if node["rule"] in ("norm.dense@1", "lip.direction@1"):
            f.set_value(name, on_grid(f, name, 0.5))
    f.propagate()


def surer_trial(f):
    """A trial that fails with a smaller probability than any does, in parameters, evidence and status."""
    text = json.dumps(f.data["proofs"]).replace((1e-9).hex(), (1e-30).hex())
    f.data["proofs"] = json.loads(text)
    f.data["blocks"] = json.loads(json.dumps(f.data["blocks"]).replace("PROBABLE(1e-09)", "PROBABLE(1e-30)"))


def lower_premise(f):
    """A lower bound among the premises of an upper one."""
    entry = block(f)["residuals"][0]
    f.node(entry["lip_sum_rule"]["proof"])["premises"][1] = entry["lip_branch"]["lower_proof"]
    f.propagate()


def point_for_ball(f):
    """Every ball of a block shrunk to its centre, in the claims but not in the display."""
    radius = float(block(f)["ball"][1]["radius"]).hex()
    for node in f.data["proofs"].values():
        if node["claim"]["region"].get("radius") == radius:
            node["claim"]["region"]["radius"] = (0.0).hex()


def shell_elsewhere(f):
    """A shell that does not hold the input, in the display and in all claims."""
    shell = block(f)["shell"]
    old, new = float(shell["R"]).hex(), shell["r"] * (1 + 1e-6)
    for node in f.data["proofs"].values():
        if node["claim"]["region"].get("outer") == old:
            node["claim"]["region"]["outer"] = new.hex()
    shell["R"] = new


def heads_exchanged(f):
    """One head's product shown as another's."""
    weights = {w["name"]: w for w in block(f)["weights"]}
    one, other = weights["head 0: W_O W_V"], weights["head 1: W_O W_V"]
    one["norm"], other["norm"] = other["norm"], one["norm"]


def one_head_twice(f):
    weights = {w["name"]: w for w in block(f)["weights"]}
    weights["head 1: W_O W_V"]["norm"] = weights["head 0: W_O W_V"]["norm"]
    f.prune()


def product_of_another_block(f):
    """A product's norm, proved for another block."""
    one, other = ({w["name"]: w for w in block(f, i)["weights"]}["head 0: W_O W_V"] for i in (0, 1))
    other["norm"], other["spectrum"] = one["norm"], one["spectrum"]
    f.prune()


def branch_named_as_block(f):
    """The block's derivative shown as that of its branch, whose input is the same."""
    b = block(f)
    branch = b["residuals"][0]
    branch["operator"] = b["operator"]
    branch["lip_branch"] = b["jacobian"]
    for ball, own in zip(branch["ball"], b["ball"], strict=True):
        ball["lip_branch"] = {k: own[k] for k in b["jacobian"]}
    f.prune()


def one_seed(f):
    """All trials with one seed, so that their probabilities do not add up."""
    for node in f.data["proofs"].values():
        if "seed" in node["params"]:
            node["params"]["seed"] = 1
        node["evidence"]["trials"] = [[1, d] for _, d in node["evidence"]["trials"][:1]]
    f.data["blocks"] = json.loads(re.sub(r"PROBABLE\([^)]*\)", "PROBABLE(1e-09)", json.dumps(f.data["blocks"])))
    f.data["limit"]["diagnosis"] = [
        {**d, "jacobian": b["jacobian"]} for d, b in zip(f.data["limit"]["diagnosis"], f.data["blocks"], strict=True)
    ]


def singular_value(f):
    block(f)["weights"][0]["spectrum"][3] *= 0.9


def factor_dropped(f):
    """A composition's constant without its last factor."""
    node = f.node(find(f, "compose@1"))
    count = len(node["params"]["groups"])
    node["params"]["groups"].pop(0)
    del node["premises"][count - 1]
    f.propagate()


def composition_without_norms(f):
    """Nothing shows that one factor's values lie where the next factor's constant holds."""
    name = find(f, "compose@1")
    node = f.node(name)
    node["premises"] = node["premises"][: len(node["params"]["groups"])]
    f.prune()


def infinite_and_proved(f):
    """No statement, shown as a proof."""
    entry = block(f)["ball"][0]
    node = f.node(entry["proof"])
    node.update(rule="unknown@1", premises=[], value="inf", params={"reason": "it is proved"})
    node["evidence"]["trials"] = []
    entry.update(upper="inf", status="PROVED")
    f.prune()


def lower_end_left_out(f):
    """An upper end alone, where a witness belongs beside it."""
    entry = block(f)["ball"][0]
    for key in ("lower", "lower_status", "lower_proof"):
        del entry[key]
    f.prune()


def no_direction(f):
    """A witness direction of length zero."""
    node = f.node(block(f)["ball"][0]["lower_proof"])
    zero = np.zeros_like(f.arrays[node["witness"]["arrays"]["v"]])
    f.arrays[array_digest(zero)] = zero
    node["witness"]["arrays"]["v"] = array_digest(zero)


def other_norm(f):
    node = f.node(block(f)["ball"][0]["proof"])
    node["claim"]["norm_out"] = "linf"


def certificate_field(f):
    """A number beside the others that nothing proves."""
    block(f)["certified_lip"] = 0.5


def token_of_truth(f):
    f.data["input"]["ids"][1] = True
    ids = np.array([int(i) for i in f.data["input"]["ids"]], dtype="<i8")
    f.data["input"]["sha256"] = ids_digest(ids)


def same_label_twice(f):
    """Two balls that are one."""
    balls = block(f)["ball"]
    balls[1] = dict(balls[0])
    f.prune()


def parameter_of_leaf(f):
    """A certificate with a parameter that its rule does not have."""
    name = find(f, "norm.dense@1")
    f.node(name)["params"]["checked"] = "by hand"


def assumption(f):
    """A hypothesis that no rule makes."""
    entry = block(f)["jacobian"]
    f.node(entry["proof"])["evidence"]["assumes"] = ["luck"]
    entry["status"] = "CONDITIONAL(luck)"


FRESH = {
    name: forge
    for name, forge in inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    if list(inspect.signature(forge).parameters) == ["f"]
}
