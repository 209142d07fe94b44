"""Optimizers, one step with them, and the schedules of their learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

OptimizerName = Literal["adamw", "muon"]


def make(
    name: OptimizerName, model: Any, rate: float, weight_decay: float, *, outside: float = 1.0
) -> Optimizers:
    """Return what trains a model.

    Args:
        name: `adamw`, or `muon` for the matrices inside the layers with AdamW for the rest.
        model: a transformers model.
        rate: the learning rate.
        weight_decay: on matrices.
        outside: with Muon, the share of the learning rate that all else gets.
    """
    if name == "adamw":
        return Optimizers([adamw(model, rate, weight_decay)])
    return muon(model, rate, weight_decay, outside)


def adamw(model: Any, rate: float, weight_decay: float) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with betas 0.9 and 0.95, decay on matrices only."""
    return _adamw(parameter_groups(model, rate, weight_decay))


def muon(model: Any, rate: float, weight_decay: float, outside: float = 1.0) -> Optimizers:
    """Muon (Jordan et al. 2024) for the matrices inside the layers, AdamW for all else.

    An embedding's rows are no directions of one map, so it and the head stay with AdamW. The
    update of a matrix is scaled to the size that AdamW's has (Liu et al. 2025, section 2.2), so
    that both take the same learning rate and weight decay, unless `outside` is another share.
    """
    not_inside = {
        id(layer.weight)
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
        if layer is not None
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    inside = [p for p in trained if p.ndim == 2 and id(p) not in not_inside]
    chosen = {id(p) for p in inside}
    rest = [p for p in trained if id(p) not in chosen]
    return Optimizers(
        [
            torch.optim.Muon(
                inside, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            _adamw(_groups(rest, rate * outside, weight_decay)),
        ]
    )


def parameter_groups(model: Any, rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters for an optimizer, those with weight decay apart."""
    return _groups([p for p in model.parameters() if p.requires_grad], rate, weight_decay)


def _groups(trained: Sequence[Tensor], rate: float, weight_decay: float) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay, "lr": rate},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "lr": rate},
    ]


def _adamw(groups: list[dict[str, Any]]) -> Optimizer:
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)


class Optimizers:
    """Optimizers of different parameters, which step together.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = parts
        rates = [group["lr"] for part in parts for group in part.param_groups]
        self._shares = [rate / (max(rates) or 1.0) for rate in rates]

    def step(self, rate: float, max_norm: float) -> float:
        """Step along the gradients that lie on the parameters, and remove them.

        Args:
            rate: the learning rate; parameters with a lower one when it was made keep their share.
            max_norm: gradients are scaled down to this norm.

        Returns:
            The gradients' norm before that.
        """
        groups = [group for part in self.parts for group in part.param_groups]
        parameters = [p for group in groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        for group, share in zip(groups, self._shares, strict=True):
            group["lr"] = rate * share
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)
        return float(norm)

    def state_dict(self) -> list[Any]:
        """Return the states."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[Any]) -> None:
        """Restore them."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Joined(Optimizer):
    """Optimizers of different parameters as one, for trainers and schedulers that want one.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = parts
        super().__init__([p for part in parts for p in part.param_groups], {})
        # the parts' own groups, so that a rate that is set here is theirs
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step each of them; `closure` is not used."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def warmup_stable_decay(step: int, total: int, warmup: float, decay: float) -> float:
    """Return a share of the highest learning rate that rises, stays, and falls in a straight line.

    As in MiniCPM (Hu et al. 2024, section 4).

    Args:
        step: from 0 to total - 1.
        total: number of steps.
        warmup: share of the steps in which the rate rises to 1.
        decay: share of the steps at the end in which it falls towards 0.
    """
    rising = (step + 1) / max(1.0, warmup * total)
    falling = (total - step) / max(1.0, decay * total)
    return min(1.0, rising, falling)


def cosine(step: int, total: int, warmup: float, floor: float) -> float:
    """Return a share of the highest learning rate that rises, and falls along half a cosine.

    As in SGDR (Loshchilov and Hutter 2017, eq. 5).

    Args:
        step: from 0 to total - 1.
        total: number of steps.
        warmup: share of the steps in which the rate rises to 1.
        floor: what it falls to.
    """
    first = warmup * total
    if step + 1 <= first:
        return (step + 1) / first
    along = (step - first) / max(1.0, total - first)
    return floor + (1 - floor) * (1 + math.cos(math.pi * max(0.0, along))) / 2
