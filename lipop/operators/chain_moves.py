"""A chain behind attention on a ball: what can move there, piece by piece (rules C1-C4, see ``operators.chain``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipop.core.rounding import dot_up, inflate
from lipop.operators import attention_bounds as ab

if TYPE_CHECKING:
    pass


from lipop.operators.chain_constants import Constants


@dataclass(frozen=True, eq=False)
class Moves:
    """What can move on the F-ball of radius rho."""

    attention: float  # norm of attention's part, all factors behind it
    scales: tuple[np.ndarray | None, ...]  # per factor: left scaling of C_l K_l Q, (T,) or (T, p)
    plain: np.ndarray  # (T,) scaling of Q itself: rule F1, second order and rounding
    out: np.ndarray  # (T,) how far each output token can move
    rows: float  # the token-wise pieces without chance: (sum_i (beta_i |Q_i|)^2)^(1/2)


def moves(k: Constants, rho: float, rho_token: np.ndarray) -> Moves:
    """The deviation's pieces on ``|x - x0|_F <= rho``.

    Every formula here is built from non-negative numbers by +, * and /, so its float64 rounding is a relative error of
    a few dozen units: the factor 1 + 1e-12 on each result pays for it.
    """
    chain, m, up = k.chain, len(k.chain.factors), 1 + 1e-12
    f = chain.attention
    hd = ab.head_deviation(f, rho, rho_token, frobenius=True)
    tokens = len(k.rows)
    zero = np.zeros(tokens)

    def entries(level: int, beta: np.ndarray) -> np.ndarray:
        """Entry bounds of attention's deviation behind the first ``level`` factors."""
        om, om_v = k.heads[level]
        base, base_v = k.heads[0]
        return ab.entry_bounds(hd, f, (om + beta[:, None] * base) * up, (om_v + beta[:, None] * base_v) * up)

    def row_dev(level: int, beta: np.ndarray) -> np.ndarray:
        e = entries(level, beta)
        return inflate(np.sqrt((e * e).sum(axis=1)), tokens + 6) + beta * k.rows * up

    betas: list[np.ndarray] = [zero]
    cores: list[tuple[np.ndarray, np.ndarray] | None] = []
    for l, (factor, link) in enumerate(zip(chain.factors, k.links, strict=True)):
        dev = row_dev(l, betas[l])
        if factor.kind == "none":
            cores.append(None)
        elif factor.kind == "norm":
            assert factor.core is not None
            s = factor.core((link.reach + link.c * dev) * rho * up)
            cores.append((s, s))
        else:
            assert factor.core is not None
            assert link.rows is not None
            assert link.rhat is not None
            assert factor.curvature is not None
            linear = link.reach * rho
            radius = (linear + link.rows[None, :] * dev[:, None] * rho) * up
            whole = factor.core(radius)
            rest = whole + np.abs(factor.curvature) * linear
            if factor.remainder is not None:
                rest = np.minimum(rest, factor.remainder(radius, linear))
            cores.append(((whole / link.rhat).max(axis=1) * up, (rest / link.rhat).max(axis=1) * up))
        betas.append(_pieces(k, cores, betas, l + 1, rho).total * up)
    last = _pieces(k, cores, betas, m, rho)
    beta = last.total * up
    e = entries(m, beta)
    attention = ab.nonneg_norm(e) if bool(np.isfinite(e).all()) else math.inf
    row = inflate(np.sqrt((e * e).sum(axis=1)), tokens + 6) + beta * k.rows * up
    return Moves(attention, last.scales, last.plain * up, (k.out + row) * rho * up, dot_up(beta * k.rows * up))


@dataclass(frozen=True, eq=False)
class Pieces:
    """The telescoping of a prefix: scalings of ``C_l K_l Q``, a scaling of ``Q``, and the sum of all norms (beta)."""

    scales: tuple[np.ndarray | None, ...]
    plain: np.ndarray
    total: np.ndarray


def _pieces(
    k: Constants, cores: list[tuple[np.ndarray, np.ndarray] | None], betas: list[np.ndarray], p: int, rho: float
) -> Pieces:
    """Rule C3 for the first p factors; ``cores[l]`` = (whole, remainder after rule F1), relative to rhat for diagonal
    factors."""
    factors = k.chain.factors
    tokens = len(k.rows)
    plain, total = np.zeros(tokens), np.zeros(tokens)
    scales: list[np.ndarray | None] = []
    for l in range(p):
        core, link, factor = cores[l], k.links[l], factors[l]
        above, below = np.ones(tokens), np.ones(tokens)
        for j in range(l + 1, p):
            above = above * k.sizes[j]
        for j in range(l):
            below = below * k.sizes[j]
        rounding = above * factor.rounding * (below + betas[l])
        plain, total = plain + rounding, total + rounding
        if core is None:
            scales.append(None)
            continue
        whole, rest = core
        second = link.tops[p] * whole * link.c * betas[l]
        known = link.flat is not None and p == len(factors)
        first = link.tops[p] * (rest if known else whole)
        flat = link.flat * rho if link.flat is not None and known else np.zeros(tokens)
        plain = plain + second + flat
        total = total + second + flat + first * link.bottom
        scales.append(first if link.weights is None else first[:, None] * link.weights)
    return Pieces(tuple(scales), plain, total)
