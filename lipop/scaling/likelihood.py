"""Log residuals as a sample: the error law that belongs to Huber's loss, information criteria, the spread of estimates.

The loss ``rho`` with scale s is the negative logarithm of the density ``exp(-rho(r)/s) / Z(s)``, with ``Z(s) = sqrt(2
pi s) erf(delta / sqrt(2 s)) + (2 s / delta) exp(-delta^2 / (2 s))``; squares are its limit for large delta (normal
errors), and for small delta it is Laplace's law. The errors need not follow it: tests and intervals take the variance
of ``psi`` and the mean slope of ``psi`` from the residuals (Huber 1981, chapters 6 and 7).
"""

from __future__ import annotations

import math

import numpy as np

from lipop.scaling.objective import Objective

UNDETERMINED = 1e30


def log_partition(s: float, delta: float | None) -> float:
    """``log Z(s)``.

    Examples
    --------
    >>> round(log_partition(1.0, 50.0) - log_partition(1.0, None), 12)
    0.0
    """
    normal = 0.5 * math.log(2 * math.pi * s)
    if delta is None:
        return normal
    u = delta / math.sqrt(2 * s)
    inside = math.sqrt(2 * math.pi * s) * math.erf(u)
    return math.log(inside + 2 * s / delta * math.exp(-u * u))


def log_likelihood(objective: Objective, r: np.ndarray) -> float:
    """The largest log-likelihood of log residuals over the scale s.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.scaling.laws import DataLaw
    >>> r = np.array([0.1, -0.1, 0.1, -0.1])
    >>> squares = Objective(DataLaw(), np.zeros((1, 4)), np.zeros(4))
    >>> bool(abs(log_likelihood(squares, r) + 2 * np.log(2 * np.pi * np.e * 0.01)) < 1e-9)
    True
    """
    from scipy.optimize import minimize_scalar

    total, n = float(objective.rho(r).sum()), r.size
    if total == 0:
        return math.inf
    middle = math.log(2 * total / n)

    def height(t: float) -> float:
        return total / math.exp(t) + n * log_partition(math.exp(t), objective.delta)

    if objective.delta is None:
        return -height(middle)
    found = minimize_scalar(height, bounds=(middle - 20, middle + 20), method="bounded", options={"xatol": 1e-10})
    return -float(found.fun)


def aicc(log_like: float, n: int, p: int) -> float:
    """Akaike's criterion with the correction for small samples; p parameters and one scale. Infinite for n <= p + 2.

    Examples
    --------
    >>> aicc(-10.0, 20, 2)
    27.5
    """
    k = p + 1
    return math.inf if n <= k + 1 else 2 * k - 2 * log_like + 2 * k * (k + 1) / (n - k - 1)


def slope_and_spread(objective: Objective, r: np.ndarray, p: int) -> tuple[float, float]:
    """``(A, B)``: the mean slope of ``psi`` and its mean square (over n - p).

    For Huber's loss the slope is ``delta`` times the density of the residuals near 0 times 2, at a window no smaller
    than delta (Powell 1991: the window shrinks like n^(-1/5)).
    """
    spread = float((objective.psi(r) ** 2).sum()) / max(r.size - p, 1)
    if objective.delta is None:
        return 1.0, spread
    typical = 1.4826 * float(np.median(np.abs(r)))
    window = max(objective.delta, 1.06 * typical * r.size ** (-0.2))
    inside = float((np.abs(r) <= window).mean())
    return max(inside * objective.delta / window, 1e-12), spread


def covariance(objective: Objective, z: np.ndarray) -> np.ndarray:
    """The covariance (p, p) of the estimate in inner coordinates, ``(B / A^2) (J^T J)^-1``; a direction that moves no
    residual at all has the variance UNDETERMINED, also where the fit is exact.
    """
    r, J = objective.residuals(z), objective.jacobian(z)
    A, B = slope_and_spread(objective, r, z.size)
    _, s, V = np.linalg.svd(J, full_matrices=True)
    sizes = np.zeros(z.size)
    sizes[: s.size] = s
    flat = sizes <= 1e-11 * sizes.max(initial=1e-300)
    variances = np.where(flat, UNDETERMINED, B / A**2 / np.where(flat, 1.0, sizes) ** 2)
    return (V.T * variances) @ V


__all__ = ["aicc", "covariance", "log_likelihood", "log_partition", "slope_and_spread"]
