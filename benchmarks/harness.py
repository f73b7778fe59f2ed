"""What all benchmarks share: interleaved timing, the format of results, options; and, from files beside, psum, machine.

A benchmark is one file per question, ``bench_NAME.py``, with ``main(argv=None)``: it builds contenders, times them with
`interleave`, turns the timings into rows with `rows`, prints `table` and calls `write`. It imports this module first::

    import harness

    # isort: split
    import numpy as np

because ``OPENBLAS_THREAD_TIMEOUT``, which is set here, is read when NumPy is imported. Only ratios are meant to be
compared between machines; they are taken round by round (a contender against the baseline of the same round) and given
as quartiles. Give several seeds to `pool`.

The format of ``results/NAME.json``::

    {"name": NAME, "title": the docstring's first sentence, "format": 1, "size": "full" | "quick" | "tiny",
     "machine": {...}, "rows": [...], "extra": {...}}

and of each row::

    question   str, heading of its tables and plots: "|A|_2", "certificate", "block norm", "pairs", "survey", "growth"
    case       str, what it is asked of: "gaussian", "decaying", "minilm block"
    n, m, T    int, those sizes that apply: n columns (or the dimension), m rows, T tokens
    contender  str: "lipop" or "lipop ..." for ours, "scipy svds arpack", "torch ..." for peers, READ for one read
    baseline   str, the contender by whose time those of the case are divided; as a rule ours
    q1, median, q3              float, quartiles of its seconds (null if it failed)
    ratio_q1, ratio, ratio_q3   float, quartiles of its seconds / the baseline's; above 1: slower than the baseline
    rounds     int, the number of timed rounds, over all seeds
    bytes      int, optional: what it must read at least; figures.py sets bytes / median against READ's bytes / median
    failed     str, only on failure: what the contender raised
    ...        anything else worth keeping that depends on no other row: dtype, rtol, products, error, part (of a sum)

Rows of one table agree in question, case, n, m, T, dtype and rtol. For the history that asv keeps, a benchmark offers
``history() -> dict[str, Callable[[], object]]``: some of our own contenders, ready to run in well under a second each.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # idle BLAS threads must not spin

import numpy as np
from bandwidth import READ, psum, read_bandwidth
from machine import machine

__all__ = [
    "READ",
    "Options",
    "Timing",
    "interleave",
    "machine",
    "options",
    "pool",
    "psum",
    "quartiles",
    "read_bandwidth",
    "rows",
    "table",
    "write",
]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

Row = dict[str, object]
Contenders = Mapping[str, Callable[[], object]]
Choice = TypeVar("Choice")


# ---- timing ----


@dataclass(frozen=True)
class Timing:
    """Seconds of a contender round by round, and the baseline's in the same rounds."""

    seconds: tuple[float, ...]
    baseline: tuple[float, ...]
    failed: str | None = None

    @property
    def quartiles(self) -> tuple[float, float, float]:
        return quartiles(self.seconds)

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Quartiles of the ratios that the rounds gave, not a ratio of quartiles."""
        return quartiles([t / b for t, b in zip(self.seconds, self.baseline, strict=True)])

    @property
    def median(self) -> float:
        return self.quartiles[1]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile (linear between the values)."""
    q1, q2, q3 = np.quantile(np.asarray(values, np.float64), [0.25, 0.5, 0.75])
    return float(q1), float(q2), float(q3)


