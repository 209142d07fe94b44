"""What is measured while a model trains: held-out loss by source, and text that it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlenv.engines.base import Request, Sampling, mix
from rlenv.engines.hf import TransformersEngine
from rlenv.engines.native import NativeEngine, unsupported
from trainers.pretraining.documents import Documents
from trainers.pretraining.forward import row_loss
from trainers.pretraining.rows import NO_LABEL, Rows, next_token

_TEMPERATURE = 0.8  # a little below 1, so that small models stay readable


class HeldOut:
    """Held-out texts of several sources, cut into rows once.

    Args:
        texts: of each source.
        tokenizer: the model's.
        length: tokens a row.
        characters: read so many of each source.
        batch_size: rows in a forward pass.
    """

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]],
        tokenizer: Any,
        *,
        length: int,
        characters: int,
        batch_size: int,
    ) -> None:
        self._batch_size = batch_size
        documents = {
            name: Documents.of(_first(some, characters), tokenizer)
            for name, some in texts.items()
            if some
        }
        self._sizes = {name: d.size for name, d in documents.items()}
        self._rows = {name: all_rows(d, length) for name, d in documents.items()}

    @torch.no_grad()
    def losses(self, model: Any, *, bf16: bool = False) -> dict[str, float]:
        """Return the loss a token, and bits per byte, over all and by source.

        Bits per byte do not depend on the tokenizer: what it costs to write the tokens, the end
        of each document too, over the bytes of the text. What is at the start of a row sees
        nothing before it, as in training.
        """
        device = str(next(model.parameters()).device)
        metrics: dict[str, float] = {}
        nats = asked = size = 0.0
        for name, rows in self._rows.items():
            found = sum(
                float(row_loss(model, some.to(device), bf16=bf16))
                for some in rows.split(self._batch_size)
            )
            metrics[f"held_out/loss/{name}"] = found / rows.asked
            metrics[f"held_out/bits_per_byte/{name}"] = found / math.log(2) / self._sizes[name]
            nats, asked, size = nats + found, asked + rows.asked, size + self._sizes[name]
        if asked:
            metrics["held_out/loss"] = nats / asked
            metrics["held_out/bits_per_byte"] = nats / math.log(2) / size
        return metrics


def all_rows(documents: Documents, length: int) -> Rows:
    """Cut documents into rows, in order, so that every token but the first of each is asked for.

    Args:
        documents: at least one.
        length: tokens a row; the last row is filled up with tokens of no document.
    """
    stream, owners = (
        documents.tokens,
        np.searchsorted(documents.ends, np.arange(documents.ends[-1]), "right"),
    )
    count = max(1, -(-(len(stream) - 1) // length))
    filled = count * length + 1 - len(stream)
    tokens = np.pad(stream, (0, filled))
    # each filling token is a document of its own, so that none is asked for
    owners = np.concatenate([owners, len(documents) + np.arange(filled)])
    places = np.arange(count)[:, None] * length + np.arange(length + 1)
    rows = next_token(tokens[places], owners[places])
    assert int((rows.labels != NO_LABEL).sum()) == len(stream) - len(documents)
    return rows


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
    engine_class = TransformersEngine if unsupported(model) else NativeEngine
    engine = engine_class(model, stop_ids=[tokenizer.eos_token_id], tokenizer=tokenizer)
    requests = [
        Request(
            [tokenizer.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)],
            seed=mix(seed, number),
        )
        for number, prompt in enumerate(prompts)
    ]
    done = engine.generate(requests, Sampling(temperature=_TEMPERATURE, max_tokens=tokens))
    return [
        {"prompt": prompt, "text": tokenizer.decode(one.token_ids, skip_special_tokens=True)}
        for prompt, one in zip(prompts, done, strict=True)
    ]
