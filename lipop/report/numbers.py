"""How bounds are shown in a report: exact decimal numbers, their status, and the ids of their proof nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lipop.core.bound import Bound, Bracket
from lipop.core.space import norm


def shown(value: float) -> float | str:
    """A float as JSON keeps it: itself (its shortest decimal reads back bit for bit), or ``"inf"`` / ``"-inf"``.

    >>> shown(0.1), shown(math.inf)
    (0.1, 'inf')
    """
    return float(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def read(value: Any) -> float:
    """The inverse of :func:`shown`."""
    return float(value)


def bracket(br: Bracket) -> dict[str, Any]:
    """Both ends with status and node."""
    return {
        "lower": shown(br.lower.value),
        "upper": shown(br.upper.value),
        "lower_status": br.lower.status,
        "status": br.upper.status,
        "lower_proof": br.lower.id,
        "proof": br.upper.id,
    }


def upper(bound: Bound) -> dict[str, Any]:
    """An upper bound alone."""
    return {"upper": shown(bound.value), "status": bound.status, "proof": bound.id}


def size(x: np.ndarray) -> float:
    """The F norm of a token array, as reports state it."""
    plain = float(np.linalg.norm(x))
    return (
        plain if 1e-150 < plain < math.inf else norm(x)
    )  # the squares of small entries underflow, of large ones overflow


__all__ = ["bracket", "read", "shown", "size", "upper"]
