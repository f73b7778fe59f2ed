"""Llama: pre-norm blocks, ``(I + mlp o norm2) o (I + attention o norm1)``, rotary positions, grouped keys, SwiGLU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lipop.errors import UnsupportedConfig
from lipop.models.checkpoint import Checkpoint
from lipop.models.config import INERT, Field, take
from lipop.models.families.names import check_layers, check_names
from lipop.models.model import Blocks, Model
from lipop.operators.attention import Attention
from lipop.operators.attention_forward import RotaryTable
from lipop.operators.block import PreNormBlock
from lipop.operators.gated import GatedMLP
from lipop.operators.normalization import RMSNorm

ACTIVATIONS = {"silu": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
CONFIG = {
    "model_type": Field(str, one_of=("llama",)),
    "vocab_size": Field(int, least=1),
    "hidden_size": Field(int, least=1),
    "intermediate_size": Field(int, least=1),
    "num_hidden_layers": Field(int, least=1),
    "num_attention_heads": Field(int, least=1),
    "num_key_value_heads": Field(int, None, least=1, null=True),
    "head_dim": Field(int, None, least=2, null=True),
    "max_position_embeddings": Field(int, 2048, least=1),
    "rms_norm_eps": Field(float, 1e-6),
    "hidden_act": Field(str, "silu", one_of=tuple(ACTIVATIONS)),
    "attention_bias": Field(bool, False),
    "mlp_bias": Field(bool, False, one_of=(False,)),
    "rope_theta": Field(float, None, least=1, null=True),
    "rope_scaling": Field(dict, None, null=True),
    "rope_parameters": Field(dict, None, null=True),
}
INERT_HERE = {
    **INERT,
    "tie_word_embeddings": "the head is not part of the blocks",
    "pretraining_tp": "how a product is split among devices",
    "is_encoder_decoder": "false for a decoder",
}
IGNORED = ("lm_head.*", "*.rotary_emb.inv_freq", "score.*")
THETA = 10000.0
LAYER = "layers.{i}."


def llama(path: Path, config: Mapping[str, Any], checkpoint: Checkpoint) -> Model:
    """The operators of a Llama checkpoint, saved from the base model or from one with a head (prefix ``model.``).

    The rotary table is made in float64 from the config; PyTorch's reference makes it in float32.
    """
    c = take(config, CONFIG, INERT_HERE)
    heads = c["num_attention_heads"]
    groups = heads if c["num_key_value_heads"] is None else c["num_key_value_heads"]
    d, m, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
    if heads % groups:
        raise UnsupportedConfig(
            f"config key 'num_key_value_heads' = {groups} does not divide 'num_attention_heads' = {heads}"
        )
    if c["head_dim"] is None and d % heads:
        raise UnsupportedConfig(f"config key 'num_attention_heads' = {heads} does not divide 'hidden_size' = {d}")
    dk = d // heads if c["head_dim"] is None else c["head_dim"]
    if dk % 2:
        raise UnsupportedConfig(f"config key 'head_dim' = {dk}: rotary positions turn pairs, it must be even")
    rotary = RotaryTable(rope_theta(c), dk)
    prefix = "model." if "model.embed_tokens.weight" in checkpoint else ""
    biases = bool(c["attention_bias"])

    def tensor(name: str, *shape: int) -> np.ndarray:
        return checkpoint.array(prefix + name, shape)

    def bias(name: str, rows: int) -> np.ndarray | None:
        return tensor(f"{name}.bias", rows) if biases else None

    def norm(name: str) -> RMSNorm:
        return RMSNorm(tensor(f"{name}.weight", d), eps=c["rms_norm_eps"], tokens=True)

    def block(i: int) -> PreNormBlock:
        at, up = f"{LAYER.format(i=i)}self_attn.", f"{LAYER.format(i=i)}mlp."
        rows, shared = heads * dk, groups * dk
        return PreNormBlock.of(
            norm(f"{LAYER.format(i=i)}input_layernorm"),
            Attention(
                tensor(f"{at}q_proj.weight", rows, d),
                tensor(f"{at}k_proj.weight", shared, d),
                tensor(f"{at}v_proj.weight", shared, d),
                tensor(f"{at}o_proj.weight", d, rows),
                heads,
                groups,
                bq=bias(f"{at}q_proj", rows),
                bk=bias(f"{at}k_proj", shared),
                bv=bias(f"{at}v_proj", shared),
                bo=bias(f"{at}o_proj", d),
                causal=True,
                rotary=rotary,
            ),
            norm(f"{LAYER.format(i=i)}post_attention_layernorm"),
            GatedMLP(
                tensor(f"{up}gate_proj.weight", m, d),
                tensor(f"{up}up_proj.weight", m, d),
                tensor(f"{up}down_proj.weight", d, m),
                activation=ACTIVATIONS[c["hidden_act"]],
                tokens=True,
            ),
        )

    def embed(ids: np.ndarray) -> np.ndarray:
        return tensor("embed_tokens.weight", c["vocab_size"], d)[ids].astype(np.float64)

    check_layers(checkpoint, "num_hidden_layers", layers)
    used = {prefix + n for n in _names(layers, biases)}
    check_names(checkpoint, used, (*IGNORED, *(prefix + p for p in IGNORED)), "Llama decoder")
    dtype = checkpoint.info(f"{prefix}embed_tokens.weight").dtype
    names = [(prefix + LAYER.format(i=i)).rstrip(".") for i in range(layers)]
    positions = c["max_position_embeddings"]
    return Model(path, "llama", dtype, Blocks(layers, block), names, c["vocab_size"], positions, embed, checkpoint)


def rope_theta(c: Mapping[str, Any]) -> float:
    """The base of the rotary frequencies, from either spelling of the config.

    Raises
    ------
    UnsupportedConfig
        If the frequencies are scaled, or the spellings disagree.
    """
    given = {"rope_theta": c["rope_theta"]}
    for key in ("rope_parameters", "rope_scaling"):
        table = c[key] or {}
        kind = table.get("rope_type", table.get("type", "default"))
        strange = sorted(set(table) - {"rope_type", "type", "rope_theta"})
        if kind != "default" or strange:
            raise UnsupportedConfig(
                f"config key {key!r} = {dict(table)!r:.200}: scaled rotary frequencies are not implemented "
                "(only rope_type 'default')"
            )
        given[f"{key}.rope_theta"] = table.get("rope_theta")
    said = {k: v for k, v in given.items() if v is not None}
    for key, value in said.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
            raise UnsupportedConfig(f"config key {key!r} = {value!r}: expected a finite number, at least 1")
    if len(set(said.values())) > 1:
        raise UnsupportedConfig(f"config keys disagree: {said}")
    return float(next(iter(said.values()), THETA))


def _names(layers: int, biases: bool) -> set[str]:
    """Every tensor of the decoder, without the prefix."""
    attention = [f"self_attn.{n}_proj" for n in "qkvo"]
    weights = [*attention, *(f"mlp.{n}_proj" for n in ("gate", "up", "down")), "input_layernorm"]
    parts = [f"{p}.weight" for p in (*weights, "post_attention_layernorm")]
    parts += [f"{p}.bias" for p in attention] if biases else []
    return {"embed_tokens.weight", "norm.weight", *(LAYER.format(i=i) + p for i in range(layers) for p in parts)}


__all__ = ["llama", "rope_theta"]
