"""Algorithms by name: how rewards become advantages, what the loss of a token is, and the settings
that its paper chose.

The loop in `rlenv.trainers.rl.loop` does not know which algorithm it runs. A new one is one
decorated function, of either kind; what it leaves out is GRPO's.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from rlenv.common.errors import RunFailed, UserError, cause
from rlenv.common.plugins import Registry, short_name
from rlenv.trainers.rl.shapes import PerSample, PerTask, PerToken

BUILT_IN = (
    "grpo",
    "dr_grpo",
    "dapo",
    "bnpo",
    "gspo",
    "cispo",
    "rloo",
    "reinforce_pp",
    "maxrl",
    "ppo",
)

Function = TypeVar("Function", bound=Callable[..., Tensor])
Aggregate = Literal["sequence", "token", "constant", "sum"]


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
        metrics: a loss may put tensors (B, T) here; their means over the sampled tokens are
            logged under the same names.
    """

    logprobs: PerToken
    old_logprobs: PerToken
    advantages: PerToken
    mask: PerToken
    clip_low: float
    clip_high: float
    metrics: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithm:
    """An algorithm, found by its name.

    Attributes:
        name: the config word.
        advantages: `(rewards, mask) -> advantages`, all (P, G); with a critic see `ppo.gae`.
        loss: `LossInputs -> loss of each token`, (B, T).
        defaults: settings that replace the stage's defaults and yield to what the user sets.
        critic: whether a value function is trained beside the policy.
    """

    name: str
    advantages: Callable[..., Tensor]
    loss: Callable[[LossInputs], PerToken]
    defaults: Mapping[str, Any]
    critic: bool


@dataclass(frozen=True)
class _Registered:
    function: Callable[..., Tensor]
    defaults: Mapping[str, Any]
    critic: bool = False


@dataclass(frozen=True)
class _Parts:
    """What was registered under one name; what is None is GRPO's."""

    advantages: _Registered | None = None
    loss: _Registered | None = None


_algorithms: Registry[_Parts] = Registry("algorithm", "rlenv.algorithms")


def advantages(
    name: str, *, critic: bool = False, **defaults: Any
) -> Callable[[Function], Function]:
    """Register a function `(rewards, mask) -> advantages`, all (P, G): a row a task.

    The mask is 0 where a grader failed; such a sample must not move the others. Where episodes
    have several turns, the function is called once a turn, with what was earned from it on.

    Args:
        name: the config word.
        critic: the function is called as `ppo.gae` is, with the values of a critic.
        **defaults: settings of the stage that this algorithm sets otherwise.

    Raises:
        ValueError: rlenv has an algorithm of that name itself.

    Example:
        >>> @advantages("best_of_group")
        ... def best_of_group(rewards, mask):
        ...     best = rewards.masked_fill(mask == 0, -torch.inf).amax(1, keepdim=True)
        ...     return (rewards == best).float() * mask
    """

    def decorate(function: Function) -> Function:
        _register(name, function, advantages=_Registered(function, defaults, critic))
        return function

    return decorate


def loss(name: str, **defaults: Any) -> Callable[[Function], Function]:
    """Register a function `LossInputs -> loss of each token`, (B, T).

    Args:
        name: the config word.
        **defaults: settings of the stage that this algorithm sets otherwise.
    """

    def decorate(function: Function) -> Function:
        _register(name, function, loss=_Registered(function, defaults))
        return function

    return decorate


def _register(name: str, function: Callable[..., Tensor], **part: _Registered) -> None:
    if name in BUILT_IN and not function.__module__.startswith(__name__):
        raise ValueError(f"rlenv has an algorithm {name!r} itself; choose another name")
    _algorithms.register(name, replace(_algorithms.registered(name) or _Parts(), **part))


