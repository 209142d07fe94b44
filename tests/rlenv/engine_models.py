"""Tiny models with random weights, one of each family, and what an engine must make of them."""

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from rlenv.engines.sampling import uniforms

STOP = [7]
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
GEMMA = {
    **SHAPE,
    "head_dim": 16,
    "sliding_window": 6,  # which prompts of ten tokens outgrow
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 16,
}
VISION = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "image_size": 8,
    "patch_size": 4,
}
CONFIGS = {
    "llama": lambda: LlamaConfig(**SHAPE),
    "llama3-rope": lambda: LlamaConfig(**SHAPE, rope_parameters=LLAMA3_ROPE),
    "llama-bias": lambda: LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
    "qwen2": lambda: Qwen2Config(**SHAPE),
    "qwen2-window": lambda: Qwen2Config(
        **SHAPE, use_sliding_window=True, sliding_window=6, max_window_layers=1
    ),
    "qwen3": lambda: Qwen3Config(**SHAPE, head_dim=16),
    "gemma3": lambda: Gemma3TextConfig(**GEMMA),
    "gemma3-cap": lambda: Gemma3TextConfig(**GEMMA, final_logit_softcapping=3.0),
    "gemma3-images": lambda: Gemma3Config(
        text_config=GEMMA, vision_config=VISION, mm_tokens_per_image=4, image_token_index=60
    ),
    "mistral": lambda: MistralConfig(**SHAPE),
    "gpt2": lambda: GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=61, n_positions=128),
}
OTHERS = ["mistral", "gpt2"]
NATIVE = [name for name in CONFIGS if name not in OTHERS]


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


@torch.no_grad()
def distributions(model, ids, sampling):
    """Return the logprobs (len(ids), V) after each token, by transformers alone."""
    logits = model(torch.tensor([ids])).logits[0].float()
    if sampling.temperature == 0:
        return logits.log_softmax(-1)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature))])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    return warpers(None, logits).log_softmax(-1)


def check(model, request, sampling, completion, *, stop_ids=STOP, tokenizer=None):
    """Check a completion against a full forward pass of the conversation it made.

    Every token must be the one that the request's seed draws, every logprob that of the
    distribution it was drawn from, and the end where the first stop or the limit is.
    """
    said = completion.token_ids
    assert 1 <= len(said) == len(completion.logprobs)
    ids = list(request.token_ids) + said
    logprobs = distributions(model, ids, sampling)[len(request.token_ids) - 1 : -1]
    found = np.array(completion.logprobs)
    expected = logprobs.gather(-1, torch.tensor(said)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)

    if sampling.temperature == 0:
        assert (expected > logprobs.amax(-1).numpy() - 1e-4).all()
    else:
        draws = uniforms([request.seed], len(said))[0].double()
        probabilities = logprobs.double().exp()
        upto = probabilities.cumsum(-1).gather(-1, torch.tensor(said)[:, None])[:, 0]
        below = upto - torch.tensor(expected).exp()
        assert ((below - 1e-4 <= draws) & (draws <= upto + 1e-4)).all()

    def ends(length):
        if said[length - 1] in stop_ids:
            return True
        text = tokenizer.decode(said[:length], skip_special_tokens=True) if sampling.stop else ""
        return any(stop in text for stop in sampling.stop)

    assert not any(ends(length) for length in range(1, len(said)))
    assert completion.stopped == ends(len(said))
    limit = min(sampling.max_tokens, request.max_tokens or sampling.max_tokens)
    assert len(said) <= limit
    assert completion.stopped or len(said) == limit
