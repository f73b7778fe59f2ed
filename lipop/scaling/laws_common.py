"""Variables and starting values that several laws share."""

from __future__ import annotations

import math

from lipop.scaling.law import Parameter, Variable

MODEL = Variable("N", "parameters", "model size")
TOKENS = Variable("D", "tokens", "training data")
FLOPS = Variable("C", "FLOP", "training compute")
STEPS = Variable("K", "steps", "training steps")

LEVELS = tuple(math.exp(e) for e in (-1.0, -0.5, 0.0, 0.5, 1.0))
SIZES = tuple(math.exp(a) for a in (0.0, 5.0, 10.0, 15.0, 20.0, 25.0))
EXPONENTS = (1e-3, 0.5, 1.0, 1.5, 2.0)
"""The grid of Hoffmann et al. 2022 for irreducible loss, amplitudes and exponents (0, on the edge, is 0.001)."""

ISOLATED = "all else unlimited: as in Hoffmann et al. 2022 and, with rates from theory, in Yang 2025, arXiv 2512.22088"


def irreducible() -> Parameter:
    """The parameter E."""
    return Parameter("E", "nats per token", "irreducible loss", starts=LEVELS)


__all__ = ["EXPONENTS", "FLOPS", "ISOLATED", "LEVELS", "MODEL", "SIZES", "STEPS", "TOKENS", "irreducible"]
