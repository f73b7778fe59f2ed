"""Rigorous ranges of the activations and their derivatives on arrays of intervals.

Between neighbouring critical points and kinks a level (value, slope, curvature, third derivative) is monotone, so its
range on ``[low, high]`` is the hull of its values at the two ends and at the critical points inside. The critical
points are roots of the next derivative, each enclosed once in ball arithmetic and shown to be alone in its bracket;
values at the ends carry their rounding.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.rounding import UNIT, float_down, float_up, workprec
from lipop.errors import DomainError, ProofError
from lipop.operators.activation_formulas import FAR, LEVELS, NAMES, PIECES, SMOOTH, TAIL, Balls, Plain, Rigorous

Range = tuple[np.ndarray, np.ndarray]
Special = tuple[float, float, float, float]  # low and high end of the place, low and high end of the values there

BITS = 200
BRACKET = 2e-5
CELLS = 32
CHUNK = 8192  # entries at a time: temporaries stay in cache


def parameter(name: str, param: float | None) -> float | None:
    """The parameter of an activation, checked: a slope for leaky_relu, alpha for elu, None for the others.

    Raises
    ------
    DomainError
        If the name is unknown, or the parameter is missing, superfluous or out of range.
    """
    if name not in NAMES:
        raise DomainError(f"unknown activation {name!r}; expected one of {', '.join(NAMES)}")
    if name not in ("leaky_relu", "elu"):
        if param is not None:
            raise DomainError(f"activation {name!r} takes no parameter, found {param!r}")
        return None
    if param is None and name == "elu":
        return 1.0
    what = "a finite slope" if name == "leaky_relu" else "a finite alpha > 0"
    if param is None or not math.isfinite(param) or (name == "elu" and param <= 0):
        raise DomainError(f"activation {name!r} needs {what} as its parameter, found {param!r}")
    return float(param)


# ---- plain values --------------------------------------------------------------------------------------------------


def evaluate(name: str, level: int, x: np.ndarray, param: float | None = None) -> np.ndarray:
    """The value (level 0) or a derivative (1 to 3) in the dtype of ``x``; at a kink the derivative of the left piece.

    >>> evaluate("silu", 1, np.zeros(1)).tolist()
    [0.5]
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if name in SMOOTH:
            z = x if level == 0 else np.clip(x, -FAR, FAR)
            return SMOOTH[name].formula(level, z, Plain, param)
        table = PIECES[name]
        y = table.pieces[0](level, x, Plain, param)
        for kink, piece in zip(table.kinks, table.pieces[1:], strict=True):
            y = np.where(x > kink, piece(level, x, Plain, param), y)
        return y


# ---- critical points -----------------------------------------------------------------------------------------------


def _derivatives(name: str, x: Any, count: int) -> list[Any]:
    """f(x), f'(x), ... on a ball, from flint's power series of the value."""
    import flint

    cap = flint.ctx.cap
    flint.ctx.cap = count
    try:
        coefficients = SMOOTH[name].series(flint.arb_series([x, 1], prec=count), flint.arb).coeffs()
    finally:
        flint.ctx.cap = cap
    coefficients += [flint.arb(0)] * (count - len(coefficients))
    return [c * math.factorial(k) for k, c in enumerate(coefficients)]


def _root(name: str, level: int, guess: float) -> Any:
    """The root of derivative ``level + 1`` next to ``guess``: one (change of sign) and no other (next derivative)."""
    from flint import arb

    k = level + 1
    low, high = arb(guess - BRACKET), arb(guess + BRACKET)
    left, right = (_derivatives(name, e, k + 1)[k] for e in (low, high))
    cells = [arb(guess - BRACKET + (2 * i + 1) * BRACKET / CELLS, 1.01 * BRACKET / CELLS) for i in range(CELLS)]
    if not left * right < 0 or not _one_sign([_derivatives(name, c, k + 2)[k + 1] for c in cells]):
        raise ProofError(f"derivative {k} of {name} has no certified root next to {guess}")
    if guess == 0.0:
        return arb(0)  # the value is even or odd up to a linear function, so the one root of the bracket is its middle
    rising = right > 0
    for _ in range(BITS):
        middle = arb(((low + high) / 2).mid())
        value = _derivatives(name, middle, k + 1)[k]
        if value.contains(0) or (high - low) < arb(2) ** -120:
            break
        if (value > 0) == rising:
            high = middle
        else:
            low = middle
    return low.union(high)


