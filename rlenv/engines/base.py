"""The contract between rollouts and whatever produces the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes:
        temperature: 0 takes the most likely token.
        max_tokens: the longest completion.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the smallest set of tokens with this much probability (nucleus sampling,
            Holtzman et al. 2020).
        min_p: drop tokens below this share of the most likely one's probability.
    """

    temperature: float = 1.0
    max_tokens: int = 256
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature can't be negative, got {self.temperature}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, got {self.max_tokens}")
        if self.top_k < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1:
            raise ValueError("top_k is 0 or more, top_p in (0, 1], min_p in [0, 1]")


@dataclass(frozen=True)
class Completion:
    """What was sampled after one prompt.

    Attributes:
        token_ids: the sampled tokens, the stop token included where there is one.
        logprobs: natural log of the probability each token was sampled with, after temperature
            and filters; at temperature 0, of the unfiltered distribution at temperature 1.
        stopped: the last token is a stop token; False if max_tokens cut the completion off.
    """

    token_ids: list[int]
    logprobs: list[float]
    stopped: bool


@runtime_checkable
class Engine(Protocol):
    """Token ids in, token ids and logprobs out, many conversations at once."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """Continue every prompt.

        Args:
            prompts: token ids, one list a conversation; equal prompts are computed once.
            sampling: how to sample.
            seeds: one a prompt. A completion depends on its own prompt and seed alone, not on
                what else is in the batch (up to floating-point rounding).

        Returns:
            One completion a prompt, in order.
        """
        ...


def mix(*numbers: int) -> int:
    """Hash whole numbers into one 63-bit seed.

    The steps are those of splitmix64 (Steele, Lea and Flood 2014), so neighbouring numbers give
    unrelated seeds.
    """
    state = 0
    for number in numbers:
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1
