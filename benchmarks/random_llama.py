"""Write a random Llama checkpoint of a given shape (the 1B shape by default), bf16, one shard a layer.

    python benchmarks/random_llama.py FOLDER
    python benchmarks/random_llama.py FOLDER --size 8b --decay 0.5

Weights have variance 1 / fan_in, gains are near 1, so activations stay of order one. With ``decay`` column j of every
matrix is divided by ``j^decay``: the singular values then fall like those of trained weights, instead of filling an
interval up to a top without a gap. It needs no tokenizer: analyses of it are given token ids.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden": 64, "intermediate": 128, "layers": 2, "heads": 4, "groups": 2, "vocab": 64},
    "small": {"hidden": 1024, "intermediate": 3584, "layers": 2, "heads": 16, "groups": 4, "vocab": 512},
    "1b": {},
    "8b": {"hidden": 4096, "intermediate": 14336, "layers": 32, "heads": 32, "groups": 8, "vocab": 4096},
}
"""Shapes by name; the vocabulary is small, since it is not part of the blocks."""


def bf16(x: np.ndarray) -> np.ndarray:
    """Nearest bfloat16 as its bits (ties away from zero)."""
    return ((x.astype(np.float32).view(np.uint32) + np.uint32(0x8000)) >> np.uint32(16)).astype("<u2")


def save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """A safetensors file of bf16 tensors given as bits."""
    header, offset = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(t.shape), "data_offsets": [offset, offset + t.nbytes]}
        offset += t.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            f.write(np.ascontiguousarray(t).tobytes())


def write(
    folder: Path,
    *,
    hidden: int = 2048,
    intermediate: int = 8192,
    layers: int = 16,
    heads: int = 32,
    groups: int = 8,
    vocab: int = 4096,
    seed: int = 0,
    decay: float = 0.0,
) -> Path:
    """Write the checkpoint into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    dk = hidden // heads

    def matrix(m: int, n: int) -> np.ndarray:
        columns = np.float32(n) ** 0.5 * np.arange(1, n + 1, dtype=np.float32) ** np.float32(decay)
        return bf16(rng.standard_normal((m, n), dtype=np.float32) / columns)

    def gain() -> np.ndarray:
        return bf16(1 + 0.2 * rng.standard_normal(hidden))

    parts = [{"embed_tokens.weight": bf16(rng.standard_normal((vocab, hidden))), "norm.weight": gain()}]
    shapes = {
        "self_attn.q_proj": (heads * dk, hidden),
        "self_attn.k_proj": (groups * dk, hidden),
        "self_attn.v_proj": (groups * dk, hidden),
        "self_attn.o_proj": (hidden, heads * dk),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "mlp.down_proj": (hidden, intermediate),
    }
    where = {}
    for i in range(layers + 1):
        name = f"model-{i + 1:05d}-of-{layers + 1:05d}.safetensors"
        if i:
            part = {f"layers.{i - 1}.{k}.weight": matrix(*s) for k, s in shapes.items()}
            part |= {f"layers.{i - 1}.{k}.weight": gain() for k in ("input_layernorm", "post_attention_layernorm")}
        else:
            part = parts[0]
        part = {f"model.{k}": v for k, v in part.items()}
        save(folder / name, part)
        where |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="1b")
    parser.add_argument("--decay", type=float, default=0.0)
    args = parser.parse_args()
    write(args.folder, **SIZES[args.size], decay=args.decay)
