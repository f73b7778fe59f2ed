"""Theorem D and its use: no bound below a dense SVD, whatever is proposed; cheats are refused; errors cover."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipop.certify import deflation
from lipop.certify.block_factors import BlockFactors, nonnegative_norm
from lipop.certify.deflation import Pencil, deflation_upper
from lipop.certify.deflation_gram import DeflatedGram, schatten_norms
from lipop.certify.deflation_subspace import subspace
from lipop.errors import DomainError, NonFiniteError, ShapeError

KINDS = ("generic", "equal tokens", "dominant token", "one-hot attention", "no attention", "low rank", "wild")


def factors(t, d, h, k, kind="generic", seed=0, radius=0.0):
    """Random factors of one of the kinds; every error radius is ``radius`` times a random number."""
    rng = np.random.default_rng((seed, t, d, h, k))
    draw = rng.standard_normal
    F, AO, a, Wv = draw((t, d, d)), draw((t, h, d, k)), draw((h, t, d)), draw((h, k, d))
    p, v = rng.dirichlet(np.ones(t), size=(h, t)), draw((h, t, k))
    if kind == "equal tokens":
        F, AO, a, v = (np.broadcast_to(x, y.shape) for x, y in ((F[:1], F), (AO[:1], AO), (a[:, :1], a), (v[:, :1], v)))
        p = np.full((h, t, t), 1 / t)
    elif kind == "dominant token":
        F = F * np.where(np.arange(t) == t - 1, 1e3, 1.0)[:, None, None]
        p = 0.001 * p
        p[..., 0] += 0.999
    elif kind == "one-hot attention":
        p = np.eye(t)[rng.integers(t, size=(h, t))]
    elif kind == "no attention":
        AO = 0 * AO
    elif kind == "low rank":
        F, AO = F[..., :1] * F[..., :1, :], 0.01 * AO
    y = p[..., None] * (v[:, None] - (p @ v)[:, :, None])
    if kind == "wild":
        F, AO, a, Wv, y = 1e-3 * F, 1e20 * AO, 1e-30 * a, 1e-22 * Wv, 1e10 * y
    r = {
        name: radius * rng.random(shape)
        for name, shape in {
            "dF": (t,), "dAO": (t, h), "dp": (h, t, t), "dy": (h, t, t), "da": (h, t),
        }.items()
    }  # fmt: skip
    return BlockFactors(F=F, AO=AO, p=p, y=y, a=a, Wv=Wv, **r)


def decaying(t, d, h, k, seed=0):
    """Factors whose norm stands out a little: weights with singular values like i^-1/2, as trained ones have."""
    rng = np.random.default_rng(seed)

    def weight(m, n):
        u, s, v = np.linalg.svd(rng.standard_normal((m, n)), full_matrices=False)
        return u * np.arange(1, len(s) + 1) ** -0.5 @ v

    z, mix = rng.standard_normal((t, d)), weight(d, d)
    F = np.stack([np.eye(d) + mix * (1 + 0.3 * rng.standard_normal(d)) for _ in range(t)])
    Wv = weight(h * k, d).reshape(h, k, d)
    AO = np.stack([weight(d, h * k).reshape(d, h, k).transpose(1, 0, 2)] * t)
    s = np.stack([z @ weight(d, d) @ z.T for _ in range(h)])
    p = np.exp(s - s.max(axis=2, keepdims=True))
    p /= p.sum(axis=2, keepdims=True)
    v = z @ Wv.transpose(0, 2, 1)
    y = p[..., None] * (v[:, None] - (p @ v)[:, :, None])
    o = np.zeros
    return BlockFactors(F, o(t), AO, o((t, h)), p, o((h, t, t)), y, o((h, t, t)), 0.1 * p @ z, o((h, t)), Wv)


def dense(f):
    """The matrix block by block, straight from the definition."""
    t, h, d, _ = f.shape
    J = np.zeros((t, d, t, d))
    for i in range(t):
        J[i, :, i] += f.F[i]
        for k in range(t):
            for g in range(h):
                J[i, :, k] += f.AO[i, g] @ (f.p[g, i, k] * f.Wv[g] + np.outer(f.y[g, i, k], f.a[g, i]))
    return J.reshape(t * d, t * d)


def norm(f):
    return float(np.linalg.norm(dense(f), 2))


def test_products_and_dense_agree_with_the_definition():
    f = factors(4, 5, 3, 2)
    J, V = dense(f), np.random.default_rng(0).standard_normal((4, 5, 7))
    assert np.allclose(f.dense(), J, rtol=0, atol=1e-13)
    assert np.allclose(f.matvec(V).reshape(20, 7), J @ V.reshape(20, 7), rtol=0, atol=1e-12)
    assert np.allclose(f.rmatvec(V).reshape(20, 7), J.T @ V.reshape(20, 7), rtol=0, atol=1e-12)
    assert np.array_equal(f.matvec(V[..., 0]).shape, (4, 5))
    blocks = np.linalg.norm(J.reshape(4, 5, 4, 5), axis=(1, 3))
    assert (blocks <= f.majorants).all()
    assert np.linalg.norm(J, 2) <= f.majorant


def test_product_error_covers_the_rounding():
    """Against exact rational arithmetic."""
    f = factors(2, 3, 2, 2)
    v = np.random.default_rng(1).standard_normal((2, 3))
    exact = [[Fraction(0)] * 3 for _ in range(2)]
    q = np.vectorize(Fraction, otypes=[object])
    for i in range(2):
        row = q(f.F[i]) @ q(v[i])
        for j in range(2):
            for g in range(2):
                inner = Fraction(f.p[g, i, j]) * q(f.Wv[g]) + np.outer(q(f.y[g, i, j]), q(f.a[g, i]))
                row = row + q(f.AO[i, g]) @ (inner @ q(v[j]))
        exact[i] = list(row)
    error = [Fraction(x) - e for x, e in zip(f.matvec(v).ravel(), [e for row in exact for e in row], strict=True)]
    size = float(sum(e * e for e in error)) ** 0.5
    assert size <= f.product_error * np.linalg.norm(v)
    assert f.product_error <= 1e-12 * f.majorant


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(0, 10**6), t=st.integers(1, 5), d=st.integers(1, 8), h=st.integers(1, 3), k=st.integers(1, 4),
    rank=st.sampled_from([None, 1, 2, 6]), schatten=st.sampled_from([4, 8]),
)  # fmt: skip
def test_never_below_the_dense_norm(kind, seed, t, d, h, k, rank, schatten):
    f = factors(t, d, h, k, kind, seed)
    true = norm(f)
    try:
        result = deflation_upper(f, rank=rank, schatten=schatten, seed=seed)
    except DomainError:
        assert rank is not None
        return
    assert result.lower <= true * (1 + 1e-13)
    assert result.upper >= true * (1 - 1e-13)
    assert np.linalg.norm(dense(f) @ result.vector.ravel()) >= result.lower * (1 - 1e-13)
    if rank is None or result.beta < 0.8 * true**2:
        assert result.upper <= 1.0001 * result.lower


@pytest.mark.parametrize("kind", ["generic", "equal tokens", "dominant token", "low rank", "wild"])
@pytest.mark.parametrize("scale", [1.0, 1e-150, 1e-80, 1e60, 1e140])
def test_scale_does_not_matter(kind, scale):
    f = factors(3, 4, 2, 2, kind)
    g = replace(f, F=scale * f.F, AO=scale * f.AO)
    result = deflation_upper(g)
    true = scale * norm(f)
    assert result.lower <= true * (1 + 1e-12) <= result.upper * (1 + 2e-12)
    assert result.upper <= 1.0001 * result.lower


def test_zero_and_tiny_derivatives():
    f = factors(2, 3, 1, 2)
    zero = replace(f, F=0 * f.F, AO=0 * f.AO)
    assert deflation_upper(zero).lower == 0.0
    assert deflation_upper(zero).upper < 1e-290
    tiny = replace(f, F=1e-305 * f.F, AO=0 * f.AO)
    assert 0 <= deflation_upper(tiny).lower <= 1e-305 * norm(replace(f, AO=0 * f.AO)) <= deflation_upper(tiny).upper


def bad_proposals(n, r, s):
    """U, X, W that a broken iteration might propose."""
    rng = np.random.default_rng(5)
    random = rng.standard_normal
    yield "random U", random((n, r)), random((n, r)), random((r, r))
    yield "random U, X = 0", random((n, r)), np.zeros((n, r)), s.W
    yield "U times 1e-3", 1e-3 * s.U, s.X, s.W
    yield "U repeated", np.repeat(s.U[:, :1], r, axis=1), s.X, s.W
    yield "U = 0", np.zeros((n, r)), s.X, s.W
    yield "W random", s.U, s.X, random((r, r))
    yield "X random", s.U, random((n, r)), s.W
    yield "top vector dropped", np.concatenate([0 * s.U[:, :1], s.U[:, 1:]], axis=1), s.X, s.W
    yield "signs flipped", -s.U, s.X, s.W
    yield "not a number", np.full((n, r), np.nan), s.X, s.W
    yield "huge", 1e200 * s.U, s.X, s.W


@pytest.mark.parametrize("kind", ["generic", "equal tokens", "dominant token", "low rank"])
def test_bad_proposals_fail_or_are_sound(kind):
    t, d, r = 4, 5, 3
    f = factors(t, d, 2, 2, kind)
    true, proved = norm(f), 0
    for name, U, X, W in bad_proposals(t * d, r, subspace(f, r, 8, None, 0, 1e-5)):
        with np.errstate(all="ignore"):
            beta = DeflatedGram(f, U.reshape(t, d, r), X.reshape(t, d, r)).largest_eigenvalue()
            bound = Pencil(f, U, W, beta).smallest(true**2 / 4)
        assert bound >= true**2 * (1 - 1e-13), name
        proved += bool(np.isfinite(bound))
    assert proved >= 2


def test_a_broken_iteration_cannot_lower_the_bound(monkeypatch):
    f = factors(4, 5, 2, 2, "low rank")
    true, good = norm(f), subspace

    def broken(*args):
        s = good(*args)
        return replace(s, U=s.U + 0.02 * np.random.default_rng(3).standard_normal(s.U.shape), ritz=0.5 * s.ritz)

    monkeypatch.setattr(deflation, "subspace", broken)
    assert deflation_upper(f, rank=20).upper >= true
    assert deflation_upper(f, rank=3).upper >= true
    monkeypatch.setattr(deflation, "subspace", lambda *args: replace(good(*args), W=1e6 * good(*args).W))
    with pytest.raises(DomainError, match="no certificate"):
        deflation_upper(f, rank=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_cheat_is_refused(kind):
    """The pencil refuses every t below |J|^2, however slightly, although U, W, beta are the best available."""
    t, d = 4, 5
    f, _ = factors(t, d, 2, 2, kind).normalised()
    r = t * d // 2
    square = norm(f) ** 2
    s = subspace(f, r, 10, 12, 0, 1e-12)
    beta = DeflatedGram(f, s.U.reshape(t, d, r), s.X.reshape(t, d, r)).largest_eigenvalue()
    pencil = Pencil(f, s.U, s.W, beta)
    assert not any(pencil._proves(square * (1 - slack)) for slack in (1e-12, 1e-10, 1e-8, 1e-4, 0.1, 0.9))
    if beta < 0.99 * square:
        assert pencil._proves(square * (1 + 1e-6))
    assert not pencil._proves(float("nan"))
    assert not pencil._proves(float("inf"))
    assert not pencil._proves(beta)


def test_the_rounding_budget_is_needed_and_small():
    """The budget stays far below the gap it must not hide, and above the true error of H."""
    f = factors(4, 5, 2, 2)
    s = subspace(f, 10, 10, 12, 0, 1e-12)
    pencil = Pencil(f, s.U, s.W, 0.0)
    J = dense(f).astype(np.longdouble)
    U = s.U.astype(np.longdouble)
    Z = J.T @ U
    D = J @ Z - U @ s.W
    for computed, exact, allowed in zip(
        (pencil.K, pencil.H, pencil.S), (U.T @ U, Z.T @ Z, D.T @ D), pencil.errors, strict=True
    ):
        assert np.linalg.norm((computed - exact).astype(float)) <= allowed + 1e-17
    assert max(pencil.errors) <= 1e-9 * norm(f) ** 2


def test_deflated_blocks_and_their_bounds():
    t, d, r = 5, 6, 4
    for kind in KINDS[:-1]:
        f = factors(t, d, 3, 2, kind)
        rng = np.random.default_rng(2)
        U, X = rng.standard_normal((2, t, d, r))
        J, n = dense(f), t * d
        exact = J @ J.T - X.reshape(n, r) @ U.reshape(n, r).T - U.reshape(n, r) @ X.reshape(n, r).T
        blocks = exact.reshape(t, d, t, d).transpose(0, 2, 1, 3)
        gram = DeflatedGram(f, U, X)
        for i in range(t):
            for ks, G in gram.row(i, 2):
                size = np.linalg.norm(G - blocks[i, ks], axis=(1, 2))
                assert (size <= gram.block_errors()[i, ks] + 1e-14 * np.linalg.norm(blocks[i, ks], axis=(1, 2))).all()
        for power in (4, 8):
            assert gram.largest_eigenvalue(power) >= np.linalg.eigvalsh(exact)[-1]


@given(seed=st.integers(0, 10**6), d=st.integers(1, 20), rank=st.integers(1, 20), e=st.integers(-200, 200))
def test_schatten_norms_are_above_and_ordered(seed, d, rank, e):
    rng = np.random.default_rng(seed)
    G = (rng.standard_normal((3, d, rank)) @ rng.standard_normal((3, rank, d))) * 2.0**e
    true = np.linalg.norm(G, 2, axis=(1, 2))
    four, eight = schatten_norms(G, 4), schatten_norms(G, 8)
    assert (eight >= true).all()
    assert (four >= eight).all()
    assert (four <= np.linalg.norm(G, axis=(1, 2)) * 1.01).all()
    assert (eight <= true * d**0.125 * 1.01).all()


@given(seed=st.integers(0, 10**6), m=st.integers(1, 8), n=st.integers(1, 8), zeros=st.floats(0, 1))
def test_nonnegative_norm_is_above_and_close(seed, m, n, zeros):
    rng = np.random.default_rng(seed)
    e = rng.random((m, n)) ** 4 * (rng.random((m, n)) >= zeros)
    true = np.linalg.norm(e, 2)
    assert true * (1 - 1e-15) <= nonnegative_norm(e)
    assert nonnegative_norm(e) <= np.linalg.norm(e) * 1.2


def perturbed(f, rng, adversarial):
    """True factors within the radii; ``adversarial``: at full radius, along the top singular pair of J, adding up."""
    t, h, d, _ = f.shape
    if adversarial:
        U, _, Vt = np.linalg.svd(dense(f))
        u, v = U[:, 0].reshape(t, d), Vt[0].reshape(t, d)
    else:
        u, v = rng.standard_normal((2, t, d))

    def unit(x):
        n = np.linalg.norm(x)
        return x / n if n > 0 else x

    F, AO, p, y, a = (x.copy() for x in (f.F, f.AO, f.p, f.y, f.a))
    share = (lambda: 1.0) if adversarial else rng.random
    for i in range(t):
        F[i] += f.dF[i] * share() * unit(np.outer(u[i], v[i]))
        for g in range(h):
            R = sum(f.p[g, i, j] * f.Wv[g] @ v[j] + f.y[g, i, j] * (f.a[g, i] @ v[j]) for j in range(t))
            back = f.AO[i, g].T @ u[i]
            AO[i, g] += f.dAO[i, g] * share() * unit(np.outer(u[i], R))
            a[g, i] += f.da[g, i] * share() * unit(sum((back @ f.y[g, i, j]) * v[j] for j in range(t)))
            for j in range(t):
                p[g, i, j] += f.dp[g, i, j] * share() * np.sign(back @ f.Wv[g] @ v[j])
                y[g, i, j] += f.dy[g, i, j] * share() * unit(back) * np.sign(f.a[g, i] @ v[j])
    return replace(f, F=F, AO=AO, p=p, y=y, a=a)


@pytest.mark.parametrize("adversarial", [False, True])
@given(seed=st.integers(0, 10**6), radius=st.sampled_from([1e-12, 1e-3, 0.3, 10.0]))
def test_error_covers_every_perturbation(adversarial, seed, radius):
    f = factors(3, 4, 2, 2, seed=seed, radius=radius)
    g = perturbed(f, np.random.default_rng(seed), adversarial)
    moved = np.linalg.norm(dense(g) - dense(f), 2)
    assert moved <= f.error() * (1 + 1e-13) + 1e-14 * norm(f)
    if adversarial:
        assert moved >= f.error() / 50
        assert norm(g) > norm(f)


def test_error_widens_both_ends():
    exact, f = factors(3, 4, 2, 2), factors(3, 4, 2, 2, radius=1e-3)
    a, b, e = deflation_upper(exact), deflation_upper(f), f.error()
    assert b.upper == pytest.approx(a.upper + e, rel=1e-12)
    assert b.lower == pytest.approx(a.lower - e, rel=1e-12)
    assert a.upper + e * (1 - 1e-15) <= b.upper


def inner(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def definite(A):
    """Whether a symmetric matrix of Fractions is positive definite: all pivots of Gaussian elimination."""
    A = [list(row) for row in A]
    for i in range(len(A)):
        if A[i][i] <= 0:
            return False
        for j in range(i + 1, len(A)):
            q = A[j][i] / A[i][i]
            A[j] = [x - q * y for x, y in zip(A[j], A[i], strict=True)]
    return True


@given(data=st.data(), n=st.integers(1, 4), r=st.integers(1, 3), shift=st.integers(0, 60), good=st.booleans())
def test_theorem_d_in_exact_arithmetic(data, n, r, shift, good):
    """Rational G, U, X, W, beta, t: whenever the hypotheses hold (strictly), so does the conclusion."""
    number = st.integers(-4, 4).map(Fraction)

    def matrix(m, k):
        return np.array([[data.draw(number) for _ in range(k)] for _ in range(m)], dtype=object).reshape(m, k)

    A, U, X, W = matrix(n, n), matrix(n, r), matrix(n, r), matrix(r, r)
    G, eye = A + A.T, np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    if good:  # the first coordinate vectors, with the choice of X and W that the iteration aims at
        U = eye[:, : min(n, r)]
        W = U.T @ G @ U
        X = G @ U - U @ W / 2
    deflated = G - X @ U.T - U @ X.T
    beta = Fraction(-60)
    while not definite(beta * eye - deflated):
        beta += 1
    t = beta + Fraction(1 + shift, 4)
    D = G @ U - U @ W
    pencil = t * (U.T @ U) - U.T @ G @ U - D.T @ D / (t - beta)
    if definite(pencil):
        assert definite((t + Fraction(1, 10**9)) * eye - G)


def test_theorem_d_is_attained():
    """With U spanning an invariant subspace the pencil is semidefinite from lambda_max on: nothing is lost."""
    G = np.diag([9, 4, 1]).astype(object)
    U = np.array([[1], [0], [0]], dtype=object)
    W = U.T @ G @ U
    D = G @ U - U @ W
    assert not D.any()
    assert (9 * (U.T @ U) - U.T @ G @ U).item() == 0
    assert not definite((9 - Fraction(1, 10**9)) * (U.T @ U) - U.T @ G @ U)


def test_a_block_of_middle_size():
    f = decaying(16, 48, 4, 12)
    result = deflation_upper(f)
    true = np.linalg.norm(f.dense(), 2)
    assert result.lower <= true * (1 + 1e-13) <= result.upper * (1 + 2e-13)
    assert result.upper <= 1.0001 * result.lower
    assert result.beta < result.lower**2
    assert set(result.seconds) == {"subspace", "beta", "pencil"}
    again = deflation_upper(f, rank=result.rank, sweeps=result.sweeps)
    assert (again.upper, again.lower) == (result.upper, result.lower)
    other = deflation_upper(f, rank=result.rank, sweeps=result.sweeps, seed=7)
    assert other.upper == pytest.approx(result.upper, rel=1e-4)


def test_bad_input_is_named():
    f = factors(2, 3, 1, 2)
    with pytest.raises(ShapeError, match=r"p has shape \(1, 2\)"):
        replace(f, p=np.ones((1, 2)))
    with pytest.raises(ShapeError, match="AO has shape"):
        replace(f, AO=np.ones((2, 3)))
    with pytest.raises(NonFiniteError, match="Wv"):
        replace(f, Wv=np.full_like(f.Wv, np.inf))
    with pytest.raises(DomainError, match="dy holds a negative"):
        replace(f, dy=-np.ones_like(f.dy))
    with pytest.raises(DomainError, match="schatten=6"):
        deflation_upper(f, schatten=6)
    with pytest.raises(DomainError, match="rank=0"):
        deflation_upper(f, rank=0)
    with pytest.raises(DomainError, match="factor AO has entries"):
        deflation_upper(replace(f, AO=1e60 * f.AO, a=1e-60 * f.a, Wv=1e-60 * f.Wv))
