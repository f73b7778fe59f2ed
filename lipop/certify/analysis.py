"""Everything a report says about one transformer block at one input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from lipop.certify.exhaustive import proved_norm
from lipop.core.bound import Bound, Bracket, Claim, Subject
from lipop.core.memo import forget, memo
from lipop.core.norms import derivative_dahlquist, derivative_norm, direction_at, direction_bound
from lipop.core.operator import Operator
from lipop.core.proof import nodes
from lipop.core.region import Ball, Region, Shell
from lipop.core.rule import derive, unknown
from lipop.core.space import norm
from lipop.operators.block import Block

RADII = (1e-6, 1e-5, 1e-4, 1e-3)
LONG = 2**20  # entries of an input beyond which shell and branches do not share arrays with the questions before


@dataclass(frozen=True, eq=False)
class BranchAnalysis:
    """A residual branch F on a ball around its own input (radius 0: at the input).

    ``lip_sum`` brackets Lip(I + F) by linearisation, ``lip_sum_rule`` bounds it by ``sqrt(1 + 2 a + L^2)``.
    """

    name: str
    radius: float
    relative: float
    point: np.ndarray
    operator: Operator
    dahlquist: Bracket
    lip_branch: Bracket
    lip_sum: Bracket
    lip_sum_rule: Bound


@dataclass(frozen=True, eq=False)
class BlockAnalysis:
    """The numbers of one block, each a bound with its proof."""

    block: Operator
    x: np.ndarray
    weights: list[tuple[str, tuple[int, int], Bracket]]
    jacobian: Bracket
    balls: list[tuple[float, float, Bracket]]
    shell: tuple[float, float, Bound]
    residuals: list[BranchAnalysis]
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    def roots(self) -> Iterator[Bound]:
        """Every bound that the analysis states."""
        brackets = [b for _, _, b in self.weights] + [self.jacobian] + [b for _, _, b in self.balls]
        for r in self.residuals:
            brackets += [r.dahlquist, r.lip_branch, r.lip_sum]
            yield r.lip_sum_rule
        for b in brackets:
            yield b.lower
            yield b.upper
        yield self.shell[2]

    def subjects(self) -> dict[str, Subject]:
        """Every operator and matrix that the leaves speak about, by digest."""
        found: dict[str, Subject] = {}
        for root in self.roots():
            for node in nodes(root):
                if node.subject is not None:
                    found[node.claim.operator] = node.subject
        return found


def analyze_block(
    block: Block,
    x: np.ndarray,
    radii: Sequence[float] = RADII,
    *,
    effort: str = "quick",
    seed: int = 0,
    weights: bool = True,
) -> BlockAnalysis:
    """Bracket everything about a block at x.

    Parameters
    ----------
    block : Block
    x : (T, d) float64 array
        The block's input.
    radii : sequence of float
        Relative to ``|x|_F``.
    effort : str
        ``exhaustive`` proves |DT(x)| by deflation instead of one Lanczos trial.

    Returns
    -------
    BlockAnalysis
        ``seconds`` says what each part took.
    """
    clock = _Clock()
    size = norm(x)
    with memo():
        with clock("weights"):
            named = [(name, shape, m.norm()) for name, shape, m in block.weights()] if weights else []
        with clock("forward"):
            J = block.derivative(x)
        with clock("norm"):
            at = proved_norm(block, x, seed=seed) if effort == "exhaustive" else None
            at = derivative_norm(block, x, J=J, rtol=2e-4, seed=seed) if at is None else at
        with clock("linearisation"):
            v = direction_at(block, x, J, seed=seed)
            low = direction_bound(block, x, v)
        with clock("radii"):
            jacobian = Bracket(low, _upper(block, at, Ball(x, 0.0)))
            balls: list[tuple[float, float, Bracket]] = []
            for relative in radii:
                ball = Ball(x, relative * size)
                balls.append((ball.radius, relative, Bracket(_on(low, block, x, v, ball), _upper(block, at, ball))))
        del J
        if x.size > LONG:
            forget()
        with clock("shell"):
            tokens = np.sqrt((x * x).sum(axis=1))
            r, R = float(tokens.min()) * (1 - 1e-12), float(tokens.max()) * (1 + 1e-12)
            shell = (r, R, block.shell(Shell(r, R, len(x))))
        residuals: list[BranchAnalysis] = []
        for name, branch, point in block.branches(x):
            if x.size > LONG:
                forget()
            with clock(f"branch {name}"):
                residuals += _branch(name, branch, point, radii, seed)
    return BlockAnalysis(block, x, named, jacobian, balls, shell, residuals, clock.seconds)


def _upper(op: Operator, at: Bound, ball: Region) -> Bound:
    """|J| plus the deviation on the ball, as a bound of Lip."""
    claim = Claim("lip", "upper", op.digest, ball)
    assert isinstance(ball, Ball)
    deviation = op.linearize(ball).deviation.norm()
    if not deviation.known:
        return unknown(claim, str(deviation.params["reason"]))
    return derive("linearize@1", claim, (at, deviation))


def _on(low: Bound, op: Operator, x: np.ndarray, v: np.ndarray, ball: Ball) -> Bound:
    """The witness at the centre, as a lower bound on a ball around it."""
    return direction_bound(op, x, v, on=ball)


def _branch(name: str, branch: Operator, x: np.ndarray, radii: Sequence[float], seed: int) -> list[BranchAnalysis]:
    from lipop.core.algebra import residual

    J, whole = branch.derivative(x), residual(branch)
    I_J = whole.derivative(x)
    at = derivative_norm(branch, x, J=J, seed=seed)
    one_sided = derivative_dahlquist(branch, x, J=J, seed=seed)
    at_sum = derivative_norm(whole, x, J=I_J, seed=seed)
    v, w = direction_at(branch, x, J, seed=seed), direction_at(whole, x, I_J, seed=seed)
    s = direction_at(branch, x, J, symmetric=True, seed=seed)
    out: list[BranchAnalysis] = []
    size = norm(x)
    for relative in (0.0, *radii):
        ball = Ball(x, relative * size)
        lip, dahlquist = _upper(branch, at, ball), _upper_dahlquist(branch, one_sided, ball)
        claim = Claim("lip", "upper", whole.digest, ball)
        by_rule = (
            derive("residual@1", claim, (dahlquist, lip))
            if lip.known and dahlquist.known
            else unknown(claim, "the branch's bounds are infinite")
        )
        out.append(
            BranchAnalysis(
                name,
                ball.radius,
                relative,
                x,
                branch,
                Bracket(direction_bound(branch, x, s, "dahlquist", on=ball), dahlquist),
                Bracket(direction_bound(branch, x, v, on=ball), lip),
                Bracket(direction_bound(whole, x, w, on=ball), _upper(whole, at_sum, ball)),
                by_rule,
            )
        )
    return out


def _upper_dahlquist(op: Operator, at: Bound, ball: Ball) -> Bound:
    claim = Claim("dahlquist", "upper", op.digest, ball)
    deviation = op.linearize(ball).deviation.norm()
    return (
        derive("linearize@1", claim, (at, deviation))
        if deviation.known
        else unknown(claim, str(deviation.params["reason"]))
    )


class _Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - started


__all__ = ["RADII", "BlockAnalysis", "BranchAnalysis", "analyze_block"]
