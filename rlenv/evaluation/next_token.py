"""The distribution of the token that a language model puts next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NextToken:
    """A token that may come next.

    Attributes:
        id: its number in the vocabulary.
        text: what it adds to the text before it.
        probability: how likely it is at temperature 1.
    """

    id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The distribution of the next token.

    Attributes:
        tokens: what was read, token by token.
        next: the most likely ones, in order.
        others: how many tokens are left.
        rest: the probability of those, all together.
        entropy: the entropy of the distribution, in bits.
    """

    tokens: list[str]
    next: list[NextToken]
    others: int
    rest: float
    entropy: float


def predict(model: Any, tokenizer: Any, ids: Sequence[int], *, top: int) -> Prediction:
    """Return the distribution of what follows some tokens.

    Args:
        model: a causal LM.
        tokenizer: its tokenizer.
        ids: the tokens before it, at least one.
        top: how many of the most likely tokens to name.
    """
    import torch

    from rlenv.engines.local import evaluating

    with torch.inference_mode(), evaluating(model):
        logits = model(input_ids=torch.tensor([list(ids)], device=model.device)).logits[0, -1]
    # an embedding may have more rows than the tokenizer has tokens
    logprobs = logits[: len(tokenizer)].double().log_softmax(0)
    probabilities = logprobs.exp()
    values, best = probabilities.topk(min(top, len(probabilities)))
    named = [
        NextToken(token, tokenizer.decode([token]), value)
        for token, value in zip(best.tolist(), values.tolist(), strict=True)
    ]
    entropy = -float((probabilities * logprobs.clamp(min=-1e9)).sum()) / math.log(2)
    return Prediction(
        tokens=[tokenizer.decode([token]) for token in ids],
        next=named,
        others=len(probabilities) - len(named),
        rest=max(0.0, 1 - sum(token.probability for token in named)),
        entropy=max(0.0, entropy),
    )
