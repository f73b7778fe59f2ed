"""A region cut into cells: brackets close, witnesses stay below, forged grids are refused."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest

import lipop as lo
from lipop.certify.grid import apart, block, edges, frame, grid
from lipop.core import proof
from lipop.core.rule import derive, evaluate
from lipop.errors import ProofError

SQUARE = lo.Box(-np.ones(2), np.ones(2))


def net(activation, seed=0, n=2, m=8, p=2):
    rng = np.random.default_rng(seed)
    inner = lo.Affine(rng.standard_normal((m, n)), rng.standard_normal(m))
    return lo.Affine(rng.standard_normal((p, m))) @ activation(m) @ inner


def uniform(op, on, k):
    """The grid of k cells along each axis, every cell with its own bound, in order."""
    lines = edges(frame(on), k)
    at = [np.array(i) for i in np.ndindex(*(k,) * len(lines))]
    axis = np.arange(len(lines))
    return tuple(op.lip(lo.Box(lines[axis, i], lines[axis, i + 1])) for i in at)


@pytest.mark.parametrize("activation", [lo.tanh, lo.gelu])
@pytest.mark.parametrize("on", [SQUARE, lo.Ball(np.zeros(2), 1.0)], ids=["box", "ball"])
def test_brackets_of_plane_nets_close(activation, on):
    op = net(activation)
    tight, closed = (lo.lip(op, on, effort=effort) for effort in ("tight", "exhaustive"))
    assert tight.ratio > 1.1
    assert closed.ratio < 1.02
    assert closed.upper.rule == "grid@1"
    assert closed.upper.status == "PROVED"
    points = on.sample(np.random.default_rng(1), 200)
    inside = [x for x in points if on.contains(x)]
    assert max(np.linalg.norm(op.derivative(x).to_dense(), 2) for x in inside) <= closed.upper.value
    values = [op(x) for x in inside]
    pairs = [(i, j) for i in range(0, len(inside), 7) for j in range(i)]
    ratios = [np.linalg.norm(values[i] - values[j]) / np.linalg.norm(inside[i] - inside[j]) for i, j in pairs]
    assert max(ratios) <= closed.upper.value


def test_the_proof_checks_and_survives_json():
    op = net(lo.tanh)
    bound = lo.lip(op, lo.Ball(np.zeros(2), 1.0), effort="exhaustive").upper
    bound.check()
    text = json.dumps(proof.to_json(bound), allow_nan=False)
    again = proof.from_json(json.loads(text), proof.arrays_of(bound))[bound.id]
    subjects = {b.claim.operator: b.subject for b in proof.nodes(bound) if b.subject is not None}
    again.check(proof.Source(subjects))
    assert again.value == bound.value == max(p.value for p in bound.premises)
    assert bound.latex().count("\\max") == 1


def test_kinks_do_no_harm():
    """The sum of |x_i - c_i|: its constant on the square is sqrt 2, with kinks that no cell edge meets."""
    up = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    op = lo.Affine(np.ones((1, 4))) @ lo.relu(4) @ lo.Affine(up, np.array([0.3, -0.3, 0.1, -0.1]))
    bound = grid(op, SQUARE, "exhaustive", 0)
    assert math.sqrt(2) <= bound.value < lo.lip(op, SQUARE, effort="tight").upper.value * (1 + 1e-9)


def test_other_norms():
    """Derivative diag(1 - tanh^2) in linf: the largest slope on the box."""
    f = lo.tanh(lo.Space(2, "linf"))
    op = f @ lo.Affine(np.eye(2), np.array([1.0, 2.0]), norm_in="linf", norm_out="linf")
    bound = grid(op, SQUARE, "exhaustive", 0)
    bound.check()
    assert bound.value >= 1.0 - 1e-12
    assert {bound.claim.norm_in, bound.claim.norm_out} == {"linf"}


def test_tokens_and_token_balls():
    rng = np.random.default_rng(3)
    up, down = rng.standard_normal((5, 2)), rng.standard_normal((2, 5))
    op = lo.Affine(down, tokens=True) @ lo.tanh((None, 5)) @ lo.Affine(up, tokens=True)
    on = lo.TokenBall(np.ones((1, 2)), 0.4, 0.4)
    bracket = lo.lip(op, on, effort="exhaustive")
    bracket.upper.check()
    assert bracket.ratio < 1.02


def test_where_it_does_not_apply():
    op = net(lo.tanh)
    thin = lo.Box(np.zeros(2), np.array([0.0, 1.0]))
    for on in (lo.Everywhere(), lo.Ball(np.zeros(2), 0.0), thin, lo.Shell(0.0, 1.0), lo.Cloud(np.eye(2))):
        assert grid(op, on, "exhaustive", 0) is None
    assert grid(op, SQUARE, "tight", 0) is None
    assert grid(net(lo.tanh, n=5), lo.Ball(np.zeros(5), 1.0), "exhaustive", 0) is None
    close = lo.Box(np.ones(2), np.nextafter(np.ones(2), 2.0))
    assert edges(close, 2) is None
    assert frame(lo.Ball(np.full(2, 1.7e308), 1.7e308)) is None


def test_time_is_kept():
    op = net(lo.gelu)
    now = grid(op, SQUARE, "exhaustive", 0, time.monotonic() - 1.0)
    later = grid(op, SQUARE, "exhaustive", 0)
    assert len(now.premises) == 1
    assert later.value < now.value
    bracket = lo.lip(op, SQUARE, effort="exhaustive", timeout=0.0)
    assert bracket.lower.value <= bracket.upper.value


def test_doubling_keeps_the_edges():
    rng = np.random.default_rng(0)
    low = rng.standard_normal(3)
    box = lo.Box(low, low + rng.random(3))
    for k in (1, 2, 4, 8, 16):
        assert edges(box, 2 * k)[:, ::2].tobytes() == edges(box, k).tobytes()
        assert edges(box, k)[:, 0].tolist() == box.low.tolist()
        assert edges(box, k)[:, -1].tolist() == box.high.tolist()


def test_boxes_that_touch_a_ball_are_kept():
    low, high = np.array([[1.0, -1.0], [1.0 + 1e-9, -1.0], [0.8, 0.8]]), np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    assert apart(low, high, lo.Ball(np.zeros(2), 1.0)).tolist() == [False, True, True]
    assert apart(low * 1e-200, high * 1e-200, lo.Ball(np.zeros(2), 1e-200)).tolist() == [False, True, True]
    assert apart(low * 1e200, high * 1e200, lo.Ball(np.zeros(2), 1e200)).tolist() == [False, True, True]


def test_blocks_are_whole_cells():
    lines = edges(SQUARE, 4)
    assert block(lo.Box(-np.ones(2), np.zeros(2)), lines, (2,)) == (slice(0, 2), slice(0, 2))
    for bad in (
        lo.Box(-np.ones(2), np.full(2, 0.1)),
        lo.Box(-np.ones(2), np.full(2, 1.5)),
        lo.Box(np.zeros(2), np.array([0.0, 1.0])),
        lo.Box(np.zeros((1, 2)), np.ones((1, 2))),
        lo.Ball(np.zeros(2), 1.0),
    ):
        assert block(bad, lines, (2,)) is None


class TestForgeries:
    """Each forged node has the value and the evidence that its rule would give; the claims alone betray it."""

    op = net(lo.tanh)

    def forged(self, premises, k, on=SQUARE):
        honest = derive("grid@1", self.op.claim("lip", SQUARE), uniform(self.op, SQUARE, 4), k=4)
        honest.check()
        value = evaluate("grid@1", "upper", tuple(p.value for p in premises), {"k": k})
        return replace(honest, value=value, claim=self.op.claim("lip", on), params={"k": k}, premises=tuple(premises))

    def refused(self, match, premises, k=4, on=SQUARE):
        with pytest.raises(ProofError, match=match):
            self.forged(premises, k, on).check()

    def test_a_missing_cell(self):
        cells = uniform(self.op, SQUARE, 4)
        for i in range(len(cells)):
            self.refused("no premise", cells[:i] + cells[i + 1 :])
        self.refused("no premise", cells[:-1] + cells[:1])

    def test_a_moved_cell(self):
        cells = uniform(self.op, SQUARE, 4)
        box = cells[5].claim.region
        for moved in (
            lo.Box(box.low + 1e-9, box.high + 1e-9),
            lo.Box(np.nextafter(box.low, 2.0), box.high),
            lo.Box(box.low, np.nextafter(box.high, -2.0)),
        ):
            self.refused("not made of the grid's cells", (*cells[:5], self.op.lip(moved), *cells[6:]))

    @pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
    def test_a_wrong_k(self, k):
        self.refused("cells|premise", uniform(self.op, SQUARE, 4), k)

    @pytest.mark.parametrize("k", [0, -4, 4.0, True, "4", 2**11, None])
    def test_no_k_at_all(self, k):
        premises = uniform(self.op, SQUARE, 4)
        honest = derive("grid@1", self.op.claim("lip", SQUARE), premises, k=4)
        with pytest.raises(ProofError):
            replace(honest, params={"k": k}).check()
        with pytest.raises(ProofError):
            replace(honest, params={}).check()

    def test_another_region(self):
        cells = uniform(self.op, SQUARE, 4)
        for on in (
            lo.Box(-np.ones(2), np.nextafter(np.ones(2), 2.0)),
            lo.Ball(np.zeros(2), 1.0),  # its frame is a little larger than the square
            lo.Everywhere(),
            lo.Shell(0.5, 1.0),
            lo.Cloud(np.eye(2)),
        ):
            self.refused("cells|inside", cells, on=on)

    def test_other_claims(self):
        cells = uniform(self.op, SQUARE, 4)
        other = net(lo.tanh, seed=1)
        self.refused("something else", (*cells[:-1], other.lip(cells[-1].claim.region)))
        deviation = self.op.smoothness(cells[-1].claim.region)
        self.refused("something else", (*cells[:-1], deviation))
        self.refused("at least one", ())
        honest = derive("grid@1", self.op.claim("lip", SQUARE), cells, k=4)
        for claim in (
            replace(honest.claim, quantity="dahlquist"),
            replace(honest.claim, side="lower"),
            replace(honest.claim, norm_in="linf"),
        ):
            with pytest.raises(ProofError):
                replace(honest, claim=claim).check()

    def test_a_smaller_value(self):
        cells = uniform(self.op, SQUARE, 4)
        honest = derive("grid@1", self.op.claim("lip", SQUARE), cells, k=4)
        with pytest.raises(ProofError, match="re-evaluation"):
            replace(honest, value=min(c.value for c in cells) / 2).check()
