"""Laws that theory gives: the limit law, two phases in compute, training time alone, signal against noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from lipop.errors import DomainError
from lipop.scaling.law import Parameter, ScalingLaw, Variable
from lipop.scaling.laws_common import FLOPS, ISOLATED, LEVELS, STEPS, irreducible


class LimitLaw(ScalingLaw):
    """``E_inf + a beta^K + b rho^P + c N^(-1/2)``: the error of a limit architecture, split into three parts.

    K counts training steps, P the depth, N samples; beta is the contraction factor of the training map and rho that of
    the architecture. ``critical=True``: rho = 1 with deviations ``i^-s``, s > 1, where the middle part is ``b P^(1-s)``
    (LIMIT_THEORY: criticality costs one power of P, and summability). The cost is ``K P N`` passes of one sample
    through one layer (full-batch training).

    Parameters
    ----------
    critical : bool

    Examples
    --------
    >>> values = {"E_inf": 1.0, "a": 2.0, "beta": 0.5, "b": 4.0, "rho": 0.5, "c": 3.0}
    >>> float(LimitLaw()(values, K=1, P=2, N=9)), [p.name for p in LimitLaw(critical=True).parameters]
    (4.0, ['E_inf', 'a', 'beta', 'b', 's', 'c'])
    """

    def __init__(self, critical: bool = False) -> None:
        samples = Variable("N", "samples", "training data")
        depth = Variable("P", "layers", "depth of the architecture")
        n, p, k = (v.symbol for v in (samples, depth, STEPS))
        E = Parameter("E_inf", "loss", "loss of the limit", starts=LEVELS, latex="E_\\infty")
        a = Parameter("a", "loss", "error before training")
        beta = Parameter("beta", "1", "contraction factor of training", 0, 1, (0.5, 2.0, 8.0), "K", "\\beta")
        b = Parameter("b", "loss", "error of depth 1, extrapolated")
        rho = Parameter("rho", "1", "Lip(T) of the architecture", 0, 1, (0.5, 2.0, 8.0), "P", "\\rho")
        s = Parameter("s", "1", "exponent of the deviations", 1, math.inf, (1.3, 2.0, 3.0))
        c = Parameter("c", "loss samples^(1/2)", "size of the sample term")
        middle = b.symbol * (p ** (1 - s.symbol) if critical else rho.symbol**p)
        import sympy

        super().__init__(
            "limit-critical" if critical else "limit",
            (samples, depth, STEPS),
            (E, a, beta, b, s if critical else rho, c),
            E.symbol + a.symbol * beta.symbol**k + middle + c.symbol / sympy.sqrt(n),
            k * p * n,
            "arXiv 2604.24037; the critical form: theorems 1 and 3 on limits of architectures",
            unit="loss",
            cost_unit="sample-layer passes",
        )


class TwoPhaseLaw(ScalingLaw):
    """Exponential in compute, then a power law, continuous at the crossover ``C_0``: Yang 2025.

    ``E + a exp(-kappa C / C_0)`` up to C_0, then ``E + a exp(-kappa) (C / C_0)^-s``. The theory gives s = 1/7 (the
    first version of the paper 1/6) up to logarithmic factors and a condition-number gap.

    Parameters
    ----------
    exponent : Fraction, float, int or SymPy number, optional
        The exponent of C, as ``Fraction(-1, 7)`` or ``Fraction(-1, 6)``; free if not given.

    Raises
    ------
    DomainError
        If the exponent is not negative.

    Examples
    --------
    >>> law = TwoPhaseLaw(Fraction(-1, 7))
    >>> v = {"E": 1.0, "a": 1.0, "kappa": 1e-9, "C_0": 1e18}
    >>> [round(float(law(v, C=c)), 6) for c in (1e10, 1e18, 128e18)]
    [2.0, 2.0, 1.5]
    """

    def __init__(self, exponent: Any = None) -> None:
        import sympy

        c = FLOPS.symbol
        E = irreducible()
        a = Parameter("a", "nats per token", "excess loss before training")
        kappa = Parameter("kappa", "1", "decay up to the crossover", starts=(0.5, 2.0, 5.0), latex="\\kappa")
        c0 = Parameter("C_0", "FLOP", "crossover", starts=(0.01, 0.1, 1.0, 10.0), near="C")
        s = Parameter("s", "1", "exponent of the second phase", starts=(0.1, 0.3, 0.6))
        u = c / c0.symbol
        early = a.symbol * sympy.exp(-kappa.symbol * u)
        late = a.symbol * sympy.exp(-kappa.symbol) * u**-s.symbol
        super().__init__(
            "two-phase",
            (FLOPS,),
            (E, a, kappa, c0, s),
            E.symbol + sympy.Piecewise((early, c <= c0.symbol), (late, True)),
            c,
            "Yang 2025, arXiv 2512.22088 (exponent 1/7; in its first version 1/6)",
        )
        if exponent is not None:
            vars(self).update(vars(self.fix(s=_power(exponent))))

    def envelope(self, params: Mapping[str, float], C: Any, loss: Any) -> tuple[float, float]:
        """The matched forms of the second phase: the least and the largest ``(loss - E) C^s`` past the crossover, so
        that ``low C^-s <= loss - E <= high C^-s`` at the data there.

        Raises
        ------
        DomainError
            If no data lie past the crossover.

        Examples
        --------
        >>> law = TwoPhaseLaw(Fraction(-1, 7))
        >>> v = {"E": 1.0, "a": 1.0, "kappa": 1.0, "C_0": 1.0}
        >>> low, high = law.envelope(v, [2.0, 4.0], law(v, C=[2.0, 4.0]))
        >>> round(low, 12) == round(high, 12) == round(math.exp(-1), 12)
        True
        """
        point = self.check(params)
        s = float(self.values["s"]) if "s" in self.values else point["s"]
        compute, height = np.asarray(C, dtype=np.float64), np.asarray(loss, dtype=np.float64)
        late = compute >= point["C_0"]
        if not late.any():
            raise DomainError(f"no data past the crossover C_0 = {point['C_0']:.3g} FLOP")
        scaled = (height[late] - point["E"]) * compute[late] ** s
        return float(scaled.min()), float(scaled.max())


def _power(exponent: Any) -> Any:
    """``-exponent`` as an exact SymPy number where it is one."""
    import sympy

    value = sympy.Rational(exponent.numerator, exponent.denominator) if isinstance(exponent, Fraction) else exponent
    if not float(value) < 0:
        raise DomainError(f"the exponent of C is negative, as Fraction(-1, 7); found {exponent!r}")
    return -value if isinstance(value, sympy.Expr) else -sympy.Float(float(value), 17)


class TimeLaw(ScalingLaw):
    """``E + a exp(-K / tau)``: training steps alone; the first phase of :class:`TwoPhaseLaw`, ``a beta^K`` of
    :class:`LimitLaw` with ``beta = exp(-1 / tau)``.

    Examples
    --------
    >>> round(float(TimeLaw()({"E": 1.5, "a": 1.0, "tau": 10.0}, K=10)), 4)
    1.8679
    """

    def __init__(self) -> None:
        import sympy

        E, a = irreducible(), Parameter("a", "nats per token", "excess loss before training")
        tau = Parameter("tau", "steps", "time constant", starts=(0.1, 0.3, 1.0, 3.0), near="K", latex="\\tau")
        formula = E.symbol + a.symbol * sympy.exp(-STEPS.symbol / tau.symbol)
        super().__init__("time", (STEPS,), (E, a, tau), formula, STEPS.symbol, ISOLATED, cost_unit="steps")


class SNRLaw(ScalingLaw):
    """``snr = N f(M) / sigma0^2`` with ``f(M) = M^gamma``; an ability appears where the ratio passes its threshold.

    ``sigma0`` is in units in which ``f(1) = 1``: amplitude of f and noise are one parameter.

    Examples
    --------
    >>> law, v = SNRLaw(), {"sigma0": 10.0, "gamma": 0.5}
    >>> float(law(v, N=1000, M=4)), law.context_needed(v, M=4, threshold=20.0)
    (20.0, 1000.0)
    >>> law.abilities(v, {"copying": 5.0, "arithmetic": 50.0}, N=1000, M=4)
    {'copying': True, 'arithmetic': False}
    """

    def __init__(self) -> None:
        context, size = Variable("N", "tokens", "size of the context"), Variable("M", "parameters", "model size")
        n, m = context.symbol, size.symbol
        sigma = Parameter("sigma0", "tokens^(1/2)", "noise of one token", starts=(0.1, 1.0, 10.0, 100.0, 1e4))
        gamma = Parameter("gamma", "1", "exponent of the signal", starts=(0.1, 0.3, 0.6, 1.0), latex="\\gamma")
        super().__init__(
            "snr",
            (context, size),
            (sigma, gamma),
            n * m**gamma.symbol / sigma.symbol**2,
            n * m,
            "arXiv 2412.16443: SNR ~ N f(M) / sigma0^2",
            target="snr",
            unit="1",
            cost_unit="token-parameters",
        )

    def allocate(self, params: Mapping[str, float], budget: float) -> Any:
        """None: the ratio grows without end, so no allocation makes it least; see :meth:`context_needed`.

        Raises
        ------
        DomainError
        """
        raise DomainError("the SNR law has no least value to allocate for; ask context_needed for a threshold")

    def context_needed(self, params: Mapping[str, float], *, M: float, threshold: float) -> float:
        """The N at which the ratio of a model of size M reaches a threshold, ``threshold sigma0^2 / f(M)``.

        Raises
        ------
        DomainError
            If the threshold is not finite and positive.
        """
        if not (math.isfinite(threshold) and threshold > 0):
            raise DomainError(f"a threshold is finite and positive, found {threshold!r}")
        return threshold / float(self(params, N=1.0, M=M))

    def abilities(
        self, params: Mapping[str, float], thresholds: Mapping[str, float], *, N: float, M: float
    ) -> dict[str, bool]:
        """Which abilities, each given with its threshold, have appeared."""
        reached = float(self(params, N=N, M=M))
        return {name: reached >= needed for name, needed in thresholds.items()}


__all__ = ["LimitLaw", "SNRLaw", "TimeLaw", "TwoPhaseLaw"]
