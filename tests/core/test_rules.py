"""The rules of the calculus: attained where they are exact, and refused where they are not theorems."""

import math

import numpy as np
import pytest

import lipop as lo
from lipop.core.algebra import Residual
from lipop.core.rounding import workprec
from lipop.core.rule import RULES, derive, evaluate
from lipop.errors import ProofError

rng = np.random.default_rng(0)


def rotation(t):
    return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize("c", [-3.0, -1.0, -0.5, 0.0, 0.25, 2.0])
def test_residual_is_attained_by_multiples_of_the_identity(c):
    """F = c I: |1 + c| exactly, by sqrt(1 + 2c + c^2) (which magnifies the premises' last digits where c = -1)."""
    assert close(evaluate("residual@1", "upper", (c, abs(c)), {}), abs(1 + c))
    bound = lo.residual(lo.Linear(c * np.eye(3))).lip()
    assert math.isclose(bound.value, abs(1 + c), rel_tol=1e-6, abs_tol=1e-6 if c != -1 else 1e-3)
    assert bound.value >= abs(1 + c)
    assert lo.residual(lo.Linear(c * np.eye(3))).dahlquist().value >= 1 + c


@pytest.mark.parametrize("t", [0.3, 1.2, math.pi / 2, 2.5, math.pi])
def test_residual_is_attained_by_rotations(t):
    """|I + c R| = sqrt(1 + 2 c cos t + c^2), and c cos t is the Dahlquist constant."""
    F = lo.Linear(0.7 * rotation(t))
    exact = math.sqrt(1 + 1.4 * math.cos(t) + 0.49)
    assert close(F.dahlquist().value, 0.7 * math.cos(t))
    assert close(lo.residual(F).lip().value, exact)
    assert close(np.linalg.norm(np.eye(2) + F.A, 2), exact)


def test_composition_is_attained_where_singular_vectors_align():
    """A nonlinear factor between keeps the linear ones apart, so that the product rule is what is measured."""
    q = [np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2)]
    A, B = q[0] @ np.diag([3.0, 1.0, 0.5]) @ np.eye(3), np.eye(3) @ np.diag([2.0, 1.0, 0.1]) @ q[1]
    op = lo.Linear(A) @ lo.relu(3) @ lo.Linear(B)
    assert close(op.lip().value, 6.0)
    x = q[1].T @ np.array([1.0, 0.0, 0.0])
    assert close(np.linalg.norm(op(x) - op(0.5 * x)) / np.linalg.norm(0.5 * x), 6.0)


def test_neighbouring_linear_factors_are_multiplied_out():
    A, B = np.diag([2.0, 0.5]), np.diag([0.5, 2.0])
    assert close((lo.Linear(A) @ lo.Linear(B)).lip().value, 1.0)
    assert close((lo.Linear(A) @ lo.relu(2) @ lo.Linear(B)).lip().value, 4.0)


@pytest.mark.parametrize("c", [2.0, -2.0, 0.0, 1e-8, -1e8])
def test_scale_is_exact(c):
    f = lo.Diagonal(np.array([1.5, -0.5]))
    assert close((c * f).lip().value / max(abs(c), 1e-300), 1.5 if c else 0.0)
    assert close((c * f).expansion().value / max(abs(c), 1e-300), 0.5 if c else 0.0)
    if c > 0:
        assert close((c * f).dahlquist().value / c, 1.5)
    else:
        assert (c * f).dahlquist().value >= (c * f.d).max()


@pytest.mark.parametrize("n", [2, 3, 7, 50, 10_000])
def test_power_is_attained_by_orthogonal_maps(n):
    op = lo.Linear(rotation(0.4)) ** n
    assert 1.0 <= op.lip().value <= 1 + 1e-6 * n
    assert 1.0 >= op.expansion().value >= 1 - 1e-6 * n
    assert close((lo.Linear(0.5 * np.eye(2)) ** 3).lip().value, 0.125)


