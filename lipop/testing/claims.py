"""What the theorems say of a generated architecture: ``CLAIMS[n](specimen)`` yields a comparison for every bound of
theorem n at several depths, and ``assert_theorem`` refuses the first that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lipop.errors import DomainError
from lipop.testing.claims_near import theorem_1, theorem_2, theorem_3, theorem_6, theorem_7
from lipop.testing.claims_steps import theorem_4, theorem_5, theorem_8, theorem_9, theorem_10
from lipop.testing.comparison import Comparison
from lipop.testing.specimen import Specimen

CLAIMS: dict[int, Callable[[Specimen], Iterator[Comparison]]] = {
    1: theorem_1,
    2: theorem_2,
    3: theorem_3,
    4: theorem_4,
    5: theorem_5,
    6: theorem_6,
    7: theorem_7,
    8: theorem_8,
    9: theorem_9,
    10: theorem_10,
}
"""By theorem: the comparisons for a specimen."""


def assert_theorem(theorem: int, spec: Specimen) -> list[Comparison]:
    """Run a specimen and compare every bound of a theorem with what is measured.

    Parameters
    ----------
    theorem : int
        1 to 10.
    spec : Specimen
        From ``architectures(theorem)``.

    Returns
    -------
    list of Comparison

    Raises
    ------
    AssertionError
        Naming the first bound that is exceeded.
    DomainError
        If there is no such theorem.

    Examples
    --------
    >>> from lipop.testing.architecture_strategies import theorem_1 as build
    >>> found = assert_theorem(1, build("box", "linf", 3, "k**-2", 1.0, "wave", 1, 0))
    >>> {c.claim for c in found} >= {"1 (a)", "1 (b)", "1 (c)"}
    True
    """
    if theorem not in CLAIMS:
        raise DomainError(f"the theorems are 1 to 10, found {theorem!r}")
    found = list(CLAIMS[theorem](spec))
    for c in found:
        if not c.holds:
            raise AssertionError(
                f"{spec!r}: claim {c.claim} at depth {c.n}: {c.measured!r} > {c.bound!r} + {c.slack:.1e}"
            )
    return found


__all__ = ["CLAIMS", "assert_theorem"]
