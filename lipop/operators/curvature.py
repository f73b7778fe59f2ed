"""The diagonal factor of a chain, one token at a time: how far its pre-activations move, and rule F1.

Rule F1. For ``M_eta = A diag(f''_k (b_k . eta)) C`` with b_k the rows of ``C Q``,
``sup_{|eta| <= 1} |M_eta|^2 <= lambda_max(A F ((B B^T) o (C C^T)) F A^T)``, ``F = diag(f'')``, o the Hadamard product.

Proof. ``M_eta v`` is linear in the rank-one matrix ``eta v^T``, of Frobenius norm at most 1 for unit eta and v; entry k
of the inner vector is the inner product of ``eta v^T`` with ``b_k c_k^T``, and the Gram matrix of these is ``(B B^T) o
(C C^T)``.

``Q Q^T`` is known as ``gram``; with ``gram + shift I = L L^T`` (Cholesky, the shift covering gram's error and the
factorisation's), ``B = C L`` has at least the true Gram matrix in the semidefinite order, and a Hadamard product with a
semidefinite matrix keeps the order (Schur). So rounding is on the safe side there, and row norms of B bound how far
each pre-activation moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipop.core.enclosure import Stack, frobenius_up
from lipop.core.parallel import each
from lipop.core.rounding import gamma, inflate
from lipop.operators.token_factor import RankOne
from lipop.operators.token_norms import ERROR32, UNIT32, norms, pieces32, product32_rows, psd_max, unit32

Matrices = Callable[[int], np.ndarray]
CANCELS = 100.0  # ratio of |W| to |W - x y^T| beyond which the Gram of the difference is not made from W's
BLOCK = 384  # columns of the Hadamard product that are held at once


@dataclass(frozen=True, eq=False)
class Bent:
    """What a diagonal factor needs at every token (T tokens, p units).

    Parameters
    ----------
    reach : (T, p) array
        ``|c_k Q_i|``, c_k the rows of ``C K``: pre-activation k moves by at most this times the radius, to first order.
    flat : (T,) array
        Rule F1's constant for the left factor.
    top : (T,) array
        ``|A diag(right)|``.
    rhat, weights, right : (T, p) arrays
        Reference radii and the two scalings, ``weights * right >= rhat``: ``|A diag(e) C| <= |A diag(right)|
        |diag(weights) C|`` for ``|e| <= rhat``.
    bottom : (T,) array
        ``|diag(weights) C K|``.
    """

    reach: np.ndarray
    flat: np.ndarray
    top: np.ndarray
    rhat: np.ndarray
    weights: np.ndarray
    right: np.ndarray
    bottom: np.ndarray


@dataclass(frozen=True, eq=False)
class Gram32:
    """``C C^T / |C|_F^2`` in float32, a block of columns at a time, and its Frobenius error."""

    block: Callable[[int, int], np.ndarray]  # (stop, start) -> rows up to stop, columns from start to stop
    error: float

    @staticmethod
    def of(c: np.ndarray) -> Gram32:
        """Of a matrix."""
        x, _ = unit32(c)
        return Gram32(lambda stop, start: x[:stop] @ x[start:stop].T, _unit(c.shape[1]))


@dataclass(frozen=True, eq=False)
class Right:
    """The factor C to the right of the diagonal: ``at(i)`` (p, d) as stored, bounds of the errors' l2 norms, its
    Grams."""

    at: Matrices
    err: np.ndarray
    gram: Callable[[int, float], Gram32 | None] | None = None

    @staticmethod
    def rank_one(form: RankOne, left: np.ndarray, err: np.ndarray) -> Right:
        """``C_i = alpha_i (W - x_i y_i^T)``, W = left L: its Gram is ``alpha_i^2 (W W^T - x u^T - u x^T)`` with
        ``u = W y - |y|^2 x / 2``, so a token costs O(p^2)."""
        W, x = left @ form.L, form.x @ left.T
        unit, size = unit32(W)
        fixed = unit @ unit.T
        u = form.y @ W.T - 0.5 * (form.y**2).sum(axis=1)[:, None] * x

        def gram(i: int, fc: float) -> Gram32 | None:
            alpha = abs(float(form.alpha[i]))
            if not alpha * size < CANCELS * fc:  # what is left of W is lost in float32
                return None
            scale = alpha / fc
            k = (scale * size) ** 2
            xi, ui = x[i] * scale, u[i] * scale
            line = float(np.linalg.norm(xi) * np.linalg.norm(ui))
            left32, right32 = np.stack([xi, ui], axis=1).astype(np.float32), np.stack([ui, xi]).astype(np.float32)

            def block(stop: int, start: int) -> np.ndarray:
                h = fixed[:stop, start:stop] * np.float32(k)
                h -= left32[:stop] @ right32[:, start:stop]
                return h

            # |W W^T|_F <= |W|_F^2: k after scaling; the float64 u, to within 2^-40 of |W|_F |y| + |y|^2 |x|
            return Gram32(block, _unit(W.shape[1]) * k + 8 * UNIT32 * (k + 2 * line))

        return Right(form.under(left), err, gram)


def bend(a: Matrices, a_err: np.ndarray, c: Right, gram: Stack, curvature: np.ndarray) -> Bent:
    """Work through the tokens: ``a(i)`` (m, p) and ``c.at(i)`` (p, d) are the factors around the diagonal at token i.

    Parameters
    ----------
    a : callable
        The matrices as stored; ``a_err`` (T,) bounds their errors' l2 norms.
    c : Right
    gram : Stack (T, d, d)
    curvature : (T, p) array
        f'' at the pre-activations.
    """
    tokens, width = curvature.shape
    out = Bent(*(np.empty(s) for s in [(tokens, width), (tokens,), (tokens,), *[(tokens, width)] * 3, (tokens,)]))

    def one(i: int) -> None:
        ai, ci, ea, ec = a(i), c.at(i), float(a_err[i]), float(c.err[i])
        d, f2 = ci.shape[1], curvature[i]
        root = _root(gram.mid[i], float(gram.err[i]))
        rows_c = np.sqrt(np.einsum("pd,pd->p", ci, ci)) * (1 + gamma(d + 4))
        size_c = float(inflate(np.sqrt(rows_c @ rows_c), width + 4))
        scale = np.maximum(rows_c, 1e-300)[:, None]
        b, slip = product32_rows(ci / scale, root)  # each row to within slip of its own size
        size_root = float(frobenius_up(root))
        b *= scale
        slip_b = slip * size_c * (1 + 1e-9) + ec * size_root  # |fl(C L) - C L|_F, C's error included
        rows_b = np.sqrt(np.einsum("pd,pd->p", b, b))
        out.reach[i] = inflate(rows_b + slip * rows_c + ec * size_root, d + 8)
        move = np.abs(f2) * out.reach[i]
        rhat = np.maximum(move, 0.2 * np.sqrt((move**2).mean()) + 1e-30)
        tau = rows_c / np.maximum(np.sqrt(np.einsum("mp,mp->p", ai, ai)), 1e-30) + 1e-30
        bump = 1 + 1e-15  # pays for the rounding of sqrt(rhat tau) sqrt(rhat / tau) against rhat
        right, weights = np.sqrt(rhat * tau) * bump, np.sqrt(rhat / tau) * bump
        out.rhat[i], out.right[i], out.weights[i] = rhat, right, weights
        out.bottom[i] = _norm(weights[:, None] * ci, ec * float(weights.max()))
        out.top[i] = _norm(ai * right, ea * float(right.max()))
        peaks = float(rows_b.max()), float(rows_c.max())
        top = float(inflate(out.top[i] * (np.abs(f2) / right).max(), 4))  # of |A F|
        # |A F diag(b . eta) C| at once: what is left where C vanishes up to rounding
        crude = float(inflate(top * out.reach[i].max() * (size_c + ec), 4))
        gram_c = Gram32.of(ci) if c.gram is None else c.gram(i, size_c)
        if gram_c is None or size_c == 0.0:
            out.flat[i] = crude
            return
        left = ai * f2, ea * float(np.abs(f2).max()), top
        out.flat[i] = min(crude, _flat(left, (b, slip_b), gram_c, (size_c, ec), peaks))

    each(one, range(tokens))
    return out


def _root(gram: np.ndarray, err: float) -> np.ndarray:
    """``L`` with ``L L^T - G`` positive semidefinite for every symmetric G within ``err`` of ``gram``.

    Cholesky of ``gram + shift I`` has a backward error of at most ``gamma_{d+1}`` times the trace in the l2 norm; half
    the shift pays for it, the other half for ``err``.
    """
    d = len(gram)
    trace = float(np.abs(np.diag(gram)).sum()) * (1 + 1e-12)
    shift = 2 * err + 4 * gamma(d + 2) * trace + 1e-290
    while True:
        try:
            return np.linalg.cholesky(gram + shift * np.eye(d))
        except np.linalg.LinAlgError:  # the midpoint may dip below zero by more than its error says
            shift *= 8
            if shift > 4 * trace + 1e-280:
                raise


def _norm(a: np.ndarray, err: float) -> float:
    return float(norms(Stack(a[None], np.array([err + 2.0**-52 * float(frobenius_up(a))])))[0])


def _unit(n: int) -> float:
    """Frobenius error of ``x x^T`` in float32, relative to ``|x|_F^2``, for x with n columns; the casts included."""
    return (n + 6) * UNIT32 * (1 + 1e-3) + 1e-30 * n


def _flat(
    left: tuple[np.ndarray, float, float],
    right: tuple[np.ndarray, float],
    gram: Gram32,
    size: tuple[float, float],
    peaks: tuple[float, float],
) -> float:
    """Rule F1 for ``A F`` (m, p), B (p, d) and C, each with its Frobenius error; float32 products, their errors added.

    H, the Hadamard product, is built in column blocks down to the diagonal block, which counts half: ``A F H F A^T`` is
    ``A F U F A^T`` plus its transpose. A F comes with an l2 norm, C as its Gram, Frobenius norm and error; ``peaks``
    are the largest row norms of B and C.
    """
    (a, ea, top), (b, eb), (fc, ec) = left, right, size
    ea += 2.0**-52 * float(frobenius_up(a))
    (a32, fa), (b32, fb) = unit32(a), unit32(b)
    if not (fa > 0.0 and eb < fb and ec < fc):  # nothing is known of a factor but its size
        return float("inf")
    width, squares, z = len(b), 0.0, np.empty(a.shape, dtype=np.float32)
    for start in range(0, width, BLOCK):
        stop = min(width, start + BLOCK)
        h = gram.block(stop, start)
        h *= b32[:stop] @ b32[start:stop].T
        squares += float(np.einsum("ij,ij->i", h, h).sum(dtype=np.float64))
        h[start:] *= 0.5
        z[:, start:stop] = pieces32(a32[:, :stop], h)
    fu = float(np.sqrt(squares)) * (1 + 1e-3)
    fh = float(np.sqrt(2.0)) * fu
    fz = float(np.sqrt(np.einsum("ij,ij->i", z, z).sum(dtype=np.float64))) * (1 + 1e-3)
    e1 = _unit(b.shape[1]) + 2 * eb / fb + (eb / fb) ** 2
    e2 = gram.error + 2 * ec / fc + float(np.sqrt(b.shape[1])) * (ec / fc) ** 2  # ec in l2: |E E^T|_F <= sqrt(d) ec^2
    # the entries of a semidefinite matrix are largest on its diagonal
    m1, m2 = ((peak / f) ** 2 * (1 + 1e-9) for peak, f in zip(peaks, (fb, fc), strict=True))
    eh = e1 * (m2 + 2 * e2) + e2 * (m1 + 2 * e1) + 2 * UNIT32 * fh
    half = pieces32(z, a32.T)
    r = (half + half.T) * (fa * fa)
    err = 2 * (ERROR32 + UNIT32) * (fz + fu) * fa**2 + eh * top**2 + (fh + eh) * (2 * top * ea + ea**2)
    return float(inflate(fb * fc * np.sqrt(psd_max(Stack(r[None], np.array([float(inflate(err, 16))])))[0]), 8))


__all__ = ["Bent", "Right", "bend"]
