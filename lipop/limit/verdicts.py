"""The verdict on an architecture: does ``S_n x`` converge for every x in D, and does it from every block on?

Every theorem is tried, and every exact argument. A verdict is never a guess: what nothing decides is UNDECIDED, with
what is missing; what rests on declared laws names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lipop.errors import DomainError, ProofError
from lipop.limit.affine_rules import affine_rule
from lipop.limit.architecture import LAWS, Architecture
from lipop.limit.conclusion import Conclusion, Rate
from lipop.limit.cycles import repeating
from lipop.limit.decision import Decision, witness
from lipop.limit.theorems.residual_rules import residual_conclusions
from lipop.limit.theorems.theorem_1 import theorem_1
from lipop.limit.theorems.theorem_2 import theorem_2
from lipop.limit.theorems.theorem_3 import theorem_3
from lipop.limit.theorems.theorem_4_5 import theorem_4

EXISTS, DOES_NOT_EXIST, UNDECIDED = "EXISTS", "DOES_NOT_EXIST", "UNDECIDED"
THEOREMS: tuple[Callable[[Architecture], Conclusion], ...] = (theorem_1, theorem_2, theorem_3)
ARGUMENTS: tuple[Callable[[Architecture], Decision | None], ...] = (repeating, affine_rule)


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer on one architecture.

    Parameters
    ----------
    arch : Architecture
    answer : str
        ``EXISTS``, ``DOES_NOT_EXIST`` or ``UNDECIDED``: whether ``S_{n,0} x`` converges for every x in D.
    tail_stable : bool or None
        Whether ``S_{n,m} x`` does for every m; None where nothing decides.
    reason : str
        Why, or what is missing.
    assumptions : frozenset of str
        The declared laws on which answer and tail-stability rest; none for a proof.
    proof : Conclusion, Decision or None
        What gave the answer; ``explain()`` shows it.
    conclusions : tuple of Conclusion
        What every theorem said.
    contradiction : optional
        What shows that a declared law is broken.
    """

    arch: Architecture
    answer: str
    tail_stable: bool | None
    reason: str
    assumptions: frozenset[str] = frozenset()
    proof: Conclusion | Decision | None = None
    conclusions: tuple[Conclusion, ...] = ()
    contradiction: Any = None

    @property
    def status(self) -> str:
        """``PROVED``, ``CONDITIONAL(...)`` or ``UNDECIDED``."""
        if self.answer == UNDECIDED:
            return UNDECIDED
        return f"CONDITIONAL({', '.join(sorted(self.assumptions))})" if self.assumptions else "PROVED"

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every bound of ``|S_inf x - S_n x|`` that a theorem gave."""
        return tuple(c.rate for c in self.conclusions if c.rate is not None)

    def rate(self, n: int, radius: float | None = None) -> float:
        """The smallest of the bounds of ``|S_inf x - S_n x|``, rounded up.

        Parameters
        ----------
        n : int
        radius : float, optional
            A bound of ``|x|``, for rates that are not uniform on D.

        Raises
        ------
        DomainError
            If no theorem gave a rate, or all of them need a radius or a larger depth.
        """
        if not self.rates:
            raise DomainError(f"no theorem gives a rate: {self.reason}")
        usable = [r for r in self.rates if r.uniform or radius is not None]
        if not usable:
            raise DomainError("the rates depend on the point: give radius=, a bound of |x|")
        found, refused = [], None
        for r in usable:
            try:
                found.append(r(n, radius))
            except DomainError as e:
                refused = e
        if not found and refused is not None:
            raise refused
        return min(found, default=math.inf)

    @cached_property
    def witness(self) -> Any:
        """Orbits (in float64) that show what is proved where a limit does not exist, at block 0 or at a later one."""
        if self.answer != DOES_NOT_EXIST and self.tail_stable is not False:
            return self.contradiction
        shown = self.proof.witness if isinstance(self.proof, Conclusion) else None
        start = self.proof.start if isinstance(self.proof, Decision) else 0
        return shown if shown is not None else witness(self.arch, start)

    def explain(self, n: int | None = None, radius: float | None = None) -> str:
        """The answer, its proof, and what every theorem needs or gives."""
        lines = [str(self)]
        if isinstance(self.proof, Decision):
            lines.append(self.proof.explain())
        lines += [c.explain(n, radius) for c in self.conclusions]
        return "\n".join(lines)

    def __str__(self) -> str:
        stable = {True: "tail-stable", False: "not tail-stable", None: "tail-stability undecided"}[self.tail_stable]
        return f"{self.answer} [{self.status}], {stable}: {self.reason}"


def verdict(arch: Architecture) -> Verdict:
    """Try all theorems and exact arguments.

    Parameters
    ----------
    arch : Architecture

    Returns
    -------
    Verdict

    Raises
    ------
    ProofError
        If two proofs contradict each other: a fault of this library.

    Examples
    --------
    >>> import numpy as np
    >>> from lipop.operators.linear import Linear
    >>> v = verdict(Architecture.tied(Linear(-np.eye(2))))
    >>> v.answer, v.tail_stable, v.status, v.witness.kind
    ('DOES_NOT_EXIST', False, 'PROVED', 'two subsequences')
    """
    broken = contradiction(arch)
    if broken is not None:
        return Verdict(arch, UNDECIDED, None, f"a declared law is broken: {broken}", contradiction=broken)
    decisions = [d for d in (a(arch) for a in ARGUMENTS) if d is not None] if arch.length is None else []
    conclusions = tuple(t(arch) for t in THEOREMS)
    if not any(_settles(x) for x in (*decisions, *conclusions)):
        conclusions = (*conclusions, theorem_4(arch), *residual_conclusions(arch))
    voices = [*map(_decided, decisions), *(_concluded(c) for c in conclusions if c.holds)]
    return _weigh(arch, [v for v in voices if v.exists is not None or v.tail_stable is not None], conclusions)


def _settles(found: Decision | Conclusion) -> bool:
    """Whether it proves an answer and tail-stability, so that nothing is left to ask."""
    if isinstance(found, Conclusion) and (not found.holds or found.assumptions):
        return False
    return found.exists is False or found.tail_stable is True or None not in (found.exists, found.tail_stable)


def contradiction(arch: Architecture) -> Any:
    """What shows that a declared law is broken by a sampled block (None: nothing found)."""
    for name in LAWS:
        if arch.origin(name) == "declared":
            found = arch.contradiction(name)
            if found is not None:
                return found
    return None


@dataclass(frozen=True, eq=False)
class _Voice:
    exists: bool | None
    tail_stable: bool | None
    reason: str
    assumptions: frozenset[str]
    source: Conclusion | Decision


def _decided(d: Decision) -> _Voice:
    return _Voice(_or(d.exists, d.tail_stable), _and(d.tail_stable, d.exists), str(d), frozenset(), d)


def _concluded(c: Conclusion) -> _Voice:
    exists, stable = _or(c.exists, c.tail_stable), _and(c.tail_stable, c.exists)
    return _Voice(exists, stable, f"{c.theorem}: {c.statement}", c.assumptions, c)


def _or(exists: bool | None, stable: bool | None) -> bool | None:
    return True if stable else exists


def _and(stable: bool | None, exists: bool | None) -> bool | None:
    return False if exists is False else stable


def _weigh(arch: Architecture, voices: list[_Voice], conclusions: tuple[Conclusion, ...]) -> Verdict:
    voices = sorted(voices, key=lambda v: len(v.assumptions))  # proofs first
    for key in ("exists", "tail_stable"):
        yes = next((v for v in voices if getattr(v, key) is True), None)
        no = next((v for v in voices if getattr(v, key) is False), None)
        if yes is not None and no is not None:
            text = f"{yes.reason}; but {no.reason}"
            if not yes.assumptions and not no.assumptions:
                raise ProofError(f"two proofs contradict each other: {text}")
            return Verdict(arch, UNDECIDED, None, f"the declared laws contradict: {text}", conclusions=conclusions)
    whether = next((v for v in voices if v.exists is not None), None)
    stable = next((v for v in voices if v.tail_stable is not None), None)
    used = [v for v in (whether, stable) if v is not None]
    reason = "; ".join(dict.fromkeys(v.reason for v in used))
    assumptions = frozenset().union(*(v.assumptions for v in used))
    answer = UNDECIDED if whether is None else EXISTS if whether.exists else DOES_NOT_EXIST
    if whether is None:
        reason = "; ".join(filter(None, (reason, missing(arch, conclusions))))
    proof = None if not used else used[0].source
    return Verdict(
        arch, answer, None if stable is None else stable.tail_stable, reason, assumptions, proof, conclusions
    )


def missing(arch: Architecture, conclusions: tuple[Conclusion, ...]) -> str:
    """What each theorem still needs, in words."""
    if arch.length is not None:
        return f"there are {arch.length} blocks: whether a continuation converges depends on further blocks"
    needs = [f"{c.theorem} needs {c.missing[0].name} ({c.missing[0].reason})" for c in conclusions if c.missing]
    return "; ".join(needs)


__all__ = ["DOES_NOT_EXIST", "EXISTS", "UNDECIDED", "Verdict", "contradiction", "missing", "verdict"]
