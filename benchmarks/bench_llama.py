"""How much memory and time does a block of a large model take? A random Llama of the 1B shape, block by block, by part.

    python benchmarks/bench_llama.py --tokens 128                  # all 16 blocks, about an hour and a half
    python benchmarks/bench_llama.py --tokens 2048 --blocks 0:1    # one block, more than an hour
    python benchmarks/bench_llama.py --tokens 2048 --blocks 0:1 --steps 4 --out FILE    # its memory, in minutes
    python benchmarks/bench_llama.py --size tiny --tokens 16       # a minute, to see that it runs

Each run is one process that goes through its blocks as ``lipop analyze`` does. A block is in the results as soon as it
is done; the same command goes on after the last one that is there. ``peak_mb`` is the largest resident size of the
process so far, files and interpreter included; ``own_mb`` are the block's weights in float64, in which it computes.
``--steps`` cuts every Lanczos run short: brackets become useless, but the memory is that of a whole run less that of
the vectors left out (``vectors_mb`` says what all of them take in memory; long ones lie in a file and take none).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

# isort: split
import numpy as np
import random_llama

import lipop as lo
from lipop.certify.analysis import RADII, analyze_block
from lipop.core import norms
from lipop_kernels.cpu._basis import LONG

SIZES: dict[str, dict[str, int]] = {
    "1b": {},
    "tiny": {"hidden": 64, "intermediate": 128, "layers": 2, "heads": 4, "groups": 2, "vocab": 64},
}


full_steps = norms.most_steps


def measure(model: Any, i: int, x: np.ndarray, radii: tuple[float, ...]) -> dict[str, Any]:
    """One block: its brackets, seconds by part, and memory."""
    load = os.getloadavg()[0]
    block = model.blocks[i]
    own = sum(8 * m * n for name, (m, n), _ in block.weights() if name.startswith("W_"))
    cpu = time.process_time()
    a = analyze_block(block, x, radii=radii)
    return {
        "block": i,
        "jacobian": [a.jacobian.lower.value, a.jacobian.upper.value, a.jacobian.upper.status],
        "ratios": {f"{relative:g}": br.ratio for _, relative, br in a.balls},
        "shell": a.shell[2].value,
        "seconds": round(sum(a.seconds.values()), 1),
        "parts": {k: round(v, 1) for k, v in a.seconds.items()},
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "load_before": round(load, 2),
        "commit": harness.machine()["commit"],
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
        "lanczos_steps": norms.most_steps(x.size),
        "vectors_mb": 0 if x.size > LONG else (full_steps(x.size) + 1) * 8 * x.size >> 20,
        "own_mb": own >> 20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main(argv: list[str] | None = None) -> None:
    """Analyse the blocks that are not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="1b")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--blocks", default=":", help="a:b, the blocks a, ..., b - 1")
    parser.add_argument("--radii", type=float, nargs="+", default=list(RADII))
    parser.add_argument("--folder", type=Path, help="where the checkpoint is, or is written (2 GB)")
    parser.add_argument("--out", type=Path, help="the results; default results/analyze-llama-SIZE-TOKENS.json")
    parser.add_argument("--steps", type=int, help="most Lanczos steps, for a rehearsal")
    args = parser.parse_args(argv)
    if args.steps is not None:
        norms.most_steps = lambda n: min(args.steps, full_steps(n))
    out = args.out or harness.RESULTS / f"analyze-llama-{args.size}-{args.tokens}.json"
    folder = args.folder or Path(tempfile.gettempdir()) / f"lipop-llama-{args.size}"
    if not (folder / "config.json").exists():
        random_llama.write(folder, **SIZES[args.size])
    model = lo.load(folder)
    ids = np.random.default_rng(0).integers(0, model.vocab_size, args.tokens)
    state = {"machine": harness.machine(), "tokens": args.tokens, "radii": args.radii, "blocks": []}
    if out.exists():
        state = json.loads(out.read_text())
        if (state["tokens"], state["radii"]) != (args.tokens, args.radii):
            parser.error(f"{out.name} holds another run: {state['tokens']} tokens, radii {state['radii']}")
    done = {row["block"] for row in state["blocks"]}
    first, last, _ = slice(*(int(n) if n else None for n in args.blocks.split(":"))).indices(len(model.blocks))
    x = model.embed(tokens=ids)
    for i in range(last):
        if i >= first and i not in done:
            started = time.strftime("%H:%M")
            row = measure(model, i, x, tuple(args.radii))
            state["blocks"] = sorted([*state["blocks"], row], key=lambda r: r["block"])
            out.parent.mkdir(parents=True, exist_ok=True)
            part = out.with_suffix(".part")
            part.write_text(json.dumps(state, indent=1) + "\n")
            part.replace(out)
            print(f"{started} block {i}: {row}", flush=True)
        x = model.blocks[i](x)


if __name__ == "__main__":
    main()
