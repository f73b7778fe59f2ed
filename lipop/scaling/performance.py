"""Performance as a function ``E(N, P, K)`` of data, model size and training steps; its limits in every order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.scaling.limits import EXISTS, UNDECIDED, Iterated, Joint, iterated, joint

NAMES = ("N", "P", "K")
AXES = {"N": 2.0 ** np.arange(4, 13), "P": 2.0 ** np.arange(1, 10), "K": 2.0 ** np.arange(1, 10)}
"""Where a function is evaluated if nothing else is said."""


@dataclass(frozen=True, eq=False)
class Performance:
    """``E(N, P, K)``: an expression, a function, or a table on a grid.

    Use :meth:`symbolic`, :meth:`function` or :meth:`table`.

    Parameters
    ----------
    expr : SymPy expression or None
    symbols : tuple of three SymPy symbols
        N, P, K.
    values : callable or None
    axes : mapping
        The grid, by variable.
    grid : (n, p, k) array or None
        The values there.

    Examples
    --------
    >>> import sympy
    >>> N, P, K = sympy.symbols("N P K", positive=True)
    >>> E = Performance.symbolic(1 + 2**-K + 3**-P + N ** sympy.Rational(-1, 2), (N, P, K))
    >>> E.joint().answer, E.joint().value, {f.value for f in E.iterated().values()}
    ('EXISTS', 1, {1})
    >>> float(E(N=4, P=0, K=2))
    2.75
    """

    expr: Any
    symbols: tuple[Any, ...] | None
    values: Callable[..., Any] | None
    axes: Mapping[str, np.ndarray]
    grid: np.ndarray | None = None

    # ---- constructors ----

    @staticmethod
    def symbolic(expr: Any, symbols: Sequence[Any]) -> Performance:
        """From a SymPy expression in three positive symbols.

        Raises
        ------
        DomainError
            If the symbols are not three, not positive, or others occur.
        """
        import sympy

        if len(symbols) != 3 or any(not (isinstance(s, sympy.Symbol) and s.is_positive) for s in symbols):
            raise DomainError("E(N, P, K) needs three SymPy symbols with positive=True")
        strange = sorted(s.name for s in expr.free_symbols - set(symbols))
        if strange:
            raise DomainError(f"E(N, P, K) holds the free symbol {strange[0]}; give it a value")
        plain = tuple(sympy.Symbol(n, positive=True) for n in NAMES)
        renamed = expr.xreplace(dict(zip(symbols, plain, strict=True)))
        return Performance(renamed, plain, sympy.lambdify(plain, renamed, modules="numpy"), AXES)

    @staticmethod
    def function(values: Callable[..., Any], axes: Mapping[str, Any] | None = None) -> Performance:
        """From ``values(N, P, K) -> float``; ``axes`` gives, by variable, where it is evaluated (at least four points
        in constant ratio or at constant distance)."""
        return Performance(None, None, values, _axes(axes or AXES))

    @staticmethod
    def table(N: Any, P: Any, K: Any, E: Any) -> Performance:
        """From measured rows, one for each point of a full grid.

        Raises
        ------
        DomainError, ShapeError, NonFiniteError
            If points are missing or twice there, or an axis is not evenly spaced.
        """
        columns = [np.asarray(c, dtype=np.float64).ravel() for c in (N, P, K, E)]
        if len({c.size for c in columns}) != 1:
            raise ShapeError(f"columns have different lengths: {[c.size for c in columns]}")
        if not all(np.isfinite(c).all() for c in columns):
            raise NonFiniteError("the table holds NaN or infinity")
        axes = {n: np.unique(c) for n, c in zip(NAMES, columns, strict=False)}
        shape = tuple(axes[n].size for n in NAMES)
        places = tuple(np.searchsorted(axes[n], c) for n, c in zip(NAMES, columns, strict=False))
        counts = np.zeros(shape, dtype=np.intp)
        np.add.at(counts, places, 1)
        if not (counts == 1).all():
            i = np.unravel_index(int(np.argmax(counts != 1)), shape)
            at = ", ".join(f"{n} = {axes[n][k]:g}" for n, k in zip(NAMES, i, strict=True))
            raise DomainError(f"the table needs every point of its grid once; it has {counts[i]} rows at {at}")
        grid = np.empty(shape)
        grid[places] = columns[3]
        return Performance(None, None, None, _axes(axes), grid)

    # ---- values ----

    def __call__(self, N: float, P: float, K: float) -> Any:
        """E at a point; of a table, at a point of its grid.

        Raises
        ------
        DomainError
            If a table has no such point.
        """
        if self.values is not None:
            return self.values(N, P, K)
        place: list[int] = []
        for name, value in zip(NAMES, (N, P, K), strict=True):
            found = np.flatnonzero(self.axes[name] == value)
            if not found.size or self.grid is None:
                raise DomainError(f"the table has no row with {name} = {value:g}")
            place.append(int(found[0]))
        assert self.grid is not None
        return float(self.grid[tuple(place)])

    # ---- limits ----

    def iterated(self) -> dict[tuple[str, ...], Iterated]:
        """The six iterated limits, by order (innermost first): decided for an expression, estimated otherwise."""
        if self.expr is not None and self.symbols is not None:
            named = dict(zip(NAMES, self.symbols, strict=True))
            return {o: iterated(self.expr, [named[n] for n in o]) for o in itertools.permutations(NAMES)}
        grid = self._grid()
        return {o: _extrapolated(grid, o) for o in itertools.permutations(NAMES)}

    def joint(self, monotone: bool = False) -> Joint:
        """Whether the limit in all three at once exists.

        Parameters
        ----------
        monotone : bool
            For functions and tables: declare that E does not increase in any variable. Then the limit exists, and all
            iterated limits are equal to it. Without it finitely many values decide nothing.
        """
        if self.expr is not None and self.symbols is not None:
            return joint(self.expr, self.symbols)
        if not monotone:
            return Joint(UNDECIDED, None, "finitely many values decide no limit; declare monotone=True if E is")
        grid = self._grid()
        rises = [bool((np.diff(grid, axis=i) > 0).any()) for i in range(3)]
        if any(rises):
            raise DomainError(f"E was declared monotone, but it rises in {NAMES[rises.index(True)]}")
        known = [f for f in self.iterated().values() if f.value is not None]
        value = (
            min(known, key=lambda f: f.interval[1] - f.interval[0] if f.interval else math.inf).value if known else None
        )
        return Joint(
            EXISTS, value, "a function bounded below that increases in no variable", frozenset({"E is monotone"})
        )

    def _grid(self) -> np.ndarray:
        if self.grid is not None:
            return self.grid
        assert self.values is not None
        points = itertools.product(*(self.axes[n] for n in NAMES))
        flat = np.array([float(self.values(*(float(v) for v in point))) for point in points])
        if not np.isfinite(flat).all():
            raise NonFiniteError("E(N, P, K) is not finite at a point of its grid")
        return flat.reshape([self.axes[n].size for n in NAMES])


def _axes(axes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for name in NAMES:
        if name not in axes:
            raise DomainError(f"axes must name N, P and K; {name} is missing")
        axis = np.asarray(axes[name], dtype=np.float64)
        if axis.ndim != 1 or axis.size < 4 or not (np.diff(axis) > 0).all() or axis[0] <= 0:
            raise DomainError(f"axis {name} needs at least four increasing positive points")
        ratios, steps = axis[1:] / axis[:-1], np.diff(axis)
        if np.ptp(ratios) > 0.01 * ratios[0] and np.ptp(steps) > 0.01 * steps[0]:
            raise DomainError(f"axis {name} must grow by a constant factor or a constant step to be extrapolated")
        out[name] = axis
    return out


# ---- estimates -----------------------------------------------------------------------------------------------------


def _extrapolated(grid: np.ndarray, order: tuple[str, ...]) -> Iterated:
    """Aitken's extrapolation along one axis after another: exact for a power law on a geometric axis, and for an
    exponential on an arithmetic one. The half-width adds what the last point moved the extrapolation at every stage.
    """
    value, half = grid, np.zeros_like(grid)
    left: list[str] = [*NAMES]
    for name in order:
        axis = left.index(name)
        left.remove(name)
        half = np.moveaxis(half, axis, -1)
        value, spread, settles = _aitken(np.moveaxis(value, axis, -1), half)
        if not settles:
            return Iterated(order, None, UNDECIDED, None, f"differences along {name} do not shrink")
        half = half[..., -3:].max(axis=-1) + spread
    e, h = float(value), float(half)
    return Iterated(order, e, "ESTIMATED", (e - h, e + h), "Aitken's extrapolation of the last points")


def _aitken(rows: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Extrapolations of the last axis, how much the last point of it moved them, and whether differences shrink (those
    within the half-widths of the values count as nothing)."""

    def once(end: int) -> np.ndarray:
        a, b, c = rows[..., end - 3], rows[..., end - 2], rows[..., end - 1]
        first, second = c - b, (c - b) - (b - a)
        safe = np.where(np.abs(second) > 1e-13 * np.maximum(np.abs(c), 1e-300), second, np.inf)
        return c - first**2 / safe

    n = rows.shape[-1]
    last, before = once(n), once(n - 1)
    d = np.abs(np.diff(rows, axis=-1))
    noise = 1e-12 * np.abs(rows).max() + 2 * half[..., -2:].max(axis=-1)
    settles = bool((d[..., -1] <= np.maximum(0.95 * d[..., -2], noise)).all())
    return last, np.abs(last - before) + 1e-12 * np.abs(last), settles


def with_axes(performance: Performance, **axes: Any) -> Performance:
    """The same function, evaluated at other points.

    Examples
    --------
    >>> import numpy as np
    >>> E = with_axes(Performance.function(lambda N, P, K: 1 + 1 / N + 0.5**P + 0.25**K), N=np.array([1, 2, 4, 8, 16]))
    >>> len(E.axes["N"])
    5
    """
    return replace(performance, axes=_axes({**performance.axes, **axes}))


__all__ = ["Performance", "with_axes"]
