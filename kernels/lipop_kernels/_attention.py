"""What attention's kernels share: checked arguments, and how heads, key heads and rotary pairs are laid out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

WORKING = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Sizes:
    """T tokens of width d; H heads of width dk in G groups that share keys and values; ``turned`` entries rotate."""

    tokens: int
    width: int
    heads: int
    groups: int
    dk: int
    turned: int

    @property
    def shared(self) -> int:
        """How many heads read one key head."""
        return self.heads // self.groups


def checked_dtype(x: np.ndarray, dtype: Any) -> np.dtype:
    """The working type: ``dtype``, or that of x."""
    kind = np.dtype(x.dtype if dtype is None else dtype)
    if kind not in WORKING:
        raise ValueError(f"the working type is {kind}; expected float32 or float64 (give dtype=)")
    return kind


def checked_sizes(
    x_shape: tuple[int, ...], weights: dict[str, np.ndarray], n_heads: Any, n_kv_heads: Any, rotary: Any
) -> Sizes:
    """The sizes, once every shape fits.

    Raises
    ------
    ValueError
    """
    if len(x_shape) != 2 or 0 in x_shape:
        raise ValueError(f"x has shape {x_shape}; expected (tokens, width), neither empty")
    tokens, d = x_shape
    heads = _count(n_heads, "n_heads")
    groups = heads if n_kv_heads is None else _count(n_kv_heads, "n_kv_heads")
    if heads % groups:
        raise ValueError(f"n_heads = {heads} is no multiple of n_kv_heads = {groups}")
    rows = weights["W_Q"].shape[0] if weights["W_Q"].ndim else 0
    if rows == 0 or rows % heads:
        raise ValueError(f"W_Q has shape {weights['W_Q'].shape}; its rows must be shared by {heads} heads")
    dk = rows // heads
    expected = {"W_Q": (rows, d), "W_K": (groups * dk, d), "W_V": (groups * dk, d), "W_O": (d, rows)}
    expected |= {"b_Q": (rows,), "b_K": (groups * dk,), "b_V": (groups * dk,), "b_O": (d,)}
    for name, w in weights.items():
        if w.shape != expected[name]:
            raise ValueError(f"{name} has shape {w.shape}; expected {expected[name]}")
    return Sizes(tokens, d, heads, groups, dk, checked_rotary(rotary, tokens, dk))


def checked_rotary(rotary: Any, tokens: int, dk: int) -> int:
    """How many entries of a head turn."""
    if rotary is None:
        return 0
    try:
        cos, sin = (np.asarray(x) for x in rotary)
    except (TypeError, ValueError):
        raise ValueError("rotary must be None or a pair (cos, sin) of arrays") from None
    half = cos.shape[1] if cos.ndim == 2 else 0
    if cos.shape != sin.shape or cos.shape != (tokens, half) or not 0 < 2 * half <= dk:
        raise ValueError(
            f"rotary tables have shapes {cos.shape} and {sin.shape}; expected ({tokens}, pairs) with at most {dk // 2} "
            "pairs"
        )
    finite("rotary", cos, sin)
    return 2 * half


def checked_scale(scale: Any, dk: int) -> float:
    """The score's factor, ``1 / sqrt(dk)`` by default."""
    c = 1.0 / math.sqrt(dk) if scale is None else float(scale)
    if not (math.isfinite(c) and c > 0):
        raise ValueError(f"scale is {scale!r}; expected a positive finite number")
    return c


def checked_memory(memory: Any) -> int:
    """Bytes, as given."""
    if isinstance(memory, bool) or not isinstance(memory, int | np.integer) or memory < 0:
        raise ValueError(f"memory is {memory!r}; expected a number of bytes >= 0")
    return int(memory)


def checked_factors(q: np.ndarray, k: np.ndarray, v: np.ndarray, o: np.ndarray) -> tuple[int, int, int, int]:
    """(heads, groups, tokens, dk) of stored factors, once they fit together."""
    if q.ndim != 3 or 0 in q.shape:
        raise ValueError(f"q has shape {q.shape}; expected (heads, tokens, head width), none empty")
    heads, tokens, dk = q.shape
    groups = k.shape[0] if k.ndim == 3 else 0
    expected = {"k": (groups, tokens, dk), "v": (groups, tokens, dk), "o": q.shape}
    for name, x in {"k": k, "v": v, "o": o}.items():
        if x.shape != expected[name] or groups == 0:
            raise ValueError(f"{name} has shape {x.shape}; expected {expected[name]}, with at least one group")
    finite("a stored factor", q, k, v, o)
    return heads, groups, tokens, dk


def checked_heads(p: Iterable[Any], heads: int, tokens: int, causal: bool) -> Iterator[np.ndarray]:
    """The probabilities (T, T) of each head, one after the other, once they are what they are said to be."""
    count, kind = 0, None
    for count, head in enumerate(map(np.asarray, p), start=1):
        if kind is not None and kind != head.dtype:
            raise ValueError(f"p has head {count} of type {head.dtype}; expected {kind}, the first one's")
        kind = head.dtype
        if head.shape != (tokens, tokens) or count > heads:
            raise ValueError(f"p has head {count} of shape {head.shape}; expected {heads} of shape {(tokens, tokens)}")
        finite("p", head)
        if bool((head < 0).any()):
            raise ValueError("p has negative entries; expected probabilities")
        if causal and bool(np.triu(head, 1).any()):
            raise ValueError("p is not zero above the diagonal, as causal=True says")
        yield head
    if count != heads:
        raise ValueError(f"p has {count} heads; expected {heads}")


def finite(name: str, *arrays: np.ndarray) -> None:
    """Raise ValueError at an entry that is not finite."""
    for x in arrays:
        if not bool(np.isfinite(x).all()):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise ValueError(f"{name} holds {x[index]} at index {index}; expected finite entries")


def named(W_Q: Any, W_K: Any, W_V: Any, W_O: Any, b_Q: Any, b_K: Any, b_V: Any, b_O: Any) -> dict[str, np.ndarray]:
    """The weights that are there, by name, checked to be finite."""
    given = {"W_Q": W_Q, "W_K": W_K, "W_V": W_V, "W_O": W_O, "b_Q": b_Q, "b_K": b_K, "b_V": b_V, "b_O": b_O}
    weights = {name: np.asarray(w) for name, w in given.items() if w is not None}
    for name, w in weights.items():
        if w.dtype not in WORKING:
            raise ValueError(f"{name} has dtype {w.dtype}; expected float32 or float64")
        finite(name, w)
    return weights


def checked_vector(v: Any, name: str, shape: tuple[int, int]) -> np.ndarray:
    """A direction of the right shape, float32 or float64."""
    v = np.asarray(v)
    if v.shape != shape:
        raise ValueError(f"{name} has shape {v.shape}; expected {shape}")
    if v.dtype not in WORKING:
        raise ValueError(f"{name} has dtype {v.dtype}; expected float32 or float64")
    return v


def checked_out(out: np.ndarray | None, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """``out``, or a new array."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        what = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out is {what}; expected {shape} {dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; expected an array that can be written")
    return out


def _count(n: Any, name: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"{name} is {n!r}; expected a positive integer")
    return int(n)
