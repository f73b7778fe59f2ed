"""RMSNorm and LayerNorm on every token: divide by the root mean square, with or without taking off the mean first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lipop.errors import ShapeError
from lipop.operators.linear import _tensor  # pyright: ignore[reportPrivateUsage]
from lipop.operators.normalization_core import Normalization


@dataclass(frozen=True, eq=False, repr=False)
class RMSNorm(Normalization):
    """``x -> gamma * x / s``, ``s^2 = |x|^2 / d + eps``, on every token.

    Parameters
    ----------
    gamma : (d,) array
    eps : float
        Positive, in the unit of x^2.
    tokens : bool
        Whether the domain is ``(None, d)`` instead of ``(d,)``.
    norm : str
        ``l2`` (F on tokens) or, on tokens, ``2inf``; the constants are the same.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    ``Lip = max|gamma| / s(r)`` on ``|x| >= r``, attained, for pairs across the hole too: ``|f(x) - f(y)|^2`` and
    ``|x - y|^2`` split into radial and angular parts, and both ratios are at most ``phi(r)/r`` for the concave
    ``phi(t) = t/s(t)``. At a point the norm is exact by the secular equation; on a ball the point and the curvature are
    used where they are better.

    Examples
    --------
    >>> from lipop import Shell
    >>> f = RMSNorm(np.array([1.0, -2.0, 0.5]), eps=0.25)
    >>> round(f.lip().value, 6), round(f.lip(Shell(3.0)).value, 6)
    (4.0, 1.1094)
    """

    gamma: np.ndarray
    eps: float
    tokens: bool = False
    norm: str = "l2"


@dataclass(frozen=True, eq=False, repr=False)
class LayerNorm(Normalization):
    """``x -> gamma * P x / s + beta``, ``s^2 = |P x|^2 / d + eps``, ``P x = x - mean(x)``, on every token.

    Parameters
    ----------
    gamma : (d,) array
    beta : (d,) array or None
    eps : float
        Positive, in the unit of x^2.
    tokens : bool
        Whether the domain is ``(None, d)`` instead of ``(d,)``.
    norm : str
        ``l2`` (F on tokens) or, on tokens, ``2inf``; the constants are the same.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError

    Notes
    -----
    ``Lip = |G P| / sqrt(eps)``, attained where the token is constant; with ``|P x| >= r`` on a ball or a box,
    ``|G P| / s(r)``. A shell speaks about ``|x|``, which says nothing about ``|P x|``: only the global constant holds.

    Examples
    --------
    >>> f = LayerNorm(np.ones(4), eps=0.25)
    >>> f(np.array([1.0, 1.0, 1.0, 1.0])).tolist(), round(f.lip().value, 6), f.lip().status
    ([0.0, 0.0, 0.0, 0.0], 2.0, 'PROVED')
    """

    gamma: np.ndarray
    beta: np.ndarray | None = None
    eps: float = 1e-5
    tokens: bool = False
    norm: str = "l2"
    centred: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta is not None:
            b = _tensor(self.beta, "the offset of LayerNorm")
            if b.shape != self.gamma.shape:
                raise ShapeError(f"the offset of LayerNorm has shape {b.shape}, its gain {self.gamma.shape}")
            object.__setattr__(self, "beta", b)

    def _offset(self) -> np.ndarray | None:
        return self.beta


__all__ = ["LayerNorm", "RMSNorm"]
