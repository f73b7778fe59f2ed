"""Fresh lower values against which bounds that hold with high probability are tried: a short Lanczos run, newly seeded.

Written apart from the kernels that made the bounds, so that one mistake cannot hide the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lipop.core.bound import Claim, Subject
from lipop.core.linearization import LinearOperator
from lipop.core.operator import Operator
from lipop.core.region import Ball

STEPS = 16


def top_vector(
    product: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], seed: int, steps: int = STEPS
) -> np.ndarray:
    """A unit vector near the top eigenvector of a symmetric map, by Lanczos with full reorthogonalisation.

    >>> v = top_vector(lambda v: np.array([1.0, 5.0, 2.0]) * v, (3,), seed=0)
    >>> bool(abs(v[1]) > 1 - 1e-12)
    True
    """
    q = np.random.default_rng(seed).standard_normal(int(np.prod(shape)))
    q /= np.linalg.norm(q)
    basis, images = [q], []
    for _ in range(min(steps, q.size)):
        w = product(basis[-1].reshape(shape)).ravel()
        images.append(w)
        B = np.array(basis)
        rest = w - B.T @ (B @ w)
        rest -= B.T @ (B @ rest)
        size = float(np.linalg.norm(rest))
        if size <= 1e-14 * float(np.linalg.norm(w)) or len(basis) == q.size:
            break
        basis.append(rest / size)
    B = np.array(basis[: len(images)])
    H = B @ np.array(images).T
    top = np.linalg.eigh((H + H.T) / 2)[1][:, -1] @ B
    return (top / np.linalg.norm(top)).reshape(shape)


def linear_map(subject: Subject, claim: Claim) -> LinearOperator | None:
    """The linear map whose norm (or symmetric part) a leaf bounds, where there is one."""
    if isinstance(subject, Operator):
        point = claim.region
        return subject.derivative(point.center) if isinstance(point, Ball) and point.radius == 0 else None
    tail = getattr(subject, "tail", None) or getattr(subject, "_tail", None)
    return None if tail is None else tail(claim.region)


def fresh_lower(subject: Subject, claim: Claim, seed: int) -> float | None:
    """A value that the leaf's quantity reaches, up to float64 rounding (None where the leaf bounds no linear map)."""
    J = linear_map(subject, claim)
    if J is None:
        return None
    if claim.quantity == "dahlquist":
        v = top_vector(lambda v: 0.5 * (J.matvec(v) + J.rmatvec(v)), J.shape_in, seed)
        image = J.matvec(v)
        return float((v * image).sum()) - 1e-10 * float(np.linalg.norm(image))
    v = top_vector(lambda v: J.rmatvec(J.matvec(v)), J.shape_in, seed)
    return float(np.linalg.norm(J.matvec(v))) * (1 - 1e-10)


__all__ = ["fresh_lower", "linear_map", "top_vector"]
