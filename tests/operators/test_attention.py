"""Attention, its derivative, enclosures and row Grams against PyTorch and ball arithmetic."""

import numpy as np
import pytest
import torch
from flint import arb

from lipop.core.enclosure import Enclosed
from lipop.core.region import Ball, Everywhere, Shell
from lipop.core.rounding import workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError
from lipop.operators import attention_bounds as bounds
from lipop.operators.attention import Attention
from lipop.operators.attention_factors import AttentionFactors
from lipop.operators.attention_forward import RotaryTable
from tests.operators.attention_reference import VARIANTS, arb_factors, dense, make, project, torch_attention

TOKENS, WIDTH = 5, 6
ALL = pytest.mark.parametrize("name", VARIANTS)
NO_ROTARY = pytest.mark.parametrize("name", [n for n in VARIANTS if "rotary" not in n])


def point(seed=0, tokens=TOKENS, width=WIDTH):
    return np.random.default_rng(100 + seed).standard_normal((tokens, width))


@ALL
def test_value_and_products_agree_with_torch(name):
    T, x = make(**VARIANTS[name]), point()
    f = torch_attention(T, fused=True)
    np.testing.assert_allclose(T(x), f(torch.tensor(x)).numpy(), rtol=0, atol=1e-10)
    J, jac = T.derivative(x), dense(T, x)
    rng = np.random.default_rng(1)
    h, u = rng.standard_normal((2, *x.shape))
    np.testing.assert_allclose(J.matvec(h).ravel(), jac @ h.ravel(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(J.rmatvec(u).ravel(), jac.T @ u.ravel(), rtol=0, atol=1e-10)
    assert abs((J.matvec(h) * u).sum() - (h * J.rmatvec(u)).sum()) < 1e-13
    assert J.majorant >= np.linalg.norm(jac, 2)
    assert T(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(T(x.astype(np.float32)), T(x), atol=1e-4)


@pytest.mark.parametrize("name", ["grouped", "rotary"])
def test_product_error_covers_the_rounding_of_the_products(name):
    T, x = make(**VARIANTS[name]), point()
    f, J = T.factors(x), T.derivative(x)
    rng = np.random.default_rng(2)
    for _ in range(5):
        h = project(rng.standard_normal(x.shape), 1.0, False)
        ld = lambda a: np.asarray(a, dtype=np.longdouble)  # noqa: E731
        turn = np.eye(T.dk)[None] if f.table is None else _rotations(f)
        exact = np.zeros(x.shape, dtype=np.longdouble)
        for n in range(T.heads):
            q, k, v, o, p = (ld(e.mid[n]) for e in (f.q, f.k, f.v, f.o, f.p))
            dq = np.einsum("iab,ib->ia", ld(turn), ld(h) @ ld(f.Wq[n]).T)
            dkey = np.einsum("iab,ib->ia", ld(turn), ld(h) @ ld(f.Wk[n]).T)
            w = p * ld(f.c) * (dq @ k.T + q @ dkey.T)
            do = w @ v - w.sum(axis=1, keepdims=True) * o + p @ (ld(h) @ ld(f.Wv[n]).T)
            exact += do @ ld(f.O[n]).T
        assert np.linalg.norm((J.matvec(h) - exact).astype(float)) <= J.product_error < 1e-9


def _rotations(f):
    cos, sin = f.table
    m = f.turned // 2
    R = np.zeros((len(cos), cos.shape[1], cos.shape[1]))
    for a in range(cos.shape[1]):
        R[:, a, a] = cos[:, a]
    for a in range(m):
        R[:, a, a + m], R[:, a + m, a] = -sin[:, a], sin[:, a]
    return R


@ALL
def test_enclosures_hold_the_200_bit_values(name):
    T, x = make(seed=3, d=4, heads=2, dk=4, **{**VARIANTS[name], "groups": 1}), point(3, 4, 4)
    f, y = AttentionFactors.at(T, Enclosed.exact(x)), T.enclose(Enclosed.exact(x))
    with workprec(200):
        truth = arb_factors(T, x)

        def inside(e, m):
            return all(
                abs(arb(float(e.mid[i, j])) - m[i, j]) <= arb(float(e.radius[i, j]))
                for i in range(e.shape[0])
                for j in range(e.shape[1])
            )

        assert inside(y, truth["y"][0])
        for part in ("q", "k", "v", "p", "o", "kap"):
            e = getattr(f, part)
            assert all(inside(e[h], truth[part][h]) for h in range(T.heads)), part
        for h in range(T.heads):
            for i in range(4):
                for j in range(4):
                    v, o = truth["v"][h], truth["o"][h]
                    square = sum(((v[j, t] - o[i, t]) * (v[j, t] - o[i, t]) for t in range(4)), arb(0))
                    assert square <= arb(float(f.V[h, i, j])) * arb(float(f.V[h, i, j]))
    seen = f.p.mid > 0
    assert float((f.p.radius[seen] / f.p.mid[seen]).max()) < 1e-12
    if T.causal:
        assert not np.triu(f.p.mid, 1).any()
        assert not np.triu(f.p.radius, 1).any()


@ALL
def test_norms_of_the_factors(name):
    T, x = make(seed=4, **VARIANTS[name]), point(4)
    f = T.factors(x)
    R = np.broadcast_to(np.eye(T.dk), (TOKENS, T.dk, T.dk)) if f.table is None else _rotations(f)
    for h in range(T.heads):
        assert (
            np.linalg.norm(f.O[h] @ f.Wv[h], 2) <= f.nOV[h] <= np.linalg.norm(f.O[h] @ f.Wv[h], 2) * (1 + 1e-4) + 1e-6
        )
        for i in range(TOKENS):
            for j in range(TOKENS):
                kt = f.k.mid[h, j] - f.kap.mid[h, i]
                b, a = f.c * f.Wq[h].T @ R[i].T @ kt, f.c * f.Wk[h].T @ R[j].T @ f.q.mid[h, i]
                assert np.linalg.norm(b) <= f.bc[h, i, j] <= np.linalg.norm(b) + 1e-6
                assert np.linalg.norm(a) <= f.na[h, i, j] <= np.linalg.norm(a) + 1e-6
                assert np.linalg.norm(f.c * f.Wq[h].T @ R[i].T @ R[j] @ f.Wk[h], 2) <= f.A2[h]


@NO_ROTARY
@pytest.mark.parametrize("identity", [True, False])
def test_row_gram_is_the_gram_of_the_jacobian_rows(name, identity):
    T, x = make(seed=5, **VARIANTS[name]), point(5)
    gram = bounds.row_gram(T.factors(x), identity=identity)
    rows = (dense(T, x) + identity * np.eye(x.size)).reshape(TOKENS, WIDTH, -1)
    exact = rows @ rows.swapaxes(-1, -2)
    assert (np.linalg.norm(gram.mid - exact, axis=(1, 2)) <= gram.err + 1e-14).all()
    assert gram.err.max() < 1e-8


def test_row_gram_error_covers_moved_factors():
    T, x = make(seed=6, bias=True), point(6)
    wide = AttentionFactors.at(T, Enclosed(x, np.full(x.shape, 1e-6)))
    gram = bounds.row_gram(wide)
    rng = np.random.default_rng(6)
    for _ in range(20):
        rows = (dense(T, x + 1e-6 * rng.choice([-1, 1], x.shape)) + np.eye(x.size)).reshape(TOKENS, WIDTH, -1)
        distance = np.linalg.norm(gram.mid - rows @ rows.swapaxes(-1, -2), axis=(1, 2))
        assert (distance <= gram.err).all()


def test_row_gram_refuses_rotary_positions():
    with pytest.raises(DomainError, match="rotary"):
        bounds.row_gram(make(rotary=4).factors(point()))


def test_what_is_not_lipschitz_says_so():
    T = make()
    assert not T.lip(Everywhere()).known
    assert not T.lip(Shell(1.0)).known
    assert not T.lip(Shell(0.0, 1.0)).known  # in F the constant grows with the number of tokens
    assert make(norm="2inf").lip(Shell(0.0, 1.0)).known
    assert T.lip(Ball(point(), 0.1)).known


def test_bounds_can_be_checked_and_tie_to_their_region():
    T, x = make(seed=15, bias=True), point(15)
    ball = Ball(x, 0.01)
    near = T.linearize(ball)
    for bound in (T.lip(ball), near.deviation.norm()):
        assert bound.status == "PROVED"
        bound.check()
    y = T(x + 0.01 / np.sqrt(x.size))
    assert near.image.contains(y)
    assert near.deviation.norm().value < T.linearize(Ball(x, 0.02)).deviation.norm().value
    assert T.digest != make(seed=15, bias=True, causal=True).digest
    assert T.digest == make(seed=15, bias=True).digest


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"heads": 3}, ShapeError),
        ({"kv_heads": 2}, ShapeError),
        ({"bq": np.zeros(3)}, ShapeError),
        ({"rotary": RotaryTable(1e4, 8)}, ShapeError),
        ({"norm": "l1"}, ShapeError),
        ({"scale": -1.0}, DomainError),
        ({"Wv": np.full((4, 4), np.nan)}, NonFiniteError),
        ({"Wo": np.zeros((3, 4))}, ShapeError),
    ],
)
def test_mistakes_are_named(change, error):
    eye = np.eye(4)
    with pytest.raises(error):
        Attention(**{"Wq": eye, "Wk": eye, "Wv": eye, "Wo": eye, "heads": 1, **change})


def test_rotary_needs_an_even_dim():
    with pytest.raises(DomainError, match="even"):
        RotaryTable(1e4, 3)
