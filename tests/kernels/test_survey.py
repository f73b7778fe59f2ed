"""`survey_norm`: brackets of stored matrices from few reads, against NumPy, the reference and noisy products."""

import tracemalloc
from math import fsum

import numpy as np
import pytest

from lipop_kernels import cpu, ref, spectral_norm, spectral_norm_upper, survey_norm
from lipop_kernels._common import decoded, stored

SHAPES = [(1, 1), (1, 40), (40, 1), (5, 7), (33, 64), (300, 120), (120, 300), (1100, 700)]
STORED = ["bf16", "f16", "f32", "f64"]


def store(A, kind):
    """A rounded to a storage: the array, and the keyword that says what its bits mean."""
    if kind == "bf16":
        return (A.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), {"dtype": "bf16"}
    return A.astype({"f16": np.float16, "f32": np.float32, "f64": np.float64}[kind]), {}


def values(A, options):
    bits, kind = stored(A, options.get("dtype"))
    return decoded(bits, kind).astype(np.float64)


def frobenius(A):
    return fsum((A * A).ravel()) ** 0.5


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("decay", [0.0, 0.5, 2.0])
def test_the_brackets_are_true_and_narrow(m, n, kind, decay):
    rng = np.random.default_rng([m, n])
    A, options = store(rng.standard_normal((m, n)) * np.arange(1.0, n + 1) ** -decay, kind)
    truth = values(A, options)
    b = survey_norm(A, **options)
    assert b.lower <= np.linalg.norm(truth, 2) * (1 + 1e-13)
    assert np.linalg.norm(truth, 2) * (1 - 1e-13) <= b.upper <= 1.01 * b.lower
    assert b.frobenius_lower <= frobenius(truth) * (1 + 1e-15)
    assert frobenius(truth) * (1 - 1e-15) <= b.frobenius_upper <= b.frobenius_lower * (1 + 1e-11)
    assert np.linalg.norm(truth @ b.vector) >= b.lower * np.linalg.norm(b.vector)
    assert len(b.alphas) == len(b.betas) == b.steps < b.passes


@pytest.mark.parametrize("kind", STORED)
def test_the_reference_agrees(kind):
    A, options = store(np.random.default_rng(3).standard_normal((9, 6)), kind)
    ours, plain = cpu.survey_norm(A, **options), ref.survey_norm(A, **options)
    assert max(ours.lower, plain.lower) <= min(ours.upper, plain.upper)
    assert ours.frobenius_lower <= plain.frobenius_lower <= plain.frobenius_upper <= ours.frobenius_upper


def test_hard_families(count, cases):
    for label, A in cases(count(60, 300), 11):
        b = survey_norm(A)
        assert b.lower <= spectral_norm_upper(A, rtol=1e-9), label
        assert spectral_norm(A, tol=1e-12)[0] <= b.upper, label
        assert b.frobenius_lower <= b.frobenius_upper, label
        assert b.lower <= b.frobenius_upper, label


def test_no_start_deceives_it():
    """Two nearly equal top values far above the rest: a start close to the lower one's vector would mislead."""
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    A = ((q * np.r_[1.0, 0.999, np.linspace(0.5, 0.0, 58)]) @ q.T).astype(np.float32)
    norm = np.linalg.norm(A.astype(np.float64), 2)
    for seed in range(200):
        b = survey_norm(A, rtol=0.05, rng=seed)
        assert b.lower <= norm * (1 + 1e-13)
        assert norm <= b.upper


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 1e-2])
def test_the_error_of_the_products_is_measured(monkeypatch, noise):
    """Products that are wrong by more than float32 explains widen the bracket; its ends stay true."""
    from lipop_kernels.cpu import _survey_numba, survey

    rng = np.random.default_rng(1)
    A = rng.standard_normal((90, 70)).astype(np.float32)
    norm = np.linalg.norm(A.astype(np.float64), 2)
    plain = survey_norm(A, rtol=1e-3)
    exact = _survey_numba.gram_short

    def noisy(A, kind, x):
        e = abs(rng.standard_normal(x.shape))
        return exact(A, kind, x) - noise * norm**2 * np.sign(x) * e / np.linalg.norm(e)

    monkeypatch.setattr(_survey_numba, "gram_short", noisy)
    monkeypatch.setattr(survey._Run, "_short_error", lambda run, frobenius: np.inf)  # nothing is known beforehand
    for seed in range(20):
        b = survey_norm(A, rtol=1e-3, rng=seed)
        assert b.lower <= norm <= b.upper
        assert b.upper - b.lower >= 0.2 * noise * norm
    assert plain.upper <= plain.lower * 1.001


