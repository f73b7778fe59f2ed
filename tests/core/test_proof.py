"""Proofs: what they say, that they are redone, and that every forgery is caught at its node."""

import copy
import dataclasses
import json
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lipop as lo
from lipop.core import proof
from lipop.core.bound import Bracket, Evidence, Witness
from lipop.core.digest import array_digest
from lipop.core.norms import DELTA, derivative_norm
from lipop.core.rule import RULES, leaf, leaf_rule, least, unknown
from lipop.errors import MissingData, ProofError


def network():
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((3, 4)), rng.standard_normal((4, 3))
    return lo.residual(0.5 * (lo.Affine(A) @ lo.tanh(4) @ lo.Affine(B)))


X = np.array([0.3, -0.2, 0.5])
BALL = lo.Ball(X, 0.1)


def roots():
    op = network()
    bracket = lo.lip(op, on=BALL)
    return [op.lip(BALL), bracket.upper, bracket.lower, op.lip(), op.image_bound(BALL)[0], op.branch.lip(BALL)]


def subjects(*bounds):
    return {n.claim.operator: n.subject for b in bounds for n in proof.nodes(b) if n.subject is not None}


def nodes_of(bound):
    return list(proof.nodes(bound))


def rebuilt(bound, target, **changes):
    """The DAG with one node changed, and all ids above it made consistent."""
    done = {}
    for node in proof.nodes(bound):
        premises = tuple(done[p.id] for p in node.premises)
        own = dict(changes) if node.id == target.id else {}
        done[node.id] = dataclasses.replace(node, **({"premises": premises} | own))
    return done[bound.id]


def caught(bound, target, source=None, **changes):
    """The forged proof fails, and the message names the forged node (or one that its change breaks above it)."""
    forged = rebuilt(bound, target, **changes)
    with pytest.raises(ProofError) as caught:
        proof.check(forged, source)
    named = [n for n in proof.nodes(forged) if n.id[:12] in str(caught.value)]
    assert named, caught.value
    assert f"({named[0].rule})" in str(caught.value)
    return named[0], str(caught.value)


# ---- honest proofs -------------------------------------------------------------------------------------------------


def test_proofs_check_and_say_what_they_rest_on():
    for b in roots():
        b.check()
        text = b.explain()
        assert text.startswith(str(b.claim))
        assert all(n.rule in text for n in proof.nodes(b))
        assert str(b).startswith(b.claim.quantity)
        assert float(b) == b.value


def test_nodes_come_before_their_conclusions_and_once():
    op = network()
    b = (op + op).lip(BALL)
    order = [n.id for n in proof.nodes(b)]
    assert len(order) == len(set(order))
    assert order[-1] == b.id
    place = {name: k for k, name in enumerate(order)}
    assert all(place[p.id] < place[n.id] for n in proof.nodes(b) for p in n.premises)
    assert "see above" in b.explain()


def test_a_proof_may_be_deep():
    op = lo.Linear(0.5 * np.eye(2))
    for _ in range(150):
        op = 1.0 * op
    b = op.lip()
    b.check()
    assert len(nodes_of(b)) == 151
    assert b.explain().count("\n") == 150
    assert proof.from_json(proof.to_json(b))[b.id].id == b.id


def test_bounds_pickle():
    for b in roots():
        again = pickle.loads(pickle.dumps(b))
        assert again.id == b.id
        again.check()


def test_json_is_plain_and_hex():
    b = roots()[1]
    text = json.dumps(proof.to_json(b), allow_nan=False, sort_keys=True)
    node = json.loads(text)[b.id]
    assert float.fromhex(node["value"]) == b.value
    assert node["rule"] == b.rule
    assert set(node["premises"]) <= set(json.loads(text))
    read = proof.from_json(json.loads(text), proof.arrays_of(b))[b.id]
    read.check(proof.Source(subjects(b)))
    with pytest.raises(MissingData, match="no operator with digest"):
        read.check()


def test_formulas_can_be_checked_without_redoing_leaves():
    b = roots()[0]
    read = proof.from_json(proof.to_json(b), proof.arrays_of(b))[b.id]
    proof.check(read, redo=False)


# ---- forged proofs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", range(6))
@pytest.mark.parametrize("factor", [0.5, 0.999, 1.001, 2.0, -1.0])
def test_a_changed_value_is_caught_at_its_node(k, factor):
    bound = roots()[k]
    for target in nodes_of(bound):
        wrong = target.value * factor
        if wrong == target.value:
            continue
        named, _ = caught(bound, target, value=wrong)
        forged = rebuilt(bound, target, value=wrong)
        index = [n.id for n in proof.nodes(bound)].index(target.id)
        assert named.id == [n.id for n in proof.nodes(forged)][index], "another node is blamed"


