"""Cross-entropy of a linear head without the whole matrix of logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_LOGITS = {"cpu": 2**19, "cuda": 2**27}  # computed at a time; on a processor they stay in its cache


def linear_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor, dtype: Any) -> Tensor:
    """Return the sum of -log softmax(hidden weight^T)[labels], where there is a label.

    The gradient of a chunk's logits, softmax minus one-hot, is made while they are at hand and
    multiplied out at once; so logits are computed once, and (N, V) numbers are never stored
    (Hsu et al. 2024, Liger Kernel, section 3.2).

    Args:
        hidden: (N, width).
        weight: (V, width).
        labels: (N,), negative where there is none.
        dtype: of the products; the softmax is in float32.
    """
    wanted = torch.is_grad_enabled()
    total: Tensor = _LinearCrossEntropy.apply(hidden, weight, labels, dtype, wanted)  # type: ignore[no-untyped-call, unused-ignore]
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, dtype: Any, wanted: bool
    ) -> Tensor:
        head, states = weight.detach().to(dtype), hidden.detach().to(dtype)
        to_hidden = torch.empty_like(states) if wanted else None
        to_weight = torch.zeros_like(weight) if wanted else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        size = max(32, _LOGITS.get(hidden.device.type, 2**24) // len(weight))
        for first in range(0, len(hidden), size):
            part = slice(first, first + size)
            logits = (states[part] @ head.T).float()
            real = labels[part, None] >= 0
            asked = labels[part, None].clamp(min=0)
            logits -= logits.amax(-1, keepdim=True)
            chosen = logits.gather(-1, asked)
            shares = logits.exp_()
            norm = shares.sum(-1, keepdim=True)
            total += (norm.log() - chosen).masked_fill(~real, 0).sum()
            if to_hidden is None or to_weight is None:
                continue
            shares *= real / norm
            shares.scatter_add_(-1, asked, -real.to(shares.dtype))
            shares = shares.to(dtype)
            torch.mm(shares, head, out=to_hidden[part])
            if dtype == weight.dtype:
                to_weight.addmm_(shares.T, states[part])
            else:  # sums of many small numbers stay in the weight's own precision
                to_weight += shares.T @ states[part]
        if wanted:
            ctx.save_for_backward(to_hidden, to_weight)
            ctx.dtype = hidden.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_weight = ctx.saved_tensors
        return grads[0] * to_hidden.to(ctx.dtype), grads[0] * to_weight, None, None, None
