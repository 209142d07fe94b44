"""A decode loop for Llama-like models that shares prompts and drops finished rows.

It reads the weights of the transformers model it is given, live, so a policy that was just
trained samples its next batch without a copy; LoRA layers work because layers are called, not
copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from rlenv.engines.base import Completion, Engine, Request, Sampling
from rlenv.engines.sampling import choose, uniforms

SUPPORTED = ("llama", "qwen2", "qwen3")
_COMPACT_BELOW = 0.75  # copying the cache pays off once a quarter of the rows have finished


class NativeEngine(Engine):
    """Generate from a transformers model of the Llama family on its own device.

    Args:
        model: a causal LM whose `config.model_type` is in `SUPPORTED`; peft-wrapped is fine.
        stop_ids: tokens that end a completion.
        pad_id: a token to fill up shorter prompts with; it is never attended to.
        max_rows: how many conversations to decode at once.

    Raises:
        ValueError: the model is of another architecture.
    """

    def __init__(
        self, model: Any, *, stop_ids: Sequence[int], pad_id: int = 0, max_rows: int = 1024
    ) -> None:
        if model.config.model_type not in SUPPORTED:
            raise ValueError(f"the native engine runs {SUPPORTED}, not {model.config.model_type}")
        self.model = model
        self.stop_ids = sorted(stop_ids)
        self.pad_id = pad_id
        self.max_rows = max_rows

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Continue every prompt; see `Engine.generate`."""
        was_training = self.model.training
        self.model.eval()
        done: list[Completion] = []
        for start in range(0, len(requests), self.max_rows):
            done += self._decode(requests[start : start + self.max_rows], sampling)
        self.model.train(was_training)
        return done

    def _decode(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        prompts = [request.token_ids for request in requests]
        decoder = _Decoder(self.model)
        device = decoder.device
        unique = {tuple(prompt): i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        logits, cache = self._prefill(decoder, list(unique), sampling.max_tokens)
        rows = torch.tensor([unique[tuple(prompt)] for prompt in prompts], device=device)
        logits, cache = logits[rows], cache.select(rows)

        draws = uniforms([request.seed for request in requests], sampling.max_tokens).to(device)
        stops = torch.tensor(self.stop_ids, device=device)
        alive = torch.arange(len(prompts), device=device)  # row of the batch -> prompt
        running = torch.ones(len(prompts), dtype=torch.bool, device=device)
        tokens_out = torch.zeros(len(prompts), sampling.max_tokens, dtype=torch.long, device=device)
        logprobs_out = torch.zeros(len(prompts), sampling.max_tokens, device=device)
        lengths = torch.full((len(prompts),), sampling.max_tokens, device=device)
        stopped = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        for position in range(sampling.max_tokens):
            tokens, logprobs = choose(logits, sampling, draws[alive, position])
            tokens_out[alive, position] = tokens
            logprobs_out[alive, position] = logprobs
            ends = torch.isin(tokens, stops) & running
            lengths[alive[ends]] = position + 1
            stopped[alive[ends]] = True
            running = running & ~ends
            left = int(running.sum())
            if left == 0 or position + 1 == sampling.max_tokens:
                break
            if left < _COMPACT_BELOW * len(running):
                kept = running.nonzero()[:, 0]
                alive, tokens, running = alive[kept], tokens[kept], running[kept]
                cache = cache.select(kept)
            logits = decoder.forward(tokens[:, None], cache)[:, -1]
        return [
            Completion(ids[:n], lps[:n], end)
            for ids, lps, n, end in zip(
                tokens_out.tolist(),
                logprobs_out.tolist(),
                lengths.tolist(),
                stopped.tolist(),
                strict=True,
            )
        ]

    def _prefill(
        self, decoder: _Decoder, prompts: list[tuple[int, ...]], room: int
    ) -> tuple[Tensor, _Cache]:
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.pad_id, dtype=torch.long)
        for row, prompt in enumerate(prompts):  # padded on the left: all rows end together
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        padding = torch.tensor([longest - len(prompt) for prompt in prompts])
        cache = _Cache.empty(decoder, len(prompts), longest + room, padding.to(decoder.device))
        return decoder.forward(ids.to(decoder.device), cache)[:, -1], cache


class _Cache:
    """Keys and values of all layers, (L, B, H_kv, T, D), filled up to `length`."""

    def __init__(self, keys: Tensor, values: Tensor, padding: Tensor, length: int) -> None:
        self.keys, self.values, self.padding, self.length = keys, values, padding, length

    @classmethod
    def empty(cls, decoder: _Decoder, rows: int, room: int, padding: Tensor) -> _Cache:
        shape = (len(decoder.layers), rows, decoder.kv_heads, room, decoder.head_dim)
        keys = torch.zeros(shape, dtype=decoder.dtype, device=decoder.device)
        return cls(keys, torch.zeros_like(keys), padding, 0)

    def select(self, rows: Tensor) -> _Cache:
        return _Cache(self.keys[:, rows], self.values[:, rows], self.padding[rows], self.length)


class _Decoder:
    """The forward pass with a preallocated cache, over the modules of a transformers model."""

    def __init__(self, model: Any) -> None:
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        config = causal.config
        self.body, self.head = causal.model, causal.lm_head
        self.layers = list(self.body.layers)
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.device, self.dtype = self.body.norm.weight.device, self.body.norm.weight.dtype

    def forward(self, ids: Tensor, cache: _Cache) -> Tensor:
        """Append tokens to the cache.

        Args:
            ids: (B, S) token ids that follow what the cache holds.
            cache: grows by S.

        Returns:
            logits (B, 1, V) of the last position.
        """
        rows, span = ids.shape
        start, end = cache.length, cache.length + span
        columns = torch.arange(end, device=ids.device)
        positions = (columns[start:] - cache.padding[:, None]).clamp(min=0)  # (B, S)
        # query i sees the columns from the row's first token up to its own
        visible = (columns >= cache.padding[:, None, None]) & (
            columns <= columns[start:, None]
        )  # (B, S, end)
        # a fully masked row (padding) must still see something, or its softmax is NaN
        visible = (visible | (columns == columns[start:, None]))[:, None]
        hidden = self.body.embed_tokens(ids)
        cos, sin = self.body.rotary_emb(hidden, positions)
        cos, sin = cos[:, None], sin[:, None]
        for number, layer in enumerate(self.layers):
            attention = layer.self_attn
            x = _norm(layer.input_layernorm, hidden)
            q = attention.q_proj(x).view(rows, span, self.heads, self.head_dim)
            k = attention.k_proj(x).view(rows, span, self.kv_heads, self.head_dim)
            v = attention.v_proj(x).view(rows, span, self.kv_heads, self.head_dim)
            if hasattr(attention, "q_norm"):
                q, k = _norm(attention.q_norm, q), _norm(attention.k_norm, k)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            q, k = q * cos + _rotate(q) * sin, k * cos + _rotate(k) * sin
            cache.keys[number, :, :, start:end] = k
            cache.values[number, :, :, start:end] = v
            mixed = F.scaled_dot_product_attention(
                q,
                cache.keys[number, :, :, :end],
                cache.values[number, :, :, :end],
                attn_mask=visible,
                enable_gqa=self.heads != self.kv_heads,
                scale=attention.scaling,
            )
            hidden = hidden + attention.o_proj(mixed.transpose(1, 2).reshape(rows, span, -1))
            hidden = hidden + layer.mlp(_norm(layer.post_attention_layernorm, hidden))
        cache.length = end
        return self.head(_norm(self.body.norm, hidden[:, -1:]))


def _norm(module: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), module.weight, module.variance_epsilon)


def _rotate(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)
