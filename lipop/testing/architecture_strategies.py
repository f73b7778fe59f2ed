"""Hypothesis strategies of architectures: ``architectures(n)`` satisfies the hypotheses of theorem n by construction,
``violations(n, which)`` all but one of them.

An example is named by a few words and small integers, prints as a sentence, and shrinks to few coordinates, a plain
projection, the law ``2**-k`` and no expansive blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lipop.core.algebra import relax
from lipop.core.operator import Operator
from lipop.errors import DomainError
from lipop.testing.laws import DIVERGENT, LAWS, SUMMABLE
from lipop.testing.maps import CONVERGENT, NORMS, PROJECTIONS, isometry, linear, short
from lipop.testing.pushes import PUSHES
from lipop.testing.specimen import Specimen, near
from lipop.testing.strategies import _hypothesis  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

LARGEST = 64
SCALES = (1.0, 0.25, 4.0)


def theorem_1(
    kind: str, norm: str, n: int, law: str, scale: float, push: str, heads: int, seed: int, growth: bool = False
) -> Specimen:
    """Blocks pushed off a projection by a summable law; ``facts["L"]`` bounds its Lipschitz constant."""
    T, form = _make(PROJECTIONS, kind, norm, n, seed), "*(1+|x|)" if growth else ""
    text = f"theorem 1: {kind}, {norm}, n={n}; eps={scale:g}*{law}{form}, {push}; {heads} heads; seed {seed}"
    facts = {"L": T.lip().value, "kind": kind}
    rest = {"law": law, "scale": scale, "push": push, "heads": heads, "seed": seed, "growth": growth}
    return near(text, lambda i: T, limit=T, **rest, **facts)


def theorem_2(kind: str, norm: str, n: int, law: str, scale: float, push: str, heads: int, seed: int) -> Specimen:
    """Blocks pushed off a non-expansive map whose powers converge."""
    T = _make(CONVERGENT, kind, norm, n, seed)
    text = f"theorem 2: {kind}, {norm}, n={n}; eps={scale:g}*{law}, {push}; {heads} heads; seed {seed}"
    return near(text, lambda i: T, law=law, scale=scale, push=push, heads=heads, seed=seed, limit=T, C=1.0)


def theorem_3(kind: str, norm: str, n: int, law: str, scale: float, push: str, heads: int, seed: int) -> Specimen:
    """Blocks pushed off a contraction by a law that goes to zero, summable or not; ``facts``: ``q``, ``fixed``."""
    rng = np.random.default_rng(seed)
    q = float(rng.choice([0.5, 0.25, 0.875]))
    if kind == "linear":
        p = short(rng, n)
        a = q * np.asarray(isometry(rng, n, norm)(np.eye(n))).T
        T, fixed = linear(a, norm, p - a @ p), p
    else:  # a projection onto a set that holds zero, times q
        T = q * _make(PROJECTIONS, "coordinates", norm, n, seed)
        fixed = np.zeros(n)
    text = f"theorem 3: {kind}, q={q}, {norm}, n={n}; eps={scale:g}*{law}, {push}; {heads} heads; seed {seed}"
    return near(text, lambda i: T, law=law, scale=scale, push=push, heads=heads, seed=seed, limit=T, q=q, fixed=fixed)


def theorem_6(kind: str, norm: str, n: int, law: str, scale: float, push: str, heads: int, seed: int) -> Specimen:
    """Blocks pushed off a tail-stable family with bounded products; ``facts["C"]`` bounds them after the heads.

    ``swelling``: ``(1 + 2^-i) I``; ``shrinking``: ``(1 - 2^-i) I``; ``relaxed``: ``(1 - h_i) I + h_i N`` with N a
    signed permutation; ``cycle``: three projections in turn, which converge to nothing; ``tied``: a shear.
    """
    rng = np.random.default_rng(seed)
    C = 1.0
    if kind in ("swelling", "shrinking"):
        sign = 1.0 if kind == "swelling" else -1.0
        C = float(np.prod(1 + 0.5 ** np.arange(heads + 1.0, 60))) if sign > 0 else 1.0
        made: Callable[[int], Operator] = lambda i: linear((1 + sign * 0.5**i) * np.eye(n), norm)  # noqa: E731
    elif kind == "relaxed":
        N = isometry(rng, n, norm)
        made = lambda i: relax(N, 0.5 / (1 + i % 3))  # noqa: E731
    elif kind == "cycle":
        turn = [_make(PROJECTIONS, "coordinates" if norm != "l2" else "subspace", norm, n, seed + j) for j in range(3)]
        made = lambda i: turn[i % 3]  # noqa: E731
    else:
        T = _make(PROJECTIONS, "shear", norm, n, seed)
        C = max(1.0, T.lip().value)
        made = lambda i: T  # noqa: E731
    text = f"theorem 6: {kind}, {norm}, n={n}; eps={scale:g}*{law}, {push}; {heads} heads; seed {seed}"
    return near(text, made, law=law, scale=scale, push=push, heads=heads, seed=seed, C=C, kind=kind)


def _make(table: dict[str, Any], kind: str, norm: str, n: int, seed: int) -> Operator:
    return table[kind][1](np.random.default_rng(seed), n, norm)


Builder = Callable[..., Specimen]
NEAR: dict[int, tuple[Builder, tuple[tuple[str, tuple[str, ...]], ...], tuple[str, ...]]] = {
    1: (theorem_1, tuple((k, v[0]) for k, v in PROJECTIONS.items()), SUMMABLE),
    2: (theorem_2, tuple((k, v[0]) for k, v in CONVERGENT.items()), SUMMABLE),
    3: (theorem_3, (("linear", NORMS), ("scaled projection", NORMS)), tuple(LAWS)),
    6: (theorem_6, tuple((k, NORMS) for k in ("shrinking", "swelling", "relaxed", "cycle", "tied")), SUMMABLE),
}
"""Theorems about blocks near others: the maker, its kinds with their norms, and the laws."""


def architectures(
    theorem: int,
    *,
    dimensions: tuple[int, int] = (1, LARGEST),
    growth: bool = False,
    flow: bool = False,
    laws: Sequence[str] | None = None,
    pushes: Sequence[str] = PUSHES,
) -> SearchStrategy[Specimen]:
    """Architectures that satisfy the hypotheses of a theorem of the theory.

    Parameters
    ----------
    theorem : int
        1 to 10. Of theorem 7 the hypotheses are conclusions of theorems 1, 2 and 6: it gets their architectures.
    dimensions : (int, int)
        The least and the largest number of coordinates.
    growth : bool
        Deviations by ``law (1 + |x|)``; of theorem 1 only.
    flow : bool
        Part (b) of theorem 9, of that only.
    laws : sequence of str, optional
        Names in :data:`lipop.testing.laws.LAWS` instead of those that the theorem allows; for theorems about blocks
        near others.
    pushes : sequence of str
        How these blocks are pushed: names in :data:`lipop.testing.pushes.PUSHES`. ``constant`` and ``alternating`` do
        not change Lipschitz constants, ``jump`` is not continuous.

    Raises
    ------
    DomainError
        If there is no such theorem, or no such dimension.
    ImportError
        If hypothesis is not installed.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(architectures(1), lambda s: True)
    <theorem 1: coordinates, l2, n=1; eps=1*2**-k, constant; 0 heads; seed 0>
    """
    from lipop.testing import architectures_steps as steps

    st = _hypothesis()
    low, high = dimensions
    if not 1 <= low <= high:
        raise DomainError(f"dimensions are 1 <= low <= high, found {dimensions}")
    counts, seeds = st.integers(low, high), st.integers(0, 2**16)
    if growth and theorem != 1:
        raise DomainError(f"the growth form is one of theorem 1, not of theorem {theorem!r}")
    if flow and theorem != 9:
        raise DomainError(f"the flow is one of theorem 9, not of theorem {theorem!r}")
    if theorem == 7:
        return st.one_of([architectures(k, dimensions=dimensions, laws=laws, pushes=pushes) for k in (1, 2, 6)])
    if theorem in NEAR:
        make, kinds, allowed = NEAR[theorem]
        make = partial(make, growth=True) if growth else make
        pairs = [(kind, norm) for kind, norms in kinds for norm in norms]
        rest = (
            st.sampled_from(laws or allowed),
            st.sampled_from(SCALES),
            st.sampled_from(pushes),
            st.integers(0, 3),
            seeds,
        )
        return _drawn(make, st.sampled_from(pairs), counts, *rest)
    if theorem in steps.STEPS:
        make, kinds = steps.FLOW if flow else steps.STEPS[theorem]
        pairs = [(kind, norm) for kind in kinds for norm in steps.norms_of(kind)]
        return _drawn(make, st.sampled_from(pairs), counts, seeds)
    raise DomainError(f"the theorems are 1 to 10, found {theorem!r}")


def violations(theorem: int, which: str, *, dimensions: tuple[int, int] = (1, 8)) -> SearchStrategy[Specimen]:
    """Architectures that satisfy all hypotheses of a theorem but one.

    Parameters
    ----------
    theorem : int
    which : str
        The hypothesis that fails: a key of :data:`lipop.testing.architectures_broken.BROKEN` ``[theorem]``.

    Raises
    ------
    DomainError
        If the theorem has no such hypothesis.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(violations(3, "deviation to zero"), lambda s: True)
    <theorem 3 without deviation to zero: x/2 and 1 in turn up and down, n=1>
    """
    from lipop.testing.architectures_broken import BROKEN

    st = _hypothesis()
    if which not in BROKEN.get(theorem, {}):
        known = ", ".join(BROKEN.get(theorem, {})) or "none"
        raise DomainError(f"theorem {theorem!r} has no hypothesis {which!r} to violate; known: {known}")
    make = BROKEN[theorem][which]
    return _drawn(make, st.tuples(st.integers(*dimensions)), st.integers(0, 2**16))


def _drawn(make: Builder, first: Any, *rest: Any) -> Any:
    """``make(*first, *rest)`` of drawn values, which hypothesis prints by its own repr."""

    def specimen(draw: Any) -> Specimen:
        return make(*draw(first), *(draw(s) for s in rest))

    return _hypothesis().composite(specimen)()


__all__ = ["DIVERGENT", "NEAR", "architectures", "theorem_1", "theorem_2", "theorem_3", "theorem_6", "violations"]
