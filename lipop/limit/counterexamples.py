"""What the literal equivalence claims, and the families that refute it.

The claim: the limit of an infinite composition exists if and only if (i) ``Lip(T_i) <= 1`` for all i >= K0, and (ii)
the blocks converge, with summable deviations, to a projection (one reading: to a non-expansive map). Each object here
is an architecture with the half that it refutes; :func:`all` gives them in the order of the theory page.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.core.region import Ball, Everywhere, Region
from lipop.core.space import norm
from lipop.limit.architecture import Architecture
from lipop.limit.structure import AffineRule, Cycle
from lipop.operators.linear import Linear


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What the blocks do at one point, in float64.

    Parameters
    ----------
    depths : (n,) int array
    values : (n, d) array
        ``S_n x``.
    steps : (n,) array
        ``|S_n x - S_{n-1} x|``.
    says : str
        What is seen.
    """

    depths: np.ndarray
    values: np.ndarray
    steps: np.ndarray
    says: str


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A family that refutes one half of the literal claim.

    Parameters
    ----------
    name : str
        As on the theory page: C1, C2, C2', C3 to C8; a letter tells the cases of one line apart.
    architecture : Architecture
    refutes : str
        The claim that is false.
    expected : str
        The verdict: ``EXISTS`` or ``DOES_NOT_EXIST``.
    tail_stable : bool
    point : array
        Where :meth:`demonstrate` begins.
    says : str
        What is seen there.
    """

    name: str
    architecture: Architecture
    refutes: str
    expected: str
    tail_stable: bool
    point: np.ndarray
    says: str

    def demonstrate(self, depth: int = 64, m: int = 0) -> Demonstration:
        """Run the blocks from the point.

        Parameters
        ----------
        depth : int
        m : int
            The block behind which the orbit begins.

        Examples
        --------
        >>> all()[0].demonstrate(4).values[:, 0].tolist()
        [-1.0, 1.0, -1.0, 1.0]
        """
        x = np.array(self.point, dtype=np.float64)
        values, steps = [], []
        for i in range(m + 1, m + depth + 1):
            y = self.architecture.block(i)(x)
            steps.append(norm(y - x, self.architecture.space.norm))
            values.append(y)
            x = y
        return Demonstration(np.arange(m + 1, m + depth + 1), np.array(values), np.array(steps), self.says)

    def plot(self, depth: int = 64) -> str:
        """The first coordinate against the depth, as an SVG drawing without libraries."""
        from lipop.limit.drawing import curve

        shown = self.demonstrate(depth)
        return curve(shown.depths, shown.values[:, 0], f"{self.name}: first coordinate of S_n x", "n")

    def __repr__(self) -> str:
        return f"Counterexample({self.name}: {self.refutes})"


def _index() -> Any:
    import sympy

    return sympy.Symbol("i")


def _rule(rule: Callable[[int], Any], name: str, on: Region | None = None) -> Architecture:
    return Architecture.by_rule(rule, on=Everywhere() if on is None else on, name=name)


def c1() -> Counterexample:
    """``T_i = -I``: non-expansive, deviation 0 from a non-expansive map, and no limit."""
    return Counterexample(
        "C1",
        _rule(Cycle([Linear(-np.eye(2))]), "C1"),
        "sufficiency, if the blocks need only converge to a non-expansive map",
        "DOES_NOT_EXIST",
        False,
        np.array([1.0, 2.0]),
        "x and -x alternate",
    )


def c2() -> Counterexample:
    """``T_1 = 0``, then ``5 I``: the limit at 0 exists, although every later block expands."""
    return Counterexample(
        "C2",
        _rule(Cycle([Linear(5 * np.eye(2))], head=[Linear(np.zeros((2, 2)))]), "C2"),
        "necessity of (i)",
        "EXISTS",
        False,
        np.array([1.0, 2.0]),
        "the first block sends everything to 0, where it stays; behind it distances grow fivefold",
    )


def c2_prime() -> Counterexample:
    """One oblique projection again and again: tail-stable with Lip = sqrt 2."""
    return Counterexample(
        "C2'",
        _rule(Cycle([Linear(np.array([[1.0, 0.0], [1.0, 0.0]]))]), "C2'"),
        "necessity of (i), even for tail-stable families",
        "EXISTS",
        True,
        np.array([1.0, -1.0]),
        "one step, then rest: Lip(T_i) = sqrt 2 for every i",
    )


def c3() -> Counterexample:
    """Orthogonal projections onto two lines at 45 degrees, in turn: tail-stable, and the blocks converge to nothing."""
    return Counterexample(
        "C3",
        _rule(Cycle([Linear(np.diag([1.0, 0.0])), Linear(np.full((2, 2), 0.5))]), "C3"),
        "necessity of (ii)",
        "EXISTS",
        True,
        np.array([1.0, 1.0]),
        "the orbit tends to 0; the blocks alternate between two projections",
    )


def c4_shift() -> Counterexample:
    """``T_i x = x + 1/i`` on R: the blocks tend to the identity, not summably."""
    i = _index()
    return Counterexample(
        "C4a",
        _rule(AffineRule([[1]], [1 / i], i), "C4a"),
        "sufficiency without summability: deviation 1/i from the projection I",
        "DOES_NOT_EXIST",
        False,
        np.array([0.0]),
        "S_n x = x + 1 + 1/2 + ... + 1/n grows like log n",
    )


def c4_rotation() -> Counterexample:
    """Rotations by the angle 1/i on the closed unit disc: isometries that tend to the identity, and no limit."""
    import sympy

    i = _index()
    c, s = sympy.cos(1 / i), sympy.sin(1 / i)
    return Counterexample(
        "C4b",
        _rule(AffineRule([[c, -s], [s, c]], None, i), "C4b", Ball(np.zeros(2), 1.0)),
        "sufficiency without summability, on a compact domain",
        "DOES_NOT_EXIST",
        False,
        np.array([1.0, 0.0]),
        "the point turns for ever, ever more slowly",
    )


def c5() -> Counterexample:
    """``T_i x = x/2 + 1/i``: a limit without summability, because T is a contraction."""
    import sympy

    i = _index()
    return Counterexample(
        "C5a",
        _rule(AffineRule([[sympy.Rational(1, 2)]], [1 / i], i), "C5a"),
        "necessity of summability (contractive)",
        "EXISTS",
        True,
        np.array([3.0]),
        "S_n x tends to 0 for every x, although the deviations 1/i do not sum",
    )


def c5_zero() -> Counterexample:
    """``T_i x = 1/i``: the same with the projection 0 as T."""
    i = _index()
    return Counterexample(
        "C5b",
        _rule(AffineRule([[0]], [1 / i], i), "C5b"),
        "necessity of summability, for the projection 0",
        "EXISTS",
        True,
        np.array([3.0]),
        "S_n x = 1/n",
    )


def c6() -> Counterexample:
    """``T_i x = x + (-1)^i / i``: a limit without summability, by cancellation."""
    i = _index()
    return Counterexample(
        "C6",
        _rule(AffineRule([[1]], [(-1) ** i / i], i), "C6"),
        "necessity of summability (critical)",
        "EXISTS",
        True,
        np.array([0.0]),
        "the partial sums of the alternating series tend to -log 2",
    )


def c7() -> Counterexample:
    """``(x1, x1)`` and ``(x2, x2)`` in turn, in the sup norm: one range, norm 1, and neither blocks nor tail limits
    converge."""
    first = Linear(np.array([[1.0, 0.0], [1.0, 0.0]]), norm_in="linf", norm_out="linf")
    second = Linear(np.array([[0.0, 1.0], [0.0, 1.0]]), norm_in="linf", norm_out="linf")
    return Counterexample(
        "C7",
        _rule(Cycle([first, second]), "C7"),
        "necessity of (ii), even for projections onto one range: the limits S_(inf,m) alternate too",
        "EXISTS",
        True,
        np.array([1.0, 2.0]),
        "from m = 0 the limit is (x1, x1), from m = 1 it is (x2, x2)",
    )


def c8() -> Counterexample:
    """``T_i x = (x1 + i x2, 0)``: tail-stable, and Lip(T_i) is unbounded in every equivalent norm."""
    i = _index()
    return Counterexample(
        "C8",
        _rule(AffineRule([[1, i], [0, 0]], None, i), "C8"),
        "(i), in every equivalent norm",
        "EXISTS",
        True,
        np.array([1.0, 1.0]),
        "after one step the second coordinate is 0, and nothing moves",
    )


def all() -> builtins.list[Counterexample]:
    """Every counterexample, in the order of the theory page.

    Examples
    --------
    >>> from lipop.limit.verdicts import verdict
    >>> [c.name for c in all() if verdict(c.architecture).answer != c.expected]
    []
    """
    makers = (c1, c2, c2_prime, c3, c4_shift, c4_rotation, c5, c5_zero, c6, c7, c8)
    return [make() for make in makers]


__all__ = ["Counterexample", "Demonstration", "all"]
