"""The independent checker accepts true reports and refuses every forgery; what it only trusts is named here."""

import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from lipop.core.rounding import grid_up
from lipop.report import limit
from tests.checker.fresh import FRESH
from tests.checker.script import FOLDER, model, rules, script
from tests.report.forgeries import FORGERIES, find
from tests.report.toy import Forgery

SMALL = {  # what is trusted of small blocks, and why
    "deviation.own@1": "a supremum of second derivatives over a ball",
    "deviation.chain.attention@1": "the same, for attention",
    "deviation.chain.rows@1": "the same at one point: rounding of the stored derivative",
    "deviation.chain.tail@1": "the same behind attention, by a Lanczos trial",
    "lip.own@1": "a theorem about an operator on a shell or everywhere",
    "dahlquist.own@1": "the same",
    "token_norm.own@1": "the same",
    "distance.forward@1": "a rigorous enclosure of the forward pass",
}
FACTORS = {"norm.dense@1": "of one factor of a branch: only blocks and branches are replayed"}
LARGE = {
    "norm.lanczos@1": "a derivative of more columns than are assembled here, and it holds but for a probability",
    "dahlquist.lanczos@1": "the same",
}
PLACE = r"node [0-9a-f]{12}|array [0-9a-f]{12}|blocks\[|limit|model|input|complete|the report|arrays\.npz"


@pytest.fixture
def forgery(bert, tmp_path):
    """The BERT report, free to change."""
    for f in bert.report.parent.glob("report.*"):
        shutil.copy(f, tmp_path / f.name)
    return Forgery(tmp_path / "report.json")


def trusted(done):
    """How many leaves of each rule were trusted."""
    names = [name.partition("(")[2].removesuffix(")") for name, how in done.redone.items() if how == "trusted"]
    return Counter(names)


# ---- true reports ----


def test_a_report_about_bert_is_accepted(bert):
    done = script.check(bert.report, bert.model)
    data = json.loads(bert.report.read_text())
    found = Counter(n["rule"] for n in data["proofs"].values())
    assert len(done.nodes) == len(data["proofs"])
    assert len(done.redone) == sum(found[rule] for rule in rules.LEAVES)
    how = Counter(done.redone.values())
    assert (
        how["proved"]
        == found["norm.vector@1"] + found["norm.cholesky@1"]
        == 2 * sum(len(b["weights"]) for b in data["blocks"])
    )
    replayed = ("lip.direction@1", "dahlquist.direction@1", "norm.dense@1", "dahlquist.lanczos@1")
    assert how["replayed"] == sum(found[rule] for rule in replayed)
    assert trusted(done) == {rule: found[rule] for rule in SMALL if found[rule]}


def test_a_report_about_llama_is_accepted(llama):
    done = script.check(llama.report, llama.model)
    assert {"image.ball@1", "deviation.compose@1", "compose@1"} <= {n.rule for n in done.nodes.values()}
    assert FACTORS.keys() <= trusted(done).keys() <= SMALL.keys() | FACTORS.keys()


def test_a_report_about_minilm_is_accepted(minilm):
    done = script.check(minilm.report, minilm.model)
    assert LARGE.keys() <= trusted(done).keys() <= SMALL.keys() | LARGE.keys()
    assert Counter(done.redone.values())["proved"] == 2 * 30


