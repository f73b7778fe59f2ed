"""Products with stored matrices and row kernels against one read of their memory, and against NumPy.

The baseline of a matrix is the time of its float32 product; READ is one read of the float32 array by all threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import harness

# isort: split
import numpy as np

import lipop_kernels as k

Contenders = dict[str, Callable[[], object]]
BASE = "lipop gram f32"


def product_contenders(m: int, n: int, seed: int) -> tuple[Contenders, dict[str, int]]:
    """Contenders for an m x n matrix, and the bytes that each must read."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n), dtype=np.float32)
    bits, half = (A.view(np.uint32) >> 16).astype(np.uint16), A.astype(np.float16)
    by_columns = np.asfortranarray(A)
    bits_by_columns = np.asfortranarray(bits)
    wide = A.astype(np.float64)
    x, y = rng.standard_normal(n, dtype=np.float32), rng.standard_normal(m, dtype=np.float32)
    X = {b: rng.standard_normal((n, b), dtype=np.float32) for b in (4, 8)}
    contenders: Contenders = {
        BASE: lambda: k.gram_matvec(A, x),
        harness.READ: lambda: harness.psum(A),
        "lipop gram bf16": lambda: k.gram_matvec(bits, x, dtype="bf16"),
        "lipop gram f16": lambda: k.gram_matvec(half, x),
        "lipop gram f64": lambda: k.gram_matvec(wide, wide[0]),
        "lipop gram f32 columns adjacent": lambda: k.gram_matvec(by_columns, x),
        "lipop gram bf16 columns adjacent": lambda: k.gram_matvec(bits_by_columns, x, dtype="bf16"),
        "lipop gram f32 b=4": lambda: k.gram_matvec(A, X[4]),
        "lipop gram f32 b=8": lambda: k.gram_matvec(A, X[8]),
        "lipop gram bf16 b=4": lambda: k.gram_matvec(bits, X[4], dtype="bf16"),
        "lipop matvec f32": lambda: k.matvec(A, x),
        "lipop matvec bf16": lambda: k.matvec(bits, x, dtype="bf16"),
        "lipop rmatvec f32": lambda: k.rmatvec(A, y),
        "lipop matvec f32 columns adjacent": lambda: k.matvec(by_columns, x),
        "numpy A.T @ (A @ x)": lambda: A.T @ (A @ x),
        "numpy A.T @ (A @ x) f64": lambda: wide.T @ (wide @ wide[0]),
        "numpy A.T @ (A @ x) columns adjacent": lambda: by_columns.T @ (by_columns @ x),
        "numpy A.T @ (A @ X) b=4": lambda: A.T @ (A @ X[4]),
        "numpy A.T @ (A @ X) b=8": lambda: A.T @ (A @ X[8]),
        "numpy A @ x": lambda: A @ x,
        "numpy A.T @ y": lambda: A.T @ y,
    }
    entries = {"f64": 8, "bf16": 2, "f16": 2}
    sizes = {name: m * n * next((s for kind, s in entries.items() if f" {kind}" in name), 4) for name in contenders}
    return contenders, sizes


def chain_contenders(heads: int, d: int, dk: int, seed: int) -> tuple[Contenders, dict[str, int]]:
    """``W_O W_V`` and ``W_Q^T W_K`` of all heads, as stored."""
    rng = np.random.default_rng(seed)
    O = rng.standard_normal((heads, d, dk), dtype=np.float32)
    Q, V = (rng.standard_normal((heads, dk, d), dtype=np.float32) for _ in range(2))
    x = rng.standard_normal((heads, d), dtype=np.float32)
    P = np.matmul(O, V)

    def numpy_chain() -> np.ndarray:
        w = np.matmul(O, np.matmul(V, x[..., None]))
        return np.matmul(V.swapaxes(1, 2), np.matmul(O.swapaxes(1, 2), w))

    contenders: Contenders = {
        "lipop chain W_O W_V": lambda: k.chain_gram_matvec([O, V], x),
        harness.READ: lambda: (harness.psum(O), harness.psum(V)),
        "lipop chain W_Q^T W_K": lambda: k.chain_gram_matvec([Q.swapaxes(1, 2), V], x),
        "numpy factors": numpy_chain,
        "numpy product formed before": lambda: np.matmul(P.swapaxes(1, 2), np.matmul(P, x[..., None])),
    }
    return contenders, dict.fromkeys(list(contenders)[:3], O.nbytes + V.nbytes)


