"""Fixed-point iterations and how fast their residuals must fall.

With N non-expansive and p a fixed point, ``d >= |x_0 - p|``:

- Krasnoselskii and Mann, ``x_{k+1} = (1 - a) x_k + a N x_k``. Hilbert: ``|N x_n - x_n| <= d / sqrt((n+1) a (1-a))``,
  and for ``a >= 1/2`` the tight constants of Lieder 2018 (thesis, theorem 4.9). Any norm: ``2 d / sqrt(pi n a (1-a))``
  (Cominetti, Soto and Vaisman 2014; the constant 1/sqrt(pi) is best possible, Bravo and Cominetti 2018), from the
  diameter 2d of the ball around p in which the orbit stays.
- Halpern, ``x_{k+1} = x_0/(k + 2) + (1 - 1/(k + 2)) N x_k``. Hilbert: ``|N x_n - x_n| <= 2 d/(n + 1)``, tight (Lieder
  2021).

An a-averaged T is ``(1 - a) I + a N``; its own residual is ``Tx - x = a (Nx - x)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from lipop.core import formula
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.operator import Operator
from lipop.core.region import Everywhere
from lipop.core.rule import Accepts, derive, norms_of, parts_digest, rule
from lipop.errors import DomainError
from lipop.limit.averaged import averagedness
from lipop.limit.averaged_rules import QUANTITY
from lipop.limit.conclusion import Rate


def _residual_of(quantity: str, iteration: str, norms: str | None) -> Accepts:
    """One premise about T; the claim is the distance ``|T x_n - x_n|`` of the iteration."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if [(p.claim.quantity, p.claim.side) for p in premises] != [(quantity, UPPER)]:
            return f"one premise on {quantity} is needed"
        p = premises[0]
        if (claim.quantity, claim.side) != ("distance", UPPER) or norms_of(claim) != norms_of(p.claim):
            return "it bounds a distance from above, in the premise's norms"
        if claim.operator != residual_digest(iteration, p.claim.operator) or p.claim.region.kind != "everywhere":
            return "the premise is about another operator, or on a part of the space only"
        if norms is not None and norms_of(claim) != (norms, norms):
            return "it holds in Hilbert spaces"
        if not (isinstance(params["n"], int) and params["n"] >= (1 if norms is None else 0)):
            return "the number of steps is too small"
        if iteration == "picard" and not p.value < 1:
            return "T must be averaged with a constant below 1"
        return None if p.value <= 1 else "T must be non-expansive"

    return accepts


def residual_digest(iteration: str, T: str) -> str:
    """The digest of the residual of an iteration of T."""
    return parts_digest("fixed point residual", [iteration, T])


@rule(
    "residual.averaged@1",
    reference=(
        "Hilbert, T a-averaged: |Tx - p|^2 <= |x - p|^2 - ((1 - a)/a)|Tx - x|^2, summed along the orbit, on which the "
        "residuals do not grow"
    ),
    accepts=_residual_of(QUANTITY, "picard", "l2"),
)
def averaged_residual(a: Any, n: int, radius: Any) -> Any:
    """``d sqrt(a / ((1 - a)(n + 1)))``."""
    return radius * formula.sqrt(a / ((1 - a) * (n + 1)))


def _phase(early: bool) -> Accepts:
    """The two cases of Lieder's theorem: ``(2a - 1)^2 <= n/(n + 1)``, and beyond; decided exactly."""
    known = _residual_of(QUANTITY, "picard", "l2")

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        reason = known(claim, premises, params)
        if reason is not None:
            return reason
        return None if is_early(premises[0].value, params["n"]) == early else "it is the other case of the theorem"

    return accepts


def is_early(a: float, n: int) -> bool:
    """Whether ``(2a - 1)^2 <= n/(n + 1)``, constants below 1/2 counting as 1/2.

    >>> is_early(0.9, 1), is_early(0.9, 2)
    (False, True)
    """
    b = max(Fraction(a), Fraction(1, 2))
    return (2 * b - 1) ** 2 * (n + 1) <= n


@rule(
    "residual.averaged.early@1",
    reference="Hilbert, T a-averaged, a at least 1/2 (smaller ones count as 1/2): Lieder 2018, theorem 4.9, first case",
    accepts=_phase(True),
)
def early_residual(a: Any, n: int, radius: Any) -> Any:
    """``d sqrt(a/(1 - a)) sqrt((n/(n + 1))^n/(n + 1))``."""
    b = formula.maximum(a, (0 * a + 1) / 2)
    power = (n / (0 * b + n + 1)) ** n if n else 0 * b + 1
    return radius * formula.sqrt(b / (1 - b) * power / (n + 1))


@rule(
    "residual.averaged.late@1",
    reference="Hilbert, T a-averaged, (2a - 1)^2 > n/(n + 1): Lieder 2018, theorem 4.9, second case",
    accepts=_phase(False),
)
def late_residual(a: Any, n: int, radius: Any) -> Any:
    """``2 a d (2a - 1)^n``."""
    return radius * 2 * a * (2 * a - 1) ** n


@rule(
    "residual.averaged.normed@1",
    reference="any norm: Cominetti, Soto and Vaisman 2014; best possible constant 1/sqrt(pi): Bravo and Cominetti 2018",
    accepts=_residual_of(QUANTITY, "picard", None),
)
def normed_residual(a: Any, n: int, radius: Any) -> Any:
    """``2 d a / sqrt(pi n a (1 - a))``."""
    return 2 * radius * formula.sqrt(a / ((1 - a) * formula.pi(a) * n))


