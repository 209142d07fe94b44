"""Tiny models with random weights, one of each family that the engines are tested on."""

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LAYER_TYPES = ["sliding_attention", "full_attention"]
CONFIGS = {
    "llama": lambda: LlamaConfig(**SHAPE),
    "llama3-rope": lambda: LlamaConfig(**SHAPE, rope_parameters=LLAMA3_ROPE),
    "llama-bias": lambda: LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
    "qwen2": lambda: Qwen2Config(**SHAPE),
    # a window that prompts of ten tokens outgrow
    "qwen2-window": lambda: Qwen2Config(
        **SHAPE, use_sliding_window=True, sliding_window=6, max_window_layers=1
    ),
    "qwen3": lambda: Qwen3Config(**SHAPE, head_dim=16),
    "gemma3": lambda: Gemma3TextConfig(
        **SHAPE, head_dim=16, sliding_window=6, layer_types=LAYER_TYPES, query_pre_attn_scalar=16
    ),
    "gemma3-cap": lambda: Gemma3TextConfig(
        **SHAPE, head_dim=16, layer_types=LAYER_TYPES, final_logit_softcapping=3.0
    ),
    "mistral": lambda: MistralConfig(**SHAPE),
    "gpt2": lambda: GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=61, n_positions=128),
}
NATIVE = [name for name in CONFIGS if name not in ("mistral", "gpt2")]


def model_of(name, **changes):
    """Return a model of a family; biases and norms are random too, which they are not when new."""
    torch.manual_seed(0)
    config = CONFIGS[name]()
    for key, value in changes.items():
        setattr(config, key, value)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def full_logprobs(model, ids, start, temperature=1.0):
    """Return the logprobs of ids[start:] by a full forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1].float()
    chosen = (logits / temperature).log_softmax(-1)
    return chosen.gather(-1, torch.tensor(ids[start:])[:, None])[:, 0].tolist()
