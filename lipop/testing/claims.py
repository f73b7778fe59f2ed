"""What the theorems say of a generated architecture, as comparisons of numbers.

``CLAIMS[n](specimen)`` yields a :class:`Comparison` for every bound of theorem n at several depths, and
``assert_theorem`` refuses the first that does not hold. The blocks after the last depth N are taken to be
the reference blocks, so that limits are ``T S_N x`` and tails are sums that end at N: the theorems hold for that
architecture exactly, and all their numbers are at hand. Slack is what the theory page allows for rounding: ``1e-12 (1 +
max |S_k x|)(1 + L)^2``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lipop.errors import DomainError
from lipop.operators import RMSNorm
from lipop.testing.architectures_steps import EPS
from lipop.testing.specimen import Specimen

DEPTH = 40


@dataclass(frozen=True)
class Comparison:
    """One inequality ``measured <= bound``.

    Attributes
    ----------
    claim : str
        The theorem's number and part.
    n : int
        The depth.
    measured, bound : float
    slack : float
        What rounding may add.
    """

    claim: str
    n: int
    measured: float
    bound: float
    slack: float

    @property
    def holds(self) -> bool:
        """Whether the bound is not exceeded."""
        return self.measured <= self.bound + self.slack

    @property
    def tightness(self) -> float:
        """Measured over bound, where rounding is small beside both."""
        return self.measured / self.bound if self.bound > 1e4 * self.slack else 0.0


def depths(spec: Specimen, last: int = DEPTH, m: int = 0) -> list[int]:
    """The depths at which rates are compared: soon after the laws begin, in the middle, at the end."""
    first = max(spec.heads, m) + 1
    return sorted({first, first + 1, first + 2, (first + last) // 2, last - 1, last})


def slack(orbit: Iterable[np.ndarray], spec: Specimen, L: float = 1.0) -> float:
    """``1e-12 (1 + max |S_k x|)(1 + L)^2``."""
    return 1e-12 * (1 + max(spec.norm(x) for x in orbit)) * (1 + L) ** 2


def tails(e: np.ndarray, last: int = DEPTH) -> list[float]:
    """tau_n of the tail that is run."""
    return [math.fsum(e[n + 1 : last + 1]) for n in range(last + 1)]


# ---- theorem 1 ----


def theorem_1(spec: Specimen, m: int = 0) -> Iterator[Comparison]:
    """(a), (b) twice, (c); (a) better for nearest-point maps and (c) for orthogonal ones; (d)."""
    T, L = spec.limit, spec.facts["L"]
    orbit = dict(enumerate(spec.orbit(DEPTH, m=m), m))
    e, size = spec.eps(DEPTH), spec.norm
    tau, allowed = tails(e), slack(orbit.values(), spec, L)
    end = T(orbit[DEPTH])
    nearest = spec.architecture.space.norm == "l2" and spec.facts["kind"] not in ("shear", "oblique")
    orthogonal = spec.facts["kind"] in ("coordinates", "subspace") and nearest
    for n in depths(spec, m=m):
        x, projected = orbit[n], T(orbit[n])
        yield Comparison("1 (a)", n, size(x - projected), (1 + L) * e[n], allowed)
        yield Comparison("1 (b)", n, size(end - projected), L * tau[n], allowed)
        yield Comparison("1 (b) projecting", n, size(end - projected), L * size(end - x), allowed)
        yield Comparison("1 (c)", n, size(end - x), (1 + L) * e[n] + L * tau[n], allowed)
        if nearest:
            yield Comparison("1 (a) nearest point", n, size(x - projected), e[n], allowed)
        if orthogonal:
            yield Comparison("1 (c) orthogonal", n, size(end - x), math.hypot(e[n], tau[n]), allowed)


def theorem_1_lipschitz(spec: Specimen) -> Iterator[Comparison]:
    """(d): past the heads the limit stretches no pair more than S_K0 did. For blocks that are non-expansive."""
    one, other = spec.orbit(DEPTH), spec.orbit(DEPTH, spec.other)
    T, K = spec.limit, spec.heads
    before, after = spec.norm(one[K] - other[K]), spec.norm(T(one[-1]) - T(other[-1]))
    yield Comparison("1 (d)", DEPTH, after, before, slack([*one, *other], spec))


def theorem_1_growth(spec: Specimen) -> Iterator[Comparison]:
    """The running maximum of ``1 + |S_k x|``, and (c) times its bound."""
    T, L = spec.limit, spec.facts["L"]
    orbit, e, m = spec.orbit(DEPTH), spec.eps(DEPTH), spec.heads
    allowed, tau = slack(orbit, spec, L), tails(e)
    sizes = [1 + spec.norm(x) for x in orbit]
    top = 1 + spec.norm(T(orbit[m])) + e[m + 1] * sizes[m]
    yield Comparison("1 growth, first block", m + 1, sizes[m + 1], top, allowed)
    most = max(sizes[m : m + 2])
    for n in range(m + 1, DEPTH):
        grown = max(most, sizes[n + 1])
        yield Comparison("1 growth", n + 1, grown, (1 + e[n + 1] + (1 + L) * e[n]) * most, allowed)
        most = grown
    end = T(orbit[DEPTH])
    for n in depths(spec):
        bound = ((1 + L) * e[n] + L * tau[n]) * most
        yield Comparison("1 growth (c)", n, spec.norm(end - orbit[n]), bound, allowed)


# ---- theorems 2, 3, 6, 7 ----


def theorem_6(spec: Specimen, m: int = 0) -> Iterator[Comparison]:
    """``|S_N x - R_(N,n) S_n x| <= C tau_n``, and the same after further reference blocks."""
    orbit = dict(enumerate(spec.orbit(DEPTH, m=m), m))
    tau, C = tails(spec.eps(DEPTH)), spec.facts.get("C", spec.facts.get("L"))
    allowed = slack(orbit.values(), spec, C)
    for n in depths(spec, m=m)[:-1]:
        there, here = orbit[DEPTH], spec.referred(orbit[n], DEPTH, n)
        yield Comparison("6", n, spec.norm(there - here), C * tau[n], allowed)
        there, here = (spec.referred(x, DEPTH + 5, DEPTH) for x in (there, here))
        yield Comparison("6", n, spec.norm(there - here), C * tau[n], allowed)


def theorem_2(spec: Specimen, m: int = 0) -> Iterator[Comparison]:
    """Theorem 6 with C = 1; the residual of the powers does not increase, and what they converge to does not move."""
    for c in theorem_6(spec, m):
        yield Comparison("2", c.n, c.measured, c.bound, c.slack)
    T, x = spec.limit, spec.point
    residual, allowed = spec.norm(T(x) - x), slack([x], spec)
    for n in range(1, DEPTH):
        x = T(x)
        after = spec.norm(T(x) - x)
        yield Comparison("2 residual of T^n", n, after, residual, allowed)
        residual = after


def theorem_3(spec: Specimen, m: int = 0) -> Iterator[Comparison]:
    """``|S_n x - x*| <= q^n |x - x*| + sum q^(n-k) eps_k``, from the first block of the law on."""
    orbit = dict(enumerate(spec.orbit(DEPTH, m=m), m))
    e, q, p = spec.eps(DEPTH), spec.facts["q"], spec.facts["fixed"]
    start, allowed = max(m, spec.heads), slack(orbit.values(), spec)
    for n in depths(spec, m=m):
        pushed = math.fsum(q ** (n - k) * e[k] for k in range(start + 1, n + 1))
        bound = q ** (n - start) * spec.norm(orbit[start] - p) + pushed
        yield Comparison("3", n, spec.norm(orbit[n] - p), bound, allowed)


def theorem_7(spec: Specimen) -> Iterator[Comparison]:
    """``|T_n z - z| <= C |z - S_(n-1) x| + |S_n x - z|`` at the limit z; blocks are pushed by constants only."""
    orbit = spec.orbit(DEPTH)
    C = max(1.0, spec.facts.get("C", spec.facts.get("L")))
    z, allowed = spec.referred(orbit[DEPTH], 2 * DEPTH, DEPTH), slack(orbit, spec, C)
    for n in depths(spec):
        moved = spec.norm(spec.architecture.block(n)(z) - z)
        bound = C * spec.norm(z - orbit[n - 1]) + spec.norm(orbit[n] - z)
        yield Comparison("7", n, moved, bound, allowed)


# ---- theorems 4, 5, 8, 9, 10 ----


def pairs(spec: Specimen, last: int = DEPTH) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The two orbits, and the distance of the pair by depth."""
    one, other = spec.orbit(last), spec.orbit(last, spec.other)
    return one, other, [spec.norm(x - y) for x, y in zip(one, other, strict=True)]


