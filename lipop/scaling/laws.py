"""The scaling laws by name: formula, parameters with units and domains, source, cost.

Each law is a :class:`~lipop.scaling.law.ScalingLaw`; ``LAWS`` holds those that the command line knows.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from lipop.errors import DomainError
from lipop.scaling.law import ScalingLaw
from lipop.scaling.laws_empirical import BiasVariance, Chinchilla, DataLaw, Kaplan, ModelSizeLaw
from lipop.scaling.laws_theory import LimitLaw, SNRLaw, TimeLaw, TwoPhaseLaw

LAWS: dict[str, Callable[[], ScalingLaw]] = {
    "chinchilla": Chinchilla,
    "kaplan": Kaplan,
    "limit": LimitLaw,
    "limit-critical": lambda: LimitLaw(critical=True),
    "two-phase": TwoPhaseLaw,
    "two-phase-1/7": lambda: TwoPhaseLaw(Fraction(-1, 7)),
    "two-phase-1/6": lambda: TwoPhaseLaw(Fraction(-1, 6)),
    "model-size": ModelSizeLaw,
    "data": DataLaw,
    "time": TimeLaw,
    "bias-variance": BiasVariance,
    "snr": SNRLaw,
}


def by_name(name: str) -> ScalingLaw:
    """The law of that name.

    Raises
    ------
    DomainError
        Listing the names, if there is none.

    Examples
    --------
    >>> by_name("kaplan").citation
    'Kaplan et al. 2020, arXiv 2001.08361, equation 1.5'
    """
    if name not in LAWS:
        raise DomainError(f"there is no law {name!r}; the laws are {', '.join(LAWS)}")
    return LAWS[name]()


__all__ = [
    "LAWS",
    "BiasVariance",
    "Chinchilla",
    "DataLaw",
    "Kaplan",
    "LimitLaw",
    "ModelSizeLaw",
    "SNRLaw",
    "TimeLaw",
    "TwoPhaseLaw",
    "by_name",
]
