"""The forward pass of Llama-like decoders, over the weights of a transformers model.

Every layer is read as the same few functions, so that the rest of the engine does not know which
family it runs: Llama (Touvron et al. 2023), Qwen2 and Qwen3 (Yang et al. 2024, 2025) and Gemma 3
(Gemma Team 2025) differ in biases, norms of queries and keys, norms after a block, and windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rlenv.engines.native.cache import Shape

# joining copies weights, which costs little in a small model and gains a lot; in a large one the
# products themselves take the time
_JOIN_BELOW = 2**22

FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "gemma3_text")

Function = Callable[[Tensor], Tensor]
# what a layer does between its projections: (layer number, queries, keys, values) -> mixed values
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def unsupported(model: Any) -> str | None:
    """Return why the fast path can't run a model, or None if it can."""
    config = model.config.get_text_config()
    if model.config.model_type not in FAMILIES:
        return f"it runs {', '.join(FAMILIES)}, not {model.config.model_type}"
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return "it does not know virtual tokens"
    ropes = config.rope_parameters
    for rope in ropes.values() if "rope_type" not in ropes else [ropes]:
        if rope["rope_type"] in ("dynamic", "longrope"):
            return f"rotary frequencies that follow the length ({rope['rope_type']}) are not here"
        if rope.get("partial_rotary_factor", 1.0) != 1.0:
            return "it turns the whole of every head, not a part"
    if getattr(config, "attn_logit_softcapping", None) is not None:
        return "it caps no attention scores"
    if getattr(config, "use_bidirectional_attention", None):
        return "it runs causal models"
    return None


@dataclass(frozen=True)
class Layer:
    """One decoder layer.

    Attributes:
        qkv: hidden states to queries, keys and values, side by side.
        turn_norm: the norm of queries and keys, (N, heads, D) to the same, or None.
        kind: which rotary table it reads.
        window: how far back it sees, itself included; None is all the way.
        scale: of the attention scores.
        out: mixed values to hidden states.
        gate_up, act, down: of the MLP.
        norms: before attention, after it, before the MLP, after it; None where there is none.
    """

    qkv: Function
    turn_norm: Function | None
    kind: str | None
    window: int | None
    scale: float
    out: Function
    gate_up: Function
    act: Function
    down: Function
    norms: tuple[Function, Function | None, Function, Function | None]


