"""Choosing tokens: filters, seeded draws, and the logprobs of the distribution drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlenv.engines.base import Sampling


def uniforms(seeds: Sequence[int], length: int) -> Tensor:
    """Return numbers in [0, 1) that depend on seed and position alone.

    Args:
        seeds: one a row.
        length: how many positions.

    Returns:
        float32 (len(seeds), length), from a counter hashed by splitmix64.
    """
    start = np.asarray(seeds, dtype=np.uint64)[:, None]
    steps = np.arange(1, length + 1, dtype=np.uint64)[None, :]
    with np.errstate(over="ignore"):
        bits = start + steps * np.uint64(0x9E3779B97F4A7C15)
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
    logprobs = (logits.float() / sampling.temperature).log_softmax(-1)
    keep = torch.ones_like(logprobs, dtype=torch.bool)
    if 0 < sampling.top_k < logits.shape[-1]:
        threshold = logprobs.topk(sampling.top_k, dim=-1).values[..., -1:]
        keep &= logprobs >= threshold
    if sampling.top_p < 1.0:
        ordered, order = logprobs.masked_fill(~keep, -torch.inf).softmax(-1).sort(descending=True)
        before = ordered.cumsum(-1) - ordered
        keep &= torch.zeros_like(keep).scatter(-1, order, before < sampling.top_p)
    if sampling.min_p > 0.0:
        floor = logprobs.amax(-1, keepdim=True) + float(np.log(sampling.min_p))
        keep &= logprobs >= floor
    if bool(keep.all()):
        return logprobs
    return logprobs.masked_fill(~keep, -torch.inf).log_softmax(-1)


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
        tokens = logits.argmax(-1)
    else:
        logprobs = filtered_logprobs(logits, sampling)
        cumulative = logprobs.exp().cumsum(-1)
        target = uniform[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, target, right=True)[:, 0]
        tokens = tokens.clamp(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]
