"""What theorems 4, 5, 8, 9 and 10 say of products of constants, residual steps and pre-norm stacks, as comparisons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from lipop.operators import RMSNorm
from lipop.testing.architectures_steps import EPS
from lipop.testing.comparison import DEPTH, Comparison, pairs, slack
from lipop.testing.specimen import Specimen


def theorem_4(spec: Specimen) -> Iterator[Comparison]:
    """Pairs part at least by the product of the expansions."""
    one, other, gaps = pairs(spec)
    product = 1.0
    for n in range(1, DEPTH + 1):
        product *= spec.facts["expansion"](n)
        allowed = 1e-12 * (gaps[n] + spec.norm(one[n]) + spec.norm(other[n]))
        yield Comparison("4", n, product * gaps[0], gaps[n], allowed)


def theorem_5(spec: Specimen) -> Iterator[Comparison]:
    """Pairs part at most by the product of the Lipschitz constants."""
    one, other, gaps = pairs(spec)
    product, allowed = 1.0, slack([*one, *other], spec)
    for n in range(1, DEPTH + 1):
        product *= spec.facts["lip"](n)
        yield Comparison("5", n, gaps[n], product * gaps[0], allowed)


def theorem_8(spec: Specimen) -> Iterator[Comparison]:
    """Both ends of the bracket, the error, and the way back: S_(inf,m) -> I."""
    one, other, gaps = pairs(spec)
    d, b = ([0.0, *(spec.facts[k](i) for i in range(1, DEPTH + 1))] for k in ("delta", "beta"))
    allowed = slack([*one, *other], spec)
    up = down = 1.0
    for n in range(1, DEPTH + 1):
        up, down = up * (1 + d[n]), down * max(1 - d[n], 0.0)
        yield Comparison("8 Lip", n, gaps[n], up * gaps[0], allowed)
        yield Comparison("8 expansion", n, down * gaps[0], gaps[n], allowed)
    for n in (1, 2, 5, 20, 39):
        P, tail = math.prod(1 + v for v in d[n + 1 :]), math.fsum(b[n + 1 :])
        bound = (P - 1) * spec.norm(one[n]) + P * tail
        yield Comparison("8 error", n, spec.norm(one[-1] - one[n]), bound, allowed)


def theorem_9(spec: Specimen) -> Iterator[Comparison]:
    """Fejer monotonicity, the residual in l2, the exponential error, injectivity, and that fixed points stay."""
    h, p, N, q = (spec.facts[k] for k in ("h", "fixed", "N", "q"))
    one, other, gaps = pairs(spec)
    allowed = slack([*one, *other], spec)
    away = [spec.norm(x - p) for x in one]
    sums, squares, below = 0.0, 0.0, 1.0
    for n in range(1, DEPTH + 1):
        yield Comparison("9 distance to Fix N", n, away[n], away[n - 1], allowed)
        yield Comparison("9 non-expansive", n, gaps[n], gaps[n - 1], allowed)
        sums, squares, below = sums + h(n), squares + h(n) * (1 - h(n)), below * max(1 - 2 * h(n), 0.0)
        if spec.facts["norm"] == "l2":
            residual = spec.norm(N(one[n]) - one[n])
            yield Comparison("9 residual", n, residual**2 * squares, away[0] ** 2, allowed * (1 + away[0]) * 10)
        if q < 1:
            yield Comparison("9 contraction", n, away[n], math.exp(-(1 - q) * sums) * away[0], allowed)
        yield Comparison("9 injective", n, below * gaps[0], gaps[n], allowed)
    yield Comparison("9 fixed points stay", DEPTH, spec.norm(spec.architecture(p, depth=DEPTH) - p), 0.0, allowed)


def theorem_9_flow(spec: Specimen) -> Iterator[Comparison]:
    """(b): the orbit follows the flow from any depth on, ``|S_N x - phi_t S_n x| <= (Lambda B / 2) sum h_i^2``."""
    h, flow, orbit = spec.facts["h"], spec.facts["flow"], spec.orbit(DEPTH)
    allowed = slack(orbit, spec)
    for n in (0, 1, 5, 20, 39):
        steps = [h(i) for i in range(n + 1, DEPTH + 1)]
        bound = spec.facts["lip"] * spec.facts["size"] / 2 * math.fsum(t * t for t in steps)
        for later in (0.0, 100.0):  # further along the flow: towards Q
            gap = flow(later, orbit[-1]) - flow(math.fsum(steps) + later, orbit[n])
            yield Comparison("9 flow", n, spec.norm(gap), bound, allowed)


def theorem_10(spec: Specimen) -> Iterator[Comparison]:
    """Both ends of the bracket on the pair's own norms, the readout, and the direction."""
    one, other, gaps = pairs(spec)
    dim = len(spec.point)
    r = [min(np.linalg.norm(x), np.linalg.norm(y)) for x, y in zip(one, other, strict=True)]
    if min(r) < 1e-3:
        return  # a pair that passes near zero: the bracket is empty there, and rounding is not
    c, allowed = spec.facts["l"] * math.sqrt(dim), slack([*one, *other], spec) / min(r)
    N, up, down = RMSNorm(np.ones(dim), EPS), 1.0, 1.0
    for n in range(1, DEPTH + 1):
        up, down = up * (1 + c / r[n - 1]), down * max(1 - c / r[n - 1], 0.0)
        rounding = allowed * (1 + up)
        yield Comparison("10 growth", n, gaps[n], up * gaps[0], rounding)
        yield Comparison("10 expansion", n, down * gaps[0], gaps[n], rounding)
        readout = float(np.linalg.norm(N(one[n]) - N(other[n])))
        yield Comparison("10 readout", n, readout, math.sqrt(dim) / r[n] * up * gaps[0], rounding)
    u = [x / np.linalg.norm(x) for x in one]
    theta = [0.0, *(2 * math.asin(min(1.0, np.linalg.norm(a - b) / 2)) for a, b in itertools.pairwise(u))]
    for n in (1, 5, 20, 39):
        turned = float(np.linalg.norm(u[-1] - u[n]))
        yield Comparison("10 direction", n, turned, math.fsum(theta[n + 1 :]), 1e-12)


__all__ = ["theorem_4", "theorem_5", "theorem_8", "theorem_9", "theorem_9_flow", "theorem_10"]
