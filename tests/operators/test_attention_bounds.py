"""Attention's bounds against random search, ascent and the families that attain them."""

import numpy as np
import pytest

from lipop.core.enclosure import Enclosed
from lipop.core.region import Shell, TokenBall
from lipop.operators import attention_bounds as bounds
from lipop.operators import attention_forward
from lipop.operators.attention import Attention
from lipop.operators.attention_factors import AttentionFactors, head_norms
from lipop.operators.attention_products import StoredFactors, attention_jacobian
from tests.operators.attention_reference import VARIANTS, ascend, dense, make, project

TOKENS, WIDTH = 5, 6
ALL = pytest.mark.parametrize("name", VARIANTS)


def point(seed=0, tokens=TOKENS, width=WIDTH):
    return np.random.default_rng(100 + seed).standard_normal((tokens, width))


def head_weights(f):
    shape = f.p.shape[1], len(f.nO)
    return np.broadcast_to(f.nO, shape), np.broadcast_to(f.nOV, shape)


@ALL
@pytest.mark.parametrize("rho", [1e-4, 1e-2, 0.3, 2.0])
def test_attacks_stay_below_every_bound(name, rho):
    T, x = make(seed=7, **VARIANTS[name]), point(7)
    f, jac = T.factors(x), T.derivative(x).to_dense()
    each = np.full(TOKENS, rho)
    for per_token in (False, True):
        ball = TokenBall(x, rho * TOKENS**0.5, each) if per_token else TokenBall(x, rho, each)
        hd = bounds.head_deviation(f, rho, each, frobenius=not per_token)
        entries = bounds.entry_bounds(hd, f, *head_weights(f))
        dev, wide = bounds.deviation(head_norms(T), [f], ball), bounds.deviation(head_norms(T), [f], ball, wide=True)
        direct, direct_wide = (
            bounds.direct(head_norms(T), [f], ball),
            bounds.direct(head_norms(T), [f], ball, wide=True),
        )
        lip = T.lip(ball)
        assert lip.status == "PROVED"
        for now in ascend(T, x, rho, per_token, lambda now: now - jac, steps=3 if rho < 1 else 2):
            moved = now - jac
            blocks = np.linalg.norm(moved.reshape(TOKENS, WIDTH, TOKENS, WIDTH).swapaxes(1, 2), 2, axis=(2, 3))
            assert (blocks <= entries).all()
            assert np.linalg.norm(moved, 2) <= dev
            assert np.linalg.norm(now, 2) <= min(direct, lip.value)
            for i in range(TOKENS):  # a sign vector per block attains at least this much of the 2inf norm
                row = slice(i * WIDTH, (i + 1) * WIDTH)
                assert _reach(moved[row]) <= wide
                assert _reach(now[row]) <= direct_wide


def _reach(row):
    """A lower bound of the 2inf norm of a row of blocks: every token follows the top left direction."""
    u = np.linalg.svd(row)[0][:, 0]
    h = project((u @ row).reshape(TOKENS, WIDTH), 1.0, True)
    return float(np.linalg.norm(row @ h.ravel()))


def test_deviation_is_sharp_at_small_radius_for_one_head():
    """One head, few tokens: ascent comes within a factor of about ten, at a rate linear in the radius."""
    T, x = make(seed=8, d=3, heads=1, dk=3), point(8, 3, 3)
    f, jac = T.factors(x), T.derivative(x).to_dense()
    rates = []
    for rho in (1e-6, 1e-4):
        bound = bounds.deviation(head_norms(T), [f], TokenBall(x, rho, np.full(3, rho)))
        attack = max(
            np.linalg.norm(now - jac, 2) for s in range(4) for now in ascend(T, x, rho, False, lambda n: n - jac, 5, s)
        )
        rates.append(bound / rho)
        assert bound / 15 <= attack <= bound
    assert rates[1] == pytest.approx(rates[0], rel=1e-2)


def test_entry_bounds_serve_a_left_factor():
    T, x, rho = make(seed=9, bias=True, causal=True), point(9), 0.05
    f, jac = T.factors(x), T.derivative(x).to_dense()
    rng = np.random.default_rng(9)
    L = rng.standard_normal((TOKENS, 3, WIDTH))
    om = np.array([[np.linalg.norm(L[i] @ f.O[h], 2) for h in range(4)] for i in range(TOKENS)]) * (1 + 1e-12)
    om_v = np.array([[np.linalg.norm(L[i] @ f.O[h] @ f.Wv[h], 2) for h in range(4)] for i in range(TOKENS)]) * (
        1 + 1e-12
    )
    hd = bounds.head_deviation(f, rho, np.full(TOKENS, rho), frobenius=True)
    entries = bounds.entry_bounds(hd, f, om, om_v)
    assert (entries < bounds.entry_bounds(hd, f, om * 1.1, om_v * 1.1)).all()
    for now in ascend(T, x, rho, False, lambda n: n - jac, 4):
        blocks = (now - jac).reshape(TOKENS, WIDTH, TOKENS, WIDTH).swapaxes(1, 2)
        size = np.linalg.norm(L[:, None] @ blocks, 2, axis=(2, 3))
        assert (size <= entries).all()


