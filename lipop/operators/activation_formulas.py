"""The thirteen activations as formulas: values and three derivatives, written once for NumPy arrays and for enclosures.

A smooth activation is one function ``formula(level, x, m, param)`` of the order of differentiation ``level`` (0 to 3),
where ``m`` holds the elementary functions: :class:`Plain` works on arrays of any float type, :class:`Rigorous` on
``Enclosed`` points. A piecewise one is a table of polynomial (or exponential) pieces between kinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.rounding import ELEMENTARY, TINY, UNIT

LEVELS = 4  # value, slope, curvature, third derivative
FAR = 700.0  # beyond it a smooth activation is its asymptote to within TAIL
TAIL = 2.0**-900

Formula = Callable[[int, Any, Any, Any], Any]


def _special() -> Any:
    """SciPy's special functions, loaded when first needed: they take longer to import than the rest of lipop."""
    from scipy import special

    return special


class Plain:
    """Elementary functions of NumPy and SciPy, in the dtype of the argument."""

    exp = staticmethod(np.exp)
    expm1 = staticmethod(np.expm1)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def sigmoid(x: np.ndarray) -> np.ndarray:
        """1 / (1 + e^-x)."""
        return _special().expit(x)

    @staticmethod
    def cdf(x: np.ndarray) -> np.ndarray:
        """The normal distribution function."""
        return _special().ndtr(x)

    @staticmethod
    def softplus(x: np.ndarray) -> np.ndarray:
        """log(1 + e^x)."""
        return np.logaddexp(x.dtype.type(0), x)

    @staticmethod
    def number(c: float) -> float:
        """A constant that is not a float64, such as 1/sqrt(2 pi)."""
        return c

    @staticmethod
    def full(x: np.ndarray, c: float) -> np.ndarray:
        """The exact constant ``c`` in the shape of ``x``."""
        return np.full_like(x, c)


class Rigorous:
    """The same functions on :class:`Enclosed` points (errors of a few roundings, not wide intervals)."""

    @staticmethod
    def _positive(f: Any, x: Enclosed) -> Enclosed:
        """A positive function with ``|f'| <= f``: then ``f(x + e) <= f(x) exp|e|``."""
        v = f(x.mid)
        return Enclosed(v, v * (np.expm1(x.err) * (1 + 2.0**-40) + (2 * ELEMENTARY + 4) * UNIT) + TINY)

    @staticmethod
    def exp(x: Enclosed) -> Enclosed:
        """e^x."""
        return Rigorous._positive(np.exp, x)

    @staticmethod
    def sigmoid(x: Enclosed) -> Enclosed:
        """1 / (1 + e^-x); its derivative s (1 - s) is at most s."""
        return Rigorous._positive(_special().expit, x)

    @staticmethod
    def softplus(x: Enclosed) -> Enclosed:
        """log(1 + e^x); log(1 + t) >= t / (1 + t) gives |f'| <= f."""
        return Rigorous._positive(lambda z: np.logaddexp(0.0, z), x)

    @staticmethod
    def tanh(x: Enclosed) -> Enclosed:
        """tanh x, 1-Lipschitz."""
        v = np.tanh(x.mid)
        return Enclosed(v, (x.err + (2 * ELEMENTARY + 4) * UNIT * np.abs(v)) * (1 + 2.0**-40) + TINY)

    @staticmethod
    def expm1(x: Enclosed) -> Enclosed:
        """e^x - 1 for x <= 0, where it is 1-Lipschitz."""
        v = np.expm1(x.mid)
        return Enclosed(v, (x.err * np.exp(x.err) + (2 * ELEMENTARY + 4) * UNIT * np.abs(v)) * (1 + 2.0**-40) + TINY)

    @staticmethod
    def cdf(x: Enclosed) -> Enclosed:
        """The normal distribution function, 0.4-Lipschitz; far out SciPy's carries the rounding of x^2/2."""
        v = _special().ndtr(x.mid)
        ulps = 2 * ELEMENTARY + 4 + 4 * np.where(x.mid < 0, x.mid * x.mid, 0.0)
        return Enclosed(v, (0.4 * x.err + ulps * UNIT * v) * (1 + 2.0**-40) + TINY)

    @staticmethod
    def number(c: float) -> Enclosed:
        """A constant computed in float64 within a few units in the last place."""
        return Enclosed(np.array(c), np.array(4 * UNIT * abs(c)))

    @staticmethod
    def full(x: Enclosed, c: float) -> Enclosed:
        """The exact constant ``c``."""
        return Enclosed(np.full_like(x.mid, c), np.zeros_like(x.mid))


