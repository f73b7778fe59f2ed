"""Compute-optimal allocation: the variables that make a law least at a given cost.

Lemma. For ``F = A x^-a + B y^-b`` under ``k x y = C`` the unique minimum is ``x = G (C/k)^(b/(a+b))``, ``y = (C/k)^
(a/(a+b)) / G`` with ``G = (a A / (b B))^(1/(a+b))``. Proof: in ``t = log x`` the constraint leaves ``F(t) = A e^(-a t)
+ B (C/k)^-b e^(b t)``, strictly convex, with ``F' = 0`` at ``a A x^-a = b B y^-b``. A law that is an increasing
function of such an F has the same minimum. Other laws are minimised numerically along the constraint, in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.law import ScalingLaw


@dataclass(frozen=True)
class Allocation:
    """The best use of a budget.

    Parameters
    ----------
    law : str
    budget : float
    cost_unit : str
    values : mapping
        By variable.
    units : mapping
        By variable.
    predicted : float
        The law's value there.
    closed : bool
        Whether a closed form gave it; otherwise a numerical minimum (not certified to be global).
    intervals : mapping
        By variable, where a fit has a bootstrap.
    """

    law: str
    budget: float
    cost_unit: str
    values: Mapping[str, float]
    units: Mapping[str, str]
    predicted: float
    closed: bool
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def __str__(self) -> str:
        parts = ", ".join(f"{n} = {v:.4g} {self.units[n]}" for n, v in self.values.items())
        return f"{self.budget:.4g} {self.cost_unit}: {parts}; predicted {self.predicted:.4g}"


def allocate(law: ScalingLaw, params: Mapping[str, float], budget: float) -> Allocation:
    """See :meth:`lipop.scaling.law.ScalingLaw.allocate`.

    Raises
    ------
    DomainError
        If the budget is not finite and positive, the cost is no monomial in the variables, or no minimum exists.
    """
    import sympy

    if not (math.isfinite(budget) and budget > 0):
        raise DomainError(f"a budget is finite and positive, found {budget!r}")
    expressions = closed_form(law)
    names = [v.name for v in law.variables]
    if expressions is None:
        found = dict(zip(names, numerical(law, params, budget), strict=True))
    else:
        numbers = {p.symbol: params[p.name] for p in law.parameters} | {budget_symbol(): budget}
        found = {n: float(sympy.N(expressions[n].xreplace(_floats(numbers)))) for n in names}
    units = {v.name: v.unit for v in law.variables}
    predicted = float(law(params, **found))
    return Allocation(law.name, float(budget), law.cost_unit, found, units, predicted, expressions is not None)


def _floats(numbers: Mapping[Any, float]) -> dict[Any, Any]:
    import sympy

    return {s: sympy.Float(v, 30) for s, v in numbers.items()}


def budget_symbol() -> Any:
    """The symbol C of the budget in closed forms."""
    import sympy

    return sympy.Symbol("budget", positive=True)


def monomial(law: ScalingLaw) -> tuple[Any, list[Any]]:
    """``(k, exponents)`` of the cost ``k prod v^e``.

    Raises
    ------
    DomainError
        If the cost has another form.
    """
    import sympy

    exponents = [sympy.simplify(v.symbol * law.cost.diff(v.symbol) / law.cost) for v in law.variables]
    rest = sympy.simplify(law.cost / sympy.prod([v.symbol**e for v, e in zip(law.variables, exponents, strict=True)]))
    if rest.free_symbols or any(e.free_symbols or not e.is_positive for e in exponents):
        raise DomainError(f"law {law.name!r}: its cost {law.cost} is no product of powers of {law.variables}")
    return rest, exponents


def closed_form(law: ScalingLaw) -> dict[str, Any] | None:
    """The optimum as SymPy expressions in the parameters and ``budget_symbol()``, where the lemma (or one variable)
    gives it; None otherwise.

    Examples
    --------
    >>> from lipop.scaling.laws import BiasVariance
    >>> best = closed_form(BiasVariance().fix(p=1, q=1, b=1, v=4)) or {}
    >>> {name: float(value.subs(budget_symbol(), 24)) for name, value in best.items()}
    {'M': 1.0, 'N': 4.0}
    """
    import sympy

    k, exponents = monomial(law)
    per_unit = budget_symbol() / k
    if len(law.variables) == 1:
        return {law.variables[0].name: per_unit ** (1 / exponents[0])}
    pair = power_pair(law)
    if pair is None or exponents != [1, 1]:
        return None
    (A, a), (B, b) = pair
    gain = (a * A / (b * B)) ** (1 / (a + b))
    x, y = (v.name for v in law.variables)
    return {x: sympy.simplify(gain) * per_unit ** (b / (a + b)), y: per_unit ** (a / (a + b)) / sympy.simplify(gain)}


def power_pair(law: ScalingLaw) -> tuple[tuple[Any, Any], tuple[Any, Any]] | None:
    """``((A, a), (B, b))`` where the law is an increasing function of ``A x^-a + B y^-b``; None otherwise.

    An additive constant and one outer positive power (Kaplan's law) are looked through.
    """
    import sympy

    if len(law.variables) != 2:
        return None
    symbols = [v.symbol for v in law.variables]
    inner = law.formula
    if inner.is_Pow and inner.base.is_Add and inner.exp.is_positive:
        inner = inner.base
    found: dict[Any, tuple[Any, Any]] = {}
    for term in sympy.Add.make_args(inner):
        within = [s for s in symbols if s in term.free_symbols]
        if not within:
            continue
        if len(within) > 1 or within[0] in found:
            return None
        exponent = sympy.simplify(-within[0] * term.diff(within[0]) / term)
        factor = sympy.simplify(term * within[0] ** exponent)
        if set(symbols) & (exponent.free_symbols | factor.free_symbols):
            return None
        if not (exponent.is_positive and factor.is_positive):
            return None
        found[within[0]] = (factor, exponent)
    return (found[symbols[0]], found[symbols[1]]) if len(found) == 2 else None


def numerical(law: ScalingLaw, params: Mapping[str, float], budget: float, span: float = 60.0) -> list[float]:
    """The least value along the constraint, by Nelder-Mead from several starts in logarithms of the variables.

    Raises
    ------
    DomainError
        If the law falls without end towards the edge of what is searched (``e^-span`` to ``e^span``).
    """
    from scipy.optimize import minimize

    k, exponents = monomial(law)
    e = np.array([float(x) for x in exponents])
    total = math.log(budget) - math.log(float(k))
    names = [v.name for v in law.variables]

    def values(t: np.ndarray) -> np.ndarray:
        """The free logarithms with the last one that the cost then leaves."""
        return np.append(t, (total - e[:-1] @ t) / e[-1])

    def height(t: np.ndarray) -> float:
        logs = values(t)
        if np.abs(logs).max() > span:
            return math.inf
        with np.errstate(over="ignore"):
            return float(law(params, **{n: math.exp(x) for n, x in zip(names, logs, strict=True)}))

    best, at = math.inf, np.zeros(0)
    options = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000, "maxfev": 8000}
    shares = np.linspace(0.1, 0.8, 5)
    for share in shares:
        weights = np.full(e.size, (1 - share) / (e.size - 1))
        for i in range(e.size):
            w = weights.copy()
            w[i] = share
            start = (w * total / e)[:-1]
            found = minimize(height, start, method="Nelder-Mead", options=options)
            if found.fun < best:
                best, at = float(found.fun), np.asarray(found.x)
    if not at.size or np.abs(values(at)).max() > span - 1:
        raise DomainError(f"law {law.name!r} has no least value at the cost {budget:g}: it falls towards the edge")
    return [math.exp(x) for x in values(at)]


__all__ = ["Allocation", "allocate", "budget_symbol", "closed_form", "monomial", "numerical", "power_pair"]
