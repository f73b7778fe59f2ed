"""Lanczos vectors kept in float32: the recurrence holds within what it says, and the bracket with it."""

import numpy as np
import pytest

import lipop_kernels as k
from lipop_kernels.cpu import _basis
from lipop_kernels.cpu._krylov import recurrence


@pytest.fixture
def long(monkeypatch):
    """Every vector counts as long, and is read in many strips."""
    monkeypatch.setattr(_basis, "LONG", 0)
    monkeypatch.setattr(_basis, "COLUMNS", 7)


def symmetric(seed, n, kind):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    values = {
        "flat": rng.uniform(0, 1, n),
        "decaying": np.arange(1.0, n + 1) ** -1.0,
        "indefinite": rng.standard_normal(n),
        "huge": 1e100 * rng.uniform(0, 1, n),
    }[kind]
    B = (Q * values) @ Q.T
    return 0.5 * (B + B.T)


KINDS = ("flat", "decaying", "indefinite", "huge")


@pytest.mark.parametrize("kind", KINDS)
def test_the_recurrence_holds_within_its_slip(long, kind):
    n, limit = 60, 20
    B = symmetric(1, n, kind)
    V = _basis.basis(limit, n)
    assert isinstance(V, _basis.LongRows)
    start = np.random.default_rng(2).standard_normal(n)
    V.put(0, start / np.linalg.norm(start))
    before, last = 0.0, np.zeros(n)
    for i, (alpha, beta, slip) in enumerate(recurrence(lambda v: B @ v, V)):
        v, after = V.get(i), V.get(i + 1) if beta else np.zeros(n)
        gap = B @ v - before * last - alpha * v - beta * after
        assert np.linalg.norm(gap) <= slip * (1 + 1e-9)
        assert slip <= 1e-5 * np.linalg.norm(B, 2)
        before, last = beta, v
    gram = V.gram(limit)
    rows = np.stack([V.get(i) for i in range(limit)])
    np.testing.assert_allclose(gram, rows @ rows.T, atol=1e-14)
    assert np.linalg.norm(gram - np.eye(limit)) < 1e-5
    s = np.random.default_rng(3).standard_normal(limit)
    np.testing.assert_allclose(V.combined(s), s @ rows, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_brackets_with_short_vectors_hold(long, kind):
    for seed in range(12):
        B = symmetric(seed, 40 + seed, kind)
        top = np.linalg.eigvalsh(B)[-1]
        bound = k.lanczos_upper(lambda v, B=B: B @ v, len(B), rtol=1e-3, rng=seed)
        size = np.linalg.norm(B, 2)
        assert bound.lower <= top + 1e-13 * size
        assert top - 1e-13 * size <= bound.upper <= top + 2e-3 * size
        again = k.lanczos_upper(lambda v, B=B: B @ v, len(B), steps=bound.steps, rng=seed)
        assert again.upper == bound.upper


def test_vectors_below_the_limit_stay_in_float64():
    assert isinstance(_basis.basis(3, _basis.LONG), _basis.Rows)
    assert isinstance(_basis.basis(3, _basis.LONG + 1), _basis.LongRows)


def test_long_vectors_leave_no_file_behind_and_say_where_room_is_missing(long, monkeypatch, tmp_path):
    monkeypatch.setattr(_basis, "gettempdir", lambda: str(tmp_path))
    V = _basis.basis(2, 10)
    v = np.random.default_rng(0).standard_normal(10)
    V.put(0, v)
    V.put(2, 2 * v)  # the file grows as it must
    V.put(1, -v)
    np.testing.assert_array_equal(V.get(0), v)
    np.testing.assert_allclose(V.get(1), -v, rtol=2**-23)
    np.testing.assert_allclose(V.get(2), 2 * v, rtol=2**-23)
    file = V._file

    class Full:
        def seek(self, at):
            pass

        def write(self, data):
            raise OSError(28, "No space left on device")

    V._file = Full()
    with pytest.raises(OSError, match=f"{tmp_path} needs .* MB for Lanczos vectors.*No space left"):
        V.put(1, v)
    V._file = file
    del V
    assert file.closed