def test_it_needs_nothing_of_lipop(bert):
    """The script runs where nothing but NumPy and python-flint can be imported."""
    guard = (
        "import runpy, sys\n"
        "class Guard:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        allowed = {*sys.stdlib_module_names, 'numpy', 'flint'}\n"
        "        if name.partition('.')[0] not in allowed and not name.startswith('lipop_check_'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "sys.argv = sys.argv[2:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    files = [FOLDER, FOLDER / "lipop_check.py", bert.report, bert.model]
    done = subprocess.run([sys.executable, "-c", guard, *map(str, files)], capture_output=True, text=True, check=True)
    assert "trusted" in done.stdout.splitlines()[-1]
    changed = [*files[:3], bert.report.parent]
    done = subprocess.run([sys.executable, "-c", guard, *map(str, changed)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: ")


def test_every_file_is_short():
    assert {f.name: n for f in FOLDER.glob("*.py") if (n := len(f.read_text().splitlines())) >= 300} == {}


# ---- forgeries ----


@pytest.mark.parametrize("name", [*FORGERIES, *FRESH])
def test_a_consistent_forgery_is_refused(name, forgery, bert):
    """Node ids, references and the report's digest are recomputed."""
    (FORGERIES | FRESH)[name](forgery)
    path = forgery.rehash().write()
    with pytest.raises(script.Refused, match=PLACE):
        script.check(path, bert.model)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_plain_forgery_is_refused(name, forgery, bert):
    FORGERIES[name](forgery)
    with pytest.raises(script.Refused):
        script.check(forgery.write(), bert.model)


def test_without_a_new_digest_a_forgery_is_refused_at_once(forgery, bert):
    FORGERIES["displayed"](forgery)
    with pytest.raises(script.Refused, match=r"^digest"):
        script.check(forgery.write(seal=False), bert.model)


def test_rehashing_an_unchanged_report_changes_nothing(forgery, bert):
    script.check(forgery.propagate().rehash().write(), bert.model)


@pytest.mark.parametrize("seed", range(12))
def test_any_node_value_moved_by_one_unit_in_the_last_place_is_refused(seed, forgery, bert):
    rng = np.random.default_rng(seed)
    names = sorted(forgery.data["proofs"])
    name = names[rng.integers(len(names))]
    value = float.fromhex(forgery.node(name)["value"])
    forgery.set_value(name, np.nextafter(value, rng.choice([-np.inf, np.inf])) if value else 1e-300)
    forgery.rehash().write()
    with pytest.raises(script.Refused, match=r"node [0-9a-f]{12}"):
        script.check(forgery.path, bert.model)


@pytest.mark.parametrize("patched", [False, True])
def test_a_changed_weight_is_refused(patched, forgery, bert, tmp_path):
    folder = shutil.copytree(bert.model, tmp_path / "model")
    weights = folder / "model.safetensors"
    with open(weights, "r+b") as f:
        view = model.Model(folder).tensors["encoder.layer.1.intermediate.dense.weight"][2]
        f.seek(view.offset if hasattr(view, "offset") else 0)
        data = bytearray(weights.read_bytes())
        at = data.find(view.tobytes())
        f.seek(at + 3)  # sign and exponent of the first entry
        f.write(bytes([data[at + 3] ^ 0x80]))
    if patched:
        forgery.data["model"]["sha256"] = model.Model(folder).digest
    with pytest.raises(script.Refused, match=r"blocks\[1\]" if patched else "model"):
        script.check(forgery.rehash().write(), folder)


def test_a_leaf_that_is_trusted_passes_if_nothing_contradicts_it(forgery, bert):
    """The limit of this checker: a smaller deviation is believed, and named."""
    name = find(forgery, "deviation.chain.attention@1", forgery.data["blocks"][2]["ball"][1]["proof"])
    forgery.set_value(name, grid_up(0.9 * float.fromhex(forgery.node(name)["value"]), 24))
    done = script.check(forgery.propagate().rehash().write(), bert.model)
    assert trusted(done)["deviation.chain.attention@1"] > 0


def test_a_trusted_leaf_is_refused_if_a_derivative_contradicts_it(forgery, bert):
    """Constants of the parts that would make a block's bound on its shell smaller than its derivative."""
    for name, node in forgery.data["proofs"].items():
        if node["rule"] in ("lip.own@1", "dahlquist.own@1"):
            forgery.set_value(name, 2.0**-20)
    with pytest.raises(script.Refused, match="a derivative there"):
        script.check(forgery.propagate().rehash().write(), bert.model)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"complete": true', '"complete": true, "complete": true'), ('"seconds": ', '"seconds": NaN, "other": ')],
)
def test_loose_json_is_refused(old, new, forgery, bert):
    path = forgery.write()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(script.Refused, match="JSON"):
        script.check(path, bert.model)


@pytest.mark.parametrize("save", ["compressed", "doubled", "wide"])
def test_other_archives_are_refused(save, forgery, bert):
    path = forgery.write()
    file = path.with_name("report.arrays.npz")
    if save == "doubled":
        import zipfile

        with zipfile.ZipFile(file, "a") as z, pytest.warns(UserWarning, match="Duplicate"):
            z.writestr(z.namelist()[0], z.read(z.namelist()[0]))
    elif save == "compressed":
        np.savez_compressed(file, **forgery.arrays)
    else:
        np.savez(file, **{k: x.astype(np.float32) for k, x in forgery.arrays.items()})
    with pytest.raises(script.Refused, match="arr"):
        script.check(path, bert.model)


def test_an_interrupted_report_is_accepted_and_says_so(bert, tmp_path):
    """Blocks left out at the end, with everything that rests on them."""
    for f in bert.report.parent.glob("report.*"):
        shutil.copy(f, tmp_path / f.name)
    forgery = Forgery(tmp_path / "report.json")
    FORGERIES["block_removed"](forgery)
    forgery.data["complete"] = False
    increments = [limit.measured(d) for d in forgery.data["limit"]["diagnosis"]]
    forgery.data["limit"] = limit.section(3, forgery.data["blocks"], increments)
    text = json.dumps(forgery.data)
    forgery.arrays = {k: x for k, x in forgery.arrays.items() if k in text}
    done = script.check(forgery.rehash().write(), bert.model)
    assert not done.data["complete"]


@pytest.mark.parametrize("change", ["overlap", "gap", "truncated", "name twice", "config"])
def test_damaged_weights_are_refused(change, bert, tmp_path):
    folder = shutil.copytree(bert.model, tmp_path / "model")
    path = folder / "model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    entries = sorted((t for k, t in header.items() if k != "__metadata__"), key=lambda t: t["data_offsets"])
    text = json.dumps(header)
    if change == "overlap":
        entries[1]["data_offsets"] = entries[0]["data_offsets"]
        text = json.dumps(header)
    elif change == "name twice":
        name = next(k for k in header if k != "__metadata__")
        text = text[:-1] + f', "{name}": {json.dumps(header[name])}}}'
    data = data[start:] + b"\0" * 4 if change == "gap" else data[start:]
    data = data[:-4] if change == "truncated" else data
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode() + data)
    if change == "config":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "position_embedding_type": "relative_key"}))
    with pytest.raises(script.Refused, match=r"tensor|model\.safetensors|JSON|config"):
        script.check(bert.report, folder)


