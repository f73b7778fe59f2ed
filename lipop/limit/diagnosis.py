"""Diagnosis of a trained stack: what the limit theorems say that can be tested on finitely many blocks at one input.

A finite stack has no limit to exist or not; every sequence of blocks continues it. What can be said is how the layers
behave that there are, and which hypotheses of theorems they contradict at this input. :doc:`/diagnosis` has the
definitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipop.certify.portfolio import lip
from lipop.core.algebra import Identity
from lipop.core.bound import Bracket
from lipop.core.operator import Operator
from lipop.errors import DomainError
from lipop.limit.diagnosis_fit import Layer, running_constants, stack_summary, trend
from lipop.limit.diagnosis_measures import Measures, finite, own_measures, related_measures, smallest_token

ANSWER = "UNDECIDED"


@dataclass(frozen=True, eq=False)
class LayerDiagnosis:
    """One layer of a stack at its input.

    Attributes
    ----------
    layer : Layer
        Measures and constants as plain numbers.
    lip : Bracket
        Of ``|DT(x)|``, with proofs.
    branches : dict of Bracket
        Of ``|DF(x)|`` by branch; that of T - I, named ``T - I``, for an operator without branches.
    constants : dict
        ``delta``, ``c`` and ``readout``.
    stretch : (float, float)
        The least and the largest ``|DS_i(x0) v| / |v|`` over the random directions v: lower and upper ends of what the
        stack up to here does to small differences of inputs.
    """

    layer: Layer
    lip: Bracket
    branches: Mapping[str, Bracket]
    constants: Mapping[str, float | None]
    stretch: tuple[float, float]

    def row(self) -> dict[str, float | int | None]:
        """Everything as one row of plain numbers."""
        low, high = self.stretch
        own = {"layer": self.layer.index, "lower": self.layer.lower, "upper": finite(self.layer.upper)}
        return {**own, **self.layer.measures, **self.constants, "stretch_low": low, "stretch_high": high}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`diagnose` found.

    Attributes
    ----------
    layers : list of LayerDiagnosis
    summary : dict
        See :func:`lipop.limit.diagnosis_fit.stack_summary`.
    answer : str
        Always ``UNDECIDED``: convergence is a statement about infinitely many blocks.
    evidence : list of str
        What the theorems say about these layers, in sentences.
    """

    layers: list[LayerDiagnosis]
    summary: Mapping[str, Any]
    evidence: list[str]
    answer: str = ANSWER

    @property
    def onset(self) -> int | None:
        """The layer K0 from which on the stack condenses."""
        return self.summary["onset"]

    def rows(self) -> list[dict[str, float | int | None]]:
        """One row of plain numbers a layer."""
        return [layer.row() for layer in self.layers]


def diagnose(
    operators: Sequence[Operator], tokens: np.ndarray, *, effort: str = "quick", probes: int = 4, seed: int = 0
) -> Diagnosis:
    """Diagnose a finite stack at one input.

    Parameters
    ----------
    operators : sequence of Operator
        The blocks, first one first; each is taken from the sequence when it is needed, so that a model's lazy blocks
        are built one or two at a time.
    tokens : (tokens, d) or (d,) array
        The input of the first block.
    effort : str
        As in :func:`lipop.lip`.
    probes : int
        How many random directions are carried through the derivatives.
    seed : int

    Returns
    -------
    Diagnosis

    Raises
    ------
    DomainError
        If there is no operator or a block's output has not the shape of its input.

    Examples
    --------
    >>> import lipop as lo
    >>> stack = [lo.Linear(np.diag([0.9, 0.5]), tokens=True) for _ in range(6)]
    >>> found = diagnose(stack, np.array([[1.0, 1.0], [1.0, -1.0]]))
    >>> found.answer, found.onset, found.summary["nonexpansive_from"]
    ('UNDECIDED', 0, 0)
    >>> found.summary["decay"]["step"]["evidence"]
    'summable'
    """
    if not len(operators):
        raise DomainError("a diagnosis needs at least one operator, found none")
    if probes < 1:
        raise DomainError(f"probes must be at least 1, found {probes}")
    points = [np.asarray(tokens, dtype=np.float64)]
    for i in range(len(operators)):
        y = operators[i](points[-1])
        if y.shape != points[-1].shape:
            raise DomainError(
                f"block {i} maps {points[-1].shape} to {y.shape}; all blocks of a stack keep its input's shape"
            )
        points.append(y)
    directions = np.random.default_rng(seed).standard_normal((probes, points[0].size)).reshape(probes, *points[0].shape)
    directions /= np.sqrt((directions**2).sum(axis=tuple(range(1, directions.ndim)), keepdims=True))
    layers: list[Layer] = []
    parts: list[tuple[Bracket, dict[str, Bracket], tuple[float, float]]] = []
    before: Operator | None = None
    for i in range(len(operators)):
        op, x = operators[i], points[i]
        last = points[i - 1] if i else None
        measures = {**own_measures(op, x), **related_measures(op, x, points[-1], before=before, last=last)}
        whole = lip(op, at=x, effort=effort, seed=seed)
        branches = _branches(op, x, effort, seed)
        J = op.derivative(x)
        directions = np.stack([J.matvec(v) for v in directions])
        sizes = np.sqrt((directions**2).sum(axis=tuple(range(1, directions.ndim))))
        deltas = tuple(b.upper.value for b in branches.values())
        radius = smallest_token(x) or 0.0
        layers.append(Layer(i, measures, whole.lower.value, whole.upper.value, deltas, radius))
        parts.append((whole, branches, (float(sizes.min()), float(sizes.max()))))
        before = op
    constants = running_constants(layers)
    summary = stack_summary(layers)
    return Diagnosis(
        [LayerDiagnosis(a, b[0], b[1], c, b[2]) for a, b, c in zip(layers, parts, constants, strict=True)],
        summary,
        [*first_sentences(len(operators), [layer.measures for layer in layers]), *sentences(layers, summary)],
    )


