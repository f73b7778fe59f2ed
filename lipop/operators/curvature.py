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
from lipop.operators.token_norms import ERROR32, norms, pieces32, product32_rows, psd_max, unit32

Matrices = Callable[[int], np.ndarray]


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


def bend(a: Matrices, a_err: np.ndarray, c: Matrices, c_err: np.ndarray, gram: Stack, curvature: np.ndarray) -> Bent:
    """Work through the tokens: ``a(i)`` (m, p) and ``c(i)`` (p, d) are the factors around the diagonal at token i.

    Parameters
    ----------
    a, c : callable
        The matrices as stored; ``a_err``, ``c_err`` (T,) bound their Frobenius errors.
    gram : Stack (T, d, d)
    curvature : (T, p) array
        f'' at the pre-activations.
    """
    tokens, width = curvature.shape
    out = Bent(*(np.empty(s) for s in [(tokens, width), (tokens,), (tokens,), *[(tokens, width)] * 3, (tokens,)]))

    def one(i: int) -> None:
        ai, ci, ea, ec = a(i), c(i), float(a_err[i]), float(c_err[i])
        d, f2 = ci.shape[1], curvature[i]
        root = _root(gram.mid[i], float(gram.err[i]))
        rows_c = np.sqrt(np.einsum("pd,pd->p", ci, ci)) * (1 + gamma(d + 4))
        scale = np.maximum(rows_c, 1e-300)[:, None]
        b, slip = product32_rows(ci / scale, root)  # each row to within slip of its own size
        size_root = float(frobenius_up(root))
        b *= scale
        slip_b = slip * float(frobenius_up(ci)) * (1 + 1e-9) + ec * size_root  # |fl(C L) - C L|_F, C's error included
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
        out.flat[i] = _flat(ai * f2, ea * float(np.abs(f2).max()), b, slip_b, ci, ec)

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


def _flat(a: np.ndarray, ea: float, b: np.ndarray, eb: float, c: np.ndarray, ec: float) -> float:
    """Rule F1 for ``A F`` (m, p), B and C (p, d), each with its Frobenius error; float32 products, their errors
    added."""
    ea += 2.0**-52 * float(frobenius_up(a))
    (b32, fb), (c32, fc) = unit32(b), unit32(c)
    if fb == 0.0 or fc == 0.0:
        return 0.0
    unit = (c.shape[1] + 6) * 2.0**-24 * (1 + 1e-3) + 1e-30 * b.size  # float32, casts included
    g1, g2 = b32 @ b32.T, c32 @ c32.T  # B B^T / fb^2 and C C^T / fc^2
    e1, e2 = unit + 2 * eb / fb + (eb / fb) ** 2, unit + 2 * ec / fc + (ec / fc) ** 2
    m1, m2 = (
        float(np.diag(g1).max()) + 2 * e1,
        float(np.diag(g2).max()) + 2 * e2,
    )  # semidefinite: largest on the diagonal
    h = np.multiply(g1, g2, out=g1)
    fh = float(np.sqrt(np.einsum("ij,ij->i", h, h).sum(dtype=np.float64))) * (1 + 1e-3)
    eh = e1 * m2 + e2 * m1 + 2.0**-23 * fh
    size = _norm(a, ea)
    a32, fa = unit32(a)
    z32, fz = unit32(pieces32(a32, h))  # A F H / fa, to within ERROR32 fh
    r = pieces32(z32, a32.T) * (fz * fa * fa)
    err = ERROR32 * (fz + fh) * fa**2 + size**2 * eh + (fh + eh) * (2 * size * ea + ea**2)
    sym = Stack((0.5 * (r + r.T))[None], np.array([float(inflate(err, 16))]))
    return float(inflate(fb * fc * np.sqrt(psd_max(sym)[0]), 8))


__all__ = ["Bent", "bend"]