# ---- the parts that prove ----


def exact_square(A, v):
    """``|A v|^2 / |v|^2`` as a fraction."""
    A, v = [[Fraction(float(x)) for x in row] for row in A], [Fraction(float(x)) for x in v]
    return sum(sum(a * b for a, b in zip(row, v, strict=True)) ** 2 for row in A) / sum(b * b for b in v)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rows", [5, 60])
def test_lower_ends_are_below_exact_arithmetic(rows, seed):
    rng = np.random.default_rng(seed)
    A, v = rng.standard_normal((rows, 4)) * 10.0 ** rng.integers(-3, 3, (rows, 4)), rng.standard_normal(4)
    low = Fraction(*model.Matrix(A).attained(v).as_integer_ratio())
    assert (1 - Fraction(1, 10**12)) ** 2 * exact_square(A, v) < low**2 <= exact_square(A, v)


@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (1, 7), (9, 9)])
def test_cholesky_proves_what_is_true_and_nothing_else(shape, factors):
    rng = np.random.default_rng(sum(shape))
    A = rng.standard_normal(shape)
    matrix = model.Matrix(A) if factors == 1 else model.Matrix(rng.standard_normal((6, shape[0])), A)
    _, s, vt = np.linalg.svd(matrix.product)
    assert matrix.proves(float(s[0]) * (1 + 1e-9))
    assert not matrix.proves(float(s[0]) * (1 - 1e-12))
    assert not any(matrix.proves(x) for x in (0.0, -1.0, math.nan, math.inf))
    assert s[0] * (1 - 1e-12) < matrix.attained(vt[0]) < s[0] * (1 + 1e-12)


def test_a_zero_matrix_has_norm_zero():
    zero = model.Matrix(np.zeros((3, 2)))
    assert zero.proves(0.0)
    assert zero.attained(np.ones(2)) == 0


def test_balls_round_up_at_128_bits():
    third = rules.upward(lambda a: a / 3, [1.0])
    assert Fraction(third) >= Fraction(1, 3) > Fraction(math.nextafter(third, 0))
    assert rules.upward(lambda a: a * 0, [math.inf]) == math.inf
    assert rules.upward(lambda a: 1 / (a - 1), [1.0]) == math.inf
