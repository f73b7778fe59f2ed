"""Compiled products with tiles of four rows: x (or y) is loaded once for all four.

A is (m, n) in a storage of ``_storage``; vectors along its rows are (b, parts, n / parts), vectors along its columns
(b, m). A row is taken out of A before a loop, because indexing with an offset hinders vectorisation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lipop_kernels.cpu._storage import FLAGS, contiguous, product, update, update_by_one, value

inner = njit(fastmath=FLAGS)  # inlined into what `compiled` compiles


@inner
def _four(A, i):
    return contiguous(A[i]), contiguous(A[i + 1]), contiguous(A[i + 2]), contiguous(A[i + 3])


@inner
def _dot(a, x0, x1):
    s = x0.dtype.type(0)
    for j in range(x0.size):
        s += product(a[j], x0, x1, j)
    return s


@inner
def _dots(A, i, x0, x1):
    """Rows i .. i + 3 of A times x."""
    a0, a1, a2, a3 = _four(A, i)
    s0 = s1 = s2 = s3 = x0.dtype.type(0)
    for j in range(x0.size):
        s0 += product(a0[j], x0, x1, j)
        s1 += product(a1[j], x0, x1, j)
        s2 += product(a2[j], x0, x1, j)
        s3 += product(a3[j], x0, x1, j)
    return s0, s1, s2, s3


@inner
def _dots_of_two(A, i, x0, x1, z0, z1):
    """Rows i .. i + 3 of A times x and times z: each entry of A is decoded once for both."""
    a0, a1, a2, a3 = _four(A, i)
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = x0.dtype.type(0)
    for j in range(x0.size):
        s0 += product(a0[j], x0, x1, j)
        s1 += product(a1[j], x0, x1, j)
        s2 += product(a2[j], x0, x1, j)
        s3 += product(a3[j], x0, x1, j)
        t0 += product(a0[j], z0, z1, j)
        t1 += product(a1[j], z0, z1, j)
        t2 += product(a2[j], z0, z1, j)
        t3 += product(a3[j], z0, z1, j)
    return (s0, s1, s2, s3), (t0, t1, t2, t3)


@inner
def _add(A, i, s, y0, y1):
    """y += s[0] A[i] + ... + s[3] A[i + 3]."""
    a0, a1, a2, a3 = _four(A, i)
    for j in range(y0.size):
        update(y0, y1, j, s, (a0[j], a1[j], a2[j], a3[j]))


@inner
def _add_to_two(A, i, s, y0, y1, t, z0, z1):
    a0, a1, a2, a3 = _four(A, i)
    for j in range(y0.size):
        update(y0, y1, j, s, (a0[j], a1[j], a2[j], a3[j]))
        update(z0, z1, j, t, (a0[j], a1[j], a2[j], a3[j]))


@inner
def _sweep(A, i, k, s, x0, x1, y0, y1):
    """Rows i .. i + 3 times x, and y += the four rows from k on times s: one read of memory, one of the cache."""
    a0, a1, a2, a3 = _four(A, i)
    b0, b1, b2, b3 = _four(A, k)
    s0 = s1 = s2 = s3 = x0.dtype.type(0)
    for j in range(x0.size):
        s0 += product(a0[j], x0, x1, j)
        s1 += product(a1[j], x0, x1, j)
        s2 += product(a2[j], x0, x1, j)
        s3 += product(a3[j], x0, x1, j)
        update(y0, y1, j, s, (b0[j], b1[j], b2[j], b3[j]))
    return s0, s1, s2, s3


@inner
def _image_tile(A, i, X, w):
    """w[c, :4] += rows i .. i + 3 of A times X[c]."""
    b, last = X.shape[0], X.shape[1] - 1
    for c in range(0, b - 1, 2):
        s, t = _dots_of_two(A, i, X[c, 0], X[c, last], X[c + 1, 0], X[c + 1, last])
        for k in range(4):
            w[c, k] += s[k]
            w[c + 1, k] += t[k]
    if b % 2:
        s = _dots(A, i, X[b - 1, 0], X[b - 1, last])
        for k in range(4):
            w[b - 1, k] += s[k]


@inner
def _adjoint_tile(A, i, u, Y):
    """Y[c] += u[c, 0] A[i] + ... + u[c, 3] A[i + 3]."""
    b, last = Y.shape[0], Y.shape[1] - 1
    for c in range(0, b - 1, 2):
        s = (u[c, 0], u[c, 1], u[c, 2], u[c, 3])
        t = (u[c + 1, 0], u[c + 1, 1], u[c + 1, 2], u[c + 1, 3])
        _add_to_two(A, i, s, Y[c, 0], Y[c, last], t, Y[c + 1, 0], Y[c + 1, last])
    if b % 2:
        c = b - 1
        _add(A, i, (u[c, 0], u[c, 1], u[c, 2], u[c, 3]), Y[c, 0], Y[c, last])


@inner
def _image_row(A, i, X, c):
    return _dot(contiguous(A[i]), X[c, 0], X[c, X.shape[1] - 1])


@inner
def _adjoint_row(A, i, s, Y, c):
    a, y0, y1 = contiguous(A[i]), Y[c, 0], Y[c, Y.shape[1] - 1]
    for j in range(y0.size):
        update_by_one(y0, y1, j, s, a[j])


# ---- what is compiled by name: A, inputs, then the array that is added to ----


def image(A, X, W):
    """W += X A^T: every row of A times every X[c]."""
    m = A.shape[0]
    for i in range(0, m - 3, 4):
        _image_tile(A, i, X, W[:, i : i + 4])
    for i in range(m - m % 4, m):
        for c in range(X.shape[0]):
            W[c, i] += _image_row(A, i, X, c)


def adjoint(A, U, Y):
    """Y += U A: the rows of A times U, summed."""
    m = A.shape[0]
    for i in range(0, m - 3, 4):
        _adjoint_tile(A, i, U[:, i : i + 4], Y)
    for i in range(m - m % 4, m):
        for c in range(U.shape[0]):
            _adjoint_row(A, i, U[c, i], Y, c)


def gram(A, X, Y):
    """Y[0] += X[0] A^T A: the update with four rows runs beside the products of the next four.

    So memory is read all the time, and every row is read from memory once.
    """
    m, last = A.shape[0], X.shape[1] - 1
    whole = m - m % 4
    x0, x1, y0, y1 = X[0, 0], X[0, last], Y[0, 0], Y[0, last]
    if whole:
        s = _dots(A, 0, x0, x1)
        for i in range(4, whole, 4):
            s = _sweep(A, i, i - 4, s, x0, x1, y0, y1)
        _add(A, whole - 4, s, y0, y1)
    for i in range(whole, m):
        _adjoint_row(A, i, _image_row(A, i, X, 0), Y, 0)


def gram_of_several(A, X, Y):
    """Y += X A^T A: all products with a tile of four rows while it is in the cache."""
    m, b = A.shape[0], X.shape[0]
    w = np.empty((b, 4), dtype=X.dtype)
    for i in range(0, m - 3, 4):
        w[:] = 0
        _image_tile(A, i, X, w)
        _adjoint_tile(A, i, w, Y)
    for i in range(m - m % 4, m):
        for c in range(b):
            _adjoint_row(A, i, _image_row(A, i, X, c), Y, c)


_image, _adjoint, _gram = inner(image), inner(adjoint), inner(gram)


def image_of_one(A, x, y):
    """y = A x."""
    y[:] = 0
    _image(A, x.reshape(1, 1, x.size), y.reshape(1, y.size))


def adjoint_of_one(A, x, y):
    """y = A^T x."""
    y[:] = 0
    _adjoint(A, x.reshape(1, x.size), y.reshape(1, 1, y.size))


def gram_of_one(A, x, y):
    """y = A^T A x."""
    y[:] = 0
    _gram(A, x.reshape(1, 1, x.size), y.reshape(1, 1, y.size))


def bounded_image(A, v, scale, w):
    """w[0] = scale A v and w[1] = scale |A| |v| in float64, scale a power of two."""
    for i in range(A.shape[0]):
        row = contiguous(A[i])
        s, t = np.float64(0.0), np.float64(0.0)
        for j in range(row.size):
            term = np.float64(value(row[j])) * scale[0] * v[j]
            s += term
            t += abs(term)
        w[0, i], w[1, i] = s, t
