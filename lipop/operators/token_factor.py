"""What a token-wise map shows to the chain rules: its derivative at every token and how that may move.

For a map f acting on every token by itself, at an enclosure of its input, for all w' near the centre and every token i,

    Df_i(w') = M_i + A_i E_i(w') C_i + R_i,        |R_i| <= rounding_i,

where the core E is either small in norm (``|E_i| <= s_i``, kind "norm": normalisation layers, ``A`` = gain times
centring, ``C`` = centring) or diagonal with small entries (``|e_ik| <= r_ik``, kind "diagonal": activations between
two matrices), or absent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lipop.core.enclosure import Enclosed, Stack, frobenius_up
from lipop.core.linearization import LinearOperator
from lipop.core.rounding import gamma

Product = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class RankOne:
    """``M_i = alpha_i (L - x_i y_i^T)``: products with fixed matrices cost one outer product a token."""

    L: np.ndarray
    alpha: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def under(self, left: np.ndarray) -> Callable[[int], np.ndarray]:
        """``i -> left @ M_i``."""
        fixed, x = left @ self.L, self.x @ left.T
        return lambda i: (fixed - np.outer(x[i], self.y[i])) * self.alpha[i]

    def over(self, right: np.ndarray) -> Callable[[int], np.ndarray]:
        """``i -> M_i @ right``."""
        fixed, y = self.L @ right, self.y @ right
        return lambda i: (fixed - np.outer(self.x[i], y[i])) * self.alpha[i]


@dataclass(frozen=True, eq=False)
class TokenFactor:
    """One token-wise factor, linearised at every token.

    Parameters
    ----------
    M : Stack (T, m, n) or (1, m, n)
        The derivative; its error covers the stored structured form as well as the true derivative at the
        centre.
    J : LinearOperator
        The same derivative, exact as stored in structured form, on (T, n) arrays.
    kind : "norm" | "diagonal" | "none"
    A, C : Stack or None
        Left and right factor of the deviation (``None``: the identity).
    core : callable or None
        ``core(radius)``: for "norm", radius (T,) in l2 after C -> s (T,); for "diagonal", radius (T, p) entry by entry
        after C -> r (T, p). Rounded up, the enclosure of the centre included.
    curvature : (T, p) array or None
        For "diagonal": the derivative of the core's entries along the pre-activation at the centre (f'').
    remainder : callable or None
        ``remainder(radius, linear)``: for "diagonal", bound of ``|e_k - curvature_k (z'_k - z_k)|`` plus
        ``|curvature_k|`` times the part of the movement beyond ``linear``, entry by entry.
    rank_one : RankOne or None
        The derivative as a fixed matrix less a rank-one one, where it is of that form (normalisation layers).
    size : (T,) array or None
        Bounds of the derivative's norms, where they come for free.
    center_error : (T,) array
        l2 distance between the stored and the true input of the factor, token by token, at most.
    """

    M: Stack
    J: LinearOperator
    kind: Literal["norm", "diagonal", "none"]
    A: Stack | None
    C: Stack | None
    core: Callable[[np.ndarray], np.ndarray] | None
    center_error: np.ndarray
    curvature: np.ndarray | None = None
    remainder: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    apply_C: Product | None = None
    adjoint_C: Product | None = None
    rank_one: RankOne | None = None
    size: np.ndarray | None = None

    @property
    def rounding(self) -> np.ndarray:
        """(T,) bound of the l2 distance between the stored and the true derivative at the centre."""
        return 2.0 * self.M.err

    def plus_identity(self) -> TokenFactor:
        """The factor of ``x + f(x)``."""
        M = self.M + Stack.exact(np.eye(self.M.shape[-1]))
        return replace(self, M=M, J=LinearOperator.identity(self.J.shape_in) + self.J, rank_one=None, size=None)


def row_errors(x: Enclosed) -> np.ndarray:
    """(T,) l2 errors of the rows of an enclosure."""
    return frobenius_up(np.ascontiguousarray(x.radius)[:, None, :])


def linear_factor(matrix: np.ndarray, error: float, x: Enclosed) -> TokenFactor:
    """The factor of a linear map: nothing moves."""
    tokens = x.shape[0]
    size = float(frobenius_up(matrix))
    J = LinearOperator(
        (tokens, matrix.shape[1]),
        (tokens, matrix.shape[0]),
        lambda v: v @ matrix.T,
        lambda u: u @ matrix,
        majorant=size,
        product_error=gamma(sum(matrix.shape)) * size,
    )
    return TokenFactor(Stack(matrix[None], np.array([error])), J, "none", None, None, None, row_errors(x))