@rule(
    "residual.halpern@1",
    reference="Hilbert, N non-expansive: Lieder 2021, 'On the convergence rate of the Halpern iteration', tight",
    accepts=_residual_of(QUANTITY, "halpern", "l2"),
)
def halpern_residual(a: Any, n: int, radius: Any) -> Any:
    """``2 d/(n + 1)``, whatever the averagedness a <= 1."""
    return 2 * radius / (0 * a + n + 1)


# ---- rates and iterations ------------------------------------------------------------------------------------------


def residual_bound(T: Operator, n: int, radius: float, iteration: str = "picard") -> Bound:
    """A bound of ``|T x_n - x_n|`` after n steps, for every start within ``radius`` of a fixed point of T.

    Parameters
    ----------
    T : Operator
        Averaged (``picard``) or non-expansive (``halpern``), as :func:`lipop.limit.averaged.averagedness` shows.
    n : int
        Steps, at least 0.
    radius : float
        At least ``|x_0 - p|``.
    iteration : str
        ``picard``, ``x_{k+1} = T x_k`` (of a relaxed map: Krasnoselskii's and Mann's iteration), or ``halpern``.

    Raises
    ------
    DomainError
        If T is not known to be averaged (non-expansive), or the norm is not l2 where Halpern's rate is asked for.

    Examples
    --------
    >>> import lipop as lo
    >>> P = lo.SimplexProjection(3) @ lo.orthant_projection(3)
    >>> round(residual_bound(P, 99, 1.0).value, 6), residual_bound(P, 99, 1.0, "halpern").value
    (0.085992, 0.02)
    """
    a = averagedness(T)
    if not a.known or (iteration == "picard" and a.value >= 1):
        raise DomainError(f"{T!r} is not known to be {'averaged' if iteration == 'picard' else 'non-expansive'}")
    claim = Claim("distance", UPPER, residual_digest(iteration, T.digest), Everywhere(), *norms_of(a.claim))
    params = {"n": int(n), "radius": float(radius)}
    if iteration == "halpern":
        return derive("residual.halpern@1", claim, (a,), **params)
    if norms_of(claim) != ("l2", "l2"):
        return derive("residual.averaged.normed@1", claim, (a,), **params)
    phase = "early" if is_early(a.value, int(n)) else "late"
    tight = derive(f"residual.averaged.{phase}@1", claim, (a,), **params)
    plain = derive("residual.averaged@1", claim, (a,), **params)
    return min(tight, plain, key=lambda b: b.value)


def residual_rate(T: Operator, iteration: str = "picard") -> Rate:
    """The same as a rate: ``rate(n, radius)``, with a SymPy expression in n and d, the distance to a fixed point.

    >>> import lipop as lo
    >>> residual_rate(lo.orthant_projection(2), "halpern").expr
    2*d/(n + 1)
    """

    def symbolic() -> Any:
        import sympy

        n, d = sympy.Symbol("n", positive=True, integer=True), sympy.Symbol("d", positive=True)
        if iteration == "halpern":
            return 2 * d / (n + 1)
        a = sympy.Rational(*averagedness(T).value.as_integer_ratio())
        if T.domain.norm != "l2":
            return 2 * d * sympy.sqrt(a / ((1 - a) * sympy.pi * n))
        return d * sympy.sqrt(a / ((1 - a) * (n + 1)))

    return Rate(
        r"|T x_n - x_n|",
        lambda n, radius: residual_bound(T, n, 0.0 if radius is None else radius, iteration),
        symbolic,
        uniform=False,
    )


def krasnoselskii_mann(T: Operator, x: np.ndarray, steps: int, relaxation: float | Callable[[int], float] = 0.5) -> Any:
    """``x_{k+1} = (1 - a_k) x_k + a_k T x_k``.

    Parameters
    ----------
    T : Operator
    x : array
    steps : int
    relaxation : float or callable
        a, or ``a(k)`` for k = 0, 1, ...; between 0 and 1.

    Returns
    -------
    array
        ``x_steps``, in float64.

    Examples
    --------
    >>> import lipop as lo
    >>> turn = lo.Linear(np.array([[0.0, -1.0], [1.0, 0.0]]))
    >>> bool(np.abs(krasnoselskii_mann(turn, np.ones(2), 100)).max() < 1e-12)
    True
    """
    x = np.asarray(x, dtype=np.float64)
    for k in range(steps):
        a = float(relaxation(k) if callable(relaxation) else relaxation)
        if not 0 <= a <= 1:
            raise DomainError(f"a relaxation lies between 0 and 1, found {a} at step {k}")
        x = x + a * (T(x) - x)
    return x


def halpern(T: Operator, x: np.ndarray, steps: int) -> np.ndarray:
    """``x_{k+1} = x_0/(k + 2) + (1 - 1/(k + 2)) T x_k``: it tends to the fixed point of T next to ``x_0`` (l2).

    >>> import lipop as lo
    >>> halpern(lo.Linear(np.diag([1.0, -1.0])), np.array([2.0, 3.0]), 1000).round(3).tolist()
    [2.0, 0.003]
    """
    x = np.asarray(x, dtype=np.float64)
    start = x
    for k in range(steps):
        x = start / (k + 2) + (1 - 1 / (k + 2)) * T(x)
    return x


__all__ = ["halpern", "is_early", "krasnoselskii_mann", "residual_bound", "residual_rate"]
