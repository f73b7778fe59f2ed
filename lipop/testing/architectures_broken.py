"""Architectures that satisfy every hypothesis of a theorem but one, and for which its conclusion fails.

``facts["fails"]`` says how: ``oscillates`` (the orbit of ``point`` does not settle: at depths ``facts["depths"]`` its
steps over a period stay above ``facts["gap"]``), ``escapes`` (it passes ``facts["bound"]`` at the last depth),
``not fixed`` (the limit is not the one stated), ``same limit`` (two points that must stay apart come together),
``different limits`` (two points that must come together stay apart) or ``moves`` (``|T_n z - z|`` stays above the gap).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lipop.core.algebra import relax
from lipop.core.operator import Operator
from lipop.limit.architecture import Architecture
from lipop.operators.function import FunctionOperator
from lipop.testing.architectures_steps import PreNorm
from lipop.testing.laws import LAWS
from lipop.testing.maps import linear
from lipop.testing.specimen import Specimen, near, scalar

Broken = Callable[[int, int], Specimen]


def _map(n: int, f: Callable[[np.ndarray], np.ndarray], name: str) -> Operator:
    return FunctionOperator((n,), (n,), f, name=name)


def _first(n: int, value: float = 1.0) -> np.ndarray:
    out = np.zeros(n)
    out[0] = value
    return out


def _plain(text: str, rule: Callable[[int], Operator], point: np.ndarray, **facts: Any) -> Specimen:
    return Specimen(text, Architecture.by_rule(rule, name=text), point, point + _first(len(point)), rule, facts=facts)


# ---- theorems 1, 2, 3 ----


def negation(theorem: int, n: int, seed: int) -> Specimen:
    """``T = -I`` with summable pushes: non-expansive, not idempotent, its powers do not converge."""
    name = "idempotence" if theorem == 1 else "converging powers"
    text = f"theorem {theorem} without {name}: -I, n={n}; seed {seed}"
    T = linear(-np.eye(n), "l2")
    spec = near(text, lambda i: T, law="2**-k", scale=0.25, seed=seed, limit=T, fails="oscillates", period=1, gap=0.5)
    return _moved(spec, 2.0 + np.zeros(n))


def drifting(theorem: int, n: int, seed: int) -> Specimen:
    """Pushes along the range of a projection, whose sum is infinite."""
    law = ("1/k", "1/sqrt(k)", "1/log(k+1)")[seed % 3]
    text = f"theorem {theorem} without a finite sum: coordinates and {law}, n={n}"
    T = linear(np.diag(_first(n)), "l2")
    spec = near(text, lambda i: T, law=law, limit=T, direction=_first(n), fails="escapes")
    total = float(LAWS[law].values(2000).sum())
    return _with(_moved(spec, np.zeros(n)), depth=2000, bound=0.99 * total)


def steep_projection(n: int, seed: int) -> Specimen:
    """``T(x, y) = (x + sqrt|y|, 0)``: idempotent, continuous, not Lipschitz. Pushes ``k^-2`` move x by ``1/k``."""
    n = max(n, 2)

    def shift(x: np.ndarray) -> np.ndarray:
        y = np.zeros(n)
        y[0] = x[0] + math.sqrt(abs(x[1]))
        return y

    T = _map(n, shift, "steep projection")
    way = np.zeros(n)
    way[1] = 1.0
    text = f"theorem 1 without Lip T < inf: (x + sqrt|y|, 0), n={n}"
    spec = near(text, lambda i: T, law="k**-2", limit=T, direction=way, fails="escapes")
    return _with(_moved(spec, np.zeros(n)), depth=2000, bound=math.log(2000.0))


def turning(n: int, seed: int) -> Specimen:
    """``T x = x + (1 - cos x)/2`` on the line: its powers converge at every point, Lip T = 3/2. Pushes ``40 k^-2``
    carry the orbit past every fixed point (Kneser's criterion: ``u'' + (10/t^2) u = 0`` oscillates)."""

    def step(x: np.ndarray) -> np.ndarray:
        return x + 0.5 * (1 - np.cos(x))

    T = _map(1, step, "turning")
    text = "theorem 2 without Lip T <= 1: x + (1 - cos x)/2, eps=40*k**-2"
    spec = near(text, lambda i: T, law="k**-2", scale=40.0, limit=T, direction=np.ones(1), fails="escapes")
    return _with(_moved(spec, np.zeros(1)), depth=4000, bound=14 * math.pi)


def alternating(n: int, seed: int) -> Specimen:
    """``x/2 + 1`` and ``x/2 - 1`` in turn: deviation 1 from a contraction."""
    T = linear(0.5 * np.eye(n), "linf")
    turns = [linear(0.5 * np.eye(n), "linf", sign * np.ones(n)) for sign in (1.0, -1.0)]
    text = f"theorem 3 without deviation to zero: x/2 and 1 in turn up and down, n={n}"
    return _plain(text, lambda i: turns[i % 2], np.zeros(n), fails="oscillates", period=1, gap=1.0, map=T)


# ---- theorems 4 to 7 ----


def expanding_a_little(n: int, seed: int) -> Specimen:
    """``(1 + k^-2) I``: every block expands, the product is finite, the limit exists at every point."""
    text = f"theorem 4 without an infinite product: (1+k**-2) I, n={n}"
    return _plain(text, scalar(lambda i: 1 + i**-2.0, n), np.ones(n), fails="settles", depth=2000, gap=1e-2)


def contracting_a_little(n: int, seed: int) -> Specimen:
    """``(1 - (k+1)^-2) I``: every block contracts, the limit is not constant."""
    text = f"theorem 5 without a vanishing product: (1-(k+1)**-2) I, n={n}"
    return _plain(text, scalar(lambda i: 1 - (i + 1) ** -2.0, n), np.ones(n), fails="different limits", gap=0.4)


def lever(n: int, seed: int) -> Specimen:
    """``R_i x = (x_1 + i x_2, 0)`` and pushes ``k^-2`` of the second coordinate: R is tail-stable, T gains ``1/i``."""
    n = max(n, 2)

    def block(i: int) -> Operator:
        a = np.zeros((n, n))
        a[0, 0], a[0, 1] = 1.0, float(i)
        return linear(a, "l2")

    way = np.zeros(n)
    way[1] = 1.0
    spec = near(f"theorem 6 without bounded products: (x1 + i x2, 0), n={n}", block, law="k**-2", direction=way)
    return _with(_moved(spec, np.zeros(n)), fails="escapes", depth=2000, bound=math.log(2000.0))


def startling(n: int, seed: int) -> Specimen:
    """On [0, 1], ``T_n x = 1/(n+1)`` from 1/n on, and a line from ``T_n 0 = 1`` to there: every tail converges to 0,
    and ``T_n 0 = 1``."""

    def block(i: int) -> Operator:
        def value(x: np.ndarray) -> np.ndarray:
            t = np.minimum(np.abs(x) * i, 1.0)
            return (1 - t) + t / (i + 1)

        return _map(n, value, f"startling {i}")

    text = f"theorem 7 without Lip S(n, m) <= C: up near 0, n={n}"
    return _plain(text, block, np.full(n, 0.5), fails="moves", limit=np.zeros(n), gap=0.5)


# ---- theorems 8, 9, 10 ----


def forgetting(n: int, seed: int) -> Specimen:
    """``(1 - 1/(k+1)) I``: residual blocks whose constants do not sum forget everything."""
    text = f"theorem 8 without summable constants: (1-1/(k+1)) I, n={n}"
    return _plain(text, scalar(lambda i: 1 - 1 / (i + 1), n), np.ones(n), fails="same limit", depth=4000, gap=1e-3)


def carried(n: int, seed: int) -> Specimen:
    """``x + 1/k``: residual blocks with constant 0 whose values at a point do not sum."""
    text = f"theorem 8 without summable offsets: x+1/k, n={n}"
    rule = lambda i: linear(np.eye(n), "linf", np.ones(n) / i)  # noqa: E731
    return _plain(text, rule, np.zeros(n), fails="escapes", depth=4000, bound=math.log(4000.0))


def _relaxed(N: Operator, h: Callable[[int], float]) -> Callable[[int], Operator]:
    return lambda i: relax(N, h(i))


def no_fixed_point(n: int, seed: int) -> Specimen:
    """N a translation."""
    N = linear(np.eye(n), "linf", np.ones(n))
    text = f"theorem 9 without a fixed point: a translation, n={n}"
    return _plain(text, _relaxed(N, lambda i: 0.5), np.zeros(n), fails="escapes", depth=400, bound=100.0)


def full_steps(n: int, seed: int) -> Specimen:
    """``h_i = 1`` with N = -I."""
    N = linear(-np.eye(n), "l2")
    text = f"theorem 9 without h < 1: -I, n={n}"
    return _plain(text, lambda i: N, np.ones(n), fails="oscillates", period=1, gap=1.0)


def expansive_steps(n: int, seed: int) -> Specimen:
    """N = 3 I."""
    N = linear(3 * np.eye(n), "linf")
    text = f"theorem 9 without Lip N <= 1: 3 I, n={n}"
    return _plain(text, _relaxed(N, lambda i: 0.25), np.ones(n), fails="escapes", depth=100, bound=1e6)


def short_steps(n: int, seed: int) -> Specimen:
    """``h_i = 0.45 k^-2`` with N = -I: the limit exists and is no fixed point."""
    N = linear(-np.eye(n), "l2")
    text = f"theorem 9 without an infinite sum of steps: -I, n={n}"
    rule = _relaxed(N, lambda i: 0.45 / i**2)
    return _plain(text, rule, np.ones(n), fails="not fixed", map=N, depth=2000, gap=0.1)


def pushed_steps(n: int, seed: int) -> Specimen:
    """Harmonic steps towards the fixed points of a projection, pushed along these by ``1/k``."""
    N = linear(np.diag(_first(n)), "l2")
    text = f"theorem 9 without a finite sum of deviations: coordinates and 1/k, n={n}"
    spec = near(text, lambda i: relax(N, 0.5 / i), law="1/k", direction=_first(n), fails="escapes")
    return _with(_moved(spec, np.zeros(n)), depth=2000, bound=math.log(2000.0))


def circling(n: int, seed: int) -> Specimen:
    """``F(x) = J x - |x|^2 x`` in the plane, J a quarter turn: dissipative, its flow goes to 0. Steps 1/4 settle
    on a circle of radius about ``sqrt(h/2)`` instead."""

    def step(x: np.ndarray) -> np.ndarray:
        return x + 0.25 * (np.array([-x[1], x[0]]) - float(x @ x) * x)

    text = "theorem 9 (b) without a finite sum of squared steps: a turn and a cubic, h=1/4"
    F = _map(2, step, "circling")
    return _plain(text, lambda i: F, np.array([0.5, 0.0]), fails="oscillates", period=1, gap=0.05)


def winding(n: int, seed: int) -> Specimen:
    """Pre-norm blocks that grow like i and turn by about 1/i: the angles do not sum, the direction winds."""
    n = max(n, 2)
    a = np.zeros((n, n))
    a[0, 1], a[1, 0] = -1.0, 1.0
    text = f"theorem 10 without a finite sum of angles: growth and a turn, n={n}"
    return _plain(text, lambda i: PreNorm(a, 1.0), _first(n), fails="winds", depth=4000, gap=1.0)


def _with(spec: Specimen, **facts: Any) -> Specimen:
    import dataclasses

    return dataclasses.replace(spec, facts={**spec.facts, **facts})


def _moved(spec: Specimen, point: np.ndarray) -> Specimen:
    import dataclasses

    return dataclasses.replace(spec, point=point, other=point + _first(len(point)))


BROKEN: dict[int, dict[str, Broken]] = {
    1: {
        "idempotence": lambda n, seed: negation(1, n, seed),
        "a finite sum": lambda n, seed: drifting(1, n, seed),
        "Lip T < inf": steep_projection,
    },
    2: {
        "converging powers": lambda n, seed: negation(2, n, seed),
        "a finite sum": lambda n, seed: drifting(2, n, seed),
        "Lip T <= 1": turning,
    },
    3: {"deviation to zero": alternating, "Lip T < 1": lambda n, seed: drifting(3, n, seed)},
    4: {"an infinite product": expanding_a_little},
    5: {"a vanishing product": contracting_a_little},
    6: {"bounded products": lever, "a finite sum": lambda n, seed: drifting(6, n, seed)},
    7: {"bounded products": startling},
    8: {"summable constants": forgetting, "summable offsets": carried},
    9: {
        "a fixed point": no_fixed_point,
        "h < 1": full_steps,
        "Lip N <= 1": expansive_steps,
        "an infinite sum of steps": short_steps,
        "a finite sum": pushed_steps,
        "a finite sum of squared steps": circling,
    },
    10: {"a finite sum of angles": winding},
}
"""By theorem and hypothesis: a maker of architectures for which this one fails and all others hold."""

__all__ = ["BROKEN", "Broken"]