def row_contenders(rows: int, n: int, seed: int) -> tuple[Contenders, dict[str, int]]:
    """Row kernels into a given array; what they read and write, with the read that a store to memory begins with."""
    rng = np.random.default_rng(seed)
    p, v = (np.abs(rng.standard_normal((rows, n), dtype=np.float32)) for _ in range(2))
    p /= p.sum(axis=1, keepdims=True)
    out, scale, gain = np.empty_like(p), p[:, 0].copy(), p[0].copy()
    half = n // 2
    cos, sin = np.cos(p[:, :half]), np.sin(p[:, :half])

    def numpy_softmax() -> np.ndarray:
        return p * (v - (p * v).sum(axis=1, keepdims=True))

    def numpy_layer() -> np.ndarray:
        along = (p * v).mean(axis=1, keepdims=True)
        return gain * (scale[:, None] * (v - v.mean(axis=1, keepdims=True) - p * along))

    def numpy_rotate() -> np.ndarray:
        a, b = v[:, :half], v[:, half:]
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=1)

    contenders: Contenders = {
        "lipop softmax_jvp": lambda: k.softmax_jvp(p, v, out=out),
        harness.READ: lambda: harness.psum(p),
        "lipop rms_norm_jvp": lambda: k.rms_norm_jvp(p, scale, v, gain, out=out),
        "lipop rms_norm_vjp": lambda: k.rms_norm_vjp(p, scale, v, gain, out=out),
        "lipop layer_norm_jvp": lambda: k.layer_norm_jvp(p, scale, v, gain, out=out),
        "lipop rotate": lambda: k.rotate(v, cos, sin, out=out),
        "numpy softmax": numpy_softmax,
        "numpy layer norm": numpy_layer,
        "numpy rotate": numpy_rotate,
        "numpy copy": lambda: np.copyto(out, v),
    }
    sizes = {name: 4 * p.nbytes for name in contenders if name.startswith("lipop")}
    return contenders, sizes | {harness.READ: p.nbytes, "numpy copy": 3 * p.nbytes}


def main(argv: Sequence[str] | None = None) -> None:
    options = harness.options(__doc__, argv)
    square = [(64, 64), (128, 128), (256, 256), (512, 512), (1024, 1024), (2048, 2048), (4096, 4096), (14336, 4096)]
    thin = [(1, 1_000_000), (1_000_000, 1), (1_000_000, 8), (3072, 768)]
    shapes = options.pick(full=square + thin, quick=[(64, 64), (256, 256), (1024, 1024), (2048, 2048)], tiny=[(64, 48)])
    heads = options.pick(full=[(12, 384, 32), (32, 4096, 128)], quick=[(12, 384, 32)], tiny=[(2, 16, 4)])
    rows = options.pick(full=[(1024, 1024), (4096, 4096), (1024, 14336)], quick=[(1024, 1024)], tiny=[(8, 16)])
    table: list[harness.Row] = []
    cases = [("products", f"{m} x {n}", {"m": m, "n": n}, product_contenders, (m, n)) for m, n in shapes]
    cases += [("chains", f"{h} heads", {"m": d, "n": dk}, chain_contenders, (h, d, dk)) for h, d, dk in heads]
    cases += [("row kernels", f"{m} rows", {"m": m, "n": n}, row_contenders, (m, n)) for m, n in rows]
    for question, case, sizes, make, arguments in cases:
        timed, nbytes = [], {}
        for seed in range(options.seeds):
            contenders, nbytes = make(*arguments, seed)
            timed.append(harness.interleave(contenders, options.repeats, warmup=2))
        part = harness.rows(question, case, harness.pool(timed), bytes=nbytes, dtype="float32", **sizes)
        print(harness.table(part), flush=True)
        table += part
        harness.write("products", table, options=options)


def history() -> Contenders:
    """Products that asv follows."""
    contenders, _ = product_contenders(1024, 1024, 0)
    return {name: run for name, run in contenders.items() if name.startswith("lipop gram")}


if __name__ == "__main__":
    main()
