"""The parts of an error against what is measured where everything can be computed, and attacks on their rules."""

import math

import numpy as np
import pytest
import sympy

import lipop as lo
from lipop.core.bound import UPPER, Claim
from lipop.core.proof import from_json, to_json
from lipop.core.rule import derive, find_rule
from lipop.errors import DomainError, LipopError, NonFiniteError, ProofError, ShapeError
from lipop.limit import Architecture, theorem_3
from lipop.scaling import Decomposition, Descent
from lipop.scaling.decomposition import Sample, contraction, seen
from lipop.scaling.regression import EquilibriumRegression


def symmetric(rng, d, q):
    """A symmetric matrix whose eigenvalues are q and -q."""
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return q * Q @ np.diag(np.where(np.arange(d) % 2 == 0, 1.0, -1.0)) @ Q.T


def task(q=0.6, d=3, m=24, size=0.05, ridge=0.4, step=0.3, seed=0):
    rng = np.random.default_rng(seed)
    drives = size * rng.standard_normal((m, d))
    targets = np.tanh(drives @ rng.standard_normal(d) / size) + 0.3 * rng.standard_normal(m)
    return EquilibriumRegression(symmetric(rng, d, q), drives, targets, ridge, step)


# ---- training maps ----


@pytest.mark.parametrize("h", [0.1, 0.3, 0.55])
def test_descent_on_a_quadratic_is_exact(h):
    rng = np.random.default_rng(1)
    M = rng.standard_normal((4, 4))
    H = M @ M.T / 4 + 0.1 * np.eye(4)
    eigenvalues = np.linalg.eigvalsh(H)
    exact = max(abs(1 - h * eigenvalues[0]), abs(1 - h * eigenvalues[-1]))
    found = Descent(lo.Affine(H, np.ones(4)), h).contraction()
    assert exact * (1 - 1e-12) <= found.value <= exact * (1 + 1e-7)
    assert found.status == "PROVED"
    found.check()


def test_descent_does_not_need_symmetry_where_the_map_is_affine():
    F = lo.Affine(np.array([[1.0, -3.0], [3.0, 1.0]]), np.zeros(2))
    step = np.eye(2) - 0.1 * F.A
    assert Descent(F, 0.1).contraction().value == pytest.approx(np.linalg.norm(step, 2), rel=1e-7)


def test_strongly_convex_descent_is_sharper_with_a_gradient():
    """F x = x + sigmoid x, the gradient of a 1-strongly convex 1.25-smooth function; 0.75 is known without its sign."""
    F = lo.Identity(lo.Space((3,))) + lo.sigmoid(3)
    down = Descent(F, 0.8)
    plain, declared = down.contraction(), down.contraction(gradient=True)
    m, L = down.constants(lo.Everywhere())
    assert declared.value == pytest.approx(max(abs(1 - 0.8 * m), abs(1 - 0.8 * L)), rel=1e-9)
    assert (m, L) == pytest.approx((0.75, 1.25), rel=1e-6)
    assert declared.value < 0.5 < plain.value
    assert declared.status == "CONDITIONAL(F is the gradient of a function)"
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, y = rng.standard_normal((2, 3)) * rng.choice([0.1, 1.0, 10.0])
        moved = np.linalg.norm(down.map(x) - down.map(y)) / np.linalg.norm(x - y)
        assert moved <= declared.value * (1 + 1e-12)
    declared.check()


