"""Norm kernels against NumPy and SciPy: ratios of medians of interleaved runs (A, B, A, B, ...) in one process.

Only the ratios are meant to be read: other work on the machine slows every contender alike. ``--out FILE`` writes them
as JSON, with the machine and the versions; ``--quick`` takes small matrices.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # read when NumPy is imported: idle BLAS threads must not spin

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import scipy
from scipy.sparse.linalg import svds

import lipop_kernels as k

Contenders = dict[str, Callable[[], object]]


def interleaved(contenders: Contenders, repeats: int) -> dict[str, float]:
    """Median seconds of each contender; every round runs all of them once, after one round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(repeats + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if i:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def matrices(m: int, n: int) -> dict[str, np.ndarray]:
    """A Gaussian matrix (no gap: the hard case) and one with a decaying spectrum, like trained weights; float32."""
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((m, n))
    decaying = gaussian * np.arange(1.0, n + 1) ** -0.5
    return {"gaussian": gaussian.astype(np.float32), "decaying": decaying.astype(np.float32)}


def products(A: np.ndarray) -> Contenders:
    x = np.random.default_rng(1).standard_normal(A.shape[1]).astype(np.float32)
    X = np.random.default_rng(1).standard_normal((A.shape[1], 4)).astype(np.float32)
    bits = (A.view(np.uint32) >> 16).astype(np.uint16)
    return {
        "gram_matvec float32": lambda: k.gram_matvec(A, x),
        "gram_matvec bfloat16": lambda: k.gram_matvec(bits, x, dtype="bf16"),
        "gram_matvec 4 columns": lambda: k.gram_matvec(A, X),
        "numpy A.T @ (A @ x)": lambda: A.T @ (A @ x),
        "numpy sum (one read)": lambda: A.sum(),
    }


def norms(A: np.ndarray, dense: bool) -> Contenders:
    start = k.spectral_norm(A, 1e-6)[0]
    contenders: Contenders = {
        "spectral_norm 1e-6": lambda: k.spectral_norm(A, 1e-6),
        "spectral_norm 1e-2": lambda: k.spectral_norm(A, 1e-2),
        "spectral_norm_upper 1e-6": lambda: k.spectral_norm_upper(A, 1e-6),
        "spectral_norm_upper 1e-6, start given": lambda: k.spectral_norm_upper(A, 1e-6, start=start),
        "spectral_norm_probable 1e-2": lambda: k.spectral_norm_probable(A, rtol=1e-2),
        "scipy svds arpack 1e-6": lambda: svds(A, k=1, tol=1e-6, return_singular_vectors=False),
    }
    if dense:
        contenders["numpy.linalg.norm(A, 2)"] = lambda: np.linalg.norm(A, 2)
    return contenders


def stacks(batch: int, n: int) -> Contenders:
    A = np.random.default_rng(2).standard_normal((batch, n, n))
    G = A.swapaxes(1, 2) @ A
    return {
        f"psd_max_batched {batch}x{n}x{n}": lambda: k.psd_max_batched(G, 0.0),
        f"numpy eigvalsh {batch}x{n}x{n}": lambda: np.linalg.eigvalsh(G),
        f"batched_spectral_norms {batch}x{n}x{n}": lambda: k.batched_spectral_norms(A),
        f"numpy.linalg.norm(A, 2, (1, 2)) {batch}x{n}x{n}": lambda: np.linalg.norm(A, 2, (1, 2)),
    }


def machine() -> dict[str, str | int | None]:
    cpu = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "system": platform.platform(),
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "numba_threads": numba.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None, help="write the table as JSON")
    parser.add_argument("--quick", action="store_true", help="small matrices, three rounds")
    parser.add_argument("--repeats", type=int, default=None, help="rounds (default 7, quick 3)")
    options = parser.parse_args()
    repeats = options.repeats or (3 if options.quick else 7)
    shapes = [(768, 512)] if options.quick else [(1024, 1024), (3072, 768), (4096, 4096)]

    table = []
    for m, n in shapes:
        for label, A in matrices(m, n).items():
            groups = {"norm": norms(A, dense=n <= 1024)}
            if label == "gaussian":
                groups["product"] = products(A)
            for group, contenders in groups.items():
                table.append(show(f"{group} {label} {m}x{n}", interleaved(contenders, repeats)))
    for batch, n in [(64, 32), (8, 128)] if options.quick else [(256, 32), (64, 384)]:
        table.append(show(f"stack {batch}x{n}x{n}", interleaved(stacks(batch, n), max(3, repeats // 2))))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"machine": machine(), "repeats": repeats, "table": table}, indent=1) + "\n")


def show(title: str, seconds: dict[str, float]) -> dict[str, object]:
    """Print one group, relative to its first row."""
    first = next(iter(seconds.values()))
    print(f"\n{title}\n{'':2}{'':44}{'median':>11}{'ratio':>9}")
    for name, t in seconds.items():
        print(f"  {name:<44}{t * 1e3:>8.2f} ms{t / first:>9.2f}", flush=True)
    return {"title": title, "seconds": seconds, "ratios": {name: t / first for name, t in seconds.items()}}


if __name__ == "__main__":
    main()
