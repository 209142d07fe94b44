"""Projections that read the same input, as one matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# joining copies weights, which costs little in a small model and gains a lot; in a large one the
# products themselves take the time
_JOIN_BELOW = 2**22


def joined(modules: Sequence[Any], dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return one function for linear layers with the same input.

    Weights are read now: what is trained later needs another call. Small layers are copied into
    one matrix, with LoRA adapters added in (Hu et al. 2021, eq. 3); large ones, and layers that
    are more than a matrix, are called.

    Args:
        modules: linear layers, plain or wrapped by peft, or quantized ones.
        dtype: of the input; layers of another dtype are copied whatever their size.

    Returns:
        x (..., in) to the layers' outputs side by side (..., sum of outs).
    """
    weights = [_base(m).weight for m in modules]
    small = sum(weight.numel() for weight in weights) < _JOIN_BELOW
    other = any(weight.dtype != dtype for weight in weights)
    if (small or other) and all(_is_matrix(m) for m in modules):
        matrices = [_weight(m).to(dtype) for m in modules]
        weight = torch.cat(matrices) if len(matrices) > 1 else matrices[0]
        biases = [_base(m).bias for m in modules]
        if all(bias is None for bias in biases):
            return lambda x: F.linear(x, weight)
        bias = torch.cat(
            [
                weight.new_zeros(_base(m).out_features) if b is None else b.detach().to(dtype)
                for m, b in zip(modules, biases, strict=True)
            ]
        )
        return lambda x: F.linear(x, weight, bias)
    if len(modules) == 1:
        return modules[0]
    return lambda x: torch.cat([m(x) for m in modules], -1)


def _base(module: Any) -> Any:
    return module.get_base_layer() if hasattr(module, "get_base_layer") else module


def _adapters(module: Any) -> list[str]:
    """Return the LoRA adapters that a peft layer applies to what its base layer gives."""
    if module is _base(module) or module.disable_adapters or module.merged:
        return []
    return [name for name in module.active_adapters if name in module.lora_A]


def _is_matrix(module: Any) -> bool:
    """Return whether a layer is x W + b, the sum of a plain matrix and LoRA's products."""
    if type(_base(module)) is not nn.Linear:
        return False
    if module is _base(module):
        return True
    if not hasattr(module, "lora_A"):
        return False
    names = _adapters(module)
    return not any(n in module.lora_variant or module.lora_bias.get(n) for n in names)


def _weight(module: Any) -> Tensor:
    """Return the weight (out, in) of a layer for which `_is_matrix`."""
    weight = _base(module).weight.detach()
    for name in _adapters(module):
        weight = weight + module.get_delta_weight(name).detach()
    return weight
