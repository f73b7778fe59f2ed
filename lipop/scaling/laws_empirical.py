"""Laws that measurements suggested: Chinchilla, Kaplan, bias and variance, size or data alone."""

from __future__ import annotations

from lipop.scaling.law import Parameter, ScalingLaw, Variable
from lipop.scaling.laws_common import EXPONENTS, ISOLATED, LEVELS, MODEL, SIZES, TOKENS, irreducible


class Chinchilla(ScalingLaw):
    """``E + A N^-alpha + B D^-beta`` at the cost ``6 N D``: Hoffmann et al. 2022, approach 3 (refit: Besiroglu et al.).

    N counts parameters, D tokens; A and B carry the units nats parameters^alpha and nats tokens^beta. The starts are
    the published grid of 4,500 (its exponent 0, on the edge of the domain, is 0.001).

    Examples
    --------
    >>> law = Chinchilla()
    >>> round(float(law({"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}, N=70e9, D=1.4e12)), 3)
    1.937
    """

    def __init__(self) -> None:
        n, d = MODEL.symbol, TOKENS.symbol
        E = irreducible()
        A = Parameter("A", "nats parameters^alpha", "amplitude of the model's size", starts=SIZES)
        B = Parameter("B", "nats tokens^beta", "amplitude of the data", starts=SIZES)
        a = Parameter("alpha", "1", "exponent of the model's size", starts=EXPONENTS, latex="\\alpha")
        b = Parameter("beta", "1", "exponent of the data", starts=EXPONENTS, latex="\\beta")
        super().__init__(
            "chinchilla",
            (MODEL, TOKENS),
            (E, A, B, a, b),
            E.symbol + A.symbol * n**-a.symbol + B.symbol * d**-b.symbol,
            6 * n * d,
            "Hoffmann et al. 2022, arXiv 2203.15556; refit in Besiroglu et al. 2024, arXiv 2404.10102",
        )


class Kaplan(ScalingLaw):
    """``((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D`` at the cost ``6 N D``: Kaplan et al. 2020, equation 1.5.

    N counts parameters without embeddings.

    Examples
    --------
    >>> values = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
    >>> round(float(Kaplan()(values, N=1e9, D=2e10)), 3)
    2.374
    """

    def __init__(self) -> None:
        n, d = MODEL.symbol, TOKENS.symbol
        nc = Parameter("N_c", "parameters", "scale of the model's size", starts=(1e12, 1e13, 1e14, 1e15))
        dc = Parameter("D_c", "tokens", "scale of the data", starts=(1e12, 1e13, 1e14, 1e15))
        an = Parameter("alpha_N", "1", "exponent of the model's size", starts=(0.04, 0.08, 0.16), latex="\\alpha_N")
        ad = Parameter("alpha_D", "1", "exponent of the data", starts=(0.05, 0.1, 0.2), latex="\\alpha_D")
        inner = (nc.symbol / n) ** (an.symbol / ad.symbol) + dc.symbol / d
        super().__init__(
            "kaplan",
            (MODEL, TOKENS),
            (nc, dc, an, ad),
            inner**ad.symbol,
            6 * n * d,
            "Kaplan et al. 2020, arXiv 2001.08361, equation 1.5",
        )


class BiasVariance(ScalingLaw):
    """``H + b M^-p + v N^-q``: entropy, capacity bias B(M) and finite-sample variance V(N), at the cost ``6 M N``.

    Examples
    --------
    >>> float(BiasVariance()({"H": 1.0, "b": 4.0, "p": 0.5, "v": 9.0, "q": 1.0}, M=16, N=9))
    3.0
    """

    def __init__(self) -> None:
        size, data = Variable("M", "parameters", "model size"), Variable("N", "tokens", "training data")
        m, n = size.symbol, data.symbol
        H = Parameter("H", "nats per token", "entropy of the data", starts=LEVELS)
        b = Parameter("b", "nats parameters^p", "size of the bias", starts=SIZES)
        p = Parameter("p", "1", "exponent of the bias", starts=(0.1, 0.5, 1.0))
        v = Parameter("v", "nats tokens^q", "size of the variance", starts=SIZES)
        q = Parameter("q", "1", "exponent of the variance", starts=(0.1, 0.5, 1.0))
        super().__init__(
            "bias-variance",
            (size, data),
            (H, b, p, v, q),
            H.symbol + b.symbol * m**-p.symbol + v.symbol * n**-q.symbol,
            6 * m * n,
            "arXiv 2412.16443: loss = irreducible entropy + capacity bias + finite-sample variance",
        )


def _power_law(name: str, variable: Variable, letters: tuple[str, str], latex: str, citation: str) -> ScalingLaw:
    E = irreducible()
    A = Parameter(letters[0], f"nats {variable.unit}^{letters[1]}", "amplitude", starts=SIZES)
    a = Parameter(letters[1], "1", "exponent", starts=EXPONENTS, latex=latex)
    x = variable.symbol
    return ScalingLaw(
        name, (variable,), (E, A, a), E.symbol + A.symbol * x**-a.symbol, x, citation, cost_unit=variable.unit
    )


class ModelSizeLaw(ScalingLaw):
    """``E + A N^-alpha``: model size alone, with data and training unlimited.

    Examples
    --------
    >>> float(ModelSizeLaw()({"E": 1.5, "A": 8.0, "alpha": 0.5}, N=64))
    2.5
    """

    def __init__(self) -> None:
        vars(self).update(vars(_power_law("model-size", MODEL, ("A", "alpha"), "\\alpha", ISOLATED)))


class DataLaw(ScalingLaw):
    """``E + B D^-beta``: data alone, with size and training unlimited.

    Examples
    --------
    >>> float(DataLaw()({"E": 1.5, "B": 8.0, "beta": 0.5}, D=64))
    2.5
    """

    def __init__(self) -> None:
        vars(self).update(vars(_power_law("data", TOKENS, ("B", "beta"), "\\beta", ISOLATED)))


__all__ = ["BiasVariance", "Chinchilla", "DataLaw", "Kaplan", "ModelSizeLaw"]
