"""What does the analysis of a whole model cost? MiniLM, every block and radius, by part, for several numbers of tokens.

Each run has a process of its own, and its peak memory. A row is one block: quartiles are over the blocks, ratios are
the parts' shares of the whole.

    python benchmarks/bench_analyze.py                 # T = 32, 64, 128
    python benchmarks/bench_analyze.py --effort exhaustive --tokens 64
    python benchmarks/bench_analyze.py --effort exhaustive --tokens 64 --blocks 4:6 --add
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness

# isort: split
import numpy as np
from blocks import minilm

import lipop as lo
from lipop.certify.analysis import analyze_block
from lipop.operators.block import Block

WHOLE = "lipop"


def measure(tokens: int, effort: str, blocks: str) -> dict[str, Any]:
    """Analyse the blocks a:b at the activations of the demo text; seconds by part, ratios and peak memory."""
    model = minilm()
    if model is None:
        raise SystemExit("the MiniLM wheel is not installed: make setup")
    text = (Path(lo.__file__).parent / "data" / "demo.txt").read_text()
    states = model.activations(model.embed(tokens=model.tokens(text)[:tokens]))  # as `lipop demo` does
    load = os.getloadavg()[0]  # of the last minute: on an idle machine this process alone, at most
    rows = []
    first, last = (int(n) if n else None for n in blocks.split(":"))
    for i, x in list(enumerate(states))[first:last]:
        block = model.blocks[i]
        assert isinstance(block, Block)
        a = analyze_block(block, x, effort=effort)
        rows.append(
            {
                "block": i,
                "size": float(np.linalg.norm(x)),
                "jacobian": [a.jacobian.lower.value, a.jacobian.upper.value, a.jacobian.upper.status],
                "ratios": {f"{rel:g}": b.ratio if np.isfinite(b.ratio) else None for _, rel, b in a.balls},
                "seconds": a.seconds,
            }
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"tokens": tokens, "effort": effort, "load_before": load, "peak_mb": peak, "blocks": rows}


def rows(runs: Sequence[dict[str, Any]]) -> list[harness.Row]:
    """One row for the whole and one for each part, of all blocks that have the same number of tokens."""
    by_tokens: dict[int, list[dict[str, float]]] = {}
    for run in runs:
        by_tokens.setdefault(run["tokens"], []).extend(block["seconds"] for block in run["blocks"])
    out: list[harness.Row] = []
    for tokens, blocks in sorted(by_tokens.items()):
        whole = tuple(sum(parts.values()) for parts in blocks)
        names = dict.fromkeys(name for parts in blocks for name in parts)
        timings = {WHOLE: harness.Timing(whole, whole)}
        timings |= {f"part: {n}": harness.Timing(tuple(parts.get(n, 0.0) for parts in blocks), whole) for n in names}
        out += harness.rows("analysis of a block", f"minilm, {runs[0]['effort']}", timings, T=tokens)
    return out


def in_own_process(tokens: int, effort: str, blocks: str) -> dict[str, Any]:
    """The measurement, made by a fresh process, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--one", "--effort", effort, "--tokens", str(tokens), "--blocks", blocks]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(argv: Sequence[str] | None = None) -> None:
    """Run every size in its own process and write the results."""
    parser = harness.parser(__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", help="default 32 64 128; quick 8; tiny 2")
    parser.add_argument("--effort", default="quick", choices=["quick", "tight", "exhaustive"])
    parser.add_argument("--blocks", help="a:b, the blocks a, ..., b - 1 (default all; quick and tiny: the first)")
    parser.add_argument("--add", action="store_true", help="add the runs to the results that are there")
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    args = parser.parse_args(argv)
    options = harness.chosen(__doc__, args)
    lengths = args.tokens or options.pick(full=[32, 64, 128], quick=[8], tiny=[2])
    blocks = args.blocks or options.pick(full=":", quick=":1", tiny=":1")
    if args.one:
        print(json.dumps(measure(lengths[0], args.effort, blocks)))
        return
    name = f"analyze-minilm-{args.effort}"
    earlier = options.out / f"{name}.json"
    runs = json.loads(earlier.read_text())["extra"]["runs"] if args.add and earlier.exists() else []
    for tokens in lengths:
        runs.append(in_own_process(tokens, args.effort, blocks))
        print(harness.table(rows(runs[-1:])), f"\n  {runs[-1]['peak_mb']} MB", flush=True)
    harness.write(name, rows(runs), options=options, extra={"runs": runs})


if __name__ == "__main__":
    main()