def test_values_fall_under_polyak_lojasiewicz():
    """A rank-deficient least-squares problem, whose constant is its least non-zero eigenvalue."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((3, 5))
    H, b = X.T @ X, X.T @ rng.standard_normal(3)
    eigenvalues = np.linalg.eigvalsh(H)[2:]
    mu, L = float(eigenvalues[0]), float(eigenvalues[-1])
    least = float(-0.5 * b @ np.linalg.pinv(H) @ b)
    down = Descent(lo.Affine(H, -b), 0.9 / L)
    x = np.zeros(5)
    for n in range(6):
        gap = 0.5 * x @ H @ x - b @ x - least
        bound = down.gap(n, mu * (1 - 1e-9), -least * (1 + 1e-12))
        assert gap <= bound.value
        bound.check()
        x = x - down.step * (H @ x - b)


def test_the_rate_of_polyak_lojasiewicz_is_attained():
    down = Descent(lo.Affine(np.diag([2.0, 0.0]), np.zeros(2)), 0.3)
    assert down.gap(5, 2.0, 1.0).value == pytest.approx((1 - 0.6) ** 10, rel=1e-6)
    assert down.gap(5, 2.0, 1.0).value >= (1 - 0.6) ** 10
    assert Descent(down.F, 1.01).gap(1, 2.0, 1.0).value == math.inf


# ---- the sample term ----


def test_sample_means_are_as_close_as_stated():
    """The radius is exceeded in at most a share delta of samples; here by far fewer."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((50, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    means = vectors[rng.integers(0, 50, (400, 64))].mean(axis=1)
    away = np.linalg.norm(means - vectors.mean(axis=0), axis=1)
    bound = Sample(64, 1.0, seed=3).mean(0.1)
    assert (away > bound.value).mean() <= 0.1
    assert bound.value <= 3.2 * np.quantile(away, 0.9)
    assert bound.value == pytest.approx((1 + math.sqrt(2 * math.log(10))) / 8, rel=1e-12)
    bound.check()


# ---- end to end ----


@pytest.mark.parametrize("seed", range(4))
def test_measured_errors_are_below_their_bounds(seed):
    t = task(seed=seed, size=(0.05, 0.3, 1.0, 2.0)[seed], q=(0.3, 0.6, 0.8, 0.5)[seed], step=0.05)
    parts = t.decomposition(seed)
    for N, P, K in ((5, 1, 0), (40, 3, 10), (300, 12, 80)):
        rows = t.sample(N, seed)
        measured, bounds = t.errors(rows, P, K), parts.parts(N, P, K)
        for name, value in measured.items():
            assert value <= bounds[name].value, (name, N, P, K)
        whole = parts(N, P, K)
        assert t.error(rows, P, K) <= sum(measured.values()) * (1 + 1e-12) <= whole.value
    assert whole.status == "PROBABLE(0.01)"
    whole.check()
    assert "triangle" in whole.explain() or "decomposition" in whole.explain()


def slope(x, y):
    return float(np.polyfit(x, np.log(y), 1)[0])


def test_optimisation_falls_like_the_contraction_factor():
    t = task(size=0.5, step=0.5)
    rows = t.sample(60, 1)
    beta = t.descent(rows, 4).contraction().value
    K = np.arange(20, 60, 4)
    assert slope(K, [t.errors(rows, 4, int(k))["optimisation"] for k in K]) == pytest.approx(math.log(beta), rel=0.02)


def test_architecture_falls_like_the_lipschitz_constant():
    t = task(q=0.7, size=0.005)  # tanh is almost the identity there
    rows, P = t.sample(60, 1), np.arange(10, 40, 2)
    measured = [t.errors(rows, int(p), 5)["architecture"] for p in P]
    assert slope(P, measured) == pytest.approx(math.log(t.lip.value), rel=0.02)
    law = [t.decomposition(1).architecture(int(p)).value for p in P]
    assert slope(P, law) == pytest.approx(math.log(t.lip.value), rel=1e-6)


def test_sample_term_falls_like_one_over_root_n():
    t = task(size=0.5)
    N, exact = np.array([50, 400, 3200]), t.predictions(None, None, None)
    measured = [
        np.mean([np.abs(t.predictions(t.sample(int(n), s), None, None) - exact).max() for s in range(40)]) for n in N
    ]
    assert slope(np.log(N), measured) == pytest.approx(-0.5, abs=0.08)
    law = [t.decomposition(1).sample(int(n)).value for n in N]
    assert slope(np.log(N), law) == pytest.approx(-0.5, abs=1e-9)