def _one_sign(values: list[Any]) -> bool:
    return all(v > 0 for v in values) or all(v < 0 for v in values)


@cache
def specials(name: str, level: int, param: float | None = None) -> tuple[Special, ...]:
    """Critical points of a level with its values; kinks with both one-sided ones, infinite if a lower level jumps."""
    if name in PIECES:
        return _special_pieces(name, level, param)
    found: list[Special] = []
    with workprec(BITS):
        for guess in SMOOTH[name].roots[level]:
            place = _root(name, level, guess)
            value = _derivatives(name, place, level + 1)[level]
            found.append((float_down(place), float_up(place), float_down(value), float_up(value)))
    return tuple(found)


def _special_pieces(name: str, level: int, param: float | None) -> tuple[Special, ...]:
    from flint import arb

    table = PIECES[name]
    found: list[Special] = []
    with workprec(BITS):
        for i, kink in enumerate(table.kinks):
            left, right = table.pieces[i : i + 2]
            sides = [(left(k, arb(kink), Balls, param), right(k, arb(kink), Balls, param)) for k in range(level + 1)]
            jump = next((k for k, (p, q) in enumerate(sides[:-1]) if not p.overlaps(q)), None)
            p, q = sides[-1]
            low, high = min(float_down(p), float_down(q)), max(float_up(p), float_up(q))
            if jump is not None:
                steep = jump < level - 1  # a jump of the level below: infinite with one sign; further below: with both
                rises = bool(sides[jump][1] > sides[jump][0])
                low, high = (-math.inf if steep or not rises else low), (math.inf if steep or rises else high)
            found.append((kink, kink, low, high))
        for root in table.roots[level]:
            piece = table.pieces[int(np.searchsorted(table.kinks, root))]
            value = piece(level, arb(root), Balls, param)
            found.append((root, root, float_down(value), float_up(value)))
    return tuple(found)


# ---- ranges --------------------------------------------------------------------------------------------------------


def _ends(y: Enclosed) -> Range:
    """Interval ends, rounded outward; exact values stay."""
    err = np.broadcast_to(y.err, y.mid.shape)
    exact = (err == 0) | np.isinf(y.mid)
    low, high = np.nextafter(y.mid - err, -np.inf), np.nextafter(y.mid + err, np.inf)
    return np.where(exact, y.mid, low), np.where(exact, y.mid, high)


def _at(name: str, level: int, x: np.ndarray, param: float | None, right: bool) -> Range:
    """Enclosures of a level at points (infinite ones too), from the right or the left at a kink."""
    with np.errstate(all="ignore"):
        if name in PIECES:
            table = PIECES[name]
            p = Enclosed.exact(x)
            low, high = _ends(table.pieces[0](level, p, Rigorous, param))
            for kink, piece in zip(table.kinks, table.pieces[1:], strict=True):
                a, b = _ends(piece(level, p, Rigorous, param))
                here = x >= kink if right else x > kink
                low, high = np.where(here, a, low), np.where(here, b, high)
            return low, high
        table = SMOOTH[name]
        far = np.abs(x) > FAR
        if not far.any():
            return _ends(table.formula(level, Enclosed.exact(x), Rigorous, param))
        near = _ends(table.formula(level, Enclosed.exact(np.clip(x, -FAR, FAR)), Rigorous, param))
        a, b = (np.where(x > 0, r, l) for r, l in zip(table.right, table.left, strict=True))
        mid = (np.where(a == 0, 0.0, a * x) + b, a, np.zeros_like(x), np.zeros_like(x))[level]
        err = np.where(np.isinf(x), 0.0, TAIL + (4 * UNIT * np.abs(mid) if level == 0 else 0.0))
        low, high = _ends(Enclosed(mid, err))
        return np.where(far, low, near[0]), np.where(far, high, near[1])


