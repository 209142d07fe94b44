"""Small models and rows of random documents."""

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlenv.trainers.pretraining.documents import Documents

VOCABULARY = 67


def small_llama(*, kv_heads=2, tied=True, layers=2, seed=0, **changes):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        **changes,
    )
    return LlamaForCausalLM(config)


def random_documents(lengths, seed=0):
    """Documents of so many tokens each, all of them above 8."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(8, VOCABULARY, sum(lengths)).astype(np.int32)
    return Documents(tokens, np.cumsum(lengths), 4 * sum(lengths))


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
