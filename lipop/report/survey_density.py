"""The spectral density of a matrix from the coefficients of one Lanczos run: an estimate, for plots."""

from __future__ import annotations

import numpy as np


def density(alphas: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature of the density of the singular values: points in falling order, and their weights.

    The run with ``A^T A`` from a random unit vector v has the tridiagonal matrix T. Its eigenvalues t_i and the squares
    w_i of the first entries of its eigenvectors integrate polynomials of degree below 2k exactly against ``<v, f(A^T A)
    v>`` (Golub and Welsch 1969), whose mean over v is the mean of f over the squared singular values of A, those of
    directions that A sends to zero included. So w_i estimates the share of the right singular directions around
    ``sqrt(t_i)``. No further product is needed. The largest points are close to the largest singular values; those
    inside the bulk are nodes of a quadrature, not singular values.

    Parameters
    ----------
    alphas, betas : (k,) arrays
        As ``survey_norm`` returns them.

    Returns
    -------
    values, weights : arrays
        The weights sum to 1. For no steps (a zero matrix): one point at zero.

    Examples
    --------
    >>> values, weights = density(np.array([2.0]), np.array([0.0]))
    >>> values.round(4).tolist(), weights.tolist()
    ([1.4142], [1.0])
    """
    k = len(alphas)
    if k == 0:
        return np.zeros(1), np.ones(1)
    points, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas[: k - 1], -1))
    return np.sqrt(np.maximum(points[::-1], 0.0)), vectors[0, ::-1] ** 2


__all__ = ["density"]
