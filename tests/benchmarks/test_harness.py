"""The harness on made-up clocks: order, quartiles, pairing, failures, budget; results, machine, options."""

import json
import os
import socket
from pathlib import Path

import bandwidth
import harness
import numba
import numpy as np
import pytest
from harness import Timing
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """Time that passes only when a contender says so."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now

    def takes(self, name, seconds):
        """A contender that takes these seconds, one after the other, then the last for ever."""
        left = list(seconds)

        def run():
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run

    def time(self, contenders, repeats, **more):
        return harness.interleave(contenders, repeats, pause=0.0, clock=self, **more)


def test_contenders_run_in_turn_after_one_round_that_is_not_counted():
    clock = Clock()
    timed = clock.time({"A": clock.takes("A", [9, 1, 2]), "B": clock.takes("B", [9, 3, 8])}, 2)
    assert clock.order == ["A", "B"] * 3
    assert timed["A"].seconds == (1.0, 2.0)
    assert timed["B"].seconds == (3.0, 8.0)


def test_ratios_are_taken_round_by_round():
    clock = Clock()
    ours, peer = [1, 2, 4, 8, 16], [10, 2, 12, 8, 64]  # ratios 10, 1, 3, 1, 4
    timed = clock.time({"A": clock.takes("A", ours), "B": clock.takes("B", peer)}, 5, warmup=0)
    assert timed["B"].quartiles == (8.0, 10.0, 12.0)
    assert timed["B"].ratios == (1.0, 3.0, 4.0)
    assert timed["A"].ratios == (1.0, 1.0, 1.0)


def test_the_baseline_may_be_any_contender():
    clock = Clock()
    timed = clock.time({"A": clock.takes("A", [6]), "B": clock.takes("B", [3])}, 3, baseline="B")
    assert (timed["A"].ratios[1], timed["B"].ratios[1]) == (2.0, 1.0)


@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=12))
def test_quartiles_are_those_of_the_sorted_values(values):
    """Against the definition: linear interpolation at (n - 1) p between the sorted values."""
    s, found = sorted(values), harness.quartiles(values)
    for p, q in zip((0.25, 0.5, 0.75), found, strict=True):
        k, part = divmod((len(s) - 1) * p, 1)
        above = s[min(int(k) + 1, len(s) - 1)]
        assert q == pytest.approx(s[int(k)] + part * (above - s[int(k)]), rel=1e-12)


def test_a_contender_beyond_its_budget_sits_out_but_runs_once():
    clock = Clock()
    slow = clock.takes("B", [100])
    timed = clock.time({"A": clock.takes("A", [1]), "B": slow}, 4, budget=150.0)
    assert (len(timed["A"].seconds), len(timed["B"].seconds)) == (4, 1)
    assert timed["B"].ratios == (100.0, 100.0, 100.0)
    clock = Clock()
    timed = clock.time({"A": clock.takes("A", [1]), "B": clock.takes("B", [100])}, 4, budget=1.0)
    assert clock.order.count("B") == 2  # warm-up, and the one that counts
    assert len(timed["B"].seconds) == 1


def test_a_peer_that_fails_is_named_and_others_end_the_benchmark():
    def fails():
        raise ValueError("no convergence\nin 10 steps")

    clock = Clock()
    timed = clock.time({"A": clock.takes("A", [1]), "B": fails}, 2, failures=(ValueError,))
    assert timed["B"].failed == "ValueError: no convergence"
    (ours, peer) = harness.rows("q", "c", timed, n=3)
    assert ours["median"] == 1.0
    assert (peer["median"], peer["ratio"], peer["rounds"]) == (None, None, 0)
    assert "failed: ValueError" in harness.table([ours, peer])
    with pytest.raises(ValueError, match="no convergence"):
        clock.time({"A": clock.takes("A", [1]), "B": fails}, 2)
    with pytest.raises(RuntimeError, match="baseline 'B'"):
        clock.time({"B": fails}, 2, failures=(ValueError,))


def test_the_collector_is_as_it_was_before():
    import gc

    assert gc.isenabled()
    seen = []
    harness.interleave({"A": lambda: seen.append(gc.isenabled())}, 1)
    assert seen == [False, False]
    assert gc.isenabled()


def test_seeds_are_pooled_with_their_own_baselines():
    parts = [{"A": Timing((1.0,), (1.0,)), "B": Timing((2.0,), (1.0,))}, {"A": Timing((10.0,), (10.0,))}]
    pooled = harness.pool([*parts, {"A": Timing((4.0,), (4.0,)), "B": Timing((40.0,), (4.0,))}])
    assert pooled["A"].seconds == (1.0, 10.0, 4.0)
    assert pooled["B"].ratios == (4.0, 6.0, 8.0)
    failed = harness.pool([parts[0], {"B": Timing((), (), "ValueError: x")}])
    assert failed["B"] == Timing((), (), "ValueError: x")


# ---- one read of the data ----


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16, np.uint8])
@pytest.mark.parametrize("shape", [(3, 5), (700, 801)])
def test_psum_reads_every_word(dtype, shape, monkeypatch):
    monkeypatch.setattr(bandwidth, "SERIAL", 1000)
    A = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    raw = A.tobytes()
    words = np.frombuffer(raw[: len(raw) // 8 * 8], np.uint64)
    assert harness.psum(A) == float(words.sum(dtype=np.uint64))
    assert harness.psum(A.T) == harness.psum(A)


def test_psum_refuses_what_is_not_contiguous():
    with pytest.raises(ValueError, match="contiguous"):
        harness.psum(np.ones((4, 4))[:, :2])


def test_bandwidth_is_a_rate():
    assert 1e6 < harness.read_bandwidth(2**20, repeats=2) < 1e13


# ---- machine and results ----


def strings(value):
    if isinstance(value, dict):
        return [s for v in value.values() for s in strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value] if isinstance(value, str) else []


def test_the_machine_has_no_host_name_user_or_path():
    found = harness.machine()
    text = " ".join(strings(found))
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert "/" not in text
    assert found["threads"]["numba"] == numba.get_num_threads()
    assert found["numpy"] == np.__version__
    assert json.loads(json.dumps(found)) == found
    assert {
        "cpu",
        "cores",
        "memory_gb",
        "python",
        "blas",
        "scipy",
        "numba",
        "torch",
        "commit",
        "dirty",
        "date",
        "load",
    } <= set(found)


def test_results_are_written_whole_or_not_at_all(tmp_path):
    options = harness.options("A question? More.", ["--out", str(tmp_path), "--tiny"])
    rows = harness.rows("q", "c", {"A": Timing((1.0,), (1.0,))}, n=2, bytes={"A": 8})
    file = harness.write("x", rows, options=options, extra={"seeds": 1})
    first = file.read_text()
    document = json.loads(first)
    assert (document["name"], document["title"], document["format"], document["size"]) == (
        "x",
        "A question?",
        1,
        "tiny",
    )
    assert document["rows"] == rows
    assert document["extra"] == {"seeds": 1}
    with pytest.raises(ValueError, match="JSON"):
        harness.write("x", [{"median": float("nan")}], options=options)
    assert file.read_text() == first


def test_a_write_that_is_cut_short_leaves_the_old_results(tmp_path, monkeypatch):
    options = harness.options("", ["--out", str(tmp_path)])
    file = harness.write("x", [], options=options)
    first = file.read_text()

    def cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        harness.write("x", [{"case": "other"}], options=options)
    assert file.read_text() == first
    assert [f.name for f in tmp_path.iterdir()] == ["x.json"]


def test_only_full_runs_go_to_the_committed_results():
    full, quick, tiny = (harness.options("", a) for a in ([], ["--quick"], ["--tiny", "--seeds", "3"]))
    assert full.out == harness.RESULTS
    assert harness.RESULTS not in (quick.out, tiny.out)
    assert (full.seeds, tiny.seeds, full.pick(full=1, quick=2, tiny=3), tiny.pick(full=1, quick=2, tiny=3)) == (
        5,
        3,
        1,
        3,
    )
    with pytest.raises(SystemExit):
        harness.options("", ["--quick", "--tiny"])
