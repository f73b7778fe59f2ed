"""Products with the derivatives of softmax, RMSNorm and LayerNorm by their definitions, in long double."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import alike, result, row_operands


def softmax_jvp(p: Any, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """``(diag(p) - p p^T) v`` for every row; arguments as in ``lipop_kernels.softmax_jvp``.

    Examples
    --------
    >>> softmax_jvp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    p = row_operands(p, "p")
    v = alike(v, p, "v", "p")
    y = result(out, p.shape, p.dtype, p=p, v=v)
    long, w = p.astype(np.longdouble), v.astype(np.longdouble)
    y[...] = long * (w - (long * w).sum(axis=-1, keepdims=True))
    return y


def softmax_vjp(p: Any, u: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """``(diag(p) - p p^T)^T u`` for every row: the matrix is symmetric, so this is ``softmax_jvp(p, u)``.

    Examples
    --------
    >>> softmax_vjp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    return softmax_jvp(p, u, out=out)


def rms_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``diag(gain) scale (I - z z^T / n) v`` for every row; arguments as in ``lipop_kernels.rms_norm_jvp``.

    Examples
    --------
    >>> rms_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    return _normalised(z, scale, v, gain, out, before=False, centred=False)


def rms_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``scale (I - z z^T / n) diag(gain) u`` for every row; arguments as in ``lipop_kernels.rms_norm_vjp``.

    Examples
    --------
    >>> rms_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]), np.array([1.0, 3.0]))
    array([[0.5, 0.5]])
    """
    return _normalised(z, scale, u, gain, out, before=True, centred=False)


def layer_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``diag(gain) scale (I - 1 1^T / n - z z^T / n) v`` for every row; as ``lipop_kernels.layer_norm_jvp``.

    Examples
    --------
    >>> layer_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0., 0.]])
    """
    return _normalised(z, scale, v, gain, out, before=False, centred=True)


def layer_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``scale (I - 1 1^T / n - z z^T / n) diag(gain) u`` for every row; as ``lipop_kernels.layer_norm_vjp``.

    Examples
    --------
    >>> layer_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]), np.array([1.0, 3.0]))
    array([[0., 0.]])
    """
    return _normalised(z, scale, u, gain, out, before=True, centred=True)


def _normalised(z: Any, scale: Any, v: Any, gain: Any, out: Any, before: bool, centred: bool) -> np.ndarray:
    z = row_operands(z, "z")
    scale = alike(scale, z[..., 0], "scale", "each row of z")
    v = alike(v, z, "u" if before else "v", "z")
    ones = np.ones(z.shape[-1], z.dtype)
    gain = ones if gain is None else alike(gain, ones, "gain", "a row of z")
    y = result(out, z.shape, z.dtype, z=z, scale=scale, v=v, gain=gain)
    long, factor = z.astype(np.longdouble), gain.astype(np.longdouble)
    w = v.astype(np.longdouble) * (factor if before else 1)
    w = w - (w.mean(axis=-1, keepdims=True) if centred else 0) - long * (long * w).mean(axis=-1, keepdims=True)
    y[...] = w * scale.astype(np.longdouble)[..., None] * (1 if before else factor)
    return y
