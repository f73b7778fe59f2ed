"""How long do all pairs of points take? Largest ratio of distances and farthest points against scikit-learn and SciPy.

The peers compute the same from their distance functions, in chunks of rows that fit the memory, without a bound of the
rounding. READ is one read of the points for each centre, by all threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import harness

# isort: split
import numpy as np
from scipy.spatial.distance import cdist

import lipop_kernels as k

Contenders = dict[str, Callable[[], object]]
Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]

CHUNK = 1000


def distances() -> dict[str, Distances]:
    """The distance functions of the peers that are installed."""
    out: dict[str, Distances] = {"scipy cdist": cdist}
    if find_spec("sklearn") is not None:
        from sklearn.metrics.pairwise import euclidean_distances

        out["scikit-learn euclidean_distances"] = euclidean_distances
    return out


def largest_ratio(X: np.ndarray, Y: np.ndarray, between: Distances) -> float:
    best = 0.0
    for i in range(0, len(X), CHUNK):
        below, above = between(X[i : i + CHUNK], X[i:]), between(Y[i : i + CHUNK], Y[i:])
        np.fill_diagonal(below, np.inf)
        best = max(best, float((above / below).max()))
    return best


def traversal(X: np.ndarray, centres: int, between: Distances) -> np.ndarray:
    nearest, found = np.full(len(X), np.inf), [0]
    for _ in range(centres - 1):
        nearest = np.minimum(nearest, between(X, X[found[-1] :][:1])[:, 0])
        found.append(int(nearest.argmax()))
    return np.array(found)


def ratio_contenders(n: int, d: int, dtype: str, seed: int) -> Contenders:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    Y = np.tanh(X @ rng.standard_normal((d, d)).astype(dtype) / np.sqrt(d)).astype(dtype)
    out: Contenders = {"lipop max_pairwise_ratio": lambda: k.max_pairwise_ratio(X, Y)}
    for name, between in distances().items():
        out[name] = lambda between=between: largest_ratio(X, Y, between)
    return out


def traversal_contenders(n: int, d: int, centres: int, seed: int) -> tuple[Contenders, dict[str, int]]:
    X = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    out: Contenders = {
        "lipop farthest_points": lambda: k.farthest_points(X, centres),
        harness.READ: lambda: [harness.psum(X) for _ in range(centres)],
    }
    for name, between in distances().items():
        out[name] = lambda between=between: traversal(X, centres, between)
    return out, dict.fromkeys(list(out)[:2], X.nbytes * centres)


def main(argv: Sequence[str] | None = None) -> None:
    options = harness.options(__doc__, argv)
    table: list[harness.Row] = []
    clouds = options.pick(
        full=[(10_000, 768, "float64"), (10_000, 768, "float32"), (2_000, 384, "float32")],
        quick=[(2_000, 256, "float32")],
        tiny=[(60, 8, "float64")],
    )
    for n, d, dtype in clouds:
        timed = [
            harness.interleave(ratio_contenders(n, d, dtype, seed), options.repeats, budget=60.0 / options.seeds)
            for seed in range(options.seeds)
        ]
        table += harness.rows("pairs", "largest ratio of distances", harness.pool(timed), m=n, n=d, dtype=dtype)
        harness.write("pairs", table, options=options)
    covers = options.pick(
        full=[(100_000, 384, 50), (20_000, 384, 200), (1_000, 64, 200)], quick=[(20_000, 384, 10)], tiny=[(50, 8, 4)]
    )
    for n, d, centres in covers:
        timed, nbytes = [], {}
        for seed in range(options.seeds):
            contenders, nbytes = traversal_contenders(n, d, centres, seed)
            timed.append(harness.interleave(contenders, options.repeats, budget=60.0 / options.seeds))
        case, pooled = f"farthest points, {centres} centres", harness.pool(timed)
        table += harness.rows("pairs", case, pooled, bytes=nbytes, m=n, n=d, dtype="float32")
        harness.write("pairs", table, options=options)
    print(harness.table(table), flush=True)


def history() -> Contenders:
    """Pairs that asv follows."""
    ratio, (cover, _) = ratio_contenders(1_000, 128, "float32", 0), traversal_contenders(10_000, 128, 10, 0)
    return {name: run for name, run in (ratio | cover).items() if name.startswith("lipop")}


if __name__ == "__main__":
    main()
