"""Generated architectures for the theorems about products of constants, residual steps and pre-norm stacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lipop.core.algebra import relax
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.space import Space
from lipop.core.space import norm as size_in
from lipop.limit.architecture import Architecture
from lipop.operators import SoftThreshold
from lipop.operators.normalization import RMSNorm
from lipop.testing.laws import LAWS, SUMMABLE
from lipop.testing.maps import NORMS, isometry, linear, short
from lipop.testing.specimen import Specimen


@dataclass(frozen=True, eq=False, repr=False)
class Bend(Operator):
    """``x -> a x + b tanh(x) + c``, coordinate by coordinate: slopes between ``a`` and ``a + b`` (b >= 0 or b < 0)."""

    offset: np.ndarray
    a: float
    b: float
    norm: str = "l2"

    @property
    def domain(self) -> Space:
        return Space(self.offset.shape, self.norm)

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.a * x + self.b * np.tanh(x) + self.offset

    def _lip(self, on: Region) -> float:
        return math.nextafter(max(abs(self.a), abs(self.a + self.b)), math.inf)


EPS = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class PreNorm(Operator):
    """``x -> x + rho u + A u`` with ``u = x / sqrt(mean x^2 + 1e-12)``: radial growth and a linear map of it.

    On pairs outside the ball of radius r the branch has the constant ``l sqrt(d) / r`` with ``l = |rho I + A|``.
    """

    A: np.ndarray
    rho: float

    @property
    def domain(self) -> Space:
        return Space((len(self.A),))

    @property
    def codomain(self) -> Space:
        return self.domain

    def __call__(self, x: np.ndarray) -> np.ndarray:
        u = RMSNorm(np.ones(len(x)), EPS)(x)
        return x + self.rho * u + u @ self.A.T


def theorem_4(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """Blocks that expand, with a divergent product; ``facts["expansion"]``: i -> a lower bound."""
    rng = np.random.default_rng(seed)
    law = str(rng.choice(["1/k", "1/sqrt(k)", "1/log(k+1)"]))
    steps, offset = LAWS[law].values(4096), rng.standard_normal(n)
    at = (lambda i: 1.0 + float(steps[i - 1])) if kind == "slow" else (lambda i: 1.5)
    bend = 0.0 if kind == "slow" else 0.5
    text = f"theorem 4: {kind}, expansion 1+{law if kind == 'slow' else '1/2'}, {norm}, n={n}; seed {seed}"
    return _products(text, lambda i: Bend(offset, at(i), bend, norm), n, rng, expansion=at)


def theorem_5(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """Blocks whose Lipschitz constants multiply to zero; ``facts["lip"]``: i -> an upper bound."""
    rng = np.random.default_rng(seed)
    offset = rng.standard_normal(n)
    if kind == "slow":
        at: Callable[[int], float] = lambda i: i / (i + 1.0)  # noqa: E731
        made: Callable[[int], Operator] = lambda i: Bend(offset / i**2, at(i) / 2, at(i) / 2, norm)  # noqa: E731
    else:  # expanding and contracting in turn
        at = lambda i: 2.0 if i % 2 else 0.25  # noqa: E731
        made = lambda i: Bend(offset / i**2, at(i), 0.0, norm)  # noqa: E731
    return _products(f"theorem 5: {kind}, {norm}, n={n}; seed {seed}", made, n, rng, lip=at)


def theorem_8(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """Residual blocks with summable constants; ``facts``: ``delta``, ``beta`` (at zero), i -> float."""
    rng = np.random.default_rng(seed)
    first, second = (LAWS[str(rng.choice(SUMMABLE))] for _ in range(2))
    size = float(rng.choice([0.5, 0.25, 1.0, 2.0]))
    d, b = size * first.values(4096), second.values(4096)
    way = rng.standard_normal(n)
    way /= size_in(way, norm)
    turn = np.asarray(isometry(rng, n, norm)(np.eye(n))).T

    def made(i: int) -> Operator:
        delta, offset = float(d[i - 1]), float(b[i - 1]) * way
        if kind == "linear":
            return linear(np.eye(n) + delta * turn, norm, offset)
        return Bend(offset, 1.0, delta if kind == "swelling" else -delta, norm)

    text = f"theorem 8: {kind}, delta={size:g}*{first.name}, beta={second.name}, {norm}, n={n}; seed {seed}"
    laws = {"delta_law": first.name, "beta_law": second.name, "size": size}
    return _products(text, made, n, rng, delta=lambda i: float(d[i - 1]), beta=lambda i: float(b[i - 1]), **laws)


def theorem_9(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """``(1 - h_i) I + h_i N`` with N non-expansive and N p = p; ``facts``: ``N``, ``h``, ``fixed``, ``sums``, ``q``."""
    rng = np.random.default_rng(seed)
    top = float(rng.choice([0.5, 0.25, 0.75]))
    laws: Mapping[str, Callable[[int], float]] = {
        "constant steps": lambda i: top,
        "harmonic steps": lambda i: top / i,
        "root steps": lambda i: top / math.sqrt(i),
        "summable steps": lambda i: 0.4375 / i**2,
        "contraction": lambda i: top / i,
    }
    h = laws[kind]
    p = short(rng, n)
    a = np.asarray(isometry(rng, n, norm)(np.eye(n))).T * (0.5 if kind == "contraction" else 1.0)
    if seed % 2 or kind == "contraction":
        N: Operator = linear(a, norm, p - a @ p)
    else:
        N, p = SoftThreshold(rng.choice([0.0, 0.5], n), norm), np.zeros(n)
    text = f"theorem 9: {kind} up to {top:g}, {type(N).__name__}, {norm}, n={n}; seed {seed}"
    q = 0.5 if kind == "contraction" else 1.0
    return _products(
        text, lambda i: relax(N, h(i)), n, rng, N=N, h=h, fixed=p, sums=kind != "summable steps", q=q, norm=norm
    )


def theorem_9_flow(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """``x + h_i F(x)`` along a dissipative linear field; ``facts``: ``F``, ``flow`` ((t, x) -> phi_t x), ``h``
    (``1/4 i^-power``), ``lip`` and ``size`` (of F).

    ``gradient``: ``F = -A`` with A symmetric, positive semidefinite and singular; ``spiral``: with a turn in its range.
    The steps are at most 1/4, ``|F| <= 1``, so that blocks are non-expansive and keep the ball in which the points lie.
    """
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    kept = int(rng.integers(0, n))
    rates = np.concatenate([np.zeros(kept), rng.uniform(0.5, 1.0, n - kept)])
    turn = 0.25 if kind == "spiral" and n - kept >= 2 else 0.0
    if turn:
        rates[-1] = rates[-2]
    field = -np.diag(rates)
    if turn:
        field[-1, -2], field[-2, -1] = turn, -turn
    a = q @ field @ q.T
    power = float(rng.choice([1.0, 0.75, 0.6]))
    h: Callable[[int], float] = lambda i: 0.25 / i**power  # noqa: E731

    def phi(t: float, x: np.ndarray) -> np.ndarray:
        y = np.exp(-t * rates) * (q.T @ x)
        if turn:
            c, d = math.cos(turn * t), math.sin(turn * t)
            y[-2], y[-1] = c * y[-2] - d * y[-1], d * y[-2] + c * y[-1]
        return q @ y

    text = f"theorem 9 (b): {kind}, h=i**-{power:g}/4, n={n}; seed {seed}"
    rule = lambda i: linear(np.eye(n) + h(i) * a, norm)  # noqa: E731
    spec = _products(text, rule, n, rng, flow=phi, h=h, power=power, F=linear(a, norm))
    size = float(np.linalg.norm(a, 2))
    top = max(np.linalg.norm(spec.point), np.linalg.norm(spec.other))
    return replace(spec, facts={**spec.facts, "lip": size, "size": size * top})


def theorem_10(kind: str, norm: str, n: int, seed: int) -> Specimen:
    """Pre-norm blocks on at least two coordinates; ``facts``: ``l`` (a bound of the branch's linear map)."""
    rng = np.random.default_rng(seed)
    n = max(n, 2)
    rho = {"growing": 1.0, "slow": 0.25, "steady": 0.0}[kind]
    a = rng.standard_normal((n, n)) / math.sqrt(n) * float(rng.choice([0.0, 0.1, 0.3]))
    if kind == "steady":
        a = a - a.T  # turns only
    size = float(np.linalg.norm(rho * np.eye(n) + a, 2)) * (1 + 1e-12)
    text = f"theorem 10: {kind}, rho={rho:g}, n={n}; seed {seed}"
    return _products(text, lambda i: PreNorm(a, rho), n, rng, l=size, rho=rho)


def _products(text: str, rule: Callable[[int], Operator], n: int, rng: np.random.Generator, **facts: Any) -> Specimen:
    point, other = 2.0 * rng.standard_normal((2, n))
    return Specimen(text, Architecture.by_rule(rule, name=text), point, other, rule, facts=facts)


STEPS: dict[int, tuple[Callable[..., Specimen], tuple[str, ...]]] = {
    4: (theorem_4, ("steady", "slow")),
    5: (theorem_5, ("slow", "alternating")),
    8: (theorem_8, ("linear", "swelling", "shrinking")),
    9: (theorem_9, ("constant steps", "harmonic steps", "root steps", "contraction", "summable steps")),
    10: (theorem_10, ("growing", "slow", "steady")),
}
FLOW = (theorem_9_flow, ("gradient", "spiral"))


def norms_of(kind: str) -> tuple[str, ...]:
    """The norms in which a kind is made."""
    return ("l2",) if kind in ("growing", "steady", "gradient", "spiral") else NORMS


__all__ = [
    "FLOW",
    "STEPS",
    "Bend",
    "PreNorm",
    "norms_of",
    "theorem_4",
    "theorem_5",
    "theorem_8",
    "theorem_9",
    "theorem_9_flow",
    "theorem_10",
]
