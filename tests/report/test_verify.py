"""A true report verifies; every forgery is refused, also when all digests and ids are recomputed."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from lipop import Ball
from lipop.core import proof
from lipop.core.bound import Claim, Evidence, Witness
from lipop.core.rule import unknown
from lipop.errors import LipopError, ProofError, ReportError
from lipop.report import files, limit
from lipop.report.probe import fresh_lower
from lipop.report.verify import verify
from tests.report.forgeries import FORGERIES, block, block_removed
from tests.report.toy import ToyModel

# ---- the true report ----


def test_a_true_report_verifies(report):
    result = verify(report, ToyModel())
    data = json.loads(report.read_text())
    assert (result.blocks, result.nodes, result.complete) == (3, len(data["proofs"]), True)
    assert result.redone == result.leaves > 50
    assert result.probed > 0
    assert result.skipped == 0
    assert "fast" not in str(result)


def test_fast_says_what_it_skipped(report):
    result = verify(report, ToyModel(), fast=True)
    assert 0 < result.skipped == result.leaves - result.redone
    assert f"{result.skipped} upper certificates NOT redone (fast)" in str(result)


def test_the_text_is_checked_where_it_is_given(report):
    verify(report, ToyModel(), text="lip", fast=True)
    with pytest.raises(ReportError, match=r"input\.text_sha256"):
        verify(report, ToyModel(), text="lop", fast=True)


def test_rehashing_an_unchanged_report_changes_nothing(forgery, report):
    before = json.loads(report.read_text())
    forgery.propagate().rehash().write()
    assert forgery.data == before
    verify(report, ToyModel(), fast=True)


# ---- forgeries ----


REFUSALS = {
    "displayed": r"blocks\[0\]\.jacobian\.upper: .*node [0-9a-f]{12} \(linearize@1\)",
    "displayed_lower": r"blocks\[2\]\.ball\[1\]\.lower: .*node [0-9a-f]{12}",
    "displayed_integer": r"node [0-9a-f]{12} \(linearize@1\)",
    "leaf_up": r"node [0-9a-f]{12} \(norm\.cholesky@1\): .*looser",
    "leaf_down": r"node [0-9a-f]{12} \(norm\.cholesky@1\): .*above the stated",
    "witness_value_up": r"node [0-9a-f]{12} \(norm\.vector@1\): .*below the stated",
    "leaf_off_grid": r"node [0-9a-f]{12} \(norm\.cholesky@1\): .*grid",
    "deep_leaf_down": r"node [0-9a-f]{12} \(norm\.dense@1\): .*above the stated",
    "deep_leaf_up": r"node [0-9a-f]{12} \(deviation\.compose@1\): the premises do not support",  # images grow
    "inner_up": r"node [0-9a-f]{12} \(linearize@1\): .*re-evaluation",
    "inner_down": r"node [0-9a-f]{12} \(linearize@1\): .*re-evaluation",
    "inner_last_bit": r"node [0-9a-f]{12} \(linearize@1\): .*re-evaluation",
    "infinite": r"node [0-9a-f]{12} \(linearize@1\): .*re-evaluation",
    "rule_of_leaf": r"node [0-9a-f]{12} \(norm\.cholesky@1\)",
    "rule_of_inner": r"node [0-9a-f]{12} \(sum@1\): the premises do not support",
    "rule_unknown": r"node [0-9a-f]{12} \(wishful\.thinking@1\): there is no such rule",
    "premises_exchanged": r"node [0-9a-f]{12} \(linearize@1\): the premises do not support",
    "premise_of_another_block": r"node [0-9a-f]{12} \(linearize@1\): the premises do not support",
    "premise_dropped": r"node [0-9a-f]{12} \(linearize@1\): the premises do not support",
    "parameter": r"node [0-9a-f]{12} \(dahlquist\.lanczos@1\): .*its parameter seed is of type int, found 'many'",
    "parameter_added": r"node [0-9a-f]{12} \(lip\.direction@1\): .*its parameters are \[\], found \['steps'\]",
    "parameter_added_to_trial": r"node [0-9a-f]{12} \(dahlquist\.lanczos@1\): .*found \['delta', 'rtol', 'seed',",
    "parameter_of_formula": r"node [0-9a-f]{12} \(linearize@1\): the parameters do not fit",
    "parameter_retyped": r"node [0-9a-f]{12} \(dahlquist\.lanczos@1\): .*parameter seed is of type int, found \d",
    "witness_with_more": r"node [0-9a-f]{12} \(lip\.direction@1\): its witness is not of the kind 'direction'",
    "witness_of_an_upper_end": r"node [0-9a-f]{12} \(norm\.cholesky@1\): its witness is not of the kind ''",
    "witness_renamed": r"node [0-9a-f]{12} \(lip\.direction@1\): its witness is not of the kind 'direction'",
    "seed_of_evidence": r"node [0-9a-f]{12} \(dahlquist\.lanczos@1\): the evidence",
    "region_radius": r"node [0-9a-f]{12} \(linearize@1\): the premises do not support",
    "region_radius_everywhere": r"blocks\[0\]\.ball\[0\]\.relative",
    "relative_label": r"blocks\[0\]\.ball",
    "relative_label_and_setting": r"blocks\[0\]\.ball\[0\]\.relative",
    "balls_exchanged": r"blocks\[0\]\.ball\[0\]\.(lower|upper): .*displayed is",
    "region_array": r"blocks\[0\]\.x0: .*activation",
    "witness_array": r"node [0-9a-f]{12} \(norm\.vector@1\): .*below the stated",
    "witness_outside": r"node [0-9a-f]{12} \(lip\.direction@1\): .*outside the region",
    "array_changed": r"array [0-9a-f]{12} does not have the digest",
    "array_missing": r"node [0-9a-f]{12}.* array .* is missing",
    "array_added": r"array [0-9a-f]{12}: neither",
    "evidence_upgraded": r"node [0-9a-f]{12} \(dahlquist\.lanczos@1\): the evidence",
    "evidence_upgraded_above": r"node [0-9a-f]{12} \(linearize@1\): the evidence",
    "probable_called_proved": r"node [0-9a-f]{12} \((symmax\.cholesky@1\)|linearize@1\): the evidence)",
    "status_text": r"blocks\[0\]\.residuals\[0\]\.dahlquist\.status: .*node [0-9a-f]{12}",
    "status_lower": r"blocks\[0\]\.jacobian\.lower_status: .*node [0-9a-f]{12}",
    "node_removed": r"blocks\[0\]\.jacobian\.upper: its proof node [0-9a-f]{12} is not in the report",
    "premise_removed": r"node [0-9a-f]{12} is missing",
    "node_added": r"node [0-9a-f]{12} \(norm\.cholesky@1\): no displayed number rests on it",
    "node_field": r"proofs\.[0-9a-f]{64}: .*note",
    "blocks_exchanged": r"blocks\[0\]\.index",
    "blocks_exchanged_and_renumbered": r"blocks\[0\]\.operator",
    "block_removed": r"complete: True, but 2 blocks",
    "block_twice": r"blocks\[1\]\.index",
    "weights_of_another_block": r"blocks\[0\]\.weights\[0\]\.norm\.lower: its node [0-9a-f]{12}.*operator",
    "weight_renamed": r"blocks\[0\]\.weights",
    "weight_reshaped": r"blocks\[0\]\.weights\[0\]\.shape",
    "weight_left_out": r"blocks\[2\]\.weights",
    "branch_left_out": r"blocks\[2\]\.residuals",
    "branch_as_sum": r"blocks\[0\]\.residuals\[0\]\.lip_sum\.lower: its node [0-9a-f]{12}.*operator",
    "dahlquist_as_lip": r"blocks\[0\]\.residuals\[0\]\.lip_branch\.lower: its node [0-9a-f]{12}.*about dahlquist",
    "lower_as_upper": r"blocks\[0\]\.jacobian\.upper: its node [0-9a-f]{12}.*other side",
    "point_as_ball": r"blocks\[0\]\.ball\[1\]\.upper: its node [0-9a-f]{12}.*holds on",
    "shell_wider": r"blocks\[0\]\.shell\.upper: its node [0-9a-f]{12}.*holds on",
    "model_sha": r"model\.sha256",
    "model_family": r"model\.family",
    "tokens_changed": r"input\.sha256",
    "tokens_changed_with_digest": r"blocks\[0\]\.x0: .*activation",
    "token_outside": r"input\.ids",
    "size_of_input": r"blocks\[0\]\.norm",
    "answer": r"limit\.answer",
    "increment": r"limit\.diagnosis\[1\]\.increment",
    "successive": r"limit\.diagnosis\[1\]\.successive",
    "idempotency": r"limit\.diagnosis\[0\]\.idempotency",
    "effective_rank": r"limit\.diagnosis\[2\]\.effective_rank",
    "final_motion": r"limit\.diagnosis\[1\]\.fixed",
    "final_projection": r"limit\.diagnosis\[1\]\.projection",
    "covering": r"limit\.diagnosis\[0\]\.covering",
    "measure_left_out": r"limit\.diagnosis\[1\]\.turn",
    "delta": r"limit\.diagnosis\[1\]\.delta",
    "onset": r"limit\.summary\.onset",
    "log_growth": r"limit\.summary\.log_growth",
    "law": r"limit\.summary\.decay\.step",
    "residual_claimed": r"limit\.summary\.residual",
    "summary_left_out": r"limit\.evidence",
    "evidence_text": r"limit\.evidence",
    "diagnosis_number": r"limit\.diagnosis",
    "incomplete": r"complete: False",
}
NOT_BY_DIGEST = {
    "node_field",
    "array_changed",
    "array_missing",
    "array_added",
}  # by the schema, or not in the JSON


@pytest.mark.parametrize("name", FORGERIES)
def test_a_consistent_forgery_is_refused(name, forgery):
    """Node ids, references and the report's digest are recomputed: only the mathematics is left to refuse it."""
    FORGERIES[name](forgery)
    path = forgery.rehash().write()
    with pytest.raises((ReportError, ProofError), match=REFUSALS[name]):
        verify(path, ToyModel())


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "digest recomputed"])
def test_a_plain_forgery_is_refused(name, sealed, forgery):
    FORGERIES[name](forgery)
    path = forgery.write(seal=sealed)
    with pytest.raises((ReportError, ProofError)) as caught:
        verify(path, ToyModel())
    pattern = r"node [0-9a-f]{12}|array [0-9a-f]{12}|blocks\[|limit\.|model\.|input\.|complete|proofs\."
    if not sealed and name not in NOT_BY_DIGEST:
        pattern = "digest: the content does not have"
    assert re.search(pattern, str(caught.value))