class Decoder:
    """A transformers model's forward pass, as it stands now.

    Args:
        model: a causal LM that is not `unsupported`; peft-wrapped is fine.
        dtype: to compute in; by default that of the model.

    Attributes:
        heads, kv_heads, head_dim: shape of the attention.
        shape: of its cache.
        layers: from the first to the last.
    """

    def __init__(self, model: Any, dtype: torch.dtype | None = None) -> None:
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        config = causal.config.get_text_config()
        body = getattr(causal.model, "language_model", causal.model)
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.dtype = dtype or body.norm.weight.dtype
        self.device = body.norm.weight.device
        self.shape = Shape(len(body.layers), self.kv_heads, self.head_dim, self.dtype, self.device)
        self._embed = body.embed_tokens
        self._rotary = body.rotary_emb
        self._prepared = 0
        self._tables: dict[str | None, tuple[Tensor, Tensor]] = {}
        kinds = getattr(config, "layer_types", None) or [None] * len(body.layers)
        self.layers = [
            self._layer(layer, kind) for layer, kind in zip(body.layers, kinds, strict=True)
        ]
        self._norm = self._rms(body.norm)
        self._head = joined([causal.lm_head], self.dtype)
        self._cap = getattr(config, "final_logit_softcapping", None)

    def _layer(self, layer: Any, kind: str | None) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        gemma = hasattr(layer, "pre_feedforward_layernorm")
        norms = (
            self._rms(layer.input_layernorm),
            self._rms(layer.post_attention_layernorm) if gemma else None,
            self._rms(layer.pre_feedforward_layernorm if gemma else layer.post_attention_layernorm),
            self._rms(layer.post_feedforward_layernorm) if gemma else None,
        )
        return Layer(
            qkv=joined([attention.q_proj, attention.k_proj, attention.v_proj], self.dtype),
            turn_norm=self._turn_norm(attention) if hasattr(attention, "q_norm") else None,
            kind=kind if self._by_kind else None,
            window=getattr(attention, "sliding_window", None),
            scale=attention.scaling,
            out=joined([attention.o_proj], self.dtype),
            gate_up=joined([mlp.gate_proj, mlp.up_proj], self.dtype),
            act=mlp.act_fn,
            down=joined([mlp.down_proj], self.dtype),
            norms=norms,
        )

    @property
    def _by_kind(self) -> bool:
        return isinstance(self._rotary.rope_type, dict)

    def _weight(self, norm: Any) -> tuple[Tensor, float]:
        if hasattr(norm, "variance_epsilon"):
            return norm.weight.to(self.dtype), norm.variance_epsilon
        return (1.0 + norm.weight.float()).to(self.dtype), norm.eps  # Gemma learns the rest to 1

    def _rms(self, norm: Any) -> Function:
        weight, eps = self._weight(norm)
        return lambda x: F.rms_norm(x, weight.shape, weight, eps)

    def _turn_norm(self, attention: Any) -> Function:
        q, eps = self._weight(attention.q_norm)
        k, _ = self._weight(attention.k_norm)
        weight = torch.cat([q.expand(self.heads, -1), k.expand(self.kv_heads, -1)])
        return lambda x: F.rms_norm(x, x.shape[-1:], eps=eps) * weight

    def prepare(self, length: int) -> None:
        """Make the rotary tables of all positions below `length`, and some more."""
        if length <= self._prepared:
            return
        self._prepared = length = length + 256
        for kind in {layer.kind for layer in self.layers}:
            like = torch.empty(0, dtype=self.dtype, device=self.device)
            positions = torch.arange(length, device=self.device)[None]
            cos, sin = self._rotary(like, positions, *([kind] if self._by_kind else []))
            # x cos + rotate(x) sin, where rotate swaps the halves and negates the first: the sign
            # goes into the table
            sign = torch.ones(self.head_dim, dtype=self.dtype, device=self.device)
            sign[: self.head_dim // 2] = -1
            self._tables[kind] = cos[0, :, None], (sin[0] * sign)[:, None]

    def forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Run tokens through all layers.

        Args:
            ids: (N,) token ids.
            positions: (N,) of each token in its own conversation, covered by `prepare`.
            attend: called once a layer with its number, the queries (N, heads, D), keys and
                values (N, kv_heads, D); returns mixed values (N, heads * D).

        Returns:
            hidden states (N, width), before the last norm.
        """
        turn = self.heads + self.kv_heads  # the heads that are rotated
        hidden: Tensor = self._embed(ids).to(self.dtype)
        tables = {
            kind: (cos.index_select(0, positions), sin.index_select(0, positions))
            for kind, (cos, sin) in self._tables.items()
        }
        for number, layer in enumerate(self.layers):
            before, after, before_mlp, after_mlp = layer.norms
            qkv = layer.qkv(before(hidden)).unflatten(-1, (-1, self.head_dim))
            qk, v = qkv[:, :turn], qkv[:, turn:]
            if layer.turn_norm is not None:
                qk = layer.turn_norm(qk)
            cos, sin = tables[layer.kind]
            qk = torch.addcmul(qk * cos, torch.roll(qk, self.head_dim // 2, -1), sin)
            mixed = layer.out(attend(number, qk[:, : self.heads], qk[:, self.heads :], v))
            hidden = hidden + (mixed if after is None else after(mixed))
            gate, up = layer.gate_up(before_mlp(hidden)).chunk(2, -1)
            mixed = layer.down(layer.act(gate) * up)
            hidden = hidden + (mixed if after_mlp is None else after_mlp(mixed))
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (N, V) that follow hidden states (N, width)."""
        logits = self._head(self._norm(hidden))
        return logits if self._cap is None else self._cap * torch.tanh(logits / self._cap)


def joined(modules: Sequence[Any], dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return one function for linear layers with the same input.

    Weights are read now: what is trained later needs another call. Small layers are copied into
    one matrix, with LoRA adapters added in (Hu et al. 2021, eq. 3); large ones, and layers that
    are more than a matrix, are called.

    Args:
        modules: linear layers, plain or wrapped by peft, or quantized ones.
        dtype: of the input; layers of another dtype are copied whatever their size.

    Returns:
        x (..., in) to the layers' outputs side by side (..., sum of outs).
    """
    weights = [_base(m).weight for m in modules]
    small = sum(weight.numel() for weight in weights) < _JOIN_BELOW
    other = any(weight.dtype != dtype for weight in weights)
    if (small or other) and all(_is_matrix(m) for m in modules):
        matrices = [_weight(m).to(dtype) for m in modules]
        weight = torch.cat(matrices) if len(matrices) > 1 else matrices[0]
        biases = [_base(m).bias for m in modules]
        if all(bias is None for bias in biases):
            return lambda x: F.linear(x, weight)
        bias = torch.cat(
            [
                weight.new_zeros(_base(m).out_features) if b is None else b.detach().to(dtype)
                for m, b in zip(modules, biases, strict=True)
            ]
        )
        return lambda x: F.linear(x, weight, bias)
    if len(modules) == 1:
        only: Callable[[Tensor], Tensor] = modules[0]
        return only
    return lambda x: torch.cat([m(x) for m in modules], -1)


def _base(module: Any) -> Any:
    return module.get_base_layer() if hasattr(module, "get_base_layer") else module


def _adapters(module: Any) -> list[str]:
    """Return the LoRA adapters that a peft layer applies to what its base layer gives."""
    if module is _base(module) or module.disable_adapters or module.merged:
        return []
    return [name for name in module.active_adapters if name in module.lora_A]


def _is_matrix(module: Any) -> bool:
    """Return whether a layer is x W + b, the sum of a plain matrix and LoRA's products."""
    if type(_base(module)) is not nn.Linear:
        return False
    if module is _base(module):
        return True
    if not hasattr(module, "lora_A"):
        return False
    names = _adapters(module)
    return not any(n in module.lora_variant or module.lora_bias.get(n) for n in names)


def _weight(module: Any) -> Tensor:
    """Return the weight (out, in) of a layer for which `_is_matrix`."""
    weight: Tensor = _base(module).weight.detach()
    for name in _adapters(module):
        weight = weight + module.get_delta_weight(name).detach()
    return weight
