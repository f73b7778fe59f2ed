"""Spaces: a shape with a norm.

``Space((None, d))`` holds token arrays with any number of tokens; the region or the point fixes the number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipop.errors import NonFiniteError, ShapeError

NORMS = ("l1", "l2", "linf", "2inf")
_ALIASES = {"F": "l2", "(2,inf)": "2inf", "l2,inf": "2inf"}


def norm_name(name: str) -> str:
    """The canonical name of a norm: ``F`` is ``l2`` of everything, ``2inf`` is the largest token's l2 norm.

    >>> norm_name("F")
    'l2'
    """
    name = _ALIASES.get(name, name)
    if name not in NORMS:
        raise ShapeError(f"unknown norm {name!r}; expected one of {NORMS} or F")
    return name


@dataclass(frozen=True)
class Space:
    """Real arrays of one shape with a norm.

    Parameters
    ----------
    shape : int or tuple of (int or None)
        ``None`` (leading axis only) stands for any number of tokens.
    norm : str
        ``l1``, ``l2`` (alias ``F``: l2 of all entries), ``linf``, or ``2inf`` (largest l2 norm of a token).

    Examples
    --------
    >>> Space((None, 4)).check(np.ones((2, 4))).shape
    (2, 4)
    """

    shape: tuple[int | None, ...]
    norm: str = "l2"

    def __post_init__(self) -> None:
        shape: object = self.shape
        if isinstance(shape, int | np.integer):
            shape = (int(shape),)
        if not isinstance(shape, tuple) or not shape:
            raise ShapeError(f"a space needs an int or a non-empty tuple as shape, found {shape!r}")
        for axis, n in enumerate(shape):
            if n is None and axis == 0 and len(shape) > 1:
                continue
            if not isinstance(n, int | np.integer) or n < 1:
                raise ShapeError(f"axis {axis} of a space must be a positive int (None leads only), found {n!r}")
        object.__setattr__(self, "shape", tuple(None if n is None else int(n) for n in shape))
        object.__setattr__(self, "norm", norm_name(self.norm))

    @property
    def width(self) -> int:
        """The length of the last axis."""
        width = self.shape[-1]
        assert width is not None
        return width

    @property
    def any_tokens(self) -> bool:
        """Whether the number of tokens is left open."""
        return self.shape[0] is None

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape lies in the space."""
        if len(shape) != len(self.shape):
            return False
        return all((n is None and m > 0) or n == m for n, m in zip(self.shape, shape, strict=True))

    def meets(self, other: Space) -> bool:
        """Whether some array shape lies in both spaces (norms aside)."""
        if len(self.shape) != len(other.shape):
            return False
        return all(n is None or m is None or n == m for n, m in zip(self.shape, other.shape, strict=True))

    def check(self, x: np.ndarray, what: str = "the point") -> np.ndarray:
        """Return ``x`` if it lies in the space.

        Raises
        ------
        ShapeError
            If the shape does not fit.
        NonFiniteError
            If an entry is NaN or infinite; the message gives its index.
        """
        if not self.admits(tuple(x.shape)):
            raise ShapeError(f"{what} has shape {tuple(x.shape)}, expected {self.shape}")
        if not bool(np.isfinite(x).all()):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise NonFiniteError(f"{what} holds {x[index]} at index {index}; every entry must be finite")
        return x


def norm(x: np.ndarray, name: str = "l2") -> float:
    """The norm of an array, in float64 (not rounded in a chosen direction).

    >>> norm(np.array([[3.0, 4.0], [0.0, 1.0]]), "2inf")
    5.0
    """
    name = norm_name(name)
    x = np.asarray(x, dtype=np.float64)
    if name == "l1":
        return float(np.abs(x).sum())
    if name == "linf":
        return float(np.abs(x).max(initial=0.0))
    scale = float(np.abs(x).max(initial=0.0))
    if scale == 0.0:
        return 0.0
    y = x / scale
    return scale * float(np.sqrt((y * y).sum(axis=-1)).max() if name == "2inf" else np.linalg.norm(y.ravel()))
