"""What is measured while a model trains: held-out loss by source, and text that it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlenv.engines import factory
from rlenv.engines.base import Request, Sampling, mix
from rlenv.models import checkpoint
from rlenv.trainers.pretraining.documents import Documents
from rlenv.trainers.pretraining.forward import row_loss
from rlenv.trainers.pretraining.objectives import Objective, Owners, Tokens
from rlenv.trainers.pretraining.rows import PackedRows, next_token

_TEMPERATURE = 0.8  # a little below 1, so that small models stay readable


class HeldOutLoss:
    """Held-out texts of several sources, cut into rows once.

    Args:
        texts: of each source.
        tokenizer: the model's.
        objective: what is asked about them, always the same.
        length: tokens a row.
        characters: read so many of each source.
        batch_size: rows in a forward pass.

    Attributes:
        texts: of each source.
    """

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]],
        tokenizer: Any,
        objective: Objective,
        *,
        length: int,
        characters: int,
        batch_size: int,
    ) -> None:
        self.texts = texts
        self._batch_size = batch_size
        self._told = objective.generates
        documents = {
            name: Documents.of(_first(some, characters), tokenizer)
            for name, some in texts.items()
            if some
        }
        self._sizes = {name: d.size for name, d in documents.items()}
        drawn = objective.draws(length) - 1
        rng = np.random.default_rng(0)
        self._rows = {
            name: objective.rows(*cut_all(d, drawn), rng) for name, d in documents.items()
        }

    @torch.no_grad()
    def losses(self, model: Any, *, bf16: bool = False) -> dict[str, float]:
        """Return the loss a token that is asked for, and bits per byte, over all and by source.

        Bits per byte do not depend on the tokenizer: what it costs to write the tokens, the end
        of each document too, over the bytes of the text. What is at the start of a row sees
        nothing before it, as in training. An objective that does not write text has none.
        """
        device = str(next(model.parameters()).device)
        metrics: dict[str, float] = {}
        nats = asked = size = 0.0
        for name, rows in self._rows.items():
            found = sum(
                float(row_loss(model, some.to(device), bf16=bf16))
                for some in rows.split(self._batch_size)
            )
            metrics |= self._told_as(found, rows.asked, self._sizes[name], f"/{name}")
            nats, asked, size = nats + found, asked + rows.asked, size + self._sizes[name]
        return metrics | self._told_as(nats, asked, size, "")

    def _told_as(self, nats: float, asked: float, size: float, suffix: str) -> dict[str, float]:
        if not asked:
            return {}
        told = {f"held_out/loss{suffix}": nats / asked}
        if self._told:
            told[f"held_out/bits_per_byte{suffix}"] = nats / math.log(2) / size
        return told


def cut_all(documents: Documents, length: int) -> tuple[Tokens, Owners]:
    """Cut documents into rows, in order.

    Args:
        documents: at least one.
        length: tokens a row, to which comes the first of the next row.

    Returns:
        tokens (B, length + 1) and the numbers of their documents (B, length + 1). The last row is
        filled up with tokens 0, each of a document of its own, so that none is asked for.
    """
    tokens = documents.tokens
    owners = np.searchsorted(documents.ends, np.arange(len(tokens)), side="right")
    count = max(1, -(-(len(tokens) - 1) // length))
    filled = count * length + 1 - len(tokens)
    owners = np.concatenate([owners, len(documents) + np.arange(filled)])
    places = np.arange(count)[:, None] * length + np.arange(length + 1)
    return np.pad(tokens, (0, filled))[places], owners[places]


def all_rows(documents: Documents, length: int) -> PackedRows:
    """Return the rows of documents, in which every token but the first of each is asked for."""
    return next_token(*cut_all(documents, length))


def _first(texts: Sequence[str], characters: int) -> list[str]:
    """Return the first texts, so many characters of them in all."""
    chosen = []
    for text in texts:
        if characters <= 0:
            break
        chosen.append(text[:characters])
        characters -= len(text)
    return chosen


def continuations(
    model: Any, tokenizer: Any, prompts: Sequence[str], *, tokens: int, seed: int
) -> list[dict[str, str]]:
    """Let the model continue texts.

    Args:
        model: a causal LM.
        tokenizer: its tokenizer.
        prompts: each stands at the beginning of a document.
        tokens: the longest continuation.
        seed: of what is sampled, at temperature 0.8.

    Returns:
        Mappings with `prompt` and `text`.
    """
    engine = factory.make(model, stop_ids=[tokenizer.eos_token_id], tokenizer=tokenizer)
    requests = [
        Request(checkpoint.begin(tokenizer, prompt), seed=mix(seed, number))
        for number, prompt in enumerate(prompts)
    ]
    done = engine.generate(requests, Sampling(temperature=_TEMPERATURE, max_tokens=tokens))
    return [
        {"prompt": prompt, "text": tokenizer.decode(one.token_ids, skip_special_tokens=True)}
        for prompt, one in zip(prompts, done, strict=True)
    ]
