"""Attack a bracket: look for a pair or a direction that beats its upper end, by means that share nothing with its
proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from lipop.certify.portfolio import lip
from lipop.certify.witness import ascend, project, starts
from lipop.core.bound import Bound, Bracket
from lipop.core.norms import direction_bound, pair_bound
from lipop.core.operator import Operator
from lipop.core.region import Cloud, Everywhere, Region, as_ball
from lipop.core.space import norm
from lipop.errors import DomainError
from lipop.testing.strategies import sample

Attack = Callable[[Operator, Region, np.random.Generator], Iterator[Bound]]

FLOAT = 1e-9  # what a ratio in plain float64, whose rounding nobody bounded, must exceed the upper end by


class BracketBroken(AssertionError):
    """A bracket that is false; ``witness`` is the lower bound (with its points) that exceeds the upper end."""

    def __init__(self, message: str, witness: Bound) -> None:
        super().__init__(message)
        self.witness = witness


def random_pairs(op: Operator, on: Region, rng: np.random.Generator) -> Iterator[Bound]:
    """Pairs of points of the region: all pairs of a sample, and neighbours at every scale."""
    points = list(on.points[:24] if isinstance(on, Cloud) else sample(op, on, rng, 12))
    yield from _pairs(op, on, combinations(points, 2))
    near: list[tuple[np.ndarray, np.ndarray]] = []
    for x in () if isinstance(on, Cloud) else points:
        h = rng.standard_normal(x.shape) * 10.0 ** rng.uniform(-5, 0)
        near.append((x, project(x + h, on)))
    yield from _pairs(op, on, near)


def derivative_ascent(op: Operator, on: Region, rng: np.random.Generator) -> Iterator[Bound]:
    """Climb the derivative's norm from several points (:func:`lipop.certify.witness.ascend`)."""
    if isinstance(on, Cloud) or op.domain.norm != "l2" or op.codomain.norm != "l2":
        return
    for x in starts(op, on, rng, 3):
        try:
            y, v, _ = ascend(op, x, on, 12, int(rng.integers(2**31)))
        except DomainError:
            return
        if on.contains(y) and on.reaches(v):
            yield direction_bound(op, y, v, on=on)


def finite_differences(op: Operator, on: Region, rng: np.random.Generator) -> Iterator[Bound]:
    """Pairs (x, x + h v), v climbed by differences of T alone: no derivative of the operator is asked for."""
    if isinstance(on, Cloud):
        return
    ball = as_ball(on)
    for x in starts(op, on, rng, 3):
        size = 1.0 + norm(x) if ball is None else ball.radius
        v = rng.standard_normal(x.shape)
        for k in range(12):
            h = size * 10.0 ** -(k / 3)
            y = project(x + h * v / max(norm(v), 1e-300), on)
            yield from _pairs(op, on, [(x, y)])
            step = (y - x) / max(norm(y - x), 1e-300)
            trial = step + 0.5 * rng.standard_normal(x.shape) / np.sqrt(x.size)
            v = trial if _gain(op, x, project(x + h * trial, on)) > _gain(op, x, y) else step


def _gain(op: Operator, x: np.ndarray, y: np.ndarray) -> float:
    gap = norm(y - x, op.domain.norm)
    return norm(op(y) - op(x), op.codomain.norm) / gap if gap > 0 else 0.0


def _pairs(op: Operator, on: Region, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[Bound]:
    """The pair with the largest ratio (one proof is enough)."""
    inside = [(x, y) for x, y in pairs if on.contains(x) and on.contains(y) and np.any(x != y)]
    if inside:
        yield pair_bound(op, *max(inside, key=lambda p: _gain(op, *p)), on)


ATTACKS: dict[str, Attack] = {
    "pairs": random_pairs,
    "ascent": derivative_ascent,
    "differences": finite_differences,
}


def assert_bracket(
    T: Operator,
    region: Region | None = None,
    *,
    effort: str = "quick",
    attacks: Sequence[str | Attack] = tuple(ATTACKS),
    bracket: Bracket | None = None,
    seed: int = 0,
) -> Bracket:
    """Bracket Lip(T) on the region, check both proofs, attack the bracket, and return it.

    Parameters
    ----------
    T : Operator
    region : Region, optional
        The whole space by default.
    effort : str
        As for :func:`lipop.lip`.
    attacks : sequence of str or callable
        Names in ``ATTACKS`` (random pairs, derivative ascent, finite differences), or ``attack(T, region, rng)`` that
        yields lower bounds.
    bracket : Bracket, optional
        A bracket of your own to attack instead of :func:`lipop.lip`'s.
    seed : int
        Of the attacks.

    Raises
    ------
    AssertionError
        (:class:`BracketBroken`) if an attack exceeds the upper end, or the lower end does. The message names the
        attack and holds the witness; the exception's ``witness`` is its bound. A witness whose rounding is not covered
        must exceed the upper end by one part in 10^9.
    ProofError
        If a proof does not check.
    DomainError
        If an attack is unknown.

    Examples
    --------
    >>> from lipop import Linear, Bracket
    >>> T = Linear(np.diag([1.0, 2.0]))
    >>> assert_bracket(T).upper.status
    'PROVED'
    >>> half = 0.5 * T                                  # its bound is no bound of T
    >>> assert_bracket(T, bracket=Bracket(half.lip(), half.lip()))
    Traceback (most recent call last):
        ...
    lipop.testing.attack.BracketBroken: Affine(2 -> 2) on Everywhere(): ...
    """
    on = Everywhere() if region is None else region
    unknown = [a for a in attacks if not callable(a) and a not in ATTACKS]
    if unknown:
        raise DomainError(f"unknown attack {unknown[0]!r}; expected one of {tuple(ATTACKS)} or a function")
    if bracket is None:
        bracket = lip(T, on, effort=effort, seed=seed)
        bracket.upper.check()
        bracket.lower.check()
        _compare(T, on, "its own lower end", bracket.lower, bracket.upper)
    for k, attack in enumerate(attacks):
        name = getattr(attack, "__name__", str(attack))
        run = attack if callable(attack) else ATTACKS[attack]
        for found in run(T, on, np.random.default_rng((seed, k))):
            _compare(T, on, f"the attack {name!r}", found, bracket.upper)
    return bracket


def _compare(T: Operator, on: Region, what: str, low: Bound, upper: Bound) -> None:
    allowed = upper.value if low.status == "PROVED" else upper.value * (1 + FLOAT)
    if low.value <= allowed:
        return
    arrays = {} if low.witness is None else low.witness.arrays
    points = ", ".join(f"{k} = {np.array_repr(np.asarray(v))}" for k, v in arrays.items())
    raise BracketBroken(
        f"{T!r} on {on!r}: {what} shows Lip >= {low.value!r} ({low.status}), but the upper end is {upper.value!r} "
        f"({upper.status} by {upper.rule}); witness: {points or 'none'}",
        low,
    )
