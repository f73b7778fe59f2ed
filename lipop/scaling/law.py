"""What a scaling law is: a formula in named variables and parameters, with units, domains and a source."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.errors import DomainError

if TYPE_CHECKING:
    from lipop.scaling.allocation import Allocation


@dataclass(frozen=True)
class Variable:
    """What is measured or chosen: ``name``, its unit and its meaning; always positive."""

    name: str
    unit: str
    meaning: str

    @property
    def symbol(self) -> Any:
        """The SymPy symbol (positive)."""
        import sympy

        return sympy.Symbol(self.name, positive=True)


@dataclass(frozen=True)
class Parameter:
    """A number that a fit finds, in the open interval ``(low, high)``.

    Parameters
    ----------
    name : str
        An identifier, as ``alpha``; it is the keyword for values and the key of results.
    unit : str
    meaning : str
    low, high : float
        The ends of the domain.
    starts : tuple of float
        Where a search begins: the grid of all combinations is a law's full set of starts.
    near : str
        A variable that sets the scale of ``starts``: they are multiples of its geometric mean m, or, on the domain (0,
        1), the rates c of ``exp(-c / m)``. Empty: they are plain values.
    latex : str
        How it is written, if not as ``name``.

    Examples
    --------
    >>> p = Parameter("alpha", "1", "exponent", starts=(0.5, 1.0))
    >>> p.outer(p.inner(0.3)), Parameter("q", "1", "factor", high=1.0).inner(0.5)
    (0.3, 0.0)
    """

    name: str
    unit: str
    meaning: str
    low: float = 0.0
    high: float = math.inf
    starts: tuple[float, ...] = (1.0,)
    near: str = ""
    latex: str = ""

    @property
    def symbol(self) -> Any:
        """The SymPy symbol (positive, where the domain is)."""
        import sympy

        return sympy.Symbol(self.name, positive=True) if self.low >= 0 else sympy.Symbol(self.name, real=True)

    def inner(self, value: float) -> float:
        """The coordinate in which it is fitted, any real number: logarithm on a half line, logit on an interval."""
        if math.isinf(self.low):
            return float(value)
        if math.isinf(self.high):
            return math.log(value - self.low)
        return math.log((value - self.low) / (self.high - value))

    def outer(self, z: Any) -> Any:
        """The inverse of :meth:`inner`, for a float, an array or a SymPy expression."""
        if math.isinf(self.low):
            return z
        if isinstance(z, float | int | np.ndarray):
            with np.errstate(over="ignore"):
                part = np.exp(z) if math.isinf(self.high) else (self.high - self.low) / (1 + np.exp(-z))
            value = self.low + part
            return float(value) if isinstance(z, float | int) else value
        import sympy

        low, width = sympy.nsimplify(self.low), sympy.nsimplify(self.high - self.low)
        return low + (sympy.exp(z) if math.isinf(self.high) else width / (1 + sympy.exp(-z)))

    def start_values(self, scale: Mapping[str, float]) -> np.ndarray:
        """The starts for data whose variables have these geometric means."""
        values = np.asarray(self.starts, dtype=np.float64)
        if not self.near:
            return values
        return np.exp(-values / scale[self.near]) if self.high == 1 else values * scale[self.near]

    def check(self, value: float) -> float:
        """The value, if it lies in the domain.

        Raises
        ------
        DomainError
        """
        if not (isinstance(value, int | float | np.number) and self.low < value < self.high):
            raise DomainError(f"parameter {self.name} must lie in ({self.low:g}, {self.high:g}), found {value!r}")
        return float(value)


@dataclass(frozen=True, eq=False)
class ScalingLaw:
    """A formula for one positive quantity, as the loss, in positive variables.

    Parameters
    ----------
    name : str
        The name on the command line.
    variables : tuple of Variable
    parameters : tuple of Parameter
    formula : SymPy expression
        In the symbols of the variables and parameters.
    cost : SymPy expression
        What one choice of the variables costs.
    citation : str
    target, unit : str
        Name and unit of the quantity.
    cost_unit : str
    values : mapping
        Parameters that have been given values (see :meth:`fix`).

    Examples
    --------
    >>> import sympy
    >>> n, a = Variable("n", "samples", "sample size"), Parameter("a", "nats", "amplitude")
    >>> law = ScalingLaw("root", (n,), (a,), a.symbol / sympy.sqrt(n.symbol), n.symbol, "the mean of n samples")
    >>> law({"a": 2.0}, n=[4.0, 16.0]).tolist(), law.latex()
    ([1.0, 0.5], '\\\\mathrm{loss} = \\\\frac{a}{\\\\sqrt{n}}')
    """

    name: str
    variables: tuple[Variable, ...]
    parameters: tuple[Parameter, ...]
    formula: Any
    cost: Any
    citation: str
    target: str = "loss"
    unit: str = "nats per token"
    cost_unit: str = "FLOP"
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        known = {v.symbol for v in self.variables} | {p.symbol for p in self.parameters}
        strange = sorted(str(s) for s in (self.formula.free_symbols | self.cost.free_symbols) - known)
        if strange:
            raise DomainError(f"law {self.name!r}: its formula uses {', '.join(strange)}, which it does not declare")

    # ---- values ----

    def __call__(self, params: Mapping[str, float], **data: Any) -> np.ndarray:
        """The law's value.

        Parameters
        ----------
        params : mapping
            A value for every parameter.
        **data : float or array
            A value or values, of one shape, for every variable.

        Raises
        ------
        DomainError
            If a parameter or variable is missing, unknown or outside of its domain.
        """
        point = self.check(params)
        columns = [np.asarray(self._column(v, data), dtype=np.float64) for v in self.variables]
        unknown = sorted(data.keys() - {v.name for v in self.variables})
        if unknown:
            raise DomainError(f"law {self.name!r} has no variable {unknown[0]}; it has {self._names(self.variables)}")
        with np.errstate(over="ignore", under="ignore"):
            out = self._compiled(*[point[p.name] for p in self.parameters], *columns)
        return np.broadcast_to(np.asarray(out, dtype=np.float64), np.broadcast_shapes(*(c.shape for c in columns)))

    def _column(self, variable: Variable, data: Mapping[str, Any]) -> Any:
        if variable.name not in data:
            raise DomainError(f"law {self.name!r} needs {variable.name} ({variable.meaning}, in {variable.unit})")
        values = np.asarray(data[variable.name], dtype=np.float64)
        if not bool((np.isfinite(values) & (values > 0)).all()):
            raise DomainError(f"{variable.name} must be finite and positive; not all given values are")
        return values

    def check(self, params: Mapping[str, float]) -> dict[str, float]:
        """The parameters as floats, all there and in their domains.

        Raises
        ------
        DomainError
        """
        names = [p.name for p in self.parameters]
        if params.keys() - self.values.keys() != set(names):
            raise DomainError(f"law {self.name!r} has parameters {', '.join(names)}, found {', '.join(params)}")
        return {p.name: p.check(params[p.name]) for p in self.parameters}

    @cached_property
    def _compiled(self) -> Any:
        import sympy

        symbols = [p.symbol for p in self.parameters] + [v.symbol for v in self.variables]
        return sympy.lambdify(symbols, self.formula, modules="numpy")

    @staticmethod
    def _names(parts: tuple[Variable, ...] | tuple[Parameter, ...]) -> str:
        return ", ".join(p.name for p in parts)

    # ---- the formula ----

    def latex(self) -> str:
        """``target = formula`` in LaTeX."""
        import sympy

        written = {p.symbol: p.latex for p in self.parameters if p.latex}
        return f"\\mathrm{{{self.target}}} = {sympy.latex(self.formula, symbol_names=written)}"

    def fix(self, **values: Any) -> ScalingLaw:
        """The law with values for some parameters, which a fit then leaves alone; SymPy numbers stay exact.

        Raises
        ------
        DomainError
            If a name is unknown or a value outside of the domain.

        Examples
        --------
        >>> from lipop.scaling.laws import Chinchilla
        >>> [p.name for p in Chinchilla().fix(alpha=0.5, beta=0.5).parameters]
        ['E', 'A', 'B']
        """
        import sympy

        named = {p.name: p for p in self.parameters}
        strange = sorted(values.keys() - named.keys())
        if strange:
            raise DomainError(f"law {self.name!r} has no parameter {strange[0]}; it has {self._names(self.parameters)}")
        for name, value in values.items():
            named[name].check(float(value))
        exact = {n: v if isinstance(v, sympy.Expr) else sympy.Float(float(v), 17) for n, v in values.items()}
        out = copy.copy(self)
        vars(out).update(
            parameters=tuple(p for p in self.parameters if p.name not in values),
            formula=self.formula.xreplace({named[n].symbol: v for n, v in exact.items()}),
            values={**self.values, **exact},
        )
        return out

    def __getstate__(self) -> dict[str, Any]:
        """Without what is compiled."""
        return {k: v for k, v in vars(self).items() if k != "_compiled"}

    # ---- allocation ----

    def allocate(self, params: Mapping[str, float], budget: float) -> Allocation:
        """The variables that make the law's value least among those of a given cost.

        Parameters
        ----------
        params : mapping
        budget : float
            In ``cost_unit``.

        Examples
        --------
        >>> from lipop.scaling.laws import Chinchilla
        >>> law = Chinchilla()
        >>> best = law.allocate({"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}, 5.76e23)
        >>> best.closed, f"{best.values['N']:.2e} {best.values['D']:.2e}"
        (True, '3.22e+10 2.98e+12')
        """
        from lipop.scaling.allocation import allocate

        return allocate(self, self.check(params), budget)


__all__ = ["Parameter", "ScalingLaw", "Variable"]
