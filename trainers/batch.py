"""Trajectories as tensors, and the logprobs of the tokens in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from rlenv.trajectory import Trajectory


@dataclass(frozen=True)
class Batch:
    """Trajectories padded on the right; tensors are (B, T), aligned with the tokens.

    Attributes:
        input_ids: the tokens.
        mask: 1 where the policy sampled the token.
        old_logprobs: of each sampled token, when it was sampled; 0 elsewhere.
        advantages: of each token; 0 where the policy did not sample it.
        prompts: (B, 2), a number that rows with the same prompt share, and how many tokens the
            prompt has.
    """

    input_ids: Tensor
    mask: Tensor
    old_logprobs: Tensor
    advantages: Tensor
    prompts: Tensor

    @classmethod
    def of(
        cls, trajectories: Sequence[Trajectory], advantages: Tensor, *, pad: int, device: Any
    ) -> Batch:
        """Pad trajectories.

        Args:
            trajectories: B of them, each with a sampled token.
            advantages: (B,), one for all tokens of a trajectory, or (B, T).
            pad: token to pad with. Padding stands on the right, where no token sees it.
            device: where to put the tensors.
        """
        longest = max(len(t.token_ids) for t in trajectories)

        def padded(rows: list[list[Any]], fill: Any, dtype: torch.dtype) -> Tensor:
            filled = [row + [fill] * (longest - len(row)) for row in rows]
            return torch.tensor(filled, dtype=dtype, device=device)

        mask = padded([t.loss_mask for t in trajectories], 0, torch.float32)
        spread = advantages.to(device)
        spread = spread[:, None] * mask if spread.ndim == 1 else spread * mask
        lengths = [t.loss_mask.index(1) for t in trajectories]
        numbers: dict[tuple[int, ...], int] = {}
        shared = [
            numbers.setdefault(tuple(t.token_ids[:n]), len(numbers))
            for t, n in zip(trajectories, lengths, strict=True)
        ]
        return cls(
            input_ids=padded([t.token_ids for t in trajectories], pad, torch.long),
            mask=mask,
            old_logprobs=padded([t.logprobs for t in trajectories], 0.0, torch.float32),
            advantages=spread,
            prompts=torch.tensor([shared, lengths]).T,
        )

    def __len__(self) -> int:
        return len(self.input_ids)

    def rows(self, index: Tensor) -> Batch:
        """Return some of the rows."""
        return Batch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def token_logprobs(model: Any, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the logprob of each sampled token, and the entropy where it was sampled.

    Args:
        model: a causal LM. Rows are padded on the right, so it needs no attention mask.
        batch: B rows of T tokens.
        temperature: the tokens were sampled at.

    Returns:
        logprobs (B, T), 0 where nothing was sampled; and the entropies (B, T), without gradient.
    """
    length = batch.input_ids.shape[1]
    first = int(batch.mask.any(0).float().argmax())  # no token before this column was sampled
    logits = model(
        input_ids=batch.input_ids, use_cache=False, logits_to_keep=length - first + 1
    ).logits[:, :-1]
    chosen, entropy = _of_chosen(logits, batch.input_ids[:, first:], temperature)
    whole = torch.nn.functional.pad
    return whole(chosen, (first, 0)) * batch.mask, whole(entropy, (first, 0)) * batch.mask


def _of_chosen(logits: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the logprobs of chosen tokens (...) under logits (..., V), and the entropies."""
    logprobs = (logits.float() / temperature).log_softmax(-1)
    with torch.no_grad():
        entropy = -(logprobs.exp() * logprobs).sum(-1)
    return logprobs.gather(-1, tokens[..., None])[..., 0], entropy
