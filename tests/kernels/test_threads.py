"""Threads: the same results again for each number of threads, from many callers, after a fork; lazy compilation."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lipop_kernels as k

ALL = """
import numpy as np
import lipop_kernels as k

def products():
    # Every kernel on matrices large enough to be shared out among threads, by name.
    rng = np.random.default_rng(0)
    A = rng.standard_normal((1501, 802)).astype(np.float32)
    B, H = (A.view(np.uint32) >> 16).astype(np.uint16), A.astype(np.float16)
    F = np.asfortranarray(A)
    x, y = rng.standard_normal(802).astype(np.float32), rng.standard_normal(1501).astype(np.float32)
    X = rng.standard_normal((802, 3)).astype(np.float32)
    stacks = [rng.standard_normal(shape).astype(np.float32) for shape in ((16, 300, 64), (16, 64, 310))]
    z, v, s, gain = A, A[::-1], y, x
    cos, sin = np.cos(A[:, :401]), np.sin(A[:, :401])
    wide = rng.standard_normal((3, 300_001)).astype(np.float32)
    return {
        "gram": k.gram_matvec(A, x),
        "gram of columns": k.gram_matvec(F, x),
        "gram of several": k.gram_matvec(A, X),
        "gram of a wide one": k.gram_matvec(wide, wide[0]),
        "gram bf16": k.gram_matvec(B, x, dtype="bf16"),
        "gram f16": k.gram_matvec(H, x),
        "gram f64": k.gram_matvec(A, x.astype(np.float64)),
        "matvec": k.matvec(A, x),
        "matvec wide": k.matvec(wide, wide[0]),
        "rmatvec": k.rmatvec(A, y),
        "chain": k.chain_gram_matvec(stacks, rng.standard_normal((16, 310)).astype(np.float32)),
        "softmax": k.softmax_jvp(z, v),
        "rms": k.rms_norm_jvp(z, s, v, gain),
        "layer": k.layer_norm_vjp(z, s, v, gain),
        "rotate": k.rotate(A, cos, sin),
    }
"""
space: dict = {}
exec(ALL, space)
products = space["products"]


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def digests():
    """What two processes with four threads allowed got from one, two and four threads: names to digests."""
    code = (
        ALL
        + """
import hashlib, json, numba
found = {}
for threads in (1, 2, 4):
    numba.set_num_threads(threads)
    first, again = products(), products()
    for name, y in first.items():
        assert y.tobytes() == again[name].tobytes(), (name, threads)
        found[f"{name} {threads}"] = hashlib.sha256(y.tobytes()).hexdigest()
    if threads == 1:
        single = first
    else:
        for name, y in first.items():
            size = np.abs(single[name]).max()
            assert np.abs(y - single[name]).max() <= 1e-4 * size, (name, threads)
print(json.dumps(found))
"""
    )
    return [json.loads(run(code, NUMBA_NUM_THREADS="4")) for _ in range(2)]


def test_one_two_and_four_threads(digests):
    """In one process twice the same, in another one too; different numbers of threads agree up to rounding."""
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3 * len(products())


def test_what_needs_no_sum_over_threads_does_not_depend_on_them(digests):
    for name in ("matvec", "chain", "softmax", "rms", "layer", "rotate"):
        assert len({digests[0][f"{name} {threads}"] for threads in (1, 2, 4)}) == 1, name


def test_many_callers_at_once():
    """As in the workers of a thread-based scheduler, with BLAS at work in between."""
    expected = products()
    rng = np.random.default_rng(1)
    M = rng.standard_normal((300, 300))

    def caller(i):
        return products() if i % 3 else (M @ M, products())[1]

    with ThreadPoolExecutor(6) as pool:
        for result in pool.map(caller, range(12)):
            for name, y in expected.items():
                np.testing.assert_array_equal(result[name], y, err_msg=name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_after_a_fork():
    """A child has workers of its own, although those of its parent are gone."""
    run(
        ALL
        + """
import os, signal
expected = products()
child = os.fork()
if child == 0:
    signal.alarm(120)
    again = products()
    os._exit(0 if all(np.array_equal(again[n], y) for n, y in expected.items()) else 1)
assert os.waitpid(child, 0)[1] == 0
""",
        PYTHONWARNINGS="ignore",
    )


def test_an_error_in_a_part_is_raised_after_all_parts_ended():
    from lipop_kernels.cpu._threads import each_part

    ended = []

    def work(t, part):
        if part.start == 0:
            raise RuntimeError("first part")
        ended.append(t)

    with pytest.raises(RuntimeError, match="first part"):
        each_part(100, work)
    import numba

    assert len(ended) == numba.get_num_threads() - 1


def test_parts_cover_everything_once():
    from lipop_kernels.cpu._threads import each_part

    for m in (0, 1, 3, 4, 17, 1000):
        for step in (1, 4, 16):
            seen, starts = np.zeros(m, int), []

            def work(_, part, seen=seen, starts=starts):
                seen[part] += 1
                starts.append(part.start)

            each_part(m, work, step)
            assert bool((seen == 1).all())
            assert all(start % step == 0 or start == m for start in starts)


def test_import_loads_and_compiles_nothing(tmp_path):
    code = """
import sys
import lipop_kernels, lipop_kernels.cpu
assert "numba" not in sys.modules and "llvmlite" not in sys.modules
import lipop_kernels.cpu._apply, lipop_kernels.cpu._chain_numba, lipop_kernels.cpu._rows_numba
import lipop_kernels.cpu._gram_numba, lipop_kernels.cpu._tiles
from numba.core.dispatcher import Dispatcher
import gc
loops = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and d.py_func.__module__.startswith("lipop")]
assert loops and not [d for d in loops if d.signatures]
"""
    run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_was_compiled_is_kept(tmp_path):
    code = """
import numpy as np, lipop_kernels as k
from lipop_kernels.cpu._rows_numba import compiled
one = np.ones((1, 1))
k.rotate(np.ones((1, 2)), one, one)
stats = compiled("rotate", "d", 2, 2, 2, 1, 2).stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
    assert run(code, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["0", "1"]
    assert run(code, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["1", "0"]


def test_threads_of_a_caller():
    """``set_num_threads`` counts in the thread that calls it; the bits of the result follow."""
    import numba

    A = np.random.default_rng(2).standard_normal((3001, 400))
    x = np.ones(400)
    usual = numba.get_num_threads()
    both = k.gram_matvec(A, x)

    def alone():
        numba.set_num_threads(1)
        return k.gram_matvec(A, x)

    with ThreadPoolExecutor(1) as pool:
        single = pool.submit(alone).result()
    np.testing.assert_allclose(single, both, rtol=1e-12)
    assert numba.get_num_threads() == usual
    np.testing.assert_array_equal(k.gram_matvec(A, x), both)
