"""``lipop.testing``: strategies draw what they say, and broken brackets are found."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lipop as lo
from lipop.core.bound import Bracket
from lipop.errors import DomainError
from lipop.testing import ATTACKS, BracketBroken, assert_bracket, operators, points, regions

some = settings(max_examples=30, suppress_health_check=list(HealthCheck))


@some
@given(st.data(), st.booleans())
def test_random_operators_keep_their_brackets(data, tokens):
    T = data.draw(operators(tokens=tokens))
    assert T.domain.meets(T.codomain)
    region = data.draw(regions(T))
    x = data.draw(points(T, region))
    assert region.contains(x)
    assert T(x).shape == x.shape
    bracket = assert_bracket(T, region)
    assert bracket.upper.status in ("PROVED", "UNKNOWN")


@given(st.data())
def test_widths_and_radii_are_kept(data):
    T = data.draw(operators(width=3, depth=1))
    assert T.domain.shape == (3,)
    region = data.draw(regions(T, radius=0.5))
    assert getattr(region, "radius", 0.0) <= 0.5


def too_small(op, region):
    """A bracket whose upper end is nine tenths of the truth."""
    bound = (0.9 * op).lip(region)
    return Bracket(bound, bound)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("op", "region"),
    [
        (lo.Linear(np.diag([2.0, 1.9])), lo.Everywhere()),
        (lo.tanh(2), lo.Ball(np.zeros(2), 0.1)),
        (lo.residual(lo.Linear(0.5 * np.eye(2))), lo.Box(-np.ones(2), np.ones(2))),
        (lo.Identity(lo.Space((None, 2))), lo.TokenBall(np.zeros((2, 2)), 1.0, 0.5)),
        (lo.Identity(lo.Space(2)), lo.Shell(1.0, 2.0)),
    ],
)
def test_every_attack_finds_a_broken_bracket(attack, op, region):
    with pytest.raises(BracketBroken, match="shows Lip >=") as broken:
        assert_bracket(op, region, attacks=[attack], bracket=too_small(op, region))
    witness = broken.value.witness
    witness.check()
    assert witness.value > too_small(op, region).upper.value
    assert "witness: x = " in str(broken.value)
    assert attack in str(broken.value) or ATTACKS[attack].__name__ in str(broken.value)


def test_pairs_break_brackets_of_clouds_and_of_other_norms():
    cloud = lo.Cloud(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(BracketBroken):
        assert_bracket(lo.Identity(lo.Space(2)), cloud, bracket=too_small(lo.Identity(lo.Space(2)), cloud))
    T = lo.Linear(np.eye(2), norm_in="linf", norm_out="linf")
    with pytest.raises(BracketBroken):
        assert_bracket(T, bracket=too_small(T, lo.Everywhere()))
    assert_bracket(T)


def test_a_false_constant_of_the_user_is_found():
    """lip = 0.5 is stated of the sine; float64 witnesses are enough to refute it."""
    space = lo.Space(2)
    f = lo.FunctionOperator(space, space, np.sin, lip=0.5, name="sine, understated")
    with pytest.raises(BracketBroken, match=r"ESTIMATED by lip\.claimed@1"):
        assert_bracket(f, lo.Ball(np.zeros(2), 0.1))


def test_own_attacks_run_beside_the_named_ones():
    seen = []

    def watch(op, region, rng):
        seen.append((op, region))
        return iter(())

    assert_bracket(lo.relu(2), attacks=["pairs", watch])
    assert len(seen) == 1
    with pytest.raises(DomainError, match="unknown attack 'luck'"):
        assert_bracket(lo.relu(2), attacks=["luck"])


def test_attacks_are_reproducible():
    op, region = lo.silu(3), lo.Ball(np.zeros(3), 1.0)
    for attack in ATTACKS.values():
        first, again = ([b.id for b in attack(op, region, np.random.default_rng(0))] for _ in range(2))
        assert first == again


def test_without_hypothesis_only_the_strategies_fail():
    code = """
import sys
sys.modules["hypothesis"] = None
import lipop as lo
from lipop.testing import assert_bracket, operators
print(assert_bracket(lo.relu(2)).upper.status)
try:
    operators()
except ImportError as e:
    print(e)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, message = done.stdout.splitlines()
    assert status == "PROVED"
    assert "pip install 'lipop[testing]'" in message


def test_radii_must_be_positive():
    with pytest.raises(DomainError, match="positive largest radius"):
        regions(lo.relu(2), radius=0.0)