def test_sums_add():
    f, g = lo.Linear(2 * np.eye(2)), lo.Linear(3 * np.eye(2))
    assert close((f + g).lip().value, 5.0)
    assert close((f + g).dahlquist().value, 5.0)
    assert close((f - g).lip().value, 5.0)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 1.5, -0.5])
def test_relax_is_attained(alpha):
    """T = I for 0 <= alpha <= 1 and T = -I beyond."""
    sign = 1.0 if 0 <= alpha <= 1 else -1.0
    T = lo.relax(lo.Linear(sign * np.eye(2)), alpha)
    assert close(T.lip().value, abs(1 - alpha) + abs(alpha))
    J = T.derivative(np.zeros(2)).to_dense()
    assert close(np.linalg.norm(J, 2), abs(1 - alpha + sign * alpha))


def test_averagedness_needs_a_proof_of_non_expansiveness():
    assert lo.relax(lo.relu(2), 0.3).averagedness == 0.3
    assert lo.relax(lo.Linear(1.5 * np.eye(2)), 0.3).averagedness is None
    assert lo.relax(lo.relu(2), 1.0).averagedness is None


def test_residual_expansion_is_attained():
    T = lo.residual(lo.Linear(-0.4 * np.eye(2)))
    assert close(T.expansion().value, 0.6)
    assert T.expansion().value <= 0.6
    assert lo.residual(lo.Linear(3 * np.eye(2))).expansion().value == 0.0


@pytest.mark.parametrize("alpha", [1e6, -1e8, 1e12])
def test_relax_by_a_large_factor_covers_its_own_rounding(alpha):
    """The stored 1 - alpha is rounded; the linearisation must say so."""
    T = lo.relax(lo.Identity(lo.Space(1)), alpha + 1 / 3)
    near = T.linearize(lo.Ball(np.zeros(1), 1.0))
    from fractions import Fraction

    true = 1 - Fraction(T.alpha) + Fraction(T.alpha)
    stored = Fraction(1 - T.alpha) + Fraction(T.alpha)
    assert abs(true - stored) <= near.deviation.norm().value


def test_every_rule_has_a_version_and_a_reference():
    for name, spec in RULES.items():
        assert name == spec.name
        assert name.split("@")[1].isdigit()
        assert len(spec.reference) > 10
        assert spec.strength in ("proved", "probable", "witnessed", "estimated", "declared")
        assert spec.leaf == (spec.function is None)


def test_formulas_round_outward():
    import flint

    tenth = (0.1, 0.2)
    up, down = (evaluate("sum@1", side, tenth, {}) for side in ("upper", "lower"))
    with workprec(128):
        assert flint.arb(down) <= flint.arb(0.1) + flint.arb(0.2) <= flint.arb(up)
    assert math.nextafter(down, math.inf) == up
    assert evaluate("residual@1", "upper", (-1.0, 1.0), {}) == 0.0
    assert evaluate("residual@1", "upper", (-0.5, math.inf), {}) == math.inf
    assert evaluate("scale@1", "lower", (math.inf,), {"c": 0.0}) == -math.inf
    with pytest.raises(ProofError, match="is a leaf"):
        evaluate("lip.own@1", "upper", (), {})


# ---- what must not pass --------------------------------------------------------------------------------------------


def refused(rule, claim, *premises, match, **params):
    with pytest.raises(ProofError, match=match):
        derive(rule, claim, premises, **params)


def test_dahlquist_constants_neither_multiply_nor_take_powers():
    """A quarter turn has Dahlquist constant 0, its fourth power is the identity."""
    R = lo.Linear(rotation(math.pi / 2))
    assert abs(R.dahlquist().value) < 1e-6
    P = R**4
    refused("power@1", P.claim("dahlquist", lo.Everywhere()), R.dahlquist(), match="bounds Lip", n=4)
    assert P.dahlquist().value >= 1.0
    f = lo.relu(2) @ R
    groups = [[lo.relu(2).digest], [R.digest]]
    claim = f.claim("dahlquist", lo.Everywhere())
    refused("compose@1", claim, R.dahlquist(), lo.relu(2).dahlquist(), match="it bounds Lip", groups=groups)


