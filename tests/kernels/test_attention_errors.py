"""Rounding of attention's products stays within the stated bounds, measured against long double."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lipop_kernels import attention_linearisation, attention_products, ref
from tests.kernels.attention_cases import STYLES, case

SCALES = {"plain": 1.0, "sharp": 30.0, "flat": 1e-8}


def gamma(k, dtype):
    u = np.finfo(dtype).eps / 2
    return k * u / (1 - k * u)


def excess(J, exact, absolute, v, factor):
    """The largest error of each product relative to its bound; 0/0 is 0."""
    a, b = (factor * k for k in J.roundings)
    v = v.astype(J.dtype)
    size = np.abs(v)
    pairs = {
        "jvp": (J.jvp(v) - exact.jvp_long(v), absolute.jvp_long(size), a),
        "vjp": (J.vjp(v) - exact.vjp_long(v), absolute.vjp_long(size), b),
        "gram": (
            J.gram(v) - exact.vjp_long(exact.jvp_long(v)),
            absolute.vjp_long(absolute.jvp_long(size)),
            a + b,
        ),
    }
    tiny = np.finfo(J.dtype).tiny
    return {n: float((np.abs(e) / (gamma(k, J.dtype) * m + tiny)).max()) for n, (e, m, k) in pairs.items()}


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tokens", [2, 33, 130])
@pytest.mark.parametrize("style", STYLES)
def test_rounding_of_products_of_stored_factors(style, tokens, dtype, kind):
    x, weights, options, rng = case(style, tokens, dtype=dtype, size=SCALES[kind])
    true = ref.attention_linearisation(x, *weights, **options)
    index = slice(None, None, options["n_heads"] // options["n_kv_heads"])
    factors = [np.asarray(f, dtype=dtype) for f in (true.q, true.k[index], true.v[index], true.p, true.o)]
    kept = {n: options[n] for n in ("causal", "rotary") if n in options}
    J = attention_products(*factors, *weights, **kept)
    exact = ref.attention_products(*factors, *weights, **kept)
    worst = excess(J, exact, exact.absolute(), rng.standard_normal(x.shape), 1)
    assert max(worst.values()) <= 1, worst


def majorant(x, weights, options):
    """The products with absolute values, those of queries, keys and values made of absolute values; its top score."""
    plain: dict[str, Any] = {n: np.abs(b) if n[0] == "b" else b for n, b in options.items() if n != "rotary"}
    made = ref.attention_linearisation(np.abs(x), *(np.abs(w) for w in weights), **plain)
    true = ref.attention_linearisation(x, *weights, **options)
    q, k = made.q, made.k
    if "rotary" in options:  # a cos - b sin and b cos + a sin are at most |a| + |b|
        m = options["rotary"][0].shape[1]
        q, k = (np.concatenate([t[..., :m] + t[..., m : 2 * m]] * 2 + [t[..., 2 * m :]], axis=-1) for t in (q, k))
    o = np.einsum("hij,hja->hia", true.p, made.v)
    absolute = replace(true.absolute(), q=q, k=k, v=made.v, o=o)
    return absolute, float(np.einsum("hia,hja->hij", q, k).max() * true.c)


@pytest.mark.parametrize("kind", ["plain", "sharp"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("style", STYLES)
def test_rounding_against_the_true_derivative(style, memory, dtype, kind):
    x, weights, options, rng = case(style, 65, dtype=dtype, size=3.0 if kind == "sharp" else 1.0)
    J = attention_linearisation(x, *weights, **options, memory=memory)
    exact = ref.attention_linearisation(x, *weights, **options)
    absolute, score = majorant(x, weights, options)
    worst = excess(J, exact, absolute, rng.standard_normal(x.shape), 16 * (1 + score))
    assert max(worst.values()) <= 1, worst