@pytest.mark.parametrize("step", [-1, 1])
def test_a_leaf_moved_to_the_next_grid_point_is_caught(step):
    """Tighter than the certificate by one grid step, or looser by sixteen."""
    for bound in roots():
        for target in (n for n in nodes_of(bound) if RULES[n.rule].leaf and n.value > 0):
            bits = RULES[target.rule].grid
            _, exponent = math.frexp(target.value)
            away = step if target.claim.side == "upper" else -step
            wrong = target.value + (away if step < 0 else 16 * away) * math.ldexp(1.0, exponent - bits)
            _, message = caught(bound, target, value=wrong)
            assert "certificate" in message or "witness" in message or "re-evaluation" in message


@pytest.mark.parametrize("k", range(6))
def test_a_changed_rule_is_caught(k):
    bound = roots()[k]
    for target in nodes_of(bound):
        for other in ("sum@1", "expansion.trivial@1", "lip.claimed@1", "unknown@1", "residual.sum@1", "nothing@7"):
            if other != target.rule:
                caught(bound, target, rule=other)


@pytest.mark.parametrize("k", range(6))
def test_a_changed_region_is_caught(k):
    bound = roots()[k]
    wide = lo.Ball(X, 10.0)
    for target in nodes_of(bound):
        if isinstance(target.claim.region, lo.Everywhere) or target.claim.side == "lower":
            continue
        if target.claim.quantity == "deviation" and isinstance(target.subject, lo.Affine):
            continue  # zero on every ball: still true
        caught(bound, target, claim=dataclasses.replace(target.claim, region=wide))


@pytest.mark.parametrize(
    "change", [{"quantity": "expansion"}, {"side": "lower"}, {"norm_in": "linf"}, {"norm_out": "l1"}]
)
@pytest.mark.parametrize("k", range(6))
def test_a_changed_claim_is_caught(k, change):
    bound = roots()[k]
    for target in nodes_of(bound):
        if any(getattr(target.claim, key) == value for key, value in change.items()):
            change = {"side": "upper"}
        caught(bound, target, claim=dataclasses.replace(target.claim, **change))


@pytest.mark.parametrize("k", range(6))
def test_another_operator_in_a_claim_is_caught(k):
    bound = roots()[k]
    other = lo.tanh(3)
    for target in nodes_of(bound):
        caught(bound, target, claim=dataclasses.replace(target.claim, operator=other.digest))
        if target.subject is not None:
            _, message = caught(bound, target, subject=other)
            assert "digest" in message


@pytest.mark.parametrize("k", range(6))
def test_changed_evidence_is_caught(k):
    bound = roots()[k]
    claims = (Evidence(proven=False), Evidence(rounded=False), Evidence(assumes=frozenset({"trust me"})))
    for target in nodes_of(bound):
        for evidence in claims:
            if evidence != target.evidence:
                caught(bound, target, evidence=evidence)


@pytest.mark.parametrize("k", range(6))
def test_missing_or_foreign_premises_are_caught(k):
    bound = roots()[k]
    stray = lo.relu(3).lip()
    for target in nodes_of(bound):
        if target.premises:
            caught(bound, target, premises=target.premises[:-1])
            caught(bound, target, premises=(*target.premises[:-1], stray))
        caught(bound, target, premises=(*target.premises, stray))


@pytest.mark.parametrize("k", range(6))
def test_malformed_parameters_are_caught(k):
    bound = roots()[k]
    for target in nodes_of(bound):
        if not RULES[target.rule].leaf:
            caught(bound, target, params={"n": None, "c": "text", "groups": 3, "radius": []})
            caught(bound, target, params=dict(target.params) | {"extra": 1.0})


def test_changed_witnesses_are_caught():
    op = network()
    bracket = lo.lip(op, on=BALL)
    low = bracket.lower
    x, v = low.witness.arrays["x"], low.witness.arrays["v"]
    flipped = np.array([v[1], -v[0], 0.0])
    for arrays in ({"x": x, "v": flipped}, {"x": x + 1.0, "v": v}, {"x": x}, {"v": v}):
        caught(low, low, witness=Witness("direction", arrays))
    caught(low, low, witness=None)


