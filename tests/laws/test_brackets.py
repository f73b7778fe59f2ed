"""Brackets of the whole zoo: ends in order, attacked, checked, written and read, explained and set in LaTeX."""

import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest

import lipop as lo
from lipop.core import proof
from lipop.core.bound import Bracket
from lipop.testing import assert_bracket
from tests.laws.zoo import ZOO, case


def asked(c):
    """A few bounds of every kind that the operator states, at most."""
    regions = [r for r in c.regions if r.kind in ("everywhere", "token_ball") or getattr(r, "radius", 0.0) > 0]
    if c.x.size > 9:  # attention
        regions = [r for r in regions if r.kind == "token_ball"]
    bounds = []
    for region in regions:
        bounds += [c.op.lip(region), c.op.dahlquist(region), c.op.expansion(region), c.op.smoothness(region)]
        located = c.op.image_bound(region)
        if located is not None:
            bounds.append(located[0])
        if region.kind != "everywhere":
            bounds.append(c.op.linearize(region).deviation.norm())
    return bounds


def subjects(*bounds):
    """The operators and matrices behind the leaves, by digest."""
    held = [n for b in bounds for n in proof.nodes(b) if n.subject is not None]
    return {n.claim.operator: n.subject for n in held}


def through_json(*bounds):
    text = json.dumps(proof.to_json(*bounds), allow_nan=False)
    return proof.from_json(json.loads(text), proof.arrays_of(*bounds))


def balanced(text):
    """Whether braces and environments close in order."""
    depth = 0
    for token in re.findall(r"\\[{}]|[{}]", text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return False
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return depth == 0 and not stack


@pytest.mark.parametrize("name", ZOO)
def test_every_bound_checks_and_survives_json(name):
    bounds = asked(case(name))
    source = proof.Source(subjects(*bounds))
    read = through_json(*bounds)
    for b in bounds:
        b.check()
        again = read[b.id]
        assert again.id == b.id
        assert again.status == b.status
        assert again.value.hex() == b.value.hex()
        assert again.subject is None
        again.check(source)
        assert b.explain().count("\n") + 1 >= len(list(proof.nodes(b)))
        assert balanced(b.latex())


@pytest.mark.parametrize("name", ZOO)
def test_brackets_are_in_order_and_survive_attacks(name):
    c = case(name)
    kinds = ("everywhere", "ball", "token_ball", "box", "shell", "cloud")
    regions = [next((r for r in reversed(c.regions) if r.kind == k), None) for k in kinds]
    attacks = ("pairs", "ascent", "differences") if case(name).x.size <= 5 else ("pairs", "differences")
    for region in (r for r in regions if r is not None):
        if name == "restriction" and region.kind == "everywhere":
            continue  # its points lie in the ball
        bracket = assert_bracket(c.op, region, attacks=attacks)
        assert 0 <= bracket.lower.value <= bracket.upper.value * (1 + 1e-9)
        assert bracket.lower.claim.region.digest == bracket.upper.claim.region.digest == region.digest
        expected = {"function": "ESTIMATED", "post-norm block": "PROBABLE(1e-09)", "pre-norm": "PROBABLE(1e-09)"}
        assert bracket.upper.status in ("PROVED", "UNKNOWN", expected.get(name))


@pytest.mark.parametrize("name", ZOO)
def test_a_point_is_bracketed_tightly(name):
    """At a point the bracket holds the norm of the derivative, to six digits where it is in l2."""
    c = case(name)
    bracket = lo.lip(c.op, at=c.x)
    if (c.op.domain.norm, c.op.codomain.norm) != ("l2", "l2"):
        assert bracket.lower.value <= bracket.upper.value * (1 + 1e-9)
        return
    exact = float(np.linalg.norm(c.op.derivative(c.x).to_dense(), 2))
    assert bracket.lower.value <= exact * (1 + 1e-12)
    assert bracket.lower.value >= exact * (1 - 1e-6)
    if name == "function":
        assert bracket.upper.status == "ESTIMATED"
        return
    assert exact * (1 - 1e-12) <= bracket.upper.value <= exact * (1 + 1e-6)


def test_latex_of_a_nested_proof_compiles(tmp_path):
    """Set by a TeX engine where there is one; its braces and environments close anyway."""
    rng = np.random.default_rng(0)
    a = lo.Affine(rng.standard_normal((3, 3)))
    op = lo.relax(lo.residual(0.5 * (a @ lo.gelu(3) @ a) + lo.tanh(3)) ** 3, 0.25)
    x = rng.standard_normal(3)
    bracket = lo.lip(op, on=lo.Ball(x, 0.1))
    texts = [b.latex() for b in (bracket.upper, bracket.lower, op.lip(), op.lip(lo.Ball(x, 0.1)))]
    assert all(balanced(t) for t in texts)
    assert all(t.count("\\le") + t.count("\\ge") >= 1 for t in texts)
    engine = shutil.which("pdflatex") or shutil.which("tectonic")
    if engine is not None:
        body = "\n".join(texts)
        document = "\\documentclass{article}\\usepackage{amsmath}\\begin{document}" + body + "\\end{document}"
        (tmp_path / "proof.tex").write_text(document)
        subprocess.run([engine, "proof.tex"], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def test_balanced_would_notice():
    assert not balanced(r"\begin{align*} {x \end{align*}")
    assert not balanced(r"\begin{align*} x \end{gather*}")


def test_a_printed_bracket_is_still_true():
    """The digits shown are rounded outward."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        op = lo.Linear(rng.standard_normal((2, 2)) * 10.0 ** rng.uniform(-8, 8))
        bracket = Bracket(lo.lip(op).lower, op.lip())
        low, _, _, _, high = str(bracket).split()[:5]
        assert float(low) <= bracket.lower.value
        assert bracket.upper.value <= float(high)
        assert math.isclose(bracket.ratio, 1.0, rel_tol=1e-7)
