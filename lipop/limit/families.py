"""Families that attain the bounds of the theorems: each comes with its exact distances, to compare with.

The tails of the deviations are Hurwitz zeta values (``eps_i = i^-s``) or geometric sums (``eps_i = r^i``), so that the
distances are balls and not measurements.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lipop.core.enclosure import Enclosed
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rounding import float_down, workprec
from lipop.core.space import Space
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion
from lipop.limit.decay import Decay
from lipop.limit.laws import Law, Uniform
from lipop.limit.sequence import as_expression
from lipop.limit.structure import AffineRule
from lipop.limit.theorems.theorem_1 import theorem_1
from lipop.limit.theorems.theorem_2 import theorem_2
from lipop.limit.theorems.theorem_3 import theorem_3
from lipop.limit.theorems.theorem_6 import theorem_6
from lipop.limit.theorems.theorem_8 import theorem_8
from lipop.operators.linear import Affine


@dataclass(frozen=True, eq=False)
class Family:
    """An architecture that attains bounds of a theorem.

    Parameters
    ----------
    name : str
    theorem : str
    architecture : Architecture
    apply : callable
        Gives the theorem's Conclusion.
    point : array
        Where the bounds are attained.
    exact : mapping
        Rate name to a function ``n -> ball``: the distance that the rate bounds (for ``lip`` and ``expansion``: the
        constant).
    radius : float or None
        The radius that the rates take at the point.
    first : int
        The depth from which on the bounds are attained.
    """

    name: str
    theorem: str
    architecture: Architecture
    apply: Callable[[], Conclusion]
    point: np.ndarray
    exact: Mapping[str, Callable[[int], Any]] = field(default_factory=dict)
    radius: float | Callable[[int], float] | None = None
    first: int = 2

    def ratio(self, rate: str, n: int) -> float:
        """Exact distance over bound at depth n, rounded down (for a rate from below: bound over distance).

        Examples
        --------
        >>> round(sup_norm(4.0, Decay("power", 2.0)).ratio("error", 10), 6)
        1.0
        """
        found = self.apply().require().rates[rate]
        radius = self.radius(n) if callable(self.radius) else self.radius
        bound = found(n, None if found.uniform else radius)
        with workprec():
            true = self.exact[rate](n)
            return float_down(bound / true if found.lower else true / bound)

    def __repr__(self) -> str:
        return f"Family({self.name}, attains {', '.join(self.exact)} of {self.theorem})"


def _derived(rule: AffineRule, name: str, on: Region | None = None) -> Architecture:
    return Architecture.by_rule(rule, on=on, name=name)


def sup_norm(L: float, decay: Decay) -> Family:
    """Theorem 1 (a), (b), (c), every L >= 1: R^2 with the sup norm, ``P = [[1,0],[L,0]]``, ``T_i x = P x + eps_i
    (1,-1)``.

    From x, ``S_n x = (x1 + sum_{k<=n} eps_k, L (x1 + sum_{k<n} eps_k) - eps_n)`` for n >= 2.
    """
    import sympy

    i, e = sympy.Symbol("i"), decay.expr
    arch = _derived(AffineRule([[1, 0], [as_expression(L, "L"), 0]], [e, -e], i, "linf"), f"sup norm, L = {L:g}")

    def error(n: int) -> Any:
        return (1 + L) * decay.value(n) + L * decay.tail(n)

    exact = {
        "error": error,
        "projected": lambda n: L * decay.tail(n),
        "idempotency": lambda n: (1 + L) * decay.value(n),
    }
    return Family(f"sup norm, L = {L:g}", "theorem 1", arch, lambda: theorem_1(arch), np.zeros(2), exact)


@dataclass(frozen=True, eq=False, repr=False)
class Modulus(Operator):
    """``x -> |x|`` on R: idempotent and non-expansive, the projection of the one-depth family."""

    idempotent: ClassVar[bool] = True

    @property
    def domain(self) -> Space:
        return Space((1,))

    @property
    def codomain(self) -> Space:
        return Space((1,))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.abs(x)

    def enclose(self, x: Enclosed) -> Enclosed:
        low, high = x.mid - x.radius, x.mid + x.radius
        size = np.maximum(np.abs(low), np.abs(high))
        return Enclosed(np.abs(x.mid), size - np.abs(x.mid) + 1e-15 * size)

    def _lip(self, on: Region) -> float:
        return 1.0


def reflected(n: int, decay: Decay) -> Family:
    """Theorem 1 (c) for L = 1 on R, at one depth n: ``T x = |x|``, errors 0 before block n, ``-eps_n`` there and
    ``+eps_k`` behind it: ``S_n 0 = -eps_n`` and ``S_inf 0 = eps_n + tau_n``."""
    T = Modulus()

    def rule(i: int) -> Operator:
        with workprec():
            e = float(decay.value(i).mid()) * (-1.0 if i == n else 1.0)
        return T if i < n else Affine(np.eye(1), np.array([e])) @ T

    import sympy

    law = Uniform(decay.expr, sympy.Symbol("i"))
    arch = Architecture.by_rule(rule, limit=T, deviation=law, name=f"reflected at {n}")
    exact = {"error": lambda k: 2 * decay.value(k) + decay.tail(k)}
    return Family(f"reflected at {n}", "theorem 1", arch, lambda: theorem_1(arch), np.zeros(1), exact, first=n)


def averaged(decay: Decay) -> Family:
    """Theorem 2: ``T = [[1,0],[.5,.5]]`` in the sup norm, ``T_i x = T x + eps_i (1,1)``, ``Q x = (x1, x1)``."""
    import sympy

    i, e, half = sympy.Symbol("i"), decay.expr, sympy.Rational(1, 2)
    arch = _derived(AffineRule([[1, 0], [half, half]], [e, e], i, "linf"), "averaged")
    exact = {"projected": decay.tail}
    return Family("averaged", "theorem 2", arch, lambda: theorem_2(arch), np.zeros(2), exact)


def slow_coordinate(decay: Decay) -> Family:
    """Theorem 2: ``T = diag(1, .9)``, not idempotent, ``T_i x = T x + eps_i (1, 0)``, ``Q = diag(1, 0)``."""
    import sympy

    i = sympy.Symbol("i")
    arch = _derived(AffineRule([[1, 0], [0, as_expression(0.9, "q")]], [decay.expr, 0], i), "slow coordinate")
    exact = {"projected": decay.tail}
    return Family("slow coordinate", "theorem 2", arch, lambda: theorem_2(arch), np.zeros(2), exact)


def contraction(q: float, law: Any, start: float = 1.0) -> Family:
    """Theorem 3: ``T_i x = q x + eps_i`` from x >= 0; the law is a SymPy expression in i that tends to 0."""
    import sympy

    i = sympy.Symbol("i")
    arch = _derived(AffineRule([[as_expression(q, "q")]], [law], i), f"contraction, q = {q:g}")
    eps = Law(law, i)

    def error(n: int) -> Any:
        import flint

        x = flint.arb(start)
        for k in range(1, n + 1):
            x = x * flint.arb(q) + eps.exact(k)
        return x

    point = np.array([start])
    exact = {"error": error}
    return Family(f"contraction, q = {q:g}", "theorem 3", arch, lambda: theorem_3(arch), point, exact, start, 1)


def reference(decay: Decay, growth: Decay) -> Family:
    """Theorem 6: ``R_i x = (1 + delta_i) x`` and ``T_i x = R_i x + eps_i`` on R; attained as n grows where eps falls
    faster than delta."""
    import sympy

    i, e, d = sympy.Symbol("i"), decay.expr, growth.expr
    base = Architecture.by_rule(AffineRule([[1 + d]], None, i), lip=Law(1 + d, i), name="1 + delta")
    arch = _derived(AffineRule([[1 + d]], [e], i), "1 + delta, with offsets")

    def projected(n: int) -> Any:
        """``sum over k > n of eps_k prod_{j>k} (1 + delta_j)``, from below."""
        import flint

        last = n + 400
        product, total = flint.arb(1), flint.arb(0)
        for k in range(last, n, -1):
            total += decay.value(k) * product
            product *= 1 + growth.value(k)
        return total

    exact = {"projected": projected}
    law = Uniform(e, i)
    return Family(
        "scaled reference", "theorem 6", arch, lambda: theorem_6(arch, base, law, "derived"), np.zeros(1), exact
    )


def bracket(decay: Decay, sign: int = 1) -> Family:
    """Theorem 8: ``T_i = (1 + delta_i) I`` attains ``lip`` and ``posterior``, ``(1 - delta_i) I`` attains
    ``expansion``; in one dimension."""
    import sympy

    i, d = sympy.Symbol("i"), decay.expr
    arch = _derived(AffineRule([[1 + sign * d]], None, i), "1 + delta" if sign > 0 else "1 - delta")

    def product(n: int) -> Any:
        import flint

        out = flint.arb(1)
        for k in range(n + 1, n + 501):
            out *= 1 + sign * decay.value(k)
        rest, squares = decay.tail(n + 500), decay.squares(n + 500)
        return out * (rest - squares / 2).exp() if sign > 0 else out * (-rest).exp()  # t - t^2/2 <= log(1 + t) <= t

    exact: dict[str, Callable[[int], Any]] = {"lip": product, "posterior": lambda n: product(n) - 1}
    if sign < 0:
        exact = {"expansion": product}
    laws = (Law(d, i), Law(0))
    name = "1 + delta" if sign > 0 else "1 - delta"
    return Family(name, "theorem 8", arch, lambda: theorem_8(arch, *laws, "derived"), np.ones(1), exact, 1.0)


def all() -> builtins.list[Family]:
    """One of each, with the laws of the theory page.

    >>> len(all())
    26
    """
    import sympy

    power, slow, geometric = Decay("power", 2.0), Decay("power", 1.2), Decay("geometric", 0.5)
    out = [sup_norm(L, e) for L in (1.0, 1.5, 4.0, 50.0) for e in (power, slow, geometric)]
    out += [reflected(7, e) for e in (power, slow)]
    out += [make(e) for make in (averaged, slow_coordinate) for e in (power, slow, geometric)]
    out += [contraction(q, 1 / sympy.Symbol("i")) for q in (0.5, 0.9)]
    out += [reference(geometric, power), bracket(power), bracket(geometric), bracket(Decay("geometric", 0.25), -1)]
    return out


__all__ = [
    "Family",
    "Modulus",
    "all",
    "averaged",
    "bracket",
    "contraction",
    "reference",
    "reflected",
    "slow_coordinate",
    "sup_norm",
]
