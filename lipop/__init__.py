"""lipop: nonlinear Lipschitz operators whose numbers carry proofs.

Names are loaded when they are first asked for, all at once: ``import lipop`` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipop.certify.portfolio import lip
    from lipop.core.algebra import Identity, NormChange, relax, residual
    from lipop.core.bound import Bound, Bracket, Claim, Evidence
    from lipop.core.operator import Operator
    from lipop.core.region import Ball, Box, Cloud, Everywhere, Region, Shell, TokenBall
    from lipop.core.space import Space
    from lipop.models import Model, load
    from lipop.operators import *  # noqa: F403

__version__ = "0.1.0"
_HOMES = {
    "lipop.certify.portfolio": ("lip",),
    "lipop.core.algebra": ("Identity", "NormChange", "relax", "residual"),
    "lipop.core.bound": ("Bound", "Bracket", "Claim", "Evidence"),
    "lipop.core.operator": ("Operator",),
    "lipop.core.region": ("Ball", "Box", "Cloud", "Everywhere", "Region", "Shell", "TokenBall"),
    "lipop.core.space": ("Space",),
}
_MODELS = ("Model", "load")
_OPERATORS = (
    *("Activation", "Affine", "Attention", "Diagonal", "Embedding", "FunctionOperator", "GatedMLP", "LayerNorm"),
    *("Linear", "LinearProduct", "LowRank", "MLP", "RMSNorm", "Rotary", "RotaryTable", "Simplex", "Softmax"),
    *("elu", "gelu", "hardswish", "leaky_relu", "mish", "quick_gelu", "relu", "sigmoid", "silu", "softplus"),
    *("squared_relu", "tanh"),
)
_PARTS = ("certify", "cli", "core", "errors", "models", "operators", "report", "testing")
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *(name for names in _HOMES.values() for name in names),
    *_MODELS,
    *_OPERATORS,
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"lipop.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'lipop' has no attribute {name!r}")
    if name in _MODELS:
        return getattr(import_module("lipop.models"), name)
    operators = import_module("lipop.operators")
    found: dict[str, Any] = {key: getattr(operators, key) for key in _OPERATORS}
    for home, names in _HOMES.items():
        found |= {key: getattr(import_module(home), key) for key in names}
    globals().update(found)
    return found[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
