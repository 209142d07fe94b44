"""Value functions: a head on the policy's trunk, or on a trunk of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput


@dataclass
class ValueOutput(ModelOutput):  # type: ignore[misc, unused-ignore]
    """What a forward pass gives: values (B, S), and logits (B, S, V) where there are any."""

    logits: Tensor | None = None
    state_values: Tensor | None = None


class ValueHead(nn.Linear):
    """A linear map from hidden states (..., H) to values (...), in float32; it begins at 0."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the values."""
        return super().forward(hidden.to(self.weight.dtype))[..., 0]


class ActorCritic(nn.Module):
    """A causal LM with a value head on its last hidden states.

    Args:
        policy: the causal LM; it stays usable on its own.
    """

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        self.head = ValueHead(policy.config.hidden_size).to(policy.device)

    def forward(self, **inputs: Any) -> ValueOutput:
        """Return logits and values."""
        output = self.policy(**inputs, output_hidden_states=True)
        return ValueOutput(logits=output.logits, state_values=self.head(output.hidden_states[-1]))


class Critic(nn.Module):
    """A value function with a trunk of its own.

    Args:
        trunk: a transformer without a head.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = ValueHead(trunk.config.hidden_size).to(trunk.device)

    def forward(self, *, logits_to_keep: int = 0, **inputs: Any) -> ValueOutput:
        """Return values; `logits_to_keep` is what causal LMs are asked for."""
        return ValueOutput(state_values=self.head(self.trunk(**inputs).last_hidden_state))


def without_dropout(model: nn.Module) -> nn.Module:
    """Switch all dropout off, so that the policy that is trained is the one that sampled."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
    return model


@torch.no_grad()
def frozen(model: nn.Module) -> nn.Module:
    """Return the model without gradients, in evaluation mode."""
    return model.requires_grad_(requires_grad=False).eval()


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return the share of the returns' variance that the values account for; at most 1.

    Args:
        values: (B, T).
        returns: (B, T), what they should have been.
        mask: (B, T), where they were asked.
    """
    on = mask > 0
    total = returns[on].var(unbiased=False)
    left = (returns[on] - values[on]).var(unbiased=False)
    return float(1 - left / total) if total > 0 else 0.0