def theorem_4(spec: Specimen) -> Iterator[Comparison]:
    """Pairs part at least by the product of the expansions."""
    one, other, gaps = pairs(spec)
    product = 1.0
    for n in range(1, DEPTH + 1):
        product *= spec.facts["expansion"](n)
        allowed = 1e-12 * (gaps[n] + spec.norm(one[n]) + spec.norm(other[n]))
        yield Comparison("4", n, product * gaps[0], gaps[n], allowed)


def theorem_5(spec: Specimen) -> Iterator[Comparison]:
    """Pairs part at most by the product of the Lipschitz constants."""
    one, other, gaps = pairs(spec)
    product, allowed = 1.0, slack([*one, *other], spec)
    for n in range(1, DEPTH + 1):
        product *= spec.facts["lip"](n)
        yield Comparison("5", n, gaps[n], product * gaps[0], allowed)


def theorem_8(spec: Specimen) -> Iterator[Comparison]:
    """Both ends of the bracket, the error, and the way back: S_(inf,m) -> I."""
    one, other, gaps = pairs(spec)
    d, b = ([0.0, *(spec.facts[k](i) for i in range(1, DEPTH + 1))] for k in ("delta", "beta"))
    allowed = slack([*one, *other], spec)
    up = down = 1.0
    for n in range(1, DEPTH + 1):
        up, down = up * (1 + d[n]), down * max(1 - d[n], 0.0)
        yield Comparison("8 Lip", n, gaps[n], up * gaps[0], allowed)
        yield Comparison("8 expansion", n, down * gaps[0], gaps[n], allowed)
    for n in (1, 2, 5, 20, 39):
        P, tail = math.prod(1 + v for v in d[n + 1 :]), math.fsum(b[n + 1 :])
        bound = (P - 1) * spec.norm(one[n]) + P * tail
        yield Comparison("8 error", n, spec.norm(one[-1] - one[n]), bound, allowed)