@pytest.mark.parametrize("seal", [False, True], ids=["its sha256 differs", "its sha256 patched"])
def test_a_changed_weight_is_refused(seal, forgery):
    model = ToyModel(change=1e-9)
    if seal:
        forgery.data["model"]["sha256"] = model.digest
        forgery.rehash().write()
    pattern = r"blocks\[2\]\.operator" if seal else r"model\.sha256"
    with pytest.raises(ReportError, match=pattern):
        verify(forgery.path, model)


def test_a_changed_weight_is_refused_even_if_the_entry_is_patched(forgery):
    model = ToyModel(change=1e-3)
    forgery.data["model"]["sha256"] = model.digest
    block(forgery, 2)["operator"] = model.blocks[2].digest
    forgery.rehash().write()
    with pytest.raises(ReportError, match=r"blocks\[2\]\.weights\[0\]\.norm\.lower: its node [0-9a-f]{12}.*operator"):
        verify(forgery.path, model)


def test_a_probable_bound_below_a_fresh_lower_value_is_refused(report, monkeypatch):
    """With every certificate believed, the fresh run alone refuses a probable bound that is too small."""
    name, node = next((k, n) for k, n in json.loads(report.read_text())["proofs"].items() if n["evidence"]["trials"])
    monkeypatch.setattr(proof, "check_leaf", lambda bound, source: None)
    assert verify(report, ToyModel()).probed > 0
    monkeypatch.setattr("lipop.report.verify.fresh_lower", lambda subject, claim, seed: 1e9)
    with pytest.raises(ProofError, match=r"node [0-9a-f]{12} .*below the fresh lower value"):
        verify(report, ToyModel())
    assert node["rule"].endswith("lanczos@1")
    assert len(name) == 64


