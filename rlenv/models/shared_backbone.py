"""One backbone for several models: a reward model's adapter beside that of the policy.

With LoRA the policy, its reference, its value head and the reward model differ in small matrices
only. A policy that is trained with adapters registers its model as a `SharedBackbone`; a reward
model that was trained with adapters from the same checkpoint adds its own to it, and is used by
switching between them.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

ADAPTER = "adapter"  # folder in a reward model's checkpoint
_NAME = "reward"  # of the adapter in the model that is shared


class SharedBackbone:
    """A policy's backbone, which reward models may share while the policy is trained.

    Whoever trains the policy registers it by making one of these, hands it to what judges the
    policy's replies, and releases it before the policy's adapters are merged.

    Args:
        source: the checkpoint that the backbone was loaded from and stays.
        model: the policy, a causal LM wrapped by peft.
    """

    def __init__(self, source: str, model: Any) -> None:
        self.source = source
        self.model: Any = model

    def acquire(self, reward_model: str) -> AdapterScorer | None:
        """Return a reward model on this backbone.

        Args:
            reward_model: its checkpoint folder.

        Returns:
            None where it has no adapter, or was trained from another checkpoint, or the backbone
            was released.
        """
        folder = Path(reward_model).expanduser() / ADAPTER
        if self.model is None or not (folder / "adapter_config.json").is_file():
            return None
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        if _resolved(settings["base_model_name_or_path"]) != _resolved(self.source):
            return None
        return AdapterScorer(self, folder)

    def release(self) -> None:
        """End the sharing; the reward models on it can't be used any more."""
        self.model = None


class AdapterScorer(nn.Module):
    """A reward model that is an adapter and a head on the backbone of a policy.

    It is called as a sequence classification model of transformers is.

    Args:
        backbone: the policy's; it must outlive this.
        folder: the reward model's adapter.
    """

    def __init__(self, backbone: SharedBackbone, folder: Path) -> None:
        from peft import PeftConfig, set_peft_model_state_dict
        from safetensors.torch import load_file

        super().__init__()
        policy = backbone.model
        self._backbone = weakref.ref(backbone)  # else a cache of scorers would keep the policy
        weights = load_file(folder / "adapter_model.safetensors")
        (name,) = [name for name in weights if name.endswith("score.weight")]
        self.head = nn.Parameter(weights.pop(name).to(policy.device), requires_grad=False)  # (1, H)
        self.adapter = f"{_NAME}-{len(policy.peft_config)}"
        config = PeftConfig.from_pretrained(folder)
        config.task_type, config.modules_to_save = "CAUSAL_LM", None
        policy.add_adapter(self.adapter, config)
        set_peft_model_state_dict(policy, weights, adapter_name=self.adapter)

    @property
    def alive(self) -> bool:
        """Whether the policy still shares its backbone."""
        return self._policy is not None

    @property
    def _policy(self) -> Any:
        backbone = self._backbone()
        return None if backbone is None else backbone.model

    @property
    def config(self) -> Any:
        """The backbone's configuration."""
        return self._policy.config

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self._policy.device
        return device

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> ModelOutput:
        """Score conversations (B, T), padded on the right; returns logits (B, 1)."""
        policy = self._policy
        with _switched(policy, self.adapter):
            backbone = policy.get_base_model().base_model
            hidden = backbone(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache
            ).last_hidden_state
        last = hidden[torch.arange(len(hidden), device=hidden.device), attention_mask.sum(1) - 1]
        return ModelOutput(logits=last @ self.head.to(last.dtype).T)

    def own_parameters(self) -> Iterator[Tensor]:
        """Yield the weights that are not the policy's."""
        yield self.head
        for name, weight in self._policy.named_parameters():
            if f".{self.adapter}." in name:
                yield weight


@contextmanager
def _switched(policy: Any, adapter: str) -> Iterator[None]:
    """Compute with another adapter, in evaluation mode, and go back."""
    before, training = policy.active_adapter, policy.training
    trained = [p for p in policy.parameters() if p.requires_grad]
    policy.eval()
    policy.set_adapter(adapter)
    try:
        yield
    finally:
        policy.set_adapter(before)
        policy.train(training)
        for weight in policy.parameters():
            weight.requires_grad = False
        for weight in trained:
            weight.requires_grad = True


def _resolved(source: str) -> str:
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source