@pytest.mark.parametrize("kind", ["bf16", "f16", "f32"])
@pytest.mark.parametrize(("m", "n"), [(1, 3), (2, 5), (3, 4), (7, 2500), (1030, 33), (258, 2050)])
def test_short_sums_err_by_less_than_their_bound(m, n, kind):
    """Against exact sums of products, for random, graded and positive data, which has the largest errors."""
    from lipop_kernels.cpu._survey_numba import TILES, WIDTH, gram_short

    rng = np.random.default_rng([m, n])
    terms = (min(WIDTH, n) + TILES + 16) * 2.0**-24
    for scale in (1.0, 10.0 ** -rng.uniform(0, 3, n)):
        for sign in (1.0, rng.choice([-1.0, 1.0], (m, n))):
            bits, options = store(sign * np.exp(rng.standard_normal((m, n))) * scale, kind)
            A, x = values(bits, options).astype(np.longdouble), rng.uniform(0.5, 1.0, n)
            y = gram_short(bits.view(np.uint16) if kind == "f16" else bits, kind, x)
            bound = terms / (1 - terms) * (abs(A).T @ (abs(A) @ x))
            assert (abs(y - A.T @ (A @ x)) <= bound).all()


def test_both_bounds_of_the_error_are_used():
    """A decaying spectrum needs no measurement; a large Gaussian one is measured once, in one pass more."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((1200, 1000)).astype(np.float32)
    decaying, gaussian = survey_norm(A * np.arange(1.0, 1001, dtype=np.float32) ** -0.5), survey_norm(A)
    assert decaying.passes == decaying.steps + 2 <= 20
    assert gaussian.passes == gaussian.steps + 2 <= 90


def test_a_run_is_repeated_by_its_number_of_steps():
    A, options = store(np.random.default_rng(5).standard_normal((400, 300)), "bf16")
    b = survey_norm(A, rng=7, **options)
    again = survey_norm(A, rng=7, steps=b.steps, **options)
    assert again.steps == b.steps
    assert again.upper == pytest.approx(b.upper, rel=1e-4)
    assert again.lower == pytest.approx(b.lower, rel=1e-6)


@pytest.mark.parametrize(("kind", "scale"), [("f64", 1e-200), ("f64", 1e200), ("f32", 1e-30), ("f32", 1e30)])
def test_far_from_one(kind, scale):
    A = np.random.default_rng(2).standard_normal((30, 20)) * scale
    A = store(A, kind)[0]
    truth = np.linalg.norm(A.astype(np.float64) / scale, 2)
    b = survey_norm(A)
    assert b.lower / scale <= truth * (1 + 1e-13)
    assert truth * (1 - 1e-13) <= b.upper / scale <= 1.01 * b.lower / scale
    assert b.frobenius_lower / scale <= np.linalg.norm(A / scale) * (1 + 1e-13)
    assert np.linalg.norm(A / scale) * (1 - 1e-13) <= b.frobenius_upper / scale


@pytest.mark.parametrize("kind", STORED)
def test_zero(kind):
    A, options = store(np.zeros((3, 4)), kind)
    b = survey_norm(A, **options)
    assert (b.lower, b.upper, b.frobenius_lower, b.frobenius_upper, b.steps) == (0, 0, 0, 0, 0)


def test_an_unaligned_matrix():
    A = np.random.default_rng(4).standard_normal((30, 20)).astype(np.float32)
    shifted = np.frombuffer(b"\0" + A.tobytes(), np.uint8)[1:].view(np.float32).reshape(A.shape)
    assert survey_norm(shifted).upper == survey_norm(A).upper


def test_the_matrix_is_never_copied():
    A, options = store(np.random.default_rng(6).standard_normal((600, 9000)), "bf16")
    survey_norm(A, **options)  # compiles
    tracemalloc.start()
    try:
        b = survey_norm(A, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    vectors = 8 * 9000 * (201 + 4 * b.steps)  # the Lanczos basis; what Gram-Schmidt and the measurement make
    assert peak < vectors + A.nbytes / 2
    assert peak < 40e6


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_named(kind, bad):
    A, options = store(np.random.default_rng(0).standard_normal((30, 20)), "f32")
    A[17, 3] = bad
    A, options = store(A, kind)
    with pytest.raises(ValueError, match=r"A\[17, 3\]"):
        survey_norm(A, **options)


@pytest.mark.parametrize(
    ("A", "options", "part"),
    [
        (np.ones(3), {}, "shape"),
        (np.ones((0, 3)), {}, "shape"),
        (np.ones((2, 2), np.uint16), {}, "bf16"),
        (np.ones((2, 2), np.int64), {}, "dtype"),
        (np.ones((2, 2), ">f8"), {}, "dtype"),
        (np.ones((2, 2)), {"delta": 0.0}, "delta"),
        (np.ones((2, 2)), {"rtol": -1.0}, "rtol"),
        (np.ones((2, 2)), {"rtol": np.nan}, "rtol"),
        (np.ones((2, 2)), {"steps": 0}, "steps"),
    ],
)
def test_bad_arguments_are_named(A, options, part):
    with pytest.raises(ValueError, match=part):
        survey_norm(A, **options)