def test_an_unknown_bound_rests_on_nothing():
    claim = Claim("lip", "upper", "0" * 64)
    none = unknown(claim, "no rule applies")
    proof.check_node(none)
    changes = [
        {"params": {"reason": "no rule applies", "but": "trust me"}},
        {"params": {"reason": 1}},
        {"premises": (none,)},
        {"evidence": Evidence(trials=frozenset({(1, 1e-9)}))},
        {"value": 3.0},
        {"witness": Witness("vector", {"v": np.ones(3)})},
    ]
    for change in changes:
        with pytest.raises(ProofError, match=r"node [0-9a-f]{12} \(unknown@1\)"):
            proof.check_node(dataclasses.replace(none, **change))


def test_fresh_lower_values_reach_the_truth():
    model = ToyModel()
    x = model.embed(text="lip")
    op = model.blocks[2]
    claim = Claim("op_norm", "upper", op.digest, Ball(x, 0.0))
    one_sided = Claim("dahlquist", "upper", op.digest, Ball(x, 0.0))
    dense = op.derivative(x).to_dense()
    norm = np.linalg.norm(dense, 2)
    top = np.linalg.eigvalsh((dense + dense.T) / 2)[-1]
    for seed in range(20):
        assert norm * (1 - 1e-6) < fresh_lower(op, claim, seed) <= norm
        assert top - 1e-6 < fresh_lower(op, one_sided, seed) <= top


