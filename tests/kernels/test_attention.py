"""Attention's linearisation: against torch.func, adjoints, memory, Lanczos, refusals."""

import threading
import tracemalloc

import numpy as np
import pytest
import torch

from lipop_kernels import attention_linearisation, cpu, lanczos_upper, ref, spectral_norm
from lipop_kernels.cpu import attention as fast
from tests.kernels.attention_cases import STYLES, case, torch_attention

LENGTHS = (1, 2, 33, 257)


def close(a, b, tol):
    return np.abs(a - b).max() <= tol * np.abs(b).max()


@pytest.mark.parametrize("memory", [2**30, 5000, 0])
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("style", STYLES)
def test_value_and_products_are_those_of_torch(style, tokens, memory):
    x, weights, options, rng = case(style, tokens)
    J = attention_linearisation(x, *weights, **options, memory=memory)
    f, point = torch_attention(weights, options), torch.tensor(x)
    v, u = rng.standard_normal((2, *x.shape))
    value, forward = torch.func.jvp(f, (point,), (torch.tensor(v),))[:2]
    pull = torch.func.vjp(f, point)[1]
    assert close(J.value, value.numpy(), 1e-13)
    assert close(J.jvp(v), forward.numpy(), 1e-10)
    assert close(J.vjp(u), pull(torch.tensor(u))[0].numpy(), 1e-10)
    assert close(J.gram(v), pull(forward)[0].numpy(), 1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.parametrize("style", STYLES)
def test_products_are_adjoint(style, tokens, dtype):
    x, weights, options, rng = case(style, tokens, dtype=dtype)
    v, u = rng.standard_normal((2, *x.shape)).astype(dtype)
    J = attention_linearisation(x, *weights, **options)
    left, right = (J.jvp(v).astype(float) * u).sum(), (v * J.vjp(u).astype(float)).sum()
    assert abs(left - right) <= 100 * np.finfo(dtype).eps * np.linalg.norm(J.jvp(v)) * np.linalg.norm(u)


@pytest.mark.parametrize("style", STYLES)
def test_a_masked_token_is_never_seen(style):
    x, weights, options, rng = case(style, 100)
    J = attention_linearisation(x, *weights, **{**options, "causal": True})
    v = np.zeros_like(x)
    v[50:] = rng.standard_normal(v[50:].shape)
    assert not J.jvp(v)[:50].any()
    assert J.jvp(v)[50:].any()
    assert not J.vjp(v[::-1].copy())[50:].any()


def test_long_sequences_store_no_more_than_they_may():
    x, weights, options, rng = case("llama", 257)
    v = rng.standard_normal(x.shape)
    whole = attention_linearisation(x, *weights, **options)
    for share in (0, 500_000):
        part = attention_linearisation(x, *weights, **options, memory=share)
        kept = sum(t.p.nbytes for t in part._tiles if t.p is not None)
        assert (kept > 0) == (share > 0)
        assert kept <= share
        assert close(part.gram(v), whole.gram(v), 1e-13)
    assert sum(t.p.nbytes for t in whole._tiles) < 0.65 * 4 * 257**2 * 8  # the masked half does not exist


def test_products_allocate_only_their_result():
    x, weights, options, rng = case("llama", 257)
    J = attention_linearisation(x, *weights, **options)
    v, out = rng.standard_normal(x.shape), np.empty(x.shape)
    J.gram(v, out=out)
    tracemalloc.start()
    try:
        J.gram(v, out=out)
        J.vjp(J.jvp(v, out=out), out=out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**18  # NumPy's buffers for complex numbers, of fixed size; the probabilities alone have 1 MB


def test_out_receives_the_result_and_may_be_the_argument():
    x, weights, options, rng = case("bert", 33)
    J = attention_linearisation(x, *weights, **options)
    v = rng.standard_normal(x.shape)
    for product in (J.jvp, J.vjp, J.gram):
        expected, same = product(v), v.copy()
        strided = np.empty((33, 48))[:, ::2]
        assert product(v, out=strided) is strided
        assert np.array_equal(strided, expected)
        assert np.array_equal(product(same, out=same), expected)
        assert np.array_equal(product(v.T.copy().T), expected)


def test_threads_do_not_disturb_each_other():
    x, weights, options, rng = case("llama", 65)
    J = attention_linearisation(x, *weights, **options)
    vs = rng.standard_normal((8, *x.shape))
    expected, found = [J.gram(v) for v in vs], [np.empty(0)] * 8

    def run(i):
        for _ in range(20):
            found[i] = J.gram(vs[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_gram_both_ways(monkeypatch):
    x, weights, options, rng = case("bert", 33)
    v = rng.standard_normal(x.shape)
    through = attention_linearisation(x, *weights, **options)
    monkeypatch.setattr(fast, "SOON", 0)
    plain = attention_linearisation(x, *weights, **options)
    assert through._through
    assert not plain._through
    assert close(through.gram(v), plain.gram(v), 1e-13)
    assert close(plain.gram(v), plain.vjp(plain.jvp(v)), 1e-13)


@pytest.mark.parametrize("style", ["bert", "llama"])
def test_lanczos_runs_on_the_products(style):
    x, weights, options, _ = case(style, 9)
    J = attention_linearisation(x, *weights, **options)
    dense = torch.func.jacrev(torch_attention(weights, options))(torch.tensor(x)).numpy()
    top = np.linalg.norm(dense.reshape(x.size, x.size), 2)
    sigma, v, _ = spectral_norm(J, 1e-9)
    assert sigma == pytest.approx(top, rel=1e-8)
    assert np.linalg.norm(J.matvec(v)) == pytest.approx(top, rel=1e-8)
    bound = lanczos_upper(J.gram, J.shape_in, rtol=1e-6)
    assert bound.lower <= top**2 * (1 + 1e-12)
    assert top**2 <= bound.upper <= top**2 * (1 + 1e-5)


def test_float32_products_take_and_return_what_lanczos_gives():
    x, weights, options, rng = case("llama", 33, dtype=np.float32)
    J = attention_linearisation(x, *weights, **options)
    assert J.gram(rng.standard_normal(x.shape)).dtype == np.float32
    exact = attention_linearisation(x, *weights, **options, dtype=np.float64)
    low, high = (lanczos_upper(K.gram, K.shape_in, steps=12).lower for K in (J, exact))
    assert low == pytest.approx(high, rel=1e-5)


@pytest.mark.parametrize("package", [cpu, ref])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones(24)}, r"x has shape \(24,\)"),
        ({"x": np.ones((0, 24))}, "neither empty"),
        ({"x": np.ones((5, 24), int)}, "working type is int64"),
        ({"x": np.full((5, 24), np.nan)}, "x holds nan"),
        ({"x": np.ones((5, 23))}, r"W_Q has shape \(24, 24\); expected \(24, 23\)"),
        ({"W_K": np.ones((23, 24))}, r"W_K has shape \(23, 24\)"),
        ({"W_V": np.full((24, 24), np.inf)}, "W_V holds inf"),
        ({"W_O": np.ones((24, 24), np.float16)}, "W_O has dtype float16"),
        ({"b_V": np.ones(7)}, r"b_V has shape \(7,\)"),
        ({"n_heads": 5, "n_kv_heads": 5}, "shared by 5 heads"),
        ({"n_heads": 0}, "n_heads is 0"),
        ({"n_heads": 2.0}, "n_heads is 2.0"),
        ({"n_kv_heads": 2}, "no multiple of n_kv_heads = 2"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"dtype": np.float16}, "float16"),
        ({"memory": -1}, "memory is -1"),
        ({"rotary": 3}, "rotary must be"),
        ({"rotary": (np.ones((5, 5)), np.ones((5, 5)))}, "at most 4 pairs"),
        ({"rotary": (np.ones((5, 2)), np.full((5, 2), np.nan))}, "rotary holds nan"),
    ],
)
def test_bad_points_and_weights_are_named(package, change, message):
    x, weights, options, _ = case("bert", 5)
    arguments = dict(zip(("x", "W_Q", "W_K", "W_V", "W_O"), (x, *weights), strict=True)) | options | change
    with pytest.raises(ValueError, match=message):
        package.attention_linearisation(**arguments)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_directions_are_named(package):
    x, weights, options, _ = case("bert", 5)
    J = package.attention_linearisation(x, *weights, **options)
    frozen = np.empty_like(x)
    frozen.flags.writeable = False
    for product in (J.jvp, J.vjp, J.gram):
        with pytest.raises(ValueError, match=r"has shape \(24, 5\); expected \(5, 24\)"):
            product(x.T)
        with pytest.raises(ValueError, match="has dtype complex128"):
            product(x + 0j)
        with pytest.raises(ValueError, match=r"out is .*float32"):
            product(x, out=np.empty_like(x, np.float32))
        with pytest.raises(ValueError, match="read-only"):
            product(x, out=frozen)


