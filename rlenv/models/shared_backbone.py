"""One trunk for several models: a reward model's adapter beside that of the policy.

With LoRA the policy, its reference, its value head and the reward model differ in small matrices
only. A policy that is trained with adapters offers its model here; a reward model that was trained
with adapters from the same checkpoint adds its own to it, and is used by switching between them.
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

_offered: dict[str, weakref.ref[Any]] = {}


def offer(source: str, model: Any) -> None:
    """Let reward models share a policy's trunk.

    Args:
        source: the checkpoint that its trunk was loaded from and stays.
        model: the policy, wrapped by peft.
    """
    _offered[_place(source)] = weakref.ref(model)


def withdraw(model: Any) -> None:
    """End the sharing of a policy's trunk, before its adapters are merged."""
    for place in [place for place, offered in _offered.items() if offered() is model]:
        del _offered[place]


def borrow(reward_model: str) -> BorrowedTrunk | None:
    """Return a reward model on the trunk of a policy that is being trained.

    Args:
        reward_model: its checkpoint folder.

    Returns:
        None where it has no adapter, or no policy with the same trunk was offered.
    """
    folder = Path(reward_model).expanduser() / ADAPTER
    if not (folder / "adapter_config.json").is_file():
        return None
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    offered = _offered.get(_place(settings["base_model_name_or_path"]), lambda: None)()
    return None if offered is None else BorrowedTrunk(offered, folder)


class BorrowedTrunk(nn.Module):
    """A reward model that is an adapter and a head on the trunk of a policy.

    It is called as a sequence classification model of transformers is.

    Args:
        policy: a causal LM wrapped by peft.
        folder: the reward model's adapter.
    """

    def __init__(self, policy: Any, folder: Path) -> None:
        from peft import PeftConfig, set_peft_model_state_dict
        from safetensors.torch import load_file

        super().__init__()
        self._policy: Any = weakref.ref(policy)  # the policy owns it, this only borrows
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
        """Whether the policy still shares its trunk."""
        policy = self._policy()
        return policy is not None and any(o() is policy for o in _offered.values())

    @property
    def config(self) -> Any:
        """The trunk's configuration."""
        return self._policy().config

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._policy().device

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> ModelOutput:
        """Score conversations (B, T), padded on the right; returns logits (B, 1)."""
        policy = self._policy()
        with _switched(policy, self.adapter):
            trunk = policy.get_base_model().base_model
            hidden = trunk(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache
            ).last_hidden_state
        last = hidden[torch.arange(len(hidden), device=hidden.device), attention_mask.sum(1) - 1]
        return ModelOutput(logits=last @ self.head.to(last.dtype).T)

    def own_parameters(self) -> Iterator[Tensor]:
        """Yield the weights that are not the policy's."""
        yield self.head
        for name, weight in self._policy().named_parameters():
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


def _place(source: str) -> str:
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source