def test_e1_is_the_formula_of_the_rule():
    """Rule E1 written out with subtractions, in float64: ours is never above it, and not far below."""
    T, x, rho = make(seed=10, bias=True), point(10), 0.03
    f = T.factors(x)
    p, c = f.p.mid, f.c
    col = lambda n: n[:, None, None]  # noqa: E731
    dS = rho * (f.na + f.bc) + rho**2 * col(f.A2)
    up, down = p * np.exp(dS), p * np.exp(-dS)
    plus = up / (up + down.sum(-1, keepdims=True) - down)
    minus = down / (down + up.sum(-1, keepdims=True) - up)
    D = np.maximum(plus - p, p - minus)
    dv, dkey, dq = (rho * n for n in (f.nv, f.nk, f.nq))
    do = (D * f.V).sum(-1, keepdims=True) + col(dv)
    dkap = (D * f.K).sum(-1, keepdims=True) + col(dkey)
    da = col(c * f.nk * dq)
    G = (D * f.V + plus * (col(dv) + do)) * (f.na + da) + p * f.V * da
    gam = (D * f.V * f.K).sum(-1) + (plus * (f.V * col(dkey) + col(dv) * f.K + col(dv * dkey))).sum(-1)
    gam = gam + (do * dkap)[..., 0]
    hd = bounds.head_deviation(f, rho, np.full(TOKENS, rho), frobenius=False)
    np.testing.assert_allclose(hd.D, D, rtol=1e-9, atol=1e-13)
    assert (hd.G <= G * (1 + 1e-9)).all() and (hd.G >= 0.5 * G).all()  # noqa: PT018
    assert (hd.gam <= c * f.nq[:, None] * gam * (1 + 1e-9)).all()
    shared = bounds.head_deviation(f, rho, np.full(TOKENS, rho), frobenius=True)
    assert (shared.D <= hd.D).all() and (shared.G <= hd.G).all() and (shared.gam <= hd.gam).all()  # noqa: PT018


def test_huge_balls_give_finite_bounds_and_no_nan():
    T, x = make(seed=11, causal=True), point(11)
    f = T.factors(x)
    for rho in (50.0, 1e4, 1e30):
        with np.errstate(all="raise", under="ignore"):
            hd = bounds.head_deviation(f, rho, np.full(TOKENS, rho), frobenius=True)
        assert np.isfinite(hd.G).all()
        assert hd.D.max() <= 1 + 1e-9
        assert not hd.p_plus[:, 0, 1:].any()
    assert np.isfinite(bounds.deviation(head_norms(T), [f], TokenBall(x, 1e4, np.full(TOKENS, 1e4))))


@ALL
def test_stored_error_covers_an_uncertain_centre(name):
    """With a centre known to 1e-5 only, zero radius still bounds the distance from the stored derivative to every true
    one."""
    T, x, slack = make(seed=16, **VARIANTS[name]), point(16), 1e-5
    f = AttentionFactors.at(T, Enclosed(x, np.full(x.shape, slack)))
    stored = attention_jacobian(T, StoredFactors.of(f)).to_dense()
    hd = bounds.head_deviation(f, 0.0, np.zeros(TOKENS), frobenius=True)
    entries = bounds.entry_bounds(hd, f, *head_weights(f))
    rng = np.random.default_rng(16)
    for _ in range(10):
        moved = dense(T, x + slack * rng.choice([-1.0, 1.0], x.shape)) - stored
        blocks = np.linalg.norm(moved.reshape(TOKENS, WIDTH, TOKENS, WIDTH).swapaxes(1, 2), 2, axis=(2, 3))
        assert (blocks <= entries).all()
        assert blocks.max() > 1e-4 * entries.max()


def test_zero_radius_leaves_only_rounding():
    T, x = make(seed=12, bias=True), point(12)
    left = bounds.deviation(head_norms(T), [T.factors(x)], TokenBall(x, 0.0, np.zeros(TOKENS)))
    assert np.linalg.norm(T.derivative(x).to_dense() - dense(T, x), 2) <= left + 1e-14
    assert left < 1e-9


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (40, 40)])
def test_nonneg_norm_is_a_tight_upper_bound(shape):
    rng = np.random.default_rng(13)
    for power in (1, 5, 30):
        M = rng.random(shape) ** power
        exact = np.linalg.norm(M, 2)
        assert exact * (1 - 1e-14) <= bounds.nonneg_norm(M) <= exact * (1 + 1e-6) + 1e-300
    M = np.zeros((6, 6))
    assert bounds.nonneg_norm(M) == 0.0
    M[:2, :2], M[4, 4] = 1.0, 5.0
    assert 5.0 <= bounds.nonneg_norm(M) <= 5.00001
    assert bounds.nonneg_norm(np.array([[np.inf, 0.0]])) == np.inf


