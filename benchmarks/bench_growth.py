"""How does cost grow? Time of |A|_2 and of its certificate against n, of a block's norm and analysis against T.

Every point is measured once for each seed, with new data, all sizes in turn: what slows the machine for a while slows
all sizes. An exponent is the slope of log time against log size, with its 95 % interval; beside it stands the slope of
the number of operations over the same sizes, which is what theory expects, and the slope over the larger half of the
sizes, where fixed costs matter less. Random data: Gaussian matrices in float32, a pre-norm block of width 384.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import harness

# isort: split
import numpy as np
from blocks import random_block, random_input
from harness import READ, Options, Timing
from scipy import stats

import lipop_kernels as k
from lipop.certify.analysis import analyze_block
from lipop.core.norms import derivative_norm

NORM, CERTIFICATE = "lipop |A|_2", "lipop certificate"
PRODUCT, BLOCK, ANALYSIS = "lipop J^T J v", "lipop block norm", "lipop analysis"
Shape = tuple[int, int, int, int]
Fits = list[dict[str, object]]
SHAPE: Shape = (384, 1536, 6, 6)  # width, width of the MLP, heads, groups


def operations(contender: str, size: int, shape: Shape = SHAPE) -> float:
    """The leading terms of the number of operations; only its growth is used.

    |A|_2 applies ``A^T A`` a number of times that hardly depends on n; a certificate forms ``A^T A`` and factors it; a
    product with a block's derivative multiplies T tokens with the weights and the T x T probabilities of every head; a
    block's norm takes a number of such products that hardly depends on T, an analysis passes that grow like them.
    """
    n = T = float(size)
    hidden, intermediate, _, _ = shape
    product = 4 * T * (4 * hidden**2 + 3 * hidden * intermediate) + 12 * T**2 * hidden
    return {NORM: 4 * n**2, CERTIFICATE: n**3 + n**3 / 3, READ: n**2}.get(contender, product)


@dataclass(frozen=True)
class Fit:
    """An exponent with its interval, over all sizes and over the larger half, and what theory expects."""

    exponent: float
    low: float
    high: float
    tail: float | None
    theory: float

    @staticmethod
    def of(points: Sequence[tuple[int, float]], work: Callable[[int], float], level: float = 0.95) -> Fit:
        """Fit (size, seconds) pairs of at least three sizes."""
        sizes = sorted({s for s, _ in points})
        if len(sizes) < 3:
            raise ValueError(f"an exponent needs at least three sizes, found {sizes}")
        slope, error = line(points)
        half = error * float(stats.t.ppf((1 + level) / 2, len(points) - 2))
        tail = [p for p in points if p[0] >= sizes[len(sizes) // 2]]
        larger = line(tail)[0] if len({s for s, _ in tail}) > 1 else None
        return Fit(slope, slope - half, slope + half, larger, line([(s, work(s)) for s in sizes])[0])


def line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Slope of log y against log x by least squares, and its standard error (0 for two points)."""
    x, y = np.log(np.asarray(points, np.float64)).T
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    rest = y - slope * x
    return slope, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / (x @ x)))


# ---- the curves ----


def matrix_round(n: int, seed: int) -> tuple[dict[str, Timing], dict[str, int]]:
    """|A|_2 to 1e-6, then the certificate from it, and one read of A."""
    A = np.random.default_rng([seed, n]).standard_normal((n, n), dtype=np.float32)
    start = k.spectral_norm(A, 1e-6, rng=seed)[0]
    contenders = {
        NORM: lambda: k.spectral_norm(A, 1e-6, rng=seed),
        CERTIFICATE: lambda: k.spectral_norm_upper(A, 1e-6, start=start),
        READ: lambda: harness.psum(A),
    }
    return harness.interleave(contenders, 1, warmup=0), {NORM: A.nbytes, READ: A.nbytes}


def block_round(tokens: int, seed: int, analyse: bool, shape: Shape = SHAPE) -> dict[str, Timing]:
    """One ``J^T J v``, |J| to 1e-3 from the weights on, and everything that a report says (without the weights)."""
    block, x, v = random_block(*shape, seed=seed), *(random_input(shape[0], tokens, s) for s in (seed, seed + 1000))
    J = block.derivative(x)
    J.rmatvec(J.matvec(v))
    contenders: dict[str, Callable[[], object]] = {
        PRODUCT: lambda: J.rmatvec(J.matvec(v)),
        BLOCK: lambda: derivative_norm(block, x, rtol=1e-3, seed=seed),
    }
    if analyse:
        contenders[ANALYSIS] = lambda: analyze_block(block, x, weights=False)
    return harness.interleave(contenders, 1, warmup=0)