def test_a_float_evaluation_cannot_pass_as_proved():
    """An operator without rounding bounds gives WITNESSED lower ends; renaming the rule does not prove them."""
    space = lo.Space(2)
    f = lo.FunctionOperator(space, space, np.sin, lambda x, v: np.cos(x) * v, lambda x, u: np.cos(x) * u, name="s")
    low = lo.lip(f, at=np.zeros(2)).lower
    assert low.status == "WITNESSED"
    assert low.rule == "lip.direction.float@1"
    caught(low, low, rule="lip.direction@1", evidence=Evidence())
    from lipop.core.norms import pair_bound

    pair = pair_bound(f, np.zeros(2), np.ones(2), lo.Everywhere())
    assert pair.status == "WITNESSED"
    caught(pair, pair, rule="lip.pair@1", evidence=Evidence())


def test_the_failure_probability_of_a_trial_cannot_be_chosen():
    rng = np.random.default_rng(0)
    op = lo.Linear(rng.standard_normal((700, 620)))
    b = derivative_norm(op, rng.standard_normal(620))
    assert b.status == f"PROBABLE({DELTA:.2g})"
    b.check()
    forged = dict(b.params) | {"delta": 1e-30}
    trials = frozenset({(b.params["seed"], 1e-30)})
    _, message = caught(b, b, params=forged, evidence=Evidence(trials=trials))
    assert "fails with probability" in message


def test_trials_are_kept_by_the_minimum():
    rng = np.random.default_rng(0)
    op = lo.Linear(rng.standard_normal((700, 620)))
    x = rng.standard_normal(620)
    tight, loose = derivative_norm(op, x, seed=1), derivative_norm(op, x, seed=2)
    best = least(tight, loose)
    assert best.evidence.trials == tight.evidence.trials | loose.evidence.trials
    assert best.evidence.delta == pytest.approx(2 * DELTA)
    best.check()


# ---- forged files --------------------------------------------------------------------------------------------------


def written():
    b = roots()[1]
    return b, json.loads(json.dumps(proof.to_json(b))), proof.arrays_of(b)


def test_a_node_whose_id_is_not_its_digest_is_refused():
    b, nodes, arrays = written()
    nodes[b.id]["value"] = (2.0).hex()
    with pytest.raises(ProofError, match=f"node {b.id[:12]}: the id is not the digest"):
        proof.from_json(nodes, arrays)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n: n.pop("claim"),
        lambda n: n.update(value="not a number"),
        lambda n: n.update(value=3.0),
        lambda n: n.update(premises="abc"),
        lambda n: n.update(evidence={}),
        lambda n: n.update(params=[1]),
        lambda n: n["claim"].update(region={"kind": "hole"}),
        lambda n: n["claim"].update(region={"kind": "ball", "radius": "0x1p-3", "norm": "l2", "center": "x"}),
        lambda n: n["claim"].update(region=None),
        lambda n: n.update(witness={"kind": "pair", "arrays": 3}),
    ],
)
def test_malformed_nodes_are_refused_by_name(spoil):
    b, nodes, arrays = written()
    spoil(nodes[b.id])
    with pytest.raises(ProofError, match=f"node {b.id[:12]}"):
        proof.from_json(nodes, arrays)


def test_missing_nodes_and_cycles_are_refused():
    b, nodes, arrays = written()
    lost = copy.deepcopy(nodes)
    lost.pop(b.premises[0].id)
    with pytest.raises(ProofError, match=f"node {b.premises[0].id[:12]} is missing"):
        proof.from_json(lost, arrays)
    nodes[b.premises[0].id]["premises"] = [b.id]
    with pytest.raises(ProofError, match="refers to itself"):
        proof.from_json(nodes, arrays)


def test_arrays_are_checked_by_digest():
    _, nodes, arrays = written()
    sha = next(iter(arrays))
    with pytest.raises(ProofError, match=r"node .* does not have the digest"):
        proof.from_json(nodes, arrays | {sha: arrays[sha] + 1})


def test_array_references():
    x = np.arange(3.0)
    sha = array_digest(x)
    assert proof.ArrayRef("x", sha, (3,), "<f8", lambda: x).resolve() is x
    with pytest.raises(MissingData, match="has no source"):
        proof.ArrayRef("x", sha, (3,), "<f8").resolve()
    with pytest.raises(ProofError, match="does not have the digest"):
        proof.ArrayRef("x", sha, (3,), "<f8", lambda: x + 1).resolve()


# ---- statements ----------------------------------------------------------------------------------------------------