def two_point_witness(a, R, tokens, bq=None):
    """Half the tokens at R e1, half at -R e1, a query at -R e2, A = (a / R^2) diag(1, -1), V = I."""
    A = a / R**2 * np.diag([1.0, -1.0])
    T = Attention(np.eye(2), A, np.eye(2), np.eye(2), 1, bq=bq, scale=1.0, length=tokens, norm="2inf")
    half = (tokens - 1) // 2
    x = np.concatenate([np.tile([R, 0.0], (half, 1)), np.tile([-R, 0.0], (half, 1)), [[0.0, -R]]])
    return T, x


def best_row(T, x):
    """The largest reach of the query's row over h_j = cos t e1 +- sin t e2 (by the sign of x_j) and h_query = +-e1."""
    J, half = T.derivative(x), (len(x) - 1) // 2
    along, across, own = np.zeros((3, *x.shape))
    along[:-1, 0], across[:half, 1], across[half:-1, 1], own[-1, 0] = 1.0, 1.0, -1.0, 1.0
    a, b, c = (J.matvec(h)[-1] for h in (along, across, own))
    t = np.linspace(0, 2 * np.pi, 4001)[:, None]
    return max(float(np.linalg.norm(np.cos(t) * a + np.sin(t) * b + s * c, axis=1).max()) for s in (1.0, -1.0))


@pytest.mark.parametrize("a", [0.3, 1.0, 4.0])
def test_worst_case_is_attained_by_two_points(a):
    T, x = two_point_witness(a, 1.5, 401)
    bound = T.lip(Shell(0.0, 1.5))
    assert bound.status == "PROVED"
    assert 0.99 * bound.value <= best_row(T, x) <= bound.value


def test_query_bias_counts():
    """Without the bias's part the formula fails: bq = (0, -20) lifts the local constant far above it."""
    T, x = two_point_witness(1.0, 1.0, 401, bq=np.array([0.0, -20.0]))
    without, _ = two_point_witness(1.0, 1.0, 401)
    reach = best_row(T, x)
    assert reach > 5 * without.lip(Shell(0.0, 1.0)).value
    assert 0.9 * T.lip(Shell(0.0, 1.0)).value <= reach <= T.lip(Shell(0.0, 1.0)).value


@ALL
def test_worst_case_over_random_tokens(name):
    rng = np.random.default_rng(14)
    for norm in ("l2", "2inf"):
        T = make(seed=14, length=TOKENS, norm=norm, **VARIANTS[name])
        for R in (0.5, 2.0):
            bound = T.lip(Shell(0.0, R)).value
            for _ in range(5):
                x = project(rng.standard_normal((TOKENS, WIDTH)), R, True)
                jac = dense(T, x)
                rows = [_reach(jac[i * WIDTH : (i + 1) * WIDTH]) for i in range(TOKENS)]
                assert (np.linalg.norm(jac, 2) if norm == "l2" else max(rows)) <= bound


@pytest.mark.parametrize("options", [{}, {"causal": True, "rotary": 4, "groups": 2}], ids=str)
def test_heads_taken_in_parts_give_the_same_answers(monkeypatch, options):
    T, x = make(**options), point()
    ball = TokenBall(x, 0.2, np.full(TOKENS, 0.1))
    whole = T.factors(x)
    J, y = T.derivative(x), T.enclose(Enclosed.exact(x))
    dev, direct = T._deviation(ball), T._lip(ball)
    monkeypatch.setattr(attention_forward, "ENTRIES", TOKENS**2)  # one head at a time
    assert len(attention_forward.head_parts(T, TOKENS)) == T.heads > 1
    parts = list(T.parts(x))
    for h, f in enumerate(parts):
        for name in ("V", "K", "na", "bc", "nq", "nOV"):
            assert np.allclose(getattr(f, name)[0], getattr(whole, name)[h], rtol=1e-12, atol=1e-13)
    K, z = T.derivative(x), T.enclose(Enclosed.exact(x))
    assert np.allclose(K.to_dense(), J.to_dense(), atol=1e-12)
    assert np.isclose(K.majorant, J.majorant)
    assert np.allclose(z.mid, y.mid, atol=1e-13)
    assert np.allclose(z.radius, y.radius, rtol=1e-6, atol=1e-18)
    assert np.isclose(T._deviation(ball), dev, rtol=1e-9)
    assert np.isclose(T._lip(ball), direct, rtol=1e-9)
    monkeypatch.setattr(bounds, "MANY", 1)  # without covariances, and norms by ratios
    assert dev * (1 - 1e-12) <= T._deviation(ball) <= 30 * dev


def test_ratios_bound_the_norm_of_a_nonnegative_matrix(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(bounds, "MANY", 1)
    for _ in range(20):
        M = np.tril(rng.uniform(size=(9, 9))) * 10.0 ** rng.uniform(-3, 3, (9, 1))
        top = np.linalg.norm(M, 2)
        assert top <= bounds.nonneg_norm(M) <= 1.5 * top
    assert bounds.nonneg_norm(np.zeros((3, 3))) == 0.0
