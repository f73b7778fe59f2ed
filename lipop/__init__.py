"""lipop: nonlinear Lipschitz operators whose numbers carry proofs."""

from lipop.certify.portfolio import lip
from lipop.core.algebra import Identity, NormChange, relax, residual
from lipop.core.bound import Bound, Bracket, Claim, Evidence
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.space import Space
from lipop.operators import *  # noqa: F403
from lipop.operators import __all__ as _operators

__version__ = "0.1.0"
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Ball",
    "Bound",
    "Box",
    "Bracket",
    "Claim",
    "Cloud",
    "Everywhere",
    "Evidence",
    "Identity",
    "NormChange",
    "Operator",
    "Region",
    "Shell",
    "Space",
    "TokenBall",
    "lip",
    "relax",
    "residual",
    *_operators,
]