def test_rates_of_limits_are_architecture_terms():
    """Theorem 3's rate in the place of the part in depth."""
    T = lo.Affine(np.array([[0.5, 0.1], [0.0, 0.4]]), np.ones(2))
    rate = theorem_3(Architecture.tied(T)).rate
    assert rate is not None
    parts = Decomposition(
        lambda K: contraction(T.lip(), K, 1.0),
        lambda P: rate.bound(P, radius=1.0),
        lambda N: Sample(N, 1.0, 0).mean(0.05),
    )
    found = parts(N=100, P=12, K=5)
    assert found.value == pytest.approx(sum(p.value for p in parts.parts(100, 12, 5).values()), rel=1e-12)
    found.check()


# ---- proofs ----


def test_proofs_are_read_back():
    whole = task().decomposition(0)(N=10, P=3, K=4)
    again = from_json(to_json(whole))[whole.id]
    assert again.value == whole.value
    assert {"scaling.decomposition@1", "scaling.contraction@1", "scaling.seen@1", "scaling.mean@1"} <= {
        node["rule"] for node in to_json(whole).values()
    }
    assert find_rule("scaling.quadratic@1") is not None
    n, q, r, c = sympy.symbols("n q r c", positive=True)
    rule = find_rule("scaling.contraction@1")
    assert rule is not None
    assert rule.function is not None
    assert rule.function(q, n=n, radius=r, factor=c) == c * q**n * r


def test_rules_refuse_other_premises():
    T, S = (lo.Affine(np.array([[q]]), np.zeros(1)) for q in (0.5, 0.25))
    good, other = contraction(T.lip(), 2, 1.0), contraction(S.lip(), 2, 1.0)
    with pytest.raises(ProofError, match="not about iterates"):
        derive("scaling.contraction@1", other.claim, (T.lip(),), n=2, radius=1.0, factor=1.0)
    with pytest.raises(ProofError, match="a Lipschitz constant from above"):
        derive("scaling.contraction@1", good.claim, (T.expansion(),), n=2, radius=1.0, factor=1.0)
    with pytest.raises(ProofError, match="image of that distance"):
        derive("scaling.seen@1", other.claim, (good,), factor=1.0)
    with pytest.raises(ProofError, match="not those of the claim"):
        derive("scaling.decomposition@1", Claim("distance", UPPER, "x"), (good, good, other))
    with pytest.raises(ProofError, match="three parts"):
        derive("scaling.decomposition@1", good.claim, (good,))
    assert seen(good, 3.0).value == pytest.approx(0.75)


# ---- refusals ----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Descent(lo.Affine(np.eye(2)), 0.0), DomainError, "a step is finite and positive"),
        (lambda: Descent(lo.Affine(np.eye(2)), 1.0).gap(1, -1.0, 1.0), DomainError, "mu must be positive"),
        (lambda: Descent(lo.relu(2), 1.0).matrix(), DomainError, "has no matrix"),
        (
            lambda: Descent(lo.relu(lo.Space((2,), "linf")), 1.0).contraction(gradient=True),
            DomainError,
            "contracts in l2; F measures in linf",
        ),
        (lambda: Sample(0, 1.0, 0), DomainError, "at least one vector"),
        (lambda: Sample(3, math.inf, 0), DomainError, "finite radius"),
        (lambda: Sample(3, 1.0, 0).mean(1.0), DomainError, "a probability"),
        (lambda: task(q=1.0), DomainError, "must be a contraction"),
        (lambda: task(ridge=0.0), DomainError, "ridge and step"),
        (lambda: EquilibriumRegression(np.eye(3) / 2, np.ones((4, 2)), np.ones(4), 1.0, 1.0), ShapeError, "W must be"),
        (
            lambda: EquilibriumRegression(np.eye(2) / 2, np.full((4, 2), np.nan), np.ones(4), 1.0, 1.0),
            NonFiniteError,
            "must be finite",
        ),
    ],
)
def test_bad_input_is_named(make, error, message):
    assert issubclass(error, LipopError)
    with pytest.raises(error, match=message):
        make()
