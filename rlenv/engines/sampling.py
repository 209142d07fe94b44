"""Choosing tokens: filters, seeded draws, and the logprobs of the distribution drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlenv.engines.base import Sampling

_LIKELY = 256  # a nucleus is mostly smaller, and finding so many costs less than sorting all


def uniforms(seeds: Sequence[int] | np.ndarray, length: int, start: int = 0) -> Tensor:
    """Return numbers in [0, 1) that depend on seed and position alone.

    Args:
        seeds: one a row.
        length: how many positions.
        start: the first position.

    Returns:
        float32 (len(seeds), length), from a counter hashed by splitmix64.
    """
    first = np.asarray(seeds, dtype=np.uint64)[:, None]
    steps = np.arange(start + 1, start + length + 1, dtype=np.uint64)[None, :]
    with np.errstate(over="ignore"):
        bits = first + steps * np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    # 24 bits are what a float32 holds exactly, so the result never rounds up to 1
    return torch.from_numpy(((bits >> np.uint64(40)) / np.float64(1 << 24)).astype(np.float32))


def filtered_logprobs(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the log of the distribution that is sampled from.

    Args:
        logits: (B, V).
        sampling: temperature above 0, top_k, top_p, min_p, applied in this order.

    Returns:
        (B, V) float32 logprobs; -inf where a filter removed the token.
    """
    logits = logits.float()
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    logprobs = logits.log_softmax(-1)
    top_k = 0 < sampling.top_k < logits.shape[-1]
    if not top_k and sampling.top_p == 1.0 and sampling.min_p == 0.0:
        return logprobs
    floor = torch.full_like(logprobs[:, :1], -torch.inf)  # what is less likely is removed
    if top_k:
        floor = logprobs.topk(sampling.top_k, dim=-1).values[:, -1:]
    if sampling.top_p < 1.0:
        left = logprobs.masked_fill(logprobs < floor, -torch.inf).log_softmax(-1)
        floor = floor.maximum(logprobs.gather(-1, _least_likely(left, sampling.top_p)))
    if sampling.min_p > 0.0:
        floor = floor.maximum(logprobs.amax(-1, keepdim=True) + math.log(sampling.min_p))
    return logprobs.masked_fill(logprobs < floor, -torch.inf).log_softmax(-1)


def _least_likely(logprobs: Tensor, top_p: float) -> Tensor:
    """Return the last token (B, 1) of the nucleus, which holds `top_p` of the probability."""
    vocabulary = logprobs.shape[-1]
    for width in (min(_LIKELY, vocabulary), vocabulary):
        largest, order = logprobs.topk(width, dim=-1)
        held = largest.exp().cumsum(-1)
        if width == vocabulary or bool((held[:, -1] >= top_p).all()):
            break
    # the nucleus ends with the first token that brings what is held to top_p
    last = (held < top_p).sum(-1, keepdim=True).clamp(max=width - 1)
    return order.gather(-1, last)


def choose(logits: Tensor, sampling: Sampling, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Choose a token a row by inverting the cumulative distribution.

    Args:
        logits: (B, V).
        sampling: how to sample.
        uniform: (B,) numbers in [0, 1).

    Returns:
        token ids (B,) and their logprobs (B,).
    """
    if sampling.temperature == 0:
        logprobs = logits.float().log_softmax(-1)
        tokens = logits.argmax(-1, keepdim=True)
    else:
        logprobs = filtered_logprobs(logits, sampling)
        cumulative = logprobs.exp().cumsum(-1)
        target = uniform[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, target, right=True)
        tokens = tokens.clamp_(max=logits.shape[-1] - 1)
    return tokens[:, 0], logprobs.gather(-1, tokens)[:, 0]