def run(options: Options) -> tuple[list[harness.Row], Fits]:
    """All curves, and their fits."""
    rows: list[harness.Row] = []
    fits: Fits = []
    full = (256, 512, 1024, 2048, 4096, 8192, 14336)
    sizes = options.pick(full=full, quick=full[:3], tiny=(16, 24, 32))
    matrix_round(sizes[0], 0)  # compiles
    timed: dict[int, list[dict[str, Timing]]] = defaultdict(list)
    nbytes: dict[int, dict[str, int]] = {}
    for seed in range(options.seeds):
        for n in sizes:
            timing, nbytes[n] = matrix_round(n, seed)
            timed[n].append(timing)
    for n, parts in timed.items():
        rows += harness.rows("growth", "gaussian", harness.pool(parts), n=n, m=n, bytes=nbytes[n], dtype="float32")
    fits += fit_all("gaussian", "n", timed)

    lengths = options.pick(full=(16, 32, 64, 128, 256, 512, 1024, 2048), quick=(16, 32, 64), tiny=(2, 3, 4))
    longest = options.pick(full=1800.0, quick=30.0, tiny=1.0)
    shape = options.pick(full=SHAPE, quick=(64, 256, 4, 4), tiny=(16, 32, 2, 2))
    timed = block_curve(lengths, options.seeds, longest, shape)
    for tokens, parts in timed.items():
        rows += harness.rows("growth", "pre-norm block", harness.pool(parts), n=shape[0], T=tokens)
    return rows, fits + fit_all("pre-norm block", "T", timed, shape)


def block_curve(lengths: Sequence[int], seeds: int, longest: float, shape: Shape) -> dict[int, list[dict[str, Timing]]]:
    """Timings by number of tokens. An analysis that would take longer than ``longest`` is left out; one that takes more
    than a fiftieth of it is made for the first seed only."""
    block_round(lengths[0], 0, analyse=True, shape=shape)  # compiles
    timed: dict[int, list[dict[str, Timing]]] = defaultdict(list)
    for seed in range(seeds):
        took = 0.0
        for tokens in lengths:
            analyse = 4 * took < longest if seed == 0 else _took(timed[tokens][0]) < longest / 50
            timed[tokens].append(block_round(tokens, seed, analyse, shape))
            took = _took(timed[tokens][-1]) if analyse else float("inf")
    return timed


def _took(timing: dict[str, Timing]) -> float:
    return timing[ANALYSIS].median if ANALYSIS in timing else float("inf")


def fit_all(case: str, variable: str, timed: dict[int, list[dict[str, Timing]]], shape: Shape = SHAPE) -> Fits:
    """The exponent of every contender that was measured at three sizes or more."""
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for size, parts in timed.items():
        for timing in parts:
            for name, t in timing.items():
                points[name] += [(size, seconds) for seconds in t.seconds]
    out: Fits = []
    for name, found in points.items():
        if len({s for s, _ in found}) < 3:
            continue
        fit = Fit.of(found, lambda s, name=name: operations(name, s, shape))
        out.append({"case": case, "contender": name, "variable": variable, **vars(fit), "points": len(found)})
    return out


def describe(fits: Fits) -> str:
    """The fits for a terminal."""
    lines = [f"{'':<44}{'exponent':>10}{'95 %':>18}{'larger half':>13}{'theory':>8}"]
    for f in fits:
        tail = "" if f["tail"] is None else f"{f['tail']:.2f}"
        interval = f"{f['low']:.2f} - {f['high']:.2f}"
        name = f"{f['contender']}, {f['case']}, in {f['variable']}"
        lines.append(f"{name:<44}{f['exponent']:>10.2f}{interval:>18}{tail:>13}{f['theory']:>8.2f}")
    return "\n".join(lines)


def history() -> dict[str, Callable[[], object]]:
    """For asv: the analysis of a small block at one radius; norms and products have benchmarks of their own."""
    block, x = random_block(64, 128, 4, 2), random_input(64, 8)
    return {"analysis of a block, d = 64, T = 8": lambda: analyze_block(block, x, (1e-5,), weights=False)}


def main(argv: Sequence[str] | None = None) -> None:
    """Run and write ``growth.json``."""
    options = harness.options(__doc__, argv)
    started = time.perf_counter()
    rows, fits = run(options)
    print(harness.table(rows), "", describe(fits), sep="\n")
    harness.write("growth", rows, options=options, extra={"fits": fits, "seconds": time.perf_counter() - started})


if __name__ == "__main__":
    main()