def find(name: str) -> Algorithm:
    """Return an algorithm.

    Args:
        name: as registered here or by an installed package, or `path/to/file.py:name` to import it
            from there. An algorithm that registers one of advantages and loss alone gets the other
            of GRPO, with the defaults that GRPO's paper chose for it.

    Raises:
        UserError: there is no algorithm of that name.
    """
    for built_in in BUILT_IN:
        importlib.import_module(f"rlenv.trainers.rl.algorithms.{built_in}")  # registers itself
    found, grpo = _algorithms.find(name), _algorithms.find("grpo")
    made, trained = found.advantages or grpo.advantages, found.loss or grpo.loss
    assert made is not None
    assert trained is not None
    # what GRPO lends yields to what the algorithm sets itself
    own_loss = found.loss is not None
    under, over = (made, trained) if own_loss else (trained, made)
    defaults = {**under.defaults, **over.defaults}
    short = short_name(name)
    return Algorithm(
        short,
        _checked(made.function, f"advantages of the algorithm {short}", _shape_of_rewards),
        _checked(trained.function, f"loss of the algorithm {short}", _shape_of_logprobs),
        defaults,
        made.critic,
    )


def _shape_of_rewards(rewards: Tensor, *_: Any) -> tuple[int, ...]:
    return tuple(rewards.shape)


def _shape_of_logprobs(inputs: LossInputs) -> tuple[int, ...]:
    return tuple(inputs.logprobs.shape)


def _checked(
    function: Callable[..., Tensor], what: str, shape: Callable[..., tuple[int, ...]]
) -> Callable[..., Tensor]:
    """Return an author's function, which then ends the run in a sentence where it goes wrong.

    A result of another shape might be broadcast, and train on something else than was meant.
    """
    if function.__module__.startswith(__name__):
        return function

    @functools.wraps(function)
    def checked(*given: Any) -> Tensor:
        try:
            result = function(*given)
        except UserError:
            raise
        except Exception as error:
            raise RunFailed(f"the {what} failed: {cause(error)}") from error
        wanted = shape(*given)
        if not isinstance(result, Tensor):
            raise RunFailed(f"the {what} must be a tensor of shape {wanted}, not {result!r:.80}")
        if tuple(result.shape) != wanted:
            raise RunFailed(
                f"the {what} must have the shape {wanted} of what they are given, not "
                f"{tuple(result.shape)}"
            )
        return result

    return checked


def token_weights(mask: PerToken, mode: Aggregate, longest: int = 1) -> PerToken:
    """Return what each token's loss weighs, so that the weighted sum is the batch's loss.

    The weights are made on the whole batch; a micro-batch sums its own part, so the step does
    not depend on how the batch is cut.

    Args:
        mask: (B, T), 1 where the policy sampled the token.
        mode: `sequence`: the mean over sequences of each one's mean (GRPO; Shao et al. 2024,
            eq. 3); `token`: the mean over all tokens (DAPO; Yu et al. 2025, eq. 8); `constant`:
            the mean over sequences of each one's sum, divided by a constant (Dr. GRPO; Liu et al.
            2025, listing 1); `sum`: without that constant (REINFORCE).
        longest: the constant, in tokens: the longest reply that could have been sampled.
    """
    mask = mask.float()
    if mode == "token":
        return mask / mask.sum().clamp(min=1)
    rows = max(1, len(mask))
    if mode == "sequence":
        return mask / mask.sum(1, keepdim=True).clamp(min=1) / rows
    return mask / rows / (longest if mode == "constant" else 1)


def centred(rewards: PerSample, mask: PerSample) -> PerSample:
    """Return rewards minus their row's mean over the mask; 0 outside it.

    Counted from the row's lowest, so that equal rewards give exactly 0 and not a rounding error.

    Args:
        rewards: (P, G).
        mask: (P, G), 0 where a grader failed.
    """
    lowest = rewards.masked_fill(mask == 0, torch.inf).amin(1, keepdim=True)
    above = torch.where(mask > 0, rewards - lowest, 0.0)
    return (above - above.sum(1, keepdim=True) / count(mask)) * mask


def count(mask: PerSample) -> PerTask:
    """Return how many samples of each row were judged, at least 1: (P, 1)."""
    return mask.sum(1, keepdim=True).clamp(min=1)