@pytest.mark.parametrize("package", [cpu, ref])
def test_bad_factors_are_named(package):
    x, weights, options, _ = case("bert", 5)
    true = ref.attention_linearisation(x, *weights, **options)
    good = {n: np.asarray(getattr(true, n), float) for n in "qkvpo"}
    changes = {
        "k has shape": {"k": good["k"][:, :4]},
        "p has negative": {"p": -good["p"]},
        "holds nan": {"v": good["v"] * np.nan},
        "not zero above": {"causal": True},
        "q has shape": {"q": good["q"][0]},
        "head 2 of type float32": {"p": [good["p"][0], *good["p"][1:].astype(np.float32)]},
    }
    for message, change in changes.items():
        arguments = good | dict(zip(("W_Q", "W_K", "W_V", "W_O"), weights, strict=True)) | change
        with pytest.raises(ValueError, match=message):
            package.attention_products(**arguments)


def test_float32_probabilities_are_kept_as_such_and_count_as_exact():
    x, weights, options, _ = case("bert", 70)
    true = ref.attention_linearisation(x, *weights, **options)
    q, k, v, p, o = (np.asarray(getattr(true, n), float) for n in "qkvpo")
    short = p.astype(np.float32)
    given = {n: options[n] for n in ("causal", "rotary", "scale") if n in options}
    J = cpu.attention_products(q, k, v, iter(short), o, *weights, **given)
    K = cpu.attention_products(q, k, v, short.astype(float), o, *weights, **given)
    assert {t.p.dtype for t in J._tiles} == {np.dtype(np.float32)}
    assert J.dtype == np.float64
    u = np.random.default_rng(0).standard_normal(x.shape)
    np.testing.assert_array_equal(J.jvp(u), K.jvp(u))
    np.testing.assert_array_equal(J.vjp(u), K.vjp(u))


def test_large_work_arrays_are_not_kept(monkeypatch):
    x, weights, options, _ = case("llama", 9)
    J = cpu.attention_linearisation(x, *weights, **options)
    first = J.gram(x)
    assert len(J._spare) == 1
    monkeypatch.setattr(fast, "SPARE", J._spare.pop().nbytes - 1)
    np.testing.assert_array_equal(J.gram(x), first)
    assert not J._spare
