"""Strict JSON: UTF-8, one value per key, finite numbers, bounded depth, so that no two readers can disagree."""

from __future__ import annotations

import json
import math
from typing import Any

from lipop.errors import CheckpointError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:200]!r} stands twice in one object")
        found[key] = value
    return found


def _integer(text: str) -> int:
    if text == "-0":
        raise ValueError("-0 is not an integer")
    if len(text) > 20:
        raise ValueError(f"integer with {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large for float64")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def strict_loads(data: bytes, what: str) -> Any:
    """The value of a JSON text.

    Parameters
    ----------
    data : bytes
        The text in UTF-8, without a byte order mark.
    what : str
        How messages call it, such as the path of the file.

    Raises
    ------
    CheckpointError
        If the text is not JSON, repeats a key, holds NaN, infinity, a number that float64 cannot hold or a lone
        surrogate, or is nested too deeply to be a config or a header.

    Examples
    --------
    >>> strict_loads(b'{"hidden_size": 384}', "config.json")
    {'hidden_size': 384}
    >>> strict_loads(b'{"a": 1, "a": 2}', "config.json")
    Traceback (most recent call last):
        ...
    lipop.errors.CheckpointError: config.json: key 'a' stands twice in one object
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{what}: not UTF-8 (byte {error.start} is {data[error.start]:#04x})") from None
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_real, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{what}: not JSON, {error.msg} at line {error.lineno} column {error.colno}; is the file complete?"
        ) from None
    except RecursionError:
        raise CheckpointError(f"{what}: JSON nested too deeply") from None
    except ValueError as error:
        raise CheckpointError(f"{what}: {error}") from None
    if "\\u" in text and _has_surrogate(value):
        raise CheckpointError(f"{what}: a string holds a lone surrogate, which is not Unicode text")
    return value


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, dict):
        return any(_has_surrogate(k) or _has_surrogate(v) for k, v in value.items())
    return isinstance(value, list) and any(_has_surrogate(v) for v in value)
