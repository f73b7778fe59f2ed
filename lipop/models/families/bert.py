"""BERT: post-norm blocks, ``norm2 o (I + mlp) o norm1 o (I + attention)``, absolute positions."""

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
from lipop.operators.block import PostNormBlock
from lipop.operators.feedforward import MLP
from lipop.operators.normalization import LayerNorm

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}
CONFIG = {
    "model_type": Field(str, one_of=("bert",)),
    "vocab_size": Field(int, least=1),
    "hidden_size": Field(int, least=1),
    "num_hidden_layers": Field(int, least=1),
    "num_attention_heads": Field(int, least=1),
    "intermediate_size": Field(int, least=1),
    "max_position_embeddings": Field(int, least=1),
    "type_vocab_size": Field(int, 2, least=1),
    "layer_norm_eps": Field(float, 1e-12),
    "hidden_act": Field(str, "gelu", one_of=tuple(ACTIVATIONS)),
    "position_embedding_type": Field(str, "absolute", one_of=("absolute",)),
    "is_decoder": Field(bool, False, one_of=(False,)),
    "add_cross_attention": Field(bool, False, one_of=(False,)),
}
INERT_HERE = {
    **dict.fromkeys(INERT, ""),
    "attention_probs_dropout_prob": "dropout is off at inference",
    "hidden_dropout_prob": "dropout is off at inference",
    "classifier_dropout": "dropout is off at inference",
    "gradient_checkpointing": "recomputes the same values in training",
    "initializer_range": "spread of fresh weights",
    "pad_token_id": "one text without padding",
    "tie_word_embeddings": "the head is not part of the blocks",
}
HEADS = (
    "pooler.*",
    "cls.*",
    "classifier.*",
    "qa_outputs.*",
    "*.position_ids",
    "position_ids",
    "embeddings.position_ids",
)
LAYER = "encoder.layer.{i}."


def bert(path: Path, config: Mapping[str, Any], checkpoint: Checkpoint) -> Model:
    """The operators of a BERT checkpoint, saved from the base model or from one with a head (prefix ``bert.``)."""
    c = take(config, CONFIG, INERT_HERE)
    if c["hidden_size"] % c["num_attention_heads"]:
        raise UnsupportedConfig(
            f"config key 'num_attention_heads' = {c['num_attention_heads']} does not divide "
            f"'hidden_size' = {c['hidden_size']}"
        )
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in checkpoint else ""
    d, m = c["hidden_size"], c["intermediate_size"]

    def tensor(name: str, *shape: int) -> np.ndarray:
        return checkpoint.array(prefix + name, shape)

    def affine(name: str, rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
        return tensor(f"{name}.weight", rows, cols), tensor(f"{name}.bias", rows)

    def norm(name: str) -> LayerNorm:
        return LayerNorm(tensor(f"{name}.weight", d), tensor(f"{name}.bias", d), eps=c["layer_norm_eps"], tokens=True)

    def block(i: int) -> PostNormBlock:
        layer = LAYER.format(i=i)
        (wq, bq), (wk, bk), (wv, bv) = (affine(f"{layer}attention.self.{n}", d, d) for n in ("query", "key", "value"))
        wo, bo = affine(f"{layer}attention.output.dense", d, d)
        up, b_up = affine(f"{layer}intermediate.dense", m, d)
        down, b_down = affine(f"{layer}output.dense", d, m)
        return PostNormBlock.of(
            Attention(wq, wk, wv, wo, c["num_attention_heads"], bq=bq, bk=bk, bv=bv, bo=bo),
            norm(f"{layer}attention.output.LayerNorm"),
            MLP(up, b_up, down, b_down, activation=ACTIVATIONS[c["hidden_act"]], tokens=True),
            norm(f"{layer}output.LayerNorm"),
        )

    def embed(ids: np.ndarray) -> np.ndarray:
        words = tensor("embeddings.word_embeddings.weight", c["vocab_size"], d)[ids].astype(np.float64)
        places = tensor("embeddings.position_embeddings.weight", c["max_position_embeddings"], d)[: len(ids)]
        kind = tensor("embeddings.token_type_embeddings.weight", c["type_vocab_size"], d)[0]
        return norm("embeddings.LayerNorm")(words + places + kind)

    check_layers(checkpoint, "num_hidden_layers", c["num_hidden_layers"])
    _refuse_unread(checkpoint, prefix, c["num_hidden_layers"])
    dtype = checkpoint.info(f"{prefix}embeddings.word_embeddings.weight").dtype
    names = [(prefix + LAYER.format(i=i)).rstrip(".") for i in range(c["num_hidden_layers"])]
    blocks = Blocks(c["num_hidden_layers"], block)
    return Model(path, "bert", dtype, blocks, names, c["vocab_size"], c["max_position_embeddings"], embed, checkpoint)


def _refuse_unread(checkpoint: Checkpoint, prefix: str, layers: int) -> None:
    """Every tensor must be one that the blocks or the embedding use, or a head's.

    Raises
    ------
    CheckpointError
        Naming tensors that nobody would read: they may mean that the map is another one.
    """
    dense = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
    )
    parts = (*dense, "output.dense", "attention.output.LayerNorm", "output.LayerNorm")
    used = {f"{prefix}{LAYER.format(i=i)}{p}.{t}" for i in range(layers) for p in parts for t in ("weight", "bias")}
    used |= {f"{prefix}embeddings.{n}_embeddings.weight" for n in ("word", "position", "token_type")}
    used |= {f"{prefix}embeddings.LayerNorm.{t}" for t in ("weight", "bias")}
    check_names(checkpoint, used, tuple(prefix + h for h in HEADS) + HEADS, "BERT encoder")
