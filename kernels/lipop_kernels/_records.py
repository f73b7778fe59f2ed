"""What the kernels of ``spectrum`` and ``pairs`` return, and what can be read off it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class TopSingular(NamedTuple):
    """The largest singular values.

    Attributes
    ----------
    lower : (k,) array
        Falling; each is at most the singular value of its rank.
    errors : (k,) array
        Estimates, from residuals, of what is missing.
    steps : int
        Products with ``A^T A``, counted column by column; 0 where an SVD was taken.
    converged : bool
        Whether the estimates met the tolerance.
    rounding_covered : bool
        False for a matvec object, whose products have an error that is not known here.
    """

    lower: np.ndarray
    errors: np.ndarray
    steps: int
    converged: bool
    rounding_covered: bool


class SpectrumDensity(NamedTuple):
    """An estimate of the distribution of the ``min(m, n)`` singular values.

    Attributes
    ----------
    nodes, weights : (r,) arrays
        Singular values, rising, and the share of each; the weights add up to 1. ``sum(weights * nodes**(2 j))``
        estimates ``trace((A^T A)^j) / min(m, n)`` without bias for each j below twice the number of steps.
    null : float
        The share of the nodes that are zero up to rounding.
    grid, density : (p,) arrays
        log10 of singular values, and the smoothed density per unit of it; it integrates to ``1 - null``.
    probe : (r,) array
        Which probe each node comes from: the weights of one probe add up to ``1 / probes``.
    """

    nodes: np.ndarray
    weights: np.ndarray
    null: float
    grid: np.ndarray
    density: np.ndarray
    probe: np.ndarray


class PairRatio(NamedTuple):
    """The largest ratio of distances.

    Attributes
    ----------
    value : float
        At most ``|Y_i - Y_j| / |X_i - X_j|``; infinity where X_i = X_j and Y_i differs from Y_j.
    i, j : int
        The pair, ``i < j``.
    upper : float
        No pair has a larger ratio.
    """

    value: float
    i: int
    j: int
    upper: float


class FarthestPoints(NamedTuple):
    """Centres c_0, c_1, ..., each as far as possible from those before it.

    Attributes
    ----------
    indices : (k,) array
        The rows that are centres.
    separations : (k,) array
        ``separations[t]`` is at most the distance of c_t to each centre before it (infinity for t = 0).
    radii : (k,) array
        Every point is within ``radii[t]`` of one of the centres c_0 ... c_t.
    assignment : (n,) array
        The number of the centre that is closest to each point.
    """

    indices: np.ndarray
    separations: np.ndarray
    radii: np.ndarray
    assignment: np.ndarray

    def packing(self, distance: float) -> int:
        """How many of the first centres are certain to be more than ``distance`` apart from each other."""
        close = ~(self.separations > distance)
        return int(np.argmax(close)) if close.any() else len(close)

    def cover(self, radius: float) -> int:
        """How many balls of this radius are certain to cover the points (one for each point if centres are too few)."""
        enough = self.radii <= radius
        return int(np.argmax(enough)) + 1 if enough.any() else len(self.assignment)

    def covering(self, radius: float) -> tuple[int, int]:
        """``packing(2 r) <= N(r) <= cover(r)``: a bracket of how many closed balls of radius r the points need.

        A ball of radius r contains at most one of any points that are more than 2 r apart, whatever its centre.
        """
        return self.packing(2.0 * radius), self.cover(radius)


def spectrum_density_of(
    squares: list[np.ndarray], weights: list[np.ndarray], noise: float, shift: int, points: int, bandwidth: float
) -> SpectrumDensity:
    """The average of quadratures of ``A^T A`` (nodes and weights of each probe) as a density of log10 of their roots.

    Nodes up to ``noise`` times the largest count as zero; the others are multiplied by ``2**shift`` and smoothed with
    a Gaussian of width ``bandwidth`` (in decades).
    """
    probes = len(squares)
    theta, share = np.concatenate(squares), np.concatenate(weights) / probes
    origin = np.repeat(np.arange(probes), [len(s) for s in squares])
    order = np.argsort(theta, kind="stable")
    theta, share, origin = theta[order], share[order], origin[order]
    positive = theta > noise * theta[-1]
    nodes = np.ldexp(np.sqrt(np.where(positive, theta, 0.0)), shift)
    logs = 0.5 * np.log10(theta[positive]) + shift * np.log10(2.0)
    grid = np.linspace(logs[0] - 4 * bandwidth, logs[-1] + 4 * bandwidth, points)
    bumps = np.exp(-0.5 * ((grid[:, None] - logs) / bandwidth) ** 2) / (bandwidth * np.sqrt(2 * np.pi))
    return SpectrumDensity(nodes, share, float(share[~positive].sum()), grid, bumps @ share[positive], origin)


def points(X: Any, name: str) -> np.ndarray:
    """Points as the rows of a float64 or float32 array; ValueError unless every entry is finite."""
    X = np.asarray(X)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"{name} has shape {X.shape}; expected (points, coordinates), at least one of each")
    if X.dtype not in (np.float64, np.float32):
        raise ValueError(f"{name} has dtype {X.dtype}; expected float64 or float32")
    rows = max(1, 2**21 // X.shape[1])
    for i in range(0, len(X), rows):
        block = X[i : i + rows]
        if not bool(np.isfinite(block).all()):
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise ValueError(f"{name}[{i + row}, {column}] is {block[row, column]}; expected finite entries")
    return X
