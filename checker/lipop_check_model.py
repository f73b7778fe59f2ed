"""What a model's files say, for `lipop_check`: tensors, blocks as maps, and the leaves that can be redone from them.

Norms of weights are proved: from below in extended precision, from above by a verified Cholesky factorisation.
Derivatives of the blocks are replayed in float64: an imaginary step of 1e-30 gives them up to rounding.
"""

import hashlib
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lipop_check_rules import SAME, array_digest, digest, need, strict

UNIT, STEP = 2.0**-53, 1e-30
LOOSE, SMALL = 1e-2, 600  # slack of replayed norms; derivatives of up to so many columns are assembled
NAMES = ["W_Q", "W_K", "W_V", "W_O", "W_gate", "W_up", "W_down", "norm1", "norm2"]  # the parts of a layer in reports
FAMILIES = {  # the embedding, the layers, and what NAMES are there
    "bert": ("embeddings.word_embeddings.weight", "encoder.layer.",
             "attention.self.query attention.self.key attention.self.value attention.output.dense - intermediate.dense "
             "output.dense attention.output.LayerNorm output.LayerNorm"),
    "llama": ("embed_tokens.weight", "layers.", "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj "
              "mlp.gate_proj mlp.up_proj mlp.down_proj input_layernorm post_attention_layernorm"),
}  # fmt: skip
PLAIN = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False, "mlp_bias": False}
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


# ---- what leaves speak about ----


class Matrix:
    """A weight F, or a product F1 F2 of two."""

    def __init__(self, *factors: np.ndarray) -> None:
        self.factors, self.shape, self.best = factors, [len(factors[0]), factors[-1].shape[1]], 0.0

    def redo(self, n: Any) -> str:
        """Prove the value of a norm leaf, and that it is what its rule gives; anything else is refused."""
        if n.rule == "norm.vector@1":
            fits = n.witness["v"].shape == (self.shape[1],) and n.witness["v"].any()
            need(fits, n.name, "its vector has another length, or length zero")
            self.best = self.attained(n.witness["v"])
            need(self.best * (1 - 1e-7) <= n.value <= self.best, n.name, f"its vector gives {float(self.best)!r}")
        else:
            need(n.rule == "norm.cholesky@1", n.name, "matrices have no such leaf")
            need(self.proves(n.value), n.name, f"no Cholesky factorisation proves {n.value!r}")
            tight = n.value <= self.best * (1 + 1e-6) or n.value <= self.spectrum[0] * (1 + 1e-6)
            need(tight, n.name, "looser than its rule gives")
        return "proved"

    @property
    def product(self) -> np.ndarray:
        """The matrix, as float64 gives it."""
        return self.factors[0] @ self.factors[1] if len(self.factors) == 2 else self.factors[0]

    @cached_property
    def spectrum(self) -> np.ndarray:
        """The singular values, as float64 gives them."""
        return np.linalg.svd(self.product, compute_uv=False)

    def attained(self, v: np.ndarray) -> Any:
        """A lower bound of ``|F1 F2 v| / |v|``: in extended precision, less its rounding, ``g(k) |F1| |F2| |v|``."""
        y = start = v.astype(np.longdouble)
        size, terms = abs(y), 8
        for F in reversed(self.factors):
            y = np.einsum("ij,j->i", F, y, dtype=np.longdouble)
            size = np.einsum("ij,j->i", abs(F), size, dtype=np.longdouble)
            terms += sum(F.shape) + 8
        slack = terms * float(np.finfo(np.longdouble).eps)
        image, most, length = (np.sqrt((z * z).sum()) for z in (y, size, start))
        return (image * (1 - slack) - 2 * slack * most) / (length * (1 + slack))

    def proves(self, s: float) -> bool:
        """Whether ``|A| <= s``, A with m >= n columns: Cholesky of ``(s^2 - c) I - A^T A`` runs to its end (Rump 2006).

        c covers the factorisation's backward error ``g(n+1) / (1 - g(n+1)) n s^2``, the Gram matrix's rounding ``g(m)
        |A|_F^2``, ``8 u s^2`` for the shift, and underflow (entries are scaled to at most 1). The rounding of a product
        ``F1 F2``, at most ``g(k) | |F1| |F2| |_F``, is taken off s first.
        """
        A, error = self.product, 0.0
        if len(self.factors) == 2:
            F, G = self.factors
            error = 1.01 * UNIT * (len(G) + 2) * float(np.linalg.norm(abs(F) @ abs(G)))
        if not A.any():
            return s >= error
        A = A if A.shape[0] >= A.shape[1] else A.T
        (m, n), exponent = A.shape, math.frexp(float(abs(A).max()))[1]
        A, t = np.ldexp(A, -exponent), math.ldexp((s - error) * (1 - 4 * UNIT), -exponent)
        square = float((A * A).sum())
        c = 1.01 * UNIT * ((n + 2) * n * t * t + (m + 2) * square + 8 * t * t) + n * (m + n) * 1e-300
        if not 0 < t * t - c < math.inf:
            return False
        try:
            return bool(np.isfinite(np.linalg.cholesky((t * t - c) * np.eye(n) - A.T @ A)).all())
        except np.linalg.LinAlgError:
            return False