def interleave(
    contenders: Contenders,
    repeats: int,
    *,
    baseline: str | None = None,
    warmup: int = 1,
    budget: float = float("inf"),
    failures: tuple[type[Exception], ...] = (),
    pause: float = 0.02,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time the contenders in turn: A, B, A, B, ...; other work on the machine then slows all of them alike.

    Parameters
    ----------
    contenders : name -> function without arguments
    repeats : int
        Timed rounds, after ``warmup`` rounds that are not counted.
    baseline : str, optional
        By whose seconds ratios are taken; the first one if not given.
    budget : float
        Seconds after which a contender other than the baseline sits out the remaining rounds; it has one at least.
    failures : exception types
        A contender that raises one of these is out, and its timing says why. Others end the benchmark.
    pause : float
        Seconds before each run, in which the threads of the one before come to rest: PyTorch's wait actively for some
        milliseconds, and with 3 ms whoever came after it took twice as long.
    """
    base = next(iter(contenders)) if baseline is None else baseline
    times: dict[str, list[float]] = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    spent = dict.fromkeys(contenders, 0.0)
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for round_ in range(-warmup, repeats):
            for name, run in contenders.items():
                tired = name != base and spent[name] > budget and (round_ < 0 or times[name])
                if name in failed or tired:
                    continue
                time.sleep(pause)
                start = clock()
                try:
                    run()
                except failures as error:
                    failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                    continue
                seconds = clock() - start
                spent[name] += seconds
                if round_ >= 0:
                    times[name].append(seconds)
    finally:
        if collects:
            gc.enable()
    if base in failed:
        raise RuntimeError(f"the baseline {base!r} failed: {failed[base]}")
    done = {name: () if name in failed else tuple(t) for name, t in times.items()}
    return {n: Timing(t, tuple(times[base][: len(t)]), failed.get(n)) for n, t in done.items()}


def pool(parts: Iterable[Mapping[str, Timing]]) -> dict[str, Timing]:
    """All rounds of several seeds as one; a contender that failed for one seed has failed."""
    out: dict[str, Timing] = {}
    for part in parts:
        for name, t in part.items():
            old = out.get(name, Timing((), ()))
            failed = old.failed or t.failed
            both = ((), ()) if failed else (old.seconds + t.seconds, old.baseline + t.baseline)
            out[name] = Timing(*both, failed)
    return out


def rows(
    question: str,
    case: str,
    timings: Mapping[str, Timing],
    *,
    baseline: str | None = None,
    bytes: Mapping[str, int] | None = None,
    **keys: object,
) -> list[Row]:
    """One row per contender in the common format; ``keys`` are sizes and whatever else holds for the whole case."""
    base = next(iter(timings)) if baseline is None else baseline
    out: list[Row] = []
    for name, t in timings.items():
        row: Row = {"question": question, "case": case, **keys, "contender": name, "baseline": base}
        seconds, ratios = ((None,) * 3, (None,) * 3) if t.failed else (t.quartiles, t.ratios)
        row |= dict(zip(("q1", "median", "q3"), seconds, strict=True))
        row |= dict(zip(("ratio_q1", "ratio", "ratio_q3"), ratios, strict=True))
        row["rounds"] = len(t.seconds)
        if bytes and name in bytes:
            row["bytes"] = int(bytes[name])
        if t.failed:
            row["failed"] = t.failed
        out.append(row)
    return out


# ---- results ----


def write(
    name: str, rows: Sequence[Row], *, extra: Mapping[str, object] | None = None, options: Options | None = None
) -> Path:
    """Write NAME.json whole or not at all into the folder of the options (results/ if there are none)."""
    asked = Options("", "full", 0, 0, RESULTS) if options is None else options
    folder, document = asked.out, {"name": name, "title": asked.title, "format": 1, "size": asked.size}
    document |= {"machine": machine(), "rows": list(rows), "extra": dict(extra or {})}
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, folder / f"{name}.json")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return folder / f"{name}.json"


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, by case: median and quartiles of the ratio to the baseline."""
    lines: list[str] = []
    heading = None
    for row in rows:
        sizes = ", ".join(f"{k}={row[k]}" for k in ("m", "n", "T", "dtype", "rtol") if k in row)
        title = f"{row['question']}: {row['case']}" + (f" ({sizes})" if sizes else "")
        if title != heading:
            lines += ["", f"{title:<58}{'time':>11}{'ratio':>9}   quartiles"]
            heading = title
        if row["median"] is None:
            lines.append(f"  {row['contender']:<56}   failed: {row['failed']}")
        else:
            quarter = f"{row['ratio_q1']:.2f} - {row['ratio_q3']:.2f}"
            lines.append(f"  {row['contender']:<56}{duration(row['median']):>11}{row['ratio']:>9.2f}   {quarter}")  # type: ignore[arg-type]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(0.00123), duration(75.0)
    ('1.23 ms', '75 s')
    """
    scale, unit = next(((s, u) for s, u in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")) if seconds >= s), (1e-9, "ns"))
    return f"{seconds / scale:.3g} {unit}"


# ---- options ----


@dataclass(frozen=True)
class Options:
    """What a benchmark was asked for; ``title`` is the question that it answers."""

    title: str
    size: str
    repeats: int
    seeds: int
    out: Path

    def pick(self, *, full: Choice, quick: Choice, tiny: Choice) -> Choice:
        """The value for the size that was asked for."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """The options that every benchmark has; `chosen` reads them."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = out.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="smaller: a minute or less")
    size.add_argument("--tiny", dest="size", action="store_const", const="tiny", help="seconds: does it run at all?")
    out.add_argument("--repeats", type=int, help="timed rounds for each seed (default 5; quick 2; tiny 1)")
    out.add_argument("--seeds", type=int, help="number of seeds (default 5; quick 2; tiny 1)")
    out.add_argument("--out", type=Path, help="folder (default benchmarks/results; quick and tiny: build/benchmarks)")
    return out


def chosen(description: str | None, args: argparse.Namespace) -> Options:
    """The options among parsed arguments."""
    title = re.split(r"(?<=[.?])\s", (description or "").strip(), maxsplit=1)[0]
    size = args.size or "full"
    repeats, seeds = {"full": (5, 5), "quick": (2, 2), "tiny": (1, 1)}[size]
    out = args.out or (RESULTS if size == "full" else HERE.parent / "build" / "benchmarks")
    return Options(title, size, args.repeats or repeats, args.seeds or seeds, out)


def options(description: str | None = None, argv: Sequence[str] | None = None) -> Options:
    """Read ``--quick``, ``--tiny``, ``--repeats``, ``--seeds``, ``--out`` from the command line."""
    return chosen(description, parser(description).parse_args(argv))
