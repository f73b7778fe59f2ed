"""How long does |A|_2 take, at equal accuracy? Against SciPy's svds, NumPy, and power iteration in PyTorch.

Every iterative contender gets the loosest tolerance (or, power iteration, the fewest steps) with which its value is
within the accuracy of the exact norm on the very matrix that is timed; what has none is left out of that case. So
nobody pays for digits that were not asked for, and a stop rule that is more careful than it need be costs nothing here;
``lipop spectral_norm tol=accuracy`` is what a user gets who does not know the norm. One matrix for each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import harness

# isort: split
import numpy as np
from scipy.sparse.linalg import ArpackError, svds

import lipop_kernels as k

Contenders = dict[str, Callable[[], object]]
Solver = Callable[[float], float]

LADDER = tuple(10.0**-e for e in np.arange(1.0, 12.5, 0.5))
DENSE = 2048  # up to this smaller side NumPy's full decomposition takes part
LOBPCG = 4096  # above it one run takes minutes
BUDGET = 60.0  # seconds of a contender in one case


def matrices(m: int, n: int, seed: int) -> dict[str, np.ndarray]:
    """A Gaussian matrix (no gap: the hard case) and one with a decaying spectrum, like trained weights; float32."""
    gaussian = np.random.default_rng(seed).standard_normal((m, n), dtype=np.float32)
    return {"gaussian": gaussian, "decaying": gaussian * (np.arange(1.0, n + 1) ** -0.5).astype(np.float32)}


def exact_norm(A: np.ndarray) -> float:
    """To many more digits than are asked for."""
    if min(A.shape) <= 1024:
        return float(np.linalg.norm(A.astype(np.float64), 2))
    return k.spectral_norm(A, 1e-12, rng=99, maxiter=1000)[0]


def solvers(A: np.ndarray) -> dict[str, Solver]:
    """What takes a tolerance; the start vector is random but the same in every round."""

    def svds_by(solver: str, **options: object) -> Solver:
        def solve(tol: float) -> float:
            found = svds(A, k=1, tol=tol, solver=solver, return_singular_vectors=False, rng=0, **options)
            return float(found[0])

        return solve

    out: dict[str, Solver] = {
        "lipop spectral_norm": lambda tol: k.spectral_norm(A, tol)[0],
        "scipy svds arpack": svds_by("arpack"),
        "scipy svds propack": svds_by("propack", maxiter=max(200, min(A.shape) // 4)),
    }
    if min(A.shape) <= LOBPCG:
        out["scipy svds lobpcg"] = svds_by("lobpcg", maxiter=1000)
    return out


def loosest(solve: Solver, exact: float, accuracy: float) -> tuple[float, float] | None:
    """(tolerance, error) of the loosest tolerance that gives the accuracy."""
    for tol in LADDER:
        try:
            error = abs(solve(tol) / exact - 1.0)
        except (ArpackError, np.linalg.LinAlgError, RuntimeError, ValueError):
            continue
        if error <= accuracy:
            return tol, error
    return None


def power_steps(A: np.ndarray, exact: float, accuracy: float, most: int) -> int | None:
    """How many steps of power iteration give the accuracy."""
    v = np.random.default_rng(0).standard_normal(A.shape[1]).astype(np.float32)
    for step in range(1, most + 1):
        v /= np.linalg.norm(v)
        w = A @ v
        if abs(float(np.linalg.norm(w)) / exact - 1.0) <= accuracy:
            return step
        v = w @ A
    return None


def torch_power(A: np.ndarray, steps: int) -> Callable[[], float]:
    import torch

    T = torch.from_numpy(A)
    start = torch.from_numpy(np.random.default_rng(0).standard_normal(A.shape[1]).astype(np.float32))

    def run() -> float:
        v = start
        for _ in range(steps - 1):
            v = T.T @ (T @ (v / torch.linalg.vector_norm(v)))
        return float(torch.linalg.vector_norm(T @ (v / torch.linalg.vector_norm(v))))

    return run


def contenders(A: np.ndarray, accuracy: float, most: int) -> tuple[Contenders, dict[str, dict[str, float]]]:
    """Contenders, ready to run, and what is known of each: its tolerance (or number of steps) and its error."""
    exact = exact_norm(A)
    out: Contenders = {}
    known: dict[str, dict[str, float]] = {}
    for name, solve in solvers(A).items():
        found = loosest(solve, exact, accuracy)
        if found is not None:
            out[name] = lambda solve=solve, tol=found[0]: solve(tol)
            known[name] = {"tol": found[0], "error": found[1]}
    plain = "lipop spectral_norm tol=accuracy"
    out[plain] = lambda: k.spectral_norm(A, accuracy)
    known[plain] = {"tol": accuracy, "error": abs(k.spectral_norm(A, accuracy)[0] / exact - 1.0)}
    steps = power_steps(A, exact, accuracy, most)
    if steps is not None:
        out["torch power iteration"] = torch_power(A, steps)
        known["torch power iteration"] = {"products": steps}
    if min(A.shape) <= DENSE:
        out["numpy.linalg.norm(A, 2)"] = lambda: np.linalg.norm(A, 2)
    return out, known


def main(argv: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--largest", type=int, default=14336, help="leave out matrices with a longer side")
    args = parser.parse_args(argv)
    options = harness.chosen(__doc__, args)
    square = [(n, n) for n in (64, 128, 256, 512, 1024, 2048, 4096)]
    shapes = options.pick(
        full=[*square, (3072, 768), (14336, 4096), (14336, 14336)],
        quick=[(64, 64), (256, 256), (1024, 1024)],
        tiny=[(64, 48)],
    )
    accuracies = options.pick(full=[1e-2, 1e-4, 1e-6], quick=[1e-6], tiny=[1e-4])
    table: list[harness.Row] = []
    for m, n in (s for s in shapes if max(s) <= args.largest):
        for case in ("gaussian", "decaying"):
            for accuracy in accuracies:
                timed, facts = [], {}
                for seed in range(options.seeds):
                    runs, facts = contenders(
                        matrices(m, n, seed)[case], accuracy, options.pick(full=2000, quick=500, tiny=300)
                    )
                    timed.append(harness.interleave(runs, options.repeats, budget=BUDGET / options.seeds))
                part = harness.rows("|A|_2", case, harness.pool(timed), m=m, n=n, dtype="float32", rtol=accuracy)
                for row in part:  # of the last seed: an example
                    row.update(facts.get(str(row["contender"]), {}))
                print(harness.table(part), flush=True)
                table += part
                harness.write("norms", table, options=options)


def history() -> Contenders:
    """Norms that asv follows."""
    out: Contenders = {}
    for m, n in ((128, 128), (1024, 1024)):
        for case, A in matrices(m, n, 0).items():
            out[f"spectral_norm {case} {m}x{n}"] = lambda A=A: k.spectral_norm(A, 1e-6)
    return out


if __name__ == "__main__":
    main()
