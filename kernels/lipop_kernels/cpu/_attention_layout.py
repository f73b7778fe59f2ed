"""How attention's arrays are laid out: rows of a group together, entries of a rotary pair side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from lipop_kernels._attention import Sizes


def by_token(x: np.ndarray, s: Sizes, shared: int | None = None) -> np.ndarray:
    """(G, T r, w) seen as (T, G, r, w)."""
    n = s.shared if shared is None else shared
    return x.reshape(s.groups, s.tokens, n, x.shape[2]).transpose(1, 0, 2, 3)


def side_by_side(s: Sizes) -> np.ndarray:
    """The order of a head's entries in which those that turn together are neighbours."""
    pairs = np.arange(s.turned).reshape(2, -1).T.ravel()
    return np.concatenate([pairs, np.arange(s.turned, s.dk)])


def stacked(w: dict[str, np.ndarray], letter: str, s: Sizes, order: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Queries', keys' and values' rows (or biases, 0 by default) in one array."""
    out = np.zeros(
        ((s.heads + 2 * s.groups) * s.dk, s.width) if letter == "W" else (s.heads + 2 * s.groups) * s.dk, kind
    )
    start = 0
    for name, n, turns in (("Q", s.heads, True), ("K", s.groups, True), ("V", s.groups, False)):
        part = w.get(f"{letter}_{name}")
        if part is not None:
            heads = part.reshape(n, s.dk, *part.shape[1:])
            out[start : start + n * s.dk] = (heads[:, order] if turns else heads).reshape(part.shape)
        start += n * s.dk
    return out


def phases(rotary: Any, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """``cos + i sin`` and its conjugate, (T, 1, 1, pairs)."""
    cos, sin = (np.asarray(x, dtype=kind) for x in rotary)
    phase = np.empty(cos.shape, np.result_type(kind, np.complex64))
    phase.real, phase.imag = cos, sin
    phase = phase[:, None, None, :]
    return phase, phase.conj()
