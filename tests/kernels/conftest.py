"""Matrices that are hard for norm bounds, and how many of them to try."""

import os

import numpy as np
import pytest

PROFILE = os.environ.get("LIPOP_TEST_PROFILE", "dev")


def count(dev: int, ci: int, nightly: int = 10_000) -> int:
    """How many cases the profile asks for."""
    return {"dev": dev, "ci": ci, "nightly": nightly}[PROFILE]


def orthogonal(rng, n):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def with_spectrum(rng, m, values):
    """An m x n matrix whose singular values are close to ``values``."""
    n = len(values)
    return np.linalg.qr(rng.standard_normal((m, n)))[0] @ (np.asarray(values)[:, None] * orthogonal(rng, n))


FAMILIES = {
    "gaussian": lambda rng, m, n: rng.standard_normal((m, n)),
    "rank one": lambda rng, m, n: np.outer(rng.standard_normal(m), rng.standard_normal(n)),
    "rank deficient": lambda rng, m, n: rng.standard_normal((m, 2)) @ rng.standard_normal((2, n)),
    "ones": lambda rng, m, n: np.ones((m, n)),
    "integers": lambda rng, m, n: rng.integers(-3, 4, (m, n)).astype(float) + np.eye(m, n),
    "orthogonal": lambda rng, m, n: with_spectrum(rng, m, np.ones(n)),
    "cluster": lambda rng, m, n: with_spectrum(rng, m, 1.0 - 1e-12 * np.arange(n)),
    "two equal": lambda rng, m, n: with_spectrum(rng, m, np.r_[np.ones(min(2, n)), np.linspace(0.5, 0, n)[2:]]),
    "graded": lambda rng, m, n: rng.standard_normal((m, n)) * 10.0 ** -np.linspace(0, 30, n),
    "graded both": lambda rng, m, n: rng.standard_normal((m, n)) * 10.0 ** (np.arange(n) - 3.0 * np.arange(m)[:, None]),
    "hilbert": lambda rng, m, n: 1.0 / (np.arange(m)[:, None] + np.arange(n) + 1.0),
    "huge": lambda rng, m, n: rng.standard_normal((m, n)) * 1e150,
    "largest": lambda rng, m, n: rng.uniform(-1, 1, (m, n)) * 1e307,
    "tiny": lambda rng, m, n: rng.standard_normal((m, n)) * 1e-150,
    "denormal": lambda rng, m, n: rng.integers(-900, 900, (m, n)) * 5e-324 + np.eye(m, n) * 5e-324,
    "huge and tiny": lambda rng, m, n: np.where(rng.random((m, n)) < 0.5, 1e200, 1e-200) * rng.standard_normal((m, n)),
    "one entry": lambda rng, m, n: np.eye(1, m * n, int(rng.integers(m * n))).reshape(m, n) * 3.0,
    "float32": lambda rng, m, n: rng.standard_normal((m, n)).astype(np.float32),
}


def cases(number, seed, largest=8):
    """About ``number`` pairs (label, non-zero matrix), every family in turn, tall, wide and square, single rows too."""
    names = list(FAMILIES)
    for i in range(number):
        rng = np.random.default_rng([seed, i])
        m, n = (int(k) for k in np.sort(rng.integers(1, largest + 1, 2))[::-1])
        A = FAMILIES[names[i % len(names)]](rng, m, n)
        if not A.any():  # the zero matrix has tests of its own
            continue
        yield f"{names[i % len(names)]} {m}x{n} #{i}", np.ascontiguousarray(A.T) if i % 3 == 1 else A


@pytest.fixture(name="count")
def _count():
    return count


@pytest.fixture(name="cases")
def _cases():
    return cases


@pytest.fixture(name="spectrum")
def _spectrum():
    return with_spectrum