def test_a_witness_found_elsewhere_in_the_ball_is_accepted(forgery):
    """Lower bounds on a smaller region hold on a larger one: the larger ball may show the smaller one's witness."""
    small, large = block(forgery)["ball"]
    for key in ("lower", "lower_proof", "lower_status"):
        large[key] = small[key]
    verify(forgery.prune().rehash().write(), ToyModel(), fast=True)


def test_an_interrupted_report_verifies_and_says_so(forgery):
    block_removed(forgery)
    forgery.data["complete"] = False
    increments = [limit.measured(d) for d in forgery.data["limit"]["diagnosis"]]
    forgery.data["limit"] = limit.section(3, forgery.data["blocks"], increments)
    forgery.rehash()
    used = {sha for b in forgery.data["blocks"] for sha in (b["x0"], *(r["point"] for r in b["residuals"]))}
    bounds = proof.from_json(forgery.data["proofs"], forgery.arrays)
    used |= proof.arrays_of(*bounds.values()).keys()
    forgery.arrays = {k: v for k, v in forgery.arrays.items() if k in used}
    result = verify(forgery.write(), ToyModel())
    assert not result.complete
    assert "INCOMPLETE" in str(result)


def test_a_report_without_summary_still_verifies(forgery):
    """As earlier versions wrote it: four measures, the trends of three, nothing else."""
    kept = ("increment", "idempotency", "effective_rank", "successive")
    stated, blocks = forgery.data["limit"], forgery.data["blocks"]
    old = [{key: d[key] for key in kept} for d in stated["diagnosis"]]
    forgery.data["limit"] = limit.section(3, blocks, old, summary=False)
    assert len(forgery.data["limit"]["evidence"]) == 5
    assert verify(forgery.rehash().write(), ToyModel()).complete
    forgery.data["limit"]["diagnosis"][1]["increment"] *= 0.5
    with pytest.raises(ReportError, match=r"limit\.diagnosis\[1\]\.increment"):
        verify(forgery.write(), ToyModel())


@pytest.mark.parametrize("seed", range(20))
def test_any_node_value_moved_by_one_unit_in_the_last_place_is_refused(seed, forgery):
    """Whichever node it is, and although everything that displays or names it follows."""
    rng = np.random.default_rng(seed)
    names = sorted(forgery.data["proofs"])
    name = names[rng.integers(len(names))]
    value = float.fromhex(forgery.node(name)["value"])
    forgery.set_value(name, np.nextafter(value, rng.choice([-np.inf, np.inf])) if value else 1e-300)
    forgery.rehash().write()
    with pytest.raises((ReportError, ProofError), match=r"node [0-9a-f]{12}"):
        verify(forgery.path, ToyModel())


def test_every_refusal_is_a_lipop_error():
    assert all(issubclass(e, LipopError) for e in (ReportError, ProofError))
    assert REFUSALS.keys() == FORGERIES.keys()
    assert not set(itertools.chain(files.VOLATILE)) & {"blocks", "proofs", "model", "input", "limit"}
