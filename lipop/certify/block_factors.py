"""A transformer block's derivative in factors: products, majorants, and what errors of the factors do to its norm.

Notation. ``T`` tokens of width ``d``, ``H`` heads of width ``dk``; block ``(i, k)`` of the derivative is

    J_ik = [i = k] F_i + AO_i R_ik,    R_ik = stack over h of (p_ik^h Wv_h + y_ik^h (a_i^h)^T)        (H dk x d).

Rounding. A sum of products that passes through at most ``c`` roundings along any path differs from the exact one by at
most ``gamma(c)`` times the same expression in absolute values, whatever the order of summation. In absolute values
block ``(i, k)`` is at most ``m_ik = [i = k] |F_i| + sum_h |AO_i^h| (|p_ik^h| |Wv_h| + |y_ik^h| |a_i^h|)`` in
Frobenius norm (that of the factors), so products with J or its transpose err by at most ``gamma(c) |m|_2 |V|_F``.

Underflow costs at most ``2^-1074`` a multiplication. :meth:`BlockFactors.normalised` brings ``|m|`` near one and
refuses factors with entries above ``LARGEST``; then ``UNDERFLOW``, added to every error, exceeds all such losses
together by far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lipop.core.enclosure import frobenius_up
from lipop.core.rounding import gamma, inflate
from lipop.errors import DomainError, NonFiniteError, ShapeError

LARGEST = 1e40  # no entry of a normalised factor may be larger
UNDERFLOW = 1e-100  # more than all underflow together, for normalised factors


def nonnegative_norm(e: np.ndarray) -> float:
    """An upper bound of the l2 norm of a matrix with non-negative entries (Collatz-Wielandt).

    For ``e >= 0`` and any ``v > 0`` the spectral radius of ``e^T e`` is at most ``max_i (e^T e v)_i / v_i``.

    Examples
    --------
    >>> 5.0 <= nonnegative_norm(np.array([[3.0, 4.0]])) < 5.0001
    True
    """
    top = float(e.max(initial=0.0))
    if top == 0.0 or not math.isfinite(top):
        return top
    s = e / top
    v = np.ones(s.shape[1])
    for _ in range(50):
        w = s.T @ (s @ v)
        v = np.maximum(w / w.max(), 1e-9)
    square = inflate(float((s.T @ (s @ v) / v).max()), sum(s.shape) + 4)
    return float(inflate(top * math.sqrt(square), 8))


@dataclass(frozen=True, eq=False)
class BlockFactors:
    """The factors of ``J_ik = [i = k] F_i + sum_h AO_i^h (p_ik^h Wv_h + y_ik^h (a_i^h)^T)``, with their error radii.

    Parameters
    ----------
    F : (T, d, d) array
        What token i does to itself outside the attention sum; ``dF`` (T,): Frobenius distance to the true ones.
    AO : (T, H, d, dk) array
        Output projection of each head behind the token-wise tail; ``dAO`` (T, H), Frobenius.
    p : (H, T, T) array
        Attention probabilities ``p[h, i, k]``; ``dp`` (H, T, T), entry by entry.
    y : (H, T, T, dk) array
        ``y[h, i, k] = p_ik (v_k - o_i)``; ``dy`` (H, T, T), l2.
    a : (H, T, d) array
        Gradients of the logits of token i in the keys' tokens; ``da`` (H, T), l2.
    Wv : (H, dk, d) array
        Value projections, exact.

    Raises
    ------
    ShapeError, NonFiniteError, DomainError
        Shapes that do not fit; NaN or infinity; a negative radius.

    Examples
    --------
    >>> one, zero = np.ones, np.zeros
    >>> f = BlockFactors(F=2 * one((1, 1, 1)), dF=zero(1), AO=one((1, 1, 1, 1)), dAO=zero((1, 1)), p=one((1, 1, 1)),
    ...                  dp=zero((1, 1, 1)), y=zero((1, 1, 1, 1)), dy=zero((1, 1, 1)), a=zero((1, 1, 1)),
    ...                  da=zero((1, 1)), Wv=one((1, 1, 1)))
    >>> f.dense().tolist(), f.matvec(one((1, 1))).tolist(), f.error() < 1e-290
    ([[3.0]], [[3.0]], True)
    """

    F: np.ndarray
    dF: np.ndarray
    AO: np.ndarray
    dAO: np.ndarray
    p: np.ndarray
    dp: np.ndarray
    y: np.ndarray
    dy: np.ndarray
    a: np.ndarray
    da: np.ndarray
    Wv: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.AO)
        if len(shape) != 4 or 0 in shape:
            raise ShapeError(f"AO has shape {shape}; expected (tokens, heads, d, dk), none of them zero")
        t, h, d, k = shape
        expected = {
            "F": (t, d, d), "dF": (t,), "AO": shape, "dAO": (t, h), "p": (h, t, t), "dp": (h, t, t), "y": (h, t, t, k),
            "dy": (h, t, t), "a": (h, t, d), "da": (h, t), "Wv": (h, k, d),
        }  # fmt: skip
        for name, want in expected.items():
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != want:
                raise ShapeError(f"{name} has shape {value.shape}; AO of shape {shape} needs {want}")
            if not bool(np.isfinite(value).all()):
                raise NonFiniteError(f"{name} holds NaN or infinity; every factor and radius must be finite")
            if name.startswith("d") and bool((value < 0).any()):
                raise DomainError(f"{name} holds a negative error radius")
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(tokens, heads, d, dk)."""
        t, h, d, k = self.AO.shape
        return t, h, d, k

    @cached_property
    def heads_out(self) -> np.ndarray:
        """(T, d, H dk): the matrices ``AO_i``."""
        t, h, d, k = self.shape
        return np.ascontiguousarray(self.AO.transpose(0, 2, 1, 3)).reshape(t, d, h * k)

    def matvec(self, V: np.ndarray) -> np.ndarray:
        """``J V`` for ``V`` of shape (T, d) or (T, d, columns)."""
        t, h, d, k = self.shape
        X = V.reshape(t, d, -1)
        n = X.shape[2]
        B = (self.Wv.reshape(h * k, d) @ X).reshape(t, h, k, n)
        R = np.empty((t, h, k, n))
        for g in range(h):
            s = (self.a[g] @ X).transpose(1, 0, 2)  # (i, j, n): a_i . v_j
            R[:, g] = self.y[g].transpose(0, 2, 1) @ s
            R[:, g] += (self.p[g] @ B[:, g].reshape(t, k * n)).reshape(t, k, n)
        out = self.F @ X
        out += self.heads_out @ R.reshape(t, h * k, n)
        return out.reshape(V.shape)

    def rmatvec(self, U: np.ndarray) -> np.ndarray:
        """``J^T U`` for ``U`` of shape (T, d) or (T, d, columns)."""
        t, h, d, k = self.shape
        X = U.reshape(t, d, -1)
        n = X.shape[2]
        B = (self.heads_out.transpose(0, 2, 1) @ X).reshape(t, h, k, n)
        P = np.empty((t, h, k, n))
        out = self.F.transpose(0, 2, 1) @ X
        for g in range(h):
            P[:, g] = (self.p[g].T @ B[:, g].reshape(t, k * n)).reshape(t, k, n)
            s = (self.y[g] @ B[:, g]).transpose(1, 0, 2)  # (j, i, n): y_ij . B_i
            out += self.a[g].T @ s
        out += self.Wv.reshape(h * k, d).T @ P.reshape(t, h * k, n)
        return out.reshape(U.shape)

    @property
    def roundings(self) -> int:
        """How many roundings any path through :meth:`matvec` or :meth:`rmatvec` meets, at most."""
        t, h, d, k = self.shape
        return 2 * d + h * k + k + h + t + 16

    def dense(self) -> np.ndarray:
        """The (T d, T d) matrix, for small cases."""
        t, _, d, _ = self.shape
        R = self.p[..., None, None] * self.Wv[:, None, None]  # h,i,j,dk,d
        R = R + self.y[..., None] * self.a[:, :, None, None]
        J = (self.AO.transpose(1, 0, 2, 3)[:, :, None] @ R).sum(axis=0).transpose(0, 2, 1, 3)  # i,d,j,d
        J[np.arange(t), :, np.arange(t)] += self.F
        return J.reshape(t * d, t * d)

    @cached_property
    def _norms(self) -> tuple[np.ndarray, ...]:
        """Frobenius norms, rounded up: F (T,), AO (T, H), Wv (H,), y (H, T, T), a (H, T)."""
        rows = frobenius_up(self.y[..., None, :]), frobenius_up(self.a[..., None, :])
        return frobenius_up(self.F), frobenius_up(self.AO), frobenius_up(self.Wv), *rows

    @cached_property
    def majorants(self) -> np.ndarray:
        """(T, T) upper bounds ``m_ik`` of the Frobenius norms of the blocks, taken in absolute values."""
        f, o, wv, yn, an = self._norms
        q = np.abs(self.p) * wv[:, None, None] + yn * an[:, :, None]
        m = (o.T[:, :, None] * q).sum(axis=0) + np.diag(f)
        return inflate(m, self.shape[1] + 8)

    @cached_property
    def majorant(self) -> float:
        """``|m|_2``, an upper bound of ``|J|`` that serves the error terms."""
        return nonnegative_norm(self.majorants)

    @property
    def product_error(self) -> float:
        """Upper bound of ``|fl(J V) - J V|_F`` for ``|V|_F = 1``, and of the same for ``J^T``."""
        return float(inflate(gamma(self.roundings) * self.majorant, 4))

    def error(self) -> float:
        """Upper bound of ``|J_true - J|_2`` over all true factors within the radii.

        Block ``(i, k)`` moves by at most ``e_ik = [i = k] dF_i + sum_h (|AO_i| (dp |Wv| + dy |a_i| + |y| da_i
        + dy da_i) + dAO_i ((|p| + dp) |Wv| + (|y| + dy)(|a_i| + da_i)))``, and the norm of the matrix of the ``e_ik``
        bounds that of the matrix of blocks.
        """
        _, o, wv, yn, an = self._norms
        wv, an, da = wv[:, None, None], an[:, :, None], self.da[:, :, None]
        inner = self.dp * wv + self.dy * (an + da) + yn * da
        outer = (np.abs(self.p) + self.dp) * wv + (yn + self.dy) * (an + da)
        e = (o.T[:, :, None] * inner + self.dAO.T[:, :, None] * outer).sum(axis=0) + np.diag(self.dF)
        return nonnegative_norm(inflate(e, self.shape[1] + 16))

    def normalised(self) -> tuple[BlockFactors, int]:
        """``(g, e)`` with ``J = 2^e J_g`` and ``|m|`` of g within 2^+-100.

        Raises
        ------
        DomainError
            If an entry of a factor then exceeds ``LARGEST``.
        """
        top = self.majorant
        e = 0 if 2.0**-100 <= top <= 2.0**100 or top <= 0 else math.frexp(top)[1]
        g = self if e == 0 else replace(self, F=np.ldexp(self.F, -e), AO=np.ldexp(self.AO, -e))
        for name in ("F", "AO", "p", "y", "a", "Wv"):
            size = float(np.abs(getattr(g, name)).max())
            if not size <= LARGEST:
                raise DomainError(
                    f"factor {name} has entries up to {size:.3g} where |J| is about one; at most {LARGEST:.0e} is "
                    "certified: move powers of two between the factors"
                )
        return g, e


__all__ = ["LARGEST", "UNDERFLOW", "BlockFactors", "nonnegative_norm"]