def test_lower_bounds_do_not_add_and_upper_rules_give_no_lower_ones():
    I, M = lo.Identity(lo.Space(2)), lo.Linear(-np.eye(2))
    whole, on = I + M, lo.Everywhere()
    refused("sum@1", whole.claim("expansion", on, "lower"), I.expansion(), M.expansion(), match="from above")
    refused("sum@1", whole.claim("lip", on, "lower"), lo.lip(I).lower, lo.lip(M).lower, match="from above")
    refused("residual.sum@1", Residual(M).claim("lip", on, "lower"), M.lip(), match="no lower bound of lip")
    refused("residual@1", Residual(M).claim("lip", on, "lower"), M.dahlquist(), M.lip(), match="no lower")
    low = lo.lip(M).lower
    refused("dahlquist.lip@1", M.claim("dahlquist", on, "lower"), low, match="no lower bound of dahlquist")
    refused("relax@1", lo.relax(M, 0.5).claim("lip", on, "lower"), low, match="no lower", alpha=0.5)


def test_a_lower_bound_does_not_pass_to_a_smaller_region():
    f = lo.relu(1)
    far = lo.lip(f, on=lo.Ball(np.ones(1), 0.5)).lower
    assert far.value > 0.9
    region = lo.Ball(-np.ones(1), 0.5)
    small = f.restrict(region)
    refused("restrict@1", small.claim("lip", region, "lower"), far, match="no lower", region=region.digest)
    refused("least@1", f.claim("lip", region, "lower"), far, match="from above")


def test_a_negative_factor_turns_dahlquist_constants_round():
    f = lo.Diagonal(np.array([-1.0, -3.0]))
    refused("scale@1", (-1.0 * f).claim("dahlquist", lo.Everywhere()), f.dahlquist(), match="c >= 0", c=-1.0)
    assert (-1.0 * f).dahlquist().value >= 3.0


def test_premises_must_hold_where_and_how_they_are_used():
    x = np.ones(2)
    f, on, off = lo.Softmax(2), lo.Ball(x, 1.0), lo.Ball(x, 0.1)
    refused("scale@1", (2.0 * f).claim("lip", on), f.lip(off), match="smaller region", c=2.0)
    refused("scale@1", (2.0 * f).claim("lip", off), f.lip(off), match="not that of the claim", c=3.0)
    refused("sum@1", (f + f).claim("lip", on), f.lip(on), match="not those of the claim")
    refused("power@1", (f**2).claim("lip", on), f.lip(on), match="everywhere", n=2)
    refused("residual@1", lo.residual(f).claim("lip", on), f.lip(on), f.dahlquist(on), match="premises on")
    g = lo.Linear(np.eye(2), norm_in="linf", norm_out="linf")
    claim = lo.Claim("lip", "upper", lo.residual(g).digest)
    refused("residual.sum@1", claim, g.lip(), match="other norms")


def test_a_composition_needs_its_images():
    x = np.ones(2)
    f, g, on = lo.Softmax(2), lo.tanh(2), lo.Ball(np.ones(2), 0.5)
    op = f @ g
    good = op.lip(on)
    inner, outer, image = good.premises
    groups = good.params["groups"]
    refused("compose@1", good.claim, inner, outer, match="not shown to contain", groups=groups)
    refused("compose@1", good.claim, image, inner, outer, match="innermost first", groups=groups)
    refused("compose@1", good.claim, outer, inner, image, match="another factor", groups=groups)
    refused("compose@1", op.claim("lip", lo.Ball(x, 0.6)), inner, outer, image, match="innermost", groups=groups)
    refused("compose@1", (g @ f).claim("lip", on), inner, outer, image, match="claim's operator", groups=groups)
