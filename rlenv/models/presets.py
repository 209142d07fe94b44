"""Small decoders of the Llama architecture, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlenv.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Preset:
    """The shape of a decoder: width, layers, attention heads, and the width of the MLP."""

    width: int
    layers: int
    heads: int
    mlp: int


PRESETS = {
    "nano": Preset(64, 2, 4, 176),
    "micro": Preset(128, 4, 4, 344),
    "tiny": Preset(192, 6, 6, 512),
    "small": Preset(288, 6, 6, 768),
    "base": Preset(384, 8, 6, 1024),
}


def preset(name: str) -> Preset:
    """Return the preset of that name, or raise a `UserError`."""
    if name not in PRESETS:
        raise UserError(
            f"there is no model preset {name!r}; there are {', '.join(PRESETS)}."
            f"{did_you_mean(name, PRESETS)}"
        )
    return PRESETS[name]


def build(name: str, *, vocabulary: int, max_length: int, tokenizer: Any) -> Any:
    """Make a model with random weights from torch's global generator.

    Args:
        name: a preset.
        vocabulary: number of tokens.
        max_length: the longest sequence in tokens.
        tokenizer: gives the ids of the special tokens.

    Returns:
        A float32 `LlamaForCausalLM` with tied embeddings.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = preset(name)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # the usual 0.02 suits widths in the thousands; a narrow model learns several times
        # faster when activations start at unit scale
        initializer_range=shape.width**-0.5,
    )
    return LlamaForCausalLM(config)
