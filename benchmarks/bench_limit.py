"""How long do verdicts take, and what do deep evaluations cost in time and in memory?

Verdicts of a hundred architectures given by rules, of seven kinds in turn, with their laws decided anew; then ``S_n x``
at depth n by rules whose blocks cost little, against the same loop written by hand on two arrays. The most memory that
an evaluation holds, as a number of arrays of x's size, is measured by tracemalloc in a run of its own.
"""

from __future__ import annotations

import functools
import time
import tracemalloc
from collections.abc import Callable, Sequence

import harness

# isort: split
import numpy as np
import sympy
from harness import Timing

from lipop.core.algebra import Identity
from lipop.core.space import Space
from lipop.limit import AffineRule, Architecture, Combination, Growth, Uniform, verdict
from lipop.operators.activation import tanh
from lipop.operators.linear import Affine, Diagonal

K = sympy.Symbol("k")
HAND = "NumPy by hand"


def architectures(count: int) -> list[Callable[[], Architecture]]:
    """``count`` of them, no two alike: projections, contractions, residual blocks, affine entries, growth laws."""
    P, half = Affine(np.diag([1.0, 0.0])), Affine(0.5 * np.eye(2))
    kinds: list[Callable[[int], Architecture]] = [
        lambda s: Architecture.by_rule(lambda i: P, limit=P, deviation=Uniform((s + 1) / K**2)),
        lambda s: Architecture.by_rule(lambda i: P, limit=P, deviation=Growth(1 / (K * sympy.log(K + 1 + s) ** 2))),
        lambda s: Architecture.by_rule(lambda i: half, limit=half, deviation=Uniform(1 / sympy.log(K + 2 + s))),
        lambda s: Architecture.residual(tanh(4), h=1 / (K + s) ** 2),
        lambda s: Architecture.residual(Affine(-np.eye(2)), h=1 / (K + 1 + s)),
        lambda s: Architecture.by_rule(AffineRule([[1, sympy.Rational(1, s + 2) ** K], [0, 0]], None, K)),
        lambda s: Architecture.by_rule(Combination([(1, P), ((K + s) / 2**K, tanh(2))])),
    ]
    return [functools.partial(kinds[s % 7], s) for s in range(count)]


def cheap_rules(d: int) -> dict[str, Architecture]:
    """Rules whose blocks read their arrays once: a residual tanh, a diagonal perturbation, and a plain function."""
    rng = np.random.default_rng(0)
    space = Space((d,))
    damped = Diagonal(rng.uniform(-1, 1, d))
    return {
        "lipop x + h(i) tanh x": Architecture.residual(tanh(d), h=1 / K**2),
        "lipop x + D x / i^2": Architecture.by_rule(Combination([(1, Identity(space)), (1 / K**2, damped)])),
        "lipop function": Architecture.by_rule(lambda i: damped),
    }


def by_hand(x: np.ndarray, depth: int) -> np.ndarray:
    """``x + tanh(x) / i^2`` on two arrays."""
    x, y = x.copy(), np.empty_like(x)
    for i in range(1, depth + 1):
        np.tanh(x, out=y)
        y *= 1.0 / i**2
        x += y
    return x


def arrays_held(arch: Architecture, x: np.ndarray, depth: int) -> float:
    """The most memory held above that at the start, in arrays of x's size (x itself is not counted)."""
    arch(x, depth=2)
    tracemalloc.start()
    arch(x, depth=depth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / x.nbytes


def run(options: harness.Options) -> tuple[list[harness.Row], dict[str, object]]:
    """Verdicts and evaluations."""
    count = options.pick(full=100, quick=28, tiny=7)
    answers: list[str] = []

    def verdicts() -> None:
        answers[:] = [verdict(make()).answer for make in architectures(count)]

    rows = harness.rows(
        "verdicts", f"{count} architectures", harness.interleave({"lipop verdict": verdicts}, options.repeats, warmup=1)
    )
    d, depth = options.pick(full=(4096, 10_000), quick=(4096, 1000), tiny=(64, 50))
    x = np.random.default_rng(1).standard_normal(d)
    rules = cheap_rules(d)
    contenders: dict[str, Callable[[], object]] = {HAND: lambda: by_hand(x, depth)}
    contenders |= {name: (lambda a=arch: a(x, depth=depth)) for name, arch in rules.items()}
    timings: dict[str, Timing] = harness.interleave(contenders, options.repeats)
    held = {name: round(arrays_held(arch, x, min(depth, 1000)), 2) for name, arch in rules.items()}
    for row in harness.rows("evaluation", f"depth {depth}", timings, n=d):
        arrays = held.get(str(row["contender"]))
        rows.append(row if arrays is None else row | {"arrays": arrays})
    return rows, {"answers": {a: answers.count(a) for a in sorted(set(answers))}, "arrays": held}


def history() -> dict[str, Callable[[], object]]:
    """For asv: a few verdicts, and a short evaluation."""
    x, arch = np.ones(4096), cheap_rules(4096)["lipop x + h(i) tanh x"]
    return {
        "seven verdicts": lambda: [verdict(make()) for make in architectures(7)],
        "depth 500 at d = 4096": lambda: arch(x, depth=500),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run and write ``limit.json``."""
    options = harness.options(__doc__, argv)
    started = time.perf_counter()
    rows, extra = run(options)
    print(harness.table(rows), "", extra, sep="\n")
    harness.write("limit", rows, options=options, extra=extra | {"seconds": time.perf_counter() - started})


if __name__ == "__main__":
    main()
