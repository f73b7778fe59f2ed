"""Theorem 10: pre-norm stacks grow polynomially, and their direction converges where the angles sum.

``T_i x = x + f_i(N x)``, N = RMSNorm with gain g in dimension d >= 2, ``Lip(f_i) <= l_i`` on the range of N, ``c_i =
l_i max|g| sqrt d``. On pairs whose orbits stay outside of the balls of radius r_i the distance grows by at most ``prod
(1 + c_i / r_{i-1})``, and the normalised output has constant at most ``(max|g| sqrt d / r_n)`` times that. With ``c_i
<= c`` and ``r_i ~ rho i`` this is ``n^(c/rho)`` and ``n^(c/rho - 1)``: criticality is c = rho. If the angles
``theta_i`` between ``S_{i-1} x`` and ``S_i x`` sum, the direction converges.
"""

from __future__ import annotations

from typing import Any

from lipop.core.bound import LOWER, UPPER, Bound
from lipop.errors import DomainError
from lipop.limit.architecture import Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.hypothesis import Hypothesis, declared, proved, unknown
from lipop.limit.law_bounds import LawBounds, assumption
from lipop.limit.law_evidence import limit_of, summable
from lipop.limit.laws import Law
from lipop.limit.rates import conclude
from lipop.limit.theorems.given import depth_symbol, from_depth, infinite, symbol_value, tail_rate

STATEMENT = "|S_n x - S_n y| <= prod (1 + c_i / r_(i-1)) |x - y| on pairs that stay outside of the balls of radius r_i"


def theorem_10(
    arch: Architecture,
    norms: Law,
    constants: Law,
    gain: float | None = None,
    angles: Law | None = None,
) -> Conclusion:
    """Apply theorem 10.

    Parameters
    ----------
    arch : Architecture
        Pre-norm blocks.
    norms : Law
        ``r_i <= |S_i x|`` on the pairs in question, for i >= 0 in the form ``r(i)``: its expression at i - 1 is used.
    constants : Law
        ``c_i = l_i max|g| sqrt d``, i >= its start.
    gain : float, optional
        ``max|g| sqrt d``: gives the rate ``readout``.
    angles : Law, optional
        ``theta_i``, the angle between ``S_{i-1} x`` and ``S_i x``: gives the rate ``direction``.

    Returns
    -------
    Conclusion
        Nothing about the existence of ``lim S_n x``, which a pre-norm stack need not have. Rates: ``growth`` and
        ``shrink`` of distances up to block n, ``readout``, ``direction``.

    Raises
    ------
    DomainError
        If a law is not a formula, or gain is not positive.

    Examples
    --------
    >>> import numpy as np, sympy
    >>> from lipop.operators.linear import Linear
    >>> k = sympy.Symbol("k")
    >>> arch = Architecture.by_rule(lambda i: Linear(np.eye(2)))
    >>> c = theorem_10(arch, Law(1 + 2 * k), Law(1), gain=1.5)
    >>> growth_exponent(Law(1 + 2 * k), Law(1)), round(c.rates["growth"](100), 3), round(c.rates["readout"](100), 4)
    (1/2, 17.747, 0.1324)
    """
    if norms.expr is None or constants.expr is None:
        raise DomainError("theorem 10 needs the norms and the constants as formulas of the layer")
    if gain is not None and not gain > 0:
        raise DomainError(f"max|g| sqrt d must be positive, found {gain!r}")
    stated = (assumption(norms, "norm"), assumption(constants, "constant"))
    hypotheses: tuple[Hypothesis, ...] = (
        infinite(arch),
        declared("|S_i x| >= r_i on the pairs", stated[0], "stated"),
        declared("Lip(f_i) max|g| sqrt d <= c_i", stated[1], "stated"),
        proved("d >= 2", f"d = {arch.space.width}")
        if arch.space.width >= 2
        else unknown("d >= 2", f"d = {arch.space.width}"),
    )
    ratio = LawBounds(ratios(norms, constants), "ratio c/r", stated, arch.on, arch.space.norm)
    rates = _distance_rates(ratio, norms, gain)
    if angles is not None:
        hypotheses = (*hypotheses, summable(angles, "declared", "angle"))
        turned = LawBounds(angles, "angle", (assumption(angles, "angle"),), arch.on, arch.space.norm)
        rates["direction"] = tail_rate(r"|u_\infty - u_n|", turned)
    holds = all(h.holds for h in hypotheses)
    return Conclusion("theorem 10", hypotheses, STATEMENT, rates=rates if holds else {})


def ratios(norms: Law, constants: Law) -> Law:
    """``c_i / r_{i-1}`` as a law.

    >>> import sympy
    >>> k = sympy.Symbol("k")
    >>> ratios(Law(2 * k + 2), Law(3)).expr
    3/(2*k)
    """
    index = norms.index or constants.index
    if index is None:
        return Law(constants.expr / norms.expr, None, constants.start)
    before = norms.expr.xreplace({norms.index: index - 1}) if norms.index is not None else norms.expr
    numerator = constants.expr.xreplace({constants.index: index}) if constants.index is not None else constants.expr
    return Law(numerator / before, index, constants.start)


def growth_exponent(norms: Law, constants: Law) -> Any | None:
    """The e for which distances grow at most like ``n^(e + o(1))``: ``lim i c_i / r_{i-1}``; None where SymPy finds no
    finite limit.

    The readout then has exponent e - 1 where r_i grows linearly: it forgets the input if e < 1, that is c < rho.
    """
    law = ratios(norms, constants)
    if law.index is None:
        return None
    found = limit_of(law.expr * law.index, law.index)
    return found if found is not None and found.is_finite else None


def _distance_rates(ratio: LawBounds, norms: Law, gain: float | None) -> dict[str, Rate]:
    first = ratio.law.start

    def growth(n: int, radius: float | None) -> Bound:
        from_depth(ratio.law, n, first - 1)
        return conclude("limit.prenorm.growth@1", "lip", (ratio.partial(n, first),), UPPER, n=n)

    def shrink(n: int, radius: float | None) -> Bound:
        from_depth(ratio.law, n, first - 1)
        return conclude("limit.prenorm.shrink@1", "expansion", (ratio.remain(n, first),), LOWER, n=n)

    def readout(n: int, radius: float | None) -> Bound:
        from_depth(ratio.law, n, first - 1)
        assert gain is not None  # the rate is there only with a gain
        params = {"n": n, "gain": float(gain), "norm": norms.starting(n or 1).below(n or 1)}
        return conclude("limit.prenorm.readout@1", "lip", (ratio.partial(n, first),), UPPER, **params)

    def product(sign: int) -> Any:
        import sympy

        n, k = depth_symbol(), sympy.Symbol("k", integer=True, positive=True)
        term = ratio.law.expr if ratio.law.index is None else ratio.law.expr.xreplace({ratio.law.index: k})
        return sympy.Product(1 + term if sign > 0 else sympy.Max(1 - term, 0), (k, first, n))

    what = r"\frac{|S_n x - S_n y|}{|x - y|}"
    rates = {
        "growth": Rate(what, growth, lambda: product(1)),
        "shrink": Rate(what, shrink, lambda: product(-1), lower=True),
    }
    if gain is not None:
        rates["readout"] = Rate(
            r"\frac{|N S_n x - N S_n y|}{|x - y|}", readout, lambda: gain / symbol_value(norms) * product(1)
        )
    return rates


__all__ = ["growth_exponent", "ratios", "theorem_10"]
