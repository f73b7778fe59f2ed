"""What theorems 1, 2, 3, 6 and 7 say of blocks near others, as comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lipop.testing.comparison import DEPTH, Comparison, depths, slack, tails
from lipop.testing.specimen import Specimen


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


__all__ = ["theorem_1", "theorem_1_growth", "theorem_1_lipschitz", "theorem_2", "theorem_3", "theorem_6", "theorem_7"]