class Balls:
    """What the pieces need, on flint's balls."""

    @staticmethod
    def exp(x: Any) -> Any:
        """e^x."""
        return x.exp()

    @staticmethod
    def expm1(x: Any) -> Any:
        """e^x - 1."""
        return x.exp() - 1

    @staticmethod
    def full(x: Any, c: float) -> Any:
        """The exact constant ``c``."""
        return 0 * x + c


# ---- smooth activations --------------------------------------------------------------------------------------------


def _gelu(level: int, x: Any, m: Any, param: Any) -> Any:
    if level == 0:
        return x * m.cdf(x)
    phi = m.exp((x * x) * -0.5) * m.number(1 / math.sqrt(2 * math.pi))
    if level == 1:
        return m.cdf(x) + x * phi
    return (2.0 - x * x) * phi if level == 2 else ((x * x - 4.0) * x) * phi


def _gated(level: int, x: Any, m: Any, u: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """x sigmoid(u(x)) with the derivatives v1, v2, v3 of u."""
    s = m.sigmoid(u)
    if level == 0:
        return x * s
    t = m.sigmoid(-u)
    p, d = s * t, t - s
    s1 = p * v1
    if level == 1:
        return s + x * s1
    s2 = p * (d * (v1 * v1) + v2)
    if level == 2:
        return 2.0 * s1 + x * s2
    s3 = p * ((v1 * v1 * v1) * (d * d - 2.0 * p) + 3.0 * (d * (v1 * v2)) + v3)
    return 3.0 * s2 + x * s3


def _silu(level: int, x: Any, m: Any, param: Any) -> Any:
    return _gated(level, x, m, x, 1.0, 0.0, 0.0)


def _quick_gelu(level: int, x: Any, m: Any, param: Any) -> Any:
    return _gated(level, x, m, x * 1.702, m.full(x, 1.702), 0.0, 0.0)


CUBIC = 0.044715


def _gelu_tanh(level: int, x: Any, m: Any, param: Any) -> Any:
    b = m.number(2 * math.sqrt(2 / math.pi))
    u = b * (x * (1.0 + CUBIC * (x * x)))
    if level == 0:
        return x * m.sigmoid(u)
    v1 = b * (1.0 + 3.0 * (CUBIC * (x * x)))
    return _gated(level, x, m, u, v1, b * (6.0 * (CUBIC * x)), b * m.number(6.0 * CUBIC))


def _sigmoid(level: int, x: Any, m: Any, param: Any) -> Any:
    s = m.sigmoid(x)
    if level == 0:
        return s
    t = m.sigmoid(-x)
    p = s * t
    if level == 1:
        return p
    return p * (t - s) if level == 2 else p * (1.0 - 6.0 * p)


def _softplus(level: int, x: Any, m: Any, param: Any) -> Any:
    return m.softplus(x) if level == 0 else _sigmoid(level - 1, x, m, param)


def _tanh(level: int, x: Any, m: Any, param: Any) -> Any:
    return m.tanh(x) if level == 0 else (2.0 ** (level + 1)) * _sigmoid(level, 2.0 * x, m, param)


def _mish(level: int, x: Any, m: Any, param: Any) -> Any:
    sp = m.softplus(x)
    w = m.tanh(sp)
    if level == 0:
        return x * w
    s, t = m.sigmoid(x), m.sigmoid(-x)
    w1 = 4.0 * (m.sigmoid(2.0 * sp) * m.sigmoid(-2.0 * sp)) * s
    if level == 1:
        return w + x * w1
    q = t - 2.0 * (w * s)
    w2 = w1 * q
    if level == 2:
        return 2.0 * w1 + x * w2
    w3 = w2 * q - w1 * (s * t + 2.0 * (w1 * s) + 2.0 * (w * (s * t)))
    return 3.0 * w2 + x * w3


# ---- tables --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Smooth:
    """A smooth activation.

    Parameters
    ----------
    formula : callable
        ``formula(level, x, m, param)``.
    series : callable
        The value on flint's power series, ``series(x, arb)``: critical points and their values come from it alone.
    roots : tuple of four tuples
        For each level the places, to five digits, where the next derivative vanishes; all of them.
    left, right : (slope, intercept)
        Asymptotes.
    """

    formula: Formula
    series: Callable[[Any, Any], Any]
    roots: tuple[tuple[float, ...], ...]
    left: tuple[float, float]
    right: tuple[float, float]


def _series_sigmoid(x: Any) -> Any:
    return 1 / (1 + (-x).exp())


def _series_mish(x: Any, arb: Any) -> Any:
    e = 1 + x.exp()
    return x - 2 * x / (e * e + 1)  # tanh(log e) = 1 - 2 / (e^2 + 1)


def _series_gelu_tanh(x: Any, arb: Any) -> Any:
    return x * _series_sigmoid(2 * (2 / arb.pi()).sqrt() * (x + arb(CUBIC) * x * x * x))


SMOOTH: dict[str, Smooth] = {
    "gelu": Smooth(
        _gelu,
        lambda x, arb: x * (1 + (x / arb(2).sqrt()).erf()) / 2,
        ((-0.75179,), (-1.41421, 1.41421), (-2.0, 0.0, 2.0), (-2.52434, -0.79229, 0.79229, 2.52434)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
    "gelu_tanh": Smooth(
        _gelu_tanh,
        _series_gelu_tanh,
        ((-0.75246,), (-1.41850, 1.41850), (-2.01348, 0.0, 2.01348), (-2.55342, -0.78758, 0.78758, 2.55342)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
    "quick_gelu": Smooth(
        _quick_gelu,
        lambda x, arb: x * _series_sigmoid(arb(1.702) * x),
        ((-0.75115,), (-1.40973, 1.40973), (-2.01871, 0.0, 2.01871), (-2.60237, -0.60632, 0.60632, 2.60237)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
    "silu": Smooth(
        _silu,
        lambda x, arb: x * _series_sigmoid(x),
        ((-1.27846,), (-2.39936, 2.39936), (-3.43584, 0.0, 3.43584), (-4.42924, -1.03196, 1.03196, 4.42924)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
    "sigmoid": Smooth(
        _sigmoid,
        lambda x, arb: _series_sigmoid(x),
        ((), (0.0,), (-1.31696, 1.31696), (-2.29243, 0.0, 2.29243)),
        (0.0, 0.0),
        (0.0, 1.0),
    ),
    "tanh": Smooth(
        _tanh,
        lambda x, arb: 2 * _series_sigmoid(2 * x) - 1,
        ((), (0.0,), (-0.65848, 0.65848), (-1.14622, 0.0, 1.14622)),
        (0.0, -1.0),
        (0.0, 1.0),
    ),
    "softplus": Smooth(
        _softplus,
        lambda x, arb: (1 + x.exp()).log(),
        ((), (), (0.0,), (-1.31696, 1.31696)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
    "mish": Smooth(
        _mish,
        _series_mish,
        ((-1.19243,), (-2.25638, 1.49057), (-3.26734, -0.08793, 2.11484), (-4.25541, -0.88195, 0.71551, 2.69422)),
        (0.0, 0.0),
        (1.0, 0.0),
    ),
}


@dataclass(frozen=True)
class Pieces:
    """An activation of pieces: ``pieces[i]`` holds on ``kinks[i-1] < x < kinks[i]``.

    ``roots[level]`` lists the exact places inside a piece where the next derivative changes its sign.
    """

    kinks: tuple[float, ...]
    pieces: tuple[Formula, ...]
    roots: tuple[tuple[float, ...], ...] = ((), (), (), ())


def _zero(level: int, x: Any, m: Any, param: Any) -> Any:
    return m.full(x, 0.0)


def _identity(level: int, x: Any, m: Any, param: Any) -> Any:
    return x if level == 0 else m.full(x, 1.0 if level == 1 else 0.0)


def _leak(level: int, x: Any, m: Any, param: Any) -> Any:
    return param * x if level == 0 else m.full(x, param if level == 1 else 0.0)


def _elu_left(level: int, x: Any, m: Any, param: Any) -> Any:
    return param * (m.expm1(x) if level == 0 else m.exp(x))


def _square(level: int, x: Any, m: Any, param: Any) -> Any:
    if level == 0:
        return x * x
    return x + x if level == 1 else m.full(x, 2.0 if level == 2 else 0.0)


def _hardswish(level: int, x: Any, m: Any, param: Any) -> Any:
    if level == 0:
        return (x * (x + 3.0)) / 6.0
    if level == 1:
        return (2.0 * x + 3.0) / 6.0
    return m.full(x, 1.0) / 3.0 if level == 2 else m.full(x, 0.0)


PIECES: dict[str, Pieces] = {
    "relu": Pieces((0.0,), (_zero, _identity)),
    "leaky_relu": Pieces((0.0,), (_leak, _identity)),
    "elu": Pieces((0.0,), (_elu_left, _identity)),
    "squared_relu": Pieces((0.0,), (_zero, _square)),
    "hardswish": Pieces((-3.0, 3.0), (_zero, _hardswish, _identity), ((-1.5,), (), (), ())),
}

NAMES = (*SMOOTH, *PIECES)

__all__ = ["FAR", "LEVELS", "NAMES", "PIECES", "SMOOTH", "TAIL", "Balls", "Pieces", "Plain", "Rigorous", "Smooth"]
