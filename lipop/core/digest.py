"""Digests: the names by which operators, regions and arrays are known in proofs and caches."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def array_digest(x: np.ndarray) -> str:
    """sha256 of an array's dtype, shape and bytes (C order).

    >>> array_digest(np.zeros(2)) == array_digest(np.zeros((2, 1)))
    False
    """
    x = np.ascontiguousarray(x)
    h = hashlib.sha256(f"{x.dtype.str}{list(x.shape)}".encode())
    h.update(x.data if x.size else b"")
    return h.hexdigest()


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(*parts: Any) -> str:
    """sha256 of the canonical JSON of the parts (strings, numbers, lists, dicts, None)."""
    return hashlib.sha256(canonical(list(parts)).encode()).hexdigest()


def hexed(value: Any) -> Any:
    """Replace floats by their hex strings, arrays by digests, tuples by lists: what JSON keeps without loss."""
    if isinstance(value, bool | str | type(None) | int):
        return value
    if isinstance(value, float | np.floating):
        return float(value).hex()
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return {"sha256": array_digest(value), "shape": list(value.shape), "dtype": value.dtype.str}
    if isinstance(value, list | tuple):
        return [hexed(v) for v in value]
    if isinstance(value, dict):
        return {str(k): hexed(v) for k, v in value.items()}
    raise TypeError(f"cannot put a {type(value).__name__} into a digest")
