"""Algorithms by name: how rewards become advantages, and what the loss of a token is.

The loop in `trainers.on_policy` does not know which algorithm it runs. A new one is a file with
two decorated functions; read `grpo.py` and copy it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from rlenv.errors import UserError, did_you_mean
from rlenv.registry import import_file

Function = TypeVar("Function", bound=Callable[..., Tensor])


@dataclass(frozen=True)
class LossInputs:
    """What a loss may look at; every tensor is (B, T), aligned with the tokens.

    Attributes:
        logprobs: of each token under the policy being trained, with gradient.
        old_logprobs: of each token under the policy that sampled it.
        advantages: of each token.
        mask: 1 where the policy sampled the token.
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: and above 1 + clip_high.
    """

    logprobs: Tensor
    old_logprobs: Tensor
    advantages: Tensor
    mask: Tensor
    clip_low: float
    clip_high: float


ADVANTAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}
LOSSES: dict[str, Callable[[LossInputs], Tensor]] = {}


def advantages(name: str) -> Callable[[Function], Function]:
    """Register a function `(rewards, mask) -> advantages`, all (P, G): a row a task.

    The mask is 0 where a grader failed; such a sample must not move the others.
    """

    def decorate(function: Function) -> Function:
        ADVANTAGES[name] = function
        return function

    return decorate


def loss(name: str) -> Callable[[Function], Function]:
    """Register a function `LossInputs -> loss of each token`, (B, T)."""

    def decorate(function: Function) -> Function:
        LOSSES[name] = function
        return function

    return decorate


def find(name: str) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[LossInputs], Tensor]]:
    """Return an algorithm's advantages and loss.

    Args:
        name: as registered, or `path/to/file.py:name` to import it from there.

    Raises:
        UserError: there is no algorithm of that name.
    """
    from trainers.algorithms import grpo  # noqa: F401 registers itself

    path, _, short = name.rpartition(":")
    if path.endswith(".py"):
        import_file(Path(path))
        name = short
    if name not in ADVANTAGES or name not in LOSSES:
        known = sorted(ADVANTAGES.keys() & LOSSES.keys())
        raise UserError(
            f"there is no algorithm {name!r}; there are {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    return ADVANTAGES[name], LOSSES[name]


def token_weights(mask: Tensor, mode: str) -> Tensor:
    """Return what each token's loss weighs, so that the weighted sum is the batch's loss.

    The weights are made on the whole batch; a micro-batch sums its own part, so the step does
    not depend on how the batch is cut.

    Args:
        mask: (B, T), 1 where the policy sampled the token.
        mode: `sequence`: the mean over sequences of each one's mean (GRPO; Shao et al. 2024,
            eq. 3); `token`: the mean over all tokens (DAPO; Yu et al. 2025, eq. 8).
    """
    mask = mask.float()
    if mode == "token":
        return mask / mask.sum().clamp(min=1)
    lengths = mask.sum(1, keepdim=True).clamp(min=1)
    return mask / lengths / max(1, len(mask))
