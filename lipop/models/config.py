"""config.json: typed keys that a family understands, keys proved inert, and a refusal of everything else.

A key that is skipped in silence (a soft cap, a residual multiplier, a window) changes the map and makes its bounds
false. So each family declares the keys it uses and, with the reason, the keys that do not matter; any other key stops
it.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipop.errors import CheckpointError, UnsupportedConfig
from lipop.models.strict_json import strict_loads

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
"""The default of a field that a config must give."""

INERT: Mapping[str, str] = {
    "_name_or_path": "a name",
    "architectures": "class names; the family follows from model_type and the tensors",
    "transformers_version": "who wrote the file",
    "dtype": "each tensor's dtype stands in its file",
    "torch_dtype": "each tensor's dtype stands in its file",
    "attention_dropout": "dropout is the identity at inference",
    "attention_probs_dropout_prob": "dropout is the identity at inference",
    "classifier_dropout": "dropout is the identity at inference",
    "hidden_dropout_prob": "dropout is the identity at inference",
    "gradient_checkpointing": "training only",
    "initializer_range": "training only",
    "use_cache": "cached keys and values are the ones recomputed",
    "chunk_size_feed_forward": "a token-wise map applied in chunks of tokens is the same map",
    "output_attentions": "adds outputs, changes none",
    "output_hidden_states": "adds outputs, changes none",
    "return_dict": "how outputs are packed",
    "bos_token_id": "generation only",
    "eos_token_id": "generation only",
    "pad_token_id": "padding is never added; the row of the embedding table is read like any other",
    "id2label": "names of classes",
    "label2id": "names of classes",
    "problem_type": "the training loss",
}
"""Keys that change no family's map, with the reason; a family adds its own."""


@dataclass(frozen=True)
class Field:
    """A config key that a family understands.

    Parameters
    ----------
    kind : type
        int, float (accepts integers), bool, str, list or dict.
    default : optional
        The value if the key is absent; without it the key is required.
    one_of : collection, optional
        The values that the family implements.
    least : int or float, optional
        The smallest value that makes sense.
    null : bool
        Whether null is accepted; it is returned as None.
    """

    kind: type
    default: Any = REQUIRED
    one_of: Collection[Any] | None = None
    least: float | None = None
    null: bool = False


def read_config(path: str | Path) -> dict[str, Any]:
    """The content of a config.json, given it or its folder.

    Raises
    ------
    CheckpointError
        If there is no such file, or it is not strict JSON (see `strict_loads`) with an object at the top.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    config = strict_loads(data, str(path))
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(config).__name__}")
    return config


def take(config: Mapping[str, Any], fields: Mapping[str, Field], inert: Collection[str] = ()) -> dict[str, Any]:
    """The values of the declared keys; anything undeclared is refused.

    Parameters
    ----------
    config : mapping
        What `read_config` returned.
    fields : mapping of str to Field
        The keys that the family implements.
    inert : collection of str
        The keys that are proved not to change the map, best as a mapping from key to reason, such as `INERT`.

    Returns
    -------
    dict
        One value for each field, floats as float.

    Raises
    ------
    UnsupportedConfig
        If a key is undeclared (even when its value is null or false), a required key is missing, or a value has the
        wrong type or is not one that the family implements. The message names key and value.

    Examples
    --------
    >>> fields = {"hidden_size": Field(int, least=1), "layer_norm_eps": Field(float, 1e-12)}
    >>> take({"hidden_size": 384, "use_cache": True}, fields, INERT)
    {'hidden_size': 384, 'layer_norm_eps': 1e-12}
    >>> take({"hidden_size": 384, "logit_scale": None}, fields, INERT)
    Traceback (most recent call last):
        ...
    lipop.errors.UnsupportedConfig: config key 'logit_scale' = None: not known to leave the map unchanged; ...
    """
    both = sorted(fields.keys() & set(inert))
    if both:
        raise ValueError(f"declared both as a field and as inert: {', '.join(both)}")
    unknown = [key for key in config if key not in fields and key not in inert]
    if unknown:
        pairs = ", ".join(f"{key!r} = {reprlib.repr(config[key])}" for key in unknown)
        raise UnsupportedConfig(
            f"config key{'s' if len(unknown) > 1 else ''} {pairs}: not known to leave the map unchanged; a bound that "
            f"ignores it could be false, so the family must implement it or prove it inert"
        )
    return {key: _value(config, key, field) for key, field in fields.items()}


def _value(config: Mapping[str, Any], key: str, field: Field) -> Any:
    """The checked value of one field."""
    if key not in config:
        if field.default is REQUIRED:
            raise UnsupportedConfig(f"config key {key!r} is missing; this family needs it ({field.kind.__name__})")
        return field.default
    value = config[key]
    found = f"config key {key!r} = {reprlib.repr(value)}"
    if value is None:
        if not field.null:
            raise UnsupportedConfig(f"{found}: expected {field.kind.__name__}, found null")
        return None
    if field.kind is float and type(value) is int:
        value = float(value)
    if type(value) is not field.kind:
        raise UnsupportedConfig(f"{found}: expected {field.kind.__name__}, found {type(value).__name__}")
    if field.kind is float and not math.isfinite(value):
        raise UnsupportedConfig(f"{found}: expected a finite number")
    if field.one_of is not None and value not in field.one_of:
        raise UnsupportedConfig(f"{found}: this family implements {', '.join(map(repr, field.one_of))} only")
    if field.least is not None and value < field.least:
        raise UnsupportedConfig(f"{found}: expected at least {field.least}")
    return value