class Map:
    """A map f of token arrays and the point x at which a report asks about it."""

    def __init__(self, f: Any, x: np.ndarray) -> None:
        self.f, self.x = f, x

    def slope(self, v: np.ndarray, at: np.ndarray) -> np.ndarray:
        """The derivative along v / |v|."""
        return self.f(at + 1j * STEP * (v / np.linalg.norm(v))).imag / STEP

    def value(self, quantity: str, v: np.ndarray, at: np.ndarray) -> tuple[float, float]:
        """What v shows about a quantity (``|J v|``, or ``<v, J v>`` for the Dahlquist constant), and ``|J v|``."""
        image = self.slope(v, at)
        size = float(np.linalg.norm(image))
        return (float((v * image).sum() / np.linalg.norm(v)) if quantity == "dahlquist" else size), size

    def redo(self, n: Any) -> str:
        """Replay a direction, or the norm of a small derivative; other leaves stay trusted."""
        need(n.rule not in ("norm.vector@1", "norm.cholesky@1"), n.name, "its operator is no matrix")
        if n.side == "lower":
            y, v, center = (n.witness[k] for k in ("x", "v", "center"))
            fits = y.shape == v.shape == center.shape == self.x.shape and v.any()
            need(fits, n.name, "its witness has another shape, or no direction")
            slack = 1e-12 * (n.region.outer + np.linalg.norm(center))
            need(np.linalg.norm(y - center) <= n.region.outer + slack, n.name, "its witness lies outside the region")
            found, size = self.value(n.quantity, v, y)
            need(found - LOOSE * size <= n.value <= found + SAME * size, n.name, f"its direction gives {found!r}")
            return "replayed"
        if n.quantity not in ("op_norm", "dahlquist") or "own" in n.rule or self.x.size > SMALL:
            return "trusted"
        need(n.region.center == array_digest(self.x), n.name, "it holds at another point")
        J = np.array([self.slope(e.reshape(self.x.shape), self.x).ravel() for e in np.eye(self.x.size)])
        size = np.linalg.norm(J, 2)
        top = size if n.quantity == "op_norm" else np.linalg.eigvalsh((J + J.T) / 2)[-1]
        need(top - SAME * size <= n.value <= top + LOOSE * size, n.name, f"the derivative gives {top!r}")
        return "replayed"


# ---- the model ----


