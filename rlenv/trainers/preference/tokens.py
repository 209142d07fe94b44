"""From pairs and labelled replies to the tokens that TRL's trainers take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlenv.data.preferences import Labelled, Pair, Preferences
from rlenv.models.chat_format import ChatFormat

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


@dataclass(frozen=True)
class TokenReply:
    """A reply as tokens: what a policy reads, and what it says with the token that ends it."""

    prompt: list[int]
    reply: list[int]
    good: bool


def apart(pairs: Sequence[TokenPair]) -> list[TokenReply]:
    """Return the replies of pairs one by one: the chosen are good, the rejected bad."""
    return [
        TokenReply(pair.prompt, reply, good)
        for pair in pairs
        for reply, good in ((pair.chosen, True), (pair.rejected, False))
    ]


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
    every = [(pair, tokenize(pair, chat)) for pair in pairs]
    long = [pair for pair, tokens in every if tokens.length > max_length]
    data.take_out(long, TOO_LONG.format(max_length))
    return [(pair, tokens) for pair, tokens in every if tokens.length <= max_length]


def fitting_labelled(
    data: Preferences, labelled: Sequence[Labelled], chat: ChatFormat, max_length: int
) -> list[TokenReply]:
    """Return labelled replies as tokens, those that are not too long; see `fitting`."""
    fit, long = [], []
    for one in labelled:
        prompt = chat.prompt(one.prompt)
        whole = chat.solved(one.prompt, one.reply)[0]
        if len(whole) > max_length:
            long.append(one)
        else:
            fit.append(TokenReply(prompt, whole[len(prompt) :], one.good))
    data.take_out(long, TOO_LONG.format(max_length))
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