def test_status_says_the_weakest_link():
    assert Evidence().status("upper") == "PROVED"
    assert Evidence(rounded=False).status("lower") == "WITNESSED"
    assert Evidence(rounded=False).status("upper") == "ESTIMATED"
    assert Evidence(proven=False).status("lower") == "ESTIMATED"
    assert Evidence(assumes=frozenset({"b", "a"})).status("upper") == "CONDITIONAL(a, b)"
    trials = frozenset({(1, 1e-9), (2, 1e-9)})
    assert Evidence(trials=trials).status("upper") == "PROBABLE(2e-09)"
    both = Evidence(trials=trials) | Evidence(trials=frozenset({(2, 1e-9), (3, 1e-9)}), rounded=False)
    assert both.delta == pytest.approx(3e-9)
    assert not both.rounded
    assert Evidence.read(both.describe()) == both


def test_unknown_bounds_say_why_and_state_nothing():
    claim = lo.relu(2).claim("lip", lo.Everywhere())
    b = unknown(claim, "nobody knows")
    assert (b.value, b.status, b.known) == (math.inf, "UNKNOWN", False)
    assert "nobody knows" in str(b.params)
    b.check()
    for side, quantity, value in (("lower", "lip", 0.0), ("lower", "dahlquist", -math.inf)):
        c = dataclasses.replace(claim, side=side, quantity=quantity)
        low = unknown(c, "")
        assert low.value == value
        low.check()
        with pytest.raises(ProofError, match="must not state a number"):
            dataclasses.replace(low, value=0.5 if quantity == "lip" else 0.0).check()
    with pytest.raises(ProofError, match="must not state a number"):
        dataclasses.replace(b, value=3.0).check()


def test_a_stated_constant_is_estimated_everywhere_above():
    space = lo.Space(2)
    f = lo.FunctionOperator(space, space, np.sin, lip=1.0, name="sin")
    for op in (f, 2.0 * f, lo.residual(f), f @ lo.tanh(2)):
        assert op.lip().status == "ESTIMATED"
        op.lip().check()
    with pytest.raises(ProofError):
        rebuilt(f.lip(), f.lip(), evidence=Evidence()).check()


def test_brackets():
    a = lo.lip(lo.Diagonal(np.array([2.0, 1.0])))
    assert 1 <= a.ratio < 1 + 1e-6
    assert Bracket(unknown(a.lower.claim, ""), a.upper).ratio == math.inf


def test_rules_are_new_and_versioned():
    with pytest.raises(ValueError, match="must be new"):
        leaf_rule("lip.own@1", reference="again", grid=30, quantity="lip", side="upper")
    with pytest.raises(ValueError, match="needs a version"):
        leaf_rule("lip.own", reference="again", grid=30, quantity="lip", side="upper")


LATEX = """
import numpy as np, lipop as lo, sympy
from sympy.external.gmpy import GROUND_TYPES
op = lo.relax(lo.residual(0.5 * lo.tanh(2)) @ lo.Linear(np.array([[1.0, 2.0], [0.0, 1.0]])), 0.25) ** 2
b = op.lip(lo.Ball(np.ones(2), 0.5))
b.check()
print(GROUND_TYPES)
print(b.latex())
"""


@pytest.mark.parametrize("ground", ["python", "flint"])
def test_latex_and_checks_work_with_either_ground_types_of_sympy(ground):
    env = os.environ | {"SYMPY_GROUND_TYPES": ground}
    done = subprocess.run([sys.executable, "-c", LATEX], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == ground
    assert rest[0] == "\\begin{align*}"
    assert rest[-1] == "\\end{align*}"
    formulas = "\n".join(rest)
    assert "\\sqrt" in formulas
    assert "\\text{residual@1}" in formulas


def test_two_questions_must_not_share_a_trial():
    """Their failure probabilities would be counted once."""
    rng = np.random.default_rng(0)
    A, B = (lo.Linear(rng.standard_normal((4, 4))) for _ in range(2))

    def trial(op, seed, steps):
        claim = op.claim("op_norm", lo.Ball(np.zeros(4), 0.0))
        return leaf("norm.lanczos@1", claim, 9.0, op, seed=seed, delta=DELTA, steps=steps)

    proof.check_trials([trial(A, 1, 3), trial(B, 2, 3), trial(A, 1, 4)])  # one start vector serves any number of steps
    with pytest.raises(ProofError, match="its seed is that of a trial about something else"):
        proof.check_trials([trial(A, 1, 3), trial(B, 1, 3)])
