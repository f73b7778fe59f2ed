"""What does compilation cost? The first `analyze` on a machine, with an empty cache, against later ones.

Every run is a process of its own; the cache is a temporary folder. ``compile`` in the rows is the time that the
process spent in Numba's compiler, by its own events; ``functions`` says how often it was called.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

# isort: split
import random_llama

CHILD = """
import json, sys, time
started = time.perf_counter()
from numba.core import event
spent = []
with event.install_recorder("numba:compile") as recorder:
    import numpy as np
    import lipop as lo
    from lipop.certify.analysis import analyze_block
    model = lo.load(sys.argv[1])
    x = model.embed(tokens=np.arange(int(sys.argv[2])))
    analyze_block(model.blocks[0], x, radii=[1e-6])
open_at, total, count = None, 0.0, 0
for at, e in recorder.buffer:
    depth = (0 if open_at is None else 1)
    if e.is_start and open_at is None:
        open_at, nested, count = at, 1, count + 1
    elif e.is_start:
        nested, count = nested + 1, count + 1
    else:
        nested -= 1
        if nested == 0:
            total, open_at = total + at - open_at, None
print(json.dumps({"wall": time.perf_counter() - started, "compile": total, "functions": count}))
"""
QUESTION = "compilation"


def run(folder: Path, cache: str, tokens: int) -> dict[str, float]:
    """One process that analyses a tiny block."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", CHILD, str(folder), str(tokens)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> None:
    """Interleave cold and warm processes."""
    options = harness.options(__doc__, argv)
    spent: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model"
        random_llama.write(model, hidden=64, intermediate=128, layers=1, heads=4, groups=2, vocab=64)
        warm = tempfile.mkdtemp(dir=place)
        run(model, warm, 8)

        def contender(name: str, cache: str | None) -> None:
            spent[name] = run(model, cache or tempfile.mkdtemp(dir=place), 8)

        names = {"lipop, empty cache": None, "lipop, later": warm}
        contenders = {n: (lambda n=n, c=c: contender(n, c)) for n, c in names.items()}
        timings = harness.interleave(contenders, options.repeats, baseline="lipop, later", warmup=0)
    rows = harness.rows(QUESTION, "analyze, tiny block, whole process", timings, baseline="lipop, later")
    for row in rows:
        row |= {k: round(v, 3) for k, v in spent[str(row["contender"])].items() if k != "wall"}
    print(harness.table(rows))
    print(harness.write("compile", rows, options=options).name)


if __name__ == "__main__":
    main()
