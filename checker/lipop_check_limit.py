"""What the limit section of a report must say: measures of each block at its input, laws fitted to them, sentences."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

LIMIT = (
    "the model has {0} blocks; whether an infinite continuation converges depends on a rule for the further blocks, "
    "and none is given, so no theorem applies",
    "{1} of {0} blocks were measured at one input each; increments and derivative norms at these points bound nothing "
    "elsewhere",
)
TREND = {
    "increment": "the relative increments |T x - x| / |x|",
    "successive": "the deviations |T_i x - T_(i-1) x| / |x| of neighbouring blocks",
    "idempotency": "the idempotency defects |T T x - T x| / |T x|",
}
FIXED = {"fixed": "the motions |T z - z| / |z| of the final state z (theorem 7: to 0, if the limits exist)"}
LAWS = {  # what is fitted, and the exponent above which it sums
    "step": ("the steps |T x - x| (theorem 9: whether they sum decides)", 1),
    "angle": ("the angles between x and T x (theorem 10: the direction converges if they sum)", 1),
    "projection": ("the deviations |T x - P x| / |x| from the final projection P (theorem 1)", 1),
    "successive": ("the deviations of neighbouring blocks (theorem 1 needs an exponent above 2 of them)", 2),
}
TINY = 1e-9
Block = Callable[[np.ndarray], Any]
Layer = dict[str, Any]


def size(x: np.ndarray) -> float:
    """The norm of all entries."""
    return float(np.linalg.norm(x))


def angle(u: np.ndarray, v: np.ndarray) -> float:
    """By chords, which is exact for small angles too."""
    u, v = u / size(u), v / size(v)
    return 2 * math.atan2(size(u - v), size(u + v))


def cover(x: np.ndarray, scale: float) -> int:
    """Balls that farthest-point traversal needs."""
    centers = [0]
    while len(centers) < len(x):
        far = np.linalg.norm(x[:, None] - x[None, centers], axis=2).min(axis=1)
        if far.max() <= scale:
            break
        centers.append(int(far.argmax()))
    return len(centers)


def spectrum(y: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Singular values, how many of them hold nine tenths of the energy, right singular vectors."""
    _, s, v = np.linalg.svd(y, full_matrices=False)
    return s, next(r for r in range(1, len(s) + 1) if (s[:r] ** 2).sum() >= 0.9 * (s**2).sum()), v


def measures(x: np.ndarray, y: np.ndarray, f: Block, F: Any, before: Any, last: Any, z: np.ndarray) -> Layer:
    """Of a block f with branches F and y = f(x), after the block ``before`` at the input ``last``; z ends the stack."""
    again, state = f(y).real, x
    for _, branch, _ in F:
        state = state + branch(state).real
    (s, rank, _), (top, r, v) = spectrum(y), spectrum(z)
    split = r == len(top) or top[r - 1] - top[r] > 1e-6 * top[0]
    p, P = s[s > 0] / s.sum(), v[:r].T @ v[:r]
    scale, few = np.linalg.norm(x[:512] - x[0], axis=1).max() / 2, slice(0, 512)
    return {
        "increment": size(y - x) / size(x),
        "step": size(y - x),
        "angle": angle(x, y),
        "idempotency": size(again - y) / size(y),
        "defect": size(again - y) / size(y - x),
        "effective_rank": float(np.exp(-(p * np.log(p)).sum())),
        "stable_rank": float((s**2).sum() / s[0] ** 2),
        "rank": rank,
        "covering": cover(y[few], scale) / cover(x[few], scale) if scale > 0 else None,
        "radius": float(np.linalg.norm(y, axis=1).min()),
        "departure": size(y - state) / size(y),
        "successive": None if before is None else size(y - before(x).real) / size(x),
        "turn": None if before is None else angle(x - last, y - x),
        "fixed": size(f(z).real - z) / size(z),
        "projection": size(y - x @ P) / size(x) if split else None,
        "range": size(y - y @ P) / size(y) if split else None,
    }


# ---- what follows from the measures ----


def slope(t: Any, y: Any) -> float:
    """Of the least-squares line."""
    t, y = np.asarray(t, dtype=float), np.asarray(y, dtype=float)
    return float(((t - t.mean()) * (y - y.mean())).sum() / ((t - t.mean()) ** 2).sum())


def law(layers: Sequence[Layer], key: str, threshold: float) -> Layer | None:
    """A power law with the interval of 999 resamples, none of fewer than four layers."""
    points = [(math.log(layer["layer"] + 1), math.log(layer[key])) for layer in layers if layer[key]]
    if len(points) < 4:
        return None
    t, y = np.array(points).T
    draws = np.random.PCG64(0).random_raw((999, len(t))) % np.uint64(len(t))
    found = sorted(-slope(t[k], y[k]) for k in draws if len({*k}) > 1)
    low, high = (found[i] for i in (int(0.025 * len(found)), -1 - int(0.025 * len(found))))
    kind = "summable" if low > threshold + TINY else "not summable" if high < threshold - TINY else "critical"
    return {"exponent": -slope(t, y), "low": low, "high": high, "points": len(t), "evidence": kind}


