"""Learning all that an expert might have said from what it did say: soft targets.

Where an expert draws its reply from several that are as good, a demonstration shows one of them.
Where it tells how likely each is, the target of a token is the distribution of the tokens that
could stand there, given those before it: distillation of a known teacher (Hinton et al. 2015,
section 2), along its own samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer

from rlenv.common.errors import UserError
from rlenv.trainers.sft.batches import collate
from rlenv.trainers.sft.rows import IGNORED, TokenRow

POSITIONS, TOKENS, SHARES = "soft_positions", "soft_tokens", "soft_shares"  # columns of a row
_MANY = 500  # choices from which on those of the same object are kept
_REMEMBERED = 50_000  # replies whose tokens are

Targets = list[dict[int, float]]  # of each token of a reply: the tokens there, and their shares


def targets(choices: Mapping[tuple[int, ...], float], said: Sequence[int]) -> Targets:
    """Return how the tokens of a reply are distributed, each given those before it.

    Args:
        choices: replies as tokens, their stop token included, to their probabilities.
        said: one of them.

    Returns:
        For each token of `said`, tokens to probabilities, which add up to 1.

    Raises:
        ValueError: `said` is none of the choices, or one of no probability.
    """
    left = [(ids, share) for ids, share in choices.items() if share > 0]
    found: Targets = []
    for place, token in enumerate(said):
        shares: dict[int, float] = {}
        for ids, share in left:
            at = ids[place]
            shares[at] = shares.get(at, 0.0) + share
        if token not in shares:
            raise ValueError("the reply is none of the choices")
        total = math.fsum(shares.values())
        found.append({one: share / total for one, share in shares.items()})
        left = [(ids, share) for ids, share in left if ids[place] == token]
    return found


class SoftTargets:
    """Makes the targets of replies, and remembers those of choices that come again.

    Args:
        encode: from a reply's text to its tokens, the stop token included.
    """

    def __init__(self, encode: Callable[[str], Sequence[int]]) -> None:
        self._tokens = lru_cache(maxsize=_REMEMBERED)(lambda text: tuple(encode(text)))
        self._kept: Mapping[str, float] | None = None
        self._of_kept: dict[tuple[int, ...], float] = {}
        self._known: dict[str, Targets] = {}

    def __call__(self, choices: Mapping[str, float], said: str) -> Targets:
        """Return the targets of a reply, see `targets`.

        Args:
            choices: replies to their probabilities.
            said: the reply.

        Raises:
            UserError: the expert said what it claims that it would not say.
        """
        if len(choices) < _MANY:
            return self._made(self._encoded(choices), said)
        if choices is not self._kept:
            self._kept, self._of_kept, self._known = choices, self._encoded(choices), {}
        if said not in self._known:
            self._known[said] = self._made(self._of_kept, said)
        return self._known[said]

    def _encoded(self, choices: Mapping[str, float]) -> dict[tuple[int, ...], float]:
        found: dict[tuple[int, ...], float] = {}
        for text, share in choices.items():  # a tokenizer may spell two texts alike
            ids = self._tokens(text)
            found[ids] = found.get(ids, 0.0) + share
        return found

    def _made(self, choices: Mapping[tuple[int, ...], float], said: str) -> Targets:
        try:
            return targets(choices, self._tokens(said))
        except ValueError:
            raise UserError(
                f"the expert demonstrates {said!r}, which its choices() do not hold; mend "
                "choices(), or leave out soft_targets"
            ) from None


def soften(row: TokenRow, of_replies: Sequence[Targets]) -> dict[str, Any]:
    """Return a row with the targets of its labelled tokens.

    Args:
        row: with `input_ids` and `labels`.
        of_replies: the targets of each reply, in order.

    Returns:
        The row, with columns for what is not certain: the position of a label, a token that may
        stand there and its share, one entry for each such token.
    """
    positions: list[int] = []
    tokens: list[int] = []
    found: list[float] = []
    labelled = [n for n, label in enumerate(row["labels"]) if label != IGNORED]
    for position, shares in zip(labelled, chain.from_iterable(of_replies), strict=True):
        if len(shares) > 1:
            positions += [position] * len(shares)
            tokens += shares
            found += shares.values()
    # arrays: there are many of them
    of_tokens = {POSITIONS: np.array(positions, np.int32), TOKENS: np.array(tokens, np.int32)}
    return {**row, **of_tokens, SHARES: np.array(found, np.float32)}


def collate_soft(batch: Sequence[Mapping[str, Any]], pad: int) -> dict[str, Tensor]:
    """Pad rows as `batches.collate` does, and list the targets of all their labels.

    Args:
        batch: rows of `soften`.
        pad: the token to pad with.

    Returns:
        Besides what `collate` returns, `target_at` (N, 3): row, position and token; and
        `target_shares` (N,). The shares of a position add up to 1.
    """
    places: list[tuple[int, int, int]] = []
    shares: list[float] = []
    for number, row in enumerate(batch):
        # a row of a file has none
        soft = [np.asarray(row.get(name, ())).tolist() for name in (POSITIONS, TOKENS, SHARES)]
        uncertain = set(soft[0])
        certain = [
            (number, position, label)
            for position, label in enumerate(row["labels"])
            if label != IGNORED and position not in uncertain
        ]
        places += certain
        shares += [1.0] * len(certain)
        places += [(number, *at) for at in zip(*soft[:2], strict=True)]
        shares += soft[2]
    return {
        **collate([dict(row) for row in batch], pad),
        "target_at": torch.tensor(places, dtype=torch.long).view(-1, 3),
        "target_shares": torch.tensor(shares),
    }


def cross_entropy(logits: Tensor, labelled: Tensor, at: Tensor, shares: Tensor) -> Tensor:
    """Return the summed cross-entropy of targets, in nats.

    Args:
        logits: (B, T, V); those at a position are of the token after it.
        labelled: (B, T) of bool, the positions that have targets; the first of a row has none.
        at: (N, 3), as of `collate_soft`.
        shares: (N,).
    """
    ahead = labelled[:, 1:]
    number = (ahead.flatten().cumsum(0) - 1).view_as(ahead)  # of a position, among the labelled
    row, position, token = at.unbind(1)
    logprobs = logits[:, :-1][ahead].float().log_softmax(-1)
    return -(shares * logprobs[number[row, position - 1], token]).sum()


class SoftTrainer(Trainer):  # type: ignore[misc, unused-ignore]
    """`transformers.Trainer` on batches of `collate_soft`.

    Logs `expert_kl`, KL(expert || policy) of a token in nats, which is 0 for a policy that has
    learned all there is to learn; the loss is higher by the entropy of the expert.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seen: list[tuple[float, float, int]] = []

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross-entropy of the labelled tokens."""
        inputs = dict(inputs)
        at, shares = inputs.pop("target_at"), inputs.pop("target_shares")
        labelled = inputs.pop("labels") != IGNORED
        count = int(labelled.sum())
        outputs = model(**inputs, use_cache=False)
        total = cross_entropy(outputs.logits, labelled, at, shares)
        floor = -float(torch.xlogy(shares, shares).sum())
        self._seen.append((float(total.detach()), floor, count))
        loss = total / (count if num_items_in_batch is None else num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add what was measured since the last log."""
        if "loss" in logs and self._seen:
            total, floor, count = (sum(column) for column in zip(*self._seen, strict=True))
            logs = {**logs, "expert_kl": (total - floor) / max(1, count)}
            self._seen = []
        super().log(logs, *args, **kwargs)
