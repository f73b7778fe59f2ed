"""Token-wise operators as the chain rules see them: normalisation layers and maps with an activation inside."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from lipop.core.enclosure import Enclosed, Stack, frobenius_up
from lipop.core.linearization import LinearOperator
from lipop.core.parallel import each
from lipop.core.rounding import UNIT, gamma, inflate
from lipop.operators.activation_rules import enclose_curvature, enclose_slope, slope_range, third_sup
from lipop.operators.token_factor import RankOne, TokenFactor, row_errors


class Normalization(Protocol):
    """What a normalisation layer shows (see ``operators.normalization``)."""

    gamma: np.ndarray
    centred: ClassVar[bool]

    def factors(self, x: Enclosed) -> tuple[Enclosed, Enclosed]: ...
    def stored_errors(self, x: Enclosed) -> np.ndarray: ...
    def core_deviation(self, x: Enclosed, radius: np.ndarray) -> np.ndarray: ...
    def derivative(self, x: np.ndarray) -> LinearOperator: ...


def normalization_factor(op: Normalization, x: Enclosed) -> TokenFactor:
    """``Df = G DU``, ``DU = (P - U U^T / d) / s``; ``Df(w') - Df(w) = (G P)(DU(w') - DU(w)) P``."""
    u, inv_s = op.factors(x)
    d = u.shape[-1]
    g = np.asarray(op.gamma, dtype=np.float64)
    P = np.eye(d) - 1.0 / d if op.centred else np.eye(d)
    M = (g[:, None] * (P - u.mid[:, :, None] * u.mid[:, None, :] / d)) * inv_s.mid[:, :, None]
    top = float(np.abs(g).max())
    size = top * inv_s.magnitude[:, 0] * (np.sqrt(d) + u.norm_up() ** 2 / d + 1.0)
    exact = op.stored_errors(Enclosed.exact(x.mid))
    err = inflate(2 * op.stored_errors(x) + exact + gamma(16) * size, 8)
    GP = Stack((g[:, None] * P)[None], np.array([gamma(4) * top * (np.sqrt(d) + 1.0)]))
    center = (lambda v: v - v.mean(axis=-1, keepdims=True)) if op.centred else None
    return TokenFactor(
        Stack(M, err),
        op.derivative(x.mid),
        "norm",
        GP,
        Stack(P[None], np.array([gamma(4) * (np.sqrt(d) + 1.0)])) if op.centred else None,
        lambda radius: op.core_deviation(x, radius),
        row_errors(x),
        apply_C=center,
        adjoint_C=center,
        size=inflate(top * inv_s.magnitude[:, 0] + err, 4),  # P - U U^T / d lies between 0 and P
        rank_one=RankOne(g[:, None] * P, inv_s.mid[:, 0], g * u.mid / d, u.mid),
    )


def activation_factor(
    name: str,
    param: float | None,
    x: Enclosed,
    z: Enclosed,
    up: np.ndarray | None = None,
    down: np.ndarray | None = None,
) -> TokenFactor:
    """``Df = Wd diag(f'(z)) Wu`` for ``z = Wu x + b``; without matrices the activation itself (``z = x``)."""
    slope, curvature = enclose_slope(name, z, param), enclose_curvature(name, z, param)
    tokens, width = z.shape
    s, f2 = slope.mid, curvature.mid
    fastest = float(slope.magnitude.max())
    if up is None or down is None:
        A = C = None
        apply = adjoint = None
        M = Stack(s[:, :, None] * np.eye(width), frobenius_up(slope.radius[:, None, :]))
        J = LinearOperator.diagonal(s)
    else:
        wu, wd = np.asarray(up, dtype=np.float64), np.asarray(down, dtype=np.float64)
        A, C = Stack.exact(wd), Stack.exact(wu)
        from lipop_kernels import spectral_norm_upper

        fu, fd = float(frobenius_up(wu)), float(frobenius_up(wd))
        nu, nd = spectral_norm_upper(wu, rtol=1e-2), spectral_norm_upper(wd, rtol=1e-2)
        slip = slope.radius.max(axis=1) * fd * nu + gamma(width + 4) * fastest * fu * fd
        M = Stack(np.stack(each(lambda row: (wd * row) @ wu, s)), inflate(slip, 8))
        apply, adjoint = (lambda v: v @ wu.T), (lambda u: u @ wu)
        size = fu * fd * fastest * (1 + 1e-12)
        top = nd * fastest * nu * (1 + 1e-12)
        J = LinearOperator(
            (tokens, wu.shape[1]),
            (tokens, wd.shape[0]),
            lambda v: (s * (v @ wu.T)) @ wd.T,
            lambda u: (s * (u @ wd)) @ wu,
            majorant=top,
            product_error=gamma(sum(wu.shape) + width + 8) * size,
        )

    def core(radius: np.ndarray) -> np.ndarray:
        low, high = slope_range(name, z.low - radius, z.high + radius, param)
        return inflate(np.maximum(np.maximum(high - s, s - low), 0.0) + 2 * UNIT * fastest, 4)

    def remainder(radius: np.ndarray, linear: np.ndarray) -> np.ndarray:
        bend = third_sup(name, z.low - radius, z.high + radius, param)
        beyond = np.abs(f2) * (np.maximum(radius - linear, 0.0) + 4 * UNIT * radius)
        return inflate(slope.radius + curvature.radius * radius + beyond + 0.5 * bend * radius**2, 16)

    smooth = bool(np.isfinite(f2).all() and np.isfinite(curvature.radius).all())
    return TokenFactor(
        M,
        J,
        "diagonal",
        A,
        C,
        core,
        row_errors(x),
        curvature=f2 if smooth else np.zeros_like(s),
        remainder=remainder if smooth else None,
        apply_C=apply,
        adjoint_C=adjoint,
    )
