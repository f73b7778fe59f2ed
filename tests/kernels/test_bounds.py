"""No kernel reads or writes beyond its arrays: checked indices in a subprocess, and sentinels around every output."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lipop_kernels as k

CHECKED = """
import numpy as np
import lipop_kernels as k

def odd(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)

shapes = [(1, 1), (1, 13), (13, 1), (2, 3), (3, 2), (4, 4), (5, 7), (7, 6), (11, 17), (31, 29)]
for m, n in shapes:
    A = odd(m, n)
    bits = (A.view(np.uint32) >> 16).astype(np.uint16)
    for S, dtype in [(A, None), (bits, "bf16"), (A.astype(np.float16), None)]:
        parts = S[:, : n // 2 + 1], S[m // 2 :], S[::-1], np.repeat(S, 2, axis=1)[:, ::2]
        for layout in (S, np.asfortranarray(S), *parts):
            for tail in ((), (1,), (2,), (3,)):
                rows, columns = layout.shape
                k.gram_matvec(layout, odd(columns, *tail), dtype=dtype)
                k.matvec(layout, odd(columns, *tail), dtype=dtype)
                k.rmatvec(layout, odd(rows, *tail), dtype=dtype)
    k.chain_gram_matvec([A, odd(n, 5)], odd(5))
    k.chain_gram_matvec([odd(3, n, m).swapaxes(1, 2), odd(3, n, 5)], odd(3, 5))
    k.chain_gram_matvec([odd(3, m, n), odd(3, n, 5)], odd(3, 5, 2))
    k.softmax_jvp(A, A)
    for name in ("rms_norm_jvp", "rms_norm_vjp", "layer_norm_jvp", "layer_norm_vjp"):
        getattr(k, name)(A, A[:, 0], A, A[0])
    k.rotate(odd(2, m, 2 * n), A, A)
    k.rotate(odd(m, 2 * n), A, A, inverse=True)

# large enough for several threads and panels
for m, n in [(1031, 523), (3, 180_001), (180_001, 3), (1, 600_011), (600_011, 1)]:
    A = odd(m, n)
    for layout in (A, np.asfortranarray(A)):
        k.gram_matvec(layout, odd(n))
        k.matvec(layout, odd(n))
        k.rmatvec(layout, odd(m))
import numba
from lipop_kernels.cpu._storage import compiled
from lipop_kernels.cpu._tiles import image
checked = compiled(image, np.dtype(np.float32), np.dtype(np.float32), 3, 2)
try:
    checked(odd(8, 5), odd(1, 1, 5), np.zeros((1, 4), np.float32))
except IndexError:
    print("indices are checked")
"""


def test_indices(request, tmp_path):
    """All kernels at odd shapes, compiled with index checks (kept between runs, since compilation takes a while)."""
    kept = getattr(request.config, "cache", None)
    cache = kept.mkdir("boundscheck") if kept else tmp_path
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_NUM_THREADS": "3"}
    environment["NUMBA_CACHE_DIR"] = str(cache)
    done = subprocess.run([sys.executable, "-c", CHECKED], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "indices are checked"


def guarded(shape, dtype):
    """An array within sentinels, and the whole of the memory."""
    size = int(np.prod(shape))
    whole = np.full(size + 128, 7.0, dtype)
    return whole[64 : 64 + size].reshape(shape), whole


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 37), (37, 1), (5, 7), (67, 53), (1031, 523)])
def test_sentinels(dtype, m, n):
    rng = np.random.default_rng(m)
    A, B = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal((m, n)).astype(dtype)
    x, y, X = (rng.standard_normal(shape).astype(dtype) for shape in (n, m, (n, 3)))
    wide = rng.standard_normal((m, 2 * n)).astype(dtype)
    calls = [
        (lambda out: k.gram_matvec(A, x, out=out), (n,)),
        (lambda out: k.gram_matvec(np.asfortranarray(A), X, out=out), (n, 3)),
        (lambda out: k.matvec(A, x, out=out), (m,)),
        (lambda out: k.rmatvec(A, y, out=out), (n,)),
        (lambda out: k.chain_gram_matvec([A.T, B], x, out=out), (n,)),
        (lambda out: k.chain_gram_matvec([A.T[None], B[None]], x[None], out=out), (1, n)),
        (lambda out: k.softmax_jvp(A, B, out=out), (m, n)),
        (lambda out: k.rms_norm_jvp(A, y, B, x, out=out), (m, n)),
        (lambda out: k.layer_norm_vjp(A, y, B, x, out=out), (m, n)),
        (lambda out: k.rotate(wide, A, B, out=out), (m, 2 * n)),
    ]
    inputs = [a.copy() for a in (A, B, x, y, X, wide)]
    for call, shape in calls:
        out, whole = guarded(shape, dtype)
        result = call(out)
        assert result is out
        assert bool((whole[:64] == 7).all() and (whole[-64:] == 7).all())
        np.testing.assert_array_equal(out, call(None))
    for before, after in zip(inputs, (A, B, x, y, X, wide), strict=True):
        np.testing.assert_array_equal(before, after)
