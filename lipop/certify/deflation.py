r"""A deterministic certificate of the norm of a block's derivative: a deflated Gram matrix and one small Cholesky.

**Theorem D.** Let ``G`` be symmetric (n x n), ``U`` and ``X`` (n x r) and ``W`` (r x r) any matrices. Put
``K = U^T U``, ``H = U^T G U``, ``D = G U - U W``, and let ``beta >= lambda_max(G - X U^T - U X^T)`` and ``t > beta``.
If

    t K - H - D^T D / (t - beta)    is positive semidefinite, then    lambda_max(G) <= t.

*Proof.* Every x is ``U a + b`` with ``U^T b = 0``. The deflation vanishes on b, so
``b^T G b = b^T (G - X U^T - U X^T) b <= beta |b|^2``; and ``b^T G U a = b^T (D + U W) a = b^T D a``. Hence

    x^T (t - G) x >= a^T (t K - H) a - 2 |b| |D a| + (t - beta) |b|^2 >= a^T (t K - H - D^T D / (t - beta)) a >= 0,

the middle step by completing the square in ``|b|``. Nothing was asked of U, X, W: a poor choice makes the hypothesis
fail, never the conclusion. In particular the subspace iteration that proposes them needs no error analysis.

**Use.** ``G = J J^T`` with ``J`` in factors (:class:`BlockFactors`). U holds Ritz vectors of the largest singular
values, ``W`` is near ``U^T G U``, and ``X = G U - U W / 2`` makes ``G - X U^T - U X^T`` the Gram matrix compressed to
the complement of U. It is enough that ``beta`` lies below ``|J|^2``, so the crude bound of :class:`DeflatedGram` will
do (a Schatten norm for each block, then the norm of the matrix of these norms), although the same bound of G itself
would be useless.

**Rounding.** U, X, W are exact as stored; everything else is enclosed. Write ``|.|`` for Frobenius norms, ``m`` for the
majorants of J, ``mu = |m|_2``, ``c`` for the number of roundings in a product with J, ``g_k = gamma(k)``:

=====================  ========================================================================================
computed               its distance from the exact quantity
=====================  ========================================================================================
``Z = fl(J^T U)``      ``eZ = g_c mu |U|``
``C = fl(J Z)``        ``eC = g_c mu |Z| + mu eZ`` (from ``G U``)
``fl(C - U W)``        ``eD = eC + g_{r+2} (|C| + |U| |W|)`` (from ``D``)
``fl(U^T U)``          ``g_n |U|^2``
``fl(Z^T Z)``          ``(2 |Z| + eZ) eZ + g_n |Z|^2`` (from ``H``)
``fl(D^T D)``          ``(2 |D| + eD) eD + g_n |D|^2``
the pencil             ``8 u (t |U|^2 + |Z|^2 + |D|^2 / (t - beta))``: scaling, subtracting, symmetrising, shifting
Cholesky               ``g_{r+4} / (1 - g_{r+4}) trace``: success proves that no eigenvalue lies below minus this
=====================  ========================================================================================

Their sum is subtracted from the diagonal before the Cholesky factorisation is tried. ``t - beta`` is rounded down,
which only strengthens what is tested. The rounding of ``beta`` is treated in :mod:`lipop.certify.deflation_gram`, that
of the factors themselves in :meth:`BlockFactors.error`.

Reference: Haynsworth's inertia formula with a perturbed Schur complement; S. M. Rump, Verification of positive
definiteness, BIT 46 (2006), for the Cholesky step; N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd
ed., chapters 3 and 10, for the error model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from lipop.certify.block_factors import UNDERFLOW, BlockFactors
from lipop.certify.deflation_gram import DeflatedGram
from lipop.certify.deflation_subspace import Subspace, by_columns, subspace
from lipop.core.rounding import UNIT, dot_up, gamma, inflate
from lipop.errors import DomainError

RANKS = (64, 128, 192)  # tried in turn while the deflated Gram matrix stays above |J|^2
SMALL = 1024  # up to this size of J half of the first rank is tried, then the full one


@dataclass(frozen=True, eq=False)
class DeflationResult:
    """A certified bracket of ``|J_true|`` (and of ``|J|`` as stored).

    Both ends are rounded outward and include :meth:`BlockFactors.error`. ``vector`` (T, d) is the unit vector behind
    ``lower``. The same ``rank``, ``sweeps`` and seed repeat the run. ``beta`` bounds the deflated Gram matrix, in
    units of ``|J|^2``; ``seconds`` holds the time of each part.
    """

    lower: float
    upper: float
    vector: np.ndarray
    rank: int
    sweeps: int
    beta: float
    seconds: dict[str, float]


class Pencil:
    """The r x r inequality of theorem D with its rounding budget, for ``G = J J^T`` and given U, W, beta.

    Parameters
    ----------
    f : BlockFactors
        Normalised.
    U : (n, r) array
    W : (r, r) array
    beta : float
        An upper bound of ``lambda_max(G - X U^T - U X^T)`` for some X.
    """

    def __init__(self, f: BlockFactors, U: np.ndarray, W: np.ndarray, beta: float) -> None:
        t, _, d, _ = f.shape
        n, r = U.shape
        Z = by_columns(f.rmatvec, U.reshape(t, d, r))
        C = by_columns(f.matvec, Z).reshape(n, r)
        Z = Z.reshape(n, r)
        D = C - U @ W
        mu, e = f.majorant, f.product_error
        u, z, c, w, s = (dot_up(M) for M in (U, Z, C, W, D))
        eZ = inflate(e * u, 4) + UNDERFLOW
        eC = inflate(e * z + mu * eZ, 4) + UNDERFLOW
        eD = inflate(eC + gamma(r + 2) * (c + u * w), 6) + UNDERFLOW
        g = gamma(n + 2)
        self.beta, self.rank = beta, r
        self.K, self.H, self.S = U.T @ U, Z.T @ Z, D.T @ D
        self.sizes = (inflate(u * u, 2), inflate(z * z, 2), inflate(s * s, 2))
        self.errors = (
            inflate(g * u * u, 4) + UNDERFLOW,
            inflate((2 * z + eZ) * eZ + g * z * z, 8) + UNDERFLOW,
            inflate((2 * s + eD) * eD + g * s * s, 8) + UNDERFLOW,
        )

    def _proves(self, t: float) -> bool:
        """Whether ``lambda_max(J J^T) <= t`` is proved."""
        from scipy.linalg.lapack import dpotrf  # pyright: ignore[reportAttributeAccessIssue]  (made at import)

        gap = math.nextafter(t - self.beta, -math.inf)
        if not (gap > 0 and math.isfinite(t)):
            return False
        A = t * self.K - self.H - self.S / gap
        A = 0.5 * (A + A.T)
        if not bool(np.isfinite(A).all()):
            return False
        (eK, eH, eS), (u, z, s) = self.errors, self.sizes
        g = gamma(self.rank + 4)
        trace = float(np.abs(np.diag(A)).sum())
        shift = t * eK + eH + eS / gap + 8 * UNIT * (t * u + z + s / gap) + 2 * g / (1 - g) * trace
        shift = float(inflate(shift, self.rank + 16)) + UNDERFLOW
        A[np.diag_indices(self.rank)] -= shift * (1 + 4 * UNIT)
        return bool((np.diag(A) > 0).all()) and dpotrf(A, lower=0)[1] == 0

    def smallest(self, start: float) -> float:
        """The least t that the search proves, from ``max(start, beta)`` to 16 times that; infinity if there is none."""
        base, slack = max(start, self.beta), 1e-13
        while slack < 16.0:
            t = base * (1.0 + slack)
            if self._proves(t):
                return t
            slack *= 1.4
        return math.inf


def deflation_upper(
    f: BlockFactors,
    *,
    rank: int | None = None,
    sweeps: int | None = None,
    schatten: int = 8,
    oversample: int = 32,
    seed: int = 0,
    rtol: float = 1e-5,
) -> DeflationResult:
    """Bracket the norm of a block's derivative, both ends proved, without any matrix of size (T d) x (T d).

    Parameters
    ----------
    f : BlockFactors
    rank : int or None
        Number of deflated directions; ``None`` tries ``RANKS`` until the deflated Gram matrix lies below ``|J|^2``.
        If none brings it there, the best bound is still proved, only loose.
    sweeps : int or None
        Sweeps of the subspace iteration; ``None`` stops by ``rtol``.
    schatten : {4, 8}
        Schatten norm of the blocks: 8 is sharper, 4 a little faster.
    oversample : int
        Extra columns of the iteration.
    seed : int
        Seed of the starting block: the same seed, rank and sweeps give the same bound on the same BLAS.
    rtol : float
        Relative gap between the two ends at which the iteration stops (a target, not a promise).

    Returns
    -------
    DeflationResult

    Raises
    ------
    DomainError
        If no certificate was found at the last rank, or a parameter is out of range.

    Examples
    --------
    >>> draw, zero = np.random.default_rng(1).standard_normal, np.zeros
    >>> f = BlockFactors(F=draw((3, 4, 4)), dF=zero(3), AO=draw((3, 2, 4, 2)), dAO=zero((3, 2)), p=draw((2, 3, 3)),
    ...                  dp=zero((2, 3, 3)), y=draw((2, 3, 3, 2)), dy=zero((2, 3, 3)), a=draw((2, 3, 4)),
    ...                  da=zero((2, 3)), Wv=draw((2, 2, 4)))
    >>> result = deflation_upper(f, rank=4)
    >>> bool(result.lower <= np.linalg.norm(f.dense(), 2) <= result.upper <= 1.0001 * result.lower)
    True
    """
    if schatten not in (4, 8):
        raise DomainError(f"schatten={schatten}: 4 or 8")
    for name, value in (("rank", rank), ("sweeps", sweeps), ("oversample", oversample + 1)):
        if value is not None and value < 1:
            raise DomainError(f"{name}={value - (name == 'oversample')}: too small")
    error = f.error()
    g, exponent = f.normalised()
    t, _, d, _ = g.shape
    n = t * d
    if g.majorant <= 2 * UNDERFLOW:
        bound = math.nextafter(math.ldexp(g.majorant, exponent), math.inf)
        return DeflationResult(0.0, math.nextafter(bound + error, math.inf), np.eye(1, n).reshape(t, d), 0, 0, 0.0, {})
    seconds: dict[str, float] = {"subspace": 0.0, "beta": 0.0, "pencil": 0.0}
    best: tuple[float, float, float, Subspace] | None = None
    with threadpool_limits(1, "blas"):  # the products are shared out by rows and columns instead
        for r in _plan(n) if rank is None else (min(rank, n),):
            found = _attempt(g, r, oversample, sweeps, schatten, seed, rtol, seconds)
            if best is None or found[0] < best[0]:
                best = found
            if found[2] < found[1] ** 2:
                break
    assert best is not None
    square, lower, beta, s = best
    if not math.isfinite(square):
        raise DomainError(
            f"no certificate of |J| at rank {len(s.W)}: the deflated Gram matrix is below {math.sqrt(beta):.6g}^2, "
            f"|J| is at least {lower:.6g} (both over 2^{exponent}); raise rank or sweeps, or use a dense certificate"
        )
    top = math.ldexp(math.nextafter(math.sqrt(square), math.inf), exponent)
    upper = math.nextafter(math.nextafter(top, math.inf) + error, math.inf)
    below = math.nextafter(math.nextafter(math.ldexp(lower, exponent), -math.inf) - error, -math.inf)
    with np.errstate(over="ignore", under="ignore"):
        scaled = float(np.ldexp(beta, 2 * exponent))
    return DeflationResult(max(0.0, below), upper, s.v.reshape(t, d), len(s.W), s.sweeps, scaled, seconds)


def _plan(n: int) -> tuple[int, ...]:
    """The ranks to try: few where n is small (deflating many fills the blocks), and last all n where possible."""
    if n <= SMALL:
        return (n,) if n <= RANKS[0] // 2 else (RANKS[0] // 2, n)
    return RANKS


def _attempt(
    g: BlockFactors,
    rank: int,
    oversample: int,
    sweeps: int | None,
    schatten: int,
    seed: int,
    rtol: float,
    seconds: dict[str, float],
) -> tuple[float, float, float, Subspace]:
    """One rank: a proved bound of ``|J|^2`` (infinity if none), a lower bound of ``|J|``, beta, the proposal."""
    t, _, d, _ = g.shape
    clock = [perf_counter()]
    s = subspace(g, rank, oversample, sweeps, seed, rtol)
    clock.append(perf_counter())
    beta = DeflatedGram(g, s.U.reshape(t, d, rank), s.X.reshape(t, d, rank)).largest_eigenvalue(schatten)
    clock.append(perf_counter())
    square, lower = Pencil(g, s.U, s.W, beta).smallest(float(s.ritz[0])), _lower(g, s.v)
    clock.append(perf_counter())
    for name, a, b in zip(seconds, clock, clock[1:], strict=False):
        seconds[name] += b - a
    return square, lower, beta, s


def _lower(f: BlockFactors, v: np.ndarray) -> float:
    """A lower bound of ``|J v| / |v|``."""
    t, _, d, _ = f.shape
    image = f.matvec(v.reshape(t, d))
    size = float(np.linalg.norm(image)) * (1 - 2 * gamma(v.size + 8))
    length = dot_up(v)
    return max(0.0, (size - f.product_error * length - UNDERFLOW) / length * (1 - 8 * UNIT))


__all__ = ["BlockFactors", "DeflationResult", "Pencil", "deflation_upper"]
