"""What the data do not determine: flat directions, parameters at the edge of their domain, other minima as good."""

from __future__ import annotations

import math

import numpy as np

from lipop.scaling.law import ScalingLaw
from lipop.scaling.likelihood import covariance
from lipop.scaling.objective import Objective

LOOSE = 1.0
"""A direction with a larger standard error in inner coordinates (a factor e) is reported."""
FAR = 0.1
"""Other minima count as other where an inner coordinate differs by more than this."""
AS_GOOD = 1e-3
"""Relative difference of values up to which another minimum counts as equally good."""


def warnings(objective: Objective, z: np.ndarray, others: np.ndarray, values: np.ndarray) -> list[str]:
    """Sentences about an estimate.

    Parameters
    ----------
    objective : Objective
    z : (p,) array
    others, values : (R, p) and (R,) arrays
        Where all starts ended.
    """
    law = objective.law
    return flat_directions(objective, z) + vanishing(objective, z) + rivals(law, z, others, values)


def flat_directions(objective: Objective, z: np.ndarray) -> list[str]:
    """Directions along which the law can move by a factor e within one standard error."""
    law, C = objective.law, covariance(objective, z)
    sizes, V = np.linalg.eigh(C)
    out: list[str] = []
    for size, v in zip(sizes[::-1], V.T[::-1], strict=True):
        if size <= LOOSE**2:
            break
        v = v * np.sign(v[np.argmax(np.abs(v))])
        parts = [f"{c:+.2g} {_inner_name(law, i)}" for i, c in enumerate(v) if abs(c) >= 0.1]
        error = "not at all" if size > 1e12 else f"to a standard error of {math.sqrt(size):.2g}"
        out.append(f"flat direction: the data determine {' '.join(parts)} {error}")
    return out


def _inner_name(law: ScalingLaw, i: int) -> str:
    p = law.parameters[i]
    if math.isinf(p.low):
        return p.name
    if math.isinf(p.high):
        return f"log {p.name}" if p.low == 0 else f"log({p.name} - {p.low:g})"
    return f"logit {p.name}"


def vanishing(objective: Objective, z: np.ndarray) -> list[str]:
    """Parameters that no residual feels: a fit drove them to the edge of their domain."""
    felt = np.sqrt((objective.jacobian(z) ** 2).mean(axis=0))
    spread = math.sqrt(float((objective.residuals(z) ** 2).mean()))
    return [
        f"{p.name} = {p.outer(float(t)):.3g} has no influence on the residuals: its term vanished from the fit"
        for p, t, f in zip(objective.law.parameters, z, felt, strict=True)
        if f <= 1e-3 * spread
    ]


def rivals(law: ScalingLaw, z: np.ndarray, others: np.ndarray, values: np.ndarray) -> list[str]:
    """Whether starts ended elsewhere at the same height."""
    finite = np.isfinite(values)
    best = float(values[finite].min())
    near = finite & (values <= best * (1 + AS_GOOD))
    far = near & (np.abs(others - z).max(axis=1) > FAR)
    if not far.any():
        return []
    worst = others[far][np.argmax(np.abs(others[far] - z).max(axis=1))]
    i = int(np.argmax(np.abs(worst - z)))
    p = law.parameters[i]
    return [
        f"{int(far.sum())} of {int(near.sum())} best starts ended elsewhere at the same height, as at "
        f"{p.name} = {p.outer(float(worst[i])):.3g} instead of {p.outer(float(z[i])):.3g}"
    ]


__all__ = ["flat_directions", "rivals", "vanishing", "warnings"]
