"""How many times must a file be read to survey it? A random Llama in bf16, every matrix, against one read of it.

    python benchmarks/bench_survey.py                # the 1B shape: 2 GB, written into a temporary folder
    python benchmarks/bench_survey.py --size 8b      # the 8B shape: 14 GB, 224 matrices
    python benchmarks/bench_survey.py --proved --blocks 1   # the factorisations too, for the first block

Gaussian weights have no gap at the top of their spectrum: the hardest case. Decaying ones stand for trained weights.
Each matrix is summed from the map of its file (`psum`) right before and after it is surveyed. ``reads`` is the sum of
the surveys' seconds over the sum of the fastest single reads, ``passes`` how often each byte was read. ``own_mb`` is
the most memory beyond the mapped files that the process had at any time, ``extra_mb`` what the survey added to it.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import harness

# isort: split
import numpy as np
import random_llama

from lipop.models.checkpoint import Checkpoint
from lipop.report.spectrum import blocks, chosen, places
from lipop.report.survey_matrix import StoredMatrix

CASES = {"gaussian": 0.0, "decaying": 0.5}
OURS, PROVED = "lipop spectrum", "lipop spectrum --proved"


def own_memory() -> int:
    """Bytes in memory that belong to no file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise OSError("/proc/self/status has no line RssAnon")


class Peak(threading.Thread):
    """The most memory beyond mapped files while the thread runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_bytes = self.most = own_memory()
        self.done = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self.done.wait(0.02):
            self.most = max(self.most, own_memory())

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.join()


@contextlib.contextmanager
def checkpoint(size: str, decay: float, layers: int | None, folder: Path | None) -> Iterator[Checkpoint]:
    """A checkpoint in a folder that is kept, or in one that is removed afterwards; of so many layers, if it is made."""
    home = Path(tempfile.mkdtemp(prefix="lipop-survey-")) if folder is None else folder
    try:
        if not (home / "config.json").exists():
            shape = random_llama.SIZES[size] | ({} if layers is None else {"layers": layers})
            random_llama.write(home, **shape, decay=decay)
        yield Checkpoint.open(home)
    finally:
        if folder is None:
            shutil.rmtree(home)


def measure(case: str, opened: Checkpoint, span: tuple[int, int], repeats: int, proved: bool) -> tuple[list, dict]:
    """Rows by shape, and the figures of the whole."""
    which = chosen(places(opened)[0], span)
    StoredMatrix("warm", "BF16", np.full((2048, 1024), 0x3F80, np.uint16)).survey(proved=proved)  # compiles
    parts: dict[tuple[int, ...], list[dict[str, harness.Timing]]] = {}
    worst, passes, total = 0.0, 0, {"read": 0.0, OURS: 0.0, PROVED: 0.0}
    with Peak() as peak:
        for place in which:
            matrix = StoredMatrix(place.name, place.dtype, opened.raw(place.name))
            found: dict[bool, Any] = {}

            def survey(how: bool, matrix: StoredMatrix = matrix, found: dict[bool, Any] = found) -> None:
                found[how] = matrix.survey(proved=how)

            contenders = {harness.READ: lambda m=matrix: harness.psum(m.stored), OURS: lambda: survey(False)}
            if proved:
                contenders[PROVED] = lambda: survey(True)
            harness.psum(matrix.stored)  # the pages are in memory and in the map from here on
            timing = harness.interleave(contenders, repeats, warmup=0, baseline=harness.READ)
            after = time.perf_counter()
            harness.psum(matrix.stored)
            total["read"] += min(*timing[harness.READ].seconds, time.perf_counter() - after)
            for name in (OURS, PROVED):
                total[name] += timing[name].median if name in timing else 0.0
            worst = max([worst, *(f.norm.ratio for f in found.values())])
            passes += found[False].passes * place.nbytes
            parts.setdefault(place.shape, []).append(timing)
    size = sum(p.nbytes for p in which)
    rows = [
        row
        for (m, n), timings in sorted(parts.items())
        for row in harness.rows(
            "survey",
            case,
            harness.pool(timings),
            baseline=harness.READ,
            bytes={harness.READ: 2 * m * n},
            m=m,
            n=n,
            dtype="bf16",
            matrices=len(timings),
        )
    ]
    whole = {
        "matrices": len(which),
        "gb": round(size / 1e9, 3),
        "read_seconds": round(total["read"], 4),
        "read_gb_per_s": round(size / total["read"] / 1e9, 2),
        "seconds": round(total[OURS], 4),
        "reads": round(total[OURS] / total["read"], 1),
        "passes": round(passes / size, 1),
        "worst_ratio": worst,
        "own_mb": peak.most >> 20,
        "extra_mb": (peak.most - peak.start_bytes) >> 20,
    }
    if proved:
        whole["proved_seconds_per_matrix"] = round(total[PROVED] / len(which), 3)
    return rows, whole


def main(argv: Sequence[str] | None = None) -> None:
    """Write, survey, and print both cases."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--size", choices=random_llama.SIZES)
    own.add_argument("--case", choices=CASES, action="append")
    own.add_argument("--blocks", type=int, help="the first so many blocks only")
    own.add_argument("--folder", type=Path, help="where the checkpoint of the one --case is, or is written and kept")
    own.add_argument("--proved", action="store_true")
    args, rest = own.parse_known_args(argv)
    options = harness.options(f"{__doc__}\n{own.format_usage()}", rest)
    size = args.size or options.pick(full="1b", quick="small", tiny="tiny")
    cases = args.case or list(CASES)
    if args.folder and len(cases) > 1:
        own.error("--folder holds the checkpoint of one --case")
    rows: list[dict[str, object]] = []
    extra: dict[str, object] = {}
    for case in cases:
        with checkpoint(size, CASES[case], args.blocks, args.folder) as opened:
            span = (0, min(args.blocks or 10**6, blocks(places(opened)[0])))
            found, whole = measure(case, opened, span, 1 if size == "8b" else options.repeats, args.proved)
        rows += found
        extra[case] = {"size": size, **whole}
        print(harness.table(found))
        print(f"\n{case}, {size}: {whole}", flush=True)
    harness.write("survey" if size != "8b" else "survey-8b", rows, extra=extra, options=options)


if __name__ == "__main__":
    main()
