"""The rules by which averagedness passes through combinations: each formula stands once.

Sources: Ogura and Yamada 2002; Combettes and Yamada 2015, "Compositions and convex combinations of averaged
nonexpansive operators"; Bauschke and Combettes 2017, section 4.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lipop.core.algebra import Identity
from lipop.core.bound import UPPER, Bound, Claim
from lipop.core.operator import Operator
from lipop.core.rule import Accepts, leaf_rule, norms_of, parts_digest, rule
from lipop.limit.exact import homogeneous, rational

QUANTITY = "averagedness"
_STEPS = 40
"""Significant bits of a constant that is decided in exact arithmetic."""

# ---- leaves --------------------------------------------------------------------------------------------------------


def own_averagedness(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    """What the class of an operator says about its averagedness (infinite: nothing)."""
    value = 0.0 if isinstance(subject, Identity) else getattr(subject, "averagedness", None)
    return float(value) if isinstance(value, int | float) else math.inf


def _exact_constant(subject: Any, claim: Claim, params: Mapping[str, Any]) -> float:
    return exact_averagedness(subject) if isinstance(subject, Operator) else math.inf


OWN = leaf_rule(
    "averaged.own@1",
    reference="the operator's own theorem (projections and proximal maps: 1/2; the identity: 0); see its docstring",
    grid=53,
    quantity=QUANTITY,
    side=UPPER,
    procedure=own_averagedness,
)
EXACT = leaf_rule(
    "averaged.exact@1",
    reference="an affine map with stored matrix A: a^2 I - N^T N >= 0, N = A - (1 - a) I, in rational arithmetic (l2)",
    grid=53,
    quantity=QUANTITY,
    side=UPPER,
    procedure=_exact_constant,
)


def exact_averagedness(op: Operator) -> float:
    """A constant at which the stored matrix of an affine map is averaged, in rational arithmetic; infinite if none is.

    Notes
    -----
    ``(1 - a)/a`` must not exceed ``(|x|^2 - |Ax|^2) / |x - Ax|^2``: that is a generalised eigenvalue problem, whose
    float64 solution is rounded up, in coarser and coarser steps, to a number at which exact elimination agrees.

    Examples
    --------
    >>> from lipop.operators.linear import Linear
    >>> exact_averagedness(Linear(np.diag([1.0, 0.25])))
    0.375
    """
    m = homogeneous(op)
    if m is None or not op.domain.norm == op.codomain.norm == "l2":
        return math.inf
    n = m.nrows() - 1
    a = [[m[i, j] for j in range(n)] for i in range(n)]
    for bits in (_STEPS, 30, 20, 12, 6):
        guess = math.ceil(_guess(a) * 2.0**bits - 2.0 ** (bits - 50)) / 2.0**bits
        for trial in (guess, guess + 2.0**-bits):
            if trial <= 1 and _is_averaged(a, rational(max(trial, 0.0))):
                return max(trial, 0.0)
    return math.inf


def _guess(a: list[list[Any]]) -> float:
    """The least constant in float64."""
    m = np.array([[int(v.p) / int(v.q) for v in row] for row in a])
    gap = np.eye(len(m)) - m
    left, right = gap.T @ gap, np.eye(len(m)) - m.T @ m
    moved, basis = np.linalg.eigh(left)
    keep = moved > 1e-13 * max(1.0, float(moved[-1]))
    if not keep.any():
        return 0.0
    root = basis[:, keep] / np.sqrt(moved[keep])
    ratio = float(np.linalg.eigvalsh(root.T @ right @ root)[0])  # the least (|x|^2 - |Ax|^2) / |x - Ax|^2
    return 1 / (1 + ratio) if ratio > 0 else 1.0


def _is_averaged(a: list[list[Any]], alpha: Any) -> bool:
    from lipop_kernels.ref._exact import positive_semidefinite

    n = len(a)
    shifted = [[a[i][j] - (1 - alpha) * (i == j) for j in range(n)] for i in range(n)]
    columns = list(zip(*shifted, strict=True))
    gram = [[sum((p * q for p, q in zip(u, v, strict=True)), start=0 * alpha) for v in columns] for u in columns]
    return positive_semidefinite([[alpha * alpha * (i == j) - gram[i][j] for j in range(n)] for i in range(n)])


# ---- rules ---------------------------------------------------------------------------------------------------------


def _parts(kind: str, digest: Any, *, hilbert: bool) -> Accepts:
    """Premises on the averagedness of the parts, from which the claim's operator is made."""

    def accepts(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
        if (claim.quantity, claim.side) != (QUANTITY, UPPER):
            return "it bounds the averagedness from above"
        if hilbert and norms_of(claim) != ("l2", "l2"):
            return "it holds in Hilbert spaces"
        for p in (b.claim for b in premises):
            if (p.quantity, p.side) != (QUANTITY, UPPER) or norms_of(p) != norms_of(claim):
                return "every premise bounds an averagedness in the claim's norms"
            if p.region.kind != "everywhere":
                return "every premise holds on the whole space"
        if claim.operator != digest([p.claim.operator for p in premises], params):
            return f"the claim's operator is not the {kind} of the premises'"
        return None

    return accepts


_COMPOSED = "T_1 ... T_m is a-averaged with a/(1 - a) = sum a_i/(1 - a_i) (Combettes and Yamada 2015, prop. 2.5)"


@rule(
    "averaged.compose@1",
    reference=_COMPOSED + "; for two factors (a + b - 2ab)/(1 - ab)",
    accepts=_parts("composition", lambda parts, q: parts_digest("compose", parts), hilbert=True),
)
def composed(*parts: Any) -> Any:
    """``s/(1 + s)``, s the sum of ``a/(1 - a)``."""
    total = sum((a / (1 - a) for a in parts[1:]), start=parts[0] / (1 - parts[0]))
    return total / (1 + total)


@rule(
    "averaged.compose.normed@1",
    reference="any norm: (1 - a)(1 - b) times the identity and a convex rest, so a = 1 - product of (1 - a_i)",
    accepts=_parts("composition", lambda parts, q: parts_digest("compose", parts), hilbert=False),
)
def composed_normed(*parts: Any) -> Any:
    """``1 - prod (1 - a)``."""
    rest = 1 - parts[0]
    for a in parts[1:]:
        rest = rest * (1 - a)
    return 1 - rest


@rule(
    "averaged.power@1",
    reference=_COMPOSED + ", with equal factors",
    accepts=_parts("power", lambda parts, q: parts_digest("power", [str(q["n"]), *parts]), hilbert=True),
)
def powered(a: Any, n: int) -> Any:
    """``n a/(1 + (n - 1) a)``."""
    return n * a / (1 + (n - 1) * a)


@rule(
    "averaged.relax@1",
    reference="(1 - c) I + c T is (c a)-averaged for 0 <= c < 1/a, in any norm",
    accepts=_parts("relaxation", lambda parts, q: parts_digest("relax", [q["alpha"].hex(), *parts]), hilbert=False),
)
def relaxed(a: Any, alpha: Any) -> Any:
    """``c a``."""
    return alpha * a


def _weighted(parts: list[str], params: Mapping[str, Any]) -> str:
    scaled = [
        parts_digest("scale", [w.hex(), p]) if w != 1.0 else p for w, p in zip(params["weights"], parts, strict=True)
    ]
    return parts_digest("sum", scaled) if params["terms"] > 1 else scaled[0]


@rule(
    "averaged.combine@1",
    reference=(
        "sum w_i T_i with w_i >= 0, sum w_i <= 1 is averaged with sum w_i a_i + (1 - sum w_i)/2, in any norm "
        "(Combettes and Yamada 2015, prop. 2.2); the rest of the weight is the zero map's, which is (1/2)-averaged"
    ),
    accepts=_parts("combination", _weighted, hilbert=False),
)
def combined(*parts: Any, weights: list[Any], terms: int) -> Any:
    """``sum w a + (1 - sum w)/2``."""
    total = sum((w * a for w, a in zip(weights, parts, strict=True)), start=0 * parts[0])
    return total + (1 - sum((w + 0 * parts[0] for w in weights), start=0 * parts[0])) / 2


@rule(
    "averaged.restrict@1",
    reference="what holds on the whole space holds on a part",
    accepts=_parts("restriction", lambda parts, q: parts_digest("restrict", [q["region"], *parts]), hilbert=False),
)
def restricted(a: Any, region: str) -> Any:
    """The same constant."""
    return 1 * a


def _from_lip(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    same = [(p.claim.quantity, p.claim.side, p.claim.operator) for p in premises]
    if same != [("lip", UPPER, claim.operator)] or (claim.quantity, claim.side) != (QUANTITY, UPPER):
        return "the premise is a Lipschitz constant of the claim's operator"
    if premises[0].claim.region.kind != "everywhere" or norms_of(premises[0].claim) != norms_of(claim):
        return "the premise holds on the whole space, in the claim's norms"
    return None if premises[0].value <= 1 else "the Lipschitz constant must be at most 1"


@rule(
    "averaged.contraction@1",
    reference="Lip T = q <= 1: T is ((1 + q)/2)-averaged, in any norm (Bauschke and Combettes 2017, prop. 4.38)",
    accepts=_from_lip,
)
def contracted(lip: Any) -> Any:
    """``(1 + q)/2``."""
    return (1 + lip) / 2


def _from_dahlquist(claim: Claim, premises: tuple[Bound, ...], params: Mapping[str, Any]) -> str | None:
    if [(p.claim.quantity, p.claim.side) for p in premises] != [("dahlquist", UPPER), ("lip", UPPER)]:
        return "premises are the Dahlquist and the Lipschitz constant of the branch"
    branch = premises[0].claim.operator
    if premises[1].claim.operator != branch or claim.operator != parts_digest("residual", [branch]):
        return "the claim's operator is not the residual map of the branch"
    if (claim.quantity, claim.side, norms_of(claim)) != (QUANTITY, UPPER, ("l2", "l2")):
        return "it bounds the averagedness in l2 from above"
    if any(p.claim.region.kind != "everywhere" for p in premises):
        return "premises hold on the whole space"
    return None if premises[0].value < 0 else "the Dahlquist constant must be negative"


@rule(
    "averaged.residual@1",
    reference=(
        "x + F(x) with <Fx - Fy, x - y> <= -m |x - y|^2 and Lip F <= L: -F is (m/L^2)-cocoercive, so the map is "
        "(L^2/2m)-averaged where that is below 1 (Bauschke and Combettes 2017, prop. 4.39)"
    ),
    accepts=_from_dahlquist,
)
def damped(dahlquist: Any, lip: Any) -> Any:
    """``L^2/(2 m)``, m the negative of the Dahlquist constant."""
    return lip**2 / (-2 * dahlquist)


__all__ = ["EXACT", "OWN", "QUANTITY", "exact_averagedness", "own_averagedness"]
