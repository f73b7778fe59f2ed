"""Curves as SVG: a few elements, no libraries, text escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

Numbers = Sequence[float] | np.ndarray
WIDTH, HEIGHT, MARGIN = 480, 240, 44


def curve(x: Numbers, y: Numbers, title: str, label: str) -> str:
    """One curve with its range on both axes.

    Parameters
    ----------
    x, y : (n,) array
        Finite points are drawn; the others are left out.
    title, label : str
        Above the plot, and below its horizontal axis.

    Returns
    -------
    str
        An SVG document.

    Examples
    --------
    >>> curve([1, 2], [0.0, 1.0], "a & b", "n").count("&amp;")
    1
    """
    return curves([(x, y, "")], title, label)


def curves(
    lines: Sequence[tuple[Numbers, Numbers, str]],
    title: str,
    label: str,
    log: bool = False,
) -> str:
    """Several curves, each ``(x, y, name)``; with ``log`` both axes are logarithmic and points <= 0 are left out.

    >>> curves([([1, 10], [1, 0.1], "bound"), ([1, 10], [1, 0.01], "error")], "rate", "n", log=True).count("<polyline")
    2
    """
    drawn = [(*_usable(x, y, log), name) for x, y, name in lines]
    xs = np.concatenate([x for x, _, _ in drawn]) if drawn else np.zeros(0)
    ys = np.concatenate([y for _, y, _ in drawn]) if drawn else np.zeros(0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11">',
        f'<text x="{MARGIN}" y="16">{escape(title)}</text>',
        f'<path d="M{MARGIN} 28V{HEIGHT - MARGIN}H{WIDTH - 12}" fill="none" stroke="#888"/>',
        f'<text x="{WIDTH / 2:g}" y="{HEIGHT - 8}">{escape(label)}</text>',
    ]
    if xs.size:
        across, up = _scale(xs, MARGIN, WIDTH - 12), _scale(ys, HEIGHT - MARGIN, 28)
        for k, (x, y, name) in enumerate(drawn):
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across(x), up(y), strict=True))
            dash = f' stroke-dasharray="{4 * k} 3"' if k else ""
            out.append(f'<polyline points="{points}" fill="none" stroke="#2a6fb0" stroke-width="1.5"{dash}/>')
            if name:
                out.append(f'<text x="{WIDTH - 110}" y="{40 + 14 * k}">{escape(name)}{" (dashed)" if k else ""}</text>')
        out += _ends(xs, ys, log)
    return "\n".join([*out, "</svg>"])


def _usable(x: Numbers, y: Numbers, log: bool) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(a) & np.isfinite(b)
    if log:
        keep &= (a > 0) & (b > 0)
        return np.log10(a[keep]), np.log10(b[keep])
    return a[keep], b[keep]


def _scale(values: np.ndarray, start: float, end: float) -> Callable[[np.ndarray], np.ndarray]:
    low, high = float(values.min()), float(values.max())
    width = high - low if high > low else 1.0
    return lambda v: start + (v - low) / width * (end - start)


def _ends(xs: np.ndarray, ys: np.ndarray, log: bool) -> list[str]:
    def shown(v: float) -> str:
        return f"{10**v:.3g}" if log else f"{v:.3g}"

    return [
        f'<text x="{MARGIN}" y="{HEIGHT - MARGIN + 14}">{shown(float(xs.min()))}</text>',
        f'<text x="{WIDTH - 36}" y="{HEIGHT - MARGIN + 14}">{shown(float(xs.max()))}</text>',
        f'<text x="2" y="{HEIGHT - MARGIN}">{shown(float(ys.min()))}</text>',
        f'<text x="2" y="34">{shown(float(ys.max()))}</text>',
    ]


__all__ = ["curve", "curves"]