def level_range(
    name: str, level: int, low: Any, high: Any, param: float | None = None, *, closed: bool = True
) -> Range:
    """Rigorous ``(least, greatest)`` of a level on the intervals ``[low, high]``.

    Parameters
    ----------
    name : str
    level : int
        0 value, 1 slope, 2 curvature, 3 third derivative.
    low, high : arrays
        Interval ends, infinite ones allowed.
    param : float or None
    closed : bool
        Whether a kink at an end counts with both one-sided values; False keeps the side that faces the interval.
    """
    low, high = np.broadcast_arrays(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
    if not bool((low <= high).all()):
        raise DomainError(f"{name}: interval ends need low <= high, without NaN")
    least, greatest = np.empty(low.shape), np.empty(low.shape)
    a, b = low.ravel(), high.ravel()
    flat_least, flat_greatest = least.reshape(-1), greatest.reshape(-1)
    for i in range(0, a.size, CHUNK):
        part = slice(i, i + CHUNK)
        flat_least[part], flat_greatest[part] = _chunk_range(name, level, a[part], b[part], param, closed)
    return least + 0.0, greatest + 0.0  # no negative zeros


def _chunk_range(name: str, level: int, low: np.ndarray, high: np.ndarray, param: float | None, closed: bool) -> Range:
    least, greatest = _at(name, level, low, param, right=True)
    if name in PIECES or not np.array_equal(low, high):
        a, b = _at(name, level, high, param, right=False)
        least, greatest = np.minimum(least, a), np.maximum(greatest, b)
    strict = name in PIECES and not closed
    for c_low, c_high, v_low, v_high in specials(name, level, param):
        if strict:
            inside = ((low < c_low) & (c_high < high)) | ((low == c_low) & (high == c_high))
        else:
            inside = (low <= c_high) & (c_low <= high)
        if inside.any():
            least = np.where(inside, np.minimum(least, v_low), least)
            greatest = np.where(inside, np.maximum(greatest, v_high), greatest)
    return least, greatest


def value_range(name: str, low: Any, high: Any, param: float | None = None) -> Range:
    """The range of f on intervals.

    >>> low, high = value_range("silu", np.array([-2.0]), np.array([1.0]))
    >>> bool(low[0] <= -0.27846454 <= low[0] + 1e-8)
    True
    """
    return level_range(name, 0, low, high, param)


def slope_range(name: str, low: Any, high: Any, param: float | None = None) -> Range:
    """The range of f' on intervals, with both one-sided slopes at every kink inside or at an end.

    >>> low, high = slope_range("relu", np.array([-1.0, 1.0]), np.array([1.0, 2.0]))
    >>> low.tolist(), high.tolist()
    ([0.0, 1.0], [1.0, 1.0])
    """
    return level_range(name, 1, low, high, param)


def curvature_range(name: str, low: Any, high: Any, param: float | None = None) -> Range:
    """The range of f'' on intervals, infinite where a kink of f lies inside or at an end."""
    return level_range(name, 2, low, high, param)


def third_sup(name: str, low: Any, high: Any, param: float | None = None) -> np.ndarray:
    """Upper bounds of |f'''| on intervals (exact for the smooth activations, infinite at kinks of f or f').

    >>> bool(abs(third_sup("gelu", -np.inf, np.inf) - 1.0) < 0.4)
    True
    """
    least, greatest = level_range(name, 3, low, high, param)
    return np.maximum(-least, greatest)


def _enclose(name: str, level: int, x: Enclosed, param: float | None) -> Enclosed:
    if np.any(x.err):
        return Enclosed.interval(*level_range(name, level, x.low, x.high, param))
    return Enclosed.interval(*level_range(name, level, x.mid, x.mid, param))


def enclose_value(name: str, x: Enclosed, param: float | None = None) -> Enclosed:
    """f over an enclosure."""
    return _enclose(name, 0, x, param)


def enclose_slope(name: str, x: Enclosed, param: float | None = None) -> Enclosed:
    """f' over an enclosure, both one-sided slopes at kinks."""
    return _enclose(name, 1, x, param)


def enclose_curvature(name: str, x: Enclosed, param: float | None = None) -> Enclosed:
    """f'' over an enclosure (infinite error at a kink of f)."""
    low, high = level_range(name, 2, x.low if np.any(x.err) else x.mid, x.high if np.any(x.err) else x.mid, param)
    finite = np.isfinite(low) & np.isfinite(high)
    y = Enclosed.interval(np.where(finite, low, 0.0), np.where(finite, high, 0.0))
    return Enclosed(y.mid, np.where(finite, y.err, np.inf))


def sup_abs(low: np.ndarray, high: np.ndarray) -> float:
    """The largest absolute value in a family of ranges."""
    return float(np.maximum(-low, high).max())


__all__ = [
    "LEVELS",
    "curvature_range",
    "enclose_curvature",
    "enclose_slope",
    "enclose_value",
    "evaluate",
    "level_range",
    "parameter",
    "slope_range",
    "specials",
    "sup_abs",
    "third_sup",
    "value_range",
]
