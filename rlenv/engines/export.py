"""A policy's weights under the names of its checkpoint, LoRA adapters merged in.

Merging in place and taking the adapter out again leaves rounding errors in a half-precision base,
a little more at each step, and with them another reference model. Here the model is only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlenv.common.errors import UserError

_PEFT = "base_model.model."  # what peft puts before every name
_BASE = ".base_layer"  # where it keeps a layer that an adapter was put around


@dataclass(frozen=True)
class Lora:
    """The adapter of a linear layer: the keys of A (r, in) and B (out, r), and its scaling."""

    a: str
    b: str
    scaling: float


@dataclass(frozen=True)
class Export:
    """Where one weight of a checkpoint is found in the state of the model that is trained.

    Attributes:
        name: of the weight in the checkpoint.
        key: of the weight in the state.
        lora: the adapter to add to it, if any.
    """

    name: str
    key: str
    lora: Lora | None = None

    @torch.no_grad()
    def tensor(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return the weight, in its own type: W + scaling B A (Hu et al. 2021, eq. 3)."""
        weight = state[self.key]
        if self.lora is None:
            return weight
        a, b = state[self.lora.a].float(), state[self.lora.b].float()
        return (weight.float() + self.lora.scaling * (b @ a)).to(weight.dtype)


def exports(model: Any) -> list[Export]:
    """Return how to export a causal LM, tied weights once.

    Args:
        model: plain, or a peft model with one active LoRA adapter on linear layers.

    Raises:
        UserError: the model's adapter is of a kind that can't be merged this way.
    """
    names = [name for name, _ in model.named_parameters()]
    if not hasattr(model, "peft_config"):
        return [Export(name, name) for name in names]
    if len(model.active_adapters) != 1:
        raise UserError(f"one adapter can be exported at a time, not {model.active_adapters}")
    (adapter,) = model.active_adapters
    adapted = {
        f"{name}{_BASE}.weight": _lora(f"{name}.", layer, adapter)
        for name, layer in model.named_modules()
        if adapter in getattr(layer, "lora_A", {})
    }
    merged = {key for lora in adapted.values() for key in (lora.a, lora.b)}
    other_copies = [".original_module.", *(f".{n}." for n in model.peft_config if n != adapter)]
    found = []
    for key in names:
        if key in merged or any(part in key for part in other_copies):
            continue
        name = key.removeprefix(_PEFT).replace(f".modules_to_save.{adapter}.", ".")
        if ".lora_" in name:
            raise UserError(
                f"{name} can't be merged into the weights; only LoRA on linear layers can"
            )
        found.append(Export(name.replace(f"{_BASE}.", "."), key, adapted.get(key)))
    return found


def _lora(prefix: str, layer: Any, adapter: str) -> Lora:
    if getattr(layer, "fan_in_fan_out", False):
        raise UserError(f"{prefix[:-1]} keeps its weight transposed, which can't be exported")
    a, b = (f"{prefix}lora_{part}.{adapter}.weight" for part in "AB")
    return Lora(a, b, float(layer.scaling[adapter]))
