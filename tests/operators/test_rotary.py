"""Rotary embedding: values against two independent forms, norms, layouts, enclosures in 200-bit balls."""

import flint
import numpy as np
import pytest
import torch

import lipop as lo
from lipop.core.enclosure import Enclosed
from lipop.core.rounding import workprec
from lipop.errors import DomainError, NonFiniteError, ShapeError


def rotate_half(x, dim, base):
    """The form of the model hub: x cos + rotate_half(x) sin, in PyTorch float64."""
    x = torch.tensor(x)
    freq = 1.0 / base ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = torch.outer(torch.arange(len(x), dtype=torch.float64), freq)
    angle = torch.cat([angle, angle], dim=-1)
    turned = torch.cat([-x[:, dim // 2 :], x[:, : dim // 2]], dim=-1)
    return (x * angle.cos() + turned * angle.sin()).numpy()


def as_complex(x, dim, base):
    """The form of the paper: multiply complex numbers by unit numbers."""
    z = x[:, 0::2] + 1j * x[:, 1::2]
    z = z * np.exp(1j * np.arange(len(x))[:, None] * base ** (-np.arange(dim // 2) * 2 / dim))
    return np.stack([z.real, z.imag], axis=2).reshape(x.shape)


@pytest.mark.parametrize(("layout", "reference"), [("half", rotate_half), ("interleaved", as_complex)])
def test_values_are_those_of_the_layout(layout, reference):
    rng = np.random.default_rng(0)
    x, h, u = rng.standard_normal((3, 7, 8))
    R = lo.Rotary(8, 500.0, layout=layout)
    np.testing.assert_allclose(R(x), reference(x, 8, 500.0), atol=1e-13)
    J = R.derivative(x)
    np.testing.assert_allclose(J.matvec(h), reference(h, 8, 500.0), atol=1e-13)  # linear: its own derivative
    assert float((J.matvec(h) * u).sum()) == pytest.approx(float((h * J.rmatvec(u)).sum()), abs=1e-12)
    assert R(x.astype(np.float32)).dtype == np.float32
    y = R.enclose(Enclosed.exact(x))
    c, s = R.tables(7)
    i, j = (1, 5) if layout == "half" else (2, 3)
    with workprec(200):
        arb = [flint.arb(float(v)) for v in (x[4, i], x[4, j], c[4, 1], s[4, 1])]
        for k, truth in ((i, arb[0] * arb[2] - arb[1] * arb[3]), (j, arb[0] * arb[3] + arb[1] * arb[2])):
            assert abs(truth - flint.arb(float(y.mid[4, k]))) <= flint.arb(float(y.radius[4, k]))


@pytest.mark.parametrize("norm", ["l2", "2inf"])
def test_it_is_an_isometry_up_to_its_tables(norm):
    rng = np.random.default_rng(1)
    R = lo.Rotary(6, norm=norm)
    x = rng.standard_normal((50, 6))
    for on in (None, lo.Ball(x, 1.0), lo.Box(x, x + 1)):
        lip, low = R.lip(on), R.expansion(on)
        lip.check()
        low.check()
        assert 1 - 1e-8 <= low.value <= 1 <= lip.value <= 1 + 1e-8
    s = np.linalg.svd(R.derivative(x).to_dense(), compute_uv=False)
    assert R.expansion(lo.Ball(x, 1.0)).value <= s[-1] * (1 + 1e-15)
    assert s[0] * (1 - 1e-14) <= R.lip(lo.Ball(x, 1.0)).value
    assert R.smoothness().value == R.linearize(lo.Ball(x, 1.0)).deviation.norm().value == 0.0
    assert not R.tokenwise


def test_the_dahlquist_constant_is_the_largest_cosine():
    R = lo.Rotary(4, positions=[2.0, 3.0], frequencies=[1.0, 0.9])
    J = R.derivative(np.ones((2, 4))).to_dense()
    top = np.linalg.eigvalsh((J + J.T) / 2)[-1]
    assert R.dahlquist().value == pytest.approx(top, rel=1e-8)
    assert R.dahlquist().value < 0
    assert lo.Rotary(4).dahlquist().value == 1.0


def test_positions_shift_and_scores_depend_on_differences():
    rng = np.random.default_rng(2)
    q, k = rng.standard_normal((2, 5, 8))
    here, there = lo.Rotary(8), lo.Rotary(8, positions=np.arange(5) + 1000)
    np.testing.assert_allclose(here(q) @ here(k).T, there(q) @ there(k).T, atol=1e-10)
    assert here != there
    assert here == lo.Rotary(8)


def test_bad_input_is_refused():
    for dim in (0, 3, -2, 2.0):
        with pytest.raises(ShapeError, match="even"):
            lo.Rotary(dim)
    with pytest.raises(DomainError, match="base"):
        lo.Rotary(4, -1.0)
    with pytest.raises(DomainError, match="layout"):
        lo.Rotary(4, layout="neox")
    with pytest.raises(DomainError, match="l1"):
        lo.Rotary(4, norm="l1")
    with pytest.raises(ShapeError, match="frequencies"):
        lo.Rotary(4, frequencies=np.ones(3))
    with pytest.raises(NonFiniteError, match="positions"):
        lo.Rotary(4, positions=[0.0, np.nan])
    with pytest.raises(ShapeError, match=r"shape \(3, 4\), expected 2x4"):
        lo.Rotary(4, positions=[0.0, 1.0])(np.ones((3, 4)))
