"""Averagedness: constants against exact complex multipliers, the defining inequality on random pairs, residual rates
attained by the maps that their sources name."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipop as lo
from lipop.core import proof
from lipop.core.space import norm
from lipop.errors import DomainError
from lipop.limit import averagedness, criticality, halpern, krasnoselskii_mann, residual_bound, residual_rate
from lipop.limit.averaged_rules import exact_averagedness
from lipop.limit.critical import idempotent_floor

FRACTIONS = st.sampled_from([1 / 8, 1 / 4, 1 / 2, 5 / 8, 3 / 4, 15 / 16])


def multiplier(z):
    """Multiplication by a complex number, on the plane."""
    return lo.Linear(np.array([[z.real, -z.imag], [z.imag, z.real]]))


def turned(a, angle):
    """(1 - a) I + a times a rotation: averaged with a exactly."""
    return lo.relax(multiplier(complex(math.cos(angle), math.sin(angle))), a)


def constant(z):
    """The averagedness of multiplication by z: (1 - a)/a = (1 - |z|^2)/|1 - z|^2."""
    return abs(1 - z) ** 2 / (abs(1 - z) ** 2 + 1 - abs(z) ** 2)


def on_circle(a, angle):
    return 1 - a + a * complex(math.cos(angle), math.sin(angle))


class Turned(lo.Operator):
    """The same as :func:`turned`, with its constant stated, as rotations in float64 are not quite non-expansive."""

    def __init__(self, a, angle):
        self.z, self.averagedness = on_circle(a, angle), a
        self.domain = self.codomain = lo.Space((2,))

    def _make_digest(self):
        return f"turned {self.z} {self.averagedness}"

    def __call__(self, x):
        c, s = self.z.real, self.z.imag
        return np.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], axis=-1)


@given(a=FRACTIONS, b=FRACTIONS)
def test_no_rule_for_compositions_can_be_better(a, b):
    """Slow rotations in the ratio that the proof asks for attain the constant of the product."""
    stated = averagedness(Turned(a, 0.1) @ Turned(b, 0.1)).value
    assert stated == pytest.approx((a + b - 2 * a * b) / (1 - a * b), rel=1e-12)
    ka, kb = (1 - a) / a, (1 - b) / b
    t = 1e-4
    product = on_circle(a, t * kb / a) * on_circle(b, t * ka / b)
    assert constant(product) <= stated * (1 + 1e-7)
    assert constant(product) >= stated * (1 - 1e-6)


@given(a=FRACTIONS, n=st.integers(1, 6))
def test_powers(a, n):
    stated = averagedness(Turned(a, 0.1) ** n).value
    z = on_circle(a, 1e-4) ** n
    assert stated == pytest.approx(n * a / (1 + (n - 1) * a), rel=1e-12)
    assert stated * (1 - 1e-6) <= constant(z) <= stated * (1 + 1e-6)


@given(a=FRACTIONS, b=FRACTIONS, w=st.sampled_from([0.25, 0.5, 0.875]))
def test_convex_combinations_and_relaxations(a, b, w):
    both = averagedness(w * Turned(a, 0.3) + (1 - w) * Turned(b, 0.3))
    assert both.value == pytest.approx(w * a + (1 - w) * b, rel=1e-12)
    z = w * on_circle(a, 0.3) + (1 - w) * on_circle(b, 0.3)
    assert constant(z) == pytest.approx(both.value, rel=1e-9)
    relaxed = averagedness(lo.relax(Turned(a, 0.3), 0.9 / a))
    assert relaxed.value == pytest.approx(0.9, rel=1e-12)
    shrunk = averagedness(0.5 * Turned(a, 0.3))
    assert shrunk.value == pytest.approx(0.5 * a + 0.25, rel=1e-12)
    assert constant(0.5 * on_circle(a, 0.3)) <= shrunk.value * (1 + 1e-12)


P = lo.SimplexProjection(3)
Q = lo.BallProjection(np.array([0.2, 0.0, -0.1]), 0.7)
R = lo.HalfspaceProjection(np.array([1.0, 2.0, -1.0]), 0.3)
S = lo.SoftThreshold(np.array([0.1, 0.0, 0.3]))
COMBINATIONS = {
    "product": P @ Q,
    "three": P @ Q @ R,
    "mean": 0.5 * P + 0.25 * Q + 0.25 * R,
    "weights below one": 0.5 * P + 0.25 * S,
    "relaxed product": lo.relax(P @ Q, 1.25),
    "reflected": lo.relax(P, 2.0),
    "power": (P @ R) ** 3,
    "nested": lo.relax(0.5 * (Q @ S) + 0.5 * lo.Identity(lo.Space((3,))), 0.75) @ P,
    "step": lo.residual(-0.25 * lo.Linear(np.array([[2.0, 1.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]))),
    "affine": lo.Affine(np.array([[0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), np.ones(3)),
    "restricted": P.restrict(lo.Ball(np.zeros(3), 50.0)),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_defining_inequality_on_pairs(name):
    op, rng = COMBINATIONS[name], np.random.default_rng(2)
    bound = averagedness(op)
    assert bound.status == "PROVED"
    a = bound.value
    assert 0 < a <= 1
    for _ in range(400):
        x, y = rng.standard_normal((2, 3)) * rng.choice([0.05, 0.5, 5.0])
        y = x + 0.01 * y if rng.integers(2) else y
        u, v = op(x), op(y)
        left = norm(u - v) ** 2 + (1 - a) / a * norm((x - u) - (y - v)) ** 2
        assert left <= norm(x - y) ** 2 * (1 + 1e-12) + 1e-13


@pytest.mark.parametrize("name", COMBINATIONS)
def test_proofs_check_and_survive_json(name):
    bound = averagedness(COMBINATIONS[name])
    bound.check()
    held = {n.claim.operator: n.subject for n in proof.nodes(bound) if n.subject is not None}
    read = proof.from_json(json.loads(json.dumps(proof.to_json(bound))), proof.arrays_of(bound))[bound.id]
    assert read.value == bound.value
    read.check(proof.Source(held))


def test_known_values():
    assert averagedness(lo.Identity(lo.Space((2,)))).value == 0.0
    assert averagedness(lo.relu(2)).value == 1.0
    assert averagedness(lo.Linear(-np.eye(2))).value == 1.0
    assert averagedness(COMBINATIONS["reflected"]).value == 1.0
    assert averagedness(COMBINATIONS["affine"]).value == pytest.approx(0.5, abs=1e-9)
    assert not averagedness(lo.Linear(1.5 * np.eye(2))).known
    assert averagedness(lo.Linear(1.5 * np.eye(2))).params["reason"].startswith("no rule")
    assert averagedness(0.5 * lo.tanh(2)).value <= 0.75
    assert not averagedness(lo.ObliqueProjection(np.array([[1.0], [0.0]]), np.ones((2, 1)))).known
    assert not averagedness(lo.Linear(np.ones((2, 3)))).known


def test_other_norms():
    """In linf products have the constant 1 - (1 - a)(1 - b) = 3/4 of two clips; in l2 it is 2/3."""
    clips = [lo.BoxProjection(np.zeros(2), np.ones(2), n) @ lo.SoftThreshold(np.ones(2), n) for n in ("linf", "l2")]
    assert averagedness(clips[0]).value == 0.75
    assert averagedness(clips[1]).value == pytest.approx(2 / 3)
    averagedness(clips[0]).check()


@given(seed=st.integers(0, 2**32 - 1), low=st.sampled_from([-0.75, -0.25, 0.0, 0.5]))
def test_exact_constants_of_symmetric_matrices(seed, low):
    """(1 - least eigenvalue)/2, from a rational rotation (Pythagorean triples), eigenvalues `low` and 1."""
    p, q = np.random.default_rng(seed).integers(1, 9, 2)
    v = np.array([p, q]) / 1.0
    a = np.eye(2) * (p * p + q * q) - (1 - low) * np.outer(v, v)  # (p^2 + q^2) times the matrix
    scale = 2.0 ** math.ceil(math.log2(p * p + q * q))
    matrix = a / scale  # eigenvalues low s and s, s = (p^2 + q^2)/scale <= 1, all entries exact
    least = low * (p * p + q * q) / scale
    assert exact_averagedness(lo.Linear(matrix)) == pytest.approx((1 - least) / 2, abs=1e-9)


@pytest.mark.parametrize("h", [0.25, 0.5, 1.0])
def test_residual_steps_from_the_dahlquist_constant(h):
    """x - h m x: Lip = h m, Dahlquist constant -h m, so the constant is h m / 2, exactly."""
    op = lo.residual(-h * lo.Linear(1.5 * np.eye(2)))
    assert averagedness(op).value == pytest.approx(0.75 * h, rel=1e-6)
    assert exact_averagedness(op) == pytest.approx(0.75 * h, rel=1e-6)


# ---- residuals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.5, 0.625, 0.75, 0.9])
@pytest.mark.parametrize("n", [1, 2, 5, 20, 100])
def test_rotations_attain_the_residual_bound(a, n):
    """|z|^n |1 - z| for the worst z of the circle; beyond the turning point the reflection z = 1 - 2a is worst."""
    stated = residual_bound(Turned(a, 1.0), n, 1.0).value
    s = min(a / ((1 - a) * (n + 1)), 4 * a * a)
    z = on_circle(a, 2 * math.asin(math.sqrt(s) / (2 * a)))
    attained = abs(z) ** n * abs(1 - z)
    assert attained <= stated * (1 + 1e-12)
    assert attained >= stated * (1 - 1e-6)


@pytest.mark.parametrize("a", [0.125, 0.25])
def test_small_constants_use_the_better_of_two_bounds(a):
    for n in (0, 1, 10, 1000):
        stated = residual_bound(Turned(a, 1.0), n, 2.0).value
        assert stated <= 2 * math.sqrt(a / ((1 - a) * (n + 1))) * (1 + 1e-12)
        for angle in np.linspace(0, math.pi, 60):
            z = on_circle(a, angle)
            assert 2 * abs(z) ** n * abs(1 - z) <= stated * (1 + 1e-12)


@pytest.mark.parametrize("name", ["product", "three", "mean", "nested", "affine"])
def test_residuals_never_exceed_the_bound(name):
    op, rng = COMBINATIONS[name], np.random.default_rng(5)
    p = np.zeros(3)
    for _ in range(20000):
        q = op(p)
        if norm(q - p) < 1e-15:
            break
        p = q
    if name == "affine":
        assert norm(op(p) - p) > 0.5, "it has no fixed point: the bound says nothing"
        return
    unit = [residual_bound(op, n, 1.0).value for n in range(40)]
    for x in 5 * rng.standard_normal((8, 3)):
        d = norm(x - p)
        for bound in unit:
            assert norm(op(x) - x) <= d * bound * (1 + 1e-9) + 1e-12
            x = op(x)


@pytest.mark.parametrize("n", [0, 1, 4, 30])
def test_halperns_rate_is_attained(n):
    """N x = x - 2t sign(x) beyond t = 1/(n+1), -x within: x_k = 1 - k t, and the residual after n steps is 2 t."""
    t = 1 / (n + 1)
    space = lo.Space((1,))
    N = lo.FunctionOperator(
        space,
        space,
        lambda x: np.where(np.abs(x) <= t, -x, x - 2 * t * np.sign(x)),
        lambda x, v: v,
        lambda x, u: u,
        1.0,
        name=f"flip at {t}",
    )
    x = halpern(N, np.ones(1), n)
    stated = residual_bound(N, n, 1.0, "halpern")
    assert norm(N(x) - x) == pytest.approx(stated.value, rel=1e-9)
    assert stated.status == "ESTIMATED"  # the user's own constant


@pytest.mark.parametrize("turn", [0.0, 0.5, 2.0, math.pi])
def test_halpern_on_rotations(turn):
    op, x = multiplier(complex(math.cos(turn), math.sin(turn)) * (1 - 2**-50)), np.array([3.0, 4.0])
    for n in (1, 5, 50):
        y = halpern(op, x, n)
        assert norm(op(y) - y) <= residual_bound(op, n, 5.0, "halpern").value


def test_the_mann_iteration_in_linf():
    """A cyclic shift is an isometry of linf with fixed points; the bound of any norm holds along its orbits."""
    n = 6
    shift = lo.Linear(np.roll(np.eye(n), 1, axis=0), norm_in="linf", norm_out="linf")
    for a in (0.25, 0.5, 0.75):
        op = lo.relax(shift, a)
        assert averagedness(op).value == a
        unit = [residual_bound(op, k, 1.0).value for k in range(1, 40)]
        for x in np.random.default_rng(1).uniform(-1, 1, (5, n)):
            y = x
            for bound in unit:
                y = op(y)
                assert norm(op(y) - y, "linf") <= bound * norm(x - x.mean(), "linf") * (1 + 1e-12)
        expected = x
        for _ in range(7):
            expected = op(expected)
        np.testing.assert_allclose(krasnoselskii_mann(shift, x, 7, a), expected, atol=1e-15)
    assert residual_rate(op).bound(4, 1.0).value == residual_bound(op, 4, 1.0).value


def test_varying_relaxations_and_refusals():
    turn = multiplier(1j)
    x = krasnoselskii_mann(turn, np.ones(2), 400, lambda k: 1 / (k + 2))
    assert norm(x) < 1e-1
    with pytest.raises(DomainError, match="between 0 and 1"):
        krasnoselskii_mann(turn, np.ones(2), 2, 1.5)
    with pytest.raises(DomainError, match="averaged"):
        residual_bound(turn, 3, 1.0)
    with pytest.raises(DomainError, match="non-expansive"):
        residual_bound(lo.Linear(2 * np.eye(2)), 3, 1.0, "halpern")
    assert residual_bound(turn, 3, 1.0, "halpern").value == 0.5


def test_rates_as_formulas():
    import sympy

    op = P @ Q
    rate = residual_rate(op)
    n, d = sympy.Symbol("n", positive=True, integer=True), sympy.Symbol("d", positive=True)
    for k in (1, 7, 50):
        assert rate(k, 2.0) <= float(rate.expr.subs({n: k, d: 2.0})) * (1 + 1e-12)
    assert "sqrt" in rate.latex()
    rate.bound(3, 1.0).check()
    residual_bound(op, 3, 1.0, "halpern").check()


# ---- criticality ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "answer"),
    [
        (P, "critical"),
        (Q, "critical"),
        (lo.SubspaceProjection(np.array([[1.0], [2.0]])), "critical"),
        (0.5 * lo.relu(2), "contractive"),
        (lo.BoxProjection(np.ones(2), np.ones(2)), "contractive"),
        (lo.Linear(2 * np.eye(2)), "expansive"),
        (lo.ObliqueProjection(np.array([[1.0], [0.0]]), np.ones((2, 1))), "expansive"),
    ],
)
def test_on_which_side_of_one(op, answer):
    found = criticality(op)
    assert found.answer == answer
    found.lip.upper.check()
    found.lip.lower.check()


def test_constant_projections_are_below_one():
    assert idempotent_floor(lo.BoxProjection(np.ones(2), np.ones(2))) is None
    assert idempotent_floor(lo.Linear(np.array([[1.0, 0.0], [3.0, 0.0]]))).value == 1.0
    assert idempotent_floor(lo.Linear(np.array([[1.0, 0.0], [3.0, 0.5]]))) is None
