"""How long does a Chinchilla-style fit take? All starts of the published grid, then a bootstrap, against SciPy.

The reference is what published fits do: `scipy.optimize.minimize(method="L-BFGS-B")` on Huber's loss of log residuals,
one start after another, with the law as a log-sum-exp and its gradient written out by hand; resamples start from the
best fit. The extra ``gaps`` says by how much each contender's best value exceeds the least one found by any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import harness

# isort: split
import numpy as np
from scipy.optimize import minimize

from lipop.scaling.fitting import DELTA, EXPLORE
from lipop.scaling.intervals import bootstrap
from lipop.scaling.laws import Chinchilla
from lipop.scaling.lbfgs import minimise
from lipop.scaling.objective import Objective
from lipop.scaling.starts import starts
from lipop.scaling.table import Runs

OURS, REFERENCE = "lipop fit", "scipy L-BFGS-B, one by one"
Contenders = dict[str, Callable[[], object]]
TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def made_up(n: int, seed: int) -> tuple[Chinchilla, Runs]:
    """Runs like the published ones, from the refitted law with half a percent of noise."""
    rng, law = np.random.default_rng([seed, n]), Chinchilla()
    N, D = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), n)), np.exp(rng.uniform(np.log(1e9), np.log(5e11), n))
    loss = law(TRUTH, N=N, D=D) * np.exp(0.005 * rng.standard_normal(n))
    return law, Runs.of(law, {"N": N, "D": D, "loss": loss})


def by_hand(z: np.ndarray, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean Huber loss over its width, and its gradient; z is (log E, log A, log B, log alpha, log beta)."""
    alpha, beta = np.exp(np.minimum(z[3:], 50.0))
    terms = np.stack([np.full(y.size, z[0]), z[1] - alpha * x[0], z[2] - beta * x[1]])
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    total = parts.sum(axis=0)
    r = top + np.log(total) - y
    shares = parts / total
    size = np.abs(r)
    loss = np.where(size <= DELTA, r * r / 2, DELTA * (size - DELTA / 2))
    push = weights * np.clip(r, -DELTA, DELTA) / (DELTA * y.size)
    slopes = np.stack([*shares, -alpha * x[0] * shares[1], -beta * x[1] * shares[2]])
    return float(weights @ loss) / (DELTA * y.size), slopes @ push


def one_by_one(
    points: np.ndarray, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Every problem by itself: minima and values."""
    ends, values = np.empty_like(points), np.empty(len(points))
    for i, z in enumerate(points):
        w = np.ones(y.size) if weights is None else weights[i]
        found = minimize(by_hand, z, args=(x, y, w), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
        ends[i], values[i] = found.x, found.fun
    return ends, values


def contenders(n: int, count: int, resamples: int, seed: int) -> tuple[Contenders, Contenders, dict[str, float]]:
    """For the starts, for the bootstrap, and how far each contender's best value is above the least."""
    law, runs = made_up(n, seed)
    x, y = runs.x, runs.y
    objective = Objective(law, x, y, DELTA)
    points = starts(law, runs, count, np.random.default_rng(seed))
    best: dict[str, float] = {}

    def ours() -> None:
        best[OURS] = float(minimise(objective, objective.inverse, points, tolerance=EXPLORE).value.min())

    def theirs() -> None:
        best[REFERENCE] = float(one_by_one(points, x, y)[1].min())

    z = np.array([p.inner(TRUTH[p.name]) for p in law.parameters])
    z = minimise(objective, objective.inverse, z[None]).z[0]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)
    again: Contenders = {
        OURS: lambda: bootstrap(objective, z, resamples, np.random.default_rng(seed)),
        REFERENCE: lambda: one_by_one(np.tile(z, (resamples, 1)), x, y, weights),
    }
    return {OURS: ours, REFERENCE: theirs}, again, best


def main(argv: Sequence[str] | None = None) -> None:
    """Run and write ``fit.json``."""
    options = harness.options(__doc__, argv)
    n, count, resamples = options.pick(full=(240, 4500, 1000), quick=(240, 300, 60), tiny=(20, 6, 4))
    grids, boots, gaps = [], [], []
    for seed in range(options.seeds):
        first, second, best = contenders(n, count, resamples, seed)
        grids.append(harness.interleave(first, options.repeats, budget=120.0 / options.seeds))
        boots.append(harness.interleave(second, options.repeats, budget=120.0 / options.seeds))
        gaps.append({name: value - min(best.values()) for name, value in best.items()})
    table = harness.rows("scaling fit", f"{count} starts", harness.pool(grids), n=n)
    table += harness.rows("scaling fit", f"bootstrap of {resamples}", harness.pool(boots), n=n)
    print(harness.table(table), flush=True)
    harness.write("fit", table, options=options, extra={"gaps": gaps})


def history() -> Contenders:
    """A small fit that asv follows."""
    first, second, _ = contenders(120, 100, 20, 0)
    return {"starts of a fit": first[OURS], "bootstrap of a fit": second[OURS]}


if __name__ == "__main__":
    main()
