"""Small decoders of the Llama architecture, by name or by size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rlenv.common.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Preset:
    """The shape of a decoder: width, layers, attention heads, and the width of the MLP."""

    width: int
    layers: int
    heads: int
    mlp: int

    def parameters(self, vocabulary: int) -> int:
        """Return how many weights it has with tied embeddings, these included."""
        layer = 4 * self.width**2 + 3 * self.width * self.mlp + 2 * self.width
        return vocabulary * self.width + self.layers * layer + self.width

    def __str__(self) -> str:
        return f"width {self.width}, {self.layers} layers, {self.heads} heads, MLP width {self.mlp}"


PRESETS = {
    "nano": Preset(64, 2, 4, 176),
    "mini": Preset(64, 3, 4, 176),
    "micro": Preset(128, 4, 4, 344),
    "tiny": Preset(192, 6, 6, 512),
    "small": Preset(288, 6, 6, 768),
    "base": Preset(384, 8, 6, 1024),
    "medium": Preset(512, 12, 8, 1376),
    "large": Preset(768, 14, 12, 2048),
}
_WIDTHS = (*range(32, 512, 32), *range(512, 2048, 64), *range(2048, 16_385, 256))


def shape_of_size(parameters: float, vocabulary: int) -> Preset:
    """Return the shape whose number of weights is nearest to a given one.

    The deeper, the wider: of a width w it has about sqrt(w) / 2 layers, which gives 8 at 256 and
    the 32 of LLaMA 7B at 4,096.

    Args:
        parameters: embeddings included.
        vocabulary: number of tokens.
    """
    shapes = [_shape(width, layers) for width in _WIDTHS for layers in _depths(width)]

    def miss(shape: Preset) -> float:
        size = abs(math.log(shape.parameters(vocabulary) / parameters))
        return size + 0.1 * abs(math.log(shape.layers / _depth(shape.width)))

    return min(shapes, key=miss)


def _depth(width: int) -> float:
    return math.sqrt(width) / 2


def _depths(width: int) -> range:
    return range(max(1, math.floor(0.7 * _depth(width))), math.ceil(1.4 * _depth(width)) + 1)


def _shape(width: int, layers: int) -> Preset:
    head = 32 if width < 512 else 64 if width < 2048 else 128
    mlp = (
        -(-width * 8 // 3 // 32) * 32
    )  # as many weights as an MLP of two matrices, 4 times as wide
    return Preset(width, layers, width // head, mlp)


def preset(name: str) -> Preset:
    """Return the preset of that name, or raise a `UserError`."""
    if name not in PRESETS:
        raise UserError(
            f"there is no model preset {name!r}; there are {', '.join(PRESETS)}."
            f"{did_you_mean(name, PRESETS)}"
        )
    return PRESETS[name]


def build(shape: str | Preset, *, vocabulary: int, max_length: int, tokenizer: Any) -> Any:
    """Make a model with random weights from torch's global generator.

    Args:
        shape: a preset, or its name.
        vocabulary: number of tokens.
        max_length: the longest sequence in tokens.
        tokenizer: gives the ids of the special tokens.

    Returns:
        A float32 `LlamaForCausalLM` with tied embeddings.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = preset(shape) if isinstance(shape, str) else shape
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