def falls(layers: Sequence[Layer], key: str) -> bool:
    """Whether a measure is there and does not rise."""
    values = [layer[key] for layer in layers]
    return None not in values and all(b <= a + TINY * (1 + a) for a, b in pairwise(values))


def onset(layers: Sequence[Layer]) -> int | None:
    """The first layer from which on the cloud condenses."""
    for k in range(len(layers) - 2):
        covers = all(d["covering"] and d["covering"] <= 1 + TINY for d in layers[k + 1 :])
        if covers and falls(layers[k:], "effective_rank") and falls(layers[k:], "range"):
            return int(layers[k]["layer"])
    return None


def constants(blocks: Sequence[Layer], layers: Sequence[Layer]) -> list[Layer]:
    """delta, c and readout of each block; from the bounds of its branches."""
    out, product = [], 1.0
    for b, d in zip(blocks, layers, strict=True):
        delta = math.prod(1 + float(r["lip_branch"]["upper"]) for r in b["residuals"]) - 1
        product *= 1 + delta if d["departure"] <= TINY else math.inf
        values = [delta, delta * b["shell"]["r"], product * blocks[0]["shell"]["r"] / d["radius"]]
        found = zip(("delta", "c", "readout"), values, strict=True)
        out.append({k: v if math.isfinite(v) else None for k, v in found})
    return out


def summary(blocks: Sequence[Layer], layers: Sequence[Layer]) -> Layer:
    """What the layers say together."""
    deltas = [float(r["lip_branch"]["upper"]) for b in blocks for r in b["residuals"]]
    known = bool(deltas) and max(deltas) < math.inf
    rho = slope(range(len(layers)), [d["radius"] for d in layers]) if len(layers) > 1 else None
    cs = [d["c"] for d in constants(blocks, layers)]
    expanding = [k for k, b in enumerate(blocks) if float(b["jacobian"]["upper"]) > 1]
    smooth = expanding[-1] + 1 if expanding else 0
    exponent = float(np.median(cs)) / rho if cs and None not in cs and rho is not None and rho > 0 else None
    return {
        "decay": {key: law(layers, key, threshold) for key, (_, threshold) in LAWS.items()},
        "onset": onset(layers),
        "nonexpansive_from": blocks[smooth]["index"] if smooth < len(blocks) else None,
        "residual": bool(layers) and all(d["departure"] <= TINY for d in layers),
        "log_growth": float(np.log1p(deltas).sum()) if known else None,
        "log_retention": float(np.log1p(-np.array(deltas)).sum()) if known and max(deltas) < 1 else None,
        "norm_slope": rho,
        "growth_exponent": exponent,
    }


def trends(named: dict[str, str], layers: Sequence[Layer]) -> list[str]:
    """A sentence for each measure that more than one block has."""
    out = []
    for key, what in named.items():
        values = [layer[key] for layer in layers if layer[key] is not None]
        if len(values) > 1:
            falling = all(b < a for a, b in pairwise(values))
            out.append(f"{what} {'fall' if falling else 'do not fall'} from block to block")
    return out


def sentences(blocks: Sequence[Layer], layers: Sequence[Layer], s: Layer) -> list[str]:
    """What the theorems say."""
    out = trends(FIXED, layers)
    for key, (what, _) in LAWS.items():
        if s["decay"][key]:
            n, kind = s["decay"][key]["points"], s["decay"][key]["evidence"]
            out.append(f"{what}: a power law of the {n} layers supports '{kind}'")
    if not layers:
        return out
    rises = "no condensing onset: effective rank, distance to the final range or covering number rises near the end"
    falling = "from there on effective rank, distance to the final range and covering number do not rise"
    out.append(rises if s["onset"] is None else f"condensing onset K0 = {s['onset']}: {falling}")
    expanding, start = sum(float(b["jacobian"]["lower"]) > 1 for b in blocks), s["nonexpansive_from"]
    rest = "" if start is None else f"; from block {start} on all are proved non-expansive there"
    out.append(f"{expanding} of {len(layers)} blocks expand a direction at their inputs{rest}")
    deltas = [float(r["lip_branch"]["upper"]) for b in blocks for r in b["residuals"]]
    large = sum(d >= 1 for d in deltas)
    out.append(
        f"the blocks {'are' if s['residual'] else 'are not'} compositions of residual maps; {large} of {len(deltas)} "
        "branches may have a constant of at least 1 at their inputs, so that theorem 8 keeps "
        + ("no two inputs apart" if large else "inputs apart")
    )
    if s["growth_exponent"] is not None and s["residual"]:
        stays = "at most 1: the bound of the readout stays"
        side = stays if s["growth_exponent"] <= 1 else "above 1: the bound of the readout grows"
        out.append(f"the growth exponent c / rho of theorem 10 is {side}")
    return out


def limit_section(total: int, blocks: Sequence[Layer], layers: Sequence[Layer]) -> Layer:
    """The section for the given blocks and their measures, as they stand in the diagnosis."""
    found = summary(blocks, layers)
    said = [s.format(total, len(layers)) for s in LIMIT] + trends(TREND, layers)
    said += sentences(blocks, layers, found)
    return {"answer": "UNDECIDED", "evidence": said, "summary": found, "diagnosis": list(layers)}
