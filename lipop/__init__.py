"""lipop: nonlinear Lipschitz operators whose numbers carry proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lipop.certify.portfolio import lip
from lipop.core.algebra import Identity, NormChange, relax, residual
from lipop.core.bound import Bound, Bracket, Claim, Evidence
from lipop.core.operator import Operator
from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
from lipop.core.space import Space
from lipop.operators import *  # noqa: F403
from lipop.operators import __all__ as _operators

if TYPE_CHECKING:
    from lipop.models import Model, load

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
    "Model",
    "NormChange",
    "Operator",
    "Region",
    "Shell",
    "Space",
    "TokenBall",
    "lip",
    "load",
    "relax",
    "residual",
    *_operators,
]


def __getattr__(name: str) -> Any:
    """Load the checkpoint reader when it is first asked for."""
    if name in ("Model", "load"):
        import lipop.models as models

        return getattr(models, name)
    raise AttributeError(f"module 'lipop' has no attribute {name!r}")
