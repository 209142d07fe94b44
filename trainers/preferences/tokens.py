"""From pairs to the tokens that TRL's trainers take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlenv.chat import ChatFormat
from rlenv.preferences import Pair, Preferences

Row = dict[str, Any]
TOO_LONG = "that do not fit into {} tokens"


@dataclass(frozen=True)
class TokenPair:
    """A pair as tokens: what a policy reads, and the two replies with the token that ends them."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        """Tokens of prompt and the longer reply."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


def tokenize(pair: Pair, chat: ChatFormat) -> TokenPair:
    """Return a pair's tokens: those that were sampled where it has them.

    Otherwise they are what a policy would have read and said, so that reward models, DPO and
    rollouts all see a conversation as the same tokens.
    """
    if pair.ids is not None:
        return TokenPair(*pair.ids)
    prompt = chat.prompt(pair.prompt)
    replies = (
        chat.solved(pair.prompt, reply)[0][len(prompt) :] for reply in (pair.chosen, pair.rejected)
    )
    return TokenPair(prompt, *replies)


def fitting(
    data: Preferences, pairs: Sequence[Pair], chat: ChatFormat, max_length: int
) -> list[tuple[Pair, TokenPair]]:
    """Return pairs with their tokens; those that are too long are counted and left out.

    Args:
        data: where the pairs come from, and what was left out is counted.
        pairs: some of its pairs.
        chat: how conversations become tokens.
        max_length: the longest sequence, in tokens.
    """
    fit = []
    for number, pair in enumerate(pairs, 1):
        tokens = tokenize(pair, chat)
        if tokens.length > max_length:
            data.leave_out(TOO_LONG.format(max_length), number)
        else:
            fit.append((pair, tokens))
    return fit


def for_reward(tokens: TokenPair) -> Row:
    """Return a row for `RewardTrainer`: whole conversations, without the margin."""
    return {
        "chosen_ids": tokens.prompt + tokens.chosen,
        "rejected_ids": tokens.prompt + tokens.rejected,
    }


def for_dpo(tokens: TokenPair) -> Row:
    """Return a row for `DPOTrainer`."""
    return {
        "prompt_ids": tokens.prompt,
        "chosen_ids": tokens.chosen,
        "rejected_ids": tokens.rejected,
    }