def first_sentences(total: int, found: Sequence[Measures]) -> list[str]:
    """What can be said of some blocks of a model of ``total`` blocks, and the trends of their first measures."""
    said = [
        f"the model has {total} blocks; whether an infinite continuation converges depends on a rule for the further "
        "blocks, and none is given, so no theorem applies",
        f"{len(found)} of {total} blocks were measured at one input each; increments and derivative norms at these "
        "points bound nothing elsewhere",
    ]
    return said + _trends(FIRST, found)


def sentences(layers: Sequence[Layer], summary: Mapping[str, Any]) -> list[str]:
    """What the theorems say about the layers, in words."""
    out = _trends(MOTION, [layer.measures for layer in layers])
    for key, what in FITTED.items():
        law = summary["decay"][key]
        if law is not None:
            out.append(f"{what}: a power law of the {law['points']} layers supports '{law['evidence']}'")
    return out + _theorems(layers, summary) if layers else out


def _trends(named: Mapping[str, str], found: Sequence[Measures]) -> list[str]:
    pairs = ((what, trend([m.get(key) for m in found])) for key, what in named.items())
    return [f"{what} {how} from block to block" for what, how in pairs if how is not None]


FIRST = {
    "increment": "the relative increments |T x - x| / |x|",
    "successive": "the deviations |T_i x - T_(i-1) x| / |x| of neighbouring blocks",
    "idempotency": "the idempotency defects |T T x - T x| / |T x|",
}
MOTION = {"fixed": "the motions |T z - z| / |z| of the final state z (theorem 7: to 0, if the limits exist)"}
FITTED = {
    "step": "the steps |T x - x| (theorem 9: whether they sum decides)",
    "angle": "the angles between x and T x (theorem 10: the direction converges if they sum)",
    "projection": "the deviations |T x - P x| / |x| from the final projection P (theorem 1)",
    "successive": "the deviations of neighbouring blocks (theorem 1 needs an exponent above 2 of them)",
}


def _theorems(layers: Sequence[Layer], summary: Mapping[str, Any]) -> list[str]:
    onset, smooth = summary["onset"], summary["nonexpansive_from"]
    out = [
        "no condensing onset: effective rank, distance to the final range or covering number rises near the end"
        if onset is None
        else f"condensing onset K0 = {onset}: from there on effective rank, distance to the final range and covering "
        "number do not rise"
    ]
    expanding = sum(layer.lower > 1 for layer in layers)
    out.append(
        f"{expanding} of {len(layers)} blocks expand a direction at their inputs"
        + ("" if smooth is None else f"; from block {smooth} on all are proved non-expansive there")
    )
    deltas = [d for layer in layers for d in layer.deltas]
    if deltas:
        large = sum(d >= 1 for d in deltas)
        kind = "are" if summary["residual"] else "are not"
        out.append(
            f"the blocks {kind} compositions of residual maps; {large} of {len(deltas)} branches may have a constant "
            "of at least 1 at their inputs"
            + (", so that theorem 8 keeps no two inputs apart" if large else ", so that theorem 8 keeps inputs apart")
        )
    exponent = summary["growth_exponent"]
    if exponent is not None and summary["residual"]:
        side = (
            "at most 1: the bound of the readout stays" if exponent <= 1 else "above 1: the bound of the readout grows"
        )
        out.append(f"the growth exponent c / rho of theorem 10 is {side}")
    return out


def _branches(op: Operator, x: np.ndarray, effort: str, seed: int) -> dict[str, Bracket]:
    named = getattr(op, "branches", None)
    if callable(named):
        found: Any = named(x)
        return {name: lip(branch, at=point, effort=effort, seed=seed) for name, branch, point in found}
    displacement = op + (-1.0) * Identity(op.domain)
    return {"T - I": lip(displacement, at=x, effort=effort, seed=seed)}


__all__ = ["ANSWER", "Diagnosis", "LayerDiagnosis", "diagnose", "first_sentences", "sentences"]
