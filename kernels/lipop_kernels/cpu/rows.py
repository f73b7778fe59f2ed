"""Products with the derivatives of softmax, RMSNorm and LayerNorm from cached quantities of the rows, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._checks import alike, result, row_operands
from lipop_kernels.cpu._lazy import loops


def softmax_jvp(p: Any, v: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J v = p * (v - <p, v>)`` for every row: the derivative of softmax where its value is p.

    Parameters
    ----------
    p : (..., n) array
        The probabilities; float64 or float32.
    v : array like p
    out : array, optional
        Receives the result; it may not share memory with an input.

    Returns
    -------
    array like p
        Within ``g_{n+2} |p_i| (|v_i| + <|p|, |v|>) + e (2 + n |p_i|)``, ``g_k = k u / (1 - k u)``, u the unit roundoff
        and e the smallest positive number of the type (no overflow). NaN and infinity stay within their rows.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> softmax_jvp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    p = row_operands(p, "p")
    v = alike(v, p, "v", "p")
    return _rows("softmax", [p, v], result(out, p.shape, p.dtype, p=p, v=v))


def softmax_vjp(p: Any, u: Any, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J^T u`` for every row. The derivative ``diag(p) - p p^T`` is symmetric, so this is ``softmax_jvp(p, u)``.

    Examples
    --------
    >>> softmax_vjp(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    array([-0.375,  0.375])
    """
    return softmax_jvp(p, u, out=out)


def rms_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J v = gain * scale * (v - z mean(z v))`` for every row: the derivative of RMSNorm.

    Parameters
    ----------
    z : (..., n) array
        The normalised rows, before the gain; float64 or float32.
    scale : (...) array
        One over the root mean square of each row (with its eps).
    v : array like z
    gain : (n,) array, optional
    out : array, optional
        Receives the result; it may not share memory with an input.

    Returns
    -------
    array like z
        Within ``g_{n+6} |gain_i| scale (|v_i| + |z_i| mean|z v|) + e (1 + |gain_i| (1 + scale (3 + |z_i| (2 +
        mean|z|))))``, with the symbols of ``softmax_jvp``.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> rms_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0.5, 0.5]])
    """
    return _normalised("rms_norm", z, scale, v, gain, out, before=False)


def rms_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J^T u = scale * (w - z mean(z w))`` with ``w = gain * u``, for every row (see ``rms_norm_jvp``).

    Returns
    -------
    array like z
        Within ``g_{n+6} scale (|w_i| + |z_i| mean|z w|) + e (2 + scale (3 + |z_i| (2 + mean|z|)))``.

    Examples
    --------
    >>> rms_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]), np.array([1.0, 3.0]))
    array([[0.5, 0.5]])
    """
    return _normalised("rms_norm", z, scale, u, gain, out, before=True)


def layer_norm_jvp(z: Any, scale: Any, v: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J v = gain * scale * (v - mean(v) - z mean(z v))`` for every row: the derivative of LayerNorm.

    Parameters
    ----------
    z : (..., n) array
        The normalised rows, before the gain; float64 or float32.
    scale : (...) array
        One over the standard deviation of each row (with its eps).
    v : array like z
    gain : (n,) array, optional
    out : array, optional
        Receives the result; it may not share memory with an input.

    Returns
    -------
    array like z
        Within ``g_{n+6} |gain_i| scale (|v_i| + mean|v| + |z_i| mean|z v|) + e (1 + |gain_i| (1 + scale (3 + |z_i| (2 +
        mean|z|))))``, with the symbols of ``softmax_jvp``.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or ``out`` cannot be written or overlaps an input.

    Examples
    --------
    >>> layer_norm_jvp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]))
    array([[0., 0.]])
    """
    return _normalised("layer_norm", z, scale, v, gain, out, before=False)


def layer_norm_vjp(z: Any, scale: Any, u: Any, gain: Any = None, *, out: np.ndarray | None = None) -> np.ndarray:
    """``J^T u = scale * (w - mean(w) - z mean(z w))`` with ``w = gain * u``, for every row (see ``layer_norm_jvp``).

    Returns
    -------
    array like z
        Within ``g_{n+6} scale (|w_i| + mean|w| + |z_i| mean|z w|) + e (2 + scale (3 + |z_i| (2 + mean|z|)))``.

    Examples
    --------
    >>> layer_norm_vjp(np.array([[1.0, -1.0]]), np.array([0.5]), np.array([[2.0, 0.0]]), np.array([1.0, 3.0]))
    array([[0., 0.]])
    """
    return _normalised("layer_norm", z, scale, u, gain, out, before=True)


def _normalised(name: str, z: Any, scale: Any, v: Any, gain: Any, out: Any, before: bool) -> np.ndarray:
    z = row_operands(z, "z")
    scale = alike(scale, z[..., 0], "scale", "each row of z")
    v = alike(v, z, "u" if before else "v", "z")
    n = z.shape[-1]
    ones = np.ones(n, z.dtype)
    gain = ones if gain is None else alike(gain, ones, "gain", "a row of z")
    y = result(out, z.shape, z.dtype, z=z, scale=scale, v=v, gain=gain)
    return _rows(name, [z, scale, gain if before else ones, ones if before else gain, v], y)


def _rows(name: str, inputs: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Run a compiled kernel: rows, for norms the scales of the rows and two gains, rows, and the rows of the result."""
    if not y.size:
        return y
    whole = y.flags.c_contiguous and y.flags.aligned
    target = y if whole else np.empty(y.shape, y.dtype)
    first, *scale_and_gains, last = (np.ascontiguousarray(a) for a in inputs)
    per_row = [a.reshape(-1, y.shape[-1]) for a in (first, last, target)]
    scales, gains = [a.ravel() for a in scale_and_gains[:1]], scale_and_gains[1:]
    numba = loops("rows_numba")
    loop = numba.compiled(name, y.dtype.char, *([2, 1, 1, 1, 2, 2] if gains else [2, 2, 2]))

    def some_rows(part: slice) -> None:
        a, b, c = (rows[part] for rows in per_row)
        loop(a, *(s[part] for s in scales), *gains, b, c)

    numba.over_rows(some_rows, len(per_row[0]), 3 * y.nbytes)
    if not whole:
        y[...] = target
    return y