def theorem_9(spec: Specimen) -> Iterator[Comparison]:
    """Fejer monotonicity, the residual in l2, the exponential error, injectivity, and that fixed points stay."""
    h, p, N, q = (spec.facts[k] for k in ("h", "fixed", "N", "q"))
    one, other, gaps = pairs(spec)
    allowed = slack([*one, *other], spec)
    away = [spec.norm(x - p) for x in one]
    sums, squares, below = 0.0, 0.0, 1.0
    for n in range(1, DEPTH + 1):
        yield Comparison("9 distance to Fix N", n, away[n], away[n - 1], allowed)
        yield Comparison("9 non-expansive", n, gaps[n], gaps[n - 1], allowed)
        sums, squares, below = sums + h(n), squares + h(n) * (1 - h(n)), below * max(1 - 2 * h(n), 0.0)
        if spec.facts["norm"] == "l2":
            residual = spec.norm(N(one[n]) - one[n])
            yield Comparison("9 residual", n, residual**2 * squares, away[0] ** 2, allowed * (1 + away[0]) * 10)
        if q < 1:
            yield Comparison("9 contraction", n, away[n], math.exp(-(1 - q) * sums) * away[0], allowed)
        yield Comparison("9 injective", n, below * gaps[0], gaps[n], allowed)
    yield Comparison("9 fixed points stay", DEPTH, spec.norm(spec.architecture(p, depth=DEPTH) - p), 0.0, allowed)


def theorem_10(spec: Specimen) -> Iterator[Comparison]:
    """Both ends of the bracket on the pair's own norms, the readout, and the direction."""
    one, other, gaps = pairs(spec)
    dim = len(spec.point)
    r = [min(np.linalg.norm(x), np.linalg.norm(y)) for x, y in zip(one, other, strict=True)]
    if min(r) < 1e-3:
        return  # a pair that passes near zero: the bracket is empty there, and rounding is not
    c, allowed = spec.facts["l"] * math.sqrt(dim), slack([*one, *other], spec) / min(r)
    N, up, down = RMSNorm(np.ones(dim), EPS), 1.0, 1.0
    for n in range(1, DEPTH + 1):
        up, down = up * (1 + c / r[n - 1]), down * max(1 - c / r[n - 1], 0.0)
        rounding = allowed * (1 + up)
        yield Comparison("10 growth", n, gaps[n], up * gaps[0], rounding)
        yield Comparison("10 expansion", n, down * gaps[0], gaps[n], rounding)
        readout = float(np.linalg.norm(N(one[n]) - N(other[n])))
        yield Comparison("10 readout", n, readout, math.sqrt(dim) / r[n] * up * gaps[0], rounding)
    u = [x / np.linalg.norm(x) for x in one]
    theta = [0.0, *(2 * math.asin(min(1.0, np.linalg.norm(a - b) / 2)) for a, b in itertools.pairwise(u))]
    for n in (1, 5, 20, 39):
        turned = float(np.linalg.norm(u[-1] - u[n]))
        yield Comparison("10 direction", n, turned, math.fsum(theta[n + 1 :]), 1e-12)


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
    >>> from lipop.testing.architectures import theorem_1 as build
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


__all__ = ["CLAIMS", "Comparison", "assert_theorem"]
