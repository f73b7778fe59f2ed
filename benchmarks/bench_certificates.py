"""What does a proof of |A|_2 <= s cost? Proved and probable upper bounds against a full decomposition without proof.

The baseline is the proved bound with slack 1e-6. Rows carry ``excess``, how far the value lies above the norm, and,
for the probable bound, ``products``. The second question compares upper bounds of a whole network: the product of
proved norms, and ECLipsE-Fast of eclipse-nn (not rounded outwards), both with ``excess`` over the exact constant, which
is known because all weights are non-negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import harness

# isort: split
import numpy as np
from bench_norms import matrices

import lipop_kernels as k

Contenders = dict[str, Callable[[], float]]

BASE = "lipop spectral_norm_upper 1e-6"
DENSE = 2048  # up to this smaller side NumPy's full decomposition takes part


def certificates(A: np.ndarray) -> Contenders:
    """Upper bounds, and what they are measured against."""
    out: Contenders = {
        BASE: lambda: k.spectral_norm_upper(A, 1e-6),
        "lipop spectral_norm_upper 1e-3": lambda: k.spectral_norm_upper(A, 1e-3),
        "lipop spectral_norm_upper 1e-8": lambda: k.spectral_norm_upper(A, 1e-8),
        "lipop spectral_norm_probable 1e-2": lambda: k.spectral_norm_probable(A, rtol=1e-2).upper,
        "lipop spectral_norm_probable 1e-3": lambda: k.spectral_norm_probable(A, rtol=1e-3).upper,
        "lipop spectral_norm 1e-6 (below)": lambda: k.spectral_norm(A, 1e-6)[0],
    }
    if min(A.shape) <= DENSE:
        out["numpy.linalg.norm(A, 2) (no proof)"] = lambda: float(np.linalg.norm(A, 2))
    return out


def network(n: int, depth: int, seed: int) -> list[np.ndarray]:
    """Non-negative weights, one output: with slopes in [0, 1] the Lipschitz constant is the norm of their product."""
    rng = np.random.default_rng(seed)
    sizes = [4, *([n] * (depth - 1)), 1]
    out = []
    for rows, columns in zip(sizes[1:], sizes[:-1], strict=True):
        W = rng.random((rows, columns))
        out.append(rng.uniform(0.4, 1.8) * W / np.linalg.norm(W, 2))
    return out


def network_bounds(weights: list[np.ndarray]) -> Contenders:
    out: Contenders = {
        "lipop product of proved norms": lambda: float(np.prod([k.spectral_norm_upper(W, 1e-6) for W in weights]))
    }
    if find_spec("eclipse_nn") is not None and find_spec("torch") is not None:
        import torch
        from eclipse_nn.LipConstEstimator import LipConstEstimator

        tensors = [torch.from_numpy(W) for W in weights]
        out["eclipse-nn ECLipsE_Fast"] = lambda: float(LipConstEstimator(weights=tensors).estimate("ECLipsE_Fast"))
    return out


def timed_rows(
    options: harness.Options, question: str, case: str, make: Callable[[int], tuple[Contenders, float]], **sizes: object
) -> list[harness.Row]:
    """Rows of one case; ``make`` gives the contenders of a seed and the exact value."""
    timed, excess = [], {}
    for seed in range(options.seeds):
        contenders, exact = make(seed)
        timed.append(harness.interleave(contenders, options.repeats, budget=60.0 / options.seeds))
        excess = {name: run() / exact - 1.0 for name, run in contenders.items()}
    part = harness.rows(question, case, harness.pool(timed), **sizes)
    for row in part:  # of the last seed: an example
        row["excess"] = excess[str(row["contender"])]
    return part


def main(argv: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--largest", type=int, default=14336, help="leave out matrices with a longer side")
    args = parser.parse_args(argv)
    options = harness.chosen(__doc__, args)
    shapes = options.pick(
        full=[(64, 64), (256, 256), (1024, 1024), (3072, 768), (4096, 4096), (14336, 4096)],
        quick=[(64, 64), (512, 512)],
        tiny=[(64, 48)],
    )
    table: list[harness.Row] = []
    for m, n in (s for s in shapes if max(s) <= args.largest):
        for case in ("gaussian", "decaying"):

            def make(seed: int, m: int = m, n: int = n, case: str = case) -> tuple[Contenders, float]:
                A = matrices(m, n, seed)[case]
                return certificates(A), k.spectral_norm(A, 1e-12)[0]

            part = timed_rows(options, "certificate", case, make, m=m, n=n, dtype="float32")
            bound = k.spectral_norm_probable(matrices(m, n, options.seeds - 1)[case], rtol=1e-2)
            for row in part:
                if row["contender"] == "lipop spectral_norm_probable 1e-2":
                    row["products"] = bound.steps
            print(harness.table(part), flush=True)
            table += part
            harness.write("certificates", table, options=options)
    for n, depth in options.pick(full=[(80, 2), (80, 5), (80, 20), (512, 5)], quick=[(80, 5)], tiny=[(8, 2)]):

        def make(seed: int, n: int = n, depth: int = depth) -> tuple[Contenders, float]:
            weights = network(n, depth, seed)
            whole = weights[0]
            for W in weights[1:]:
                whole = W @ whole
            return network_bounds(weights), float(np.linalg.norm(whole, 2))

        part = timed_rows(options, "upper bound of a network", f"{depth} layers, weights >= 0", make, n=n)
        print(harness.table(part), flush=True)
        table += part
        harness.write("certificates", table, options=options)


def history() -> Contenders:
    """Certificates that asv follows."""
    A = matrices(512, 512, 0)["gaussian"]
    return {name: run for name, run in certificates(A).items() if name.startswith("lipop")}


if __name__ == "__main__":
    main()