def act(name: str, z: Any) -> Any:
    """The activation, real or complex (a complex argument is a real one plus a first-order term)."""
    if name == "gelu":
        t = np.real(z)
        half = 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(t / math.sqrt(2)))
        return t * half + 1j * np.imag(z) * (half + t * np.exp(-t * t / 2) / math.sqrt(2 * math.pi))
    if name in ("relu", "silu"):
        return z * (np.real(z) > 0) if name == "relu" else z / (1 + np.exp(-z))
    need(name in ("gelu_new", "gelu_pytorch_tanh"), "config.hidden_act", f"{name} is not known here")
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Model:
    """A folder with config.json and safetensors files, one or sharded."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        home = strict(index.read_bytes())["weight_map"] if index.exists() else None
        files = ["model.safetensors"] if home is None else sorted(set(home.values()))
        self.tensors: dict[str, tuple[str, list[int], np.ndarray]] = {}
        for name in files:
            need(Path(name).name == name, name, "not a file of the folder")
            data = np.memmap(folder / name, np.uint8, "r")
            end = start = 8 + int.from_bytes(data[:8].tobytes(), "little")
            header = {k: t for k, t in strict(data[8:start].tobytes()).items() if k != "__metadata__"}
            for key, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
                a, b = (start + offset for offset in t["data_offsets"])
                fits = a == end <= b and key not in self.tensors and (home is None or home[key] == name)
                need(fits, f"tensor {key}", "its bytes overlap others or leave a gap, or it stands elsewhere too")
                self.tensors[key], end = (t["dtype"], t["shape"], data[a:b]), b
            need(end == len(data), name, "it ends elsewhere than its last tensor")
        need(home is None or home.keys() == self.tensors.keys(), index.name, "it lists other tensors")
        config, *weights = (file_digest(folder / name) for name in ("config.json", *files))
        self.digest = digest("checkpoint", config, sorted(weights))
        self.config = strict((folder / "config.json").read_bytes())
        for key, plain in PLAIN.items():  # what would make another map
            need(self.config.get(key, plain) == plain, f"config.{key}", "not known here")
        self.theta = self.config.get("rope_theta")
        for key in ("rope_parameters", "rope_scaling"):
            table = self.config.get(key) or {}
            known = {"default"} >= {v for k, v in table.items() if k != "rope_theta"}
            need(known and table.keys() <= {"rope_theta", "rope_type", "type"}, f"config.{key}", "not known here")
            self.theta = self.theta or table.get("rope_theta")
        self.family, self.layers = self.config["model_type"], self.config["num_hidden_layers"]
        need(self.family in FAMILIES, "config.model_type", f"{self.family} is not known here")
        self.bert, (self.words, self.layer, self.paths) = self.family == "bert", FAMILIES[self.family]
        self.prefix = "" if self.words in self.tensors else ("bert." if self.bert else "model.")
        self.dtype = self.tensors[self.prefix + self.words][0]

    def tensor(self, name: str) -> np.ndarray:
        """A weight in float64, which holds it exactly."""
        kind, shape, data = self.tensors[name]
        x = data.view(DTYPES[kind]).reshape(shape)
        x = np.asarray((x.astype("<u4") << 16).view("<f4") if kind == "BF16" else x, dtype=np.float64)
        need(np.isfinite(x).all(), name, "a weight is not finite")
        return x

    def norm(self, name: str) -> Any:
        """LayerNorm, or RMSNorm for Llama."""
        g, eps = self.tensor(f"{name}.weight"), self.config.get("layer_norm_eps", self.config.get("rms_norm_eps"))
        eps = (1e-12 if self.bert else 1e-6) if eps is None else eps
        b = self.tensor(f"{name}.bias") if self.bert else 0.0

        def run(x: np.ndarray) -> np.ndarray:
            x = x - x.mean(-1, keepdims=True) if self.bert else x
            return g * x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) + b

        return run

    def embed(self, ids: np.ndarray) -> np.ndarray:
        """The input of the first block."""
        need(len(ids) and ids.min() >= 0, "input.ids", "no tokens")
        words = self.tensor(self.prefix + self.words)
        need(ids.max() < len(words), "input.ids", "a token is not in the vocabulary")
        if not self.bert:
            return words[ids]
        at = f"{self.prefix}embeddings."
        places, kinds = (self.tensor(f"{at}{n}_embeddings.weight") for n in ("position", "token_type"))
        return self.norm(f"{at}LayerNorm")(words[ids] + places[: len(ids)] + kinds[0])

    def block(self, i: int) -> tuple[str, dict[str, Matrix], Any, list[tuple[str, Any, Any]]]:
        """Name, weights, the map, and the branches: a name, a map, and the map to the point where it acts."""
        name, c = f"{self.prefix}{self.layer}{i}", self.config
        paths = {n: f"{name}.{t}" for n, t in zip(NAMES, self.paths.split(), strict=True) if t != "-"}
        there = {t for t in self.tensors if t.startswith(f"{name}.") and not t.endswith(".inv_freq")}
        strange = there - {f"{p}.{t}" for p in paths.values() for t in ("weight", "bias")}
        need(not strange, f"tensor {min(strange, default='')}", "not part of such a block")
        W = {n: self.tensor(f"{t}.weight") for n, t in paths.items()}
        B = {n: self.tensor(f"{t}.bias") if f"{t}.bias" in there else 0.0 for n, t in paths.items()}
        first, second = (self.norm(paths[n]) for n in ("norm1", "norm2"))
        heads, kind = c["num_attention_heads"], c.get("hidden_act", "gelu" if self.bert else "silu")
        dk = len(W["W_Q"]) // heads
        share = heads * dk // len(W["W_K"])  # heads that read one key head

        def project(n: str, x: np.ndarray) -> np.ndarray:
            y = (x @ W[n].T + B[n]).reshape(len(x), -1, dk).swapaxes(0, 1)
            if not self.bert and n != "W_V":
                angle = np.arange(len(x))[:, None] * (self.theta or 1e4) ** (-np.arange(0, dk, 2) / dk)
                (a, b), cos, sin = np.split(y, 2, axis=-1), np.cos(angle), np.sin(angle)
                y = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
            return y.repeat(heads // len(y), axis=0)

        def attention(x: np.ndarray) -> np.ndarray:
            q, k, v = (project(n, x) for n in ("W_Q", "W_K", "W_V"))
            s = q @ k.swapaxes(1, 2) / math.sqrt(dk)
            s = s if self.bert else np.where(np.tri(len(x)) > 0, s, -1e30)
            p = np.exp(s - np.real(s).max(-1, keepdims=True))
            y = p / p.sum(-1, keepdims=True) @ v
            return y.swapaxes(0, 1).reshape(len(x), -1) @ W["W_O"].T + B["W_O"]

        def mlp(x: np.ndarray) -> np.ndarray:
            up = x @ W["W_up"].T + B["W_up"]
            return (act(kind, up) if self.bert else act(kind, x @ W["W_gate"].T) * up) @ W["W_down"].T + B["W_down"]

        weights = {n: Matrix(w) for n, w in W.items() if n.startswith("W_")}
        for h in range(heads):
            own, shared = slice(h * dk, (h + 1) * dk), slice(h // share * dk, (h // share + 1) * dk)
            weights[f"head {h}: W_Q^T W_K"] = Matrix(W["W_Q"][own].T, W["W_K"][shared])
            weights[f"head {h}: W_O W_V"] = Matrix(W["W_O"][:, own], W["W_V"][shared])
        if self.bert:
            middle = lambda x: first(x + attention(x))  # noqa: E731
            whole = lambda x: second((y := middle(x)) + mlp(y))  # noqa: E731
            return name, weights, whole, [("attention", attention, lambda x: x), ("mlp", mlp, middle)]
        F, G = lambda x: attention(first(x)), lambda x: mlp(second(x))
        middle = lambda x: x + F(x)  # noqa: E731
        whole = lambda x: (y := middle(x)) + G(y)  # noqa: E731
        return name, weights, whole, [("attention", F, lambda x: x), ("mlp", G, middle)]
