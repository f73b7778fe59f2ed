r"""Affine, activation, affine: the interval-centre bound for a composition that is written factor by factor.

The composition ``x -> W_2 f(W_1 x + b_1) + b_2`` is the map of an :class:`~lipop.operators.feedforward.MLP`, so every
bound of the one is a bound of the other. Proof of the one used here. On a convex set around the region pre-activation k
runs over an interval, on which the slopes of f lie in ``[c_k - r_k, c_k + r_k]``; for two points x, y of the set the
mean value theorem, coordinate by coordinate, gives ``f(z_x) - f(z_y) = diag(d)(z_x - z_y)`` with ``|d_k - c_k| <=
r_k``. Hence ``|T x - T y| <= |W_2 diag(d) W_1| |x - y|``, and with ``d - c = sqrt(r) t sqrt(r)``, ``|t_k| <= 1``,

    Lip <= |W_2 diag(c) W_1| + |W_2 diag(sqrt r)| |diag(sqrt r) W_1|.

For relu on the whole space this is ``(|W_2 W_1| + |W_2||W_1|) / 2``, never above the product ``|W_2||W_1|``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lipop.core.algebra import Composition
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.operator import Operator
from lipop.core.region import Region
from lipop.core.rule import leaf, leaf_rule
from lipop.errors import ProofError
from lipop.operators.activation import Activation
from lipop.operators.feedforward import MLP
from lipop.operators.linear import Affine


def mlp_of(op: Any) -> MLP | None:
    """The MLP with the same map, for a composition of exactly (Affine, Activation, Affine) in l2; None for others.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators.activation import relu
    >>> up, down = Affine(np.ones((3, 2)), np.ones(3)), Affine(np.ones((1, 3)))
    >>> mlp_of(down @ relu(3) @ up), mlp_of(relu(3) @ up)
    (MLP(2 -> 1), None)
    """
    if not isinstance(op, Composition) or len(op.factors) != 3:
        return None
    outer, middle, inner = op.factors
    if not (isinstance(outer, Affine) and isinstance(middle, Activation) and isinstance(inner, Affine)):
        return None
    if {s.norm for f in op.factors for s in (f.domain, f.codomain)} != {"l2"} or outer.tokens != inner.tokens:
        return None
    if not (middle.domain.meets(inner.codomain) and outer.domain.meets(middle.codomain)):
        return None
    return MLP(inner.A, inner.b, outer.A, outer.b, middle.name, inner.tokens, middle.param)


def _redo(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    mlp = mlp_of(subject)
    if mlp is None:
        raise ProofError(f"{subject!r} is not affine, activation, affine in l2")
    if (claim.norm_in, claim.norm_out) != ("l2", "l2"):
        raise ProofError("the bound holds in l2 on both ends")
    return _value(mlp, claim.region)


def _value(mlp: MLP, on: Region) -> float:
    value = mlp._lip(on)
    return math.inf if value is None or math.isnan(value) else value


LIP_SANDWICH = leaf_rule(
    "lip.sandwich@1",
    reference="|W2 diag(d) W1| <= |W2 diag(c) W1| + |W2 diag(sqrt r)||diag(sqrt r) W1| for slopes |d - c| <= r",
    grid=30,
    quantity="lip",
    side=UPPER,
    procedure=_redo,
)


def sandwich(op: Operator, on: Region, effort: str, seed: int, deadline: float = math.inf) -> Bound | None:
    """The interval-centre bound of affine, activation, affine; None for other operators.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.core.region import Everywhere
    >>> from lipop.operators.activation import relu
    >>> op = Affine(np.array([[1.0, -1.0]])) @ relu(2) @ Affine(np.array([[1.0], [1.0]]))
    >>> round(op.lip().value, 6), round(sandwich(op, Everywhere(), "quick", 0).value, 6)
    (2.0, 1.0)
    """
    mlp = mlp_of(op)
    raw = math.inf if mlp is None else _value(mlp, on)
    return leaf(LIP_SANDWICH, op.claim("lip", on), raw, op) if math.isfinite(raw) else None


__all__ = ["LIP_SANDWICH", "mlp_of", "sandwich"]
